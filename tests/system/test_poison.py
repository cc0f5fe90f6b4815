"""Poison: a message that nobody can understand is set aside once, with its reason, and the partition moves on. Once what was wrong
is cured it is put back, on record."""

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
TOPICS = ("intake", "received", "jobs.scim", "urgent.scim", "events", "orders", "results.scim", "control")


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
        stack.publish(event, "received" if topic == "received" else "intake")
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
                         "system": "scim", "outcome": "succeeded"}} for _ in range(20)]
    bad = json.loads(json.dumps(good[0]))
    bad.update(id=str(uuid.uuid4()), timestamp="the day before yesterday")
    partition = 0
    for event in [*good[:10], bad, *good[10:]]:
        stack.topics.publish("results.scim", event, event["context"]["offboarding_id"], partition=partition)
    wait_until(lambda: stack.database.value("SELECT count(*) FROM event WHERE id = ANY(%s)", [event["id"] for event in good])
               == len(good), 30, "the good ones are written")
    letters = wait_until(lambda: stack.topics.read("dead"), 10, "the bad one is set aside")
    assert [json.loads(letter.value)["id"] for letter in letters] == [bad["id"]]
    notes = {row["note"] for row in stack.database.query("SELECT note FROM event WHERE id = ANY(%s)",
                                                         [event["id"] for event in good])}
    assert None not in notes, "an event of an unknown job says nothing of it"
    stack.publish(person)
    stack.wait_job(offboarding_id(person), "ticket", "succeeded")


# ---- replayed ------------------------------------------------------------------------------------------------------------

RUNBOOK = """\
runbook: contractor-leaver
phases:
  - name: initial
    steps:
      - {id: gone, system: scim, action: deactivate_user}
"""


@pytest.fixture
def contractors(make_stack, tmp_path):
    """A stack that HR tells of contractors before anybody has written their runbook; `cure` writes it."""
    stack = make_stack(settings={"definitions": {"runbooks": [str(tmp_path)]}}).start()

    def cure() -> None:
        (tmp_path / "contractor-leaver.yaml").write_text(RUNBOOK, encoding="utf-8")
        stack.process("producer").stop()
        stack.wait_ready(stack.launch("producer"))

    stack.cure = cure
    return stack


def letters(stack, *filters: str) -> list[dict]:
    return stack.cli("dead", "--json", *filters).ok().json


def test_letters_are_replayed_once_cured(contractors):
    stack = contractors
    jane, john, kim = events = [leaver(f"{name}@example.com", f"event-{name}", runbook="contractor-leaver")
                                for name in ("jane", "john", "kim")]
    for event in events:
        stack.person(event["data"]["user"]["email"])
        stack.publish(event)
    stack.wait_intake(3)
    wait_until(lambda: len(letters(stack)) == 3, 10, "all three are set aside")     # the record of it may be quicker
    listed = {letter["key"]: letter for letter in letters(stack)}
    assert set(listed) == {"jane@example.com", "john@example.com", "kim@example.com"}
    letter = listed["jane@example.com"]
    assert letter["from"].startswith("intake/") and letter["process"] == "planner" and letter["whole"]
    assert "contractor-leaver" in letter["reason"] and letter["value"] == "CloudEvent leaver.created, id event-jane"
    assert letter["replayed"] is None

    # Before the cure it ends as a new letter, and the old one is not replayed twice by mistake.
    stack.cli("replay", letter["letter"], "--reason", "too soon").ok()
    again = wait_until(lambda: len(letters(stack)) == 4 and letters(stack), 20, "it has died again")
    twice = stack.cli("replay", letter["letter"], "--reason", "too soon")
    assert twice.status == 1 and "was replayed at" in twice.err and "too soon" in twice.err
    assert [one["replays"][0]["reason"] for one in again if one["replays"]] == ["too soon"]

    # What was dead when it was read started nothing, though its runbook is there when it is read back: a new event starts.
    stack.cure()
    fresh = leaver("kim@example.com", "event-kim-2", runbook="contractor-leaver")
    stack.publish(fresh)
    stack.wait_status(offboarding_id(fresh), "completed")

    stack.cli("replay", letter["letter"], "--again", "--reason", "INC-1: the runbook is there").ok()
    stack.wait_status(offboarding_id(jane), "completed")
    done = stack.cli("replay", "--all", "--topic", "intake", "--since", "1h", "--because", "contractor-leaver", "--reason", "INC-1")
    assert done.ok().out == "replayed 3 dead letters\n"     # John's, Kim's, and Jane's second
    stack.wait_status(offboarding_id(john), "completed")
    stack.wait_quiet()
    became = [(row["source_event_id"], row["disposition"]) for row in stack.wait_intake(9)]
    assert sorted(became) == sorted([("event-jane", "dead"), ("event-john", "dead"), ("event-kim", "dead"), ("event-jane", "dead"),
                                     ("event-kim-2", "started"), ("event-jane", "started"), ("event-john", "started"),
                                     ("event-jane", "duplicate"), ("event-kim", "started")])  # what Kim's second event began is over
    assert not stack.account("jane@example.com")["active"] and not stack.account("john@example.com")["active"]
    assert stack.cli("replay", "--all", "--reason", "INC-1").ok().out == "replayed 0 dead letters\n"
    check_back_as_it_came(stack, jane, letter["letter"])
    check_on_record(stack)


