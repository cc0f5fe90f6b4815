#include "lib/control.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"

struct control {
    json_t *orders; /* key ("pause/okta", "cancel/…") to the order's value */
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

int control_apply(struct control *control, const rd_kafka_message_t *record, struct err *err)
{
    json_t *order = message_control(record->key, record->key_len, record->payload, record->len, err);
    if (!order) {
        return -1;
    }
    char *key = mem_strndup(record->key, record->key_len);
    if (json_is_null(order)) {
        json_object_del(control->orders, key);
        json_decref(order);
    } else {
        json_object_set_new(control->orders, key, order);
    }
    free(key);
    return 0;
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
    char *lower = json_lower(name);
    const json_t *order = lower ? order_of(control, "cancel", lower) : NULL;
    if (!order && name) {
        order = order_of(control, "cancel", name); /* employee ids keep their case */
    }
    free(lower);
    int64_t at = 0;
    const char *text = json_string_at(order, "at");
    return text && time_parse(text, &at, NULL) == 0 && at >= planned_at ? order : NULL;
}

static const json_t *cancel_order(const struct control *control, const char *offboarding_id, const json_t *user,
                                  int64_t planned_at)
{
    const json_t *order = order_of(control, "cancel", offboarding_id);
    order = order ? order : order_for_name(control, json_string_at(user, "email"), planned_at);
    order = order ? order : order_for_name(control, json_string_at(user, "employee_id"), planned_at);
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(user, "emails"), i, alias)
    {
        order = order ? order : order_for_name(control, json_string_value(alias), planned_at);
    }
    return order;
}

const char *control_cancelled(const struct control *control, const char *offboarding_id, const json_t *user,
                              int64_t planned_at)
{
    const json_t *order = cancel_order(control, offboarding_id, user, planned_at);
    const char *reason = json_string_at(order, "reason");
    return !order ? NULL : reason ? reason : "cancelled";
}

int64_t control_cancelled_when(const struct control *control, const char *offboarding_id, const json_t *user,
                               int64_t planned_at)
{
    int64_t at = 0;
    const char *text = json_string_at(cancel_order(control, offboarding_id, user, planned_at), "at");
    if (text) {
        time_parse(text, &at, NULL);
    }
    return at;
}
