#include "lib/expr_read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

enum { NESTING_MAX = 64 };

static const char blanks[] = " \t\r\n";

size_t expr_read_place(const struct expr_reader *reader)
{
    return (size_t)(reader->at - reader->text);
}

int expr_read_deeper(struct expr_reader *reader)
{
    if (reader->depth == NESTING_MAX) {
        return err_set(reader->err, ERR_PERMANENT, "nested more than %d deep", NESTING_MAX);
    }
    reader->depth++;
    return 0;
}

const char *expr_read_next(struct expr_reader *reader)
{
    reader->at += strspn(reader->at, blanks);
    return reader->at;
}

bool expr_read_take(struct expr_reader *reader, const char *token)
{
    size_t len = strlen(token);
    bool there = strncmp(expr_read_next(reader), token, len) == 0;
    reader->at += there ? len : 0;
    return there;
}

size_t expr_read_name(const char *at)
{
    size_t len = 0;
    while (isalnum((unsigned char)at[len]) || at[len] == '_') {
        len++;
    }
    return isdigit((unsigned char)*at) ? 0 : len;
}

bool expr_read_word(struct expr_reader *reader, const char *word)
{
    size_t len = expr_read_name(expr_read_next(reader));
    bool there = len == strlen(word) && strncmp(reader->at, word, len) == 0;
    reader->at += there ? len : 0;
    return there;
}

/* Shows some of what stands before the place, so that it is found in a long expression. */
struct expr_node *expr_read_unexpected(struct expr_reader *reader)
{
    enum { SHOWN = 20 };
    const char *at = expr_read_next(reader);
    const char *from = at - reader->text > SHOWN ? at - SHOWN : reader->text;
    while (((unsigned char)*from & 0xC0) == 0x80) { /* not in the middle of a character */
        from++;
    }
    size_t len = expr_read_name(at);
    for (len = len ? len : *at != '\0'; ((unsigned char)at[len] & 0xC0) == 0x80; len++) {
    }
    if (!*at) {
        err_set(reader->err, ERR_PERMANENT, "the expression ends too early");
    } else if (*at == '#') {
        err_set(reader->err, ERR_PERMANENT,
                "\"#\" starts a comment; quote the whole YAML value and leave comments out");
    } else if (strncmp(at, "?//", 3) == 0) {
        err_set(reader->err, ERR_PERMANENT, "put a blank into \"?//\": it is an operator of its own");
    } else if (*at == '.' && at[1 + strspn(at + 1, blanks)] == '[') {
        err_set(reader->err, ERR_PERMANENT, "leave out the \".\" before \"[\": write .list[0], not .list.[0]");
    } else if (strchr(")]}", *at)) {
        err_set(reader->err, ERR_PERMANENT, "\"%c\" closes nothing after \"%.*s\"", *at, (int)(at - from), from);
    } else {
        err_set(reader->err, ERR_PERMANENT, "\"%.*s\" is not expected after \"%.*s\"", (int)len, at, (int)(at - from),
                from);
    }
    return NULL;
}

int expr_read_expect(struct expr_reader *reader, const char *token)
{
    if (expr_read_take(reader, token)) {
        return 0;
    }
    if (!*reader->at && strchr(")]}", *token)) {
        return err_set(reader->err, ERR_PERMANENT, "a bracket is not closed: \"%s\" is missing at the end", token);
    }
    expr_read_unexpected(reader);
    return -1;
}

/* Digits and points, and an exponent: what jq takes for one token. */
static size_t number_length(const char *at)
{
    size_t len = strspn(at, "0123456789.");
    if (at[len] == 'e' || at[len] == 'E') {
        size_t sign = at[len + 1] == '+' || at[len + 1] == '-';
        size_t digits = strspn(at + len + 1 + sign, "0123456789");
        len += digits ? 1 + sign + digits : 0;
    }
    return len;
}

struct expr_node *expr_read_number(struct expr_reader *reader)
{
    char *token = mem_strndup(reader->at, number_length(reader->at)), *end;
    double number = strtod(token, &end);
    struct expr_node *node = NULL;
    if (*end) {
        err_set(reader->err, ERR_PERMANENT, "\"%s\" is not a number", token);
    } else {
        node = expr_node_new(EXPR_LITERAL);
        bool whole = number >= -1e15 && number <= 1e15 && (double)(json_int_t)number == number;
        node->value = whole ? json_integer((json_int_t)number) : json_real(number);
        reader->at += strlen(token);
    }
    free(token);
    return node;
}

/* The characters from `from` to `to`, as they stand between quotes; NULL with an err. */
static json_t *literal(struct expr_reader *reader, const char *from, const char *to)
{
    struct buf json = BUF_INIT;
    buf_adds(&json, "\"");
    for (; from < to; from++) {
        if ((unsigned char)*from < 0x20) { /* jq takes them as they are, JSON does not */
            buf_addf(&json, "\\u%04x", (unsigned)*from);
        } else {
            buf_add(&json, from, 1);
        }
    }
    buf_adds(&json, "\"");
    json_t *value = json_loadb(buf_text(&json), json.len, JSON_DECODE_ANY, NULL);
    if (!value) {
        err_set(reader->err, ERR_PERMANENT,
                "the text %s is not valid: after \"\\\" comes one of \" \\ / b f n r t ( or u with four digits",
                buf_text(&json));
    }
    buf_release(&json);
    return value;
}

static int add_literal(struct expr_reader *reader, struct expr_node *text, const char *from, const char *to)
{
    json_t *value = literal(reader, from, to);
    if (!value) {
        return -1;
    }
    struct expr_node *part = expr_node_new(EXPR_LITERAL);
    part->value = value;
    expr_node_add(text, part);
    return 0;
}

/* The parts of a text up to its closing quote. */
static int read_parts(struct expr_reader *reader, struct expr_node *text,
                      struct expr_node *(*inner)(struct expr_reader *reader))
{
    const char *from = reader->at;
    while (*reader->at != '"') {
        if (!*reader->at) {
            return err_set(reader->err, ERR_PERMANENT, "a text is not closed: a quote is missing");
        }
        if (reader->at[0] == '\\' && reader->at[1] == '(') {
            if (add_literal(reader, text, from, reader->at) != 0) {
                return -1;
            }
            reader->at += 2;
            struct expr_node *expression = inner(reader);
            if (!expression) {
                return -1;
            }
            expr_node_add(text, expression);
            if (expr_read_expect(reader, ")") != 0) {
                return -1;
            }
            from = reader->at;
        } else {
            reader->at += reader->at[0] == '\\' && reader->at[1] ? 2 : 1;
        }
    }
    return add_literal(reader, text, from, reader->at++);
}

struct expr_node *expr_read_text(struct expr_reader *reader, struct expr_node *(*inner)(struct expr_reader *reader))
{
    struct expr_node *text = expr_node_new(EXPR_TEXT);
    reader->at++;
    if (read_parts(reader, text, inner) != 0) {
        expr_node_free(text);
        return NULL;
    }
    if (text->count > 1) {
        return text;
    }
    struct expr_node *plain = expr_node_new(EXPR_LITERAL);
    plain->value = json_incref(text->children[0]->value);
    expr_node_free(text);
    return plain;
}
