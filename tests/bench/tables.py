"""Every statement of the processes, the commands and the guide at a large company's size: plans and times. Exits with 1 when one reads a large
table from end to end. See tables, and fill.sql for what is there.

    tests/bench/tables [OFFBOARDINGS [FOLDER]]      1,000,000; the cluster stays in FOLDER, when one is given, and is used again
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import postgres
from process import Ports

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LARGE = ("job", "offboarding", "phase", "result", "intake", "signal", "event")
postgres._SETTINGS.update({"shared_buffers": "1GB", "autovacuum": "on", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "work_mem": "16MB",
                           "unix_socket_directories": ""})

STATEMENTS = [
    # offboard status, events, orders
    ("status: what needs attention", "SELECT (SELECT count(*) FROM analyst.held_offboardings), (SELECT count(*) FROM analyst.open_failures),"
                                     " (SELECT count(*) FROM analyst.stuck_jobs)"),
    ("status: open ones", "SELECT to_jsonb(o) FROM analyst.offboardings o WHERE o.status = ANY ('{waiting,initiated,held}')"
                          " ORDER BY o.received_at DESC LIMIT 50"),
    ("status: all", "SELECT to_jsonb(o) FROM analyst.offboardings o ORDER BY o.received_at DESC LIMIT 50"),
    ("status: held", "SELECT to_jsonb(o) FROM analyst.offboardings o WHERE o.status = ANY ('{held}') ORDER BY o.received_at DESC LIMIT 50"),
    ("status: failed", "SELECT to_jsonb(f) FROM analyst.open_failures f ORDER BY f.failed_at DESC LIMIT 50"),
    ("status: stuck", "SELECT to_jsonb(j) FROM analyst.stuck_jobs j ORDER BY j.due_at LIMIT 50"),
    ("one by e-mail", "SELECT offboarding_id FROM analyst.offboardings o WHERE o.offboarding_id ="
                      " ANY (ARRAY(SELECT analyst.of_person('person-777@example.com'))) ORDER BY o.received_at DESC LIMIT 1"),
    ("all of one person", "SELECT length(analyst.person_data('E777')::text)"),
    ("one by the beginning of its id", "SELECT offboarding_id FROM analyst.offboardings o WHERE o.offboarding_id BETWEEN"
                                       " '5f0d2a4c000000000000000000000000' AND '5f0d2a4cffffffffffffffffffffffff' LIMIT 2"),
    ("its jobs", "SELECT count(to_jsonb(j)) FROM analyst.jobs j WHERE j.offboarding_id = md5('o777')::uuid"),
    ("its phases", "SELECT count(to_jsonb(j)) FROM analyst.phases j WHERE j.offboarding_id = md5('o777')::uuid"),
    ("its timeline", "SELECT count(to_jsonb(t)) FROM analyst.timeline t WHERE t.offboarding_id = md5('o777')::uuid"),
    ("its time to revoke", "SELECT to_jsonb(t) FROM analyst.time_to_revoke_by_offboarding t WHERE t.offboarding_id = md5('o777')::uuid"),
    ("its open items", "SELECT count(*) FROM analyst.open_items t WHERE t.offboarding_id = md5('o777')::uuid"),
    ("what became of an order", "SELECT count(*) FROM analyst.orders o WHERE o.order_id = ANY (ARRAY[md5('e20/2')::uuid])"
                                " AND o.recorded_at > now() - interval '1 hour'"),
    ("signals of a parcel", "SELECT count(*) FROM analyst.signals s WHERE s.signal = 'parcel' AND s.key = '1Z775'"),
    # analysts, by days
    ("orders of a week", "SELECT count(*) FROM analyst.orders o WHERE o.recorded_at > now() - interval '7 days'"),
    ("intake of 30 days", "SELECT count(*) FROM analyst.intake_summary WHERE day > current_date - 30"),
    ("results of 7 days", "SELECT count(*) FROM analyst.system_results WHERE day > current_date - 7"),
    ("time to revoke by system, 7 days", "SELECT count(*), max(from_effective_p95) FROM analyst.time_to_revoke_by_system WHERE day > current_date - 7"),
    # the scheduler
    ("scheduler: figures", "SELECT count(*) FROM state_figures()"),
    ("scheduler: due", "SELECT count(*) FROM due_messages(1000, '{}')"),
    ("scheduler: due, with systems that are barred", "SELECT count(*) FROM due_messages(1000, '{okta,zoom}')"),
    ("scheduler: unanswered", "SELECT count(*) FROM unanswered(interval '24 hours')"),
    # the logger
    ("logger: 1,000 cancellations", "SELECT cancel_staged()"),
    ("logger: is somebody leaving?", "SELECT mark_leaving('{\"email\": \"person-999@example.com\"}', gen_random_uuid())"),
    # the guide
    ("the chain of one day", "SELECT count(*) FROM verify_event_chain(now() - interval '2 days', now() - interval '1 day')"),
    ("1,000 are ordered to be erased", "SELECT erase_ended_offboardings(now() - interval '200 days', 1000)"),
    ("100 are erased", "SELECT erase_offboardings(ARRAY(SELECT id FROM offboarding WHERE status = 'completed' ORDER BY ended_at LIMIT 100))"),
    ("the oldest month is detached", "SELECT count(*) FROM detach_event_partitions(now() - interval '360 days')"),
]


def migrate(database) -> None:
    subprocess.run([os.path.join(ROOT, "build/offboard"), "migrate"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "OFFBOARD_POSTGRES_ADMIN": database.conninfo()})


def fill(cluster, database, count: int) -> None:
    migrate(database)
    with open(os.path.join(ROOT, "tests/bench/fill.sql"), encoding="utf-8") as file:
        script = file.read()
    began = time.monotonic()
    subprocess.run([postgres._program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", database.conninfo(), "-c",
                    f"ALTER DATABASE {database.name} SET bench.n = '{count}'"], check=True)
    subprocess.run([postgres._program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", database.conninfo()], input=script, text=True, check=True,
                   stdout=subprocess.DEVNULL)
    print(f"filled in {time.monotonic() - began:.0f} s", flush=True)


def nodes(plan: dict):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scanned(plans: list[dict]) -> set[str]:
    """Large tables that a plan reads from end to end."""
    return {node["Relation Name"] for plan in plans for node in nodes(plan)
            if node["Node Type"] == "Seq Scan" and node["Relation Name"].split("_2")[0] in LARGE and node["Actual Loops"]
            and node["Actual Rows"] + node.get("Rows Removed by Filter", 0) > 20000}


def measure(connection, name: str, sql: str) -> set[str]:
    """Runs it for its plans, and again for its time. auto_explain sees statements inside functions, too; its plans come as notices."""
    plans, notices = [], []
    connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
    connection.execute("BEGIN")
    if "cancel_staged" in sql:
        connection.execute("SELECT open_stage()")
        connection.execute("INSERT INTO stage (seq, topic, kafka_partition, kafka_offset, id, name, occurred_at, raw)"
                           " SELECT row_number() OVER (), 't', 0, row_number() OVER (), gen_random_uuid(), 'control.cancel', now(),"
                           " json_build_object('key', 'cancel/' || id, 'value', json_build_object('reason', 'x', 'actor', json_build_object('kind', 'token')))"
                           " FROM (SELECT id FROM offboarding WHERE status IN ('held', 'initiated') ORDER BY received_at DESC LIMIT 1000) o")
    times = []
    for explained in (True, False):
        connection.execute("SAVEPOINT before")
        connection.execute(f"SET auto_explain.log_min_duration = {0 if explained else -1}")
        began = time.monotonic()
        connection.execute(sql)
        times.append(time.monotonic() - began)
        connection.execute("ROLLBACK TO before")
    connection.execute("ROLLBACK")
    for text in notices:
        if "plan:" in text:
            plans.append(json.loads(text[text.index("{"):])["Plan"])
    bad = scanned(plans)
    print(f"{name:45} {times[1] * 1000:10.1f} ms {'reads all of ' + ', '.join(sorted(bad)) if bad else ''}", flush=True)
    return bad


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="offboard-tables-")
    os.chmod(folder, 0o755)
    cluster = postgres.PostgresCluster(os.path.join(folder, "cluster"), Ports(7))
    try:
        database = cluster.create_database("tables")
        fill(cluster, database, count)
        for row in database.query("SELECT relname, reltuples::bigint AS rows, pg_size_pretty(pg_total_relation_size(oid)) AS size FROM pg_class"
                                  " WHERE relname IN ('job', 'offboarding', 'result', 'due') ORDER BY 1"):
            print(f"{row['relname']:45} {row['rows']:10} rows  {row['size']}")
        bad = set()
        with cluster.connect("tables") as connection:
            connection.execute("LOAD 'auto_explain'")
            connection.execute("SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off;"
                               " SET auto_explain.log_nested_statements = on; SET auto_explain.log_format = json; SET auto_explain.log_level = notice;"
                               " SET jit = off; SET timezone = 'UTC'")
            for name, sql in STATEMENTS:
                if measure(connection, name, sql):
                    bad.add(name)
        print(f"{len(STATEMENTS)} statements, {len(bad)} read a large table from end to end")
        return 1 if bad else 0
    finally:
        cluster.stop()
        if len(sys.argv) <= 2:
            subprocess.run(["rm", "-rf", folder], check=True)


if __name__ == "__main__":
    sys.exit(main())
