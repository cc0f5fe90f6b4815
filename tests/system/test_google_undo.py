"""What Google's actions undo: the exact requests, again, nobody there, refused, throttled, dry."""

import pytest
import test_google_actions
from connector_table import Row
from test_google_actions import DIRECTORY, LICENCE, LICENSING, MAILBOX, USER

pytestmark = pytest.mark.xdist_group("google-undo")

ROWS = [
    Row("list_profile", [f"PUT {USER} {{'includeInGlobalAddressList': True}}", f"GET {USER}?projection=full"], undoes={"listed": True},
        user={"includeInGlobalAddressList": False}, again="succeeded"),
    Row("move_back", [f"PUT {USER} {{'orgUnitPath': '/Staff'}}", f"GET {USER}"], undoes={"org_unit": "/Staff"},
        user={"orgUnitPath": "/Former Team Members"}, again="succeeded"),
    Row("join_groups", [
        f"POST {DIRECTORY}/groups/back%40example.com/members {{'id': '{{id}}', 'role': 'MEMBER'}}",
        f"GET {DIRECTORY}/groups/back%40example.com/members/{{id}}"],
        undoes={"groups": ["back@example.com"]}, seed={"groups": [{"email": "back@example.com", "members": []}]}, again="succeeded",
        missing="failed"),
    Row("restore_aliases", [f"POST {USER}/aliases {{'alias': 'old.{{email}}'}}", f"GET {USER}/aliases"],
        undoes={"aliases": ["old.{email}"]}, again="succeeded", missing="failed"),
    Row("end_vacation", [
        f"GET {USER}", f"PUT {MAILBOX}/vacation {{'enableAutoReply': False}}", f"GET {MAILBOX}/vacation"],
        undoes={"vacation": {"enableAutoReply": False}}, user={"vacation": {"enableAutoReply": True, "responseSubject": "Gone"}},
        again="succeeded"),
    Row("assign_licences", [
        f"GET {USER}", f"POST {LICENSING}/sku/1010020027/user {{'userId': '{{email}}'}}", f"GET {LICENSING}/sku/1010020027/user/{{at}}"],
        undoes={"licences": [{"product": LICENCE["productId"], "sku": LICENCE["skuId"]}]}, again="succeeded"),
]


class TestGoogleUndo(test_google_actions.TestGoogle):
    rows = ROWS
