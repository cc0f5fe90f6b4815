"""A person's data are in Kafka under the key of their offboarding alone; erasing the key erases them there, whoever dies meanwhile."""

import base64
import json

import pytest
import sealing
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from events import job_id, leaver, offboarding_id
from process import http, wait_until
from topics import Topics

EMAIL, NAME = "jane.doe@example.com", "Jane Quicksilver-Doe"
BOSS, BOSS_NAME = "max.power@example.com", "Maximilian Powerhouse"
OTHER = "john.roe@example.com"
NEEDLES = (EMAIL, NAME, BOSS, BOSS_NAME)
# Where the person may be read in clear, as docs/operations.md says (Data protection): HR's own words, the planner's memory of who is leaving, and
# cancellations by person.
IN_CLEAR = {"intake": set(NEEDLES), "received": set(NEEDLES), "roster": {EMAIL}, "control": {EMAIL}}
SEALED = ("jobs.", "urgent.", "results.", "orders", "events")


def event(email: str, **data) -> dict:
    return leaver(email, user={"name": NAME, "manager": {"email": BOSS, "name": BOSS_NAME}}, **data)


def raw(stack) -> dict[str, list]:
    """Every record of every topic, as Kafka has it."""
    topics = Topics(stack.brokers, stack.prefix)
    return {kind: topics.read_raw(kind) for kind in topics.names()}


def in_clear(record) -> str:
    """All of a record that can be read without a key, in lower case."""
    said = b"\n".join([(record.key or "").encode(), record.value or b"", json.dumps(record.headers).encode()])
    return said.decode("utf-8", "replace").lower()


def found(records: dict[str, list]) -> dict[str, set[str]]:
    """Which of the needles stand in clear on which topic."""
    there = {kind: {needle for needle in NEEDLES for record in of_kind if needle.lower() in in_clear(record)}
             for kind, of_kind in records.items()}
    return {kind: needles for kind, needles in there.items() if needles}


def last_keys(stack) -> dict[str, bytes]:
    """What is left of the topic of keys when it is compacted."""
    last = {record.key: record.value for record in raw(stack)["keys"]}
    return {id: sealing.key_of(value) for id, value in last.items() if value is not None}


def opens(key: bytes, record) -> bool:
    try:
        sealing.unseal(key, record.key, record.value)
    except sealing.Wrong:
        return False
    return True


def erased(stack, offboarding: str) -> bool:
    return stack.database.value("SELECT erased_at FROM analyst.offboardings WHERE offboarding_id = %s", offboarding) is not None


@pytest.fixture
def stack(make_stack):
    return make_stack(settings={"clock": {"day": "10ms"}}).start()


def done(stack, email: str = EMAIL) -> str:
    """A whole offboarding, with an order in it; its id."""
    stack.person(email)
    said = event(email, runbook="scim-leaver")
    stack.publish(said)
    offboarding = offboarding_id(said)
    stack.wait_status(offboarding, "completed", 90)
    stack.wait_quiet()
    return offboarding


@pytest.mark.timeout(300)
def test_nobody_is_named_in_clear(stack):
    stack.cli("pause", "jira", "--reason", "for the order").ok()
    stack.person(EMAIL)
    said = event(EMAIL, runbook="scim-leaver")
    stack.publish(said)
    offboarding = offboarding_id(said)
    stack.wait_job(offboarding, "deactivate", "succeeded", 60)
    refused = stack.cli("skip", offboarding, "--step", "ticket", "--reason", f"{EMAIL} has no tickets")  # its worker has it
    assert refused.status == 1, refused
    stack.cli("resume", "jira").ok()
    stack.wait_status(offboarding, "completed", 90)
    # The same event once more, and somebody who names her in an order.
    stack.publish(said)
    stack.cli("cancel", EMAIL, "--reason", "nothing is open any more")
    stack.wait_quiet()

    records = raw(stack)
    clear = found(records)
    assert clear["intake"] == set(NEEDLES), "the search finds what is there"
    assert all(needles <= IN_CLEAR.get(kind, set()) for kind, needles in clear.items()), clear
    about = [(kind, record) for kind, of_kind in records.items() for record in of_kind
             if kind.startswith(SEALED) and record.key == offboarding]
    assert {kind.partition(".")[0] for kind, _ in about} >= {"jobs", "results", "orders", "events"}
    assert all(record.sealed and record.headers["content-type"] == sealing.CONTENT_TYPE.decode() for _, record in about)
    # With the key all of it can be read; it is what it was.
    key = last_keys(stack)[offboarding]
    texts = [sealing.unseal(key, record.key, record.value).decode() for _, record in about]
    assert all(any(needle in text for text in texts) for needle in NEEDLES)
    assert any(f"{EMAIL} has no tickets" in text for text in texts)
    # Nobody writes a key into a log.
    for process in stack.processes:
        for secret in last_keys(stack).values():
            assert base64.b64encode(secret).decode() not in process.log() and secret.hex() not in process.log(), process.name


