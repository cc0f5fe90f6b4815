/* lib/definition.h, lib/runbook.h, lib/plan.h: connectors, runbooks and sources as customers write them. Whatever is wrong is a problem with a
 * file and a line; what loads without one can be planned. The first line is the kind and the name of the file's directory. */
#include <sys/stat.h>

#include "lib/definition.h"
#include "lib/plan.h"
#include "lib/runbook.h"
#include "lib/shipped.h"
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"

/* In place of lib/shipped.c: the definitions that are always there are the golden ones. */
char *shipped_directory(const char *what)
{
    return mem_printf("tests/golden/v1/definitions/%s", what);
}

static const char *const kinds[] = {"sources", "runbooks", "connectors"};

static struct conf *conf_of_directories(void)
{
    char *path = mem_printf("%s/offboard.yaml", fuzz_directory());
    char *text =
        mem_printf("definitions: {sources: [%s/sources], runbooks: [%s/runbooks], connectors: [%s/connectors]}\n",
                   fuzz_directory(), fuzz_directory(), fuzz_directory());
    fuzz_write(path, text, strlen(text));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        char *directory = mem_printf("%s/%s", fuzz_directory(), kinds[i]);
        mkdir(directory, 0700);
        free(directory);
    }
    struct conf *conf = conf_load(path, NULL);
    FUZZ_CHECK(conf);
    free(text);
    free(path);
    return conf;
}

static void check_plans(const struct definitions *definitions)
{
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_RUNBOOK); i++) {
        const struct definition *runbook = definition_item(definitions, DEFINITION_RUNBOOK, i);
        json_t *offboarding = json_pack("{s:s, s:s, s:s}", "id", "5f102b3d-cd48-5792-8cab-975d70c6bb02", "runbook",
                                        runbook->name, "source", "golden-hr");
        struct err err = ERR_INIT;
        json_t *plan = plan_build(definitions, offboarding, TIME_DAY, &err);
        FUZZ_CHECK(plan);
        json_decref(plan_first_wave(plan));
        json_decref(plan);
        json_decref(offboarding);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf *conf;
    conf = conf ? conf : conf_of_directories();
    struct fuzz_input input = {data, size};
    char *kind = fuzz_line(&input);
    const char *directory = kinds[*kind == 's' ? 0 : *kind == 'r' ? 1 : 2];
    char *path = mem_printf("%s/%s/fuzz.yaml", fuzz_directory(), directory);
    struct err err = ERR_INIT;
    fuzz_write(path, input.at, input.left);
    struct definitions *definitions = definitions_load_or_fail(conf, &(struct definition_use){0}, &err);
    if (definitions) {
        check_plans(definitions);
    } else {
        FUZZ_CHECK(err.class == ERR_FATAL && strstr(err_text(&err), ".yaml:"));
    }
    definitions_free(definitions);
    err_release(&err);
    remove(path);
    free(path);
    free(kind);
    return 0;
}
