/* The words of a step: what the plan makes of them, and what is wrong with them. */
#include "tests/unit/definitions.h"

#include "lib/buf.h"
#include "lib/plan.h"
#include "lib/time.h"

/* A system whose actions can be undone and read back, and provide something. */
static const char vpn[] = "system: vpn\n"
                          "settings: {url: {required: true}}\n"
                          "actions:\n"
                          "  block:\n"
                          "    effect: revoke\n"
                          "    with: {why: {default: left}}\n"
                          "    requests: [{post: \"/block\", json: {why: \"${ .with.why }\"}}]\n"
                          "    verify: {get: \"/state\", expect: \"${ .body.blocked }\"}\n"
                          "    undo: unblock\n"
                          "  unblock:\n"
                          "    effect: handover\n"
                          "    requests: [{delete: \"/block\"}]\n"
                          "    verify: {get: \"/state\", expect: \"${ .body.blocked | not }\"}\n"
                          "  note:\n"
                          "    effect: notify\n"
                          "    with: {text: {required: true}}\n"
                          "    requests: [{post: \"/notes\", json: {text: \"${ .with.text }\"}}]\n";

/* The runbook `book` with these phases, planned with a day of `day`. */
static json_t *plan_of(struct fixture *fixture, const char *phases, int64_t day)
{
    struct err err = ERR_INIT;
    char *text = mem_printf("runbook: book\nphases:\n%s", phases);
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/book.yaml", text);
    free(text);
    load(fixture);
    assert_count(fixture, 0);
    json_t *offboarding = json_pack("{s:s, s:s}", "id", "5f102b3d-cd48-5792-8cab-975d70c6bb02", "runbook", "book");
    json_t *plan = plan_build(fixture->definitions, offboarding, day, &err);
    json_decref(offboarding);
    if (!plan) {
        fail_msg("%s", err_text(&err));
    }
    return plan;
}

static void assert_member(const json_t *plan, const char *path, const char *expected)
{
    const json_t *value = json_at(plan, path);
    char *text = value ? json_text(value) : mem_strdup("absent");
    if (strcmp(text, expected) != 0) {
        fail_msg("%s is %s, not %s", path, text, expected);
    }
    free(text);
}

static void test_expires(void **state)
{
    json_t *plan = plan_of(*state,
                           "  - name: p\n"
                           "    steps:\n"
                           "      - {id: a, system: vpn, action: block, after: 60d, expires: 3d}\n"
                           "      - {id: b, system: vpn, action: block}\n",
                           TIME_SECOND);
    assert_member(plan, "phases.0.steps.0.expires", "\"3d\"");
    assert_member(plan, "phases.0.steps.0.expires_us", "3000000");
    assert_member(plan, "phases.0.steps.1.expires", "absent");
    assert_member(plan, "phases.0.steps.1.expires_us", "null");
    json_t *offboarding = json_object();
    for (int i = 0; i < 2; i++) {
        json_t *message = plan_job_message(
            offboarding, plan, json_string_at(plan, i ? "phases.0.steps.1.job_id" : "phases.0.steps.0.job_id"), 1, NULL,
            NULL);
        assert_member(message, "job.expires_us", i ? "absent" : "3000000");
        json_decref(message);
    }
    json_decref(offboarding);
    json_decref(plan);
}

static void test_on_missing(void **state)
{
    struct fixture *fixture = *state;
    json_t *plan = plan_of(fixture,
                           "  - name: p\n"
                           "    steps:\n"
                           "      - {id: a, system: vpn, action: block, on_missing: cancel_phase}\n"
                           "      - {id: b, system: vpn, action: block}\n",
                           TIME_DAY);
    assert_member(plan, "phases.0.steps.0.on_missing", "\"cancel_phase\"");
    assert_member(plan, "phases.0.steps.1.on_missing", "absent");
    json_decref(plan);
    put(fixture, "runbooks/book.yaml",
        "runbook: book\nphases: [{name: p, steps: [{id: a, system: vpn, action: block, on_missing: cancel}]}]\n");
    load(fixture);
    assert_count(fixture, 1);
    assert_has(fixture, "book.yaml", 2, "\"on_missing\" must be cancel_phase");
}

