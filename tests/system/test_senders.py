"""How senders prove who they are: parts of one header, passwords, tokens signed with published keys."""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid

import pytest
from process import http, wait_until
from signing import KeyServer, TokenSigner, digest, send

pytestmark = pytest.mark.xdist_group("senders")

SOURCES = {
    "stripes": """
        settings: {secret: {secret: true}}
        signature:
          header: Stripe-Signature
          prefix: v1=
          timestamp: Stripe-Signature
          timestamp_prefix: t=
          text: "{timestamp}.{body}"
          key: secret""",
    "shouting": """
        settings: {secret: {secret: true}}
        signature: {header: X-Shout, algorithm: sha1, text: "POST{body}", key: secret}""",
    "basic": """
        settings: {login: {secret: true}}
        token: {header: Authorization, prefix: "Basic ", encoding: base64, key: login}""",
    "tokens": """
        settings: {keys: {}, audience: {}}
        jwt:
          header: Authorization
          prefix: "Bearer "
          keys: "${ .settings.keys }"
          claims: {aud: "${ .settings.audience }", email: hr@example.com}
          body_sha256: body""",
    "events": """
        settings: {keys: {}, audience: {}}
        jwt: {keys: "${ .settings.keys }", claims: {aud: "${ .settings.audience }"}, tolerance: 7d}""",
    "away": """
        settings: {keys: {}}
        jwt: {header: Authorization, prefix: "Bearer ", keys: "${ .settings.keys }", claims: {aud: us}}""",
}
EVENT = """
event: {id: "${ .body.%s }", type: gone}
types: {gone: start}
map: {user: {email: "${ .data.email }"}, runbook: scim-leaver, mode: dry_run}
"""
SECRETS = {"stripes": {"secret": ["whsec_new", "whsec_old"]}, "shouting": {"secret": "loud"}, "basic": {"login": "hr:pass: word"}}


@pytest.fixture(scope="module")
def signer():
    return TokenSigner("k-1")


@pytest.fixture(scope="module")
def keys(signer):
    server = KeyServer(signer)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def away(signer):
    server = KeyServer(signer)
    server.status = 503
    yield server
    server.stop()


def make(make_stack, folder, **settings):
    for name, text in SOURCES.items():
        event = EVENT % ("jti" if name == "events" else "id")
        (folder / f"{name}.yaml").write_text(f"source: {name}\n" + text.replace("\n        ", "\n") + event, encoding="utf-8")
    return make_stack(settings={"definitions": {"sources": [str(folder)]}, "sources": {**SECRETS, **settings}}).start("logger", "producer")


@pytest.fixture(scope="module")
def stack(make_shared_stack, tmp_path_factory, keys, away):
    return make(make_shared_stack, tmp_path_factory.mktemp("senders"), tokens={"keys": keys.url, "audience": "us"},
                events={"keys": keys.url, "audience": "us"}, away={"keys": away.url})


@pytest.fixture
def body() -> bytes:
    return json.dumps({"id": uuid.uuid4().hex, "email": f"kim.{uuid.uuid4().hex[:8]}@example.com"}).encode()


def bearer(signer: TokenSigner, sent: bytes, named: bool = True, **claims) -> dict:
    said = {"aud": "us", "email": "hr@example.com", "exp": int(time.time()) + 60, "body": hashlib.sha256(sent).hexdigest(), **claims}
    return {"Authorization": "Bearer " + signer.token(said, **({} if named else {"kid": None}))}


def test_time_and_signatures_in_one_header(stack, body):
    now = str(int(time.time()))

    def sign(key: str, at: str = now) -> str:
        return digest(key, f"{at}.".encode() + body).hex()

    old = str(int(time.time()) - 301)
    for value, status in ((f"t={now},v1={sign('whsec_new')}", 202), (f"t={now},v1={'0' * 64},v1={sign('whsec_old')},v0={'1' * 64}", 202),
                          (f"t={now},v1={sign('whsec_other')}", 401), (f"t={old},v1={sign('whsec_new', old)}", 401),
                          (f"t={now},v0={sign('whsec_new')}", 401), ("t", 401), ("v1", 401), ("v1=", 401), (" ,;", 401)):
        assert send(stack, "stripes", body, {"Stripe-Signature": value}).status == status, value
    assert http("GET", stack.url("producer") + "/healthz").status == 200


