"""Sources that are polled: the worker of their system asks, and puts what is new on its own topic of HR events."""

import json
import os
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from sealed_tables import INTAKE
from process import wait_until
from stack import ROOT, Stack

EVERY = 0.3


def source(name: str, every: float = EVERY) -> str:
    """The shipped one, in a hurry, with a runbook that needs two systems only."""
    with open(os.path.join(ROOT, "producer", "sources", f"{name}.yaml"), encoding="utf-8") as file:
        text = file.read().replace("standard-leaver, ", "scim-leaver, ")
    return "\n".join(f"  every: {int(every * 1000)}ms" if line.startswith("  every: ") else line for line in text.splitlines())


def connected(make_stack, tmp_path, *, every: float = EVERY, polls=("oomnitza",), settings: dict | None = None) -> Stack:
    """Asks Oomnitza for leavers; nothing is started yet."""
    directory = tmp_path / "sources"
    directory.mkdir()
    (directory / "oomnitza.yaml").write_text(source("oomnitza", every), encoding="utf-8")
    more = settings or {}
    stack = make_stack(systems="scim,jira,oomnitza", vendors={"oomnitza": {"today": today()}}, settings={
        "definitions": {"sources": [str(directory)]},
        **more,
        "worker": {"systems": ["scim", "jira", "oomnitza"], "polls": list(polls), **more.get("worker", {})}})
    stack.settings["systems"]["oomnitza"] = {"url": stack.sandbox.url("oomnitza"), "token": "sandbox-oomnitza-token-s3cret",
                                             "per_minute": "60000"}
    stack.write_settings()
    stack.cli("topics").ok()
    return stack


@pytest.fixture
def stack(make_stack, tmp_path):
    return connected(make_stack, tmp_path).start()


def today() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def leaves(stack, email: str, sequence="1", **fields) -> str:
    """A user of Oomnitza who leaves, with an account at the SCIM vendor; the id in Oomnitza."""
    if sequence == "1" and stack.account(email) is None:
        stack.person(email)
    state = stack.sandbox.seed("oomnitza", {"users": [
        {"email": email, "first_name": "Kim", "last_name": "Doe", "status": "Offboarding", "offboarding_sequence": sequence,
         "change_date": today(), **fields}]})
    return next(user["id"] for user in state["users"] if user["email"] == email)


def rounds(stack, *workers: str, outcome: str = "succeeded") -> int:
    return int(sum(stack.metrics(worker).get(f'offboard_poll_rounds_total{{source="oomnitza",outcome="{outcome}"}}', 0)
                   for worker in workers or ("worker",)))


def wait_rounds(stack, more: int, *workers: str, outcome: str = "succeeded") -> None:
    """Until so many more rounds have ended."""
    before = rounds(stack, *workers, outcome=outcome)
    wait_until(lambda: rounds(stack, *workers, outcome=outcome) >= before + more, 30, f"{more} more rounds have {outcome}")


def row(stack, email: str) -> dict:
    """What became of the first event about the person, once it is known."""
    return wait_until(lambda: rows(stack, email), 30, f"an event about {email} is on record")[0]


def rows(stack, email: str) -> list[dict]:
    return stack.database.query(f"SELECT * FROM {INTAKE} WHERE person = %s ORDER BY received_at, kafka_offset", email)


def partitions(stack, worker: str) -> float:
    return stack.metrics(worker)['offboard_partitions_held{system="oomnitza"}']


def age(stack, worker: str = "worker") -> float:
    return stack.metrics(worker)['offboard_poll_age_seconds{source="oomnitza"}']


