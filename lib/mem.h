/* Memory: exhaustion ends the process with a message; nothing here returns NULL. */
#ifndef OFFBOARD_LIB_MEM_H
#define OFFBOARD_LIB_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* What comes back is freed with free(). */
void *mem_alloc(size_t size) __attribute__((returns_nonnull)); /* zeroed */
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text); /* NULL gives NULL */
char *mem_strndup(const char *text, size_t len) __attribute__((returns_nonnull));
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
char *mem_vprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0), returns_nonnull));

#define MEM_NEW(type)   ((type *)mem_alloc(sizeof(type)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
