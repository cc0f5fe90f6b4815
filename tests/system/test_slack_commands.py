"""/offboard in Slack: who may, what is answered, and what is on record."""

import os
import re
import time
import uuid

import pytest
from broker import Broker
from sealed_tables import INTAKE, OFFBOARDING
from process import wait_until
from signing import slack

pytestmark = pytest.mark.xdist_group("slack_commands")

KEY = "8f742231b10e8888abcd99yyyzzz85a5"
CHANNEL = "C1234567890"
SLACK = {"token": "xoxb-commands", "channels": [{"id": CHANNEL, "name": "it"}]}
RUNBOOK = """
runbook: %s
phases: [{name: now, steps: [{id: disable, system: scim, action: deactivate_user}]}]
"""


@pytest.fixture(scope="module")
def stack(make_shared_stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    for name in ("all-of-it", "google-only", "devices"):
        (folder / f"{name}.yaml").write_text(RUNBOOK % name, encoding="utf-8")
    stack = make_shared_stack(settings={
        "definitions": {"runbooks": [str(folder)]},
        "sources": {"slack-commands": {"signing_secret": KEY, "people": ["T1/U1", "T1/U2"], "offboard": "all-of-it",
                                       "google_offboard": "google-only", "device_return": "devices"}}})
    return stack.start("logger", "producer", "worker", "scheduler")


@pytest.fixture
def email() -> str:
    return f"kim.{uuid.uuid4().hex[:8]}@example.com"


def decided(stack, command: str, email: str, **more):
    """What is answered when the decision is known: on a busy machine the first one takes longer than Slack waits. The command counts once."""
    at = more.pop("at", time.time())
    return wait_until(lambda: not (reply := slack(stack, KEY, command, email, at=at, **more)).json["text"].startswith("Offboard has your command")
                      and reply, 30, "the command is decided")


def rows(stack, part: str, number: int) -> list[dict]:
    def found():
        return stack.database.query(f"SELECT * FROM {INTAKE} WHERE source_event_id LIKE %s ORDER BY kafka_offset", f"%{part}%")

    wait_until(lambda: len(found()) >= number, 30, f"{number} commands about {part} are on record")
    return found()


@pytest.mark.parametrize("command, runbook", [("/offboard", "all-of-it"), ("/google-offboard", "google-only"), ("/device-return", "devices")])
def test_a_command_is_a_runbook(stack, email, command, runbook):
    stack.person(email)
    begun = time.monotonic()
    at = time.time()
    reply = slack(stack, KEY, command, f"  {email.title()} ", at=at)
    assert reply.status == 200 and time.monotonic() - begun < 3
    reply = decided(stack, command, f"  {email.title()} ", at=at)
    what = "device return" if command == "/device-return" else "offboarding"
    assert reply.json == {"response_type": "ephemeral", "text": f"The {what} of {email.title()} has started."}
    row = rows(stack, email, 1)[0]
    offboarding = stack.wait_status(row["offboarding_id"], "completed")
    assert (offboarding["runbook"], offboarding["leaver"]["email"], offboarding["source"]) == (runbook, email, "slack-commands")
    assert offboarding["actor"] == {"kind": "slack", "id": "T1/U1", "name": "roadrunner"}
    assert not stack.account(email)["active"]


def test_an_address_as_slack_may_write_it(stack, email):
    slack(stack, KEY, "/offboard", f"<mailto:{email}|{email}>")
    assert rows(stack, email, 1)[0]["person"] == email


def test_a_double_click_is_one_offboarding(stack, email):
    """By the same person it is the same event; by another, and after the window, the same offboarding."""
    stack.cli("pause", "scim", "--reason", "it is still running").ok()
    at = time.time()
    assert [slack(stack, KEY, "/offboard", email, at=at).status for _ in range(2)] == [200, 200]
    slack(stack, KEY, "/offboard", email, user="U2", at=at)
    rows_ = rows(stack, email, 3)
    assert [row["disposition"] for row in rows_] == ["started", "duplicate", "duplicate"]
    third = decided(stack, "/offboard", email, user="U2", at=at)
    assert re.fullmatch(rf"The offboarding of {email} has been running since <!date\^\d+\^{{date_long}} {{time}}\|earlier>, started by roadrunner\.",
                        third.json["text"]), third
    stack.cli("resume", "scim").ok()
    assert stack.database.value(f"SELECT count(*) FROM {OFFBOARDING} WHERE leaver ->> 'email' = %s", email) == 1


@pytest.mark.parametrize("who", [{"user": "U9"}, {"team": "T9"}, {"user": "U9", "user_name": "U1"}, {"user": "T1/U1"}])
def test_who_may_not_is_told_so_and_on_record(stack, email, who):
    reply = slack(stack, KEY, "/offboard", email, **who)
    assert (reply.status, reply.json["response_type"]) == (200, "in_channel"), "the others in the channel see it"
    assert " may not use /offboard. Whoever runs Offboard can add the id T" in reply.json["text"] and email not in reply.json["text"]
    row = rows(stack, email, 1)[0]
    assert (row["disposition"], row["offboarding_id"], row["person"]) == ("refused", None, email)
    assert row["reason"] == reply.json["text"]
    assert stack.database.value(f"SELECT count(*) FROM {OFFBOARDING} WHERE leaver ->> 'email' = %s", email) == 0


def test_a_refusal_does_not_stand_in_the_way(stack, email):
    at = time.time()
    slack(stack, KEY, "/offboard", email, user="U9", at=at)
    slack(stack, KEY, "/offboard", email, at=at)
    assert [row["disposition"] for row in rows(stack, email, 2)] == ["refused", "started"]


@pytest.mark.parametrize("text", ["", "jane", "jane@example.com bob@example.com", "@example.com", "jane@localhost"])
def test_a_command_without_an_address(stack, text):
    channel = uuid.uuid4().hex
    reply = slack(stack, KEY, "/offboard", text, channel_id=channel)
    assert (reply.status, reply.json) == (200, {"response_type": "ephemeral", "text": "Say who leaves: /offboard jane@example.com"})
    row = wait_until(lambda: stack.database.one(f"SELECT * FROM {INTAKE} WHERE data ->> 'channel' = %s", channel), 30, "it is on record")
    assert (row["disposition"], row["reason"]) == ("refused", reply.json["text"])


def test_an_unknown_command(stack, email):
    assert slack(stack, KEY, "/onboard", email).json["text"] == "/onboard is not a command of Offboard."
    assert rows(stack, email, 1)[0]["disposition"] == "ignored"


def test_hr_was_first(stack, email):
    """The date was months away: the command brings it forward, says so, and stands on record beside HR."""
    offboarding = stack.offboard(email, effective_at="2031-01-01", runbook="all-of-it")
    stack.wait_status(offboarding, "waiting")
    stack.person(email)
    assert decided(stack, "/offboard", email).json["text"] == f"The offboarding of {email} was planned already, by hr. It starts now."
    stack.wait_status(offboarding, "completed")
    moved, = stack.database.query("SELECT actor FROM analyst.timeline WHERE offboarding_id = %s AND name = 'moved'", offboarding)
    assert moved["actor"] == "roadrunner"
    jobs = [record.json for record in stack.topics.read("urgent.scim") if record.opened and record.json["id"] == offboarding]
    assert jobs[0]["moved_by"] == {"kind": "slack", "id": "T1/U1", "name": "roadrunner"} and jobs[0]["actor"]["id"] == "hr", jobs


def test_the_answer_leads_to_the_thread(make_stack, tmp_path, email):
    (tmp_path / "threaded.yaml").write_text("""
runbook: threaded
phases: [{name: now, steps: [{id: disable, system: scim, action: deactivate_user}, {id: thread, system: slack, action: open_thread}]}]
""", encoding="utf-8")
    definitions = {"runbooks": [str(tmp_path)]}
    stack = make_stack(systems="scim,jira,slack", vendors={"slack": SLACK}, settings={"definitions": definitions})
    stack.configure({"definitions": definitions, "worker": {"systems": ["scim", "slack"]},
                     "systems": {"slack": {"url": stack.sandbox.url("slack") + "/api", "token": SLACK["token"], "channel": CHANNEL}},
                     "sources": {"slack-commands": {"signing_secret": KEY, "people": "T1/U1, T1/U2", "offboard": "threaded"}}})
    stack.start()
    stack.person(email)
    at = time.time()
    started = wait_until(lambda: "Thread" in (text := decided(stack, "/offboard", email, team_domain="acme", at=at).json["text"]) and text,
                         30, "the thread is open")
    link = rf"https://acme\.slack\.com/archives/{CHANNEL}/p\d{{16}}"
    assert re.fullmatch(rf"The offboarding of {email} has started\. Thread: {link}", started), started
    again = decided(stack, "/offboard", email, team_domain="acme", user="U2").json["text"]
    assert " has been running since " in again and again.split(": ")[-1] == started.split(": ")[-1], again


def test_without_the_database_the_command_is_taken(make_stack, email):
    stack = make_stack(settings={"postgres": {"edge": ""}, "sources": {"slack-commands": {
        "signing_secret": KEY, "people": "T1/U1", "offboard": "scim-leaver"}}}).start("producer")
    assert slack(stack, KEY, "/offboard", email).json["text"] == \
        f"Offboard has your command /offboard {email}. The result follows in the thread."


def test_who_does_not_sign_is_turned_away(stack, email):
    before = len(list(stack.topics.read("received")))
    assert slack(stack, "another app's secret", "/offboard", email).status == 401
    assert slack(stack, KEY, "/offboard", email, at=time.time() - 301).status == 401
    assert len(list(stack.topics.read("received"))) == before


def test_what_only_slack_may_know_is_not_kept(stack, email):
    slack(stack, KEY, "/offboard", email)
    rows(stack, email, 1)
    texts = " ".join(record.value.decode() for record in stack.topics.read("received"))
    assert email in texts and "hooks.example.com" not in texts and "gIkuvaNzQIHg97ATvDxqgjtO" not in texts and KEY not in texts




@pytest.fixture
def own_broker(servers):
    """A broker that a test may stop without disturbing the others."""
    broker = Broker(os.path.join(servers.root, f"kafka-{os.urandom(4).hex()}"), os.environ["KAFKA_LIBS"], servers.ports)
    broker.wait_ready()
    yield broker
    broker.stop()


def test_kafka_is_away(own_broker, make_stack, email):
    """Slack hears of it in time, and the command counts once."""
    stack = make_stack(brokers=own_broker.address, settings={"sources": {"slack-commands": {
        "signing_secret": KEY, "people": "T1/U1", "offboard": "scim-leaver"}}}).start("logger", "producer")
    at = time.time()
    own_broker.freeze()
    begun = time.monotonic()
    reply = slack(stack, KEY, "/offboard", email, at=at)
    assert time.monotonic() - begun < 3
    assert (reply.status, reply.json["response_type"]) == (200, "ephemeral")
    assert reply.json["text"].startswith("Offboard can't be sure that it has your command.")
    own_broker.thaw()
    wait_until(lambda: slack(stack, KEY, "/offboard", email, at=at).json["text"].startswith(f"The offboarding of {email} has started"), 30, "it is taken in")
    wait_until(lambda: stack.unplanned() == 0 and stack.logged(), 60, "all is on record")
    assert stack.database.value(f"SELECT count(*) FROM {OFFBOARDING} WHERE leaver ->> 'email' = %s", email) == 1


def test_each_command_may_have_people_of_its_own(make_stack, email):
    """The list of a command replaces `people`, whatever the order of requests."""
    stack = make_stack(settings={"sources": {"slack-commands": {
        "signing_secret": KEY, "people": "T1/U1", "device_return_people": "T1/U7, T1/U8", "offboard": "scim-leaver",
        "device_return": "scim-leaver"}}}).start("logger", "producer")
    for command, user, may in (("/offboard", "U1", True), ("/offboard", "U7", False), ("/device-return", "U1", False),
                               ("/device-return", "U8", True)):
        reply = decided(stack, command, f"{user}.{command[1:]}.{email}".lower(), user=user)
        assert ("has started" if may else f"may not use {command}.") in reply.json["text"], (command, user, reply)
    # Who presses /offboard cannot wait; a device that comes back can.
    wait_until(lambda: stack.database.value("SELECT count(*) FROM offboarding") == 2, 30, "both are planned")
    assert [row["priority"] for row in stack.database.query("SELECT priority FROM offboarding ORDER BY received_at")] == ["urgent", "normal"]
