"""Slack: refusals with status 200, messages with metadata, threads, pages, direct messages, people by e-mail."""

import pytest

CHANNEL = "C0OFFBOARD"
METADATA = {"event_type": "offboard", "event_payload": {"job": "j1"}}


@pytest.fixture(autouse=True)
def workspace(sandbox):
    sandbox.seed("slack", {"users": [{"id": "U1", "email": "ann@example.com"},
                                     {"id": "U2", "email": "gone@example.com", "deleted": True}],
                           "channels": [{"id": CHANNEL, "name": "offboarding"}, {"id": "C0OTHER", "is_member": False},
                                        {"id": "G0SECRET", "is_member": False}, {"id": "C0OLD", "is_archived": True}]})


def post(slack, **arguments):
    answer = slack("POST", "/chat.postMessage", {"channel": CHANNEL, "text": "hello", **arguments})
    assert answer.status == 200 and answer.json["ok"], answer.text
    return answer.json


def read(slack, method, **arguments):
    query = "&".join(f"{name}={value}" for name, value in {"channel": CHANNEL, **arguments}.items())
    return slack("GET", f"/{method}?{query}").json


def texts(answer):
    return [message["text"] for message in answer["messages"]]


@pytest.mark.parametrize("authorization, error", [
    (None, "not_authed"), ("Basic d3Jvbmc6d3Jvbmc=", "not_authed"), ("Bearer xoxb-other", "invalid_auth"),
])
def test_auth_is_refused_with_200(sandbox, slack, authorization, error):
    answer = slack("POST", "/chat.postMessage", {"channel": CHANNEL, "text": "x"}, Authorization=authorization)
    assert answer.status == 200 and answer.json == {"ok": False, "error": error}
    assert sandbox.state("slack")["channels"][0]["messages"] == []


def test_auth_test_and_a_revoked_token(sandbox, slack):
    assert slack("POST", "/auth.test").json["user_id"] == "U0OFFBOARD"
    sandbox.settings("slack", token_state="token_revoked")
    assert slack("POST", "/auth.test").json == {"ok": False, "error": "token_revoked"}


@pytest.mark.parametrize("scope, method, path", [
    ("chat:write", "POST", "/chat.postMessage"), ("im:write", "POST", "/conversations.open"),
    ("users:read.email", "GET", "/users.lookupByEmail?email=ann@example.com"),
    ("channels:history", "GET", f"/conversations.history?channel={CHANNEL}"),
])
def test_a_missing_scope_is_named(sandbox, slack, scope, method, path):
    scopes = ["chat:write", "channels:history", "im:write", "users:read.email"]
    sandbox.settings("slack", scopes=[name for name in scopes if name != scope])
    answer = slack(method, path, {} if method == "POST" else None).json
    assert (answer["ok"], answer["error"], answer["needed"]) == (False, "missing_scope", scope)


def test_unknown_method(slack):
    assert slack("POST", "/users.admin.setInactive", {}).json["error"] == "unknown_method"


def test_metadata_is_shown_to_who_asks(slack):
    sent = post(slack, metadata=METADATA)
    assert sent["channel"] == CHANNEL and sent["message"]["metadata"] == METADATA
    assert "metadata" not in read(slack, "conversations.history")["messages"][0]
    assert read(slack, "conversations.history", include_all_metadata="true")["messages"][0]["metadata"] == METADATA


def test_threads(slack):
    head = post(slack, text="head")["ts"]
    post(slack, text="beside")
    first = post(slack, text="first", thread_ts=head)
    post(slack, text="second", thread_ts=head)
    assert first["message"]["thread_ts"] == head
    assert texts(read(slack, "conversations.history")) == ["beside", "head"]
    assert texts(read(slack, "conversations.replies", ts=head)) == ["head", "first", "second"]
    assert read(slack, "conversations.replies", ts="1600000000.000100")["error"] == "thread_not_found"


def test_a_reply_to_an_unknown_thread_is_accepted_and_never_seen(slack):
    assert post(slack, thread_ts="1600000000.000100")["ok"]
    assert texts(read(slack, "conversations.history")) == []
    answer = slack("POST", "/chat.postMessage", {"channel": CHANNEL, "text": "x", "thread_ts": "0"}).json
    assert answer["error"] == "invalid_thread_ts"


@pytest.mark.parametrize("arguments, error", [
    ({"channel": None}, "channel_not_found"), ({"channel": "C0NONE"}, "channel_not_found"),
    ({"channel": "G0SECRET"}, "channel_not_found"), ({"channel": "C0OTHER"}, "not_in_channel"),
    ({"channel": "C0OLD"}, "is_archived"), ({"text": ""}, "no_text"), ({"text": "x" * 40001}, "msg_too_long"),
    ({"text": 1}, "invalid_arguments"), ({"metadata": {"event_type": "x"}}, "invalid_metadata_format"),
    ({"metadata": "{"}, "invalid_metadata_format"),
])
def test_faulty_messages(sandbox, slack, arguments, error):
    answer = slack("POST", "/chat.postMessage", {"channel": CHANNEL, "text": "x", **arguments})
    assert answer.status == 200 and answer.json["error"] == error
    assert all(channel["messages"] == [] for channel in sandbox.state("slack")["channels"])


