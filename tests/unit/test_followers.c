/* `mirror` and `notify`: what the plan makes of them, and what is wrong with them. */
#include "tests/unit/definitions.h"

#include "lib/plan.h"
#include "lib/time.h"

static const char chat[] = "system: chat\n"
                           "settings: {url: {required: true}}\n"
                           "actions:\n"
                           "  say:\n"
                           "    effect: notify\n"
                           "    with: {text: {required: true}}\n"
                           "    requests: [{post: \"/say\", json: {text: \"${ .with.text }\"}}]\n"
                           "    outputs: {ts: \"${ .body.ts }\"}\n"
                           "  boss:\n"
                           "    effect: notify\n"
                           "    requests: [{post: \"/boss\", json: {to: \"${ .user.manager.email }\"}}]\n"
                           "  count:\n"
                           "    effect: notify\n"
                           "    requests: [{post: \"/count\", json: {all: \"${ .results | length }\"}}]\n";
static const char door[] = "system: door\n"
                           "settings: {url: {required: true}}\n"
                           "actions:\n"
                           "  shut:\n"
                           "    effect: revoke\n"
                           "    unverified: it only shuts\n"
                           "    requests: [{post: \"/shut\"}]\n"
                           "  ask:\n"
                           "    effect: identify\n"
                           "    provides: [user.manager]\n"
                           "    requests: [{get: \"/owner\", save: {boss: \"${ .body.boss }\"}}]\n"
                           "    outputs: {user: {manager: {email: \"${ .saved.boss }\"}}}\n";

static void put_book(struct fixture *fixture, const char *text)
{
    put(fixture, "connectors/chat.yaml", chat);
    put(fixture, "connectors/door.yaml", door);
    put(fixture, "runbooks/book.yaml", text);
    load(fixture);
}

static json_t *plan_of(struct fixture *fixture, const char *text)
{
    struct err err = ERR_INIT;
    put_book(fixture, text);
    assert_count(fixture, 0);
    json_t *offboarding = json_pack("{s:s, s:s}", "id", "5f102b3d-cd48-5792-8cab-975d70c6bb02", "runbook", "book");
    json_t *plan = plan_build(fixture->definitions, offboarding, TIME_DAY, &err);
    json_decref(offboarding);
    if (!plan) {
        fail_msg("%s", err_text(&err));
    }
    return plan;
}

static void assert_text(json_t *value, const char *expected)
{
    char *text = json_text(value);
    assert_string_equal(text, expected);
    free(text);
}

static void test_plan(void **state)
{
    json_t *plan = plan_of(*state, "runbook: book\n"
                                   "mirror:\n"
                                   "  - {system: chat, action: count}\n"
                                   "  - {system: chat, action: say, needs: [thread], if: \"${ .results != [] }\",\n"
                                   "     with: {text: \"${ .steps.thread.outputs.ts }\"}}\n"
                                   "notify:\n"
                                   "  on_failure: [{system: chat, action: count}]\n"
                                   "  on_phase_end: [{system: chat, action: count}]\n"
                                   "phases:\n"
                                   "  - name: p\n"
                                   "    steps:\n"
                                   "      - {id: shut, system: door, action: shut}\n"
                                   "      - {id: thread, system: chat, action: say, with: {text: x}}\n");
    json_t *followers = json_object_get(plan, "followers");
    assert_int_equal(json_array_size(followers), 4);
    assert_text(
        json_array_get(followers, 0),
        "{\"name\":\"mirror-1\",\"kind\":\"mirror\",\"system\":\"chat\",\"action\":\"count\",\"effect\":\"notify\","
        "\"needs\":[],\"if\":null,\"with\":{}}");
    assert_text(
        json_array_get(followers, 1),
        "{\"name\":\"mirror-2\",\"kind\":\"mirror\",\"system\":\"chat\",\"action\":\"say\",\"effect\":\"notify\","
        "\"needs\":[\"thread\"],\"if\":\"${ .results != [] }\","
        "\"with\":{\"text\":\"${ .steps.thread.outputs.ts }\"}}");
    assert_string_equal(json_string_at(plan, "followers.2.name"), "on-failure-1");
    assert_string_equal(json_string_at(plan, "followers.2.kind"), "on_failure");
    assert_string_equal(json_string_at(plan, "followers.3.name"), "on-phase-end-1");
    assert_string_equal(json_string_at(plan, "followers.3.kind"), "on_phase_end");
    json_t *wave = plan_first_wave(plan);
    assert_int_equal(json_array_size(wave), 2); /* they start nothing */
    json_decref(wave);
    json_decref(plan);
}

