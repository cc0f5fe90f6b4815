"""Who may say what. Kafka's rights, as `offboard topics --acl` prints them, are enough for each process and keep it from what is
another's; and where Kafka lets somebody write, the logger still believes only what is his to say."""

import json
import os
import uuid
from datetime import datetime, timezone

import pytest
from broker import SecuredBroker
from confluent_kafka import Producer
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, ResourcePatternType, ResourceType)
from events import job_id, leaver, offboarding_id
from process import wait_until

EMAIL = "jane.doe@example.com"
SYSTEMS = ("scim", "jira")
# Who writes a topic, as schema/messages.md says.
WRITERS = {
    "intake": {"hr", "producer"}, "received": {"producer"}, "events": {"producer", "scheduler"}, "orders": {"producer", "vault"},
    "control": {"producer", "scheduler"}, "roster": {"producer", "scheduler"}, "keys": {"producer"},
    "dead": {"producer", "logger", "worker-scim", "worker-jira"},
    **{f"{kind}.{system}": {"producer", "scheduler"} for kind in ("jobs", "urgent") for system in SYSTEMS},
    **{f"results.{system}": {f"worker-{system}"} for system in SYSTEMS}}
PRINCIPALS = ("hr", "producer", "vault", "scheduler", "logger", "worker-scim", "worker-jira")


@pytest.fixture(scope="module")
def secured(servers):
    broker = SecuredBroker(os.path.join(servers.root, f"secured-{os.urandom(4).hex()}"), os.environ["KAFKA_LIBS"], servers.ports, PRINCIPALS)
    broker.wait_ready()
    yield broker
    broker.stop()


def give_rights(stack) -> None:
    rules = json.loads(stack.cli("topics", *SYSTEMS, "--acl", "--json", "--principal", "User:%s").ok().out)
    named = {"Read": AclOperation.READ, "Write": AclOperation.WRITE, "Describe": AclOperation.DESCRIBE, "Create": AclOperation.CREATE,
             "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS}
    bindings = [AclBinding(ResourceType.TOPIC if rule["resource"] == "topic" else ResourceType.GROUP, rule["name"],
                           ResourcePatternType.LITERAL if rule["pattern"] == "literal" else ResourcePatternType.PREFIXED,
                           rule["principal"], "*", named[operation], AclPermissionType.ALLOW)
                for rule in rules for operation in rule["operations"]]
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})
    for result in admin.create_acls(bindings).values():
        result.result(20)
    everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
    known = {(one.restype, one.name, one.principal, one.operation) for one in bindings}
    wait_until(lambda: known <= {(one.restype, one.name, one.principal, one.operation) for one in admin.describe_acls(everything).result(20)},
               20, "the broker knows the rights")


@pytest.fixture
def guarded(make_stack, secured):
    """Each process with a principal of its own, that has the printed rights and no others."""
    stack = make_stack(brokers=secured.address)
    give_rights(stack)
    for program in ("producer", "scheduler", "logger"):
        stack.launch(program, **secured.environment(program))
    for system in SYSTEMS:
        stack.launch("worker", "--system", system, **secured.environment(f"worker-{system}"))
    for process in list(stack.processes):
        stack.wait_ready(process)
    return stack


def may_write(secured, principal: str, topic: str) -> bool:
    producer = Producer({**secured.client(principal), "log_level": 0, "message.timeout.ms": 10000})
    told = []
    producer.produce(topic, b"{}", "a-key", on_delivery=lambda error, _: told.append(error))
    producer.flush(15)
    assert told, f"Kafka said nothing about {principal} on {topic}"
    assert told[0] is None or "AUTHORIZATION" in told[0].name(), told[0]
    return told[0] is None


@pytest.mark.timeout(300)
def test_the_printed_rights_are_enough_and_no_more(guarded, secured):
    stack = guarded
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.wait_job(offboarding, "deactivate", "succeeded")
    stack.wait_job(offboarding, "leave-groups", "succeeded")
    stack.cli("pause", "scim", "--reason", "rights").ok()
    stack.cli("resume", "scim", "--reason", "rights").ok()
    stack.cli("cancel", offboarding, "--reason", "rights").ok()
    stack.wait_status(offboarding, "cancelled")
    for process in stack.processes:
        told = [line for line in process.log().splitlines() if "Not coordinator" not in line and "Not leader" not in line]   # as it started
        assert not [line for line in told if "uthorization" in line or "could not" in line], process.name

    for kind, writers in WRITERS.items():
        assert {one for one in PRINCIPALS if may_write(secured, one, stack.topics.name(kind))} == writers, kind


def event(name: str, offboarding: str, **context) -> dict:
    return {"version": 1, "id": str(uuid.uuid4()), "name": name, "timestamp": datetime.now(timezone.utc).isoformat(),
            "response": {"statusCode": 200, "message": "so it is"}, "context": {"offboarding_id": offboarding, **context}}


def test_what_is_anothers_to_say_is_recorded_and_changes_nothing(make_stack):
    """Nobody works: what is written here is all that is said of the jobs."""
    stack = make_stack(settings={"guards": {"cap_per_hour": 1}}).start("producer", "logger")
    first, held = leaver(EMAIL), leaver("john.roe@example.com")
    stack.publish(first)
    stack.wait_status(offboarding_id(first), "initiated")
    stack.publish(held)
    stack.wait_status(offboarding_id(held), "held")
    key, other = offboarding_id(first), offboarding_id(held)

    def answer(step: str, system: str) -> dict:
        return event("job.succeeded", key, job_id=job_id(key, "initial", step), step=step, phase="initial", system=system, action="x",
                     attempt=1, outcome="succeeded")

    forged = [("results.jira", key, answer("deactivate", "scim")), ("results.jira", key, answer("deactivate", "jira")),
              ("results.scim", other, event("order.approve", other, actor={"kind": "token", "id": "ann"})),
              ("events", other, event("order.approve", other, actor={"kind": "token", "id": "ann"})),
              ("orders", key, answer("deactivate", "scim")), ("results.scim", key, event("cancelled", key, reason="rehired")),
              ("results.jira", "scim", event("system.pause", None, system="scim")),
              ("results.scim", key, event("secret.revealed", key))]
    for kind, record_key, value in forged:
        stack.topics.publish(kind, value, record_key)
    wait_until(lambda: stack.database.value("SELECT count(*) FROM analyst.violations") == len(forged), 30, "all are recorded")
    rows = stack.database.query("SELECT * FROM analyst.violations ORDER BY recorded_at")
    assert all(row["why"].startswith("not believed: ") for row in rows), rows
    assert stack.jobs(key)["deactivate"]["state"] == "ready" and stack.offboarding(other)["status"] == "held"
    assert stack.offboarding(key)["status"] == "initiated"
    assert stack.database.query("SELECT * FROM pause_wanted") == [] and stack.database.query("SELECT * FROM analyst.orders") == []
    counted = {name: value for name, value in stack.metrics("logger").items() if name.startswith("offboard_violations_total")}
    assert sum(counted.values()) == len(forged) - 1, "all but the one that only PostgreSQL finds"
    # The system's own worker is believed.
    stack.topics.publish("results.scim", answer("deactivate", "scim"), key)
    stack.wait_job(key, "deactivate", "succeeded")
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []
