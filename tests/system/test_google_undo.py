"""What Google's actions undo: the exact requests, again, nobody there, refused, throttled, dry."""

import json

import pytest
from google import Google, changes, requests
from test_google_actions import BOSS, DIRECTORY, MAILBOX, USER, Case, Row
from vendors.google_errors import error_body, fault_rule

pytestmark = pytest.mark.xdist_group("google-undo")

# A row's `before` is what the undone action kept.
ROWS = [
    Row("list_profile", [f"PUT {USER} {{'includeInGlobalAddressList': True}}", f"GET {USER}?projection=full"], before={"listed": True},
        user={"includeInGlobalAddressList": False}),
    Row("move_back", [f"PUT {USER} {{'orgUnitPath': '/Staff'}}", f"GET {USER}"], before={"org_unit": "/Staff"},
        user={"orgUnitPath": "/Former Team Members"}),
    Row("join_groups", [
        f"POST {DIRECTORY}/groups/back%40example.com/members {{'id': '{{id}}', 'role': 'MEMBER'}}",
        f"GET {DIRECTORY}/groups?userKey={{id}}&maxResults=200"],
        before={"groups": ["back@example.com"]}, seed={"groups": [{"email": "back@example.com", "members": []}]}),
    Row("restore_aliases", [f"POST {USER}/aliases {{'alias': 'old.{{short}}@example.com'}}", f"GET {USER}/aliases"],
        before={"aliases": ["old.{short}@example.com"]}),
    Row("end_vacation", [
        f"GET {USER}", f"PUT {MAILBOX}/vacation {{'enableAutoReply': False}}", f"GET {MAILBOX}/vacation"],
        before={"vacation": {"enableAutoReply": False}}, user={"vacation": {"enableAutoReply": True, "responseSubject": "Gone"}}),
]


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    return Google().alone(make_shared_stack, BOSS)


class Undo(Case):
    """A case whose job is given what there was before."""

    def short(self, text: str) -> str:
        return text.replace("{short}", self.email.partition("@")[0])

    def expected(self) -> list[str]:
        return [self.short(line) for line in super().expected()]

    def undo(self, *more: str, live: bool = True, account: str | None = None) -> dict:
        account = account or self.user["id"]
        before = json.loads(self.short(json.dumps({account: self.row.before})))
        return self.try_("--ids", json.dumps({"google": [account]}), "--before", json.dumps(before), *more, live=live)


@pytest.fixture
def case(stack, row, request):
    yield Undo(stack, row, request)
    stack.sandbox.clear_faults("google")


def rows():
    return pytest.mark.parametrize("row", ROWS, ids=lambda row: row.action)


@rows()
def test_exactly_these_requests(case, row):
    said = case.undo()
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert requests(case.stack, case.since) == case.expected()


@rows()
def test_undone_before(case, row):
    assert case.undo()["outcome"] == "succeeded"
    assert case.undo()["outcome"] in ("succeeded", "already_done"), "a second time does no harm"


@rows()
def test_nobody_there(case, row):
    said = case.undo(account="100000000000000000001")
    assert said["outcome"] in ("missing", "failed"), said
    assert not [entry for entry in changes(case.stack, case.since) if entry.get("effect")]


@rows()
def test_refused_for_good(case, row):
    case.fault({"do": "status", "status": 400, "body": error_body("invalid", "Invalid Input: of the test"), "times": None})
    said = case.undo()
    assert said["outcome"] == "failed" and "Invalid Input: of the test" in said["message"], said


@rows()
def test_throttled_by_403(case, row):
    case.fault(fault_rule("userRateLimitExceeded", times=1))
    assert case.undo()["outcome"] == "succeeded"


@rows()
def test_a_dry_run_changes_nothing(case, row):
    said = case.undo(live=False)
    assert said["outcome"] == "succeeded" and said["message"].startswith("dry run: would "), said
    assert case.changed() == []