/* Ids of the steps of the first phase, "a b c.d". */
static char *ids_of(const json_t *steps)
{
    struct buf names = BUF_INIT;
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        buf_addf(&names, "%s%s", i ? " " : "",
                 json_is_string(step) ? json_string_value(step) : json_string_at(step, "id"));
    }
    return buf_take(&names);
}

static void assert_ids(const json_t *steps, const char *expected)
{
    char *ids = ids_of(steps);
    assert_string_equal(ids, expected);
    free(ids);
}

static void test_later_read_backs(void **state)
{
    struct fixture *fixture = *state;
    json_t *plan = plan_of(fixture,
                           "  - name: p\n"
                           "    steps:\n"
                           "      - {id: a, system: vpn, action: note, with: {text: x}}\n"
                           "      - id: b\n"
                           "        system: vpn\n"
                           "        action: block\n"
                           "        needs: [a]\n"
                           "        if: true\n"
                           "        after: 2d\n"
                           "        with: {why: \"${ .steps.a.state }\"}\n"
                           "        verify: [1d, 30d]\n"
                           "      - {id: c, system: vpn, action: block, needs: [b]}\n",
                           TIME_SECOND);
    assert_ids(json_at(plan, "phases.0.steps"), "a b b.verify-1d b.verify-30d c");
    assert_ids(json_at(plan, "phases.0.steps.4.needs"), "b"); /* nobody waits for a later look */
    const json_t *look = json_at(plan, "phases.0.steps.3");
    assert_member(look, "needs", "[\"b\"]");
    assert_member(look, "reads", "[\"a\"]");
    assert_member(look, "only_verify", "true");
    assert_member(look, "wait_us", "30000000");
    assert_member(look, "after_us", "0");
    assert_member(look, "if", "null");
    assert_member(look, "with.why", "\"${ .steps.a.state }\"");
    json_t *offboarding = json_object();
    json_t *message = plan_job_message(offboarding, plan, json_string_at(look, "job_id"), 1, NULL, NULL);
    assert_member(message, "job.only_verify", "true");
    json_t *first = plan_first_wave(plan);
    assert_int_equal(json_array_size(first), 1);
    json_decref(first);
    json_decref(message);
    json_decref(offboarding);
    json_decref(plan);
}

static void test_later_read_backs_refused(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "connectors/door.yaml",
        "system: door\n"
        "settings: {url: {required: true}}\n"
        "actions:\n"
        "  shut:\n"
        "    effect: revoke\n"
        "    requests: [{get: \"/door\", save: {id: \"${ .body.id }\"}}, {post: \"/shut\"}]\n"
        "    verify: {get: \"/doors/${ .saved.id }\", expect: \"${ .body.shut }\"}\n");
    put(fixture, "runbooks/book.yaml",
        "runbook: book\n"
        "phases:\n"
        "  - name: p\n"
        "    steps:\n"
        "      - {id: a, system: vpn, action: block, verify: [soon, 0s, 1h, 1h]}\n"
        "      - {id: b, system: vpn, action: note, with: {text: x}, verify: [1h]}\n"
        "      - {id: c, system: vpn, action: block, verify: 1h}\n"
        "      - {id: d, system: door, action: shut, verify: [1h]}\n");
    load(fixture);
    assert_has(fixture, "book.yaml", 5, "\"verify\": \"soon\" is no duration");
    assert_has(fixture, "book.yaml", 5, "how long after the step it is read back: not 0s");
    assert_has(fixture, "book.yaml", 5, "\"verify\" has 1h twice");
    assert_has(fixture, "book.yaml", 6, "action \"note\" has no `verify`");
    assert_has(fixture, "book.yaml", 7, "\"verify\" must be a list of texts");
    assert_has(fixture, "book.yaml", 8, "its `verify` reads .saved.id, gone by then");
    assert_count(fixture, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expires, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_on_missing, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_later_read_backs, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_later_read_backs_refused, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
