/* Runs code. An expression of jq may yield any number of values: each is handed to the function that goes on with it, as soon as it is
 * there. Orders of evaluation are those of jq 1.6. */
#include "lib/expr_run.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_number.h"
#include "lib/mem.h"

bool code_true(const json_t *value)
{
    return !json_is_null(value) && !json_is_false(value);
}

enum code_end code_spend(struct run *run, size_t bytes)
{
    run->bytes = bytes < run->bytes ? run->bytes - bytes : 0;
    return run->bytes ? CODE_DONE : CODE_BEYOND;
}

enum code_end code_give(json_t *made, code_taker *take, void *arg)
{
    enum code_end end = take(made, arg);
    json_decref(made);
    return end;
}

/* ---- numbers and texts ----------------------------------------------------------------------------------------------------- */

/* jq has texts for integers that a double would round. */
static bool is_exact(const json_t *value)
{
    return !json_is_integer(value) || expr_number_exact(json_integer_value(value));
}

enum code_end code_text(json_t *value, json_t **text)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        *text = json_incref(value);
        return CODE_DONE;
    case JSON_INTEGER:
        if (fabs((double)json_integer_value(value)) >= 1e15) {
            return CODE_BEYOND; /* jq writes some with an exponent */
        }
        *text = json_sprintf("%lld", (long long)json_integer_value(value));
        return CODE_DONE;
    case JSON_TRUE:
        *text = json_string("true");
        return CODE_DONE;
    case JSON_FALSE:
        *text = json_string("false");
        return CODE_DONE;
    case JSON_NULL:
        *text = json_string("null");
        return CODE_DONE;
    default:
        return CODE_BEYOND;
    }
}

/* ---- operations ------------------------------------------------------------------------------------------------------------ */

static enum code_end join_texts(struct run *run, const json_t *left, const json_t *right, json_t **value)
{
    struct buf text = BUF_INIT;
    buf_add(&text, json_string_value(left), json_string_length(left));
    buf_add(&text, json_string_value(right), json_string_length(right));
    *value = json_stringn(buf_text(&text), text.len);
    enum code_end end = code_spend(run, text.len);
    buf_release(&text);
    return end;
}

static enum code_end add(struct run *run, json_t *left, json_t *right, json_t **value)
{
    if (json_is_null(left) || json_is_null(right)) {
        *value = json_incref(json_is_null(left) ? right : left);
        return CODE_DONE;
    }
    if (json_is_number(left) && json_is_number(right)) {
        *value = expr_number(json_number_value(left) + json_number_value(right));
        return *value ? CODE_DONE : CODE_BEYOND;
    }
    if (json_is_string(left) && json_is_string(right)) {
        return join_texts(run, left, right, value);
    }
    if (json_is_array(left) && json_is_array(right)) {
        *value = json_copy(left);
        json_array_extend(*value, right);
        return code_spend(run, 16 * json_array_size(*value));
    }
    if (json_is_object(left) && json_is_object(right)) {
        *value = json_copy(left);
        json_object_update(*value, right);
        return code_spend(run, 64 * json_object_size(*value));
    }
    return CODE_ERROR;
}

/* The items of the left list that the right one does not hold. */
static enum code_end without(struct run *run, const json_t *left, const json_t *right, json_t **value)
{
    size_t pairs = json_array_size(left) * json_array_size(right);
    size_t i, j;
    json_t *item, *other;
    run->steps = pairs < run->steps ? run->steps - pairs : 0;
    *value = json_array();
    json_array_foreach(left, i, item)
    {
        bool found = false;
        for (j = 0; run->steps && !found && (other = json_array_get(right, j)); j++) {
            found = code_compare(item, other) == 0;
        }
        if (!found) {
            json_array_append(*value, item);
        }
    }
    return run->steps ? CODE_DONE : CODE_BEYOND;
}

static enum code_end compute(struct run *run, char operation, json_t *left, json_t *right, json_t **value)
{
    if (operation == '-' && json_is_array(left) && json_is_array(right)) {
        return without(run, left, right, value);
    }
    double a = json_number_value(left), b = json_number_value(right);
    if (!json_is_number(left) || !json_is_number(right) || (operation == '/' && b == 0)) {
        return CODE_BEYOND;
    }
    *value = expr_number(operation == '-' ? a - b : operation == '*' ? a * b : a / b);
    return *value ? CODE_DONE : CODE_BEYOND;
}

