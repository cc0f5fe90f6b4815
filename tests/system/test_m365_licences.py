"""The race that loses mailboxes: a licence goes before the mailbox is a shared one. Graph and Exchange of one tenant."""

import json

import pytest
from connector_table import left
from m365 import BOSS, exchange_settings, of, person, settings
from process import wait_until
from vendors.m365 import MAILBOX_SKU, OTHER_SKU

pytestmark = pytest.mark.xdist_group("m365-licences")

# Nobody would write it so; the order that loses mailboxes.
WRONG_ORDER = """\
runbook: wrong-order
phases:
  - name: initial
    steps:
      - {id: licences, system: m365, action: remove_licences}
      - {id: share, system: exchange, action: convert_to_shared, needs: [licences], when: always}
      - {id: disable, system: m365, action: disable_user}
"""

# The group that brings the licence is left alone until the mailbox is a shared one.
GROUPS_FIRST = """\
runbook: groups-first
phases:
  - name: initial
    steps:
      - {id: groups, system: m365, action: leave_groups}
      - {id: share, system: exchange, action: convert_to_shared, needs: [groups]}
      - {id: licences, system: m365, action: remove_licences, needs: [share]}
"""
GROUPS_ONLY = """\
runbook: groups-only
phases:
  - name: initial
    steps:
      - {id: groups, system: m365, action: leave_groups}
"""


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    stack = make_shared_stack(systems="m365", vendors={"m365": {"users": [{"userPrincipalName": BOSS}]}})
    stack.settings["systems"] |= {"m365": settings(stack.sandbox.url("m365")),
                                  "exchange": exchange_settings(stack.sandbox.url("m365"))}
    stack.settings["worker"]["derive_key"] = "0123456789abcdef0123456789abcdef"
    stack.write_settings()
    return stack


@pytest.fixture
def try_(stack):
    def one(system: str, action: str, email: str, *more: str, **with_) -> dict:
        done = stack.try_action(system, action, "--email", email, "--json", "--live", "--with", json.dumps(with_), *more)
        return json.loads(done.out)

    yield one
    stack.sandbox.clear_faults()


def changes(stack, since: int) -> list[dict]:
    return [entry for entry in stack.sandbox.journal("m365")[since:] if entry.get("changing")]


def mailbox(stack, account: dict) -> dict:
    return of(stack.sandbox.state("m365"), "mailboxes", account["id"])[0]


def test_no_licence_goes_before_the_mailbox_is_shared(stack, try_):
    leaver, since = person(stack, "race@example.com"), len(stack.sandbox.journal("m365"))
    said = try_("m365", "remove_licences", "race@example.com")
    assert said["outcome"] == "blocked" and "convert_to_shared" in said["message"], said
    assert changes(stack, since) == []
    shared = try_("exchange", "convert_to_shared", "race@example.com")
    assert (shared["outcome"], shared["outputs"]["shared"]) == ("succeeded", True), shared
    said = try_("m365", "remove_licences", "race@example.com")
    assert (said["outcome"], said["outputs"]["licences"]) == ("succeeded", [MAILBOX_SKU, OTHER_SKU]), said
    assert not mailbox(stack, leaver).get("deleted")


def test_what_would_have_been_lost(stack, try_):
    """The simulated mailbox dies as the real one does, so the test above proves something."""
    leaver = person(stack, "lost@example.com")
    assert try_("m365", "remove_licences", "lost@example.com", keep="nothing")["outcome"] == "succeeded"
    assert mailbox(stack, leaver)["deleted"]


def test_a_step_tells_that_the_mailbox_is_shared(stack, try_):
    """Then nobody asks Graph, which may lag behind Exchange."""
    person(stack, "told@example.com", mailbox={"RecipientTypeDetails": "SharedMailbox"})
    since = len(stack.sandbox.journal("m365"))
    told = {"share": {"outputs": {"shared": True}}}
    said = try_("m365", "remove_licences", "told@example.com", "--steps", json.dumps(told),
                mailbox_shared="${ .steps.share.outputs.shared }")
    assert said["outcome"] == "succeeded", said
    assert not [entry for entry in stack.sandbox.journal("m365")[since:] if entry["path"].endswith("/userPurpose")]


@pytest.mark.parametrize("name, with_", [("false", {"mailbox_shared": False}), ("unknown", {"keep": "everything"}),
                                         ("archive", {"mailbox_shared": True, "needs_licence": ["archive"]})])
def test_what_is_not_known_to_be_shared_is_kept(stack, try_, name, with_):
    person(stack, f"{name}@example.com", mailbox={"RecipientTypeDetails": "SharedMailbox"})
    since = len(stack.sandbox.journal("m365"))
    said = try_("m365", "remove_licences", f"{name}@example.com", **with_)
    assert said["outcome"] == "blocked" and changes(stack, since) == [], said


