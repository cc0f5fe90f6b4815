"""The Keycloak connector against Keycloak: each action, again, nobody there, no right to it, dry; and what becomes of a leaver's
tokens."""

import itertools
import json
import os
import time
from dataclasses import dataclass, field

import pytest
from keycloak import REALM, Keycloak
from process import wait_until

pytestmark = pytest.mark.xdist_group("keycloak")
NOBODY = "00000000-0000-0000-0000-000000000001"
USER = "/users/{id}"
WIKI = "https://wiki.example.com/saml"
_numbers = itertools.count(1)


@dataclass
class Row:
    """`requests` without the realm's path; `state` is what is read (path, expression) afterwards."""

    action: str
    requests: list[str]
    user: dict = field(default_factory=dict)
    was: dict = field(default_factory=dict)
    before: dict | None = None
    outputs: dict | None = None
    again: str = "already_done"
    path: str = USER
    member: str | None = None
    wanted: object = field(default_factory=list)


ROWS = [
    Row("disable_user", [f"GET {USER}", f"PUT {USER}", f"GET {USER}"], member="enabled", wanted=False),
    Row("enable_user", [f"GET {USER}", f"PUT {USER}", f"GET {USER}"], {"enabled": False}, member="enabled", wanted=True),
    Row("end_sessions", [f"POST {USER}/logout", f"GET {USER}/sessions"], again="succeeded", path=f"{USER}/sessions"),
    Row("revoke_consents", [f"GET {USER}/consents", f"DELETE {USER}/consents/{{wiki}}", f"DELETE {USER}/consents/calendar",
                            f"GET {USER}/consents"],
        {"clientConsents": [{"clientId": name, "grantedClientScopes": ["email"]} for name in (WIKI, "calendar")]},
        path=f"{USER}/consents"),
    Row("remove_credentials", [f"GET {USER}/credentials", f"DELETE {USER}/credentials/{{credential}}",
                               f"GET {USER}/credentials"], path=f"{USER}/credentials"),
    Row("leave_groups", [f"GET {USER}/groups?first=0&max=100", f"DELETE {USER}/groups/{{sales}}",
                         f"DELETE {USER}/groups/{{staff}}", f"GET {USER}/groups?first=0&max=100"], {"groups": ["/staff", "/sales"]},
        before={"groups": ["{sales}", "{staff}"]}, outputs={"groups": ["/sales", "/staff"]}, path=f"{USER}/groups"),
    Row("rejoin_groups", [f"GET {USER}", f"PUT {USER}/groups/{{sales}}", f"PUT {USER}/groups/{{staff}}",
                          f"GET {USER}/groups?max=1000&first=0"], was={"groups": ["{sales}", "{staff}"]}, again="succeeded",
        path=f"{USER}/groups", wanted=["sales", "staff"]),
]


@pytest.fixture(scope="module")
def keycloak(servers):
    directory = os.path.join(servers.root, "keycloak")
    os.makedirs(directory, exist_ok=True)
    keycloak = Keycloak(directory, os.environ.get("KEYCLOAK_HOME", ""), servers.ports.take())
    try:
        keycloak.wait_ready()
        yield keycloak
    finally:
        keycloak.stop()


def settings(keycloak, **more: str) -> dict:
    return {"systems": {"keycloak": {"url": keycloak.url, "realm": REALM, "client_id": "offboard",
                                     "client_secret": keycloak.secret, "per_minute": "60000", **more}}}


@pytest.fixture(scope="module")
def stack(make_shared_stack, keycloak):
    return make_shared_stack(settings=settings(keycloak))


@pytest.fixture(scope="module")
def reader(make_shared_stack, keycloak):
    """Works as a client that may only look."""
    return make_shared_stack(settings=settings(keycloak, client_id="reader"))


class Case:
    def __init__(self, keycloak, stack, row: Row) -> None:
        self.keycloak, self.stack, self.row = keycloak, stack, row
        self.email = f"{row.action.replace('_', '-')}{next(_numbers)}@example.com"
        self.id = keycloak.add_user(self.email, **row.user)
        credential, = keycloak.of("GET", f"/users/{self.id}/credentials")
        self.names = {"id": self.id, "sales": keycloak.group("sales"), "staff": keycloak.group("staff"),
                      "credential": credential["id"], "wiki": "https%3A%2F%2Fwiki.example.com%2Fsaml"}
        if row.action == "end_sessions":
            assert "access_token" in keycloak.log_in(self.email)

    def filled(self, value):
        return json.loads(self.fill(json.dumps(value)))

    def fill(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace("{" + name + "}", value)
        return text

    def try_(self, *more: str, live: bool = True, id: str | None = None, stack=None) -> dict:
        account = id or self.id
        before = ["--before", json.dumps({account: self.filled(self.row.was)})] if self.row.was else []
        result = (stack or self.stack).cli("try", "keycloak", self.row.action, "--email", self.email, "--json", "--ids",
                                           json.dumps({"keycloak": [account]}), *before, *(["--live"] if live else []), *more)
        assert result.out and self.keycloak.secret not in result.out + result.err, result
        return json.loads(result.out)

    def state(self):
        found = self.keycloak.of("GET", self.fill(self.row.path))
        if self.row.member:
            return found[self.row.member]
        if self.row.path.endswith("/groups"):
            return sorted(one["name"] for one in found)
        return sorted(found, key=json.dumps)


@pytest.fixture
def case(keycloak, stack, row):
    return Case(keycloak, stack, row)


rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.action)


def requests(said: dict) -> list[str]:
    return [f"{call['method']} {call['url'].partition(f'/admin/realms/{REALM}')[2]}" for call in said["calls"]
            if not call["url"].endswith("/token")]


