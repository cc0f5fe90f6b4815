/* Done means read back: the wanted state must be seen, not only a 200. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

enum { SEEN_MAX = 500 };

/* ---- what was seen ----------------------------------------------------------------------------------------------- */

struct seeing {
    const json_t *context;
    json_t *seen;
};

static void see_path(const struct expr_path *path, void *arg)
{
    struct seeing *seeing = arg;
    bool answer = expr_path_within(path, "body") || expr_path_within(path, "status");
    if (!answer || (path->count == 1 && expr_path_within(path, "body"))) {
        return;
    }
    json_t *value = expr_path_value(path, seeing->context);
    char *name = expr_path_text(path);
    char *text = json_text(value);
    size_t len = strlen(text);
    if (len > SEEN_MAX) {
        for (len = SEEN_MAX; ((unsigned char)text[len] & 0xC0) == 0x80; len--) { /* a character is cut nowhere */
        }
        json_decref(value);
        value = json_stringn(text, len);
    }
    json_object_set_new(seeing->seen, name, value);
    free(text);
    free(name);
}

/* The values that the expectation reads. */
static json_t *seen_values(const struct run *run, const char *expect)
{
    struct seeing seeing = {run->context, json_object()};
    json_object_set(seeing.seen, "status", json_object_get(run->context, "status"));
    expr_paths(expect, see_path, &seeing);
    return seeing.seen;
}

char *answer_seen(const struct run *run, const char *expect)
{
    json_t *seen = seen_values(run, expect ? expect : "");
    char *text = json_text(seen);
    json_decref(seen);
    return text;
}

static void note(struct run *run, const json_t *verify, bool ok)
{
    const char *expect = json_string_at(verify, "expect");
    char now[TIME_TEXT_SIZE];
    time_format(time_now(), now);
    json_decref(run->verified);
    run->verified = json_pack("{s:s, s:o, s:s, s:b}", "expected", expect ? expect : "", "seen",
                              seen_values(run, expect ? expect : ""), "at", now, "ok", (int)ok);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* One page of a look. `*answered`: did the vendor say anything about the state? `*stop`: why the run must rest (DONE: it need
 * not). */
static bool look_at_page(struct run *run, const json_t *verify, bool *answered, int64_t *retry_after,
                         enum verdict *stop)
{
    struct response response;
    *stop = request_send(run, verify, &response);
    if (*stop != VERDICT_DONE) {
        *answered = false;
        return false;
    }
    bool again = false;
    char *message = run->message;
    run->message = NULL;
    classify(run, verify, &response, &again);
    *retry_after = response.retry_after;
    free(run->message);
    run->message = message;
    bool said = response_came(&response) && !response.tokenless; /* of no answer, "… == null" is true */
    bool ok = said && expr_true(run->engine->exprs, json_object_get(verify, "expect"), run->context, false);
    *answered = ok || !again;
    if (*answered) {
        note(run, verify, ok);
    }
    return ok;
}

/* The same of all pages: what is expected has to hold on each of them. */
static bool look_once(struct run *run, const json_t *verify, bool *answered, int64_t *retry_after, enum verdict *stop)
{
    json_t *page = json_incref((json_t *)(uintptr_t)verify);
    bool ok = true;
    for (int count = 0; page && ok; count++) {
        json_t *next = NULL;
        ok = look_at_page(run, page, answered, retry_after, stop);
        if (ok && (pages_next(run, page, &next) != VERDICT_DONE || count == PAGES_MAX)) {
            ok = false;
            note(run, verify, false);
        }
        json_decref(page);
        page = next;
    }
    json_decref(page);
    return ok;
}

/* One look at every item, up to the first that is not as wanted. No items: there is nothing to be seen otherwise. */
static bool look_at_all(struct run *run, const json_t *verify, bool *answered, int64_t *retry_after, enum verdict *stop)
{
    const json_t *tmpl = json_object_get(verify, "for_each");
    if (!tmpl) {
        return look_once(run, verify, answered, retry_after, stop);
    }
    json_t *items = expr_render(run->engine->exprs, tmpl, run->context, NULL);
    bool ok = json_is_array(items);
    *answered = true;
    *stop = VERDICT_DONE;
    if (!ok || json_array_size(items) == 0) {
        note(run, verify, ok);
    }
    for (size_t i = 0; ok && i < json_array_size(items); i++) {
        context_set(run, "item", json_incref(json_array_get(items, i)));
        ok = look_once(run, verify, answered, retry_after, stop);
    }
    json_decref(items);
    return ok;
}

bool verify_look(struct run *run)
{
    const json_t *verify = json_object_get(run->action, "verify");
    bool answered;
    int64_t retry_after;
    enum verdict stop;
    if (!verify || run->dry) {
        return false;
    }
    char *message = mem_strdup(run->message); /* of the trouble that made us look */
    int status = run->last_status;
    run->looking = true;
    bool ok = look_at_all(run, verify, &answered, &retry_after, &stop);
    run->looking = false;
    free(run->message);
    run->message = message;
    run->last_status = status;
    return ok;
}

static int64_t duration_of(const json_t *verify, const char *name, int64_t otherwise)
{
    const char *text = json_string_at(verify, name);
    int64_t duration = otherwise;
    if (text) {
        time_parse_duration(text, &duration, NULL);
    }
    return duration;
}

static enum verdict not_confirmed(struct run *run)
{
    char *seen = json_text(json_object_get(run->verified, "seen"));
    run->verifying = false; /* a retry does it again, and not only looks again */
    run->at = 0;
    run_say(run, VERDICT_FAILED, "not confirmed by reading back: expected %s, saw %s",
            json_string_at(run->verified, "expected"), seen);
    free(seen);
    return VERDICT_FAILED;
}

static enum verdict pause_between_looks(struct run *run, int64_t every)
{
    struct sleeper *sleeper = NULL;
    run_sleep(run, every, &sleeper);
    return run_interrupted(run);
}

/* Looks until the state is there, or the time for it is over. */
static enum verdict look_until(struct run *run, const json_t *verify)
{
    int64_t end = time_monotonic() + duration_of(verify, "within", 30 * TIME_SECOND);
    int64_t every = duration_of(verify, "every", 2 * TIME_SECOND);
    run->tries = 0;
    for (;;) {
        bool answered = false;
        int64_t retry_after = -1;
        enum verdict stop;
        if (look_at_all(run, verify, &answered, &retry_after, &stop)) {
            return VERDICT_DONE;
        }
        if (stop == VERDICT_DONE && !answered) {
            stop = run_wait_or_defer(run, retry_after);
        } else if (stop == VERDICT_DONE && time_monotonic() + every > end) {
            stop = not_confirmed(run);
        } else if (stop == VERDICT_DONE) {
            stop = pause_between_looks(run, every);
        }
        if (stop != VERDICT_DONE) {
            return stop;
        }
    }
}

enum verdict verify_run(struct run *run)
{
    const json_t *verify = json_object_get(run->action, "verify");
    if (!verify || run->dry) {
        return VERDICT_DONE;
    }
    run->verifying = true;
    run->looking = true;
    enum verdict verdict = look_until(run, verify);
    run->looking = false;
    if (verdict == VERDICT_DONE) {
        run->verifying = false;
    }
    return verdict;
}
