/* What must be a number or a duration is refused at start when it is something else; nothing is read as "no limit". */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/helpers.h"
#include "worker/engine_internal.h"

static const char connector[] =
    "system: vendor\n"
    "settings:\n"
    "  url: {required: true}\n"
    "  other_url: {help: \"an address\"}\n"
    "  rate: {default: \"600\"}\n"
    "  second: {default: \"10\"}\n"
    "  places: {default: \"4\"}\n"
    "  day: {help: \"a day; not set: as many as there are\"}\n"
    "  half: {default: \"20\"}\n"
    "  settle: {default: 90s}\n"
    "  patience: {default: 30d}\n"
    "  remind: {default: 7d}\n"
    "  lanes: {default: \"2\"}\n"
    "  bulk: {default: \"20\"}\n"
    "limits:\n"
    "  default: {per_minute: \"${ .settings.rate }\", in_flight: \"${ .settings.places }\"}\n"
    "  search: {per_second: \"${ .settings.second }\", per_day: \"${ .settings.day }\"}\n"
    "  half: {per_minute: \"${ (.settings.half | tonumber) / 2 }\"}\n"
    "actions:\n"
    "  tell:\n"
    "    effect: notify\n"
    "    once: true\n"
    "    settle: \"${ .settings.settle }\"\n"
    "    requests:\n"
    "      - {post: /tell, find: {get: /told, expect: \"${ .body.told }\"}}\n"
    "      - wait:\n"
    "          signal: done\n"
    "          key: k\n"
    "          for: \"${ .settings.patience }\"\n"
    "          meanwhile: {post: /remind, every: \"${ .settings.remind }\"}\n"
    "      - {post: /x, for_each: \"${ [1, 2] }\", parallel: \"${ .settings.lanes }\"}\n"
    "      - post: /y\n"
    "        for_each: \"${ [1, 2] }\"\n"
    "        json: \"${ .items }\"\n"
    "        batch: {size: \"${ .settings.bulk }\", results: \"${ .body.results }\"}\n";

static const struct refusal {
    const char *settings;
    const char *said[3];
} refusals[] = {
    {"other_url: \"htp://x\"", {"systems.vendor.other_url is no usable address: it must begin with https://"}},
    {"other_url: vendor.example.com", {"systems.vendor.other_url", "must begin with https://"}},
    {"other_url: \"\"", {"systems.vendor.other_url", "it is empty"}},
    {"other_url: \"https://vendor.example.com/api \"", {"systems.vendor.other_url", "it holds a blank"}},
    {"other_url: \"https://\"", {"systems.vendor.other_url", "host"}},
    {"other_url: \"https://vendor.example.com:99999\"", {"systems.vendor.other_url", "Port number"}},
    {"other_url: \"https://ann:secret@vendor.example.com\"", {"systems.vendor.other_url", "it holds credentials"}},
    {"other_url: \"https://vendor.example.com/?page=1\"", {"systems.vendor.other_url", "it has a query"}},
    {"other_url: \"https://vendor.example.com/#users\"", {"systems.vendor.other_url", "it has a fragment"}},
    {"rate: abc", {"systems.vendor.rate: limits.default.per_minute is \"abc\"", "must be a number above 0"}},
    {"rate: 60/min", {"systems.vendor.rate", "\"60/min\""}},
    {"rate: \"\"", {"systems.vendor.rate", "\"\""}},
    {"rate: \"-5\"", {"systems.vendor.rate", "\"-5\""}},
    {"rate: \"0\"", {"systems.vendor.rate", "\"0\""}},
    {"rate: \" 60\"", {"systems.vendor.rate", "\" 60\""}},
    {"rate: 1e3", {"systems.vendor.rate", "\"1e3\""}},
    {"rate: \"1,000\"", {"systems.vendor.rate", "\"1,000\""}},
    {"rate: 0x10", {"systems.vendor.rate", "\"0x10\""}},
    {"rate: inf", {"systems.vendor.rate", "\"inf\""}},
    {"rate: nan", {"systems.vendor.rate", "\"nan\""}},
    {"rate: \"10000000000\"", {"systems.vendor.rate", "\"10000000000\""}},
    {"rate: unlimited", {"systems.vendor.rate", "\"unlimited\""}},
    {"second: fast", {"systems.vendor.second: limits.search.per_second is \"fast\""}},
    {"places: \"2.5\"", {"systems.vendor.places: limits.default.in_flight", "must be a whole number above 0"}},
    {"day: many", {"systems.vendor.day: limits.search.per_day is \"many\""}},
    {"day: \"\"", {"systems.vendor.day"}},
    {"half: many", {"systems.vendor.half: limits.half.per_minute has no value"}},
    {"half: \"0\"", {"systems.vendor.half: limits.half.per_minute is 0"}},
    {"settle: 2 minutes", {"systems.vendor.settle: actions.tell.settle is \"2 minutes\"", "must be a duration"}},
    {"settle: \"120\"", {"systems.vendor.settle", "must be a duration"}},
    {"settle: \"\"", {"systems.vendor.settle", "must be a duration"}},
    {"settle: 1h", {"systems.vendor.settle: actions.tell.settle is 3600 s", "at most 10m (worker.memory)"}},
    {"patience: a month", {"systems.vendor.patience: actions.tell.requests.1.wait.for is \"a month\"", "duration"}},
    {"remind: weekly", {"systems.vendor.remind: actions.tell.requests.1.wait.meanwhile.every", "duration"}},
    {"lanes: all", {"systems.vendor.lanes: actions.tell.requests.2.parallel is \"all\"", "a whole number above 0"}},
    {"bulk: \"\"", {"systems.vendor.bulk: actions.tell.requests.3.batch.size is \"\"", "a whole number above 0"}},
    {"expires: soon", {"systems.vendor.expires", "soon"}},
    {"mode: dry", {"systems.vendor.mode must be live or dry_run"}},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        const struct refusal *row = &refusals[i];
        char *said = engine_stand_refusal(connector, row->settings);
        if (!said) {
            fail_msg("%s was taken", row->settings);
        }
        for (size_t part = 0; part < COUNT_OF(row->said) && row->said[part]; part++) {
            assert_contains(said, row->said[part]);
        }
        free(said);
    }
}

