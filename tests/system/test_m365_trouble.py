"""What is special about Microsoft 365: who is who, who is out of reach, what can't be left, what lags, what belongs to others."""

import json
import time

import pytest
from m365 import BOSS, documented_permissions, method, of, person, settings
from unconfirmed import impatient
from vendors.m365 import PASSWORD

pytestmark = pytest.mark.xdist_group("m365-trouble")
GUEST = "jane_home.example#EXT#@sandbox.onmicrosoft.com"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    stack = make_shared_stack(systems="m365", vendors={"m365": {
        "permissions": documented_permissions(), "users": [{"userPrincipalName": BOSS}]}})
    stack.settings["systems"]["m365"] = settings(stack.sandbox.url("m365"))
    stack.settings["worker"]["derive_key"] = "0123456789abcdef0123456789abcdef"
    stack.write_settings()
    return stack


@pytest.fixture
def try_(stack):
    def one(action: str, email: str, *more: str, in_vain: bool = False, **with_) -> dict:
        done = stack.try_action("m365", action, "--email", email, "--json", "--live", "--with", json.dumps(with_), *more,
                                **(impatient(stack, "m365") if in_vain else {}))
        return json.loads(done.out)

    yield one
    stack.sandbox.clear_faults()
    stack.sandbox.settings("m365", page_size=None, read_lag=0.0, app_is_admin=False, root_sharing=True, casts=True,
                           permissions=documented_permissions())


def changes(said: dict) -> list[str]:
    return [call["url"] for call in said["calls"] if call["changes"]]


def user(stack, account: dict) -> dict:
    return next(one for one in stack.sandbox.state("m365")["users"] if one["id"] == account["id"])


def seed(stack, kind: str, *given: dict) -> list[dict]:
    """What was made of it: the newest of the kind."""
    return stack.sandbox.seed("m365", {kind: list(given)})[kind][-len(given):]


# Who is who.

def test_by_employee_id(stack, try_):
    leaver = person(stack, "numbered@example.com", employeeId="E'7")
    assert try_("disable_user", "other.name@example.com", "--employee-id", "E'7")["outcome"] == "succeeded"
    assert user(stack, leaver)["accountEnabled"] is False


@pytest.mark.parametrize("key", ["jane@home.example", GUEST])
def test_a_guest(stack, try_, key):
    """Found by the mail address and by the name with its #; sessions are the home organisation's, the account is ours."""
    guest = person(stack, GUEST, mail="jane@home.example", userType="Guest", accountEnabled=True, mailbox=False)
    said = try_("revoke_sessions", key)
    assert said["outcome"] == "blocked" and "home organisation" in said["message"] and changes(said) == [], said
    assert try_("disable_user", key)["outcome"] == "succeeded"
    assert user(stack, guest)["accountEnabled"] is False


def test_two_of_one_address(stack, try_):
    person(stack, "twin@example.com")
    person(stack, "twin.test@example.com", mail="twin@example.com")
    said = try_("disable_user", "twin@example.com")
    assert said["outcome"] == "blocked" and "2 accounts" in said["message"] and changes(said) == [], said


def test_an_address_that_is_an_alias(stack, try_):
    """An heir's, or of the leaver's own account under a new name: somebody has to say, unless HR knows the new name."""
    heir = person(stack, "heir@example.com", proxyAddresses=["SMTP:heir@example.com", "smtp:gone@example.com"])
    said = try_("disable_user", "gone@example.com")
    assert said["outcome"] == "blocked" and f"account {heir['id']}" in said["message"] and changes(said) == [], said
    said = try_("disable_user", "gone@example.com", "--user", json.dumps({"emails": ["heir@example.com"]}))
    assert said["outcome"] == "succeeded" and said["pinned"] == {"m365": [heir["id"]]}, said


