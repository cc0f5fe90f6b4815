"""The runbook google-workspace from the HR event to the ninetieth day, read back from Google, the thread, the mails and the tables."""

import golden_texts
import pytest
from google import FORMER, UNLICENSED, Google, changes, person, user
from process import wait_until
from workspace import OPERATORS, Workspace

LEAVER, BOSS, CHIEF = "jane@example.com", "boss@example.com", "chief@example.com"
REVOKED = ("password", "sign-out", "tokens", "app-passwords", "backup-codes", "admin-roles", "phones", "company-devices", "groups",
           "address-list")
OF_MANAGER = ("delegate", "transfer", "tell-manager")
LICENCE = {"productId": "Google-Apps", "skuId": "1010020027"}


@pytest.fixture(scope="session")
def google():
    return Google()


@pytest.fixture
def make(make_stack, google):
    made = []

    def workspace(**more) -> Workspace:
        made.append(Workspace(make_stack, google, **more))
        return made[-1]

    yield workspace
    for one in made:
        one.mail.stop()


def managed_by(email: str | None) -> dict:
    return {"relations": [{"type": "manager", "value": email}]} if email else {}


def staff(stack, manager: str | None = BOSS) -> None:
    """A leaver with something of everything, the manager, the manager's manager, and a bystander."""
    person(stack, CHIEF)
    person(stack, BOSS, **managed_by(CHIEF))
    person(stack, "joann@example.com")
    person(stack, LEAVER, name={"fullName": "Jane Doe"}, licenses=[LICENCE], **managed_by(manager))
    stack.sandbox.seed("google", {
        "groups": [{"email": f"team{number}@example.com", "members": [LEAVER, "joann@example.com"]} for number in range(3)],
        "mobile_devices": [{"resourceId": "R-1", "deviceId": "D-1", "email": [LEAVER], "status": "APPROVED"},
                           {"resourceId": "R-2", "deviceId": "D-2", "email": ["xjane@example.com"], "status": "APPROVED"}],
        "devices": [{"serialNumber": "S-1", "ownerType": "COMPANY", "users": [LEAVER, "joann@example.com"]}]})


def changes_of(stack, email: str) -> list[str]:
    """Changing calls about somebody."""
    key = user(stack, email)["id"]
    return [entry["path"] for entry in changes(stack) if key in entry["path"] or email in entry["path"].replace("%40", "@")]


def states(stack, offboarding: str) -> dict[str, str]:
    return {step: job["state"] for step, job in stack.jobs(offboarding).items() if not job["follower"]}


