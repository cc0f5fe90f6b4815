#include "lib/expr_hook.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "lib/expr_limit.h"
#include "lib/expr_value.h"

static jv digest_of(jv name, jv text)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    char digits[2 * EVP_MAX_MD_SIZE + 1];
    unsigned count = 0;
    const EVP_MD *digest = EVP_get_digestbyname(jv_string_value(name));
    size_t length = (size_t)jv_string_length_bytes(jv_copy(text));
    if (!digest || EVP_Digest(jv_string_value(text), length, bytes, &count, digest, NULL) != 1) {
        return jv_invalid_with_msg(jv_string_fmt("there is no %s on this system", jv_string_value(name)));
    }
    for (unsigned i = 0; i < count; i++) {
        snprintf(digits + (size_t)2 * i, 3, "%02x", bytes[i]);
    }
    return jv_string_sized(digits, (int)(2 * count));
}

static void on_debug(void *arg, jv value)
{
    struct expr_hook *hook = arg;
    bool object = jv_get_kind(value) == JV_KIND_OBJECT;
    jv name = object ? jv_object_get(jv_copy(value), jv_string("__digest")) : jv_invalid();
    jv text = object ? jv_object_get(jv_copy(value), jv_string("text")) : jv_invalid();
    if (jv_get_kind(name) == JV_KIND_STRING && jv_get_kind(text) == JV_KIND_STRING) {
        jv_free(hook->digest);
        hook->digest = digest_of(name, text);
    } else if (!expr_value_fits(value)) {
        expr_limit_too_large();
    }
    jv_free(name);
    jv_free(text);
    jv_free(value);
}

static jv on_input(jq_state *jq, void *arg)
{
    struct expr_hook *hook = arg;
    (void)jq;
    jv digest = hook->digest;
    hook->digest = jv_invalid();
    return digest;
}

void expr_hook_set(struct expr_hook *hook, jq_state *jq)
{
    hook->digest = jv_invalid();
    jq_set_debug_cb(jq, on_debug, hook);
    jq_set_input_cb(jq, on_input, hook);
}

void expr_hook_release(struct expr_hook *hook)
{
    jv_free(hook->digest);
    hook->digest = jv_invalid();
}
