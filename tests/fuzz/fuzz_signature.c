/* lib/signature.h: headers by which a sender proves who it is; anybody can send them. What is good is so by this key and for this body
 * alone. Lines "name: value" are the headers, after an empty line comes the body. */
#include "lib/signature.h"
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"

static const char kinds[] =
    "[{'signature': {'header': 'x-signature', 'key': 'key'}},"
    " {'signature': {'header': 'x-signature', 'key': 'key', 'encoding': 'base64', 'prefix': 'v1,'}},"
    " {'signature': {'header': 'x-signature', 'key': 'key', 'algorithm': 'sha512', 'key_encoding': 'base64', "
    "'key_prefix': 'whsec_'}},"
    " {'signature': {'header': 'x-signature', 'key': 'key', 'timestamp': 'x-timestamp', 'id': 'x-id',"
    "                'text': '{id}.{timestamp}.{body}'}},"
    " {'signature': {'header': 'x-signature', 'key': 'key', 'timestamp': 'x-timestamp', 'tolerance': '100d'}},"
    " {'token': {'header': 'x-token', 'prefix': 'Bearer ', 'key': 'key'}}]";

static json_t *headers; /* of the input in hand */

static json_t *parsed(const char *text)
{
    char *quoted = mem_strdup(text);
    for (char *c = quoted; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *value = json_parse(quoted, strlen(quoted), NULL);
    FUZZ_CHECK(value);
    free(quoted);
    return value;
}

static const json_t *keys_of(const char *setting, void *arg)
{
    (void)setting;
    return arg;
}

static const char *header_of(const char *name, void *arg)
{
    (void)arg;
    return json_string_value(json_object_get(headers, name));
}

static enum signature_verdict check(const json_t *words, json_t *keys, const char *body, size_t len)
{
    struct err err = ERR_INIT;
    struct signature_request request = {header_of, NULL, body, len, INT64_C(1700000000) * TIME_SECOND};
    enum signature_verdict verdict = signature_check(words, keys_of, keys, &request, &err);
    FUZZ_CHECK((verdict == SIGNATURE_GOOD) == (err.class == ERR_NONE));
    FUZZ_CHECK(!strstr(err_text(&err), "the-key-of"));
    FUZZ_CHECK(signature_verdict_name(verdict));
    err_release(&err);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *all, *keys, *other_keys;
    all = all ? all : parsed(kinds);
    keys = keys ? keys : parsed("['whsec_dGhlLWtleS1vZi1vbmNl', 'the-key-of-today']");
    other_keys = other_keys ? other_keys : parsed("['whsec_dGhlLWtleS1vZi1vdGhlcnM', 'the-key-of-others']");
    struct fuzz_input input = {data, size};
    headers = json_object();
    char *line;
    for (line = fuzz_line(&input); *line; free(line), line = fuzz_line(&input)) {
        char *colon = strstr(line, ": ");
        json_put_string(headers, line, colon ? (*colon = '\0', colon + 2) : "");
    }
    char *body = fuzz_bytes(&input);
    size_t i;
    json_t *words;
    json_array_foreach(all, i, words)
    {
        if (check(words, keys, body, input.left) == SIGNATURE_GOOD) {
            FUZZ_CHECK(check(words, other_keys, body, input.left) != SIGNATURE_GOOD);
            FUZZ_CHECK(json_object_get(words, "token") || check(words, keys, "other", 5) != SIGNATURE_GOOD);
        }
    }
    free(line);
    free(body);
    json_decref(headers);
    return 0;
}
