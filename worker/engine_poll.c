/* What an answer has to show before the job goes on: `require` at once, `poll` some time. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

static enum verdict judge(struct run *run, const json_t *require)
{
    const json_t *that = json_is_object(require) ? json_object_get(require, "that") : require;
    if (expr_true(run->engine->exprs, that, run->context, false)) {
        return VERDICT_DONE;
    }
    const char *tmpl = json_string_at(require, "why");
    char *why = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, NULL) : NULL;
    char *seen = answer_seen(run, json_string_value(that));
    run_say(run, VERDICT_BLOCKED, "%s%srequired: %s, seen: %s", why ? why : "", why ? "; " : "",
            json_is_string(that) ? json_string_value(that) : "true", seen);
    free(why);
    free(seen);
    return VERDICT_BLOCKED;
}

static bool reads(const json_t *require)
{
    const json_t *path = NULL;
    request_method(require, &path);
    return path != NULL;
}

enum verdict request_requires_first(struct run *run, const json_t *request)
{
    const json_t *require = json_object_get(request, "require");
    if (!reads(require)) {
        return VERDICT_DONE;
    }
    enum verdict verdict = request_run(run, require, NULL);
    return verdict == VERDICT_DONE ? judge(run, require) : verdict;
}

enum verdict request_requires(struct run *run, const json_t *request)
{
    const json_t *require = json_object_get(request, "require");
    return !require || reads(require) ? VERDICT_DONE : judge(run, require);
}

static int64_t duration_of(const json_t *poll, const char *name)
{
    int64_t duration = 0;
    time_parse_duration(json_string_at(poll, name), &duration, NULL);
    return duration;
}

/* The job goes back to the scheduler between two looks: it holds no worker. */
enum verdict request_polls(struct run *run, const json_t *request)
{
    const json_t *poll = json_object_get(request, "poll");
    struct expr_set *exprs = run->engine->exprs;
    if (!poll || expr_true(exprs, json_object_get(poll, "until"), run->context, false)) {
        run->polled_since = 0;
        return VERDICT_DONE;
    }
    char *seen = answer_seen(run, json_string_at(poll, "until"));
    enum verdict verdict;
    if (!run->polled_since) {
        run->polled_since = time_now();
    }
    int64_t timeout = time_scale(duration_of(poll, "timeout"), conf_duration(run->engine->conf, "clock.day"));
    if (expr_true(exprs, json_object_get(poll, "failed"), run->context, false)) {
        run->polled_since = 0;
        run->at = 0; /* a retry begins anew */
        verdict = run_say(run, VERDICT_FAILED, "the vendor says that it failed: %s", seen);
    } else if (time_now() - run->polled_since > timeout) {
        run->polled_since = 0;
        verdict = run_say(run, VERDICT_FAILED, "not done within %s: wanted %s, saw %s", json_string_at(poll, "timeout"),
                          json_string_at(poll, "until"), seen);
    } else {
        char *why =
            mem_printf("under way at the vendor: %s; looked at again in %s", seen, json_string_at(poll, "every"));
        verdict = run_defer(run, duration_of(poll, "every"), true, why);
        free(why);
    }
    free(seen);
    return verdict;
}
