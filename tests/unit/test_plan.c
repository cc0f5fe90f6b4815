/* Plans: what travels in `initiated`, what starts at once, what a job's message says. */
#include "tests/unit/definitions.h"

#include "lib/buf.h"
#include "lib/plan.h"
#include "lib/shipped.h"
#include "lib/time.h"
#include "lib/yaml.h"

static const char offboarding_text[] = "{\"version\": 1, \"id\": \"5f102b3d-cd48-5792-8cab-975d70c6bb02\", "
                                       "\"runbook\": \"golden-leaver\", \"source\": \"golden-hr\","
                                       " \"user\": {\"email\": \"jane@example.com\", \"manager\": {\"email\": "
                                       "\"boss@example.com\"}}, \"status\": \"initiated\"}";

/* The checkout's tests/golden/v1/definitions: beside the schema that the program finds. */
static char *golden_path(const char *name)
{
    char *schema = shipped_directory("schema");
    assert_non_null(schema);
    char *path = mem_printf("%s/../tests/golden/v1/definitions%s", schema, name);
    free(schema);
    return path;
}

static json_t *golden(const char *name)
{
    char *path = golden_path(name);
    size_t len = 0;
    char *text = yaml_read_file(path, &len, NULL);
    json_t *value = text ? json_parse(text, len, NULL) : NULL;
    if (!value) {
        fail_msg("could not read %s", path);
    }
    free(text);
    free(path);
    return value;
}

struct plan_fixture {
    struct conf *conf;
    struct definitions *definitions;
    json_t *offboarding;
};

/* The definitions of the golden files, as one would still have them from version 1. */
static int setup(void **state)
{
    struct plan_fixture *fixture = MEM_NEW(struct plan_fixture);
    char path[] = "/tmp/offboard-plan-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    char *golden_directory = golden_path("");
    dprintf(file, "definitions: {sources: [%s/sources], runbooks: [%s/runbooks], connectors: [%s/connectors]}\n",
            golden_directory, golden_directory, golden_directory);
    close(file);
    struct err err = ERR_INIT;
    fixture->conf = conf_load(path, &err);
    unlink(path);
    free(golden_directory);
    fixture->definitions =
        fixture->conf ? definitions_load_or_fail(fixture->conf, &(struct definition_use){0}, &err) : NULL;
    if (!fixture->definitions) {
        fail_msg("%s", err_text(&err));
    }
    fixture->offboarding = json_parse(offboarding_text, strlen(offboarding_text), NULL);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct plan_fixture *fixture = *state;
    json_decref(fixture->offboarding);
    definitions_free(fixture->definitions);
    conf_free(fixture->conf);
    free(fixture);
    return 0;
}

static json_t *build(struct plan_fixture *fixture, int64_t day)
{
    struct err err = ERR_INIT;
    json_t *plan = plan_build(fixture->definitions, fixture->offboarding, day, &err);
    if (!plan) {
        fail_msg("%s", err_text(&err));
    }
    return plan;
}

static void assert_equal(const json_t *seen, const json_t *expected)
{
    char *text = json_canonical(seen);
    char *wanted = json_canonical(expected);
    if (strcmp(text, wanted) != 0) {
        fail_msg("%s\nis not\n%s", text, wanted);
    }
    free(text);
    free(wanted);
}

/* The plan that version 1 made of these definitions: ids, hashes, times, every member. */
static void test_plan_is_as_ever(void **state)
{
    struct plan_fixture *fixture = *state;
    json_t *plan = build(fixture, TIME_DAY);
    json_t *expected = golden("/plan.json");
    assert_equal(plan, expected);
    json_decref(expected);
    json_decref(plan);
}

static void test_times_are_scaled(void **state)
{
    struct plan_fixture *fixture = *state;
    json_t *plan = build(fixture, TIME_SECOND); /* a day in a second */
    assert_string_equal(json_string_at(plan, "phases.1.after"), "90d");
    assert_int_equal(json_int_at(plan, "phases.1.after_us", 0), 90 * TIME_SECOND);
    assert_int_equal(json_int_at(plan, "phases.0.steps.3.after_us", 0), 9 * TIME_SECOND);
    assert_true(json_is_null(json_at(plan, "phases.0.after")));
    json_decref(plan);
}

/* Names of the steps whose job ids are in `ids`. */
static char *steps_of(const json_t *plan, const json_t *ids)
{
    struct buf names = BUF_INIT;
    size_t i, j, k;
    json_t *id, *phase, *step;
    json_array_foreach(ids, i, id)
    {
        json_array_foreach(json_object_get(plan, "phases"), j, phase)
        {
            json_array_foreach(json_object_get(phase, "steps"), k, step)
            {
                if (json_equal(id, json_object_get(step, "job_id"))) {
                    buf_addf(&names, "%s%s", names.len ? " " : "", json_string_at(step, "id"));
                }
            }
        }
    }
    return buf_take(&names);
}

