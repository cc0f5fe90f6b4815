/* Who is leaving: repeats, moves, cancellations, guards; and the memory of it, written and read back. */
/* links: producer/roster.c producer/roster_index.c producer/roster_record.c producer/roster_decide.c producer/roster_remember.c */
/* links: tests/unit/mock_cluster.c */
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
#include "producer/roster.h"
#include "tests/unit/mock_cluster.h"

#define START    INT64_C(1790000000000000) /* some moment of 2026 */
#define OPEN_FOR (120 * TIME_DAY)

struct fixture {
    struct conf *conf;
    struct control *control;
    struct roster *roster;
    json_t *topic;                /* what is written: the newest value of each key */
    int64_t offset;               /* of the next record of intake */
    int64_t unfinished_from;      /* the first offset that is not committed */
    const char *unfinished_topic; /* of this topic; NULL: of each */
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
    int64_t now;          /* after START, by which starts count; 0: when it was received */
    int64_t offset;       /* of the record; 0: the next one */
    const char *topic;    /* of the record; NULL: offboard.intake */
};

static void setup_with(struct fixture *fixture, const char *guards)
{
    fixture->conf = conf_of((const char *const[]){guards, NULL});
    assert_non_null(fixture->conf);
    fixture->control = control_new();
    fixture->roster = roster_new(fixture->conf, fixture->control);
    fixture->topic = json_object();
}

static void release(struct fixture *fixture)
{
    roster_free(fixture->roster);
    control_free(fixture->control);
    conf_free(fixture->conf);
    json_decref(fixture->topic);
}

static void configure(struct fixture *fixture, const char *guards)
{
    release(fixture);
    setup_with(fixture, guards);
}

static void write_record(void *arg, const char *key, json_t *value)
{
    struct fixture *fixture = arg;
    if (value) {
        json_object_set_new(fixture->topic, key, value);
    } else {
        json_object_del(fixture->topic, key);
    }
}

static bool is_unfinished(const struct place *place, void *arg)
{
    const struct fixture *fixture = arg;
    const char *topic = fixture->unfinished_topic;
    return place->offset >= fixture->unfinished_from && (!topic || strcmp(topic, place->topic) == 0);
}