def test_who_is_listed_leaves_once(stack):
    key = leaves(stack, "jane@example.com", employee_id="4711")
    found = row(stack, "jane@example.com")
    assert found["disposition"] == "started", found
    offboarding = str(found["offboarding_id"])
    stack.wait_job(offboarding, "deactivate", "succeeded")
    assert not stack.account("jane@example.com")["active"]
    held = stack.offboarding(offboarding)
    assert held["runbook"] == "scim-leaver" and held["source"] == "oomnitza", held
    wait_rounds(stack, 5)
    stack.wait_quiet()
    assert len(rows(stack, "jane@example.com")) == 1, "an item is published once, however often it is listed"
    assert stack.metrics("worker")['offboard_poll_items_total{source="oomnitza",outcome="published"}'] == 1
    assert stack.metrics("worker")['offboard_poll_items_total{source="oomnitza",outcome="known"}'] >= 5
    event = stack.topics.read("polled.oomnitza")[-1]
    assert event.key == "jane@example.com", "the key is the person: nothing had to be forwarded"
    assert (event.json["source"], event.json["id"]) == ("oomnitza", f"{key}/1/{today()[:10]}")
    assert not [entry for entry in stack.sandbox.journal("oomnitza") if entry.get("changing")]


def test_a_sequence_without_a_runbook_is_told(stack):
    leaves(stack, "gap@example.com", "7")
    found = row(stack, "gap@example.com")
    assert found["disposition"] == "refused", found
    assert found["reason"] == 'no runbook serves "7": source oomnitza has them for 1, 2'
    wait_until(lambda: 'no runbook serves \\"7\\"' in stack.process("producer").log(), 30, "operators read it")
    wait_rounds(stack, 3)
    stack.wait_quiet()
    assert len(rows(stack, "gap@example.com")) == 1, "said once, not every round"


@pytest.mark.parametrize("criterion, fields", [
    ("employee", {"employee_type": "Contractor"}), ("numbered", {"offboarding_sequence": "soon"}),
    ("numbered", {"offboarding_sequence": None}),
], ids=lambda value: str(value))
def test_who_meets_no_criteria_is_ignored_once_and_looked_at_anew_when_changed(stack, criterion, fields):
    stack.person("later@example.com")
    key = leaves(stack, "later@example.com", **fields)
    found = row(stack, "later@example.com")
    assert (found["disposition"], found["criterion"]["name"]) == ("ignored", criterion), found
    wait_rounds(stack, 3)
    stack.wait_quiet()
    assert len(rows(stack, "later@example.com")) == 1
    stack.sandbox.seed("oomnitza", {"users": [{"id": key, "employee_type": "Employee", "offboarding_sequence": "1"}]})
    both = wait_until(lambda: len(found := rows(stack, "later@example.com")) == 2 and found, 30, "the change is seen")
    assert both[1]["disposition"] == "started", both


def test_the_next_sequence_is_another_event(stack):
    key = leaves(stack, "both@example.com", "7")
    assert row(stack, "both@example.com")["disposition"] == "refused"
    stack.person("both@example.com")
    stack.sandbox.seed("oomnitza", {"users": [{"id": key, "offboarding_sequence": "1"}]})
    wait_until(lambda: [one["disposition"] for one in rows(stack, "both@example.com")] == ["refused", "started"], 30, "it started")


def test_one_of_two_workers_asks_and_the_other_takes_over(make_stack, tmp_path):
    stack = connected(make_stack, tmp_path)
    stack.start("logger", "scheduler", "producer", "worker")
    wait_rounds(stack, 1)
    stack.wait_ready(stack.launch("worker"))
    stack.wait_ready(stack.process("worker"))
    workers = {"worker", "worker-2"}
    wait_until(lambda: all(partitions(stack, name) > 0 for name in workers), 30, "both hold partitions")
    # A round that was under way when partition 0 moved may still end.
    began = {name: rounds(stack, name) for name in workers}
    leader = wait_until(lambda: next((name for name in workers if rounds(stack, name) >= began[name] + 3), None), 30, "one asks")
    other = (workers - {leader}).pop()
    before = rounds(stack, other)
    wait_rounds(stack, 5, leader)
    assert rounds(stack, other) == before and age(stack, other) == 0, "only one asks"
    leaves(stack, "first@example.com")
    assert row(stack, "first@example.com")["disposition"] == "started"

    stack.process(leader).kill()
    wait_rounds(stack, 2, other)
    leaves(stack, "second@example.com")
    assert row(stack, "second@example.com")["disposition"] == "started"
    stack.wait_quiet()
    assert [one["disposition"] for one in rows(stack, "first@example.com")] == ["started", "duplicate"]
    assert stack.database.value("SELECT count(*) FROM offboarding") == 2


