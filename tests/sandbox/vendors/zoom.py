"""Zoom: the token endpoint of server-to-server apps, and one account's users: status, licence, deletion with a transfer.

A pending user (an invitation) is known by address alone, and is deleted without any parameter.
"""

import base64
import binascii
import hmac
import secrets
import time
import urllib.parse
from datetime import datetime, timedelta, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/v2"
TOKEN_PATH = "/oauth/token"
BASIC, LICENSED = 1, 2
STATUSES = ("active", "inactive", "pending")
DATA = ("meetings", "webinars", "recordings")
# The scopes for each call: the granular one, and the classic one that holds for many.
READ, LIST = ("user:read:user:admin", "user:read:admin"), ("user:read:list_users:admin", "user:read:admin")
UPDATE, STATUS = ("user:update:user:admin", "user:write:admin"), ("user:update:status:admin", "user:write:admin")
DELETE, TOKEN = ("user:delete:user:admin", "user:write:admin"), ("user:delete:token:admin", "user:write:admin")


class Zoom(Vendor):
    """One account. A user's `meetings`, `webinars` and `recordings` are counted; `sso_tokens` too."""

    DEFAULTS = {
        "account": "A-sandbox-account",
        "client_id": "sandbox-zoom-client",
        "client_secret": "sandbox-zoom-s3cret",
        "token_seconds": 3599,
        "scopes": None,             # what the app was given; null: all
        "managed_domains": [],      # whose users can't be disassociated
        "daily_limit": None,        # requests until tomorrow
    }
    SECRETS = ("client_secret",)
    SEED_KEYS = ("users",)

    def start(self) -> None:
        self._tokens: dict[str, float] = {}     # until when, on the monotonic clock
        self._today = 0

    # Refusing.

    def authorize(self, request: Request) -> None:
        if request.path == TOKEN_PATH:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token) if scheme == "Bearer" else None
        if until is None:
            raise self._refusal(401, 124, "Invalid access token.")
        if until <= time.monotonic():
            raise self._refusal(401, 124, "Access token is expired.")

    def _admit(self, scopes: tuple[str, ...]) -> None:
        given = self.settings["scopes"]
        if given is not None and not set(given) & set(scopes):
            raise self._refusal(400, 4711, f"Invalid access token, does not contain scopes:[{', '.join(scopes)}].")

    @staticmethod
    def _refusal(status: int, code: int, message: str) -> Refusal:
        return Refusal(Answer(status, {"code": code, "message": message}))

    def fail(self, status: int, message: str = "") -> Answer:
        code = {400: 300, 401: 124}.get(status, status)
        return Answer(status, {"code": code, "message": message or "Request failed"})

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = super().throttled(request, wait)
        answer.body = {"code": 429, "message": "You have reached the maximum per-second rate limit for this API."}
        answer.headers |= {"X-RateLimit-Category": "Light", "X-RateLimit-Type": "QPS"}
        return answer

    def _spend(self, request: Request) -> None:
        if request.path == TOKEN_PATH:
            return
        super()._spend(request)
        limit = self.settings["daily_limit"]
        if limit is None:
            return
        if self._today >= limit:
            tomorrow = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
            raise Refusal(Answer(429, {"code": 429, "message": "You have reached the maximum daily rate limit for this API."}, {
                "Retry-After": tomorrow, "X-RateLimit-Category": "Heavy", "X-RateLimit-Type": "Daily-limit",
                "X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0"}))
        self._today += 1

    def change_settings(self, changes: dict) -> None:
        super().change_settings(changes)
        if "daily_limit" in changes:
            self._today = 0

    # Tokens.

    @route("POST", TOKEN_PATH, reads=True)
    def grant_token(self, request: Request) -> Answer:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            client, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client, secret = "", ""
        if scheme != "Basic" or client != self.settings["client_id"] or not hmac.compare_digest(
                secret.encode(), self.settings["client_secret"].encode()):
            return Answer(401, {"reason": "Invalid client_id or client_secret", "error": "invalid_client"})
        form = {**request.params, **dict(urllib.parse.parse_qsl(request.text))}
        if form.get("grant_type") != "account_credentials":
            return Answer(400, {"reason": "unsupported grant type", "error": "unsupported_grant_type"})
        if form.get("account_id") != self.settings["account"]:
            return Answer(400, {"reason": "Bad Request", "error": "invalid_request"})
        token = "zoom." + secrets.token_urlsafe(64)
        self._tokens[token] = time.monotonic() + self.settings["token_seconds"]
        return Answer(200, {"access_token": token, "token_type": "bearer", "expires_in": int(self.settings["token_seconds"]),
                            "scope": " ".join(self.settings["scopes"] or []), "api_url": request.origin})

    # Users.

    def _find(self, key: str) -> dict | None:
        """By id or address; a pending user by address alone."""
        for user in self.store.all("users"):
            if key.lower() == user["email"].lower() or (key == user["id"] and user["status"] != "pending"):
                return user
        return None

    def _user(self, key: str) -> dict:
        user = self._find(key)
        if user is None:
            raise self._refusal(404, 1001, f"User does not exist: {key}.")
        return self.store.edit("users", user["id"])

    @staticmethod
    def _shown(user: dict) -> dict:
        names = ("email", "first_name", "last_name", "type", "status") + (() if user["status"] == "pending" else ("id",))
        return {name: user[name] for name in names}

    @route("GET", API + "/users")
    def list_users(self, request: Request) -> Answer:
        self._admit(LIST)
        size = int(request.params.get("page_size", "30"))
        users = [self._shown(user) for user in self.store.all("users")]
        return Answer(200, {"page_size": size, "total_records": len(users), "next_page_token": "", "users": users[:size]})

    @route("GET", API + "/users/{key}")
    def read_user(self, request: Request, key: str) -> Answer:
        self._admit(READ)
        return Answer(200, self._shown(self._user(key)))

    @route("PATCH", API + "/users/{key}")
    def change_user(self, request: Request, key: str) -> Answer:
        self._admit(UPDATE)
        user, changes = self._user(key), request.json()
        if set(changes) - {"type", "first_name", "last_name"} or changes.get("type", BASIC) not in (BASIC, LICENSED):
            raise self._refusal(400, 300, "Validation Failed.")
        self.store.put("users", user["id"], {**user, **changes})
        return Answer(204)

    @route("PUT", API + "/users/{key}/status")
    def change_status(self, request: Request, key: str) -> Answer:
        self._admit(STATUS)
        user, action = self._user(key), request.json().get("action")
        if action not in ("activate", "deactivate"):
            raise self._refusal(400, 300, "Validation Failed.")
        if user["role"] != "Member" or user["status"] == "pending":
            raise self._refusal(400, 200, "Zoom Room and Admin users' status can not be activated or deactivated.")
        gone = {"status": "inactive", "type": BASIC} if action == "deactivate" else {"status": "active"}
        self.store.put("users", user["id"], {**user, **gone})
        return Answer(204)

    @route("DELETE", API + "/users/{key}/token")
    def revoke_token(self, request: Request, key: str) -> Answer:
        self._admit(TOKEN)
        user = self._user(key)
        self.store.put("users", user["id"], {**user, "sso_tokens": 0})
        return Answer(204)

    @route("DELETE", API + "/users/{key}")
    def delete_user(self, request: Request, key: str) -> Answer:
        self._admit(DELETE)
        user, given = self._user(key), request.params
        if user["status"] == "pending" and given:
            raise self._refusal(404, 1001, f"User does not exist: {key}.")
        action = given.get("action", "disassociate")
        if action not in ("disassociate", "delete"):
            raise self._refusal(400, 300, "Validation Failed.")
        if user["role"] != "Member":
            raise self._refusal(400, 1117, "Unable to remove an administrator or the owner of the account.")
        domain = user["email"].partition("@")[2]
        if user["status"] != "pending" and action == "disassociate" and domain in self.settings["managed_domains"]:
            raise self._refusal(400, 1107, "Can not disassociate the user with managed domain")
        if "transfer_email" in given:
            self._transfer(user, given)
        self.store.put("gone", user["id"], {**user, "action": action})
        self.store.remove("users", user["id"])
        return Answer(204)

    def _transfer(self, user: dict, given: dict) -> None:
        """What is asked for goes to the other user, and nothing goes when not all of it can."""
        wanted = [kind for kind in DATA if given.get(f"transfer_{kind[:-1]}") == "true"]
        to = self._find(given["transfer_email"])
        if to is None or to["id"] == user["id"] or to["status"] != "active":
            raise self._refusal(400, 300, f"Can not transfer to this user: {given['transfer_email']}.")
        if "recordings" in wanted and to["type"] == BASIC or "webinars" in wanted and not to["webinar_licence"]:
            raise self._refusal(400, 300, f"The user {given['transfer_email']} lacks the licence for what is to be transferred.")
        self.store.put("users", to["id"], {**to, **{kind: to[kind] + user[kind] for kind in wanted}})
        for kind in wanted:
            user[kind] = 0

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users merge by `email`: `status`, `type`, `role` (Member, Admin, Owner), `webinar_licence`, and counts."""
        for given in state.get("users", []):
            if "@" not in given.get("email", "") or given.get("status", "active") not in STATUSES:
                raise ValueError(f"{self.name}: users: email is an address, status one of {', '.join(STATUSES)}")
            held = self._find(given["email"]) or {
                "id": f"zUsandbox{self.store.next_number('user'):013}", "status": "active", "type": LICENSED, "role": "Member",
                "first_name": "Kim", "last_name": "Doe", "webinar_licence": True, "sso_tokens": 1, **{kind: 0 for kind in DATA}}
            self.store.put("users", held["id"], {**held, **given})

    def export(self) -> dict:
        """`gone`: those who were deleted or disassociated, with what was not transferred."""
        return {"users": list(self.store.all("users")), "gone": list(self.store.all("gone"))}
