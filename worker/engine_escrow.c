/* What must be kept secret and found again (a device's passcode): sealed, and on record before it is used. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "worker/engine_internal.h"

int escrow_load(struct engine *engine, struct err *err)
{
    const char *pem = conf_string(engine->conf, "worker.escrow_key");
    struct err why = ERR_INIT;
    if (!pem) {
        return 0;
    }
    engine->escrow = escrow_public_key(pem, &why);
    if (!engine->escrow) {
        err_set(err, ERR_FATAL, "worker.escrow_key: %s", err_text(&why));
    }
    err_release(&why);
    return engine->escrow ? 0 : -1;
}

/* One value, sealed for where it belongs. NULL with an err. */
static json_t *seal_value(struct run *run, const char *name, const json_t *tmpl, struct err *err)
{
    struct escrow_place place = {.offboarding = json_string_at(run->job->message, "id"),
                                 .job = json_string_at(run->job->message, "job.id"),
                                 .step = json_string_at(run->job->message, "job.step"),
                                 .account = account_in_hand(run),
                                 .name = name};
    char *value = expr_text(run->engine->exprs, json_string_value(tmpl), run->context, err);
    char *sealed = value ? escrow_seal(run->engine->escrow, &place, value, err) : NULL;
    json_t *result = sealed ? json_string(sealed) : NULL;
    secret_wipe(value);
    free(value);
    free(sealed);
    return result;
}

enum verdict escrow_seal_values(struct run *run, json_t **sealed)
{
    const json_t *escrow = json_object_get(run->action, "escrow");
    if (!escrow) {
        return VERDICT_DONE;
    }
    if (!run->engine->escrow) {
        return run_say(run, VERDICT_BLOCKED,
                       "worker.escrow_key_file is not set, and what %s sets would be known to nobody: make a key pair "
                       "(openssl genpkey -algorithm X25519), give the workers its public half, and retry",
                       run->action_name);
    }
    json_t *values = json_object();
    struct err err = ERR_INIT;
    enum verdict verdict = VERDICT_DONE;
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)escrow, name, tmpl)
    {
        json_t *value = seal_value(run, name, tmpl, &err);
        if (!value) {
            verdict = run_say(run, VERDICT_FAILED, "escrow.%s: %s", name, err_text(&err));
            break;
        }
        json_object_set_new(values, name, value);
    }
    if (verdict == VERDICT_DONE) {
        *sealed = json_pack("{s:O}", account_in_hand(run), values);
    }
    json_decref(values);
    err_release(&err);
    return verdict;
}