def test_from_the_event_to_the_ninetieth_day(make):
    workspace = make(vendor={"auto_licensing": {**LICENCE, "unlicensed": [UNLICENSED]}})
    stack = workspace.stack
    staff(stack)
    stack.start()
    offboarding = workspace.leave(LEAVER, user={"name": "Jane Doe"})
    stack.wait_job(offboarding, "former-members", "succeeded", 60)
    stack.wait_job(offboarding, "tell-manager", "succeeded", 60)
    between = user(stack, LEAVER)
    assert between["orgUnitPath"] == FORMER and not between["suspended"] and between["aliases"]
    assert [one["delegateEmail"] for one in between["delegates"]] == [BOSS]
    assert len(stack.sandbox.state("google")["licenses"]) == 1
    stack.wait_status(offboarding, "completed", 90)

    assert stack.phases(offboarding) == {"initial": "completed", "remind-60": "completed", "remind-83": "completed", "post-90": "completed",
                                         "read-backs": "completed"}
    assert set(states(stack, offboarding).values()) == {"succeeded"}

    left = user(stack, LEAVER)
    assert left["suspended"] and left["orgUnitPath"] == UNLICENSED and not left["includeInGlobalAddressList"]
    assert not left.get("recoveryEmail") and not left.get("recoveryPhone") and not left.get("changePasswordAtNextLogin")
    assert (left["aliases"], left["tokens"], left["asps"], left["backup_codes"]) == ([], [], [], [])
    assert left["sign_outs"] == 1 and left["password"]["changes"] == 1 and left["delegates"] == []
    assert left["vacation"]["enableAutoReply"] and BOSS in left["vacation"]["responseBodyPlainText"]
    state = stack.sandbox.state("google")
    assert all([member["email"] for member in group["members"]] == ["joann@example.com"] for group in state["groups"])
    assert {phone["resourceId"]: phone["status"] for phone in state["mobile_devices"]} == {"R-1": "ACCOUNT_WIPED", "R-2": "APPROVED"}
    assert {one["userEmail"]: "WIP" in one.get("managementState", "") for one in state["device_users"]} == {
        LEAVER: True, "joann@example.com": False}
    assert [(one["oldOwnerUserId"], one["newOwnerUserId"], one["overallTransferStatusCode"]) for one in state["transfers"]] == [
        (left["id"], user(stack, BOSS)["id"], "completed")]
    assert state["transfers"][0]["applicationDataTransfers"][0]["applicationTransferParams"] == [
        {"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]
    assert state["licenses"] == []

    done = [f"{entry['method']} {entry['path']} {entry['body']}" for entry in changes(stack) if entry.get("effect")]
    order = [next(place for place, line in enumerate(done) if what in line) for what in (
        "/verificationCodes/invalidate", "PUT /gmail", "POST /gmail", FORMER, "DELETE /gmail", UNLICENSED, "'suspended': True")]
    assert order == sorted(order), done
    assert order[-1] == len(done) - 1, "nothing comes after the suspension"

    texts = workspace.thread()
    reports = [text.splitlines()[0] for text in texts if text.startswith("Report on ")]
    assert reports == ["Report on Jane Doe: access ends, and the manager takes over",
                       "Report on Jane Doe: the manager is reminded: 30 days left", "Report on Jane Doe: the manager is reminded: 7 days left",
                       "Report on Jane Doe: the account is suspended, and its other addresses are deleted"]
    assert texts[-1].startswith("Report on "), "the report closes the thread"
    assert [golden_texts.constant(subject) for subject in workspace.mails(BOSS)] == [
        "Jane Doe has left: what you take over", "The mailbox of Jane Doe closes on <date>",
        "Last reminder: the mailbox of Jane Doe closes on <date>", "Closed: mailbox of Jane Doe"]
    golden_texts.check("google-workspace", golden_texts.thread_part(texts) + golden_texts.mails_part(workspace.mail.mails))
    assert workspace.mails(OPERATORS) == []
    late = stack.database.query("SELECT * FROM analyst.time_to_revoke WHERE verified_at IS NULL AND system = 'google'")
    assert {row["action"] for row in late} == {"reset_password", "sign_out"}, "all else was seen gone"


def test_nobody_there(make):
    workspace = make()
    stack = workspace.stack
    staff(stack)
    stack.start()
    offboarding = workspace.leave("nobody@example.com")
    row = stack.wait_status(offboarding, "cancelled", 60)
    assert row["reason"] == "nothing was found of this person in Google Workspace"
    phases = stack.phases(offboarding)
    assert phases.pop("read-backs") == "completed" and set(phases.values()) == {"cancelled"}, "there is nothing to be looked at again"
    wait_until(workspace.reports, 30, "the thread tells of it")
    assert "Cancelled: nothing was found of this person in Google Workspace." in workspace.reports()[0]
    assert changes(stack) == [] and workspace.mail.mails == []


def test_without_a_manager_only_the_steps_that_need_one_are_blocked(make):
    workspace = make(day="24h", vendor={"transfer_polls": 0})
    stack = workspace.stack
    staff(stack, manager=None)
    stack.start()
    offboarding = workspace.leave(LEAVER)
    wait_until(workspace.reports, 60, "the phase is reported")
    initial = {step: job["outcome"] for step, job in stack.jobs(offboarding).items()
               if job["phase"] == "initial" and not job["follower"]}
    assert {step for step, outcome in initial.items() if outcome == "blocked"} == {"manager"}
    assert {stack.jobs(offboarding)[step]["state"] for step in (*OF_MANAGER, "former-members")} == {"waiting"}
    assert {initial[step] for step in (*REVOKED, "thread", "profile", "vacation")} == {"succeeded"}
    assert "Please write to" not in user(stack, LEAVER)["vacation"]["responseBodyPlainText"]
    assert "All access is gone" in workspace.reports()[0]
    assert "Google Workspace: could not find out who takes over: nobody of the line of managers is active" in workspace.reports()[0]
    wait_until(lambda: "could not find out who takes over" in workspace.mail.mails[0].message.get_content(), 30, "a person is told of it")

    # An administrator names who takes over; one retry does all of it, in the order of the runbook.
    person(stack, "deputy@example.com")
    assert stack.process("worker").stop() == 0
    stack.settings["systems"]["google"]["fallback_manager"] = "deputy@example.com"
    stack.write_settings()
    stack.restart("worker")
    stack.cli("retry", offboarding).ok()
    wait_until(lambda: stack.phases(offboarding)["initial"] == "completed", 60, "the phase is completed")
    assert [one["delegateEmail"] for one in user(stack, LEAVER)["delegates"]] == ["deputy@example.com"]
    assert workspace.mails("deputy@example.com") == ["Jane Doe has left: what you take over"]
    assert user(stack, LEAVER)["orgUnitPath"] == FORMER
    assert {step: stack.jobs(offboarding)[step]["attempt"] for step in ("manager", *OF_MANAGER)} == {
        "manager": 2, "delegate": 1, "transfer": 1, "tell-manager": 1}, "nobody had to be retried but the cause"


def test_a_manager_who_leaves_in_the_same_week_takes_nothing_over(make):
    workspace = make(day="24h")
    stack = workspace.stack
    staff(stack)
    stack.start()
    leaving = workspace.leave(BOSS, effective_at="2199-01-01")
    stack.wait_status(leaving, "waiting")
    offboarding = workspace.leave(LEAVER)
    stack.wait_job(offboarding, "delegate", "succeeded", 60)
    assert [one["delegateEmail"] for one in user(stack, LEAVER)["delegates"]] == [CHIEF]
    assert stack.jobs(offboarding)["manager"]["outputs"]["user"]["manager"]["email"] == CHIEF
    stack.wait_job(offboarding, "vacation", "succeeded", 60)
    assert CHIEF in user(stack, LEAVER)["vacation"]["responseBodyPlainText"]
    assert changes_of(stack, BOSS) == [] and stack.offboarding(leaving)["status"] == "waiting"


def test_a_dry_run_of_all_of_it(make):
    workspace = make(day="20ms")
    stack = workspace.stack
    staff(stack)
    before = stack.sandbox.state("google")["users"]
    stack.start()
    offboarding = workspace.leave(LEAVER, mode="dry_run")
    stack.wait_status(offboarding, "completed", 60)
    stack.wait_quiet()
    assert changes(stack) == [] and workspace.thread() == [] and workspace.mail.mails == []
    assert stack.sandbox.state("google")["users"] == before
    jobs = stack.jobs(offboarding)
    assert {job["state"] for job in jobs.values()} <= {"succeeded", "skipped"}
    assert {step for step, job in jobs.items() if job["state"] == "skipped" and not job["follower"]} <= {"remind-60", "remind-83", "tell-closed"}
    assert jobs["transfer"]["reason"].startswith("dry run: would POST ")


def test_it_was_the_wrong_jane(make):
    workspace = make(day="100ms")
    stack = workspace.stack
    staff(stack)
    before = user(stack, LEAVER)
    stack.start()
    offboarding = workspace.leave(LEAVER)
    stack.wait_status(offboarding, "completed", 90)
    since = len(stack.sandbox.journal("google"))
    stack.cli("undo", offboarding, "--reason", "the wrong Jane").ok()
    jobs = stack.jobs(offboarding)    # three steps take the delegate away at the same moment: the first of them does
    undelegate, = (step for step in ("undelegate", "undelegate-60", "undelegate-83") if jobs[step]["outcome"] == "succeeded")
    for step in ("suspend", "unlicensed", "aliases", undelegate, "former-members", "delegate", "vacation", "address-list", "groups"):
        stack.wait_job(offboarding, f"{step}.undo", "succeeded", 60, attempt=1)
    assert changes(stack, since)[0]["body"] == {"suspended": False}, "what was done last is undone first"
    after = user(stack, LEAVER)
    assert (after["suspended"], after["orgUnitPath"], after["includeInGlobalAddressList"]) == (False, "/Staff", True)
    assert (after["aliases"], after["delegates"], after["vacation"]["enableAutoReply"]) == (before["aliases"], [], False)
    assert all(LEAVER in [member["email"] for member in group["members"]] for group in stack.sandbox.state("google")["groups"])
    wiped = {phone["resourceId"] for phone in stack.sandbox.state("google")["mobile_devices"] if "WIP" in phone["status"]}
    assert wiped == {"R-1"}, "that can't be taken back"