/* Another process takes over: what lies on the topic is all that it knows. `guards` NULL: with the same configuration. */
static void take_over(struct fixture *fixture, const char *guards, int64_t now)
{
    if (guards) {
        conf_free(fixture->conf);
        fixture->conf = conf_of((const char *const[]){guards, NULL});
    }
    roster_free(fixture->roster);
    fixture->roster = roster_new(fixture->conf, fixture->control);
    roster_expect(fixture->roster, is_unfinished, fixture);
    const char *key;
    json_t *value;
    json_object_foreach(fixture->topic, key, value)
    {
        char *text = json_text(value);
        struct err err = ERR_INIT;
        if (roster_read(fixture->roster, key, strlen(key), text, strlen(text), &err) != 0) {
            fail_msg("%s: %s: %s", key, text, err_text(&err));
        }
        free(text);
    }
    roster_ready(fixture->roster, START + now);
}

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    setup_with(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=0");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    release(fixture);
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

/* Decides and remembers. The caller releases the decision. */
static struct decision decide(struct fixture *fixture, struct said said)
{
    struct mapped mapped = mapped_of(&said);
    struct decision decision;
    struct place place = {said.topic ? said.topic : "offboard.intake", 3,
                          said.offset ? said.offset : ++fixture->offset};
    int64_t now = START + (said.now ? said.now : said.at);
    assert_int_equal(roster_decide(fixture->roster, &mapped, &place, START + said.at, now, &decision, NULL), 0);
    roster_remember(fixture->roster, &decision, &mapped, &place, START + said.at, OPEN_FOR, now, write_record, fixture);
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
        struct place place = {"offboard.intake", 0, 1};
        assert_int_equal(roster_decide(fixture->roster, &mapped, &place, START, START, &decision, &err), -1);
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
    decision_release(&later);
    /* Another priority alone keeps the date. */
    struct decision rises = decide(
        *state, (struct said){.id = "4", .email = "a@x", .at = 3, .intent = INTENT_CHANGE, .priority = "urgent"});
    assert_int_equal(rises.disposition, DISPOSITION_MOVED);
    assert_int_equal(rises.effective_at, START + 20 * TIME_DAY);
    assert_true(rises.urgent && !rises.starts_now);
    decision_release(&rises);
    /* A priority does not fall again. */
    struct decision now =
        decide(*state, (struct said){.id = "5", .email = "a@x", .at = TIME_DAY, .effective_at = TIME_HOUR});
    assert_int_equal(now.disposition, DISPOSITION_MOVED);
    assert_true(!now.starts_now && now.urgent); /* PostgreSQL says when its date has come, and asks */
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
    assert_int_equal(now.effective_at, START + TIME_HOUR);
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

static void test_an_operators_cancellation_counts_from_then_on(void **state)
{
    char first[ID_SIZE];
    id_offboarding("/hr", "1", first);
    expect(*state, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(*state, (struct said){.id = "2", .email = "b@x"}, DISPOSITION_STARTED, "2");
    order_cancel(*state, first, TIME_HOUR);
    order_cancel(*state, "b@x", TIME_HOUR);
    /* Events that came before the order, and are read after it. */
    expect(*state, (struct said){.id = "3", .email = "a@x", .at = TIME_HOUR - 1}, DISPOSITION_DUPLICATE, "1");
    expect(*state, (struct said){.id = "4", .email = "b@x", .at = TIME_HOUR - 1}, DISPOSITION_CANCELLED, NULL);
    expect(*state, (struct said){.id = "5", .email = "a@x", .at = TIME_HOUR}, DISPOSITION_STARTED, "5");
    expect(*state, (struct said){.id = "6", .email = "b@x", .at = TIME_HOUR + 1}, DISPOSITION_STARTED, "6");
    expect(*state, (struct said){.id = "7", .email = "b@x", .at = TIME_HOUR + 2}, DISPOSITION_DUPLICATE, "6");
}

/* ---- guards ------------------------------------------------------------------------------------------------------ */

static void test_protected_people_are_refused(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "OFFBOARD_GUARDS_PROTECTED=ceo@x,E1,scim:root");
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
    configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=2");
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "d", .email = "d@x", .mode = "dry_run"}, DISPOSITION_STARTED,
           "d");                                                                           /* does not count */
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_DUPLICATE, "1"); /* nor does this */
    expect(fixture, (struct said){.id = "w", .email = "w@x", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "w");
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

/* Starts count when they happen: leavers of a whole night, read in one minute, are many at once. */
static void test_the_cap_counts_by_the_clock_on_the_wall(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=1");
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = 1, .now = TIME_DAY}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "2", .email = "b@x", .at = 5 * TIME_HOUR, .now = TIME_DAY}, DISPOSITION_HELD,
           "2");
    expect(fixture, (struct said){.id = "3", .email = "c@x", .at = 5 * TIME_HOUR, .now = TIME_DAY + TIME_HOUR},
           DISPOSITION_STARTED, "3");
}

/* ---- a date that comes ------------------------------------------------------------------------------------------- */

static enum roster_start ask(struct fixture *fixture, const char *event, int64_t due_at, int64_t now)
{
    char id[ID_SIZE];
    id_offboarding("/hr", event, id);
    return roster_start(fixture->roster, id, START + due_at, START + now, write_record, fixture);
}

