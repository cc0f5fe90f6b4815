#include "lib/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

static int make_room(struct buf *buf, size_t more)
{
    size_t max = buf->max ? buf->max : BUF_DEFAULT_MAX;
    if (buf->overflow || more > max || buf->len > max - more) {
        buf->overflow = true;
        return -1;
    }
    size_t need = buf->len + more + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap : 64;
        while (cap < need) {
            cap *= 2;
        }
        buf->data = mem_realloc(buf->data, cap);
        buf->cap = cap;
    }
    return 0;
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
    if (make_room(buf, len) != 0) {
        return -1;
    }
    if (len) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_adds(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_add_hex(struct buf *buf, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    if (make_room(buf, 2 * len) != 0) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = ((const unsigned char *)data)[i];
        buf->data[buf->len++] = digits[byte >> 4];
        buf->data[buf->len++] = digits[byte & 15];
    }
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_vaddf(struct buf *buf, const char *format, va_list args)
{
    char *text = mem_vprintf(format, args);
    int result = buf_adds(buf, text);
    free(text);
    return result;
}

int buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = buf_vaddf(buf, format, args);
    va_end(args);
    return result;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->overflow = false;
    if (buf->data) {
        buf->data[0] = '\0';
    }
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data ? buf->data : mem_strdup("");
    *buf = (struct buf){.max = buf->max};
    return data;
}
