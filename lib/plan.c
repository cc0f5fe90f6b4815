#include "lib/plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"

/* Sets `after` as written and `after_us` scaled. */
static int put_after(json_t *into, const json_t *from, int64_t day, struct err *err)
{
    const char *after = json_string_at(from, "after");
    int64_t length = 0;
    if (after && time_parse_duration(after, &length, err) != 0) {
        return err_prefix(err, "after");
    }
    json_object_set_new(into, "after", after ? json_string(after) : json_null());
    json_object_set_new(into, "after_us", json_integer((json_int_t)time_scale(length, day)));
    return 0;
}

/* Sets `expires` as written and `expires_us` scaled; without one only the latter, as null. */
static int put_expires(json_t *into, const json_t *step, int64_t day, struct err *err)
{
    const char *expires = json_string_at(step, "expires");
    int64_t length = 0;
    if (expires && time_parse_duration(expires, &length, err) != 0) {
        return err_prefix(err, "expires");
    }
    json_put_string(into, "expires", expires);
    json_object_set_new(into, "expires_us", expires ? json_integer((json_int_t)time_scale(length, day)) : json_null());
    return 0;
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
    json_put_string(planned, "on_missing", json_string_at(step, "on_missing"));
    if (put_expires(planned, step, day, err) != 0 || put_after(planned, step, day, err) != 0) {
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
    json_object_set(planned, "name", json_object_get(phase, "name"));
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
    json_t *phases = json_array();
    json_object_set_new(plan, "runbook", name_and_hash(runbook));
    json_object_set_new(plan, "source",
                        name_and_hash(definition_find(definitions, DEFINITION_SOURCE, source ? source : "")));
    json_object_set_new(plan, "phases", phases);
    size_t i;
    json_t *phase;
    json_array_foreach(json_object_get(runbook->tree, "phases"), i, phase)
    {
        json_t *planned = plan_phase(definitions, json_string_at(offboarding, "id"), phase, day, err);
        if (!planned) {
            err_prefix(err, "%s", runbook->file);
            json_decref(plan);
            return NULL;
        }
        json_array_append_new(phases, planned);
    }
    json_object_set_new(plan, "connectors", connector_hashes(definitions, plan));
    return plan;
}

json_t *plan_first_wave(const json_t *plan)
{
    json_t *ids = json_array();
    const json_t *first = json_at(plan, "phases.0");
    if (!first || json_int_at(first, "after_us", 0) > 0) {
        return ids;
    }
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(first, "steps"), i, step)
    {
        if (json_array_size(json_object_get(step, "needs")) == 0 && json_int_at(step, "after_us", 0) == 0) {
            json_array_append(ids, json_object_get(step, "job_id"));
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
    static const char *const present[] = {"expires_us"};
    for (size_t i = 0; i < COUNT_OF(present); i++) {
        json_t *value = json_object_get(step, present[i]);
        json_put(job, present[i], json_is_null(value) ? NULL : json_incref(value));
    }
    json_object_set_new(job, "state", state ? json_incref((json_t *)(uintptr_t)state) : json_null());
    json_object_set_new(job, "steps", steps ? json_incref((json_t *)(uintptr_t)steps) : json_object());
    json_t *message = json_copy((json_t *)(uintptr_t)offboarding);
    json_object_set_new(message, "version", json_integer(MESSAGE_VERSION));
    json_object_set_new(message, "job", job);
    return message;
}

json_t *plan_systems(const json_t *plan)
{
    json_t *systems = json_array();
    json_t *seen = json_object();
    size_t i, j;
    json_t *phase, *step;
    json_array_foreach(json_object_get(plan, "phases"), i, phase)
    {
        json_array_foreach(json_object_get(phase, "steps"), j, step)
        {
            const char *system = json_string_at(step, "system");
            if (!json_object_get(seen, system)) {
                json_object_set_new(seen, system, json_true());
                json_array_append_new(systems, json_string(system));
            }
        }
    }
    json_decref(seen);
    return systems;
}
