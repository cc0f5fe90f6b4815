/* The planner's memory: so many offboardings written as records of offboard.roster, read back as by a producer that takes over, and
 * asked. Prints seconds of the processor, bytes of the records, and megabytes of the process.
 *   tests/bench/roster [OFFBOARDINGS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/roster.h"
#include "tests/bench/memory.h"

static struct roster *reader;
static size_t bytes;
static int64_t parsing;

/* Of the processor, as others may use it as well. */
static int64_t used(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * TIME_SECOND + now.tv_nsec / 1000;
}

/* What one writes the other reads at once: nothing of the topic is kept. */
static void pass_on(void *arg, const char *key, json_t *value)
{
    (void)arg;
    char *text = json_text(value);
    size_t len = strlen(text);
    bytes += strlen(key) + len;
    json_decref(value);
    struct err err = ERR_INIT;
    int64_t since = used();
    if (roster_read(reader, key, strlen(key), text, len, &err) != 0) {
        fprintf(stderr, "%s: %s\n", key, err_text(&err));
        exit(1);
    }
    parsing += used() - since;
    free(text);
}

static struct mapped leaver(long number, enum intent intent)
{
    char id[ID_SIZE], event[32], effective_at[TIME_TEXT_SIZE];
    snprintf(event, sizeof event, "%ld-%d", number, (int)intent);
    id_offboarding("/hr/example", event, id);
    time_format(INT64_C(1790000000000000) + number * TIME_SECOND + TIME_DAY, effective_at);
    char *email = mem_printf("first.lastname%ld@example.com", number);
    char *alias = mem_printf("fl%ld@corp.example.com", number), *employee = mem_printf("E%07ld", number);
    json_t *offboarding = json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:[s], s:s}}", "id", id, "runbook",
                                    "standard-leaver", "mode", "live", "priority", "normal", "effective_at",
                                    effective_at, "user", "email", email, "emails", alias, "employee_id", employee);
    free(email);
    free(alias);
    free(employee);
    return (struct mapped){.intent = intent, .offboarding = offboarding, .dated = true};
}

/* Decides one event; with `write` it is remembered. */
static int64_t decide(struct roster *roster, long number, enum intent intent, roster_write *write)
{
    struct mapped mapped = leaver(number, intent);
    int64_t at = INT64_C(1790000000000000) + number * TIME_SECOND, since = used();
    struct place place = {"offboard.intake", (int32_t)(number % 12), number};
    struct decision decision;
    roster_decide(roster, &mapped, &place, at + intent, at, &decision, NULL);
    int64_t took = used() - since;
    if (write) {
        roster_remember(roster, &decision, &mapped, &place, at, 120 * TIME_DAY, at, write, NULL);
    } else if (decision.disposition != DISPOSITION_CANCELLED) {
        fprintf(stderr, "%ld is not known\n", number);
        exit(1);
    }
    decision_release(&decision);
    mapped_release(&mapped);
    return took;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(NULL, &err);
    if (!conf) {
        fprintf(stderr, "%s\n", err_text(&err));
        return 1;
    }
    struct control *control = control_new();
    reader = roster_new(conf, control);
    for (long i = 0; i < count; i++) {
        struct roster *writer = roster_new(conf, control); /* a memory of its own for each: only the reader's grows */
        decide(writer, i, INTENT_START, pass_on);
        roster_free(writer);
    }
    int64_t asking = 0;
    long asked = count < 100000 ? count : 100000;
    for (long i = 0; i < asked; i++) {
        asking += decide(reader, i * (count / asked), INTENT_CANCEL, NULL);
    }
    struct roster_size size = roster_size(reader);
    printf("%zu offboardings: %.1f s to read, %zu MB of records, %zu MB of memory (process: %ld MB, at most %ld MB), "
           "%.1f us a decision\n",
           size.offboardings, (double)parsing / TIME_SECOND, bytes >> 20, size.bytes >> 20, megabytes("VmRSS:"),
           megabytes("VmHWM:"), (double)asking / (double)asked);
    roster_free(reader);
    control_free(control);
    conf_free(conf);
    return 0;
}
