"""The runbook google-workspace as a whole: everybody there; nobody there; no manager; a manager who leaves, too."""

from datetime import datetime, timedelta, timezone

import pytest
from google import FORMER, UNLICENSED, changes
from process import wait_until
from workspace import SECURITY, Workspace

LEAVER, BOSS, DIRECTOR = "jane@example.com", "boss@example.com", "director@example.com"
ACCESS = ["password", "sign-out", "tokens", "app-passwords", "backup-codes", "admin-roles", "strip", "groups", "wipe-phones",
          "wipe-company-devices"]
OF_MANAGER = ["delegate", "transfer", "tell-manager"]


@pytest.fixture
def make_workspace(make_stack, servers):
    made = []

    def make(**options) -> Workspace:
        made.append(Workspace(make_stack, servers.ports.take(), **options))
        return made[-1].start()

    yield make
    for workspace in made:
        workspace.mail.stop()


def staff(workspace) -> None:
    """Jane, her boss and the boss's boss; Jane is in two groups, has a phone and a laptop of the company's, as others have."""
    workspace.person(DIRECTOR)
    workspace.person(BOSS, relations=[{"type": "manager", "value": DIRECTOR}])
    workspace.person(LEAVER, name={"givenName": "Jane", "familyName": "Doe", "fullName": "Jane Doe"},
                     relations=[{"type": "manager", "value": BOSS}],
                     licenses=[{"productId": "Google-Apps", "skuId": "1010020027"}])
    workspace.stack.sandbox.seed("google", {
        "groups": [{"email": f"{name}@example.com", "members": [LEAVER, BOSS]} for name in ("sales", "all")],
        "mobile_devices": [{"resourceId": "R-jane", "deviceId": "D-jane", "email": [LEAVER]},
                           {"resourceId": "R-boss", "deviceId": "D-boss", "email": [BOSS]},
                           {"resourceId": "R-namesake", "deviceId": "D-other", "email": ["x" + LEAVER]}],
        "devices": [{"serialNumber": "S1", "users": [LEAVER]}, {"serialNumber": "S2", "users": [BOSS]}]})


def leave_states(workspace) -> dict[str, str]:
    """Who is being wiped, or has been."""
    state = workspace.stack.sandbox.state("google")
    phones = {one["email"][0]: one["status"] for one in state["mobile_devices"]}
    return {**{f"phone of {email}": status for email, status in phones.items()},
            **{f"laptop of {one['userEmail']}": one["managementState"] for one in state["device_users"]}}


