/* worker/body.h: the bytes of a vendor's answer. Whatever they are, there is a value that jq, Kafka and PostgreSQL take, and a reason where it
 * is not what it claims to be. The first line is the Content-Type, the rest the body. */
/* links: worker/body.c */
#include "tests/fuzz/fuzz.h"
#include "worker/body.h"

static void check_value(const struct body *body)
{
    char *text = json_text(body->value);
    json_t *again = json_parse(text, strlen(text), NULL);
    FUZZ_CHECK(again); /* it refuses NUL and lone surrogates */
    FUZZ_CHECK(!json_is_string(body->value) || json_equal(again, body->value));
    json_decref(again);
    free(text);
}

static void check_kind(const struct body *body, const char *data, size_t len)
{
    json_t *plain = json_parse(data, len, NULL);
    switch (body->kind) {
    case BODY_EMPTY:
        FUZZ_CHECK(json_is_null(body->value) && !body->why && !plain);
        break;
    case BODY_JSON:
        FUZZ_CHECK(!body->why);
        break;
    case BODY_TEXT:
        FUZZ_CHECK(json_is_string(body->value) && json_string_length(body->value) > 0);
        break;
    case BODY_UNREADABLE:
        FUZZ_CHECK(json_is_null(body->value) && body->why && *body->why);
        break;
    }
    json_t *why = body->why ? json_string(body->why) : NULL; /* it goes into an event */
    FUZZ_CHECK(!body->why || why);
    json_decref(why);
    json_decref(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *type = fuzz_line(&input), *bytes = fuzz_bytes(&input);
    struct body body, plain;
    body_read(input.left ? bytes : NULL, input.left, *type ? type : NULL, &body);
    check_value(&body);
    check_kind(&body, bytes, input.left);
    body_read(bytes, input.left, "application/json", &plain);
    json_t *strict = json_parse(bytes, input.left, NULL);
    FUZZ_CHECK(!strict || (plain.kind == BODY_JSON && json_equal(plain.value, strict)));
    json_decref(strict);
    body_release(&plain);
    body_release(&body);
    free(bytes);
    free(type);
    return 0;
}
