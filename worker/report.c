#include "worker/report.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/wording.h"
#include "worker/report_internal.h"

enum { REPORT_MAX = 4000, CUT_MAX = 40 /* bytes that say how much was cut */ };

/* ---- one result -------------------------------------------------------------------------------------------------- */

const char *result_text(const json_t *result, const char *path)
{
    const char *text = json_string_at(result, path);
    return text ? text : "";
}

bool result_is(const json_t *result, const char *state)
{
    return strcmp(result_text(result, "state"), state) == 0;
}

const char *result_system(const json_t *result)
{
    const char *title = json_string_at(result, "title.system");
    return title ? title : result_text(result, "system");
}

const char *result_title(const json_t *result)
{
    const char *title = json_string_at(result, "title.action");
    return title ? title : result_text(result, "action");
}

int add_failure(struct buf *out, const char *mark, const json_t *result)
{
    return buf_addf(out, "%s%s %s: could not %s: %s", out->len ? "\n" : "", mark, result_system(result),
                    result_title(result), result_text(result, "message"));
}

/* An action without a sentence of its own says what it was told to do; one whose sentence is empty says nothing. */
static int add_success(struct buf *out, const json_t *result)
{
    const char *says = json_string_at(result, "says");
    const char *start = out->len ? "\n" : "";
    if (says) {
        return *says ? buf_addf(out, "%s\u2705 %s: %s", start, result_system(result), says) : 0;
    }
    return buf_addf(out, "%s\u2705 %s: done: %s", start, result_system(result), result_title(result));
}

static int add_line(struct buf *out, const json_t *result, bool dry)
{
    const char *start = out->len ? "\n" : "";
    if (result_is(result, "failed")) {
        return add_failure(out, "\u274c", result);
    }
    if (result_is(result, "ready")) {
        return buf_addf(out, "%s\u23f3 %s: %s", start, result_system(result), result_text(result, "message"));
    }
    if (!result_is(result, "succeeded")) {
        return 0;
    }
    return dry || json_true_at(result, "dry")
               ? buf_addf(out, "%s\U0001f9ea %s: dry run, would %s", start, result_system(result), result_title(result))
               : add_success(out, result);
}

/* The number of results that there was no room for. */
static size_t add_lines(struct buf *out, const json_t *message)
{
    const json_t *results = json_at(message, "job.results");
    bool dry = strcmp(result_text(message, "mode"), "dry_run") == 0;
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (add_line(out, result, dry) != 0) {
            break;
        }
    }
    return json_array_size(results) - i;
}

char *report_text(const json_t *message)
{
    struct buf out = {.max = REPORT_MAX - CUT_MAX};
    const char *kind = json_string_at(message, "job.follower");
    bool of_phase = kind && strcmp(kind, "on_phase_end") == 0;
    size_t left = of_phase ? add_phase_report(&out, message) : add_lines(&out, message);
    char *text = buf_take(&out);
    if (left == 0) {
        return text;
    }
    char *cut = mem_printf("%s\n\u2026 and %zu more", text, left);
    free(text);
    return cut;
}

/* ---- what will happen -------------------------------------------------------------------------------------------- */

/* The steps of a phase, a line for each system, in their order. */
static void add_steps(struct buf *out, const json_t *steps)
{
    json_t *systems = json_object(); /* keeps the order of insertion */
    size_t i;
    json_t *step, *titles;
    const char *system;
    json_array_foreach(steps, i, step)
    {
        system = result_text(step, "system");
        titles = json_object_get(systems, system);
        if (!titles) {
            titles = json_array();
            json_object_set_new(systems, system, titles);
        }
        json_append_once(titles, result_text(step, "action"));
    }
    json_object_foreach(systems, system, titles)
    {
        char *list = wording_list(titles);
        buf_addf(out, "\n\u2022 %s: %s", system, list);
        free(list);
    }
    json_decref(systems);
}

/* "Now", the day, or "Then" for a phase that only waits for those before it. */
static char *day_of(const json_t *phase, const char *zone)
{
    const char *due = json_string_at(phase, "due_at");
    int64_t at = 0;
    if (strcmp(result_text(phase, "status"), "waiting") != 0) {
        return mem_strdup("Now");
    }
    return due && time_parse(due, &at, NULL) == 0 ? wording_day(at, zone) : mem_strdup("Then");
}

static void add_phase(struct buf *out, const json_t *phase, const char *zone)
{
    const char *title = json_string_at(phase, "title");
    char *day = day_of(phase, zone);
    buf_addf(out, "%s%s: %s", out->len ? "\n\n" : "", day, title ? title : result_text(phase, "name"));
    add_steps(out, json_object_get(phase, "steps"));
    free(day);
}

char *report_agenda(const json_t *message)
{
    struct buf out = {.max = REPORT_MAX};
    size_t i;
    json_t *phase;
    json_array_foreach(json_at(message, "job.phases"), i, phase)
    {
        if (json_array_size(json_object_get(phase, "steps"))) {
            add_phase(&out, phase, json_string_at(message, "zone"));
        }
    }
    return buf_take(&out);
}