def test_after_a_restart_repeats_are_known(stack):
    leaves(stack, "again@example.com")
    assert row(stack, "again@example.com")["disposition"] == "started"
    assert stack.process("worker").stop() == 0
    stack.restart("worker")
    repeated = wait_until(lambda: len(found := rows(stack, "again@example.com")) == 2 and found, 30, "it was published again")
    assert repeated[1]["disposition"] == "duplicate" and repeated[1]["reason"] == "this event was received before"
    assert stack.database.value("SELECT count(*) FROM offboarding") == 1


def test_a_vendor_that_is_down(make_stack, tmp_path):
    stack = connected(make_stack, tmp_path, settings={"worker": {"circuit_failures": 2}}).start()
    wait_rounds(stack, 1)
    stack.sandbox.fault("oomnitza", {"match": {}, "do": "status", "status": 503, "times": None})
    wait_until(lambda: age(stack) > 2, 30, "the last success is a while ago")
    leaves(stack, "patient@example.com")
    stack.sandbox.clear_faults("oomnitza")
    assert row(stack, "patient@example.com")["disposition"] == "started"
    wait_until(lambda: age(stack) < 1, 30, "it asks with success again")


def test_a_refusal_is_told_and_asked_again(make_stack, tmp_path):
    stack = connected(make_stack, tmp_path).start()
    wait_rounds(stack, 1)
    stack.sandbox.fault("oomnitza", {"match": {"path": "/users$"}, "do": "status", "status": 400, "times": 2})
    wait_rounds(stack, 1, outcome="failed")
    wait_rounds(stack, 2)
    told = [json.loads(line) for line in stack.process("worker").log().splitlines() if "could not poll" in line]
    assert told and told[0]["source"] == "oomnitza" and "the vendor answered 400" in told[0]["error"], told


def test_refused_credentials_pause_the_system_and_its_polls(stack):
    wait_rounds(stack, 1)
    stack.sandbox.settings("oomnitza", token="another-s3cret")
    wait_until(lambda: stack.database.query("SELECT * FROM system_pause WHERE system = 'oomnitza'"), 30, "it is paused")
    wait_until(lambda: age(stack) > 1, 30, "time passes")
    asked = len(stack.sandbox.journal("oomnitza"))
    wait_until(lambda: age(stack) > 1 + 5 * EVERY, 30, "several rounds were due")
    assert len(stack.sandbox.journal("oomnitza")) == asked, "a paused system is not asked"
    stack.sandbox.settings("oomnitza", token="sandbox-oomnitza-token-s3cret")
    stack.cli("resume", "oomnitza").ok()
    wait_rounds(stack, 2)


def test_an_item_without_an_id_stops_no_other(make_stack, tmp_path):
    stack = connected(make_stack, tmp_path)
    path = tmp_path / "sources" / "oomnitza.yaml"
    path.write_text("\n".join('  id: "${ .item.employee_id }"' if line.startswith("  id: ") else line
                              for line in path.read_text().splitlines()), encoding="utf-8")
    stack.start()
    leaves(stack, "nameless@example.com")
    leaves(stack, "named@example.com", employee_id="E-1")
    assert row(stack, "named@example.com")["disposition"] == "started"
    assert rows(stack, "nameless@example.com") == []
    assert "polled items skipped" in stack.process("worker").log()


def test_nothing_is_polled_unless_asked_for(make_stack, tmp_path):
    stack = connected(make_stack, tmp_path, polls=()).start()
    assert not [name for name in stack.metrics("worker") if name.startswith("offboard_poll")]
    stack.settings["worker"]["polls"] = ["cloudevents"]
    stack.write_settings()
    wrong = stack.launch("worker")
    wait_until(lambda: not wrong.running, 30, "it ends")
    stack.processes.remove(wrong)
    assert 'there is no source \\"cloudevents\\" with `poll`' in wrong.log()


