/* Words that make one value of their input, or of their input and an argument. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_number.h"
#include "lib/expr_run.h"
#include "lib/mem.h"
#include "lib/utf8.h"

enum { DIGITS_MAX = 15 /* of an integer that is read as jq reads it */ };

/* ---- of one value ---------------------------------------------------------------------------------------------------------- */

/* Gives the word's value for `input`; NULL with an end. New reference. */
typedef json_t *value_fn(struct run *run, json_t *input, enum code_end *end);

static json_t *not_so(enum code_end *end, enum code_end why)
{
    *end = why;
    return NULL;
}

static json_t *negation(struct run *run, json_t *input, enum code_end *end)
{
    (void)run, (void)end;
    return json_boolean(!code_true(input));
}

static json_t *length(struct run *run, json_t *input, enum code_end *end)
{
    (void)run;
    switch (json_typeof(input)) {
    case JSON_NULL:
        return json_integer(0);
    case JSON_STRING:
        return json_integer((json_int_t)utf8_count(json_string_value(input), json_string_length(input)));
    case JSON_ARRAY:
        return json_integer((json_int_t)json_array_size(input));
    case JSON_OBJECT:
        return json_integer((json_int_t)json_object_size(input));
    default:
        return not_so(end, CODE_BEYOND);
    }
}

static json_t *type(struct run *run, json_t *input, enum code_end *end)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "object", [JSON_ARRAY] = "array",  [JSON_STRING] = "string", [JSON_INTEGER] = "number",
        [JSON_REAL] = "number",   [JSON_TRUE] = "boolean", [JSON_FALSE] = "boolean", [JSON_NULL] = "null"};
    (void)run, (void)end;
    return json_string(names[json_typeof(input)]);
}

static json_t *to_text(struct run *run, json_t *input, enum code_end *end)
{
    json_t *text = NULL;
    (void)run;
    *end = code_text(input, &text);
    return *end == CODE_DONE ? text : NULL;
}

static json_t *to_number(struct run *run, json_t *input, enum code_end *end)
{
    const char *text = json_string_value(input);
    (void)run;
    if (json_is_number(input)) {
        return json_incref(input);
    }
    size_t len = text ? strspn(text, "0123456789") : 0;
    bool plain = len && len <= DIGITS_MAX && len == json_string_length(input) && (len == 1 || *text != '0');
    return plain ? json_integer(strtoll(text, NULL, 10)) : not_so(end, CODE_BEYOND);
}

static json_t *changed(struct run *run, json_t *input, enum code_end *end, char from, char to)
{
    size_t len = json_string_length(input);
    *end = json_is_string(input) ? code_spend(run, len) : CODE_ERROR;
    if (*end != CODE_DONE) {
        return NULL;
    }
    char *text = mem_strndup(json_string_value(input), len);
    for (size_t i = 0; i < len; i++) {
        text[i] = text[i] >= from && text[i] <= to ? (char)(text[i] ^ ('a' ^ 'A')) : text[i];
    }
    json_t *value = json_stringn(text, len);
    free(text);
    return value;
}

static json_t *lower(struct run *run, json_t *input, enum code_end *end)
{
    return changed(run, input, end, 'A', 'Z');
}

static json_t *upper(struct run *run, json_t *input, enum code_end *end)
{
    return changed(run, input, end, 'a', 'z');
}

static json_t *keys(struct run *run, json_t *input, enum code_end *end)
{
    if (!json_is_object(input)) {
        return not_so(end, CODE_BEYOND);
    }
    json_t *names = json_array();
    const char *key;
    json_t *member;
    json_object_foreach(input, key, member)
    {
        json_array_append_new(names, json_string(key));
    }
    json_t *sorted = code_sort(names, names, false);
    json_decref(names);
    *end = code_spend(run, 64 * json_array_size(sorted));
    return sorted;
}

static json_t *sum(struct run *run, json_t *input, enum code_end *end)
{
    json_t *total = json_null();
    size_t i;
    json_t *item;
    *end = json_is_array(input) ? CODE_DONE : CODE_BEYOND;
    json_array_foreach(input, i, item)
    {
        json_t *next = NULL;
        *end = *end == CODE_DONE ? code_operate(run, '+', total, item, &next) : *end;
        json_decref(total);
        total = next;
        if (*end != CODE_DONE) {
            break;
        }
    }
    return total;
}

