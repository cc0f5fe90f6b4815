"""A dry run makes no changing call, and the journal proves it."""

from events import leaver, offboarding_id

EMAIL = "jane.doe@example.com"


def test_dry_run_changes_nothing_and_says_what_it_would_do(make_stack):
    stack = make_stack(settings={"clock": {"day": "20ms"}}).start()
    stack.person(EMAIL, "4711")
    before = stack.sandbox.state("scim")
    event = leaver(EMAIL, employee_id="4711", mode="dry_run")
    stack.publish(event)
    offboarding = offboarding_id(event)
    row = stack.wait_status(offboarding, "completed", 60)
    stack.wait_quiet()

    assert row["mode"] == "dry_run"
    assert stack.sandbox.journal(changing_only=True) == []
    assert stack.sandbox.journal("scim"), "nothing was read either: the dry run shows nothing"
    assert stack.sandbox.state("scim") == before and stack.tickets() == []
    messages = {row["step"]: row["message"] for row in stack.database.query(
        "SELECT step, message FROM analyst.timeline WHERE offboarding_id = %s AND name = 'job.succeeded'", offboarding)}
    assert messages["deactivate"].startswith("dry run"), messages
    assert messages["ticket"].startswith("dry run"), messages
    succeeded = stack.topics.events("job.succeeded", offboarding)
    calls = [call for event in succeeded for call in event["context"].get("calls") or [] if call.get("changes")]
    assert calls and all(call.get("dry_run") for call in calls)
    # Accounts were found: who asks "what would happen?" learns whom it would hit.
    assert stack.offboarding(offboarding)["ids"]["scim"] == [stack.account(EMAIL)["id"]]


def test_dry_run_neither_blocks_nor_is_blocked(stack):
    stack.person(EMAIL, "4711")
    dry, live = (leaver(EMAIL, employee_id="4711", mode=mode) for mode in ("dry_run", "live"))
    again = leaver(EMAIL, employee_id="4711", mode="dry_run")
    for event in (dry, live, again):
        stack.publish(event)
    assert [row["disposition"] for row in stack.wait_intake(3)] == ["started"] * 3
    stack.wait_job(offboarding_id(live), "deactivate", "succeeded")
    stack.wait_job(offboarding_id(again), "deactivate", "succeeded")
    assert stack.account(EMAIL)["active"] is False


def test_dry_run_of_someone_unknown_is_missing(stack):
    event = leaver("nobody@example.com", mode="dry_run")
    stack.publish(event)
    job = stack.wait_job(offboarding_id(event), "deactivate", "skipped")
    assert job["outcome"] == "missing"
    assert stack.sandbox.journal(changing_only=True) == []
