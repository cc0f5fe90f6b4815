/* lib/seal.h: bytes from Kafka that say they are sealed. Nothing opens but what the key sealed for this subject, unchanged. The first line is
 * the subject, the second is sealed and opened again; the rest is opened as it is, and one of its bytes (the first says which) changes what
 * was sealed. */
#include "lib/seal.h"

#include "tests/fuzz/fuzz.h"

static const unsigned char key[SEAL_KEY_SIZE] = "thirty-two bytes of a known key";

static bool opens(const char *subject, const void *sealed, size_t len)
{
    size_t opened_len = 0;
    char *opened = seal_open(key, subject, sealed, len, &opened_len, NULL);
    bool is = opened != NULL;
    FUZZ_CHECK(!opened || opened[opened_len] == '\0');
    free(opened);
    return is;
}

static void check_sealed(const char *subject, const char *text, uint8_t change)
{
    size_t len = 0, opened_len = 0;
    unsigned char *sealed = seal_make(key, subject, text, strlen(text), &len, NULL);
    FUZZ_CHECK(sealed && seal_is(sealed, len));
    char *opened = seal_open(key, subject, sealed, len, &opened_len, NULL);
    FUZZ_CHECK(opened && opened_len == strlen(text) && strcmp(opened, text) == 0);
    char *other = mem_printf("%s-", subject);
    FUZZ_CHECK(!opens(other, sealed, len));
    sealed[change % len] ^= 1;
    FUZZ_CHECK(!opens(subject, sealed, len));
    free(other);
    free(opened);
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *subject = fuzz_line(&input), *text = fuzz_line(&input);
    check_sealed(subject, text, input.left ? input.at[0] : 0);
    FUZZ_CHECK(!opens(subject, input.at, input.left)); /* nobody can sign without the key */
    free(text);
    free(subject);
    return 0;
}
