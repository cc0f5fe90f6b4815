/* cli/raw_request.c, lib/request.h, lib/cloudevent.h: a request that was kept in a file. What is read has a method, a path, headers by names in
 * lower case and a body that lies within the file. */
/* links: cli/raw_request.c */
#include "cli/plan.h"
#include "lib/cloudevent.h"
#include "lib/message.h"
#include "tests/fuzz/fuzz.h"

static void check_event(const struct request *request)
{
    struct err err = ERR_INIT;
    json_t *body = json_parse(request->body, request->body_len, NULL);
    json_t *event = NULL;
    switch (cloudevent_mode(request)) {
    case CLOUDEVENT_BINARY:
        event = cloudevent_from_headers(request, body ? body : json_null(), &err);
        break;
    case CLOUDEVENT_STRUCTURED:
        event = json_incref(body);
        break;
    default:
        break;
    }
    if (json_is_object(event) && cloudevent_open_data(event, &err) == 0) {
        message_cloudevent_check(event, NULL);
    }
    char *text = json_text(event); /* all of it is UTF-8 */
    json_t *again = json_parse(text, strlen(text), NULL);
    FUZZ_CHECK(again);
    free(text);
    json_decref(again);
    json_decref(event);
    json_decref(body);
    err_release(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *path = mem_printf("%s/request", fuzz_directory());
    struct raw_request raw;
    struct err err = ERR_INIT;
    fuzz_write(path, data, size);
    if (raw_request_read(path, &raw, &err) == 0) {
        const struct request *request = &raw.request;
        FUZZ_CHECK(*request->method && *raw.path == '/' && !strpbrk(raw.path, "? \r\n"));
        FUZZ_CHECK(request->body >= raw.text && request->body + request->body_len <= raw.text + size);
        const char *name;
        json_t *value;
        json_object_foreach(raw.headers, name, value)
        {
            char *lower = json_lower(name);
            FUZZ_CHECK(strcmp(name, lower) == 0 && request_header(request, name) == json_string_value(value));
            free(lower);
        }
        check_event(request);
        raw_request_release(&raw);
    } else {
        FUZZ_CHECK(err.class != ERR_NONE);
    }
    err_release(&err);
    free(path);
    return 0;
}