static json_t *in_order(struct run *run, json_t *input, enum code_end *end, bool merge)
{
    *end = json_is_array(input) ? code_spend(run, 64 * json_array_size(input)) : CODE_BEYOND;
    return *end == CODE_DONE ? code_sort(input, input, merge) : NULL;
}

static json_t *sort(struct run *run, json_t *input, enum code_end *end)
{
    return in_order(run, input, end, false);
}

static json_t *unique(struct run *run, json_t *input, enum code_end *end)
{
    return in_order(run, input, end, true);
}

static json_t *round_down(struct run *run, json_t *input, enum code_end *end)
{
    (void)run;
    return json_is_integer(input) ? json_incref(input)
           : json_is_real(input)  ? expr_number(floor(json_real_value(input)))
                                  : not_so(end, CODE_BEYOND);
}

static json_t *end_of(json_t *input, enum code_end *end, size_t at)
{
    json_t *item = json_array_get(input, at);
    if (!json_is_array(input) || (json_is_integer(item) && !expr_number_exact(json_integer_value(item)))) {
        return not_so(end, CODE_BEYOND);
    }
    return item ? json_incref(item) : json_null();
}

static json_t *first(struct run *run, json_t *input, enum code_end *end)
{
    (void)run;
    return end_of(input, end, 0);
}

static json_t *last(struct run *run, json_t *input, enum code_end *end)
{
    (void)run;
    return end_of(input, end, json_array_size(input) - 1);
}

static const struct {
    const char *name;
    value_fn *value;
} values[] = {
    {"add", sum},     {"ascii_downcase", lower}, {"ascii_upcase", upper},
    {"first", first}, {"floor", round_down},     {"keys", keys},
    {"last", last},   {"length", length},        {"not", negation},
    {"sort", sort},   {"tonumber", to_number},   {"tostring", to_text},
    {"type", type},   {"unique", unique},
};

/* ---- of a value and an argument -------------------------------------------------------------------------------------------- */

typedef json_t *pair_fn(struct run *run, json_t *input, json_t *argument, enum code_end *end);

static bool begins(const json_t *text, const json_t *start)
{
    size_t len = json_string_length(start);
    return json_string_length(text) >= len && memcmp(json_string_value(text), json_string_value(start), len) == 0;
}

static bool ends(const json_t *text, const json_t *tail)
{
    size_t len = json_string_length(tail), whole = json_string_length(text);
    return whole >= len && memcmp(json_string_value(text) + (whole - len), json_string_value(tail), len) == 0;
}

static json_t *starts_with(struct run *run, json_t *input, json_t *start, enum code_end *end)
{
    (void)run;
    return json_is_string(input) && json_is_string(start) ? json_boolean(begins(input, start))
                                                          : not_so(end, CODE_ERROR);
}

static json_t *ends_with(struct run *run, json_t *input, json_t *tail, enum code_end *end)
{
    (void)run;
    return json_is_string(input) && json_is_string(tail) ? json_boolean(ends(input, tail)) : not_so(end, CODE_ERROR);
}

static json_t *cut_start(struct run *run, json_t *input, json_t *start, enum code_end *end)
{
    (void)run, (void)end;
    if (!json_is_string(input) || !json_is_string(start) || !begins(input, start)) {
        return json_incref(input);
    }
    size_t len = json_string_length(start);
    return json_stringn(json_string_value(input) + len, json_string_length(input) - len);
}

static json_t *cut_end(struct run *run, json_t *input, json_t *tail, enum code_end *end)
{
    (void)run, (void)end;
    if (!json_is_string(input) || !json_is_string(tail) || !ends(input, tail)) {
        return json_incref(input);
    }
    return json_stringn(json_string_value(input), json_string_length(input) - json_string_length(tail));
}

