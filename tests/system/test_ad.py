"""The Active Directory connector against a real directory: Samba's. Each action: what it asks, again, nobody there, refused,
busy, server gone, a lost answer, dry; and what a leaver can do before and after."""

import itertools
import json
from dataclasses import dataclass, field

import golden_texts
import pytest
from company import Company
from connector_table import left
from ldap_proxy import LdapProxy
from process import wait_until
from samba_dc import ADMIN, BASE, PASSWORD, SambaDc

pytestmark = [pytest.mark.xdist_group("ad"), pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]

STAFF, FORMER = f"OU=Staff,{BASE}", f"OU=Former,{BASE}"
WEAK = f"CN=weak,{STAFF}"
LICENCE_GROUP = f"CN=Licences-E3,{STAFF}"
NOBODY = "00000000000000000000000000000001"
READ = "SEARCH {account}"
CHANGE = "MODIFY {account}"
GROUPS = f"SEARCH {BASE}"
NEVER = "9223372036854775807"
AT = "2026-01-02T03:04:05Z"
AT_FILETIME = "134117966450000000"


_numbers = itertools.count(1)


@dataclass
class Row:
    """`user` are attributes of the account; `was` what the undone action had kept; `wanted` are attributes afterwards."""

    action: str
    calls: list[str]
    wanted: dict = field(default_factory=dict)
    user: dict = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    ou: str = STAFF
    with_: dict = field(default_factory=dict)
    was: dict = field(default_factory=dict)
    before: dict | None = None
    again: str = "already_done"
    lost: str = "succeeded"
    missing: str = "missing"

    @property
    def change(self) -> str:
        """The operation that changes something."""
        return next(name for name in ("RENAME", "DELETE", "MODIFY") if name in str(self.calls))


ROWS = [
    Row("disable_user", [READ, CHANGE, READ], {"userAccountControl": ["66050"]}),
    Row("enable_user", [READ, CHANGE, READ], {"userAccountControl": ["66048"]}, {"userAccountControl": "66050"}),
    Row("reset_password", [READ, CHANGE, READ], again="succeeded"),
    Row("expire_account", [READ, CHANGE, READ], {"accountExpires": [AT_FILETIME]}, with_={"at": AT}, before={"expires": NEVER}),
    Row("restore_expiry", [READ, CHANGE, READ], {"accountExpires": [NEVER]}, {"accountExpires": AT_FILETIME},
        was={"expires": NEVER}),
    Row("leave_groups", [READ, GROUPS, "MODIFY {a}", "MODIFY {b}", READ, GROUPS], {"memberOf": None, "primaryGroupID": ["513"]},
        groups=["a", "b"], before={"groups": ["{a}", "{b}"]}),
    Row("leave_licence_groups", [READ, GROUPS, "MODIFY {licence}", READ, GROUPS], {"memberOf": ["{a}"]}, groups=["a", "licence"],
        before={"groups": ["{licence}"]}),
    Row("rejoin_groups", [READ, "MODIFY {a}", "MODIFY {b}", READ], {"memberOf": ["{a}", "{b}"]}, was={"groups": ["{a}", "{b}"]}),
    Row("move_to_ou", [READ, "RENAME {dn}", READ], {"dn": ["CN={name},OU=Former,DC=corp,DC=example,DC=com"]},
        before={"ou": STAFF}),
    Row("move_back", [READ, "RENAME {dn}", READ], {"dn": ["CN={name},OU=Staff,DC=corp,DC=example,DC=com"]}, ou=FORMER,
        was={"ou": STAFF}),
    Row("hide_from_address_lists", [READ, CHANGE, READ], {"msExchHideFromAddressLists": ["TRUE"]}, before={"hidden": None}),
    Row("restore_in_address_lists", [READ, CHANGE, READ], {"msExchHideFromAddressLists": None},
        {"msExchHideFromAddressLists": "TRUE"}, was={"hidden": None}),
    Row("set_description", [READ, CHANGE, READ], {"description": ["Has left"]}, {"description": "Sales"}, with_={"text": "Has left"},
        before={"description": "Sales"}),
    Row("restore_description", [READ, CHANGE, READ], {"description": None}, {"description": "Has left"}, was={"description": None}),
    Row("delete_user", [READ, "DELETE {account}", READ], {"objectGUID": None}, {"userAccountControl": "66050"}, missing="already_done"),
]


@pytest.fixture(scope="module")
def dc(servers):
    dc = SambaDc(f"{servers.root}/samba-{servers.ports.take()}")
    dc.add_ou("Staff")
    dc.add_ou("Former")
    dc.add_user("weak", STAFF)
    dc.add_group("Licences-E3", STAFF)
    yield dc
    dc.stop()


@pytest.fixture(scope="module")
def proxy(dc):
    proxy = LdapProxy(dc.address, dc.authority.context())
    yield proxy
    proxy.stop()


def settings(dc, url: str, **more: str) -> dict:
    return {"systems": {"ad": {"url": url, "user": ADMIN, "password": PASSWORD, "base_dn": BASE, "former_ou": FORMER,
                               "ca_file": dc.authority.ca_file, "per_minute": "60000",
                               "licence_groups": f"CN=Another one,{STAFF}; {LICENCE_GROUP.upper()}", **more}},
            "worker": {"derive_key": "0123456789abcdef0123456789abcdef"}}


@pytest.fixture(scope="module")
def stack(make_shared_stack, dc, proxy):
    return make_shared_stack(settings=settings(dc, proxy.url))


@pytest.fixture(scope="module")
def weak_stack(make_shared_stack, dc, proxy):
    """Binds as somebody who may only read."""
    return make_shared_stack(settings=settings(dc, proxy.url, user=WEAK))


def filled(value, names: dict):
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    for name, text in names.items():
        value = value.replace("{" + name + "}", text) if isinstance(value, str) else value
    return value


class Case:
    """One leaver and one row."""

    def __init__(self, dc, stack, proxy, row: Row) -> None:
        self.dc, self.stack, self.proxy, self.row = dc, stack, proxy, row
        short = f"leaver{next(_numbers)}"
        name = f"{short}.{row.action.replace('_', '-')}"
        self.email = f"{name}@example.com"
        self.dn = dc.add_user(name, row.ou, sAMAccountName=short)
        dc_groups = {group: dc.add_group(f"{group}-{short}", STAFF, *([self.dn] if group in row.groups else []))
                     for group in "ab"}
        if row.user:
            dc.set(self.dn, **row.user)
        self.id = dc.id(self.email)
        dc_groups["licence"] = LICENCE_GROUP
        if "licence" in row.groups:
            dc.join(LICENCE_GROUP, self.dn)
        self.names = {"name": name, "dn": self.dn, "id": self.id, **dc_groups}

    def try_(self, *more: str, live: bool = True, id: str | None = None, stack=None) -> dict:
        account = id or self.id
        stack = stack or self.stack
        before = ["--before", json.dumps({account: filled(self.row.was, self.names)})] if self.row.was else []
        result = stack.try_action("ad", self.row.action, "--email", self.email, "--json", "--ids", json.dumps({"ad": [account]}),
                                  "--with", json.dumps(self.row.with_), *before, *(["--live"] if live else []), *more)
        assert result.out and PASSWORD not in result.out + result.err, result
        return json.loads(result.out)

    def calls(self, said: dict) -> list[str]:
        """Methods and names, without the server, the scope and the filter."""
        return [f"{call['method']} {call['url'].split('/', 3)[3].partition('??')[0]}" for call in said["calls"]]

    def expected(self) -> list[str]:
        account = f"%3CGUID={self.id}%3E"
        return [filled(line, self.names | {"account": account}) for line in self.row.calls]

    def seen(self) -> dict:
        found = self.dc.find(self.email)
        return {name: sorted(found[name]) if name in found else None for name in self.row.wanted}

    def wanted(self) -> dict:
        return filled(self.row.wanted, self.names)


@pytest.fixture
def case(dc, stack, proxy, row):
    yield Case(dc, stack, proxy, row)
    proxy.fault()


rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.action)


@rows
def test_what_it_asks_and_does(case, row):
    said = case.try_()
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert case.calls(said) == case.expected()
    assert case.seen() == case.wanted()
    assert row.before is None or said["before"] == {case.id: filled(row.before, case.names)}


@rows
def test_done_before(case, row):
    assert case.try_()["outcome"] == "succeeded"
    said = case.try_()
    assert said["outcome"] == row.again and case.seen() == case.wanted(), said
    assert row.again != "already_done" or {call["method"] for call in said["calls"]} == {"SEARCH"}


