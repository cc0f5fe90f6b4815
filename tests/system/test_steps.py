"""The words of a runbook's steps, in runbooks of one's own."""

import os
from datetime import timedelta

import pytest
from process import wait_until
from unconfirmed import hasty

# A day passes in a tenth of a second.
RUNBOOKS = {
    "expiring": """\
runbook: expiring
phases:
  - name: initial
    steps:
      - {id: gone, system: scim, action: deactivate_user}
      - {id: late, system: jira, action: create_ticket, needs: [gone], expires: 1d}
      - {id: still, system: jira, action: create_ticket, needs: [gone], expires: 3650d}
""",
    "only-scim": """\
runbook: only-scim
phases:
  - name: initial
    steps:
      - {id: gone, system: scim, action: deactivate_user, on_missing: cancel_phase}
      - {id: ticket, system: jira, action: create_ticket, needs: [gone], when: always}
  - name: later
    after: 30d
    steps:
      - {id: delete, system: scim, action: delete_user}
""",
    "looking-again": """\
runbook: looking-again
phases:
  - name: initial
    steps:
      - {id: gone, system: scim, action: deactivate_user, verify: [1d, 30d]}
""",
    "taking": """\
runbook: taking
phases:
  - name: initial
    steps:
      - {id: gone, system: scim, action: deactivate_user}
      - {id: badge, system: badges, action: withdraw}
      - {id: groups, system: scim, action: leave_groups}
  - name: later
    after: 3650d
    steps:
      - {id: delete, system: scim, action: delete_user}
""",
    "handing-over": """\
runbook: handing-over
phases:
  - name: initial
    steps:
      - {id: manager, system: badges, action: find_manager, with: {email: "boss@example.com"}}
      - id: ticket
        system: jira
        action: create_ticket
        needs: [manager]
        with: {summary: "${ .user.manager.email } leaves too: ${ .user.manager.leaving // false }"}
""",
    "with-child": """\
runbook: with-child
phases:
  - name: initial
    steps:
      - {id: ticket, system: jira, action: create_ticket}
      - {id: access, run: access, needs: [ticket], if: "${ .steps.ticket.outputs.key != null }"}
      - {id: never, run: access, needs: [ticket], if: "${ .user.country == \\"AQ\\" }"}
      - id: report
        system: jira
        action: comment
        needs: [ticket, access]
        with: {issue: "${ .steps.ticket.outputs.key }", text: "over"}
""",
    "access": """\
runbook: access
phases:
  - name: off
    steps:
      - {id: gone, system: scim, action: deactivate_user}
      - id: ticket
        system: jira
        action: create_ticket
        needs: [gone]
        if: "${ .steps.gone.state == \\"succeeded\\" }"
        with: {summary: "child's own"}
  - name: clean
    after: 5d
    steps:
      - {id: delete, system: scim, action: delete_user}
""",
}

# A system whose changes can be put back; the sandbox plays it with its SCIM vendor under another name.
BADGES = """\
system: badges
settings:
  url: {required: true}
  token: {required: true, secret: true}
auth:
  header: {Authorization: "Bearer ${ .settings.token }"}
identify:
  keys: [email]
  requests:
    - get: "/Users"
      query: {filter: "userName eq ${ .key | tojson }"}
      save: {id: "${ [.body.Resources[]? | .id] }"}
defs:
  title:
    patch: "/Users/${ .ids.badges }"
    headers: {Content-Type: "application/scim+json"}
    json:
      schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
      Operations:
        - {op: replace, value: {title: "${ .before.title // \\"left\\" }"}}
actions:
  withdraw:
    effect: revoke
    undo: give_back
    before: {title: "${ .saved.title }"}
    requests:
      - {get: "/Users/${ .ids.badges }", save: {title: "${ .body.title }"}}
      - {use: title}
    verify: {get: "/Users/${ .ids.badges }", expect: "${ .body.title == \\"left\\" }"}
  find_manager:
    effect: identify
    accounts: none
    with: {email: {required: true}}
    requests:
      - {get: "/Users", query: {filter: "userName eq ${ .with.email | tojson }"}, save: {email: "${ .body.Resources[0].userName }"}}
    outputs: {user: {manager: {email: "${ .saved.email }"}}}
    provides: [user.manager]
  give_back:
    effect: handover
    requests:
      - {use: title}
    verify: {get: "/Users/${ .ids.badges }", expect: "${ .body.title == .before.title }"}
"""


