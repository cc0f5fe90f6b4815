"""A leaver moved to a later date, to an earlier one, cancelled, rehired: before and after the start."""

from datetime import datetime, timedelta, timezone

import pytest
from events import instant, leaver, offboarding_id
from process import wait_until

EMAIL = "jane.doe@example.com"
FIRST_WAVE = ("deactivate", "leave-groups", "ticket")


def waiting(stack, **ahead: float) -> tuple[dict, str]:
    """Someone who leaves later; the event and the offboarding, once it waits."""
    stack.person(EMAIL, "4711")
    event = leaver(EMAIL, employee_id="4711", effective_at=instant(**ahead))
    stack.publish(event)
    offboarding = offboarding_id(event)
    stack.wait_status(offboarding, "waiting")
    return event, offboarding


def dispositions(stack, count: int) -> list[str]:
    return [row["disposition"] for row in stack.wait_intake(count)]


def untouched(stack) -> bool:
    return stack.account(EMAIL)["active"] is True and not stack.tickets()


def test_a_date_ahead_waits_and_then_starts(stack):
    event, offboarding = waiting(stack, seconds=3)
    assert untouched(stack) and stack.offboarding(offboarding)["started_at"] is None
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    row = stack.offboarding(offboarding)
    assert row["started_at"] >= row["effective_at"]
    patched = [entry for entry in stack.sandbox.journal("scim", changing_only=True)]
    assert min(entry["time"] for entry in patched) >= event["data"]["effective_at"][:19]
    assert dispositions(stack, 1) == ["waiting"]


def test_moved_to_a_later_date_before_the_start(stack):
    _, offboarding = waiting(stack, seconds=3)
    later = leaver(EMAIL, employee_id="4711", effective_at=instant(days=30))
    stack.publish(later)
    assert dispositions(stack, 2) == ["waiting", "moved"]
    moved = datetime.fromisoformat(later["data"]["effective_at"])
    wait_until(lambda: stack.offboarding(offboarding)["effective_at"] == moved, 10, "the date is the later one")
    wait_until(lambda: datetime.now(timezone.utc) > moved - timedelta(days=30) + timedelta(seconds=4), 10,
               "the first date has passed")
    stack.wait_quiet()
    assert stack.offboarding(offboarding)["status"] == "waiting" and untouched(stack)
    assert stack.database.value("SELECT count(*) FROM offboarding") == 1


def test_moved_to_an_earlier_date_before_the_start(stack):
    _, offboarding = waiting(stack, days=30)
    stack.publish(leaver(EMAIL, employee_id="4711", effective_at=instant(seconds=2)))
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    assert dispositions(stack, 2) == ["waiting", "moved"]
    assert len(stack.tickets()) == 1


@pytest.mark.parametrize("change", [{"effective_at": "past"}, {}], ids=["a date that has passed", "no date"])
def test_moved_to_now_starts_at_once(stack, change):
    _, offboarding = waiting(stack, days=30)
    if change:
        change = {"effective_at": instant(hours=-1)}
    stack.publish(leaver(EMAIL, employee_id="4711", **change))
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    assert dispositions(stack, 2) == ["waiting", "moved"]
    assert stack.offboarding(offboarding)["started_at"] is not None
    assert stack.database.value("SELECT count(*) FROM offboarding") == 1


def test_a_leaver_changed_event_moves_as_well_and_a_higher_priority_counts(stack):
    _, offboarding = waiting(stack, days=30)
    stack.publish(leaver(EMAIL, type="leaver.changed", employee_id="4711", effective_at=instant(seconds=1), priority="urgent"))
    stack.wait_job(offboarding, "leave-groups", "succeeded")
    assert dispositions(stack, 2) == ["waiting", "moved"]
    assert {record.key for record in stack.topics.read("urgent.scim")} == {offboarding}
    assert stack.topics.read("jobs.scim") == []


@pytest.mark.parametrize("ahead", [{"days": 30}, {"hours": -1}], ids=["later", "earlier"])
def test_another_date_after_the_start_changes_nothing(stack, ahead):
    stack.person(EMAIL, "4711")
    event = leaver(EMAIL, employee_id="4711")
    stack.publish(event)
    offboarding = offboarding_id(event)
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    before = stack.offboarding(offboarding)
    stack.publish(leaver(EMAIL, employee_id="4711", effective_at=instant(**ahead)))
    assert dispositions(stack, 2) == ["started", "duplicate"]
    stack.wait_quiet()
    after = stack.offboarding(offboarding)
    assert (after["effective_at"], after["status"]) == (before["effective_at"], "initiated")
    assert stack.database.value("SELECT count(*) FROM offboarding") == 1 and len(stack.tickets()) == 1


