/* Every call as it went out and came back, masked: for who tries a connector. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

enum { TEXT_MAX = 64 * 1024, CALLS_MAX = 5000 };

void engine_trace(struct engine *engine)
{
    engine->tracing = true;
}

/* What came from outside, as text that may be shown. A new reference. */
static json_t *shown(const struct run *run, const char *data, size_t len)
{
    char *text = mem_strndup(data, len < TEXT_MAX ? len : TEXT_MAX);
    json_t *value = json_string(text); /* NULL: it is no UTF-8, or was cut within a character */
    for (size_t cut = 1; !value && len > TEXT_MAX && cut < 4; cut++) {
        text[TEXT_MAX - cut] = '\0';
        value = json_string(text);
    }
    char *masked = value ? run_mask(run, text) : mem_printf("(%zu bytes that are no text)", len);
    char *whole = value && len > TEXT_MAX ? mem_printf("%s… (%zu bytes)", masked, len) : mem_strdup(masked);
    json_decref(value);
    value = json_string(whole);
    free(whole);
    free(masked);
    free(text);
    return value;
}

static void add_line(const struct run *run, json_t *lines, const char *line)
{
    json_array_append_new(lines, shown(run, line, strlen(line)));
}

static json_t *sent_part(const struct run *run, const struct http_call *call)
{
    json_t *lines = json_array();
    for (const struct curl_slist *header = call->headers; header; header = header->next) {
        if (strcmp(header->data, "Expect:") != 0) { /* takes one away */
            add_line(run, lines, header->data);
        }
    }
    if (call->user || call->bearer) {
        add_line(run, lines, call->bearer ? "Authorization: Bearer ***" : "Authorization: Basic ***");
    }
    json_t *part = json_pack("{s:o}", "headers", lines);
    json_put(part, "body", call->body && *call->body ? shown(run, call->body, strlen(call->body)) : NULL);
    return part;
}

static json_t *received_part(const struct run *run, const struct http_answer *answer)
{
    json_t *lines = json_array();
    const char *name;
    json_t *value;
    json_object_foreach(answer->headers, name, value)
    {
        char *line = mem_printf("%s: %s", name, json_string_value(value) ? json_string_value(value) : "");
        add_line(run, lines, line);
        free(line);
    }
    json_t *part = json_pack("{s:o}", "headers", lines);
    json_put(part, "body", answer->body.len ? shown(run, answer->body.data, answer->body.len) : NULL);
    return part;
}

void trace_call(struct run *run, const struct http_call *call, bool changes, const struct http_answer *answer)
{
    if (!run->engine->tracing || json_array_size(run->record->trace) >= CALLS_MAX) {
        return;
    }
    json_t *traced =
        json_pack("{s:s, s:o, s:b, s:o}", "method", call->method, "url", shown(run, call->url, strlen(call->url)),
                  "changes", (int)changes, "sent", sent_part(run, call));
    if (!answer) {
        json_put(traced, "dry_run", json_true());
        json_put(traced, "uncertain", run->uncertain ? json_true() : NULL);
    } else {
        json_put(traced, "status", json_integer(answer->status));
        json_put(traced, "ms", json_integer(answer->duration / 1000));
        json_put(traced, "error", answer->error ? shown(run, answer->error, strlen(answer->error)) : NULL);
        json_put(traced, "received", answer->error ? NULL : received_part(run, answer));
    }
    if (!run->record->trace) {
        run->record->trace = json_array();
    }
    json_array_append_new(run->record->trace, traced);
}

void trace_rendered(struct run *run, const struct rendered *rendered, bool changes, const struct http_answer *answer)
{
    const struct http_call call = {.method = rendered->is_mail ? "MAIL" : rendered->method,
                                   .url = rendered->url,
                                   .headers = rendered->headers,
                                   .body = rendered->is_mail ? rendered->mail.message : rendered->body,
                                   .user = rendered->user,
                                   .bearer = rendered->bearer};
    trace_call(run, &call, changes, answer);
}
