"""Vendors that throttle, fail, lie or fall silent."""

from datetime import timedelta

from process import wait_until
from unconfirmed import hasty

EMAIL = "jane.doe@example.com"


def deactivations(stack, email: str = EMAIL) -> list[dict]:
    """Requests that asked for the account's deactivation, granted or not."""
    path = f"/Users/{stack.account(email)['id']}"
    return [entry for entry in stack.sandbox.journal("scim", changing_only=True) if entry["path"] == path]


def message(stack, job: dict) -> str:
    return stack.database.value("SELECT message FROM analyst.timeline WHERE job_id = %s AND name = 'job.succeeded'", job["id"])


def test_retry_after_an_hour_blocks_nobody_and_is_obeyed(make_stack):
    # An hour of a day that lasts two minutes is five seconds.
    stack = make_stack(settings={"clock": {"day": "2m"}, "worker": {"in_flight": 2, "urgent_slots": 1}}).start()
    throttled, others = "slow@example.com", [f"user{number}@example.com" for number in range(6)]
    for email in (throttled, *others):
        stack.person(email)
    path = f"^/Users/{stack.account(throttled)['id']}$"
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": path}, "do": "status", "status": 429, "times": 1,
                                 "headers": {"Retry-After": "3600"}})
    first = stack.offboard(throttled)
    job = stack.wait_job(first, "deactivate", "ready", attempt=2)
    assert stack.jobs(first)["deactivate"]["outcome"] == "deferred"

    started = [stack.offboard(email) for email in others]
    for offboarding in started:
        stack.wait_job(offboarding, "leave-groups", "succeeded", 10)

    def running() -> float:
        return sum(value for name, value in stack.metrics("worker").items()
                   if name.startswith("offboard_jobs_running") and 'system="scim"' in name)

    wait_until(lambda: running() == 0, 1, "the throttled job holds no worker")
    assert stack.jobs(first)["deactivate"]["state"] == "ready"

    done = stack.wait_job(first, "deactivate", "succeeded", 30)
    assert done["due_at"] - job["due_at"] == timedelta(0)
    calls = deactivations(stack, throttled)
    assert [entry["status"] for entry in calls][0] == 429 and calls[1]["status"] in (200, 204) and len(calls) == 2
    between = stack.database.value(
        "SELECT extract(epoch FROM (max(occurred_at) - min(occurred_at)))::float FROM event"
        " WHERE job_id = %s AND name IN ('job.deferred', 'job.succeeded')", done["id"])
    assert 4.9 <= between < 15, f"called again after {between} s instead of five"
    assert stack.account(throttled)["active"] is False


def test_short_retry_after_is_waited_out_inside_the_worker(stack):
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "status", "status": 429, "times": 1,
                                 "headers": {"Retry-After": "1"}})
    offboarding = stack.offboard(EMAIL)
    job = stack.wait_job(offboarding, "deactivate", "succeeded")
    assert job["attempt"] == 1 and job["duration_ms"] >= 1000


def test_vendor_down_opens_the_circuit_and_work_resumes(stack):
    emails = [f"user{number}@example.com" for number in range(8)]
    for email in emails:
        stack.person(email)
    stack.sandbox.fault("scim", {"do": "down"})
    offboardings = [stack.offboard(email) for email in emails]

    def circuit() -> float:
        return sum(value for name, value in stack.metrics("worker").items()
                   if name.startswith("offboard_circuit_open") and 'system="scim"' in name)

    wait_until(lambda: circuit() == 1, 30, "the circuit is open")
    for offboarding in offboardings:
        # The other system's work is untouched.
        stack.wait_job(offboarding, "ticket", "succeeded")
    hits = sum(rule["hits"] for rule in stack.sandbox.faults("scim"))
    wait_until(lambda: sum(rule["hits"] for rule in stack.sandbox.faults("scim")) > hits, 10, "the vendor is probed")
    assert circuit() == 1
    states = {stack.jobs(offboarding)["deactivate"]["state"] for offboarding in offboardings}
    assert states == {"ready"}, states

    stack.sandbox.clear_faults("scim")
    for offboarding in offboardings:
        job = stack.wait_job(offboarding, "deactivate", "succeeded")
        assert job["attempt"] == 1, "an attempt was spent on a vendor that was down"
        stack.wait_job(offboarding, "leave-groups", "succeeded")
    wait_until(lambda: circuit() == 0, 5, "the circuit is closed")


