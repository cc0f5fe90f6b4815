"""The shipped runbooks from the start to the end, in a company with every system, with tickets and threads read back in full."""

import json

import golden_texts
import pytest
from company import BOSS, DESK, SECRET, Company
from google import user
from process import wait_until
from vendors.m365 import PASSWORD
from vendors.aftership import webhook

pytestmark = [pytest.mark.xdist_group("runbooks"), pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]


@pytest.fixture(scope="module")
def company(make_shared_stack):
    made = Company(make_shared_stack)
    made.stack.start()
    yield made
    made.mail.stop()


def states(stack, offboarding: str) -> dict[str, str]:
    return {step: job["state"] for step, job in stack.jobs(offboarding).items() if not job["follower"]}


def waiting(company, offboarding: str, step: str) -> None:
    """Until the step waits for a signal."""
    seen: list = []

    def is_waiting() -> bool:
        job = company.stack.jobs(offboarding).get(step)
        assert not job or job["state"] in ("waiting", "ready"), (step, job)
        seen[:] = [job and (job["state"], job["reason"]), states(company.stack, offboarding)]
        return bool(job and company.stack.database.query("SELECT * FROM awaited WHERE job_id = %s", job["id"]))

    try:
        wait_until(is_waiting, 120, f"{step} waits")
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None


def done(company, offboarding: str, step: str, *answer: str) -> None:
    waiting(company, offboarding, step)
    company.stack.cli("done", offboarding, step, "--evidence", "seen by the test", *answer).ok()
    company.stack.wait_job(offboarding, step, "succeeded")


def deliver(company, number: str, tag: str) -> None:
    """The courier's word about a parcel, signed as AfterShip does."""
    state = company.stack.sandbox.seed("aftership", {"trackings": [{"tracking_number": number, "tag": tag}]})
    body, headers = webhook(next(one for one in state["trackings"] if one["tracking_number"] == number), SECRET)
    reply = company.stack.post("/v1/signals/aftership", body, token=None, headers=headers)
    assert reply.status == 202, reply


def returned(company, offboarding: str, prefix: str = "") -> str:
    """Until the box's way back is followed; its tracking number."""
    label = company.stack.wait_job(offboarding, f"{prefix}label", "succeeded", 60)
    waiting(company, offboarding, f"{prefix}parcel")
    return label["outputs"]["return_tracking"]


def macs(company, email: str) -> list[list[str]]:
    """Types of the commands to each of somebody's Macs."""
    state = company.stack.sandbox.state("jamf")
    return [[command["type"] for command in state["commands"] if command["management"] == one["general"]["managementId"]]
            for one in state["computers"] if one["userAndLocation"]["email"] == email]


def test_device_return_by_itself(company):
    stack, email = company.stack, "dora@example.com"
    offboarding = company.leave("device-return", email, "Dora Box", "71")
    number = returned(company, offboarding)
    deliver(company, number, "InTransit")
    wait_until(lambda: f"{number}: in transit" in company.told("Dora Box"), 30, "the ticket tells where the parcel is")
    deliver(company, number, "Delivered")
    stack.wait_job(offboarding, "parcel", "succeeded")
    waiting(company, offboarding, "received")
    assert macs(company, email) == [["DEVICE_LOCK"]], "a carrier's word erases nothing"
    done(company, offboarding, "received", "--answer", "erase")
    stack.wait_status(offboarding, "completed", 60)
    assert macs(company, email) == [["DEVICE_LOCK", "ERASE_DEVICE"]]
    held = states(stack, offboarding)
    assert {step for step, state in held.items() if state == "skipped"} == {"where", "collected", "erase-collected", "inventory-collected"}
    assert set(held.values()) == {"succeeded", "skipped"}
    assert [one for one in stack.sandbox.state("assetsonar")["assets"] if one["name"] == "Laptop 71"][0]["state"] == "available"
    golden_texts.check("device-return", company.texts("Dora Box"))
    assert len(stack.sandbox.state("retriever")["device_returns"]) >= 1
    assert "Home Lane" not in json.dumps([record.value for record in stack.topics.read("events")], default=str), "an address is nobody's"