def test_who_has_no_mailbox(stack, try_):
    """Graph says the same of one on-premises: a person, or the runbook, has to say that nothing is kept."""
    person(stack, "mailless@example.com", mailbox=False)
    said = try_("m365", "remove_licences", "mailless@example.com")
    assert said["outcome"] == "blocked" and "keep: nothing" in said["message"], said
    assert try_("m365", "remove_licences", "mailless@example.com", keep="nothing")["outcome"] == "succeeded"


def licence_group(stack, name: str, account: dict, **more) -> dict:
    state = stack.sandbox.seed("m365", {"groups": [{"displayName": name, "members": [account["id"]],
                                                    "assignedLicenses": [{"skuId": MAILBOX_SKU}], **more}]})
    return next(one for one in state["groups"] if one["displayName"] == name)


def members(stack, group: dict) -> list[str]:
    return next(one for one in stack.sandbox.state("m365")["groups"] if one["id"] == group["id"])["members"]


def test_a_group_that_brings_licences_is_left_with_the_licences(stack, try_):
    """Not before the mailbox is a shared one, and then for good."""
    leaver = person(stack, "grouped@example.com", licenses=[])
    group = licence_group(stack, "mail for all", leaver)
    kept = try_("m365", "leave_groups", "grouped@example.com")
    assert kept["outcome"] == "already_done" and left(kept)["licence_groups"] == ["mail for all"], kept
    said = try_("m365", "remove_licences", "grouped@example.com")
    assert said["outcome"] == "blocked" and "convert_to_shared" in said["message"], said
    assert members(stack, group) == [leaver["id"]] and not mailbox(stack, leaver).get("deleted")
    assert try_("exchange", "convert_to_shared", "grouped@example.com")["outcome"] == "succeeded"
    said = try_("m365", "remove_licences", "grouped@example.com")
    assert (said["outcome"], said["outputs"]["groups"], left(said)) == ("succeeded", ["mail for all"], {"licence_groups": []}), said
    assert members(stack, group) == [] and not mailbox(stack, leaver).get("deleted")
    assert try_("m365", "remove_licences", "grouped@example.com")["outcome"] == "already_done"
    undone = try_("m365", "restore_licences", "grouped@example.com", "--before", json.dumps(said["before"]))
    assert undone["outcome"] == "succeeded" and members(stack, group) == [leaver["id"]], undone


@pytest.mark.parametrize("name, more, who", [
    ("dynamic", {"groupTypes": ["DynamicMembership"]}, "its rule decides"),
    ("synced", {"onPremisesSyncEnabled": True}, "AD has to do it"),
    ("mail", {"mailEnabled": True}, "exchange's leave_distribution_groups has to do it")])
def test_a_group_with_licences_that_cannot_be_left_is_for_a_person(stack, try_, name, more, who):
    """All that can be taken goes, and the rest is named, until somebody has done it."""
    leaver = person(stack, f"{name}.bound@example.com", mailbox={"RecipientTypeDetails": "SharedMailbox"})
    licence_group(stack, f"bound by {name}", leaver, **more)
    said = try_("m365", "remove_licences", f"{name}.bound@example.com")
    assert said["outcome"] == "blocked" and f"bound by {name} ({who})" in said["message"], said
    assert not next(one for one in stack.sandbox.state("m365")["users"] if one["id"] == leaver["id"])["licenses"]
    stack.sandbox.seed("m365", {"groups": [{"displayName": f"bound by {name}", "members": []}]})
    again = try_("m365", "remove_licences", f"{name}.bound@example.com", "--state", json.dumps(said["state"]))
    assert again["outcome"] == "succeeded", again


def test_a_group_with_roles_and_licences(stack, try_):
    """Leaving it could delete the mailbox, and staying in it leaves an administrator: somebody decides at once."""
    leaver = person(stack, "powerful@example.com", mailbox={"RecipientTypeDetails": "UserMailbox"})
    both = licence_group(stack, "powerful and paid", leaver, isAssignableToRole=True)
    roles = stack.sandbox.seed("m365", {"groups": [{"displayName": "powerful", "members": [leaver["id"]],
                                                    "isAssignableToRole": True}]})["groups"][-1]
    said = try_("m365", "leave_role_groups", "powerful@example.com")
    assert said["outcome"] == "blocked" and "powerful and paid" in said["message"], said
    assert members(stack, both) == [leaver["id"]] and members(stack, roles) == []
    assert try_("m365", "leave_role_groups", "powerful@example.com", keep="nothing")["outcome"] == "succeeded"
    assert members(stack, both) == []


