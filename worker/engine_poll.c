/* What an answer has to show before the job goes on: `require` at once, `poll` some time. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "lib/time.h"
#include "worker/engine_internal.h"

enum { SEEN_MAX = 120 }; /* bytes of one value that people are shown */

static enum verdict judge(struct run *run, const json_t *require)
{
    const json_t *that = json_is_object(require) ? json_object_get(require, "that") : require;
    if (expr_true(run->engine->exprs, that, run->context, false)) {
        return VERDICT_DONE;
    }
    const char *tmpl = json_string_at(require, "why");
    char *why = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, NULL) : NULL;
    char *seen = evidence_seen_text(run, json_string_value(that));
    if (why) {
        run_say(run, VERDICT_BLOCKED, "%s", why); /* a sentence for people; the expression would not help them */
    } else {
        run_say(run, VERDICT_BLOCKED, "required: %s, seen: %s", json_is_string(that) ? json_string_value(that) : "true",
                seen);
    }
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
    enum verdict verdict = VERDICT_DONE;
    for (size_t i = 0; verdict == VERDICT_DONE && (i == 0 || i < json_array_size(require)); i++) {
        const json_t *one = json_is_array(require) ? json_array_get(require, i) : require;
        if (reads(one)) {
            verdict = request_run(run, one, NULL);
            verdict = verdict == VERDICT_DONE ? judge(run, one) : verdict;
        }
    }
    return verdict;
}

enum verdict request_requires(struct run *run, const json_t *request)
{
    const json_t *require = json_object_get(request, "require");
    return !require || json_is_array(require) || reads(require) ? VERDICT_DONE : judge(run, require);
}

static int64_t duration_of(const json_t *poll, const char *name)
{
    int64_t duration = 0;
    const char *text = json_string_at(poll, name);
    if (text) {
        time_parse_duration(text, &duration, NULL);
    }
    return duration;
}

/* Until the next look: `every`; with `up_to` a quarter of the time that it has taken so far, within these two. */
static int64_t interval(const struct run *run, const json_t *poll, int64_t day)
{
    int64_t every = duration_of(poll, "every");
    int64_t most = duration_of(poll, "up_to");
    double so_far = (double)(time_now() - run->place->polled_since) * (double)TIME_DAY / (double)day;
    int64_t wait = so_far / 4 < (double)most ? (int64_t)(so_far / 4) : most;
    return wait > every ? wait : every;
}

static char *interval_text(const json_t *poll, int64_t wait)
{
    if (wait == duration_of(poll, "every")) {
        return mem_strdup(json_string_at(poll, "every"));
    }
    static const struct {
        int64_t unit;
        char name;
    } units[] = {{TIME_DAY, 'd'}, {TIME_HOUR, 'h'}, {TIME_MINUTE, 'm'}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (wait >= units[i].unit && (wait % units[i].unit == 0 || units[i].unit == TIME_MINUTE)) {
            return mem_printf("%lld%c", (long long)(wait / units[i].unit), units[i].name);
        }
    }
    return mem_printf("%llds", (long long)(wait / TIME_SECOND));
}

/* The last name of a path: ".tag" of `body.job[".tag"]`. The caller frees. */
static char *last_name(const char *path)
{
    size_t len = strlen(path);
    const char *quoted = NULL;
    for (const char *at = strstr(path, "[\""); at; at = strstr(at + 1, "[\"")) {
        quoted = at + 2;
    }
    if (quoted && len > 2 && strcmp(path + len - 2, "\"]") == 0) {
        return mem_strndup(quoted, (size_t)(path + len - 2 - quoted));
    }
    const char *dot = strrchr(path, '.');
    return mem_strdup(dot ? dot + 1 : path);
}

/* "state: new, progress: 7": what `until` reads of the answer, without the paths to it. */
static char *seen_text(const struct run *run, const json_t *poll)
{
    json_t *seen = evidence_seen(run, json_string_at(poll, "until"));
    struct buf text = BUF_INIT;
    const char *path;
    json_t *value;
    if (json_object_size(seen) > 1) {
        json_object_del(seen, "status"); /* what the body says is what is waited for */
    }
    json_object_foreach(seen, path, value)
    {
        char *name = last_name(path);
        char *whole = json_is_string(value) ? mem_strdup(json_string_value(value)) : json_text(value);
        char *shown = text_shortened(whole, SEEN_MAX);
        buf_addf(&text, "%s%s: %s", text.len ? ", " : "", name, shown);
        free(name);
        free(shown);
        free(whole);
    }
    json_decref(seen);
    return buf_take(&text);
}

/* The job goes back to the scheduler between two looks: it holds no worker. */
enum verdict request_polls(struct run *run, const json_t *request)
{
    const json_t *poll = json_object_get(request, "poll");
    struct expr_set *exprs = run->engine->exprs;
    bool guessed = run->dry && (run->unsent || run->record->held_back); /* nobody knows how it would end */
    if (!poll || guessed || expr_true(exprs, json_object_get(poll, "until"), run->context, false)) {
        run->place->polled_since = 0;
        return VERDICT_DONE;
    }
    char *seen = seen_text(run, poll);
    enum verdict verdict;
    if (!run->place->polled_since) {
        run->place->polled_since = time_now();
    }
    int64_t day = conf_duration(run->engine->conf, "clock.day");
    int64_t timeout = time_scale(duration_of(poll, "timeout"), day);
    if (expr_true(exprs, json_object_get(poll, "failed"), run->context, false)) {
        run->place->polled_since = 0;
        place_restart(run->place); /* a retry begins anew */
        verdict = run_say(run, VERDICT_FAILED, "the vendor reports that it failed (%s)", seen);
    } else if (time_now() - run->place->polled_since > timeout) {
        run->place->polled_since = 0;
        verdict = run_say(run, VERDICT_FAILED, "not done within %s: the vendor shows %s",
                          json_string_at(poll, "timeout"), seen);
    } else {
        int64_t wait = interval(run, poll, day);
        char *next = interval_text(poll, wait);
        char *why = mem_printf("still under way at the vendor (%s); the next look is in %s", seen, next);
        verdict = run_defer(run, wait, true, why);
        free(why);
        free(next);
    }
    free(seen);
    return verdict;
}
