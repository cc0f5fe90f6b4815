/* Batches for schema/003_apply.sql, staged by hand: what the logger does, without Kafka. Include after postgres.h. */
#ifndef OFFBOARD_TESTS_UNIT_APPLY_H
#define OFFBOARD_TESTS_UNIT_APPLY_H

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/mem.h"

/* An offboarding's id. */
#define PERSON(n) "00000000-0000-4000-8000-00000000000" #n

static struct {
    struct pg *pg;
    int64_t next; /* offset in the only partition */
    int staged;
} batch;

static void batch_begin(struct pg *pg)
{
    batch.pg = pg;
    batch.staged = 0;
    free(ask(pg, "INSERT INTO kafka_offset (topic, kafka_partition) VALUES ('t', 0) ON CONFLICT DO NOTHING"));
    free(ask(pg, "SELECT open_stage()"));
    free(ask(pg, "BEGIN"));
}

/* Stages one message with that body. `offboarding` NULL: it concerns none. */
static void stage(const char *name, const char *offboarding, const char *body)
{
    static const char sql[] =
        "INSERT INTO stage (seq, wave, topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, "
        "job_id, raw)"
        " SELECT $4, CASE WHEN $1 NOT LIKE 'control.%' THEN (SELECT count(*) + 1 FROM stage WHERE offboarding_id = "
        "$2::uuid) END,"
        " 't', 0, $5, gen_random_uuid(), $1, now(), $2::uuid, ($3::jsonb #>> '{context,job_id}')::uuid, $3::json";
    char *seq = mem_printf("%d", batch.staged);
    char *offset = mem_printf("%lld", (long long)(batch.next + batch.staged));
    const char *const values[] = {name, offboarding, body, seq, offset};
    struct err err = ERR_INIT;
    if (pg_run(batch.pg, &err, sql, 5, values) != 0) {
        fail_msg("%s: %s", err_text(&err), body);
    }
    batch.staged++;
    free(seq);
    free(offset);
}

/* Stages one event of an offboarding; `context` is its context's members as JSON, without braces. "@step" in quotes stands
 * for the id of that step's job. */
static void say_at(const char *name, const char *offboarding, const char *context, const char *timestamp)
{
    struct buf body = BUF_INIT;
    buf_addf(&body, "{\"response\": {\"statusCode\": 200, \"message\": \"\"}, \"timestamp\": \"%s\", \"context\": {",
             timestamp);
    for (const char *at; (at = strstr(context, "\"@")); context = strchr(at + 1, '"')) {
        char id[ID_SIZE];
        assert_int_equal(id_v5(offboarding, at + 2, strcspn(at + 2, "\""), id), 0);
        buf_add(&body, context, (size_t)(at - context) + 1);
        buf_adds(&body, id);
    }
    buf_addf(&body, "%s}}", context);
    stage(name, offboarding, buf_text(&body));
    buf_release(&body);
}

static void say(const char *name, const char *offboarding, const char *context)
{
    say_at(name, offboarding, context, "2026-01-05T10:00:00Z");
}

static void batch_apply(void)
{
    free(ask(batch.pg, "SELECT apply_batch('{t}', '{0}', '{%lld}', '{%lld}')", (long long)batch.next,
             (long long)(batch.next + batch.staged)));
    free(ask(batch.pg, "COMMIT"));
    batch.next += batch.staged;
}

/* One event as a batch of its own, at a time of its own. */
static inline void tell_at(struct pg *pg, const char *name, const char *offboarding, const char *context,
                           const char *timestamp)
{
    batch_begin(pg);
    say_at(name, offboarding, context, timestamp);
    batch_apply();
}

/* One event as a batch of its own. */
static void tell(struct pg *pg, const char *name, const char *offboarding, const char *context)
{
    batch_begin(pg);
    say(name, offboarding, context);
    batch_apply();
}

/* ---- a database for each test, and what is in it ---------------------------------------------------------------- */

static int number;

static inline int database_make(void **state)
{
    char *name = mem_printf("a%d", ++number);
    *state = postgres_database(name);
    batch.next = 0;
    free(name);
    return 0;
}

static inline int database_drop(void **state)
{
    assert_answer(*state, "SELECT count(*) FROM verify_event_chain()", "0");
    pg_free(*state);
    return 0;
}

/* States of all jobs of an offboarding, in order: "a:ready b:waiting". */
static inline void assert_jobs(struct pg *pg, const char *offboarding, const char *expected)
{
    char *sql = mem_printf(
        "SELECT string_agg(step || ':' || state, ' ' ORDER BY position) FROM job WHERE offboarding_id = '%s'",
        offboarding);
    assert_answer(pg, sql, expected);
    free(sql);
}

/* Status of the offboarding and of its phases, in order: "initiated: completed held". */
static inline void assert_status(struct pg *pg, const char *offboarding, const char *expected)
{
    char *sql = mem_printf("SELECT o.status || ': ' || string_agg(p.status, ' ' ORDER BY p.position) FROM offboarding o"
                           " JOIN phase p ON p.offboarding_id = o.id WHERE o.id = '%s' GROUP BY o.id",
                           offboarding);
    assert_answer(pg, sql, expected);
    free(sql);
}

/* The note on the last event of that name. */
static inline void assert_note(struct pg *pg, const char *name, const char *expected)
{
    char *sql = mem_printf("SELECT note FROM event WHERE name = '%s' ORDER BY kafka_offset DESC LIMIT 1", name);
    assert_answer(pg, sql, expected);
    free(sql);
}

/* What is due and not stale, as the scheduler would take it if its time had come: "a#1 b#2 next". */
static inline void assert_due(struct pg *pg, const char *offboarding, const char *expected)
{
    char *sql = mem_printf(
        "SELECT string_agg(coalesce(j.step || '#' || d.attempt, d.phase), ' ' ORDER BY j.position, d.phase) FROM due d"
        " LEFT JOIN job j ON j.id = d.job_id LEFT JOIN phase p ON p.offboarding_id = d.offboarding_id AND p.name = "
        "d.phase"
        " WHERE d.offboarding_id = '%s' AND (j.state = 'ready' AND j.attempt = d.attempt OR p.status = 'waiting'"
        " AND p.due_at = d.due_at)",
        offboarding);
    assert_answer(pg, sql, expected);
    free(sql);
}

#endif
