"""Slack: what is sent, what its errors with status 200 mean, and that nothing is said twice."""

import os
import re
import urllib.parse
import uuid

import pytest
from events import job_id
from process import wait_until

pytestmark = pytest.mark.xdist_group("slack")

CHANNEL = "C0OFFBOARD"
TOKEN = "xoxb-0123456789-of-this-test"
VENDOR = {"token": TOKEN, "channels": [{"id": CHANNEL, "name": "offboarding"}]}
POST, OPEN, FIND_USER = "/api/chat.postMessage", "/api/conversations.open", "/api/users.lookupByEmail"
HISTORY, REPLIES = "/api/conversations.history", "/api/conversations.replies"

STEPS = {
    "thread": "{id: thread, system: slack, action: open_thread}",
    "reply": "{id: reply, system: slack, action: post_reply, needs: [thread], with: {channel: \"${ .steps.thread.outputs.channel }\","
             " thread: \"${ .steps.thread.outputs.ts }\", text: \"All is <done> & dusted\"}}",
    "direct": "{id: direct, system: slack, action: direct_message, with: {email: \"${ .user.email }\", text: \"Hello\"}}",
    "astray": "{id: astray, system: slack, action: post_reply, with: {thread: \"1600000000.000100\", text: \"Hello\"}}",
}
RUNBOOKS = {"talk": ("thread", "reply", "direct"), "thread": ("thread",), "reply": ("thread", "reply"), "direct": ("direct",),
            "astray": ("astray",)}


def make(factory, tmp_path, **slack):
    """A stack whose worker serves Slack alone."""
    for name, steps in RUNBOOKS.items():
        lines = "".join(f"      - {STEPS[step]}\n" for step in steps)
        with open(os.path.join(tmp_path, f"{name}.yaml"), "w", encoding="utf-8") as file:
            file.write(f"runbook: {name}\nphases:\n  - name: initial\n    steps:\n{lines}")
    stack = factory(systems="slack", vendors={"slack": VENDOR},
                    settings={"definitions": {"runbooks": [str(tmp_path)]}, "worker": {"systems": ["slack"]}})
    stack.configure({"definitions": {"runbooks": [str(tmp_path)]},
                     "worker": {"systems": ["slack"]},
                     "systems": {"slack": {"url": stack.sandbox.url("slack") + "/api", "token": TOKEN, "channel": CHANNEL,
                                           "settle": "1s", "per_minute": "60000", "posts_per_minute": "60000", **slack}}})
    stack.tokens["slack"] = TOKEN
    stack.cli("topics").ok()
    return stack.start()


@pytest.fixture(scope="module")
def running(make_shared_stack, tmp_path_factory):
    return make(make_shared_stack, tmp_path_factory.mktemp("runbooks"))


@pytest.fixture
def stack(running):
    running.sandbox.reset()
    return running


def start(stack, runbook: str, *, account: dict | None = {"id": "U1"}, **event) -> str:
    """Somebody new leaves, whose account is so: of one person and runbook only one offboarding is open at a time."""
    email = f"{uuid.uuid4().hex[:8]}@example.com"
    if account:
        stack.sandbox.seed("slack", {"users": [{"email": email, **account}]})
    return stack.offboard(email, runbook=runbook, user={"name": "Jane <!channel> Doe"}, **event)


def requests(stack) -> list[dict]:
    return [entry for entry in stack.sandbox.journal("slack") if entry["path"] != "/api/auth.test"]


def calls(stack) -> list[tuple[str, str]]:
    return [(entry["method"], entry["path"]) for entry in requests(stack)]


def query(entry: dict) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(entry["query"]))


def said(stack) -> list[dict]:
    """All messages in the workspace, oldest first."""
    return sorted((message for channel in stack.sandbox.state("slack")["channels"] for message in channel["messages"]),
                  key=lambda message: message["ts"])


def metadata(offboarding: str, step: str) -> dict:
    return {"event_type": "offboard", "event_payload": {"job": job_id(offboarding, "initial", step)}}


def read_back(ts: str) -> dict[str, str]:
    return {"oldest": ts, "latest": ts, "inclusive": "true", "include_all_metadata": "true"}


# What is sent.

