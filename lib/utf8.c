#include "lib/utf8.h"

#include "lib/mem.h"

/* The length of the character at `text`; 0: that is none. */
static size_t length_at(const uint8_t *text, size_t len)
{
    static const struct {
        uint8_t first, last; /* of the first byte */
        uint8_t from, to;    /* of the second byte */
        size_t len;
    } forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    size_t form = 0;
    while (form < COUNT_OF(forms) && text[0] > forms[form].last) {
        form++;
    }
    if (form == COUNT_OF(forms) || text[0] < forms[form].first || forms[form].len > len) {
        return 0;
    }
    for (size_t i = 1; i < forms[form].len; i++) {
        if (text[i] < (i == 1 ? forms[form].from : 0x80) || text[i] > (i == 1 ? forms[form].to : 0xbf)) {
            return 0;
        }
    }
    return forms[form].len;
}

size_t utf8_valid(const char *text, size_t len)
{
    size_t at = 0, step;
    while (at < len && (step = length_at((const uint8_t *)text + at, len - at))) {
        at += step;
    }
    return at;
}

size_t utf8_count(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return count;
}

void utf8_add(struct buf *buf, uint32_t character)
{
    char bytes[4];
    size_t len = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    bytes[0] = (char)(first[len] | character);
    buf_add(buf, bytes, len);
}
