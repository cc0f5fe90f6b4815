/* Who is leaving: repeats, moves, cancellations, guards; and reading the same records again. */
/* links: producer/roster.c tests/unit/mock_cluster.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "producer/producer.h"
#include "tests/unit/mock_cluster.h"

#define START    INT64_C(1790000000000000) /* some moment of 2026 */
#define OPEN_FOR (120 * TIME_DAY)

struct fixture {
    struct conf *conf;
    struct control *control;
    struct roster *roster;
};

/* One event, as mapping_apply() would give it. Zero members are defaults. */
struct said {
    const char *id;
    enum intent intent;
    const char *email, *employee_id, *alias;
    const char *runbook, *mode, *priority;
    const char *account;  /* of system scim */
    int64_t at;           /* received, after START */
    int64_t effective_at; /* after START; 0: when it was received */
};

static void setup_with(struct fixture *fixture, int64_t cap, const char *guards)
{
    fixture->conf = conf_of((const char *const[]){guards, NULL});
    assert_non_null(fixture->conf);
    fixture->control = control_new();
    fixture->roster = roster_new(cap, fixture->conf, fixture->control);
}

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    setup_with(fixture, 0, NULL);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    roster_free(fixture->roster);
    control_free(fixture->control);
    conf_free(fixture->conf);
    free(fixture);
    return 0;
}

static struct mapped mapped_of(const struct said *said)
{
    char id[ID_SIZE], effective_at[TIME_TEXT_SIZE];
    id_offboarding("/hr", said->id, id);
    time_format(START + (said->effective_at ? said->effective_at : said->at), effective_at);
    json_t *user = json_object();
    json_put_string(user, "email", said->email);
    json_put_string(user, "employee_id", said->employee_id);
    json_put(user, "emails", said->alias ? json_pack("[s]", said->alias) : NULL);
    json_t *offboarding =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", id, "runbook", said->runbook ? said->runbook : "leaver",
                  "mode", said->mode ? said->mode : "live", "priority", said->priority ? said->priority : "normal",
                  "effective_at", effective_at, "user", user);
    json_put(offboarding, "given_ids", said->account ? json_pack("{s:[s]}", "scim", said->account) : json_object());
    return (struct mapped){.intent = said->intent, .offboarding = offboarding, .dated = said->effective_at != 0};
}

/* The caller releases the decision. */
static struct decision decide(struct fixture *fixture, struct said said)
{
    struct mapped mapped = mapped_of(&said);
    struct decision decision;
    assert_int_equal(roster_decide(fixture->roster, &mapped, START + said.at, OPEN_FOR, &decision, NULL), 0);
    mapped_release(&mapped);
    return decision;
}

/* Decides, and checks what becomes of the event and which offboarding (by its event's id; NULL: none) it concerns. */
static void expect(struct fixture *fixture, struct said said, enum disposition disposition, const char *concerned)
{
    struct decision decision = decide(fixture, said);
    if (decision.disposition != disposition) {
        fail_msg("%s is %s, not %s (%s)", said.id, disposition_name(decision.disposition),
                 disposition_name(disposition), decision.reason ? decision.reason : "");
    }
    const char *got = json_string_value(json_array_get(decision.offboardings, 0));
    if (concerned) {
        char id[ID_SIZE];
        id_offboarding("/hr", concerned, id);
        assert_non_null(got);
        assert_string_equal(got, id);
    } else {
        assert_null(got);
    }
    decision_release(&decision);
}

/* A date that can't be read is an error, and never "now": nothing is started, and nothing remembered. */
static void test_a_date_that_cannot_be_read(void **state)
{
    struct fixture *fixture = *state;
    static const char *const dates[] = {"2200-01-01T04:59:59.999999Z", "2026-12-31", "", NULL};
    static const enum intent intents[] = {INTENT_START, INTENT_CHANGE, INTENT_CANCEL};
    for (size_t i = 0; i < COUNT_OF(dates) * COUNT_OF(intents); i++) {
        const char *date = dates[i / COUNT_OF(intents)];
        struct mapped mapped =
            mapped_of(&(struct said){.id = "1", .email = "a@x", .intent = intents[i % COUNT_OF(intents)]});
        json_object_set_new(mapped.offboarding, "effective_at", date ? json_string(date) : json_null());
        struct decision decision;
        struct err err = ERR_INIT;
        assert_int_equal(roster_decide(fixture->roster, &mapped, START, OPEN_FOR, &decision, &err), -1);
        assert_int_equal(err.class, ERR_PERMANENT);
        assert_ptr_equal(strstr(err_text(&err), "effective_at: "), err_text(&err));
        err_release(&err);
        mapped_release(&mapped);
    }
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
}