@pytest.mark.parametrize("shown, outcome", [("E-0815", "succeeded"), ("E-9", "blocked")])
def test_somebody_who_was_renamed(stack, try_, shown, outcome):
    """HR knows the old address only, which is an alias by now: the employee number says whose it is."""
    name = f"renamed.{shown.lower()}@example.com"
    account = person(stack, name, employeeId=shown, proxyAddresses=[f"SMTP:{name}", f"smtp:maiden.{name}"])
    said = try_("disable_user", f"maiden.{name}", "--employee-id", "e-0815")
    assert said["outcome"] == outcome and user(stack, account)["accountEnabled"] is (outcome == "blocked"), said
    assert outcome == "blocked" or said["pinned"] == {"m365": [account["id"]]}, said


def pages_of(stack, path: str, *pages: list[dict], query: str = "") -> None:
    """Answers a list in these pages."""
    url = f"{stack.sandbox.url('m365')}/v1.0{path}?$select=id&$skiptoken="
    for number, page in enumerate(pages):
        link = {"@odata.nextLink": f"{url}{number + 1}"} if page is not pages[-1] else {}
        stack.sandbox.fault("m365", {"match": {"method": "GET", "path": f"{path}$", "query": f"skiptoken={number}" if number else query},
                                     "do": "status", "status": 200, "body": {"value": page, **link}, "times": None if number else 1})


@pytest.mark.parametrize("ours", [True, False], ids=["number", "nobody-knows"])
def test_an_alias_on_the_second_page(stack, try_, ours):
    name, stranger = f"behind.{ours}@example.com".lower(), person(stack, f"before.{ours}@example.com".lower())
    account = person(stack, name, employeeId=f"P2-{ours}", proxyAddresses=[f"smtp:alias.{name}"])
    shown = {key: account[key] for key in ("id", "userPrincipalName", "mail", "employeeId", "proxyAddresses")}
    pages_of(stack, "/users", [], [shown], query="proxyAddresses%2Fany")
    said = try_("disable_user", f"alias.{name}", *(["--employee-id", f"P2-{ours}"] if ours else []))
    assert said["outcome"] == ("succeeded" if ours else "blocked") and account["id"] in str(said), said
    assert user(stack, stranger)["accountEnabled"] is True


def test_methods_on_the_second_page(stack, try_):
    """The password alone on the first page is not the end of the list, neither before the change nor in the read-back."""
    leaver = person(stack, "keys@example.com", methods=[PASSWORD, method("fido2", 1), method("phone", 2)])
    stack.sandbox.settings("m365", page_size=1)
    said = try_("remove_methods", "keys@example.com")
    assert said["outcome"] == "succeeded" and user(stack, leaver)["methods"] == [PASSWORD], said
    person(stack, "keys.kept@example.com", methods=[PASSWORD, method("fido2", 1)])
    stack.sandbox.fault("m365", {"match": {"method": "DELETE", "path": "/authentication/"}, "do": "noop"})
    said = try_("remove_methods", "keys.kept@example.com", in_vain=True)
    assert said["outcome"] == "failed" and "not confirmed" in said["message"], said


def test_a_device_whose_owners_fill_a_page(stack, try_):
    leaver = person(stack, "owner.pages@example.com")
    device, = seed(stack, "devices", {"registeredUsers": ["owner.pages@example.com"], "registeredOwners": ["owner.pages@example.com"]})
    pages_of(stack, "/registeredOwners", [{"id": leaver["id"]}], [{"id": "somebody-else"}])
    said = try_("disable_devices", "owner.pages@example.com")
    assert said["outcome"] == "blocked" and changes(said) == [], (device, said)


def test_groups_of_before_on_two_pages(stack, try_):
    """What has to be there again may stand on any page."""
    leaver = person(stack, "back@example.com")
    groups = seed(stack, "groups", *({"displayName": f"back.{number}", "members": []} for number in range(3)))
    stack.sandbox.settings("m365", page_size=1)
    before = {leaver["id"]: {"groups": [{"id": one["id"], "name": one["displayName"]} for one in groups]}}
    said = try_("rejoin_groups", "back@example.com", "--ids", json.dumps({"m365": [leaver["id"]]}), "--before", json.dumps(before), in_vain=True)
    assert said["outcome"] == "succeeded", said


