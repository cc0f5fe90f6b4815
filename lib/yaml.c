#include "lib/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/yaml_internal.h"

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

static json_t *read_document(struct yaml_reading *reading, struct fy_parser *parser, struct diagnosis *diagnosis)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (!document) {
        parse_error(reading->file, diagnosis_text(diagnosis), reading->err);
        return NULL;
    }
    struct fy_node *root = fy_document_root(document);
    json_t *value = root ? yaml_convert(reading, root) : json_object();
    fy_parse_document_destroy(parser, document);
    struct fy_document *second = value ? fy_parse_load_document(parser) : NULL;
    bool failed = second || fy_parser_get_stream_error(parser);
    if (second) {
        yaml_wrong(reading, yaml_line(fy_document_root(second)), "there must be one document only");
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
    struct yaml_reading reading = {.file = file, .err = err, .texts = texts};
    int line = unreadable_line(text, len);
    if (line) {
        yaml_wrong(&reading, line, "this is not UTF-8 text");
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
