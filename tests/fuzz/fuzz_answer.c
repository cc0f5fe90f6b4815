/* worker/engine.c and its files: any answers of a vendor to any action, whatever the job's message holds. It ends with an outcome that can be
 * told, with no secret in it, and never calls another host than the connector's. The first line is "SYSTEM ACTION", the second a JSON object
 * that is laid over the job's message, then come the answers, see vendors.h. */
/* links: tests/fuzz/vendors.c */
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
    vendors_run(message, &input);
    json_decref(over);
    json_decref(message);
    free(overlay);
    free(system);
    return 0;
}
