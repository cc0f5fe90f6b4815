/* Forms. */
#include "lib/form.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"

enum { FIELDS_MAX = 1000 };

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A "%" that no two digits follow stands for itself, as the standard has it. NULL: no UTF-8, or a NUL. */
static json_t *decoded(const char *text, size_t len)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        int high = c == '%' && i + 2 < len ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        buf_add(&out, &c, 1);
    }
    json_t *value = memchr(buf_text(&out), '\0', out.len) ? NULL : json_stringn(buf_text(&out), out.len);
    buf_release(&out);
    return value;
}

/* Takes over `value`. */
static void add_field(json_t *form, const char *name, json_t *value)
{
    json_t *before = json_object_get(form, name);
    if (json_is_array(before)) {
        json_array_append_new(before, value);
    } else if (before) {
        json_object_set_new(form, name, json_pack("[O, o]", before, value));
    } else {
        json_object_set_new(form, name, value);
    }
}

static int add_pair(json_t *form, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    json_t *name = decoded(text, name_len);
    json_t *value = equals ? decoded(equals + 1, len - name_len - 1) : json_string("");
    bool fine = name && value;
    if (fine) {
        add_field(form, json_string_value(name), json_incref(value));
    }
    json_decref(name);
    json_decref(value);
    return fine ? 0 : -1;
}

json_t *form_parse(const char *text, size_t len, struct err *err)
{
    json_t *form = json_object();
    const char *end = text + len;
    for (int fields = 0; text < end; fields++) {
        const char *next = memchr(text, '&', (size_t)(end - text));
        size_t pair = (size_t)((next ? next : end) - text);
        bool fine = fields < FIELDS_MAX && (pair == 0 || add_pair(form, text, pair) == 0);
        if (!fine) {
            err_set(err, ERR_PERMANENT, "could not read the form: %s",
                    fields < FIELDS_MAX ? "it must be UTF-8 without NUL characters" : "it has more than 1,000 fields");
            json_decref(form);
            return NULL;
        }
        text += pair + (next != NULL);
    }
    return form;
}
