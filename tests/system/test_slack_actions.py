"""Every action of the Slack connector by itself; private channels whose name is taken, sessions that end late. What its posts
have in common is in test_slack.py."""

import re

import pytest
import tries
from connector_table import ConnectorTable, Row, filled

pytestmark = pytest.mark.xdist_group("slack-actions")
API = "/api/"
CHANNEL, TEAM = "C0OFFBOARD", "T0SANDBOX"
TOKEN, ADMIN = "xoxb-0123456789-of-this-test", "xoxp-9876543210-of-this-test"
METADATA = "'metadata': {'event_type': 'offboard', 'event_payload': {'job': '{job}'}}"
LOOK = "&oldest=*&include_all_metadata=true&limit=200"
READ_BACK = "&oldest={ts}&latest={ts}&inclusive=true&include_all_metadata=true"
SESSIONS = f"POST {API}admin.users.session.list"
BY_EMAIL = f"GET {API}users.lookupByEmail?email="


class TestSlack(ConnectorTable):
    system = "slack"
    nobody = "U99999999"
    refusal = {"do": "status", "status": 200, "body": {"ok": False, "error": "invalid_arguments"}}
    rows = [
        Row("open_thread", [
            f"GET {API}conversations.history?channel={CHANNEL}{LOOK}",
            f"POST {API}chat.postMessage {{'channel': '{CHANNEL}', 'text': 'Jane &amp; Joe', {METADATA}}}",
            f"GET {API}conversations.history?channel={CHANNEL}&limit=1{READ_BACK}"],
            with_={"about": "", "text": "Jane & Joe"}, again="succeeded", missing=None),
        Row("post_reply", [
            f"GET {API}conversations.replies?channel={CHANNEL}&ts={{thread}}{LOOK}",
            f"POST {API}chat.postMessage {{'channel': '{CHANNEL}', 'thread_ts': '{{thread}}', 'text': 'Done', {METADATA}}}",
            f"GET {API}conversations.replies?channel={CHANNEL}&ts={{thread}}{READ_BACK}"],
            with_={"thread": "{thread}", "text": "Done"}, again="succeeded", missing=None),
        Row("direct_message", [
            f"{BY_EMAIL}{{at}}", f"POST {API}conversations.open {{'users': '{{id}}'}}",
            f"GET {API}conversations.history?channel={{direct}}{LOOK}",
            f"POST {API}chat.postMessage {{'channel': '{{direct}}', 'text': 'Hello', {METADATA}}}",
            f"GET {API}conversations.history?channel={{direct}}&limit=1{READ_BACK}"],
            with_={"email": "{email}", "text": "Hello"}, again="succeeded"),
        Row("open_private_channel", [
            f"{BY_EMAIL}{{at}}", f"{BY_EMAIL}nobody%40example.com", f"{BY_EMAIL}boss%40example.com",
            f"POST {API}conversations.create {{'name': '{{name}}', 'is_private': True}}",
            f"GET {API}conversations.members?channel={{channel}}&limit=200",
            f"POST {API}conversations.invite {{'channel': '{{channel}}', 'users': '{{id}}'}}",
            f"POST {API}conversations.invite {{'channel': '{{channel}}', 'users': '{{boss}}'}}",
            f"GET {API}conversations.members?channel={{channel}}&limit=200"],
            with_={"name": "{name}", "members": ["{email}", "nobody@example.com", "boss@example.com"]},
            outputs={"channel": "{channel}", "name": "{name}"}, again="succeeded", missing=None),
        Row("reset_sessions", [
            f"GET {API}users.info?user={{id}}",
            f"POST {API}admin.users.session.reset {{'user_id': '{{id}}', 'mobile_only': False, 'web_only': False}}",
            f"GET {API}users.info?user={{id}}", SESSIONS],
            again="succeeded"),
    ]

    def vendors(self):
        return {"slack": {"token": TOKEN, "admin_token": ADMIN,
                          "channels": [{"id": CHANNEL, "name": "offboarding", "messages": [{"text": "Jane leaves"}]}],
                          "users": [{"id": "U00000BOSS", "email": "boss@example.com"}]}}

    def settings(self, url):
        return {"url": url + "/api", "token": TOKEN, "admin_token": ADMIN, "channel": CHANNEL, "settle": "1s",
                "per_minute": "60000", "posts_per_minute": "60000"}

    def leaver(self, stack, row, email):
        state = stack.sandbox.seed("slack", {"users": [{"email": email, "sessions": 2}]})
        user = next(user for user in state["users"] if user["profile"]["email"] == email)
        head = next(channel for channel in state["channels"] if channel["id"] == CHANNEL)["messages"][0]
        names = {"id": user["id"], "boss": "U00000BOSS", "thread": head["ts"], "email": email,
                 "name": email.partition("@")[0].replace(".", "-")}
        return names | tries.ids("slack", row.action, email, filled(row.with_, names))

    def channel(self, case) -> dict:
        return next(channel for channel in case.stack.sandbox.state("slack")["channels"] if channel["name"] == case.names["name"])

    def test_exactly_these_requests(self, case, row):
        said = case.try_()
        made = said["outputs"] or {}
        case.names |= {"ts": made.get("ts"), "channel": made.get("channel"), "direct": made.get("channel")}
        assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
        assert [re.sub(r"oldest=\d+&", "oldest=*&", line) for line in case.requests()] == case.expected()
        assert row.outputs is None or made == filled(row.outputs, case.names)

    def test_nobody_there(self, case, row):
        case.names["email"] = "nobody@example.com"
        super().test_nobody_there(case, row)

    # Private channels.

    def test_a_private_channel_is_private_and_posted_to(self, stack):
        case = tries.case(self, stack, "open_private_channel", "posted-to")
        opened = case.try_()["outputs"]["channel"]
        assert opened[0] == "G" and set(self.channel(case)["members"]) == {"U0OFFBOARD", "U00000BOSS", case.names["id"]}
        post = tries.case(self, stack, "open_thread", "into-private", with_={"channel": opened, "about": "", "text": "Hello"})
        assert post.try_()["outcome"] == "succeeded"
        assert [message["text"] for message in self.channel(case)["messages"]] == ["Hello"]

    def test_a_channel_that_is_there_is_used_again(self, stack):
        """Found on the list's second page; who is in it already is not invited."""
        stack.sandbox.settings("slack", max_list=1)
        case = tries.case(self, stack, "open_private_channel", "there")
        stack.sandbox.seed("slack", {"channels": [
            {"id": "G0BEFORE", "name": "before-it"},
            {"id": "G0THERE", "name": case.names["name"], "members": ["U0OFFBOARD", "U00000BOSS"]}]})
        said = case.try_()
        stack.sandbox.settings("slack", max_list=1000)
        assert said["outputs"]["channel"] == "G0THERE"
        invited = [entry["body"]["users"] for entry in case.changed() if entry["path"].endswith("invite")]
        assert invited == [case.names["id"]] and len(self.channel(case)["members"]) == 3

    def test_a_lost_answer_makes_no_second_channel(self, stack):
        case = tries.case(self, stack, "open_private_channel", "lost")
        case.fault({"do": "lose_answer", "times": 1})
        assert case.try_()["outcome"] == "succeeded"
        assert len(self.channel(case)["members"]) == 3

    @pytest.mark.parametrize("there", [{"is_member": False}, {"is_archived": True}], ids=["unseen", "archived"])
    def test_a_name_of_somebody_else_needs_a_person(self, stack, there):
        case = tries.case(self, stack, "open_private_channel", "taken-" + next(iter(there))[3:])
        stack.sandbox.seed("slack", {"channels": [{"id": "G0" + case.names["id"], "name": case.names["name"], **there}]})
        said = case.try_()
        assert said["outcome"] == "blocked" and "is taken by a channel" in said["message"], said

    # Sessions.

    def test_sessions_end_later_and_are_waited_for(self, stack):
        stack.sandbox.settings("slack", session_lag=3)
        case = tries.case(self, stack, "reset_sessions", "late")
        said = case.try_()
        stack.sandbox.settings("slack", session_lag=0)
        assert said["outcome"] == "succeeded" and case.requests().count(SESSIONS) >= 2
        assert not [one for one in stack.sandbox.state("slack")["sessions"] if one["user_id"] == case.names["id"]]

    def test_a_session_on_the_second_page_is_seen(self, stack):
        case = tries.case(self, stack, "reset_sessions", "paged")
        pages = [{"active_sessions": [], "response_metadata": {"next_cursor": "two"}}, {"active_sessions": [{"user_id": case.names["id"]}]}]
        for number, page in enumerate(pages):
            stack.sandbox.fault("slack", {"match": {"path": "session.list$", "body": '"cursor": ?"two"' if number else ""}, "do": "status",
                                          "status": 200, "times": None if number else 1, "body": {"ok": True, **page}})
        said = case.try_in_vain()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == "failed" and "not confirmed" in said["message"], said

    def test_an_answer_about_another_member_confirms_nothing(self, stack):
        case = tries.case(self, stack, "reset_sessions", "other")
        stack.sandbox.fault("slack", {"match": {"path": "users.info$"}, "do": "status", "status": 200, "skip": 1,
                                      "body": {"ok": True, "user": {"id": "U0STRANGER", "team_id": TEAM}}})
        said = case.try_in_vain()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == "failed", said

    def test_only_an_enterprise_has_sessions_to_reset(self, stack):
        stack.sandbox.settings("slack", grid=False)
        case = tries.case(self, stack, "reset_sessions", "no-grid")
        said = case.try_()
        stack.sandbox.settings("slack", grid=True)
        assert said["outcome"] == "blocked" and "feature_not_enabled" in said["message"], said

    @pytest.mark.parametrize("token, outcome, why", [("", "blocked", "admin_token is not set"),
                                                     (TOKEN, "denied", "not_allowed_token_type"),
                                                     ("xoxp-something-else", "denied", "invalid_auth")])
    def test_sessions_want_a_token_of_their_own(self, stack, token, outcome, why):
        case = tries.case(self, stack, "reset_sessions", f"token-{why[:5].strip('_')}")
        settings = stack.settings["systems"]["slack"]
        stack.settings["systems"]["slack"] = {**settings, "admin_token": token}
        stack.write_settings()
        said = case.try_()
        stack.settings["systems"]["slack"] = settings
        stack.write_settings()
        assert said["outcome"] == outcome and why in said["message"], said
        assert [one for one in stack.sandbox.state("slack")["sessions"] if one["user_id"] == case.names["id"]]

    # People.

    def test_who_left_is_found_only_by_the_id(self, stack):
        case = tries.case(self, stack, "reset_sessions", "left")
        stack.sandbox.seed("slack", {"users": [{"id": case.names["id"], "email": case.email, "deleted": True, "sessions": 1}]})
        known = case.names.pop("id")
        assert case.try_()["outcome"] == "missing"
        case.names["id"] = known
        assert case.try_()["outcome"] == "succeeded"

    @pytest.mark.parametrize("user, outcome, why", [
        ({"id": "U0STRANGER", "profile": {"email": "stranger@example.com"}}, "blocked", "shows another one"),
        ({"id": "U0STRANGER", "profile": {}}, "blocked", "shows nothing to compare"),
        (None, "deferred", "names neither an account nor a list")], ids=["stranger", "hidden", "nobody"])
    def test_who_is_found_shows_the_address(self, stack, user, outcome, why):
        case = tries.case(self, stack, "reset_sessions", "found")
        case.names.pop("id")
        stack.sandbox.fault("slack", {"match": {"path": "lookupByEmail"}, "do": "status", "status": 200, "body": {"ok": True, "user": user}})
        said = case.try_()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == outcome and why in said["message"] and not case.changed(), said

    @pytest.mark.parametrize("action", ["direct_message", "open_private_channel"])
    @pytest.mark.parametrize("profile", [{"email": "stranger@example.com"}, {}], ids=["stranger", "hidden"])
    def test_who_is_told_is_whom_the_step_names(self, stack, action, profile):
        case = tries.case(self, stack, action, f"told-{len(profile)}")
        stack.sandbox.fault("slack", {"match": {"path": "lookupByEmail"}, "do": "status", "status": 200,
                                      "body": {"ok": True, "user": {"id": "U0STRANGER", "profile": profile}}})
        said = case.try_()
        stack.sandbox.clear_faults("slack")
        assert said["outcome"] == "failed" and not case.changed(), said

    def test_slack_says_which_scope_is_missing(self, stack):
        scopes = stack.sandbox.settings("slack")["scopes"]
        stack.sandbox.settings("slack", scopes=[scope for scope in scopes if scope != "users:read.email"])
        case = tries.case(self, stack, "direct_message", "scope")
        said = case.try_()
        stack.sandbox.settings("slack", scopes=scopes)
        assert said["outcome"] == "denied" and "missing_scope; needed: users:read.email" in said["message"], said
