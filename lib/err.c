#include "lib/err.h"

#include <stdarg.h>
#include <stdlib.h>

#include "lib/mem.h"

int err_set(struct err *err, enum err_class class, const char *format, ...)
{
    if (!err) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args); /* before the free: an argument may be the old text */
    va_end(args);
    free(err->text);
    err->text = text;
    err->class = class;
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    if (!err) {
        return -1;
    }
    va_list args;
    va_start(args, format);
    char *prefix = mem_vprintf(format, args);
    va_end(args);
    char *text = mem_printf("%s: %s", prefix, err_text(err));
    free(prefix);
    free(err->text);
    err->text = text;
    return -1;
}

const char *err_text(const struct err *err)
{
    return err && err->text ? err->text : "no error";
}

void err_release(struct err *err)
{
    if (err) {
        free(err->text);
        *err = (struct err)ERR_INIT;
    }
}
