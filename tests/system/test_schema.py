"""The database: migrations go forward only, roles may do what they must, everything is explained."""

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from process import wait_until
from stack import ROOT

pytestmark = pytest.mark.xdist_group("schema")
EMAIL = "jane.doe@example.com"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    """With one offboarding on record."""
    stack = make_shared_stack(systems="scim,jira").start("producer", "worker", "logger")
    stack.person(EMAIL)
    stack.wait_job(stack.offboard(EMAIL), "ticket", "succeeded")
    stack.wait_quiet()
    return stack


@pytest.fixture
def migrations(stack, tmp_path):
    """A copy of the shipped migrations, and a fresh database they can be applied to."""
    folder = tmp_path / "schema"
    shutil.copytree(os.path.join(ROOT, "schema"), folder, ignore=shutil.ignore_patterns("*.md"))
    database = stack.postgres.create_database(f"{stack.prefix}-migrations")

    def migrate():
        return stack.cli("migrate", "--directory", str(folder), OFFBOARD_POSTGRES_ADMIN=database.conninfo())

    yield folder, database, migrate
    database.drop()


def test_migrate_twice_is_once(migrations):
    folder, database, migrate = migrations
    assert migrate().ok().out
    applied = database.query("SELECT * FROM schema_migration ORDER BY version")
    assert [row["name"] for row in applied] == sorted(path.name for path in folder.glob("*.sql"))
    migrate().ok()
    assert database.query("SELECT * FROM schema_migration ORDER BY version") == applied


def test_an_edited_old_migration_is_refused(migrations):
    folder, database, migrate = migrations
    migrate().ok()
    oldest = sorted(folder.glob("*.sql"))[0]
    oldest.write_text(oldest.read_text(encoding="utf-8") + "\n-- a harmless remark\n", encoding="utf-8")
    refused = migrate()
    assert refused.status == 1 and oldest.name in refused.err, refused


def test_a_missing_old_migration_is_refused(migrations):
    folder, database, migrate = migrations
    migrate().ok()
    oldest = sorted(folder.glob("*.sql"))[0]
    oldest.unlink()
    refused = migrate()
    assert refused.status == 1 and oldest.name in refused.err, refused


def test_a_failing_migration_leaves_nothing_behind(migrations):
    folder, database, migrate = migrations
    migrate().ok()
    (folder / "999_next.sql").write_text("CREATE TABLE half (id integer);\nSELECT no_such_function();\n", encoding="utf-8")
    refused = migrate()
    assert refused.status == 1 and "999_next.sql" in refused.err and "no_such_function" in refused.err, refused
    assert database.query("SELECT FROM pg_tables WHERE tablename = 'half'") == []
    (folder / "999_next.sql").write_text("CREATE TABLE whole (id integer);\n", encoding="utf-8")
    migrate().ok()
    assert database.query("SELECT * FROM whole") == []


def test_everything_has_a_comment(stack):
    bare = stack.database.query("""
        SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'analyst') AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
          AND obj_description(c.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT n.nspname || '.' || c.relname || '.' || a.attname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE n.nspname IN ('public', 'analyst') AND c.relkind IN ('r', 'p', 'v', 'm', 'c') AND NOT c.relispartition
          AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL
        UNION ALL
        SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('public', 'analyst') AND obj_description(p.oid, 'pg_proc') IS NULL
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')  -- pgcrypto's
        UNION ALL
        SELECT nspname FROM pg_namespace WHERE nspname = 'analyst' AND obj_description(oid, 'pg_namespace') IS NULL""")
    assert bare == [], [row["name"] for row in bare]


def test_every_view_can_be_read_by_the_analyst(stack):
    views = stack.database.query("SELECT viewname FROM pg_views WHERE schemaname = 'analyst'")
    assert len(views) >= 8
    with stack.postgres.connect(stack.database.name, "analyst") as connection:
        for view in views:
            connection.execute(f'SELECT * FROM analyst."{view["viewname"]}"').fetchall()


