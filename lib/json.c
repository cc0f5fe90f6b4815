#include "lib/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/time.h"

enum { JSON_DEPTH_MAX = 128 };

/* Length of the number at `text`, and whether it is digits alone, after a "-" at most. */
static size_t number_length(const char *text, const char *end, bool *integer)
{
    const char *at = text;
    *integer = true;
    for (; at < end && strchr("+-.eE0123456789", *at) && *at; at++) {
        if (!isdigit((unsigned char)*at) && (*at != '-' || at > text)) {
            *integer = false;
        }
    }
    return (size_t)(at - text);
}

/* libjq and jansson round or refuse big integers: those of 16 digits and more above 2^53 become strings. A number that begins with 0
 * stays, as JSON has no such number: with quotes it would be let in. */
static bool too_big(const char *text, size_t len)
{
    size_t sign = text[0] == '-';
    size_t digits = len - sign;
    return digits >= 16 && text[sign] != '0' && (digits > 16 || strncmp(text + sign, "9007199254740992", 16) > 0);
}

/* Is what ends before `after` the name of a member? A number can't be one, and with quotes it would. */
static bool is_name(const char *after, const char *end)
{
    while (after < end && strchr(" \t\r\n", *after) && *after) {
        after++;
    }
    return after < end && *after == ':';
}

/* Copies `text`, quoting big integers; -1 when it nests too deep. */
static int quote_big_integers(const char *text, size_t len, struct buf *out)
{
    const char *end = text + len;
    int depth = 0;
    bool in_string = false;
    out->max = len * 2 + 64;
    while (text < end) {
        size_t take = 1;
        if (in_string) {
            if (*text == '\\' && text + 1 < end) {
                take = 2;
            } else if (*text == '"') {
                in_string = false;
            }
        } else if (*text == '"') {
            in_string = true;
        } else if (*text == '{' || *text == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                return -1;
            }
        } else if (*text == '}' || *text == ']') {
            depth--;
        } else if (*text == '-' || isdigit((unsigned char)*text)) {
            bool integer;
            take = number_length(text, end, &integer);
            if (integer && too_big(text, take) && !is_name(text + take, end)) {
                buf_adds(out, "\"");
                buf_add(out, text, take);
                buf_adds(out, "\"");
                text += take;
                continue;
            }
        }
        buf_add(out, text, take);
        text += take;
    }
    return 0;
}

json_t *json_parse(const char *text, size_t len, struct err *err)
{
    struct buf quoted = BUF_INIT;
    if (len && memchr(text, '\0', len)) { /* jansson overlooks one behind a number or a literal */
        err_set(err, ERR_PERMANENT, "could not read JSON: it holds a NUL character");
        return NULL;
    }
    if (quote_big_integers(text, len, &quoted) != 0) {
        buf_release(&quoted);
        err_set(err, ERR_PERMANENT, "could not read JSON: more than %d levels deep", JSON_DEPTH_MAX);
        return NULL;
    }
    const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
    json_error_t why;
    json_t *value = json_loadb(buf_text(&quoted), quoted.len, flags, &why);
    if (!value && quoted.len != len) {
        json_error_t plain; /* the quotes move columns: ask again, unless the big integer is what fails then */
        json_decref(json_loadb(text, len, flags, &plain));
        why = json_error_code(&plain) == json_error_numeric_overflow ? why : plain;
    }
    buf_release(&quoted);
    if (!value) {
        const char *hint = json_error_code(&why) == json_error_invalid_utf8 ? " (it must be UTF-8)" : "";
        err_set(err, ERR_PERMANENT, "could not read JSON: line %d, column %d: %s%s", why.line, why.column, why.text,
                hint);
    }
    return value;
}

json_t *json_at(const json_t *root, const char *path)
{
    const json_t *at = root;
    while (at && *path) {
        size_t len = strcspn(path, ".");
        if (json_is_array(at)) {
            at = strspn(path, "0123456789") == len ? json_array_get(at, strtoul(path, NULL, 10)) : NULL;
        } else {
            char *key = mem_strndup(path, len);
            at = json_object_get(at, key);
            free(key);
        }
        path += len + (path[len] == '.');
    }
    return (json_t *)at;
}

const char *json_string_at(const json_t *root, const char *path)
{
    return json_string_value(json_at(root, path));
}

json_int_t json_int_at(const json_t *root, const char *path, json_int_t otherwise)
{
    const json_t *value = json_at(root, path);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool json_true_at(const json_t *root, const char *path)
{
    return json_is_true(json_at(root, path));
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (value) {
        json_object_set_new(object, key, value);
    }
}

void json_put_string(json_t *object, const char *key, const char *value)
{
    if (value) {
        json_object_set_new(object, key, json_string(value));
    }
}

void json_put_instant(json_t *object, const char *key, int64_t at)
{
    char text[TIME_TEXT_SIZE];
    time_format(at, text);
    json_object_set_new(object, key, json_string(text));
}

static char *dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : mem_strdup("null");
}

char *json_text(const json_t *value)
{
    return dump(value, 0);
}

char *json_canonical(const json_t *value)
{
    return dump(value, JSON_SORT_KEYS);
}

char *json_lower(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *c = copy; c && *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + 32);
        }
    }
    return copy;
}
