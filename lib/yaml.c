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
    bool texts;         /* scalars stay text, but for null */
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
static size_t descend(struct reading *reading, const char *key, size_t len)
{
    size_t back = reading->pointer.len;
    add_step(&reading->pointer, key, len);
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
    return integer ? json_integer(strtoll(text, NULL, 10)) : json_real(strtod(text, NULL));
}

/* A scalar's text; NULL with an err when it can't be one of JSON's and PostgreSQL's. The caller frees. */
static char *scalar_text(struct reading *reading, struct fy_node *node)
{
    size_t len = 0;
    const char *bytes = fy_node_get_scalar(node, &len);
    char *text = mem_strndup(bytes ? bytes : "", len);
    json_t *value = json_string(text);
    if (!value || strlen(text) != len) {
        wrong(reading, node_line(node), value ? "a text may not hold the character NUL" : "this text is not UTF-8");
        free(text);
        text = NULL;
    }
    json_decref(value);
    return text;
}

static json_t *scalar(struct reading *reading, struct fy_node *node)
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

static json_t *convert(struct reading *reading, struct fy_node *node);

/* Adds one pair to `object`. */
static int member(struct reading *reading, struct fy_node *map, struct fy_node_pair *pair, json_t *object)
{
    struct fy_node *name = fy_node_pair_key(pair);
    if (!name || !fy_node_is_scalar(name)) {
        return wrong(reading, node_line(name ? name : map), "a key must be plain text");
    }
    char *key = scalar_text(reading, name);
    if (!key) {
        return -1;
    }
    size_t back = descend(reading, key, strlen(key));
    remember_line(reading, node_line(name));
    json_t *value = convert(reading, fy_node_pair_value(pair));
    ascend(reading, back);
    int result = value ? json_object_set_new(object, key, value) : -1;
    free(key);
    return result;
}

static json_t *mapping(struct reading *reading, struct fy_node *node)
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

/* Line of the first byte that no YAML text holds, 0 when all is well: libfyaml reads some invalid UTF-8 as null. */
static int unreadable_line(const char *text, size_t len)
{
    int line = 1;
    for (const char *end = text + len; text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t size = (size_t)((newline ? newline : end) - text);
        json_t *value = memchr(text, '\0', size) ? NULL : json_stringn(text, size);
        if (!value) {
            return line;
        }
        json_decref(value);
        text += size + 1;
    }
    return 0;
}

static bool only_comments(const char *text, size_t len)
{
    bool comment = false;
    for (size_t i = 0; i < len; i++) {
        comment = (comment || text[i] == '#') && text[i] != '\n';
        if (!comment && !strchr(" \t\r\n", text[i])) {
            return false;
        }
    }
    return true;
}

/* libfyaml's complaints go into memory. */
struct diagnosis {
    struct fy_diag *diag;
    FILE *sink;
    char *said;
    size_t len;
};

static void diagnosis_init(struct diagnosis *diagnosis)
{
    diagnosis->sink = open_memstream(&diagnosis->said, &diagnosis->len);
    struct fy_diag_cfg cfg;
    fy_diag_cfg_default(&cfg);
    cfg.fp = diagnosis->sink;
    cfg.colorize = false;
    cfg.show_source = false;
    diagnosis->diag = fy_diag_create(&cfg);
}

static const char *diagnosis_text(struct diagnosis *diagnosis)
{
    fflush(diagnosis->sink);
    return diagnosis->said ? diagnosis->said : "";
}

static void diagnosis_release(struct diagnosis *diagnosis)
{
    fy_diag_destroy(diagnosis->diag);
    fclose(diagnosis->sink);
    free(diagnosis->said);
}

static json_t *read_document(struct reading *reading, struct fy_parser *parser, struct diagnosis *diagnosis)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (!document) {
        parse_error(reading->file, diagnosis_text(diagnosis), reading->err);
        return NULL;
    }
    struct fy_node *root = fy_document_root(document);
    json_t *value = root ? convert(reading, root) : json_object();
    fy_parse_document_destroy(parser, document);
    struct fy_document *second = value ? fy_parse_load_document(parser) : NULL;
    bool failed = second || fy_parser_get_stream_error(parser);
    if (second) {
        wrong(reading, node_line(fy_document_root(second)), "there must be one document only");
        fy_parse_document_destroy(parser, second);
    } else if (value && failed) {
        parse_error(reading->file, diagnosis_text(diagnosis), reading->err);
    }
    if (value && failed) {
        json_decref(value);
        value = NULL;
    }
    return value;
}

static json_t *parse(const char *text, size_t len, const char *file, bool texts, json_t **lines, struct err *err)
{
    struct reading reading = {.file = file, .err = err, .texts = texts};
    int line = unreadable_line(text, len);
    if (line) {
        wrong(&reading, line, "this is not UTF-8 text");
        return NULL;
    }
    reading.lines = json_object();
    json_t *value = NULL;
    if (only_comments(text, len)) {
        value = json_object();
    } else {
        struct diagnosis diagnosis = {0};
        diagnosis_init(&diagnosis);
        struct fy_parse_cfg cfg = {.flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_RESOLVE_DOCUMENT, .diag = diagnosis.diag};
        struct fy_parser *parser = fy_parser_create(&cfg);
        fy_parser_set_string(parser, text, len);
        value = read_document(&reading, parser, &diagnosis);
        fy_parser_destroy(parser);
        diagnosis_release(&diagnosis);
    }
    buf_release(&reading.pointer);
    if (value && lines) {
        *lines = json_incref(reading.lines);
    }
    json_decref(reading.lines);
    return value;
}

json_t *yaml_parse(const char *text, size_t len, const char *file, json_t **lines, struct err *err)
{
    return parse(text, len, file, false, lines, err);
}

json_t *yaml_parse_texts(const char *text, size_t len, const char *file, json_t **lines, struct err *err)
{
    return parse(text, len, file, true, lines, err);
}