@rows
def test_nobody_there(case, row):
    said = case.try_(id=NOBODY)
    assert said["outcome"] == row.missing and not any(call["changes"] for call in said["calls"]), said


@rows
def test_no_right_to_it(case, row, weak_stack):
    said = case.try_(stack=weak_stack)
    assert said["outcome"] == "denied" and "50: Insufficient access" in said["message"], said
    assert case.seen() != case.wanted() or not row.wanted


@rows
def test_refused_for_good(case, row):
    case.proxy.fault(row.change, 53, None)
    said = case.try_()
    assert said["outcome"] == "failed" and "53: Server is unwilling to perform: of the test" in said["message"], said


@rows
@pytest.mark.parametrize("what", [51, 52, "drop"], ids=["busy", "unavailable", "gone"])
def test_in_trouble_for_a_while(case, row, what):
    case.proxy.fault(row.change, what)
    said = case.try_()
    assert said["outcome"] == "succeeded" and case.seen() == case.wanted(), said
    assert (-1 if what == "drop" else what) in [call["status"] for call in said["calls"]]


@rows
def test_the_answer_is_lost(case, row):
    case.proxy.fault(row.change, "lose")
    said = case.try_()
    assert said["outcome"] == row.lost and case.seen() == case.wanted(), said


@rows
def test_a_dry_run_only_searches(case, row):
    was = case.seen()
    said = case.try_(live=False)
    assert said["outcome"] == "succeeded" and said["message"].startswith("dry run: would "), said
    assert {call["method"] for call in said["calls"] if not call.get("dry_run")} == {"SEARCH"}
    assert case.seen() == was


# What a leaver can do.

def try_(stack, action: str, email: str, *more: str) -> dict:
    return json.loads(stack.try_action("ad", action, "--email", email, "--json", "--live", *more).out)


def test_a_leaver_is_shut_out_and_comes_back(dc, stack):
    dn = dc.add_user("jane", STAFF)
    groups = sorted(dc.add_group(f"team-{name}", STAFF, dn) for name in "xyz")
    assert dc.can_bind("jane@example.com"), "the leaver works here"
    kept = {}
    for action in ("disable_user", "leave_groups", "move_to_ou"):
        said = try_(stack, action, "jane@example.com")
        assert said["outcome"] == "succeeded", said
        kept[action] = said.get("before")
    assert not dc.can_bind("jane@example.com")
    left = dc.find("jane@example.com")
    assert left["dn"] == [f"CN=jane,{FORMER}"] and "memberOf" not in left
    for action, undone in (("move_back", "move_to_ou"), ("rejoin_groups", "leave_groups"), ("enable_user", "disable_user")):
        said = try_(stack, action, "jane@example.com", "--before", json.dumps(kept[undone] or {}))
        assert said["outcome"] == "succeeded", said
    back = dc.find("jane@example.com")
    assert back["dn"] == [dn] and sorted(back["memberOf"]) == groups
    assert dc.can_bind("jane@example.com"), "all is as before"


def test_the_profile_and_the_manager(dc, stack):
    boss = dc.add_user("profile.boss", STAFF, displayName="Bo Ss", mail="The.Boss@example.com")
    dc.add_user("profile", STAFF, displayName="Pro File", employeeID="E-5", manager=boss, mailNickname="profile")
    said = try_(stack, "read_user", "profile@example.com")
    assert said["outcome"] == "succeeded" and not any(call["changes"] for call in said["calls"]), said
    assert said["outputs"] == {"mailbox": True, "user": {"name": "Pro File", "emails": ["profile@example.com"], "employee_id": "E-5",
                                                         "manager": {"email": "the.boss@example.com", "name": "Bo Ss"}}}
    told = try_(stack, "read_user", "profile@example.com", "--user", '{"manager": {"email": "hr@example.com"}, "name": "P. F."}')
    assert told["outputs"]["user"]["manager"] == {"email": "hr@example.com"} and told["outputs"]["user"]["name"] == "P. F."


