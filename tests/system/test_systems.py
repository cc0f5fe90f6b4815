"""How systems are: what their workers find out is on record, and `offboard status` tells it."""

import pytest
from process import wait_until

EMAIL = "jane.doe@example.com"


def system(stack, name: str) -> dict:
    rows = stack.database.query("SELECT * FROM analyst.systems WHERE system = %s", name)
    return rows[0] if rows else {"state": None}


def wait_state(stack, name: str, state: str) -> dict:
    wait_until(lambda: system(stack, name)["state"] == state, 40, f"{name} is {state}")
    return system(stack, name)


def lines(stack, name: str) -> list[str]:
    return [line for line in stack.cli("status").ok().out.splitlines() if line.startswith(f"system {name}: ")]


def leave(stack, email: str = EMAIL) -> str:
    stack.person(email)
    return stack.offboard(email)


def test_credentials_that_are_rejected(make_stack):
    stack = make_stack(settings={"systems": {"jira": {"token": "wrong-token-0123456789"}}}).start()
    offboarding = leave(stack)
    row = wait_state(stack, "jira", "refused")
    assert row["status_code"] == 401 and row["since"] and "401" in row["why"], row
    assert wait_state(stack, "scim", "up")["why"] is None
    (line,) = lines(stack, "jira")
    assert line.startswith(f"system jira: rejects our credentials since {row['since']:%Y-%m-%d}") and " (401): " in line, line
    assert not lines(stack, "scim")
    attention = stack.cli("status", "--json").ok().json["attention"]
    assert [one["system"] for one in attention["systems"]] == ["jira"]

    stack.process("worker").stop()
    stack.settings["systems"]["jira"]["token"] = stack.tokens["jira"]
    stack.write_settings()
    stack.start("worker")
    stack.cli("resume", "jira").ok()
    stack.cli("retry", offboarding).ok()
    wait_state(stack, "jira", "up")
    assert not lines(stack, "jira")
    stack.wait_job(offboarding, "ticket", "succeeded")


@pytest.mark.parametrize(("state", "fault", "status", "words"), [
    ("down", {"do": "status", "status": 503, "times": None}, 503, "is down"),
    ("throttled", {"do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 2}, 429, "throttles us")])
def test_a_system_that_is(make_stack, state, fault, status, words):
    stack = make_stack(settings={"worker": {"circuit_failures": "2", "retry_wait": "50ms"}}).start()
    stack.sandbox.fault("jira", {"match": {}, **fault})
    people = [leave(stack, f"p{number}@example.com") for number in range(3)]
    row = wait_state(stack, "jira", state)
    assert row["status_code"] == status, row
    (line,) = lines(stack, "jira")
    assert f"system jira: {words} since " in line, line
    stack.sandbox.clear_faults("jira")
    wait_until(lambda: any(stack.jobs(offboarding)["ticket"]["state"] == "succeeded" for offboarding in people), 60, "jobs go on")
    if state == "down":
        wait_state(stack, "jira", "up")
        assert [event["name"] for event in stack.topics.events() if event["context"].get("system") == "jira"
                and event["name"].startswith("system.")] == ["system.down", "system.up"]


def test_jobs_that_wait_for_a_worker(make_stack):
    stack = make_stack(settings={"scheduler": {"figures_every": "200ms", "republish_every": "200ms"}}).start(
        "producer", "logger", "scheduler")
    offboarding = leave(stack)
    for name in ("scim", "jira"):
        wait_until(lambda name=name: lines(stack, name), 30, f"{name} is missed")
        (line,) = lines(stack, name)
        assert line.startswith(f"system {name}: has no worker, and jobs wait for one since "), line
    stack.start("worker")
    stack.wait_job(offboarding, "ticket", "succeeded")
    wait_until(lambda: not lines(stack, "scim") and not lines(stack, "jira"), 30, "they have workers")
    stack.process("worker").stop()
    wait_until(lambda: "system.attended" in {event["name"] for event in stack.topics.events()}, 10, "it was told")
    assert not lines(stack, "scim"), "nothing waits for one"
