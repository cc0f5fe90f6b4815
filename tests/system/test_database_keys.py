"""Personal data in PostgreSQL: sealed under the key of their offboarding, which is in memory and in an unlogged table, and in no backup."""

import os
import secrets
import shutil
import subprocess
import uuid

import psycopg
import pytest
import sealing
from postgres import PostgresCluster, _program
from process import http, wait_until
from troubles import PostgresPair

EMAIL, NAME, EMPLOYEE, BOSS = "kim.leaverton@example.com", "Kim Leaverton", "E-70417", "bea.bossington@example.com"
PERSONAL = (EMAIL, NAME, EMPLOYEE, BOSS, "Bea Bossington")
NIL = uuid.UUID(int=0)


@pytest.fixture
def pair(servers):
    """A cluster of a test's own that can be copied while it runs, and whose WAL stays."""
    cluster = PostgresPair(os.path.join(servers.root, f"postgres-{os.urandom(4).hex()}"), servers.ports)
    yield cluster
    cluster.stop()


def leave(stack) -> str:
    """A whole offboarding; nothing of it is still to be done."""
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL, user={"name": NAME, "employee_id": EMPLOYEE, "manager": {"email": BOSS, "name": "Bea Bossington"}})
    stack.wait_status(offboarding, "completed", 60)
    stack.wait_quiet()
    return offboarding


# ---- the form, and the table ----


@pytest.fixture(scope="module")
def database(make_shared_stack):
    """With the schema, and keys that no logger has brought."""
    stack = make_shared_stack()
    keys = {str(uuid.uuid4()): secrets.token_bytes(32) for _ in range(2)} | {str(NIL): secrets.token_bytes(32)}
    for offboarding, key in keys.items():
        stack.database.query("INSERT INTO personal_key (offboarding_id, key) VALUES (%s, %s)", offboarding, key)
    return stack.database, keys


def test_the_sealed_form_is_that_of_records(database):
    database, keys = database
    one, other, _ = keys
    for text in ("", "x", "fünfzehn byte", "x" * 16, '{"leaver": {"email": "jane@x.org"}}' * 100):
        sealed = database.value("SELECT sealed(%s, %s)", one, text)
        assert sealing.unseal(keys[one], one, bytes(sealed)).decode() == text
        assert database.value("SELECT opened(%s, %s)", one, sealing.seal(keys[one], one, text.encode())) == text
        assert sealed != database.value("SELECT sealed(%s, %s)", one, text), "the same bytes twice tell that it is the same text"
    good = sealing.seal(keys[one], one, b"text")
    wrong = [sealing.seal(keys[other], one, b"text"), sealing.seal(keys[one], other, b"text"), good[:-1], good[:40], b"", b"OBS1",
             *(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:] for at in (0, 4, 20, len(good) - 1))]
    for sealed in wrong:
        with pytest.raises(psycopg.errors.DataException):
            database.query("SELECT opened(%s, %s)", one, sealed)


def test_without_its_key_nothing_is_sealed_and_what_is_shown_is_null(database):
    database, keys = database
    nobody = str(uuid.uuid4())
    sealed = sealing.seal(keys[str(NIL)], nobody, b"text")
    assert database.value("SELECT opened(%s, %s)", nobody, sealed) is None
    for statement in ("SELECT sealed(%s, 'text')", "SELECT opened(%s, '\\x00', true)"):
        with pytest.raises(psycopg.Error) as refused:
            database.query(statement, nobody)
        assert refused.value.sqlstate == "OB002" and nobody in str(refused.value)


def test_digests_are_of_the_nil_key(database):
    database, keys = database
    digests = database.value("SELECT person_digests('{jane@x.org,E1}')")
    assert [bytes(digest) for digest in digests] == [sealing.hmac.digest(keys[str(NIL)], key, "sha256") for key in (b"jane@x.org", b"E1")]


def test_statistics_hold_no_key(database):
    """ANALYZE writes samples of a column into a table that is logged."""
    database, _ = database
    database.query("INSERT INTO personal_key (offboarding_id, key) SELECT gen_random_uuid(), gen_random_bytes(32) FROM generate_series(1, 500)")
    database.query("ANALYZE personal_key")
    columns = [row["attname"] for row in database.query("SELECT attname FROM pg_stats WHERE tablename = 'personal_key'")]
    assert columns == ["offboarding_id"]


# ---- what is copied ----


def bytes_of(folder: str) -> bytes:
    content = []
    for directory, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                content.append(file.read())
    return b"\n".join(content)