RUNBOOK = """\
runbook: member-deactivated
phases:
  - name: initial
    steps:
      - {id: access, system: scim, action: deactivate_user}
"""


def test_members_that_assetsonar_deactivated(make_stack, tmp_path):
    for kind, name, text in (("sources", "assetsonar", source("assetsonar")), ("runbooks", "member-deactivated", RUNBOOK)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.yaml").write_text(text, encoding="utf-8")
    stack = make_stack(systems="scim,jira,assetsonar", settings={
        "definitions": {kind: [str(tmp_path / kind)] for kind in ("sources", "runbooks")},
        "worker": {"systems": ["scim", "jira", "assetsonar"], "polls": ["assetsonar"]}})
    stack.settings["systems"]["assetsonar"] = {"url": stack.sandbox.url("assetsonar"), "token": "assetsonar-sandbox-s3cret",
                                               "per_minute": "60000"}
    stack.write_settings()
    stack.cli("topics").ok()
    days = {name: (datetime.now(timezone.utc) - timedelta(days=ago)).strftime("%Y-%m-%d") for name, ago in (("gone", 1), ("old", 30))}
    for name, custom in (("gone", {"deactivated_at": days["gone"]}), ("old", {"deactivated_at": days["old"]}), ("unknown", {}),
                         ("odd", {"deactivated_at": "31.12.2019"})):
        stack.person(f"{name}@example.com")
        stack.sandbox.seed("assetsonar", {"members": [{"email": f"{name}@example.com", "status": 0, "custom": custom}]})
    stack.start()
    found = row(stack, "gone@example.com")
    assert found["disposition"] == "started", found
    stack.wait_status(str(found["offboarding_id"]), "completed")
    unknown = row(stack, "unknown@example.com")
    assert (unknown["disposition"], unknown["criterion"]["name"]) == ("ignored", "on a day that is known"), unknown
    odd = row(stack, "odd@example.com")
    assert odd["disposition"] == "refused", odd
    before = stack.metrics("worker")['offboard_poll_rounds_total{source="assetsonar",outcome="succeeded"}']
    wait_until(lambda: stack.metrics("worker")['offboard_poll_rounds_total{source="assetsonar",outcome="succeeded"}'] >= before + 3, 30,
               "it asked again")
    stack.wait_quiet()
    assert [len(rows(stack, f"{name}@example.com")) for name in ("gone", "old", "unknown", "odd")] == [1, 0, 1, 1]
    assert [stack.account(f"{name}@example.com")["active"] for name in ("gone", "old", "unknown", "odd")] == [False, True, True, True]


@pytest.mark.parametrize("old, new, said", [
    ("action: list_leavers", "action: list_leaver", 'did you mean "list_leavers"'),
    ("system: oomnitza", "system: oomnitsa", 'did you mean "oomnitza"'),
    ("action: list_leavers", "action: deactivate_seats", "only one that reads can"),
    ("action: list_leavers", "action: list_assets", "one with `accounts: none` can"),
    ("every: 300ms", "every: often", '"every"'),
    ("every: 300ms", "every: 0s", "above 0"),
    ("${ .outputs.users }", "${ .body.users }", "there is no .body here"),
    ("${ .outputs.users }", "users", "must be an expression"),
    ("every: 300ms", "every: 5m\n  with: {days: 3}", 'has no parameter "days"'),
    ("every: 300ms", "every: 5m\n  type: com.oomnitza.leave", 'did you mean "com.oomnitza.leaver"'),
    ('"2": zoom-package', '"2": zoom-packet', 'did you mean "zoom-package"'),
    ("    by: ", "    on: ", '"by" is missing'),
], ids=lambda value: None)
def test_what_validate_says(servers, tmp_path, old, new, said):
    text = source("oomnitza")
    assert old in text
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "oomnitza.yaml").write_text(text.replace(old, new), encoding="utf-8")
    (tmp_path / "offboard.yaml").write_text("definitions: {sources: [sources]}\n", encoding="utf-8")
    done = subprocess.run([os.path.join(servers.build, "offboard"), "validate"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "oomnitza.yaml:" in done.stdout and said in done.stdout, done