static json_t *split(struct run *run, json_t *input, json_t *separator, enum code_end *end)
{
    size_t gap = json_string_length(separator), len = json_string_length(input);
    if (!json_is_string(input) || !json_is_string(separator) || !gap || strlen(json_string_value(input)) != len ||
        strlen(json_string_value(separator)) != gap || code_spend(run, 64 + 2 * len) != CODE_DONE) {
        return not_so(end, CODE_BEYOND);
    }
    json_t *parts = json_array();
    const char *at = json_string_value(input);
    while (len) {
        const char *next = strstr(at, json_string_value(separator));
        json_array_append_new(parts, json_stringn(at, next ? (size_t)(next - at) : strlen(at)));
        if (!next) {
            break;
        }
        at = next + gap;
        *end = code_spend(run, 64);
    }
    return parts;
}

static json_t *join(struct run *run, json_t *input, json_t *separator, enum code_end *end)
{
    struct buf out = BUF_INIT;
    size_t i;
    json_t *item;
    *end = json_is_array(input) && json_is_string(separator) ? CODE_DONE : CODE_BEYOND;
    json_array_foreach(input, i, item)
    {
        json_t *text = NULL;
        if (*end == CODE_DONE && i > 0) {
            buf_add(&out, json_string_value(separator), json_string_length(separator));
            *end = code_spend(run, json_string_length(separator));
        }
        if (*end == CODE_DONE && !json_is_null(item) && (*end = code_text(item, &text)) == CODE_DONE) {
            buf_add(&out, json_string_value(text), json_string_length(text));
            *end = code_spend(run, json_string_length(text));
            json_decref(text);
        }
    }
    json_t *value = *end == CODE_DONE ? json_stringn(buf_text(&out), out.len) : NULL;
    buf_release(&out);
    return value;
}

static json_t *contains(struct run *run, json_t *input, json_t *part, enum code_end *end)
{
    bool found = false;
    (void)run;
    *end = code_contains(input, part, &found);
    return *end == CODE_DONE ? json_boolean(found) : NULL;
}

static json_t *has(struct run *run, json_t *input, json_t *key, enum code_end *end)
{
    (void)run;
    return json_is_object(input) && json_is_string(key) ? json_boolean(json_object_get(input, json_string_value(key)))
                                                        : not_so(end, CODE_BEYOND);
}

static const struct {
    const char *name;
    pair_fn *value;
} pairs[] = {
    {"contains", contains},  {"endswith", ends_with}, {"has", has},     {"join", join},
    {"ltrimstr", cut_start}, {"rtrimstr", cut_end},   {"split", split}, {"startswith", starts_with},
};

static enum code_end hand_on(json_t *value, enum code_end end, code_taker *take, void *arg)
{
    if (value && end == CODE_DONE) {
        return code_give(value, take, arg);
    }
    json_decref(value);
    return end == CODE_DONE ? CODE_BEYOND : end;
}

static enum code_end call_value(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                                void *arg)
{
    enum code_end end = CODE_DONE;
    json_t *value = values[call->slot].value(run, input, &end);
    return hand_on(value, end, take, arg);
}

struct applied {
    struct run *run;
    const struct expr_code *call;
    json_t *input;
    code_taker *take;
    void *arg;
};

static enum code_end on_argument(json_t *argument, void *arg)
{
    struct applied *applied = arg;
    enum code_end end = CODE_DONE;
    json_t *value = pairs[applied->call->slot].value(applied->run, applied->input, argument, &end);
    return hand_on(value, end, applied->take, applied->arg);
}

static enum code_end call_pair(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                               void *arg)
{
    struct applied applied = {run, call, input, take, arg};
    return code_run(run, call->parts[0], input, on_argument, &applied);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

code_call *code_function(const char *name, size_t arguments, size_t *slot)
{
    for (*slot = 0; arguments == 0 && *slot < COUNT_OF(values); ++*slot) {
        if (strcmp(values[*slot].name, name) == 0) {
            return call_value;
        }
    }
    for (*slot = 0; arguments == 1 && *slot < COUNT_OF(pairs); ++*slot) {
        if (strcmp(pairs[*slot].name, name) == 0) {
            return call_pair;
        }
    }
    return NULL;
}