def changes(said: dict) -> list[dict]:
    return [call for call in said["calls"] if call["changes"] and not call.get("dry_run")]


@rows
def test_exactly_these_requests(case, row):
    assert case.state() != row.wanted, "the test would prove nothing"
    said = case.try_()
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert sorted(requests(said)) == sorted(case.fill(line) for line in row.requests)
    assert case.state() == row.wanted
    assert row.outputs is None or said["outputs"] == row.outputs
    assert row.before is None or {key: sorted(value) for key, value in said["before"][case.id].items()} == {
        key: sorted(value) for key, value in case.filled(row.before).items()}


@rows
def test_done_before(case, row):
    assert case.try_()["outcome"] == "succeeded"
    said = case.try_()
    assert said["outcome"] == row.again and case.state() == row.wanted, said
    assert row.again != "already_done" or changes(said) == []


@rows
def test_nobody_there(case, row):
    said = case.try_(id=NOBODY)
    assert said["outcome"] == "missing", said


@rows
def test_no_right_to_it(case, row, reader):
    was = case.state()
    said = case.try_(stack=reader)
    assert said["outcome"] == "denied" and "403" in said["message"], said
    assert case.state() == was


@rows
def test_a_dry_run_changes_nothing(case, row):
    was = case.state()
    said = case.try_(live=False)
    assert said["outcome"] == "succeeded" and said["message"].startswith("dry run: would "), said
    assert changes(said) == [] and case.state() == was


# What a leaver can do.

def try_(stack, action: str, email: str, *more: str) -> dict:
    return json.loads(stack.cli("try", "keycloak", action, "--email", email, "--json", "--live", *more).out)


@pytest.mark.parametrize("offline", [False, True], ids=["session", "offline"])
def test_a_live_refresh_token_is_refused_afterwards(keycloak, stack, offline):
    email = f"refresh-{offline}@example.com".lower()
    keycloak.add_user(email)
    token = keycloak.log_in(email, offline)["refresh_token"]
    token = keycloak.refresh(token)["refresh_token"]
    issued = int(time.time())
    wait_until(lambda: int(time.time()) > issued, 5, "the next second: Keycloak remembers no finer")
    assert try_(stack, "end_sessions", email)["outcome"] == "succeeded"
    assert keycloak.refresh(token)["error"] == "invalid_grant"


def test_an_offline_token_goes_with_the_consents(keycloak, stack):
    keycloak.add_user("offline@example.com")
    token = keycloak.log_in("offline@example.com", True)["refresh_token"]
    said = try_(stack, "revoke_consents", "offline@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"]["clients"] == ["app"], said
    assert keycloak.refresh(token)["error"] == "invalid_grant"


def test_a_disabled_leaver_neither_logs_in_nor_refreshes_and_comes_back(keycloak, stack):
    key = keycloak.add_user("jane@example.com", groups=["/staff"], attributes={"employeeId": ["E-1"], "shoe": ["38", "39"]})
    token = keycloak.log_in("jane@example.com")["refresh_token"]
    before = keycloak.user(key)
    assert try_(stack, "disable_user", "jane@example.com")["outcome"] == "succeeded"
    assert keycloak.refresh(token)["error"] == "invalid_grant"
    assert keycloak.log_in("jane@example.com")["error"] == "invalid_grant"
    assert keycloak.user(key) == before | {"enabled": False}, "all else is as it was"
    left = try_(stack, "leave_groups", "jane@example.com")
    assert try_(stack, "rejoin_groups", "jane@example.com", "--before", json.dumps(left["before"]))["outcome"] == "succeeded"
    assert try_(stack, "enable_user", "jane@example.com")["outcome"] == "succeeded"
    assert keycloak.user(key) == before and "access_token" in keycloak.log_in("jane@example.com")


# Who it is.

def test_found_by_employee_id_email_and_username(keycloak, stack):
    key = keycloak.add_user("found@example.com", username="found.me@example.org", attributes={"employeeId": ["E 77"]})
    keycloak.add_user("not.found@example.com", attributes={"employeeId": ["E 771"]})
    for known in (["--email", "found@example.com"], ["--email", "found.me@example.org"],
                  ["--email", "other@example.com", "--user", '{"employee_id": "E 77"}']):
        said = json.loads(stack.cli("try", "keycloak", "disable_user", *known, "--json").out)
        assert said["outcome"] == "succeeded" and said["pinned"]["keycloak"] == [key], (known, said)


def test_two_of_one_address_are_for_a_person_to_tell(keycloak, stack):
    keycloak.add_user("twins@example.com", username="twin1")
    keycloak.add_user("another@example.com", username="twins@example.com")
    said = try_(stack, "disable_user", "twins@example.com")
    assert said["outcome"] == "blocked" and changes(said) == [], said


def test_more_groups_than_one_page(keycloak, stack):
    names = [f"many-{number}" for number in range(103)]
    for name in names:
        keycloak.of("POST", "/groups", {"name": name})
    keycloak.add_user("many@example.com", groups=[f"/{name}" for name in names])
    said = try_(stack, "leave_groups", "many@example.com")
    assert said["outcome"] == "succeeded" and sorted(said["outputs"]["groups"]) == sorted(f"/{name}" for name in names), said


def test_check(keycloak, stack, make_stack):
    assert "keycloak: ok" in stack.cli("check", "keycloak").ok().out
    wrong = make_stack(settings=settings(keycloak, client_secret="another-one")).cli("check", "keycloak")
    assert wrong.status != 0 and "refused" in wrong.out + wrong.err, wrong