/* ---- once -------------------------------------------------------------------------------------------------------- */

static void test_the_same_event_again_changes_nothing(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(*state, (struct said){.id = "2", .email = "a@x", .at = 1, .effective_at = 2 * TIME_DAY}, DISPOSITION_MOVED,
           "1");
    /* Sent again after another one: it must not move the date back. */
    expect(*state, (struct said){.id = "1", .email = "a@x", .at = 2, .effective_at = TIME_DAY}, DISPOSITION_DUPLICATE,
           "1");
    expect(*state, (struct said){.id = "2", .email = "a@x", .at = 3, .effective_at = 2 * TIME_DAY},
           DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "3", .email = "a@x", .at = 4, .intent = INTENT_CANCEL}, DISPOSITION_CANCELLED,
           "1");
    expect(*state, (struct said){.id = "4", .email = "a@x", .at = 5}, DISPOSITION_STARTED, "4");
    /* Nor may a cancellation that was meant for the one before end this one. */
    expect(*state, (struct said){.id = "3", .email = "a@x", .at = 6, .intent = INTENT_CANCEL}, DISPOSITION_DUPLICATE,
           "1");
    expect(*state, (struct said){.id = "5", .email = "a@x", .at = 7}, DISPOSITION_DUPLICATE, "4");
}

static void test_one_person_by_whatever_name(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "Jane@X", .employee_id = "E7", .alias = "jd@X"},
           DISPOSITION_STARTED, "1");
    expect(*state, (struct said){.id = "2", .email = "jane@x"}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "3", .email = "JD@x"}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "4", .email = "new@x", .alias = "JANE@x"}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "5", .employee_id = "E7"}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "6", .email = "E7"}, DISPOSITION_STARTED,
           "6"); /* an address is no employee id */
    expect(*state, (struct said){.id = "7", .email = "jane@x", .runbook = "other"}, DISPOSITION_STARTED, "7");
}

/* Of whom the event names an account only, the account is the person; beside an e-mail it is none: it may be shared. */
static void test_a_person_by_account(void **state)
{
    expect(*state, (struct said){.id = "1", .account = "u-1", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(*state, (struct said){.id = "2", .account = "u-1", .at = 1, .effective_at = TIME_DAY}, DISPOSITION_DUPLICATE,
           "1");
    expect(*state, (struct said){.id = "3", .account = "u-2", .at = 2}, DISPOSITION_STARTED, "3");
    expect(*state, (struct said){.id = "4", .email = "a@x", .account = "u-1", .at = 3}, DISPOSITION_STARTED, "4");
    expect(*state, (struct said){.id = "5", .email = "b@x", .account = "u-1", .at = 4}, DISPOSITION_STARTED, "5");
    expect(*state, (struct said){.id = "6", .account = "u-1", .at = 5, .intent = INTENT_CANCEL}, DISPOSITION_CANCELLED,
           "1");
    expect(*state, (struct said){.id = "7", .account = "u-9", .at = 6, .intent = INTENT_CANCEL}, DISPOSITION_IGNORED,
           NULL);
}

static void test_open_until_its_last_step_is_a_month_past(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(*state, (struct said){.id = "2", .email = "a@x", .at = OPEN_FOR + TIME_DAY}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "3", .email = "a@x", .at = OPEN_FOR + TIME_DAY + 1}, DISPOSITION_STARTED, "3");
}

static void test_dry_runs_neither_block_nor_are_blocked(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .mode = "dry_run"}, DISPOSITION_STARTED, "1");
    expect(*state, (struct said){.id = "2", .email = "a@x"}, DISPOSITION_STARTED, "2");
    expect(*state, (struct said){.id = "3", .email = "a@x", .mode = "dry_run"}, DISPOSITION_STARTED, "3");
    expect(*state, (struct said){.id = "3", .email = "a@x", .mode = "dry_run"}, DISPOSITION_DUPLICATE, "3");
}

/* ---- moved ------------------------------------------------------------------------------------------------------- */

