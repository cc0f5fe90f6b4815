"""What capacity planning needs, measured; run by `make capacity` and never by `make test`. Each part prints a table, which is also
added to build/bench/capacity.md."""

import glob
import json
import os
import re
import subprocess
import time
import uuid

import pytest
from bench import BENCH, job_message, result, served
from company import Company
from events import leaver, offboarding_id
from sealed_tables import JOB
from process import wait_until
from stack import ROOT
from test_runbooks import deliver, done, returned

LEAVERS = int(os.environ.get("LEAVERS", "5000"))
COPIES = int(os.environ.get("COPIES", "1000"))
SECONDS = float(os.environ.get("SECONDS_EACH", "5"))
PAGE = os.path.join(BENCH, "capacity.md")

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]


@pytest.fixture(scope="module", autouse=True)
def page():
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(f"# Capacity, measured on {os.cpu_count()} cores\n")


def table(title: str, *rows: tuple) -> None:
    """The first row is the heading."""
    lines = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    text = "\n".join([f"\n## {title}\n", lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"
    with open(PAGE, "a", encoding="utf-8") as file:
        file.write(text)
    print(text)


def resident(process, high: bool = False) -> float:
    """Megabytes in memory, or the most there ever were."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:" if high else "VmRSS:"))
    return int(line.split()[1]) / 1024


# ---- the worker ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def stubs():
    running = []

    def start(latency: int) -> str:
        running.append(subprocess.Popen([os.path.join(BENCH, "stub"), "0", str(latency)], stdout=subprocess.PIPE, text=True))
        return f"http://127.0.0.1:{running[-1].stdout.readline().split()[1]}"

    yield start
    for process in running:
        process.terminate()
        process.wait()


def jobs_per_second(make_stack, stub: str, latency: int, in_flight: int) -> tuple[float, float, float]:
    """Jobs a second of one worker, and its memory idle and at most."""
    expected = min(4000, in_flight * 1000 / latency if latency else 4000)
    jobs = int(expected * SECONDS * 1.5) + in_flight
    stack = make_stack(settings={
        "definitions": {"connectors": [os.path.join(ROOT, "tests", "bench", "connectors")]},
        "worker": {"systems": ["bench"], "in_flight": in_flight, "urgent_slots": 0}, "systems": {"bench": {"url": stub}},
        "log": {"level": "warning"}})
    worker = stack.launch("worker")
    stack.wait_ready(worker)
    idle = resident(worker)
    before = served(stub)
    stack.topics.publish_many("jobs.bench", [job_message() for _ in range(jobs)])
    wait_until(lambda: served(stub) - before > jobs // 10, 120, "the worker is under way", interval=0.01)
    first, begin = served(stub), time.monotonic()
    wait_until(lambda: served(stub) - before >= jobs * 0.95, 300, "most jobs are done", interval=0.01)
    rate = (served(stub) - first) / (time.monotonic() - begin)
    most = resident(worker, high=True)
    stack.close()
    return rate, idle, most


def test_worker(make_stack, stubs):
    rows = [("vendor answers after", "worker.in_flight", "jobs/s", "of in_flight / latency", "MB idle", "MB at most")]
    for latency, in_flight in ((0, 50), (100, 10), (100, 50), (100, 200), (500, 50), (500, 200)):
        rate, idle, most = jobs_per_second(make_stack, stubs(latency), latency, in_flight)
        share = f"{rate / (in_flight * 1000 / latency):.2f}" if latency else "-"
        rows.append((f"{latency} ms", in_flight, f"{rate:.0f}", share, f"{idle:.0f}", f"{most:.0f}"))
    table("Worker: one process, one request a job", *rows)


# ---- planner, logger, scheduler --------------------------------------------------------------------------------------------

def test_planner_logger_scheduler(make_stack):
    stack = make_stack(settings={"log": {"level": "warning"}, "logger": {"batch_wait": "50ms"}})
    first, idle = started(stack, 1)
    events = [leaver(f"user{number}@example.com") for number in range(LEAVERS)]
    begin = time.monotonic()
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    wait_until(lambda: stack.unplanned() == 0, 600, "all are planned", interval=0.1)
    rows = [("producer", f"{LEAVERS} HR events planned", f"{LEAVERS / (time.monotonic() - begin):.0f}", f"{idle:.0f}",
             f"{resident(stack.process('producer'), True):.0f}")]
    stack.process("producer").stop(60)
    second, _ = started(stack, 2)

    # The tickets are open: what is due after 60 days has its row.
    stack.topics.publish_events([result(event, step) for event in events for step in ("deactivate", "leave-groups", "ticket")])
    total = len(stack.topics.events())
    begin = time.monotonic()
    logger = stack.launch("logger")
    stack.wait_ready(logger)
    idle = resident(logger)
    wait_until(lambda: recorded(stack) >= total, 600, "all is logged", interval=0.05)
    rows.append(("logger", f"{total} events recorded", f"{total / (time.monotonic() - begin):.0f}", f"{idle:.0f}",
                 f"{resident(logger, True):.0f}"))

    scheduler = stack.launch("scheduler")
    stack.wait_ready(scheduler)
    idle = resident(scheduler)
    stack.database.query("UPDATE due SET due_at = now() - interval '1 minute' WHERE job_id IS NOT NULL")
    due = stack.database.value("SELECT count(*) FROM due WHERE due_at < now()")
    begin = time.monotonic()
    wait_until(lambda: stack.database.value("SELECT count(*) FROM due WHERE due_at < now()") == 0, 600, "all is published",
               interval=0.05)
    rows.append(("scheduler", f"{due} due jobs published", f"{due / (time.monotonic() - begin):.0f}", f"{idle:.0f}",
                 f"{resident(scheduler, True):.0f}"))
    table("Planner, logger, scheduler: one process each, scim-leaver", ("process", "work", "a second", "MB idle", "MB at most"), *rows)
    table("Start: until a new HR event is planned", ("HR events to remember", "seconds"), (0, f"{first:.2f}"),
          (LEAVERS, f"{second:.2f}"))


def recorded(stack) -> int:
    return stack.database.value("SELECT coalesce(sum(next), 0) FROM kafka_offset WHERE topic LIKE %s", f"{stack.prefix}.%")


def started(stack, number: int) -> tuple[float, float]:
    """Seconds from a producer's start until it has planned an HR event, with all before it to remember; its memory."""
    stack.publish(leaver(f"late{number}@example.com"))
    begin = time.monotonic()
    producer = stack.launch("producer")
    wait_until(lambda: stack.unplanned() == 0, 120, "it is planned", interval=0.02)
    return time.monotonic() - begin, resident(producer)


# ---- starting --------------------------------------------------------------------------------------------------------------

def test_start(make_stack, tmp_path):
    with open(os.path.join(ROOT, "tests", "bench", "connectors", "bench.yaml"), encoding="utf-8") as file:
        text = file.read()
    rows = [("connectors of one's own", "producer, s", "worker of one system, s", "producer, MB", "worker, MB")]
    for count in (0, 100, 400):
        for number in range(count):
            (tmp_path / f"own{number}.yaml").write_text(text.replace("system: bench", f"system: own{number}"), encoding="utf-8")
        stack = make_stack(settings={"definitions": {"connectors": [str(tmp_path)]}, "worker": {"systems": ["scim"]},
                                     "log": {"level": "warning"}})
        seconds, memory = [], []
        for program in ("producer", "worker"):
            begin = time.monotonic()
            process = stack.launch(program)
            wait_until(lambda name=process.name: stack.metrics(name), 60, "it answers", interval=0.01)
            stack.wait_ready(process)
            seconds.append(f"{time.monotonic() - begin:.2f}")
            memory.append(f"{resident(process):.0f}")
        rows.append((count, *seconds, *memory))
        stack.close()
    table("Start: until ready", *rows)


# ---- bytes -----------------------------------------------------------------------------------------------------------------

def one_leaver(factory) -> tuple:
    """A whole standard-leaver through real workers: the stack, and its id."""
    company = Company(factory)
    stack, email = company.stack, "stan@example.com"
    stack.start()
    offboarding = company.leave("standard-leaver", email, "Stan Dard", "73")
    deliver(company, returned(company, offboarding, "devices."), "Delivered")
    done(company, offboarding, "devices.received", "--answer", "erase")
    stack.wait_status(offboarding, "completed", 120)
    stack.wait_quiet()
    company.mail.stop()
    return stack, offboarding


def size(record) -> int:
    """As Kafka stores it uncompressed: key, value, headers, about 20 bytes of its own."""
    headers = sum(len(name) + len(value) + 2 for name, value in record.headers.items())
    return len(record.key or "") + len(record.sealed or record.value or b"") + headers + 20


def on_disk(stack, kind: str) -> int:
    """What the broker has written for the topic, as our producers compress it."""
    pattern = os.path.join(stack.servers.root, "kafka*", "data", glob.escape(stack.topics.name(kind)) + "-*", "*.log")
    return sum(os.path.getsize(path) for path in glob.glob(pattern))


def by_topic(stack, offboarding: str) -> list[tuple]:
    """Topic, records, bytes, bytes on disk; of events without the definitions, which all leavers share."""
    rows = []
    for kind in stack.topics.names():
        everything = stack.topics.read(kind)
        records = [record for record in everything if record.key in (offboarding, "stan@example.com")]
        if records:
            bytes_ = sum(size(record) for record in records)
            share = bytes_ / sum(size(record) for record in everything)
            rows.append((kind, len(records), bytes_, on_disk(stack, kind) * share))
    return rows


def requests(texts: list[str]) -> list[tuple]:
    """Of each system: requests of a leaver, the connector's budgets, and how long the requests of 500 leavers take at `per_minute`."""
    counts: dict[str, int] = {}
    for context in (json.loads(text)["context"] for text in texts):
        if context.get("calls"):
            counts[context["system"]] = counts.get(context["system"], 0) + len(context["calls"]) + context.get("calls_left_out", 0)
    rows = []
    for system, count in sorted(counts.items(), key=lambda item: -item[1]):
        with open(os.path.join(ROOT, "worker", "connectors", f"{system}.yaml"), encoding="utf-8") as file:
            budgets = dict(re.findall(r'^  (\w*per_(?:minute|day)): \{default: "(\d+)"', file.read(), re.MULTILINE))
        minutes = 500 * count / int(budgets["per_minute"])
        rows.append((system, count, ", ".join(f"{name} {value}" for name, value in budgets.items()), f"{minutes:.0f}"))
    return rows


def copy_of(texts: list[str], offboarding: str, ids: dict[str, str], number: int) -> tuple[str, list[str]]:
    """The events of the offboarding as those of another person."""
    fresh = str(uuid.uuid5(uuid.NAMESPACE_URL, f"copy {number}"))
    places = {offboarding: fresh, "stan@example.com": f"person{number}@example.com"}
    for name, job in ids.items():
        if name.startswith("follower/"):
            places[job] = str(uuid.uuid3(uuid.UUID(fresh), name))
        else:
            places[job] = str(uuid.uuid5(uuid.UUID(fresh), name))
    copies = []
    for text in texts:
        places[json.loads(text)["id"]] = str(uuid.uuid4())
        for old, new in places.items():
            text = text.replace(old, new)
        copies.append(text)
    return fresh, copies


def relations(database) -> list[tuple]:
    rows = database.query("""
        SELECT CASE WHEN c.relname ~ '^event_' THEN 'event' ELSE c.relname END AS name, sum(pg_table_size(c.oid))::bigint AS heap,
               sum(pg_indexes_size(c.oid))::bigint AS indexes
        FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        GROUP BY 1 ORDER BY sum(pg_total_relation_size(c.oid)) DESC""")
    return [(row["name"], int(row["heap"]), int(row["indexes"])) for row in rows]


def test_bytes_of_a_leaver(make_stack):
    source, offboarding = one_leaver(make_stack)
    topics = by_topic(source, offboarding)
    texts = [json.dumps(event, separators=(",", ":")) for event in source.topics.events(offboarding=offboarding)]
    ids = {f"follower/{job['step']}" if job["follower"] else f"{job['phase']}/{job['step']}": str(job["id"])
           for job in source.database.query(f"SELECT * FROM {JOB} WHERE offboarding_id = %s", offboarding)}
    table("Vendors: requests of a leaver of standard-leaver", ("system", "requests", "the connector's budgets", "minutes for 500 leavers"),
          *requests(texts))
    definitions = [record for record in source.topics.read("events") if record.json["name"] == "definition"]
    source.close()

    stack = make_stack(settings={"log": {"level": "warning"}})
    stack.database.query("ALTER SYSTEM SET autovacuum = on")
    stack.database.query("SELECT pg_reload_conf()")
    stack.cli("topics", *sorted({json.loads(text)["context"].get("system") or "email" for text in texts})).ok()
    stack.topics.publish_many("events", [(record.key, record.json) for record in definitions])
    before = relations_after_logging(stack, len(definitions), "logger")
    for first in range(0, COPIES, 100):
        batch = []
        for number in range(first, min(first + 100, COPIES)):
            key, copies = copy_of(texts, offboarding, ids, number)
            batch += [(key, json.loads(copy)) for copy in copies]
        stack.topics.publish_events(batch)
    total = len(definitions) + COPIES * len(texts)
    begin = time.monotonic()
    after = relations_after_logging(stack, total, "logger-2")
    seconds = time.monotonic() - begin
    assert stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'completed'") > COPIES * 0.95
    rows = [(name, f"{(heap - before.get(name, (0, 0))[0]) / COPIES / 1024:.1f}",
             f"{(indexes - before.get(name, (0, 0))[1]) / COPIES / 1024:.1f}",
             f"{(heap + indexes - sum(before.get(name, (0, 0)))) / COPIES * 100_000 / 1e9:.1f}") for name, (heap, indexes) in after.items()
            if heap + indexes - sum(before.get(name, (0, 0))) > COPIES * 50]
    grown = sum(sum(after[name]) - sum(before.get(name, (0, 0))) for name in after)
    table(f"PostgreSQL: a leaver of standard-leaver, {len(texts)} events ({COPIES} recorded at {(total - len(definitions)) / seconds:.0f}"
          " events/s)", ("table", "KB, rows", "KB, indexes", "GB for 100,000 leavers"), *rows,
          ("all", f"{grown / COPIES / 1024:.1f}", "", f"{grown / COPIES * 100_000 / 1e9:.1f}"))
    topics.append(("all", *(sum(row[column] for row in topics) for column in (1, 2, 3))))
    table("Kafka: a leaver of standard-leaver, one replica", ("topic", "records", "KB", "KB on disk (lz4)", "GB for 100,000 leavers"),
          *[(kind, count, f"{bytes_ / 1024:.1f}", f"{disk / 1024:.1f}", f"{disk * 100_000 / 1e9:.1f}")
            for kind, count, bytes_, disk in topics])


def relations_after_logging(stack, total: int, name: str) -> dict[str, tuple[int, int]]:
    logger = stack.launch("logger")
    assert logger.name == name
    wait_until(lambda: recorded(stack) >= total, 800, "all is logged", interval=0.1)
    logger.stop(60)
    return {table_name: (heap, indexes) for table_name, heap, indexes in relations(stack.database)}
