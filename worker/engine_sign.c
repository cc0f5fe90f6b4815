/* Requests that are signed with a key both sides know: HMAC-SHA256 (RFC 2104) of a text that holds the body as it is sent. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/credentials.h"

static char *in_hex(const unsigned char *bytes, size_t len)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < len; i++) {
        buf_addf(&out, "%02x", bytes[i]);
    }
    return buf_take(&out);
}

static char *in_base64(const unsigned char *bytes, size_t len)
{
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    return text;
}

static char *signature_of(const struct credentials *credentials, const char *text)
{
    const char *coding = json_string_at(credentials->declared, "coding");
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    HMAC(EVP_sha256(), credentials->hmac_key, (int)credentials->hmac_key_len, (const unsigned char *)text, strlen(text),
         mac, &size);
    return coding && strcmp(coding, "base64") == 0 ? in_base64(mac, size) : in_hex(mac, size);
}

static int sign(struct run *run, struct rendered *rendered, struct err *err)
{
    const struct credentials *credentials = run->system->credentials;
    char *now = mem_printf("%lld", (long long)(time_now() / TIME_SECOND));
    json_t *signing = json_pack("{s:s, s:s}", "timestamp", now, "body", rendered->body ? rendered->body : "");
    free(now);
    context_set(run, "signing", signing);
    char *text = expr_text(run->engine->exprs, json_string_at(credentials->declared, "text"), run->context, err);
    if (!text) {
        return err_prefix(err, "text");
    }
    char *signature = signature_of(credentials, text);
    free(text);
    json_put_string(signing, "signature", signature);
    free(signature);
    bool content_type = false;
    return render_headers(run, json_object_get(credentials->declared, "headers"), rendered, &content_type, err);
}

enum verdict auth_sign(struct run *run, struct rendered *rendered)
{
    struct err err = ERR_INIT;
    enum verdict verdict = VERDICT_DONE;
    if (!run->system->credentials || run->system->credentials->kind != SIGNATURE) {
        return VERDICT_DONE;
    }
    if (sign(run, rendered, &err) != 0) {
        verdict = run_say(run, VERDICT_FAILED, "could not sign the request: %s", err_text(&err));
    }
    json_object_del(run->context, "signing"); /* it holds the whole body */
    err_release(&err);
    return verdict;
}
