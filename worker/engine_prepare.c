/* What there must be before a change: values that are derived, not stored, and the picture of what will be changed. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "worker/engine_internal.h"

/* ---- derived values ---------------------------------------------------------------------------------------------- */

static const char digits[] = "0123456789";
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/* Bytes of the stream HMAC-SHA256(key, "<job>\n<name>\n<block>"); those that would make some characters likelier than
 * others are passed over. */
static void derive(const char *key, const char *job, const char *name, const char *alphabet, size_t length, char *out)
{
    size_t choices = strlen(alphabet);
    size_t made = 0;
    unsigned char mac[EVP_MAX_MD_SIZE];
    for (unsigned int block = 0; made < length; block++) {
        char *text = mem_printf("%s\n%s\n%u", job, name, block);
        unsigned int size = 0;
        HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, strlen(text), mac, &size);
        free(text);
        for (unsigned int i = 0; i < size && made < length; i++) {
            if (mac[i] < 256 / choices * choices) {
                out[made++] = alphabet[mac[i] % choices];
            }
        }
    }
    out[length] = '\0';
    OPENSSL_cleanse(mac, sizeof mac);
}

void derive_values(struct run *run)
{
    const char *key = conf_string(run->engine->conf, "worker.derive_key");
    const char *job = json_string_at(run->job->message, "job.id");
    json_t *derived = json_object();
    const char *name;
    json_t *rule;
    json_object_foreach(json_object_get(run->action, "derive"), name, rule)
    {
        bool numeric = json_object_get(rule, "digits") != NULL;
        size_t length = (size_t)json_int_at(rule, numeric ? "digits" : "letters", 0);
        char *value = mem_alloc(length + 1);
        derive(key, job, name, numeric ? digits : letters, length, value);
        secrets_add(run, value);
        json_object_set_new(derived, name, json_string(value));
        secret_wipe(value);
        free(value);
    }
    context_set(run, "derived", derived);
}

/* ---- the before-image -------------------------------------------------------------------------------------------- */

/* `{<account>: {…}}`; an action on no account has the empty name. NULL with an err. */
static json_t *picture(struct run *run, const json_t *before, struct err *err)
{
    json_t *values = json_object();
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)before, name, tmpl)
    {
        json_t *value = expr_render(run->engine->exprs, tmpl, run->context, err);
        if (!value) {
            json_decref(values);
            err_prefix(err, "before.%s", name);
            return NULL;
        }
        json_object_set_new(values, name, value);
    }
    return json_pack("{s:o}", account_in_hand(run), values);
}

enum verdict before_change(struct run *run)
{
    const json_t *before = run->place->imaged ? NULL : json_object_get(run->action, "before");
    struct err err = ERR_INIT;
    if (!before && (run->place->sealed || !json_object_get(run->action, "escrow"))) {
        return VERDICT_DONE;
    }
    json_t *sealed = NULL;
    json_t *image = before ? picture(run, before, &err) : NULL;
    enum verdict verdict =
        err.class == ERR_NONE
            ? escrow_seal_values(run, &sealed)
            : run_say(run, VERDICT_FAILED, "what is there before the change could not be read: %s", err_text(&err));
    if (verdict == VERDICT_DONE && run->job->before(run->job, image, sealed) != 0) {
        verdict = run_say(run, VERDICT_FAILED, "what is there before the change could not be put on record");
    } else if (verdict == VERDICT_DONE) {
        run->place->imaged = true;
        run->place->sealed = true;
        verdict = run_interrupted(run);
    }
    json_decref(image);
    json_decref(sealed);
    err_release(&err);
    return verdict;
}
