/* Batches for schema/004_apply.sql, staged by hand: what the logger does, without Kafka. Include after postgres.h. */
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

/* The key of an offboarding, which the logger has from Kafka. */
static void bring_key(struct pg *pg, const char *offboarding)
{
    free(ask(
        pg,
        "INSERT INTO personal_key (offboarding_id, key) VALUES ('%s', sha256('%s')) ON CONFLICT (offboarding_id) DO "
        "NOTHING",
        offboarding, offboarding));
}

static void batch_begin(struct pg *pg)
{
    batch.pg = pg;
    batch.staged = 0;
    free(ask(pg, "INSERT INTO kafka_offset (topic, kafka_partition) VALUES ('t', 0) ON CONFLICT DO NOTHING"));
    free(ask(pg, "SELECT open_stage()"));
    free(ask(pg, "BEGIN"));
    bring_key(pg, "00000000-0000-0000-0000-000000000000");
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
    if (offboarding) {
        bring_key(batch.pg, offboarding);
    }
    if (pg_run(batch.pg, &err, sql, 5, values) != 0) {
        fail_msg("%s: %s", err_text(&err), body);
    }
    batch.staged++;
    free(seq);
    free(offset);
}

/* Stages one event of an offboarding; `context` is its context's members as JSON, without braces. "@step" in quotes stands
 * for the id of that step's job. */
static void say(const char *name, const char *offboarding, const char *context)
{
    struct buf body = BUF_INIT;
    buf_adds(&body, "{\"response\": {\"statusCode\": 200, \"message\": \"\"}, \"timestamp\": \"2026-01-05T10:00:00Z\","
                    " \"context\": {");
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

static void batch_apply(void)
{
    free(ask(batch.pg, "SELECT apply_batch('{t}', '{0}', '{%lld}', '{%lld}')", (long long)batch.next,
             (long long)(batch.next + batch.staged)));
    free(ask(batch.pg, "COMMIT"));
    batch.next += batch.staged;
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

#endif
