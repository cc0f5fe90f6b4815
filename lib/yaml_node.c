/* Nodes of a YAML document to JSON (YAML 1.2 core schema, 10.3.2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/yaml_internal.h"

int yaml_line(struct fy_node *node)
{
    struct fy_token *token = fy_node_get_type(node) == FYNT_SCALAR ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark) {
        return mark->line + 1;
    }
    if (fy_node_is_mapping(node)) {
        void *at = NULL;
        struct fy_node_pair *pair = fy_node_mapping_iterate(node, &at);
        return pair ? yaml_line(fy_node_pair_key(pair)) : 0;
    }
    if (fy_node_is_sequence(node)) {
        void *at = NULL;
        struct fy_node *item = fy_node_sequence_iterate(node, &at);
        return item ? yaml_line(item) : 0;
    }
    return 0;
}

static void remember_line(struct yaml_reading *reading, int line)
{
    if (reading->lines && line > 0) {
        json_object_set_new(reading->lines, buf_text(&reading->pointer), json_integer(line));
    }
}

/* RFC 6901: "~" is ~0, "/" is ~1. */
static void add_step(struct buf *pointer, const char *key, size_t len)
{
    buf_adds(pointer, "/");
    for (size_t i = 0; i < len; i++) {
        if (key[i] == '~' || key[i] == '/') {
            buf_adds(pointer, key[i] == '~' ? "~0" : "~1");
        } else {
            buf_add(pointer, key + i, 1);
        }
    }
}

char *yaml_pointer(const char *pointer, const char *key)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, pointer);
    add_step(&out, key, strlen(key));
    return buf_take(&out);
}

/* Goes down one step of the pointer; returns the length to come back to. */
static size_t descend(struct yaml_reading *reading, const char *key, size_t len)
{
    size_t back = reading->pointer.len;
    add_step(&reading->pointer, key, len);
    return back;
}

static void ascend(struct yaml_reading *reading, size_t back)
{
    reading->pointer.len = back;
    if (reading->pointer.data) {
        reading->pointer.data[back] = '\0';
    }
}

int yaml_wrong(struct yaml_reading *reading, int line, const char *what)
{
    return err_set(reading->err, ERR_PERMANENT, "%s:%d: %s", reading->file, line, what);
}

static bool is_number(const char *text, bool *integer)
{
    size_t digits = strspn(text + (*text == '-' || *text == '+'), "0123456789");
    const char *rest = text + (*text == '-' || *text == '+') + digits;
    *integer = *rest == '\0';
    if (!digits) {
        return false;
    }
    if (*integer) {
        return true;
    }
    if (*rest != '.' && *rest != 'e' && *rest != 'E') {
        return false;
    }
    char *end;
    strtod(text, &end);
    return *end == '\0';
}

static bool is_null(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < COUNT_OF(nulls); i++) {
        if (strcmp(text, nulls[i]) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *plain_scalar(const char *text, bool texts)
{
    if (is_null(text)) {
        return json_null();
    }
    if (texts) {
        return json_string(text);
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0) {
        return json_true();
    }
    if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0) {
        return json_false();
    }
    bool integer;
    if (!is_number(text, &integer) || strlen(text) > 15) {
        return json_string(text);
    }
    json_t *number = integer ? json_integer(strtoll(text, NULL, 10)) : json_real(strtod(text, NULL));
    return number ? number : json_string(text); /* JSON has no infinity: 1e999 stays text */
}

/* A scalar's text; NULL with an err when it can't be one of JSON's and PostgreSQL's. The caller frees. */
static char *scalar_text(struct yaml_reading *reading, struct fy_node *node)
{
    size_t len = 0;
    const char *bytes = fy_node_get_scalar(node, &len);
    char *text = mem_strndup(bytes ? bytes : "", len);
    json_t *value = json_string(text);
    if (!value || strlen(text) != len) {
        yaml_wrong(reading, yaml_line(node),
                   value ? "a text may not hold the character NUL" : "this text is not UTF-8");
        free(text);
        text = NULL;
    }
    json_decref(value);
    return text;
}

static json_t *scalar(struct yaml_reading *reading, struct fy_node *node)
{
    char *text = scalar_text(reading, node);
    if (!text) {
        return NULL;
    }
    bool plain = fy_node_get_style(node) == FYNS_PLAIN;
    json_t *value = plain ? plain_scalar(text, reading->texts) : json_string(text);
    free(text);
    return value;
}

/* Adds one pair to `object`. */
static int member(struct yaml_reading *reading, struct fy_node *map, struct fy_node_pair *pair, json_t *object)
{
    struct fy_node *name = fy_node_pair_key(pair);
    if (!name || !fy_node_is_scalar(name)) {
        return yaml_wrong(reading, yaml_line(name ? name : map), "a key must be plain text");
    }
    char *key = scalar_text(reading, name);
    if (!key) {
        return -1;
    }
    size_t back = descend(reading, key, strlen(key));
    remember_line(reading, yaml_line(name));
    json_t *value = yaml_convert(reading, fy_node_pair_value(pair));
    ascend(reading, back);
    int result = value ? json_object_set_new(object, key, value) : -1;
    free(key);
    return result;
}

static json_t *mapping(struct yaml_reading *reading, struct fy_node *node)
{
    json_t *object = json_object();
    void *at = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &at))) {
        if (member(reading, node, pair, object) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *sequence(struct yaml_reading *reading, struct fy_node *node)
{
    json_t *array = json_array();
    void *at = NULL;
    struct fy_node *item;
    while ((item = fy_node_sequence_iterate(node, &at))) {
        char index[24];
        int len = snprintf(index, sizeof index, "%zu", json_array_size(array));
        size_t back = descend(reading, index, (size_t)len);
        remember_line(reading, yaml_line(item));
        json_t *value = yaml_convert(reading, item);
        ascend(reading, back);
        if (!value) {
            json_decref(array);
            return NULL;
        }
        json_array_append_new(array, value);
    }
    return array;
}

json_t *yaml_convert(struct yaml_reading *reading, struct fy_node *node)
{
    if (!node) {
        return json_null();
    }
    switch (fy_node_get_type(node)) {
    case FYNT_MAPPING:
        return mapping(reading, node);
    case FYNT_SEQUENCE:
        return sequence(reading, node);
    default:
        return scalar(reading, node);
    }
}
