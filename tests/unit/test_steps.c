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
    assert_ids(json_at(plan, "phases.0.steps"), "a b c"); /* nobody waits for a later look */
    assert_ids(json_at(plan, "phases.1.steps"), "b.verify-1d b.verify-30d");
    assert_member(json_at(plan, "phases.1"), "beside", "true");
    const json_t *look = json_at(plan, "phases.1.steps.1");
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
        "    verify: {get: \"/doors/${ .saved.id }\", expect: \"${ .body.shut }\"}\n"
        "  shut_all:\n"
        "    effect: revoke\n"
        "    requests: [{post: \"/shut\"}]\n"
        "    verify:\n"
        "      - {get: \"/doors\", save: {ids: \"${ [.body.doors[].id] }\"}, expect: \"${ .status == 200 }\"}\n"
        "      - {get: \"/doors/${ .item }\", for_each: \"${ .saved.ids }\", expect: \"${ .body.shut }\"}\n");
    put(fixture, "runbooks/book.yaml",
        "runbook: book\n"
        "phases:\n"
        "  - name: p\n"
        "    steps:\n"
        "      - {id: a, system: vpn, action: block, verify: [soon, 0s, 1h, 1h]}\n"
        "      - {id: b, system: vpn, action: note, with: {text: x}, verify: [1h]}\n"
        "      - {id: c, system: vpn, action: block, verify: 1h}\n"
        "      - {id: d, system: door, action: shut, verify: [1h]}\n"
        "      - {id: e, system: door, action: shut_all, verify: [1h]}\n");
    load(fixture);
    assert_has(fixture, "book.yaml", 5, "\"verify\": \"soon\" is no duration");
    assert_has(fixture, "book.yaml", 5, "how long after the step it is read back: not 0s");
    assert_has(fixture, "book.yaml", 5, "\"verify\" has 1h twice");
    assert_has(fixture, "book.yaml", 6, "action \"note\" has no `verify`");
    assert_has(fixture, "book.yaml", 7, "\"verify\" must be a list of texts");
    assert_has(fixture, "book.yaml", 8, "its `verify` reads .saved.id, gone by then");
    assert_count(fixture, 6);
}

/* A child of two phases, one of whose steps runs a grandchild. */
static void put_children(struct fixture *fixture)
{
    put(fixture, "runbooks/child.yaml",
        "runbook: child\n"
        "phases:\n"
        "  - name: now\n"
        "    steps:\n"
        "      - {id: x, system: vpn, action: block}\n"
        "      - {id: y, system: vpn, action: note, needs: [x], with: {text: \"${ .steps.x.state }\"}, after: 2d}\n"
        "      - {id: deep, run: grandchild, needs: [y], if: \"${ .steps.y.state != null }\"}\n"
        "  - name: then\n"
        "    after: 30d\n"
        "    steps:\n"
        "      - {id: z, system: vpn, action: unblock, after: 40d}\n");
    put(fixture, "runbooks/grandchild.yaml",
        "runbook: grandchild\nphases: [{name: p, steps: [{id: g, system: vpn, action: block, verify: [1d]}]}]\n");
}

static void test_run(void **state)
{
    struct fixture *fixture = *state;
    put_children(fixture);
    json_t *plan = plan_of(fixture,
                           "  - name: p\n"
                           "    steps:\n"
                           "      - {id: a, system: vpn, action: block}\n"
                           "      - {id: c, run: child, needs: [a], when: always, after: 1d,\n"
                           "         if: \"${ .steps.a.state == \\\"succeeded\\\" }\"}\n"
                           "      - {id: last, system: vpn, action: block, needs: [c]}\n",
                           TIME_SECOND);
    const json_t *steps = json_at(plan, "phases.0.steps");
    assert_ids(steps, "a c.x c.y c.deep.g c.z last");
    assert_ids(json_at(plan, "phases.1.steps"), "c.deep.g.verify-1d");
    const json_t *x = json_array_get(steps, 1), *y = json_array_get(steps, 2), *g = json_array_get(steps, 3);
    const json_t *z = json_array_get(steps, 4), *last = json_array_get(steps, 5);
    assert_ids(json_object_get(x, "needs"), "a"); /* those that need nothing of their own stand for the whole */
    assert_member(x, "when", "\"always\"");
    assert_member(x, "after_us", "1000000");
    assert_member(x, "run_if.0.if", "\"${ .steps.a.state == \\\"succeeded\\\" }\"");
    assert_member(x, "run_if.0.inside", "\"\"");
    assert_member(x, "inside", "\"c\"");
    assert_ids(json_object_get(y, "needs"), "c.x");
    assert_ids(json_object_get(y, "reads"), "a"); /* the condition of the step that runs it reads it */
    assert_member(y, "when", "\"on_success\"");
    assert_member(y, "after", "\"1d2d\"");
    assert_member(y, "after_us", "3000000");
    assert_ids(json_object_get(g, "needs"), "c.y");
    assert_member(g, "inside", "\"c.deep\"");
    assert_member(g, "run_if.1.inside", "\"c\"");
    assert_ids(json_object_get(g, "reads"), "a c.y");
    assert_ids(json_object_get(z, "needs"), "a");
    assert_ids(json_object_get(z, "behind"), "c.x c.y c.deep.g");
    assert_member(z, "after_us", "41000000"); /* not 71: its own time counts from the start as well */
    assert_ids(json_object_get(last, "needs"), "c.x c.y c.deep.g c.z");
    assert_member(last, "inside", "absent");
    assert_member(plan, "runs.unknown", "absent");
    assert_non_null(json_at(plan, "runs.child"));
    assert_non_null(json_at(plan, "runs.grandchild"));
    json_decref(plan);
}

