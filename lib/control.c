#include "lib/control.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/person.h"
#include "lib/time.h"

struct control {
    json_t *orders; /* key ("pause/okta", "cancel/…") to {reason, at}, microseconds */
};

struct control *control_new(void)
{
    struct control *control = MEM_NEW(struct control);
    control->orders = json_object();
    return control;
}

void control_free(struct control *control)
{
    if (control) {
        json_decref(control->orders);
        free(control);
    }
}

/* A cancellation with an older time does not replace a newer one: the planner writes the time of HR's event. */
static void put_order(struct control *control, const char *key, json_t *reason, int64_t at)
{
    if (strncmp(key, "cancel/", 7) == 0 && json_int_at(json_object_get(control->orders, key), "at", at) > at) {
        return;
    }
    json_object_set_new(control->orders, key, json_pack("{s:O?, s:I}", "reason", reason, "at", (json_int_t)at));
}

/* Who orders has a clock that may be wrong: without `at` the record's time counts, which the broker sets. */
static int64_t time_of(const rd_kafka_message_t *record, const json_t *order)
{
    const char *text = json_string_at(order, "at");
    int64_t at = 0;
    if (!text || time_parse(text, &at, NULL) != 0) {
        at = rd_kafka_message_timestamp(record, NULL) * (TIME_SECOND / 1000);
    }
    return at;
}

int control_apply(struct control *control, const rd_kafka_message_t *record, struct err *err)
{
    json_t *order = message_control(record->key, record->key_len, record->payload, record->len, err);
    if (!order) {
        return -1;
    }
    char *key = message_control_key(record->key, record->key_len);
    if (strncmp(key, "order/", 6) == 0) {
        /* an idempotency key, of no concern to who carries orders out */
    } else if (json_is_null(order)) {
        json_object_del(control->orders, key);
    } else {
        put_order(control, key, json_object_get(order, "reason"), time_of(record, order));
    }
    json_decref(order);
    free(key);
    return 0;
}

void control_note_cancelled(struct control *control, const char *subject, const char *reason, int64_t at)
{
    char *key = mem_printf("cancel/%s", subject);
    json_t *text = reason ? json_string(reason) : NULL;
    put_order(control, key, text, at);
    json_decref(text);
    free(key);
}

static json_t *order_of(const struct control *control, const char *kind, const char *name)
{
    char *key = mem_printf("%s/%s", kind, name);
    json_t *order = json_object_get(control->orders, key);
    free(key);
    return order;
}

bool control_paused(const struct control *control, const char *system)
{
    return order_of(control, "pause", system) != NULL;
}

const char *control_pause_reason(const struct control *control, const char *system)
{
    return json_string_at(order_of(control, "pause", system), "reason");
}

/* The order that cancels `name`, when it came at or after `planned_at`. */
static const json_t *order_for_name(const struct control *control, const char *name, int64_t planned_at)
{
    char *key = person_control_key(name);
    const json_t *order = key ? order_of(control, "cancel", key) : NULL;
    free(key);
    return order && json_int_at(order, "at", 0) >= planned_at ? order : NULL;
}

static const json_t *cancel_order(const struct control *control, const char *offboarding_id, const json_t *offboarding,
                                  int64_t planned_at)
{
    const json_t *order = order_of(control, "cancel", offboarding_id);
    json_t *keys = person_keys(offboarding);
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        order = order ? order : order_for_name(control, person_control_name(json_string_value(key)), planned_at);
    }
    json_decref(keys);
    return order;
}

const char *control_cancelled(const struct control *control, const char *offboarding_id, const json_t *offboarding,
                              int64_t planned_at)
{
    const json_t *order = cancel_order(control, offboarding_id, offboarding, planned_at);
    const char *reason = json_string_at(order, "reason");
    return !order ? NULL : reason ? reason : "cancelled";
}

int64_t control_name_cancelled_when(const struct control *control, const char *name, int64_t planned_at)
{
    return json_int_at(order_for_name(control, name, planned_at), "at", 0);
}
