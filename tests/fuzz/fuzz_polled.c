/* lib/polled.h, lib/mapping.h: what a vendor's list of people becomes when a source asks for it. Each item is an event that the edge would
 * take, or there is a reason. The first line is the source, the rest the outputs of its action as JSON. */
/* links: tests/fuzz/shipped.c */
#include "lib/polled.h"

#include "lib/mapping.h"
#include "lib/message.h"
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shipped.h"

static const char now[] = "2026-11-23T10:00:00.000000Z";

static void check_item(const struct definition *source, const json_t *item)
{
    struct err err = ERR_INIT;
    json_t *event = polled_event(fuzz_definitions(), source, item, now, &err);
    FUZZ_CHECK((event == NULL) == (err.class == ERR_PERMANENT));
    if (event) {
        struct mapped mapped = {0};
        FUZZ_CHECK(message_cloudevent_check(event, NULL) == 0);
        if (mapping_apply(fuzz_definitions(), fuzz_conf(), event, source->name, INT64_C(1800000000) * TIME_SECOND,
                          &mapped, NULL) == 0) {
            mapped_release(&mapped);
        }
    }
    json_decref(event);
    err_release(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *name = fuzz_line(&input), *text = fuzz_text(&input);
    const struct definition *source = definition_find(fuzz_definitions(), DEFINITION_SOURCE, name);
    json_t *outputs = json_parse(text, strlen(text), NULL);
    struct err err = ERR_INIT;
    if (source && outputs && json_object_get(source->tree, "poll")) {
        json_t *items = polled_items(fuzz_definitions(), source, outputs, now, &err), *item;
        size_t i;
        FUZZ_CHECK(items ? json_is_array(items) : err.class == ERR_PERMANENT);
        json_array_foreach(items, i, item)
        {
            check_item(source, item);
        }
        json_decref(items);
    }
    err_release(&err);
    json_decref(outputs);
    free(text);
    free(name);
    return 0;
}
