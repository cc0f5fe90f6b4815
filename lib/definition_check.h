/* Between definition.c and the checks of sources, runbooks and connectors. */
#ifndef OFFBOARD_LIB_DEFINITION_CHECK_H
#define OFFBOARD_LIB_DEFINITION_CHECK_H

#include <stdbool.h>

#include "lib/definition.h"

/* One definition under examination. */
struct check {
    const struct definition *definition;
    const struct definitions *definitions; /* for cross-references; NULL while only one file is looked at */
    struct definition_problems *problems;
    struct expr_set *exprs;
};

/* What a key's value must be. */
enum check_kind { CHECK_ANY, CHECK_TEXT, CHECK_TEMPLATE, CHECK_PREDICATE, CHECK_DURATION, CHECK_BOOL, CHECK_INT, CHECK_MAP, CHECK_LIST };

/* A word of the vocabulary. `later` words are known, but nothing executes them in this version: they are refused. */
struct check_key {
    const char *name;
    enum check_kind kind;
    bool required;
    bool later;
};

/* Adds a problem at the line of `pointer` (or of its nearest parent that has one). */
void check_problem(struct check *check, const char *pointer, const char *format, ...) __attribute__((format(printf, 3, 4)));
void check_warning(struct check *check, const char *pointer, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Checks that `value` is a map with only the `keys`, each of its kind, with nothing required missing. False when it is no
 * map. */
bool check_map(struct check *check, const char *pointer, const json_t *value, const struct check_key *keys, size_t count);

/* Checks every expression within `value`. */
void check_expressions(struct check *check, const char *pointer, const json_t *value);

/* "; did you mean …?" or "" for a wrong name. The caller frees. */
char *check_hint(const char *wrong, const char *const *right, size_t count);
char *check_hint_keys(const char *wrong, const json_t *object);

void check_source(struct check *check);
void check_runbook(struct check *check);
void check_connector(struct check *check);

#endif
