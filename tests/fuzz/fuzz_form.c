/* lib/form.h: a webhook's form. What is read and written as a form again reads the same. */
#include "lib/buf.h"
#include "lib/form.h"
#include "tests/fuzz/fuzz.h"

static void add_encoded(struct buf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        buf_addf(out, "%%%02X", *c);
    }
}

static void add_field(struct buf *out, const char *name, const json_t *value)
{
    FUZZ_CHECK(json_is_string(value));
    buf_adds(out, out->len ? "&" : "");
    add_encoded(out, name);
    buf_adds(out, "=");
    add_encoded(out, json_string_value(value));
}

static size_t write_form(struct buf *out, json_t *form)
{
    size_t fields = 0;
    const char *name;
    json_t *value;
    json_object_foreach(form, name, value)
    {
        for (size_t i = 0; i < json_array_size(value); i++, fields++) {
            add_field(out, name, json_array_get(value, i));
        }
        if (!json_is_array(value)) {
            add_field(out, name, value);
            fields++;
        }
    }
    return fields;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct err err = ERR_INIT;
    char *text = fuzz_bytes(&input);
    json_t *form = form_parse(text, size, &err);
    FUZZ_CHECK(form || err.class == ERR_PERMANENT);
    if (form) {
        struct buf written = BUF_INIT;
        FUZZ_CHECK(write_form(&written, form) <= 1000);
        json_t *again = form_parse(buf_text(&written), written.len, &err);
        FUZZ_CHECK(json_equal(form, again));
        json_decref(again);
        buf_release(&written);
    }
    json_decref(form);
    err_release(&err);
    free(text);
    return 0;
}