@pytest.mark.parametrize("boss", [None, "disabled", "nobody", "self"])
def test_who_is_no_manager(dc, stack, boss):
    name = f"unmanaged-{boss}"
    dn = dc.add_user(name, STAFF)
    if boss:
        other = dn if boss == "self" else dc.add_user(f"boss-{boss}", STAFF, **({"userAccountControl": "66050"} if boss == "disabled" else {}),
                                                      **({"userPrincipalName": ""} if boss == "nobody" else {}))
        dc.set(dn, manager=other)
    said = try_(stack, "read_user", f"{name}@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"]["user"]["manager"] is None and said["outputs"]["mailbox"] is False, said


def test_who_is_active_again_is_not_deleted(dc, stack):
    dc.add_user("returned", STAFF)
    said = try_(stack, "delete_user", "returned@example.com")
    assert said["outcome"] == "blocked" and "active again" in said["message"] and dc.find("returned@example.com"), said


def test_what_lies_below_an_account_is_for_a_person(dc, stack, proxy):
    dc.add_user("parent", STAFF, userAccountControl="66050")
    proxy.fault("DELETE", 66, None)
    said = try_(stack, "delete_user", "parent@example.com")
    proxy.fault()
    assert said["outcome"] == "blocked" and dc.find("parent@example.com"), said


def test_a_new_password_ends_the_old_one(dc, stack):
    dc.add_user("ann", STAFF)
    assert try_(stack, "reset_password", "ann@example.com")["outcome"] == "succeeded"
    assert not dc.can_bind("ann@example.com")


@pytest.mark.parametrize("flags", ["512", "544", "66048", "66080"])
def test_other_flags_stay(dc, stack, flags):
    email = f"flags{flags}@example.com"
    dc.add_user(f"flags{flags}", STAFF, userAccountControl=flags)
    assert try_(stack, "disable_user", email)["outcome"] == "succeeded"
    assert dc.find(email)["userAccountControl"] == [str(int(flags) | 2)]
    assert try_(stack, "disable_user", email)["outcome"] == "already_done"
    assert try_(stack, "enable_user", email)["outcome"] == "succeeded"
    assert dc.find(email)["userAccountControl"] == [flags]


def test_an_earlier_end_stays(dc, stack):
    dn = dc.add_user("expired", STAFF)
    dc.set(dn, accountExpires=AT_FILETIME)
    assert try_(stack, "expire_account", "expired@example.com")["outcome"] == "already_done"
    said = try_(stack, "expire_account", "expired@example.com", "--with", '{"at": "2025-01-02T03:04:05.678901Z"}')
    assert said["outcome"] == "succeeded" and dc.find("expired@example.com")["accountExpires"] < [AT_FILETIME]


def test_a_group_that_brings_licences_is_kept_until_the_mailbox_is_shared(dc, stack):
    dn = dc.add_user("licensed", STAFF)
    group = dc.add_group("licensed-a", STAFF, dn)
    dc.join(LICENCE_GROUP, dn)
    said = try_(stack, "leave_groups", "licensed@example.com")
    assert said["outcome"] == "succeeded" and left(said) == {"licence_groups": [LICENCE_GROUP]}, said
    assert dc.find("licensed@example.com")["memberOf"] == [LICENCE_GROUP]
    assert try_(stack, "leave_groups", "licensed@example.com")["outcome"] == "already_done"
    said = try_(stack, "leave_licence_groups", "licensed@example.com")
    assert said["outcome"] == "succeeded" and left(said) == {"licence_groups": []}, said
    assert "memberOf" not in dc.find("licensed@example.com"), group


# What the account that binds may not see.

MEMBER_OF, FLAGS = "bf967991-0de6-11d0-a285-00aa003049e2", "bf967a68-0de6-11d0-a285-00aa003049e2"


@pytest.mark.parametrize("action, group", [("leave_groups", "hidden-a"), ("leave_licence_groups", None)])
def test_groups_are_seen_from_their_side_where_the_account_does_not_show_them(dc, weak_stack, action, group):
    name = f"hidden-{action.replace('_', '-')}"
    dn = dc.add_user(name, STAFF, sAMAccountName=name[:18])
    joined = dc.add_group(group, STAFF, dn) if group else LICENCE_GROUP
    if not group:
        dc.join(LICENCE_GROUP, dn)
    dc.hide(dn, MEMBER_OF, "weak@example.com")
    said = try_(weak_stack, action, f"{name}@example.com")
    assert said["outcome"] == "denied" and any(call["changes"] for call in said["calls"]), said
    assert dc.find(f"{name}@example.com")["memberOf"] == [joined]


