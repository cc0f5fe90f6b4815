"""The planner's memory: decisions stay as they were made, whoever plans, whatever the configuration is by then."""

import json
import os
import secrets
from collections import Counter

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions
from events import instant, leaver, offboarding_id
from process import wait_until

EMAIL = "jane.doe@example.com"
MANY = {"topics": {"partitions": 12}}
RUNBOOK = """runbook: mine
phases:
  - name: only
    steps:
      - {id: deactivate, system: scim, action: deactivate_user}
"""


def with_cap(cap: int) -> dict:
    return {**MANY, "guards": {"cap_per_hour": cap}}


def restart_producer(stack, settings: dict) -> None:
    running = [process for process in stack.processes if process.running and process.name.startswith("producer")]
    for process in running:
        process.stop()
    stack.configure(settings)
    stack.restart("producer")


def statuses(stack) -> Counter:
    return Counter(row["status"] for row in stack.database.query("SELECT status FROM offboarding"))


def dispositions(stack, count: int) -> Counter:
    return Counter(row["disposition"] for row in stack.wait_intake(count, 60))


# ---- cancelled under any name ------------------------------------------------------------------------------------------------


def test_30_cancellations_by_the_other_key_are_30(make_stack):
    stack = make_stack(settings=MANY).start("producer", "logger")
    started = [leaver(f"p{number}@example.com", employee_id=f"{5000 + number}", effective_at=instant(days=3))
               for number in range(30)]
    for event in started:
        stack.publish(event)
    stack.wait_intake(30)
    for number in range(30):
        stack.publish(leaver(None, employee_id=f"{5000 + number}", type="leaver.cancelled"))
    assert dispositions(stack, 60) == {"waiting": 30, "cancelled": 30}
    wait_until(lambda: statuses(stack) == {"cancelled": 30}, 30, "all are cancelled")


def test_a_cancellation_reaches_what_the_planner_has_forgotten(make_stack):
    """The roster closes an offboarding a month after its last step; PostgreSQL does not while a job has failed."""
    stack = make_stack(settings=MANY).start("producer", "logger")
    event = leaver(EMAIL, employee_id="4711", effective_at=instant(days=3))
    stack.publish(event)
    stack.wait_status(offboarding_id(event), "waiting")
    stack.process("producer").stop()
    stack.topics.publish("roster", None, offboarding_id(event))
    stack.restart("producer")
    stack.publish(leaver(None, employee_id="4711", type="leaver.rehired"))
    assert dispositions(stack, 2)["ignored"] == 1
    stack.wait_status(offboarding_id(event), "cancelled")
    name = next(process.name for process in reversed(stack.processes) if process.name.startswith("producer"))
    assert stack.metrics(name)['offboard_cancellations_without_effect_total{source="cloudevents"}'] == 1


def test_a_start_that_is_older_than_the_cancellation_never_starts(make_stack):
    stack = make_stack(settings=MANY).start("producer", "logger")
    stack.process("producer").stop()
    late = leaver(EMAIL, employee_id="4711")
    stack.publish(late)
    stack.topics.publish("control", {"version": 1, "reason": "HR called"}, "cancel/4711")
    stack.restart("producer")
    rows = stack.wait_intake(1)
    assert rows[0]["disposition"] == "cancelled" and rows[0]["offboarding_id"] is None
    stack.wait_quiet()
    assert stack.topics.read("jobs.scim") == [] and statuses(stack) == {}


def test_a_late_cancellation_does_not_replace_a_newer_one(make_stack):
    """Kafka keeps the last record of a key. HR's cancellation is planned after an operator's, and is older."""
    stack = make_stack(settings=MANY).start("producer", "logger")
    stack.process("producer").stop()
    stack.publish(leaver(EMAIL, employee_id="4711", type="leaver.cancelled"))
    stack.topics.publish("control", {"version": 1, "reason": "the operator's"}, "cancel/4711")
    stack.restart("producer")
    stack.wait_intake(1)
    stack.wait_quiet()
    last = {record.key: record.json["reason"] for record in stack.topics.read("control")}
    assert last["cancel/4711"] == "the operator's" and last.keys() == {"cancel/4711", f"cancel/{EMAIL}"}, last


