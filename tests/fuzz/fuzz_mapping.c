/* lib/mapping.h, lib/plan.h: HR's event by a source's file, and the plan made of it. Whatever maps can be planned, each first job can be read
 * by its worker, and nothing private stays. The first line is the source's name, or empty; the rest a CloudEvent. */
/* links: tests/fuzz/shipped.c */
#include "lib/mapping.h"
#include "lib/message.h"
#include "lib/plan.h"
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shipped.h"

static void check_jobs(const json_t *offboarding, const json_t *plan)
{
    json_t *ids = plan_first_wave(plan);
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id)
    {
        struct err err = ERR_INIT;
        json_t *job = plan_job_message(offboarding, plan, json_string_value(id), 1, NULL, NULL);
        char *text = json_text(job);
        json_t *read = message_job(text, strlen(text), &err);
        FUZZ_CHECK(read);
        json_decref(read);
        free(text);
        json_decref(job);
    }
    json_decref(ids);
}

static void check_mapped(const struct mapped *mapped)
{
    int64_t at;
    json_t *kept = mapping_without_private(mapped->offboarding);
    FUZZ_CHECK(!kept || json_equal(kept, mapped->offboarding)); /* of what is ignored nothing may be known */
    json_decref(kept);
    if (mapped->ignored_by || mapped->refused) {
        return;
    }
    FUZZ_CHECK(mapped->person && *mapped->person);
    FUZZ_CHECK(time_parse(json_string_at(mapped->offboarding, "effective_at"), &at, NULL) == 0);
    FUZZ_CHECK(json_is_object(json_object_get(mapped->offboarding, "user")));
    if (mapped->intent == INTENT_START || mapped->intent == INTENT_CHANGE) {
        struct err err = ERR_INIT;
        json_t *plan = plan_build(fuzz_definitions(), mapped->offboarding, TIME_DAY, &err);
        FUZZ_CHECK(plan || strstr(err_text(&err), "runbook"));
        if (plan) {
            check_jobs(mapped->offboarding, plan);
        }
        json_decref(plan);
        err_release(&err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *source = fuzz_line(&input), *text = fuzz_text(&input);
    struct err err = ERR_INIT;
    struct mapped mapped = {0};
    json_t *event = json_parse(text, strlen(text), NULL);
    if (event && message_cloudevent_check(event, NULL) == 0) {
        const char *name = *source ? source : NULL;
        if (mapping_apply(fuzz_definitions(), fuzz_conf(), event, name, INT64_C(1700000000) * TIME_SECOND, &mapped,
                          &err) == 0) {
            check_mapped(&mapped);
            mapped_release(&mapped);
        } else {
            FUZZ_CHECK(err.class == ERR_PERMANENT);
        }
    }
    err_release(&err);
    json_decref(event);
    free(text);
    free(source);
    return 0;
}
