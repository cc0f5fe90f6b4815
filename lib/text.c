#include "lib/text.h"

#include <string.h>

#include "lib/mem.h"

size_t text_cut(const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);
    if (length <= max) {
        return length;
    }
    length = max;
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80) {
        length--;
    }
    return length;
}

char *text_shortened(const char *text, size_t max)
{
    if (!text) {
        return NULL;
    }
    size_t length = text_cut(text, max);
    return mem_printf("%.*s%s", (int)length, text, text[length] ? "…" : "");
}
