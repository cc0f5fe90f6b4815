"""AfterShip's tracking API: parcels by number and courier, and the signed webhook that tells of their progress."""

import base64
import hashlib
import hmac
import json
import threading
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/tracking/2026-07"
COURIERS = ("ups", "usps", "fedex", "dhl", "canada-post")
TAGS = ("Pending", "InfoReceived", "InTransit", "OutForDelivery", "AttemptFail", "Delivered", "AvailableForPickup", "Exception",
        "Expired")


def webhook(tracking: dict, secret: str, **changes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the webhook for a tracking as `state` shows it; `changes` go over the body's members."""
    body = json.dumps({"event": "tracking_update", "event_id": str(uuid.uuid4()), "is_tracking_first_tag": False,
                       "ts": int(datetime.now(timezone.utc).timestamp()), "msg": tracking, **changes}).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    return body, {"Content-Type": "application/json", "aftership-hmac-sha256": signature}


class AfterShip(Vendor):
    """One organisation. A number is tracked once per courier; without a courier the number's form has to tell it."""

    DEFAULTS = {
        "key": "asat_sandbox-s3cret",
        "filters": True,               # whether tracking_numbers and slug are heeded
        "page_size": 100,
        "webhook_url": None,           # who is told of every seeded change of a tracking
        "webhook_secret": "sandbox-webhook-s3cret",
    }
    SECRETS = ("key", "webhook_secret")
    SEED_KEYS = ("trackings",)

    # Refusing.

    def authorize(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get("as-api-key", "").encode(), self.settings["key"].encode()):
            raise Refusal(self._error(401, 401, "Unauthorized", "The API key is invalid."))

    def _error(self, status: int, code: int, kind: str, message: str, data: dict | None = None) -> Answer:
        return Answer(status, {"meta": {"code": code, "type": kind, "message": message}, "data": data or {}})

    def fail(self, status: int, message: str = "") -> Answer:
        kinds = {404: "NotFound", 429: "TooManyRequests"}
        return self._error(status, status, kinds.get(status, "BadRequest" if status < 500 else "InternalError"), message)

    def _good(self, status: int, data: dict) -> Answer:
        return Answer(status, {"meta": {"code": status}, "data": data})

    # Trackings.

    @route("POST", API + "/trackings")
    def create(self, request: Request) -> Answer:
        try:
            asked = request.json()
        except ValueError:
            raise Refusal(self._error(400, 4001, "BadRequest", "Invalid JSON data.")) from None
        number, slug = str(asked.get("tracking_number") or "").upper(), asked.get("slug")
        wrong = next((name for name, value in asked.items() if name != "custom_fields" and not isinstance(value, str)), None)
        if wrong:
            raise Refusal(self._error(400, 4008, "BadRequest", f"The value of `{wrong}` is invalid."))
        if len(number) < 4:
            raise Refusal(self._error(400, 4005, "BadRequest", "The value of `tracking_number` is invalid."))
        if slug is None and number.startswith("1Z"):
            slug = "ups"
        if slug not in COURIERS:
            raise Refusal(self._error(400, 4012, "BadRequest", "Cannot detect courier. Activate courier at https://admin.aftership.com."))
        known = self._known(number, slug)
        if known:
            raise Refusal(self._error(400, 4003, "BadRequest", "Tracking already exists.",
                                      {name: known[name] for name in ("id", "tracking_number", "slug")}))
        tracking = self._new(number, slug, {name: asked.get(name) for name in ("title", "order_id", "custom_fields")})
        return self._good(201, tracking)

    def _known(self, number: str, slug: str) -> dict | None:
        return next((one for one in self.store.all("trackings") if (one["tracking_number"], one["slug"]) == (number, slug)), None)

    def _new(self, number: str, slug: str, more: dict) -> dict:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        tracking = {"id": uuid.uuid4().hex, "tracking_number": number, "slug": slug, "active": True, "created_at": now,
                    "updated_at": now, "tag": "Pending", "subtag": "Pending_001", "subtag_message": "Pending", "checkpoints": [], **more}
        self.store.put("trackings", tracking["id"], tracking)
        return tracking

    @route("GET", API + "/trackings")
    def list_trackings(self, request: Request) -> Answer:
        numbers = [one.upper() for one in request.params.get("tracking_numbers", "").split(",") if one]
        slugs = [one for one in request.params.get("slug", "").split(",") if one]
        found = [one for one in self.store.all("trackings")
                 if not self.settings["filters"]
                 or (not numbers or one["tracking_number"] in numbers) and (not slugs or one["slug"] in slugs)]
        first = int(request.params.get("cursor") or 0)
        end = first + min(int(request.params.get("limit", "100")), self.settings["page_size"])
        more = end < len(found)
        return self._good(200, {"pagination": {"total": len(found), "next_cursor": str(end) if more else "", "has_next_page": more},
                                "trackings": found[first:end]})

    @route("GET", API + "/trackings/{key}")
    def read(self, request: Request, key: str) -> Answer:
        return self._good(200, self._find(key))

    @route("DELETE", API + "/trackings/{key}")
    def delete(self, request: Request, key: str) -> Answer:
        tracking = self._find(key)
        self.store.remove("trackings", key)
        return self._good(200, tracking)

    def _find(self, key: str) -> dict:
        tracking = self.store.get("trackings", key)
        if tracking is None:
            raise Refusal(self._error(404, 4004, "NotFound", "Tracking does not exist."))
        return tracking

    # The webhook.

    def changed(self, changes: list[tuple[str, str]], *, seeded: bool = False) -> None:
        """A parcel that moves is told of, from a thread of its own: the receiver may ask us something meanwhile."""
        url = self.settings["webhook_url"] if seeded else None
        for _, key in changes if url else []:
            body, headers = webhook(self.store.get("trackings", key), self.settings["webhook_secret"])
            threading.Thread(target=_send, args=(url, body, headers), daemon=True).start()

    # State for tests.

    def seed(self, state: dict) -> None:
        """Trackings merge by tracking_number and slug ("ups" unless given); `checkpoint` is one more checkpoint's message."""
        for given in state.get("trackings", []):
            number, slug = given["tracking_number"].upper(), given.get("slug", "ups")
            if given.get("tag", "Pending") not in TAGS:
                raise ValueError(f"{self.name}: tag is one of {', '.join(TAGS)}")
            held = self._known(number, slug) or self._new(number, slug, {})
            more = {name: value for name, value in given.items() if name != "checkpoint"}
            checkpoints = list(held["checkpoints"])
            if "checkpoint" in given:
                checkpoints.append({"message": given["checkpoint"], "tag": given.get("tag", held["tag"]), "city": "Springfield",
                                    "checkpoint_time": datetime.now(timezone.utc).isoformat(timespec="seconds")})
            self.store.put("trackings", held["id"], {**held, **more, "tracking_number": number, "slug": slug, "checkpoints": checkpoints})

    def export(self) -> dict:
        return {"trackings": list(self.store.all("trackings"))}


def _send(url: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10):
            pass
    except urllib.error.URLError:
        pass   # the vendor tries again later; a test that waits for the effect says what is missing