def test_an_address_that_was_given_to_another_employee(stack, try_):
    heir = person(stack, "reused@example.com", employeeId="E-9")
    said = try_("disable_user", "reused@example.com", "--employee-id", "E-8")
    assert said["outcome"] == "blocked" and f"account {heir['id']} has" in said["message"] and "E-9" in said["message"], said
    assert changes(said) == []


def test_a_leaver_on_the_second_page(stack, try_):
    leaver = person(stack, "page.two@example.com")
    url = stack.sandbox.url("m365")
    stack.sandbox.fault("m365", {"match": {"path": "/users$"}, "do": "status", "status": 200, "times": 1, "body": {
        "value": [], "@odata.nextLink": f"{url}/v1.0/users?$filter=mail%20eq%20'page.two%40example.com'&$select=id,mail"}})
    said = try_("disable_user", "page.two@example.com")
    assert said["outcome"] == "succeeded" and said["pinned"] == {"m365": [leaver["id"]]}, said


def test_a_search_that_names_a_stranger(stack, try_):
    """As if the filter had not been understood: whoever shows another address is somebody else."""
    stranger = {"id": "s1", "userPrincipalName": "stranger@example.com", "mail": "stranger@example.com", "employeeId": None}
    stack.sandbox.fault("m365", {"match": {"path": "/users$"}, "do": "status", "status": 200, "body": {"value": [stranger]}})
    said = try_("disable_user", "nobody.of.ours@example.com")
    assert said["outcome"] == "blocked" and changes(said) == [], said


@pytest.mark.parametrize("body", [{}, [], {"value": None}, {"error": {"code": "x", "message": "maintenance"}}], ids=str)
def test_a_search_that_says_nothing(stack, try_, body):
    stack.sandbox.fault("m365", {"match": {"path": "/users$"}, "do": "status", "status": 200, "body": body})
    said = try_("disable_user", "somebody.or.nobody@example.com")
    assert said["outcome"] == "deferred" and "pinned" not in said, said


# Who is out of reach.

@pytest.mark.parametrize("action", ["disable_user", "reset_password"])
def test_where_ad_is_the_master(stack, try_, action):
    person(stack, f"{action}.synced@example.com", onPremisesSyncEnabled=True)
    said = try_(action, f"{action}.synced@example.com")
    assert said["outcome"] == "blocked" and "AD has to" in said["message"] and changes(said) == [], said


def test_ad_has_done_it(stack, try_):
    person(stack, "done.synced@example.com", onPremisesSyncEnabled=True, accountEnabled=False)
    assert try_("disable_user", "done.synced@example.com")["outcome"] == "already_done"


@pytest.mark.parametrize("action", ["disable_user", "reset_password"])
def test_an_administrator(stack, try_, action):
    """Out of reach until the roles are gone, those of groups too."""
    email = f"{action}.admin@example.com"
    leaver = person(stack, email)
    seed(stack, "role_assignments", {"principalId": leaver["id"]})
    seed(stack, "groups", {"displayName": f"admins of {action}", "isAssignableToRole": True, "members": [leaver["id"]]})
    said = try_(action, email)
    assert said["outcome"] == "blocked" and "Insufficient privileges" in said["message"], said
    assert try_("remove_directory_roles", email)["outcome"] == "succeeded"
    assert try_(action, email)["outcome"] == "blocked"
    assert try_("leave_role_groups", email)["outcome"] == "succeeded"
    assert try_(action, email)["outcome"] == "succeeded"


