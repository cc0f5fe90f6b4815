#include "lib/identity.h"

#include <stdint.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/fold.h"
#include "lib/mem.h"

enum { SHOWN_MAX = 60 /* bytes of what stands before the character */ };

/* Unicode 15: White_Space, Cc, and Default_Ignorable_Code_Point; in order. */
static const struct range {
    uint32_t first, last;
    const char *name;
} invisible[] = {
    {0x00, 0x00, "NUL"},
    {0x01, 0x1f, "control character"},
    {0x7f, 0x9f, "control character"},
    {0xa0, 0xa0, "no-break space"},
    {0xad, 0xad, "soft hyphen"},
    {0x34f, 0x34f, "combining grapheme joiner"},
    {0x61c, 0x61c, "Arabic letter mark"},
    {0x115f, 0x1160, "Hangul filler"},
    {0x1680, 0x1680, "Ogham space mark"},
    {0x17b4, 0x17b5, "Khmer inherent vowel"},
    {0x180b, 0x180f, "Mongolian separator"},
    {0x2000, 0x200a, "typographic space"},
    {0x200b, 0x200b, "zero width space"},
    {0x200c, 0x200c, "zero width non-joiner"},
    {0x200d, 0x200d, "zero width joiner"},
    {0x200e, 0x200e, "left-to-right mark"},
    {0x200f, 0x200f, "right-to-left mark"},
    {0x2028, 0x2028, "line separator"},
    {0x2029, 0x2029, "paragraph separator"},
    {0x202a, 0x202e, "mark of text direction"},
    {0x202f, 0x202f, "narrow no-break space"},
    {0x205f, 0x205f, "mathematical space"},
    {0x2060, 0x2060, "word joiner"},
    {0x2061, 0x2064, "invisible operator"},
    {0x2065, 0x2069, "mark of text direction"},
    {0x206a, 0x206f, "formatting character"},
    {0x2800, 0x2800, "braille pattern blank"},
    {0x3000, 0x3000, "ideographic space"},
    {0x3164, 0x3164, "Hangul filler"},
    {0xfe00, 0xfe0f, "variation selector"},
    {0xfeff, 0xfeff, "byte-order mark"},
    {0xffa0, 0xffa0, "Hangul filler"},
    {0xfff0, 0xfffb, "formatting character"},
    {0x1bca0, 0x1bca3, "formatting character"},
    {0x1d173, 0x1d17a, "formatting character"},
    {0xe0000, 0xe0fff, "formatting character"},
};

/* The name of a character that nobody sees; NULL: it is seen, or a plain blank. */
static const char *name_of(uint32_t code)
{
    for (size_t i = 0; i < COUNT_OF(invisible) && invisible[i].first <= code; i++) {
        if (code <= invisible[i].last) {
            return invisible[i].name;
        }
    }
    return NULL;
}

/* The character at `at` of a text that is UTF-8 (jansson has no other), and its length in bytes. */
static uint32_t code_at(const char *at, size_t *len)
{
    unsigned char lead = (unsigned char)*at;
    *len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = *len == 1 ? lead : lead & (0x7fu >> *len);
    for (size_t i = 1; i < *len; i++) {
        code = code << 6 | ((unsigned char)at[i] & 0x3f);
    }
    return code;
}

static bool blank(uint32_t code)
{
    return code == ' ' || name_of(code);
}

/* Where the last character before `to` begins. */
static const char *before(const char *from, const char *to)
{
    do {
        to--;
    } while (to > from && ((unsigned char)*to & 0xc0) == 0x80);
    return to;
}

static void refuse(const char *field, const char *from, const char *at, struct err *err)
{
    size_t len;
    uint32_t code = code_at(at, &len);
    const char *shown = at;
    while (shown > from && at - before(from, shown) <= SHOWN_MAX) {
        shown = before(from, shown);
    }
    err_set(err, ERR_PERMANENT,
            "%s contains U+%04X (%s) after \"%.*s\": nobody sees it, and no system knows such an address or id; remove "
            "it where it comes from",
            field, (unsigned)code, name_of(code), (int)(at - shown), shown);
}

json_t *identity_clean(const char *field, const json_t *text, struct err *err)
{
    const char *from = json_string_value(text), *to = from + json_string_length(text);
    size_t len;
    while (from < to && blank(code_at(from, &len))) {
        from += len;
    }
    while (to > from && blank(code_at(before(from, to), &len))) {
        to -= len;
    }
    for (const char *at = from; at < to; at += len) {
        if (name_of(code_at(at, &len))) {
            refuse(field, from, at, err);
            return NULL;
        }
    }
    return json_stringn(from, (size_t)(to - from));
}

char *identity_seen(const char *text)
{
    struct buf seen = BUF_INIT;
    size_t len;
    for (const char *at = text; *at; at += len) {
        if (!name_of(code_at(at, &len))) {
            buf_add(&seen, at, len);
        }
    }
    size_t first = strspn(buf_text(&seen), " "), end = seen.len;
    while (end > first && seen.data[end - 1] == ' ') {
        end--;
    }
    char *result = mem_strndup(buf_text(&seen) + first, end - first);
    buf_release(&seen);
    return result;
}

bool identity_same_number(const char *a, const char *b)
{
    a += strspn(a, "0");
    b += strspn(b, "0");
    return fold_same(a, b);
}