@pytest.mark.parametrize("action", ["leave_groups", "leave_licence_groups", "disable_user", "expire_account", "hide_from_address_lists"])
def test_an_account_that_shows_no_flags_shows_nothing(dc, weak_stack, action):
    name = f"dark-{action.replace('_', '-')}"
    dn = dc.add_user(name, STAFF, sAMAccountName=name[:18])
    dc.hide(dn, FLAGS, "weak@example.com")
    said = try_(weak_stack, action, f"{name}@example.com")
    assert said["outcome"] == "denied" and "has to be allowed to read its attributes" in said["message"], said
    assert not any(call["changes"] for call in said["calls"])


# Who it is.

def test_an_address_that_is_an_alias(dc, stack):
    """An heir's, or of the leaver's own account under a new name: somebody has to say, unless HR knows the new name."""
    dc.add_user("heir", STAFF, proxyAddresses="smtp:gone@example.com")
    said = try_(stack, "disable_user", "gone@example.com")
    assert said["outcome"] == "blocked" and dc.id("heir@example.com") in said["message"], said
    assert not any(call["changes"] for call in said["calls"])
    said = json.loads(stack.try_action("ad", "disable_user", "--email", "gone@example.com", "--json", "--user",
                                       '{"emails": ["heir@example.com"]}').out)
    assert said["outcome"] == "succeeded" and said["pinned"] == {"ad": [dc.id("heir@example.com")]}, said


def test_somebody_who_was_renamed(dc, stack):
    """HR knows the old address only, which is an alias by now: the employee number says whose it is."""
    dc.add_user("renamed", STAFF, employeeID="E-0815", proxyAddresses="smtp:maiden@example.com")
    said = try_(stack, "disable_user", "maiden@example.com", "--employee-id", "E-0815")
    assert said["outcome"] == "succeeded" and said["pinned"] == {"ad": [dc.id("renamed@example.com")]}, said


def test_an_address_that_was_given_to_another_employee(dc, stack):
    dc.add_user("reused", STAFF, employeeID="E-9")
    said = try_(stack, "disable_user", "reused@example.com", "--employee-id", "E-8")
    assert said["outcome"] == "blocked" and "employee number E-9" in said["message"], said


def test_found_by_employee_id_name_and_mail(dc, stack):
    dn = dc.add_user("found", STAFF, employeeID="E-77", mail="found.elsewhere@example.org")
    for known in (["--email", "found@example.com"], ["--email", "found.elsewhere@example.org"],
                  ["--email", "other@example.com", "--user", '{"employee_id": "E-77"}']):
        said = json.loads(stack.try_action("ad", "disable_user", *known, "--json").out)
        assert said["outcome"] == "succeeded" and said["pinned"]["ad"] == [dc.id("found@example.com")], (dn, said)


def test_two_of_one_address_are_for_a_person_to_tell(dc, stack):
    dc.add_user("twin1", STAFF, mail="twins@example.com")
    dc.add_user("twin2", STAFF, mail="twins@example.com")
    said = try_(stack, "disable_user", "twins@example.com")
    assert said["outcome"] == "blocked" and not any(call["changes"] for call in said["calls"]), said


@pytest.mark.parametrize("evil", ["*@example.com", "*)(objectClass=*", "x)(|(cn=*", "\\2a@example.com", "jane@example.com\\"])
def test_an_address_is_never_a_pattern(dc, stack, evil):
    result = stack.try_action("ad", "disable_user", "--email", "x@example.com", "--json", "--live", "--user",
                              json.dumps({"email": evil}))
    assert not result.out or json.loads(result.out)["outcome"] in ("missing", "failed"), result
    assert not result.out or not any(call["changes"] for call in json.loads(result.out)["calls"])


def test_a_part_of_the_directory_that_was_not_searched(dc, make_shared_stack, proxy):
    """A domain controller refers to others for some parts. Nobody is missing who may be there."""
    stack = make_shared_stack(settings=settings(dc, proxy.url, elsewhere="DC=ForestDnsZones; DC=DomainDnsZones"))
    said = try_(stack, "disable_user", "nobody.here@example.com")
    assert said["outcome"] == "failed", said
    assert f"CN=Configuration,{BASE} lies on another server and was not searched" in said["message"], said


