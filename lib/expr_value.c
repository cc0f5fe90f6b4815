#include "lib/expr_value.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/expr_number.h"
#include "lib/mem.h"

/* What libjq 1.6 allocates: a value, a text, a list, an object and each of its members. */
enum { COST_VALUE = 16, COST_TEXT = 48, COST_LIST = 64, COST_OBJECT = 400, COST_MEMBER = 64 };

static bool take(size_t *budget, size_t cost)
{
    *budget = cost < *budget ? *budget - cost : 0;
    return *budget > 0;
}

/* ---- measuring ----------------------------------------------------------------------------------------------------------- */

static bool fits(jv value, size_t *budget, int depth);

static bool list_fits(jv list, size_t *budget, int depth)
{
    int length = jv_array_length(jv_copy(list));
    bool good = take(budget, COST_LIST);
    for (int i = 0; good && i < length; i++) {
        jv item = jv_array_get(jv_copy(list), i);
        good = fits(item, budget, depth + 1);
        jv_free(item);
    }
    return good;
}

static bool object_fits(jv object, size_t *budget, int depth)
{
    bool good = take(budget, COST_OBJECT);
    for (int i = jv_object_iter(object); good && jv_object_iter_valid(object, i); i = jv_object_iter_next(object, i)) {
        jv key = jv_object_iter_key(object, i);
        jv member = jv_object_iter_value(object, i);
        good = take(budget, COST_MEMBER) && fits(key, budget, depth) && fits(member, budget, depth + 1);
        jv_free(key);
        jv_free(member);
    }
    return good;
}

static bool fits(jv value, size_t *budget, int depth)
{
    if (!take(budget, COST_VALUE) || depth > EXPR_DEPTH_MAX) {
        return false;
    }
    switch (jv_get_kind(value)) {
    case JV_KIND_STRING:
        return take(budget, COST_TEXT + (size_t)jv_string_length_bytes(jv_copy(value)));
    case JV_KIND_ARRAY:
        return list_fits(value, budget, depth);
    case JV_KIND_OBJECT:
        return object_fits(value, budget, depth);
    default:
        return true;
    }
}

bool expr_value_fits(jv value)
{
    size_t budget = EXPR_VALUE_MAX;
    return fits(value, &budget, 0);
}

/* ---- to jq --------------------------------------------------------------------------------------------------------------- */

static jv integer_to_jq(json_int_t number)
{
    if (expr_number_exact(number)) {
        return jv_number((double)number);
    }
    char *text = mem_printf("%lld", (long long)number);
    jv result = jv_string(text);
    free(text);
    return result;
}

static jv object_to_jq(const json_t *value, size_t *budget)
{
    jv object = jv_object();
    const char *key;
    json_t *member;
    bool fits = take(budget, COST_OBJECT);
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        jv converted = fits ? expr_value_to_jq(member, budget) : jv_invalid();
        fits = jv_is_valid(converted) && take(budget, COST_MEMBER + COST_TEXT);
        if (!fits) {
            jv_free(converted);
            jv_free(object);
            return jv_invalid();
        }
        object = jv_object_set(object, jv_string(key), converted);
    }
    return object;
}

static jv list_to_jq(const json_t *value, size_t *budget)
{
    jv list = jv_array();
    size_t i;
    json_t *item;
    take(budget, COST_LIST);
    json_array_foreach(value, i, item)
    {
        jv converted = expr_value_to_jq(item, budget);
        if (!jv_is_valid(converted)) {
            jv_free(converted);
            jv_free(list);
            return jv_invalid();
        }
        list = jv_array_append(list, converted);
    }
    return list;
}

jv expr_value_to_jq(const json_t *value, size_t *budget)
{
    if (!take(budget, COST_VALUE)) {
        return jv_invalid();
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return object_to_jq(value, budget);
    case JSON_ARRAY:
        return list_to_jq(value, budget);
    case JSON_STRING:
        if (!take(budget, COST_TEXT + json_string_length(value))) {
            return jv_invalid();
        }
        return jv_string_sized(json_string_value(value), (int)json_string_length(value));
    case JSON_INTEGER:
        return integer_to_jq(json_integer_value(value));
    case JSON_REAL:
        return jv_number(json_real_value(value));
    case JSON_TRUE:
        return jv_true();
    case JSON_FALSE:
        return jv_false();
    default:
        return jv_null();
    }
}

/* ---- from jq ------------------------------------------------------------------------------------------------------------- */

static json_t *number_from_jq(double number)
{
    json_t *value = expr_number(number);
    return value ? value : json_null(); /* as jq prints infinities and NaN */
}

json_t *expr_value_from_jq(jv value)
{
    json_t *result;
    switch (jv_get_kind(value)) {
    case JV_KIND_OBJECT:
        result = json_object();
        jv_object_foreach(value, key, member)
        {
            json_object_set_new(result, jv_string_value(key), expr_value_from_jq(member));
            jv_free(key);
        }
        break;
    case JV_KIND_ARRAY:
        result = json_array();
        jv_array_foreach(value, i, item)
        {
            json_array_append_new(result, expr_value_from_jq(item));
        }
        break;
    case JV_KIND_STRING:
        result = json_stringn(jv_string_value(value), (size_t)jv_string_length_bytes(jv_copy(value)));
        break;
    case JV_KIND_NUMBER:
        result = number_from_jq(jv_number_value(value));
        break;
    case JV_KIND_TRUE:
        result = json_true();
        break;
    case JV_KIND_FALSE:
        result = json_false();
        break;
    default:
        result = json_null();
    }
    jv_free(value);
    return result;
}