static void test_what_has_not_begun_is_moved(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .effective_at = 9 * TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(*state, (struct said){.id = "2", .email = "a@x", .at = 1, .effective_at = 9 * TIME_DAY},
           DISPOSITION_DUPLICATE, "1");
    struct decision later =
        decide(*state, (struct said){.id = "3", .email = "a@x", .at = 2, .effective_at = 20 * TIME_DAY});
    assert_int_equal(later.disposition, DISPOSITION_MOVED);
    assert_int_equal(later.effective_at, START + 20 * TIME_DAY);
    assert_false(later.starts_now || later.urgent || later.held);
    assert_string_equal(json_string_at(later.offboarding, "user.email"), "a@x");
    decision_release(&later);
    /* Another priority alone keeps the date. */
    struct decision rises = decide(
        *state, (struct said){.id = "4", .email = "a@x", .at = 3, .intent = INTENT_CHANGE, .priority = "urgent"});
    assert_int_equal(rises.disposition, DISPOSITION_MOVED);
    assert_int_equal(rises.effective_at, START + 20 * TIME_DAY);
    assert_true(rises.urgent && !rises.starts_now);
    decision_release(&rises);
    /* A priority does not fall again, and a date that has passed starts it. */
    struct decision now =
        decide(*state, (struct said){.id = "5", .email = "a@x", .at = TIME_DAY, .effective_at = TIME_HOUR});
    assert_int_equal(now.disposition, DISPOSITION_MOVED);
    assert_true(now.starts_now && now.urgent);
    assert_int_equal(now.effective_at, START + TIME_HOUR);
    decision_release(&now);
    /* Now it has begun: nothing moves it any more. */
    expect(*state, (struct said){.id = "6", .email = "a@x", .at = TIME_DAY + 1, .effective_at = 30 * TIME_DAY},
           DISPOSITION_DUPLICATE, "1");
}

static void test_a_start_without_a_date_means_now(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .effective_at = 9 * TIME_DAY}, DISPOSITION_WAITING, "1");
    struct decision now = decide(*state, (struct said){.id = "2", .email = "a@x", .at = TIME_HOUR});
    assert_int_equal(now.disposition, DISPOSITION_MOVED);
    assert_true(now.starts_now);
    decision_release(&now);
}

static void test_what_has_begun_stays(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .effective_at = TIME_HOUR}, DISPOSITION_WAITING, "1");
    const struct said late[] = {
        {.id = "2", .email = "a@x", .at = TIME_HOUR, .effective_at = TIME_DAY},
        {.id = "3", .email = "a@x", .at = TIME_HOUR, .effective_at = 1},
        {.id = "4", .email = "a@x", .at = TIME_HOUR, .effective_at = TIME_HOUR, .priority = "urgent"},
        {.id = "5", .email = "a@x", .at = TIME_HOUR, .intent = INTENT_CHANGE, .effective_at = TIME_DAY},
    };
    for (size_t i = 0; i < COUNT_OF(late); i++) {
        expect(*state, late[i], DISPOSITION_DUPLICATE, "1");
    }
}

static void test_nothing_to_change(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .intent = INTENT_CHANGE}, DISPOSITION_IGNORED, NULL);
    expect(*state, (struct said){.id = "2", .email = "a@x"}, DISPOSITION_STARTED, "2");
}

/* ---- ended ------------------------------------------------------------------------------------------------------- */

