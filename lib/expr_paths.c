/* What an expression reads: its tree is walked with places of the context instead of values. A value that may be one of several
 * places (`.a // .b`, `if`) is all of them; one that was computed is none. */
#include "lib/expr_paths.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

enum { PLACES_MAX = 16 };

struct place {
    const struct place *outer; /* NULL: the context itself */
    struct expr_segment segment;
    bool touched; /* said already, or a place within it is */
    struct place *next_made;
};

struct value {
    struct place *places[PLACES_MAX];
    size_t count;
};

struct binding {
    const char *name;
    struct value value;
    struct binding *outer;
};

struct walk {
    expr_path_fn *each;
    void *arg;
    struct place context;
    struct place *first_made;
    struct place **last_made;
    struct binding *bindings;
};

static const struct value nowhere = {.count = 0};

static struct value value_of(struct walk *walk, const struct expr_node *node, const struct value *input);

/* ---- places -------------------------------------------------------------------------------------------------------------- */

static void say(struct walk *walk, struct place *place, bool iterated, bool complete)
{
    size_t count = 0;
    place->touched = true;
    for (const struct place *at = place; at->outer; at = at->outer) {
        count++;
    }
    struct expr_segment *segments = mem_alloc((count + 1) * sizeof *segments);
    size_t i = count;
    for (const struct place *at = place; at->outer; at = at->outer) {
        segments[--i] = at->segment;
    }
    struct expr_path path = {segments, count, iterated, complete};
    walk->each(&path, walk->arg);
    free(segments);
}

static void say_all(struct walk *walk, const struct value *value, bool iterated, bool complete)
{
    for (size_t i = 0; i < value->count; i++) {
        say(walk, value->places[i], iterated, complete);
    }
}

/* The value is read as it is. */
static void use(struct walk *walk, struct value value)
{
    say_all(walk, &value, false, true);
}

static void use_node(struct walk *walk, const struct expr_node *node, const struct value *input)
{
    use(walk, value_of(walk, node, input));
}

static struct place *place_within(struct walk *walk, struct place *outer, struct expr_segment segment)
{
    struct place *place = MEM_NEW(struct place);
    place->outer = outer;
    place->segment = segment;
    outer->touched = true;
    *walk->last_made = place;
    walk->last_made = &place->next_made;
    return place;
}

static struct value value_within(struct walk *walk, const struct value *outer, struct expr_segment segment)
{
    struct value value = nowhere;
    for (size_t i = 0; i < outer->count; i++) {
        value.places[value.count++] = place_within(walk, outer->places[i], segment);
    }
    return value;
}

/* Both; what has no room is read as it is. */
static void join(struct walk *walk, struct value *value, struct value more)
{
    for (size_t i = 0; i < more.count; i++) {
        if (value->count < PLACES_MAX) {
            value->places[value->count++] = more.places[i];
        } else {
            say(walk, more.places[i], false, true);
        }
    }
}

/* ---- steps --------------------------------------------------------------------------------------------------------------- */

/* The whole number that a node is; false when it is none. */
static bool integer(const struct expr_node *node, json_int_t *number)
{
    bool negative = node->kind == EXPR_NEGATIVE && node->children[0]->kind == EXPR_LITERAL;
    const json_t *value = negative ? node->children[0]->value : node->kind == EXPR_LITERAL ? node->value : NULL;
    *number = negative ? -json_integer_value(value) : json_integer_value(value);
    return json_is_integer(value);
}

static bool bound(const struct expr_node *node, struct expr_bound *bound)
{
    bound->open = node->kind == EXPR_LITERAL && json_is_null(node->value);
    return bound->open || integer(node, &bound->at);
}

/* The step that a suffix takes; false when it depends on data. */
static bool step_of(const struct expr_node *suffix, struct expr_segment *segment)
{
    const struct expr_node *index = suffix->children[0];
    *segment = (struct expr_segment){.kind = EXPR_SEGMENT_NAME};
    if (suffix->kind == EXPR_SLICE) {
        segment->kind = EXPR_SEGMENT_SLICE;
        return bound(index, &segment->from) && bound(suffix->children[1], &segment->to);
    }
    segment->name = index->kind == EXPR_LITERAL ? json_string_value(index->value) : NULL;
    if (segment->name) {
        return true;
    }
    segment->kind = EXPR_SEGMENT_INDEX;
    return integer(index, &segment->index);
}

static struct value walk_suffix(struct walk *walk, const struct expr_node *suffix, struct value value,
                                const struct value *input)
{
    struct expr_segment segment;
    if (suffix->kind == EXPR_OPTIONAL) {
        return value;
    }
    if (suffix->kind == EXPR_EACH) {
        say_all(walk, &value, true, true);
        return nowhere;
    }
    if (step_of(suffix, &segment)) {
        return value_within(walk, &value, segment);
    }
    say_all(walk, &value, false, false);
    for (size_t i = 0; i < suffix->count; i++) {
        use_node(walk, suffix->children[i], input);
    }
    return nowhere;
}