def run_as_owner(cluster: PostgresCluster, *command: str) -> bytes:
    done = subprocess.run(command, user=cluster._user, extra_groups=[] if cluster._user else None, cwd=cluster.directory, capture_output=True,
                          timeout=120, env={**os.environ, "PGPASSWORD": cluster.password})
    assert done.returncode == 0, done.stderr
    return done.stdout


def dump(stack, *options: str) -> bytes:
    return run_as_owner(stack.postgres, _program("pg_dump"), "-h", "127.0.0.1", "-p", str(stack.postgres.port), "-U", "admin", *options,
                        stack.database.name)


def test_no_backup_holds_a_leaver_or_a_key(make_stack, pair, servers):
    """A base backup, all WAL that was written, and a dump without unlogged tables: neither e-mail, name, employee id nor manager, and no key.
    That the same search finds what is there is checked with what is no secret."""
    stack = make_stack(postgres=pair, settings={"clock": {"day": "20ms"}}).start()
    offboarding = leave(stack)
    row = stack.offboarding(offboarding)
    assert row["leaver"]["email"] == EMAIL and row["leaver"]["manager"]["email"] == BOSS
    stack.database.query("ANALYZE")
    stack.database.query("CHECKPOINT")
    keys = stack.topics.keys()
    assert keys.keys() == {offboarding, str(NIL)}
    derived = [sealing.derived(key, use) for key in keys.values() for use in (b"offboard seal", b"offboard sign")]

    backup = os.path.join(pair.directory, "backup")
    run_as_owner(pair, _program("pg_basebackup"), "-D", backup, "-c", "fast", "--no-sync", "-X", "fetch", "-d",
                 f"host=127.0.0.1 port={pair.port} user=admin password={pair.password}")
    copied = bytes_of(backup) + bytes_of(os.path.join(pair._data, "pg_wal"))
    dumped = dump(stack, "--no-unlogged-table-data")
    for there in (b"deactivate", b"scim-leaver", uuid.UUID(offboarding).bytes):
        assert there in copied, there
    assert offboarding.encode() in dumped and b"leave-groups" in dumped
    assert keys[offboarding].hex().encode() in dump(stack), "a dump with unlogged tables has the keys, and the search finds them"
    for text in PERSONAL:
        found = [form for form in (text, text.lower()) if form.encode() in copied or form.encode() in dumped or form.encode().hex().encode() in dumped]
        assert not found, found
    for key in [*keys.values(), *derived]:
        assert key not in copied and key.hex().encode() not in dumped and key.hex().encode() not in copied

    # The same copy, started: steps and outcomes are there, and nobody's name.
    restored = PostgresCluster.running(pair.directory, servers.ports.take(), pair.password, pair.passwords)
    restored._user, restored._data = pair._user, backup
    with open(os.path.join(backup, "postgresql.conf"), "a", encoding="ascii") as file:
        file.write(f"port = '{restored.port}'\n")
    restored.start()
    try:
        with restored.connect(stack.database.name) as connection:
            shown = connection.execute("SELECT email, name, ids, status, succeeded FROM analyst.offboardings").fetchone()
            assert (shown["email"], shown["name"], shown["ids"], shown["status"]) == (None, None, None, "completed") and shown["succeeded"] > 3
            assert connection.execute("SELECT * FROM verify_event_chain()").fetchall() == []
    finally:
        restored.stop()
        shutil.rmtree(backup)


def test_a_standby_shows_no_personal_data_and_finds_nobody(make_stack, pair):
    stack = make_stack(postgres=pair, settings={"clock": {"day": "20ms"}}).start()
    offboarding = leave(stack)
    pair.attach_standby()
    with pair._standby.connect(stack.database.name) as connection:
        assert connection.execute("SELECT email, status FROM analyst.offboardings").fetchone() == {"email": None, "status": "completed"}
        assert connection.execute("SELECT count(*) FROM analyst.timeline WHERE body IS NOT NULL AND offboarding_id = %s",
                                  [offboarding]).fetchone()["count"] == 0
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="ask the primary"):
            connection.execute("SELECT analyst.of_person(%s)", [EMAIL])
    # What it becomes after a failover is filled again.
    pair.failover()
    stack.database.close()
    wait_until(lambda: stack.database.query("SELECT email FROM analyst.offboardings") == [{"email": EMAIL}], 60, "the logger has brought the keys")


# ---- the table is emptied ----


