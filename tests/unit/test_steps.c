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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expires, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_on_missing, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