static void test_who_waits_starts_within_the_cap(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=2");
    for (int i = 1; i <= 5; i++) {
        char id[2] = {(char)('0' + i), '\0'}, email[] = "?@x";
        email[0] = (char)('a' + i);
        expect(fixture, (struct said){.id = id, .email = email, .effective_at = TIME_DAY}, DISPOSITION_WAITING, id);
    }
    assert_int_equal(ask(fixture, "1", TIME_DAY, TIME_DAY), ROSTER_START);
    assert_int_equal(ask(fixture, "1", TIME_DAY, TIME_DAY), ROSTER_START); /* asked again: it is the same start */
    assert_int_equal(ask(fixture, "2", TIME_DAY, TIME_DAY), ROSTER_START);
    assert_int_equal(ask(fixture, "3", TIME_DAY, TIME_DAY), ROSTER_HOLD);
    assert_int_equal(ask(fixture, "4", TIME_HOUR, TIME_DAY), ROSTER_NOTHING); /* it was moved since */
    expect(fixture, (struct said){.id = "6", .email = "now@x", .at = TIME_DAY}, DISPOSITION_HELD, "6");
    /* Held is held, whoever leads, and whatever the cap is by then; an hour later as well. */
    take_over(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=1000", TIME_DAY);
    assert_int_equal(ask(fixture, "3", TIME_DAY, TIME_DAY + 2 * TIME_HOUR), ROSTER_HOLD);
    expect(fixture, (struct said){.id = "7", .email = "d@x", .at = TIME_DAY, .effective_at = 2 * TIME_DAY},
           DISPOSITION_MOVED, "3");
    assert_int_equal(ask(fixture, "3", 2 * TIME_DAY, 2 * TIME_DAY), ROSTER_HOLD);
    /* A person lets it go. */
    char id[ID_SIZE];
    id_offboarding("/hr", "3", id);
    roster_approve(fixture->roster, id, write_record, fixture);
    expect(fixture, (struct said){.id = "8", .email = "d@x", .at = 2 * TIME_DAY + 1, .effective_at = 9 * TIME_DAY},
           DISPOSITION_DUPLICATE, "3");
    /* Of one that nobody remembers the leader can't say that it is over. */
    assert_int_equal(ask(fixture, "unknown", 1, TIME_DAY), ROSTER_START);
}

static void test_the_cap_is_counted_on_by_the_next_leader(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=2");
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "2", .email = "b@x"}, DISPOSITION_STARTED, "2");
    char id[ID_SIZE];
    id_offboarding("/hr", "1", id);
    roster_end(fixture->roster, id, write_record, fixture); /* over within the hour: it counts all the same */
    roster_forget(fixture->roster, START + TIME_MINUTE, 100, write_record, fixture);
    take_over(fixture, NULL, TIME_MINUTE);
    expect(fixture, (struct said){.id = "3", .email = "c@x", .at = TIME_MINUTE}, DISPOSITION_HELD, "3");
    expect(fixture, (struct said){.id = "4", .email = "d@x", .at = TIME_HOUR}, DISPOSITION_STARTED, "4");
}

/* ---- decisions are frozen ---------------------------------------------------------------------------------------- */

static void test_another_configuration_changes_no_decision(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=1");
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "2", .email = "b@x"}, DISPOSITION_HELD, "2");
    take_over(fixture, "OFFBOARD_GUARDS_PROTECTED=a@x,b@x", 1);
    fixture->unfinished_from = INT64_MAX;
    expect(fixture, (struct said){.id = "3", .email = "a@x", .at = 1}, DISPOSITION_REFUSED, NULL); /* a new event */
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = 2}, DISPOSITION_DUPLICATE, "1");
    expect(fixture, (struct said){.id = "4", .email = "a@x", .at = 3, .intent = INTENT_CANCEL}, DISPOSITION_CANCELLED,
           "1");
    take_over(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=1000", 1);
    struct decision moved =
        decide(fixture, (struct said){.id = "5", .email = "b@x", .at = 4, .effective_at = TIME_DAY});
    assert_int_equal(moved.disposition, DISPOSITION_MOVED);
    assert_true(moved.held && !moved.starts_now);
    decision_release(&moved);
}

/* Whoever is erased is named nowhere any more, at once; the event stays known, and who starts in the hour still counts. */
static void test_who_is_erased_is_named_nowhere(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, (struct said){.id = "1", .email = "a@x", .alias = "alias@x"}, DISPOSITION_STARTED, "1");
    char id[ID_SIZE];
    id_offboarding("/hr", "1", id);
    roster_end(fixture->roster, id, write_record, fixture);
    roster_erase(fixture->roster, id, write_record, fixture);
    roster_erase(fixture->roster, id, write_record, fixture); /* the notice came twice */
    roster_erase(fixture->roster, "no id", write_record, fixture);
    assert_int_equal(roster_size(fixture->roster).offboardings, 0);
    char *text = json_text(fixture->topic);
    assert_null(strstr(text, "a@x"));
    assert_null(strstr(text, "alias@x"));
    free(text);
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = 1}, DISPOSITION_DUPLICATE, "1");
    take_over(fixture, NULL, 1);
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = 1}, DISPOSITION_DUPLICATE, "1");
    expect(fixture, (struct said){.id = "2", .email = "a@x", .at = 2}, DISPOSITION_STARTED, "2");
}