def test_after_a_crash_the_scheduler_waits_for_the_keys_and_the_logger_brings_them(make_stack, pair):
    stack = make_stack(postgres=pair, settings={"clock": {"day": "1s"}}).start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL, user={"name": NAME})
    stack.wait_job(offboarding, "ticket", "succeeded")
    wait_until(lambda: stack.jobs(offboarding)["reminder"]["state"] == "ready", 30, "the next step has its date")
    stack.wait_quiet()
    stack.process("logger").stop()
    scheduler = stack.process("scheduler")
    pair.stop_primary()
    pair.start()
    stack.database.close()
    assert stack.database.value("SELECT count(*) FROM personal_key") == 0, "a crash empties unlogged tables"
    wait_until(lambda: "OB002" in scheduler.log(), 60, "the scheduler says that a key is missing")
    assert stack.jobs(offboarding)["reminder"]["state"] == "ready"
    assert http("GET", stack.url("scheduler") + "/readyz").status == 503
    logger = stack.restart("logger")
    assert "the keys of personal data are in PostgreSQL" in logger.log()
    stack.wait_job(offboarding, "reminder", "succeeded", 60)
    assert stack.database.query("SELECT email FROM analyst.offboardings") == [{"email": EMAIL}]


def test_keys_that_somebody_has_removed_come_back(make_stack):
    """Without a new connection: a logger that misses one brings all."""
    stack = make_stack().start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.wait_quiet()
    before = stack.database.query("SELECT * FROM personal_key ORDER BY offboarding_id")
    stack.database.query("DELETE FROM personal_key WHERE offboarding_id <> %s", NIL)
    stack.cli("cancel", offboarding, "--reason", "a mistake").ok()
    stack.wait_status(offboarding, "cancelled")
    assert stack.offboarding(offboarding)["reason"] == "a mistake"
    assert stack.database.query("SELECT * FROM personal_key ORDER BY offboarding_id") == before


# ---- erasing ----


def erase(stack, offboarding: str) -> None:
    """As the planner does it."""
    stack.topics.publish("keys", None, offboarding)
    wait_until(lambda: stack.offboarding(offboarding)["erased_at"], 30, "the rows are emptied")


def test_what_was_erased_shows_nulls_and_what_proves_stays(make_stack, pair):
    stack = make_stack(postgres=pair, settings={"clock": {"day": "20ms"}}).start()
    offboarding = leave(stack)
    with stack.postgres.connect(stack.database.name, "analyst") as analyst:
        data = analyst.execute("SELECT analyst.person_data(%s) AS data", [EMPLOYEE]).fetchone()["data"]
        assert [one["leaver"]["name"] for one in data["offboardings"]] == [NAME]
        assert {job["step"] for job in data["offboardings"][0]["jobs"]} >= {"deactivate", "ticket", "delete"}
        assert {event["name"] for event in data["offboardings"][0]["events"]} >= {"initiated", "job.succeeded"}
        assert data["offboardings"][0]["intake"][0]["person"] == EMAIL
    steps = "SELECT step, state, outcome, status_code, verified_at, attempt FROM analyst.jobs ORDER BY position"
    events = "SELECT event_id, name, step, outcome, occurred_at FROM analyst.timeline ORDER BY topic, kafka_partition, kafka_offset"
    before = stack.database.query(steps), stack.database.query(events)
    assert stack.cli("status", EMAIL).ok().out.count(EMAIL)

    erase(stack, offboarding)
    stack.wait_quiet()
    assert stack.database.query(steps) == before[0]
    assert stack.database.query(events)[:len(before[1])] == before[1]
    shown = stack.database.one("SELECT * FROM analyst.offboardings")
    assert {shown[column] for column in ("email", "name", "employee_id", "ids", "reason")} == {None} and shown["status"] == "completed"
    assert stack.database.value("SELECT count(*) FROM analyst.jobs WHERE num_nonnulls(email, reason, outputs, verified) > 0") == 0
    assert stack.database.value("SELECT count(*) FROM analyst.intake WHERE num_nonnulls(person, reason, criterion) > 0") == 0
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []
    for table in ("result", "person_key", "cancellation"):
        assert stack.database.value(f"SELECT count(*) FROM {table}") == 0, table
    assert stack.database.query("SELECT offboarding_id FROM personal_key") == [{"offboarding_id": NIL}]
    dumped = dump(stack)
    assert not [text for text in PERSONAL if text.encode() in dumped or text.lower().encode() in dumped]
    with stack.postgres.connect(stack.database.name, "analyst") as analyst:
        assert analyst.execute("SELECT * FROM analyst.of_person(%s)", [EMAIL]).fetchall() == []
        assert analyst.execute("SELECT analyst.person_data(%s) -> 'offboardings' AS found", [EMAIL]).fetchone()["found"] == []
    assert stack.cli("status", EMAIL).status == 4
    told = stack.cli("status", offboarding).ok().out
    assert "\nerased" in told and EMAIL not in told and "deactivate" in told
    refused = stack.cli("undo", offboarding, "--reason", "too late")
    assert refused.status != 0 and "erased" in refused.err, refused


