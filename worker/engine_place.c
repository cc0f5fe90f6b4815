#include "worker/engine_place.h"

#include <stdlib.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

void place_init(struct place *place)
{
    *place = (struct place){.saved = json_object()};
}

void place_first_page(struct place *place)
{
    json_decref(place->page);
    place->page = NULL;
}

void place_pass(struct place *place)
{
    json_decref(place->items_left);
    json_decref(place->items_at);
    json_decref(place->items_saved);
    place->items_left = NULL;
    place->items_at = NULL;
    place->items_saved = NULL;
    place_first_page(place);
}

void place_release(struct place *place)
{
    free(place->ended);
    free(place->why);
    json_decref(place->saved);
    place_pass(place);
    json_decref(place->heard);
    json_decref(place->verified);
    *place = (struct place){0};
}

void place_restart(struct place *place)
{
    place->at = 0;
    place->verifying = false;
    place->gone = false;
    json_object_clear(place->saved);
    place_pass(place);
}

bool place_has_begun(const struct place *place)
{
    return place->at > 0 || place->verifying || place->items_left || place->page || place->polled_since ||
           place->awaits_since || json_object_size(place->saved);
}

void place_forget(struct place *place)
{
    place_restart(place);
    place->polled_since = 0;
    place->awaits_since = 0;
    place->reminders = 0;
    json_decref(place->heard);
    place->heard = NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_instant(json_t *json, const char *name, int64_t at)
{
    if (at) {
        json_put_instant(json, name, at);
    }
}

static void put_flag(json_t *json, const char *name, bool flag)
{
    if (flag) {
        json_object_set_new(json, name, json_true());
    }
}

static json_t *saved_but(const json_t *saved, const json_t *dropped)
{
    json_t *kept = json_copy((json_t *)(uintptr_t)saved);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)dropped, name, value)
    {
        json_object_del(kept, name);
    }
    return kept;
}

json_t *place_to_json(const struct place *place, const json_t *dropped, bool complete)
{
    json_t *json = json_object();
    json_put_string(json, "ended", place->ended);
    json_put_string(json, "why", place->why);
    json_object_set_new(json, "at", json_integer(complete ? place->at : 0));
    json_object_set_new(json, "saved", complete ? saved_but(place->saved, dropped) : json_object());
    if (complete) {
        json_put(json, "items_left", json_incref(place->items_left));
        json_put(json, "items_at", json_incref(place->items_at));
        json_put(json, "items_saved", place->items_saved ? saved_but(place->items_saved, dropped) : NULL);
        put_flag(json, "gone", place->gone);
        json_put(json, "page", json_incref(place->page));
        put_flag(json, "verifying", place->verifying);
    }
    put_instant(json, "verify_since", place->verify_since);
    put_instant(json, "polled_since", place->polled_since);
    put_instant(json, "awaits_since", place->awaits_since);
    json_put(json, "heard", json_incref(place->heard));
    if (place->awaits_since) {
        json_object_set_new(json, "reminders", json_integer(place->reminders));
    }
    put_flag(json, "imaged", place->imaged);
    if (place->ended) {
        json_put(json, "verified", json_incref(place->verified));
    }
    return json;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void read_instant(const json_t *json, const char *name, int64_t *at)
{
    const char *text = json_string_at(json, name);
    if (text && time_parse(text, at, NULL) != 0) {
        *at = 0;
    }
}

static json_t *read_kind(const json_t *json, const char *name, json_type type)
{
    json_t *value = json_object_get(json, name);
    return value && json_typeof(value) == type ? json_deep_copy(value) : NULL;
}

static char *read_text(const json_t *json, const char *name)
{
    const char *text = json_string_at(json, name);
    return text ? mem_strdup(text) : NULL;
}

void place_from_json(struct place *place, const json_t *json)
{
    if (!json_is_object(json)) {
        return;
    }
    json_t *saved = read_kind(json, "saved", JSON_OBJECT);
    json_int_t at = json_int_at(json, "at", 0);
    place_release(place);
    *place = (struct place){
        .ended = read_text(json, "ended"),
        .why = read_text(json, "why"),
        .at = at > 0 ? at : 0,
        .saved = saved ? saved : json_object(),
        .items_left = read_kind(json, "items_left", JSON_ARRAY),
        .items_at = read_kind(json, "items_at", JSON_ARRAY),
        .items_saved = read_kind(json, "items_saved", JSON_OBJECT),
        .page = read_kind(json, "page", JSON_OBJECT),
        .gone = json_true_at(json, "gone"),
        .verifying = json_true_at(json, "verifying"),
        .heard = read_kind(json, "heard", JSON_ARRAY),
        .reminders = json_int_at(json, "reminders", 0),
        .imaged = json_true_at(json, "imaged"),
        .verified = read_kind(json, "verified", JSON_OBJECT),
    };
    read_instant(json, "verify_since", &place->verify_since);
    read_instant(json, "polled_since", &place->polled_since);
    read_instant(json, "awaits_since", &place->awaits_since);
}
