/* POST /v1/orders: approve, retry, skip, undo and erase become events of the offboarding; cancel, pause and resume records of
 * control. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/nearest.h"
#include "lib/person.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "producer/edge_internal.h"
#include "producer/order_keys.h"

enum {
    IDS_LIMIT = 20000,
    TEXT_LIMIT = 1000, /* bytes of a reason or a name */
    KEY_LIMIT = 200,   /* characters of an idempotency key */
    KEYS_AT_ONCE = 20, /* old ones that are forgotten with an order */
};

/* One order in hand. */
struct order {
    struct edge *edge;
    struct exchange *exchange;
    const json_t *body;
    const char *name;
    json_t *actor;
    json_t *ids;  /* order ids, for the answer */
    json_t *once; /* what is kept under the idempotency key: {name, left, value}; NULL: none was given */
};

/* ---- idempotency keys --------------------------------------------------------------------------------------------- */

static void produce_key(struct exchange *exchange, const char *name, json_t *value)
{
    char id[ID_SIZE];
    id_v7(id);
    exchange_produce_message(exchange,
                             &(struct edge_message){.topic = exchange->edge->control,
                                                    .partition = RD_KAFKA_PARTITION_UA,
                                                    .key = name,
                                                    .value = value,
                                                    .type = "order",
                                                    .id = id},
                             NULL, NULL);
    order_keys_put(planner_order_keys(exchange->edge->planner), name, value);
}

/* Only when Kafka has all of the order: one that was taken in part is to be given again. */
static void on_recorded(struct exchange *exchange, json_t *once)
{
    json_int_t left = json_int_at(once, "left", 0) - 1;
    json_object_set_new(once, "left", json_integer(left));
    if (left == 0) {
        produce_key(exchange, json_string_at(once, "name"), json_object_get(once, "value"));
    }
}

static void forget_old_keys(struct exchange *exchange)
{
    char *name;
    for (int i = 0;
         i < KEYS_AT_ONCE && (name = order_keys_expired(planner_order_keys(exchange->edge->planner), time_now()));
         i++) {
        produce_key(exchange, name, NULL);
        free(name);
    }
}

/* The answer to `count` orders that were given at once. */
static json_t *answer_new(const char *name, const char *batch, size_t count)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < count; i++) {
        char id[ID_SIZE];
        order_key_id(batch, i, id);
        json_array_append_new(ids, json_string(id));
    }
    return json_pack("{s:s, s:o}", "order", name, "ids", ids);
}

/* Requests that repeat each other at once, at this producer or another one, give the same ids: the logger carries out an order once. New
 * reference. */
static json_t *once_new(const struct http_request *request, const char *order, const char *name)
{
    char digest[ID_SHA256_HEX_SIZE], batch[ID_SIZE], now[TIME_TEXT_SIZE];
    id_sha256_hex(request->body, request->body_len, digest);
    time_format(time_now(), now);
    char *what = mem_printf("%s %s %.10s", name, digest, now);
    id_order_batch(what, batch);
    free(what);
    return json_pack("{s:s, s:i, s:{s:i, s:s, s:s, s:s, s:s, s:i}}", "name", name, "left", 0, "value", "version",
                     MESSAGE_VERSION, "order", order, "batch", batch, "body", digest, "at", now, "count", 0);
}

/* True when the order was given before, and the request is answered as it was then; or when the key is wrong. */
static bool given_before(struct edge *edge, struct http_request *request, const char *name)
{
    char digest[ID_SHA256_HEX_SIZE];
    struct err err = ERR_INIT;
    json_t *known = order_keys_find(planner_order_keys(edge->planner), name, time_now());
    if (!known) {
        return false;
    }
    id_sha256_hex(request->body, request->body_len, digest);
    if (strcmp(digest, json_string_at(known, "body")) != 0) {
        err_set(&err, ERR_PERMANENT,
                "Idempotency-Key: another order was given under this key within the last 24 hours");
        edge_refuse(edge, request, 422, &err);
    } else {
        order_answer(exchange_new(edge, request),
                     answer_new(json_string_at(known, "order"), json_string_at(known, "batch"),
                                (size_t)json_int_at(known, "count", 0)));
    }
    json_decref(known);
    return true;
}

