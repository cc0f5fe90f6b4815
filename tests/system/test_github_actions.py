"""Every action of the GitHub connector by itself; logins behind addresses, and the several meanings of 403 and 404."""

import math
import time

import pytest
import tries
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("github")
ORG, USER = "/orgs/acme", "GET /users/{id}"
MEMBERSHIP, SEAT = f"GET {ORG}/memberships/{{id}}", f"GET {ORG}/members/{{id}}/copilot"
CREDENTIALS = f"{ORG}/credential-authorizations"
OUTSIDE = f"GET {ORG}/outside_collaborators?per_page=100"
SEATS = f"{ORG}/copilot/billing/selected_users {{'selected_usernames': ['{{id}}']}}"
TOKEN = "ghp_0123456789abcdefOfThisTest"
MEMBER = {"membership": {"state": "active", "role": "member"}}
OUTSIDER = {"collaborator": True}


class TestGitHub(ConnectorTable):
    system = "github"
    nobody = "nobody-at-all"
    refusal = {"do": "status", "status": 422, "body": {"message": "Validation Failed", "status": "422"}}
    throttle = {"do": "status", "status": 403, "headers": {"Retry-After": "1"},
                "body": {"message": "You have exceeded a secondary rate limit."}}
    rows = [
        Row("revoke_sso_credentials", [
            USER, f"GET {CREDENTIALS}?login={{id}}&per_page=100", f"DELETE {CREDENTIALS}/{{first}}", f"DELETE {CREDENTIALS}/{{second}}",
            f"GET {CREDENTIALS}?login={{id}}&per_page=100"], user={**MEMBER, "credentials": 2},
            outputs={"credentials": ["{first}", "{second}"]}, again="succeeded"),
        Row("remove_member", [USER, MEMBERSHIP, f"DELETE {ORG}/memberships/{{id}}", MEMBERSHIP],
            user={"membership": {"state": "active", "role": "admin"}}, before={"role": "admin"}),
        Row("add_member", [USER, MEMBERSHIP, f"PUT {ORG}/memberships/{{id}} {{'role': 'member'}}", MEMBERSHIP]),
        Row("remove_outside_collaborator", [USER, OUTSIDE, MEMBERSHIP, f"DELETE {ORG}/outside_collaborators/{{id}}", OUTSIDE],
            user=OUTSIDER),
        Row("remove_copilot_seat", [USER, SEAT, f"DELETE {SEATS}", SEAT],
            user={**MEMBER, "copilot": {"pending_cancellation_date": None}}),
        Row("add_copilot_seat", [USER, SEAT, f"POST {SEATS}", SEAT], user=MEMBER),
    ]

    def vendors(self):
        return {"github": {"token": TOKEN}}

    def settings(self, url):
        return {"url": url, "graphql_url": url + "/graphql", "organization": "acme", "token": TOKEN, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        login = email.partition("@")[0].replace(".", "-").title()
        users = stack.sandbox.seed("github", {"users": [{"login": login, "name_id": email, **row.user}]})["users"]
        keys = next(user["credentials"] for user in users if user["login"] == login) + [0, 0]
        return {"id": login, "first": str(keys[0]), "second": str(keys[1])}

    @pytest.fixture(autouse=True)
    def as_it_was(self, stack):
        yield
        stack.sandbox.settings("github", role="admin", saml=True, enterprise="", page=100, copilot=True)

    def user(self, case) -> dict:
        return next(user for user in case.stack.sandbox.state("github")["users"] if user["login"] == case.names["id"])

    def test_refused_for_good(self, case, row):
        """A 422 here is something that a person has to untangle."""
        case.fault({**self.refusal, "times": None})
        blocked = row.action in ("remove_outside_collaborator", "remove_copilot_seat", "add_copilot_seat")
        assert case.try_()["outcome"] == ("blocked" if blocked else "failed")

    # Who it is.

    @pytest.mark.parametrize("enterprise", ["", "acme-group"])
    def test_the_login_behind_an_address(self, stack, enterprise):
        stack.sandbox.settings("github", enterprise=enterprise)
        stack.settings["systems"]["github"]["enterprise"] = enterprise
        stack.write_settings()
        case = tries.case(self, stack, "remove_member", f"found{enterprise[-5:]}")
        login = case.names.pop("id")
        said = case.try_()
        stack.settings["systems"]["github"].pop("enterprise")
        stack.write_settings()
        asked = case.journal()[0]
        assert said["outcome"] == "succeeded" and said["pinned"] == {"github": [login]}, said
        assert (asked["method"], asked["path"], asked["body"]["variables"]["name"]) == ("POST", "/graphql", case.email)

    @pytest.mark.parametrize("state", [{"saml": False}, {}], ids=["no-saml", "unlinked"])
    def test_nobody_behind_an_address(self, stack, state):
        stack.sandbox.settings("github", **state)
        case = tries.case(self, stack, "remove_member", f"not-found-{len(state)}", user={**MEMBER, "linked": bool(state)})
        case.names.pop("id")
        assert case.try_()["outcome"] == "missing" and not case.changed()

    # What is special.

    def test_credentials_on_the_second_page_and_of_nobody_else(self, stack):
        stack.sandbox.settings("github", page=2)
        stack.sandbox.seed("github", {"users": [{"login": "Colleague", "credentials": 2}]})
        case = tries.case(self, stack, "revoke_sso_credentials", "paged", user={**MEMBER, "credentials": 5})
        assert case.try_()["outcome"] == "succeeded" and self.user(case)["credentials"] == []
        colleague = next(user for user in stack.sandbox.state("github")["users"] if user["login"] == "Colleague")
        assert len(colleague["credentials"]) == 2 and len(case.changed()) == 5

    def test_a_collaborator_on_the_second_page(self, stack):
        stack.sandbox.settings("github", page=1)
        stack.sandbox.seed("github", {"users": [{"login": f"outsider-{number}", **OUTSIDER} for number in range(3)]})
        case = tries.case(self, stack, "remove_outside_collaborator", "paged")
        assert case.try_()["outcome"] == "succeeded" and not self.user(case)["collaborator"]

    def test_who_is_still_on_the_second_page_is_not_gone(self, stack):
        stack.sandbox.settings("github", page=1)
        stack.sandbox.seed("github", {"users": [{"login": f"outsider-{number}", **OUTSIDER} for number in range(3)]})
        case = tries.case(self, stack, "remove_outside_collaborator", "stays")
        case.fault({"do": "noop", "times": None})
        said = case.try_in_vain()
        stack.sandbox.clear_faults("github")
        assert said["outcome"] == "failed" and not said["verified"]["ok"]

    def test_a_member_is_no_outside_collaborator(self, stack):
        case = tries.case(self, stack, "remove_outside_collaborator", "member", user=MEMBER)
        assert case.try_()["outcome"] == "blocked" and self.user(case)["membership"]

    def test_a_membership_of_an_enterprise_team_remains_and_is_told(self, stack):
        case = tries.case(self, stack, "remove_member", "team", user={**MEMBER, "by_enterprise_team": True})
        said = case.try_in_vain()
        assert said["outcome"] == "failed" and not said["verified"]["ok"]

    def test_undone_with_the_role_of_before(self, stack):
        case = tries.case(self, stack, "remove_member", "undone")
        before = case.try_()["before"]
        case.row = tries.case(self, stack, "add_member", "undone").row
        assert case.try_("--before", tries.json.dumps(before))["outcome"] == "succeeded"
        assert self.user(case)["membership"] == {"state": "pending", "role": "admin"}

    def test_without_saml_there_are_no_credentials_to_revoke(self, stack):
        stack.sandbox.settings("github", saml=False)
        assert tries.case(self, stack, "revoke_sso_credentials", "none").try_()["outcome"] == "blocked"

    def test_a_seat_of_a_team_needs_a_person(self, stack):
        seat = {"pending_cancellation_date": None, "assigning_team": {"slug": "staff"}}
        assert tries.case(self, stack, "remove_copilot_seat", "team", user={**MEMBER, "copilot": seat}).try_()["outcome"] == "blocked"

    def test_a_spent_budget_is_waited_for(self, stack):
        case = tries.case(self, stack, "remove_member", "spent")
        case.fault({"do": "status", "status": 403, "times": 1, "body": {"message": "API rate limit exceeded for user ID 1."},
                    "headers": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(math.ceil(time.time()) + 1)}})
        assert case.try_()["outcome"] == "succeeded"

    def test_a_403_with_budget_left_is_a_refusal(self, stack):
        stack.sandbox.settings("github", role="member")
        case = tries.case(self, stack, "remove_member", "rights")
        said = case.try_()
        assert said["outcome"] == "denied" and "Must have admin rights" in said["message"] and self.user(case)["membership"]
        assert stack.cli("check", "github").status != 0

    def test_the_check_is_ok_for_an_owner(self, stack):
        stack.cli("check", "github").ok()
