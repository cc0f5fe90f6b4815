"""The main job: one HR event takes a leaver out, and PostgreSQL tells the story."""

import json
import os
import re
import subprocess
import zlib

import pytest
from events import leaver, offboarding_id
from sealed_tables import INTAKE
from process import wait_until
from scim_server import ScimServer
from topics import murmur2_partition

PARTITIONS = 12     # as `offboard topics` makes them
FIRST_WAVE = ("deactivate", "leave-groups", "ticket")


@pytest.fixture
def scim_server(tmp_path, servers):
    server = ScimServer(str(tmp_path), servers.ports.take())
    yield server
    server.stop()


def psql(stack, sql: str) -> list[str]:
    """Rows as an analyst sees them with psql; the password goes through the environment."""
    words = dict(word.split("=", 1) for word in stack.database.conninfo("analyst").split())
    env = {**os.environ, "PGPASSWORD": words["password"]}
    done = subprocess.run(["psql", "-XAtq", "-h", words["host"], "-p", words["port"], "-U", words["user"], "-d",
                           words["dbname"], "-c", sql], capture_output=True, text=True, env=env, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def foreign_partition_email() -> str:
    """An e-mail that CRC32 (kcat, librdkafka) puts on another partition than murmur2 (Java, ours)."""
    candidates = (f"kim{number}@example.com" for number in range(100))
    return next(email for email in candidates if zlib.crc32(email.encode()) % PARTITIONS != murmur2_partition(email, PARTITIONS))


def test_event_by_kcat_takes_leaver_out_of_a_scim_server_nobody_here_wrote(make_stack, scim_server):
    stack = make_stack(systems="jira", settings={"systems": {"scim": {"url": scim_server.url, "token": scim_server.token}}})
    stack.start()
    key = scim_server.add_user("jane.doe@example.com", "4711")
    other = scim_server.add_user("john.roe@example.com", "4712")
    group = scim_server.add_group("Staff", key, other)
    event = leaver("jane.doe@example.com", "event-1", employee_id="4711")

    stack.topics.kcat("intake", json.dumps(event), "jane.doe@example.com", "content-type=application/cloudevents+json")

    offboarding = offboarding_id(event)
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    assert scim_server.user(key)["active"] is False
    assert scim_server.members(group) == [other]
    assert scim_server.user(other)["active"] is True
    assert len(stack.tickets()) == 1
    views = psql(stack, "SELECT table_name FROM information_schema.views WHERE table_schema = 'analyst' ORDER BY 1")
    assert len(views) >= 6, views
    story = psql(stack, "SELECT to_jsonb(v) FROM analyst.timeline v")
    assert any("job.succeeded" in line for line in story), story
    stored = stack.database.one(f"SELECT * FROM {INTAKE}")
    assert (stored["disposition"], str(stored["offboarding_id"])) == ("started", offboarding)
    assert stack.phases(offboarding) == {"initial": "initiated", "post-90": "waiting"}
    names = [row["name"] for row in stack.database.query("SELECT name FROM event WHERE offboarding_id = %s", offboarding)]
    assert names.count("initiated") == 1 and names.count("job.succeeded") == len(FIRST_WAVE) and "intake" in names
    assert {row["kind"] for row in stack.database.query("SELECT kind FROM definition")} == {"source", "runbook", "connector"}


@pytest.mark.parametrize("first", ["kcat", "murmur2"])
def test_event_twice_from_clients_with_different_partitioners_is_one_offboarding(stack, first):
    email = foreign_partition_email()
    stack.person(email, "4711")
    event = leaver(email, "event-1", employee_id="4711")

    def send(client: str) -> None:
        if client == "kcat":
            stack.topics.kcat("intake", json.dumps(event), email, "content-type=application/cloudevents+json")
        else:
            stack.publish(event)

    for client in ("kcat", "murmur2") if first == "kcat" else ("murmur2", "kcat"):
        send(client)
    stack.publish(event, partitioner="consistent")

    offboarding = offboarding_id(event)
    intake = stack.wait_intake(3)
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    stack.wait_quiet()
    assert sorted(row["disposition"] for row in intake) == ["duplicate", "duplicate", "started"]
    assert {str(row["offboarding_id"]) for row in intake} == {offboarding}
    partitions = {record.partition for record in stack.topics.read("intake")}
    assert len(partitions) == 2, "both clients put it on the same partition: the test shows nothing"
    assert stack.database.value("SELECT count(*) FROM offboarding") == 1
    assert len(stack.topics.events("initiated")) == 1
    changes = [(entry["method"], entry["path"]) for entry in stack.sandbox.journal("scim", changing_only=True)]
    user = stack.account(email)
    assert changes.count(("PATCH", f"/Users/{user['id']}")) == 1
    assert user["active"] is False and user["groups"] == []
    assert len(stack.tickets()) == 1
    dead = stack.topics.read("dead")
    assert dead == []


def test_in_ninety_short_days_reminder_and_clean_up_run(make_stack):
    stack = make_stack(settings={"clock": {"day": "40ms"}}).start()
    stack.person("jane.doe@example.com", "4711")
    event = leaver("jane.doe@example.com", employee_id="4711")
    stack.publish(event)
    offboarding = offboarding_id(event)

    stack.wait_job(offboarding, "ticket", "succeeded")
    assert stack.phases(offboarding) == {"initial": "initiated", "post-90": "waiting"}
    assert stack.jobs(offboarding)["delete"]["state"] == "waiting"
    assert stack.account("jane.doe@example.com")["active"] is False

    row = stack.wait_status(offboarding, "completed", 60)
    jobs = stack.jobs(offboarding)
    assert {step: job["state"] for step, job in jobs.items()} == {
        "deactivate": "succeeded", "leave-groups": "succeeded", "ticket": "succeeded", "reminder": "succeeded",
        "delete": "succeeded", "report": "succeeded"}
    assert stack.phases(offboarding) == {"initial": "completed", "post-90": "completed"}
    assert stack.account("jane.doe@example.com") is None
    comments = stack.tickets()[0]["comments"]
    assert len(comments) == 2 and "60 days" in comments[0]["text"] and "90 days" in comments[1]["text"]
    began = max(row["started_at"], row["effective_at"])
    assert (jobs["reminder"]["due_at"] - began).total_seconds() == pytest.approx(60 * 0.04, abs=0.001)
    assert (jobs["delete"]["answered_at"] - began).total_seconds() >= 90 * 0.04
    assert all(job["verified"]["ok"] for step, job in jobs.items()), "something ended without a read-back"
    assert stack.database.value("SELECT count(*) FROM due") == 0
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


def test_batch_of_people_all_leave(make_stack):
    stack = make_stack().start()
    people = [(f"user{number}@example.com", f"E-{number}") for number in range(40)]
    stack.sandbox.seed("scim", {"users": [{"userName": email, "externalId": employee} for email, employee in people],
                                "groups": [{"displayName": "All", "members": [email for email, _ in people]}]})
    events = [leaver(email, employee_id=employee, priority="urgent" if employee.endswith("0") else "normal")
              for email, employee in people]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])

    for event in events:
        stack.wait_job(offboarding_id(event), "leave-groups", "succeeded")
        stack.wait_job(offboarding_id(event), "ticket", "succeeded")
    state = stack.sandbox.state("scim")
    assert not any(user["active"] for user in state["users"])
    assert [group["members"] for group in state["groups"]] == [[]]
    assert len(stack.tickets()) == len(people)
    urgent = {record.key for record in stack.topics.read("urgent.scim")}
    assert urgent == {offboarding_id(event) for event in events if event["data"]["priority"] == "urgent"}


def test_edge_answers_with_the_id_and_trace_goes_through(stack):
    stack.person("jane.doe@example.com")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    event = leaver("jane.doe@example.com")
    reply = stack.post("/v1/offboardings", event, headers={
        "Content-Type": "application/cloudevents+json", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert reply.status == 202 and reply.json["id"] == offboarding_id(event)
    wait_until(lambda: (stack.account("jane.doe@example.com") or {}).get("active") is False, 30, "she is out")
    stack.wait_job(reply.json["id"], "leave-groups", "succeeded")
    stack.wait_job(reply.json["id"], "ticket", "succeeded")
    for kind in ("jobs.scim", "jobs.jira", "events", "results.scim", "results.jira"):
        traces = {record.headers.get("traceparent", "") for record in stack.topics.read(kind)
                  if record.key == reply.json["id"]}
        assert traces and all(re.match(f"00-{trace}-[0-9a-f]{{16}}-01", text) for text in traces), (kind, traces)
    calls = [entry for entry in stack.sandbox.journal("scim") if trace in entry["headers"].get("traceparent", "")]
    assert calls, "no vendor was told the trace"
