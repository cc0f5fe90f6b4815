#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/secret.h"
#include "lib/time.h"

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const char *process_name = "offboard";
static atomic_int least_level = LOG_INFO;

void log_init(const char *process, enum log_level least)
{
    process_name = process;
    atomic_store(&least_level, (int)least);
}

int log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

/* Text that json_string() accepts: invalid UTF-8 is replaced byte by byte, a log line is never lost for it. */
static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    if (value) {
        return value;
    }
    char *copy = mem_strdup(text);
    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c >= 0x80) {
            *c = '?';
        }
    }
    value = json_string(copy);
    free(copy);
    return value;
}

static void write_whole(const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* nowhere left to complain */
        }
        text += n;
        len -= (size_t)n;
    }
}

void log_line(enum log_level level, const char *text, ...)
{
    if ((int)level < atomic_load(&least_level)) {
        return;
    }
    char now[TIME_TEXT_SIZE];
    time_format(time_now(), now);
    json_t *line = json_object();
    json_object_set_new(line, "time", json_string(now));
    json_object_set_new(line, "level", json_string(level_names[level]));
    json_object_set_new(line, "process", json_string(process_name));
    json_object_set_new(line, "message", text_value(text));
    va_list args;
    va_start(args, text);
    const char *name;
    while ((name = va_arg(args, const char *))) {
        const char *value = va_arg(args, const char *);
        if (value) {
            json_object_set_new(line, name, text_value(value));
        }
    }
    va_end(args);
    struct metric *lines =
        metric_new(METRIC_COUNTER, "offboard_log_lines_total", "level", "Log lines written, by level.");
    series_add(metric_series(lines, level_names[level], NULL), 1);
    char *dumped = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    char *masked = secret_mask(dumped);
    free(dumped);
    char *whole = mem_printf("%s\n", masked);
    free(masked);
    write_whole(whole, strlen(whole));
    free(whole);
}
