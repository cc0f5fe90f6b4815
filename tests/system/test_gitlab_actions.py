"""Every action of the GitLab connector by itself; what counts when `block` says null, and issues in place of a ticket system."""

from datetime import datetime, timedelta, timezone

import pytest
import tries
from connector_table import ConnectorTable, Row, filled

pytestmark = pytest.mark.xdist_group("gitlab")
API = "/api/v4"
USER, MEMBER = f"{API}/users/{{id}}", f"GET {API}/groups/staff%2Fsales/members/{{id}}"
PROJECT = f"{API}/projects/it%2Foffboarding"
TOKENS = f"GET {API}/personal_access_tokens?user_id={{id}}&state=active&per_page=100"
IMPERSONATION = f"{USER}/impersonation_tokens"
TOKEN = "glpat-0123456789-of-this-test"
SALES = {"groups": {"staff": {"access_level": 10, "expires_at": None}, "staff/sales": {"access_level": 30, "expires_at": "2031-01-01"}}}
MARK = "<!-- offboard-{job} -->"


class TestGitLab(ConnectorTable):
    system = "gitlab"
    nobody = "99999"
    account_path = "/(users|members)/{id}"
    others = {action: {"id": 4711, "username": "other", **state} for action, state in (
        ("block_user", {"state": "blocked"}), ("unblock_user", {"state": "active"}))}
    rows = [
        Row("block_user", [f"GET {USER}", f"POST {USER}/block", f"GET {USER}"]),
        Row("unblock_user", [f"GET {USER}", f"POST {USER}/unblock", f"GET {USER}"], user={"state": "blocked"}),
        Row("delete_keys", [
            f"GET {USER}", f"GET {USER}/keys?per_page=100", f"GET {USER}/gpg_keys?per_page=100", f"DELETE {USER}/keys/{{keys}}",
            f"DELETE {USER}/gpg_keys/{{gpg_keys}}", f"GET {USER}/keys?per_page=100", f"GET {USER}/gpg_keys?per_page=100"],
            user={"keys": 1, "gpg_keys": 1}, outputs={"ssh": ["{keys}"], "gpg": ["{gpg_keys}"]}, again="succeeded"),
        Row("revoke_tokens", [
            f"GET {USER}", TOKENS, f"GET {IMPERSONATION}?state=active&per_page=100",
            f"DELETE {API}/personal_access_tokens/{{personal_access_tokens}}", f"DELETE {IMPERSONATION}/{{impersonation_tokens}}",
            TOKENS, f"GET {IMPERSONATION}?state=active&per_page=100"],
            user={"personal_access_tokens": 1, "impersonation_tokens": 1},
            outputs={"personal": ["{personal_access_tokens}"], "impersonation": ["{impersonation_tokens}"]}, again="succeeded"),
        Row("remove_group_member", [f"GET {USER}", MEMBER, f"DELETE {API}/groups/staff%2Fsales/members/{{id}}", MEMBER],
            with_={"group": "staff/sales"}, user=SALES,
            before={"group": "staff/sales", "access_level": 30, "expires_at": "2031-01-01"}),
        Row("create_issue", [
            f"GET {PROJECT}/issues?labels=offboard-{{job}}", f"POST {PROJECT}/issues", f"GET {PROJECT}/issues/{{made}}"],
            with_={"summary": "Good-bye", "text": "Gone on Friday.\n/close", "labels": ["hr"]}, again="succeeded", missing=None),
        Row("comment_issue", [
            f"GET {PROJECT}/issues/{{issue}}/notes?order_by=created_at&sort=desc&per_page=100",
            f"POST {PROJECT}/issues/{{issue}}/notes {{'body': 'All done.  \\n\\\\/close\\n\\n{MARK}'}}",
            f"GET {PROJECT}/issues/{{issue}}/notes/{{made}}"],
            with_={"issue": "{issue}", "text": "All done.\n/close"}, again="succeeded"),
    ]

    def vendors(self):
        return {"gitlab": {"token": TOKEN}}

    def settings(self, url):
        return {"url": url, "token": TOKEN, "project": "it/offboarding", "settle": "1s", "per_minute": "60000"}

    def leaver(self, stack, row, email):
        users = stack.sandbox.seed("gitlab", {"users": [{"email": email, **row.user}]})["users"]
        user = next(user for user in users if user["email"] == email)
        names = {"id": str(user["id"]), "email": email, "issue": "0"}
        names |= {name: str(user[name][0]["id"]) for name in
                  ("keys", "gpg_keys", "personal_access_tokens", "impersonation_tokens") if user[name]}
        if row.action == "comment_issue":
            opened = stack.try_action("gitlab", "create_issue", "--email", email, "--live", "--json").json
            names["issue"] = opened["outputs"]["key"]
        return names | tries.ids("gitlab", row.action, email, filled(row.with_, names))

    @pytest.fixture(autouse=True)
    def as_it_was(self, stack):
        yield
        stack.sandbox.settings("gitlab", block_changes=True, page=100, admin=True, searches=True)
        stack.sandbox.clear_faults("gitlab")

    def user(self, case) -> dict:
        return next(user for user in case.stack.sandbox.state("gitlab")["users"] if user["email"] == case.email)

    def issue(self, case, iid: str) -> dict:
        return next(issue for issue in case.stack.sandbox.state("gitlab")["issues"] if str(issue["iid"]) == iid)

    def test_exactly_these_requests(self, case, row):
        if "issue" not in row.action:
            super().test_exactly_these_requests(case, row)
            return
        said = case.try_()
        case.names["made"] = said["outputs"].get("key") or said["outputs"]["id"]
        told = [line.partition(" {")[0] if line.startswith(f"POST {PROJECT}/issues ") else line for line in case.requests()]
        assert said["outcome"] == "succeeded" and told == case.expected() and said["verified"]["ok"], said

    def test_nobody_there(self, case, row):
        case.names["issue"] = "99999"
        super().test_nobody_there(case, row)

    # Accounts.

    def test_an_address_is_found_whole(self, stack):
        stack.sandbox.seed("gitlab", {"users": [{"email": "block-user.whole@example.com.evil.example"}]})
        case = tries.case(self, stack, "block_user", "whole")
        known = case.names.pop("id")
        assert case.try_()["pinned"] == {"gitlab": [known]} and self.user(case)["state"] == "blocked"

    def test_the_address_of_somebody_else_is_not_taken(self, stack):
        """Another account has it as a further address, which may have been inherited."""
        case = tries.case(self, stack, "block_user", "else")
        known = case.names.pop("id")
        stack.sandbox.seed("gitlab", {"users": [{"email": "other@example.com", "emails": [case.email]}]})
        assert case.try_()["pinned"] == {"gitlab": [known]}
        others = {user["email"]: user["state"] for user in stack.sandbox.state("gitlab")["users"]}
        assert others["other@example.com"] == "active" and others[case.email] == "blocked"

    def test_a_further_address_alone_is_for_a_person(self, stack):
        """A leaver's private account with the company's address, or a colleague who has it now: nobody knows."""
        case = tries.case(self, stack, "block_user", "further")
        known = case.names.pop("id")
        stack.sandbox.seed("gitlab", {"users": [{"email": case.email, "emails": ["jane.further@example.com"]}]})
        case.email = "jane.further@example.com"
        said = case.try_()
        assert said["outcome"] == "blocked" and f"account {known}" in said["message"] and not case.changed(), said

    def test_a_leaver_on_page_two_of_everybody(self, stack):
        stack.sandbox.seed("gitlab", {"users": [{"email": f"stranger{number}@example.com"} for number in range(3)]})
        case = tries.case(self, stack, "block_user", "everybody")
        known = case.names.pop("id")
        stack.sandbox.settings("gitlab", page=2, searches=False)
        assert case.try_()["pinned"] == {"gitlab": [known]} and len(case.changed()) == 1
        case.email = "nobody-at-all@example.com"
        assert case.try_()["outcome"] == "missing"

    @pytest.mark.parametrize("link", ['<{url}&page=2>; rel="next"', '<{url}&page=1>; rel="first", <{url}&ids=1,2&page=2>; rel="next"'], ids=["next", "commas"])
    def test_a_full_page_whose_link_alone_leads_on(self, stack, link):
        """Without x-next-page; the leaver is behind a hundred strangers."""
        case = tries.case(self, stack, "block_user", f"linked-{len(link)}")
        known = case.names.pop("id")
        url = "https://gitlab.example.com/api/v4/users?per_page=100"      # as GitLab knows itself, whatever the address here
        strangers = [{"id": number, "username": "x", "state": "active", "email": f"x{number}@example.com"} for number in range(9000, 9100)]
        stack.sandbox.fault("gitlab", {"match": {"path": "/users$"}, "do": "status", "status": 200, "times": 1, "body": strangers,
                                       "headers": {"Link": link.replace("{url}", url)}})
        stack.sandbox.fault("gitlab", {"match": {"path": "/users$", "query": "page=2"}, "do": "status", "status": 200, "body": [
            {"id": int(known), "username": "linked", "state": "active", "email": case.email}]})
        said = case.try_()
        assert said["outcome"] == "succeeded" and said["pinned"] == {"gitlab": [known]}, said

    @pytest.mark.parametrize("action", ["delete_keys", "revoke_tokens"])
    def test_what_is_left_on_the_second_page(self, stack, action):
        """An empty page that a link leads on from is not the end."""
        case = tries.case(self, stack, action, "left")
        stack.sandbox.fault("gitlab", {"match": {"method": "DELETE"}, "do": "noop"})
        stack.sandbox.fault("gitlab", {"match": {"method": "GET", "path": "(keys|tokens)$"}, "do": "status", "status": 200, "skip": 2, "times": None,
                                       "body": [], "headers": {"Link": '<https://gitlab.example.com/x?page=2>; rel="next"'}})
        said = case.try_in_vain()
        assert said["outcome"] == "failed", said

    def test_who_is_no_administrator_sees_no_addresses(self, stack):
        """On GitLab.com, for one: a name that is like the address is not taken for it, and the leaver is not missing."""
        stack.sandbox.settings("gitlab", admin=False)
        case = tries.case(self, stack, "block_user", "no-admin")
        case.names.pop("id")
        said = case.try_()
        assert said["outcome"] == "blocked" and "shows nothing to compare" in said["message"] and not case.changed(), said

    @pytest.mark.parametrize("who, done", [({"state": "ldap_blocked"}, "already_done"), ({"internal": True}, "blocked")],
                             ids=["ldap", "internal"])
    def test_accounts_that_are_not_ours_to_block(self, stack, who, done):
        case = tries.case(self, stack, "block_user", next(iter(who)), user=who)
        assert case.try_()["outcome"] == done

    def test_an_ldap_block_is_not_ours_to_end(self, stack):
        case = tries.case(self, stack, "unblock_user", "ldap", user={"state": "ldap_blocked"})
        said = case.try_()
        assert said["outcome"] == "blocked" and "LDAP" in said["message"], said

    def test_true_without_a_change_is_not_done(self, stack):
        stack.sandbox.settings("gitlab", block_changes=False)
        said = tries.case(self, stack, "block_user", "nothing").try_in_vain()
        assert said["outcome"] == "failed" and not said["verified"]["ok"]

    def test_null_when_somebody_else_was_faster_is_done(self, stack):
        case = tries.case(self, stack, "block_user", "faster")
        case.fault({"do": "status_after", "status": 201, "body": "null", "times": 1})
        assert case.try_()["outcome"] == "succeeded"

    def test_keys_on_all_pages_and_of_nobody_else(self, stack):
        stack.sandbox.settings("gitlab", page=2)
        stack.sandbox.seed("gitlab", {"users": [{"email": "colleague@example.com", "keys": 1, "personal_access_tokens": 1}]})
        case = tries.case(self, stack, "delete_keys", "paged", user={"keys": 5, "gpg_keys": 3})
        assert case.try_()["outcome"] == "succeeded" and self.user(case)["keys"] == self.user(case)["gpg_keys"] == []
        tokens = tries.case(self, stack, "revoke_tokens", "paged", user={"personal_access_tokens": 5, "impersonation_tokens": 3})
        assert tokens.try_()["outcome"] == "succeeded"
        held = self.user(tokens)
        assert not any(token["active"] for token in held["personal_access_tokens"] + held["impersonation_tokens"])
        colleague = next(user for user in stack.sandbox.state("gitlab")["users"] if user["email"] == "colleague@example.com")
        assert colleague["keys"] and colleague["personal_access_tokens"][0]["active"]

    @pytest.mark.parametrize("action, path", [("delete_keys", "/keys"), ("delete_keys", "/gpg_keys"),
                                              ("revoke_tokens", "/personal_access_tokens"), ("revoke_tokens", "/impersonation_tokens")])
    @pytest.mark.parametrize("how", [{"do": "noop"}, {"do": "status", "status": 403}, {"do": "status", "status": 404}],
                             ids=["untrue", "refused", "not-there"])
    def test_what_is_left_is_told(self, stack, action, path, how):
        case = tries.case(self, stack, action, "left", user={"keys": 1, "gpg_keys": 1, "personal_access_tokens": 1, "impersonation_tokens": 1})
        stack.sandbox.fault("gitlab", {"match": {"method": "DELETE", "path": f"{path}/[0-9]+$"}, "times": None, **how})
        said = case.try_in_vain()
        assert said["outcome"] in ("failed", "denied"), said
        if how.get("status") != 403:
            assert "not confirmed by reading back" in said["message"], said

    @pytest.mark.parametrize("action, path, kind", [("delete_keys", "/keys", "keys"), ("revoke_tokens", "/personal_access", "personal_access_tokens")])
    def test_a_refusal_of_what_was_done_all_the_same_stops_nothing(self, stack, action, path, kind):
        """The answer says no, the look at all of it says done: only when it shows the rest, too."""
        other = {"keys": "gpg_keys", "personal_access_tokens": "impersonation_tokens"}[kind]
        case = tries.case(self, stack, action, "done", user={kind: 1})
        stack.sandbox.fault("gitlab", {"match": {"method": "DELETE", "path": f"{path}[^/]*/[0-9]+$"}, "do": "status_after", "status": 403})
        assert case.try_()["outcome"] == "succeeded"
        case = tries.case(self, stack, action, "half", user={kind: 1, other: 1})
        said = case.try_()
        assert said["outcome"] == "denied", said

    # Groups.

    def test_a_group_that_is_none_needs_a_person(self, stack):
        said = tries.case(self, stack, "remove_group_member", "none", with_={"group": "stuff"}).try_()
        assert said["outcome"] == "blocked" and "Group Not Found" in said["message"], said

    def test_undone_with_the_access_of_before(self, stack):
        case = tries.case(self, stack, "remove_group_member", "undone")
        before = case.try_()["before"]
        assert list(self.user(case)["groups"]) == ["staff"]
        back = stack.try_action("gitlab", "add_group_member", "--email", case.email, "--ids", tries.json.dumps({"gitlab": [case.names["id"]]}),
                                "--before", tries.json.dumps(before), "--live", "--json").json
        assert back["outcome"] == "succeeded" and self.user(case)["groups"] == SALES["groups"], back

    # Issues.

    def test_what_an_issue_says(self, stack):
        case = tries.case(self, stack, "create_issue", "says")
        issue = self.issue(case, case.try_()["outputs"]["key"])
        text = issue["description"].split("\n\n")
        assert issue["confidential"] and issue["title"] == "Good-bye" and issue["state"] == "opened"
        assert issue["labels"] == ["offboarding", f"offboard-{case.names['job']}", "hr"]
        assert text[0].startswith(f"{case.email} leaves. Last day: ")
        assert text[1] == "Gone on Friday.\n\\/close"

    @pytest.mark.parametrize("action", ["create_issue", "comment_issue"])
    def test_once_though_the_answer_is_lost(self, stack, action):
        case = tries.case(self, stack, action, "lost")
        before = len(stack.sandbox.state("gitlab")["issues"])
        case.fault({"do": "lose_answer", "times": 1})
        assert case.try_()["outcome"] == "deferred"
        stack.sandbox.clear_faults("gitlab")
        assert case.try_()["outcome"] == "succeeded"
        if action == "create_issue":
            assert len(stack.sandbox.state("gitlab")["issues"]) == before + 1
        else:
            issue = self.issue(case, case.names["issue"])
            assert len(issue["notes"]) == 1 and issue["state"] == "opened", "a line of the text was taken as a command"

    def test_who_gets_an_issue_and_until_when_are_settings(self, stack):
        before = dict(stack.settings["systems"]["gitlab"])
        stack.settings["systems"]["gitlab"] |= {"assignee_id": "17", "due_days": "7"}
        stack.write_settings()
        said = tries.case(self, stack, "create_issue", "settings").try_()
        stack.settings["systems"]["gitlab"] = before
        stack.write_settings()
        assert said["outcome"] == "succeeded", said
        sent = [entry["body"] for entry in stack.sandbox.journal("gitlab") if entry["method"] == "POST" and entry["path"].endswith("/issues")][-1]
        due = (datetime.now(timezone.utc) + timedelta(days=7)).strftime("%Y-%m-%d")
        assert (sent["assignee_ids"], sent["due_date"]) == ([17], due)

    def test_a_comment_is_found_on_the_second_page(self, stack):
        case = tries.case(self, stack, "comment_issue", "paged")
        case.try_()
        for number in range(3):
            stack.try_action("gitlab", "comment_issue", "--email", case.email, "--live", "--json", "--with",
                             tries.json.dumps({"issue": case.names["issue"], "text": f"later {number}"})).ok()
        stack.sandbox.settings("gitlab", page=1)
        assert case.try_()["message"].endswith("it had already been done before this job") and case.changed() == []

    def test_no_project_needs_a_person(self, stack):
        stack.settings["systems"]["gitlab"]["project"] = "it/nowhere"
        stack.write_settings()
        said = tries.case(self, stack, "create_issue", "no-project").try_()
        stack.settings["systems"]["gitlab"]["project"] = "it/offboarding"
        stack.write_settings()
        assert said["outcome"] == "blocked" and "Project Not Found" in said["message"], said

    @pytest.mark.parametrize("body", [{}, {"message": "maintenance"}, ""], ids=["object", "message", "empty"])
    def test_a_list_that_cannot_be_read_makes_no_second_issue(self, stack, body):
        case = tries.case(self, stack, "create_issue", "unread")
        case.try_()
        stack.sandbox.fault("gitlab", {"match": {"method": "GET", "path": "/issues$"}, "do": "status", "status": 200, "body": body})
        said = case.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("deferred", "failed") and not case.changed(), said

    def test_gitlab_says_which_field(self, stack):
        case = tries.case(self, stack, "create_issue", "field")
        stack.sandbox.fault("gitlab", {"match": {"method": "POST"}, "do": "status", "status": 400,
                                       "body": {"message": {"title": ["is too long (maximum is 255 characters)"]}}})
        said = case.try_()
        assert said["outcome"] == "failed" and "title: is too long" in said["message"], said