# What a role may not do: `connection.execute` has to be refused for lack of rights.
FORBIDDEN = {
    "analyst": ["SELECT * FROM job", "SELECT * FROM event", "DELETE FROM due", "UPDATE job SET state = 'failed'",
                "SELECT key FROM personal_key", "SELECT person_digests('{jane@x.org}')", "SELECT erase_ended_offboardings(now())",
                "CREATE TABLE analyst.mine (id integer)", "CREATE TABLE mine (id integer)"],
    "scheduler": ["UPDATE job SET state = 'failed'", "INSERT INTO due (due_at, offboarding_id, phase) VALUES (now(),"
                  " gen_random_uuid(), 'x')", "UPDATE due SET due_at = now()", "SELECT * FROM event", "DELETE FROM event",
                  "UPDATE kafka_offset SET next = 0", "DELETE FROM offboarding", "SELECT key FROM personal_key",
                  "SELECT sealed(gen_random_uuid(), 'x')", "SELECT erase_offboardings('{}')"],
    "logger": ["UPDATE event SET note = 'x'", "DELETE FROM event", "TRUNCATE event", "DROP TABLE event",
               "UPDATE job SET state = 'succeeded'", "DELETE FROM offboarding", "CREATE TABLE mine (id integer)",
               "UPDATE definition SET text = 'x'", "DELETE FROM intake", "SELECT key FROM personal_key",
               "UPDATE personal_key SET key = ''", "SELECT erase_ended_offboardings(now())"],
}


@pytest.mark.parametrize("role, statement", [(role, statement) for role in FORBIDDEN for statement in FORBIDDEN[role]])
def test_a_role_may_not_do_more_than_it_must(stack, role, statement):
    with stack.postgres.connect(stack.database.name, role) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_statement_of_the_analyst_ends(stack):
    settings = {row["rolname"]: row["rolconfig"] or [] for row in stack.database.query("SELECT rolname, rolconfig FROM pg_roles")}
    assert any(text.startswith("statement_timeout=") for text in settings["offboard_analyst"])


def check_bodies_are_what_kafka_has(stack) -> None:
    """Byte for byte: whoever keeps the Kafka records can check the commitments."""
    records = {(record.topic, record.partition, record.offset): record for record in stack.topics.read("events")}
    rows = stack.database.query("SELECT topic, kafka_partition, kafka_offset, body::text, salt, sealed, commitment, body_of(e)::text AS opened"
                                " FROM event e WHERE topic = %s", stack.topics.name("events"))
    assert len(rows) == len(records) > 5
    for row in rows:
        record = records[row["topic"], row["kafka_partition"], row["kafka_offset"]]
        assert row["opened"].encode() == record.value
        assert row["sealed"] == record.sealed and (row["body"] is None) == (row["salt"] is None) == (record.sealed is not None)
        assert hashlib.sha256(record.sealed or bytes(row["salt"]) + record.value).digest() == bytes(row["commitment"])
    assert {row["sealed"] is None for row in rows} == {True, False}


def test_an_altered_audit_is_noticed(make_stack):
    stack = make_stack().start("producer", "worker", "logger")
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.wait_quiet()
    check = "SELECT * FROM verify_event_chain()"
    assert stack.database.query(check) == []
    check_bodies_are_what_kafka_has(stack)
    changes = ["UPDATE event SET outcome = 'failed' WHERE name = 'job.succeeded'",
               "UPDATE event SET sealed = sealed(offboarding_id, jsonb_set(body_of(event)::jsonb, '{response,message}', '\"all is well\"')::text)"
               " WHERE name = 'job.succeeded'",
               "UPDATE event SET sealed = sealed || '\\x00' WHERE name = 'job.succeeded'",
               "UPDATE event SET body = (body::text || ' ')::json WHERE name = 'definition'",
               "DELETE FROM event WHERE kafka_offset = (SELECT max(kafka_offset) FROM event) - 1",
               "UPDATE event SET occurred_at = occurred_at - interval '1 hour' WHERE name = 'initiated'"]
    for change in changes:
        with stack.postgres.connect(stack.database.name) as connection:
            with connection.transaction(force_rollback=True):
                assert connection.execute(change).rowcount > 0, change
                assert connection.execute(check).fetchall(), f"nobody noticed: {change}"
    # Personal data can be erased without breaking the chain.
    assert stack.database.query("UPDATE event SET sealed = NULL, body = NULL, salt = NULL") == []
    assert stack.database.query(check) == []


