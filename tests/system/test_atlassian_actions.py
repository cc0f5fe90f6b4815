"""Every action of the Atlassian connector by itself; accounts that the organisation does not manage, or may not change."""

import pytest
import tries
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("atlassian")
PROFILE, ALLOWED = "GET /users/{id}/manage/profile", "GET /users/{id}/manage?privileges=lifecycle.enablement"
ORGANIZATION = "0f9e8d7c-0000-4000-8000-0123456789ab"
TOKEN = "ATCTT3key-of-this-test-0123456789"


class TestAtlassian(ConnectorTable):
    system = "atlassian"
    nobody = "5b10ac8d82e05b22cc7dffff"
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
        stack.sandbox.settings("atlassian", lag=0.0)
        stack.sandbox.clear_faults("atlassian")

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
            "accountTypes": ["atlassian"], "emailUsernames": {"eq": [name]}, "emailDomains": {"eq": ["example.com"]}, "limit": 10}

    def test_nobody_has_the_address(self, stack):
        case = tries.case(self, stack, "disable_account", "no-address")
        case.names.pop("id")
        case.email = "nobody@example.com"
        assert case.try_()["outcome"] == "missing" and not case.changed()

    def searched(self, stack, test: str, **user):
        """A leaver whom nobody has looked up yet; the answer to the search names somebody else."""
        case = tries.case(self, stack, "disable_account", test)
        users = stack.sandbox.seed("atlassian", {"users": [{"email": f"stranger.{test}@example.com", **user}]})["users"]
        stranger = next(one["account_id"] for one in users if one["email"] == f"stranger.{test}@example.com")
        known = case.names.pop("id")
        return case, known, stranger

    def answer(self, stack, body) -> None:
        stack.sandbox.fault("atlassian", {"match": {"path": "/users/search$"}, "do": "status", "status": 200, "body": body})

    def test_among_those_who_are_named_is_the_leaver(self, stack):
        case, known, stranger = self.searched(stack, "among")
        self.answer(stack, {"data": [{"accountId": stranger}, {"accountId": known}]})
        said = case.try_()
        assert said["outcome"] == "succeeded" and said["pinned"] == {"atlassian": [known]} and len(case.changed()) == 1, said

    def test_somebody_else_is_not_taken(self, stack):
        case, known, stranger = self.searched(stack, "stranger")
        self.answer(stack, {"data": [{"accountId": stranger}]})
        said = case.try_()
        assert said["outcome"] == "blocked" and f"account {stranger}" in said["message"] and not case.changed(), said

    @pytest.mark.parametrize("body", [{}, {"data": None}, [], "", {"error": "maintenance"}], ids=["object", "null", "list", "empty", "error"])
    def test_an_answer_that_cannot_be_read_says_nothing(self, stack, body):
        case, known, stranger = self.searched(stack, "unread")
        self.answer(stack, body)
        said = case.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("deferred", "failed") and not case.changed(), said

    def test_an_error_that_is_a_key_alone_is_told(self, stack):
        case = tries.case(self, stack, "disable_account", "key")
        case.fault({"do": "status", "status": 400, "body": {"key": "invalid.last-admin", "context": {}}})
        said = case.try_()
        assert said["outcome"] == "failed" and "invalid.last-admin" in said["message"], said

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
