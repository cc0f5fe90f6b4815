#include "lib/plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/runbook.h"
#include "lib/time.h"

/* Sets `key` as written and `key`_us scaled, when `from` has it. */
static int put_duration(json_t *into, const char *key, const json_t *from, int64_t day, struct err *err)
{
    const char *text = json_string_at(from, key);
    int64_t length = 0;
    if (text && time_parse_duration(text, &length, err) != 0) {
        return err_prefix(err, "%s", key);
    }
    if (text) {
        char *scaled = mem_printf("%s_us", key);
        json_object_set_new(into, key, json_string(text));
        json_object_set_new(into, scaled, json_integer((json_int_t)time_scale(length, day)));
        free(scaled);
    }
    return 0;
}

/* `after` stands in every phase and step, also when there is none. */
static int put_after(json_t *into, const json_t *from, int64_t day, struct err *err)
{
    json_object_set_new(into, "after", json_null());
    json_object_set_new(into, "after_us", json_integer(0));
    return put_duration(into, "after", from, day, err);
}

static int put_times(json_t *planned, const json_t *step, int64_t day, struct err *err)
{
    json_object_set_new(planned, "expires_us", json_null());
    return put_after(planned, step, day, err) == 0 && put_duration(planned, "expires", step, day, err) == 0 &&
                   put_duration(planned, "wait", step, day, err) == 0
               ? 0
               : -1;
}

/* Copies those of the members that are there. */
static void copy_present(json_t *to, const json_t *from, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(from, names[i]);
        json_put(to, names[i], json_is_null(value) ? NULL : json_incref(value));
    }
}

static json_t *member_or(const json_t *object, const char *key, json_t *otherwise)
{
    json_t *value = json_object_get(object, key);
    if (!value) {
        return otherwise;
    }
    json_decref(otherwise);
    return json_incref(value);
}

/* How people call an action: {system, action}. A step of the runbook may say better than its action what it is for (`own`). */
static json_t *title_new(const struct definitions *definitions, const char *system, const char *action,
                         const char *before, const char *own)
{
    char *of_action = own ? mem_strdup(own) : definition_action_title(definitions, system, action);
    char *text = mem_printf("%s%s", before, of_action);
    json_t *title = json_pack("{s:s, s:s}", "system", definition_system_title(definitions, system), "action", text);
    free(text);
    free(of_action);
    return title;
}

/* The action that undoes the step's, and the id of the job that would do so; nothing when there is none. */
static void put_undo(json_t *planned, const struct definitions *definitions, const char *offboarding_id,
                     const char *phase)
{
    const char *system = json_string_at(planned, "system");
    const char *undo =
        json_string_at(definition_action(definitions, system, json_string_at(planned, "action")), "undo");
    char job_id[ID_SIZE];
    char *step = mem_printf("%s.undo", json_string_at(planned, "id"));
    if (undo && !json_object_get(planned, "only_verify") && id_job(offboarding_id, phase, step, job_id) == 0) {
        json_put_string(planned, "undo", undo);
        json_put_string(planned, "undo_effect", definition_effect(definitions, system, undo));
        json_put_string(planned, "undo_job_id", job_id);
        json_object_set_new(planned, "undo_title", title_new(definitions, system, undo, "", NULL));
    }
    free(step);
}

