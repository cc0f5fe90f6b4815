/* What a benchmark's own process takes. */
#ifndef OFFBOARD_BENCH_MEMORY_H
#define OFFBOARD_BENCH_MEMORY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of `what` in /proc/self/status, in MB. */
static inline long megabytes(const char *what)
{
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, what, strlen(what)) == 0) {
            kb = strtol(line + strlen(what) + 1, NULL, 10);
        }
    }
    if (file) {
        fclose(file);
    }
    return kb / 1024;
}

#endif
