"""kill -9 at the worst moments: nothing is lost, no `once` call has its effect twice."""

import pytest
from events import job_id, leaver, offboarding_id
from process import wait_until

EMAIL = "jane.doe@example.com"
CREATE = {"method": "POST", "path": "/issue$"}


def creations(stack) -> list[dict]:
    return [entry for entry in stack.sandbox.journal("jira", changing_only=True)
            if entry["method"] == "POST" and entry["path"].endswith("/issue")]


def reached(stack, system: str) -> int:
    """Requests that a fault rule of the system has caught."""
    return sum(rule["hits"] for rule in stack.sandbox.faults(system))


def begun_on_record(stack, offboarding: str, step: str) -> bool:
    """Does an event say that the once call of this step had begun when it was put off?"""
    return any(event["context"]["step"] == step and (event["context"].get("state") or {}).get("begun")
               for event in stack.topics.events("job.deferred", offboarding))


@pytest.mark.parametrize("moment", ["before the effect", "after the effect"])
def test_ticket_is_opened_once_when_the_worker_dies(make_stack, moment):
    # The search sees a ticket two seconds late; `settle` is longer than that.
    stack = make_stack(vendors={"jira": {"search_lag": 2.0}}, settings={"systems": {"jira": {"settle": "3s"}}}).start()
    stack.person(EMAIL)
    if moment == "before the effect":
        stack.sandbox.fault("jira", {"match": CREATE, "do": "hang", "times": 1})
    else:
        stack.sandbox.fault("jira", {"match": CREATE, "do": "slow_after", "seconds": 60, "times": 1})
    offboarding = stack.offboard(EMAIL)
    wait_until(lambda: reached(stack, "jira") == 1, 30, "the call is under way")
    if moment == "after the effect":
        wait_until(lambda: len(stack.tickets()) == 1, 10, "the ticket is there")
    stack.process("worker").kill()
    stack.sandbox.clear_faults("jira")
    stack.restart("worker")

    job = stack.wait_job(offboarding, "ticket", "succeeded", 60)
    assert len(stack.tickets()) == 1
    made = [entry for entry in creations(stack) if entry.get("effect")]
    assert len(made) == 1
    assert len(creations(stack)) == (2 if moment == "before the effect" else 1)
    assert begun_on_record(stack, offboarding, "ticket"), "the begun call is on no record"
    assert job["outputs"]["key"] == stack.tickets()[0]["key"]
    stack.wait_job(offboarding, "deactivate", "succeeded")


def test_answer_lost_after_the_ticket_was_opened(make_stack):
    stack = make_stack(vendors={"jira": {"search_lag": 1.0}}, settings={"systems": {"jira": {"settle": "2s"}}}).start()
    stack.person(EMAIL)
    stack.sandbox.fault("jira", {"match": CREATE, "do": "lose_answer", "times": 1})
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "ticket", "succeeded", 60)
    assert len(stack.tickets()) == 1 and len(creations(stack)) == 1
    assert begun_on_record(stack, offboarding, "ticket")


def test_gateway_error_that_hides_a_ticket(make_stack):
    stack = make_stack(vendors={"jira": {"search_lag": 1.0}}, settings={"systems": {"jira": {"settle": "2s"}}}).start()
    stack.person(EMAIL)
    stack.sandbox.fault("jira", {"match": CREATE, "do": "status_after", "status": 504, "times": 1})
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "ticket", "succeeded", 60)
    assert len(stack.tickets()) == 1 and len(creations(stack)) == 1


def test_comments_are_written_once_when_the_worker_dies(make_stack):
    stack = make_stack(settings={"clock": {"day": "20ms"}, "systems": {"jira": {"settle": "1s"}}}).start()
    stack.person(EMAIL)
    stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/comment$"}, "do": "slow_after", "seconds": 60, "times": 1})
    offboarding = stack.offboard(EMAIL)
    wait_until(lambda: stack.tickets() and stack.tickets()[0]["comments"], 30, "the reminder is written")
    stack.process("worker").kill()
    stack.sandbox.clear_faults("jira")
    stack.restart("worker")
    stack.wait_status(offboarding, "completed", 60)
    assert len(stack.tickets()[0]["comments"]) == 2, "reminder and report"