enum code_end code_operate(struct run *run, char operation, json_t *left, json_t *right, json_t **value)
{
    *value = NULL;
    if (operation == '+') {
        return add(run, left, right, value);
    }
    if (strchr("-*/", operation)) {
        return compute(run, operation, left, right, value);
    }
    int order = code_compare(left, right);
    bool holds = operation == '='   ? order == 0
                 : operation == '!' ? order != 0
                 : operation == '<' ? order < 0
                 : operation == '>' ? order > 0
                 : operation == 'l' ? order <= 0
                                    : order >= 0;
    *value = json_boolean(holds);
    return CODE_DONE;
}

/* ---- going on with values -------------------------------------------------------------------------------------------------- */

/* What goes on with the values of a part. */
struct follow {
    struct run *run;
    const struct expr_code *code;
    size_t at;     /* of the next part */
    json_t *input; /* of the whole */
    json_t *other; /* a value that is there already */
    bool failed;   /* what went on with a value met an error */
    bool found;
    code_taker *take;
    void *arg;
};

static enum code_end on_pipe(json_t *value, void *arg)
{
    struct follow *follow = arg;
    const struct expr_code *code = follow->code;
    struct follow next = *follow;
    next.at++;
    bool last = next.at == code->count;
    return code_run(follow->run, code->parts[follow->at], value, last ? follow->take : on_pipe,
                    last ? follow->arg : &next);
}

static enum code_end on_found(json_t *value, void *arg)
{
    struct follow *follow = arg;
    if (!code_true(value)) {
        return CODE_DONE;
    }
    follow->found = true;
    return follow->take(value, follow->arg);
}

/* a // b // c: all that is true of the first that has any, else all of the last. */
static enum code_end alternative(struct follow *follow)
{
    for (size_t i = 0; i + 1 < follow->code->count; i++) {
        enum code_end end = code_run(follow->run, follow->code->parts[i], follow->input, on_found, follow);
        if (follow->found || end != CODE_DONE) {
            return end;
        }
    }
    return code_run(follow->run, follow->code->parts[follow->code->count - 1], follow->input, follow->take,
                    follow->arg);
}

static enum code_end on_tried(json_t *value, void *arg)
{
    struct follow *follow = arg;
    enum code_end end = follow->take(value, follow->arg);
    follow->failed = end == CODE_ERROR;
    return end;
}

static enum code_end try(struct follow *follow)
{
    enum code_end end = code_run(follow->run, follow->code->parts[0], follow->input, on_tried, follow);
    if (follow->failed) {
        return CODE_BEYOND; /* jq 1.6 catches also what comes later */
    }
    return end == CODE_ERROR ? CODE_DONE : end;
}

static enum code_end on_right_truth(json_t *value, void *arg)
{
    struct follow *follow = arg;
    return code_give(json_boolean(code_true(value)), follow->take, follow->arg);
}

static enum code_end on_left_truth(json_t *value, void *arg)
{
    struct follow *follow = arg;
    bool decided = code_true(value) == (follow->code->op == CODE_OR);
    return decided ? code_give(json_boolean(code_true(value)), follow->take, follow->arg)
                   : code_run(follow->run, follow->code->parts[1], follow->input, on_right_truth, follow);
}

static enum code_end on_left(json_t *left, void *arg)
{
    struct follow *follow = arg;
    json_t *value;
    enum code_end end = code_operate(follow->run, follow->code->operation, left, follow->other, &value);
    if (end != CODE_DONE) {
        json_decref(value);
        return end;
    }
    return code_give(value, follow->take, follow->arg);
}

/* jq goes through the right operand's values, and for each through the left one's. */
static enum code_end on_right(json_t *right, void *arg)
{
    struct follow *follow = arg;
    follow->other = right;
    return code_run(follow->run, follow->code->parts[0], follow->input, on_left, follow);
}

static enum code_end on_negative(json_t *value, void *arg)
{
    struct follow *follow = arg;
    json_t *negative = json_is_number(value) ? expr_number(-json_number_value(value)) : NULL;
    return negative ? code_give(negative, follow->take, follow->arg) : CODE_BEYOND;
}

static enum code_end on_condition(json_t *value, void *arg)
{
    struct follow *follow = arg;
    const struct expr_code *code = follow->code;
    if (code_true(value)) {
        return code_run(follow->run, code->parts[follow->at + 1], follow->input, follow->take, follow->arg);
    }
    struct follow next = *follow;
    next.at += 2;
    return next.at + 1 == code->count
               ? code_run(follow->run, code->parts[next.at], follow->input, follow->take, follow->arg)
               : code_run(follow->run, code->parts[next.at], follow->input, on_condition, &next);
}