/* The id of the next of the orders in hand. */
static void next_id(struct order *order, char id[ID_SIZE])
{
    if (order->once) {
        order_key_id(json_string_at(order->once, "value.batch"), json_array_size(order->ids), id);
    } else {
        id_v7(id);
    }
    json_array_append_new(order->ids, json_string(id));
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Who gave the order, and why: the header of a record whose value is empty. The caller frees. */
static char *order_header(const struct order *order)
{
    json_t *said = json_pack("{s:O}", "actor", order->actor);
    json_put_string(said, "reason", json_string_at(order->body, "reason"));
    char *text = json_dumps(said, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(said);
    return text;
}

/* The message's id is the order's: the audit's view `orders` says under it what became of the order. */
static void produce(struct order *order, const struct edge_message *message)
{
    if (order->once) {
        json_object_set_new(order->once, "left", json_integer(json_int_at(order->once, "left", 0) + 1));
    }
    exchange_produce_message(order->exchange, message, order->once ? on_recorded : NULL, json_incref(order->once));
}

/* The logger answers an order about an offboarding that has no key, too: it is unknown, or was erased. */
static void order_event(struct order *order, const char *offboarding_id)
{
    static const char *const personal[] = {"reason"};
    json_t *context = json_pack("{s:O}", "actor", order->actor);
    json_put_string(context, "reason", json_string_at(order->body, "reason"));
    json_put_string(context, "job_id", json_string_at(order->body, "job"));
    json_put_string(context, "step", json_string_at(order->body, "step"));
    char *name = mem_printf("order.%s", order->name);
    json_t *event = message_event_new(name, offboarding_id, context);
    char id[ID_SIZE];
    next_id(order, id);
    json_put_string(event, "id", id);
    json_t *keyless = message_event_without(event, personal, COUNT_OF(personal), NULL);
    bool stays = strcmp(order->name, "erase") == 0; /* who erased what, and why, outlives the key */
    produce(order, &(struct edge_message){.topic = order->edge->orders,
                                          .partition = RD_KAFKA_PARTITION_UA,
                                          .key = offboarding_id,
                                          .value = event,
                                          .type = name,
                                          .id = id,
                                          .seal = stays ? NULL : offboarding_id,
                                          .keyless = keyless});
    json_decref(keyless);
    json_decref(event);
    free(name);
}

static void order_events(struct order *order)
{
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(order->body, "offboardings"), i, id)
    {
        order_event(order, json_string_value(id));
    }
}

/* What is recorded of the person without an offboarding. The order stays in clear, so it names the person by a digest. */
static void order_person_erasure(struct order *order)
{
    const char *digest = json_string_at(order->body, "person_digest");
    json_t *context = json_pack("{s:O, s:s}", "actor", order->actor, "person_digest", digest);
    json_put_string(context, "reason", json_string_at(order->body, "reason"));
    json_t *event = message_event_new("order.erase", NULL, context);
    char id[ID_SIZE];
    next_id(order, id);
    json_put_string(event, "id", id);
    produce(order, &(struct edge_message){.topic = order->edge->orders,
                                          .partition = RD_KAFKA_PARTITION_UA,
                                          .key = digest,
                                          .value = event,
                                          .type = "order.erase",
                                          .id = id});
    json_decref(event);
}

static void order_erase(struct order *order)
{
    order_events(order);
    if (json_string_at(order->body, "person_digest")) {
        order_person_erasure(order);
    }
}

/* ---- control ----------------------------------------------------------------------------------------------------- */

/* Without a time: when it was ordered is the broker's to say. */
static void control_record(struct order *order, const char *kind, const char *name, bool tombstone)
{
    char id[ID_SIZE];
    next_id(order, id);
    json_t *value = NULL;
    if (!tombstone) {
        value = json_pack("{s:i, s:O}", "version", MESSAGE_VERSION, "actor", order->actor);
        json_put_string(value, "reason", json_string_at(order->body, "reason"));
    }
    char *key = mem_printf("%s/%s", kind, name), *said = value ? NULL : order_header(order);
    produce(order, &(struct edge_message){.topic = order->edge->control,
                                          .partition = RD_KAFKA_PARTITION_UA,
                                          .key = key,
                                          .value = value,
                                          .type = kind,
                                          .id = id,
                                          .order = said});
    json_decref(value);
    free(said);
    free(key);
}

static void order_cancel(struct order *order)
{
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(order->body, "offboardings"), i, id)
    {
        control_record(order, "cancel", json_string_value(id), false);
    }
    const char *person = json_string_at(order->body, "person");
    if (person) {
        char *key = person_control_key(person);
        control_record(order, "cancel", key, false);
        free(key);
    }
}