static void test_a_cancellation_ends_all_that_is_open(void **state)
{
    expect(*state, (struct said){.id = "1", .email = "a@x", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(*state, (struct said){.id = "2", .email = "a@x", .runbook = "other"}, DISPOSITION_STARTED, "2");
    expect(*state, (struct said){.id = "3", .email = "b@x"}, DISPOSITION_STARTED, "3");
    struct decision decision =
        decide(*state, (struct said){.id = "4", .email = "A@x", .at = 1, .intent = INTENT_REHIRE});
    assert_int_equal(decision.disposition, DISPOSITION_CANCELLED);
    assert_int_equal(json_array_size(decision.offboardings), 2);
    assert_string_equal(decision.reason, "rehired");
    decision_release(&decision);
    expect(*state, (struct said){.id = "5", .email = "a@x", .at = 2, .intent = INTENT_CANCEL}, DISPOSITION_IGNORED,
           NULL);
    expect(*state, (struct said){.id = "6", .email = "a@x", .at = 3}, DISPOSITION_STARTED, "6");
    expect(*state, (struct said){.id = "7", .email = "b@x", .at = 3}, DISPOSITION_DUPLICATE, "3");
}

static void order_cancel(struct fixture *fixture, const char *name, int64_t at)
{
    char instant[TIME_TEXT_SIZE];
    time_format(START + at, instant);
    char *key = mem_printf("cancel/%s", name);
    char *value = mem_printf("{\"version\": 1, \"reason\": \"HR called\", \"at\": \"%s\"}", instant);
    rd_kafka_message_t record = {.key = key, .key_len = strlen(key), .payload = value, .len = strlen(value)};
    assert_int_equal(control_apply(fixture->control, &record, NULL), 0);
    free(key);
    free(value);
}

/* The order is known before the records around it are read again: their times tell what came first. */
static void test_an_operators_cancellation_counts_from_then_on(void **state)
{
    char first[ID_SIZE];
    id_offboarding("/hr", "1", first);
    order_cancel(*state, first, TIME_HOUR);
    order_cancel(*state, "b@x", TIME_HOUR);
    expect(*state, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(*state, (struct said){.id = "2", .email = "b@x"}, DISPOSITION_STARTED, "2");
    expect(*state, (struct said){.id = "3", .email = "a@x", .at = TIME_HOUR - 1}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "4", .email = "b@x", .at = TIME_HOUR - 1}, DISPOSITION_DUPLICATE, "2");
    expect(*state, (struct said){.id = "5", .email = "a@x", .at = TIME_HOUR}, DISPOSITION_STARTED, "5");
    expect(*state, (struct said){.id = "6", .email = "b@x", .at = TIME_HOUR + 1}, DISPOSITION_STARTED, "6");
    expect(*state, (struct said){.id = "7", .email = "b@x", .at = TIME_HOUR + 2}, DISPOSITION_DUPLICATE, "6");
}

/* ---- guards ------------------------------------------------------------------------------------------------------ */

static void test_protected_people_are_refused(void **state)
{
    struct fixture *fixture = *state;
    roster_free(fixture->roster);
    control_free(fixture->control);
    conf_free(fixture->conf);
    setup_with(fixture, 0, "OFFBOARD_GUARDS_PROTECTED=ceo@x,E1,scim:root");
    const struct said refused[] = {
        {.id = "1", .email = "CEO@x"},
        {.id = "2", .email = "c@x", .alias = "Ceo@X"},
        {.id = "3", .employee_id = "E1"},
        {.id = "4", .email = "c@x", .employee_id = "E1", .mode = "dry_run"},
        {.id = "5", .email = "d@x", .account = "root"},
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        expect(fixture, refused[i], DISPOSITION_REFUSED, NULL);
    }
    expect(fixture, (struct said){.id = "6", .email = "ceo@xy", .account = "rooty"}, DISPOSITION_STARTED, "6");
}

static void test_beyond_the_cap_they_are_held(void **state)
{
    struct fixture *fixture = *state;
    roster_free(fixture->roster);
    fixture->roster = roster_new(2, fixture->conf, fixture->control);
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "d", .email = "d@x", .mode = "dry_run"}, DISPOSITION_STARTED,
           "d");                                                                           /* does not count */
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_DUPLICATE, "1"); /* nor does this */
    expect(fixture, (struct said){.id = "2", .email = "b@x", .at = TIME_MINUTE}, DISPOSITION_STARTED, "2");
    struct decision held = decide(fixture, (struct said){.id = "3", .email = "c@x", .at = TIME_MINUTE});
    assert_int_equal(held.disposition, DISPOSITION_HELD);
    assert_true(held.held && !held.starts_now);
    assert_non_null(strstr(held.reason, "cap_per_hour"));
    decision_release(&held);
    expect(fixture, (struct said){.id = "e", .email = "e@x", .at = TIME_MINUTE, .mode = "dry_run"}, DISPOSITION_STARTED,
           "e");
    /* A held one is open: it blocks, is moved without starting, and is cancelled. */
    expect(fixture, (struct said){.id = "4", .email = "c@x", .at = TIME_MINUTE}, DISPOSITION_DUPLICATE, "3");
    struct decision moved =
        decide(fixture, (struct said){.id = "5", .email = "c@x", .at = TIME_MINUTE, .effective_at = TIME_DAY});
    assert_int_equal(moved.disposition, DISPOSITION_MOVED);
    assert_true(moved.held && !moved.starts_now);
    decision_release(&moved);
    expect(fixture, (struct said){.id = "6", .email = "c@x", .at = TIME_MINUTE, .intent = INTENT_CANCEL},
           DISPOSITION_CANCELLED, "3");
    /* The hour slides: what is held does not count, what started an hour ago does not either. */
    expect(fixture, (struct said){.id = "7", .email = "f@x", .at = TIME_HOUR - 1}, DISPOSITION_HELD, "7");
    expect(fixture, (struct said){.id = "8", .email = "g@x", .at = TIME_HOUR}, DISPOSITION_STARTED, "8");
    expect(fixture, (struct said){.id = "9", .email = "h@x", .at = TIME_HOUR}, DISPOSITION_HELD, "9");
    expect(fixture, (struct said){.id = "10", .email = "i@x", .at = TIME_HOUR + TIME_MINUTE}, DISPOSITION_STARTED,
           "10");
}