def test_device_return_in_person(company):
    stack, email = company.stack, "paul@example.com"
    offboarding = company.leave("device-return", email, "Paul Person", "72", country="DE")
    done(company, offboarding, "collected", "--answer", "keep")
    stack.wait_status(offboarding, "completed", 60)
    held = states(stack, offboarding)
    assert held["box"] == "skipped" and held["erase-collected"] == "skipped" and held["inventory-collected"] == "succeeded"
    assert macs(company, email) == [["DEVICE_LOCK"]]
    golden_texts.check("device-return-in-person", company.texts("Paul Person"))


def test_standard_leaver(company):
    stack, email = company.stack, "stan@example.com"
    offboarding = company.leave("standard-leaver", email, "Stan Dard", "73")
    number = returned(company, offboarding, "devices.")
    deliver(company, number, "Delivered")
    done(company, offboarding, "devices.received", "--answer", "erase")
    stack.wait_job(offboarding, "zoom", "succeeded", 60)
    stack.wait_job(offboarding, "transfer", "succeeded", 60)
    stack.wait_status(offboarding, "completed", 120)

    state = stack.sandbox.state
    okta = next(one for one in state("okta")["users"] if one["profile"]["login"] == email)
    assert okta["status"] == "DEPROVISIONED" and okta["factors"] == [] and okta["sessions"] == 0
    left = user(stack, email)
    assert left["suspended"] and left["delegates"] == [] and left["tokens"] == [] and left["vacation"]["enableAutoReply"]
    assert next(one for one in state("slack")["users"] if one["profile"]["email"] == email)["deleted"]
    people = {one["email"]: one for one in state("zoom")["users"]}
    assert email not in people and people[BOSS]["meetings"] >= 3 and not stack.sandbox.state("zoom")["gone"][-1]["meetings"]
    assert macs(company, email) == [["DEVICE_LOCK", "ERASE_DEVICE"]]
    assert office(company, email) == {} and mailbox(company, email)["RecipientTypeDetails"] == "SharedMailbox" and readers(company, email) == []
    assert next(one for one in state("github")["users"] if one["name_id"] == email)["membership"] is None
    assert next(one for one in state("gitlab")["users"] if one["email"] == email)["state"] == "blocked"
    assert next(one for one in state("atlassian")["users"] if one["email"] == email)["account_status"] == "inactive"

    jobs = stack.jobs(offboarding)
    unconfigured = {step for step, job in jobs.items() if job["system"] in ("ad", "keycloak") and not job["follower"]}
    delegated, undelegated = jobs["delegate"], jobs["undelegate"]
    days = (undelegated["due_at"] - stack.offboarding(offboarding)["started_at"]).total_seconds() / 0.4
    assert 59.9 <= days < 61 and delegated["answered_at"] < undelegated["answered_at"], "the delegate goes after 60 days"
    assert {step for step, state in states(stack, offboarding).items() if state != "succeeded"} == {
        "nobody", "nobody-mail", "office-manager", "office-by-ad", *(f"office-by-ad.verify-{days}d" for days in (1, 7, 30)), "office-deleted-by-ad",
        *unconfigured, "devices.ticket", "devices.thread", "devices.where", "devices.collected", "devices.erase-collected", "devices.inventory-collected",
        "devices.closed"}
    golden_texts.check("standard-leaver", company.texts("Stan Dard"))
    audit = stack.cli("events", offboarding).ok().out.splitlines()
    lines = [line for line in audit if line.startswith("  ")]
    events = stack.cli("events", offboarding, "--json").json
    columns = {line.index(event["system"], line.index(event["step"]) + len(event["step"]))
               for line, event in zip(lines, events, strict=True) if event["step"] and event["system"]}
    assert len(columns) == 1, "however long a step's name is, the columns stay columns"
    assert company.ticket("Stan Dard")["fields"]["status"]["name"] == "Done"