static void order_pause(struct order *order)
{
    control_record(order, "pause", json_string_at(order->body, "system"), false);
}

static void order_resume(struct order *order)
{
    control_record(order, "pause", json_string_at(order->body, "system"), true);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* Ids are written in lower case from here on. */
static int check_ids(json_t *body, size_t most, struct err *err)
{
    json_t *ids = json_object_get(body, "offboardings");
    const json_t *job = json_object_get(body, "job"), *step = json_object_get(body, "step");
    char text[ID_SIZE];
    if (job && id_parse(json_string_value(job), text) != 0) {
        return err_set(err, ERR_PERMANENT, "job must be a job's id (a UUID); a step is named by `step`");
    }
    json_put_string(body, "job", job ? text : NULL);
    if (step && !json_is_string(step)) {
        return err_set(err, ERR_PERMANENT, "step must be a text");
    }
    if (!json_is_array(ids) || json_array_size(ids) == 0) {
        return err_set(err, ERR_PERMANENT, "offboardings must be a list of ids");
    }
    if (json_array_size(ids) > most) {
        return err_set(err, ERR_PERMANENT, "offboardings holds more than %zu ids", most);
    }
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id)
    {
        if (id_parse(json_string_value(id), text) != 0) {
            return err_set(err, ERR_PERMANENT, "offboardings: item %zu is no offboarding id", i + 1);
        }
        json_array_set_new(ids, i, json_string(text));
    }
    return 0;
}

static int check_reason(const json_t *body, struct err *err)
{
    const char *reason = json_string_at(body, "reason");
    return reason && *reason ? 0 : err_set(err, ERR_PERMANENT, "reason is missing: the audit trail asks why");
}

static int check_text(const json_t *body, const char *field, struct err *err)
{
    const json_t *text = json_object_get(body, field);
    if (text && !json_is_null(text) && !json_is_string(text)) {
        return err_set(err, ERR_PERMANENT, "%s must be a text", field);
    }
    if (json_string_length(text) > TEXT_LIMIT) {
        return err_set(err, ERR_PERMANENT, "%s is longer than %d bytes", field, TEXT_LIMIT);
    }
    return 0;
}

static int check_approve(struct edge *edge, json_t *body, struct err *err)
{
    (void)edge;
    return check_ids(body, IDS_LIMIT, err);
}

static int check_retry(struct edge *edge, json_t *body, struct err *err)
{
    (void)edge;
    return check_ids(body, json_object_get(body, "step") || json_object_get(body, "job") ? 1 : IDS_LIMIT, err);
}

static int check_skip(struct edge *edge, json_t *body, struct err *err)
{
    (void)edge;
    if (check_ids(body, 1, err) != 0 || check_reason(body, err) != 0) {
        return -1;
    }
    if (!json_string_at(body, "step") && !json_string_at(body, "job")) {
        return err_set(err, ERR_PERMANENT, "step is missing: a step's id, or `job` with a job's id");
    }
    return 0;
}

