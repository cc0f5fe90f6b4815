#include "lib/cloudevent.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/decode.h"
#include "lib/json.h"
#include "lib/mem.h"

enum cloudevent_mode cloudevent_mode(const struct request *request)
{
    return request_is_type(request, "application/cloudevents+json")         ? CLOUDEVENT_STRUCTURED
           : request_is_type(request, "application/cloudevents-batch+json") ? CLOUDEVENT_BATCH
           : request_header(request, "ce-specversion")                      ? CLOUDEVENT_BINARY
                                                                            : CLOUDEVENT_NONE;
}

/* ---- binary mode ------------------------------------------------------------------------------------------------- */

/* Takes the quotes from quoted strings (RFC 9110, 5.6.4), in place; the new length. A quote without its second is a character. */
static size_t unquote(char *text, size_t len)
{
    size_t to = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' && (quoted || memchr(text + i + 1, '"', len - i - 1))) {
            quoted = !quoted;
            continue;
        }
        i += quoted && text[i] == '\\' && i + 1 < len;
        text[to++] = text[i];
    }
    return to;
}

/* NULL when what was encoded is no UTF-8, or holds a NUL. New reference. */
static json_t *attribute(const char *value)
{
    char *text = mem_strdup(value);
    size_t len = decode_percent(text, unquote(text, strlen(text)));
    json_t *attribute = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
    free(text);
    return attribute;
}

/* What a header is the attribute of; NULL: of none. Names are lower-case letters and digits; the data and its type are no headers. */
static const char *attribute_name(const char *header)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    const char *name = strncmp(header, "ce-", 3) == 0 ? header + 3 : "";
    bool own = strcmp(name, "data") == 0 || strcmp(name, "datacontenttype") == 0;
    return *name && !name[strspn(name, letters)] && !own ? name : NULL;
}

json_t *cloudevent_from_headers(const struct request *request, json_t *data, struct err *err)
{
    json_t *event = json_object();
    const char *header;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request->headers, header, value)
    {
        const char *name = attribute_name(header);
        json_t *decoded = name ? attribute(json_string_value(value)) : NULL;
        if (name && !decoded) {
            err_set(err, ERR_PERMANENT, "%s: the header %s must hold UTF-8 without NUL, percent-encoded", name, header);
            json_decref(event);
            return NULL;
        }
        json_put(event, name ? name : "", decoded);
    }
    json_object_set(event, "data", data);
    return event;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* The JSON within data_base64; NULL with the err. */
static json_t *encoded_data(const json_t *encoded, struct err *err)
{
    size_t len = 0;
    char *bytes = json_is_string(encoded)
                      ? (char *)decode_base64(json_string_value(encoded), json_string_length(encoded), &len)
                      : NULL;
    json_t *data = bytes ? json_parse(bytes, len, err) : NULL;
    if (!bytes) {
        err_set(err, ERR_PERMANENT, "data_base64 is no base64");
    } else if (!data) {
        err_prefix(err, "data_base64");
    }
    free(bytes);
    return data;
}

int cloudevent_open_data(json_t *event, struct err *err)
{
    const json_t *encoded = json_object_get(event, "data_base64");
    const char *type = json_string_at(event, "datacontenttype");
    if (!encoded || json_is_null(encoded)) {
        json_object_del(event, "data_base64");
        return 0;
    }
    if (json_object_get(event, "data")) {
        return err_set(err, ERR_PERMANENT, "data must be given once: as data or as data_base64");
    }
    if (type && !request_type_is_json(type)) {
        return err_set(err, ERR_PERMANENT, "datacontenttype must be JSON (application/json), not %s", type);
    }
    json_t *data = encoded_data(encoded, err);
    if (!data) {
        return -1;
    }
    json_object_set_new(event, "data", data);
    json_object_del(event, "data_base64");
    return 0;
}
