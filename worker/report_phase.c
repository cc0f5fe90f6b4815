/* The report of a phase: where the offboarding stands, for people who have read nothing else. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/wording.h"
#include "worker/report_internal.h"

static const json_t *results_of(const json_t *message)
{
    return json_at(message, "job.results");
}

static bool has_effect(const json_t *result, const char *effect)
{
    return strcmp(result_text(result, "effect"), effect) == 0;
}

static bool has_outcome(const json_t *result, const char *outcome)
{
    return strcmp(result_text(result, "outcome"), outcome) == 0;
}

/* A step that failed and that a person has skipped: what it was to do is not done. */
static bool is_given_up(const json_t *result)
{
    return result_is(result, "skipped") &&
           (has_outcome(result, "failed") || has_outcome(result, "blocked") || has_outcome(result, "denied"));
}

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

/* What is known of the steps that take access away. */
struct access {
    size_t steps;     /* that concern this person: without those that found no account */
    size_t gone;      /* have succeeded */
    size_t confirmed; /* of them: the vendor showed it */
    int64_t last;     /* when the last of them succeeded; 0: none has */
    json_t *systems;  /* titles */
};

static void count_access(struct access *access, const json_t *results)
{
    size_t i;
    json_t *result;
    access->systems = json_array();
    json_array_foreach(results, i, result)
    {
        if (!has_effect(result, "revoke") || (result_is(result, "skipped") && !is_given_up(result))) {
            continue;
        }
        int64_t at = 0;
        bool gone = result_is(result, "succeeded") && !json_true_at(result, "dry");
        access->steps++;
        access->gone += gone;
        access->confirmed += gone && json_true_at(result, "verified");
        if (gone && time_parse(result_text(result, "at"), &at, NULL) == 0 && at > access->last) {
            access->last = at;
        }
        json_append_once(access->systems, result_system(result));
    }
}

/* ", the last 4 seconds after the start" */
static void add_speed(struct buf *out, const struct access *access, const json_t *message)
{
    int64_t start = 0;
    if (time_parse(result_text(message, "started_at"), &start, NULL) == 0 && access->last >= start) {
        char *span = wording_span(access->last - start);
        buf_addf(out, ", the last %s after the start", span);
        free(span);
    }
}

/* What was done and no system has shown. */
static void add_unseen(struct buf *out, const json_t *results)
{
    const char *before = "\nCannot be read back: ";
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (has_effect(result, "revoke") && result_is(result, "succeeded") && !json_true_at(result, "verified")) {
            buf_addf(out, "%s%s: %s", before, result_system(result), result_title(result));
            before = "; ";
        }
    }
    buf_adds(out, *before == ';' ? "." : "");
}

static void add_verdict(struct buf *out, const struct access *access, const json_t *message)
{
    char *systems = wording_list(access->systems);
    if (access->gone == access->steps) {
        buf_addf(out, "\n\u2705 All access is gone in %s: %zu of %zu steps", systems, access->gone, access->steps);
        add_speed(out, access, message);
    } else {
        buf_addf(out, "\n\u26a0\ufe0f Access is NOT all gone in %s: %zu of %zu steps are done", systems, access->gone,
                 access->steps);
    }
    buf_addf(out, ". Confirmed by reading back: %zu.", access->confirmed);
    add_unseen(out, results_of(message));
    free(systems);
}

/* No system knows the person: that is no proof that nothing is left. */
static bool add_nobody(struct buf *out, const json_t *results)
{
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (has_outcome(result, "missing")) {
            buf_adds(out,
                     "\n\u26a0\ufe0f No account was found, so nothing was changed. If the address is wrong, access is "
                     "still there.");
            return true;
        }
    }
    return false;
}

/* Of a phase that does not promise that all access ends. */
static void add_state(struct buf *out, const json_t *results)
{
    size_t failed = 0, done = 0, absent = 0, i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        failed += result_is(result, "failed") || is_given_up(result);
        done += result_is(result, "succeeded") &&
                !has_effect(result, "identify"); /* a step that only reads has done nothing */
        absent += has_outcome(result, "unconfigured");
    }
    buf_adds(out, failed   ? "\n\u26a0\ufe0f Not complete."
                  : done   ? "\n\u2705 Complete."
                  : absent ? "\n\u2796 Nothing was done."
                           : "\n\u2705 Nothing had to be done.");
}