static int check_undo(struct edge *edge, json_t *body, struct err *err)
{
    return check_retry(edge, body, err) != 0 ? -1 : check_reason(body, err);
}

/* A person, offboardings, or both. */
static int check_person(json_t *body, struct err *err)
{
    const char *person = json_string_at(body, "person");
    if (json_object_get(body, "person") && (!person || !*person)) {
        return err_set(err, ERR_PERMANENT, "person must be an e-mail address or an employee id");
    }
    if (!person && !json_object_get(body, "offboardings")) {
        return err_set(err, ERR_PERMANENT,
                       "person is missing: give `person` (e-mail or employee id), or `offboardings` (ids)");
    }
    return json_object_get(body, "offboardings") ? check_ids(body, IDS_LIMIT, err) : 0;
}

/* The person becomes `person_digest`. */
static int digest_person(struct edge *edge, json_t *body, struct err *err)
{
    unsigned char key[SEAL_KEY_SIZE];
    char digest[SEAL_DIGEST_HEX_SIZE];
    int64_t doubt = 0;
    enum key_answer answer = keyring_find(edge->keyring, KEY_OF_DIGESTS, key, &doubt);
    if (answer != KEY_KNOWN) {
        return answer == KEY_NOT_YET ? err_set(err, ERR_RETRY, "person: the keys are being read; send it again")
                                     : err_set(err, ERR_PERMANENT, "person: nobody is recorded here yet");
    }
    char *written = person_control_key(json_string_at(body, "person"));
    int result = seal_digest(key, written, digest, err);
    json_put_string(body, "person_digest", digest);
    seal_key_wipe(key);
    free(written);
    return result;
}

static int check_erase(struct edge *edge, json_t *body, struct err *err)
{
    const char *person = json_string_at(body, "person");
    if (check_person(body, err) != 0 || check_reason(body, err) != 0) {
        return -1;
    }
    return person ? digest_person(edge, body, err) : 0;
}

static int check_cancel(struct edge *edge, json_t *body, struct err *err)
{
    (void)edge;
    return check_person(body, err) != 0 ? -1 : check_reason(body, err);
}