def test_a_thread_is_opened_by_exactly_these_requests(stack):
    offboarding = start(stack, "thread")
    job = stack.wait_job(offboarding, "thread", "succeeded")
    look, post, verify = requests(stack)
    ts = said(stack)[0]["ts"]
    assert job["outputs"] == {"channel": CHANNEL, "ts": ts} and job["attempt"] == 1

    received = stack.offboarding(offboarding)["received_at"].timestamp()
    asked = query(look)
    assert received - 3602 < float(asked.pop("oldest")) <= received - 3600
    assert (look["method"], look["path"]) == ("GET", HISTORY)
    assert asked == {"channel": CHANNEL, "include_all_metadata": "true", "limit": "200"}

    body = post["body"]
    assert (post["method"], post["path"], set(body)) == ("POST", POST, {"channel", "text", "metadata"})
    assert post["headers"]["content-type"] == "application/json; charset=utf-8"
    assert post["headers"]["authorization"] == "Bearer ***"
    assert body["channel"] == CHANNEL and body["metadata"] == metadata(offboarding, "thread")
    assert body["text"].startswith("Jane &lt;!channel&gt; Doe ("), "a name rang the bell"

    assert (verify["method"], verify["path"]) == ("GET", HISTORY)
    assert query(verify) == {"channel": CHANNEL, "limit": "1", **read_back(ts)}


def test_a_reply_and_a_direct_message(stack):
    offboarding = start(stack, "talk")
    stack.wait_status(offboarding, "completed")
    head, reply = [message for message in said(stack) if message["channel"] == CHANNEL]
    direct, = [message for message in said(stack) if message["channel"] != CHANNEL]
    assert reply["thread_ts"] == head["ts"] and reply["text"] == "All is &lt;done&gt; &amp; dusted"
    assert reply["metadata"] == metadata(offboarding, "reply") and direct["metadata"] == metadata(offboarding, "direct")
    assert direct["text"] == "Hello"
    email = stack.sandbox.state("slack")["users"][0]["profile"]["email"]
    sent = [entry for entry in requests(stack) if entry["path"] in (FIND_USER, OPEN)]
    assert [(entry["method"], entry["path"], query(entry), entry["body"]) for entry in sent] == [
        ("GET", FIND_USER, {"email": email}, None), ("POST", OPEN, {}, {"users": "U1"})]
    looks = [query(entry) for entry in requests(stack) if entry["path"] == REPLIES]
    assert looks[1] == {"channel": CHANNEL, "ts": head["ts"], **read_back(reply["ts"])} and len(looks) == 2
    assert len([entry for entry in requests(stack) if entry["path"] == POST]) == 3
    assert stack.jobs(offboarding)["reply"]["outputs"] == {"channel": CHANNEL, "ts": reply["ts"]}


# Once.

@pytest.mark.parametrize("runbook, step, reads", [("thread", "thread", HISTORY), ("reply", "reply", REPLIES),
                                                  ("direct", "direct", HISTORY)])
@pytest.mark.parametrize("fault", [{"do": "lose_answer"}, {"do": "status_after", "status": 503}], ids=lambda rule: rule["do"])
def test_a_post_whose_answer_is_lost_is_found_and_not_repeated(stack, runbook, step, reads, fault):
    skip = 1 if runbook == "reply" else 0
    stack.sandbox.settings("slack", max_page=1)     # the reply is on the thread's second page
    stack.sandbox.fault("slack", {"match": {"path": POST}, "times": 1, "skip": skip, **fault})
    offboarding = start(stack, runbook)
    job = stack.wait_job(offboarding, step, "succeeded")
    assert job["attempt"] == 2
    assert len(said(stack)) == 1 + skip
    assert job["outputs"]["ts"] == said(stack)[-1]["ts"]
    pages = [query(entry).get("cursor") for entry in requests(stack) if entry["path"] == reads][1:-1]
    assert pages[0] is None and len(pages) == (2 if runbook == "reply" else 1), calls(stack)


# What its answers mean.

REFUSALS = {
    "channel_not_found": ("thread", POST, "failed"), "not_in_channel": ("thread", POST, "failed"),
    "is_archived": ("thread", POST, "failed"), "restricted_action": ("thread", POST, "failed"),
    "invalid_auth": ("thread", POST, "denied"), "token_revoked": ("thread", POST, "denied"),
    "missing_scope": ("thread", HISTORY, "denied"), "user_not_found": ("direct", OPEN, "missing"),
    "user_disabled": ("direct", OPEN, "missing"), "users_not_found": ("direct", FIND_USER, "missing"),
}


