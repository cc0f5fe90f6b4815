#include "lib/expr_allow.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/nearest.h"

enum { LENGTH_MAX = 4000, NESTING_MAX = 64, GROWTH_MAX = 1024 };

/* Functions and words of jq 1.6 that end, and whose output is bounded by their input (some of them made so by the prelude
 * in expr_jq.c). gsub is missing on purpose: it never ends on an empty match. */
static const char *const allowed[] = {
    "IN",
    "INDEX",
    "add",
    "all",
    "and",
    "any",
    "arrays",
    "as",
    "ascii_downcase",
    "ascii_upcase",
    "booleans",
    "capture",
    "catch",
    "contains",
    "elif",
    "else",
    "empty",
    "end",
    "endswith",
    "error",
    "explode",
    "false",
    "first",
    "flatten",
    "floor",
    "from_entries",
    "fromdate",
    "fromdateiso8601",
    "fromjson",
    "gmtime",
    "group_by",
    "has",
    "if",
    "implode",
    "in",
    "index",
    "indices",
    "inside",
    "isempty",
    "join",
    "keys",
    "keys_unsorted",
    "last",
    "length",
    "ltrimstr",
    "map",
    "map_values",
    "match",
    "max",
    "max_by",
    "min",
    "min_by",
    "mktime",
    "not",
    "null",
    "nulls",
    "numbers",
    "objects",
    "or",
    "reverse",
    "rindex",
    "round",
    "rtrimstr",
    "scalars",
    "select",
    "sort",
    "sort_by",
    "split",
    "startswith",
    "strftime",
    "strings",
    "strptime",
    "sub",
    "test",
    "then",
    "to_entries",
    "todate",
    "todateiso8601",
    "tojson",
    "tonumber",
    "tostring",
    "true",
    "try",
    "type",
    "unique",
    "unique_by",
    "utf8bytelength",
    "values",
    "with_entries",
};

/* Of these, the ones that make much of little when repeated: the text of a text's text doubles each time. */
static const char *const growing[] = {"capture", "join", "match", "to_entries", "tojson"};

static const char *const formats[] = {"@base64", "@base64d", "@csv", "@html", "@json", "@sh", "@text", "@tsv", "@uri"};

/* The scanner's place: brackets around it, and whether an object's key may come next. */
struct scan {
    const char *at;
    char brackets[NESTING_MAX];       /* '(', '[', '{'; '"' for an interpolation */
    const char *callers[NESTING_MAX]; /* the function whose arguments a '(' opens, else NULL */
    const char *word;                 /* the function's name right before, NULL when something else is */
    int depth;
    long growth; /* by how much the stages before this one may multiply their input, at most */
    long stage;  /* growing operators since the last "|" */
    bool key_next;
    struct err *err;
};

static const char *find(const char *const *list, size_t count, const char *word, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == len && strncmp(list[i], word, len) == 0) {
            return list[i];
        }
    }
    return NULL;
}

static size_t word_length(const char *at)
{
    size_t len = 0;
    while (isalnum((unsigned char)at[len]) || at[len] == '_') {
        len++;
    }
    return len;
}

static int open_bracket(struct scan *scan, char bracket)
{
    if (scan->depth == NESTING_MAX) {
        return err_set(scan->err, ERR_PERMANENT, "nested more than %d deep", NESTING_MAX);
    }
    scan->callers[scan->depth] = bracket == '(' ? scan->word : NULL;
    scan->brackets[scan->depth++] = bracket;
    scan->word = NULL;
    scan->key_next = bracket == '{';
    return 0;
}

static bool in_object(const struct scan *scan)
{
    return scan->depth > 0 && scan->brackets[scan->depth - 1] == '{';
}

/* .+.|.+.|… doubles its input with every stage: the product over the stages is what is bounded. */
static int count_growth(struct scan *scan)
{
    scan->stage++;
    if (scan->growth * (1 + scan->stage) > GROWTH_MAX) {
        return err_set(
            scan->err, ERR_PERMANENT,
            "too many growing operators in stages one after another (\"+\", \",\", \"[]\", texts within texts): it "
            "could eat memory");
    }
    return 0;
}

static void next_stage(struct scan *scan)
{
    scan->growth *= 1 + scan->stage;
    scan->stage = 0;
}

/* Goes over a string's text up to its end or to an interpolation, whose expression is then scanned as usual. */
static int scan_string(struct scan *scan)
{
    for (;;) {
        if (*scan->at == '\0') {
            return err_set(scan->err, ERR_PERMANENT, "a string is not closed");
        }
        if (*scan->at == '"') {
            scan->at++;
            return 0;
        }
        if (*scan->at == '\\' && scan->at[1] == '(') {
            scan->at += 2;
            return count_growth(scan) != 0 ? -1 : open_bracket(scan, '"');
        }
        scan->at += *scan->at == '\\' && scan->at[1] ? 2 : 1;
    }
}

static int scan_word(struct scan *scan, bool is_field)
{
    const char *word = scan->at;
    size_t len = word_length(word);
    scan->at += len;
    bool is_key = in_object(scan) && scan->key_next;
    if (is_field || is_key) {
        return 0;
    }
    const char *known = find(allowed, COUNT_OF(allowed), word, len);
    if (known) {
        scan->word = known;
        return find(growing, COUNT_OF(growing), word, len) ? count_growth(scan) : 0;
    }
    char *name = mem_strndup(word, len);
    const char *near = nearest_name(name, allowed, COUNT_OF(allowed));
    if (near) {
        err_set(scan->err, ERR_PERMANENT, "\"%s\" is not allowed in an expression; did you mean \"%s\"?", name, near);
    } else {
        err_set(scan->err, ERR_PERMANENT, "\"%s\" is not allowed in an expression", name);
    }
    free(name);
    return -1;
}

static int scan_variable(struct scan *scan)
{
    scan->at++;
    size_t len = word_length(scan->at);
    if (len == 0 || strncmp(scan->at, "__", 2) == 0 || (len == 3 && strncmp(scan->at, "ENV", 3) == 0)) {
        return err_set(scan->err, ERR_PERMANENT, "\"$%.*s\" is not allowed in an expression", (int)len, scan->at);
    }
    scan->at += len;
    return 0;
}

static int scan_format(struct scan *scan)
{
    size_t len = 1 + word_length(scan->at + 1);
    if (!find(formats, COUNT_OF(formats), scan->at, len)) {
        return err_set(scan->err, ERR_PERMANENT, "there is no format \"%.*s\"", (int)len, scan->at);
    }
    scan->at += len;
    return count_growth(scan);
}

static int close_bracket(struct scan *scan)
{
    char open = scan->depth ? scan->brackets[--scan->depth] : '\0';
    char expected = *scan->at == ')' ? '(' : *scan->at == ']' ? '[' : '{';
    if (open == ';') { /* sub's second argument */
        open = '(';
    }
    bool interpolation = open == '"' && *scan->at == ')';
    if (open != expected && !interpolation) {
        return err_set(scan->err, ERR_PERMANENT, "\"%c\" closes nothing", *scan->at);
    }
    scan->at++;
    scan->key_next = false;
    return interpolation ? scan_string(scan) : 0;
}

/* Refuses what a function can't be given: jq 1.6 never ends, or crashes, when a pattern that matches nothing is sought
 * everywhere ("g"), which split/2 always does. */
