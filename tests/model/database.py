"""The real SQL: a database with the shipped schema whose clock is the test's, staged and called as the logger and the scheduler
do it. The clock is the only thing that is changed: `now()` becomes `test_now()` while the files of schema/ are read."""

import json
import os
import re
import subprocess
from datetime import datetime

import psycopg

from messages import instant, staged, systems_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOPIC = "offboard.events"
# What a sequence fills: all but the keys.
TABLES = """
SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace IN ('public'::regnamespace, pg_my_temp_schema())
  AND c.relname NOT IN ('personal_key', 'key_check', 'schema_migration')
"""
# Ours, beside the schema: the clock, and one round trip for a batch.
HELPERS = """
CREATE FUNCTION test_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN current_setting('test.now')::timestamptz;

CREATE FUNCTION test_second(at timestamptz) RETURNS text LANGUAGE sql STABLE RETURN to_char(at, 'YYYY-MM-DD HH24:MI:SS');

CREATE FUNCTION test_batch(at text, first bigint, rows jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('test.now', at, false);
    DELETE FROM stage;
    INSERT INTO stage (seq, wave, topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id, raw, sealed)
    SELECT seq, wave, 'offboard.events', 0, first + seq, gen_random_uuid(), name, occurred_at, offboarding_id, job_id, body::text::json,
           CASE WHEN name <> 'order.erase' THEN sealed(offboarding_id, body::text) END
    FROM jsonb_populate_recordset(NULL::stage, rows);
    PERFORM apply_batch('{offboard.events}', '{0}', ARRAY[first], ARRAY[first + jsonb_array_length(rows)]);
    RETURN ARRAY(SELECT note FROM stage WHERE NOT early ORDER BY seq);
END
$$;
"""

# As the logger brings them: the key of digests, and those of the offboardings that sequences number.
KEYS = """
INSERT INTO personal_key (offboarding_id, key)
SELECT x.id, gen_random_bytes(32) FROM (
    SELECT '00000000-0000-0000-0000-000000000000'::uuid UNION ALL
    SELECT format('00000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 999) n) x (id)
"""

# All that is compared, a line each: a name and how it stands. Times in seconds: jobs that undo are some milliseconds apart.
STATE = """
SELECT jsonb_object_agg(ltrim(right(owner, 4), '0') || ' ' || name, value) FROM (
    SELECT o.id::text AS owner, '' AS name,
           concat_ws(' ', o.status, o.priority, CASE WHEN o.approved THEN 'approved' END, test_second(o.effective_at)) AS value
    FROM offboarding o
    UNION ALL
    SELECT p.offboarding_id::text, 'phase ' || p.name, concat_ws(' ', p.status, test_second(d.due_at))
    FROM phase p JOIN offboarding o ON o.id = p.offboarding_id
         LEFT JOIN (SELECT DISTINCT due_at, offboarding_id, phase FROM due) d
             ON d.offboarding_id = p.offboarding_id AND d.phase = p.name AND d.due_at = p.due_at AND p.status = 'waiting'
                AND o.status IN ('waiting', 'initiated')
    UNION ALL
    SELECT j.offboarding_id::text, j.step, concat_ws(' ',
               j.state || '#' || j.attempt,
               (SELECT string_agg(test_second(d.due_at), ' ' ORDER BY d.due_at) FROM due d
                WHERE d.job_id = j.id AND d.attempt = j.attempt AND j.state = 'ready' AND (o.status = 'initiated' OR outlives(j))),
               (SELECT 'carries ' || string_agg((r.body ->> 'step') || ':' || (r.body ->> 'state'), ' ' ORDER BY r.id)
                FROM (SELECT n.*, opened(n.offboarding_id, n.sealed)::jsonb AS body FROM result n) r
                WHERE r.offboarding_id = o.id AND r.id <@ j.carries
                  AND is_told(j.spec ->> 'kind', r.body ->> 'state')))
    FROM job j JOIN offboarding o ON o.id = j.offboarding_id
    UNION ALL
    SELECT offboarding_id::text, 'open ' || system || '/' || kind, string_agg(item, ' ' ORDER BY item)
    FROM open_item WHERE closed_at IS NULL GROUP BY 1, 2
    UNION ALL
    SELECT offboarding_id::text, 'notices', string_agg(kind, ' ' ORDER BY kind) FROM roster_notice GROUP BY 1) x
"""


def migrate(connection: psycopg.Connection, conninfo: str, folder: str) -> None:
    """As `offboard migrate` does it, with files that differ in their clock."""
    connection.execute(HELPERS)
    connection.execute("SET test.now = '2026-01-05T10:00:00Z'")
    connection.execute("ALTER DATABASE model SET test.now = '2026-01-05T10:00:00Z'")
    schema = os.path.join(folder, "schema")
    os.mkdir(schema)
    for name in os.listdir(os.path.join(ROOT, "schema")):
        if name.endswith(".sql"):
            with open(os.path.join(ROOT, "schema", name), encoding="utf-8") as file, \
                 open(os.path.join(schema, name), "w", encoding="utf-8") as changed:
                changed.write(re.sub(r"\bnow\(\)", "test_now()", file.read()))
    configuration = os.path.join(folder, "offboard.yaml")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(f"postgres.admin: \"{conninfo}\"\n")
    program = os.path.join(ROOT, os.environ.get("TEST_BUILD", "build"), "offboard")
    done = subprocess.run([program, "migrate", "--directory", schema, "-c", configuration], capture_output=True, text=True,
                          timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"offboard migrate failed: {done.stdout}{done.stderr}")
    connection.execute(KEYS)


