/* Between the files of expr: which of jq's words an expression may use. docs/connectors.md lists them; a test compares. */
#ifndef OFFBOARD_LIB_EXPR_WORDS_H
#define OFFBOARD_LIB_EXPR_WORDS_H

#include <stddef.h>

#include "lib/err.h"

struct expr_word {
    const char *name;
    unsigned least, most; /* arguments */
    unsigned growth;      /* by how much its output may be larger than its input, 1 when it is not (see expr_allow.h) */
};

const struct expr_word *expr_words(size_t *count);
const char *const *expr_formats(size_t *count); /* with their "@" */

/* The word with so many arguments; NULL with an err that says what to write instead. */
const struct expr_word *expr_word_find(const char *name, size_t arguments, struct err *err);

/* Fails with an err that says what to write instead. */
int expr_word_refuse(const char *name, struct err *err);

int expr_format_check(const char *name, struct err *err);

/* What is called for a format that jq doesn't know (@md5, @sha1 …); NULL for one that it knows. */
const char *expr_format_call(const char *name);

#endif
