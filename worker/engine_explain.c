/* What a vendor says of an error, in one sentence, whatever shape its answer has. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "worker/engine_internal.h"

enum { PARTS_MAX = 5, DEPTH_MAX = 4, PART_MAX = 600 };

/* The parts of an explanation: what was said once is not said again. */
struct parts {
    struct buf text;
    int count;
};

static void add_part(struct parts *parts, const char *field, const char *said)
{
    if (!said || !*said || parts->count == PARTS_MAX || (parts->count && strstr(buf_text(&parts->text), said))) {
        return;
    }
    buf_adds(&parts->text, parts->count++ ? "; " : "");
    char *shown = text_shortened(said, PART_MAX);
    buf_addf(&parts->text, "%s%s%s", field ? field : "", field ? ": " : "", shown);
    free(shown);
}

/* Members by which vendors explain themselves, the most telling first. */
static const char *const sentences[] = {
    "detail",         "Detail",           "error_description",
    "description",    "message",          "Message",
    "error_message",  "errorMessage",     "ErrorMessage",
    "errorSummary",   "error_summary",    "errorDetail",
    "userMessage",    "user_message",     "msg",
    "faultstring",    "faultString",      "failureReason",
    "failure_reason", "reason",           "title",
    "status_message", "statusMessage",    "exceptionMessage",
    "info",           "ExceptionMessage", "developerMessage",
};

/* Members that hold further explanations, as objects, lists or texts. */
static const char *const holders[] = {
    "error",
    "Error",
    "errors",
    "Errors",
    "errorMessages",
    "error_messages",
    "details",
    "errorCauses",
    "fault",
    "Fault",
    "odata.error",
    "meta",
    "invalid_params",
    "invalid-params",
    "innererror",
    "violations",
    "messages",
    "message",
    "field_errors",
    "fieldErrors",
    "validation_errors",
    "validationErrors",
    "exception",
    "cause",
};

/* Members that hold the whole answer, of whatever kind it is: looked into when nothing beside them explains anything. */
static const char *const envelopes[] = {"result", "data", "response", "_embedded", "value"};

static void explain_value(struct parts *parts, const char *field, const json_t *value, int depth);

static bool is_holder(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(holders); i++) {
        if (strcmp(holders[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* `{"summary": "…"}` or `{"summary": ["…"]}`: by field, as in `errors`. */
static void explain_fields(struct parts *parts, const json_t *fields, int depth)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fields, name, value)
    {
        if (json_is_string(value) || json_is_array(value)) {
            explain_value(parts, is_holder(name) ? NULL : name, value, depth + 1);
        }
    }
}

static void explain_object(struct parts *parts, const json_t *object, bool by_field, int depth)
{
    int before = parts->count;
    for (size_t i = 0; i < COUNT_OF(sentences) && parts->count == before; i++) {
        const json_t *said = json_object_get(object, sentences[i]);
        add_part(parts, NULL, json_string_value(said));
    }
    for (size_t i = 0; i < COUNT_OF(holders); i++) {
        const json_t *held = json_object_get(object, holders[i]);
        bool code = parts->count > before && json_is_string(held); /* "error": "RecordInvalid" beside a sentence */
        if (!code && !(strcmp(holders[i], "error") == 0 && json_is_string(held))) {
            explain_value(parts, NULL, held, depth + 1);
        }
    }
    if (parts->count == before) {
        add_part(parts, NULL, json_string_at(object, "error"));
    }
    for (size_t i = 0; i < COUNT_OF(envelopes) && parts->count == before; i++) {
        const json_t *inner = json_object_get(object, envelopes[i]);
        if (json_is_object(inner) && depth < DEPTH_MAX) {
            explain_object(parts, inner, false, depth + 1);
        }
    }
    if (parts->count == before && by_field) {
        explain_fields(parts, object, depth);
    }
}

static void explain_value(struct parts *parts, const char *field, const json_t *value, int depth)
{
    size_t i;
    json_t *one;
    if (depth > DEPTH_MAX) {
        return;
    }
    if (json_is_string(value)) {
        add_part(parts, field, json_string_value(value));
    } else if (json_is_object(value)) {
        explain_object(parts, value, depth > 0, depth);
    }
    json_array_foreach(value, i, one)
    {
        explain_value(parts, field, one, depth + 1);
    }
}

/* "Sign in" of `<title>Sign in</title>`; a page's other words are no explanation. */
static char *title_of(const char *page)
{
    const char *open = strcasestr(page, "<title");
    const char *from = open ? strchr(open, '>') : NULL;
    const char *to = from ? strcasestr(from, "</title") : NULL;
    char *title = to ? mem_strndup(from + 1, (size_t)(to - from - 1)) : NULL;
    char *said = title ? mem_printf("a web page titled \"%s\"", title) : mem_strdup("a web page");
    free(title);
    return said;
}

/* Sentences of the body, "" where it has none; a text is a sentence, a page is told by its title. The caller frees. */
static char *sentences_of(const json_t *body)
{
    const char *text = json_string_value(body);
    if (text) {
        return text_is_page(text) ? title_of(text) : mem_strdup(text);
    }
    struct parts parts = {.text = {.max = 8000}};
    explain_value(&parts, NULL, body, 0);
    char *said = mem_strdup(buf_text(&parts.text));
    buf_release(&parts.text);
    return said;
}

char *explain_body(const json_t *body)
{
    char *said = sentences_of(body);
    if (*said || !(json_object_size(body) || json_array_size(body))) {
        return said;
    }
    free(said);
    return json_text(body); /* better than nothing */
}

/* The connector can say where the explanation is: `message` of the request, else of the head. */
static char *by_template(const struct run *run, const json_t *request)
{
    const char *own = json_string_at(request, "message");
    const char *tmpl = own ? own : json_string_at(run->system->connector->tree, "message");
    json_t *value =
        tmpl ? expr_render(run->engine->exprs, json_object_get(own ? request : run->system->connector->tree, "message"),
                           run->context, NULL)
             : NULL;
    char *said = value && !json_is_null(value) ? explain_body(value) : NULL;
    json_decref(value);
    if (said && *said) {
        return said;
    }
    free(said);
    return NULL;
}

char *explain(const struct run *run, const json_t *request)
{
    const json_t *body = json_object_get(run->context, "body");
    char *said = by_template(run, request);
    bool kept_secret = json_array_size(json_object_get(request, "secret")) > 0; /* what it was to save is in the body */
    return said ? said : kept_secret ? sentences_of(body) : explain_body(body);
}

char *explain_in_words(const struct run *run, const json_t *request)
{
    char *said = by_template(run, request);
    return said ? said : sentences_of(json_object_get(run->context, "body"));
}