/* ---- what is open ------------------------------------------------------------------------------------------------ */

/* The results in a state, one a line under the heading; how many there was no room for. */
static size_t add_failures(struct buf *out, const json_t *message)
{
    size_t left = 0, said = 0, i;
    json_t *result;
    json_array_foreach(results_of(message), i, result)
    {
        if (result_is(result, "failed")) {
            said += said == 0 && buf_adds(out, "\nA person must act:") == 0;
            left += add_failure(out, "\u274c", result) != 0;
        }
    }
    if (said) {
        buf_addf(out, "\n`offboard status %s` says how to go on.", result_text(message, "id"));
    }
    return left;
}

static void add_waiting(struct buf *out, const json_t *results)
{
    json_t *waiting = json_array();
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (result_is(result, "waiting") && !has_effect(result, "identify")) {
            char *text = mem_printf("%s: %s", result_system(result), result_title(result));
            json_append_once(waiting, text);
            free(text);
        }
    }
    json_array_foreach(waiting, i, result)
    {
        buf_addf(out, "%s\n\u2022 %s", i == 0 ? "\nStill to come:" : "", json_string_value(result));
    }
    json_decref(waiting);
}

/* "\n<before> Zoom and Slack." of the systems in which steps had this outcome, and none had another good one. */
static void add_systems(struct buf *out, const json_t *results, const char *outcome, const char *before)
{
    json_t *systems = json_array();
    size_t i, j;
    json_t *result, *other;
    json_array_foreach(results, i, result)
    {
        bool found = !has_outcome(result, outcome);
        json_array_foreach(found ? NULL : results, j, other)
        {
            found = found || (!result_is(other, "skipped") &&
                              strcmp(result_text(other, "system"), result_text(result, "system")) == 0);
        }
        if (!found) {
            json_append_once(systems, result_system(result));
        }
    }
    if (json_array_size(systems)) {
        char *list = wording_list(systems);
        buf_addf(out, "\n%s %s.", before, list);
        free(list);
    }
    json_decref(systems);
}

/* ---- who takes over, and what comes next ------------------------------------------------------------------------- */

static void add_successor(struct buf *out, const json_t *message)
{
    const char *name = json_string_at(message, "user.manager.name");
    const char *email = json_string_at(message, "user.manager.email");
    bool handed = false;
    size_t i;
    json_t *result;
    json_array_foreach(results_of(message), i, result)
    {
        handed = handed || (has_effect(result, "handover") && result_is(result, "succeeded"));
    }
    if (handed && email) {
        buf_addf(out, "\nTakes over: %s%s%s%s.", name ? name : email, name ? " (" : "", name ? email : "",
                 name ? ")" : "");
    }
}

/* Other phases in a state, by their titles; with the days of those that lie ahead. */
static void add_phases(struct buf *out, const json_t *message, const char *status, const char *before)
{
    const char *own = result_text(message, "job.phase");
    const char *start = before;
    size_t i;
    json_t *phase;
    json_array_foreach(json_at(message, "job.phases"), i, phase)
    {
        const char *title = json_string_at(phase, "title");
        int64_t at = 0;
        if (!title || strcmp(result_text(phase, "name"), own) == 0 ||
            strcmp(result_text(phase, "status"), status) != 0) {
            continue;
        }
        bool later = strcmp(status, "waiting") == 0 && time_parse(result_text(phase, "due_at"), &at, NULL) == 0;
        char *day = later ? wording_day(at, json_string_at(message, "zone")) : NULL;
        buf_addf(out, "%s%s%s%s", start, later ? day : "", later ? ": " : "", title);
        free(day);
        start = "; ";
    }
    buf_adds(out, start == before ? "" : ".");
}

