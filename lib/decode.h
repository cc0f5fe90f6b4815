/* Bytes from the texts that carry them: hex, base64, percent-encoding. */
#ifndef OFFBOARD_LIB_DECODE_H
#define OFFBOARD_LIB_DECODE_H

#include <stddef.h>

/* 0 to 15; -1 when it is no digit. */
int decode_hex_digit(char c);

/* The bytes, followed by a NUL that `*len` doesn't count; NULL when the text is none such. The caller frees. base64 is RFC
 * 4648, 4 and 5: both alphabets; padding may be left out. */
unsigned char *decode_hex(const char *text, size_t text_len, size_t *len);
unsigned char *decode_base64(const char *text, size_t text_len, size_t *len);

/* One round of percent-decoding (RFC 3986, 2.1), in place; the new length. A "%" that no two digits follow stands for itself. */
size_t decode_percent(char *text, size_t len);

#endif