static json_t *plan_step(const struct definitions *definitions, const char *offboarding_id, const char *phase,
                         const json_t *step, int64_t day, struct err *err)
{
    const char *id = json_string_at(step, "id");
    const char *system = json_string_at(step, "system");
    const char *action = json_string_at(step, "action");
    const char *when = json_string_at(step, "when");
    const char *effect = definition_effect(definitions, system, action);
    char job_id[ID_SIZE];
    if (!effect) {
        err_set(err, ERR_PERMANENT, "step \"%s\": system \"%s\" has no action \"%s\"", id, system, action);
        return NULL;
    }
    if (!offboarding_id || id_job(offboarding_id, phase, id, job_id) != 0) {
        err_set(err, ERR_PERMANENT, "id: the offboarding has none, or it is no UUID");
        return NULL;
    }
    json_t *planned = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "job_id", job_id, "system", system,
                                "action", action, "effect", effect, "when", when ? when : "on_success");
    json_put(planned, "needs", member_or(step, "needs", json_array()));
    json_put(planned, "if", member_or(step, "if", json_null()));
    json_put(planned, "with", member_or(step, "with", json_object()));
    static const char *const more[] = {"on_missing", "only_verify", "quiet", "inside", "run_if", "behind", "reads"};
    copy_present(planned, step, more, COUNT_OF(more));
    json_object_set_new(planned, "title",
                        title_new(definitions, system, action,
                                  json_object_get(step, "only_verify") ? "check again: " : "",
                                  json_string_at(step, "title")));
    put_undo(planned, definitions, offboarding_id, phase);
    if (put_times(planned, step, day, err) != 0) {
        json_decref(planned);
        return NULL;
    }
    return planned;
}

static json_t *plan_phase(const struct definitions *definitions, const char *offboarding_id, const json_t *phase,
                          int64_t day, struct err *err)
{
    json_t *planned = json_object();
    json_t *steps = json_array();
    static const char *const as_written[] = {"name", "title", "beside", "ends_access"};
    copy_present(planned, phase, as_written, COUNT_OF(as_written));
    json_object_set_new(planned, "steps", steps);
    int result = put_after(planned, phase, day, err);
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(phase, "steps"), i, step)
    {
        json_t *one =
            result == 0 ? plan_step(definitions, offboarding_id, json_string_at(phase, "name"), step, day, err) : NULL;
        result = one ? 0 : -1;
        if (one) {
            json_array_append_new(steps, one);
        }
    }
    if (result != 0) {
        json_decref(planned);
        return NULL;
    }
    return planned;
}

static json_t *plan_phases(const struct definitions *definitions, const char *offboarding_id,
                           const struct definition *runbook, int64_t day, struct err *err)
{
    json_t *expanded = runbook_expand(definitions, runbook);
    json_t *phases = json_array();
    size_t i;
    json_t *phase;
    json_array_foreach(expanded, i, phase)
    {
        json_t *planned = plan_phase(definitions, offboarding_id, phase, day, err);
        if (!planned) {
            err_prefix(err, "%s", runbook->file);
            json_decref(phases);
            phases = NULL;
            break;
        }
        json_array_append_new(phases, planned);
    }
    json_decref(expanded);
    return phases;
}

/* ---- followers --------------------------------------------------------------------------------------------------- */

/* What `mirror` and `notify` say; NULL with an err. A new reference. */
static json_t *plan_followers(const struct definitions *definitions, const struct definition *runbook, struct err *err)
{
    json_t *followers = runbook_followers(definitions, runbook);
    json_t *planned = json_array();
    size_t i;
    json_t *follower;
    json_array_foreach(followers, i, follower)
    {
        const char *name = json_string_at(follower, "id");
        const char *system = json_string_at(follower, "system");
        const char *action = json_string_at(follower, "action");
        const char *effect = definition_effect(definitions, system, action);
        if (!effect) {
            err_set(err, ERR_PERMANENT, "%s: %s: system \"%s\" has no action \"%s\"", runbook->file, name, system,
                    action);
            json_decref(planned);
            planned = NULL;
            break;
        }
        json_array_append_new(planned, json_pack("{s:s, s:O, s:s, s:s, s:s, s:O, s:o, s:o}", "name", name, "kind",
                                                 json_object_get(follower, "kind"), "system", system, "action", action,
                                                 "effect", effect, "needs", json_object_get(follower, "needs"), "if",
                                                 member_or(follower, "if", json_null()), "with",
                                                 member_or(follower, "with", json_object())));
    }
    json_decref(followers);
    return planned;
}

static json_t *name_and_hash(const struct definition *definition)
{
    return definition ? json_pack("{s:s, s:s}", "name", definition->name, "hash", definition->hash) : json_null();
}

