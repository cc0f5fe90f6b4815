"""Who is told: `mirror` and `notify` of a runbook of one's own, read back from the ticket."""

import os

import pytest
from process import wait_until

RUNBOOK = """\
runbook: told
mirror:
  - system: jira
    action: comment
    needs: [ticket]
    with:
      issue: "${ .steps.ticket.outputs.key }"
      text: "mirror ${ [.results[] | .step + \\"=\\" + .outcome] | join(\\" \\") }"
notify:
  on_failure:
    - system: jira
      action: create_ticket
      with: {summary: "failed: ${ [.results[] | .step] | join(\\" \\") }"}
  on_phase_end:
    - system: jira
      action: comment
      needs: [ticket]
      with:
        issue: "${ .steps.ticket.outputs.key }"
        text: "report of ${ .results[0].phase }: ${ [.results[] | .step + \\" \\" + .state] | join(\\", \\") }"
phases:
  - name: initial
    steps:
      - {id: ticket, system: jira, action: create_ticket}
      - {id: gone, system: scim, action: deactivate_user}
      - {id: groups, system: scim, action: leave_groups}
  - name: later
    after: 5d
    steps:
      - {id: delete, system: scim, action: delete_user}
"""


@pytest.fixture
def stack(make_stack, tmp_path):
    folder = tmp_path / "runbooks"
    os.makedirs(folder)
    (folder / "told.yaml").write_text(RUNBOOK, encoding="utf-8")
    return make_stack(settings={"definitions": {"runbooks": [str(folder)]}, "clock": {"day": "100ms"},
                                "worker": {"retry_wait": "1s"}}).start()


def texts(stack, beginning: str) -> list[str]:
    return [comment["text"] for ticket in stack.tickets() for comment in ticket["comments"] if comment["text"].startswith(beginning)]


def told(stack) -> list[str]:
    """Each result that the mirror brought, in any order: a comment may bring several."""
    return sorted(result for text in texts(stack, "mirror ") for result in text.split()[1:])


def test_every_result_once_and_a_report_for_each_phase(stack):
    stack.person("jane@example.com")
    offboarding = stack.offboard("jane@example.com", runbook="told")
    stack.wait_status(offboarding, "completed", 60)
    assert told(stack) == ["delete=succeeded", "gone=succeeded", "groups=succeeded", "ticket=succeeded"]
    assert texts(stack, "report") == [
        "report of initial: ticket succeeded, gone succeeded, groups succeeded", "report of later: delete succeeded"]
    assert len(stack.tickets()) == 1, "there was nothing to warn of"
    row = stack.database.one("SELECT * FROM analyst.offboardings")
    assert (row["jobs"], row["percent"]) == (4, 100), "followers are no steps"


def test_a_logger_that_dies_tells_nothing_twice(stack):
    people = [f"user{number}@example.com" for number in range(6)]
    for email in people:
        stack.person(email)
    offboardings = [stack.offboard(email, runbook="told") for email in people]
    for name in ("logger", "logger-2", "logger-3"):
        before = stack.database.value("SELECT count(*) FROM result")
        wait_until(lambda seen=before: stack.database.value("SELECT count(*) FROM result") > seen
                   or stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'completed'") == 6,
                   30, "results come in")
        stack.process(name).kill()
        stack.restart(name)
    for offboarding in offboardings:
        stack.wait_status(offboarding, "completed", 60)
    assert told(stack) == sorted(6 * ["delete=succeeded", "gone=succeeded", "groups=succeeded", "ticket=succeeded"])


def test_failures_are_told_apart_and_after_a_retry_the_phase_is_reported_anew(stack):
    stack.person("jane@example.com")
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "/Users/"}, "do": "status", "status": 400, "times": None})
    offboarding = stack.offboard("jane@example.com", runbook="told")
    stack.wait_job(offboarding, "gone", "failed")
    wait_until(lambda: len(stack.tickets()) == 2 and texts(stack, "report"), 30, "the failure and the phase are reported")
    assert sorted(ticket["fields"]["summary"] for ticket in stack.tickets())[1] == "failed: gone"
    assert texts(stack, "report") == ["report of initial: ticket succeeded, gone failed, groups succeeded"]
    told_of = stack.cli("status", offboarding).ok().out.split("FOLLOWER ", 1)[1]
    assert [line.split()[0] for line in told_of.splitlines()[1:]] == ["mirror-1", "on-failure-1", "on-phase-end-1"]
    stack.sandbox.clear_faults("scim")
    stack.cli("retry", offboarding).ok()
    stack.wait_status(offboarding, "completed", 60)
    assert texts(stack, "report")[1] == "report of initial: ticket succeeded, gone succeeded, groups succeeded"
    assert told(stack) == ["delete=succeeded", "gone=failed", "gone=succeeded", "groups=succeeded", "ticket=succeeded"]


def test_what_could_not_be_told_is_a_failure_that_can_be_retried(stack):
    stack.person("jane@example.com")
    stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/comment$"}, "do": "status", "status": 400, "times": None})
    offboarding = stack.offboard("jane@example.com", runbook="told")
    stack.wait_job(offboarding, "delete", "succeeded", 60)
    stack.wait_job(offboarding, "mirror-1", "failed")
    stack.sandbox.clear_faults("jira")
    stack.wait_quiet()
    assert stack.offboarding(offboarding)["status"] == "initiated"
    stack.cli("retry", offboarding).ok()
    stack.wait_status(offboarding, "completed", 60)
    assert told(stack) == ["delete=succeeded", "gone=succeeded", "groups=succeeded", "ticket=succeeded"]


def test_who_is_told_hears_of_a_cancellation_too(stack):
    stack.person("jane@example.com")
    stack.cli("pause", "scim", "--reason", "maintenance").ok()
    wait_until(lambda: stack.database.value("SELECT count(*) FROM system_pause") == 1, 30, "the system is paused")
    offboarding = stack.offboard("jane@example.com", runbook="told")
    wait_until(lambda: told(stack) == ["ticket=succeeded"], 30, "what was done is told")
    stack.cli("cancel", offboarding, "--reason", "stays after all").ok()
    stack.wait_status(offboarding, "cancelled")
    wait_until(lambda: texts(stack, "report"), 30, "the phase is reported")
    assert told(stack) == ["ticket=succeeded"], "what was not done is told in the report, once"
    assert texts(stack, "report") == ["report of initial: ticket succeeded, gone cancelled, groups cancelled"]


def test_a_dry_run_tells_nobody(stack):
    stack.person("jane@example.com")
    offboarding = stack.offboard("jane@example.com", runbook="told", mode="dry_run")
    stack.wait_status(offboarding, "completed", 60)
    assert stack.tickets() == []


def test_the_plan_says_who_is_told(stack):
    plan = stack.cli("plan", "jane@example.com", "--runbook", "told").ok().out
    assert [line.split() for line in plan.split("told of results\n")[1].splitlines()] == [
        ["mirror-1", "jira", "comment", "notify", "every", "result", "after", "ticket"],
        ["on-failure-1", "jira", "create_ticket", "notify", "failures"],
        ["on-phase-end-1", "jira", "comment", "notify", "a", "phase", "that", "is", "over", "after", "ticket"]]
