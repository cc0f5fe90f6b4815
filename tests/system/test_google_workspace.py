"""The runbook google-workspace from the HR event to the ninetieth day, read back from Google, the thread, the mails and the tables."""

import pytest
from google import UNLICENSED, Google, changes, person, user
from process import wait_until
from workspace import OPERATORS, Workspace

LEAVER, BOSS, CHIEF = "jane@example.com", "boss@example.com", "chief@example.com"
REVOKED = ("password", "sign-out", "tokens", "app-passwords", "backup-codes", "admin-roles", "phones", "company-devices", "groups",
           "address-list")


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
    person(stack, LEAVER, **managed_by(manager))
    stack.sandbox.seed("google", {
        "groups": [{"email": f"team{number}@example.com", "members": [LEAVER, "joann@example.com"]} for number in range(3)],
        "mobile_devices": [{"resourceId": "R-1", "deviceId": "D-1", "email": [LEAVER], "status": "APPROVED"},
                           {"resourceId": "R-2", "deviceId": "D-2", "email": ["xjane@example.com"], "status": "APPROVED"}],
        "devices": [{"serialNumber": "S-1", "ownerType": "COMPANY", "users": [LEAVER, "joann@example.com"]}]})


def states(stack, offboarding: str) -> dict[str, str]:
    return {step: job["state"] for step, job in stack.jobs(offboarding).items() if not job["follower"]}


def test_from_the_event_to_the_ninetieth_day(make):
    workspace = make()
    stack = workspace.stack
    staff(stack)
    stack.start()
    offboarding = workspace.leave(LEAVER, user={"name": "Jane Doe"})
    stack.wait_status(offboarding, "completed", 90)

    assert stack.phases(offboarding) == {"initial": "completed", "reminders": "completed", "post-90": "completed"}
    assert set(states(stack, offboarding).values()) == {"succeeded"}

    left = user(stack, LEAVER)
    assert left["suspended"] and left["orgUnitPath"] == UNLICENSED and not left["includeInGlobalAddressList"]
    assert not left.get("recoveryEmail") and not left.get("recoveryPhone") and not left.get("changePasswordAtNextLogin")
    assert (left["aliases"], left["tokens"], left["asps"], left["backup_codes"]) == ([], [], [], [])
    assert left["sign_outs"] and [one["delegateEmail"] for one in left["delegates"]] == [BOSS]
    assert left["vacation"]["enableAutoReply"] and BOSS in left["vacation"]["responseBodyPlainText"]
    state = stack.sandbox.state("google")
    assert all([member["email"] for member in group["members"]] == ["joann@example.com"] for group in state["groups"])
    assert {phone["resourceId"]: phone["status"] for phone in state["mobile_devices"]} == {"R-1": "ACCOUNT_WIPED", "R-2": "APPROVED"}
    assert {one["userEmail"]: "WIP" in one.get("managementState", "") for one in state["device_users"]} == {
        LEAVER: True, "joann@example.com": False}
    assert [(one["oldOwnerUserId"], one["newOwnerUserId"], one["overallTransferStatusCode"]) for one in state["transfers"]] == [
        (left["id"], user(stack, BOSS)["id"], "completed")]

    done = [(entry["method"], entry["path"].split("/")[-1], entry["body"]) for entry in changes(stack) if entry.get("effect")]
    suspended = next(place for place, entry in enumerate(done) if entry[2] == {"suspended": True})
    for what in ("delegates", "vacation", "invalidate", "signOut"):
        assert any(entry[1] == what for entry in done[:suspended]), f"{what} comes before the suspension"
    assert suspended == len(done) - 1 or all(entry[1] != "delegates" for entry in done[suspended:])

    texts = workspace.thread()
    assert "Offboarding of Jane Doe, started by hr; effective" in texts[0] and "zone" in texts[0]
    for step in states(stack, offboarding):
        assert sum(text.count(f" {step} (") for text in texts[1:] if not text.startswith("Report")) == 1, f"{step} is told once"
    reports = [text for text in texts if text.startswith("Report of phase")]
    assert [text.splitlines()[0] for text in reports] == ["Report of phase initial", "Report of phase reminders", "Report of phase post-90"]
    assert "suspend" in reports[-1] and "a person must act" not in "".join(texts)

    assert workspace.mails(BOSS) == ["Jane Doe has left: what is yours now", "30 days left: mailbox of Jane Doe",
                                     "7 days left: mailbox of Jane Doe", "Today: mailbox of Jane Doe closes"]
    told = workspace.mail.mails[0].message.get_content()
    assert "from your own Gmail" in told and "all files are in your Drive" in told and "90 days" in told and "(UTC)" in told
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
    assert row["reason"] == "profile: account missing"
    assert set(stack.phases(offboarding).values()) == {"cancelled"}
    wait_until(lambda: any("Report of phase" in text for text in workspace.thread()), 30, "the thread tells of it")
    assert "profile" in "".join(workspace.thread()[1:])
    assert changes(stack) == [] and workspace.mail.mails == []


def test_without_a_manager_only_the_steps_that_need_one_wait(make):
    workspace = make(day="24h")
    stack = workspace.stack
    staff(stack, manager=None)
    stack.start()
    offboarding = workspace.leave(LEAVER)
    stack.wait_job(offboarding, "manager", "failed", 60, outcome="blocked")
    stack.wait_job(offboarding, "former-members", "succeeded", 60)
    seen = states(stack, offboarding)
    assert {seen[step] for step in (*REVOKED, "thread", "profile", "vacation", "former-members")} == {"succeeded"}
    assert {step for step, state in seen.items() if state == "waiting" and stack.jobs(offboarding)[step]["phase"] == "initial"} == {
        "delegate", "transfer", "tell-manager"}
    wait_until(lambda: workspace.mails(OPERATORS), 30, "a person is told")
    wait_until(lambda: any("a person must act" in text for text in workspace.thread()), 30, "so is the thread")

    stack.sandbox.seed("google", {"users": [{"primaryEmail": "deputy@example.com", "name": {"fullName": "Deputy"}}]})
    stack.process("worker").terminate()
    stack.process("worker").wait(30)
    stack.settings["systems"]["google"]["fallback_manager"] = "deputy@example.com"
    stack.write_settings()
    stack.restart("worker")
    stack.cli("retry", offboarding, "--step", "profile").out
    stack.cli("retry", offboarding).ok()


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
