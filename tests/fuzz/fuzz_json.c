/* lib/json.h: JSON from Kafka, HR systems, vendors and files. What jansson alone takes is taken, and nothing else but big integers; what
 * somebody else wrote is taken as well, the same where it is strict JSON, and can be written as such. */
#include "tests/fuzz/fuzz.h"

static void check_round_trip(const json_t *value)
{
    char *text = json_canonical(value);
    json_t *again = json_parse(text, strlen(text), NULL);
    char *same = json_canonical(again);
    FUZZ_CHECK(again);
    FUZZ_CHECK(strcmp(text, same) == 0);
    json_decref(again);
    free(same);
    free(text);
}

static void check_strictness(const char *text, size_t len, const json_t *value, const struct err *err)
{
    json_error_t why;
    bool nul = memchr(text, 0, len) != NULL;
    json_t *plain = nul ? NULL : json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (value) {
        FUZZ_CHECK(!nul);
        FUZZ_CHECK(plain || json_error_code(&why) == json_error_numeric_overflow);
    } else {
        FUZZ_CHECK(!plain || strstr(err_text(err), "levels deep"));
        json_t *reason = json_string(err_text(err)); /* it is UTF-8: it goes into events */
        FUZZ_CHECK(reason && strstr(err_text(err), "could not read JSON"));
        json_decref(reason);
    }
    json_decref(plain);
}

static void check_foreign(const char *text, size_t len, const json_t *strict)
{
    bool limit;
    char *why;
    json_t *value = json_parse_foreign(text, len, &limit, &why);
    FUZZ_CHECK((value == NULL) == (why != NULL));
    FUZZ_CHECK(!strict || json_equal(strict, value));
    if (value) {
        check_round_trip(value);
    }
    free(why);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct err err = ERR_INIT;
    char *text = fuzz_bytes(&input);
    char *path = fuzz_text(&input);
    json_t *value = json_parse(text, size, &err);
    check_strictness(text, size, value, &err);
    check_foreign(text, size, value);
    if (value) {
        check_round_trip(value);
        json_at(value, path);
        json_at(value, "a.0.b");
    }
    json_decref(value);
    err_release(&err);
    free(path);
    free(text);
    return 0;
}