def test_nobody_is_found(company):
    """A wrong address opens no ticket and no thread, and whoever is responsible is told."""
    stack, email = company.stack, "typo@example.com"
    offboarding = stack.offboard(email, runbook="standard-leaver", user={"name": "Ty Po"})
    stack.wait_job(offboarding, "nobody-mail", "succeeded", 60)
    stack.wait_status(offboarding, "completed", 60)
    held = states(stack, offboarding)
    assert {held[step] for step in ("ticket", "thread", "nobody", "okta", "slack", "zoom", "tell-manager")} == {"skipped"}
    golden_texts.check("nobody", company.texts("Ty Po"))


def test_a_cancellation_and_what_is_undone_are_told(company):
    """In the report of each phase that had begun: why, and what had been done by then."""
    stack, email = company.stack, "stays@example.com"
    offboarding = company.leave("okta-suspension", email, "Sue Stays", "79")
    waiting(company, offboarding, "mailbox")
    stack.wait_job(offboarding, "google-suspended", "succeeded", 60)
    stack.wait_job(offboarding, "office-disabled", "succeeded", 60)
    stack.cli("cancel", offboarding, "--reason", "it was a mistake").ok()
    wait_until(lambda: "Cancelled: " in company.told("Sue Stays"), 30, "the ticket tells of it")
    told = company.told("Sue Stays")
    assert "it was a mistake" in told and "• Google Workspace: account suspended: nobody can sign in with it" in told
    stack.cli("undo", offboarding, "--reason", "it was a mistake").ok()
    wait_until(lambda: "↩️ Google Workspace: account is active again" in company.told("Sue Stays"), 60, "what is taken back is told")
    assert not user(stack, email)["suspended"]


@pytest.mark.timeout(400)
def test_any_state_in_okta_is_an_ordinary_beginning(company):
    """Some companies deactivate the account first. Nobody has to act because of it."""
    stack = company.stack
    began = ("DEPROVISIONED", "LOCKED_OUT", "SUSPENDED", "PASSWORD_EXPIRED", "PROVISIONED", "RECOVERY")
    emails = {status: f"{status.lower()}@example.com" for status in began}
    started = {status: company.leave("standard-leaver", emails[status], status.title(), str(91 + number), country="DE", okta=status)
               for number, status in enumerate(began)}
    for status, offboarding in started.items():
        stack.wait_job(offboarding, "okta", "succeeded", 180)
        wait_until(lambda offboarding=offboarding: all(state in ("succeeded", "skipped") for step, state in states(stack, offboarding).items()
                                                       if step.startswith("okta")), 60, f"all is done in Okta for {status}")
        suspended = states(stack, offboarding)["okta-suspended"]
        assert suspended == ("succeeded" if status in ("DEPROVISIONED", "SUSPENDED") else "skipped"), status
        account, = (one for one in stack.sandbox.state("okta")["users"] if one["profile"]["login"] == emails[status])
        assert account["status"] == "DEPROVISIONED", status
        stack.cli("cancel", offboarding, "--reason", "the test is over").ok()


@pytest.mark.timeout(300)
def test_access_is_cut_though_ticket_and_thread_are_down(company):
    stack, email = company.stack, "down@example.com"
    for vendor in ("jira", "slack"):
        stack.sandbox.fault(vendor, {"do": "status", "status": 503, "times": None})
    try:
        offboarding = company.leave("standard-leaver", email, "Do Wn", "74", country="DE")
        for step in ("okta", "password", "tokens", "sign-out", "groups"):
            stack.wait_job(offboarding, step, "succeeded", 180)
        assert stack.jobs(offboarding)["ticket"]["state"] in ("ready", "failed"), "three days are short here: it may be given up"
    finally:
        for vendor in ("jira", "slack"):
            stack.sandbox.clear_faults(vendor)
    if stack.jobs(offboarding)["ticket"]["state"] == "failed":
        stack.cli("retry", offboarding, "--step", "ticket", "--reason", "the vendor is back").ok()
    stack.wait_job(offboarding, "ticket", "succeeded", 60)
    stack.cli("cancel", offboarding, "--reason", "the test is over").ok()