@pytest.mark.timeout(400)
def test_what_is_erased_opens_to_nobody(stack):
    """Its worker and its planner die while the offboarding runs, the planner again while it is erased, and the logger is away."""
    stack.person(EMAIL)
    said = event(EMAIL, runbook="scim-leaver")
    stack.sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "hang", "times": 1})
    stack.publish(said)
    offboarding = offboarding_id(said)
    wait_until(lambda: any(rule["hits"] for rule in stack.sandbox.faults("scim")), 60, "a call is under way")
    stack.process("worker").kill()
    stack.process("producer").kill()
    stack.sandbox.clear_faults("scim")
    stack.restart("worker")
    stack.restart("producer")
    stack.wait_status(offboarding, "completed", 120)
    other = done(stack, OTHER)
    before = last_keys(stack)
    assert {offboarding, other, "00000000-0000-0000-0000-000000000000"} == set(before), "one key each, made once"
    about = [record for kind, of_kind in raw(stack).items() for record in of_kind if record.sealed and record.key == offboarding]
    assert all(opens(before[offboarding], record) for record in about)

    stack.process("scheduler").stop()
    answer = stack.cli("erase", EMAIL, "--reason", "request DP-4711", "--yes").ok()
    assert "erasure is ordered" in answer.out
    assert not erased(stack, offboarding)
    stack.process("logger").kill()
    producer = next(process for process in stack.processes if process.name.startswith("producer") and process.running)
    producer.kill()
    stack.restart("scheduler", ready=False)   # not ready before the logger is: but then there is nothing that it would wait for
    logger = stack.launch("logger")
    wait_until(lambda: any(record.key == f"erase/{offboarding}" for record in raw(stack)["roster"]), 60, "the planner is told")
    logger.kill()
    stack.restart(producer.name)
    wait_until(lambda: offboarding not in last_keys(stack), 60, "the key is erased")
    stack.launch("logger")
    wait_until(lambda: erased(stack, offboarding), 60, "PostgreSQL has erased it, too")
    stack.wait_quiet()

    left = last_keys(stack)
    assert set(left) == {other, "00000000-0000-0000-0000-000000000000"}
    records = [record for kind, of_kind in raw(stack).items() for record in of_kind if record.sealed]
    hers = [record for record in records if record.key == offboarding]
    assert len(hers) >= len(about) and not any(opens(key, record) for key in left.values() for record in hers)
    assert all(opens(left[other], record) for record in records if record.key == other)
    notices = {record.key: record.value for record in raw(stack)["roster"]}
    assert notices[f"erase/{offboarding}"] is None, "the notice is answered"
    assert notices.get(offboarding) is None, "her keys are gone from the roster"
    assert [record.json["name"] for record in raw(stack)["events"] if record.key == offboarding and not record.sealed] == ["erased"]
    order, = (record.json for record in raw(stack)["orders"] if record.key == offboarding and not record.sealed)
    assert order["name"] == "order.erase" and order["context"]["reason"] == "request DP-4711"
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


@pytest.mark.timeout(300)
def test_what_comes_after_an_erasure(stack):
    said = event(EMAIL, runbook="scim-leaver")
    stack.person(EMAIL)
    stack.publish(said)
    offboarding = offboarding_id(said)
    stack.wait_status(offboarding, "completed", 90)
    exported = json.loads(stack.cli("export", EMAIL).ok().out)
    assert NAME in json.dumps(exported) and exported["offboardings"][0]["offboarding"]["offboarding_id"] == offboarding
    job = next(record for record in stack.topics.read("jobs.scim") if record.key == offboarding)
    refused = stack.cli("erase", offboarding, "--reason", "nobody is asked")
    assert refused.status == 1 and "--yes" in refused.err and not erased(stack, offboarding)
    stack.cli("erase", offboarding, "--reason", "request DP-4711", "--yes").ok()
    wait_until(lambda: erased(stack, offboarding), 60, "it is erased")
    assert stack.cli("export", EMAIL).status == 4, "nothing is known of her"

    # An old job turns up, HR sends the event once more, an operator tries to undo it: nothing happens, and she is named nowhere.
    calls = len(stack.sandbox.journal("scim"))
    again = {**job.json, "job": {**job.json["job"], "id": job_id(offboarding, "initial", "another")}}
    stack.topics.publish("jobs.scim", sealing.seal(b"k" * 32, offboarding, json.dumps(again).encode()), offboarding)
    stack.publish(said)
    undo = stack.cli("undo", offboarding, "--reason", f"{EMAIL} was the wrong one")
    assert undo.status in (1, 4), undo
    stack.wait_quiet()
    assert len(stack.sandbox.journal("scim")) == calls
    assert offboarding not in last_keys(stack), "it was not given a new key"
    assert stack.metrics("worker")["offboard_records_without_key_total"] == 1
    records = raw(stack)
    assert all(needles <= IN_CLEAR.get(kind, set()) for kind, needles in found(records).items() if kind != "control"), found(records)
    duplicate = [record.json for record in records["events"] if not record.sealed and record.json["name"] == "intake"]
    assert [(one["context"]["disposition"], one["context"].get("person")) for one in duplicate] == [("duplicate", None)]

    # She leaves again: another offboarding, with another key.
    second = event(EMAIL, runbook="scim-leaver")
    stack.person(EMAIL)
    stack.publish(second)
    stack.wait_status(offboarding_id(second), "completed", 90)
    assert offboarding_id(second) in last_keys(stack)


