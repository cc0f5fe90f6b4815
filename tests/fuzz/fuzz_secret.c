/* lib/secret.h: texts of vendors and people are masked before they leave the process. No remembered secret stands in what comes out, in
 * none of its forms, and what is forgotten is masked no more. Two lines are secrets, the third is what stands around them. */
#include <openssl/evp.h>

#include "lib/secret.h"
#include "tests/fuzz/fuzz.h"

/* A text that holds the secret as it is, in base64 and in a URL. */
static char *text_with(const char *around, const char *secret)
{
    char *both = mem_printf("%s:%s", around, secret); /* as basic auth has them */
    size_t len = strlen(both);
    char *base64 = mem_alloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)both, (int)len);
    char *text = mem_printf("%s%s%s Basic %s %s", around, secret, around, base64, secret);
    free(base64);
    free(both);
    return text;
}

static bool masked_whole(const char *secret)
{
    return strlen(secret) >= 6 && !strchr(secret, '*');
}

static void check(const char *around, const char *secret, const char *other)
{
    char *text = text_with(around, secret);
    char *masked = secret_mask(text);
    char *again = secret_mask(masked);
    json_t *list = json_pack("[s?]", text);
    char *as_json = list ? json_text(list) : NULL;
    char *masked_json = secret_mask(as_json);
    if (masked_whole(secret)) {
        FUZZ_CHECK(!strstr(masked, secret));
        FUZZ_CHECK(!masked_json || !strstr(masked_json, secret));
    }
    FUZZ_CHECK(!masked_whole(other) || !strstr(masked, other));
    FUZZ_CHECK(!masked_whole(secret) || !masked_whole(other) || strcmp(masked, again) == 0);
    free(masked_json);
    free(as_json);
    json_decref(list);
    free(again);
    free(masked);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *secret = fuzz_line(&input), *other = fuzz_line(&input), *around = fuzz_line(&input);
    secret_remember(secret);
    secret_remember(other);
    secret_remember(secret);
    check(around, secret, other);
    secret_forget(secret);
    check(around, secret, other);
    secret_forget(secret);
    secret_forget(other);
    char *text = text_with(around, secret);
    char *unmasked = secret_mask(text);
    FUZZ_CHECK(strcmp(text, unmasked) == 0);
    free(unmasked);
    free(text);
    secret_forget_all();
    free(around);
    free(other);
    free(secret);
    return 0;
}
