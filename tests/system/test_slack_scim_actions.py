"""Every action of the connector for Slack's SCIM, before the same organisation as its Web API."""

import pytest
import tries
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("slack-scim")
USER = "/scim/v2/Users/{id}"
TOKEN, BOT = "xoxp-scim-0123456789-of-this-test", "xoxb-0123456789-of-this-test"
SET = ("PATCH " + USER + " {{'schemas': ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],"
       " 'Operations': [{{'op': 'replace', 'path': 'active', 'value': %s}}]}}").replace("{{", "{").replace("}}", "}")


class TestSlackScim(ConnectorTable):
    system = "slack-scim"
    vendor = "slack"
    nobody = "U99999999"
    account_path = "/Users/{id}"
    others = {action: {"id": "U0STRANGER", "active": active} for action, active in (("deactivate_user", False), ("activate_user", True))}
    rows = [Row("deactivate_user", [f"GET {USER}", SET % False, f"GET {USER}"]),
            Row("activate_user", [f"GET {USER}", SET % True, f"GET {USER}"], user={"deleted": True})]

    def vendors(self):
        return {"slack": {"scim_token": TOKEN, "token": BOT}}

    def settings(self, url):
        return {"url": url + "/scim/v2", "token": TOKEN, "per_minute": "60000", "writes_per_minute": "60000"}

    def leaver(self, stack, row, email):
        users = stack.sandbox.seed("slack", {"users": [{"email": email, **row.user}]})["users"]
        return {"id": next(user["id"] for user in users if user["profile"]["email"] == email)}

    @pytest.fixture(autouse=True)
    def as_it_was(self, stack):
        yield
        stack.sandbox.settings("slack", scim_active="kept", scim_owner_left=False)

    def user(self, case) -> dict:
        return next(user for user in case.stack.sandbox.state("slack")["users"] if user["id"] == case.names["id"])

    def test_who_is_deactivated_is_so_for_the_web_api(self, stack):
        case = tries.case(self, stack, "deactivate_user", "web")
        stack.settings["systems"]["slack"] = {"url": stack.sandbox.url("slack") + "/api", "token": BOT, "settle": "1s"}
        stack.write_settings()
        message = ("try", "slack", "direct_message", "--email", case.email, "--with", f'{{"email": "{case.email}", "text": "x"}}', "--json",
                   "--live")
        assert stack.cli(*message).json["outcome"] == "succeeded"
        assert case.try_()["outcome"] == "succeeded" and self.user(case)["deleted"]
        assert stack.cli(*message).json["outcome"] == "missing"

    @pytest.mark.parametrize("deleted", [False, True])
    def test_is_found_by_the_address_also_after(self, stack, deleted):
        case = tries.case(self, stack, "deactivate_user", f"found-{deleted}", user={"deleted": deleted})
        known = case.names.pop("id")
        said = case.try_()
        assert said["outcome"] == ("already_done" if deleted else "succeeded") and said["pinned"] == {"slack-scim": [known]}, said
        assert case.requests()[0] == f"GET /scim/v2/Users?filter=email%20eq%20%22{case.names['at']}%22&startIndex=1&count=100"

    def test_a_leaver_on_page_two_is_found_and_nobody_else(self, stack):
        case = tries.case(self, stack, "deactivate_user", "paged")
        known = case.names.pop("id")
        pages = {1: {"id": "U0STRANGER", "emails": [{"value": "stranger@example.com"}]},
                 2: {"id": known, "emails": [{"value": case.email.title()}]}}
        for number, user in pages.items():
            case.stack.sandbox.fault("slack", {"match": {"path": "/Users$", "query": f"startIndex={number}&"}, "do": "status", "status": 200,
                                               "body": {"totalResults": 2, "startIndex": number, "Resources": [user]}})
        said = case.try_()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == "succeeded" and said["pinned"] == {"slack-scim": [known]}, said

    @pytest.mark.parametrize("body, outcome", [
        ({"totalResults": 5, "Resources": []}, "blocked"), ({"totalResults": 1, "Resources": [{"id": "U0STRANGER"}]}, "blocked"),
        ({"totalResults": 0}, "missing"), ({"totalResults": "0", "Resources": []}, "missing"), ({"resources": []}, "deferred"), ({}, "deferred"),
        ({"totalResults": -1, "Resources": []}, "deferred"), ({"totalResults": "many", "Resources": []}, "deferred"),
        ({"totalResults": 0, "Resources": [], "Errors": {"description": "internal_error", "code": 500}}, "deferred")],
        ids=["total", "bare", "nobody", "text", "lower", "object", "negative", "no-number", "errors"])
    def test_what_a_list_says(self, stack, body, outcome):
        case = tries.case(self, stack, "deactivate_user", "listed")
        case.names.pop("id")
        case.stack.sandbox.fault("slack", {"match": {"path": "/Users$"}, "do": "status", "status": 200, "body": body})
        said = case.try_()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == outcome and not case.changed(), said

    def test_who_is_shown_counts_whatever_the_total(self, stack):
        case = tries.case(self, stack, "deactivate_user", "total-of-none")
        known = case.names.pop("id")
        case.stack.sandbox.fault("slack", {"match": {"path": "/Users$"}, "do": "status", "status": 200, "body": {
            "totalResults": 0, "Resources": [{"id": known, "emails": [{"value": case.email}]}]}})
        said = case.try_()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == "succeeded" and said["pinned"] == {"slack-scim": [known]}, said

    def test_a_200_that_changes_nothing_is_not_done(self, stack):
        stack.sandbox.settings("slack", scim_active="ignored")
        case = tries.case(self, stack, "deactivate_user", "ignored")
        said = case.try_in_vain()
        assert said["outcome"] == "failed" and not said["verified"]["ok"] and not self.user(case)["deleted"]

    def test_the_primary_owner_needs_a_person(self, stack):
        case = tries.case(self, stack, "deactivate_user", "owner", user={"is_primary_owner": True})
        assert case.try_()["outcome"] == "blocked"

    def test_a_token_whose_owner_left_is_told_before_it_is_needed(self, stack):
        stack.sandbox.settings("slack", scim_owner_left=True)
        case = tries.case(self, stack, "deactivate_user", "left")
        check = stack.cli("check", "slack-scim")
        assert check.status != 0 and "not_an_admin" in check.out + check.err
        assert case.try_()["outcome"] == "denied"

    def test_undone(self, stack):
        case = tries.case(self, stack, "deactivate_user", "undone")
        case.try_()
        back = tries.case(self, stack, "activate_user", "undone")
        assert back.try_(id=case.names["id"])["outcome"] == "succeeded" and not self.user(case)["deleted"]