@pytest.mark.parametrize("by", ["HR", "an operator"])
def test_who_was_cancelled_in_between_does_not_start(contractors, by):
    """The letter counts from when it was set aside, not from its replay."""
    stack = contractors
    event = leaver("jane@example.com", runbook="contractor-leaver")
    stack.person("jane@example.com")
    stack.publish(event)
    stack.wait_intake(1)
    letter = wait_until(lambda: letters(stack), 10, "it is set aside")[0]
    if by == "HR":
        stack.publish(leaver("jane@example.com", type="leaver.cancelled"))
        stack.wait_intake(2)
    else:
        assert "no open offboarding" in stack.cli("cancel", "jane@example.com", "--reason", "she stays").err
    stack.cure()
    stack.cli("replay", letter["letter"], "--reason", "the runbook is there").ok()
    rows = wait_until(lambda: [row for row in stack.wait_intake(1) if row["source_event_id"] == event["id"] and row["disposition"] != "dead"],
                      30, "it is decided")
    assert [row["disposition"] for row in rows] == ["cancelled"], rows
    stack.wait_quiet()
    assert stack.account("jane@example.com")["active"]


def check_back_as_it_came(stack, event: dict, letter: str) -> None:
    records = [record for record in stack.topics.read("intake") if record.value and record.json["id"] == event["id"]]
    original, replayed = records[0], records[1:]
    assert len(replayed) == 3
    for record in replayed:
        assert record.value == original.value and record.key == original.key and record.partition == original.partition
        assert {name: value for name, value in record.headers.items() if name not in ("offboard_replayed_from", "offboard_received_at")} == original.headers
    assert replayed[0].headers["offboard_replayed_from"] == f"{stack.topics.name('dead')}/{letter}"


def check_on_record(stack) -> None:
    rows = stack.database.query("SELECT body FROM event WHERE name = 'dead.replayed' ORDER BY occurred_at")
    assert len(rows) == 5
    for row in rows:
        context = row["body"]["context"]
        assert context["reason"] in ("too soon", "INC-1", "INC-1: the runbook is there")
        assert context["actor"]["id"] == "operator" and context["actor"]["name"]
        assert context["record"]["topic"] == stack.topics.name("intake") and "contractor-leaver" in context["dead_reason"]
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []
    orders = stack.database.query("SELECT * FROM analyst.orders WHERE \"order\" = 'replay' ORDER BY ordered_at")
    assert len(orders) == 5 and all(row["subject"].startswith(stack.topics.name("intake") + "/") and row["ordered_by"] for row in orders)


def test_replays_that_are_refused(stack):
    offboarding = stack.offboard(EMAIL)
    stack.wait_status(offboarding, "initiated")
    stack.topics.publish("jobs.scim", b"{\"no JSON", offboarding)
    stack.topics.publish("events", b"{\"huge\": \"" + b"x" * 1_010_000 + b"\"}", "someone")
    letter, huge = wait_until(lambda: len(letters(stack)) == 2 and letters(stack, "--topic", "jobs.scim")
                              + letters(stack, "--topic", "events"), 30, "both are set aside")
    assert letter["value"] == "no JSON" and letter["size"] == 9
    assert huge["size"] > 1_010_000 and not huge["whole"] and huge["value"] == "left out: too large"

    for status, said, *arguments in [
            (2, "--reason", "replay", letter["letter"]),
            (2, "--all", "replay", "--reason", "x"),
            (2, "--all", "replay", letter["letter"], "--all", "--reason", "x"),
            (2, "--all", "replay", letter["letter"], "--since", "1h", "--reason", "x"),
            (2, "PARTITION/OFFSET", "replay", "17", "--reason", "x"),
            (2, "--since", "replay", "--all", "--since", "soon", "--reason", "x"),
            (2, "usage", "dead", "0/0"),
            (1, "0/4711 is not there", "replay", "0/4711", "--reason", "x"),
            (1, "too large", "replay", letter["letter"], huge["letter"], "--reason", "x")]:
        done = stack.cli(*arguments)
        assert done.status == status and said in done.err, (arguments, done)
    assert not any(one["replays"] for one in letters(stack)), "one of them was replayed all the same"
    assert letters(stack, "--since", "2100-01-01T00:00:00Z") == []

    place = dict(zip(("partition", "offset"), map(int, letter["letter"].split("/"))))
    good = {"letters": [place], "reason": "x"}
    for token, body, status, field in [
            ("hr", good, 403, "Authorization"), (None, good, 401, "Authorization"), ("operator", b"no JSON", 400, None),
            ("operator", {"letters": [], "reason": "x"}, 422, "letters"),
            ("operator", {"letters": [{"partition": -1, "offset": 0}], "reason": "x"}, 422, "letters"),
            ("operator", {"letters": [place]}, 422, "reason"), ("operator", {**good, "again": "yes"}, 422, "again"),
            ("operator", {**good, "letters": [{"partition": 0, "offset": 4711}]}, 404, "letters")]:
        reply = stack.post("/v1/replays", body, token=token)
        assert reply.status == status and (reply.json.get("field") == field or field is None), (body, reply)

    # By all that match: the huge one is left out, and said so; the offboarding's own audit tells of the other.
    done = stack.cli("replay", "--all", "--reason", "INC-2").ok()
    assert done.out == "replayed 1 dead letter\n" and huge["letter"] in done.err
    audit = wait_until(lambda: [row for row in stack.cli("events", offboarding, "--json").ok().json
                                if row["name"] == "dead.replayed"], 20, "the offboarding's audit tells of it")
    assert "INC-2" in audit[0]["message"]
    wait_until(lambda: len(letters(stack)) == 3, 20, "what can't be understood is set aside anew")
