"""Every action of the Jira connector by itself, and what a ticket's workflow allows."""

from datetime import datetime, timedelta, timezone

import pytest
import tries
from connector_table import ConnectorTable, Row, filled

pytestmark = pytest.mark.xdist_group("jira")
API = "/rest/api/3"
TOKEN = "jira-t0ken-of-this-test"
TICKET = "{'type': 'doc', 'version': 1, 'content': [%s]}"
PARAGRAPH = "{'type': 'paragraph', 'content': [{'type': 'text', 'text': '%s'}]}"
FIND_COMMENT = f"GET {API}/issue/{{issue}}/comment?expand=properties&startAt=0&maxResults=100"
READ_STATUS = f"GET {API}/issue/{{issue}}?fields=status"
WORKFLOW = [{"id": "11", "name": "Reopen", "to": "To Do"},
            {"id": "21", "name": "Start", "to": "In Progress", "from": ["To Do"]},
            {"id": "31", "name": "Finish", "to": "Done", "from": ["To Do", "In Progress"]},
            {"id": "41", "name": "Finish again", "to": "Done", "from": ["In Progress"]},
            {"id": "51", "name": "Approve", "to": "Approved", "from": ["Done"]}]


class TestJira(ConnectorTable):
    system = "jira"
    refusal = {"do": "status", "status": 400, "body": {"errorMessages": ["of the test"], "errors": {}}}
    rows = [
        Row("create_ticket", [
            f"POST {API}/search/jql",
            f"POST {API}/issue",
            f"GET {API}/issue/{{key}}?fields=labels"],
            with_={"summary": "Good-bye", "text": "Gone on Friday.\n\nBye.", "labels": ["hr"]}, again="succeeded", missing=None),
        Row("comment", [
            FIND_COMMENT,
            f"POST {API}/issue/{{issue}}/comment {{'body': {TICKET % PARAGRAPH % 'All done.'},"
            " 'properties': [{'key': 'offboard', 'value': {'job': '{job}'}}]}",
            f"GET {API}/issue/{{issue}}/comment/{{comment}}"],
            with_={"issue": "{issue}", "text": "All done."}, again="succeeded"),
        Row("transition", [
            READ_STATUS, f"GET {API}/issue/{{issue}}/transitions",
            f"POST {API}/issue/{{issue}}/transitions {{'transition': {{'id': '31'}}}}", READ_STATUS],
            with_={"issue": "{issue}", "to": "done"}, outputs={"status": "done"}),
    ]

    def vendors(self):
        return {"jira": {"token": TOKEN, "email": "bot@example.com", "workflow": WORKFLOW}}

    def settings(self, url):
        return {"url": url, "email": "bot@example.com", "token": TOKEN, "settle": "1s", "per_minute": "60000"}

    def leaver(self, stack, row, email):
        issues = stack.sandbox.seed("jira", {"issues": [{"fields": {"summary": f"Ticket of {email}"}}]})["issues"]
        issue = next(issue for issue in issues if issue["fields"]["summary"] == f"Ticket of {email}")
        names = {"email": email, "issue": issue["key"]}
        return names | tries.ids("jira", row.action, email, filled(row.with_, names))

    def ticket(self, case) -> dict:
        return next(issue for issue in case.stack.sandbox.state("jira")["issues"] if issue["key"] == case.names["issue"])

    def test_exactly_these_requests(self, case, row):
        said = case.try_()
        issues = case.stack.sandbox.state("jira")["issues"]
        case.names["key"] = issues[-1]["key"]
        case.names["comment"] = (said["outputs"] or {}).get("id", "")
        told = [line.partition(" {")[0] if line.startswith(f"POST {API}/issue ") else line for line in case.requests()]
        assert said["outcome"] == "succeeded" and told == case.expected()
        assert said["verified"]["ok"]
        assert row.outputs is None or said["outputs"] == row.outputs

    def test_nobody_there(self, case, row):
        case.names["issue"] = "IT-99999"
        said = case.try_()
        assert said["outcome"] == "missing" and case.changed() == []

    # What is special.

    @pytest.mark.parametrize("given, expected", [
        ({}, {"assignee": None, "priority": "Medium", "duedate": None}),
        ({"assignee": "5b10ac8d82e05b22cc7d4ef5", "priority": "High", "due_days": "90"}, {"assignee": "5b10ac8d82e05b22cc7d4ef5", "priority": "High", "due": 90}),
    ])
    def test_who_gets_a_ticket_and_until_when_are_settings(self, stack, given, expected):
        """Jira decides what is not given."""
        before = dict(stack.settings["systems"]["jira"])
        stack.settings["systems"]["jira"] |= given
        stack.write_settings()
        case = tries.case(self, stack, "create_ticket", f"settings-{len(given)}", with_={})
        said = case.try_()
        stack.settings["systems"]["jira"] = before
        stack.write_settings()
        assert said["outcome"] == "succeeded", said
        fields = stack.sandbox.state("jira")["issues"][-1]["fields"]
        due = expected.get("due") and (datetime.now(timezone.utc) + timedelta(days=expected["due"])).strftime("%Y-%m-%d")
        assert ((fields["assignee"] or {}).get("accountId"), fields["priority"]["name"], fields["duedate"]) == (
            expected["assignee"], expected["priority"], due)

    def test_what_a_ticket_says(self, stack):
        case = tries.case(self, stack, "create_ticket", "says")
        said, names = case.try_(), case.names
        sent = next(entry["body"] for entry in case.journal() if entry["path"] == f"{API}/issue")
        paragraphs = [paragraph["content"] for paragraph in sent["fields"].pop("description")["content"]]
        assert paragraphs[0][0]["text"].startswith(f"{case.email} leaves. Last day: ")
        assert paragraphs[1:] == [[{"type": "text", "text": "Gone on Friday."}], [], [{"type": "text", "text": "Bye."}]]
        offboarding = sent["properties"][0]["value"]["id"]
        assert sent == {
            "fields": {"project": {"key": "IT"}, "issuetype": {"name": "Task"}, "summary": "Good-bye",
                       "labels": ["offboarding", f"offboarding-{offboarding}", f"offboard-{names['job']}", "hr"]},
            "properties": [{"key": "offboarding", "value": {"id": offboarding, "job": names["job"]}}]}
        assert said["outputs"]["url"].endswith(f"/browse/{said['outputs']['key']}")

    def test_a_status_the_workflow_does_not_lead_to_needs_a_person(self, stack):
        case = tries.case(self, stack, "transition", "no-way", with_={"issue": "{issue}", "to": "Approved"})
        said = case.try_()
        assert said["outcome"] == "blocked" and case.changed() == []
        assert "the workflow has no way from To Do to Approved" in said["message"]
        assert case.try_("--with", f'{{"issue": "{case.names["issue"]}", "to": "Nowhere"}}')["outcome"] == "blocked"

    def test_a_ticket_that_somebody_else_changes_is_tried_again(self, stack):
        case = tries.case(self, stack, "transition", "conflict")
        case.fault({"do": "status", "status": 409, "times": 2})
        said = case.try_()
        assert said["outcome"] == "succeeded" and [call["status"] for call in said["calls"]].count(409) == 2
        assert self.ticket(case)["fields"]["status"]["name"] == "Done"

    def test_a_ticket_that_somebody_else_has_moved_there_is_done(self, stack):
        """The way is no longer offered when we take it; the status is the wanted one."""
        case = tries.case(self, stack, "transition", "raced")
        case.fault({"do": "status_after", "status": 400, "times": 1})
        assert case.try_()["outcome"] == "succeeded"

    def test_a_transition_that_is_not_made_is_not_done(self, stack):
        case = tries.case(self, stack, "transition", "noop")
        case.fault({"do": "noop", "times": None})
        said = case.try_in_vain()
        assert said["outcome"] == "failed" and self.ticket(case)["fields"]["status"]["name"] == "To Do"

    def test_one_comment_though_the_answer_is_lost(self, stack):
        case = tries.case(self, stack, "comment", "lost")
        case.fault({"do": "lose_answer", "times": 1})
        assert case.try_()["outcome"] == "deferred"
        stack.sandbox.clear_faults("jira")
        assert case.try_()["outcome"] == "succeeded"
        assert [comment["text"] for comment in self.ticket(case)["comments"]] == ["All done."]

    @pytest.mark.parametrize("action, path", [("create_ticket", "/search/jql$"), ("comment", "/comment$")])
    @pytest.mark.parametrize("body", [{}, {"issues": None, "comments": None}, [], "", {"errorMessages": ["maintenance"]}],
                             ids=["object", "null", "list", "empty", "error"])
    def test_a_search_that_cannot_be_read_makes_nothing_twice(self, stack, action, path, body):
        case = tries.case(self, stack, action, "unread")
        stack.sandbox.fault("jira", {"match": {"method": "POST" if action == "create_ticket" else "GET", "path": path}, "do": "status",
                                     "status": 200, "body": body})
        said = case.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        stack.sandbox.clear_faults("jira")
        assert said["outcome"] in ("deferred", "failed") and not case.changed(), said

    @pytest.mark.parametrize("body", [{}, {"id": "1"}], ids=["object", "another"])
    def test_a_comment_is_confirmed_by_itself(self, stack, body):
        case = tries.case(self, stack, "comment", "another")
        stack.sandbox.fault("jira", {"match": {"method": "GET", "path": "/comment/"}, "do": "status", "status": 200, "body": body})
        said = case.try_in_vain()
        stack.sandbox.clear_faults("jira")
        assert said["outcome"] == "failed" and not said["verified"]["ok"], said

    def test_a_numeric_id_is_an_id(self, stack):
        """A comment's, and that of a way: some servers in between write them as numbers."""
        case = tries.case(self, stack, "comment", "number")
        stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/comment$"}, "do": "status", "status": 201, "body": {"id": 10}})
        stack.sandbox.fault("jira", {"match": {"method": "GET", "path": "/comment/10$"}, "do": "status", "status": 200, "body": {"id": "10"}})
        said = case.try_()
        stack.sandbox.clear_faults("jira")
        assert said["outcome"] == "succeeded" and said["outputs"] == {"id": "10"}, said
        case = tries.case(self, stack, "transition", "number")
        stack.sandbox.fault("jira", {"match": {"method": "GET", "path": "/transitions$"}, "do": "status", "status": 200, "body": {
            "transitions": [{"id": 31, "to": {"name": "Done"}}]}})
        said = case.try_()
        stack.sandbox.clear_faults("jira")
        assert said["outcome"] == "succeeded" and [one["body"] for one in case.changed()] == [{"transition": {"id": "31"}}], said

    def test_another_ticket_is_not_this_one(self, stack):
        """Neither one that the read shows nor one that the search names."""
        case = tries.case(self, stack, "transition", "another")
        body = {"id": "999", "key": "XX-9", "fields": {"status": {"name": "Done"}}}
        stack.sandbox.fault("jira", {"match": {"method": "GET", "path": f"/issue/{case.names['issue']}$"}, "do": "status", "status": 200, "body": body})
        said = case.try_()
        assert said["outcome"] == "blocked" and "Jira shows XX-9 in place of" in said["message"] and not case.changed(), said
        stack.sandbox.clear_faults("jira")
        stack.sandbox.fault("jira", {"match": {"method": "GET", "path": f"/issue/{case.names['issue']}$"}, "do": "status", "status": 200, "body": body,
                                     "skip": 1})
        assert case.try_in_vain()["outcome"] != "succeeded"
        stack.sandbox.clear_faults("jira")
        case = tries.case(self, stack, "create_ticket", "another")
        stack.sandbox.fault("jira", {"match": {"path": "/search/jql$"}, "do": "status", "status": 200, "body": {
            "isLast": True, "issues": [{"id": "999", "key": "XX-9", "fields": {"labels": ["offboard-of-another-job"]}}]}})
        said = case.try_()
        stack.sandbox.clear_faults("jira")
        assert said["outcome"] == "succeeded" and said["outputs"]["key"] != "XX-9", said

    def test_jira_says_which_field(self, stack):
        case = tries.case(self, stack, "create_ticket", "field")
        stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/issue$"}, "do": "status", "status": 400,
                                     "body": {"errorMessages": [], "errors": {"customfield_10042": "Cost centre is required."}}})
        said = case.try_()
        stack.sandbox.clear_faults("jira")
        assert said["outcome"] == "failed" and "customfield_10042: Cost centre is required." in said["message"], said