/* What is over is over; its events stay known. */
static void test_who_left_may_leave_again_when_it_is_over(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    char id[ID_SIZE];
    id_offboarding("/hr", "1", id);
    roster_end(fixture->roster, id, write_record, fixture);
    roster_end(fixture->roster, "7d3c2b1e-0c55-5b0e-9a44-6f66626f6172", write_record, fixture); /* unknown */
    take_over(fixture, NULL, 1);
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = 1}, DISPOSITION_DUPLICATE, "1");
    expect(fixture, (struct said){.id = "2", .email = "a@x", .at = 2}, DISPOSITION_STARTED, "2");
    roster_forget(fixture->roster, START + 2 * TIME_HOUR, 100, write_record, fixture);
    assert_null(json_object_get(fixture->topic, id));
    assert_int_equal(roster_size(fixture->roster).offboardings, 1);
    take_over(fixture, NULL, TIME_HOUR);
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = TIME_HOUR}, DISPOSITION_DUPLICATE, "1");
    /* Only an event that nobody will send again is forgotten. */
    for (int i = 0; i < 3; i++) {
        roster_forget(fixture->roster, START + 401 * TIME_DAY, 100, write_record, fixture);
    }
    assert_int_equal(json_object_size(fixture->topic), 0);
    assert_int_equal(roster_size(fixture->roster).events, 0);
}

/* ---- a record that is read twice --------------------------------------------------------------------------------- */

/* A crash between the roster and the commit: what was decided is published again, as it was decided; nothing is decided anew. */
static void test_what_was_not_committed_is_published_again(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=1");
    const struct said said[] = {
        {.id = "1", .email = "a@x", .offset = 1},
        {.id = "2", .email = "b@x", .offset = 2},
        {.id = "3", .email = "c@x", .offset = 3, .effective_at = TIME_DAY},
        {.id = "4", .email = "c@x", .offset = 4, .effective_at = 2 * TIME_DAY, .priority = "urgent"},
        {.id = "5", .email = "d@x", .offset = 5, .mode = "dry_run"},
        {.id = "6", .email = "b@x", .offset = 6, .intent = INTENT_REHIRE},
        {.id = "7", .email = "c@x", .offset = 7, .effective_at = 2 * TIME_DAY},
        {.id = "8", .email = "e@x", .offset = 8, .intent = INTENT_CANCEL},
    };
    static const enum disposition becomes[] = {DISPOSITION_STARTED,   DISPOSITION_HELD,    DISPOSITION_WAITING,
                                               DISPOSITION_MOVED,     DISPOSITION_STARTED, DISPOSITION_CANCELLED,
                                               DISPOSITION_DUPLICATE, DISPOSITION_IGNORED};
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        struct decision decision = decide(fixture, said[i]);
        assert_int_equal(decision.disposition, becomes[i]);
        assert_false(decision.again || decision.finished);
        decision_release(&decision);
    }
    fixture->unfinished_from = 2;
    take_over(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=1000", 3 * TIME_HOUR);
    json_t *before = json_deep_copy(fixture->topic);
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        struct said again = said[i];
        again.now = 3 * TIME_HOUR;
        struct decision decision = decide(fixture, again);
        assert_int_equal(decision.finished, i == 0);
        assert_int_equal(decision.again, i > 0);
        if (i > 0) {
            assert_int_equal(decision.disposition, becomes[i]);
            assert_int_equal(decision.held, becomes[i] == DISPOSITION_HELD);
            assert_int_equal(decision.starts_now, becomes[i] == DISPOSITION_STARTED);
            assert_int_equal(decision.urgent, becomes[i] == DISPOSITION_MOVED);
        }
        decision_release(&decision);
    }
    assert_true(json_equal(before, fixture->topic));
    json_decref(before);
}