def test_an_operators_cancellation_counts_by_the_brokers_clock(make_stack):
    """A replica whose clock is behind says no time: what it writes is as old as Kafka says."""
    stack = make_stack(settings=MANY).start("producer", "logger")
    offboarding = stack.offboard(EMAIL, effective_at=instant(days=4))
    stack.wait_status(offboarding, "waiting")
    stack.cli("cancel", EMAIL, "--reason", "HR called").ok()
    stack.wait_status(offboarding, "cancelled")
    order = next(record for record in stack.topics.read("control") if record.key == f"cancel/{EMAIL}")
    assert "at" not in order.json
    cancelled = stack.database.one("SELECT cancelled_at FROM cancellation")["cancelled_at"]
    assert abs(cancelled.timestamp() * 1000 - order.timestamp) < 2


# ---- decisions are frozen ----------------------------------------------------------------------------------------------------


def test_a_runbook_that_is_removed_strands_nobody(make_stack):
    stack = make_stack()
    folder = f"{stack.directory}/runbooks"
    settings = {**MANY, "definitions": {"runbooks": [folder]}}
    os.makedirs(folder)
    path = f"{folder}/mine.yaml"
    with open(path, "w", encoding="ascii") as file:
        file.write(RUNBOOK)
    stack.configure(settings)
    stack.start()
    key = stack.person(EMAIL, "4711")
    assert key
    waits = leaver(EMAIL, employee_id="4711", runbook="mine", effective_at=instant(days=9))
    other = leaver("john.roe@example.com", employee_id="4712", runbook="mine", effective_at=instant(days=9))
    stack.person("john.roe@example.com", "4712")
    for event in (waits, other):
        stack.publish(event)
        stack.wait_status(offboarding_id(event), "waiting")
    os.remove(path)
    restart_producer(stack, settings)
    stack.publish(leaver(None, employee_id="4711", type="leaver.cancelled"))
    stack.wait_status(offboarding_id(waits), "cancelled")
    assert {"cancelled"} == {row["disposition"] for row in stack.wait_intake(3) if row["type"] == "leaver.cancelled"}
    # The same event once more is known, though today nobody could make a plan of it.
    stack.publish({**other, "data": {**other["data"], "runbook": "scim-leaver"}})
    rows = stack.wait_intake(4)
    assert Counter(row["disposition"] for row in rows) == {"waiting": 2, "cancelled": 1, "duplicate": 1}


def test_held_stays_held_when_the_cap_is_raised_and_hr_moves_it_to_now(make_stack):
    stack = make_stack(settings=with_cap(1)).start()
    for email in ("first@example.com", EMAIL):
        stack.person(email)
    stack.publish(leaver("first@example.com"))
    event = leaver(EMAIL)
    stack.publish(event)
    held = offboarding_id(event)
    stack.wait_status(held, "held")
    restart_producer(stack, with_cap(1000))
    stack.publish(leaver(EMAIL, effective_at=instant(days=1)))
    stack.wait_intake(3)
    stack.publish(leaver(EMAIL, effective_at=instant(hours=-1)))
    assert dispositions(stack, 4) == {"started": 1, "held": 1, "moved": 2}
    stack.wait_quiet()
    assert stack.offboarding(held)["status"] == "held" and stack.account(EMAIL)["active"] is True
    stack.cli("approve", held).ok()
    stack.wait_job(held, "deactivate", "succeeded")
    # The planner knows that it was approved: it has begun.
    def known() -> bool:
        stack.publish(leaver(EMAIL, effective_at=instant(days=30)))
        return stack.wait_intake(5)[-1]["reason"] == "the offboarding has begun"
    wait_until(known, 20, "the planner knows of the approval", 0.5)


def test_protecting_a_person_later_does_not_hide_the_offboarding(make_stack):
    stack = make_stack(settings=MANY).start("producer", "logger")
    event = leaver(EMAIL, effective_at=instant(days=3))
    stack.publish(event)
    stack.wait_status(offboarding_id(event), "waiting")
    restart_producer(stack, {**MANY, "guards": {"protected": [EMAIL], "cap_per_hour": 0}})
    stack.publish(leaver(EMAIL, type="leaver.cancelled"))
    stack.wait_status(offboarding_id(event), "cancelled")


# ---- the cap -----------------------------------------------------------------------------------------------------------------


def test_a_cap_of_one_allows_one(make_stack):
    stack = make_stack(settings=with_cap(1)).start("producer", "logger")
    stack.topics.publish_many("intake", [(f"u{n}@example.com", leaver(f"u{n}@example.com")) for n in range(24)])
    assert dispositions(stack, 24) == {"started": 1, "held": 23}


def test_fifty_under_a_cap_of_a_hundred_are_not_held(make_stack):
    stack = make_stack(settings=with_cap(100)).start("producer", "logger")
    stack.topics.publish_many("intake", [(f"u{n}@example.com", leaver(f"u{n}@example.com")) for n in range(50)])
    assert dispositions(stack, 50) == {"started": 50}


