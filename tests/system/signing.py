"""Requests as other systems send them to a source's address, signed as each of them signs."""

import base64
import hashlib
import hmac
import http.server
import json
import subprocess
import tempfile
import threading
import time
from urllib.parse import urlencode

from process import Reply
from process import http as call


def digest(key: str | bytes, text: bytes) -> bytes:
    return hmac.new(key.encode() if isinstance(key, str) else key, text, hashlib.sha256).digest()


def send(stack, source: str, body: bytes, headers: dict, kind: str = "application/json") -> Reply:
    return call("POST", f"{stack.edge_url}/v1/sources/{source}", body, {"Content-Type": kind, **headers})


def slack(stack, key: str, command: str, text: str, *, team: str = "T1", user: str = "U1", at: float | None = None, **more) -> Reply:
    at = str(int(at or time.time()))
    body = urlencode({"token": "gIkuvaNzQIHg97ATvDxqgjtO", "team_id": team, "user_id": user, "user_name": "roadrunner",
                      "channel_id": "C1", "command": command, "text": text, "response_url": "https://hooks.example.com/r",
                      **more}).encode()
    signature = digest(key, b"v0:" + at.encode() + b":" + body).hex()
    return send(stack, "slack-commands", body, {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={signature}"},
                "application/x-www-form-urlencoded")


def bamboohr(stack, key: str, body: dict, *, at: float | None = None) -> Reply:
    data, at = json.dumps(body).encode(), str(int(at or time.time()))
    return send(stack, "bamboohr", data, {"X-BambooHR-Timestamp": at, "X-BambooHR-Signature": digest(key, data + at.encode()).hex()})


def standard_webhook(stack, key: str, event, *, message: str = "msg_1", at: float | None = None,
                     kind: str = "application/cloudevents+json", headers: dict | None = None) -> Reply:
    data, at = json.dumps(event).encode(), str(int(at or time.time()))
    secret = base64.b64decode(key.removeprefix("whsec_"))
    signature = base64.b64encode(digest(secret, f"{message}.{at}.".encode() + data)).decode()
    return send(stack, "cloudevents", data, {"webhook-id": message, "webhook-timestamp": at,
                                             "webhook-signature": f"v1,{signature}", **(headers or {})}, kind)


def okta(stack, token: str, *events: dict) -> Reply:
    body = {"eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1", "source": "https://o.example.com",
            "eventId": "e-1", "data": {"events": list(events)}}
    return send(stack, "okta-hook", json.dumps(body).encode(), {"Authorization": token})


def okta_event(login: str, uuid: str, kind: str = "user.lifecycle.deactivate", *, actor: str = "00u-admin", result: str = "SUCCESS") -> dict:
    return {"uuid": uuid, "published": "2026-03-02T09:00:00.123Z", "eventType": kind, "outcome": {"result": result},
            "actor": {"id": actor, "type": "User", "alternateId": "admin@example.com", "displayName": "Ada Admin"},
            "target": [{"id": f"00u-{login}", "type": "User", "alternateId": login, "displayName": "Kim Doe"}]}


class TokenSigner:
    """A sender that signs tokens, and publishes its keys: RS256, with openssl's command."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.key = _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        modulus = _openssl("rsa", "-noout", "-modulus", given=self.key).decode().strip().partition("=")[2]
        self.jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "e": "AQAB", "n": _base64url(bytes.fromhex(modulus))}

    def token(self, claims: dict, **header: str | None) -> str:
        head = {name: value for name, value in {"alg": "RS256", "kid": self.kid, **header}.items() if value is not None}
        parts = [_base64url(json.dumps(part).encode()) for part in (head, claims)]
        signed = ".".join(parts)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.key)
            file.flush()
            return f"{signed}.{_base64url(_openssl('dgst', '-sha256', '-sign', file.name, given=signed.encode()))}"


class KeyServer:
    """Answers with a JWK set, and counts how often it is asked. `status` and `delay` (seconds) may be set."""

    def __init__(self, *signers: TokenSigner) -> None:
        self.signers, self.asked, self.status, self.delay = list(signers), 0, 200, 0.0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802: the name is the library's
                server.asked += 1
                time.sleep(server.delay)
                body = json.dumps({"keys": [signer.jwk for signer in server.signers]}).encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks.json"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True, timeout=60).stdout