/* A system that is only told of results is one of the plan's systems: its topic has to be there. */
static void test_systems(void **state)
{
    json_t *plan = plan_of(*state, "runbook: book\n"
                                   "notify: {on_phase_end: [{system: chat, action: count}]}\n"
                                   "phases: [{name: p, steps: [{id: shut, system: door, action: shut}]}]\n");
    json_t *systems = plan_systems(plan);
    assert_text(systems, "[\"door\",\"chat\"]");
    assert_non_null(json_at(plan, "connectors.chat"));
    json_decref(systems);
    json_decref(plan);
    plan = plan_of(*state, "runbook: book\nphases: [{name: p, steps: [{id: shut, system: door, action: shut}]}]\n");
    assert_null(json_object_get(plan, "followers"));
    json_decref(plan);
}

/* Who needs a step that runs a runbook needs all of it; whom that runbook would tell is not told. */
static void test_of_a_runbook_that_is_run(void **state)
{
    put(*state, "runbooks/child.yaml",
        "runbook: child\n"
        "mirror: [{system: chat, action: count}]\n"
        "phases: [{name: p, steps: [{id: x, system: door, action: shut}, {id: y, system: door, action: shut}]}]\n");
    json_t *plan = plan_of(*state, "runbook: book\n"
                                   "mirror: [{system: chat, action: count, needs: [c]}]\n"
                                   "phases: [{name: p, steps: [{id: c, run: child}]}]\n");
    assert_int_equal(json_array_size(json_object_get(plan, "followers")), 1);
    assert_text(json_at(plan, "followers.0.needs"), "[\"c.x\",\"c.y\"]");
    json_decref(plan);
}

static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    put_book(fixture, "runbook: book\n"                                                               /* 1 */
                      "mirror:\n"                                                                     /* 2 */
                      "  - {system: door, action: shut}\n"                                            /* 3 */
                      "  - {system: chat, action: say, with: {text: \"${ .steps.a.state }\"}}\n"      /* 4 */
                      "  - {system: chat, action: say, with: {text: \"${ .result }\"}}\n"             /* 5 */
                      "  - {system: chat, action: boss}\n"                                            /* 6 */
                      "  - {system: chat, action: boss, needs: [who]}\n"                              /* 7 */
                      "  - chat\n"                                                                    /* 8 */
                      "notify: {on_failure: {system: chat, action: count}}\n"                         /* 9 */
                      "phases:\n"                                                                     /* 10 */
                      "  - name: p\n"                                                                 /* 11 */
                      "    steps:\n"                                                                  /* 12 */
                      "      - {id: a, system: chat, action: say, with: {text: \"${ .results }\"}}\n" /* 13 */
                      "      - {id: mirror-2, system: chat, action: say, with: {text: x}}\n"          /* 14 */
                      "      - {id: who, system: door, action: ask}\n");                              /* 15 */
    assert_has(fixture, "book.yaml", 3, "needs an action whose effect is notify, not revoke");
    assert_has(fixture, "book.yaml", 4, "reads step \"a\" without needing it");
    assert_has(fixture, "book.yaml", 5, "did you mean \"results\"?");
    assert_has(fixture, "book.yaml", 6, ".user.manager is used by \"mirror-4\"");
    assert_has(fixture, "book.yaml", 8, "must be");
    assert_has(fixture, "book.yaml", 9, "\"on_failure\" must be a list");
    assert_has(fixture, "book.yaml", 13, ".results");
    assert_has(fixture, "book.yaml", 14, "\"mirror-2\" is what the jobs of /mirror/1 are called");
    assert_count(fixture, 8);
}

#define DEFINED(test) cmocka_unit_test_setup_teardown(test, definitions_setup, definitions_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEFINED(test_plan),
        DEFINED(test_systems),
        DEFINED(test_of_a_runbook_that_is_run),
        DEFINED(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