def test_a_permission_that_is_missing(stack, try_):
    person(stack, "unpermitted@example.com")
    stack.sandbox.settings("m365", permissions=["User.Read.All"])
    said = try_("remove_methods", "unpermitted@example.com")
    assert said["outcome"] == "denied" and "Request Authorization failed" in said["message"], said


def test_refused_credentials(stack):
    done = stack.try_action("m365", "disable_user", "--email", BOSS, "--json", "--live",
                            OFFBOARD_SYSTEMS_M365_CLIENT_SECRET="wrong-s3cret")
    said = json.loads(done.out)
    assert said["outcome"] == "denied" and "AADSTS7000215" in said["message"] and "s3cret" not in done.out, said


def test_the_check(stack):
    assert stack.cli("check", "m365").ok().out == "m365: ok\n"


# What takes time, and long lists.

def test_reads_that_lag(stack, try_):
    leaver = person(stack, "lag@example.com")
    stack.sandbox.settings("m365", read_lag=1.5)
    since = time.monotonic()
    said = try_("disable_user", "lag@example.com")
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert time.monotonic() - since >= 1.5 and user(stack, leaver)["accountEnabled"] is False
    assert len(changes(said)) == 1


def test_groups_on_many_pages(stack, try_):
    """What can't be left lies on the last page, too."""
    leaver = person(stack, "pages@example.com")
    seed(stack, "groups", *({"displayName": f"page {n}", "members": [leaver["id"]], "onPremisesSyncEnabled": n in (1, 4)}
                            for n in range(5)))
    stack.sandbox.settings("m365", page_size=1)
    said = try_("leave_groups", "pages@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"]["groups"] == ["page 0", "page 2", "page 3"], said
    assert [one["name"] for one in said["outputs"]["not_left"]] == ["page 1", "page 4"]
    again = try_("leave_groups", "pages@example.com")
    assert again["outcome"] == "already_done", again
    assert again["outputs"]["not_left"] == said["outputs"]["not_left"]


@pytest.mark.parametrize("casts", [True, False])
def test_what_is_no_group_is_left_alone(stack, try_, casts):
    """An administrative unit is left by nobody: whether the cast keeps it out, or Graph heeds no cast and tells its type."""
    email = f"unit.{casts}@example.com".lower()
    leaver = person(stack, email)
    unit, = seed(stack, "units", {"displayName": "Branch Paris", "members": [leaver["id"]]})
    seed(stack, "groups", {"displayName": f"beside the unit {casts}", "members": [leaver["id"]]})
    stack.sandbox.settings("m365", casts=casts)
    for outcome in ("succeeded", "already_done"):
        said = try_("leave_groups", email)
        assert (said["outcome"], said["outputs"]["not_left"]) == (outcome, []), said
    assert not [url for url in changes(said) if unit["id"] in url]
    assert try_("leave_role_groups", email)["outcome"] == "already_done"


def test_what_is_not_left_is_seen_on_the_last_page_too(stack, try_):
    """Graph says that it was done, and the group on the second page has the leaver still."""
    leaver = person(stack, "stays@example.com")
    seed(stack, "groups", *({"displayName": f"stays {n}", "members": [leaver["id"]], "onPremisesSyncEnabled": n == 0} for n in range(2)))
    stack.sandbox.settings("m365", page_size=1)
    stack.sandbox.fault("m365", {"match": {"method": "DELETE"}, "do": "noop"})
    said = try_("leave_groups", "stays@example.com", in_vain=True)
    assert said["outcome"] == "failed" and "not confirmed" in said["message"], said


def test_a_page_on_another_host(stack, try_):
    """Our token would go with the request."""
    person(stack, "elsewhere@example.com")
    stack.sandbox.fault("m365", {"match": {"path": "memberOf"}, "do": "status", "status": 200, "times": 1, "body": {
        "value": [], "@odata.nextLink": "http://127.0.0.2:9/v1.0/groups?$skiptoken=1"}})
    said = try_("leave_groups", "elsewhere@example.com")
    assert said["outcome"] == "failed" and "another host" in said["message"], said


