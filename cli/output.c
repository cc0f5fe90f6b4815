/* What the operator reads: messages, JSON, tables. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/secret.h"

int cli_fail(enum cli_exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args);
    va_end(args);
    char *masked = secret_mask(text);
    fprintf(stderr, "offboard: %s\n", masked);
    free(masked);
    free(text);
    return (int)code;
}

int cli_fail_err(enum cli_exit code, struct err *err)
{
    enum cli_exit worst = err->class == ERR_RETRY ? CLI_AWAY : err->class == ERR_FATAL ? CLI_USAGE : code;
    int result = cli_fail(worst, "%s", err_text(err));
    err_release(err);
    return result;
}

void cli_print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    printf("%s\n", text);
    free(text);
}

/* PostgreSQL writes "2026-11-23T09:15:00.123456+00:00". */
static bool is_instant(const char *text)
{
    return strlen(text) > 19 && text[4] == '-' && text[10] == 'T' && text[13] == ':' && text[16] == ':' &&
           strspn(text, "0123456789") == 4;
}

char *cli_text(const json_t *value)
{
    if (!value || json_is_null(value)) {
        return mem_strdup("-");
    }
    if (!json_is_string(value)) {
        return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    }
    char *text = mem_strdup(json_string_value(value));
    if (is_instant(text)) {
        text[10] = ' ';
        text[19] = '\0';
    }
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = ' '; /* a vendor's message must not move the terminal's cursor */
        }
    }
    return text;
}

/* Characters of UTF-8 text, near enough for a column's width. */
static size_t width(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static void print_cell(const char *text, size_t wanted, bool last)
{
    printf("%s", text);
    if (!last) {
        printf("%*s", (int)(wanted - width(text)) + 2, "");
    }
}

/* One column of a table while it is being laid out. */
struct column {
    char *name;
    char *heading;
    size_t width;
};

static size_t columns_split(const char *names, struct column *columns, size_t max)
{
    size_t count = 0;
    for (const char *at = names; *at && count < max;) {
        size_t len = strcspn(at, " ");
        columns[count].name = mem_strndup(at, len);
        columns[count].heading = mem_strndup(at, len);
        for (char *c = columns[count].heading; *c; c++) {
            *c = *c == '_' ? ' ' : (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        }
        columns[count].width = width(columns[count].heading);
        count++;
        at += len + strspn(at + len, " ");
    }
    return count;
}

void cli_print_table(const json_t *rows, const char *names)
{
    struct column columns[24];
    size_t count = columns_split(names, columns, COUNT_OF(columns));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            char *text = cli_text(json_object_get(row, columns[c].name));
            if (width(text) > columns[c].width) {
                columns[c].width = width(text);
            }
            free(text);
        }
    }
    for (size_t c = 0; c < count; c++) {
        print_cell(columns[c].heading, columns[c].width, c + 1 == count);
    }
    printf("\n");
    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            char *text = cli_text(json_object_get(row, columns[c].name));
            print_cell(text, columns[c].width, c + 1 == count);
            free(text);
        }
        printf("\n");
    }
    for (size_t c = 0; c < count; c++) {
        free(columns[c].name);
        free(columns[c].heading);
    }
}
