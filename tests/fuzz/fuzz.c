#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <unistd.h>

char *fuzz_line(struct fuzz_input *input)
{
    if (!input->left) {
        return mem_strdup("");
    }
    const uint8_t *end = memchr(input->at, '\n', input->left);
    size_t len = end ? (size_t)(end - input->at) : input->left;
    struct fuzz_input line = {input->at, len};
    input->at += len + (end != NULL);
    input->left -= len + (end != NULL);
    return fuzz_text(&line);
}

char *fuzz_text(const struct fuzz_input *input)
{
    size_t len = input->left ? strnlen((const char *)input->at, input->left) : 0;
    return mem_strndup(input->left ? (const char *)input->at : "", len);
}

char *fuzz_bytes(const struct fuzz_input *input)
{
    char *bytes = malloc(input->left ? input->left : 1); /* mem_alloc() may round up */
    if (input->left) {
        memcpy(bytes, input->at, input->left);
    }
    return bytes;
}

static char directory[64];

static void remove_directory(void)
{
    char *command = mem_printf("rm -rf '%s'", directory);
    if (system(command) != 0) {
        fprintf(stderr, "could not remove %s\n", directory);
    }
    free(command);
}

const char *fuzz_directory(void)
{
    if (!*directory) {
        const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(directory, sizeof directory, "%s/offboard-fuzz-XXXXXX", place);
        FUZZ_CHECK(mkdtemp(directory));
        atexit(remove_directory);
    }
    return directory;
}

void fuzz_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file);
    FUZZ_CHECK(fwrite(data, 1, size, file) == size);
    FUZZ_CHECK(fclose(file) == 0);
}

/* What the leak sanitizer overlooks: libfyaml (0.7) keeps a little of each faulty text, libjq (1.6) of each expression that does not compile
 * (tried; both with nothing of ours left). Leaks of our own through them show in the unit tests, which run without this. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml\nleak:libjq\n";
}
