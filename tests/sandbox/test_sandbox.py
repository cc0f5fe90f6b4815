"""The shared core: starting and stopping, control port, faults, rate limit, journal."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

from client import Sandbox
from sandbox_calls import JIRA_TOKEN, SCIM_TOKEN, wait_until

MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py")
CUT = (http.client.RemoteDisconnected, ConnectionResetError, http.client.IncompleteRead)


def deactivation(value=False):
    return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "active", "value": value}]}


def first_user(sandbox):
    return sandbox.state("scim")["users"][0]


# Process.

def test_ends_with_0_on_sigterm_and_leaves_whole_ports_file(tmp_path):
    ports = tmp_path / "ports.json"
    process = subprocess.Popen([sys.executable, MAIN, "--systems", "scim,okta2=scim", "--ports", ports,
                                "--journal", tmp_path / "journal"])
    urls = json.loads(wait_until(lambda: ports.exists() and ports.read_text()))
    assert sorted(urls) == ["control", "okta2", "scim"]
    assert len(set(urls.values())) == 3 and all(re.fullmatch(r"http://127\.0\.0\.1:\d+", url) for url in urls.values())
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_ends_when_standard_input_closes(tmp_path):
    sandbox = Sandbox("scim", directory=str(tmp_path)).start()
    process = sandbox._process
    process.stdin.close()
    assert process.wait(10) == 0


@pytest.mark.parametrize("systems, config, reason", [
    ("nosuch", {}, "no vendor 'nosuch'"),
    ("scim,scim", {}, "twice"),
    ("scim", {"jira": {}}, "not started: jira"),
    ("scim", {"scim": {"tokn": "x"}}, "unknown setting 'tokn'"),
    ("scim", {"scim": {"dialect": {"op_case": "upper"}}}, "op_case"),
    ("scim", {"scim": {"users": [{"displayName": "nameless"}]}}, "userName"),
])
def test_refuses_a_faulty_start_with_the_reason(tmp_path, systems, config, reason):
    with pytest.raises(RuntimeError, match=reason):
        Sandbox(systems, config, str(tmp_path)).start()


# Control port.

def test_alias_is_a_system_of_its_own(sandbox):
    sandbox.seed("other", {"users": [{"userName": "only@other.example"}]})
    assert [user["userName"] for user in sandbox.state("other")["users"]] == ["only@other.example"]
    assert len(sandbox.state("scim")["users"]) == 7


def test_seed_is_all_or_nothing(sandbox):
    with pytest.raises(ValueError, match="userName"):
        sandbox.seed("other", {"users": [{"userName": "good@example.com"}, {"userName": ""}]})
    assert sandbox.state("other")["users"] == []


def test_reset_restores_configuration(sandbox, scim):
    key = first_user(sandbox)["id"]
    assert scim("DELETE", f"/Users/{key}").status == 204
    sandbox.settings("scim", rate_limit={"per_second": 1})
    sandbox.fault("scim", {"do": "drop"})
    sandbox.reset()
    assert len(sandbox.state("scim")["users"]) == 7
    assert sandbox.settings("scim")["rate_limit"] is None
    assert sandbox.faults("scim") == [] and sandbox.journal() == []


def test_unknown_settings_and_systems_are_refused(sandbox):
    with pytest.raises(ValueError, match="unknown setting 'serch_lag'"):
        sandbox.settings("jira", serch_lag=1)
    with pytest.raises(ValueError, match="no system 'nosuch'"):
        sandbox.state("nosuch")
    with pytest.raises(ValueError, match="unknown fault 'explode'"):
        sandbox.fault("scim", {"do": "drop"}, {"do": "explode"})
    assert sandbox.faults("scim") == []


# Faults.

def test_status_answers_without_effect_so_many_times(sandbox, scim):
    key = first_user(sandbox)["id"]
    sandbox.fault("scim", {"match": {"method": "PATCH", "path": f"^/Users/{key}$"}, "times": 2, "do": "status",
                           "status": 429, "headers": {"Retry-After": "3600"}})
    refused = scim("PATCH", f"/Users/{key}", deactivation())
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3600")
    assert refused.json["status"] == "429" and "Error" in refused.json["schemas"][0]
    assert scim("GET", f"/Users/{key}").json["active"] is True
    assert scim("PATCH", f"/Users/{key}", deactivation()).status == 429
    assert scim("PATCH", f"/Users/{key}", deactivation()).status == 200
    assert first_user(sandbox)["active"] is False
    assert [entry.get("fault") for entry in sandbox.journal("scim", changing_only=True)] == ["status", "status", None]


def test_status_can_answer_anything(sandbox, jira):
    sandbox.fault("jira", {"do": "status", "status": 502, "body": "<html>bad gateway</html>",
                           "content_type": "text/html", "times": 1})
    answer = jira("GET", "/myself")
    assert (answer.status, answer.text, answer.headers["Content-Type"]) == (502, "<html>bad gateway</html>", "text/html")


def test_status_after_has_its_effect(sandbox, scim):
    key = first_user(sandbox)["id"]
    sandbox.fault("scim", {"do": "status_after", "status": 504, "times": 1})
    assert scim("PATCH", f"/Users/{key}", deactivation()).status == 504
    assert first_user(sandbox)["active"] is False
    assert [(e["status"], e["effect"]) for e in sandbox.journal("scim", effects_only=True)] == [(504, True)]


def test_lose_answer_has_its_effect_and_drop_has_none(sandbox, scim):
    one, two = sandbox.state("scim")["users"][:2]
    sandbox.fault("scim", {"do": "lose_answer", "times": 1}, {"do": "drop", "times": 1})
    with pytest.raises(CUT):
        scim("PATCH", f"/Users/{one['id']}", deactivation())
    with pytest.raises(CUT):
        scim("PATCH", f"/Users/{two['id']}", deactivation())
    assert [user["active"] for user in sandbox.state("scim")["users"][:2]] == [False, True]
    assert [(e["status"], e["fault"], e.get("effect")) for e in sandbox.journal("scim")] == [
        (200, "lose_answer", True), (None, "drop", None)]


def test_noop_answers_success_and_does_nothing(sandbox, scim, jira):
    key = first_user(sandbox)["id"]
    sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "noop"})
    answer = scim("PATCH", f"/Users/{key}", deactivation())
    assert answer.status == 200 and answer.json["active"] is False
    assert scim("GET", f"/Users/{key}").json["active"] is True
    sandbox.fault("jira", {"match": {"method": "POST"}, "do": "noop"})
    fields = {"project": {"key": "IT"}, "issuetype": {"name": "Task"}, "summary": "s"}
    assert jira("POST", "/issue", {"fields": fields}).status == 201
    assert sandbox.state("jira")["issues"] == []
    assert sandbox.journal(effects_only=True) == []
    assert [entry["fault"] for entry in sandbox.journal(changing_only=True)] == ["noop", "noop"]


def test_delay_goes_on_to_the_next_rule(sandbox, scim):
    sandbox.fault("scim", {"do": "delay", "seconds": 0.3}, {"do": "status", "status": 503})
    started = time.monotonic()
    assert scim("GET", "/Users").status == 503
    assert time.monotonic() - started >= 0.3


def test_slow_after_has_its_effect_before_it_answers(sandbox, scim):
    key = first_user(sandbox)["id"]
    sandbox.fault("scim", {"do": "slow_after", "seconds": 60})
    answers = []
    thread = threading.Thread(target=lambda: answers.append(scim("PATCH", f"/Users/{key}", deactivation())))
    thread.start()
    wait_until(lambda: first_user(sandbox)["active"] is False)
    assert answers == []
    sandbox.clear_faults("scim")
    thread.join(10)
    assert answers[0].status == 200


def test_hang_answers_nobody_until_cleared(sandbox, scim):
    key = first_user(sandbox)["id"]
    sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "hang"})
    with pytest.raises(TimeoutError):
        scim("PATCH", f"/Users/{key}", deactivation(), timeout=0.2)
    outcome = []

    def hanging():
        with pytest.raises(CUT):
            scim("PATCH", f"/Users/{key}", deactivation())
        outcome.append("cut")

    thread = threading.Thread(target=hanging)
    thread.start()
    wait_until(lambda: len(sandbox.journal("scim")) == 2)
    assert outcome == []
    sandbox.clear_faults("scim")
    thread.join(10)
    assert outcome == ["cut"] and first_user(sandbox)["active"] is True
    assert [(e["status"], e["fault"]) for e in sandbox.journal("scim")] == [(None, "hang")] * 2


def test_down_closes_everything_open_connections_too(sandbox, scim):
    host = urllib.parse.urlsplit(scim.url).netloc
    kept = http.client.HTTPConnection(host, timeout=10)
    kept.request("GET", "/Users", headers={"Authorization": f"Bearer {SCIM_TOKEN}"})
    assert kept.getresponse().read()
    sandbox.fault("scim", {"do": "down"})
    with pytest.raises(CUT):
        kept.request("GET", "/Users", headers={"Authorization": f"Bearer {SCIM_TOKEN}"})
        kept.getresponse()
    with pytest.raises((*CUT, OSError)):
        scim("GET", "/Users")
    assert sandbox.faults("scim")[0]["hits"] == 2
    assert len(sandbox.journal("scim")) == 1
    sandbox.clear_faults("scim")
    assert scim("GET", "/Users").status == 200


def test_refuse_closes_what_is_open_and_refuses_the_rest(sandbox, scim):
    host = urllib.parse.urlsplit(scim.url).netloc
    kept = http.client.HTTPConnection(host, timeout=10)
    kept.request("GET", "/Users", headers={"Authorization": f"Bearer {SCIM_TOKEN}"})
    assert kept.getresponse().read()
    sandbox.fault("scim", {"do": "refuse"})
    with pytest.raises(CUT):
        kept.request("GET", "/Users", headers={"Authorization": f"Bearer {SCIM_TOKEN}"})
        kept.getresponse()

    def is_refused() -> bool:
        try:
            socket.create_connection((kept.host, kept.port), timeout=10).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(is_refused)
    assert len(sandbox.journal("scim")) == 1
    sandbox.clear_faults("scim")
    wait_until(lambda: not is_refused())
    assert scim("GET", "/Users").status == 200


def test_truncate_cuts_the_answer_in_the_middle(sandbox, scim):
    sandbox.fault("scim", {"do": "truncate", "times": 1})
    with pytest.raises(http.client.IncompleteRead):
        scim("GET", "/Users")


def test_match_skip_and_chance(sandbox, scim):
    sandbox.fault("scim", {"match": {"query": "startIndex=2"}, "do": "status", "status": 500, "skip": 1, "times": 1})
    seen = [scim("GET", path).status for path in ("/Users", *["/Users?startIndex=2"] * 3)]
    assert seen == [200, 200, 500, 200]
    sandbox.clear_faults("scim")
    drawn = []
    for _ in range(2):
        sandbox.fault("scim", {"do": "status", "status": 500, "chance": 0.5, "seed": 7})
        drawn.append([scim("GET", "/Users?count=0").status for _ in range(20)])
        sandbox.clear_faults("scim")
    assert drawn[0] == drawn[1] and set(drawn[0]) == {200, 500}


# Rate limit.

def test_rate_limit_refuses_and_lets_on_again(sandbox, scim, jira):
    sandbox.settings("scim", rate_limit={"per_second": 20, "burst": 3})
    seen = [scim("GET", "/Users?count=0") for _ in range(10)]
    refused = [answer for answer in seen if answer.status == 429]
    assert [answer.status for answer in seen[:3]] == [200] * 3 and refused
    assert refused[0].headers["Retry-After"] == "1" and refused[0].json["status"] == "429"
    wait_until(lambda: scim("GET", "/Users?count=0").status == 200)

    sandbox.settings("jira", rate_limit={"per_minute": 60, "burst": 2})
    first, _, third = (jira("GET", "/myself") for _ in range(3))
    assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
    assert third.status == 429 and third.headers["RateLimit-Reason"] == "jira-burst-based"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", third.headers["X-RateLimit-Reset"])


# Journal and HTTP.

def test_journal_has_the_request_raw_and_as_one_line(sandbox, scim):
    key = first_user(sandbox)["id"]
    scim("GET", "/Users?filter=userName%20eq%20%22a%2Bb%40example.com%22")
    scim("GET", "/Users/%2E%2E%2Fx")
    scim("PATCH", f"/Users/{key}", deactivation())
    scim("PATCH", f"/Users/{key}", deactivation())
    entries = sandbox.journal("scim")
    assert set(entries[0]) == {"time", "system", "method", "path", "query", "headers", "body", "status"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entries[0]["time"])
    assert entries[0]["query"] == "filter=userName%20eq%20%22a%2Bb%40example.com%22"
    assert (entries[1]["path"], entries[1]["status"]) == ("/Users/%2E%2E%2Fx", 404)
    assert (entries[2]["body"], entries[2]["effect"]) == (deactivation(), True)
    assert "effect" not in entries[3], "the second deactivation changed nothing"
    with open(sandbox.journal_path, encoding="utf-8") as file:
        assert [json.loads(line) for line in file][-4:] == entries


def test_journal_masks_secrets_everywhere(sandbox, scim, jira):
    key = first_user(sandbox)["id"]
    patch = {"schemas": deactivation()["schemas"], "Operations": [
        {"op": "replace", "path": "password", "value": "hunter2-one"},
        {"op": "replace", "value": {"password": "hunter2-two"}}]}
    assert scim("PATCH", f"/Users/{key}", patch, Cookie="session=hunter2-three").status == 200
    scim("GET", f"/Users?access_token=hunter2-four&x={SCIM_TOKEN}&count=1", Authorization="Bearer hunter2-five")
    jira("POST", "/search/jql", {"jql": f"summary ~ \"{JIRA_TOKEN}\"", "nextPageToken": "a-cursor"})
    jira("POST", "/issue", b"client_secret=hunter2-six&a=b", Content_Type="application/x-www-form-urlencoded")
    jira("POST", "/issue", f"no json {JIRA_TOKEN} eyJhbGciOiJub25lIn0.aHVudGVyMg.c2ln".encode())
    with open(sandbox.journal_path, encoding="utf-8") as file:
        text = file.read()
    assert "hunter2" not in text and SCIM_TOKEN not in text and JIRA_TOKEN not in text
    entries = sandbox.journal()
    assert entries[0]["headers"]["authorization"] == "Bearer ***" and entries[0]["headers"]["cookie"] == "***"
    assert entries[1]["query"] == "access_token=***&x=***&count=1"
    assert entries[2]["body"]["nextPageToken"] == "a-cursor"
    assert entries[3]["body"] == "client_secret=***&a=b"
    assert entries[4]["body"] == "no json *** ***"
    assert "hunter2" not in json.dumps(sandbox.state("scim"))


def test_a_token_set_later_is_masked_too(sandbox, scim):
    sandbox.settings("scim", token="another-s3cret")
    assert scim("GET", "/Users?q=another-s3cret", Authorization="Bearer another-s3cret").status == 200
    assert sandbox.journal()[0]["query"] == "q=***"
    assert sandbox.settings("scim")["token"] == "***"


def test_reading_posts_are_no_changing_calls(sandbox, jira, scim):
    jira("POST", "/search/jql", {"jql": "project = IT"})
    scim("POST", "/Users/.search", {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]})
    assert sandbox.journal(changing_only=True) == []
    scim("POST", "/Users", {"no": "user"})
    assert [entry["status"] for entry in sandbox.journal(changing_only=True)] == [400]


def test_chunked_bodies_and_keep_alive(sandbox, scim):
    host = urllib.parse.urlsplit(scim.url).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    headers = {"Authorization": f"Bearer {SCIM_TOKEN}", "Content-Type": "application/scim+json"}
    user = json.dumps({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "chunky"}).encode()
    connection.request("POST", "/Users", iter([user[:10], user[10:]]), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 201 and json.load(answer)["userName"] == "chunky"
    port = connection.sock.getsockname()
    connection.request("GET", "/Users?count=0", headers=headers)
    assert connection.getresponse().status == 200 and connection.sock.getsockname() == port


def test_sustains_load_on_many_connections(sandbox, scim):
    """The floor is low enough for a busy machine; an idle one does several times as much."""
    host, port = urllib.parse.urlsplit(scim.url).netloc.split(":")
    key = first_user(sandbox)["id"]
    head = f"GET /Users/{key} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SCIM_TOKEN}\r\n"
    statuses = []

    def client():
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall((head + "\r\n").encode() * 49 + (head + "Connection: close\r\n\r\n").encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        statuses.append(received.count(b"HTTP/1.1 200 OK"))

    started = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [50] * 20 and len(sandbox.journal("scim")) == 1000
    assert time.monotonic() - started < 1000 / 200