/* A variable's name doesn't say whether it means a system's own setting: only the worker knows. */
static void test_refused_in_variables(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"OFFBOARD_SYSTEMS_VENDOR_RATE", "abc", "systems.vendor.rate"},
        {"OFFBOARD_SYSTEMS_VENDOR_EXPIRES", "soon", "systems.vendor.expires"},
        {"OFFBOARD_SYSTEMS_VENDOR_MODE", "Live", "systems.vendor.mode must be live or dry_run"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        setenv(rows[i][0], rows[i][1], 1);
        char *said = engine_stand_refusal(connector, "rate: \"60\"");
        unsetenv(rows[i][0]);
        assert_contains(said, rows[i][2]);
        free(said);
    }
}

static const struct limit *limit_of(const struct engine_stand *stand, const char *name)
{
    const struct system *system = engine_system(stand->engine, "vendor");
    for (size_t i = 0; i < system->limit_count; i++) {
        if (strcmp(system->limits[i].name, name) == 0) {
            return &system->limits[i].limit;
        }
    }
    fail_msg("no limit %s", name);
    return NULL;
}

static void test_taken(void **state)
{
    (void)state;
    struct engine_stand *stand = engine_stand_with(connector, "rate: \"90\", second: \"0.5\", settle: 1m30s", "");
    assert_float_equal(limit_of(stand, "default")->per_second, 1.5, 1e-9);
    assert_int_equal(limit_of(stand, "default")->in_flight_max, 4);
    assert_float_equal(limit_of(stand, "search")->per_second, 0.5, 1e-9);
    assert_float_equal(limit_of(stand, "search")->per_day, 0, 1e-9); /* not set: none */
    assert_float_equal(limit_of(stand, "half")->per_second, 10.0 / 60, 1e-9);
    assert_int_equal(engine_settle(stand->engine, "vendor", "tell"), 90 * TIME_SECOND);
    engine_stand_free(stand);
}

static void test_derive_key(void **state)
{
    (void)state;
    static const char derives[] = "system: vendor\n"
                                  "settings: {url: {required: true}}\n"
                                  "actions:\n"
                                  "  lock:\n"
                                  "    effect: notify\n"
                                  "    derive: {pin: {digits: 6}}\n"
                                  "    requests: [{post: \"/lock/${ .derived.pin }\"}]\n";
    setenv("OFFBOARD_WORKER_DERIVE_KEY", "short", 1);
    char *said = engine_stand_refusal(derives, "ca_file: /none");
    unsetenv("OFFBOARD_WORKER_DERIVE_KEY");
    assert_contains(said, "worker.derive_key has 5 characters, and must have at least 32");
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_in_variables),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_derive_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
