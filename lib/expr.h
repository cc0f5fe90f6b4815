/* Expressions: `${ … }` in a YAML string is a jq expression; a string may mix text and expressions.
 *
 *   "${ .user.email }"            the value with its type
 *   "SSWS ${ .settings.token }"   text
 *   "plain"                       itself
 *
 * Refused when compiled: whatever could loop, import, read the environment or eat memory (a token allow-list: unknown
 * functions, def, import, include, range, repeat, while, until, recurse, input, env, $ENV, limit, gsub, "*", "%", flags of patterns …
 * are errors that name the token), an unclosed `${` (the error names the remedy: quote the string; write "$${" for a literal). Plain paths
 * (.a.b, .a["b-c"]) are evaluated without jq. Integers above 2^53 travel as strings. Evaluation never changes its input.
 *
 * A set belongs to one thread. */
#ifndef OFFBOARD_LIB_EXPR_H
#define OFFBOARD_LIB_EXPR_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/err.h"

struct expr_set;

struct expr_set *expr_set_new(void);
void expr_set_free(struct expr_set *set);

/* Checks one string (which may hold none, one or several expressions) and remembers it for expr_set_compile(). The err's
 * text says what is wrong and where in the string. */
int expr_check(struct expr_set *set, const char *text, struct err *err);

/* Compiles everything remembered in a few jq programs (one of 256 expressions: some 70 ms; one by one 15 ms each; one of 1,500:
 * seconds, as compiling takes the square of their number: tried). Optional: what
 * was not compiled before is compiled on first use and kept, at most 4,096 of them. */
int expr_set_compile(struct expr_set *set, struct err *err);

/* Value of a template: every string within `tmpl` (any JSON) that holds expressions is replaced by its value in `context`
 * (an object). A string that is one expression keeps the value's type; an expression that yields nothing is null, several
 * values are an error, null inside a longer text is an error. An error of jq is ERR_PERMANENT and names the expression.
 * New reference. */
json_t *expr_render(struct expr_set *set, const json_t *tmpl, const json_t *context, struct err *err);

/* As expr_render() for a text, with the result as text (numbers and booleans as JSON writes them). null, and an object or
 * array, are errors. The caller frees. */
char *expr_text(struct expr_set *set, const char *text, const json_t *context, struct err *err);

/* A predicate: `tmpl` is a string template, a JSON boolean, or NULL (gives `otherwise`). An error inside is false (design);
 * null and false are false, the rest true. */
bool expr_true(struct expr_set *set, const json_t *tmpl, const json_t *context, bool otherwise);

/* Just past the "}" that closes the expression at `open` ("${ …"); the end of the text when nothing closes it. */
const char *expr_end(const char *open);

/* Does the text hold an expression? */
bool expr_has(const char *text);

/* Calls `each` for every top-level path an expression of `text` reads (".user.manager.email" gives "user.manager.email"),
 * as far as it can be told without running it; for validation (`.user.manager` without a guarantee, unknown steps). */
void expr_paths(const char *text, void (*each)(const char *path, void *arg), void *arg);

#endif