/* A child that starts at once does so without a database; its later phase does not. */
static void test_run_at_once(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "runbooks/child.yaml",
        "runbook: child\n"
        "phases:\n"
        "  - {name: now, steps: [{id: x, system: vpn, action: block}]}\n"
        "  - {name: then, steps: [{id: y, system: vpn, action: unblock}]}\n");
    json_t *plan = plan_of(fixture, "  - {name: p, steps: [{id: c, run: child}]}\n", TIME_DAY);
    json_t *wave = plan_first_wave(plan);
    assert_int_equal(json_array_size(wave), 1);
    assert_string_equal(json_string_value(json_array_get(wave, 0)), json_string_at(plan, "phases.0.steps.0.job_id"));
    json_decref(wave);
    json_decref(plan);
}

static void test_run_refused(void **state)
{
    struct fixture *fixture = *state;
    put_children(fixture);
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/book.yaml",
        "runbook: book\n"
        "phases:\n"
        "  - name: p\n"
        "    steps:\n"
        "      - {id: a, run: chidl}\n"
        "      - {id: b, run: child, with: {text: x}}\n"
        "      - {id: c, run: other}\n"
        "      - {id: d, system: vpn, action: note, needs: [b], with: {text: \"${ .steps.b.outcome }\"}}\n"
        "      - {run: child}\n");
    put(fixture, "runbooks/other.yaml",
        "runbook: other\n"
        "phases:\n"
        "  - name: p\n"
        "    steps: [{id: a, run: child}, {id: b, run: book}]\n");
    put(fixture, "runbooks/self.yaml", "runbook: self\nphases: [{name: p, steps: [{id: a, run: self}]}]\n");
    put(fixture, "runbooks/outside.yaml", "runbook: outside\nphases: [{name: p, steps: [{id: a, run: self}]}]\n");
    load(fixture);
    assert_has(fixture, "book.yaml", 5, "there is no runbook \"chidl\"; did you mean \"child\"?");
    assert_has(fixture, "book.yaml", 6, "there is no \"with\" here");
    assert_has(fixture, "book.yaml", 7, "the runbooks run each other: book -> other -> book");
    assert_has(fixture, "book.yaml", 8, "step \"b\" runs a runbook and has no result of its own");
    assert_has(fixture, "book.yaml", 9, "\"id\" is missing");
    assert_has(fixture, "other.yaml", 4, "the runbooks run each other: other -> book -> other");
    assert_has(fixture, "self.yaml", 2, "the runbooks run each other: self -> self");
    assert_count(fixture, 7);
}

static void test_undo(void **state)
{
    json_t *plan = plan_of(*state,
                           "  - name: p\n"
                           "    steps:\n"
                           "      - {id: a, system: vpn, action: block, verify: [1d]}\n"
                           "      - {id: b, system: vpn, action: note, with: {text: x}}\n",
                           TIME_DAY);
    char job_id[ID_SIZE];
    assert_int_equal(id_job("5f102b3d-cd48-5792-8cab-975d70c6bb02", "p", "a.undo", job_id), 0);
    assert_string_equal(json_string_at(plan, "phases.0.steps.0.undo"), "unblock");
    assert_string_equal(json_string_at(plan, "phases.0.steps.0.undo_effect"), "handover");
    assert_string_equal(json_string_at(plan, "phases.0.steps.0.undo_job_id"), job_id);
    assert_member(plan, "phases.0.steps.1.undo", "absent"); /* a later look changed nothing */
    assert_member(plan, "phases.0.steps.2.undo", "absent");
    json_decref(plan);
}