static struct value walk_term(struct walk *walk, const struct expr_node *term, const struct value *input)
{
    struct value value = value_of(walk, term->children[0], input);
    for (size_t i = 1; i < term->count; i++) {
        value = walk_suffix(walk, term->children[i], value, input);
    }
    return value;
}

/* ---- variables ----------------------------------------------------------------------------------------------------------- */

static void bind(struct walk *walk, const char *name, struct value value)
{
    struct binding *binding = MEM_NEW(struct binding);
    binding->name = name;
    binding->value = value;
    binding->outer = walk->bindings;
    walk->bindings = binding;
}

/* `. as [$a, {name: $b}]` binds places within the value. */
static void bind_pattern(struct walk *walk, const struct expr_node *pattern, struct value value)
{
    if (pattern->kind == EXPR_VARIABLE) {
        bind(walk, pattern->name, value);
        return;
    }
    bool object = pattern->kind == EXPR_OBJECT;
    for (size_t i = 0; i < pattern->count; i += object ? 2 : 1) {
        const json_t *key = object ? pattern->children[i]->value : NULL;
        struct expr_segment step = {.kind = object ? EXPR_SEGMENT_NAME : EXPR_SEGMENT_INDEX,
                                    .name = json_string_value(key),
                                    .index = (json_int_t)i};
        bind_pattern(walk, pattern->children[object ? i + 1 : i], value_within(walk, &value, step));
    }
}

static struct value walk_as(struct walk *walk, const struct expr_node *as, const struct value *input)
{
    struct value source = value_of(walk, as->children[0], input);
    struct binding *outer = walk->bindings;
    bool several = as->count > 3; /* which pattern fits, data say */
    if (several) {
        use(walk, source);
    }
    for (size_t i = 1; i + 1 < as->count; i++) {
        bind_pattern(walk, as->children[i], several ? nowhere : source);
    }
    struct value result = value_of(walk, as->children[as->count - 1], input);
    while (walk->bindings != outer) {
        struct binding *binding = walk->bindings;
        walk->bindings = binding->outer;
        free(binding);
    }
    return result;
}

static struct value walk_variable(const struct walk *walk, const char *name)
{
    for (const struct binding *binding = walk->bindings; binding; binding = binding->outer) {
        if (strcmp(binding->name, name) == 0) {
            return binding->value;
        }
    }
    return nowhere;
}

/* ---- calls --------------------------------------------------------------------------------------------------------------- */

/* What a function does with its input and its arguments. One that is not named here reads its input as it is, and its arguments
 * have the same input. */
enum manner {
    READS,
    CONSTANT, /* has no input */
    CHOOSES,  /* gives its input back, or nothing */
    PASSES,   /* has no input; gives back what its last argument gives */
    EACH,     /* reads its input; the arguments get something out of it */
    STREAM,   /* has no input; the last argument gets what the one before it gives */
    CAPTURES, /* reads its input; the arguments behind the first get something new */
    FIRST,    /* .[0] */
    LAST,     /* .[-1] */
};

static enum manner manner_of(const struct expr_node *call)
{
    static const struct {
        const char *name;
        size_t arguments;
        enum manner manner;
    } known[] = {
        {"INDEX", 1, EACH},      {"INDEX", 2, STREAM},    {"all", 1, EACH},          {"all", 2, STREAM},
        {"any", 1, EACH},        {"any", 2, STREAM},      {"arrays", 0, CHOOSES},    {"booleans", 0, CHOOSES},
        {"empty", 0, CONSTANT},  {"error", 1, CONSTANT},  {"false", 0, CONSTANT},    {"first", 0, FIRST},
        {"first", 1, PASSES},    {"group_by", 1, EACH},   {"gsub", 2, CAPTURES},     {"isempty", 1, CONSTANT},
        {"last", 0, LAST},       {"last", 1, PASSES},     {"limit", 2, PASSES},      {"map", 1, EACH},
        {"map_values", 1, EACH}, {"max_by", 1, EACH},     {"min_by", 1, EACH},       {"null", 0, CONSTANT},
        {"nulls", 0, CHOOSES},   {"numbers", 0, CHOOSES}, {"objects", 0, CHOOSES},   {"range", 1, CONSTANT},
        {"range", 2, CONSTANT},  {"range", 3, CONSTANT},  {"scalars", 0, CHOOSES},   {"select", 1, CHOOSES},
        {"sort_by", 1, EACH},    {"strings", 0, CHOOSES}, {"sub", 2, CAPTURES},      {"true", 0, CONSTANT},
        {"unique_by", 1, EACH},  {"values", 0, CHOOSES},  {"with_entries", 1, EACH},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (known[i].arguments == call->count && strcmp(known[i].name, call->name) == 0) {
            return known[i].manner;
        }
    }
    return READS;
}

