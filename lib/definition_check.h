/* Between definition.c and the checks of sources, runbooks and connectors. */
#ifndef OFFBOARD_LIB_DEFINITION_CHECK_H
#define OFFBOARD_LIB_DEFINITION_CHECK_H

#include <stdbool.h>

#include "lib/definition.h"
#include "lib/expr.h"

/* One definition under examination. */
struct check {
    const struct definition *definition;
    const struct definitions *definitions; /* for cross-references; NULL while only one file is looked at */
    struct definition_problems *problems;
    struct expr_set *exprs;
};

/* What a key's value must be. */
enum check_kind {
    CHECK_ANY,
    CHECK_TEXT,
    CHECK_NAME,      /* letters, digits, "-" and "_": it stands in ids, topics and paths of expressions */
    CHECK_TEMPLATE,  /* a text that may hold expressions, or a number */
    CHECK_PREDICATE, /* an expression, true or false */
    CHECK_DURATION,
    CHECK_BOOL,
    CHECK_COUNT, /* a whole number above 0, or an expression */
    CHECK_MAP,
    CHECK_LIST,
    CHECK_TEXTS, /* a list of texts */
};

/* A word of the vocabulary. */
struct check_key {
    const char *name;
    enum check_kind kind;
    bool required;
};

/* Adds a problem at the line of `pointer` (or of its nearest parent that has one). */
void check_problem(struct check *check, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_warning(struct check *check, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks that `value` is a map with only the `keys`, each of its kind, with nothing required missing. False when it is no
 * map. */
bool check_map(struct check *check, const char *pointer, const json_t *value, const struct check_key *keys,
               size_t count);

/* Checks every expression within `value` against the allow-list, and remembers it to be compiled. */
void check_expressions(struct check *check, const char *pointer, const json_t *value);

/* Names the expressions within `value` that jq refused when the set was compiled. */
void check_refused(struct check *check, const char *pointer, const json_t *value);

/* Calls `each` for every path of the context that an expression within `value` reads, with the pointer of its text. */
typedef void check_path_fn(struct check *check, const char *pointer, const struct expr_path *path, void *arg);
void check_paths(struct check *check, const char *pointer, const json_t *value, check_path_fn *each, void *arg);

/* The member of `owner` ("steps", a plain path) that a path reads; NULL when it reads none. */
const char *check_path_member(const struct expr_path *path, const char *owner);

/* A problem when the name at step `i` of the path, if there is one, is none of `members`. */
void check_member(struct check *check, const char *pointer, const struct expr_path *path, size_t i,
                  const char *const *members, size_t count);

/* "; did you mean …?" or "" for a wrong name. The caller frees. */
char *check_hint(const char *wrong, const char *const *right, size_t count);
char *check_hint_keys(const char *wrong, const json_t *object);

void check_source(struct check *check);
void check_proof(struct check *check);   /* a source's `signature`, `token` and `jwt` */
void check_webhook(struct check *check); /* and what else it says of requests that come in */
void check_polled(struct check *check);  /* a source's `poll` */
void check_runbook(struct check *check);
void check_connector(struct check *check);

#endif
