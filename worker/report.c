#include "worker/report.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"

enum { REPORT_MAX = 4000 };

static bool is_state(const json_t *result, const char *const *states, size_t count)
{
    const char *state = json_string_at(result, "state");
    for (size_t i = 0; i < count; i++) {
        if (state && strcmp(state, states[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *text_of(const json_t *result, const char *name)
{
    const char *text = json_string_at(result, name);
    return text ? text : "";
}

static void add_line(struct buf *out, const json_t *result)
{
    static const char *const good[] = {"succeeded"}, *const bad[] = {"failed"};
    const char *mark = is_state(result, good, 1) ? "\u2705" : is_state(result, bad, 1) ? "\u274c" : "\u2796";
    buf_addf(out, "%s%s %s (%s %s): %s", out->len ? "\n" : "", mark, text_of(result, "step"), text_of(result, "system"),
             text_of(result, "action"), text_of(result, "message"));
}

/* "heading: a, b (why), …" of those in these states; nothing when there are none. */
static void add_group(struct buf *out, const json_t *results, const char *heading, bool why, const char *const *states,
                      size_t count)
{
    bool begun = false;
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (is_state(result, states, count)) {
            buf_addf(out, "%s%s", begun ? ", " : heading, text_of(result, "step"));
            if (why) {
                buf_addf(out, " (%s)", text_of(result, "message"));
            }
            begun = true;
        }
    }
}

static void add_summary(struct buf *out, const json_t *results)
{
    static const char *const done[] = {"succeeded"}, *const failed[] = {"failed"},
                             *const waiting[] = {"waiting", "ready"};
    static const char *const undone[] = {"skipped", "cancelled"};
    buf_addf(out, "Report of phase %s", text_of(json_array_get(results, 0), "phase"));
    add_group(out, results, "\ndone: ", false, done, COUNT_OF(done));
    add_group(out, results, "\nnot done: ", true, undone, COUNT_OF(undone));
    add_group(out, results, "\nwaits: ", false, waiting, COUNT_OF(waiting));
    add_group(out, results, "\na person must act: ", true, failed, COUNT_OF(failed));
}

char *report_text(const json_t *results, const char *kind)
{
    struct buf out = {.max = REPORT_MAX};
    if (kind && strcmp(kind, "on_phase_end") == 0) {
        add_summary(&out, results);
    } else {
        size_t i;
        json_t *result;
        json_array_foreach(results, i, result)
        {
            add_line(&out, result);
        }
    }
    return buf_take(&out);
}
