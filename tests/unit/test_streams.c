/* The topics that HR events come on, and what is believed of a record on each. */
/* links: producer/streams.c */
#include "tests/unit/definitions.h"

#include "lib/metrics.h"
#include "producer/planner_internal.h"

#define POLLED(name, system)                                                                                           \
    "source: " name "\ntypes: {com.example.leaves: start}\npoll:\n  system: " system                                   \
    "\n  action: list_leavers\n  every: 5m\n  items: \"${ .outputs.users }\"\n  id: \"${ .item.id }\"\n"               \
    "map: {user: {email: \"${ .data.email }\"}, runbook: scim-leaver}\n"

/* With two sources that poll Oomnitza: the shipped one, and `leavers`. */
static struct planner planner_of(struct fixture *fixture)
{
    put(fixture, "sources/leavers.yaml", POLLED("leavers", "oomnitza"));
    load(fixture);
    assert_count(fixture, 0);
    struct planner planner = {.conf = fixture->conf, .definitions = fixture->definitions};
    streams_open(&planner);
    return planner;
}

static void test_one_topic_for_each_writer(void **state)
{
    struct planner planner = planner_of(*state);
    static const struct {
        const char *topic;
        enum writer writer;
        const char *system;
    } wanted[] = {{"offboard.intake", WRITER_HR, NULL},
                  {"offboard.received", WRITER_EDGE, NULL},
                  {"offboard.polled.assetsonar", WRITER_WORKER, "assetsonar"},
                  {"offboard.polled.oomnitza", WRITER_WORKER, "oomnitza"}};
    assert_int_equal(planner.stream_count, COUNT_OF(wanted)); /* two sources that poll one system have one topic */
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const struct stream *stream = stream_find(&planner, wanted[i].topic);
        assert_non_null(stream);
        assert_int_equal(stream->writer, wanted[i].writer);
        assert_true(wanted[i].system ? !strcmp(stream->system, wanted[i].system) : !stream->system);
    }
    assert_null(stream_find(&planner, "offboard.polled.scim"));
    assert_null(stream_find(&planner, "offboard.events"));
    streams_close(&planner);
}

/* The attributes, whether the record is taken, and which of the two it still has. */
static void check(struct planner *planner, const char *topic, const char *attributes, const char *refused, int left)
{
    json_t *event = json_pack("{s:s}", "source", "leavers"), *more = json_parse(attributes, strlen(attributes), NULL);
    assert_non_null(more);
    json_object_update(event, more);
    size_t before = json_object_size(event);
    struct err err = ERR_INIT;
    char *dropped = NULL;
    int result = stream_believe(stream_find(planner, topic), planner->definitions, event, &dropped, &err);
    if ((result != 0) != (refused != NULL) || (refused && !strstr(err_text(&err), refused))) {
        fail_msg("%s on %s: \"%s\", not \"%s\"", attributes, topic, err_text(&err), refused ? refused : "");
    }
    int actor = json_object_get(event, "offboardactor") != NULL,
        source = json_object_get(event, MAPPING_SOURCE) != NULL;
    assert_int_equal(actor * 2 + source, left);
    assert_int_equal(dropped != NULL, json_object_size(event) < before);
    assert_true(!dropped || (strstr(dropped, topic) && strstr(dropped, "offboard")));
    free(dropped);
    err_release(&err);
    json_decref(more);
    json_decref(event);
}

static void test_what_is_believed(void **state)
{
    struct planner planner = planner_of(*state);
    static const char hr[] = "offboard.intake", edge[] = "offboard.received", worker[] = "offboard.polled.oomnitza";
    check(&planner, hr, "{\"source\": \"/hr/workday\"}", NULL, 0);
    check(&planner, hr, "{\"source\": \"workday\", \"offboardactor\": \"operator\"}", NULL, 0);
    check(&planner, hr,
          "{\"source\": \"workday\", \"offboardactor\": {\"name\": \"operator\"}, \"offboardsource\": \"leavers\"}",
          NULL, 0);
    check(&planner, hr, "{\"source\": \"/offboarding\", \"offboardactor\": null, \"offboardsource\": 1}", NULL, 0);
    check(&planner, hr, "{\"source\": \"/offboard/sources/okta-hook\"}", "is what the API calls its senders", 0);
    check(&planner, hr, "{\"source\": \"leavers\"}", "\"leavers\" is what the worker that polls it calls itself", 0);
    check(&planner, hr, "{\"source\": \"cloudevents\"}", NULL, 0);
    check(&planner, edge, "{\"offboardactor\": \"operator\"}", NULL, 2);
    check(&planner, edge, "{\"offboardsource\": \"leavers\"}", NULL, 1);
    check(&planner, worker, "{\"offboardsource\": \"leavers\"}", NULL, 1);
    check(&planner, worker, "{\"offboardsource\": \"oomnitza\", \"source\": \"oomnitza\"}", NULL, 1);
    check(&planner, worker, "{\"offboardsource\": \"leavers\", \"offboardactor\": \"operator\"}", NULL, 1);
    check(&planner, worker, "{}", "offboardsource is missing", 0);
    check(&planner, worker, "{\"offboardsource\": 1}", "offboardsource is missing", 1);
    check(&planner, worker, "{\"offboardsource\": \"assetsonar\"}", "no source \"assetsonar\" polls oomnitza", 1);
    check(&planner, worker, "{\"offboardsource\": \"cloudevents\"}", "no source \"cloudevents\" polls oomnitza", 1);
    check(&planner, worker, "{\"offboardsource\": \"nobody\"}", "no source \"nobody\" polls oomnitza", 1);
    char *name = mem_alloc(1000001);
    memset(name, 'x', 1000000);
    name[1000000] = '\0';
    char *large = mem_printf("{\"offboardsource\": \"%s\"}", name);
    check(&planner, worker, large, "no source \"…\" polls oomnitza", 1);
    free(large);
    free(name);
    check(&planner, worker, "{\"offboardsource\": \"leavers\", \"source\": \"/hr/workday\"}",
          "comes from \"leavers\", not from \"/hr/workday\"", 1);
    check(&planner, "offboard.polled.assetsonar", "{\"offboardsource\": \"leavers\"}", "polls assetsonar", 1);
    streams_close(&planner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_topic_for_each_writer, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_believed, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