@pytest.mark.parametrize("body, content_type, error", [
    (b"{", "application/json; charset=utf-8", "invalid_json"), (b"[]", "application/json; charset=utf-8", "json_not_object"),
    (b"x", "text/plain", "invalid_post_type"),
])
def test_faulty_bodies(slack, body, content_type, error):
    assert slack("POST", "/chat.postMessage", body, Content_Type=content_type).json["error"] == error


def test_a_name_is_good_for_posting_only(slack):
    assert post(slack, channel="#offboarding")["channel"] == CHANNEL
    assert read(slack, "conversations.history", channel="offboarding")["error"] == "channel_not_found"


def test_json_without_charset_is_warned_of(slack):
    answer = slack("POST", "/auth.test", {}, Content_Type="application/json").json
    assert answer["ok"] and answer["warning"] == "missing_charset"


@pytest.mark.parametrize("method", ["conversations.history", "conversations.replies"])
def test_pages(slack, method):
    head = post(slack, text="0")["ts"]
    for number in range(1, 5):
        post(slack, text=str(number), **({"thread_ts": head} if method.endswith("replies") else {}))
    seen, cursor = [], ""
    for _ in range(3):
        answer = read(slack, method, ts=head, limit=2, cursor=cursor)
        cursor = answer["response_metadata"]["next_cursor"]
        assert answer["has_more"] == bool(cursor)
        seen += texts(answer)
    assert sorted(seen) == ["0", "1", "2", "3", "4"] and cursor == ""
    assert read(slack, method, ts=head, cursor="bm9uZQ==")["error"] == "invalid_cursor"
    assert read(slack, method, ts=head, limit=1000)["error"] == "invalid_limit"


def test_history_between_times(slack):
    times = [post(slack, text=str(number))["ts"] for number in range(3)]
    assert texts(read(slack, "conversations.history", oldest=times[0])) == ["2", "1"]
    assert texts(read(slack, "conversations.history", oldest=times[0], inclusive="true")) == ["2", "1", "0"]
    assert texts(read(slack, "conversations.history", latest=times[1])) == ["0"]


def test_history_may_lag(sandbox, slack):
    sandbox.settings("slack", history_lag=60)
    post(slack)
    assert texts(read(slack, "conversations.history")) == []
    sandbox.settings("slack", history_lag=0)
    assert texts(read(slack, "conversations.history")) == ["hello"]


@pytest.mark.parametrize("email, outcome", [("ann@example.com", "U1"), ("ANN@example.com", "U1"), ("no@example.com", None),
                                            ("gone@example.com", None)])
def test_people_by_email(slack, email, outcome):
    answer = slack("GET", f"/users.lookupByEmail?email={email}").json
    assert answer.get("user", {}).get("id") == outcome
    assert outcome or answer["error"] == "users_not_found"


def test_reading_methods_do_not_see_json(slack):
    assert slack("POST", "/users.lookupByEmail", {"email": "ann@example.com"}).json["error"] == "invalid_arguments"
    form = slack("POST", "/users.lookupByEmail", b"email=ann%40example.com", Content_Type="application/x-www-form-urlencoded")
    assert form.json["user"]["id"] == "U1"


def test_direct_messages(sandbox, slack):
    opened = slack("POST", "/conversations.open", {"users": "U1"}).json
    assert opened["channel"]["id"].startswith("D") and "already_open" not in opened
    again = slack("POST", "/conversations.open", {"users": "U1"}).json
    assert again["already_open"] and again["channel"] == opened["channel"]
    post(slack, channel=opened["channel"]["id"], text="for Ann")
    assert texts(read(slack, "conversations.history", channel=opened["channel"]["id"])) == ["for Ann"]
    for users, error in (("U2", "user_disabled"), ("U9", "user_not_found"), (None, "users_list_not_supplied")):
        assert slack("POST", "/conversations.open", {"users": users}).json["error"] == error
    assert [entry["path"] for entry in sandbox.journal("slack", changing_only=True)].count("/api/conversations.open") == 5


def test_one_message_a_second_in_a_channel(sandbox, slack):
    sandbox.settings("slack", per_channel={"count": 1, "seconds": 60})
    post(slack)
    answer = slack("POST", "/chat.postMessage", {"channel": CHANNEL, "text": "again"})
    assert answer.status == 429 and answer.json == {"ok": False, "error": "ratelimited"}
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    slack("POST", "/conversations.open", {"users": "U1"})
    post(slack, channel="D00000001")
    assert len(sandbox.state("slack")["channels"][0]["messages"]) == 1


def test_seeded_messages(sandbox, slack):
    sandbox.seed("slack", {"channels": [{"id": CHANNEL, "messages": [{"text": "old", "user": "U1", "metadata": METADATA}]}]})
    answer = read(slack, "conversations.history", include_all_metadata="1")
    assert [(item["user"], item["metadata"]) for item in answer["messages"]] == [("U1", METADATA)]
    with pytest.raises(ValueError, match="email"):
        sandbox.seed("slack", {"users": [{"id": "U7"}]})