def test_from_the_first_hour_to_the_ninetieth_day(make_workspace):
    workspace = make_workspace(day="250ms", auto_licensing={"productId": "Google-Apps", "skuId": "1010020027",
                                                            "unlicensed": [UNLICENSED]})
    stack = workspace.stack
    staff(workspace)
    offboarding = workspace.leaves(LEAVER)
    stack.wait_job(offboarding, "former-unit", "succeeded", 60)
    stack.wait_job(offboarding, "tell-manager", "succeeded", 60)
    jane = workspace.user(LEAVER)
    assert jane["password"]["changes"] == 1 and jane["changePasswordAtNextLogin"] is False and jane["sign_outs"] == 1
    assert (jane["tokens"], jane["asps"], jane["backup_codes"]) == ([], [], [])
    assert (jane["includeInGlobalAddressList"], jane.get("recoveryEmail") or "", jane.get("recoveryPhone") or "") == (False, "", "")
    assert jane["orgUnitPath"] == FORMER and jane["suspended"] is False and jane["aliases"] != []
    assert [one["delegateEmail"] for one in jane["delegates"]] == [BOSS]
    assert jane["vacation"]["enableAutoReply"] is True and BOSS in jane["vacation"]["responseBodyPlainText"]
    state = stack.sandbox.state("google")
    assert all([member["email"] for member in group["members"]] == [BOSS] for group in state["groups"])
    transfer, = state["transfers"]
    assert (transfer["oldOwnerUserId"], transfer["newOwnerUserId"], transfer["overallTransferStatusCode"]) == (
        jane["id"], workspace.user(BOSS)["id"], "completed")
    assert transfer["applicationDataTransfers"][0]["applicationTransferParams"] == [
        {"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]
    wiped = {name for name, status in leave_states(workspace).items() if "WIP" in status.upper()}
    assert wiped == {f"phone of {LEAVER}", f"laptop of {LEAVER}"}

    stack.wait_status(offboarding, "completed", 90)
    assert stack.phases(offboarding) == {"initial": "completed", "reminders": "completed", "post-90": "completed"}
    jane = workspace.user(LEAVER)
    assert (jane["orgUnitPath"], jane["suspended"], jane.get("aliases") or [], jane["delegates"]) == (UNLICENSED, True, [], [])
    assert stack.sandbox.state("google")["licenses"] == []
    expected = dict.fromkeys([*ACCESS, "thread", "profile", "manager", "vacation", *OF_MANAGER, "former-unit", "remind-60",
                              "remind-83", "remind-90", "undelegate", "unlicensed-unit", "aliases", "suspend"], "succeeded")
    assert {step: outcome.replace("already_done", "succeeded") for step, outcome in workspace.outcomes(offboarding).items()} == (
        dict(sorted(expected.items(), key=lambda item: list(workspace.outcomes(offboarding)).index(item[0]))))

    # Told: the thread, the manager, nobody else.
    head = workspace.thread()[0]
    assert head.startswith(f"Offboarding of {LEAVER}, runbook google-workspace, id {offboarding}.") and "Started by " in head
    assert set(workspace.told()) == set(expected) and set(workspace.told().values()) <= {"succeeded", "already_done"}
    assert [report.splitlines()[0] for report in workspace.reports()] == [
        "Report of phase initial.", "Report of phase reminders.", "Report of phase post-90."]
    assert all(report.endswith("For a person to do: nothing.") for report in workspace.reports())
    assert workspace.thread()[-1].startswith("Report of phase post-90."), "the report closes the thread"
    subjects = [subject for subject, _ in workspace.mails(BOSS)]
    assert subjects == ["Jane Doe has left: what was handed over to you", "30 days left: the account of Jane Doe",
                        "7 days left: the account of Jane Doe", "Today: the account of Jane Doe is closed"]
    assert len(workspace.mail.mails) == 4
    # The first call to change anything came before anybody was told, and what needs an active account before it ended.
    made = [(entry["method"], entry["path"].rpartition("/")[2], entry["body"]) for entry in changes(stack)]
    order = [made.index(next(one for one in made if wanted in str(one))) for wanted in (
        "invalidate", "vacation", "delegates", FORMER, "DELETE', 'boss", UNLICENSED, "suspended")]
    assert order == sorted(order), made


def test_nobody_there_cancels_everything_and_says_so(make_workspace):
    workspace = make_workspace()
    stack = workspace.stack
    staff(workspace)
    offboarding = workspace.leaves("nobody@example.com")
    row = stack.wait_status(offboarding, "cancelled", 60)
    assert row["reason"] == "profile: account missing"
    assert set(stack.phases(offboarding).values()) == {"cancelled"}
    report = workspace.wait_report()
    assert workspace.told()["profile"] == "missing" and report.startswith("Report of phase initial.\nDone: thread.\n")
    assert "profile" in report.splitlines()[2] and "transfer" in report.splitlines()[2]
    stack.wait_quiet()
    assert changes(stack) == [] and workspace.mail.mails == []
    assert set(workspace.outcomes(offboarding).values()) == {"succeeded", "missing", "cancelled"}


def test_without_a_manager_only_what_needs_one_is_blocked(make_workspace):
    workspace = make_workspace(transfer_polls=0)
    stack = workspace.stack
    staff(workspace)
    workspace.person(LEAVER, relations=[])
    offboarding = workspace.leaves(LEAVER)
    workspace.wait_report()
    outcomes = {step: outcome for step, outcome in workspace.outcomes(offboarding).items()
                if not step.startswith("remind") and step not in ("undelegate", "unlicensed-unit", "aliases", "suspend")}
    assert {step for step, outcome in outcomes.items() if outcome == "blocked"} == {"manager", *OF_MANAGER}
    assert {outcome for step, outcome in outcomes.items() if step not in ("manager", *OF_MANAGER)} <= {"succeeded", "already_done"}
    assert "Please write to" not in workspace.user(LEAVER)["vacation"]["responseBodyPlainText"]
    assert workspace.user(LEAVER)["orgUnitPath"] == FORMER
    assert stack.phases(offboarding)["initial"] == "initiated"
    todo = workspace.reports()[0].splitlines()[3]
    assert todo.startswith("For a person to do: manager (nobody of the line of managers is active") and "delegate (with.delegate is null" in todo
    wait_until(lambda: sum(text.count("blocked") for _, text in workspace.mails(SECURITY)) == 4, 30, "each failure is mailed")
    assert all(f"offboard retry {offboarding}" in text for _, text in workspace.mails(SECURITY))

    # An administrator names who takes over.
    stack.settings["systems"]["google"]["fallback_manager"] = DIRECTOR
    stack.write_settings()
    assert stack.process("worker").stop() == 0
    stack.restart("worker")
    stack.cli("retry", offboarding, "--step", "manager").ok()
    stack.wait_job(offboarding, "manager", "succeeded", 60)
    stack.cli("retry", offboarding).ok()
    stack.wait_job(offboarding, "tell-manager", "succeeded", 60)
    wait_until(lambda: stack.phases(offboarding)["initial"] == "completed", 30, "the phase ends")
    assert [one["delegateEmail"] for one in workspace.user(LEAVER)["delegates"]] == [DIRECTOR]
    (subject, text), = workspace.mails(DIRECTOR)
    assert subject.startswith("Jane Doe has left") and "read and answer it" in text and "files are yours now" in text


def test_a_manager_who_leaves_in_the_same_week_is_passed_over(make_workspace):
    workspace = make_workspace(transfer_polls=0)
    stack = workspace.stack
    staff(workspace)
    friday = (datetime.now(timezone.utc) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    of_boss = workspace.leaves(BOSS, effective_at=friday)
    stack.wait_status(of_boss, "waiting")
    offboarding = workspace.leaves(LEAVER)
    wait_until(lambda: stack.phases(offboarding)["initial"] == "completed", 60, "the phase ends")
    assert [one["delegateEmail"] for one in workspace.user(LEAVER)["delegates"]] == [DIRECTOR]
    assert DIRECTOR in workspace.user(LEAVER)["vacation"]["responseBodyPlainText"]
    assert stack.sandbox.state("google")["transfers"][0]["newOwnerUserId"] == workspace.user(DIRECTOR)["id"]
    assert len(workspace.mails(DIRECTOR)) == 1 and workspace.mails(BOSS) == []
    chain = stack.offboarding(offboarding)["leaver"]["manager_chain"]
    assert [one["email"] for one in chain] == [BOSS, DIRECTOR]
    assert workspace.user(BOSS)["orgUnitPath"] == "/Staff" and stack.offboarding(of_boss)["status"] == "waiting"


def test_a_dry_run_of_all_of_it(make_workspace):
    workspace = make_workspace(day="20ms")
    stack = workspace.stack
    staff(workspace)
    before = stack.sandbox.state("google")["users"]
    offboarding = workspace.leaves(LEAVER, mode="dry_run")
    stack.wait_status(offboarding, "completed", 60)
    stack.wait_quiet()
    assert changes(stack) == [] and workspace.thread() == [] and workspace.mail.mails == []
    assert stack.sandbox.state("google")["users"] == before
    outcomes = workspace.outcomes(offboarding)
    assert set(outcomes.values()) <= {"succeeded", "already_done", "skipped"}, outcomes
    assert {step for step, outcome in outcomes.items() if outcome == "skipped"} <= {"remind-60", "remind-83", "remind-90"}