static void test_cap_shares_add_up(void **state)
{
    (void)state;
    static const struct {
        int64_t cap;
        int32_t partitions;
    } cases[] = {{100, 12}, {50, 3}, {7, 7}, {1000003, 48}, {12, 5}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t sum = 0, least = INT64_MAX, most = 0;
        for (int32_t p = 0; p < cases[i].partitions; p++) {
            int64_t share = roster_cap_share(cases[i].cap, p, cases[i].partitions);
            sum += share;
            least = share < least ? share : least;
            most = share > most ? share : most;
        }
        assert_int_equal(sum, cases[i].cap);
        assert_true(most - least <= 1);
    }
    assert_int_equal(roster_cap_share(0, 3, 12), 0); /* no cap */
    assert_int_equal(roster_cap_share(5, 0, 12), 1); /* never under one */
}

/* ---- again ------------------------------------------------------------------------------------------------------- */

/* A long, varied history gives the same decisions to another roster, wherever the first stopped. */
static void test_reading_again_decides_alike(void **state)
{
    struct fixture *fixture = *state;
    enum { EVENTS = 2000 };
    int *first = mem_alloc(EVENTS * sizeof *first);
    for (int pass = 0; pass < 2; pass++) {
        roster_free(fixture->roster);
        fixture->roster = roster_new(5, fixture->conf, fixture->control);
        uint32_t random = 42;
        for (int i = 0; i < EVENTS; i++) {
            random = random * 1664525 + 1013904223;
            char *id = mem_printf("%u", random >> 8 & 4095);
            char *email = mem_printf("p%u@x", random >> 18 & 63);
            struct said said = {.id = id,
                                .email = email,
                                .at = i * TIME_MINUTE,
                                .intent = (random >> 26 & 7) == 0 ? INTENT_CANCEL : INTENT_START,
                                .effective_at = random >> 30 ? i * TIME_MINUTE + (random >> 24 & 31) * TIME_HOUR : 0,
                                .mode = (random >> 12 & 7) ? "live" : "dry_run"};
            struct decision decision = decide(fixture, said);
            int summary = (int)decision.disposition * 100 + (int)json_array_size(decision.offboardings) * 4 +
                          decision.starts_now * 2 + decision.held;
            if (pass == 0) {
                first[i] = summary;
            } else {
                assert_int_equal(summary, first[i]);
            }
            decision_release(&decision);
            free(id);
            free(email);
        }
    }
    int seen[DISPOSITION_DEAD + 1] = {0};
    for (int i = 0; i < EVENTS; i++) {
        seen[first[i] / 100]++;
    }
    static const enum disposition all[] = {DISPOSITION_STARTED, DISPOSITION_HELD,      DISPOSITION_WAITING,
                                           DISPOSITION_MOVED,   DISPOSITION_CANCELLED, DISPOSITION_DUPLICATE,
                                           DISPOSITION_IGNORED};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (seen[all[i]] <= 5) { /* the history must be varied */
            fail_msg("only %d are %s", seen[all[i]], disposition_name(all[i]));
        }
    }
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_event_again_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_person_by_whatever_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_person_by_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_date_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_until_its_last_step_is_a_month_past, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dry_runs_neither_block_nor_are_blocked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_not_begun_is_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_start_without_a_date_means_now, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_begun_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_cancellation_ends_all_that_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_operators_cancellation_counts_from_then_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protected_people_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beyond_the_cap_they_are_held, setup, teardown),
        cmocka_unit_test(test_cap_shares_add_up),
        cmocka_unit_test_setup_teardown(test_reading_again_decides_alike, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