def test_who_waits_and_who_is_moved_count_when_their_date_comes(make_stack):
    stack = make_stack(settings=with_cap(3)).start("producer", "logger", "scheduler")
    soon = instant(seconds=4)
    waiting = [leaver(f"w{n}@example.com", effective_at=soon) for n in range(4)]
    moved = [leaver(f"m{n}@example.com", effective_at=instant(days=9)) for n in range(4)]
    for event in waiting + moved:
        stack.publish(event)
    assert dispositions(stack, 8) == {"waiting": 8}
    for event in moved:
        stack.publish(leaver(event["data"]["user"]["email"], effective_at=instant(hours=-1)))
    wait_until(lambda: statuses(stack) == {"initiated": 3, "held": 5}, 40, "three of eight have started")
    stack.publish(leaver("now@example.com"))
    wait_until(lambda: statuses(stack) == {"initiated": 3, "held": 6}, 20, "the next one is held")
    stack.cli("approve", "--held").ok()
    wait_until(lambda: statuses(stack) == {"initiated": 9}, 20, "all of them start by approval")


def test_a_start_is_not_lost_while_nobody_plans(make_stack):
    stack = make_stack(settings=MANY).start("producer", "logger", "scheduler")
    event = leaver(EMAIL, effective_at=instant(seconds=3))
    stack.publish(event)
    stack.wait_status(offboarding_id(event), "waiting")
    stack.process("producer").kill()
    wait_until(lambda: any(record.key == f"due/{offboarding_id(event)}" for record in stack.topics.read("roster")), 30,
               "the scheduler has asked")
    assert stack.offboarding(offboarding_id(event))["status"] == "waiting"
    stack.restart("producer")
    stack.wait_status(offboarding_id(event), "initiated")
    answered = [record for record in stack.topics.read("roster") if record.key == f"due/{offboarding_id(event)}"]
    assert answered[-1].value is None, "the question is answered and gone"


# ---- one open offboarding ----------------------------------------------------------------------------------------------------


def test_two_names_that_turn_out_to_be_one_person(make_stack):
    stack = make_stack(settings=MANY).start("producer", "logger")
    date = instant(days=3)
    first, second = leaver(EMAIL, effective_at=date), leaver(None, employee_id="4711", effective_at=date)
    for count, event in enumerate((first, second), 1):
        stack.publish(event)
        stack.wait_intake(count)
    stack.publish(leaver(EMAIL, employee_id="4711", effective_at=date))
    rows = stack.wait_intake(3)
    assert str(rows[-1]["offboarding_id"]) == offboarding_id(first) and rows[-1]["disposition"] == "duplicate"
    row = stack.wait_status(offboarding_id(second), "duplicate")
    assert offboarding_id(first) in row["reason"]
    assert {job["state"] for job in stack.jobs(offboarding_id(second)).values()} == {"cancelled"}
    assert stack.offboarding(offboarding_id(first))["status"] == "waiting"


def test_who_has_left_may_leave_again(make_stack):
    """The planner is told that an offboarding is over."""
    stack = make_stack(settings={**MANY, "clock": {"day": "20ms"}}).start()
    stack.person(EMAIL, "4711")
    event = leaver(EMAIL, employee_id="4711")
    stack.publish(event)
    stack.wait_status(offboarding_id(event), "completed", 60)
    wait_until(lambda: any(record.key == f"ended/{offboarding_id(event)}" and record.value is None
                           for record in stack.topics.read("roster")), 30, "the planner has heard that it is over")
    again = leaver(EMAIL, employee_id="4711")
    stack.publish(again)
    assert dispositions(stack, 2) == {"started": 2}


# ---- partitions, leaders -----------------------------------------------------------------------------------------------------


def test_partitions_are_raised_while_the_planner_runs(make_stack):
    stack = make_stack(settings={"topics": {"partitions": 3}}).start("producer", "logger")
    first = [leaver(f"a{n}@example.com", employee_id=f"A{n}", effective_at=instant(days=3)) for n in range(20)]
    for event in first:
        stack.publish(event)
    stack.wait_intake(20)
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})
    admin.create_partitions([NewPartitions(stack.topics.name("intake"), 7)])[stack.topics.name("intake")].result(20)
    wait_until(lambda: stack.topics.partitions("intake") == 7, 20, "there are seven")
    stack.topics.forget_producers()  # they know of three
    for event in first:
        stack.publish({**event, "id": event["id"] + "-again"}, partition=5)
        stack.publish(leaver(None, employee_id=event["data"]["user"]["employee_id"], type="leaver.cancelled"), partition=6)
    counts = dispositions(stack, 60)
    assert counts["waiting"] == 20 and counts["cancelled"] == 20, counts
    stack.wait_quiet()
    assert len(stack.topics.read("intake")) == 60, "records multiply"
    wait_until(lambda: statuses(stack) == {"cancelled": 20}, 20, "all are cancelled")


