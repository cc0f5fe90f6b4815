#include "lib/text.h"

#include <string.h>
#include <strings.h>

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

/* Behind white space, byte-order marks, comments and declarations. */
static const char *behind_prologue(const char *text)
{
    static const struct {
        const char *open, *close;
    } skipped[] = {{"<!--", "-->"}, {"<?xml", "?>"}, {"\xef\xbb\xbf", ""}};
    for (bool more = true; more;) {
        more = false;
        text += strspn(text, " \t\r\n\f");
        for (size_t i = 0; i < COUNT_OF(skipped); i++) {
            if (strncmp(text, skipped[i].open, strlen(skipped[i].open)) == 0) {
                const char *close = strstr(text + strlen(skipped[i].open), skipped[i].close);
                more = close != NULL;
                text = close ? close + strlen(skipped[i].close) : text;
            }
        }
    }
    return text;
}

bool text_is_page(const char *text)
{
    static const char *const openings[] = {"<!doctype html", "<html", "<head", "<body", "<title", "<meta", "<script"};
    text = behind_prologue(text);
    for (size_t i = 0; i < COUNT_OF(openings); i++) {
        size_t len = strlen(openings[i]);
        if (strncasecmp(text, openings[i], len) == 0 && strchr(" \t\r\n>/", text[len])) {
            return true;
        }
    }
    return false;
}
