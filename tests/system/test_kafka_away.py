"""Kafka away: nothing is acknowledged before it is safe, and everybody goes on when it is back."""

import os
import time

import pytest
from broker import Broker
from events import leaver, offboarding_id
from sealed_tables import OFFBOARDING
from process import http, wait_until

EMAIL = "jane.doe@example.com"


@pytest.fixture
def own_broker(servers):
    """A broker that a test may stop without disturbing the others."""
    broker = Broker(os.path.join(servers.root, f"kafka-{os.urandom(4).hex()}"), os.environ["KAFKA_LIBS"], servers.ports)
    broker.wait_ready()
    yield broker
    broker.stop()


def test_the_edge_takes_nothing_that_kafka_has_not(own_broker, make_stack):
    stack = make_stack(brokers=own_broker.address).start()
    stack.person(EMAIL)
    event = leaver(EMAIL)
    headers = {"Content-Type": "application/cloudevents+json"}

    own_broker.freeze()
    begun = time.monotonic()
    refused = stack.post("/v1/offboardings", event, headers=headers)
    assert refused.status == 503 and refused.json["detail"], refused
    assert time.monotonic() - begun < 20 and int(refused.headers["Retry-After"]) > 0, refused.headers
    assert stack.cli("start", "john.roe@example.com").status == 3
    assert all(process.running for process in stack.processes)

    own_broker.thaw()
    # Whoever was told 503 sends the same again; that the first may have arrived after all makes no difference.
    again = wait_until(lambda: stack.post("/v1/offboardings", event, headers=headers), 20, "the edge answers")
    assert again.status == 202 and again.json["id"] == offboarding_id(event), again
    for step in ("deactivate", "leave-groups", "ticket"):
        stack.wait_job(offboarding_id(event), step, "succeeded", 60)
    stack.wait_quiet(60)
    assert stack.database.value(f"SELECT count(*) FROM {OFFBOARDING} WHERE leaver ->> 'email' = %s", EMAIL) == 1
    of_jane = [issue for issue in stack.tickets() if EMAIL in issue["description_text"]]
    assert len(of_jane) == 1
    assert http("GET", stack.url("producer") + "/readyz").status == 200


def test_work_in_hand_is_reported_when_kafka_is_back(own_broker, make_stack):
    """A worker whose broker is away keeps what it has done and says it later: nothing is lost, nothing is done twice."""
    stack = make_stack(brokers=own_broker.address, settings={"kafka": {"properties": []}}).start()
    stack.person(EMAIL)
    stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/issue$"}, "do": "slow_after", "seconds": 3, "times": 1})
    offboarding = stack.offboard(EMAIL)
    wait_until(lambda: len(stack.tickets()) == 1, 30, "the ticket is being opened")
    own_broker.freeze()
    wait_until(lambda: stack.account(EMAIL)["active"] is False, 20, "she is out")
    entry = wait_until(lambda: [entry for entry in stack.sandbox.journal("jira") if entry["path"].endswith("/issue")], 10,
                       "the ticket's request is on the journal")
    assert len(entry) == 1
    own_broker.thaw()
    stack.wait_job(offboarding, "ticket", "succeeded", 60)
    stack.wait_job(offboarding, "leave-groups", "succeeded", 60)
    stack.wait_quiet(60)
    assert len(stack.tickets()) == 1
    assert len(stack.topics.events("job.succeeded", offboarding)) == 3


def test_nobody_is_ready_while_kafka_does_not_answer(own_broker, make_stack):
    stack = make_stack(brokers=own_broker.address).start()
    own_broker.freeze()

    def ready(name: str) -> int:
        return http("GET", stack.url(name) + "/readyz").status

    for name in ("producer", "worker", "scheduler", "logger"):
        wait_until(lambda name=name: ready(name) == 503, 20, f"{name} isn't ready")
        assert http("GET", stack.url(name) + "/healthz").status == 200, "it lives, and goes on when Kafka is back"
    own_broker.thaw()
    for name in ("producer", "worker", "scheduler", "logger"):
        wait_until(lambda name=name: ready(name) == 200, 60, f"{name} is ready again")


@pytest.mark.parametrize("name", ["producer", "worker", "scheduler", "logger"])
def test_nobody_is_ready_before_its_memory_is_read(own_broker, make_stack, name):
    """Started while Kafka gives no answer: there is nothing that it could know."""
    stack = make_stack(brokers=own_broker.address)
    if name == "scheduler":
        stack.start("logger")       # for the gate
    own_broker.freeze()
    process = stack.launch(name)
    seen = []

    def answers() -> bool:
        seen.append(http("GET", stack.url(name) + "/readyz").status)
        return len(seen) > 5

    try:
        wait_until(answers, 8, "it answers")
    except AssertionError:
        pass        # it does not listen yet: nor is it ready
    assert set(seen) <= {503}
    own_broker.thaw()
    stack.wait_ready(process, 60)