def changing_events() -> tuple[str, ...]:
    """Events that change an offboarding, from the logger's source; what ends in a dot stands for all that begin so."""
    with open(os.path.join(ROOT, "logger", "row.c"), encoding="utf-8") as file:
        return tuple(re.findall(r'"([^"]+)"', re.search(r"changing\[\] = \{(.*?)\};", file.read(), re.S)[1]))


class Database:
    """One sequence is one transaction, which is rolled back in the end; a batch is a savepoint of it. That is much faster, and the
    SQL cannot tell."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.next = 0
        self.now = ""
        self.changing = changing_events()
        self.systems: dict = {}     # whose worker runs it, by offboarding and step
        self.known: set = set()     # offboardings whose first `initiated` came
        # Thousands of small batches: most of their time would go into planning the same statements anew.
        connection.execute("SET jit = off; SET plan_cache_mode = force_generic_plan; SET timezone = 'UTC'; SELECT open_stage()")
        self.tables = connection.execute(TABLES).fetchone()[0]

    def reset(self) -> None:
        self.connection.execute(f"ROLLBACK; BEGIN; INSERT INTO kafka_offset (topic, kafka_partition) VALUES ('{TOPIC}', 0)")
        self.next, self.systems, self.known = 0, {}, set()

    def clean(self) -> None:
        """Removes what is left of sequences that were rolled back: every scan would pass over their rows."""
        self.connection.execute(f"ROLLBACK; TRUNCATE {self.tables}")

    # ---- as the logger does it ----

    def _apply(self, messages: list[dict], now: datetime) -> list[str | None]:
        waves: dict = {}
        for message in messages:
            if message.get("event") == "initiated":
                self.systems = systems_of(message) | self.systems if message["of"] not in self.known else self.systems
                self.known.add(message["of"])
        rows = [{**staged(message, now, self.systems), "seq": seq} for seq, message in enumerate(messages)]
        for row in sorted(rows, key=lambda row: row["name"] != "initiated"):    # those first: batch_number_waves()
            if any(row["name"].startswith(word) if word.endswith(".") else row["name"] == word for word in self.changing):
                row["wave"] = waves[row["offboarding_id"]] = waves.get(row["offboarding_id"], 0) + 1
        return self.connection.execute("SELECT test_batch(%s, %s, %s)", [instant(now), self.next, json.dumps(rows)]).fetchone()[0]

    def apply(self, messages: list[dict], now: datetime, lost: int = 0) -> list[str | None]:
        """One batch; the first `lost` times its transaction is rolled back. Returns the notes on its messages."""
        for _ in range(lost):
            with self.connection.transaction(force_rollback=True):
                self._apply(messages, now)
        notes = self._apply(messages, now)
        self.next += len(messages)
        return notes

    def apply_again(self, messages: list[dict], now: datetime) -> bool:
        """A logger that does not know that its batch was recorded sends it again. True: it is refused."""
        self.next -= len(messages)
        try:
            with self.connection.transaction():
                self._apply(messages, now)
        except psycopg.Error as error:
            return error.sqlstate == "OB001"
        finally:
            self.next += len(messages)
        return False

    # ---- as the scheduler does it ----

    def schedule(self, now: datetime, lost: int = 0) -> list[tuple]:
        """What it publishes, as World.schedule() says it; `lost` times it dies before its transaction ends."""
        for _ in range(lost):
            with self.connection.transaction(force_rollback=True):
                self._take(now)
        return [self._published(*row) for row in self._take(now)]

    def _take(self, now: datetime) -> list[tuple]:
        self.connection.execute("SELECT set_config('test.now', %s, false)", [instant(now)])
        return self.connection.execute(
            "SELECT kind, offboarding_id, message FROM due_messages(1000, '{}') WHERE kind <> 'stale'").fetchall()

    @staticmethod
    def _published(kind: str, owner, message: dict) -> tuple:
        number = int(owner.hex[-4:])
        if kind == "job":
            return kind, number, message["job"]["step"], message["job"]["attempt"]
        if kind in ("start", "phase"):
            due = datetime.fromisoformat(message["due_at"].replace("Z", "+00:00"))
            return (kind, number, due) if kind == "start" else (kind, number, message["phase"], due)
        return kind, number

    # ---- how things stand ----

    def state(self) -> dict[str, str]:
        state = self.connection.execute(STATE).fetchone()[0] or {}
        return {name.strip(): value for name, value in state.items()}

    def ask(self, sql: str, now: datetime) -> str | None:
        """First column of the first row as PostgreSQL writes it; None: null, or no row. What the query changes is undone."""
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("SELECT set_config('test.now', %s, false)", [instant(now)])
            row = self.connection.execute(f"SELECT q::text FROM ({sql}) AS x (q)").fetchone()
        return row[0] if row else None