/* A system that knows the line of managers, chooses one, and writes to the one chosen. */
static const char people[] =
    "system: people\n"
    "settings: {url: {required: true}}\n"
    "actions:\n"
    "  read:\n"
    "    effect: identify\n"
    "    requests: [{get: \"/line\", query: {of: \"${ .user.manager.email }\"}, save: {line: \"${ .body }\"}}]\n"
    "    outputs: {user: {manager_chain: \"${ .saved.line }\"}}\n"
    "    provides: [user.manager_chain]\n"
    "  choose:\n"
    "    effect: identify\n"
    "    requests: [{get: \"/one\", query: {of: \"${ .user.manager_chain | tojson }\"}, save: {one: \"${ .body }\"}}]\n"
    "    outputs: {user: {manager: \"${ .saved.one }\"}}\n"
    "    provides: [user.manager]\n"
    "  tell:\n"
    "    effect: notify\n"
    "    with: {to: {default: \"${ .user.manager.email }\"}}\n"
    "    requests: [{post: \"/tell\", json: {to: \"${ .with.to }\"}}]\n";

/* rules.md 4: what is read of managers is provided by a step that is needed, directly or not. */
static void test_managers_are_provided(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/people.yaml", people);
    put(fixture, "runbooks/book.yaml",
        "runbook: book\n"                                                                       /* 1 */
        "phases:\n"                                                                             /* 2 */
        "  - name: p\n"                                                                         /* 3 */
        "    steps:\n"                                                                          /* 4 */
        "      - {id: read, system: people, action: read}\n"                                    /* 5 */
        "      - {id: choose, system: people, action: choose, needs: [read]}\n"                 /* 6 */
        "      - {id: between, system: people, action: tell, needs: [choose], with: {to: x}}\n" /* 7 */
        "      - {id: good, system: people, action: tell, needs: [between]}\n"                  /* 8 */
        "      - {id: other, system: people, action: tell, with: {to: x}}\n"                    /* 9 */
        "      - {id: early, system: people, action: tell, needs: [read]}\n"                    /* 10 */
        "      - {id: alone, system: people, action: choose}\n"                                 /* 11 */
        "      - {id: cond, system: people, action: tell, with: {to: x}, needs: [read],\n"      /* 12 */
        "         if: \"${ .user.manager.leaving != true }\"}\n");                              /* 13 */
    load(fixture);
    assert_has(fixture, "book.yaml", 10, ".user.manager is used by \"early\", but no step that it needs provides one");
    assert_has(fixture, "book.yaml", 11, ".user.manager_chain is used by \"alone\"");
    assert_has(fixture, "book.yaml", 13, ".user.manager is used by \"cond\"");
    assert_count(fixture, 3);
}

/* What a runbook that another one runs reads is looked at there: the one that runs it may provide it. */
static void test_managers_of_a_child(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/people.yaml", people);
    put(fixture, "runbooks/child.yaml",
        "runbook: child\nphases: [{name: p, steps: [{id: tell, system: people, action: tell}]}]\n");
    load(fixture);
    assert_has(fixture, "child.yaml", 2, ".user.manager is used by \"tell\"");
    assert_count(fixture, 1);
    put(fixture, "runbooks/book.yaml",
        "runbook: book\n"
        "phases:\n"
        "  - name: p\n"
        "    steps:\n"
        "      - {id: read, system: people, action: read}\n"
        "      - {id: choose, system: people, action: choose, needs: [read]}\n"
        "      - {id: good, run: child, needs: [choose]}\n"
        "      - {id: bad, run: child}\n");
    load(fixture);
    assert_has(fixture, "book.yaml", 8, ".user.manager is used by \"bad.tell\"");
    assert_count(fixture, 1);
    put(fixture, "runbooks/finder.yaml",
        "runbook: finder\n"
        "phases: [{name: p, steps: [{id: read, system: people, action: read},\n"
        "  {id: choose, system: people, action: choose, needs: [read]}]}]\n");
    put(fixture, "runbooks/book.yaml",
        "runbook: book\n"
        "phases: [{name: p, steps: [{id: find, run: finder}, {id: good, run: child, needs: [find]}]}]\n");
    load(fixture);
    assert_count(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expires, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_on_missing, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_later_read_backs, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_later_read_backs_refused, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_run, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_run_at_once, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_run_refused, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_undo, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_managers_are_provided, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_managers_of_a_child, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
