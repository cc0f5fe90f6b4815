"""Kafka forgets what a group has read when the group was away for long: jobs that were answered are not run again."""

import json

import pytest
from events import leaver, offboarding_id
from process import http, wait_until

PEOPLE = [f"former{number}@example.com" for number in range(8)]


def came_back(stack, email: str) -> None:
    """HR hired the person again, and somebody let them in."""
    account = stack.account(email)
    change = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "value": {"active": True}}]}
    reply = http("PATCH", f"{stack.sandbox.url('scim')}/Users/{account['id']}", json.dumps(change).encode(),
                 {"Authorization": f"Bearer {stack.tokens['scim']}", "Content-Type": "application/scim+json"})
    assert reply.status == 200, reply


def tickets_made(stack) -> int:
    return sum(entry["system"] == "jira" and entry["method"] == "POST" and entry["path"].endswith("/issue")
               for entry in stack.sandbox.journal(effects_only=True))


def left(stack, emails: list[str]) -> None:
    """These people leave, and come back."""
    for email in emails:
        stack.person(email)
    for offboarding in [stack.offboard(email) for email in emails]:
        stack.wait_job(offboarding, "leave-groups", "succeeded", 60)
        stack.wait_job(offboarding, "ticket", "succeeded", 60)
    stack.wait_quiet()
    for email in emails:
        came_back(stack, email)


@pytest.mark.parametrize("killed_on_the_way", [False, True])
def test_answered_jobs_are_not_run_again(make_stack, killed_on_the_way):
    stack = make_stack().start()
    left(stack, PEOPLE)
    worker = stack.process("worker")
    worker.stop()
    stack.person("late@example.com")
    waiting = stack.offboard("late@example.com")
    for system in ("scim", "jira"):
        stack.topics.forget_group(system)
    worker = stack.restart("worker")
    if killed_on_the_way:  # what Kafka knows of the group from now on lies amid the old jobs
        worker.kill()
        worker = stack.restart("worker")
    stack.wait_job(waiting, "leave-groups", "succeeded", 60)    # who revokes does not wait for what the killed worker may have done
    stack.wait_job(waiting, "ticket", "succeeded", 60)
    stack.wait_quiet()
    assert [email for email in PEOPLE if not stack.account(email)["active"]] == [], "who came back stays"
    assert not stack.account("late@example.com")["active"]
    assert tickets_made(stack) == len(PEOPLE) + 1
    assert stack.topics.lag("scim", "jobs.scim", "urgent.scim") == stack.topics.lag("jira", "jobs.jira", "urgent.jira") == 0
    assert "those that were answered are skipped" in worker.log()


def test_a_system_that_is_new_runs_what_waits_for_it(make_stack):
    stack = make_stack().start("producer", "logger", "scheduler")
    stack.person("first@example.com")
    event = leaver("first@example.com")
    stack.publish(event)
    stack.wait_job(offboarding_id(event), "ticket", "ready", 30)
    stack.start("worker")
    stack.wait_job(offboarding_id(event), "ticket", "succeeded", 60)
    job = stack.wait_job(offboarding_id(event), "leave-groups", "succeeded", 60)
    assert job["attempt"] == 1, "nothing of it had begun, so nothing is put off"
    wait_until(lambda: stack.topics.lag("scim", "jobs.scim", "urgent.scim") == 0, 20, "all is committed")
