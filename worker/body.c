#include "worker/body.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/utf8.h"

/* Latin 1 is read as windows-1252, which gives its 32 control characters printable meanings: those who say ISO-8859-1 mean
 * these (WHATWG Encoding, 4.2). */
enum encoding {
    ENCODING_UTF_8,
    ENCODING_UTF_16,
    ENCODING_UTF_16_LE,
    ENCODING_UTF_16_BE,
    ENCODING_1252,
    ENCODING_LATIN_9
};

enum { CHARSET_MAX = 40 };

struct charset {
    char name[CHARSET_MAX + 1]; /* as the vendor writes it; "": not said */
    enum encoding encoding;
    bool known;
};

/* Names without case, hyphens and underscores (IANA character sets). */
static const struct {
    const char *name;
    enum encoding encoding;
} charsets[] = {
    {"utf8", ENCODING_UTF_8},    {"usascii", ENCODING_UTF_8},     {"ascii", ENCODING_UTF_8},
    {"utf16", ENCODING_UTF_16},  {"utf16le", ENCODING_UTF_16_LE}, {"utf16be", ENCODING_UTF_16_BE},
    {"iso88591", ENCODING_1252}, {"latin1", ENCODING_1252},       {"windows1252", ENCODING_1252},
    {"cp1252", ENCODING_1252},   {"iso885915", ENCODING_LATIN_9}, {"latin9", ENCODING_LATIN_9},
};

/* ---- the content type -------------------------------------------------------------------------------------------- */

/* The last one when the header was sent twice: recipients agree on that (RFC 9110, 8.3). */
static const char *last_type(const char *content_type)
{
    const char *last = content_type ? content_type : "";
    bool quoted = false;
    for (const char *at = last; *at; at++) {
        quoted = quoted != (*at == '"');
        last = *at == ',' && !quoted ? at + 1 : last;
    }
    return last + strspn(last, " \t");
}

/* "application/json", "application/scim+json", "text/json", "application/x-json". */
static bool claims_json(const char *type)
{
    size_t len = strcspn(type, "; \t");
    return len > 4 && strncasecmp(type + len - 4, "json", 4) == 0 && strchr("/+-", type[len - 5]);
}

/* What follows "charset=" among the parameters; "" when it is not there. */
static const char *charset_value(const char *type)
{
    static const char name[] = "charset";
    for (const char *at = strchr(type, ';'); at; at = strchr(at, ';')) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, strlen(name)) == 0) {
            at += strlen(name) + strspn(at + strlen(name), " \t");
            if (*at == '=') {
                return at + 1;
            }
        }
    }
    return "";
}

/* The charset as the vendor writes it, quoted or not (RFC 9110, 5.6.6). */
static void read_charset_name(const char *type, char name[CHARSET_MAX + 1])
{
    const char *at = charset_value(type);
    size_t len = 0;
    for (at += strspn(at, " \t\"'"); *at && !strchr("; \t\"'", *at) && len < CHARSET_MAX; at++) {
        name[len++] = (char)(isgraph((unsigned char)*at) ? *at : '?');
    }
    name[len] = '\0';
}

