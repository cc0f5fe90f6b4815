/* lib/yaml.h: configuration and definitions. What is read can be written as JSON, which is YAML as well, and reads the same; every node
 * has a line of the text. */
#include "lib/yaml.h"
#include "tests/fuzz/fuzz.h"

static void check_lines(const json_t *lines, const char *text, size_t len)
{
    json_int_t most = 1;
    for (size_t i = 0; i < len; i++) {
        most += text[i] == '\n' || text[i] == '\r';
    }
    const char *pointer;
    json_t *line;
    json_object_foreach((json_t *)(uintptr_t)lines, pointer, line)
    {
        FUZZ_CHECK(!*pointer || *pointer == '/');
        FUZZ_CHECK(json_integer_value(line) >= 1 && json_integer_value(line) <= most);
    }
}

/* Reads what is written: the same, where numbers are texts; they are rounded else, or stay text when they get too long. */
static void check_again(const json_t *value, const json_t *texts)
{
    char *written = json_text(value), *written_texts = json_text(texts);
    json_t *again = yaml_parse(written, strlen(written), "again", NULL, NULL);
    json_t *again_texts = yaml_parse_texts(written_texts, strlen(written_texts), "again", NULL, NULL);
    FUZZ_CHECK(again && (json_is_real(value) || json_typeof(again) == json_typeof(value)));
    FUZZ_CHECK(json_equal(texts, again_texts));
    json_decref(again_texts);
    json_decref(again);
    free(written_texts);
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct err err = ERR_INIT;
    char *text = fuzz_bytes(&input);
    json_t *lines = NULL;
    json_t *value = yaml_parse(text, size, "file", &lines, &err);
    if (value) {
        check_lines(lines, text, size);
    } else {
        FUZZ_CHECK(err.class == ERR_PERMANENT && strncmp(err_text(&err), "file", 4) == 0);
    }
    json_t *texts = yaml_parse_texts(text, size, "file", NULL, NULL);
    FUZZ_CHECK((value == NULL) == (texts == NULL));
    if (texts) {
        check_again(value, texts);
    }
    json_decref(texts);
    json_decref(value);
    if (value) {
        json_decref(lines);
    }
    err_release(&err);
    free(text);
    return 0;
}