def test_names_that_need_escaping(dc, stack):
    email = "odd@example.com"
    dn = dc.add_user("Doe\\, \\\"J\\\" \\+ \\\\ M\u00fcller \\#1", STAFF, userPrincipalName=email, sAMAccountName="odd")
    group = dc.add_group("odd\\, group", STAFF, dn)
    for action in ("leave_groups", "move_to_ou"):
        said = try_(stack, action, email)
        assert said["outcome"] == "succeeded", said
    assert "memberOf" not in dc.find(email), group
    assert json.loads(stack.try_action("ad", "disable_user", "--email", email, "--json").out)["outcome"] == "succeeded"


def test_a_name_that_is_taken_there_is_for_a_person(dc, stack):
    dc.add_user("namesake", FORMER, userPrincipalName="namesake.old@example.com", sAMAccountName="namesake-old")
    dc.add_user("namesake", STAFF)
    said = try_(stack, "move_to_ou", "namesake@example.com")
    assert said["outcome"] == "blocked" and "68" in said["message"], said


def test_a_group_that_is_gone_meanwhile_names_itself(dc, stack):
    dn = dc.add_user("regroup", STAFF)
    group = dc.add_group("regroup-a", STAFF, dn)
    said = try_(stack, "rejoin_groups", "regroup@example.com", "--before", json.dumps(
        {dc.id("regroup@example.com"): {"groups": [group, f"CN=gone,{STAFF}"]}}))
    assert said["outcome"] == "failed" and f"CN=gone,{STAFF}" in said["message"] and group not in said["message"], said


# From the event on.

RUNBOOK = """\
runbook: leaver
phases:
  - name: initial
    steps:
      - {id: disable, system: ad, action: disable_user}
      - {id: groups, system: ad, action: leave_groups}
"""


@pytest.fixture
def running(make_stack, dc, proxy, tmp_path):
    (tmp_path / "leaver.yaml").write_text(RUNBOOK, encoding="utf-8")
    known = settings(dc, proxy.url)
    known["worker"]["systems"] = ["ad"]
    stack = make_stack(settings={**known, "definitions": {"runbooks": [str(tmp_path)]}}).start()
    yield stack
    proxy.fault()


def test_a_worker_stops_while_the_directory_thinks_and_its_successor_does_it(dc, proxy, running):
    dn = dc.add_user("drained", STAFF)
    dc.add_group("drained-a", STAFF, dn)
    proxy.fault("MODIFY", "hold", 2)
    offboarding = running.offboard("drained@example.com", runbook="leaver")
    wait_until(lambda: proxy.held == 2, 30, "the directory thinks about both")
    assert running.metrics("worker"), "the worker does nothing else meanwhile"
    worker = running.process("worker")
    worker.terminate()
    assert worker.wait(20) == 0
    proxy.release()
    running.restart("worker")
    for step in ("disable", "groups"):
        running.wait_job(offboarding, step, "succeeded")
    found = dc.find("drained@example.com")
    assert found["userAccountControl"] == ["66050"] and "memberOf" not in found
    assert not dc.can_bind("drained@example.com")


def test_an_undone_offboarding_leaves_all_as_it_was(dc, running):
    dn = dc.add_user("mistaken", STAFF)
    group = dc.add_group("mistaken-a", STAFF, dn)
    offboarding = running.offboard("mistaken@example.com", runbook="leaver")
    running.wait_status(offboarding, "completed")
    assert not dc.can_bind("mistaken@example.com")
    running.cli("undo", offboarding, "--reason", "somebody else was meant").ok()
    for step in ("disable.undo", "groups.undo"):
        running.wait_job(offboarding, step, "succeeded")
    found = dc.find("mistaken@example.com")
    assert found["memberOf"] == [group] and dc.can_bind("mistaken@example.com")


# The way there.

