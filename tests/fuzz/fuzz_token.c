/* lib/jwt_check.h: tokens that a sender signs, and the keys that it publishes. Nobody is let in by a token that the sender's key did not sign,
 * or by that of another body where it names its body. The first line is a JWK set (empty: ours), the second the header that has the token,
 * the rest the body. */
#include <strings.h>

#include "lib/jwt_check.h"
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"

static const char ours[] =
    "{\"keys\": [{\"kty\": \"RSA\", \"kid\": \"r\", \"e\": \"AQAB\", \"n\": \""
    "v6kPK4dEalRrwZYQZc2I3UoiDmxf-oFMv83AS36b37f6v-1pL6aWZMfRLLDgBDZWamGU1pojtkU9HollfaqG-SsW1SGKoBe1J_9m"
    "vjdDTNvoNOXO8UmdKiDGvR_lBg_V6M2Ri4-ckmTT7581U1eox-xk1a5LsfLEpJJFIfZJLh4NMXMWcwInafOxYA2jLDEQ4UK2Hryq"
    "pJl8iUtTzLxUmS80RjDMAPEHgtHsIjJLbwtxzbrxcNXa0gQMRCjtBrW0wogVLXEIrIjkZrmflKylNjecKUN2nqgPZ-0vBgbm_Z98"
    "L6HJO0gkLKdgT-krxg2BgsuVUCgleE6w4xMYuVnYJw"
    "\"},"
    "{\"kty\": \"EC\", \"crv\": \"P-256\", \"kid\": \"e\", \"x\": \"ahYF7GKzEJtVN5Kkw9N6qfGjtI1m_tEKlb6H1xIrd8c\","
    " \"y\": \"WtakLMdSqftTzeqGZMRRYFzguZyatR0RBETMCHHDrec\"}]}";
static const char *const kinds[] = {
    "{\"header\": \"x-token\", \"prefix\": \"Bearer \", \"claims\": {\"aud\": \"offboard\"}}",
    "{\"header\": \"x-token\", \"claims\": {\"aud\": \"offboard\"}, \"body_sha256\": \"body\", \"tolerance\": \"1h\"}",
    "{\"claims\": {\"aud\": \"offboard\"}}",
};
static char *token;

static const char *header_of(const char *name, void *arg)
{
    (void)arg;
    return strcasecmp(name, "x-token") == 0 ? token : NULL;
}

static bool good(const json_t *jwt, const json_t *keys, const char *body, size_t len)
{
    struct err err = ERR_INIT;
    json_t *claims = NULL;
    struct signature_request request = {header_of, NULL, body, len, INT64_C(1700000000) * TIME_SECOND};
    enum signature_verdict verdict = jwt_check(jwt, keys, &request, &claims, &err);
    json_t *reason = json_string(err_text(&err)); /* it goes into the answer: it is UTF-8 */
    FUZZ_CHECK(reason);
    FUZZ_CHECK((verdict == SIGNATURE_GOOD) == (err.class == ERR_NONE));
    FUZZ_CHECK((verdict == SIGNATURE_GOOD) == (claims != NULL));
    json_decref(reason);
    json_decref(claims);
    err_release(&err);
    return verdict == SIGNATURE_GOOD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *set = fuzz_line(&input);
    token = fuzz_line(&input);
    char *body = fuzz_bytes(&input);
    json_t *keys = *set ? jwt_keys_parse(set, strlen(set), NULL) : jwt_keys_parse(ours, strlen(ours), NULL);
    json_t *none = json_pack("{s:[]}", "keys");
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        json_t *jwt = json_parse(kinds[i], strlen(kinds[i]), NULL);
        if (good(jwt, keys, body, input.left)) {
            FUZZ_CHECK(keys && !good(jwt, none, body, input.left));
            FUZZ_CHECK(!json_object_get(jwt, "body_sha256") || !good(jwt, keys, "other", 5));
        }
        json_decref(jwt);
    }
    json_decref(jwt_claims_of(body, input.left));
    jwt_address_safe(set);
    json_decref(none);
    json_decref(keys);
    free(body);
    free(token);
    free(set);
    return 0;
}
