/* lib/decode.h, lib/identity.h, worker/gzip.h: bytes in the texts that carry them, and the ends of an address. What is decoded and encoded
 * again is the same; what is cleaned stays so. The first line is a text, the rest bytes that may be gzip. */
/* links: worker/gzip.c */
#include "lib/buf.h"
#include "lib/decode.h"
#include "lib/identity.h"
#include "tests/fuzz/fuzz.h"
#include "worker/gzip.h"

enum { DECODED_MOST = 100 * 1000 };

static void check_hex(const char *text, size_t len)
{
    size_t size = 0;
    unsigned char *bytes = decode_hex(text, len, &size);
    if (bytes) {
        struct buf again = BUF_INIT;
        for (size_t i = 0; i < size; i++) {
            buf_addf(&again, "%02x", bytes[i]);
        }
        char *lower = json_lower(text);
        FUZZ_CHECK(strcmp(buf_text(&again), lower) == 0 && !bytes[size]);
        free(lower);
        buf_release(&again);
    }
    free(bytes);
}

static void check_base64(const char *text, size_t len)
{
    size_t size = 0;
    unsigned char *bytes = decode_base64(text, len, &size);
    if (bytes) {
        FUZZ_CHECK(size <= len / 4 * 3 + 2 && !bytes[size]);
        FUZZ_CHECK(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=") == len);
    }
    free(bytes);
}

/* Once is enough, and the text gets no longer. */
static void check_identity(const char *text)
{
    struct err err = ERR_INIT;
    json_t *given = json_string(text);
    json_t *clean = given ? identity_clean("user.email", given, &err) : NULL;
    if (clean) {
        json_t *again = identity_clean("user.email", clean, NULL);
        FUZZ_CHECK(json_equal(clean, again));
        FUZZ_CHECK(json_string_length(clean) <= strlen(text) && strstr(text, json_string_value(clean)));
        json_decref(again);
    } else {
        FUZZ_CHECK(!given || (err.class == ERR_PERMANENT && strstr(err_text(&err), "user.email")));
        json_t *reason = json_string(err_text(&err));
        FUZZ_CHECK(reason);
        json_decref(reason);
    }
    json_decref(clean);
    json_decref(given);
    err_release(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_line(&input), *bytes = fuzz_bytes(&input);
    size_t len = strlen(text);
    struct buf out = {.max = DECODED_MOST};
    check_hex(text, len);
    check_base64(text, len);
    check_identity(text);
    size_t left = decode_percent(text, len);
    FUZZ_CHECK(left <= len);
    gzip_begins(bytes, input.left);
    FUZZ_CHECK(gzip_decode(bytes, input.left, &out, NULL) != 0 || out.len <= DECODED_MOST);
    buf_release(&out);
    free(bytes);
    free(text);
    return 0;
}