/* The phase that the report is about, of the job's `phases`; NULL when it is not there. */
static const json_t *own_phase(const json_t *message)
{
    size_t i;
    json_t *phase;
    json_array_foreach(json_at(message, "job.phases"), i, phase)
    {
        if (strcmp(result_text(phase, "name"), result_text(message, "job.phase")) == 0) {
            return phase;
        }
    }
    return NULL;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void add_head(struct buf *out, const json_t *message, const json_t *phase)
{
    const char *title = json_string_at(phase, "title");
    const char *name = json_string_at(message, "user.name");
    const char *email = json_string_at(message, "user.email");
    const char *person = name ? name : email ? email : result_text(message, "user.employee_id");
    buf_addf(out, "Report on %s: %s", person, title ? title : result_text(message, "job.phase"));
}

/* "Cancelled: <why>." and what had been done by then: it stays done. */
static size_t add_cancelled(struct buf *out, const json_t *message)
{
    size_t left = 0, done = 0, i;
    json_t *result;
    buf_addf(out, "\n\U0001f6d1 Cancelled: %s.", result_text(message, "job.cancelled"));
    json_array_foreach(results_of(message), i, result)
    {
        const char *says = json_string_at(result, "says");
        if (result_is(result, "succeeded") && (!says || *says)) {
            done += done == 0 && buf_adds(out, "\nDone before, and not taken back:") == 0;
            left += buf_addf(out, "\n\u2022 %s: %s", result_system(result), says ? says : result_title(result)) != 0;
        }
    }
    if (done) {
        buf_addf(out, "\n`offboard undo %s` takes back what can be taken back.", result_text(message, "id"));
    }
    return left;
}

/* A phase that only told people of something, or closed the ticket, is not told of itself. */
static bool is_worth_a_report(const json_t *results)
{
    bool worth = false;
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        worth =
            worth || result_is(result, "failed") || (!has_effect(result, "notify") && !has_effect(result, "identify"));
    }
    return worth;
}

/* What `offboard undo` has taken back. False: it was not ordered. */
static bool add_undone(struct buf *out, const json_t *results, size_t *left)
{
    bool undone = false;
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        const char *says = json_string_at(result, "says");
        if (!json_string_at(result, "undo_of")) {
            continue;
        }
        undone = undone || buf_adds(out, "\nTaken back:") == 0;
        if (result_is(result, "failed")) {
            *left += add_failure(out, "\u274c", result) != 0;
        } else if (result_is(result, "succeeded")) {
            *left +=
                buf_addf(out, "\n\u21a9\ufe0f %s: %s", result_system(result), says ? says : result_title(result)) != 0;
        }
    }
    return undone;
}

/* What was left on purpose: somebody has to resolve it before the offboarding is complete. */
static void add_left(struct buf *out, const json_t *message)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_at(message, "job.left"), i, item)
    {
        buf_addf(out, "%s\n\u2022 %s: %s (%s)", i == 0 ? "\nLeft in place on purpose:" : "",
                 result_text(item, "system"), result_text(item, "item"), result_text(item, "why"));
    }
}

static void add_given_up(struct buf *out, const json_t *results)
{
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (is_given_up(result)) {
            buf_addf(out, "\n\u2796 Skipped by a person: %s: %s (%s)", result_system(result), result_title(result),
                     result_text(result, "message"));
        }
    }
}

size_t add_phase_report(struct buf *out, const json_t *message)
{
    const json_t *results = results_of(message);
    struct access access = {0};
    if (!is_worth_a_report(results)) {
        return 0;
    }
    const json_t *phase = own_phase(message);
    size_t left = 0;
    add_head(out, message, phase);
    if (add_undone(out, results, &left)) {
        return left;
    }
    if (json_string_at(message, "job.cancelled")) {
        return add_cancelled(out, message);
    }
    if (strcmp(result_text(message, "mode"), "dry_run") == 0) {
        buf_adds(out, "\n\U0001f9ea Dry run: nothing was changed.");
        return add_failures(out, message);
    }
    count_access(&access, results);
    bool promised = json_true_at(phase, "ends_access");
    if (promised && access.steps) {
        add_verdict(out, &access, message);
    } else if (!promised || !add_nobody(out, results)) {
        add_state(out, results);
    }
    json_decref(access.systems);
    left = add_failures(out, message);
    add_given_up(out, results);
    add_left(out, message);
    add_waiting(out, results);
    add_systems(out, results, "missing", "Nothing was found of this person in");
    add_systems(out, results, "unconfigured", "Not set up here:");
    if (promised) {
        add_successor(out, message);
    }
    add_phases(out, message, "initiated", "\nUnder way: ");
    add_phases(out, message, "waiting", "\nNext: ");
    return left;
}
