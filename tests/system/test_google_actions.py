"""Every action of the Google connector by itself: the exact requests, again, nobody there, refused, throttled, dry."""

import json
import re
from dataclasses import dataclass, field

import pytest
from google import FORMER, UNLICENSED, Google, changes, person, requests, user
from vendors.google_errors import error_body, fault_rule

pytestmark = pytest.mark.xdist_group("google")
BOSS = "boss@example.com"
DIRECTORY = "/admin/directory/v1"
USER = DIRECTORY + "/users/{id}"
PHONES = DIRECTORY + "/customer/my_customer/devices/mobile"
TRANSFERS = "/admin/datatransfer/v1/transfers"
MAILBOX = "/gmail/v1/users/{at}/settings"
FOUND_PHONES = f"GET {PHONES}?query=email%3A{{at}}&projection=FULL&maxResults=100"
FOUND_DEVICES = "GET /v1/devices/-/deviceUsers?customer=customers%2Fmy_customer&filter=email%3A{at}&pageSize=20"


@dataclass
class Row:
    """An action; `requests` come after the look-up, `again` and `missing` are outcomes."""
    action: str
    requests: list[str]
    with_: dict = field(default_factory=dict)
    seed: dict = field(default_factory=dict)
    user: dict = field(default_factory=dict)
    outputs: dict | None = None
    before: dict | None = None
    again: str = "already_done"
    missing: str = "missing"


def seeded(value, email: str):
    """`value` with the leaver's address for {email}."""
    return json.loads(json.dumps(value).replace("{email}", email))


ROWS = [
    Row("sign_out", [f"POST {USER}/signOut"], again="succeeded"),
    Row("reset_password", [f"PUT {USER} {{'password': '***', 'changePasswordAtNextLogin': '***'}}"], again="succeeded"),
    Row("strip_profile", [f"GET {USER}?projection=full",
                          f"PUT {USER} {{'includeInGlobalAddressList': False, 'recoveryEmail': '', 'recoveryPhone': ''}}",
                          f"GET {USER}?projection=full"], before={"listed": True}),
    Row("move_to_ou", [f"GET {USER}", f"PUT {USER} {{'orgUnitPath': '{FORMER}'}}", f"GET {USER}"], before={"org_unit": "/Staff"}),
    Row("move_to_unlicensed_ou", [f"GET {USER}", f"PUT {USER} {{'orgUnitPath': '{UNLICENSED}'}}", f"GET {USER}"],
        before={"org_unit": "/Staff"}),
    Row("remove_admin_roles", [
        f"GET {USER}", f"GET {DIRECTORY}/customer/my_customer/roleassignments?userKey={{id}}&maxResults=200",
        f"POST {USER}/makeAdmin {{'status': False}}", f"DELETE {DIRECTORY}/customer/my_customer/roleassignments/{{role}}",
        f"GET {USER}"], user={"isAdmin": True, "roles": ["77"]}, again="succeeded"),
    Row("delete_tokens", [f"GET {USER}/tokens", f"DELETE {USER}/tokens/1.apps", f"DELETE {USER}/tokens/2.apps", f"GET {USER}/tokens"],
        outputs={"clients": ["1.apps", "2.apps"]}),
    Row("delete_app_passwords", [f"GET {USER}/asps", f"DELETE {USER}/asps/7", f"GET {USER}/asps"]),
    Row("invalidate_backup_codes", [f"GET {USER}", f"POST {USER}/verificationCodes/invalidate", f"GET {USER}/verificationCodes"],
        again="succeeded"),
    Row("leave_groups", [
        f"GET {DIRECTORY}/groups?userKey={{id}}&maxResults=200", f"DELETE {DIRECTORY}/groups/a%40example.com/members/{{id}}",
        f"DELETE {DIRECTORY}/groups/b%40example.com/members/{{id}}", f"GET {DIRECTORY}/groups?userKey={{id}}&maxResults=1"],
        seed={"groups": [{"email": f"{name}@example.com", "members": ["{email}"]} for name in "ab"]},
        outputs={"groups": ["a@example.com", "b@example.com"]}, before={"groups": ["a@example.com", "b@example.com"]}),
    Row("wipe_mobile_devices", [
        f"GET {USER}", FOUND_PHONES, f"GET {PHONES}/R-{{email}}?projection=FULL",
        f"POST {PHONES}/R-{{email}}/action {{'action': 'admin_account_wipe'}}", FOUND_PHONES],
        seed={"mobile_devices": [
            {"resourceId": "R-{email}", "deviceId": "D-{email}", "email": ["{email}"], "status": "APPROVED"},
            {"resourceId": "R-other-{email}", "deviceId": "E-{email}", "email": ["x{email}"], "status": "APPROVED"}]},
        again="succeeded"),
    Row("wipe_company_devices", [
        f"GET {USER}", FOUND_DEVICES, "GET /v1/devices/{device}/deviceUsers/{member}?customer=customers%2Fmy_customer",
        "POST /v1/devices/{device}/deviceUsers/{member}:wipe {{'customer': 'customers/my_customer'}}", FOUND_DEVICES],
        seed={"devices": [{"serialNumber": "S-{email}", "ownerType": "COMPANY", "users": ["{email}"]}]}, again="succeeded"),
    Row("set_vacation", [
        f"GET {USER}", f"GET {MAILBOX}/vacation",
        f"PUT {MAILBOX}/vacation {{'enableAutoReply': True, 'responseSubject': 'Gone', 'responseBodyPlainText': 'Ask {BOSS}.',"
        " 'restrictToContacts': False, 'restrictToDomain': False}", f"GET {MAILBOX}/vacation"],
        with_={"subject": "Gone", "text": f"Ask {BOSS}."}),
    Row("add_delegate", [
        f"GET {USER}", f"GET {DIRECTORY}/users/boss%40example.com", f"GET {MAILBOX}/delegates",
        f"POST {MAILBOX}/delegates {{'delegateEmail': '{BOSS}'}}", f"GET {MAILBOX}/delegates"],
        with_={"delegate": BOSS}, outputs={"delegate": BOSS}, before={"delegates": []}),
    Row("remove_delegate", [
        f"GET {USER}", f"GET {MAILBOX}/delegates", f"DELETE {MAILBOX}/delegates/boss%40example.com", f"GET {MAILBOX}/delegates"],
        with_={"delegate": BOSS}, before={"delegates": [BOSS]},
        user={"delegates": [{"delegateEmail": BOSS, "verificationStatus": "accepted"}]}),
    Row("delete_aliases", [
        f"GET {USER}/aliases", f"DELETE {USER}/aliases/{{alias}}", f"GET {USER}/aliases"]),
    Row("suspend_user", [f"GET {USER}", f"PUT {USER} {{'suspended': True}}", f"GET {USER}"]),
    Row("restore_user", [f"GET {USER}", f"PUT {USER} {{'suspended': False}}", f"GET {USER}"], user={"suspended": True}),
]


