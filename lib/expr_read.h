/* Between the two halves of the parser: expr_read.c reads tokens, expr_parse.c puts them together. */
#ifndef OFFBOARD_LIB_EXPR_READ_H
#define OFFBOARD_LIB_EXPR_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/expr_node.h"

struct expr_reader {
    const char *text;
    const char *at;
    int depth; /* nested expressions around the place */
    struct err *err;
};

/* Where it stands, from the text's beginning. */
size_t expr_read_place(const struct expr_reader *reader);

/* Counts one level of nesting; -1 with an err when there are too many. Who comes back lessens `depth`. */
int expr_read_deeper(struct expr_reader *reader);

/* Moves to the next token and returns where it begins. */
const char *expr_read_next(struct expr_reader *reader);

/* Takes `token` when it comes next. "." and its like may be the beginning of a longer token: the caller knows. */
bool expr_read_take(struct expr_reader *reader, const char *token);

/* Length of the name at `at` ([A-Za-z_][A-Za-z0-9_]*), 0 when there is none. */
size_t expr_read_name(const char *at);

/* Takes `word` when it comes next as a whole. */
bool expr_read_word(struct expr_reader *reader, const char *word);

/* Takes `token`, or fails with an err. */
int expr_read_expect(struct expr_reader *reader, const char *token);

/* "… is not expected": at the reader's place. Returns NULL. */
struct expr_node *expr_read_unexpected(struct expr_reader *reader);

struct expr_node *expr_read_number(struct expr_reader *reader);

/* A text of which the opening quote comes next; `inner` reads an expression within it. LITERAL, or TEXT with expressions. */
struct expr_node *expr_read_text(struct expr_reader *reader, struct expr_node *(*inner)(struct expr_reader *reader));

#endif
