/* POST /v1/reveals: opens what is in escrow, after it is on record who asked, and why. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/secret.h"
#include "vault/vault.h"

enum {
    VALUES_LIMIT = 1000,
    TEXT_LIMIT = 1000, /* bytes of a reason or a name */
};

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int check_text(const json_t *body, const char *field, bool required, struct err *err)
{
    const json_t *text = json_object_get(body, field);
    bool given = text && !json_is_null(text);
    if ((!given && required) || (json_is_string(text) && json_string_length(text) == 0)) {
        return err_set(err, ERR_PERMANENT, "%s is missing%s", field,
                       strcmp(field, "reason") == 0 ? ": the audit trail asks why" : "");
    }
    if (given && !json_is_string(text)) {
        return err_set(err, ERR_PERMANENT, "%s must be a text", field);
    }
    if (json_string_length(text) > TEXT_LIMIT) {
        return err_set(err, ERR_PERMANENT, "%s is longer than %d bytes", field, TEXT_LIMIT);
    }
    return 0;
}

/* Ids are written in lower case from here on: what was sealed is bound to them. */
static int check_body(json_t *body, struct err *err)
{
    static const char *const ids[] = {"offboarding", "job"};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        char id[ID_SIZE];
        if (id_parse(json_string_at(body, ids[i]), id) != 0) {
            return err_set(err, ERR_PERMANENT, "%s must be an id (a UUID)", ids[i]);
        }
        json_put_string(body, ids[i], id);
    }
    if (check_text(body, "step", true, err) != 0 || check_text(body, "reason", true, err) != 0 ||
        check_text(body, "requested_by", false, err) != 0) {
        return -1;
    }
    const json_t *sealed = json_object_get(body, "sealed");
    if (!json_is_array(sealed) || json_array_size(sealed) == 0 || json_array_size(sealed) > VALUES_LIMIT) {
        return err_set(err, ERR_PERMANENT, "sealed must be a list of 1 to %d objects {account, name, text}",
                       VALUES_LIMIT);
    }
    return 0;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* {account, name, value} of one sealed text. NULL with an err. */
static json_t *open_one(const struct edge *edge, const json_t *body, const json_t *item, size_t number, struct err *err)
{
    const char *text = json_string_at(item, "text");
    const char *account = json_string_at(item, "account");
    struct escrow_place place = {.offboarding = json_string_at(body, "offboarding"),
                                 .job = json_string_at(body, "job"),
                                 .step = json_string_at(body, "step"),
                                 .account = account ? account : "",
                                 .name = json_string_at(item, "name")};
    if (!text || !place.name) {
        err_set(err, ERR_PERMANENT, "sealed: item %zu must be {account, name, text}, of texts", number);
        return NULL;
    }
    char *value = escrow_open(edge->escrow, &place, text, err);
    if (!value) {
        err_prefix(err, "sealed: item %zu", number);
        return NULL;
    }
    json_t *opened = json_pack("{s:s, s:s, s:s}", "account", place.account, "name", place.name, "value", value);
    secret_wipe(value);
    free(value);
    if (!opened) {
        err_set(err, ERR_PERMANENT, "sealed: item %zu holds no text", number);
    }
    return opened;
}

static bool listed(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_equal(item, value)) {
            return true;
        }
    }
    return false;
}

/* All of them or, with an err, NULL. Each attempt of a job has sealed the value it was about to send: mostly the same. */
static json_t *open_all(const struct edge *edge, const json_t *body, struct err *err)
{
    json_t *values = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(body, "sealed"), i, item)
    {
        json_t *value = open_one(edge, body, item, i + 1, err);
        if (!value) {
            json_decref(values);
            return NULL;
        }
        if (!listed(values, value)) {
            json_array_append(values, value);
        }
        json_decref(value);
    }
    return values;
}

/* ---- the record -------------------------------------------------------------------------------------------------- */

/* What was shown, without the values. */
static json_t *names_of(const json_t *values)
{
    json_t *names = json_array();
    size_t i;
    json_t *value;
    json_array_foreach(values, i, value)
    {
        if (!listed(names, json_object_get(value, "name"))) {
            json_array_append(names, json_object_get(value, "name"));
        }
    }
    return names;
}

static json_t *event_new(const json_t *body, const json_t *values, const char *token)
{
    const char *name = json_string_at(body, "requested_by");
    json_t *actor = json_pack("{s:s, s:s, s:s?}", "kind", "token", "id", token, "name", name);
    json_t *context = json_pack("{s:s, s:s, s:s, s:o, s:o}", "job_id", json_string_at(body, "job"), "step",
                                json_string_at(body, "step"), "reason", json_string_at(body, "reason"), "actor", actor,
                                "names", names_of(values));
    json_t *event = message_event_new("secret.revealed", json_string_at(body, "offboarding"), context);
    char *said = mem_printf("revealed to %s%s%s%s: %s", name ? name : "", name ? " (token " : "token ", token,
                            name ? ")" : "", json_string_at(body, "reason"));
    message_event_response(event, 0, said);
    free(said);
    return event;
}

static void reveal(struct edge *edge, struct http_request *request, const json_t *body, json_t *values,
                   const char *token)
{
    struct exchange *exchange = exchange_new(edge, request);
    exchange_produce_event(exchange, json_string_at(body, "offboarding"), event_new(body, values, token), NULL, NULL);
    exchange->status = 200;
    exchange_seal(exchange, json_pack("{s:o}", "values", values));
}

bool reveals_admit(struct edge *edge, struct http_request *request)
{
    static const char *const roles[] = {"reveal", NULL};
    return edge_admit(edge, request, roles);
}

void reveals_handle(struct edge *edge, struct http_request *request)
{
    const char *token = request->caller;
    struct err err = ERR_INIT;
    json_t *body = json_parse(request->body, request->body_len, &err);
    json_t *values = body && check_body(body, &err) == 0 ? open_all(edge, body, &err) : NULL;
    if (values) {
        reveal(edge, request, body, values, token);
    } else {
        log_warning("a reveal was refused", "token", token, "error", err_text(&err), NULL);
        edge_refuse(edge, request, body ? 422 : 400, &err);
    }
    json_decref(body);
}