def test_server_errors_are_retried(stack):
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "status", "status": 503, "times": 2})
    offboarding = stack.offboard(EMAIL)
    job = stack.wait_job(offboarding, "deactivate", "succeeded")
    assert job["attempt"] == 1
    assert [entry["status"] for entry in deactivations(stack)][:2] == [503, 503]
    events = stack.topics.events("job.succeeded", offboarding)
    calls = next(event for event in events if event["context"]["step"] == "deactivate")["context"]["calls"]
    assert max(call["try"] for call in calls if call["method"] == "PATCH") == 3


def test_a_vendor_that_answers_200_and_does_nothing_ends_as_failed(make_stack, tmp_path):
    stack = make_stack(settings={"definitions": {"connectors": [hasty("scim", str(tmp_path))]}}).start()
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "noop"})
    offboarding = stack.offboard(EMAIL)
    job = stack.wait_job(offboarding, "deactivate", "failed", 60)
    assert job["verified"]["ok"] is False and job["verified_at"] is None
    assert "not confirmed" in job["reason"], job["reason"]
    assert stack.phases(offboarding)["initial"] == "initiated"
    assert stack.offboarding(offboarding)["status"] == "initiated"
    failures = stack.database.query("SELECT * FROM analyst.open_failures WHERE offboarding_id = %s", offboarding)
    assert [(row["step"], row["effect"]) for row in failures] == [("deactivate", "revoke")]
    # A person looks, the vendor behaves, and a retry does it.
    stack.sandbox.clear_faults("scim")
    stack.cli("retry", offboarding, "--step", "deactivate").ok()
    assert stack.wait_job(offboarding, "deactivate", "succeeded")["attempt"] == 2
    assert stack.account(EMAIL)["active"] is False


def test_an_answer_lost_after_the_effect_ends_as_succeeded_by_reading_back(stack):
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "lose_answer", "times": 1})
    offboarding = stack.offboard(EMAIL)
    job = stack.wait_job(offboarding, "deactivate", "succeeded")
    assert job["verified"]["ok"] is True
    assert len(deactivations(stack)) == 1, "the change was sent again though it had worked"
    assert "reading back" in message(stack, job)


def test_an_error_that_hides_success_ends_as_succeeded(stack):
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "status_after", "status": 400,
                                 "times": 1})
    job = stack.wait_job(stack.offboard(EMAIL), "deactivate", "succeeded")
    assert job["verified"]["ok"] is True and len(deactivations(stack)) == 1


def test_refusal_is_failed_and_the_others_go_on(stack):
    stack.person(EMAIL)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": "^/Users/"}, "do": "status", "status": 400})
    offboarding = stack.offboard(EMAIL)
    job = stack.wait_job(offboarding, "deactivate", "failed")
    assert job["outcome"] == "failed" and "400" in job["reason"]
    stack.wait_job(offboarding, "leave-groups", "succeeded")
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.cli("skip", offboarding, "--step", "deactivate", "--reason", "done by hand").ok()
    assert stack.wait_job(offboarding, "deactivate", "skipped")


def test_refused_credentials_pause_the_system(make_stack):
    stack = make_stack(settings={"systems": {"scim": {"token": "stale-token-of-last-year"}}}).start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    # Which of scim's two jobs comes first is open; the other one may find the system paused, and waits.
    refused = wait_until(lambda: [job for job in stack.jobs(offboarding).values() if job["state"] == "failed"], 30, "a job is refused")
    assert {(job["system"], job["outcome"]) for job in refused} == {("scim", "denied")}
    paused = wait_until(lambda: stack.database.query("SELECT * FROM system_pause"), 20, "scim is paused")
    assert [row["system"] for row in paused] == ["scim"]
    stack.wait_job(offboarding, "ticket", "succeeded")


def test_part_of_a_list_may_fail_and_a_retry_takes_only_those(stack):
    groups = tuple(f"Group {number}" for number in range(5))
    stack.person(EMAIL, groups=groups)
    state = stack.sandbox.state("scim")
    bad = next(group["id"] for group in state["groups"] if group["displayName"] == "Group 3")
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": f"^/Groups/{bad}$"}, "do": "status", "status": 400})
    offboarding = stack.offboard(EMAIL)
    job = stack.wait_job(offboarding, "leave-groups", "failed")
    assert bad in job["reason"]
    assert stack.account(EMAIL)["groups"] == ["Group 3"]
    sent = len([entry for entry in stack.sandbox.journal("scim", changing_only=True) if entry["path"].startswith("/Groups/")])
    stack.sandbox.clear_faults("scim")
    stack.cli("retry", offboarding).ok()
    stack.wait_job(offboarding, "leave-groups", "succeeded")
    again = [entry for entry in stack.sandbox.journal("scim", changing_only=True) if entry["path"].startswith("/Groups/")][sent:]
    assert [entry["path"] for entry in again] == [f"/Groups/{bad}"]