def test_two_who_change_at_once(stack, try_):
    person(stack, "concurrent@example.com")
    body = {"error": {"code": "Directory_ConcurrencyViolation", "message": "Concurrent update."}}
    stack.sandbox.fault("m365", {"match": {"method": "POST"}, "do": "status", "status": 409, "times": 1, "body": body})
    assert try_("revoke_sessions", "concurrent@example.com")["outcome"] == "succeeded"


# Sessions, passwords, methods.

def test_a_password_that_nobody_knows(stack, try_):
    leaver = person(stack, "secret@example.com")
    said = try_("reset_password", "secret@example.com")
    assert said["outcome"] == "succeeded" and len(user(stack, leaver)["password"]) == 64, said
    assert "aZ9" not in json.dumps(said)


def test_the_default_method_goes_last(stack, try_):
    methods = [method("phone", 1, default=True), PASSWORD, method("microsoftAuthenticator", 2)]
    leaver = person(stack, "default@example.com", methods=methods)
    said = try_("remove_methods", "default@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"]["methods"] == ["phone", "microsoftAuthenticator"], said
    assert [one["@odata.type"] for one in user(stack, leaver)["methods"]] == [PASSWORD["@odata.type"]]


# Groups and applications.

def test_the_last_owner_stays(stack, try_):
    leaver = person(stack, "owner@example.com")
    alone, shared = seed(stack, "groups", {"displayName": "alone", "owners": [leaver["id"]]},
                         {"displayName": "shared", "owners": [leaver["id"], BOSS]})
    said = try_("remove_group_ownerships", "owner@example.com")
    assert said["outcome"] == "blocked" and alone["id"] in said["message"] and "at least one owner" in said["message"], said
    owners = {one["displayName"]: one["owners"] for one in stack.sandbox.state("m365")["groups"]}
    assert owners["alone"] == [leaver["id"]] and leaver["id"] not in owners["shared"], owners


def test_somebody_was_quicker(stack, try_):
    leaver = person(stack, "quicker@example.com")
    seed(stack, "groups", {"displayName": "left already", "members": [leaver["id"]]})
    stack.sandbox.fault("m365", {"match": {"method": "DELETE"}, "do": "status_after", "status": 404, "times": 1})
    assert try_("leave_groups", "quicker@example.com")["outcome"] == "succeeded"


def test_applications_of_a_group_stay(stack, try_):
    leaver = person(stack, "assigned@example.com")
    group, = seed(stack, "groups", {"displayName": "with an app", "members": [leaver["id"]]})
    of_group, _ = seed(stack, "app_roles", {"principalId": group["id"], "principalType": "Group"}, {"principalId": leaver["id"]})
    assert try_("remove_app_assignments", "assigned@example.com")["outcome"] == "succeeded"
    left = stack.sandbox.state("m365")["app_roles"]
    assert of_group["id"] in [one["id"] for one in left] and leaver["id"] not in [one["principalId"] for one in left]


# Devices.

def test_a_device_of_somebody_else(stack, try_):
    leaver = person(stack, "sharing@example.com")
    lent, own = seed(stack, "devices", {"registeredUsers": [leaver["id"]], "registeredOwners": [BOSS]},
                     {"registeredUsers": [leaver["id"]]})
    said = try_("disable_devices", "sharing@example.com")
    assert said["outcome"] == "blocked" and lent["id"] in said["message"] and "another owner" in said["message"], said
    state = {one["id"]: one["accountEnabled"] for one in stack.sandbox.state("m365")["devices"]}
    assert (state[lent["id"]], state[own["id"]]) == (True, False)