CHECKS = {
    # title: (the url in terms of the server, settings, what is said)
    "ldaps": ("ldaps://{address}", {}, "ad: ok"),
    "StartTLS": ("ldap://{address}", {"tls": "required"}, "ad: ok"),
    "in the clear, which Active Directory refuses": ("ldap://{address}", {}, "8: Strong(er) authentication required"),
    "a wrong password": ("ldaps://{address}", {"password": "another-one"}, "49: Invalid credentials"),
    "an empty password": ("ldaps://{address}", {"password": ""}, "password"),
    "an unknown certificate": ("ldaps://{address}", {"ca_file": "/etc/ssl/certs/ca-certificates.crt"}, "no answer"),
    "another name than the certificate's": ("ldaps://127.0.0.9:{port}", {}, "no answer"),
    "nobody listens": ("ldaps://127.0.0.1:1", {}, "Failed to connect to 127.0.0.1 port 1"),
    "a wrong protocol": ("https://{address}", {}, "a directory is at ldap://HOST or ldaps://HOST"),
    "a wrong base": ("ldaps://{address}", {"base_dn": "DC=nowhere"}, "32: No such object"),
}


@pytest.mark.parametrize("title", CHECKS)
def test_check_says_whether_it_would_work(make_stack, dc, proxy, title):
    url, more, said = CHECKS[title]
    url = url.replace("{address}", dc.address).replace("{port}", proxy.url.rpartition(":")[2])
    stack = make_stack(settings=settings(dc, url, **more))
    result = stack.cli("check", "ad")
    assert said in result.out + result.err and (result.status == 0) == (said == "ad: ok"), result
    assert PASSWORD not in result.out + result.err


# The runbook, in a company with ticket, thread and mail.

@pytest.fixture(scope="module")
def company(make_shared_stack, dc, proxy):
    made = Company(make_shared_stack, more={"ad": settings(dc, proxy.url, licence_groups="")["systems"]["ad"]})
    made.stack.start()
    yield made
    made.mail.stop()


def test_ad_leaver(dc, company):
    stack, email = company.stack, "addie@example.com"
    boss = dc.add_user("ad.boss", STAFF, displayName="Bo Ss", mail="ad.boss@example.com")
    dn = dc.add_user("addie", STAFF, displayName="Addie Rectory", manager=boss, mailNickname="addie", description="Sales")
    dc.add_group("addie-team", STAFF, dn)
    offboarding = stack.offboard(email, runbook="ad-leaver", user={"name": "Addie Rectory"})
    stack.wait_job(offboarding, "moved", "succeeded", 120)
    left = dc.find(email)
    assert left["dn"] == [f"CN=addie,{FORMER}"] and left["userAccountControl"] == ["66050"] and "memberOf" not in left
    assert left["msExchHideFromAddressLists"] == ["TRUE"] and left["description"][0].startswith("Left on ") and not dc.can_bind(email)
    stack.wait_status(offboarding, "completed", 180)
    assert "objectGUID" not in dc.find(email), "the account is deleted"
    assert {job["state"] for job in stack.jobs(offboarding).values() if not job["follower"]} == {"succeeded", "skipped"}
    assert [step for step, job in stack.jobs(offboarding).items() if job["state"] == "skipped" and not job["follower"]] == ["nobody"]
    assert company.ticket("Addie Rectory")["fields"]["status"]["name"] == "Done"
    golden_texts.check("ad-leaver", company.texts("Addie Rectory"))


def test_ad_leaver_who_was_disabled_before_and_has_no_manager(dc, company):
    """Without a mailbox there is nothing to hide; who takes over is not known."""
    stack, email = company.stack, "dis@example.com"
    dc.add_user("dis", STAFF, userAccountControl="66050")
    offboarding = stack.offboard(email, runbook="ad-leaver", user={"name": "Dis Abled"})
    stack.wait_status(offboarding, "completed", 180)
    jobs = stack.jobs(offboarding)
    assert (jobs["disabled"]["outcome"], jobs["groups"]["outcome"], jobs["hidden"]["state"]) == ("already_done", "already_done", "skipped")
    assert "objectGUID" not in dc.find(email), "the account is deleted"
    golden_texts.check("ad-leaver-disabled-before", company.texts("Dis Abled"))


def test_ad_leaver_whom_nobody_knows(company):
    offboarding = company.stack.offboard("unknown@example.com", runbook="ad-leaver", user={"name": "Un Known"})
    company.stack.wait_status(offboarding, "cancelled", 60)
    channel = lambda: json.dumps(company.stack.sandbox.state("slack")["channels"])  # noqa: E731
    wait_until(lambda: "No account of unknown@example.com was found in Active Directory, so nothing was changed." in channel(), 30, "the channel is told")
