/* Between expr_code.c (trees become code), expr_run.c (runs it), expr_builtin.c and expr_function.c (words), and expr_order.c (the order of values). */
#ifndef OFFBOARD_LIB_EXPR_RUN_H
#define OFFBOARD_LIB_EXPR_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/expr.h"

/* How a part of an evaluation ended. */
enum code_end {
    CODE_DONE = 0,
    CODE_ENOUGH = 1,  /* who takes the values wants no more */
    CODE_ERROR = -1,  /* an error of jq, which `?` may catch */
    CODE_BEYOND = -2, /* jq has to evaluate the whole */
};

enum code_op {
    CODE_LITERAL,
    CODE_INPUT,
    CODE_VARIABLE,
    CODE_INDEX, /* term, key */
    CODE_SLICE, /* term */
    CODE_EACH,  /* term */
    CODE_TRY,   /* without a handler */
    CODE_PIPE,
    CODE_COMMA,
    CODE_ALTERNATIVE,
    CODE_AND,       /* left, right */
    CODE_OR,        /* left, right */
    CODE_OPERATION, /* left, right: `operation` */
    CODE_NEGATIVE,
    CODE_IF,     /* condition, value, condition, value …, else */
    CODE_AS,     /* source, body: `slot` */
    CODE_TEXT,   /* parts */
    CODE_LIST,   /* nothing or what it holds */
    CODE_OBJECT, /* key, value, key, value …: the keys are literals */
    CODE_CALL,   /* arguments */
};

struct run;

/* Takes one value (borrowed). */
typedef enum code_end code_taker(json_t *value, void *arg);

struct expr_code {
    enum code_op op;
    struct expr_code **parts;
    size_t count;
    json_t *value;  /* of a literal; borrowed from the tree, as the tree's owner sees to it */
    size_t slot;    /* of a variable; of a call: which of the words that the function does */
    char operation; /* + - * / = ! < > l g */
    struct expr_segment slice;
    bool optional; /* of INDEX, SLICE, EACH: what has no such place yields nothing */
    enum code_end (*call)(struct run *run, const struct expr_code *call, json_t *input, code_taker *take, void *arg);
};

enum { CODE_SLOTS = 16 /* variables of one expression */ };

/* One evaluation. */
struct run {
    json_t *slots[CODE_SLOTS];
    size_t steps; /* that are left, so that what would run for long is left to jq, which is stopped */
    size_t bytes; /* that may still be made */
};

/* Hands every value of `code` for `input` to `take`. */
enum code_end code_run(struct run *run, const struct expr_code *code, json_t *input, code_taker *take, void *arg);

/* The only value of `code`; CODE_BEYOND unless there is exactly one. New reference. */
enum code_end code_only(struct run *run, const struct expr_code *code, json_t *input, json_t **value);

/* All values of `code` in a list. New reference; NULL unless the end is CODE_DONE. */
enum code_end code_list(struct run *run, const struct expr_code *code, json_t *input, json_t **list);

/* Every item of a list or member of an object. */
enum code_end code_each(struct run *run, json_t *value, code_taker *take, void *arg);

/* Takes so much of what may still be made. */
enum code_end code_spend(struct run *run, size_t bytes);

/* Hands a new value over, and releases it. */
enum code_end code_give(json_t *made, code_taker *take, void *arg);

bool code_true(const json_t *value);

/* The text that `tostring` makes, or a text within a text. CODE_BEYOND for numbers with a fraction, lists and objects. New reference. */
enum code_end code_text(json_t *value, json_t **text);

/* left `operation` right. New reference. */
enum code_end code_operate(struct run *run, char operation, json_t *left, json_t *right, json_t **value);

typedef enum code_end code_call(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                                void *arg);

/* ---- expr_function.c --------------------------------------------------------------------------------------------------------------- */

/* As code_word(), of words that make one value of their input, or of their input and an argument. */
code_call *code_function(const char *name, size_t arguments, size_t *slot);

/* ---- expr_builtin.c ---------------------------------------------------------------------------------------------------------------- */

/* The function that does the word, and the slot of its calls; NULL when jq has to. */
code_call *code_word(const char *name, size_t arguments, size_t *slot);

/* ---- expr_order.c ------------------------------------------------------------------------------------------------------------------ */

/* jq's order of all values: null, false, true, numbers, texts, lists, objects. */
int code_compare(const json_t *a, const json_t *b);
/* A new list, in the order of `keys` (one for each item), which is jq's order and keeps equal ones as they were. `merge`: only the
 * first of each that are equal. */
json_t *code_sort(json_t *list, json_t *keys, bool merge);
/* jq's `contains`. CODE_ERROR when they are of different kinds. */
enum code_end code_contains(const json_t *value, const json_t *part, bool *contains);

#endif
