/* lib/utf8.h, lib/text.h: what is UTF-8 is so for jansson as well, which judges all that goes into events; and a text that is cut stays UTF-8.
 * The first byte is how many bytes are kept. */
#include "lib/text.h"
#include "lib/utf8.h"
#include "tests/fuzz/fuzz.h"

static bool is_json_text(const char *text, size_t len)
{
    json_t *value = json_stringn(text, len);
    json_decref(value);
    return value != NULL;
}

static void check_cut(const char *text, size_t max)
{
    char *kept = text_shortened(text, max);
    size_t len = text_cut(text, max);
    FUZZ_CHECK(len <= max && strncmp(kept, text, len) == 0);
    FUZZ_CHECK(is_json_text(kept, strlen(kept)));
    FUZZ_CHECK(strlen(text) > max || strcmp(kept, text) == 0);
    free(kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t max = size ? data[0] % 64 : 0;
    struct fuzz_input input = {data + (size > 0), size - (size > 0)};
    char *bytes = fuzz_bytes(&input), *text = fuzz_text(&input);
    size_t valid = utf8_valid(bytes, input.left);
    FUZZ_CHECK(valid <= input.left && is_json_text(bytes, valid));
    FUZZ_CHECK((valid == input.left) == is_json_text(bytes, input.left));
    if (utf8_valid(text, strlen(text)) == strlen(text)) {
        check_cut(text, max);
    }
    free(text);
    free(bytes);
    return 0;
}