def test_what_becomes_due_while_the_scheduler_looks_is_not_dropped(stack):
    """The scheduler's statement began before the logger's transaction ended, and takes its row all the same."""
    job = stack.database.value("SELECT id FROM job WHERE step = 'delete'")
    taken = []
    with stack.postgres.connect(stack.prefix) as logger, stack.postgres.connect(stack.prefix) as scheduler, \
            ThreadPoolExecutor(1) as pool:
        logger.execute("BEGIN")
        logger.execute("LOCK TABLE due IN SHARE ROW EXCLUSIVE MODE")
        logger.execute("SELECT change_job_state(ARRAY[ROW(%s, 'ready', NULL, 1, now(), true, NULL)::job_change])", [job])
        scheduler.execute("BEGIN")
        process = scheduler.info.backend_pid
        looking = pool.submit(lambda: taken.extend(scheduler.execute("SELECT kind FROM due_messages(10, '{}')")))
        wait_until(lambda: stack.database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", process) == 1,
            10, "the scheduler waits for the row that it is about to take")
        logger.execute("COMMIT")
        looking.result(10)
        scheduler.execute("ROLLBACK")
    assert taken == [{"kind": "job"}]


def test_a_signal_and_who_waits_for_it_cannot_miss_each_other(stack):
    """They are applied by two loggers at the same time, neither of which sees what the other has not committed."""
    job = stack.database.one("SELECT id, offboarding_id FROM job WHERE step = 'reminder' OR step = 'delete' ORDER BY step LIMIT 1")
    row = ("INSERT INTO stage (seq, wave, topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id, raw)"
           " VALUES (0, %s, 't', 0, 0, gen_random_uuid(), %s, now(), %s, %s, %s)")
    subject = '"name": "parcel", "key": "1Z7"'
    due = "SELECT count(*) FROM due WHERE job_id = %s AND due_at <= now()"
    before = stack.database.value(due, job["id"])
    with stack.postgres.connect(stack.prefix) as one, stack.postgres.connect(stack.prefix) as other, ThreadPoolExecutor(1) as pool:
        one.execute("SELECT change_job_state(ARRAY[ROW(%s, 'ready', NULL, 1, '2199-01-01', true, NULL)::job_change])", [job["id"]])
        one.execute("SELECT open_stage()")
        other.execute("SELECT open_stage()")
        one.execute("BEGIN")
        one.execute(row, [1, "job.deferred", job["offboarding_id"], job["id"],
                          '{"context": {"waits": {"signal": "parcel", "key": "1Z7"}}}'])
        one.execute("SELECT lock_subjects()")
        assert one.execute("SELECT unheard('{\"signal\": \"parcel\", \"key\": \"1Z7\", \"heard\": []}') AS heard").fetchone()["heard"] is False
        one.execute("SELECT apply_waits(1)")
        other.execute("BEGIN")
        other.execute(row, [None, "signal", None, None, '{"context": {"signal": {"id": "00000000-0000-4000-8000-000000000007", %s,'
                                                        ' "source": "carrier"}}}' % subject])
        process = other.info.backend_pid
        speaking = pool.submit(lambda: other.execute("SELECT lock_subjects()"))
        wait_until(lambda: stack.database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", process) == 1,
            10, "the signal waits for who waits for it")
        one.execute("COMMIT")
        speaking.result(10)
        other.execute("SELECT apply_signals()")
        other.execute("COMMIT")
    assert stack.database.value(due, job["id"]) == before + 1
