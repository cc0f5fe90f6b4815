#include "lib/decode.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/mem.h"

int decode_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

unsigned char *decode_hex(const char *text, size_t text_len, size_t *len)
{
    unsigned char *bytes = mem_alloc(text_len / 2 + 1);
    bool good = text_len % 2 == 0;
    for (size_t i = 0; good && i < text_len; i += 2) {
        int high = decode_hex_digit(text[i]), low = decode_hex_digit(text[i + 1]);
        good = high >= 0 && low >= 0;
        bytes[i / 2] = (unsigned char)(high * 16 + low);
    }
    if (!good) {
        free(bytes);
        return NULL;
    }
    *len = text_len / 2;
    bytes[*len] = '\0';
    return bytes;
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

unsigned char *decode_base64(const char *text, size_t text_len, size_t *len)
{
    for (int i = 0; i < 2 && text_len && text[text_len - 1] == '='; i++) {
        text_len--;
    }
    unsigned char *bytes = mem_alloc(text_len / 4 * 3 + 4);
    unsigned int bits = 0;
    size_t held = 0, filled = 0;
    bool good = text_len % 4 != 1;
    for (size_t i = 0; good && i < text_len; i++) {
        int digit = base64_digit(text[i]);
        good = digit >= 0;
        bits = bits << 6 | (unsigned int)(digit & 0x3f);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[filled++] = (unsigned char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    if (!good) {
        free(bytes);
        return NULL;
    }
    bytes[filled] = '\0';
    *len = filled;
    return bytes;
}

size_t decode_percent(char *text, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++, to++) {
        int high = text[i] == '%' && i + 2 < len ? decode_hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? decode_hex_digit(text[i + 2]) : -1;
        text[to] = low >= 0 ? (char)(high * 16 + low) : text[i];
        i += low >= 0 ? 2 : 0;
    }
    return to;
}