@pytest.mark.xdist_group("other_runbooks")
def test_okta_suspension(company):
    stack, email = company.stack, "susi@example.com"
    offboarding = company.leave("okta-suspension", email, "Susi Pend", "75")
    for step in ("okta-sessions", "office-sessions", "office-disabled", "google-suspended"):
        stack.wait_job(offboarding, step, "succeeded", 60)
    office = next(one for one in stack.sandbox.state("m365")["users"] if one["userPrincipalName"] == email)
    assert office["accountEnabled"] is False and user(stack, email)["suspended"]
    waiting(company, offboarding, "mailbox")
    okta = lambda: next(one for one in stack.sandbox.state("okta")["users"] if one["profile"]["login"] == email)  # noqa: E731
    assert okta()["status"] == "ACTIVE", "deactivated only when the people are done"
    done(company, offboarding, "mailbox")
    assert okta()["status"] == "ACTIVE"
    done(company, offboarding, "investigation")
    stack.wait_status(offboarding, "completed", 60)
    assert okta()["status"] == "DEPROVISIONED" and set(states(stack, offboarding).values()) == {"succeeded"}
    golden_texts.check("okta-suspension", company.texts("Susi Pend"))
    assert company.ticket("Susi Pend")["fields"]["status"]["name"] == "Done"
    assert any("seen by the test" in json.dumps(job["outputs"]) for job in stack.jobs(offboarding).values())


def test_member_deactivated(company):
    stack, email = company.stack, "memo@example.com"
    offboarding = company.leave("member-deactivated", email, "Memo Ber", "76")
    stack.wait_job(offboarding, "lock", "succeeded", 60)
    stack.wait_job(offboarding, "licences", "succeeded", 60)
    done(company, offboarding, "collected")
    stack.wait_status(offboarding, "completed", 60)
    state = stack.sandbox.state("assetsonar")
    assert next(one for one in state["assets"] if one["name"] == "Laptop 76")["state"] == "available"
    assert macs(company, email) == [["DEVICE_LOCK"]]
    assert states(stack, offboarding)["other-licences"] == "skipped"
    golden_texts.check("member-deactivated", company.texts("Memo Ber"))
    assert any(DESK in mail.recipients and "Collect the assets of Memo Ber" in mail.message["Subject"] for mail in company.mail.mails)


@pytest.mark.xdist_group("other_runbooks")
def test_zoom_package(company):
    stack, email = company.stack, "zoe@example.com"
    stack.sandbox.seed("oomnitza", {"users": [{"email": email, "id": "770", "offboarding_sequence": "2"}]})
    offboarding = company.leave("zoom-package", email, "Zoe Oom", "77")
    stack.wait_status(offboarding, "completed", 60)
    people = {one["email"]: one for one in stack.sandbox.state("zoom")["users"]}
    assert email not in people and people[BOSS]["meetings"] >= 3
    golden_texts.check("zoom-package", company.texts("Zoe Oom"))
    fields = json.dumps(next(one for one in stack.sandbox.state("oomnitza")["users"] if one.get("email") == email))
    assert company.ticket("Zoe Oom")["key"] in fields and '"3"' in fields


def office(company, email: str) -> dict:
    """The account in Microsoft 365; {} when it is deleted."""
    return next((one for one in company.stack.sandbox.state("m365")["users"] if one["userPrincipalName"] == email), {})


def mailbox(company, email: str) -> dict:
    return next(one for one in company.stack.sandbox.state("m365")["mailboxes"] if one["PrimarySmtpAddress"] == email)


def readers(company, email: str) -> list[str]:
    return [one["User"] for one in mailbox(company, email)["permissions"] if "SELF" not in one["User"]]