@pytest.mark.parametrize("type", ["leaver.cancelled", "leaver.rehired"])
def test_ended_before_the_start_nothing_happens(stack, type):
    _, offboarding = waiting(stack, seconds=3)
    stack.publish(leaver(EMAIL, type=type, employee_id="4711"))
    row = stack.wait_status(offboarding, "cancelled")
    assert dispositions(stack, 2) == ["waiting", "cancelled"]
    wait_until(lambda: datetime.now(timezone.utc) > row["effective_at"] + timedelta(seconds=1), 10, "the date has passed")
    stack.wait_quiet()
    assert untouched(stack)
    assert {job["state"] for job in stack.jobs(offboarding).values()} == {"cancelled"}
    assert set(stack.phases(offboarding).values()) == {"cancelled"}
    assert stack.topics.read("jobs.scim") == []


@pytest.mark.parametrize("type", ["leaver.cancelled", "leaver.rehired"])
def test_ended_after_the_start_what_has_not_happened_does_not(make_stack, type):
    stack = make_stack(settings={"clock": {"day": "150ms"}}).start()
    stack.person(EMAIL, "4711")
    event = leaver(EMAIL, employee_id="4711")
    stack.publish(event)
    offboarding = offboarding_id(event)
    for step in FIRST_WAVE:
        stack.wait_job(offboarding, step, "succeeded")
    stack.publish(leaver(EMAIL, type=type, employee_id="4711"))
    row = stack.wait_status(offboarding, "cancelled")
    wait_until(lambda: datetime.now(timezone.utc) > row["started_at"] + timedelta(seconds=90 * 0.15 + 1), 30,
               "day 90 has passed")
    stack.wait_quiet()
    assert {step: job["state"] for step, job in stack.jobs(offboarding).items()} == {
        **{step: "succeeded" for step in FIRST_WAVE}, "reminder": "cancelled", "delete": "cancelled", "report": "cancelled"}
    assert stack.account(EMAIL) is not None, "the account was deleted after the cancellation"
    assert stack.tickets()[0]["comments"] == []


def test_who_was_rehired_may_leave_again(stack):
    stack.person(EMAIL, "4711")
    first = leaver(EMAIL, employee_id="4711")
    stack.publish(first)
    for step in FIRST_WAVE:
        stack.wait_job(offboarding_id(first), step, "succeeded")
    stack.publish(leaver(EMAIL, type="leaver.rehired", employee_id="4711"))
    stack.wait_status(offboarding_id(first), "cancelled")
    stack.sandbox.seed("scim", {"users": [{"userName": EMAIL, "active": True}]})
    second = leaver(EMAIL, employee_id="4711")
    stack.publish(second)
    for step in FIRST_WAVE:
        stack.wait_job(offboarding_id(second), step, "succeeded")
    assert stack.account(EMAIL)["active"] is False and len(stack.tickets()) == 2
    assert dispositions(stack, 3) == ["started", "cancelled", "started"]


def test_one_person_however_the_e_mail_is_written(stack):
    """Rules, 1: one open live offboarding per person and runbook."""
    _, offboarding = waiting(stack, days=9)
    date = stack.wait_intake(1)[0]["data"]["effective_at"]
    stack.publish(leaver(EMAIL.upper(), effective_at=date))
    assert dispositions(stack, 2) == ["waiting", "duplicate"]
    assert [str(row["offboarding_id"]) for row in stack.wait_intake(2)] == [offboarding] * 2
    # Another runbook or a dry run is another matter.
    dry = leaver(EMAIL, employee_id="4711", mode="dry_run")
    stack.publish(dry)
    assert dispositions(stack, 3)[2] == "started"
    assert stack.database.value("SELECT count(*) FROM offboarding") == 2


def test_operator_cancels_by_id_and_by_person(stack):
    stack.person(EMAIL, "4711")
    stack.person("john.roe@example.com", "4712")
    ids = [stack.offboard(EMAIL), stack.offboard("john.roe@example.com")]
    for offboarding in ids:
        for step in FIRST_WAVE:
            stack.wait_job(offboarding, step, "succeeded")
    stack.cli("cancel", ids[0], "--reason", "HR called").ok()
    stack.cli("cancel", "john.roe@example.com", "--reason", "HR called").ok()
    for offboarding in ids:
        stack.wait_status(offboarding, "cancelled")
        assert stack.jobs(offboarding)["reminder"]["state"] == "cancelled"
    # Who is cancelled by an operator may leave again, as after a rehire.
    again = stack.offboard(EMAIL)
    stack.wait_job(again, "ticket", "succeeded")
