/* Reading JSON. jansson parses; before it, one pass over the text estimates how much memory that will take, and a second one
 * rewrites what jansson would refuse or round. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/utf8.h"

enum { DEPTH_MAX = 128, MEMORY_MAX = 64 * 1024 * 1024 };

/* Bytes that jansson allocates for a value, with its place in the array or object around it (x86-64, glibc). A string or key takes
 * its own length more. */
enum { LITERAL_COST = 16, NUMBER_COST = 48, STRING_COST = 96, ARRAY_COST = 144, OBJECT_COST = 240 };

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* The part of the text that is looked at, or copied, at once: a string, a number, or else a single character. */
struct token {
    const char *text;
    size_t len;
    size_t controls; /* of a string: control characters as they are */
    bool escapes;    /* of a string: it has \u escapes */
    bool big;        /* an integer above 2^53 */
};

/* libjq and jansson round or refuse big integers. JSON has none that begins with 0. */
static bool too_big(const char *text, size_t len)
{
    size_t sign = text[0] == '-';
    size_t digits = len - sign;
    return digits >= 16 && text[sign] != '0' && (digits > 16 || strncmp(text + sign, "9007199254740992", 16) > 0);
}

/* Does a colon follow? A number cannot be the name of a member, but with quotes around it it would be one. */
static bool is_name(const char *after, const char *end)
{
    while (after < end && *after && strchr(" \t\r\n", *after)) {
        after++;
    }
    return after < end && *after == ':';
}

static struct token take_number(const char *text, const char *end)
{
    struct token token = {.text = text};
    bool integer = true; /* digits alone, after a minus sign at most */
    while (text + token.len < end && text[token.len] && strchr("+-.eE0123456789", text[token.len])) {
        bool sign = text[token.len] == '-' && token.len == 0;
        integer = integer && (sign || isdigit((unsigned char)text[token.len]));
        token.len++;
    }
    token.big = integer && too_big(text, token.len) && !is_name(text + token.len, end);
    return token;
}

static struct token take_string(const char *text, const char *end)
{
    struct token token = {.text = text, .len = 1};
    while (text + token.len < end && text[token.len] != '"') {
        if (text[token.len] == '\\' && text + token.len + 1 < end) {
            token.len++;
            token.escapes = token.escapes || text[token.len] == 'u';
        }
        token.controls += (unsigned char)text[token.len] < 0x20;
        token.len++;
    }
    token.len += text + token.len < end;
    return token;
}

static struct token take_token(const char *text, const char *end)
{
    if (*text == '"') {
        return take_string(text, end);
    }
    if (*text == '-' || isdigit((unsigned char)*text)) {
        return take_number(text, end);
    }
    return (struct token){.text = text, .len = 1};
}

/* ---- the limits -------------------------------------------------------------------------------------------------- */

static size_t cost_of(const struct token *token)
{
    switch (*token->text) {
    case '"':
        return STRING_COST + token->len + 5 * token->controls; /* one is written as \u00XX */
    case '[':
        return ARRAY_COST;
    case '{':
        return OBJECT_COST;
    case 't':
    case 'f':
    case 'n':
        return LITERAL_COST;
    default:
        return token->len > 1 || isdigit((unsigned char)*token->text) ? NUMBER_COST + token->len : 0;
    }
}

/* The limit that the text passes, as a phrase the caller frees; NULL: none. It looks no further than the first character that
 * cannot be JSON, because jansson does not either. */
static char *passed_limit(const char *text, const char *end)
{
    size_t cost = 0;
    int depth = 0;
    while (text < end && *text && strchr("\"[]{},:-0123456789truefalsn \t\r\n", *text)) {
        struct token token = take_token(text, end);
        depth += (*text == '{' || *text == '[') - (*text == '}' || *text == ']');
        cost += cost_of(&token);
        if (depth > DEPTH_MAX) {
            return mem_printf("more than %d levels deep", DEPTH_MAX);
        }
        if (cost > MEMORY_MAX) {
            return mem_printf("its values would take more than %d MiB of memory", MEMORY_MAX / 1024 / 1024);
        }
        text += token.len;
    }
    return NULL;
}

/* ---- rewriting --------------------------------------------------------------------------------------------------- */