def make_directories(root) -> dict:
    """Settings of a customer's directories with these runbooks and the badge system."""
    texts = {**{f"runbooks/{name}.yaml": text for name, text in RUNBOOKS.items()}, "connectors/badges.yaml": BADGES}
    for name, text in texts.items():
        path = root / name
        os.makedirs(path.parent, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {"definitions": {kind: [str(root / kind)] for kind in ("connectors", "runbooks")}, "clock": {"day": "100ms"}}


@pytest.fixture
def steps_stack(make_stack, tmp_path):
    settings = make_directories(tmp_path)
    hasty("scim", settings["definitions"]["connectors"][0])
    return make_stack(settings=settings).start()


def states(stack, offboarding: str) -> dict[str, str]:
    return {step: job["state"] for step, job in stack.jobs(offboarding).items()}


def test_a_step_that_comes_too_late_is_skipped(steps_stack):
    stack = steps_stack
    stack.person("late@example.com")
    assert stack.process("worker").stop() == 0
    stack.launch("worker", OFFBOARD_WORKER_SYSTEMS="scim")
    offboarding = stack.offboard("late@example.com", runbook="expiring")
    stack.wait_job(offboarding, "late", "ready")
    stack.restart("worker")
    job = stack.wait_job(offboarding, "late", "skipped")
    assert job["outcome"] == "skipped" and job["reason"].startswith("expired: it was due at "), job
    stack.wait_status(offboarding, "completed")
    assert states(stack, offboarding) == {"gone": "succeeded", "late": "skipped", "still": "succeeded"}
    assert len(stack.tickets()) == 1
    said = stack.cli("plan", "late@example.com", "--runbook", "expiring").ok().out
    assert "skipped if more than 1d late" in said, said


def test_nobody_there_cancels_the_phase_where_the_runbook_says_so(steps_stack):
    stack = steps_stack
    offboarding = stack.offboard("nobody@example.com", runbook="only-scim")
    row = stack.wait_status(offboarding, "cancelled")
    assert row["reason"] == "nothing was found of this person in SCIM"
    assert stack.phases(offboarding) == {"initial": "cancelled", "later": "cancelled"}
    assert states(stack, offboarding) == {"gone": "skipped", "ticket": "cancelled", "delete": "cancelled"}
    assert stack.tickets() == []
    stack.person("somebody@example.com")
    offboarding = stack.offboard("somebody@example.com", runbook="only-scim")
    stack.wait_status(offboarding, "completed")
    said = stack.cli("plan", "somebody@example.com", "--runbook", "only-scim").ok().out
    assert "nobody there: the phase is cancelled" in said, said


def test_a_step_is_read_back_again_later(steps_stack):
    stack = steps_stack
    email = "again@example.com"
    key = stack.person(email)
    offboarding = stack.offboard(email, runbook="looking-again")
    first = stack.wait_job(offboarding, "gone.verify-1d", "succeeded")
    assert first["reason"] == "still so: reading back confirmed it" and first["verified"]["ok"] is True, first
    # Somebody gives access back.
    stack.sandbox.seed("scim", {"users": [{**stack.sandbox.state("scim")["users"][0], "id": key, "active": True}]})
    second = stack.wait_job(offboarding, "gone.verify-30d", "failed")
    assert "not confirmed by reading back" in second["reason"], second
    patches = [entry for entry in stack.sandbox.journal("scim", changing_only=True)]
    assert len(patches) == 1, patches
    gone = stack.jobs(offboarding)["gone"]
    assert second["due_at"] - gone["answered_at"] == timedelta(seconds=3)
    assert stack.offboarding(offboarding)["status"] == "initiated"
    stack.cli("skip", offboarding, "--step", "gone.verify-30d", "--reason", "rehired").ok()
    stack.wait_status(offboarding, "completed")
    said = stack.cli("plan", email, "--runbook", "looking-again").ok().out
    assert "gone.verify-30d" in said and "30d later: read back only" in said, said


def test_a_step_runs_another_runbook(steps_stack):
    stack = steps_stack
    email = "child@example.com"
    stack.person(email)
    offboarding = stack.offboard(email, runbook="with-child")
    stack.wait_status(offboarding, "completed")
    assert states(stack, offboarding) == {
        "ticket": "succeeded", "access.gone": "succeeded", "access.ticket": "succeeded", "access.delete": "succeeded",
        "never.gone": "skipped", "never.ticket": "skipped", "never.delete": "skipped", "report": "succeeded"}
    jobs = stack.jobs(offboarding)
    assert jobs["access.delete"]["answered_at"] > max(jobs[f"access.{step}"]["answered_at"] for step in ("gone", "ticket"))
    assert jobs["report"]["answered_at"] > jobs["access.delete"]["answered_at"]
    assert stack.account(email) is None
    assert len(stack.tickets()) == 2 and any("child's own" in str(ticket) for ticket in stack.tickets())
    # Both texts are kept with the plan.
    assert {row["name"] for row in stack.database.query("SELECT name FROM definition WHERE kind = 'runbook'")} == {
        "with-child", "access"}
    assert list(stack.offboarding(offboarding)["plan"]["runs"]) == ["access"]
    said = stack.cli("plan", email, "--runbook", "with-child").ok().out
    lines = {line.split()[0]: line for line in said.splitlines() if line.startswith("    ")}
    assert "once the phase before it is over" in lines["access.delete"] and "not before" in lines["access.delete"], said
    assert "access.delete" in lines["report"] and "no, it will be skipped" in lines["never.ticket"], said


@pytest.fixture
def badge_stack(make_stack, tmp_path):
    settings = make_directories(tmp_path)
    token = "badge-token-0123456789"
    stack = make_stack(systems="scim,jira,badges=scim", vendors={"badges": {"token": token}}, settings=settings, facts=False)
    stack.configure({**settings, "worker": {"systems": ["scim", "jira", "badges"]},
                     "systems": {"badges": {"url": stack.sandbox.url("badges"), "token": token}}})
    stack.cli("topics").ok()
    return stack.start()


def test_what_was_taken_is_given_back(badge_stack):
    stack = badge_stack
    email = "wrong.jane@example.com"
    stack.person(email)
    stack.sandbox.seed("badges", {"users": [{"userName": email, "title": "Door 7"}]})
    offboarding = stack.offboard(email, runbook="taking")
    for step in ("gone", "badge", "groups"):
        stack.wait_job(offboarding, step, "succeeded")
    assert stack.sandbox.state("badges")["users"][0]["title"] == "left"
    assert list(stack.jobs(offboarding)["badge"]["before_image"].values()) == [{"title": "Door 7"}]

    # Not while it runs: the order is on record, with the remedy.
    refused = stack.cli("undo", offboarding, "--reason", "wrong Jane")
    assert refused.status == 1 and "cancel it first" in refused.err, refused
    note = wait_until(lambda: stack.database.query("SELECT note FROM event WHERE name = 'order.undo'"), 20, "the order")[0]
    assert note["note"].startswith("refused: the offboarding is initiated; cancel it first"), note
    stack.cli("cancel", email, "--reason", "wrong Jane").ok()
    stack.wait_status(offboarding, "cancelled")
    stack.cli("undo", offboarding, "--reason", "wrong Jane").ok()
    stack.wait_job(offboarding, "gone.undo", "succeeded")
    stack.wait_job(offboarding, "badge.undo", "succeeded")
    assert stack.account(email)["active"] is True
    assert stack.sandbox.state("badges")["users"][0]["title"] == "Door 7"
    assert set(stack.jobs(offboarding)) == {"gone", "badge", "groups", "delete", "gone.undo", "badge.undo"}
    assert stack.offboarding(offboarding)["status"] == "cancelled"
    lines = {line.split()[0]: line for line in stack.cli("plan", email, "--runbook", "taking").ok().out.splitlines()
             if line.startswith("    ")}
    assert "undo: give_back" in lines["badge"] and "undo" not in lines["groups"], lines


def test_a_manager_who_leaves_too_is_known_as_such(badge_stack):
    stack = badge_stack
    stack.sandbox.seed("badges", {"users": [{"userName": "boss@example.com"}]})

    def summary() -> str:
        """Of the ticket of one more leaver."""
        offboarding = stack.offboard(f"member{len(stack.tickets())}@example.com", runbook="handing-over")
        stack.wait_status(offboarding, "completed")
        return stack.tickets()[-1]["fields"]["summary"]

    assert summary() == "boss@example.com leaves too: false"
    boss = stack.offboard("boss@example.com", runbook="taking")
    stack.wait_status(boss, "initiated")
    assert summary() == "boss@example.com leaves too: true"
    stack.cli("cancel", boss, "--reason", "stays").ok()
    stack.wait_status(boss, "cancelled")
    assert summary() == "boss@example.com leaves too: false"