def test_no_licence_is_left_to_restore(stack, try_):
    leaver = person(stack, "restored@example.com", licenses=[])
    stack.sandbox.settings("m365", sold_out=[MAILBOX_SKU])
    before = {leaver["id"]: {"licences": [{"skuId": MAILBOX_SKU, "disabledPlans": []}]}}
    said = try_("m365", "restore_licences", "restored@example.com", "--before", json.dumps(before))
    stack.sandbox.settings("m365", sold_out=[])
    assert said["outcome"] == "blocked" and "available licenses" in said["message"], said


def test_who_takes_over_a_shared_mailbox_is_not_the_one_to_lose_a_licence(stack, try_):
    """The account in hand is the manager's: nothing is sent."""
    boss = next(one for one in stack.sandbox.state("m365")["users"] if one["userPrincipalName"] == BOSS)
    since = len(stack.sandbox.journal("m365"))
    said = try_("m365", "remove_licences", "mixed.up@example.com", "--ids", json.dumps({"m365": [boss["id"]]}),
                "--user", json.dumps({"manager": {"email": BOSS}}), keep="nothing")
    assert said["outcome"] == "blocked" and changes(stack, since) == [], said


def running(make_stack, tmp_path, *runbooks: str):
    """A whole stack with these runbooks."""
    for text in runbooks:
        name = text.split()[1]
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    stack = make_stack(systems="m365", settings={"definitions": {"runbooks": [str(tmp_path)]}, "worker": {
        "systems": ["m365", "exchange"], "derive_key": "0123456789abcdef0123456789abcdef"}})
    url = stack.sandbox.url("m365")
    stack.settings["systems"] = {"m365": settings(url), "exchange": exchange_settings(url)}
    stack.write_settings()
    return stack


def test_a_licence_group_keeps_the_offboarding_open(make_stack, tmp_path):
    """Until a later step has left it, or a person says so."""
    stack = running(make_stack, tmp_path, GROUPS_FIRST, GROUPS_ONLY)
    people = {name: person(stack, f"{name}@example.com", licenses=[]) for name in ("jane", "joe")}
    groups = {name: licence_group(stack, f"mail for {name}", account) for name, account in people.items()}
    stack.start()
    first = stack.cli("start", "jane@example.com", "--runbook", "groups-first").ok().out.split()[-1]
    only = stack.cli("start", "joe@example.com", "--runbook", "groups-only").ok().out.split()[-1]
    stack.wait_status(first, "completed", 60)
    assert members(stack, groups["jane"]) == [] and not mailbox(stack, people["jane"]).get("deleted")
    items = "SELECT item, closed_by FROM open_item WHERE offboarding_id = %s AND kind = 'licence_groups'"
    assert stack.database.query(items, first) == [{"item": "mail for jane", "closed_by": "step licences"}]
    stack.wait_job(only, "groups", "succeeded", outcome="already_done")
    stack.wait_quiet()
    assert stack.offboarding(only)["status"] != "completed"
    assert "mail for joe" in stack.cli("status", only).ok().out
    stack.cli("skip", only, "--step", "groups", "--reason", "joe keeps the licence").ok()
    stack.wait_status(only, "completed", 30)
    assert members(stack, groups["joe"]) == [people["joe"]["id"]]


def test_a_runbook_in_the_wrong_order(make_stack, tmp_path):
    """The licence waits for a person, all else goes on; ordered again it goes; undone it comes back."""
    stack = running(make_stack, tmp_path, WRONG_ORDER)
    leaver = person(stack, "jane@example.com")
    stack.start()
    offboarding = stack.cli("start", "jane@example.com", "--runbook", "wrong-order").ok().out.split()[-1]

    def states() -> dict[str, str]:
        return {step: job["state"] for step, job in stack.jobs(offboarding).items()}

    wait_until(lambda: states() == {"licences": "failed", "share": "succeeded", "disable": "succeeded"}, 30, "the licence is held back")
    assert stack.jobs(offboarding)["licences"]["outcome"] == "blocked"
    assert not [entry for entry in changes(stack, 0) if entry["path"].endswith("/assignLicense")]
    stack.cli("retry", offboarding, "--step", "licences", "--reason", "the mailbox is shared now").ok()
    wait_until(lambda: states()["licences"] == "succeeded", 30, "the licence is gone")
    assert not mailbox(stack, leaver).get("deleted")
    stack.cli("undo", offboarding, "--step", "licences", "--reason", "too early").ok()
    wait_until(lambda: states().get("licences.undo") == "succeeded", 30, "the licence is back")
    held = next(one for one in stack.sandbox.state("m365")["users"] if one["id"] == leaver["id"])
    assert [one["skuId"] for one in held["licenses"]] == [MAILBOX_SKU, OTHER_SKU]
