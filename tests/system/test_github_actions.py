"""Every action of the GitHub connector by itself; logins behind addresses, and the several meanings of 403 and 404."""

import math
import time

import pytest
import tries
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("github")
ORG, USER = "/orgs/acme", "GET /user/{id}"
MEMBERSHIP, SEAT = f"GET {ORG}/memberships/{{login}}", f"GET {ORG}/members/{{login}}/copilot"
CREDENTIALS = f"{ORG}/credential-authorizations"
OUTSIDE = f"GET {ORG}/outside_collaborators?per_page=100"
REPOSITORIES = f"GET {ORG}/repos?type=all&per_page=100"
SITE, APP = (f"GET /repos/acme/{name}/invitations?per_page=100" for name in ("site", "app"))
SEATS = f"{ORG}/copilot/billing/selected_users {{'selected_usernames': ['{{login}}']}}"
TOKEN = "ghp_0123456789abcdefOfThisTest"
MEMBER = {"membership": {"state": "active", "role": "member"}}
OUTSIDER = {"collaborator": True}


class TestGitHub(ConnectorTable):
    system = "github"
    nobody = "999999999"
    refusal = {"do": "status", "status": 422, "body": {"message": "Validation Failed", "status": "422"}}
    throttle = {"do": "status", "status": 403, "headers": {"Retry-After": "1"},
                "body": {"message": "You have exceeded a secondary rate limit."}}
    rows = [
        Row("revoke_sso_credentials", [
            USER, "GET /user/memberships/orgs/acme", f"GET {CREDENTIALS}?login={{login}}&per_page=100", f"DELETE {CREDENTIALS}/{{first}}", f"DELETE {CREDENTIALS}/{{second}}",
            USER, f"GET {CREDENTIALS}?login={{login}}&per_page=100"], user={**MEMBER, "credentials": 2},
            outputs={"credentials": ["{first}", "{second}"]}, again="succeeded"),
        Row("remove_member", [USER, MEMBERSHIP, f"DELETE {ORG}/memberships/{{login}}", USER, MEMBERSHIP],
            user={"membership": {"state": "active", "role": "admin"}}, before={"role": "admin"}),
        Row("add_member", [USER, MEMBERSHIP, f"PUT {ORG}/memberships/{{login}} {{'role': 'member'}}", USER, MEMBERSHIP]),
        Row("remove_outside_collaborator", [USER, OUTSIDE, REPOSITORIES, SITE, APP, MEMBERSHIP, f"DELETE {ORG}/outside_collaborators/{{login}}", USER, OUTSIDE],
            user=OUTSIDER),
        Row("remove_copilot_seat", [USER, SEAT, f"DELETE {SEATS}", USER, SEAT],
            user={**MEMBER, "copilot": {"pending_cancellation_date": None}}),
        Row("add_copilot_seat", [USER, SEAT, f"POST {SEATS}", USER, SEAT], user=MEMBER),
    ]

    def vendors(self):
        return {"github": {"token": TOKEN}}

    def settings(self, url):
        return {"url": url, "graphql_url": url + "/graphql", "organization": "acme", "token": TOKEN, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        login = email.partition("@")[0].replace(".", "-").title()
        users = stack.sandbox.seed("github", {"users": [{"login": login, "name_id": email, **row.user}]})["users"]
        user = next(user for user in users if user["login"] == login)
        keys = user["credentials"] + [0, 0]
        return {"id": str(user["id"]), "login": login, "first": str(keys[0]), "second": str(keys[1])}

    @pytest.fixture(autouse=True)
    def as_it_was(self, stack):
        yield
        stack.sandbox.settings("github", scopes="admin:org, repo", role="admin", saml=True, enterprise="", page=100, copilot=True, filters=True)
        stack.sandbox.clear_faults("github")

    def user(self, case) -> dict:
        return next(user for user in case.stack.sandbox.state("github")["users"] if str(user["id"]) == case.names["id"])

    def test_refused_for_good(self, case, row):
        """A 422 here is something that a person has to untangle."""
        case.fault({**self.refusal, "times": None})
        blocked = row.action in ("remove_outside_collaborator", "remove_copilot_seat", "add_copilot_seat")
        assert case.try_()["outcome"] == ("blocked" if blocked else "failed")

    def test_done_before_is_an_owners_word(self, stack):
        """Who has no rights gets 404 of members and of strangers alike."""
        for action in ("remove_member", "remove_copilot_seat"):
            case = tries.case(self, stack, action, "no-owner", user={})
            stack.sandbox.settings("github", role="member")
            stack.sandbox.fault("github", {"match": {"method": "GET", "path": "/orgs/"}, "do": "status", "status": 404})
            said = case.try_()
            stack.sandbox.clear_faults("github")
            stack.sandbox.settings("github", role="admin")
            assert said["outcome"] == "denied", said

    # Who it is.

    @pytest.mark.parametrize("enterprise", ["", "acme-group"])
    def test_the_account_behind_an_address(self, stack, enterprise):
        stack.sandbox.settings("github", enterprise=enterprise)
        case, said = self.searched(stack, f"found{enterprise[-5:]}", OFFBOARD_SYSTEMS_GITHUB_ENTERPRISE=enterprise)
        asked = case.journal()[1]
        assert said["outcome"] == "succeeded" and said["pinned"] == {"github": [case.names["id"]]}, said
        assert (asked["method"], asked["path"], asked["body"]["variables"]["name"]) == ("POST", "/graphql", case.email)

    def searched(self, stack, test: str, *more: str, user: dict | None = None, **env: str):
        """A leaver whom nobody has looked up yet, and what a try says."""
        case = tries.case(self, stack, "remove_member", test, user=user or MEMBER)
        number = case.names.pop("id")
        said = case.try_(*more, **env)
        case.names["id"] = number
        return case, said

    def test_an_identity_that_no_account_has_claimed(self, stack):
        case, said = self.searched(stack, "unlinked", user={**MEMBER, "linked": False})
        assert said["outcome"] == "missing" and not case.changed()

    def test_without_saml_nobody_is_found_and_nobody_is_missing(self, stack):
        stack.sandbox.settings("github", saml=False)
        case, said = self.searched(stack, "no-saml")
        assert said["outcome"] == "blocked" and "name the account in the event" in said["message"] and not case.changed(), said

    def test_a_leaver_on_page_two_of_everybody(self, stack):
        stack.sandbox.seed("github", {"users": [{"login": f"stranger-{number}", "name_id": f"stranger-{number}@example.com", **MEMBER}
                                                for number in range(3)]})
        stack.sandbox.settings("github", page=2, filters=False)
        case, said = self.searched(stack, "everybody")
        assert said["outcome"] == "succeeded" and said["pinned"] == {"github": [case.names["id"]]}, said
        assert len(case.changed()) == 1

    @pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"organization": None}}, [], ""])
    def test_an_answer_that_cannot_be_read_says_nothing(self, stack, body):
        stack.sandbox.fault("github", {"match": {"path": "/graphql", "body": "externalIdentities"}, "do": "status", "status": 200, "body": body})
        case, said = self.searched(stack, "unreadable", OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("deferred", "failed") and not case.changed(), said

    # A login is a name that its owner changes.

    def test_a_login_that_changed_is_no_matter(self, stack):
        case = tries.case(self, stack, "remove_member", "renamed")
        stack.sandbox.seed("github", {"users": [{"id": int(case.names["id"]), "login": "Renamed-Since"}]})
        assert case.try_()["outcome"] == "succeeded" and not self.user(case)["membership"]
        assert f"DELETE {ORG}/memberships/Renamed-Since" in case.requests()

    def test_renamed_while_the_member_is_removed(self, stack):
        """The old login is "not found", before and after; the account is a member under another one."""
        case = tries.case(self, stack, "remove_member", "just-renamed")
        stack.sandbox.fault("github", {"match": {"method": "GET", "path": f"^/user/{case.names['id']}"}, "times": 1, "do": "status", "status": 200,
                                       "body": {"login": "its-old-login", "id": int(case.names["id"])}})
        said = case.try_in_vain()
        assert said["outcome"] in ("failed", "denied") and self.user(case)["membership"], said

    def test_a_login_that_is_nobodys_any_more_is_for_a_person(self, stack):
        case = tries.case(self, stack, "remove_member", "gone-name")
        said = case.try_(id="its-old-login")
        assert said["outcome"] == "blocked" and "no account its-old-login" in said["message"] and not case.changed(), said

    def test_a_login_that_was_pinned_still_works(self, stack):
        case = tries.case(self, stack, "remove_outside_collaborator", "by-login")
        assert case.try_(id=case.names["login"])["outcome"] == "succeeded" and not self.user(case)["collaborator"]

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

    @pytest.mark.parametrize("collaborator", [False, True], ids=["nothing accepted", "one accepted"])
    def test_invitations_that_wait_are_cancelled(self, stack, collaborator):
        stack.sandbox.settings("github", page=1)
        stack.sandbox.seed("github", {"users": [{"login": f"guest-{number}", "invited": ["app"]} for number in range(2)]})
        case = tries.case(self, stack, "remove_outside_collaborator", f"invited-{collaborator}",
                          user={"collaborator": collaborator, "invited": ["app", "site"]})
        said = case.try_()
        assert said["outcome"] == "succeeded" and said["verified"]["ok"] and not said["open"]["invitations"]["items"], said
        user = self.user(case)
        assert user["invited"] == {} and not user["collaborator"]
        guests = [user for user in stack.sandbox.state("github")["users"] if user["login"].startswith("guest-")]
        assert [list(guest["invited"]) for guest in guests] == [["app"], ["app"]]
        assert case.try_()["outcome"] == "already_done"

    def test_an_invitation_that_stays_is_not_gone(self, stack):
        case = tries.case(self, stack, "remove_outside_collaborator", "invited-still", user={"collaborator": False, "invited": ["app"]})
        case.fault({"match": {"method": "DELETE"}, "do": "noop", "times": None})
        said = case.try_in_vain()
        assert said["outcome"] == "failed" and not said["verified"]["ok"], said

    def test_what_the_token_is_not_shown_is_for_a_person(self, stack):
        """An invitation to a private repository is there, and nobody can see it."""
        stack.sandbox.settings("github", scopes="admin:org")
        case = tries.case(self, stack, "remove_outside_collaborator", "invited-unseen", user={"collaborator": True, "invited": ["app"]})
        said = case.try_()
        assert said["outcome"] == "succeeded" and said["open"]["invitations"]["items"] == [case.names["login"]], said
        assert "no scope repo" in said["open"]["invitations"]["why"]
        again = case.try_()
        assert again["outcome"] == "already_done" and again["open"]["invitations"]["items"] == [case.names["login"]], again

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
        assert tries.case(self, stack, "revoke_sso_credentials", "none").try_()["outcome"] == "missing"

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
