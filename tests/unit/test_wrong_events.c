/* A member of the wrong type, anywhere in an event that the logger takes, is refused by PostgreSQL as this event's fault (and set aside), or
 * recorded so that scheduler and analysts can go on: nobody else's offboarding stops. */
/* links: tests/fuzz/fuzz.c tests/fuzz/record.c logger/row.c logger/origin.c logger/batch.c */
#include "tests/unit/postgres.h"

#include <dirent.h>

#include "logger/logger.h"
#include "tests/fuzz/record.h"
#include "tests/unit/variants.h"

static struct pg *pg;
static struct batch rows; /* what the logger would have in hand */

/* What is read from the tables afterwards: by the scheduler, for metrics, by analysts. Prepared, as planning takes longest. */
static const char prepare[] =
    "SET plan_cache_mode = force_generic_plan;"
    "PREPARE a AS SELECT count(job_message(j, o)) FROM job j JOIN offboarding o ON o.id = j.offboarding_id;"
    "PREPARE b AS SELECT count(d) FROM due_messages(1000, '{}') d;"
    "PREPARE c AS SELECT count(u) FROM unanswered('0s') u;"
    "PREPARE d AS SELECT count(f) FROM state_figures() f;"
    "PREPARE e AS SELECT count(v::text) FROM analyst.jobs v;"
    "PREPARE f AS SELECT count(v::text) FROM analyst.offboardings v;"
    "PREPARE g AS SELECT count(v::text) FROM analyst.time_to_revoke v;"
    "PREPARE h AS SELECT count(v::text) FROM analyst.timeline v;"
    "PREPARE i AS SELECT count(v::text) FROM analyst.intake v;"
    "PREPARE j AS SELECT count(v::text) FROM analyst.escrow v;"
    "PREPARE k AS SELECT count(v::text) FROM analyst.open_failures v;"
    "PREPARE l AS SELECT count(v::text) FROM analyst.held_offboardings v";
static const char readers[] =
    "EXECUTE a; EXECUTE b; EXECUTE c; EXECUTE d; EXECUTE e; EXECUTE f; EXECUTE g; EXECUTE h; EXECUTE i; "
    "EXECUTE j; EXECUTE k; EXECUTE l";

/* SQLSTATEs by which the logger knows that the event is to blame (logger/store.c). */
static bool is_events_fault(const char *sqlstate)
{
    static const char *const classes[] = {"21", "22", "23", "54"};
    bool listed = false;
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        listed = listed || strncmp(sqlstate, classes[i], 2) == 0;
    }
    return listed;
}

static bool run(const char *sql)
{
    struct err err = ERR_INIT;
    PGresult *result = pg_query(pg, &err, sql, 0, NULL);
    bool ran = result != NULL;
    PQclear(result);
    if (!ran && !is_events_fault(pg_sqlstate(pg))) {
        fail_msg("%s: %s", sql, err_text(&err));
    }
    err_release(&err);
    return ran;
}

/* The event as the logger reads it; false when it takes none of it. */
static bool take(const json_t *event)
{
    const char *of = json_string_at(event, "context.offboarding_id");
    char *text = json_text(event), *record = mem_printf("%s\n\n%s", of ? of : "key", text);
    struct fuzz_input input = {(const uint8_t *)record, strlen(record)};
    batch_clear(&rows);
    struct row *row = batch_add(&rows);
    /* It came sealed, and is staged as if it had not: with whatever key. */
    struct opened opened = {text, strlen(text), of ? text : NULL};
    row_read(row, fuzz_record(&input), &(struct origin){.writer = WRITER_CORE}, &opened);
    row->sealed = false;
    batch_number_waves(rows.rows, rows.count);
    bool taken = !row->refused;
    free(record);
    free(text);
    return taken;
}

