/* worker/http.c: the head of a vendor's answer, line by line as libcurl hands it over, and its body, in gzip where the head says so. Whatever
 * comes, headers are texts by names in lower case, and there is a body or a reason. The input is the head, an empty line, the body. */
/* links: worker/multi.c worker/fiber.c worker/gzip.c */
#include <ctype.h>

#include "tests/fuzz/fuzz.h"
#include "worker/http.c"

/* Hands the head over up to its end; what is left is the body. False: the answer is given up. */
static bool take_head(struct exchange *exchange, struct fuzz_input *input)
{
    bool more = true, taken = true; /* more of the head is to come */
    while (more && taken && input->left) {
        const uint8_t *end = memchr(input->at, '\n', input->left);
        struct fuzz_input line = {input->at, end ? (size_t)(end - input->at) + 1 : input->left};
        char *bytes = fuzz_bytes(&line); /* libcurl puts no NUL behind it */
        more = !is_end(bytes, line.left);
        taken = on_header(bytes, 1, line.left, exchange) == line.left;
        input->at += line.left;
        input->left -= line.left;
        free(bytes);
    }
    return taken;
}

static void check_headers(json_t *headers)
{
    const char *name;
    json_t *value;
    json_object_foreach(headers, name, value)
    {
        const char *text = json_string_value(value);
        FUZZ_CHECK(text);
        for (const char *c = name; *c; c++) {
            FUZZ_CHECK(!isupper((unsigned char)*c));
        }
        FUZZ_CHECK(!strchr(text, '\n') || strcmp(name, "set-cookie") == 0);
        FUZZ_CHECK(!*text || !strchr(" \t\r\n", *text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct http_answer answer = {.headers = json_object(), .body = {.max = ANSWER_MAX}};
    struct exchange exchange = {.answer = &answer};
    if (take_head(&exchange, &input)) {
        check_headers(answer.headers);
        char *body = fuzz_bytes(&input);
        FUZZ_CHECK(on_body(body, 1, input.left, &exchange) == input.left);
        decode_body(&answer);
        FUZZ_CHECK((answer.fault == HTTP_FAULT_NONE) == (answer.error == NULL));
        FUZZ_CHECK(!answer.error || json_object_get(answer.headers, "content-encoding"));
        free(body);
    } else {
        FUZZ_CHECK(exchange.unusable);
    }
    free(exchange.latest);
    http_answer_release(&answer);
    return 0;
}