def test_sha1_and_text_around_the_body(stack, body):
    right = hmac.new(b"loud", b"POST" + body, hashlib.sha1).hexdigest()
    assert send(stack, "shouting", body, {"X-Shout": right}).status == 202
    assert send(stack, "shouting", body, {"X-Shout": hmac.new(b"loud", body, hashlib.sha1).hexdigest()}).status == 401


def test_a_password(stack, body):
    def login(text: str) -> dict:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    assert send(stack, "basic", body, login("hr:pass: word")).status == 202
    assert send(stack, "basic", body, login("hr:pass: wor")).status == 401
    assert send(stack, "basic", body, {"Authorization": "Basic hr:pass: word"}).status == 401


# Tokens, and the keys that their sender publishes.

def test_a_signed_token(stack, keys, signer, body):
    reply = send(stack, "tokens", body, bearer(signer, body))
    assert reply.status == 202, reply
    stack.wait_status(reply.json["results"][0]["id"], "initiated")
    asked = keys.asked
    assert send(stack, "tokens", body, bearer(signer, body)).status == 202
    assert keys.asked == asked, "the keys are kept"


@pytest.mark.parametrize("claims, why", [
    ({"aud": "them"}, "claim aud"), ({"email": "x@example.com"}, "claim email"), ({"exp": 1}, "the token ended"), ({"body": "0" * 64}, "another body"),
])
def test_a_token_for_something_else(stack, signer, body, claims, why):
    reply = send(stack, "tokens", body, bearer(signer, body, **claims))
    assert reply.status == 401 and why in reply.json["detail"], reply


def test_tokens_of_nobody(stack, signer, body):
    other = TokenSigner("k-1")  # somebody else's key, with our sender's name for it
    assert send(stack, "tokens", body, bearer(other, body)).status in (401, 503)  # or is it a new key of the same name?
    assert send(stack, "tokens", body, {}).status == 401
    assert send(stack, "tokens", body, {"Authorization": "Bearer x.y.z"}).status == 401
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    claims = bearer(signer, body)["Authorization"].split(".")[1]
    assert send(stack, "tokens", body, {"Authorization": f"Bearer {none}.{claims}."}).status == 401


def test_a_token_that_is_the_body(stack, signer):
    person = f"kim.{uuid.uuid4().hex[:8]}@example.com"
    token = signer.token({"aud": ["us", "them"], "iat": int(time.time()) - 3600, "jti": uuid.uuid4().hex, "email": person})
    reply = send(stack, "events", token.encode(), {}, "application/secevent+jwt")
    assert reply.status == 202, reply
    assert stack.wait_status(reply.json["results"][0]["id"], "initiated")["leaver"]["email"] == person
    old = signer.token({"aud": "us", "iat": int(time.time()) - 8 * 86400, "jti": "x", "email": person})
    assert send(stack, "events", old.encode(), {}, "application/secevent+jwt").status == 401


def test_a_signal_that_is_a_token(make_stack, tmp_path, keys, signer):
    (tmp_path / "parcels.yaml").write_text("source: parcels\nsettings: {keys: {}}\n"
                                           "jwt: {keys: \"${ .settings.keys }\", claims: {aud: us}}\n"
                                           "signal: {name: parcel, key: \"${ .data.number }\", id: \"${ .data.jti }\"}\n", encoding="utf-8")
    stack = make(make_stack, tmp_path, tokens={"keys": keys.url, "audience": "us"}, events={"keys": keys.url, "audience": "us"},
                 parcels={"keys": keys.url})
    for other, status in ((signer, 202), (TokenSigner("k-1"), 503)):
        token = other.token({"aud": "us", "iat": int(time.time()), "jti": "s-1", "number": "1Z7"})
        reply = stack.post("/v1/signals/parcels", token.encode(), token=None, headers={"Content-Type": "application/secevent+jwt"})
        assert reply.status == status, reply
        assert status != 202 or reply.json["key"] == "1Z7"
    assert wait_until(lambda: stack.database.query("SELECT actor FROM signal"), 30, "it is on record")[0]["actor"]["id"] == "parcels"