def rows():
    return pytest.mark.parametrize("row", ROWS, ids=lambda row: row.action)


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    return Google().alone(make_shared_stack, BOSS)


class Case:
    """One leaver and one action."""

    def __init__(self, stack, row: Row, request) -> None:
        self.stack, self.row = stack, row
        test = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
        self.email = f"{row.action.replace('_', '-')}.{test}@example.com"
        self.user = person(stack, self.email, **row.user)
        state = stack.sandbox.seed("google", seeded(row.seed, self.email))
        self.role = next((one["roleAssignmentId"] for one in state["role_assignments"] if one["assignedTo"] == self.user["id"]), "")

    def try_(self, *more: str, live: bool = True, by_id: bool = False) -> dict:
        known = ["--ids", json.dumps({"google": [self.user["id"]]})] if by_id else []
        self.since = len(self.stack.sandbox.journal("google"))
        result = self.stack.cli("try", "google", self.row.action, "--email", self.email, "--json",
                                "--with", json.dumps(self.row.with_), *known, *(["--live"] if live else []), *more)
        return json.loads(result.out)

    def expected(self) -> list[str]:
        device = next((one["name"].split("/") for one in self.stack.sandbox.state("google")["device_users"]
                       if one["userEmail"] == self.email), ["", "", "", ""])
        names = {"{id}": self.user["id"], "{email}": self.email.replace("@", "%40"), "{at}": self.email.replace("@", "%40"),
                 "{device}": device[1], "{member}": device[3], "{role}": self.role, "{{": "{", "}}": "}",
                 "{alias}": self.user["aliases"][0].replace("@", "%40")}
        told = list(self.row.requests)
        for name, value in names.items():
            told = [line.replace(name, value) for line in told]
        return told

    def changed(self) -> list[dict]:
        return changes(self.stack, self.since)

    def fault(self, rule: dict) -> None:
        """On the action's first change."""
        first = next(line for line in self.expected() if not line.startswith("GET "))
        method, path = first.split(" ")[:2]
        self.stack.sandbox.fault("google", {"match": {"method": method, "path": re.escape(path).replace("%40", "(%40|@)") + "$"}, **rule})


@pytest.fixture
def case(stack, row, request):
    yield Case(stack, row, request)
    stack.sandbox.clear_faults("google")


@rows()
def test_exactly_these_requests(case, row):
    said = case.try_(by_id=True)
    assert said["outcome"] == "succeeded", said
    assert requests(case.stack, case.since) == case.expected()
    assert row.outputs is None or said["outputs"] == row.outputs
    assert row.before is None or said["before"] == {case.user["id"]: row.before}
    assert (said["verified"] or {"ok": row.action in ("sign_out", "reset_password")})["ok"]


@rows()
def test_done_before(case, row):
    assert case.try_(by_id=True)["outcome"] == "succeeded"
    assert case.try_(by_id=True)["outcome"] == row.again
    if row.again == "already_done":
        assert case.changed() == []


@rows()
def test_nobody_there(case, row):
    said = case.try_("--ids", '{"google": ["100000000000000000001"]}')
    assert said["outcome"] == row.missing, said
    assert not [entry for entry in case.changed() if entry.get("effect")]


@rows()
def test_refused_for_good(case, row):
    case.fault({"do": "status", "status": 400, "body": error_body("invalid", "Invalid Input: of the test"), "times": None})
    said = case.try_(by_id=True)
    assert said["outcome"] == "failed" and "Invalid Input: of the test" in said["message"], said


@rows()
def test_throttled_by_403(case, row):
    case.fault(fault_rule("userRateLimitExceeded", times=1))
    said = case.try_(by_id=True)
    assert said["outcome"] == "succeeded", said
    assert [call["status"] for call in said["calls"] if call["changes"]][:2] == [403, case.changed()[-1]["status"]]


@rows()
def test_a_403_without_such_a_reason_is_no_throttling(case, row):
    case.fault(fault_rule("forbidden", times=None))
    said = case.try_(by_id=True)
    assert said["outcome"] == "denied", said
    assert len(case.changed()) == len([line for line in case.expected() if not line.startswith("GET ")]) or len(case.changed()) == 1


@rows()
def test_a_dry_run_changes_nothing(case, row):
    said = case.try_(by_id=True, live=False)
    assert said["outcome"] == "succeeded" and said["message"].startswith("dry run: would "), said
    assert case.changed() == []
    assert user(case.stack, case.email) == case.user
