#include "lib/submission.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cloudevent.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"

json_t *submission_json(const struct request *request, struct err *err)
{
    static const char mark[] = "\xef\xbb\xbf"; /* RFC 8259, 8.1: a reader may ignore it; some libraries write it */
    size_t skip = request->body_len >= 3 && memcmp(request->body, mark, 3) == 0 ? 3 : 0;
    return json_parse(request->body + skip, request->body_len - skip, err);
}

/* Members of plain JSON that become attributes; the rest is the event's data. */
static json_t *wrap_plain(const struct request *request, const char *token, json_t *body, struct err *err)
{
    const char *key = request_header(request, "Idempotency-Key");
    const char *id = json_string_at(body, "id");
    const json_t *type = json_object_get(body, "type");
    if (!json_is_object(body)) {
        err_set(err, ERR_PERMANENT, "the body must be a JSON object");
    } else if (json_object_get(body, "id") && !json_is_string(json_object_get(body, "id"))) {
        err_set(err, ERR_PERMANENT, "id must be a text");
    } else if ((!id || !*id) && (!key || !*key)) {
        err_set(err, ERR_PERMANENT,
                "id is missing: give `id` in the body or the header Idempotency-Key, so that a repeat is known");
    } else if (type && !json_is_string(type)) {
        err_set(err, ERR_PERMANENT, "type must be a text");
    } else {
        char *source = mem_printf("/offboard/edge/%s", token);
        json_t *event =
            json_pack("{s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "source", source, "id", id && *id ? id : key,
                      "type", type ? json_string_value(type) : "leaver.created", "data", body);
        free(source);
        return event;
    }
    return NULL;
}

/* CloudEvents under the type of plain JSON: what they mean would be read as members of ours. -1 with the err that names their type. */
static int check_plain(const json_t *body, struct err *err)
{
    if (json_string_at(body, "specversion")) {
        return err_set(err, ERR_PERMANENT,
                       "send this CloudEvent as application/cloudevents+json, not as application/json");
    }
    if (json_string_at(json_array_get(body, 0), "specversion")) {
        return err_set(err, ERR_PERMANENT,
                       "send these CloudEvents as application/cloudevents-batch+json, not as application/json");
    }
    return 0;
}

static json_t *batch_of(json_t *body, struct err *err)
{
    if (!json_is_array(body) || json_array_size(body) > SUBMISSION_EVENTS_MAX) {
        err_set(err, ERR_PERMANENT, "a batch is a JSON array of at most %d CloudEvents", SUBMISSION_EVENTS_MAX);
        return NULL;
    }
    return json_copy(body);
}

static json_t *list_of(json_t *event)
{
    return event ? json_pack("[o]", event) : NULL;
}

json_t *submission_events(const struct request *request, const char *token, bool *batch, int *status, struct err *err)
{
    enum cloudevent_mode mode = cloudevent_mode(request);
    *batch = mode == CLOUDEVENT_BATCH;
    *status = 415;
    if (request_check_coding(request, err) != 0) {
        return NULL;
    }
    if (!request_is_json(request)) {
        err_set(err, ERR_PERMANENT,
                "send application/json (or a type that ends in +json), application/cloudevents+json or "
                "application/cloudevents-batch+json");
        return NULL;
    }
    *status = 400;
    json_t *body = submission_json(request, err);
    if (body && mode == CLOUDEVENT_NONE && check_plain(body, err) != 0) {
        *status = 415;
        json_decref(body);
        return NULL;
    }
    json_t *events = !body                           ? NULL
                     : mode == CLOUDEVENT_BATCH      ? batch_of(body, err)
                     : mode == CLOUDEVENT_STRUCTURED ? list_of(json_copy(body))
                     : mode == CLOUDEVENT_BINARY     ? list_of(cloudevent_from_headers(request, body, err))
                                                     : list_of(wrap_plain(request, token, body, err));
    json_decref(body);
    return events;
}

int submission_check(json_t *event, struct err *err)
{
    return cloudevent_open_data(event, err) != 0 || message_cloudevent_check(event, err) != 0 ? -1 : 0;
}

int submission_examine(struct definitions *definitions, const struct conf *conf, json_t *event, const char *actor,
                       const char *source, int64_t now, struct mapped *mapped, struct err *err)
{
    if (submission_check(event, err) != 0) {
        return 400;
    }
    json_object_set_new(event, "offboardactor", json_string(actor)); /* whatever came from outside is replaced */
    json_object_del(event, MAPPING_SOURCE);
    struct mapped result = {0};
    if (mapping_apply(definitions, conf, event, source, now, &result, err) != 0) {
        return 422;
    }
    if (!result.person) {
        mapped_release(&result);
        err_set(err, ERR_PERMANENT, "user: give email or employee_id, or the person's account in ids");
        return 422;
    }
    *mapped = result;
    return 0;
}
