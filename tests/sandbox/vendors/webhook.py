"""A receiver of signed webhooks (Standard Webhooks 1.0.0): verifies, remembers, knows repeats by their id."""

import base64
import hashlib
import hmac
import time

from core.vendor import Answer, Refusal, Request, Vendor, route

KEY_BYTES = (24, 64)


class Webhook(Vendor):
    """Takes events at one path. What it has taken is `events`; `repeats` counts those that came again."""

    DEFAULTS = {
        "secret": "whsec_c2FuZGJveC1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=",
        "tolerance": 300,   # seconds that a timestamp may be off, either way
        "gone": False,      # whether it wants no more: 410
    }
    SECRETS = ("secret",)

    def check_settings(self, settings: dict) -> None:
        if not KEY_BYTES[0] <= len(_key(settings["secret"])) <= KEY_BYTES[1]:
            raise ValueError(f"{self.name}: secret: a key has {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes")

    def authorize(self, request: Request) -> None:
        """The three headers; any `v1` of the listed signatures may be the right one."""
        given = {name: request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")}
        if not all(given.values()):
            raise Refusal(self.fail(400, "Missing required headers"))
        if not given["timestamp"].isdigit():
            raise Refusal(self.fail(400, "Invalid timestamp"))
        if abs(time.time() - int(given["timestamp"])) > self.settings["tolerance"]:
            raise Refusal(self.fail(401, "Message timestamp too old or too new"))
        signed = f"{given['id']}.{given['timestamp']}.".encode() + request.body
        wanted = base64.b64encode(hmac.new(_key(self.settings["secret"]), signed, hashlib.sha256).digest())
        listed = [item.partition(",") for item in given["signature"].split(" ")]
        if not any(version == "v1" and hmac.compare_digest(value.encode(), wanted) for version, _, value in listed):
            raise Refusal(self.fail(401, "No matching signature found"))

    @route("POST", "/hooks/{name}")
    def take(self, request: Request, name: str) -> Answer:
        if self.settings["gone"]:
            raise Refusal(self.fail(410, "This endpoint is no longer in use"))
        try:
            event = request.json()
        except ValueError:
            raise Refusal(self.fail(400, "Not JSON")) from None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str) or not event["type"]:
            raise Refusal(self.fail(422, "An event has a type"))
        key = request.headers["webhook-id"]
        held = self.store.get("events", key)
        if held:
            self.store.put("events", key, {**held, "repeats": held["repeats"] + 1})
        elif event["type"] != "offboard.check":
            self.store.put("events", key, {"id": key, "hook": name, "repeats": 0, **event})
        return Answer(204)

    def export(self) -> dict:
        return {"events": list(self.store.all("events"))}


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