def test_a_phone_that_changed_hands(stack, try_):
    leaver = person(stack, "handed.on@example.com")
    phone, = seed(stack, "managed_devices", {"userId": leaver["id"]})
    stack.sandbox.fault("m365", {"match": {"path": f"/deviceManagement/managedDevices/{phone['id']}$", "method": "GET"},
                                 "do": "status", "status": 200, "body": {**phone, "userId": "somebody-else"}})
    said = try_("retire_devices", "handed.on@example.com")
    assert said["outcome"] == "blocked" and "somebody else" in said["message"] and changes(said) == [], said


def test_whose_devices_are_retired(stack, try_):
    leaver = person(stack, "devices@example.com")
    failed = {"actionName": "retire", "actionState": "failed"}
    seed(stack, "managed_devices", {"userId": leaver["id"], "deviceName": "ours", "managedDeviceOwnerType": "company"},
         {"userId": leaver["id"], "deviceName": "failed before", "deviceActionResults": [failed]},
         {"userId": leaver["id"], "deviceName": "asked before", "deviceActionResults": [{**failed, "actionState": "pending"}]})
    said = try_("retire_devices", "devices@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"] == {
        "devices": ["failed before"], "not_retired": [{"name": "ours", "owner": "company"}]}, said
    said = try_("retire_devices", "devices@example.com", owners=["company", "personal"])
    assert said["outputs"] == {"devices": ["ours"], "not_retired": []}, said
    devices = of(stack.sandbox.state("m365"), "managed_devices", leaver["id"])
    assert {one["deviceName"]: one.get("retired", 0) for one in devices} == {"ours": 1, "failed before": 1, "asked before": 0}


# Files and mail.

def test_the_manager_gets_the_files(stack, try_):
    leaver = person(stack, "files@example.com")
    manager = json.dumps({"manager": {"email": BOSS}})
    said = try_("share_onedrive", "files@example.com", "--user", manager)
    assert said["outcome"] == "succeeded" and said["outputs"]["to"] == BOSS, said
    drive, = of(stack.sandbox.state("m365"), "drives", leaver["id"])
    assert [one["grantedToV2"]["user"].get("email") for one in drive["permissions"]] == [None, BOSS]
    assert try_("unshare_onedrive", "files@example.com", "--user", manager)["outcome"] == "succeeded"


@pytest.mark.parametrize("name, to, why", [("nobody", "no.such@example.com", "one active user"),
                                           ("inactive", "inactive.heir@example.com", "one active user"),
                                           ("oneself", "oneself@example.com", "not the leaver"),
                                           ("manager", None, "with.to is null")])
def test_who_cannot_get_the_files(stack, try_, name, to, why):
    person(stack, f"{name}@example.com")
    person(stack, "inactive.heir@example.com", accountEnabled=False)
    said = try_("share_onedrive", f"{name}@example.com", **({"to": to} if to else {}))
    assert said["outcome"] == "blocked" and why in said["message"] and changes(said) == [], said


@pytest.mark.parametrize("shown", [{"mail": "thief@example.com"}, {}], ids=["another", "nobody"])
def test_who_gets_the_files_is_whom_the_step_names(stack, try_, shown):
    person(stack, "named@example.com")
    stack.sandbox.fault("m365", {"match": {"method": "GET", "path": "/users$", "query": "boss"}, "do": "status", "status": 200,
                                 "body": {"value": [{"id": "thief", "accountEnabled": True, **shown}]}})
    said = try_("share_onedrive", "named@example.com", to=BOSS)
    stack.sandbox.clear_faults("m365")
    assert said["outcome"] == "blocked" and f"with the address {BOSS}" in said["message"] and changes(said) == [], said


def test_a_drive_that_was_never_used(stack, try_):
    person(stack, "driveless@example.com", drive=False)
    assert try_("share_onedrive", "driveless@example.com", to=BOSS)["outcome"] == "missing"


def test_a_root_that_cannot_be_shared(stack, try_):
    person(stack, "rootless@example.com")
    stack.sandbox.settings("m365", root_sharing=False)
    said = try_("share_onedrive", "rootless@example.com", to=BOSS)
    assert said["outcome"] == "blocked" and "Access denied" in said["message"], said


