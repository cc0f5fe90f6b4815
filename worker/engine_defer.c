/* Coming back later: waits within the worker while they are short, else a deferral. */
#include <stdarg.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"
#include "worker/retry.h"

#define GIVE_UP_AFTER (3 * TIME_DAY) /* design, "Failures"; scaled by clock.day */

/* ---- troubles ---------------------------------------------------------------------------------------------------- */

void trouble_at(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *what = mem_vprintf(format, args);
    va_end(args);
    free(run->where);
    const char *account = account_in_hand(run);
    run->where = *account ? mem_printf("%s/%s", account, what) : mem_strdup(what);
    free(what);
}

void trouble_over(struct run *run)
{
    json_object_del(run->troubles, run->where ? run->where : "");
}

/* The trouble there; it begins now unless it lasts already. Borrowed. */
static json_t *trouble(struct run *run)
{
    const char *where = run->where ? run->where : "";
    json_t *trouble = json_object_get(run->troubles, where);
    if (!trouble) {
        trouble = json_pack("{s:i}", "deferrals", 0);
        json_put_instant(trouble, "since", time_now());
        json_object_set_new(run->troubles, where, trouble);
    }
    return trouble;
}

static bool given_up(struct run *run)
{
    int64_t limit = time_scale(GIVE_UP_AFTER, conf_duration(run->engine->conf, "clock.day"));
    int64_t since = 0;
    const char *text = json_string_at(trouble(run), "since");
    return text && time_parse(text, &since, NULL) == 0 && time_now() - since > limit;
}

/* ---- deferrals --------------------------------------------------------------------------------------------------- */

/* The last trouble is told as well: it may be why the time did not suffice. */
static enum verdict run_over_time(struct run *run)
{
    char *why = mem_printf("the job ran longer than worker.job_time and goes on as a new attempt%s%s",
                           run->message ? "; the last trouble was: " : "", run->message ? run->message : "");
    enum verdict verdict = run_defer(run, 0, false, why);
    free(why);
    return verdict;
}

enum verdict run_say_cancelled(struct run *run)
{
    return run_say(run, VERDICT_CANCELLED, "the offboarding was cancelled%s",
                   run->record->changed ? "; what this job had changed before stays so" : "");
}

enum verdict run_interrupted(struct run *run)
{
    switch (run->job->interruption) {
    case INTERRUPT_NONE:
        return VERDICT_DONE;
    case INTERRUPT_CANCELLED:
        if (run->looking && run->record->changed) {
            return VERDICT_DONE; /* what was changed is on record as it is, not as cancelled */
        }
        return run_say_cancelled(run);
    case INTERRUPT_DRAIN:
        return run_defer(run, 0, false, "the worker stops; another goes on");
    case INTERRUPT_TOO_LONG:
        return run_over_time(run);
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

enum verdict run_put_off(struct run *run, int64_t wait, bool scaled)
{
    wait = wait < GIVE_UP_AFTER ? wait : GIVE_UP_AFTER; /* a vendor that says "in a year" is given up all the same */
    char *why = mem_strdup(run->message ? run->message : "it did not succeed");
    enum verdict verdict;
    if (given_up(run)) {
        verdict = run_say(run, VERDICT_FAILED, "given up after three days: %s", why);
    } else {
        json_t *lasting = trouble(run);
        json_object_set_new(lasting, "deferrals", json_integer(json_int_at(lasting, "deferrals", 0) + 1));
        verdict = run_defer(run, wait, scaled, why);
    }
    free(why);
    return verdict;
}

static enum verdict wait_here(struct run *run, int64_t wait)
{
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

enum verdict run_wait_or_defer(struct run *run, int64_t retry_after)
{
    int64_t budget = conf_duration(run->engine->conf, "worker.retry_wait") - run->waited;
    int64_t backoff = retry_backoff(++run->tries, engine_random());
    int64_t wait = retry_after >= 0 ? retry_after + backoff : backoff; /* "in 0 s" is no licence to hammer */
    json_t *lasting = trouble(run);
    if (wait <= budget) {
        return wait_here(run, wait);
    }
    int deferrals = (int)json_int_at(lasting, "deferrals", 0);
    return run_put_off(run, retry_after >= 0 ? retry_after : retry_deferral(deferrals, engine_random()), true);
}
