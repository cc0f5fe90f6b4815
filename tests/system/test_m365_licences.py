"""The race that loses mailboxes: a licence goes before the mailbox is a shared one. Graph and Exchange of one tenant."""

import json

import pytest
from m365 import BOSS, exchange_settings, of, person, settings
from vendors.m365 import MAILBOX_SKU, OTHER_SKU

pytestmark = pytest.mark.xdist_group("m365")


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
        done = stack.cli("try", system, action, "--email", email, "--json", "--live", "--with", json.dumps(with_), *more)
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


def test_licences_of_groups_stay_with_the_groups(stack, try_):
    leaver = person(stack, "grouped@example.com", licenses=[])
    state = stack.sandbox.seed("m365", {"groups": [{"displayName": "mail for all", "members": [leaver["id"]],
                                                    "assignedLicenses": [{"skuId": MAILBOX_SKU}]}]})
    group = next(one for one in state["groups"] if one["displayName"] == "mail for all")
    said = try_("m365", "remove_licences", "grouped@example.com")
    assert said["outcome"] == "already_done", said
    assert said["outputs"]["of_groups"] == [{"skuId": MAILBOX_SKU, "group": group["id"]}]
    left = try_("m365", "leave_groups", "grouped@example.com")
    assert left["outcome"] == "already_done" and "licences" in left["outputs"]["not_left"][0]["reason"], left
    assert not mailbox(stack, leaver).get("deleted")


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