def test_only_what_is_over_is_erased(stack):
    stack.cli("pause", "scim", "--reason", "stays open").ok()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL, runbook="scim-leaver")
    stack.wait_status(offboarding, "initiated")
    answer = stack.cli("erase", EMAIL, "--reason", "too early", "--yes")
    assert answer.status == 1 and "refused" in answer.err, answer
    assert offboarding in last_keys(stack)
    nobody = stack.cli("erase", "nobody@example.com", "--reason", "not there", "--yes")
    assert nobody.status == 4, nobody


def test_who_was_never_offboarded_is_erased_too(stack):
    """HR cancelled somebody whom nobody knew, and an operator did: both name the person, and no offboarding."""
    stranger = "Stranger@example.com"
    stack.publish({**event(stranger), "type": "leaver.cancelled"})
    wait_until(lambda: stack.database.query("SELECT 1 FROM analyst.intake WHERE person = %s", stranger.lower()), 30, "it is recorded")
    assert stack.cli("cancel", stranger, "--reason", f"{stranger} stays").status == 4
    exported = stack.cli("export", stranger).ok().out
    assert exported.lower().count(stranger.lower()) >= 3, exported
    stack.cli("erase", stranger, "--reason", "request DP-1", "--yes").ok()
    assert stack.cli("export", stranger).status == 4
    assert stack.cli("erase", stranger, "--reason", "request DP-1", "--yes").status == 4
    bodies = stack.database.query("SELECT body::text AS body, data::text AS data, person FROM event FULL JOIN intake ON false")
    assert not any(stranger.lower() in str(value).lower() for row in bodies for value in row.values())
    ordered, = stack.database.query("SELECT ordered_by, reason, result FROM analyst.orders WHERE \"order\" = 'erase'")
    assert (ordered["reason"], ordered["result"]) == ("request DP-1", "applied") and ordered["ordered_by"]
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


# ---- the topic of keys ---------------------------------------------------------------------------------------------------


def test_nobody_is_ready_without_the_keys(make_stack):
    stack = make_stack()
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})
    admin.delete_topics([stack.topics.name("keys")])[stack.topics.name("keys")].result(20)
    wait_until(lambda: "keys" not in stack.topics.names(), 30, "the topic is gone")
    started = [stack.launch(program) for program in ("producer", "worker", "logger", "scheduler")]
    for process in started:
        wait_until(lambda process=process: "waiting for the keys of offboardings" in process.log(), 60, f"{process.name} waits")
        wait_until(lambda process=process: http("GET", stack.url(process.name) + "/readyz").status == 503, 30, f"{process.name} is not ready")

    def made() -> bool:
        try:
            admin.create_topics([NewTopic(stack.topics.name("keys"), 1, 1, config={"cleanup.policy": "compact"})])[
                stack.topics.name("keys")].result(20)
        except KafkaException:   # it is still being deleted
            return False
        return True

    wait_until(made, 30, "the topic is there")
    for process in started:
        stack.wait_ready(process, 60)
    stack.person(EMAIL)
    stack.wait_job(stack.offboard(EMAIL, runbook="scim-leaver"), "deactivate", "succeeded")


@pytest.mark.timeout(200)
def test_a_key_that_goes_while_its_job_runs(stack):
    """Nobody stops for it: what can't be said any more is left out, and the next leaver is dealt with."""
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "slow_after", "seconds": 5, "times": 1})
    said = event(EMAIL, runbook="scim-leaver")
    stack.publish(said)
    offboarding = offboarding_id(said)
    wait_until(lambda: any(rule["hits"] for rule in stack.sandbox.faults("scim")), 60, "a call is under way")
    stack.topics.publish("keys", None, offboarding)
    wait_until(lambda: stack.metrics("worker")["offboard_records_without_key_total"] >= 1, 60, "its answer is not sent")
    wait_until(lambda: stack.topics.lag("scim", "jobs.scim") == 0, 60, "the worker has committed what it did")
    assert stack.topics.read("dead") == []
    done(stack, OTHER)
    assert not any(record.value and not record.sealed and EMAIL in in_clear(record) for record in raw(stack)["results.scim"])
