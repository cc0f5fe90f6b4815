"""Benchmarks, run by `make bench` and never by `make test`: ratios, measured in one run on one machine."""

import os
import subprocess
import time
import urllib.request
import uuid

import pytest

from events import job_id, leaver, offboarding_id
from process import wait_until
from stack import ROOT

JOBS = int(os.environ.get("JOBS", "20000"))
LEAVERS = int(os.environ.get("LEAVERS", "4000"))
IN_FLIGHT = 50
BENCH = os.path.join(ROOT, "build", "bench")


@pytest.fixture
def stub():
    process = subprocess.Popen([os.path.join(BENCH, "stub"), "0"], stdout=subprocess.PIPE, text=True)
    port = process.stdout.readline().split()[1]
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def served(stub: str) -> int:
    with urllib.request.urlopen(f"{stub}/count") as reply:
        return int(reply.read().split(b":")[1].rstrip(b"}"))


def job_message() -> tuple[str, dict]:
    key = str(uuid.uuid4())
    now = "2026-01-01T00:00:00.000000Z"
    job = {"id": str(uuid.uuid4()), "phase": "p", "step": "s", "system": "bench", "action": "patch", "if": None, "with": {},
           "when": "on_success", "effect": "notify", "attempt": 1, "due_at": now, "published_at": now, "state": None,
           "steps": {}, "needs": []}
    return key, {"version": 1, "id": key, "user": {"email": "x@example.com"}, "actor": {"kind": "source", "id": "bench"},
                 "status": "initiated", "runbook": "bench", "source": "bench", "received_at": now, "started_at": now,
                 "effective_at": now, "zone": "UTC", "mode": "live", "priority": "normal", "ids": {}, "job": job}


@pytest.mark.timeout(600)
def test_worker_against_raw_libcurl(make_stack, stub):
    stack = make_stack(settings={
        "definitions": {"connectors": [os.path.join(ROOT, "tests", "bench", "connectors")]},
        "worker": {"systems": ["bench"], "in_flight": IN_FLIGHT, "urgent_slots": 0}, "systems": {"bench": {"url": stub}},
        "log": {"level": "warning"}})
    stack.topics.publish_many("jobs.bench", [job_message() for _ in range(JOBS)])
    stack.launch("worker")
    wait_until(lambda: served(stub) > JOBS // 20, 60, "the worker is under way", interval=0.005)
    first, begin = served(stub), time.monotonic()
    wait_until(lambda: served(stub) >= JOBS, 500, "all jobs are done", interval=0.005)
    worker = (JOBS - first) / (time.monotonic() - begin)
    raw = subprocess.run([os.path.join(BENCH, "raw"), f"{stub}/things/1", str(JOBS), str(IN_FLIGHT)], check=True,
                         capture_output=True, text=True)
    libcurl = float(raw.stdout.split()[1])
    print(f"\nworker: {worker:.0f} jobs/s, raw libcurl: {libcurl:.0f} requests/s with {IN_FLIGHT} in flight; "
          f"ratio {worker / libcurl:.2f}")


@pytest.mark.timeout(600)
def test_logger_against_copy(make_stack):
    stack = make_stack(settings={"log": {"level": "warning"}, "logger": {"batch_wait": "50ms"}})
    events = [leaver(f"user{number}@example.com") for number in range(LEAVERS)]
    stack.start("producer")
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    wait_until(lambda: len(stack.topics.events("intake")) >= LEAVERS, 300, "all are planned", interval=0.5)
    stack.topics.publish_events([result(event, step) for event in events for step in ("deactivate", "leave-groups")])
    total = len(stack.topics.events())
    begin = time.monotonic()
    stack.launch("logger")
    wait_until(lambda: stack.database.value("SELECT sum(next) FROM kafka_offset WHERE topic LIKE %s",
                                            f"{stack.prefix}.%") == total, 500, "all is logged", interval=0.05)
    logger = total / (time.monotonic() - begin)
    copied = copy_rows(stack)
    print(f"\nlogger: {logger:.0f} events/s ({total} events, states and due rows included), COPY of their rows: "
          f"{copied:.0f} rows/s; ratio {logger / copied:.2f}")


def result(event: dict, step: str) -> tuple[str, dict]:
    key = offboarding_id(event)
    now = "2026-01-01T00:00:00.000000Z"
    context = {"offboarding_id": key, "job_id": job_id(key, "initial", step), "phase": "initial", "step": step,
               "system": "scim", "action": step, "effect": "revoke", "attempt": 1, "outcome": "succeeded", "outputs": {},
               "verified": {"expected": "x", "seen": {"status": 200}, "at": now, "ok": True}, "calls": [], "duration_ms": 5,
               "mode": "live"}
    return key, {"version": 1, "id": str(uuid.uuid4()), "name": "job.succeeded", "timestamp": now,
                 "response": {"statusCode": 200, "message": "done"}, "context": context}


def copy_rows(stack) -> float:
    """Rows a second that COPY brings into a table like `event`, from a file, nothing else being done."""
    columns = ("topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id, phase, step, system, "
               "action, attempt, outcome, status_code, note, body, salt, sealed, person_digest, commitment, hash")
    connection = stack.database.cluster.connect(stack.database.name)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (LIKE event INCLUDING DEFAULTS)")
        with cursor.copy(f"COPY (SELECT {columns} FROM event) TO STDOUT") as out:
            data = b"".join(bytes(block) for block in out)
        begin = time.monotonic()
        with cursor.copy(f"COPY copied ({columns}) FROM STDIN") as into:
            into.write(data)
        connection.commit()
        seconds = time.monotonic() - begin
        cursor.execute("SELECT count(*) AS rows FROM copied")
        rows = cursor.fetchone()
    connection.close()
    return (rows["rows"] if isinstance(rows, dict) else rows[0]) / seconds
