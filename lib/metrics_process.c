/* What every process tells of itself, in the names that Prometheus' client libraries use (proc(5) is the source). */
#include "lib/metrics_process.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/metrics.h"

enum { STAT_SIZE = 1024, STATE_FIELD = 3, START_FIELD = 22 };

static void set(const char *name, const char *help, double value)
{
    series_set(metric_series(metric_new(METRIC_GAUGE, name, "", help), NULL), value);
}

void metrics_process_start(const char *version)
{
    struct metric *build = metric_new(METRIC_GAUGE, "offboard_build_info", "version", "1, with the program's version.");
    series_set(metric_series(build, version, NULL), 1);
    dead_letters();
}

struct series *dead_letters(void)
{
    return metric_series(
        metric_new(METRIC_COUNTER, "offboard_dead_letters_total", "",
                   "Messages set aside on the dead topic because they can't be understood or recorded."),
        NULL);
}

/* The first line of a file of proc(5), "" when it can't be read. */
static void read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(line, (int)size, file)) {
        line[0] = '\0';
    }
    if (file) {
        fclose(file);
    }
}

/* Seconds from boot to this process's start, 0 when it is not known. */
static double started_after_boot(void)
{
    char line[STAT_SIZE];
    read_line("/proc/self/stat", line, sizeof line);
    const char *at = strrchr(line, ')'); /* the name before it may hold spaces */
    for (int field = STATE_FIELD - 1; at && field < START_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK) : 0;
}

static double boot_time(void)
{
    FILE *file = fopen("/proc/stat", "re");
    char line[STAT_SIZE];
    double at = 0;
    while (file && at == 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, "btime ", 6) == 0) {
            at = strtod(line + 6, NULL);
        }
    }
    if (file) {
        fclose(file);
    }
    return at;
}

static double resident_bytes(void)
{
    char line[STAT_SIZE];
    read_line("/proc/self/statm", line, sizeof line);
    const char *second = strchr(line, ' ');
    return second ? strtod(second, NULL) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    double count = -1; /* of the directory itself */
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        count += entry->d_name[0] != '.';
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

void metrics_process_update(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    struct series *cpu = metric_series(
        metric_new(METRIC_COUNTER, "process_cpu_seconds_total", "", "Processor time of the process, user and system."),
        NULL);
    series_add(cpu, seconds - series_value(cpu));
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    set("process_resident_memory_bytes", "Resident memory.", resident_bytes());
    set("process_open_fds", "Open file descriptors.", open_descriptors());
    set("process_max_fds", "Most file descriptors that may be open.", (double)files.rlim_cur);
    set("process_start_time_seconds", "When the process started, in seconds since 1970.",
        boot_time() + started_after_boot());
}