static struct charset read_charset(const char *type)
{
    struct charset charset = {.encoding = ENCODING_UTF_8};
    char plain[CHARSET_MAX + 1];
    size_t len = 0;
    read_charset_name(type, charset.name);
    for (const char *at = charset.name; *at; at++) {
        if (*at != '-' && *at != '_') {
            plain[len++] = (char)tolower((unsigned char)*at);
        }
    }
    plain[len] = '\0';
    charset.known = len == 0;
    for (size_t i = 0; i < COUNT_OF(charsets); i++) {
        if (strcmp(plain, charsets[i].name) == 0) {
            charset.encoding = charsets[i].encoding;
            charset.known = true;
        }
    }
    return charset;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

/* What windows-1252 has at 0x80 to 0x9f, and what ISO-8859-15 has that ISO-8859-1 has not. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};
static const struct {
    uint8_t byte;
    uint16_t character;
} latin_9[] = {{0xa4, 0x20ac}, {0xa6, 0x0160}, {0xa8, 0x0161}, {0xb4, 0x017d},
               {0xb8, 0x017e}, {0xbc, 0x0152}, {0xbd, 0x0153}, {0xbe, 0x0178}};

static uint32_t character_of(uint8_t byte, enum encoding encoding)
{
    if (encoding == ENCODING_1252) {
        return byte >= 0x80 && byte < 0xa0 ? windows_1252[byte - 0x80] : byte;
    }
    for (size_t i = 0; i < COUNT_OF(latin_9); i++) {
        if (latin_9[i].byte == byte) {
            return latin_9[i].character;
        }
    }
    return byte;
}

/* ---- charsets ---------------------------------------------------------------------------------------------------- */

static uint32_t utf_16_unit(const char *data, bool big_endian)
{
    uint8_t a = (uint8_t)data[0], b = (uint8_t)data[1];
    return big_endian ? (uint32_t)(a << 8 | b) : (uint32_t)(b << 8 | a);
}

/* Writes UTF-8; returns how many bytes from the start are valid UTF-16. */
static size_t read_utf_16(const char *data, size_t len, bool big_endian, struct buf *out)
{
    size_t at = 0;
    while (at + 2 <= len) {
        uint32_t unit = utf_16_unit(data + at, big_endian);
        bool high = unit >= 0xd800 && unit < 0xdc00;
        uint32_t low = high && at + 4 <= len ? utf_16_unit(data + at + 2, big_endian) : 0;
        if ((unit >= 0xdc00 && unit < 0xe000) || (high && (low < 0xdc00 || low >= 0xe000))) {
            return at;
        }
        utf8_add(out, high ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : unit);
        at += high ? 4 : 2;
    }
    return at;
}

static void read_single_bytes(const char *data, size_t len, enum encoding encoding, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        utf8_add(out, character_of((uint8_t)data[i], encoding));
    }
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* The length of the byte-order mark, which counts more than what the content type says. */
static size_t skip_mark(const char *data, size_t len, struct charset *charset)
{
    static const struct {
        const char *mark;
        size_t len;
        enum encoding encoding;
    } marks[] = {
        {"\xef\xbb\xbf", 3, ENCODING_UTF_8}, {"\xff\xfe", 2, ENCODING_UTF_16_LE}, {"\xfe\xff", 2, ENCODING_UTF_16_BE}};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        if (len >= marks[i].len && memcmp(data, marks[i].mark, marks[i].len) == 0) {
            *charset = (struct charset){.encoding = marks[i].encoding, .known = true};
            return marks[i].len;
        }
    }
    return 0;
}

/* Are the first characters, two at most, ASCII in UTF-16? */
static bool begins_as_utf_16(const char *data, size_t len, size_t zero)
{
    bool it_is = len >= 2 && len % 2 == 0;
    for (size_t i = 0; it_is && i < len && i < 4; i++) {
        it_is = (data[i] == '\0') == (i % 2 == zero);
    }
    return it_is;
}

/* UTF-16 without a mark: JSON begins with ASCII characters, so that the places of the NULs tell (RFC 4627, 3). */
static void guess_byte_order(const char *data, size_t len, struct charset *charset)
{
    bool silent = charset->encoding == ENCODING_UTF_8 && !*charset->name;
    if (silent || charset->encoding == ENCODING_UTF_16) {
        charset->encoding = begins_as_utf_16(data, len, 0)   ? ENCODING_UTF_16_BE
                            : begins_as_utf_16(data, len, 1) ? ENCODING_UTF_16_LE
                                                             : charset->encoding;
    }
}

/* Why the byte at `offset` is not taken; the caller frees. */
static char *explain_bytes(const char *data, size_t offset, const struct charset *charset)
{
    unsigned byte = (uint8_t)data[offset];
    if (!charset->known) {
        return mem_printf("the answer is in the charset \"%s\", which is not known here, and it is not valid UTF-8 "
                          "either (byte 0x%02x at offset %zu)",
                          charset->name, byte, offset);
    }
    const char *name = charset->encoding == ENCODING_UTF_8 ? "UTF-8" : "UTF-16";
    return mem_printf("the answer is not valid %s (byte 0x%02x at offset %zu)", name, byte, offset);
}

