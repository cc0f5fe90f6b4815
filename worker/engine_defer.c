/* Coming back later: waits within the worker while they are short, else a deferral that carries where to go on. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"
#include "worker/retry.h"

#define GIVE_UP_AFTER (3 * TIME_DAY) /* design, "Failures"; scaled by clock.day */

static json_int_t int_of(const json_t *state, const char *name)
{
    return json_int_at(state, name, 0);
}

/* Whole objects are the vendor's and may hold what no event may (home addresses, phone numbers): they stay out, and so does
 * what a request calls secret. */
static json_t *portable(const struct run *run, bool *complete)
{
    json_t *kept = json_object();
    const char *name;
    json_t *value;
    *complete = true;
    json_object_foreach(run->saved, name, value)
    {
        if (json_is_object(value) || json_object_get(run->secrets, name)) {
            *complete = false;
        } else {
            json_object_set(kept, name, value);
        }
    }
    return kept;
}

/* Without all that was saved the account in hand is begun again, which every action allows. */
json_t *run_state(const struct run *run)
{
    bool complete;
    json_t *saved = portable(run, &complete);
    json_t *state = json_pack("{s:I, s:I, s:o, s:b, s:I, s:b}", "account", run->account, "at", complete ? run->at : 0,
                              "saved", saved, "begun", (int)run->begun, "deferrals", run->deferrals, "verifying",
                              (int)(run->verifying && complete));
    json_put(state, "items_left", run->items_left && complete ? json_incref(run->items_left) : NULL);
    if (run->since) {
        json_put_instant(state, "since", run->since);
    }
    if (run->polled_since) {
        json_put_instant(state, "polled_since", run->polled_since);
    }
    if (run->awaits_since) {
        json_put_instant(state, "awaits_since", run->awaits_since);
    }
    if (run->heard) {
        json_put(state, "heard", json_incref(run->heard));
        json_put(state, "reminders", json_integer(run->reminders));
    }
    if (run->imaged) {
        json_put(state, "imaged", json_true());
    }
    return state;
}

static void resume_instant(const json_t *state, const char *name, int64_t *at)
{
    const char *text = json_string_at(state, name);
    if (text) {
        time_parse(text, at, NULL);
    }
}

void run_resume(struct run *run, const json_t *state)
{
    if (!json_is_object(state)) {
        return;
    }
    run->account = int_of(state, "account");
    run->at = int_of(state, "at");
    run->deferrals = int_of(state, "deferrals");
    run->begun = json_true_at(state, "begun");
    run->verifying = json_true_at(state, "verifying");
    const json_t *items = json_object_get(state, "items_left");
    run->items_left = json_is_array(items) ? json_deep_copy(items) : NULL;
    run->imaged = json_true_at(state, "imaged");
    resume_instant(state, "since", &run->since);
    resume_instant(state, "polled_since", &run->polled_since);
    resume_instant(state, "awaits_since", &run->awaits_since);
    const json_t *heard = json_object_get(state, "heard");
    run->reminders = int_of(state, "reminders");
    run->heard = json_is_array(heard) ? json_deep_copy(heard) : NULL;
}

enum verdict run_interrupted(struct run *run)
{
    switch (run->job->interruption) {
    case INTERRUPT_NONE:
        return VERDICT_DONE;
    case INTERRUPT_CANCELLED:
        if (run->looking && run->changed) {
            return VERDICT_DONE; /* what was changed is on record as it is, not as cancelled */
        }
        return run_say(run, VERDICT_CANCELLED, "the offboarding was cancelled%s",
                       run->changed ? "; what this job had changed before stays so" : "");
    case INTERRUPT_DRAIN:
        return run_defer(run, 0, false, "the worker stops; another goes on");
    case INTERRUPT_TOO_LONG:
        return run_defer(run, 0, false, "the job ran long; it goes on as a new attempt");
    }
    return VERDICT_DONE;
}

/* `scaled`: a calendar duration, as all but `settle`. */
enum verdict run_defer(struct run *run, int64_t wait, bool scaled, const char *why)
{
    int64_t day = conf_duration(run->engine->conf, "clock.day");
    run->due_at = time_now() + (scaled ? time_scale(wait, day) : wait);
    return run_say(run, VERDICT_DEFERRED, "%s", why);
}

static bool given_up(struct run *run)
{
    int64_t limit = time_scale(GIVE_UP_AFTER, conf_duration(run->engine->conf, "clock.day"));
    if (!run->since) {
        run->since = time_now();
    }
    return time_now() - run->since > limit;
}

enum verdict run_put_off(struct run *run, int64_t wait, bool scaled)
{
    wait = wait < GIVE_UP_AFTER ? wait : GIVE_UP_AFTER; /* a vendor that says "in a year" is given up all the same */
    char *trouble = mem_strdup(run->message ? run->message : "it did not succeed");
    enum verdict verdict;
    if (given_up(run)) {
        verdict = run_say(run, VERDICT_FAILED, "given up after three days: %s", trouble);
    } else {
        run->deferrals++;
        verdict = run_defer(run, wait, scaled, trouble);
    }
    free(trouble);
    return verdict;
}

enum verdict run_wait_or_defer(struct run *run, int64_t retry_after)
{
    int64_t budget = conf_duration(run->engine->conf, "worker.retry_wait") - run->waited;
    int64_t backoff = retry_backoff(++run->tries, engine_random());
    int64_t wait = retry_after >= 0 ? retry_after + backoff : backoff; /* "in 0 s" is no licence to hammer */
    if (wait > budget) {
        return run_put_off(run, retry_after >= 0 ? retry_after : retry_deferral((int)run->deferrals, engine_random()),
                           true);
    }
    if (!run->since) {
        run->since = time_now();
    }
    enum verdict stop = run_interrupted(run);
    if (stop == VERDICT_DONE) {
        int64_t begin = time_monotonic();
        struct sleeper *sleeper = NULL;
        run_sleep(run, wait, &sleeper);
        run->waited += time_monotonic() - begin;
        stop = run_interrupted(run);
    }
    return stop;
}
