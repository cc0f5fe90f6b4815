/* worker/engine.c and its files: any answers of a vendor to any action, whatever the job's message holds. It ends with an outcome that can be
 * told, with no secret in it, and never calls another host than the connector's. The first line is "SYSTEM ACTION", the second a JSON object
 * that is laid over the job's message, then come the answers, see vendors.h. */
/* links: tests/fuzz/vendors.c */
#include "lib/message.h"
#include "tests/fuzz/vendors.h"

/* Lays `over` on `under`, objects member by member. */
static void lay_over(json_t *under, const json_t *over)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)over, name, value)
    {
        json_t *below = json_object_get(under, name);
        if (json_is_object(below) && json_is_object(value)) {
            lay_over(below, value);
        } else {
            json_object_set(under, name, value);
        }
    }
}

/* What message_job() makes of it; NULL when it refuses, or there is no connector for the system. */
static json_t *accepted(const json_t *message)
{
    char *text = json_text(message);
    json_t *read = message_job(text, strlen(text), NULL);
    const char *system = json_string_at(read, "job.system");
    if (read && !definition_find(vendors_definitions(), DEFINITION_CONNECTOR, system)) {
        json_decref(read);
        read = NULL;
    }
    free(text);
    return read;
}

static void check_result(const struct engine_result *result)
{
    static const char *const outcomes[] = {"succeeded", "already_done", "skipped", "missing",  "deferred",
                                           "failed",    "blocked",      "denied",  "cancelled"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        known = known || strcmp(outcomes[i], result->outcome) == 0;
    }
    FUZZ_CHECK(known && !result->abandoned);
    FUZZ_CHECK(json_is_object(result->context) && result->message && *result->message);
    json_t *said = json_pack("{s:s, s:O}", "message", result->message, "context", result->context);
    FUZZ_CHECK(said); /* all of it is UTF-8 */
    char *text = json_text(said);
    FUZZ_CHECK(!strstr(text, VENDORS_SECRET "okta-token") && !strstr(text, VENDORS_SECRET "zoom-client_secret"));
    FUZZ_CHECK(strcmp(result->outcome, "deferred") != 0 || json_string_at(result->context, "due_at"));
    free(text);
    json_decref(said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *system = fuzz_line(&input), *overlay = fuzz_line(&input);
    char *action = strchr(system, ' ') ? strchr(system, ' ') + 1 : system + strlen(system);
    system[strcspn(system, " ")] = '\0';
    json_t *message = vendors_job(system, action);
    json_t *over = json_parse(overlay, strlen(overlay), NULL);
    if (message) {
        lay_over(message, over);
    }
    json_t *job = message ? accepted(message) : NULL;
    if (job) {
        struct engine_result result;
        vendors_run(job, &input, &result);
        check_result(&result);
        engine_result_release(&result);
    }
    json_decref(job);
    json_decref(over);
    json_decref(message);
    free(overlay);
    free(system);
    return 0;
}
