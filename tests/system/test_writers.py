"""HR events come on topics by who writes them: HR systems, the API, the worker of a system that is polled. The topic says what is believed of a
record, and the planner decides all of them as one, in the order of their times."""

import json
import random
import time
import uuid

import pytest
from confluent_kafka.admin import AdminClient
from events import instant, leaver, offboarding_id
from process import wait_until

EMAIL = "jane.doe@example.com"
SOURCE = """source: leavers
types: {com.example.leaves: start, com.example.stays: cancel}
poll:
  system: oomnitza
  action: list_leavers
  every: 5m
  items: "${ .outputs.users }"
  id: "${ .item.id }"
  type: "${ .item.type }"
map:
  user: {email: "${ .data.email }"}
  runbook: scim-leaver
"""


@pytest.fixture
def planned(make_stack, tmp_path):
    """A planner and a logger, with a source that polls Oomnitza; the topics' number of partitions is the argument."""
    def make(partitions: int = 3):
        (tmp_path / "leavers.yaml").write_text(SOURCE, encoding="utf-8")
        unused = {"url": "http://127.0.0.1:1", "token": "t"}
        return make_stack(settings={"topics": {"partitions": partitions}, "definitions": {"sources": [str(tmp_path)]},
                                    "systems": {"oomnitza": unused, "assetsonar": unused}})
    return make


def polled(email: str, type: str = "leaves", **attributes) -> dict:
    """What the worker of Oomnitza writes."""
    event = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "leavers", "type": f"com.example.{type}", "time": instant(),
             "offboardsource": "leavers", "data": {"email": email}, **attributes}
    return {name: value for name, value in event.items() if value is not None}


def received(email: str, **event) -> dict:
    """What the API writes for who has the token `hr`."""
    return {**leaver(email, **event), "offboardactor": "hr"}


def write(stack, kind: str, event: dict, email: str) -> None:
    stack.topics.publish(kind, event, email, headers={"content-type": "application/cloudevents+json"})


def next_millisecond() -> None:
    """Kafka's clock is no finer: what comes in the same one has no order."""
    now = time.time_ns() // 1_000_000
    wait_until(lambda: time.time_ns() // 1_000_000 > now, 5, "the clock goes on", 0.001)


def violations(stack, topic: str, name: str = "producer") -> float:
    return stack.metrics(name)[f'offboard_violations_total{{topic="{topic}"}}']


def lines(stack, name: str, text: str) -> list[dict]:
    found = (json.loads(line) for line in stack.process(name).log().splitlines() if line.startswith("{"))
    return [line for line in found if line["message"] == text]


# ---- what is believed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{"offboardactor": "operator"}, {"offboardactor": {"name": "operator"}}, {"offboardsource": "okta-hook"},
                                  {"offboardsource": "leavers", "offboardactor": "operator"}], ids=str)
@pytest.mark.parametrize("binary", [False, True], ids=["structured", "binary"])
def test_an_hr_system_speaks_for_itself_alone(planned, said, binary):
    stack = planned().start("producer", "logger")
    event = leaver(EMAIL)
    if binary:
        headers = {f"ce_{name}": value if isinstance(value, str) else json.dumps(value)
                   for name, value in {**event, **said}.items() if name not in ("data", "datacontenttype")}
        stack.topics.publish("intake", event["data"], EMAIL, headers={**headers, "content-type": "application/json"})
    else:
        stack.publish({**event, **said})
    row = stack.wait_intake(1)[0]
    assert row["disposition"] == "started", row
    assert row["reason"] == f"not believed of a record on {stack.topics.name('intake')}, and dropped: {', '.join(sorted(said))}"
    offboarding = stack.wait_status(offboarding_id(event), "initiated")
    assert offboarding["source"] == "cloudevents" and offboarding["actor"] == {"kind": "source", "id": event["source"], "name": "HR"}
    assert violations(stack, "intake") == 1
    told = lines(stack, "producer", "an HR event says what its writer may not say: it counts without that")
    assert [(line["level"], line["topic"], line["event_id"]) for line in told] == [("warning", stack.topics.name("intake"), event["id"])]


