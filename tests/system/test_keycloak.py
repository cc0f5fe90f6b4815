"""The Keycloak connector against Keycloak: each action, again, nobody there, no right to it, dry; and what becomes of a leaver's
tokens."""

import itertools
import json
import os
import time
from dataclasses import dataclass, field

import golden_texts
import pytest
from company import Company
from keycloak import PASSWORD, REALM, Front, Keycloak
from process import wait_until
from unconfirmed import impatient

# Keycloak needs minutes to start on a busy machine.
pytestmark = [pytest.mark.xdist_group("keycloak"), pytest.mark.timeout(600),
              pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]
NOBODY = "00000000-0000-0000-0000-000000000001"
USER = "/users/{id}"
DIRECTORY = f"{USER}/configured-user-storage-credential-types"
STATE = "/users?search=id%3A{id}&briefRepresentation=false"
IDENTITIES = f"{USER}/federated-identity"
PARTNER = {"identityProvider": "partner", "userId": "p-1", "userName": "jane"}
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
    missing: str = "missing"
    path: str = USER
    member: str | None = None
    wanted: object = field(default_factory=list)


ROWS = [
    Row("disable_user", [f"GET {USER}", f"GET {STATE}", f"PUT {USER}", f"GET {STATE}"], member="enabled", wanted=False),
    Row("enable_user", [f"GET {USER}", f"GET {STATE}", f"PUT {USER}", f"GET {STATE}"], {"enabled": False}, member="enabled", wanted=True),
    Row("end_sessions", [f"GET {USER}", f"POST {USER}/logout", f"GET {USER}/sessions", f"GET {USER}"], again="succeeded", path=f"{USER}/sessions"),
    Row("revoke_consents", [f"GET {USER}/consents", f"DELETE {USER}/consents/{{wiki}}", f"DELETE {USER}/consents/calendar",
                            f"GET {USER}/consents"],
        {"clientConsents": [{"clientId": name, "grantedClientScopes": ["email"]} for name in (WIKI, "calendar")]},
        path=f"{USER}/consents"),
    Row("remove_credentials", [f"GET {DIRECTORY}", f"GET {USER}/credentials", f"DELETE {USER}/credentials/{{credential}}",
                               f"GET {USER}/credentials", f"GET {DIRECTORY}"], path=f"{USER}/credentials"),
    Row("leave_groups", [f"GET {USER}/groups?first=0&max=100", f"GET {USER}/groups?first=2&max=100", f"DELETE {USER}/groups/{{sales}}",
                         f"DELETE {USER}/groups/{{staff}}", f"GET {USER}/groups?first=0&max=100"], {"groups": ["/staff", "/sales"]},
        before={"groups": ["{sales}", "{staff}"]}, outputs={"groups": ["/sales", "/staff"]}, path=f"{USER}/groups"),
    Row("remove_identities", [f"GET {IDENTITIES}", f"DELETE {IDENTITIES}/partner", f"GET {IDENTITIES}"], {"federatedIdentities": [PARTNER]},
        before={"identities": [PARTNER]}, outputs={"providers": ["partner"]}, path=IDENTITIES),
    Row("restore_identities", [f"GET {USER}", f"POST {IDENTITIES}/partner", f"GET {IDENTITIES}"], was={"identities": [PARTNER]}, again="succeeded",
        path=IDENTITIES, wanted=[PARTNER]),
    Row("delete_user", [f"GET {USER}", f"GET {STATE}", f"DELETE {USER}", f"GET {USER}"], {"enabled": False}, path="/users?search=id%3A{id}",
        missing="already_done"),
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

    def try_(self, *more: str, live: bool = True, id: str | None = None, stack=None, **env: str) -> dict:
        account = id or self.id
        before = ["--before", json.dumps({account: self.filled(self.row.was)})] if self.row.was else []
        result = (stack or self.stack).try_action("keycloak", self.row.action, "--email", self.email, "--json", "--ids",
                                                  json.dumps({"keycloak": [account]}), *before, *(["--live"] if live else []), *more, **env)
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
    assert row.before is None or {key: sorted(value, key=str) for key, value in said["before"][case.id].items()} == {
        key: sorted(value, key=str) for key, value in case.filled(row.before).items()}


@rows
def test_done_before(case, row):
    assert case.try_()["outcome"] == "succeeded"
    said = case.try_()
    assert said["outcome"] == row.again and case.state() == row.wanted, said
    assert row.again != "already_done" or changes(said) == []


@rows
def test_nobody_there(case, row):
    said = case.try_(id=NOBODY)
    assert said["outcome"] == row.missing, said


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


def test_who_is_active_again_is_not_deleted(keycloak, stack):
    account = keycloak.add_user("returned@example.com")
    said = try_(stack, "delete_user", "returned@example.com")
    assert said["outcome"] == "blocked" and "active again" in said["message"] and keycloak.user(account), said


# What a leaver can do.

def try_(stack, action: str, email: str, *more: str, **env: str) -> dict:
    return json.loads(stack.try_action("keycloak", action, "--email", email, "--json", "--live", *more, **env).out)


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
        said = json.loads(stack.try_action("keycloak", "disable_user", *known, "--json").out)
        assert said["outcome"] == "succeeded" and said["pinned"]["keycloak"] == [key], (known, said)


def test_an_attribute_of_several_values(keycloak, stack):
    key = keycloak.add_user("several@example.com", attributes={"employeeId": ["X 1", "E 88"]})
    said = try_(stack, "disable_user", "several@example.com", "--user", '{"employee_id": "E 88"}')
    assert said["outcome"] == "succeeded" and said["pinned"]["keycloak"] == [key], said


def test_an_address_that_was_given_to_somebody_else(keycloak, stack):
    key = keycloak.add_user("inherited@example.com", attributes={"employeeId": ["E-4712"]})
    said = try_(stack, "disable_user", "inherited@example.com", "--user", '{"employee_id": "E-4711"}')
    assert said["outcome"] == "blocked" and "E-4712" in said["message"] and keycloak.user(key)["enabled"], said


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


# What must not be believed.

# Neither an answer of Keycloak's nor a word about the person.
ODD = {"empty": "", "list": [], "object": {}, "page": "<!DOCTYPE html><html><title>Sign in</title></html>", "error": {"error": "maintenance"},
       "other": [{"id": NOBODY, "enabled": False}], "null": {"id": None, "enabled": None}}


@pytest.fixture(scope="module")
def fronted(make_shared_stack, keycloak):
    front = Front(keycloak)
    stack = make_shared_stack(settings=settings(keycloak, url=front.url))
    stack.front = front
    yield stack
    front.close()


@pytest.fixture
def front(fronted):
    yield fronted.front
    fronted.front.rules.clear()


def stranger(number: int) -> dict:
    return {"id": f"{number:032x}", "username": f"stranger{number}", "email": f"stranger{number}@example.com", "enabled": True}


def test_a_leaver_on_page_two_is_found_and_nobody_else(keycloak, fronted, front):
    key = keycloak.add_user("paged@example.com")
    front.answer("GET .*/users[?].*email=.*first=0", [stranger(number) for number in range(100)])
    front.answer("GET .*/users[?].*email=.*first=100", [stranger(100), {"id": key, "email": "Paged@Example.com"}])
    front.answer("GET .*/users[?].*username=", [])
    said = try_(fronted, "disable_user", "paged@example.com")
    assert said["outcome"] == "succeeded" and said["pinned"] == {"keycloak": [key]}, said


def test_a_page_that_is_smaller_than_asked_for_is_not_the_last(keycloak, fronted, front):
    key = keycloak.add_user("behind@example.com")
    front.answer("GET .*/users[?].*email=.*first=0", [stranger(number) for number in range(99)])
    front.answer("GET .*/users[?].*email=.*first=99", [{"id": key, "email": "behind@example.com"}])
    front.answer("GET .*/users[?].*username=", [])
    said = try_(fronted, "disable_user", "behind@example.com")
    assert said["outcome"] == "succeeded" and said["pinned"] == {"keycloak": [key]}, said


def test_groups_on_a_page_that_is_smaller_than_asked_for(keycloak, fronted, front):
    for name in ("short-1", "short-2"):
        keycloak.of("POST", "/groups", {"name": name})
    key = keycloak.add_user("short@example.com", groups=["/short-1", "/short-2"])
    first, second = sorted(keycloak.of("GET", f"/users/{key}/groups"), key=lambda group: group["path"])
    front.rules.append((f"GET .*/users/{key}/groups.*first=0", 200, json.dumps([first])))
    front.rules.append((f"GET .*/users/{key}/groups.*first=1&", 200, json.dumps([second])))
    front.rules.append((f"GET .*/users/{key}/groups.*first=2&", 200, "[]"))
    said = try_(fronted, "leave_groups", "short@example.com", **impatient(fronted, "keycloak"))
    assert len(changes(said)) == 2 and keycloak.of("GET", f"/users/{key}/groups") == [], said


def test_a_server_that_does_not_filter_says_nothing_of_who_is_not_there(fronted, front):
    front.answer("GET .*/users[?]", [stranger(1), stranger(2)])
    said = try_(fronted, "disable_user", "nobody.of.that.name@example.com")
    assert said["outcome"] == "blocked" and "2 accounts of other people" in said["message"] and changes(said) == [], said


def test_an_account_that_shows_no_address_is_for_a_person(fronted, front):
    front.answer("GET .*/users[?]", [{"id": NOBODY, "username": "jdoe"}])
    said = try_(fronted, "disable_user", "hidden@example.com")
    assert said["outcome"] == "blocked" and "shows nothing to compare" in said["message"], said


@pytest.mark.parametrize("name", [name for name in ODD if name not in ("list", "other")])
def test_a_look_up_that_cannot_be_read_says_nothing(fronted, front, name):
    front.answer("GET .*/users[?]", ODD[name])
    said = json.loads(fronted.try_action("keycloak", "disable_user", "--email", "odd@example.com", "--json", "--live",
                                         OFFBOARD_WORKER_RETRY_WAIT="0s").out)
    assert said["outcome"] in ("deferred", "failed") and changes(said) == [], said


def test_a_404_of_the_realm_is_no_word_about_the_person(keycloak, fronted, front):
    key = keycloak.add_user("realm@example.com")
    front.answer("GET .*/users/", {"error": "Realm not found."}, 404)
    said = try_(fronted, "disable_user", "realm@example.com", "--ids", json.dumps({"keycloak": [key]}))
    assert said["outcome"] == "failed" and "Realm not found" in said["message"], said


@rows
def test_a_change_that_nobody_made_is_seen(keycloak, fronted, front, row):
    case = Case(keycloak, fronted, row)
    was = case.state()
    front.answer("(PUT|POST|DELETE) /admin", "", 204)
    said = case.try_(stack=fronted, **impatient(fronted, "keycloak"))
    assert said["outcome"] == "failed" and "not confirmed" in said["message"] and case.state() == was, said


@rows
@pytest.mark.parametrize("name", [name for name in ODD if name != "list"])
def test_a_read_that_cannot_be_read_proves_nothing(keycloak, fronted, front, row, name):
    case = Case(keycloak, fronted, row)
    was = case.state()
    front.answer("GET /admin", ODD[name])
    front.answer("(PUT|POST|DELETE) /admin", {"error": "refused"}, 400)
    said = case.try_(stack=fronted, OFFBOARD_WORKER_RETRY_WAIT="0s", **impatient(fronted, "keycloak"))
    assert said["outcome"] in ("deferred", "failed") and case.state() == was, said


def test_a_log_out_that_is_refused_leaves_the_offline_tokens(keycloak, fronted, front):
    """There are no sessions to be seen, and the tokens are good all the same."""
    email = "only.offline@example.com"
    keycloak.add_user(email)
    token = keycloak.log_in(email, True)["refresh_token"]
    front.answer("POST /admin.*/logout", {"error": "HTTP 403 Forbidden"}, 403)
    front.answer("GET /admin.*/sessions", [])
    said = json.loads(fronted.try_action("keycloak", "end_sessions", "--email", email, "--json", "--live", **impatient(fronted, "keycloak")).out)
    assert said["outcome"] == "denied" and "access_token" in keycloak.refresh(token), said


def test_a_password_that_a_directory_holds_is_not_removed(keycloak, fronted, front):
    """What Keycloak holds itself goes; for the rest a person is asked, each time."""
    key = keycloak.add_user("federated@example.com")
    front.answer("GET .*/configured-user-storage-credential-types", ["password"])
    for _ in range(2):
        said = try_(fronted, "remove_credentials", "federated@example.com")
        assert said["outcome"] == "blocked" and "still holds password" in said["message"], said
        assert keycloak.of("GET", f"/users/{key}/credentials") == []


@pytest.fixture
def locking(keycloak):
    """Two wrong passwords lock an account for some minutes."""
    realm = keycloak.of("GET", "")
    keycloak.of("PUT", "", {"bruteForceProtected": True, "failureFactor": 2, "waitIncrementSeconds": 600, "quickLoginCheckMilliSeconds": 1})
    yield
    keycloak.of("PUT", "", {name: realm[name] for name in ("bruteForceProtected", "failureFactor", "waitIncrementSeconds",
                                                           "quickLoginCheckMilliSeconds")})


def test_an_account_that_is_locked_for_minutes_is_not_disabled(keycloak, stack, locking):
    """Keycloak shows it as `enabled: false`; in some minutes the leaver could log in again."""
    key = keycloak.add_user("locked@example.com")

    def locked() -> bool:
        keycloak.grant(client_id="app", username="locked", password=f"not {PASSWORD}")
        return keycloak.of("GET", f"/attack-detection/brute-force/users/{key}")["disabled"]

    wait_until(locked, 20, "the account is locked")
    assert keycloak.user(key)["enabled"] is False, "the test would prove nothing"
    assert try_(stack, "disable_user", "locked@example.com")["outcome"] == "succeeded"
    keycloak.of("DELETE", f"/attack-detection/brute-force/users/{key}")
    assert keycloak.user(key)["enabled"] is False
    assert try_(stack, "disable_user", "locked@example.com")["outcome"] == "already_done"


# The runbook, in a company with ticket, thread and mail.

@pytest.fixture(scope="module")
def company(make_shared_stack, keycloak):
    made = Company(make_shared_stack, more=settings(keycloak)["systems"])
    made.stack.start()
    yield made
    made.mail.stop()


def test_keycloak_leaver(keycloak, company):
    stack, email = company.stack, "kay@example.com"
    account = keycloak.add_user(email, groups=["/staff", "/sales"], federatedIdentities=[PARTNER | {"userId": "p-kay", "userName": "kay"}],
                                clientConsents=[{"clientId": "calendar", "grantedClientScopes": ["email"]}])
    token = keycloak.log_in(email)["refresh_token"]
    offboarding = stack.offboard(email, runbook="keycloak-leaver", user={"name": "Kay Loak"})
    for step in ("sessions", "consents", "identities", "groups", "credentials"):
        stack.wait_job(offboarding, step, "succeeded", 120)
    assert keycloak.user(account)["enabled"] is False and "error" in keycloak.refresh(token)
    assert [keycloak.of("GET", f"/users/{account}/{what}") for what in ("sessions", "consents", "federated-identity", "groups", "credentials")] == 5 * [[]]
    stack.wait_status(offboarding, "completed", 180)
    assert keycloak.of("GET", f"/users?search=id%3A{account}") == []
    assert [step for step, job in stack.jobs(offboarding).items() if job["state"] != "succeeded" and not job["follower"]] == ["nobody"]
    assert company.ticket("Kay Loak")["fields"]["status"]["name"] == "Done"
    golden_texts.check("keycloak-leaver", company.texts("Kay Loak"))


def test_keycloak_leaver_who_was_disabled_before(keycloak, company):
    """And has come back before the end: an active account is not deleted."""
    stack, email = company.stack, "kim@example.com"
    account = keycloak.add_user(email, enabled=False)
    offboarding = stack.offboard(email, runbook="keycloak-leaver", user={"name": "Kim Loak"})
    stack.wait_job(offboarding, "credentials", "succeeded", 120)
    assert stack.jobs(offboarding)["disabled"]["outcome"] == "already_done"
    keycloak.of("PUT", f"/users/{account}", keycloak.user(account) | {"enabled": True})
    wait_until(lambda: (stack.jobs(offboarding).get("deleted") or {}).get("outcome") == "blocked", 120, "a person has to say")
    wait_until(lambda: "the account is active again" in company.told("Kim Loak"), 30, "the ticket tells of it")
    stack.cli("cancel", offboarding, "--reason", "the test is over").ok()
    assert keycloak.user(account)["enabled"] is True


def test_keycloak_leaver_whom_nobody_knows(company):
    offboarding = company.stack.offboard("unknown@example.com", runbook="keycloak-leaver", user={"name": "Un Known"})
    company.stack.wait_status(offboarding, "cancelled", 60)
    channel = lambda: json.dumps(company.stack.sandbox.state("slack")["channels"])  # noqa: E731
    wait_until(lambda: "No account of unknown@example.com was found in Keycloak, so nothing was changed." in channel(), 30, "the channel is told")