@pytest.mark.parametrize("error", REFUSALS)
def test_an_error_with_status_200_is_what_it_says(stack, error):
    runbook, path, outcome = REFUSALS[error]
    stack.sandbox.fault("slack", {"match": {"path": path}, "do": "status", "status": 200, "body": {"ok": False, "error": error}})
    offboarding = start(stack, runbook)
    job = stack.wait_job(offboarding, runbook, "skipped" if outcome == "missing" else "failed")
    assert job["outcome"] == outcome and job["attempt"] == 1 and said(stack) == []
    assert outcome == "missing" or error in job["reason"]
    assert [entry["path"] for entry in requests(stack)].count(path) == 1, "a refusal was tried again"
    assert stack.database.query("SELECT * FROM system_pause") == [], "the check works: it is no reason to pause"


@pytest.mark.parametrize("account", [None, {"deleted": True}], ids=["unknown", "deactivated"])
def test_who_is_not_there_gets_no_message(stack, account):
    job = stack.wait_job(start(stack, "direct", account=account), "direct", "skipped")
    assert job["outcome"] == "missing" and calls(stack) == [("GET", FIND_USER)]


def test_no_reply_goes_to_a_thread_that_is_not_there(stack):
    job = stack.wait_job(start(stack, "astray"), "astray", "failed")
    assert "thread_not_found" in job["reason"] and calls(stack) == [("GET", REPLIES)]


@pytest.mark.parametrize("fault", [
    {"status": 429, "headers": {"Retry-After": "1"}}, {"status": 200, "body": {"ok": False, "error": "ratelimited"}},
    {"status": 200, "body": {"ok": False, "error": "internal_error"}}, {"status": 429, "headers": {"Retry-After": "1"}, "path": HISTORY},
], ids=["429", "ratelimited", "internal_error", "429 while looking"])
def test_trouble_is_waited_out(stack, fault):
    path = fault.get("path", POST)
    stack.sandbox.fault("slack", {"match": {"path": path}, "do": "status", "times": 1,
                                  **{key: value for key, value in fault.items() if key != "path"}})
    job = stack.wait_job(start(stack, "thread"), "thread", "succeeded")
    assert job["attempt"] == 1 and len(said(stack)) == 1
    wanted = [HISTORY, POST, HISTORY, POST, HISTORY] if path == POST else [HISTORY, HISTORY, POST, HISTORY]
    assert [entry["path"] for entry in requests(stack)] == wanted


def test_a_post_that_is_not_there_afterwards_is_no_success(stack):
    stack.sandbox.fault("slack", {"match": {"path": POST}, "do": "noop"})
    job = stack.wait_job(start(stack, "thread"), "thread", "failed", 60)
    assert "not confirmed" in job["reason"] and said(stack) == []


def test_a_dry_run_says_nothing(stack):
    offboarding = start(stack, "talk", mode="dry_run")
    stack.wait_status(offboarding, "completed")
    assert stack.sandbox.journal("slack", changing_only=True) == [] and said(stack) == []
    assert sorted(calls(stack)) == [("GET", HISTORY), ("GET", FIND_USER)], "the vendor was asked about what is not there"
    messages = {row["step"]: row["message"] for row in stack.database.query(
        "SELECT step, message FROM analyst.timeline WHERE offboarding_id = %s AND name = 'job.succeeded'", offboarding)}
    assert set(messages) == {"thread", "reply", "direct"}
    assert all(re.fullmatch(r"dry run: would POST http://.*", text) for text in messages.values()), messages


def test_a_revoked_token_pauses_slack(make_stack, tmp_path):
    stack = make(make_stack, tmp_path)
    check = stack.cli("check", "slack").ok()
    assert "slack: ok" in check.out
    stack.sandbox.settings("slack", token_state="token_revoked")
    job = stack.wait_job(start(stack, "thread"), "thread", "failed")
    assert job["outcome"] == "denied" and "token_revoked" in job["reason"]
    paused = wait_until(lambda: stack.database.query("SELECT * FROM system_pause"), 20, "slack is paused")
    assert [row["system"] for row in paused] == ["slack"]
    check = stack.cli("check", "slack")
    assert check.status != 0 and "token_revoked" in check.out + check.err
