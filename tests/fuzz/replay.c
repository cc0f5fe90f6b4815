/* Runs a fuzz target with the inputs of its corpus, or with the files that are named: what once was a finding stays a test. The output
 * is cmocka's, for scripts/unit-tests; after a crash the last name printed is the input's. */
#include <dirent.h>

#include "lib/yaml.h"
#include "tests/fuzz/fuzz.h"

static void replay(const char *path)
{
    size_t size;
    struct err err = ERR_INIT;
    fprintf(stderr, "%s\n", path);
    char *data = yaml_read_file(path, &size, &err);
    if (!data) {
        fprintf(stderr, "%s\n", err_text(&err));
        exit(2);
    }
    struct fuzz_input input = {(const uint8_t *)data, size};
    char *exact = fuzz_bytes(&input);
    LLVMFuzzerTestOneInput((const uint8_t *)exact, size);
    free(exact);
    free(data);
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* All files of corpus/NAME, in the order of their names. */
static void replay_corpus(const char *name)
{
    char *folder = mem_printf("tests/fuzz/corpus/%s", name);
    struct dirent **entries;
    int count = scandir(folder, &entries, no_dots, alphasort);
    if (count <= 0) {
        fprintf(stderr, "there are no files in %s (the working directory must be the checkout)\n", folder);
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        char *path = mem_printf("%s/%s", folder, entries[i]->d_name);
        replay(path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *program = slash ? slash + 1 : argv[0]; /* fuzz_NAME */
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    if (argc == 1) {
        replay_corpus(program + strlen("fuzz_"));
    }
    printf("[       OK ] %s\n", program);
    return 0;
}