static enum code_end on_named(json_t *value, void *arg)
{
    struct follow *follow = arg;
    json_t **slot = &follow->run->slots[follow->code->slot], *before = *slot;
    *slot = value;
    enum code_end end = code_run(follow->run, follow->code->parts[1], follow->input, follow->take, follow->arg);
    *slot = before;
    return end;
}

/* ---- terms ----------------------------------------------------------------------------------------------------------------- */

/* What stands there; NULL with CODE_ERROR or CODE_BEYOND. New reference. */
static json_t *look_up(const json_t *term, const json_t *key, enum code_end *end)
{
    *end = CODE_DONE;
    if (json_is_null(term) && (json_is_string(key) || json_is_number(key))) {
        return json_null();
    }
    json_t *found = NULL;
    if (json_is_object(term) && json_is_string(key)) {
        found = json_object_get(term, json_string_value(key));
    } else if (json_is_array(term) && json_is_integer(key)) {
        json_int_t at = json_integer_value(key);
        at += at < 0 ? (json_int_t)json_array_size(term) : 0;
        found = at < 0 ? NULL : json_array_get(term, (size_t)at);
    } else {
        *end = json_is_array(term) && !json_is_string(key) ? CODE_BEYOND : CODE_ERROR;
        return NULL;
    }
    if (found && !is_exact(found)) {
        *end = CODE_BEYOND;
        return NULL;
    }
    return found ? json_incref(found) : json_null();
}

/* A value has no such place. */
static enum code_end nowhere(const struct expr_code *step)
{
    return step->optional ? CODE_DONE : CODE_ERROR;
}

static enum code_end on_term(json_t *term, void *arg)
{
    struct follow *follow = arg;
    enum code_end end;
    json_t *value = look_up(term, follow->other, &end);
    if (!value) {
        return end == CODE_ERROR ? nowhere(follow->code) : end;
    }
    return code_give(value, follow->take, follow->arg);
}

static enum code_end on_key(json_t *key, void *arg)
{
    struct follow *follow = arg;
    follow->other = key;
    return code_run(follow->run, follow->code->parts[0], follow->input, on_term, follow);
}

static enum code_end on_sliced(json_t *term, void *arg)
{
    struct follow *follow = arg;
    struct expr_path path = {.segments = &follow->code->slice, .count = 1};
    if (!json_is_null(term) && !json_is_string(term) && !json_is_array(term)) {
        return nowhere(follow->code);
    }
    enum code_end end =
        code_spend(follow->run, json_is_string(term) ? json_string_length(term) : 16 * json_array_size(term));
    return end == CODE_DONE ? code_give(expr_path_value(&path, term), follow->take, follow->arg) : end;
}

enum code_end code_each(struct run *run, json_t *value, code_taker *take, void *arg)
{
    enum code_end end = json_is_array(value) || json_is_object(value) ? CODE_DONE : CODE_ERROR;
    const char *key;
    json_t *item;
    size_t i;
    json_array_foreach(value, i, item)
    {
        run->steps -= run->steps > 0;
        end = end != CODE_DONE ? end : !run->steps || !is_exact(item) ? CODE_BEYOND : take(item, arg);
        if (end != CODE_DONE) {
            return end;
        }
    }
    json_object_foreach(value, key, item)
    {
        run->steps -= run->steps > 0;
        end = end != CODE_DONE ? end : !run->steps || !is_exact(item) ? CODE_BEYOND : take(item, arg);
    }
    return end;
}

static enum code_end on_each(json_t *term, void *arg)
{
    struct follow *follow = arg;
    return json_is_array(term) || json_is_object(term) ? code_each(follow->run, term, follow->take, follow->arg)
                                                       : nowhere(follow->code);
}

/* ---- what is built --------------------------------------------------------------------------------------------------------- */

static enum code_end on_item(json_t *value, void *arg)
{
    struct follow *follow = arg;
    json_array_append(follow->other, value);
    return code_spend(follow->run, 16);
}

enum code_end code_list(struct run *run, const struct expr_code *code, json_t *input, json_t **list)
{
    struct follow follow = {.run = run, .other = json_array()};
    enum code_end end = code_run(run, code, input, on_item, &follow);
    *list = follow.other;
    if (end != CODE_DONE) {
        json_decref(*list);
        *list = NULL;
    }
    return end;
}