def test_a_reply_names_the_manager(stack, try_):
    leaver = person(stack, "reply@example.com")
    said = try_("set_auto_reply", "reply@example.com", "--user", json.dumps({"manager": {"email": BOSS}}))
    assert said["outcome"] == "succeeded", said
    box, = of(stack.sandbox.state("m365"), "mailboxes", leaver["id"])
    assert f"Please write to {BOSS}." in box["auto_reply"]["externalReplyMessage"]


def test_a_reply_without_a_mailbox(stack, try_):
    person(stack, "silent@example.com", mailbox=False)
    assert try_("set_auto_reply", "silent@example.com")["outcome"] == "missing"


# Taking back.

@pytest.mark.parametrize("action, undo, kind, with_", [
    ("disable_user", "enable_user", "users", {}), ("leave_groups", "rejoin_groups", "groups", {}),
    ("remove_group_ownerships", "restore_group_ownerships", "groups", {}),
    ("remove_app_grants", "restore_app_grants", "grants", {}),
    ("remove_app_assignments", "restore_app_assignments", "app_roles", {}), ("disable_devices", "enable_devices", "devices", {}),
    ("set_auto_reply", "restore_auto_reply", "mailboxes", {}),
    ("remove_licences", "restore_licences", "users", {"mailbox_shared": True}),
    ("share_onedrive", "unshare_onedrive", "drives", {"to": BOSS})])
def test_what_was_there_before_comes_back(stack, try_, action, undo, kind, with_):
    email = f"{undo.replace('_', '.')}@example.com"
    me = person(stack, email, mailbox={"RecipientTypeDetails": "SharedMailbox"})["id"]
    seed(stack, "groups", {"displayName": f"of {undo}", "members": [BOSS, me], "owners": [BOSS, me]})
    seed(stack, "grants", {"principalId": me, "clientId": "c", "resourceId": "r", "scope": "Mail.Read"})
    seed(stack, "app_roles", {"principalId": me, "resourceId": "r", "appRoleId": "a"})
    seed(stack, "devices", {"registeredUsers": [me]})

    def mine() -> list[dict]:
        state = stack.sandbox.state("m365")
        found = [one for one in state["users"] if one["id"] == me] if kind == "users" else of(state, kind, me)
        ids = () if kind not in ("grants", "app_roles") else ("id", "resourceDisplayName", "principalType")
        return [{key: value for key, value in one.items() if key not in ids} for one in found]

    before = mine()
    said = try_(action, email, **with_)
    assert said["outcome"] == "succeeded" and mine() != before, said
    undone = try_(undo, email, *(["--before", json.dumps(said["before"])] if said.get("before") else []), **with_)
    assert undone["outcome"] == "succeeded", undone
    if kind == "mailboxes":
        before[0]["auto_reply"] = mine()[0]["auto_reply"]
        assert before[0]["auto_reply"]["status"] == "disabled"
    assert mine() == before


# Who takes over.

def chosen(stack, line: list, *pinned: str, live: bool = True, **known) -> dict:
    return stack.try_action("m365", "choose_manager", "--email", "chosen.for@example.com", "--json", *(["--live"] if live else []), "--ids",
                            json.dumps({"m365": list(pinned)}), "--user", json.dumps({"manager_chain": line, **known})).json


