/* Words that are no functions of values: they hand on what they get, or go through the values of their arguments. */
#include <string.h>

#include "lib/expr_run.h"
#include "lib/mem.h"

/* ---- words that go through values ------------------------------------------------------------------------------------------ */

struct selecting {
    json_t *input;
    code_taker *take;
    void *arg;
};

static enum code_end on_selected(json_t *value, void *arg)
{
    struct selecting *selecting = arg;
    return code_true(value) ? selecting->take(selecting->input, selecting->arg) : CODE_DONE;
}

static enum code_end call_select(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                                 void *arg)
{
    struct selecting selecting = {input, take, arg};
    return code_run(run, call->parts[0], input, on_selected, &selecting);
}

struct keying {
    struct run *run;
    const struct expr_code *key;
    json_t *keys; /* a list of what the key yields, for each item */
};

static enum code_end on_keyed(json_t *item, void *arg)
{
    struct keying *keying = arg;
    json_t *key = NULL;
    enum code_end end = code_list(keying->run, keying->key, item, &key);
    if (key) {
        json_array_append_new(keying->keys, key);
        end = code_spend(keying->run, 64);
    }
    return end;
}

/* sort_by, unique_by. */
static enum code_end call_by(struct run *run, const struct expr_code *call, json_t *input, code_taker *take, void *arg)
{
    struct keying keying = {run, call->parts[0], json_array()};
    enum code_end end = json_is_array(input) ? code_each(run, input, on_keyed, &keying) : CODE_BEYOND;
    json_t *sorted = end == CODE_DONE ? code_sort(input, keying.keys, call->slot == 1) : NULL;
    json_decref(keying.keys);
    return sorted ? code_give(sorted, take, arg) : end;
}

/* any, all: the search ends with the first value that decides. */
struct search {
    struct run *run;
    const struct expr_code *condition; /* NULL: the values themselves */
    json_t *equals;                    /* of IN */
    bool wanted;
    bool found;
};

static enum code_end on_decision(json_t *value, void *arg)
{
    struct search *search = arg;
    search->found = code_true(value) == search->wanted;
    return search->found ? CODE_ENOUGH : CODE_DONE;
}

static enum code_end on_candidate(json_t *value, void *arg)
{
    struct search *search = arg;
    return search->condition ? code_run(search->run, search->condition, value, on_decision, search)
                             : on_decision(value, search);
}

/* An error on the way is jq's: it has ways of its own with it. */
static enum code_end decided(const struct search *search, enum code_end end, code_taker *take, void *arg)
{
    if (end == CODE_ERROR || end == CODE_BEYOND || (end == CODE_ENOUGH && !search->found)) {
        return CODE_BEYOND;
    }
    return code_give(json_boolean(search->found == search->wanted), take, arg);
}

static enum code_end call_any(struct run *run, const struct expr_code *call, json_t *input, code_taker *take, void *arg)
{
    struct search search = {.run = run, .wanted = call->slot == 0};
    search.condition = call->count ? call->parts[call->count - 1] : NULL;
    enum code_end end = call->count == 2 ? code_run(run, call->parts[0], input, on_candidate, &search)
                                         : code_each(run, input, on_candidate, &search);
    return decided(&search, end, take, arg);
}

static enum code_end on_equal(json_t *value, void *arg)
{
    struct search *search = arg;
    search->found = code_compare(value, search->equals) == 0;
    return search->found ? CODE_ENOUGH : CODE_DONE;
}

static enum code_end call_in(struct run *run, const struct expr_code *call, json_t *input, code_taker *take, void *arg)
{
    struct search search = {.run = run, .wanted = true, .equals = input};
    return decided(&search, code_run(run, call->parts[0], input, on_equal, &search), take, arg);
}

/* ---- words without a value of their own ------------------------------------------------------------------------------------ */

static enum code_end call_empty(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                                void *arg)
{
    (void)run, (void)call, (void)input, (void)take, (void)arg;
    return CODE_DONE;
}

static enum code_end call_constant(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                                   void *arg)
{
    (void)run, (void)input;
    return code_give(call->slot == 2 ? json_null() : json_boolean(call->slot == 1), take, arg);
}

static enum code_end call_error(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                                void *arg)
{
    (void)run, (void)call, (void)input, (void)take, (void)arg;
    return CODE_ERROR;
}

/* arrays, objects, strings …: the input, if it is of that kind. */
static enum code_end call_kind(struct run *run, const struct expr_code *call, json_t *input, code_taker *take,
                               void *arg)
{
    const bool is[] = {json_is_array(input),   json_is_object(input), json_is_string(input), json_is_number(input),
                       json_is_boolean(input), json_is_null(input),   !json_is_null(input)};
    (void)run;
    return is[call->slot] ? take(input, arg) : CODE_DONE;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t arguments;
    size_t slot;
    code_call *call;
} words[] = {
    {"IN", 1, 0, call_in},          {"all", 0, 1, call_any},       {"all", 1, 1, call_any},
    {"all", 2, 1, call_any},        {"any", 0, 0, call_any},       {"any", 1, 0, call_any},
    {"any", 2, 0, call_any},        {"arrays", 0, 0, call_kind},   {"booleans", 0, 4, call_kind},
    {"empty", 0, 0, call_empty},    {"error", 0, 0, call_error},   {"error", 1, 0, call_error},
    {"false", 0, 0, call_constant}, {"null", 0, 2, call_constant}, {"nulls", 0, 5, call_kind},
    {"numbers", 0, 3, call_kind},   {"objects", 0, 1, call_kind},  {"select", 1, 0, call_select},
    {"sort_by", 1, 0, call_by},     {"strings", 0, 2, call_kind},  {"true", 0, 1, call_constant},
    {"unique_by", 1, 1, call_by},   {"values", 0, 6, call_kind},
};

code_call *code_word(const char *name, size_t arguments, size_t *slot)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (words[i].arguments == arguments && strcmp(words[i].name, name) == 0) {
            *slot = words[i].slot;
            return words[i].call;
        }
    }
    return code_function(name, arguments, slot);
}