/* The code unit of the escape "\uXXXX" at `text`; -1: there is none. */
static long unit_at(const char *text, const char *end)
{
    char digits[5] = "";
    if (end - text < 6 || text[0] != '\\' || text[1] != 'u') {
        return -1;
    }
    memcpy(digits, text + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* Copies the escape at `text` (it starts with a backslash); returns its length. */
static size_t rewrite_escape(const char *text, const char *end, struct buf *out)
{
    long unit = unit_at(text, end);
    size_t len = unit >= 0 ? 6 : text + 1 < end ? 2 : 1;
    if (unit >= 0xd800 && unit < 0xdc00) {
        long low = unit_at(text + 6, end);
        if (low >= 0xdc00 && low < 0xe000) {
            buf_add(out, text, 12);
            return 12;
        }
    }
    if (unit == 0 || (unit >= 0xd800 && unit < 0xe000)) {
        buf_adds(out, "\\ufffd");
    } else {
        buf_add(out, text, len);
    }
    return len;
}

/* How many characters from here on are copied as they are. */
static size_t plain_run(const char *text, const char *end)
{
    size_t run = 0;
    while (text + run < end && text[run] != '\\' && (unsigned char)text[run] >= 0x20) {
        run++;
    }
    return run;
}

static void rewrite_string(const struct token *token, struct buf *out)
{
    const char *end = token->text + token->len;
    for (const char *at = token->text; at < end;) {
        size_t plain = plain_run(at, end);
        buf_add(out, at, plain);
        at += plain;
        if (at < end && *at == '\\') {
            at += rewrite_escape(at, end, out);
        } else if (at < end && *at == '\0') {
            buf_adds(out, UTF8_REPLACEMENT);
            at++;
        } else if (at < end) {
            buf_addf(out, "\\u%04x", (unsigned)*at++);
        }
    }
}

static bool needs_rewriting(const struct token *token, bool foreign)
{
    return token->big || (foreign && (token->escapes || token->controls));
}

/* Copies the text, rewritten, until `most` bytes are written; returns how many bytes of the text these stand for. */
static size_t rewrite(const char *text, size_t len, bool foreign, struct buf *out, size_t most)
{
    const char *at = text;
    while (at < text + len && out->len < most) {
        struct token token = take_token(at, text + len);
        if (!needs_rewriting(&token, foreign)) {
            buf_add(out, at, token.len);
        } else if (token.big) {
            buf_adds(out, "\"");
            buf_add(out, at, token.len);
            buf_adds(out, "\"");
        } else {
            rewrite_string(&token, out);
        }
        at += token.len;
    }
    size_t over = out->len > most ? out->len - most : 0;
    size_t used = (size_t)(at - text);
    return used > over ? used - over : 0;
}

static bool any_needs_rewriting(const char *text, size_t len, bool foreign)
{
    const char *end = text + len;
    while (text < end) {
        struct token token = take_token(text, end);
        if (needs_rewriting(&token, foreign)) {
            return true;
        }
        text += token.len;
    }
    return false;
}

/* Is there a NUL character outside of strings? jansson overlooks one that follows a number or a literal. */
static bool has_stray_nul(const char *text, size_t len)
{
    const char *end = text + len;
    if (len == 0 || !memchr(text, '\0', len)) {
        return false;
    }
    while (text < end && *text) {
        text += take_token(text, end).len;
    }
    return text < end;
}

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

/* How much of jansson's sentence can be repeated: it quotes the text near the fault, and may cut a character in two. */
static int repeatable(const char *sentence)
{
    json_t *text = json_string(sentence); /* NULL: it is not UTF-8 */
    const char *quotation = text ? NULL : strstr(sentence, " near ");
    json_decref(text);
    return (int)(quotation ? (size_t)(quotation - sentence) : strlen(sentence));
}

/* Where jansson stopped, as a phrase; `used` bytes of the text were read by then. */
static char *describe(const char *text, size_t used, const json_error_t *error)
{
    int line = 1, column = 0;
    for (size_t i = 0; i < used; i++) {
        if (text[i] == '\n') {
            line++;
            column = 0;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) { /* not within a character */
            column++;
        }
    }
    bool encoding = json_error_code(error) == json_error_invalid_utf8;
    return mem_printf("line %d, column %d: %.*s%s", line, column, repeatable(error->text), error->text,
                      encoding ? " (it must be UTF-8)" : "");
}

static json_t *parse(const char *text, size_t len, bool foreign, bool *limit, char **why)
{
    size_t flags = JSON_DECODE_ANY | (foreign ? 0 : JSON_REJECT_DUPLICATES);
    struct buf out = {.max = len * 6 + 64};
    json_error_t error;
    *why = passed_limit(text, text + len);
    *limit = *why != NULL;
    if (*limit) {
        return NULL;
    }
    if (has_stray_nul(text, len)) {
        *why = mem_strdup("there is a NUL character outside of strings");
        return NULL;
    }
    bool rewritten = any_needs_rewriting(text, len, foreign);
    if (rewritten) {
        rewrite(text, len, foreign, &out, SIZE_MAX);
    }
    json_t *value = json_loadb(rewritten ? buf_text(&out) : text, rewritten ? out.len : len, flags, &error);
    if (!value) {
        size_t used = error.position > 0 ? (size_t)error.position : 0;
        buf_clear(&out);
        *why = describe(text, rewritten ? rewrite(text, len, foreign, &out, used) : used, &error);
    }
    buf_release(&out);
    return value;
}

json_t *json_parse(const char *text, size_t len, struct err *err)
{
    bool limit;
    char *why;
    json_t *value = parse(text, len, false, &limit, &why);
    if (!value) {
        err_set(err, ERR_PERMANENT, "could not read JSON: %s", why);
    }
    free(why);
    return value;
}

json_t *json_parse_foreign(const char *text, size_t len, bool *limit, char **why)
{
    return parse(text, len, true, limit, why);
}
