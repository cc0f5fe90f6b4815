"""Every action of the SCIM connector by itself, in the dialect that the standard means."""

import pytest
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("scim")
TOKEN = "scim-token-of-this-test-0123456789"
USER = "/Users/{id}"
READ = f"GET {USER}"
MINE = "GET /Groups?filter=members.value%20eq%20%22{id}%22"


def patched(value: bool) -> str:
    return (f"PATCH {USER} {{'schemas': ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], 'Operations': ["
            f"{{'op': 'replace', 'path': 'active', 'value': {value}}}]}}")


def left(group: str) -> str:
    return (f"PATCH /Groups/{{{group}}} {{'schemas': ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], 'Operations': ["
            "{'op': 'remove', 'path': 'members[value eq \"{id}\"]'}]}")


class TestScim(ConnectorTable):
    system = "scim"
    rows = [
        Row("deactivate_user", [READ, patched(False), READ]),
        Row("activate_user", [READ, patched(True), READ], user={"active": False}),
        Row("leave_groups", [MINE + "&startIndex=1&count=100", left("staff"), left("sales"), MINE + "&count=1"],
            outputs={"groups": ["{staff}", "{sales}"]}, missing="already_done"),
        Row("delete_user", [f"DELETE {USER}", READ], missing="already_done"),
    ]

    def vendors(self):
        return {"scim": {"token": TOKEN}}

    def settings(self, url):
        return {"url": url, "token": TOKEN, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        state = stack.sandbox.seed("scim", {"users": [{"userName": email, "emails": [{"value": email, "primary": True}], **row.user}]})
        key = next(user["id"] for user in state["users"] if user["userName"] == email)
        names = {group: f"{group} {email}" for group in ("staff", "sales")}
        state = stack.sandbox.seed("scim", {"groups": [{"displayName": name, "members": [{"value": key}]} for name in names.values()]})
        found = {group["displayName"]: group["id"] for group in state["groups"]}
        return {"id": key, **{group: found[name] for group, name in names.items()}}

    def test_done_before(self, case, row):
        """What is gone is gone: its deletion is told twice."""
        assert case.try_()["outcome"] == "succeeded"
        assert case.try_()["outcome"] == "already_done"
        assert not [entry for entry in case.changed() if entry.get("effect")]
