/* For tests of definitions: a customer's directories in a temporary place, loaded beside what is shipped. */
#ifndef OFFBOARD_TESTS_UNIT_DEFINITIONS_H
#define OFFBOARD_TESTS_UNIT_DEFINITIONS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/definition.h"
#include "lib/json.h"
#include "lib/mem.h"

static const char *const kinds[] = {"sources", "runbooks", "connectors"};

/* A customer's three directories, and what was loaded from them. */
struct fixture {
    char *directory;
    struct conf *conf;
    struct definitions *definitions;
    struct definition_problems problems;
};

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static inline int definitions_setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    char template[] = "/tmp/offboard-definition-XXXXXX";
    fixture->directory = mem_strdup(mkdtemp(template));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        char *path = mem_printf("%s/%s", fixture->directory, kinds[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    char *path = mem_printf("%s/offboard.yaml", fixture->directory);
    char *text =
        mem_printf("definitions: {sources: [%s/sources], runbooks: [%s/runbooks], connectors: [%s/connectors]}\n",
                   fixture->directory, fixture->directory, fixture->directory);
    write_text(path, text);
    fixture->conf = conf_load(path, NULL);
    free(text);
    free(path);
    *state = fixture;
    return fixture->conf ? 0 : -1;
}

static inline int definitions_teardown(void **state)
{
    struct fixture *fixture = *state;
    definition_problems_release(&fixture->problems);
    definitions_free(fixture->definitions);
    conf_free(fixture->conf);
    char *command = mem_printf("rm -rf '%s'", fixture->directory);
    int result = system(command);
    free(command);
    free(fixture->directory);
    free(fixture);
    return result;
}

static inline void put(struct fixture *fixture, const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", fixture->directory, name);
    write_text(path, text);
    free(path);
}

static inline void load(struct fixture *fixture)
{
    struct err err = ERR_INIT;
    definition_problems_release(&fixture->problems);
    definitions_free(fixture->definitions);
    fixture->definitions = definitions_load(fixture->conf, &fixture->problems, &err);
    if (!fixture->definitions) {
        fail_msg("%s", err_text(&err));
    }
}

static inline void print_all(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->problems.count; i++) {
        const struct definition_problem *problem = &fixture->problems.items[i];
        print_error("%s:%d: %s%s\n", problem->file, problem->line, problem->warning ? "warning: " : "", problem->text);
    }
}

/* Is there a problem in a file of that name, on that line, whose text has that part? */
static inline bool has(const struct fixture *fixture, const char *file, int line, const char *part)
{
    for (size_t i = 0; i < fixture->problems.count; i++) {
        const struct definition_problem *problem = &fixture->problems.items[i];
        const char *base = strrchr(problem->file, '/');
        if (base && strcmp(base + 1, file) == 0 && problem->line == line && strstr(problem->text, part)) {
            return true;
        }
    }
    return false;
}

static inline void assert_has(const struct fixture *fixture, const char *file, int line, const char *part)
{
    if (!has(fixture, file, line, part)) {
        print_all(fixture);
        fail_msg("no problem at %s:%d with \"%s\"", file, line, part);
    }
}

/* Problems of the test's own files, and errors of what is shipped: that something shipped can't be read back is said there. */
static inline void assert_count(const struct fixture *fixture, size_t count)
{
    size_t seen = 0;
    for (size_t i = 0; i < fixture->problems.count; i++) {
        const struct definition_problem *problem = &fixture->problems.items[i];
        bool own = strncmp(problem->file, fixture->directory, strlen(fixture->directory)) == 0;
        seen += own || !problem->warning;
    }
    if (seen != count) {
        print_all(fixture);
    }
    assert_int_equal(seen, count);
}

#endif