static json_t *connector_hashes(const struct definitions *definitions, const json_t *plan)
{
    json_t *hashes = json_object();
    json_t *systems = plan_systems(plan);
    size_t i;
    json_t *system;
    json_array_foreach(systems, i, system)
    {
        const struct definition *connector =
            definition_find(definitions, DEFINITION_CONNECTOR, json_string_value(system));
        if (connector) {
            json_object_set_new(hashes, connector->name, json_string(connector->hash));
        }
    }
    json_decref(systems);
    return hashes;
}

json_t *plan_build(const struct definitions *definitions, const json_t *offboarding, int64_t day, struct err *err)
{
    const char *name = json_string_at(offboarding, "runbook");
    const char *source = json_string_at(offboarding, "source");
    const struct definition *runbook = definition_find(definitions, DEFINITION_RUNBOOK, name ? name : "");
    if (!runbook) {
        const char *near = definition_nearest(definitions, DEFINITION_RUNBOOK, name ? name : "");
        err_set(err, ERR_PERMANENT, "runbook: there is no runbook \"%s\"%s%s%s", name ? name : "",
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        return NULL;
    }
    json_t *plan = json_object();
    json_object_set_new(plan, "runbook", name_and_hash(runbook));
    json_object_set_new(plan, "source",
                        name_and_hash(definition_find(definitions, DEFINITION_SOURCE, source ? source : "")));
    json_t *children = runbook_children(definitions, runbook);
    json_put(plan, "runs", json_object_size(children) > 0 ? json_incref(children) : NULL);
    json_decref(children);
    json_t *phases = plan_phases(definitions, json_string_at(offboarding, "id"), runbook, day, err);
    if (!phases) {
        json_decref(plan);
        return NULL;
    }
    json_object_set_new(plan, "phases", phases);
    json_t *followers = plan_followers(definitions, runbook, err);
    if (!followers) {
        json_decref(plan);
        return NULL;
    }
    json_put(plan, "followers", json_array_size(followers) ? json_incref(followers) : NULL);
    json_decref(followers);
    json_object_set_new(plan, "connectors", connector_hashes(definitions, plan));
    return plan;
}

/* Adds the steps of a phase that wait for nothing. */
static void add_first_steps(json_t *ids, const json_t *phase)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(phase, "steps"), i, step)
    {
        bool waits = json_array_size(json_object_get(step, "needs")) > 0 || json_object_get(step, "behind");
        if (!waits && json_int_at(step, "after_us", 0) == 0) {
            json_array_append(ids, json_object_get(step, "job_id"));
        }
    }
}

void plan_mark_absent(json_t *plan, const char *system)
{
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            if (json_says(step, "system", system)) {
                json_object_set_new(step, "absent", json_true());
            }
        }
    }
}

static bool starts_at_once(const json_t *phase, size_t number)
{
    return json_int_at(phase, "after_us", 0) == 0 && (number == 0 || json_true_at(phase, "beside"));
}

json_t *plan_first_wave(const json_t *plan)
{
    json_t *ids = json_array();
    size_t i;
    json_t *phase;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        if (starts_at_once(phase, i)) {
            add_first_steps(ids, phase);
        }
    }
    return ids;
}

/* The planned step of a job id, with its phase; NULL when the plan has none. */
static const json_t *find_step(const json_t *plan, const char *job_id, const char **phase_name)
{
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            if (strcmp(json_string_at(step, "job_id"), job_id) == 0) {
                *phase_name = json_string_at(phase, "name");
                return step;
            }
        }
    }
    return NULL;
}

/* The later of effective date and actual start: what times of phases count from. */
static int64_t start_of(const json_t *offboarding)
{
    static const char *const names[] = {"effective_at", "started_at"};
    int64_t start = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *text = json_string_at(offboarding, names[i]);
        int64_t at = 0;
        if (text && time_parse(text, &at, NULL) == 0 && at > start) {
            start = at;
        }
    }
    return start;
}