@pytest.mark.parametrize("named", [True, False], ids=["the-same-name", "no-name"])
def test_a_sender_that_replaces_its_key(make_stack, tmp_path, body, named):
    """Nothing in the token says that its key is a new one: only that its signature fits none that we know."""
    old, new = TokenSigner("k-1"), TokenSigner("k-1")
    server = KeyServer(old)

    try:
        stack = make(make_stack, tmp_path, tokens={"keys": server.url, "audience": "us"}, events={"keys": server.url, "audience": "us"})
        assert send(stack, "tokens", body, bearer(old, body, named)).status == 202
        server.signers = [new]
        reply = send(stack, "tokens", body, bearer(new, body, named))
        assert reply.status == 503 and "a moment ago" in reply.json["detail"] and reply.headers["Retry-After"], reply
        wait_until(lambda: send(stack, "tokens", body, bearer(new, body, named)).status == 202, 30, "the keys have been fetched again")
        # Who withdrew a key does not sign with it any more. The sender's own answer says so.
        wait_until(lambda: send(stack, "tokens", body, bearer(old, body, named)).status == 401, 30, "the old key is good for nothing")
    finally:
        server.stop()


def test_an_unknown_key_is_looked_for_now_and_then(make_stack, tmp_path, body):
    old, new = TokenSigner("k-1"), TokenSigner("k-2")
    server = KeyServer(old)
    try:
        stack = make(make_stack, tmp_path, tokens={"keys": server.url, "audience": "us"}, events={"keys": server.url, "audience": "us"})
        # Of many requests at once one fetches, and all get their answer.
        server.delay = 0.5
        replies: list[int] = []
        senders = [threading.Thread(target=lambda: replies.append(send(stack, "tokens", body, bearer(old, body)).status)) for _ in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(30)
        assert replies == [202] * 8 and server.asked == 1
        # Within ten seconds nobody can have us ask again, and so nobody knows yet.
        server.signers.append(new)
        for _ in range(5):
            reply = send(stack, "tokens", body, bearer(new, body))
            assert reply.status == 503 and "a moment ago" in reply.json["detail"], reply
        assert send(stack, "tokens", body, bearer(old, body)).status == 202
        assert server.asked == 1
        assert stack.metrics("producer")['offboard_edge_turned_away_total{source="tokens",why="unknown_key"}'] == 5
    finally:
        server.stop()


def test_keys_that_cannot_be_fetched(stack, away, signer, body):
    """The sender is asked to send again: it may be right."""
    before = away.asked
    for _ in range(3):
        reply = send(stack, "away", body, bearer(signer, body))
        assert reply.status == 503 and "could not fetch the sender's keys" in reply.json["detail"] and reply.headers["Retry-After"], reply
    assert away.asked == before + 1


def test_slow_keys_hold_up_nobody(make_stack, tmp_path, signer, body):
    server = KeyServer(signer)
    server.delay = 6
    try:
        stack = make(make_stack, tmp_path, tokens={"keys": server.url, "audience": "us"}, events={"keys": server.url, "audience": "us"})
        took: list[tuple[int, float]] = []

        def ask() -> None:
            begun = time.monotonic()
            took.append((send(stack, "tokens", body, bearer(signer, body)).status, time.monotonic() - begun))

        sender = threading.Thread(target=ask)
        sender.start()
        wait_until(lambda: server.asked, 10, "the keys are being fetched")
        begun = time.monotonic()
        assert http("GET", stack.url("producer") + "/healthz").status == 200 and time.monotonic() - begun < 1
        sender.join(30)
        assert took[0][0] == 503 and took[0][1] < 3, took  # Slack and Okta give up after three seconds
        wait_until(lambda: send(stack, "tokens", body, bearer(signer, body)).status == 202, 30, "the keys have come")
        assert server.asked == 1
        # A fetch under way does not keep the process from ending.
        other = make(make_stack, tmp_path, tokens={"keys": server.url, "audience": "us"}, events={"keys": server.url, "audience": "us"})
        server.asked = 0
        threading.Thread(target=lambda: http("POST", other.edge_url + "/v1/sources/tokens", body, {
            "Content-Type": "application/json", **bearer(signer, body)}), daemon=True).start()
        wait_until(lambda: server.asked, 10, "the keys are being fetched")
        producer = other.process("producer")
        producer.stop()
        assert producer.status == 0
    finally:
        server.stop()


def test_a_source_without_its_audience_is_closed(make_stack, tmp_path, keys, signer, body):
    stack = make(make_stack, tmp_path, tokens={"keys": keys.url}, events={"keys": keys.url, "audience": "us"})
    reply = send(stack, "tokens", body, bearer(signer, body))
    assert reply.status == 404 and 'nothing says what "aud" must be' in reply.json["detail"], reply
