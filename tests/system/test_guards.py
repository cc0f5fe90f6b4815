"""Guards: a cap beyond which offboardings are held, and people who may never be offboarded."""

from collections import Counter

import pytest
from events import leaver, offboarding_id
from sealed_tables import OFFBOARDING
from process import wait_until


def spread(count: int) -> list[str]:
    return [f"user{number}@example.com" for number in range(count)]


def test_of_300_events_50_run_250_are_held_and_one_command_approves_them(make_stack):
    stack = make_stack(settings={"guards": {"cap_per_hour": 50}}).start()
    emails = spread(300)
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email) for email in emails]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])

    rows = stack.wait_intake(300, 60)
    assert Counter(row["disposition"] for row in rows) == {"started": 50, "held": 250}
    stack.wait_quiet(60)
    assert sum(not user["active"] for user in stack.sandbox.state("scim")["users"]) == 50
    held = stack.cli("status", "--held", "--limit", "1000", "--json").ok().json["offboardings"]
    assert len(held) == 250
    assert all("cap_per_hour" in row["reason"] for row in stack.wait_intake(300) if row["disposition"] == "held")

    stack.cli("approve", "--held").ok()
    wait_until(lambda: not any(user["active"] for user in stack.sandbox.state("scim")["users"]), 90, "all 300 are out")
    wait_until(lambda: len(stack.tickets()) == 300, 60, "all have their ticket")
    statuses = stack.database.query("SELECT status, count(*) FROM offboarding GROUP BY status")
    assert [(row["status"], row["count"]) for row in statuses] == [("initiated", 300)]
    assert stack.cli("status", "--held", "--json").ok().json["offboardings"] == []


def test_reading_again_decides_alike(make_stack):
    """The cap is counted by record timestamps: a planner that reads its partition again holds the same ones."""
    stack = make_stack(settings={"guards": {"cap_per_hour": 9}}).start("producer", "logger")
    emails = spread(30)
    stack.topics.publish_many("intake", [(email, leaver(email)) for email in emails])
    first = Counter(row["disposition"] for row in stack.wait_intake(30))
    assert first == {"started": 9, "held": 21}
    stack.process("producer").kill()
    stack.restart("producer")
    more = [f"more{number}@example.com" for number in range(12)]
    stack.topics.publish_many("intake", [(email, leaver(email)) for email in more])
    rows = stack.wait_intake(42)
    assert Counter(row["disposition"] for row in rows) == {"started": 9, "held": 33}, "the restart forgot the cap"


def test_approve_one_of_the_held(make_stack):
    stack = make_stack(settings={"guards": {"cap_per_hour": 3}}).start()
    emails = spread(9)
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    for email in emails:
        stack.publish(leaver(email))
    stack.wait_intake(9)
    stack.wait_quiet()
    held = stack.database.query(f"SELECT id, leaver ->> 'email' AS email FROM {OFFBOARDING} WHERE status = 'held' ORDER BY id")
    assert held
    chosen, email = str(held[0]["id"]), held[0]["email"]
    stack.cli("approve", chosen).ok()
    stack.wait_job(chosen, "ticket", "succeeded")
    stack.wait_job(chosen, "deactivate", "succeeded")
    assert stack.account(email)["active"] is False
    assert stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'held'") == len(held) - 1
    # Twice is once, and on record as refused.
    again = stack.cli("approve", chosen)
    assert again.status == 1 and f"refused: {chosen}: the offboarding is initiated" in again.err and not again.out, again
    assert stack.database.value("SELECT count(*) FROM event WHERE name = 'order.approve'") == 2


@pytest.mark.parametrize("protected, user", [
    ("ceo@example.com", {"email": "CEO@example.com"}),
    ("ceo@example.com", {"email": "chief@example.com", "emails": ["ceo@example.com"]}),
    ("1", {"email": "chief@example.com", "employee_id": "1"}),
], ids=["e-mail", "alias", "employee id"])
def test_protected_person_is_refused_on_record(make_stack, protected, user):
    stack = make_stack(settings={"guards": {"protected": [protected]}}).start()
    stack.person(user["email"].lower())
    event = leaver(user["email"], user=user)
    stack.publish(event)
    row = stack.wait_intake(1)[0]
    assert row["disposition"] == "refused" and "protected" in row["reason"]
    stack.wait_quiet()
    assert stack.database.value("SELECT count(*) FROM offboarding") == 0
    assert stack.sandbox.journal() == [] and stack.topics.read("jobs.scim") == []
    names = [row["name"] for row in stack.database.query("SELECT name FROM event")]
    assert "intake" in names, "the refusal is not in the audit"


def test_protected_account_is_not_touched(make_stack):
    stack = make_stack(settings={"guards": {"protected": ["ceo@example.com"]}})
    key = stack.person("shared@example.com")
    stack.configure({"guards": {"protected": [f"scim:{key}"]}})
    stack.start()
    offboarding = stack.offboard("shared@example.com")
    job = stack.wait_job(offboarding, "deactivate", "failed")
    assert job["outcome"] == "blocked" and "protected" in job["reason"]
    assert stack.account("shared@example.com")["active"] is True
    assert stack.sandbox.journal("scim", changing_only=True) == []


def test_the_managers_account_is_not_touched(stack):
    """Rules, 13: a leaver whose pinned account is the manager's is a mistake somewhere."""
    key = stack.person("boss@example.com")
    event = leaver("jane.doe@example.com", user={"manager": {"email": "boss@example.com"}}, ids={"scim": [key]})
    stack.publish(event)
    job = stack.wait_job(offboarding_id(event), "deactivate", "failed")
    assert job["outcome"] == "blocked", job["reason"]
    assert stack.account("boss@example.com")["active"] is True


def test_accounts_that_an_event_names_are_confirmed_not_searched(stack):
    """Rules, 3: an event may bring account ids; they have to be there, and nobody is looked up by e-mail."""
    key = stack.person("old.name@example.com")
    named = leaver("new.name@example.com", ids={"scim": [key]})
    wrong = leaver("jane.doe@example.com", ids={"scim": ["no-such-account"]})
    stack.person("jane.doe@example.com")
    for event in (named, wrong):
        stack.publish(event)
    stack.wait_job(offboarding_id(named), "deactivate", "succeeded")
    assert stack.account("old.name@example.com")["active"] is False
    job = stack.wait_job(offboarding_id(wrong), "deactivate", "failed")
    assert job["outcome"] == "blocked" and "no-such-account" in job["reason"]
    assert stack.account("jane.doe@example.com")["active"] is True
    searches = [entry for entry in stack.sandbox.journal("scim") if "userName" in entry["query"]]
    assert searches == [], "somebody was looked up by e-mail"
