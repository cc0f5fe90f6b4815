"""GitLab's issues in the place of a ticket system, and signed webhooks beside them: a runbook that mirrors into both."""

import os

import pytest
from process import wait_until

RUNBOOK = """\
runbook: mirrored
mirror:
  - system: gitlab
    action: comment_issue
    needs: [ticket]
    with: {issue: "${ .steps.ticket.outputs.key }", text: "${ .report }"}
  - system: webhook
    action: send
    with: {type: offboarding.results, data: {results: "${ .results }"}}
phases:
  - name: initial
    steps:
      - {id: ticket, system: gitlab, action: create_issue}
      - {id: block, system: gitlab, action: block_user}
      - {id: keys, system: gitlab, action: delete_keys}
"""
TOKEN, SECRET = "glpat-0123456789-of-the-mirror", "whsec_dGhlLWtleS1vZi10aGlzLXRlc3QtaXMtbG9uZy1lbm91Z2g="
LEAVER = "jane@example.com"


@pytest.fixture
def stack(make_stack, tmp_path):
    folder = tmp_path / "runbooks"
    os.makedirs(folder)
    (folder / "mirrored.yaml").write_text(RUNBOOK, encoding="utf-8")
    stack = make_stack(systems="gitlab,webhook", vendors={"gitlab": {"token": TOKEN}, "webhook": {"secret": SECRET}})
    stack.configure({
        "definitions": {"runbooks": [str(folder)]}, "worker": {"systems": ["gitlab", "webhook"]},
        "systems": {"gitlab": {"url": stack.sandbox.url("gitlab"), "token": TOKEN, "project": "it/offboarding", "settle": "1s",
                               "per_minute": "60000"},
                    "webhook": {"url": stack.sandbox.url("webhook") + "/hooks/it", "secret": SECRET, "per_minute": "60000"}}})
    stack.cli("topics").ok()
    return stack.start()


def results(stack) -> list[tuple[str, str]]:
    return sorted((result["step"], result["outcome"]) for event in stack.sandbox.state("webhook")["events"]
                  for result in event["data"]["results"])


def test_every_result_is_told_to_both(stack):
    stack.sandbox.seed("gitlab", {"users": [{"email": LEAVER, "keys": 1}]})
    offboarding = stack.offboard(LEAVER, runbook="mirrored")
    stack.wait_status(offboarding, "completed", 60)
    issue, = stack.sandbox.state("gitlab")["issues"]
    user = stack.sandbox.state("gitlab")["users"][0]
    text = "\n".join(issue["notes"])
    assert (user["state"], user["keys"], issue["state"]) == ("blocked", [], "opened")
    told = sorted(line.strip() for line in text.splitlines() if line.startswith("✅"))
    assert told == ["✅ GitLab: 1 SSH key deleted", "✅ GitLab: account blocked: no sign-in, no Git, no API"]
    wait_until(lambda: len(results(stack)) == 3, 30, "the receiver knows all")
    assert results(stack) == [("block", "succeeded"), ("keys", "succeeded"), ("ticket", "succeeded")]
    assert not any(event["repeats"] for event in stack.sandbox.state("webhook")["events"])


def test_a_receiver_that_loses_answers_knows_the_repeats(stack):
    stack.sandbox.fault("webhook", {"match": {"method": "POST"}, "do": "lose_answer", "times": 2})
    stack.sandbox.seed("gitlab", {"users": [{"email": LEAVER}]})
    stack.wait_status(stack.offboard(LEAVER, runbook="mirrored"), "completed", 60)
    assert results(stack) == [("block", "succeeded"), ("keys", "succeeded"), ("ticket", "succeeded")], "told twice, or not at all"
    assert sum(event["repeats"] for event in stack.sandbox.state("webhook")["events"]) == 2
