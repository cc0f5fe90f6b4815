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

/* U+202A to U+202E and U+2066 to U+2069 turn what follows them around. The length of the mark at `at`; 0: there is none. */
static size_t direction_mark(const char *at)
{
    const unsigned char *c = (const unsigned char *)at;
    bool first = c[0] == 0xe2 && c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae;
    bool second = c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;
    return first || second ? 3 : 0;
}

char *text_plain(const char *text)
{
    char *plain = mem_strdup(text);
    char *to = plain;
    for (const char *at = text; at && *at;) {
        size_t mark = direction_mark(at);
        if (mark) {
            at += mark;
            continue;
        }
        *to++ = (unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at;
        at++;
    }
    if (plain) {
        *to = '\0';
    }
    return plain;
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

bool text_is_ascii(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80) {
            return false;
        }
    }
    return true;
}

bool text_in_families(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        bool family = words[i][len - 1] == '.';
        if (family ? strncmp(text, words[i], len) == 0 : strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}