/* Is it certain to change something? What takes access away is announced in any case. */
static bool is_announced(const json_t *step)
{
    const char *effect = json_string_at(step, "effect");
    bool changes = strcmp(effect, "notify") != 0 && strcmp(effect, "identify") != 0;
    bool conditional = !json_is_null(json_object_get(step, "if")) && strcmp(effect, "revoke") != 0;
    return changes && !conditional && !json_object_get(step, "only_verify") && !json_object_get(step, "quiet") &&
           !json_object_get(step, "absent");
}

/* A phase as people are told of it, when the offboarding starts. */
static json_t *phase_told(const json_t *phase, bool begun, int64_t start)
{
    static const char *const as_planned[] = {"name", "title", "beside", "ends_access"};
    json_t *told = json_object();
    json_t *steps = json_array();
    size_t i;
    json_t *step;
    copy_present(told, phase, as_planned, COUNT_OF(as_planned));
    json_put_string(told, "status", begun ? "initiated" : "waiting");
    if (begun || json_int_at(phase, "after_us", 0) > 0) {
        json_put_instant(told, "due_at", start + json_int_at(phase, "after_us", 0));
    }
    json_array_foreach(json_object_get(phase, "steps"), i, step)
    {
        if (is_announced(step)) {
            json_array_append(steps, json_object_get(step, "title"));
        }
    }
    json_object_set_new(told, "steps", steps);
    return told;
}

/* What will happen, for those who tell people of it (schema/messages.md, "Job message"); NULL for others. */
static json_t *phases_told(const json_t *offboarding, const json_t *plan, const char *effect)
{
    if (!effect || strcmp(effect, "notify") != 0) {
        return NULL;
    }
    json_t *told = json_array();
    size_t i;
    json_t *phase;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        json_array_append_new(told, phase_told(phase, starts_at_once(phase, i), start_of(offboarding)));
    }
    return told;
}

json_t *plan_job_message(const json_t *offboarding, const json_t *plan, const char *job_id, int attempt,
                         const json_t *state, const json_t *steps)
{
    const char *phase = NULL;
    const json_t *step = find_step(plan, job_id, &phase);
    if (!step) {
        return NULL;
    }
    char now[TIME_TEXT_SIZE];
    time_format(time_now(), now);
    json_t *job = json_pack("{s:s, s:s, s:O, s:i, s:s, s:s}", "id", job_id, "phase", phase, "step",
                            json_object_get(step, "id"), "attempt", attempt, "due_at", now, "published_at", now);
    static const char *const copied[] = {"system", "action", "if", "with", "when", "effect", "needs"};
    for (size_t i = 0; i < COUNT_OF(copied); i++) {
        json_object_set(job, copied[i], json_object_get(step, copied[i]));
    }
    json_put(job, "phases", phases_told(offboarding, plan, json_string_at(step, "effect")));
    static const char *const present[] = {"expires_us", "only_verify", "inside", "run_if"};
    copy_present(job, step, present, COUNT_OF(present));
    json_object_set_new(job, "state", state ? json_incref((json_t *)(uintptr_t)state) : json_null());
    json_object_set_new(job, "steps", steps ? json_incref((json_t *)(uintptr_t)steps) : json_object());
    json_t *message = json_copy((json_t *)(uintptr_t)offboarding);
    json_object_set_new(message, "version", json_integer(MESSAGE_VERSION));
    json_object_set_new(message, "job", job);
    return message;
}

/* Adds the systems of steps or followers that are not yet `seen`. */
static void add_systems(json_t *systems, json_t *seen, const json_t *steps)
{
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        const char *system = json_string_at(step, "system");
        if (!json_object_get(seen, system)) {
            json_object_set_new(seen, system, json_true());
            json_array_append_new(systems, json_string(system));
        }
    }
}

json_t *plan_systems(const json_t *plan)
{
    json_t *systems = json_array();
    json_t *seen = json_object();
    size_t i;
    json_t *phase;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        add_systems(systems, seen, json_object_get(phase, "steps"));
    }
    add_systems(systems, seen, json_object_get(plan, "followers"));
    json_decref(seen);
    return systems;
}