static int check_system(struct edge *edge, json_t *body, struct err *err)
{
    const char *system = json_string_at(body, "system");
    if (!system) {
        return err_set(err, ERR_PERMANENT, "system is missing");
    }
    if (!definition_find(edge->definitions, DEFINITION_CONNECTOR, system)) {
        const char *near = definition_nearest(edge->definitions, DEFINITION_CONNECTOR, system);
        return err_set(err, ERR_PERMANENT, "system: there is no system \"%s\"%s%s%s", system,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

static int check_pause(struct edge *edge, json_t *body, struct err *err)
{
    return check_system(edge, body, err) != 0 ? -1 : check_reason(body, err);
}

/* ---- dispatch ---------------------------------------------------------------------------------------------------- */

static const char *const of_many[] = {"offboardings", "reason", NULL};
static const char *const of_a_step[] = {"offboardings", "step", "job", "reason", NULL};
static const char *const of_a_person[] = {"person", "offboardings", "reason", NULL};
static const char *const of_a_system[] = {"system", "reason", NULL};

static const struct kind {
    const char *name;
    const char *role;
    const char *const *members; /* of the body, besides `order` and `requested_by`; ends with NULL */
    int (*check)(struct edge *edge, json_t *body, struct err *err);
    void (*carry_out)(struct order *order);
} kinds[] = {
    {"approve", "approve", of_many, check_approve, order_events},
    {"retry", "operator", of_a_step, check_retry, order_events},
    {"skip", "operator", of_a_step, check_skip, order_events},
    {"cancel", "operator", of_a_person, check_cancel, order_cancel},
    {"pause", "operator", of_a_system, check_pause, order_pause},
    {"resume", "operator", of_a_system, check_system, order_resume},
    {"undo", "undo", of_a_step, check_undo, order_events},
    {"erase", "erase", of_a_person, check_erase, order_erase},
};

/* A member that the order does not have is a mistake: `stepp` must not undo all steps. */
static int check_members(const struct kind *kind, const json_t *body, struct err *err)
{
    const char *right[8] = {"order", "requested_by"};
    size_t count = 2;
    for (size_t i = 0; kind->members[i]; i++) {
        right[count++] = kind->members[i];
    }
    const char *wrong = nearest_unknown(body, right, count), *near = wrong ? nearest_name(wrong, right, count) : NULL;
    if (!wrong) {
        return 0;
    }
    return err_set(err, ERR_PERMANENT, "the order %s has no member \"%s\"%s%s%s", kind->name, wrong,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int check_texts(const json_t *body, struct err *err)
{
    static const char *const fields[] = {"reason", "requested_by", "person", "system"};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (check_text(body, fields[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const struct kind *find_kind(const json_t *body, struct err *err)
{
    const char *name = json_string_at(body, "order");
    for (size_t i = 0; name && i < COUNT_OF(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    err_set(err, ERR_PERMANENT, "order must be approve, retry, skip, cancel, pause, resume, undo or erase");
    return NULL;
}

/* `name` is that of the idempotency key, NULL: none was given. */
static void carry_out(struct edge *edge, struct http_request *request, const struct kind *kind, const json_t *body,
                      const char *token, const char *name)
{
    json_t *person = json_object_get(body, "requested_by");
    struct order order = {.edge = edge,
                          .exchange = exchange_new(edge, request),
                          .body = body,
                          .name = kind->name,
                          .actor = json_pack("{s:s, s:s, s:O?}", "kind", "token", "id", token, "name",
                                             json_is_string(person) ? person : NULL),
                          .ids = json_array(),
                          .once = name ? once_new(request, kind->name, name) : NULL};
    if (order.once) {
        forget_old_keys(order.exchange);
    }
    kind->carry_out(&order);
    json_put(json_object_get(order.once, "value"), "count", json_integer((json_int_t)json_array_size(order.ids)));
    json_decref(order.once);
    json_decref(order.actor);
    order_answer(order.exchange, json_pack("{s:s, s:o}", "order", kind->name, "ids", order.ids));
}

static void carry_out_once(struct edge *edge, struct http_request *request, const struct kind *kind, const json_t *body,
                           const char *token)
{
    const char *key = http_header(request, "Idempotency-Key");
    struct err err = ERR_INIT;
    if (key && (!*key || strlen(key) > KEY_LIMIT)) {
        err_set(&err, ERR_PERMANENT, "Idempotency-Key: it must have 1 to %d characters", KEY_LIMIT);
        edge_refuse(edge, request, 422, &err);
        return;
    }
    char *name = key ? order_key_name(token, key) : NULL;
    if (name && given_before(edge, request, name)) {
        free(name);
        return;
    }
    if (name && !order_keys_reserve(planner_order_keys(edge->planner), name)) {
        err_set(&err, ERR_RETRY,
                "Idempotency-Key: another request with this key is being answered; send it again in a moment");
        edge_refuse(edge, request, 409, &err);
    } else {
        carry_out(edge, request, kind, body, token, name);
    }
    free(name);
}

void orders_handle(struct edge *edge, struct http_request *request)
{
    const char *token = request->caller;
    struct err err = ERR_INIT;
    json_t *body = json_parse(request->body, request->body_len, &err);
    const struct kind *kind = body ? find_kind(body, &err) : NULL;
    const char *const role[] = {kind ? kind->role : NULL, NULL};
    if (kind && !edge_may(edge, token, role)) {
        edge_deny_role(edge, request, kind->role);
    } else if (!kind || check_members(kind, body, &err) != 0 || check_texts(body, &err) != 0 ||
               kind->check(edge, body, &err) != 0) {
        edge_refuse(edge, request, body ? 422 : 400, &err);
    } else {
        carry_out_once(edge, request, kind, body, token);
    }
    json_decref(body);
}