def test_worker_killed_in_the_middle_of_many(make_stack):
    stack = make_stack(settings={"worker": {"in_flight": 10, "urgent_slots": 2}}).start()
    emails = [f"user{number}@example.com" for number in range(30)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails],
                                "groups": [{"displayName": "All", "members": emails}]})
    stack.sandbox.fault("jira", {"match": CREATE, "do": "slow_after", "seconds": 0.3})
    events = [leaver(email) for email in emails]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    name = "worker"
    for tickets in (4, 14):
        wait_until(lambda: len(stack.tickets()) >= tickets, 60, f"there are {tickets} tickets")
        stack.process(name).kill()
        name = stack.restart(name).name
    for event in events:
        stack.wait_job(offboarding_id(event), "ticket", "succeeded", 60)
        stack.wait_job(offboarding_id(event), "leave-groups", "succeeded", 60)
    assert len(stack.tickets()) == len(emails)
    labels = [label for issue in stack.tickets() for label in issue["fields"]["labels"] if label.startswith("offboard-")]
    assert sorted(labels) == sorted(f"offboard-{job_id(offboarding_id(event), 'initial', 'ticket')}" for event in events)
    assert not any(user["active"] for user in stack.sandbox.state("scim")["users"])


def test_planner_killed_again_and_again_plans_each_leaver_once(make_stack):
    stack = make_stack().start()
    emails = [f"user{number}@example.com" for number in range(60)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email) for email in emails]
    name = "producer"
    for part in range(0, len(events), 20):
        planned = len(stack.topics.events("initiated"))
        stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events[part:part + 20]])
        wait_until(lambda: len(stack.topics.events("initiated")) > planned, 30, "the planner plans", 0.005)
        stack.process(name).kill()
        name = stack.restart(name).name
    for event in events:
        stack.wait_job(offboarding_id(event), "ticket", "succeeded", 60)
        stack.wait_job(offboarding_id(event), "leave-groups", "succeeded", 60)
    stack.wait_quiet()
    assert {event["context"]["offboarding_id"] for event in stack.topics.events("initiated")} == \
        {offboarding_id(event) for event in events}
    assert stack.database.value("SELECT count(*) FROM offboarding") == len(events)
    assert stack.database.value("SELECT count(DISTINCT (topic, kafka_partition, kafka_offset)) FROM intake") == len(events)
    assert stack.database.value("SELECT count(*) FROM intake") == len(events), "an HR event has two answers"
    assert len(stack.tickets()) == len(events)


def test_scheduler_killed_again_and_again_publishes_everything(make_stack):
    stack = make_stack(settings={"clock": {"day": "50ms"}, "scheduler": {"batch_size": 5}}).start()
    emails = [f"user{number}@example.com" for number in range(15)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email) for email in emails]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    name = "scheduler"
    for comments in (1, 10):
        wait_until(lambda: sum(len(issue["comments"]) for issue in stack.tickets()) >= comments, 60, f"{comments} comments")
        stack.process(name).kill()
        name = stack.restart(name).name
    for event in events:
        stack.wait_status(offboarding_id(event), "completed", 60)
    assert [len(issue["comments"]) for issue in stack.tickets()] == [2] * len(emails)
    assert stack.sandbox.state("scim")["users"] == []


def test_sigterm_puts_running_work_off_and_a_successor_does_it(make_stack):
    stack = make_stack(settings={"worker": {"drain_grace": "500ms", "request_timeout": "20s"}}).start()
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "hang"})
    offboarding = stack.offboard(EMAIL)
    wait_until(lambda: reached(stack, "scim") == 1, 30, "the call is under way")
    assert stack.process("worker").stop(15) == 0
    stack.wait_job(offboarding, "deactivate", "ready", attempt=2)
    stack.sandbox.clear_faults("scim")
    stack.restart("worker")
    stack.wait_job(offboarding, "deactivate", "succeeded")
    stack.wait_job(offboarding, "leave-groups", "succeeded")


def test_two_workers_share_and_one_takes_over(make_stack):
    stack = make_stack().start("producer", "logger", "scheduler", "worker", "worker")
    emails = [f"user{number}@example.com" for number in range(30)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email) for email in emails]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events[:15]])
    for event in events[:15]:
        stack.wait_job(offboarding_id(event), "leave-groups", "succeeded")

    def done(name: str) -> float:
        return sum(value for sample, value in stack.metrics(name).items() if sample.startswith("offboard_jobs_total"))

    assert done("worker") > 0 and done("worker-2") > 0, "one worker did all of it"
    stack.process("worker").kill()
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events[15:]])
    for event in events:
        stack.wait_job(offboarding_id(event), "leave-groups", "succeeded", 60)
        stack.wait_job(offboarding_id(event), "ticket", "succeeded", 60)
    assert len(stack.tickets()) == len(emails)
