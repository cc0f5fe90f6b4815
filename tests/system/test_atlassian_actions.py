"""Every action of the Atlassian connector by itself; accounts that the organisation does not manage, or may not change."""

import pytest
import tries
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("atlassian")
PROFILE, ALLOWED = "GET /users/{id}/manage/profile", "GET /users/{id}/manage?privileges=lifecycle.enablement"
ORGANIZATION = "0f9e8d7c-0000-4000-8000-0123456789ab"
TOKEN = "ATCTT3key-of-this-test-0123456789"


# Neither an answer of Atlassian's nor a word about the person.
ODD = {"empty": "", "list": [], "object": {}, "page": "<!DOCTYPE html><html><title>Sign in</title></html>", "error": {"error": "maintenance"},
       "null": {"data": None, "account": None, "lifecycle.enablement": None}, "bare": {"account": {}, "lifecycle.enablement": {}}}


class TestAtlassian(ConnectorTable):
    system = "atlassian"
    nobody = "5b10ac8d82e05b22cc7dffff"
    account_path = "/users/{id}/manage/profile"
    others = {action: {"account": {"account_id": "5b10ac8d82e05b22cc7dffff", "account_status": status}} for action, status in (
        ("disable_account", "inactive"), ("enable_account", "active"))}
    refusal = {"do": "status", "status": 400, "body": {"key": "invalidBody", "message": "of the test"}}
    rows = [
        Row("disable_account", [PROFILE, ALLOWED, "POST /users/{id}/manage/lifecycle/disable {'message': 'Left'}", PROFILE],
            with_={"message": "Left"}),
        Row("enable_account", [PROFILE, ALLOWED, "POST /users/{id}/manage/lifecycle/enable", PROFILE], user={"account_status": "inactive"}),
    ]

    def vendors(self):
        return {"atlassian": {"token": TOKEN, "organization": ORGANIZATION}}

    def settings(self, url):
        return {"url": url, "organization": ORGANIZATION, "token": TOKEN, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        users = stack.sandbox.seed("atlassian", {"users": [{"email": email, **row.user}]})["users"]
        return {"id": next(user["account_id"] for user in users if user["email"] == email)}

    @pytest.fixture(autouse=True)
    def as_it_was(self, stack):
        yield
        stack.sandbox.clear_faults("atlassian")
        stack.sandbox.settings("atlassian", lag=0.0, page_limit=10000, ignores_filters=False)

    def user(self, case) -> dict:
        return next(user for user in case.stack.sandbox.state("atlassian")["users"] if user["email"] == case.email)

    def test_an_address_is_found_whole(self, stack):
        case = tries.case(self, stack, "disable_account", "whole")
        name = case.email.partition("@")[0]
        stack.sandbox.seed("atlassian", {"users": [{"email": f"{name}@example.org"}, {"email": f"x{case.email}"}]})
        known = case.names.pop("id")
        said = case.try_()
        asked = case.journal()[0]
        assert said["outcome"] == "succeeded" and said["pinned"] == {"atlassian": [known]}, said
        assert asked["path"] == f"/admin/v1/orgs/{ORGANIZATION}/users/search" and asked["body"] == {
            "accountTypes": ["atlassian"], "emailUsernames": {"eq": [name]}, "emailDomains": {"eq": ["example.com"]},
            "expand": ["EMAIL"], "limit": 100}

    def test_nobody_has_the_address(self, stack):
        case = tries.case(self, stack, "disable_account", "no-address")
        case.names.pop("id")
        case.email = "nobody@example.com"
        assert case.try_()["outcome"] == "missing" and not case.changed()

    @pytest.fixture
    def searched(self, stack, request):
        """A leaver who is searched for: nobody knows the account yet."""
        case = tries.case(self, stack, "disable_account", request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:50])
        case.id = case.names.pop("id")
        return case

    def test_a_leaver_on_page_two_is_found_and_nobody_else(self, stack, searched):
        stack.sandbox.settings("atlassian", page_limit=1, ignores_filters=True)
        said = searched.try_()
        assert said["outcome"] == "succeeded" and said["pinned"] == {"atlassian": [searched.id]}, said
        assert searched.journal()[1]["body"]["cursor"] == "1" and len(searched.changed()) == 1

    def test_an_address_in_another_spelling_is_the_same(self, stack, searched):
        stack.sandbox.fault("atlassian", {"match": {"path": "/users/search$"}, "do": "status", "status": 200, "body": {
            "data": [{"accountId": searched.id, "email": searched.email.title()}], "links": {}}})
        said = searched.try_()
        assert said["outcome"] == "succeeded" and said["pinned"] == {"atlassian": [searched.id]}, said

    def test_an_account_that_shows_no_address_is_for_a_person(self, stack, searched):
        stack.sandbox.fault("atlassian", {"match": {"path": "/users/search$"}, "do": "status", "status": 200, "body": {
            "data": [{"accountId": searched.id, "accountType": "atlassian", "status": "active"}], "links": {}}})
        said = searched.try_()
        assert said["outcome"] == "blocked" and "shows nothing to compare" in said["message"] and not searched.changed(), said

    @pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
    def test_a_look_up_that_cannot_be_read_says_nothing(self, stack, searched, body):
        stack.sandbox.fault("atlassian", {"match": {"path": "/users/search$"}, "do": "status", "status": 200, "body": body})
        said = searched.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("deferred", "failed") and not searched.changed(), said

    @pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
    @pytest.mark.parametrize("path", ["profile", "manage"])
    @pytest.mark.parametrize("action", ["disable_account", "enable_account"])
    def test_a_read_that_cannot_be_read_proves_nothing(self, stack, action, path, body):
        case = tries.case(self, stack, action, f"odd-{path}-{list(ODD.values()).index(body)}")
        stack.sandbox.fault("atlassian", {"match": {"method": "GET", "path": f"{path}$"}, "do": "status", "status": 200, "body": body})
        said = case.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("deferred", "failed") and not case.changed(), said

    def test_a_key_that_lacks_a_scope_is_no_word_about_the_account(self, stack):
        case = tries.case(self, stack, "disable_account", "scope")
        detail = {"message": "Insufficient scope for this action", "acceptableScopes": ["manage:org"]}
        stack.sandbox.fault("atlassian", {"match": {"path": "/manage"}, "do": "status", "status": 403, "body": {
            "key": "forbidden.insufficientScope", "context": detail, "errorKey": "forbidden.insufficient-scope", "errorDetail": detail}})
        said = case.try_()
        assert said["outcome"] == "denied" and "Insufficient scope" in said["message"], said

    def test_a_403_that_says_later_is_tried_again(self, stack):
        case = tries.case(self, stack, "disable_account", "later")
        case.fault({"do": "status", "status": 403, "headers": {"Retry-After": "0"}, "body": {"code": 403, "message": "slow down"}, "times": 1})
        assert case.try_()["outcome"] == "succeeded"

    def test_an_account_that_is_not_managed_needs_a_person(self, stack):
        case = tries.case(self, stack, "disable_account", "not-managed", user={"managed": False})
        said = case.try_()
        assert said["outcome"] == "blocked" and "not managed" in said["message"] and not case.changed()

    def test_why_it_may_not_be_is_told_before_it_is_tried(self, stack):
        case = tries.case(self, stack, "disable_account", "not-allowed", user={"not_allowed": "externalDirectory.google"})
        said = case.try_()
        assert said["outcome"] == "blocked" and "externalDirectory.google" in said["message"] and not case.changed()

    def test_a_closed_account_is_done(self, stack):
        assert tries.case(self, stack, "disable_account", "closed", user={"account_status": "closed"}).try_()["outcome"] == "already_done"

    def test_a_late_change_is_waited_for(self, stack):
        stack.sandbox.settings("atlassian", lag=3.0)
        case = tries.case(self, stack, "disable_account", "late")
        assert case.try_()["outcome"] == "succeeded" and case.requests().count(case.expected()[0]) >= 3

    def test_undone(self, stack):
        case = tries.case(self, stack, "disable_account", "undone")
        case.try_()
        assert self.user(case)["account_status"] == "inactive" and self.user(case)["message"] == "Left"
        back = tries.case(self, stack, "enable_account", "undone")
        assert back.try_(id=case.names["id"])["outcome"] == "succeeded" and self.user(case)["account_status"] == "active"

    def test_a_key_that_has_expired_is_told_before_it_is_needed(self, stack):
        stack.cli("check", "atlassian").ok()
        stack.sandbox.settings("atlassian", token="ATCTT3another-key-0123456789")
        check = stack.cli("check", "atlassian")
        said = tries.case(self, stack, "disable_account", "expired").try_()
        stack.sandbox.settings("atlassian", token=TOKEN)
        assert check.status != 0 and said["outcome"] == "denied", said
