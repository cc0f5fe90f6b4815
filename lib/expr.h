/* Expressions: `${ … }` in a YAML string is a jq expression; a string may mix text and expressions.
 *
 *   "${ .user.email }"            the value with its type
 *   "SSWS ${ .settings.token }"   text
 *   "plain"                       itself
 *
 * An expression is checked before it is used: its grammar, its words (docs/connectors.md lists them), its literal patterns, its
 * growth. The error says what is wrong, and what to write instead; "$${" is a literal "${". What it may cost when it is evaluated is
 * limited (expr_limit.h). Plain paths (.a.b, .a["b-c"]) and most other expressions are evaluated without jq (expr_code.h). Integers above 2^53 travel as strings. Evaluation
 * never changes its input.
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

/* Checks one string (which may hold none, one or several expressions) and keeps it for as long as the set lives. The err's text
 * says what is wrong and where in the string. */
int expr_check(struct expr_set *set, const char *text, struct err *err);

/* Compiles what was checked and needs jq in a few jq programs (one of 256 expressions: some 70 ms; one by one 15 ms each; one of
 * 1,500: seconds, as compiling takes the square of their number: tried). Optional: the rest is compiled on first use, and so is what needs
 * jq only for an unusual value; jq takes all of that (tests/fuzz/fuzz_jq.c). Of texts that were never checked, the 2,048 that were used
 * last are kept. */
int expr_set_compile(struct expr_set *set, struct err *err);

/* What jq says against an expression of `text`, once expr_set_compile() has failed; NULL when it takes them. Borrowed. */
const char *expr_set_refused(const struct expr_set *set, const char *text);

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

/* ---- what expressions read ---------------------------------------------------------------------------------------------- */

enum expr_segment_kind {
    EXPR_SEGMENT_NAME,  /* .name, ["name"] */
    EXPR_SEGMENT_INDEX, /* [3], [-1], first, last */
    EXPR_SEGMENT_SLICE, /* [2:5], [:-1] */
};

struct expr_bound {
    bool open; /* not given */
    json_int_t at;
};

struct expr_segment {
    enum expr_segment_kind kind;
    const char *name;           /* of a name */
    json_int_t index;           /* of an index */
    struct expr_bound from, to; /* of a slice */
};

/* A place of the context that an expression reads. */
struct expr_path {
    const struct expr_segment *segments;
    size_t count;  /* 0: the context as a whole (`.`, `keys`; not complete: `.[$name]`) */
    bool iterated; /* each of its items is taken right there: .body.users[], `[]?` */
    bool complete; /* false: only data say what is read below it (.a[.b], `..`) */
};

typedef void expr_path_fn(const struct expr_path *path, void *arg);

/* Calls `each` for every path of the context that the expressions of `text` read, as often as it is read. It follows
 * members, indices and slices with literal bounds, `|`, `as` with its patterns, `//`, `,`, `if`, `try`, `first`, `last`,
 * `select` and its like: `.body as $b | ($b.users // [])[] | .id` reads body.users, iterated. It doesn't look into what was
 * computed: items behind `[]` and within map(…), members of an object that the expression itself builds; `.a | map(.b)` and
 * `.a | length` read a. A member that is looked up is read, whatever is done with it. A text that is not valid reads what stands
 * before its first wrong expression. The path lives as long as the call. */
void expr_paths(const char *text, expr_path_fn *each, void *arg);
/* The same of a text that may be in the set, which has taken it apart already. `set` may be NULL. */
void expr_set_paths(const struct expr_set *set, const char *text, expr_path_fn *each, void *arg);

/* Does `text` read the member `first` of the context (.status) by name? The same of any text within a JSON value. */
bool expr_reads(const char *text, const char *first);
bool expr_reads_in(const json_t *value, const char *first);

/* The name at step `i`; NULL when there is none, or it is an index or a slice. */
const char *expr_path_name(const struct expr_path *path, size_t i);

/* Is it the place "a.b" (plain names) or one within it? */
bool expr_path_within(const struct expr_path *path, const char *place);

/* As an expression writes it, without the dot in front: body.users[0], body[".tag"], body.items[-2:]. The caller frees. */
char *expr_path_text(const struct expr_path *path);

/* What stands there, null when nothing does. New reference. */
json_t *expr_path_value(const struct expr_path *path, const json_t *context);

#endif