static enum code_end on_only(json_t *value, void *arg)
{
    json_t **only = arg;
    if (*only) {
        return CODE_BEYOND;
    }
    *only = json_incref(value);
    return CODE_DONE;
}

enum code_end code_only(struct run *run, const struct expr_code *code, json_t *input, json_t **value)
{
    *value = NULL;
    enum code_end end = code_run(run, code, input, on_only, value);
    if (end == CODE_DONE && *value) {
        return CODE_DONE;
    }
    json_decref(*value);
    *value = NULL;
    return end == CODE_ERROR ? end : CODE_BEYOND;
}

static enum code_end list(struct follow *follow)
{
    json_t *list = NULL;
    if (follow->code->count == 0) {
        return code_give(json_array(), follow->take, follow->arg);
    }
    enum code_end end = code_list(follow->run, follow->code->parts[0], follow->input, &list);
    return list ? code_give(list, follow->take, follow->arg) : end;
}

static enum code_end object(struct follow *follow)
{
    const struct expr_code *code = follow->code;
    json_t *object = json_object();
    enum code_end end = code_spend(follow->run, 64 * (code->count + 1));
    for (size_t i = 0; end == CODE_DONE && i < code->count; i += 2) {
        json_t *value;
        end = code_only(follow->run, code->parts[i + 1], follow->input, &value);
        if (value) {
            json_object_set_new(object, json_string_value(code->parts[i]->value), value);
        }
    }
    if (end != CODE_DONE) {
        json_decref(object);
        return end;
    }
    return code_give(object, follow->take, follow->arg);
}

static enum code_end text(struct follow *follow)
{
    const struct expr_code *code = follow->code;
    struct buf out = BUF_INIT;
    enum code_end end = CODE_DONE;
    for (size_t i = 0; end == CODE_DONE && i < code->count; i++) {
        json_t *value, *part = NULL;
        end = code_only(follow->run, code->parts[i], follow->input, &value);
        end = end == CODE_DONE ? code_text(value, &part) : end;
        if (end == CODE_DONE) {
            buf_add(&out, json_string_value(part), json_string_length(part));
            end = code_spend(follow->run, json_string_length(part));
            json_decref(part);
        }
        json_decref(value);
    }
    json_t *made = end == CODE_DONE ? json_stringn(buf_text(&out), out.len) : NULL;
    buf_release(&out);
    return made ? code_give(made, follow->take, follow->arg) : end;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static enum code_end comma(struct follow *follow)
{
    enum code_end end = CODE_DONE;
    for (size_t i = 0; end == CODE_DONE && i < follow->code->count; i++) {
        end = code_run(follow->run, follow->code->parts[i], follow->input, follow->take, follow->arg);
    }
    return end;
}

static enum code_end run_part(struct follow *follow, size_t part, code_taker *take)
{
    return code_run(follow->run, follow->code->parts[part], follow->input, take, follow);
}

enum code_end code_run(struct run *run, const struct expr_code *code, json_t *input, code_taker *take, void *arg)
{
    struct follow follow = {.run = run, .code = code, .input = input, .take = take, .arg = arg};
    if (run->steps == 0 || --run->steps == 0) {
        return CODE_BEYOND;
    }
    switch (code->op) {
    case CODE_LITERAL:
        return take(code->value, arg);
    case CODE_INPUT:
        return take(input, arg);
    case CODE_VARIABLE:
        return take(run->slots[code->slot], arg);
    case CODE_INDEX:
        return run_part(&follow, 1, on_key);
    case CODE_SLICE:
        return run_part(&follow, 0, on_sliced);
    case CODE_EACH:
        return run_part(&follow, 0, on_each);
    case CODE_TRY:
        return try(&follow);
    case CODE_PIPE:
        return on_pipe(input, &follow);
    case CODE_COMMA:
        return comma(&follow);
    case CODE_ALTERNATIVE:
        return alternative(&follow);
    case CODE_AND:
    case CODE_OR:
        return run_part(&follow, 0, on_left_truth);
    case CODE_OPERATION:
        return run_part(&follow, 1, on_right);
    case CODE_NEGATIVE:
        return run_part(&follow, 0, on_negative);
    case CODE_IF:
        return run_part(&follow, 0, on_condition);
    case CODE_AS:
        return run_part(&follow, 0, on_named);
    case CODE_TEXT:
        return text(&follow);
    case CODE_LIST:
        return list(&follow);
    case CODE_OBJECT:
        return object(&follow);
    default:
        return code->call(run, code, input, take, arg);
    }
}