@pytest.mark.xdist_group("office")
def test_m365_leaver(company):
    stack, email = company.stack, "mia@example.com"
    company.hire_office(email, "Mia Soft")
    offboarding = stack.offboard(email, runbook="m365-leaver", user={"name": "Mia Soft"})
    stack.wait_job(offboarding, "licences", "succeeded", 60)
    stack.wait_job(offboarding, "tell-manager", "succeeded", 60)
    left, box = office(company, email), mailbox(company, email)
    assert left["accountEnabled"] is False and left["licenses"] == [] and [one["@odata.type"] for one in left["methods"]] == [PASSWORD["@odata.type"]]
    assert box["RecipientTypeDetails"] == "SharedMailbox" and not box.get("deleted"), "the licence went after the conversion"
    assert box["HiddenFromAddressListsEnabled"] and box["ForwardingSmtpAddress"] is None and BOSS in box["auto_reply"]["externalReplyMessage"]
    assert readers(company, email) == [BOSS]
    state = stack.sandbox.state("m365")
    assert not [one for kind in ("groups", "lists") for one in state[kind] if left["id"] in one["members"] + one.get("owners", [])]
    assert not [one for kind in ("grants", "app_roles") for one in state[kind] if one["principalId"] == left["id"]]
    stack.wait_status(offboarding, "completed", 120)
    assert office(company, email) == {} and mailbox(company, email)["deleted"] and readers(company, email) == []
    assert {step for step, one in states(stack, offboarding).items() if one == "skipped"} == {"nobody", "disabled-by-ad"} | {
        f"disabled-by-ad.verify-{days}d" for days in (1, 7, 30)}
    assert company.ticket("Mia Soft")["fields"]["status"]["name"] == "Done"
    golden_texts.check("m365-leaver", company.texts("Mia Soft"))


@pytest.mark.xdist_group("office")
def test_m365_leaver_whose_mailbox_is_not_there(company):
    """An administrator blocked the account by hand beforehand, and it has neither mailbox nor drive. No step fails because of that."""
    stack, email = company.stack, "nomail@example.com"
    company.hire_office(email, "No Mail", accountEnabled=False, mailbox=False, drive=False)
    offboarding = stack.offboard(email, runbook="m365-leaver", user={"name": "No Mail"})
    stack.wait_status(offboarding, "completed", 120)
    jobs = stack.jobs(offboarding)
    assert jobs["disabled"]["outcome"] == "already_done" and jobs["licences"]["outcome"] == "succeeded"
    assert {jobs[step]["state"] for step in ("forwarding", "shared", "opened", "lists", "hidden", "reply", "drive", "tell-manager", "remind-60",
                                             "remind-83", "tell-closed")} == {"skipped"}
    assert office(company, email) == {}
    golden_texts.check("m365-leaver-no-mailbox", company.texts("No Mail"))


@pytest.mark.xdist_group("office")
def test_m365_leaver_whom_nobody_knows(company):
    offboarding = company.stack.offboard("unknown@example.com", runbook="m365-leaver", user={"name": "Un Known"})
    company.stack.wait_status(offboarding, "cancelled", 60)
    channel = lambda: json.dumps(company.stack.sandbox.state("slack")["channels"])  # noqa: E731
    wait_until(lambda: "No account of unknown@example.com was found in Microsoft 365, so nothing was changed." in channel(), 30, "the channel is told")
    assert [one for one in company.stack.tickets() if "Un Known" in one["fields"]["summary"]] == []


@pytest.mark.xdist_group("office")
def test_m365_leaver_without_a_manager(company):
    """Access ends all the same; what is handed over, and the licences, wait for a person who names one."""
    stack, email = company.stack, "orphan@example.com"
    company.hire_office(email, "Or Phan", manager=None)
    offboarding = stack.offboard(email, runbook="m365-leaver", user={"name": "Or Phan"})
    stack.wait_job(offboarding, "shared", "succeeded", 60)
    stack.wait_job(offboarding, "reply", "succeeded", 60)
    wait_until(lambda: "could not find out who takes over" in company.told("Or Phan"), 30, "the ticket tells of it")
    jobs = stack.jobs(offboarding)
    assert jobs["manager"]["outcome"] == "blocked" and {jobs[step]["state"] for step in ("opened", "drive", "licences", "tell-manager")} == {"waiting"}
    assert office(company, email)["licenses"] and readers(company, email) == [] and not office(company, email)["accountEnabled"]
    assert "Nobody is known yet who takes over." in company.ticket("Or Phan")["description_text"]
    assert "Please write to" not in mailbox(company, email)["auto_reply"]["externalReplyMessage"]
    stack.cli("cancel", offboarding, "--reason", "the test is over").ok()


