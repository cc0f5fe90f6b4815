#include "worker/report.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"

enum { REPORT_MAX = 4000, CUT_MAX = 40 /* bytes that say how much was cut */ };

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

static int add_line(struct buf *out, const json_t *result)
{
    static const char *const good[] = {"succeeded"}, *const bad[] = {"failed"}, *const open[] = {"ready"};
    const char *mark = is_state(result, good, 1)   ? "\u2705"
                       : is_state(result, bad, 1)  ? "\u274c"
                       : is_state(result, open, 1) ? "\u23f3"
                                                   : "\u2796";
    return buf_addf(out, "%s%s %s (%s %s): %s", out->len ? "\n" : "", mark, text_of(result, "step"),
                    text_of(result, "system"), text_of(result, "action"), text_of(result, "message"));
}

/* How many there was room for. */
static size_t add_lines(struct buf *out, const json_t *results)
{
    size_t said = 0;
    while (said < json_array_size(results) && add_line(out, json_array_get(results, said)) == 0) {
        said++;
    }
    return said;
}

/* "heading: a, b (why), …" of those in these states; nothing when there are none. How many there was room for. */
static size_t add_group(struct buf *out, const json_t *results, const char *heading, bool why,
                        const char *const *states, size_t count)
{
    size_t said = 0, i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        if (is_state(result, states, count) && buf_addf(out, why ? "%s%s (%s)" : "%s%s", said ? ", " : heading,
                                                        text_of(result, "step"), text_of(result, "message")) == 0) {
            said++;
        }
    }
    return said;
}

/* What asks for somebody comes before what may grow long. */
static size_t add_summary(struct buf *out, const json_t *results)
{
    static const char *const done[] = {"succeeded"}, *const failed[] = {"failed"},
                             *const waiting[] = {"waiting", "ready"};
    static const char *const undone[] = {"skipped", "cancelled"};
    buf_addf(out, "Report of phase %s", text_of(json_array_get(results, 0), "phase"));
    size_t said = add_group(out, results, "\ndone: ", false, done, COUNT_OF(done));
    said += add_group(out, results, "\na person must act: ", true, failed, COUNT_OF(failed));
    said += add_group(out, results, "\nwaits: ", false, waiting, COUNT_OF(waiting));
    return said + add_group(out, results, "\nnot done: ", true, undone, COUNT_OF(undone));
}

char *report_text(const json_t *results, const char *kind)
{
    struct buf out = {.max = REPORT_MAX - CUT_MAX};
    bool summary = kind && strcmp(kind, "on_phase_end") == 0;
    size_t said = summary ? add_summary(&out, results) : add_lines(&out, results);
    char *text = buf_take(&out);
    if (said == json_array_size(results)) {
        return text;
    }
    char *cut = mem_printf("%s\n\u2026 and %zu more", text, json_array_size(results) - said);
    free(text);
    return cut;
}