def test_of_two_producers_one_plans_and_the_other_takes_over(make_stack):
    stack = make_stack(settings=with_cap(10)).start("producer", "producer", "logger")

    def leads(name: str) -> bool:
        return stack.metrics(name)["offboard_planner_leads"] == 1

    wait_until(lambda: leads("producer") != leads("producer-2"), 20, "one of them plans")
    for n in range(6):
        stack.publish(leaver(f"a{n}@example.com"))
    assert dispositions(stack, 6) == {"started": 6}
    leader, other = ("producer", "producer-2") if leads("producer") else ("producer-2", "producer")
    stack.process(leader).kill()
    for n in range(6):
        stack.publish(leaver(f"b{n}@example.com"))
    for n in range(6):
        stack.publish(leaver(f"a{n}@example.com", type="leaver.cancelled"))
    counts = dispositions(stack, 18)
    assert counts == {"started": 10, "held": 2, "cancelled": 6}, "the cap, or a leaver, was forgotten"
    assert leads(other)


def test_a_planner_that_wakes_up_late_does_not_plan_beside_the_other(make_stack):
    stack = make_stack(settings=with_cap(10)).start("producer", "producer", "logger")

    def leader() -> str | None:
        leading = [name for name in ("producer", "producer-2") if stack.metrics(name)["offboard_planner_leads"] == 1]
        return leading[0] if len(leading) == 1 else None

    first = wait_until(leader, 20, "one of them plans")
    second = "producer-2" if first == "producer" else "producer"
    for n in range(4):
        stack.publish(leaver(f"a{n}@example.com"))
    stack.wait_intake(4)
    stack.process(first).freeze()
    for n in range(4):
        stack.publish(leaver(f"b{n}@example.com"))
    stack.wait_intake(8, 60)
    stack.process(first).thaw()
    for n in range(4):
        stack.publish(leaver(f"c{n}@example.com"))
        stack.publish(leaver(f"a{n}@example.com", type="leaver.cancelled"))
    assert dispositions(stack, 16) == {"started": 10, "held": 2, "cancelled": 4}
    wait_until(lambda: stack.metrics(first)["offboard_planner_leads"] + stack.metrics(second)["offboard_planner_leads"] == 1, 30,
               "one of them plans again")
    initiated = Counter(event["context"]["offboarding_id"] for event in stack.topics.events("initiated"))
    assert len(initiated) == 12 and set(initiated.values()) == {1}, "an HR event was planned twice"


def test_records_that_retention_deleted_are_told_of(make_stack):
    stack = make_stack(settings={"topics": {"partitions": 3}}).start("producer", "logger")
    stack.publish(leaver(EMAIL, effective_at=instant(days=3)), partition=0)
    stack.wait_intake(1)
    stack.wait_quiet()
    stack.process("producer").stop()
    for n in range(5):
        stack.publish(leaver(f"lost{n}@example.com"), partition=0)
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})
    place = TopicPartition(stack.topics.name("intake"), 0, 4)
    admin.delete_records([place])[place].result(20)
    producer = stack.restart("producer")
    assert stack.metrics(producer.name)['offboard_intake_lost_total{topic="intake"}'] == 3
    assert "were deleted before they were read" in producer.log()
    assert dispositions(stack, 3) == {"waiting": 1, "started": 2}


# ---- ids, limits -------------------------------------------------------------------------------------------------------------


def test_ids_in_upper_case_are_ids(make_stack):
    stack = make_stack(settings=with_cap(1)).start()
    for email in ("first@example.com", EMAIL):
        stack.person(email)
    waits = stack.offboard("w@example.com", effective_at=instant(days=2))
    stack.wait_status(waits, "waiting")
    reply = stack.post("/v1/orders", {"order": "cancel", "offboardings": [waits.upper()], "reason": "x"}, token="operator")
    assert reply.status == 202
    stack.wait_status(waits, "cancelled")
    second = stack.offboard("w2@example.com", effective_at=instant(days=2))
    stack.wait_status(second, "waiting")
    stack.cli("cancel", second.upper(), "--reason", "y").ok()
    stack.wait_status(second, "cancelled")
    stack.offboard("first@example.com")
    held = stack.offboard(EMAIL)
    stack.wait_status(held, "held")
    stack.cli("approve", held.upper()).ok()
    stack.wait_job(held, "deactivate", "succeeded")