@pytest.mark.xdist_group("office")
def test_m365_leaver_whose_master_is_ad(company):
    """What AD has to do is not tried here; that it has arrived is looked at."""
    stack, email = company.stack, "synced@example.com"
    company.hire_office(email, "Syn Ced", onPremisesSyncEnabled=True)
    offboarding = stack.offboard(email, runbook="m365-leaver", user={"name": "Syn Ced"})
    wait_until(lambda: (stack.jobs(offboarding).get("disabled-by-ad") or {}).get("outcome") in ("deferred", "failed"), 60, "AD has not disabled it yet")
    stack.wait_job(offboarding, "sessions", "succeeded", 60)
    assert {stack.jobs(offboarding)[step]["state"] for step in ("disabled", "password")} == {"skipped"}
    wait_until(lambda: "Microsoft 365: " in company.told("Syn Ced"), 30, "the ticket tells of the rest")
    assert "All access is gone" not in company.told("Syn Ced"), "while somebody can sign in"
    wait_until(lambda: "AD, where it is the master, has blocked the sign-in: not done within 6h: the vendor shows" in company.told("Syn Ced"), 60, "a person is told")
    stack.sandbox.seed("m365", {"users": [{"userPrincipalName": email, "accountEnabled": False}]})
    stack.cli("retry", offboarding, "--step", "disabled-by-ad", "--reason", "AD has disabled it").ok()
    stack.wait_job(offboarding, "disabled-by-ad", "succeeded", 60)
    stack.cli("cancel", offboarding, "--reason", "the test is over").ok()


@pytest.mark.xdist_group("other_runbooks")
def test_developer_leaver(company):
    stack, email = company.stack, "dev@example.com"
    offboarding = company.leave("developer-leaver", email, "Dev Eloper", "81")
    done(company, offboarding, "owned")
    stack.wait_status(offboarding, "completed", 60)
    people = {system: next(one for one in stack.sandbox.state(system)["users"] if email in (one.get("email"), one.get("name_id")))
              for system in ("github", "gitlab", "atlassian")}
    assert people["github"]["membership"] is None and people["github"]["credentials"] == []
    assert people["gitlab"]["state"] == "blocked" and people["gitlab"]["keys"] == [] and people["gitlab"]["gpg_keys"] == []
    assert not [one for one in people["gitlab"]["personal_access_tokens"] if one["active"]]
    assert people["atlassian"]["account_status"] == "inactive"
    assert set(states(stack, offboarding).values()) == {"succeeded"}
    assert company.ticket("Dev Eloper")["fields"]["status"]["name"] == "Done"
    golden_texts.check("developer-leaver", company.texts("Dev Eloper"))


@pytest.mark.xdist_group("other_runbooks")
def test_developer_leaver_of_one_system(company):
    """Blocked by hand before, and unknown elsewhere: the manager is told of this system alone, and nothing is a failure."""
    stack, email = company.stack, "lab@example.com"
    stack.sandbox.seed("gitlab", {"users": [{"email": email, "state": "blocked"}]})
    offboarding = stack.offboard(email, runbook="developer-leaver", user={"name": "Lab Only"})
    done(company, offboarding, "owned")
    stack.wait_status(offboarding, "completed", 60)
    held = states(stack, offboarding)
    assert {held[step] for step in ("github-tokens", "github", "github-outside", "atlassian", "hr", "okta-profile")} == {"skipped"}
    assert stack.jobs(offboarding)["gitlab"]["outcome"] == "already_done"
    golden_texts.check("developer-leaver-one-system", company.texts("Lab Only"))