static bool apply(void)
{
    struct buf copy = BUF_INIT;
    struct err err = ERR_INIT;
    batch_copy(rows.rows, rows.count, &copy);
    bool copied = pg_copy(pg, &err, batch_copy_sql, buf_text(&copy), copy.len) == 0;
    if (!copied && !is_events_fault(pg_sqlstate(pg))) {
        fail_msg("%s", err_text(&err));
    }
    err_release(&err);
    buf_release(&copy);
    static const char bring_keys[] =
        "INSERT INTO personal_key (offboarding_id, key) SELECT offboarding_id, sha256('k') FROM stage"
        " WHERE offboarding_id IS NOT NULL ON CONFLICT DO NOTHING";
    return copied && run(bring_keys) && run("SELECT apply_batch('{offboard.events}', '{2}', '{17}', '{18}')");
}

static const char *file; /* whose variants are tried */

static void try_event(const json_t *event)
{
    if (!take(event)) {
        return;
    }
    run("BEGIN");
    if (apply()) {
        struct err err = ERR_INIT;
        PGresult *result = pg_query(pg, &err, readers, 0, NULL);
        if (!result) {
            char *text = json_text(json_at(event, variant_path));
            fail_msg("%s with %s = %s is recorded, and then: %s", file, variant_path, text, err_text(&err));
            free(text);
        }
        PQclear(result);
    }
    run("ROLLBACK");
}

static void record(const char *name)
{
    json_t *event = golden(name);
    run("BEGIN");
    assert_true(take(event) && apply());
    run("COMMIT");
    run("UPDATE kafka_offset SET next = 17");
    json_decref(event);
}

/* Was `initiated` recorded already, or does the event have the members of job.failed? */
static bool is_like_another(const char *name)
{
    static const char *const alike[] = {"initiated",  "job.already_done", "job.blocked", "job.cancelled",
                                        "job.denied", "job.missing",      "job.skipped"};
    bool like = false;
    for (size_t i = 0; i < COUNT_OF(alike); i++) {
        like = like || (strncmp(name + strlen("event."), alike[i], strlen(alike[i])) == 0);
    }
    return like;
}

/* What an answer may carry besides what the golden ones do. */
static void add_facts(json_t *event)
{
    json_t *more = read_json(
        "{\"provides\": {\"user\": {\"emails\": [\"a@example.com\"], \"manager\": {\"email\": \"b@example.com\"}}}, "
        "\"pinned\": {\"scim\": [\"u1\"]}, \"waits\": {\"signal\": \"task\", \"key\": \"k\", \"heard\": [\"i\"]}, "
        "\"progress\": \"p\", \"open\": [{\"what\": \"w\"}]}");
    json_object_update_missing(json_object_get(event, "context"), more);
    json_decref(more);
}

static void test_events(void **state)
{
    (void)state;
    pg = postgres_database("wrong");
    run("INSERT INTO kafka_offset (topic, kafka_partition, next) VALUES ('offboard.events', 2, 17)");
    run("SELECT open_stage()");
    run("SELECT make_event_partitions(2)");
    run("INSERT INTO personal_key (offboarding_id, key) VALUES ('00000000-0000-0000-0000-000000000000', "
        "sha256('nil'))");
    run(prepare);
    struct dirent **entries;
    int count = scandir("tests/golden/v1", &entries, NULL, alphasort);
    variant_values = "[7, {\"a\": null}]"; /* each takes 25 ms */
    file = "event.initiated.json";
    json_t *initiated = golden(file);
    try_variants(initiated, initiated, try_event);
    json_decref(initiated);
    record(file);
    for (int i = 0; i < count; i++) {
        file = entries[i]->d_name;
        if (strncmp(file, "event.", 6) == 0 && !is_like_another(file)) {
            json_t *event = golden(file);
            if (strncmp(file, "event.job.", 10) == 0) {
                add_facts(event);
            }
            try_variants(event, event, try_event);
            json_decref(event);
        }
    }
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    batch_release(&rows);
    pg_free(pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_events)};
    return cmocka_run_group_tests(tests, postgres_start, postgres_stop);
}
