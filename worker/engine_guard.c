/* Nobody acts on a protected person or account, nor on the manager's account (rules.md, 13). The producer looks at the event; the
 * worker looks again, because a step or a look-up may have brought an address, an employee number or a manager since. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/protected.h"
#include "worker/engine_internal.h"

/* ---- who is protected -------------------------------------------------------------------------------------------- */

static bool protected_account(const struct run *run, const char *id)
{
    char *name = mem_printf("%s:%s", run->job->system, id);
    bool found = protected_name(run->engine->conf, name);
    free(name);
    return found;
}

const char *guard_protected(const struct run *run, const json_t *names)
{
    size_t i;
    json_t *name;
    if (json_is_string(names)) {
        return protected_name(run->engine->conf, json_string_value(names)) ? json_string_value(names) : NULL;
    }
    json_array_foreach(names, i, name)
    {
        if (protected_name(run->engine->conf, json_string_value(name))) {
            return json_string_value(name);
        }
    }
    return NULL;
}

bool guard_takes_away(const struct run *run)
{
    const char *effect = json_string_at(run->action, "effect");
    return effect &&
           (strcmp(effect, "revoke") == 0 || strcmp(effect, "handover") == 0 || strcmp(effect, "destroy") == 0);
}

enum verdict guard_person(struct run *run)
{
    const json_t *user = json_object_get(run->context, "user");
    static const char *const names[] = {"email", "employee_id", "emails"};
    if (!guard_takes_away(run) || json_at(run->job->message, "job.undo_of")) {
        return VERDICT_DONE;
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *name = guard_protected(run, json_object_get(user, names[i]));
        if (name) {
            return run_say(run, VERDICT_BLOCKED, "%s is protected (guards.protected): nothing was changed", name);
        }
    }
    return VERDICT_DONE;
}

/* ---- the account in hand ----------------------------------------------------------------------------------------- */

static enum verdict guard_manager(struct run *run, const char *account)
{
    json_t *accounts = NULL;
    enum verdict verdict = account ? identify_manager(run, &accounts) : VERDICT_DONE;
    size_t i;
    json_t *id;
    json_array_foreach(accounts, i, id)
    {
        if (verdict == VERDICT_DONE && strcmp(json_string_value(id), account) == 0) {
            verdict = run_say(run, VERDICT_BLOCKED, "account %s is the manager's, not the leaver's", account);
        }
    }
    json_decref(accounts);
    return verdict;
}

enum verdict guard_account(struct run *run, const char *account)
{
    struct err err = ERR_INIT;
    const char *tmpl = json_string_at(run->action, "target");
    char *rendered = tmpl ? expr_text(run->engine->exprs, tmpl, run->context, &err) : NULL;
    const char *target = tmpl ? rendered : account;
    enum verdict verdict = VERDICT_DONE;
    if (tmpl && !rendered) {
        verdict = run_say(run, VERDICT_FAILED, "target: %s", err_text(&err));
    } else if (target && protected_account(run, target)) {
        verdict = run_say(run, VERDICT_BLOCKED, "account %s is protected (guards.protected)", target);
    } else {
        verdict = guard_manager(run, target);
    }
    free(rendered);
    err_release(&err);
    return verdict;
}