static void test_first_wave(void **state)
{
    struct plan_fixture *fixture = *state;
    json_t *plan = build(fixture, TIME_DAY);
    json_t *wave = plan_first_wave(plan);
    char *names = steps_of(plan, wave);
    assert_string_equal(names, "block ticket"); /* nothing that needs, nothing that waits, nothing of the later phase */
    free(names);
    json_decref(wave);
    json_object_set_new(json_at(plan, "phases.0"), "after_us", json_integer(1));
    wave = plan_first_wave(plan);
    assert_int_equal(json_array_size(wave), 0); /* the whole phase waits */
    json_decref(wave);
    json_decref(plan);
}

static void test_systems(void **state)
{
    struct plan_fixture *fixture = *state;
    json_t *plan = build(fixture, TIME_DAY);
    json_t *systems = plan_systems(plan);
    json_t *expected = json_pack("[s]", "golden");
    assert_equal(systems, expected);
    json_decref(expected);
    json_decref(systems);
    json_object_set_new(json_at(plan, "phases.0.steps.1"), "system", json_string("other"));
    systems = plan_systems(plan);
    expected = json_pack("[s, s]", "golden", "other");
    assert_equal(systems, expected);
    json_decref(expected);
    json_decref(systems);
    json_decref(plan);
}

static void test_job_message(void **state)
{
    struct plan_fixture *fixture = *state;
    json_t *plan = build(fixture, TIME_DAY);
    json_t *state_left = json_pack("{s:i}", "at", 1);
    json_t *steps = json_pack("{s:{s:s}}", "ticket", "state", "succeeded");
    const char *id = json_string_at(plan, "phases.0.steps.2.job_id");
    json_t *message = plan_job_message(fixture->offboarding, plan, id, 3, state_left, steps);
    json_t *job = json_object_get(message, "job");
    static const char *const times[] = {"due_at", "published_at"};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        int64_t at = 0;
        assert_int_equal(time_parse(json_string_at(job, times[i]), &at, NULL), 0);
        assert_true(at <= time_now() && at > time_now() - TIME_MINUTE);
        json_object_set_new(job, times[i], json_string("2026-11-30T23:00:00.250000Z"));
    }
    json_t *expected = golden("/job.json");
    assert_equal(message, expected);
    assert_null(json_object_get(fixture->offboarding, "job")); /* the offboarding is as it was */
    assert_null(plan_job_message(fixture->offboarding, plan, "5f102b3d-cd48-5792-8cab-975d70c6bb02", 1, NULL, NULL));
    json_decref(expected);
    json_decref(message);
    json_decref(state_left);
    json_decref(steps);
    json_decref(plan);
}

/* Nobody is told that an account will be erased in a system that the company lacks. */
static void test_what_people_are_told_of(void **state)
{
    struct plan_fixture *fixture = *state;
    json_t *plan = build(fixture, TIME_DAY);
    json_object_set_new(json_at(plan, "phases.0.steps.0"), "system", json_string("other"));
    plan_mark_absent(plan, "golden");
    const char *ticket = json_string_at(plan, "phases.0.steps.1.job_id");
    json_t *message = plan_job_message(fixture->offboarding, plan, ticket, 1, NULL, NULL);
    json_t *told = json_pack("[{s:s, s:s}]", "system", "golden", "action", "block");
    assert_equal(json_at(message, "job.phases.0.steps"), told);
    assert_int_equal(json_array_size(json_at(message, "job.phases.1.steps")), 0);
    json_decref(told);
    json_decref(message);
    json_decref(plan);
}

static void refuses(struct plan_fixture *fixture, const char *member, const char *value, const char *part)
{
    struct err err = ERR_INIT;
    json_t *wrong = json_copy(fixture->offboarding);
    json_object_set_new(wrong, member, value ? json_string(value) : json_null());
    assert_null(plan_build(fixture->definitions, wrong, TIME_DAY, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    if (!strstr(err_text(&err), part)) {
        fail_msg("%s", err_text(&err));
    }
    json_decref(wrong);
    err_release(&err);
}

static void test_refused(void **state)
{
    struct plan_fixture *fixture = *state;
    refuses(fixture, "runbook", "golden-leever",
            "there is no runbook \"golden-leever\"; did you mean \"golden-leaver\"?");
    refuses(fixture, "runbook", NULL, "there is no runbook \"\"");
    refuses(fixture, "id", "no-uuid", "it is no UUID");
    refuses(fixture, "id", NULL, "it is no UUID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plan_is_as_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times_are_scaled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_wave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_systems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_job_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_people_are_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
