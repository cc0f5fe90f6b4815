/* A growable byte buffer with a maximum: no fixed buffer for a string that comes from outside. */
#ifndef OFFBOARD_LIB_BUF_H
#define OFFBOARD_LIB_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* always NUL-terminated once anything was added; NULL before */
    size_t len; /* bytes, without the NUL */
    size_t cap;
    size_t max;    /* bytes; 0: BUF_DEFAULT_MAX */
    bool overflow; /* something did not fit: what is there is a prefix, and every later add is dropped */
};

enum { BUF_DEFAULT_MAX = 64 * 1024 * 1024 };

#define BUF_INIT                                                                                                       \
    {                                                                                                                  \
        NULL, 0, 0, 0, false                                                                                           \
    }

/* Each returns 0, or -1 when the maximum would be passed (then `overflow` is set). */
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_adds(struct buf *buf, const char *text);
int buf_add_hex(struct buf *buf, const void *data, size_t len); /* each byte as two digits */
int buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vaddf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

void buf_clear(struct buf *buf); /* keeps the memory */
void buf_release(struct buf *buf);
const char *buf_text(const struct buf *buf); /* "" while empty */
char *buf_take(struct buf *buf); /* hands the NUL-terminated data to the caller (free()); the buf is empty again */

#endif
