"""`offboard plan`, offline: as strict as the edge, and a request that was kept is read as the edge would read it."""

import base64
import json
import subprocess
import time

import pytest
from events import leaver, offboarding_id
from signing import TokenSigner, digest, okta_event
from stack import yaml

OKTA, BAMBOO, STANDARD = "okta hook's secret", "bamboo private key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
POLLED = """
source: inventory
types: {gone: start}
poll: {system: oomnitza, action: list_leavers, every: 10m, items: "${ .outputs.users }", id: "${ .item.id }"}
criteria: {employee: "${ .data.type == \\"Employee\\" }"}
map: {user: {email: "${ .data.email }"}, runbook: scim-leaver}
"""
SIGNED = """
source: tokens
jwt: {keys: "https://keys.example.com/jwks", claims: {aud: us}, tolerance: 1h}
event: {id: "${ .body.jti }", type: gone}
types: {gone: start}
map: {user: {email: "${ .data.email }"}, runbook: scim-leaver}
"""


@pytest.fixture
def plan(servers, tmp_path):
    """Runs `offboard plan` in a folder of its own, with neither Kafka nor an edge to reach."""
    (tmp_path / "sources").mkdir()
    for name, text in (("inventory", POLLED), ("tokens", SIGNED)):
        (tmp_path / "sources" / f"{name}.yaml").write_text(text, encoding="utf-8")
    settings = {"kafka": {"brokers": "127.0.0.1:1"}, "edge": {"url": "http://127.0.0.1:1"}, "definitions": {"sources": [str(tmp_path / "sources")]},
                "guards": {"protected": ["ceo@example.com"]},
                "sources": {"okta-hook": {"token": OKTA}, "bamboohr": {"private_key": BAMBOO}, "cloudevents": {"signing_secret": STANDARD}}}
    (tmp_path / "offboard.yaml").write_text(yaml(settings), encoding="utf-8")

    def run(*arguments: str, **files: str | bytes | dict | list) -> subprocess.CompletedProcess:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
            (tmp_path / name).write_bytes(data)
        return subprocess.run([f"{servers.build}/offboard", "plan", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
    return run


# The same words as the edge.

STRICT = [
    {**leaver("jane@example.com"), "id": ""},
    {name: value for name, value in leaver("jane@example.com").items() if name != "source"},
    {**leaver("jane@example.com"), "specversion": "0.3"},
    {**leaver("jane@example.com"), "time": "yesterday"},
    {**leaver("jane@example.com"), "data_base64": "e30="},
    leaver("jane@example.com", type="leaver.exploded"),
    leaver("jane\u200b@example.com"),
    leaver("jane@example.com", effective_at=""),
    leaver("jane@example.com", effective_at="2199-12-31", zone="America/New_York"),
    leaver("jane@example.com", runbook="scim-leavr"),
    leaver("jane@example.com", mode="try"),
    leaver(None, user={"name": "Jane"}),
    {"user": {"email": "jane@example.com"}},
    {"id": 7, "user": {"email": "jane@example.com"}},
    [],
]


def test_what_the_edge_refuses_is_refused_in_the_same_words(plan, make_stack):
    stack = make_stack().start("producer")
    for event in STRICT:
        kind = "application/cloudevents+json" if "specversion" in event else "application/json"
        edge = stack.post("/v1/offboardings", event, headers={"Content-Type": kind})
        said = plan("--file", "event.json", **{"event.json": event})
        assert edge.status in (400, 422) and said.returncode == 1, (event, edge, said)
        assert said.stderr == f"offboard: event.json: {edge.json['detail']}\n"


def test_what_the_edge_takes_is_shown(plan):
    event = leaver("jane@example.com", effective_at="2199-12-31T17:00:00", zone="Europe/Berlin")
    encoded = {**{name: value for name, value in event.items() if name != "data"},
               "data_base64": base64.b64encode(json.dumps(event["data"]).encode()).decode()}
    for each in (event, encoded):
        told = json.loads(plan("--file", "event.json", "--json", **{"event.json": each}).stdout)
        assert (told["outcome"], told["offboarding"]["id"]) == ("accepted", offboarding_id(event))
    assert "starts  2199-12-31 17:00 Europe/Berlin (CET)" in plan("--file", "event.json").stdout
    events = [event, leaver("no address"), leaver("ceo@example.com")]
    batch = plan("--file", "batch.json", **{"batch.json": events})
    assert batch.returncode == 1
    assert [line for line in batch.stdout.splitlines() if line.startswith(("event ", "refused", "runbook"))] == [
        f"event 1 of 3: {events[0]['id']}, leaver.created", "runbook scim-leaver for jane@example.com, live",
        f"event 2 of 3: {events[1]['id']}, leaver.created", 'refused: user.email: "no address" is no e-mail address',
        f"event 3 of 3: {events[2]['id']}, leaver.created", "refused: the person, or an account of theirs, is on guards.protected"]


def test_who_is_protected(plan):
    said = plan("CEO@example.com")
    assert (said.returncode, said.stdout) == (1, "refused: the person, or an account of theirs, is on guards.protected\n")


# Requests that were kept.

def bamboo(at: float, newline: str = "\r\n", tail: str = "") -> str:
    body = json.dumps({"employees": [{"id": "7", "action": "Updated", "timestamp": "2026-03-02T09:00:00+00:00", "changedFields": ["status"],
                                      "fields": {"status": {"value": "Inactive"}, "workEmail": {"value": "kim@example.com"},
                                                 "country": {"value": "DE"}, "terminationDate": {"value": "2199-03-31"}}}]})
    lines = ["POST /v1/sources/bamboohr?x=y HTTP/1.1", "Host: offboard.example.com", "Content-Type: application/json",
             f"X-BambooHR-Timestamp: {int(at)}", f"X-BambooHR-Signature: {digest(BAMBOO, (body + str(int(at))).encode()).hex()}", "", body]
    return newline.join(lines) + tail


def test_a_request_that_was_kept(plan):
    fresh = plan("--request", "kept.http", **{"kept.http": bamboo(time.time())})
    assert fresh.returncode == 0, fresh
    assert fresh.stdout.startswith('sender  proven\nanswer  202 {"results":[{"event":"7 2026-03-02T09:00:00+00:00","outcome":"accepted"')
    assert "starts  2199-03-31 23:59 Europe/Berlin" in fresh.stdout


@pytest.mark.parametrize("newline, tail", [("\n", ""), ("\r\n", "\n"), ("\n", "\n")])
def test_an_old_request_says_so(plan, newline, tail):
    """An editor's newline at the end is no part of what was signed."""
    said = plan("--request", "kept.http", **{"kept.http": bamboo(time.time() - 86400, newline, tail)})
    assert said.returncode == 0, said
    assert said.stdout.startswith("sender  genuine, but old: it was signed 8640") and "the request would be turned away (401)" in said.stdout
    assert "runbook standard-leaver for kim@example.com, live" in said.stdout


def test_a_request_of_somebody_else(plan):
    said = plan("--request", "kept.http", **{"kept.http": bamboo(time.time()).replace("Inactive", "Active")})
    assert said.returncode == 1
    assert said.stdout.startswith("sender  turned away (401): the signature in X-BambooHR-Signature does not fit")
    assert BAMBOO not in said.stdout + said.stderr


def test_a_body_with_its_headers(plan):
    body = {"data": {"events": [okta_event("kim@example.com", "e-1"), okta_event("kim@example.com", "e-2", result="FAILURE"), {"eventType": "x"}]}}
    files = {"body.json": body}
    for header, sender in ((f"Authorization: {OKTA}", "proven"), ("Authorization: wrong", "turned away (401)"), (None, "not checked")):
        said = plan("--file", "body.json", "--source", "okta-hook", *(["--header", header] if header else []), **files)
        assert said.returncode == 1 and said.stdout.startswith(f"sender  {sender}"), said
        assert 'ignored: criterion "done" is not met' in said.stdout and "unreadable: event.id: it must be a text" in said.stdout
        assert "event 1 of 3: e-1, user.lifecycle.deactivate" in said.stdout and "answer  422 " in said.stdout
    told = json.loads(plan("--file", "body.json", "--source", "okta-hook", "--json", **files).stdout)
    assert [each["outcome"] for each in told["events"]] == ["accepted", "ignored", "unreadable"]
    assert told["answer"]["status"] == 422 and told["sender"].startswith("not checked")


def test_a_challenge(plan):
    asked = plan("--request", "get.http", **{"get.http": "GET /v1/sources/okta-hook HTTP/1.1\r\nX-Okta-Verification-Challenge: c-1\r\n\r\n"})
    assert (asked.returncode, asked.stdout) == (0, 'answer  200 {"verification":"c-1"}\n')
    none = plan("--request", "get.http", **{"get.http": "GET /v1/sources/okta-hook HTTP/1.1\n\n"})
    assert none.returncode == 1 and "answered 405" in none.stderr


def test_a_request_to_the_api(plan):
    body = json.dumps({"user": {"email": "jane@example.com"}, "effective_at": "2199-12-31"})
    request = f"POST https://offboard.example.com/v1/offboardings HTTP/1.1\nContent-Type: application/json\nIdempotency-Key: k-1\n" \
              f"Content-Length: {len(body)}\n\n{body}\n\n"
    said = plan("--request", "kept.http", **{"kept.http": request})
    assert said.returncode == 0 and "starts  2199-12-31 23:59 UTC" in said.stdout, said
    assert "id is missing" in plan("--request", "kept.http", **{"kept.http": request.replace("Idempotency-Key: k-1\n", "")}).stderr


def test_a_signed_token(plan):
    signer, other = TokenSigner("k-1"), TokenSigner("k-1")
    token = signer.token({"aud": "us", "iat": int(time.time()), "jti": "t-1", "email": "kim@example.com"})
    files = {"token.jwt": token, "keys.json": {"keys": [signer.jwk]}, "others.json": {"keys": [other.jwk]}}
    for keys, code, sender in (("keys.json", 0, "proven"), ("others.json", 1, "turned away (401): the token's signature fits no key of the sender's"),
                               (None, 0, "not checked: give the sender's keys (its JWK set) with --keys FILE")):
        said = plan("--file", "token.jwt", "--source", "tokens", "--header", "Content-Type: application/jwt",
                    *(["--keys", keys] if keys else []), **files)
        assert said.returncode == code and said.stdout.startswith(f"sender  {sender}"), said
        assert "runbook scim-leaver for kim@example.com, live" in said.stdout


@pytest.mark.parametrize("outputs", [
    {"users": [{"id": "1", "email": "a@example.com", "type": "Employee"}, {"email": "b@example.com"}, {"id": "3", "email": "c@example.com"}]},
    [{"id": "1", "email": "a@example.com", "type": "Employee"}, {"email": "b@example.com"}, {"id": "3", "email": "c@example.com"}],
])
def test_what_a_poll_found(plan, outputs):
    said = plan("--poll", "outputs.json", "--source", "inventory", **{"outputs.json": outputs})
    assert said.returncode == 1
    assert "event 1 of 3: 1, gone\nrunbook scim-leaver for a@example.com, live" in said.stdout
    assert "event 2 of 3\nunreadable: poll.id: " in said.stdout
    assert 'event 3 of 3: 3, gone\nignored: criterion "employee" is not met' in said.stdout


POLLED_DAYS = {
    "oomnitza": lambda day: {"id": "7", "email": "a@example.com", "type": "Employee", "status": "Offboarding", "sequence": "1", "changed": day},
    "assetsonar": lambda day: {"id": "7", "email": "a@example.com", "name": "A", "deactivated_at": day, "day": None},
}


@pytest.mark.parametrize("day", ["31.12.2019", "28/05/2021", "11/28/2199", "Nov 28, 2199", "2199-28-11", "58881-01-01T00:00:00Z"])
@pytest.mark.parametrize("source", POLLED_DAYS)
def test_a_day_that_cannot_be_read_starts_nobody_and_is_told(plan, source, day):
    said = plan("--poll", "items.json", "--source", source, **{"items.json": [POLLED_DAYS[source](day)]})
    assert said.stdout.startswith("refused: ") and f'on "{day}", and that is no day that can be read' in said.stdout, said


@pytest.mark.parametrize("request_text, why", [
    ("", "the first line must be that of a request"),
    ("hello\n\n", "the first line must be that of a request"),
    ("POST /v1/sources/okta-hook HTTP/1.1\nX: y\n", "there is no empty line"),
    ("POST /v1/sources/okta-hook HTTP/1.1\nno header\n\n", "is no header: it must be Name: value"),
    ("POST /v1/sources/okta-hook HTTP/1.1\nContent-Length: 9\n\n{}", "the body has 2 bytes, and Content-Length says 9"),
    ("POST /v1/sources/okta-hook HTTP/1.1\nTransfer-Encoding: chunked\n\n0\n", "the body is in chunks"),
    ("POST /v1/sources/okta-hok HTTP/1.1\n\n{}", 'there is no source "okta-hok"; did you mean "okta-hook"?'),
    ("POST /v1/sources/oomnitza HTTP/1.1\n\n{}", "takes no requests"),
    ("POST /v1/orders HTTP/1.1\n\n{}", "it must be a request to /v1/sources/<source>"),
    ("PUT /v1/sources/okta-hook HTTP/1.1\n\n{}", "PUT requests bring no events"),
    ("POST /v1/sources/okta-hook HTTP/1.1\nContent-Type: text/xml\n\n<x/>", "answered 415"),
])
def test_requests_that_are_none(plan, request_text, why):
    said = plan("--request", "kept.http", **{"kept.http": request_text})
    assert said.returncode == 1 and why in said.stderr, said


@pytest.mark.parametrize("arguments", [(), ("a@b.c", "--file", "x"), ("--poll", "x"), ("--header", "A: b"), ("a@b.c", "d@e.f"),
                                       ("--file", "x", "--runbook", "scim-leaver")])
def test_how_it_is_called(plan, arguments):
    said = plan(*arguments)
    assert said.returncode == 2 and "usage: offboard plan" in said.stderr, said