def test_what_kafka_does_not_take_is_set_aside_and_the_planner_goes_on(make_stack):
    stack = make_stack(settings={"topics": {"partitions": 3}})
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})

    def limit(size: int) -> None:
        resource = ConfigResource(ConfigResource.Type.TOPIC, stack.topics.name("events"), incremental_configs=[
            ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)])
        admin.incremental_alter_configs([resource])[resource].result(20)

    limit(9000)
    stack.start("producer", "logger")
    big = leaver(EMAIL, user={f"note{n}": secrets.token_hex(450) for n in range(16)},
                 ids={"scim": [secrets.token_hex(450) for _ in range(14)]})
    stack.publish(big)
    rows = stack.wait_intake(1)
    assert rows[0]["disposition"] == "dead", rows
    assert offboarding_id(big) not in json.dumps([record.value.decode() for record in stack.topics.read("events")
                                                  if record.json["name"] == "initiated"])
    small = leaver("john.roe@example.com", effective_at=instant(days=3))
    stack.publish(small)
    stack.wait_status(offboarding_id(small), "waiting")
    assert len(stack.topics.read("dead")) == 1
    # Once the limit is mended, a replay starts it.
    limit(1_000_000)

    def started() -> bool:
        stack.cli("replay", "--all", "--reason", "mended").ok()  # a letter that dies again is another one
        wait_until(lambda: stack.unplanned() == 0 and stack.logged(), 20, "it is decided")
        return statuses(stack)["initiated"] == 1

    wait_until(started, 40, "the limit is known to the broker, and the replay starts it", 1)
    assert str(stack.offboarding(offboarding_id(big))["status"]) == "initiated"


def test_a_system_without_topics_keeps_nobody_back(make_stack):
    stack = make_stack().start("producer", "logger", "scheduler")
    admin = AdminClient({"bootstrap.servers": stack.brokers, "log_level": 0})
    stack.process("producer").stop()
    names = [stack.topics.name(kind) for kind in ("jobs.jira", "urgent.jira")]
    for future in admin.delete_topics(names).values():
        future.result(20)
    stack.restart("producer")
    event = leaver(EMAIL)
    stack.publish(event)
    stack.wait_status(offboarding_id(event), "initiated")
    wait_until(lambda: stack.topics.read("jobs.scim"), 30, "the other system's jobs are out")
    assert stack.wait_intake(1)[0]["disposition"] == "started"
    stack.cli("topics", "jira").ok()
    wait_until(lambda: stack.topics.partitions("jobs.jira") == 3, 20, "the topics are there")
    wait_until(lambda: stack.topics.read("jobs.jira"), 60, "the jobs come when the topics do")


def test_a_company_without_a_system_is_not_held_up(make_stack):
    """scim-leaver has a ticket in Jira; this company has no Jira, and made topics as the guide says. Three leavers, all are done with."""
    stack = make_stack(settings={"worker": {"systems": ["scim"]}, "clock": {"day": "50ms"}}, lacks=("jira",)).start()
    emails = [f"plain{number}@example.com" for number in range(3)]
    for email in emails:
        stack.person(email)
    offboardings = [stack.offboard(email) for email in emails]
    for offboarding in offboardings:
        ticket = stack.wait_job(offboarding, "ticket", "skipped")
        assert ticket["reason"] == "jira is not configured here: nothing was done"
        stack.wait_status(offboarding, "completed", 60)
    stack.cli("topics", "jira").ok()
    later = stack.offboard("later@example.com")
    wait_until(lambda: stack.topics.read("jobs.jira"), 30, "the next leaver's ticket is published")
    assert stack.jobs(later)["ticket"]["state"] == "ready"


@pytest.mark.parametrize("depth, disposition", [(30, "started"), (40, "dead"), (125, "dead")])
def test_nested_events(make_stack, depth, disposition):
    stack = make_stack(settings={"topics": {"partitions": 3}}).start("producer", "logger")
    nested = "x"
    for _ in range(depth):
        nested = [nested]
    event = leaver(EMAIL, effective_at=instant(days=1))
    stack.publish({**event, "note": nested})
    rows = stack.wait_intake(1)
    assert rows[0]["disposition"] == ("waiting" if disposition == "started" else "dead")