static int scan_semicolon(struct scan *scan)
{
    static const char *const with_flags[] = {"capture", "match", "test"};
    const char *function = scan->depth ? scan->callers[scan->depth - 1] : NULL;
    scan->at++;
    if (!function) {
        return 0;
    }
    if (strcmp(function, "split") == 0) {
        return err_set(scan->err, ERR_PERMANENT, "split takes one argument, a plain text");
    }
    bool flags = find(with_flags, COUNT_OF(with_flags), function, strlen(function)) != NULL;
    bool second = strcmp(function, "sub") == 0 && scan->brackets[scan->depth - 1] == ';';
    if (flags || second) {
        return err_set(scan->err, ERR_PERMANENT, "%s takes no flags; begin the pattern with (?i), (?x) or (?s) instead",
                       function);
    }
    if (strcmp(function, "sub") == 0) {
        scan->brackets[scan->depth - 1] = ';';
    }
    return 0;
}

static int refuse_operator(struct scan *scan)
{
    const char *at = scan->at;
    if (at[0] == '*') {
        return err_set(scan->err, ERR_PERMANENT, "\"*\" is not allowed: a text times a number can eat memory");
    }
    if (at[0] == '%') {
        return err_set(scan->err, ERR_PERMANENT, "\"%%\" is not allowed: it can crash with large numbers");
    }
    if (at[0] == '#') {
        return err_set(scan->err, ERR_PERMANENT,
                       "\"#\" starts a comment; quote the whole YAML value and leave comments out");
    }
    if ((strchr("|+-/=", at[0]) && at[1] == '=' && !(at[0] == '=' && at[1] == '=')) || strncmp(at, "//=", 3) == 0 ||
        (at[0] == '=' && at[1] != '=')) {
        return err_set(scan->err, ERR_PERMANENT, "assignments are not allowed; build a new object instead");
    }
    return 0;
}

/* "=" alone and its kin assign; "==", "!=", "<=", ">=" compare. */
static int scan_operator(struct scan *scan)
{
    const char *at = scan->at;
    if (at[0] == ';') {
        return scan_semicolon(scan);
    }
    if (refuse_operator(scan) != 0) {
        return -1;
    }
    scan->at += strchr("=!<>", at[0]) && at[1] == '=' ? 2 : 1;
    if (at[0] == '|') {
        next_stage(scan);
    }
    return at[0] == '+' || at[0] == ',' ? count_growth(scan) : 0;
}

static int scan_token(struct scan *scan)
{
    const char *at = scan->at;
    if (isspace((unsigned char)*at)) {
        scan->at++;
        return 0;
    }
    if (*at == '(' || *at == '[' || *at == '{') {
        scan->at++;
        bool each = *at == '[' && at[1 + strspn(at + 1, " ")] == ']';
        return each && count_growth(scan) != 0 ? -1 : open_bracket(scan, *at);
    }
    scan->word = NULL;
    if (*at == ')' || *at == ']' || *at == '}') {
        return close_bracket(scan);
    }
    int result;
    if (*at == '"') {
        scan->at++;
        result = scan_string(scan);
    } else if (isdigit((unsigned char)*at)) {
        char *end;
        strtod(at, &end);
        scan->at = end;
        result = 0;
    } else if (isalpha((unsigned char)*at) || *at == '_') {
        result = scan_word(scan, false);
    } else if (*at == '.' && (isalpha((unsigned char)at[1]) || at[1] == '_')) {
        scan->at++;
        result = scan_word(scan, true);
    } else if (*at == '$') {
        result = scan_variable(scan);
    } else if (*at == '@') {
        result = scan_format(scan);
    } else {
        result = scan_operator(scan);
    }
    if (!(scan->depth && scan->brackets[scan->depth - 1] == '"' && *at == '"')) {
        scan->key_next = in_object(scan) && *at == ',';
    }
    return result;
}

int expr_allowed(const char *expression, struct err *err)
{
    if (strlen(expression) > LENGTH_MAX) {
        return err_set(err, ERR_PERMANENT, "the expression is longer than %d characters", LENGTH_MAX);
    }
    struct scan scan = {.at = expression, .growth = 1, .err = err};
    while (*scan.at) {
        if (scan_token(&scan) != 0) {
            return -1;
        }
    }
    return scan.depth ? err_set(err, ERR_PERMANENT, "a bracket is not closed") : 0;
}
