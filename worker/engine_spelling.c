#include "worker/engine_spelling.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/fold.h"
#include "lib/mem.h"

/* ---- addresses --------------------------------------------------------------------------------------------------- */

struct piece {
    const char *text;
    size_t len;
};

static struct piece trimmed(struct piece piece)
{
    while (piece.len && isspace((unsigned char)piece.text[0])) {
        piece = (struct piece){piece.text + 1, piece.len - 1};
    }
    while (piece.len && isspace((unsigned char)piece.text[piece.len - 1])) {
        piece.len--;
    }
    return piece;
}

/* "Ann <ann@example.com>" and "<ann@example.com>": what stands between the brackets. */
static struct piece unbracketed(struct piece piece)
{
    const char *open = memrchr(piece.text, '<', piece.len);
    if (open && piece.text[piece.len - 1] == '>') {
        return trimmed((struct piece){open + 1, (size_t)(piece.text + piece.len - 1 - (open + 1))});
    }
    return piece;
}

static struct piece without_scheme(struct piece piece)
{
    static const char *const schemes[] = {"smtp:", "mailto:"};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (piece.len > len && strncasecmp(piece.text, schemes[i], len) == 0) {
            return trimmed((struct piece){piece.text + len, piece.len - len});
        }
    }
    return piece;
}

void spelling_add(json_t *list, const char *text)
{
    size_t before = json_array_size(list);
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",;");
        struct piece piece = without_scheme(unbracketed(trimmed((struct piece){at, len})));
        if (piece.len && memchr(piece.text, '@', piece.len)) {
            json_array_append_new(list, json_stringn(piece.text, piece.len));
        }
        at += len + (at[len] != '\0');
    }
    if (json_array_size(list) == before) {
        json_array_append_new(list, json_string(text));
    }
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* Spaces, punctuation and the sign for a character that could not be read, of those outside ASCII: by the first bytes of their UTF-8. */
static bool is_separator(const char *at)
{
    static const char *const begins[] = {"\xc2\xa0",     "\xc2\xab",     "\xc2\xbb",     "\xe2\x80",     "\xe2\x81",
                                         "\xe3\x80",     "\xef\xbc\x88", "\xef\xbc\x89", "\xef\xbc\x8c", "\xef\xbc\x9a",
                                         "\xef\xbc\x9b", "\xef\xbc\x9c", "\xef\xbc\x9e", "\xef\xbf\xbd"};
    for (size_t i = 0; i < COUNT_OF(begins); i++) {
        if (strncmp(at, begins[i], strlen(begins[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Can the character at `at` be a part of an address, or of a number? */
static bool belongs(const char *at)
{
    unsigned char byte = (unsigned char)*at;
    return byte >= 0x80 ? !is_separator(at) : byte && (isalnum(byte) || strchr("@._-+&'", byte));
}

static bool belongs_before(const char *text, const char *at)
{
    if (at == text) {
        return false;
    }
    for (at--; at > text && ((unsigned char)*at & 0xc0) == 0x80;) {
        at--;
    }
    return belongs(at);
}

/* A full stop ends a sentence as well as it goes on with a domain. */
static bool belongs_after(const char *at)
{
    return *at == '.' ? belongs(at + 1) : belongs(at);
}

static bool holds_as_it_is(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *at = len ? strstr(text, key) : NULL; at; at = strstr(at + 1, key)) {
        bool quoted = at > text && at[-1] == '\'' && at[len] == '\'';
        if (quoted || (!belongs_before(text, at) && !belongs_after(at + len))) {
            return true;
        }
    }
    return false;
}

bool spelling_holds(const char *text, const char *key)
{
    char *shown = fold_shown(key);
    char *whole = fold_text(text), *plain = fold_text(shown), *address = fold_address(key);
    bool holds = holds_as_it_is(whole, plain) || holds_as_it_is(whole, address);
    free(address);
    free(plain);
    free(whole);
    free(shown);
    return holds;
}