static void test_what_could_not_be_published_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "2", .email = "b@x", .mode = "dry_run"}, DISPOSITION_STARTED, "2");
    for (int i = 1; i <= 2; i++) {
        char event[2] = {(char)('0' + i), '\0'}, id[ID_SIZE];
        id_offboarding("/hr", event, id);
        roster_undo(fixture->roster, id, write_record, fixture);
    }
    assert_int_equal(json_object_size(fixture->topic), 0);
    expect(fixture, (struct said){.id = "1", .email = "a@x"}, DISPOSITION_STARTED,
           "1"); /* a replay of the dead letter */
}

/* ---- one person, two names --------------------------------------------------------------------------------------- */

static void test_two_that_turn_out_to_be_one_person(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, (struct said){.id = "1", .email = "a@x", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(fixture, (struct said){.id = "2", .employee_id = "E1", .at = 1, .effective_at = TIME_DAY},
           DISPOSITION_WAITING, "2");
    expect(fixture, (struct said){.id = "x", .employee_id = "E1", .at = 1, .runbook = "other"}, DISPOSITION_STARTED,
           "x");
    struct decision linked = decide(
        fixture, (struct said){.id = "3", .email = "a@x", .employee_id = "E1", .at = 2, .effective_at = TIME_DAY});
    char second[ID_SIZE];
    id_offboarding("/hr", "2", second);
    assert_int_equal(linked.disposition, DISPOSITION_DUPLICATE);
    assert_int_equal(json_array_size(linked.duplicates), 1);
    assert_string_equal(json_string_value(json_array_get(linked.duplicates, 0)), second);
    decision_release(&linked);
    take_over(fixture, NULL, 3);
    /* The older one is known by both names now. */
    struct decision ended =
        decide(fixture, (struct said){.id = "4", .employee_id = "E1", .at = 4, .intent = INTENT_CANCEL});
    assert_int_equal(json_array_size(ended.offboardings), 2); /* with that of the other runbook */
    decision_release(&ended);
    expect(fixture, (struct said){.id = "5", .email = "a@x", .at = 5}, DISPOSITION_STARTED, "5");
}

/* The one that cuts access now goes on. */
static void test_of_two_the_one_that_has_begun_stays(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, (struct said){.id = "1", .email = "a@x", .effective_at = TIME_DAY}, DISPOSITION_WAITING, "1");
    expect(fixture, (struct said){.id = "2", .employee_id = "E1", .at = 1}, DISPOSITION_STARTED, "2");
    struct decision linked = decide(fixture, (struct said){.id = "3", .email = "a@x", .employee_id = "E1", .at = 2});
    char first[ID_SIZE], second[ID_SIZE];
    id_offboarding("/hr", "1", first);
    id_offboarding("/hr", "2", second);
    assert_string_equal(json_string_value(json_array_get(linked.duplicates, 0)), first);
    assert_string_equal(json_string_value(json_array_get(linked.offboardings, 0)), second);
    decision_release(&linked);
}

/* Each topic counts its offsets from 0: what two records have in common by that is nothing. */
static void test_a_place_is_one_of_its_topic(void **state)
{
    struct fixture *fixture = *state;
    static const char polled[] = "offboard.polled.scim";
    expect(fixture, (struct said){.id = "1", .email = "a@x", .offset = 5}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "2", .email = "b@x", .offset = 5, .topic = polled, .mode = "dry_run"},
           DISPOSITION_STARTED, "2");
    expect(fixture, (struct said){.id = "1", .email = "a@x", .offset = 5, .topic = polled}, DISPOSITION_DUPLICATE, "1");
    fixture->unfinished_topic = polled;
    take_over(fixture, NULL, 0);
    struct decision first = decide(fixture, (struct said){.id = "1", .email = "a@x", .offset = 5});
    struct decision second =
        decide(fixture, (struct said){.id = "2", .email = "b@x", .offset = 5, .topic = polled, .mode = "dry_run"});
    assert_true(first.finished && !first.again);
    assert_true(second.again && !second.finished);
    assert_int_equal(second.disposition, DISPOSITION_STARTED);
    decision_release(&first);
    decision_release(&second);
    expect(fixture, (struct said){.id = "2", .email = "b@x", .offset = 5, .mode = "dry_run"}, DISPOSITION_DUPLICATE,
           "2");
}

