#include "lib/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"

enum { FILE_MAX = 1024 * 1024 };

char *yaml_read_file(const char *path, size_t *len, struct err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        err_set(err, ERR_PERMANENT, "could not read %s: %s", path, strerror(errno));
        return NULL;
    }
    struct buf out = {.max = FILE_MAX};
    char chunk[16384];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buf_add(&out, chunk, n);
    }
    int failed = ferror(file);
    fclose(file);
    if (failed || out.overflow) {
        err_set(err, ERR_PERMANENT, "could not read %s: %s", path, failed ? strerror(errno) : "larger than 1 MiB");
        buf_release(&out);
        return NULL;
    }
    *len = out.len;
    return buf_take(&out);
}

/* What one conversion carries along. */
struct reading {
    const char *file;
    json_t *lines;
    struct buf pointer; /* JSON pointer of the node in hand */
    struct err *err;
};

static int node_line(struct fy_node *node)
{
    struct fy_token *token = fy_node_get_type(node) == FYNT_SCALAR ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark) {
        return mark->line + 1;
    }
    if (fy_node_is_mapping(node)) {
        void *at = NULL;
        struct fy_node_pair *pair = fy_node_mapping_iterate(node, &at);
        return pair ? node_line(fy_node_pair_key(pair)) : 0;
    }
    if (fy_node_is_sequence(node)) {
        void *at = NULL;
        struct fy_node *item = fy_node_sequence_iterate(node, &at);
        return item ? node_line(item) : 0;
    }
    return 0;
}

static void remember_line(struct reading *reading, int line)
{
    if (reading->lines && line > 0) {
        json_object_set_new(reading->lines, buf_text(&reading->pointer), json_integer(line));
    }
}

/* Goes down one step of the pointer; returns the length to come back to. RFC 6901: "~" is ~0, "/" is ~1. */
static size_t descend(struct reading *reading, const char *key, size_t len)
{
    size_t back = reading->pointer.len;
    buf_adds(&reading->pointer, "/");
    for (size_t i = 0; i < len; i++) {
        if (key[i] == '~' || key[i] == '/') {
            buf_adds(&reading->pointer, key[i] == '~' ? "~0" : "~1");
        } else {
            buf_add(&reading->pointer, key + i, 1);
        }
    }
    return back;
}

static void ascend(struct reading *reading, size_t back)
{
    reading->pointer.len = back;
    if (reading->pointer.data) {
        reading->pointer.data[back] = '\0';
    }
}

static int wrong(struct reading *reading, int line, const char *what)
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

static json_t *plain_scalar(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < COUNT_OF(nulls); i++) {
        if (strcmp(text, nulls[i]) == 0) {
            return json_null();
        }
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
    return integer ? json_integer(strtoll(text, NULL, 10)) : json_real(strtod(text, NULL));
}

static json_t *scalar(struct reading *reading, struct fy_node *node)
{
    size_t len = 0;
    const char *bytes = fy_node_get_scalar(node, &len);
    char *text = mem_strndup(bytes ? bytes : "", len);
    json_t *value = fy_node_get_style(node) == FYNS_PLAIN ? plain_scalar(text) : json_string(text);
    free(text);
    if (!value) {
        wrong(reading, node_line(node), "this text is not UTF-8");
    }
    return value;
}

static json_t *convert(struct reading *reading, struct fy_node *node);

static json_t *mapping(struct reading *reading, struct fy_node *node)
{
    json_t *object = json_object();
    void *at = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &at))) {
        struct fy_node *name = fy_node_pair_key(pair);
        size_t len = 0;
        const char *bytes = name && fy_node_is_scalar(name) ? fy_node_get_scalar(name, &len) : NULL;
        if (!bytes) {
            wrong(reading, node_line(name ? name : node), "a key must be plain text");
            json_decref(object);
            return NULL;
        }
        char *key = mem_strndup(bytes, len);
        size_t back = descend(reading, key, len);
        remember_line(reading, node_line(name));
        json_t *value = convert(reading, fy_node_pair_value(pair));
        ascend(reading, back);
        int failed = value ? json_object_set_new(object, key, value) : -1;
        free(key);
        if (failed) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *sequence(struct reading *reading, struct fy_node *node)
{
    json_t *array = json_array();
    void *at = NULL;
    struct fy_node *item;
    while ((item = fy_node_sequence_iterate(node, &at))) {
        char index[24];
        int len = snprintf(index, sizeof index, "%zu", json_array_size(array));
        size_t back = descend(reading, index, (size_t)len);
        remember_line(reading, node_line(item));
        json_t *value = convert(reading, item);
        ascend(reading, back);
        if (!value) {
            json_decref(array);
            return NULL;
        }
        json_array_append_new(array, value);
    }
    return array;
}

static json_t *convert(struct reading *reading, struct fy_node *node)
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

/* libfyaml says "(null):LINE:COLUMN: error: TEXT" and then shows the source: keep the line and the text. */
static void parse_error(const char *file, const char *said, struct err *err)
{
    int line = 0, column = 0;
    const char *what = strstr(said, "error: ");
    const char *position = what;
    while (position && position > said && position[-1] != '\n') {
        position--;
    }
    const char *colon = position ? strchr(position, ':') : NULL;
    if (!colon || sscanf(colon, ":%d:%d", &line, &column) != 2) {
        line = 0;
    }
    what = what ? what + strlen("error: ") : "this is not YAML";
    err_set(err, ERR_PERMANENT, "%s:%d: %.*s", file, line, (int)strcspn(what, "\n"), what);
}

json_t *yaml_parse(const char *text, size_t len, const char *file, json_t **lines, struct err *err)
{
    char *said = NULL;
    size_t said_len = 0;
    FILE *sink = open_memstream(&said, &said_len);
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = sink;
    diag_cfg.colorize = false;
    diag_cfg.show_source = false;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    struct fy_parse_cfg cfg = {.flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_RESOLVE_DOCUMENT, .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&cfg, text, len);
    struct reading reading = {.file = file, .lines = json_object(), .err = err};
    json_t *value = NULL;
    fflush(sink);
    if (document) {
        struct fy_node *root = fy_document_root(document);
        value = root ? convert(&reading, root) : json_object();
    } else if (strspn(text, " \t\r\n") == len) {
        value = json_object();
    } else {
        parse_error(file, said ? said : "", err);
    }
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    fclose(sink);
    free(said);
    buf_release(&reading.pointer);
    if (value && lines) {
        *lines = json_incref(reading.lines);
    }
    json_decref(reading.lines);
    return value;
}
