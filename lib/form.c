/* Forms. */
#include "lib/form.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/decode.h"
#include "lib/mem.h"

enum { FIELDS_MAX = 1000 };

/* NULL: no UTF-8, or a NUL. */
static json_t *decoded(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    for (size_t i = 0; i < len; i++) {
        copy[i] = copy[i] == '+' ? ' ' : copy[i];
    }
    len = decode_percent(copy, len);
    json_t *value = memchr(copy, '\0', len) ? NULL : json_stringn(copy, len);
    free(copy);
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