/* Arguments from `from` on; the value of the last. */
static struct value walk_arguments(struct walk *walk, const struct expr_node *call, size_t from,
                                   const struct value *input)
{
    struct value last = nowhere;
    for (size_t i = from; i < call->count; i++) {
        use(walk, last);
        last = value_of(walk, call->children[i], input);
    }
    return last;
}

static struct value walk_call(struct walk *walk, const struct expr_node *call, const struct value *input)
{
    enum manner manner = manner_of(call);
    struct expr_segment end = {.kind = EXPR_SEGMENT_INDEX, .index = manner == LAST ? -1 : 0};
    struct value stream;
    switch (manner) {
    case FIRST:
    case LAST:
        return value_within(walk, input, end);
    case PASSES:
        return walk_arguments(walk, call, 0, input);
    case CHOOSES:
        use(walk, walk_arguments(walk, call, 0, input));
        return *input;
    case STREAM:
        stream = value_of(walk, call->children[0], input);
        use(walk, walk_arguments(walk, call, 1, &stream));
        return nowhere;
    case EACH:
        use(walk, *input);
        use(walk, walk_arguments(walk, call, 0, &nowhere));
        return nowhere;
    case CAPTURES:
        use(walk, *input);
        use_node(walk, call->children[0], input);
        use(walk, walk_arguments(walk, call, 1, &nowhere));
        return nowhere;
    default:
        use(walk, manner == CONSTANT ? nowhere : *input);
        use(walk, walk_arguments(walk, call, 0, input));
        return nowhere;
    }
}

/* ---- the tree ------------------------------------------------------------------------------------------------------------ */

static struct value walk_pipe(struct walk *walk, const struct expr_node *pipe, const struct value *input)
{
    struct value value = *input;
    for (size_t i = 0; i < pipe->count; i++) {
        value = value_of(walk, pipe->children[i], &value);
    }
    return value;
}

/* `a, b`, `a // b`, `try a catch b`, `if`: one of several values. */
static struct value walk_choice(struct walk *walk, const struct expr_node *node, const struct value *input)
{
    struct value value = nowhere;
    for (size_t i = 0; i < node->count; i++) {
        bool condition = node->kind == EXPR_IF && i % 2 == 0 && i + 1 < node->count;
        bool handler = node->kind == EXPR_TRY && i == 1; /* its input is the error */
        struct value one = value_of(walk, node->children[i], handler ? &nowhere : input);
        if (condition) {
            use(walk, one);
        } else {
            join(walk, &value, one);
        }
    }
    return value;
}

static struct value value_of(struct walk *walk, const struct expr_node *node, const struct value *input)
{
    switch (node->kind) {
    case EXPR_PIPE:
        return walk_pipe(walk, node, input);
    case EXPR_COMMA:
    case EXPR_ALTERNATIVE:
    case EXPR_TRY:
    case EXPR_IF:
        return walk_choice(walk, node, input);
    case EXPR_AS:
        return walk_as(walk, node, input);
    case EXPR_TERM:
        return walk_term(walk, node, input);
    case EXPR_INPUT:
        return *input;
    case EXPR_RECURSE:
        say_all(walk, input, false, false);
        return nowhere;
    case EXPR_FORMAT:
        use(walk, *input);
        return nowhere;
    case EXPR_VARIABLE:
        return walk_variable(walk, node->name);
    case EXPR_CALL:
        return walk_call(walk, node, input);
    default: /* a new value, made of what the parts give */
        for (size_t i = 0; i < node->count; i++) {
            use_node(walk, node->children[i], input);
        }
        return nowhere;
    }
}

/* What was looked up and then dropped (`.a | true`) was read all the same. */
static void say_dropped(struct walk *walk)
{
    for (struct place *place = walk->first_made; place; place = place->next_made) {
        if (!place->touched) {
            say(walk, place, false, true);
        }
    }
    while (walk->first_made) {
        struct place *place = walk->first_made;
        walk->first_made = place->next_made;
        free(place);
    }
}

void expr_paths_of(const struct expr_node *expression, expr_path_fn *each, void *arg)
{
    struct walk walk = {.each = each, .arg = arg};
    walk.last_made = &walk.first_made;
    struct value context = {.places = {&walk.context}, .count = 1};
    use_node(&walk, expression, &context);
    say_dropped(&walk);
}

bool expr_paths_plain(const struct expr_node *expression, struct expr_path *path)
{
    size_t count = expression->kind == EXPR_TERM ? expression->count - 1 : 0;
    bool plain = count && expression->children[0]->kind == EXPR_INPUT;
    struct expr_segment *segments = mem_alloc((count + 1) * sizeof *segments);
    for (size_t i = 0; i < count && plain; i++) {
        const struct expr_node *suffix = expression->children[1 + i];
        plain = suffix->kind == EXPR_INDEX && step_of(suffix, &segments[i]) && segments[i].name;
    }
    *path = (struct expr_path){segments, plain ? count : 0, false, true};
    if (!plain) {
        free(segments);
        path->segments = NULL;
    }
    return plain;
}
