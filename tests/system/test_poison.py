"""Poison: a message that nobody can understand is set aside once, with its reason, and the partition moves on."""

import json
import uuid

import pytest
from events import leaver, offboarding_id
from process import wait_until
from topics import murmur2_partition

EMAIL = "jane.doe@example.com"

# What may be put on a topic, by kind of poison.
POISON = {
    "no JSON": b"{\"this is no JSON",
    "no object": b"[1, 2, 3]",
    "invalid UTF-8": b"{\"id\": \"\xff\xfe\"}",
    "NUL in a text": b"{\"id\": \"a\\u0000b\", \"name\": \"job.succeeded\", \"context\": {}}",
    "nothing at all": b"",
    "an object of another kind": b"{\"colour\": \"blue\"}",
}
TOPICS = ("intake", "jobs.scim", "urgent.scim", "events", "control")


def events_for_every_partition(priority: str) -> list[dict]:
    """People whose e-mails, and offboardings whose ids, together fall on each of three partitions."""
    events: list[dict] = []
    while {murmur2_partition(event["data"]["user"]["email"], 3) for event in events} != {0, 1, 2} \
            or {murmur2_partition(offboarding_id(event), 3) for event in events} != {0, 1, 2}:
        events.append(leaver(f"user{len(events)}@example.com", f"event-{len(events)}", priority=priority))
    return events


@pytest.mark.parametrize("topic", TOPICS)
def test_poison_is_set_aside_once_and_the_partition_moves_on(stack, topic):
    key = {"control": "cancel/nobody@example.com"}.get(topic, EMAIL)
    placed = {}
    for kind, value in POISON.items():
        for partition in range(stack.topics.partitions(topic)):
            placed[(partition, stack.topics.publish(topic, value, key, partition=partition)[1])] = kind

    # Work behind the poison is done, in every partition.
    for event in events_for_every_partition("urgent" if topic.startswith("urgent") else "normal"):
        stack.person(event["data"]["user"]["email"])
        stack.publish(event)
        stack.wait_job(offboarding_id(event), "deactivate", "succeeded")
    stack.wait_quiet()

    letters = [record for record in stack.topics.read("dead") if record.headers["dead_topic"] == stack.topics.name(topic)]
    assert len(letters) == len(stack.topics.read("dead")), "something else was set aside"
    seen = {}
    for letter in letters:
        place = (int(letter.headers["dead_partition"]), int(letter.headers["dead_offset"]))
        assert place not in seen, f"{placed[place]} was set aside twice"
        seen[place] = letter
        assert letter.headers["dead_reason"] and letter.headers["dead_process"], letter
        assert (letter.value or b"") == POISON[placed[place]] and letter.key == key
    missing = {kind for place, kind in placed.items() if place not in seen}
    # On a compacted topic an empty value is a tombstone, and that one is understood.
    allowed = {"nothing at all"} if topic == "control" else set()
    assert missing <= allowed, f"not set aside: {missing}"


def test_poison_is_not_set_aside_again_after_a_restart(stack):
    for topic in TOPICS:
        stack.topics.publish(topic, b"{\"no JSON", "cancel/x" if topic == "control" else "x")
    wait_until(lambda: len(stack.topics.read("dead")) == len(TOPICS), 30, "all are set aside")
    stack.wait_quiet()
    for name in ("producer", "worker", "logger"):
        stack.process(name).stop()
        stack.restart(name)
    stack.person(EMAIL)
    stack.wait_job(stack.offboard(EMAIL), "ticket", "succeeded")
    stack.wait_quiet()
    assert len(stack.topics.read("dead")) == len(TOPICS)


def test_undecodable_hr_event_is_on_record(stack):
    stack.topics.publish("intake", b"{\"no JSON", EMAIL)
    row = stack.wait_intake(1)[0]
    assert row["disposition"] == "dead" and row["reason"] and row["offboarding_id"] is None
    assert row["data"] is None


def test_job_that_lies_about_its_system_or_names_an_unknown_action(stack):
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "leave-groups", "succeeded")
    genuine = next(record for record in stack.topics.read("jobs.scim") if record.key == offboarding)
    before = len(stack.sandbox.journal("scim"))

    wrong_system = genuine.json
    wrong_system["job"].update(id=str(uuid.uuid4()), system="jira")
    stack.topics.publish("jobs.scim", wrong_system, offboarding)
    no_job = genuine.json
    del no_job["job"]
    stack.topics.publish("jobs.scim", no_job, offboarding)
    wait_until(lambda: len(stack.topics.read("dead")) == 2, 30, "both are set aside")

    unknown = genuine.json
    unknown["job"].update(id=str(uuid.uuid4()), action="erase_everything")
    stack.topics.publish("jobs.scim", unknown, offboarding)
    event = wait_until(lambda: stack.topics.events("job.failed", offboarding), 30, "the unknown action has failed")[0]
    assert "erase_everything" in event["response"]["message"]
    assert len(stack.topics.read("dead")) == 2
    assert len(stack.sandbox.journal("scim")) == before, "a vendor was called for it"


def test_events_that_postgresql_refuses_do_not_stop_the_batch(stack):
    """Decodable, but with data that no row can hold: set aside alone, and its neighbours are written."""
    person = leaver(EMAIL)
    stack.person(EMAIL)
    good = [{"version": 1, "id": str(uuid.uuid4()), "name": "job.succeeded", "timestamp": "2026-01-01T00:00:00.000000Z",
             "response": {"statusCode": 200, "message": "fine"},
             "context": {"offboarding_id": str(uuid.uuid4()), "job_id": str(uuid.uuid4()), "attempt": 1,
                         "outcome": "succeeded"}} for _ in range(20)]
    bad = json.loads(json.dumps(good[0]))
    bad.update(id=str(uuid.uuid4()), timestamp="the day before yesterday")
    partition = 0
    for event in [*good[:10], bad, *good[10:]]:
        stack.topics.publish("events", event, event["context"]["offboarding_id"], partition=partition)
    wait_until(lambda: stack.database.value("SELECT count(*) FROM event WHERE id = ANY(%s)", [event["id"] for event in good])
               == len(good), 30, "the good ones are written")
    letters = wait_until(lambda: stack.topics.read("dead"), 10, "the bad one is set aside")
    assert [json.loads(letter.value)["id"] for letter in letters] == [bad["id"]]
    notes = {row["note"] for row in stack.database.query("SELECT note FROM event WHERE id = ANY(%s)",
                                                         [event["id"] for event in good])}
    assert None not in notes, "an event of an unknown job says nothing of it"
    stack.publish(person)
    stack.wait_job(offboarding_id(person), "ticket", "succeeded")