def test_the_profile_and_the_line_of_managers(stack, try_):
    person(stack, "director@example.com", displayName="Di Rector")
    person(stack, "lead@example.com", manager="director@example.com", mail="The.Lead@example.com")
    person(stack, "profiled@example.com", manager="lead@example.com", displayName="Pro Filed", employeeId="0815",
           proxyAddresses=["SMTP:profiled@example.com", "smtp:Pro.Filed@example.com"], onPremisesSyncEnabled=True)
    said = try_("read_profile", "profiled@example.com")
    assert said["outcome"] == "succeeded" and changes(said) == [], said
    assert said["outputs"] == {"synced": True, "user": {
        "name": "Pro Filed", "emails": ["pro.filed@example.com", "profiled@example.com"], "employee_id": "0815",
        "manager_chain": [{"email": "the.lead@example.com"}, {"email": "director@example.com"}]}}
    hr = try_("read_profile", "profiled@example.com", "--user", json.dumps({"manager": {"email": "HR.says@example.com"}, "name": "P. F."}))
    assert [one["email"] for one in hr["outputs"]["user"]["manager_chain"]] == [
        "hr.says@example.com", "the.lead@example.com", "director@example.com"] and hr["outputs"]["user"]["name"] == "P. F."


def test_nobody_is_the_manager(stack, try_):
    person(stack, "alone@example.com")
    said = try_("read_profile", "alone@example.com")
    assert said["outputs"]["synced"] is False and said["outputs"]["user"]["manager_chain"] == [], said
    said = chosen(stack, [])
    assert said["outcome"] == "blocked" and "m365.fallback_manager is not set or not active" in said["message"], said


def test_the_first_of_the_line_who_is_there(stack):
    """Not who is disabled, leaving, unknown, known by an alias alone, or the leaver."""
    leaver = person(stack, "chosen.for@example.com")
    person(stack, "blocked.boss@example.com", accountEnabled=False)
    person(stack, "aliased.boss@example.com", proxyAddresses=["smtp:alias.boss@example.com"])
    person(stack, "leaving.boss@example.com")
    person(stack, "o'hara@example.com", displayName="Scarlett O'Hara")
    line = [{"email": name} for name in ("blocked.boss@example.com", "alias.boss@example.com", "no.boss@example.com",
                                         "chosen.for@example.com", "O'Hara@example.com")]
    said = chosen(stack, [{"email": "leaving.boss@example.com", "leaving": True}, *line], leaver["id"])
    assert said["provides"] == {"user": {"manager": {"email": "o'hara@example.com", "name": "Scarlett O'Hara"}}}, said
    assert chosen(stack, line[:-1], leaver["id"])["outcome"] == "blocked"


# The end.

def test_what_is_deleted_is_restored_with_its_mailbox(stack, try_):
    leaver = person(stack, "deleted@example.com", accountEnabled=False)
    ids = ("--ids", json.dumps({"m365": [leaver["id"]]}))
    shared = lambda: next(one for one in stack.sandbox.state("m365")["mailboxes"] if one["ExternalDirectoryObjectId"] == leaver["id"])  # noqa: E731
    assert try_("delete_user", "deleted@example.com", *ids)["outcome"] == "succeeded"
    assert shared()["deleted"] and leaver["id"] not in [one["id"] for one in stack.sandbox.state("m365")["users"]]
    assert try_("restore_user", "deleted@example.com", *ids)["outcome"] == "succeeded"
    assert user(stack, leaver)["userPrincipalName"] == "deleted@example.com" and not shared()["deleted"]
    assert try_("restore_user", "deleted@example.com", *ids)["outcome"] == "already_done"


@pytest.mark.parametrize("state", [{"onPremisesSyncEnabled": True, "accountEnabled": False}, {"accountEnabled": True}], ids=["synced", "active"])
def test_what_is_not_deleted(stack, try_, state):
    """What AD is the master of, AD deletes; who is active again has come back."""
    name = f"kept.{len(state)}@example.com"
    leaver = person(stack, name, **state)
    said = try_("delete_user", name)
    assert said["outcome"] == "blocked" and "deleted by AD, and one that is active again by nobody" in said["message"], said
    assert changes(said) == []
    assert user(stack, leaver)


def test_who_is_restored_too_late(stack, try_):
    said = try_("restore_user", "late@example.com", "--ids", json.dumps({"m365": ["00000000-0000-0000-0000-00000000dead"]}))
    assert said["outcome"] == "blocked", said