def test_erased_while_the_logger_was_away_and_postgresql_crashed(make_stack, pair):
    """It was ordered, the key went while nobody listened, and Kafka may have forgotten the tombstone since."""
    stack = make_stack(postgres=pair, settings={"clock": {"day": "20ms"}}).start()
    offboarding = leave(stack)
    stack.process("logger").kill()
    stack.process("scheduler").kill()
    stack.process("producer").kill()
    stack.database.query("SELECT order_erasure(ARRAY[%s]::uuid[])", offboarding)
    stack.topics.publish("keys", None, offboarding)
    pair.stop_primary()
    pair.start()
    stack.database.close()
    stack.restart("logger")
    wait_until(lambda: stack.offboarding(offboarding)["erased_at"], 30, "the rows are emptied")
    assert stack.database.query("SELECT offboarding_id FROM personal_key") == [{"offboarding_id": NIL}]
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


def test_what_was_erased_is_erased_again_after_a_restore(make_stack, pair):
    """In the backup it was open, and an order to cancel it comes in clear."""
    stack = make_stack(postgres=pair, settings={"clock": {"day": "500ms"}}).start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.wait_quiet()

    def away() -> None:
        for process in stack.processes:
            if process.name.startswith(("logger", "scheduler")) and process.running:
                process.stop()

    away()
    backup = stack.database.copy(f"{stack.prefix}-backup")
    backup.query("TRUNCATE personal_key")
    for program in ("logger", "scheduler"):
        stack.wait_ready(stack.launch(program))
    stack.cli("cancel", offboarding, "--reason", "a mistake").ok()
    stack.wait_status(offboarding, "cancelled")
    stack.wait_quiet()
    stack.database.query("SELECT order_erasure(ARRAY[%s]::uuid[])", offboarding)
    erase(stack, offboarding)
    away()
    stack.database.replace_with(backup)
    assert stack.database.value("SELECT status FROM offboarding") == "initiated"
    for program in ("logger", "scheduler"):
        stack.wait_ready(stack.launch(program))
    wait_until(lambda: stack.offboarding(offboarding)["erased_at"], 60, "it is erased again")
    stack.wait_quiet()
    assert stack.offboarding(offboarding)["status"] == "cancelled"
    stack.person("lee@example.com")
    stack.wait_status(stack.offboard("lee@example.com"), "completed", 60)
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


def test_keys_of_another_topic_are_not_taken(make_stack):
    """With the keys of a topic that was made anew all data would seem erased."""
    stack = make_stack().start()
    stack.person(EMAIL)
    stack.wait_job(stack.offboard(EMAIL), "ticket", "succeeded")
    stack.wait_quiet()
    stack.process("logger").stop()
    stack.database.query("UPDATE key_check SET digest = sha256('another')")
    before = stack.database.query("SELECT * FROM personal_key ORDER BY offboarding_id")
    logger = stack.launch("logger")
    wait_until(lambda: "the topic of keys is not the one" in logger.log(), 30, "the logger says so")
    assert stack.database.query("SELECT * FROM personal_key ORDER BY offboarding_id") == before
    assert stack.database.value("SELECT count(*) FROM offboarding WHERE erased_at IS NOT NULL") == 0
    stack.database.query("DELETE FROM key_check")
    stack.wait_ready(logger)


def test_an_open_one_whose_key_is_gone_holds_up_nobody_else(make_stack):
    """Nobody should do that; the others go on all the same."""
    stack = make_stack(settings={"clock": {"day": "100ms"}}).start()
    stack.person(EMAIL)
    gone = stack.offboard(EMAIL)
    stack.wait_job(gone, "ticket", "succeeded")
    erase(stack, gone)
    assert stack.offboarding(gone)["status"] == "cancelled"
    stack.person("lee@example.com")
    stack.wait_status(stack.offboard("lee@example.com"), "completed", 60)
