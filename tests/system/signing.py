"""Requests as other systems send them to a source's address, signed as each of them signs."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

from process import Reply, http


def digest(key: str | bytes, text: bytes) -> bytes:
    return hmac.new(key.encode() if isinstance(key, str) else key, text, hashlib.sha256).digest()


def send(stack, source: str, body: bytes, headers: dict, kind: str = "application/json") -> Reply:
    return http("POST", f"{stack.edge_url}/v1/sources/{source}", body, {"Content-Type": kind, **headers})


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