/* ---- out of order ------------------------------------------------------------------------------------------------ */

/* Records of two partitions may be read in another order than they came. */
static void test_a_cancellation_ends_what_came_before_it(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, (struct said){.id = "1", .email = "a@x", .at = 1000}, DISPOSITION_STARTED, "1");
    expect(fixture, (struct said){.id = "2", .email = "a@x", .at = 999, .intent = INTENT_REHIRE}, DISPOSITION_IGNORED,
           NULL);
    order_cancel(fixture, "b@x", 2000);
    expect(fixture, (struct said){.id = "3", .email = "b@x", .at = 1999}, DISPOSITION_CANCELLED, NULL);
    expect(fixture, (struct said){.id = "4", .email = "b@x", .at = 2001}, DISPOSITION_STARTED, "4");
}

/* ---- again ------------------------------------------------------------------------------------------------------- */

/* A long, varied history: whoever takes over in the middle decides on as the first would have. */
static void test_taking_over_decides_alike(void **state)
{
    struct fixture *fixture = *state;
    enum { EVENTS = 2000 };
    int *first = mem_alloc(EVENTS * sizeof *first);
    fixture->unfinished_from = INT64_MAX;
    for (int pass = 0; pass < 2; pass++) {
        configure(fixture, "OFFBOARD_GUARDS_CAP_PER_HOUR=5");
        uint32_t random = 42;
        for (int i = 0; i < EVENTS; i++) {
            random = random * 1664525 + 1013904223;
            char *id = mem_printf("%u", random >> 8 & 4095);
            char *email = mem_printf("p%u@x", random >> 18 & 63);
            struct said said = {.id = id,
                                .email = email,
                                .employee_id = random >> 31 ? email : NULL,
                                .at = i * TIME_MINUTE,
                                .intent = (random >> 26 & 7) == 0 ? INTENT_CANCEL : INTENT_START,
                                .effective_at = random >> 30 ? i * TIME_MINUTE + (random >> 24 & 31) * TIME_HOUR : 0,
                                .mode = (random >> 12 & 7) ? "live" : "dry_run"};
            if (pass == 1 && i % 37 == 0) {
                roster_forget(fixture->roster, START + said.at, 20, write_record, fixture);
                take_over(fixture, NULL, said.at);
            }
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

static void test_bad_records_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char id[] = "7d3c2b1e-0c55-5b0e-9a44-6f66626f6172";
    static const char event[] = "event/7d3c2b1e-0c55-5b0e-9a44-6f66626f6172";
    static const struct {
        const char *key, *value;
    } bad[] = {{id, "{"},
               {id, "[]"},
               {id, "{\"version\": 2}"},
               {id, "{\"version\": 1}"},
               {event, "{\"version\": 1}"},
               {event, "{\"version\": 1, \"at\": \"2026-11-23T10:00:00Z\", \"place\": [1]}"},
               {event, "{\"version\": 1, \"at\": \"2026-11-23T10:00:00Z\", \"place\": [1, 2]}"},
               {event, "{\"version\": 1, \"at\": \"2026-11-23T10:00:00Z\", \"place\": [\"t\", 1]}"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(
            roster_read(fixture->roster, bad[i].key, strlen(bad[i].key), bad[i].value, strlen(bad[i].value), &err), -1);
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
    }
    static const char *const others[] = {"due/7d3c2b1e-0c55-5b0e-9a44-6f66626f6172", "x", "", "event/x"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_int_equal(roster_read(fixture->roster, others[i], strlen(others[i]), "?", 1, NULL), 0);
    }
    assert_int_equal(roster_size(fixture->roster).offboardings + roster_size(fixture->roster).events, 0);
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
        cmocka_unit_test_setup_teardown(test_the_cap_counts_by_the_clock_on_the_wall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_starts_within_the_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_cap_is_counted_on_by_the_next_leader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_configuration_changes_no_decision, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_erased_is_named_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_left_may_leave_again_when_it_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_not_committed_is_published_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_could_not_be_published_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_that_turn_out_to_be_one_person, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_two_the_one_that_has_begun_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_place_is_one_of_its_topic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_cancellation_ends_what_came_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taking_over_decides_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_records_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