def test_the_api_is_believed(planned):
    stack = planned().start("producer", "logger")
    offboarding = stack.offboard(EMAIL)
    assert stack.wait_status(offboarding, "initiated")["actor"]["kind"] == "token"
    assert stack.wait_intake(1)[0]["topic"] == stack.topics.name("received")
    assert stack.topics.read("intake") == [] and violations(stack, "received") == 0


FORGED = {
    "a source that polls another system": ({"offboardsource": "assetsonar", "source": "assetsonar"}, 'no source "assetsonar" polls oomnitza'),
    "a source that polls none": ({"offboardsource": "okta-hook", "source": "okta-hook"}, 'no source "okta-hook" polls oomnitza'),
    "HR": ({"offboardsource": None, "source": "/hr/tests", "type": "leaver.created"}, "offboardsource is missing"),
    "an event of HR": ({"source": "/hr/tests"}, 'comes from "leavers", not from "/hr/tests"'),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_worker_speaks_for_its_own_system_alone(planned, case):
    stack = planned().start("producer", "logger")
    attributes, said = FORGED[case]
    forged = polled(EMAIL, **attributes)
    write(stack, "polled.oomnitza", {**forged, "data": {**forged["data"], "user": {"email": EMAIL}}}, EMAIL)
    row = stack.wait_intake(1)[0]
    assert row["disposition"] == "dead" and said in row["reason"], row
    letter, = wait_until(lambda: stack.topics.read("dead"), 20, "it is set aside")
    assert letter.headers["dead_topic"] == stack.topics.name("polled.oomnitza") and said in letter.headers["dead_reason"]
    told, = lines(stack, "producer", "an HR event is not its writer's to write, and is set aside")
    assert told["level"] == "error" and said in told["reason"]
    assert violations(stack, "polled.oomnitza") == 1
    # What is its to write is planned, and nobody has taken its place.
    own = {**polled(EMAIL), "id": forged["id"]}
    write(stack, "polled.oomnitza", {**own, "offboardactor": "operator"}, EMAIL)
    assert stack.wait_status(offboarding_id(own), "initiated")["actor"] == {"kind": "source", "id": "leavers", "name": None}
    assert violations(stack, "polled.oomnitza") == 2


def dead(stack, topic: str, partition: int, offset: int, value: bytes, **headers: str) -> str:
    """A dead letter as any process may write one; its name."""
    place = {"dead_topic": stack.topics.name(topic), "dead_partition": str(partition), "dead_offset": str(offset),
             "dead_size": str(len(value)), "dead_reason": "made up", "dead_process": "planner"}
    return "/".join(map(str, stack.topics.publish("dead", value, EMAIL, headers={**headers, **place})))


def test_a_letter_that_is_made_up_is_not_replayed_where_it_would_be_believed(planned):
    """Every process may write dead letters, and the edge writes a replay: it must not become a way to speak as the edge."""
    stack = planned().start("producer", "logger")
    forged = json.dumps({**leaver(EMAIL), "offboardactor": "operator"}).encode()
    partition, offset = stack.topics.publish("received", b"no JSON", EMAIL, headers={"content-type": "application/json"})
    genuine = wait_until(lambda: stack.topics.read("dead"), 20, "it is set aside")[0]
    letters = [dead(stack, "received", partition, offset, forged),                             # another value
               dead(stack, "received", partition, offset, b"no JSON", ce_specversion="1.0"),   # other headers
               dead(stack, "received", partition, offset + 1, forged),                         # nothing lies there yet
               dead(stack, "received", 77, 0, forged),                                         # no such partition
               dead(stack, "polled.oomnitza", 0, 0, forged), dead(stack, "polled.nothing", 0, 0, forged), dead(stack, "intake", 0, 0, forged)]
    for letter in letters:
        done = stack.cli("replay", letter, "--reason", "x")
        assert done.status == 1 and "is not what lies at" in done.err, (letter, done)
    assert len(stack.topics.read("received")) == 1 and not stack.topics.read("polled.oomnitza") and not stack.topics.read("intake")
    stack.cli("replay", f"{genuine.partition}/{genuine.offset}", "--reason", "x").ok()
    records = wait_until(lambda: len(found := stack.topics.read("received")) == 2 and found, 20, "what came is put back")
    assert records[0].value == records[1].value
    assert stack.wait_intake(2)[1]["disposition"] == "dead"


# ---- as one ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partitions", [1, 3, 12])
def test_three_topics_are_decided_in_the_order_of_time(planned, partitions):
    """Each person leaves, stays, and leaves again, each time by another writer."""
    stack = planned(partitions)
    kinds = ["intake", "received", "polled.oomnitza"]
    make = {"intake": lambda email, stays: leaver(email, type="leaver.cancelled" if stays else "leaver.created", runbook="scim-leaver"),
            "received": lambda email, stays: received(email, type="leaver.cancelled" if stays else "leaver.created", runbook="scim-leaver"),
            "polled.oomnitza": lambda email, stays: polled(email, "stays" if stays else "leaves")}
    order = []
    randomly = random.Random(partitions)
    for number in range(15):
        email = f"p{number}@example.com"
        for step, kind in enumerate(randomly.sample(kinds, 3)):
            event = make[kind](email, step == 1)
            write(stack, kind, event, email)
            order.append(event["id"])
            next_millisecond()
    stack.start("producer", "logger")
    rows = {row["source_event_id"]: row["disposition"] for row in stack.wait_intake(45, 60)}
    assert [rows[event] for event in order] == ["started", "cancelled", "started"] * 15
    assert [line["event_id"] for line in lines(stack, "producer", "HR event decided")] == order
    assert stack.unplanned() == 0


def test_a_producer_that_dies_goes_on_where_it_was_on_all_topics(planned):
    stack = planned().start("producer", "logger")
    made = {"intake": leaver, "received": received, "polled.oomnitza": polled}
    sent = []

    def send(count: int) -> None:
        for number in range(len(sent), len(sent) + count):
            kind, email = list(made)[number % 3], f"p{number}@example.com"
            event = made[kind](email)
            write(stack, kind, event, email)
            sent.append(offboarding_id(event))

    send(60)
    wait_until(lambda: len(stack.topics.events("initiated")) > 5, 30, "some are decided")
    stack.process("producer").kill()
    send(60)
    stack.restart("producer")
    send(30)
    stack.wait_intake(150, 60)
    wait_until(lambda: stack.unplanned() == 0 and stack.logged(), 30, "all is planned")
    rows = stack.database.query("SELECT topic, kafka_partition, kafka_offset, disposition FROM intake")
    assert len(rows) == 150 and {row["disposition"] for row in rows} == {"started"}
    assert {str(row["id"]) for row in stack.database.query("SELECT id FROM offboarding WHERE status = 'initiated'")} == set(sent)
    # The next one has nothing to do but what comes.
    stack.process("producer-2").stop()
    producer = stack.restart("producer-2")
    send(3)
    stack.wait_intake(153)
    assert len(lines(stack, producer.name, "HR event decided")) == 3


def test_a_polled_topic_that_is_missing_keeps_nobody_back(planned):
    stack = planned()
    admin, topic = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0}), stack.topics.name("polled.oomnitza")
    admin.delete_topics([topic])[topic].result(20)
    stack.start("producer", "logger")
    first = leaver(EMAIL, effective_at=instant(days=3))
    stack.publish(first)
    stack.wait_status(offboarding_id(first), "waiting")
    told = lines(stack, "producer", "a topic of polled HR events is missing: nothing of the system is polled until `offboard topics` has made it")
    assert [(line["level"], line["topic"]) for line in told] == [("warning", topic)]
    stack.cli("topics", "oomnitza").ok()
    wait_until(lambda: "polled.oomnitza" in stack.topics.names(), 20, "the topic is there")
    second = polled("john.roe@example.com")
    write(stack, "polled.oomnitza", second, "john.roe@example.com")
    stack.wait_status(offboarding_id(second), "initiated", 40)
    # The memory was read again, and holds what it held.
    stack.publish(leaver(EMAIL, type="leaver.cancelled"))
    stack.wait_status(offboarding_id(first), "cancelled")
    assert [row["disposition"] for row in stack.wait_intake(3)] == ["waiting", "started", "cancelled"]
    assert stack.unplanned() == 0