/* The answer as UTF-8: `*text` and `*text_len` point into `data` or into `out`. What it returns says why that fails; the caller
 * frees. */
static char *decode(const char *data, size_t len, struct charset charset, struct buf *out, const char **text,
                    size_t *text_len)
{
    size_t mark = skip_mark(data, len, &charset);
    const char *from = data + mark;
    size_t rest = len - mark, valid = rest;
    guess_byte_order(from, rest, &charset);
    *text = from;
    *text_len = rest;
    if (charset.encoding == ENCODING_UTF_8) {
        valid = utf8_valid(from, rest);
    } else if (charset.encoding == ENCODING_1252 || charset.encoding == ENCODING_LATIN_9) {
        read_single_bytes(from, rest, charset.encoding, out);
    } else {
        valid = read_utf_16(from, rest, charset.encoding != ENCODING_UTF_16_LE, out);
    }
    if (charset.encoding != ENCODING_UTF_8) {
        *text = buf_text(out);
        *text_len = out->len;
    }
    return valid < rest ? explain_bytes(data, mark + valid, &charset) : NULL;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* The text as a JSON string. Many who read it take NUL for its end. */
static json_t *text_value(const char *text, size_t len)
{
    if (!memchr(text, '\0', len)) {
        return json_stringn(text, len);
    }
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < len; i++) {
        buf_add(&out, text[i] ? text + i : UTF8_REPLACEMENT, text[i] ? 1 : strlen(UTF8_REPLACEMENT));
    }
    json_t *value = json_stringn(buf_text(&out), out.len);
    buf_release(&out);
    return value;
}

/* What people can read of it. New reference. */
static json_t *read_roughly(const char *data, size_t len)
{
    struct buf out = BUF_INIT;
    while (len) {
        size_t valid = utf8_valid(data, len);
        buf_add(&out, data, valid);
        data += valid;
        len -= valid;
        if (len) {
            buf_adds(&out, UTF8_REPLACEMENT);
            data++;
            len--;
        }
    }
    bool limit;
    char *reason;
    json_t *value = json_parse_foreign(buf_text(&out), out.len, &limit, &reason);
    value = value || limit ? value : text_value(buf_text(&out), out.len);
    free(reason);
    buf_release(&out);
    return value;
}

/* UTF-8 text that is not empty. */
static void read_text(const char *text, size_t len, bool json, struct body *body)
{
    bool limit;
    char *reason;
    body->value = json_parse_foreign(text, len, &limit, &reason);
    if (body->value) {
        body->kind = BODY_JSON;
        return;
    }
    body->kind = limit ? BODY_UNREADABLE : BODY_TEXT;
    body->value = limit ? json_null() : text_value(text, len);
    body->why = limit  ? mem_printf("the answer is too much to read: %s", reason)
                : json ? mem_printf("the answer claims to be JSON, but it is not: %s", reason)
                       : NULL;
    free(reason);
}

void body_read(const char *data, size_t len, const char *content_type, struct body *body)
{
    const char *type = last_type(content_type);
    const char *text;
    size_t text_len, blank = 0;
    struct buf out = BUF_INIT;
    *body = (struct body){.kind = BODY_EMPTY};
    body->why = len ? decode(data, len, read_charset(type), &out, &text, &text_len) : NULL;
    if (body->why) {
        body->kind = BODY_UNREADABLE;
        body->rough = read_roughly(data, len);
    } else if (len) {
        while (blank < text_len && strchr(" \t\r\n", text[blank]) && text[blank]) {
            blank++;
        }
        if (blank < text_len) {
            read_text(text, text_len, claims_json(type), body);
        }
    }
    body->value = body->value ? body->value : json_null();
    buf_release(&out);
}

void body_release(struct body *body)
{
    json_decref(body->value);
    json_decref(body->rough);
    free(body->why);
    *body = (struct body){0};
}
