#include "lib/expr_paths.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

enum { NESTING_MAX = 128 };

/* What stands between two brackets, or between `if` and `end`. */
struct frame {
    char
        kind; /* '(', '[', '{', '"' for an interpolation, 'i' for an if, 'a' for arguments of which the second differs */
    bool entry;    /* its input is the context where it begins */
    bool root;     /* … and still is */
    bool binding;  /* an `as` was seen: the next "|" keeps the input */
    bool key_next; /* an object's key may come */
};

struct walk {
    const char *at;
    struct frame frames[NESTING_MAX];
    int depth;
    bool term;    /* a term just ended: what follows is a suffix or an operator */
    bool whole;   /* the context is read other than by path */
    bool stopped; /* not an expression */
    void (*each)(const char *path, void *arg);
    void *arg;
};

static bool among(const char *const *list, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static struct frame *top(struct walk *walk)
{
    return &walk->frames[walk->depth];
}

static void push(struct walk *walk, char kind, bool root)
{
    if (walk->depth + 1 == NESTING_MAX) {
        walk->stopped = true;
        return;
    }
    walk->frames[++walk->depth] = (struct frame){.kind = kind, .entry = root, .root = root, .key_next = kind == '{'};
    walk->term = false;
}

static void pop(struct walk *walk)
{
    walk->stopped = walk->stopped || walk->depth == 0;
    walk->depth -= walk->depth > 0;
    walk->term = true;
}

static size_t word_length(const char *at)
{
    size_t len = 0;
    while (isalnum((unsigned char)at[len]) || at[len] == '_') {
        len++;
    }
    return len;
}

static bool word_starts(const char *at)
{
    return isalpha((unsigned char)*at) || *at == '_';
}

/* To the string's end, or into its next interpolation. `at` is behind the quote. */
static void walk_string(struct walk *walk)
{
    while (*walk->at && *walk->at != '"') {
        if (walk->at[0] == '\\' && walk->at[1] == '(') {
            walk->at += 2;
            push(walk, '"', top(walk)->root);
            return;
        }
        walk->at += walk->at[0] == '\\' && walk->at[1] ? 2 : 1;
    }
    walk->at += *walk->at == '"';
    walk->term = true;
}

/* Length of a string without escapes and its quotes; 0 when it is another. */
static size_t plain_string(const char *at)
{
    size_t len = *at == '"' ? strcspn(at + 1, "\"\\") : 0;
    return *at == '"' && at[1 + len] == '"' ? len + 2 : 0;
}

/* One key at `at` (.a, ."a", ["a"]): adds it to `path` and returns its length, 0 when there is none. */
static size_t key_at(const char *at, bool first, struct buf *path)
{
    size_t skip = *at == '.' ? 1 : 0;
    size_t len = skip && word_starts(at + 1) ? word_length(at + 1) : 0;
    const char *key = at + 1;
    size_t length = 1 + len;
    if (!len) {
        size_t bracket = at[skip] == '[' && (first ? skip : true) ? 1 : 0;
        size_t quoted = bracket || skip ? plain_string(at + skip + bracket) : 0;
        if (!quoted || (bracket && at[skip + bracket + quoted] != ']')) {
            return 0;
        }
        key = at + skip + bracket + 1;
        len = quoted - 2;
        length = skip + 2 * bracket + quoted;
    }
    buf_adds(path, path->len ? "." : "");
    buf_add(path, key, len);
    return length;
}

/* A "." where a term begins: a path, or the input itself. */
static void walk_dot(struct walk *walk)
{
    struct buf path = BUF_INIT;
    size_t len = key_at(walk->at, true, &path);
    for (size_t more = len; more; len += more) {
        more = key_at(walk->at + len, false, &path);
    }
    if (!len) {
        walk->whole = walk->whole || top(walk)->root;
        walk->at += walk->at[1] == '.' ? 2 : 1;
    } else if (top(walk)->root && walk->each) {
        walk->each(buf_text(&path), walk->arg);
    }
    walk->at += len;
    walk->term = true;
    buf_release(&path);
}

/* Does the argument list that begins at `at` have a second argument? */
static bool second_argument(const char *at)
{
    int depth = 0;
    for (bool quoted = false; *at; at++) {
        if (*at == '\\' && at[1]) {
            at++;
        } else if (*at == '"') {
            quoted = !quoted;
        } else if (!quoted && strchr("([{", *at)) {
            depth++;
        } else if (!quoted && strchr(")]}", *at) && depth-- == 0) {
            return false;
        } else if (!quoted && *at == ';' && depth == 0) {
            return true;
        }
    }
    return false;
}

static void walk_call(struct walk *walk, const char *word)
{
    static const char *const no_input[] = {"empty", "error", "false", "first", "isempty", "last", "null", "true"};
    static const char *const each_item[] = {"group_by", "map",     "map_values", "max_by",
                                            "min_by",   "sort_by", "unique_by",  "with_entries"};
    static const char *const each_of_first[] = {"INDEX", "all", "any"};
    bool root = top(walk)->root;
    bool arguments = walk->at[strspn(walk->at, " ")] == '(';
    walk->term = true;
    if (!arguments) {
        bool constant = among(no_input, COUNT_OF(no_input), word) && strcmp(word, "first") != 0 &&
                        strcmp(word, "last") != 0 && strcmp(word, "error") != 0;
        walk->whole = walk->whole || (root && !constant);
        return;
    }
    walk->at += strspn(walk->at, " ") + 1;
    bool two = second_argument(walk->at);
    bool items = among(each_of_first, COUNT_OF(each_of_first), word);
    bool reads = !among(no_input, COUNT_OF(no_input), word) && !(items && two);
    walk->whole = walk->whole || (root && reads);
    bool differs = (items && two) || strcmp(word, "sub") == 0;
    push(walk, differs ? 'a' : '(', root && !among(each_item, COUNT_OF(each_item), word) && !(items && !two));
}

static void walk_keyword(struct walk *walk, const char *word)
{
    walk->term = false;
    if (strcmp(word, "if") == 0) {
        push(walk, 'i', top(walk)->root);
    } else if (strcmp(word, "end") == 0) {
        pop(walk);
    } else if (strcmp(word, "as") == 0) {
        top(walk)->binding = true;
    } else if (top(walk)->kind == 'i') { /* then, elif, else */
        top(walk)->root = top(walk)->entry;
    }
}

static void walk_word(struct walk *walk)
{
    static const char *const keywords[] = {"and", "as", "catch", "elif", "else", "end", "if", "or", "then", "try"};
    size_t len = word_length(walk->at);
    char *word = mem_strndup(walk->at, len);
    walk->at += len;
    struct frame *frame = top(walk);
    if (frame->kind == '{' && frame->key_next) {
        frame->key_next = false;
        walk->term = true;
        if (walk->at[strspn(walk->at, " ")] != ':' && frame->root && walk->each) {
            walk->each(word, walk->arg); /* {user} is {user: .user} */
        }
    } else if (among(keywords, COUNT_OF(keywords), word)) {
        walk_keyword(walk, word);
    } else {
        walk_call(walk, word);
    }
    free(word);
}

static void walk_operator(struct walk *walk)
{
    struct frame *frame = top(walk);
    char c = *walk->at++;
    if (c == '?') {
        return;
    }
    walk->term = false;
    if (c == '|') {
        frame->root = frame->root && frame->binding;
        frame->binding = false;
    } else if (c == ';') {
        frame->root = frame->entry && frame->kind != 'a';
    } else if (c == ',' && frame->kind == '{') {
        frame->root = frame->entry;
        frame->key_next = true;
    } else if (c == ':') {
        frame->key_next = false;
    }
}

static void walk_close(struct walk *walk)
{
    bool interpolation = *walk->at == ')' && top(walk)->kind == '"';
    walk->at++;
    pop(walk);
    if (interpolation) {
        walk_string(walk);
    }
}

static void walk_token(struct walk *walk)
{
    const char *at = walk->at;
    struct frame *frame = top(walk);
    if (isspace((unsigned char)*at)) {
        walk->at++;
    } else if (*at == '"') {
        size_t len = plain_string(at);
        bool key = len && at[len + strspn(at + len, " ")] == ':';
        walk->whole =
            walk->whole || (frame->kind == '{' && frame->key_next && frame->root && !key); /* {"user"} reads */
        walk->at++;
        walk_string(walk);
    } else if (strchr("([{", *at)) {
        walk->at++;
        push(walk, *at, frame->root);
    } else if (strchr(")]}", *at)) {
        walk_close(walk);
    } else if (*at == '.' && walk->term) {
        walk->at += 1 + word_length(at + 1); /* of a value that is in hand already */
    } else if (*at == '.' && !isdigit((unsigned char)at[1])) {
        walk_dot(walk);
    } else if (*at == '$' || *at == '@') {
        walk->whole = walk->whole || (*at == '@' && frame->root);
        walk->at += 1 + word_length(at + 1);
        walk->term = true;
    } else if (word_starts(at)) {
        walk_word(walk);
    } else if (isdigit((unsigned char)*at)) {
        walk->at += word_length(at);
        walk->term = true;
    } else {
        walk_operator(walk);
    }
}

bool expr_reads(const char *expression, void (*each)(const char *path, void *arg), void *arg)
{
    struct walk walk = {.at = expression, .each = each, .arg = arg};
    walk.frames[0] = (struct frame){.entry = true, .root = true};
    while (*walk.at && !walk.stopped) {
        walk_token(&walk);
    }
    return walk.whole || walk.stopped;
}
