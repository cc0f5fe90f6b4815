"""Zoom's users: deletion with transfer, status, licence, single sign-on token; account credentials for a token."""

import base64
import hmac
import time
import uuid

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/v2"


class Zoom(Vendor):
    """One account. `type` 1 is basic, 2 licensed; who has not accepted the invitation is `pending` and has no id."""

    DEFAULTS = {"account": "A-sandbox", "client_id": "offboard", "client_secret": "sandbox-zoom-s3cret", "token_seconds": 3600}
    SECRETS = ("client_secret",)
    SEED_KEYS = ("users",)

    def start(self) -> None:
        self._tokens: dict[str, float] = {}

    # Refusing.

    def authorize(self, request: Request) -> None:
        if request.path == "/oauth/token":
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) < time.monotonic():
            raise Refusal(self._error(401, 124, "Invalid access token."))

    def _error(self, status: int, code: int, message: str) -> Answer:
        return Answer(status, {"code": code, "message": message})

    def fail(self, status: int, message: str = "") -> Answer:
        return self._error(status, {404: 2300, 429: 429}.get(status, status), message or "of the sandbox")

    @route("POST", "/oauth/token", reads=True)
    def token(self, request: Request) -> Answer:
        wanted = base64.b64encode(f"{self.settings['client_id']}:{self.settings['client_secret']}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Basic {wanted}".encode()):
            raise Refusal(Answer(400, {"reason": "Invalid client_id or client_secret", "error": "invalid_client"}))
        asked = request.params | dict(pair.split("=", 1) for pair in request.text.split("&") if "=" in pair)
        if asked.get("grant_type") != "account_credentials" or asked.get("account_id") != self.settings["account"]:
            raise Refusal(Answer(400, {"reason": "unsupported grant type", "error": "unsupported_grant_type"}))
        token = uuid.uuid4().hex
        self._tokens[token] = time.monotonic() + self.settings["token_seconds"]
        return Answer(200, {"access_token": token, "token_type": "bearer", "expires_in": self.settings["token_seconds"],
                            "scope": "user:read:admin user:write:admin", "api_url": "https://api.zoom.us"})

    # Users.

    def _find(self, key: str, *, edit: bool = False) -> dict:
        for user in list(self.store.all("users")):
            if key in (user["key"], user["id"]) or key.lower() == user["email"].lower():
                if not edit:
                    return user
                copy = self.store.edit("users", user["key"])
                self.store.put("users", user["key"], copy)
                return copy
        raise Refusal(self._error(404, 1001, f"User does not exist: {key}."))

    @staticmethod
    def _shown(user: dict) -> dict:
        return {name: user[name] for name in ("id", "email", "type", "status", "first_name", "last_name")}

    @route("GET", API + "/users")
    def list_users(self, request: Request) -> Answer:
        users = [self._shown(user) for user in self.store.all("users")]
        return Answer(200, {"page_size": 1, "total_records": len(users), "users": users[:1]})

    @route("GET", API + "/users/{key}")
    def read(self, request: Request, key: str) -> Answer:
        return Answer(200, self._shown(self._find(key)))

    @route("DELETE", API + "/users/{key}")
    def delete(self, request: Request, key: str) -> Answer:
        user, asked = self._find(key), request.params
        if user["status"] == "pending":
            if request.query:
                raise Refusal(self._error(404, 1001, f"User does not exist: {key}."))
        elif user["refuse"]:
            raise Refusal(self._error(400, user["refuse"], "of the sandbox"))
        elif asked.get("action", "disassociate") == "disassociate" and user["managed"]:
            raise Refusal(self._error(400, 1107, "Cannot disassociate a user on a managed domain."))
        elif asked.get("transfer_email"):
            self._transfer(user, asked)
        self.store.remove("users", user["key"])
        return Answer(204)

    def _transfer(self, user: dict, asked: dict) -> None:
        target = next((one for one in self.store.all("users") if one["email"].lower() == asked["transfer_email"].lower()), None)
        if target is None or target["key"] == user["key"] or target["type"] == 1:
            raise Refusal(self._error(400, 300, "The transfer target is not valid."))
        copy = self.store.edit("users", target["key"])
        for what in ("meetings", "webinars", "recordings"):
            if asked.get(f"transfer_{what[:-1]}") == "true":
                copy[what] = [*copy[what], *user[what]]
        self.store.put("users", copy["key"], copy)

    @route("PUT", API + "/users/{key}/status")
    def change_status(self, request: Request, key: str) -> Answer:
        action = request.json().get("action")
        if action not in ("activate", "deactivate"):
            raise Refusal(self._error(300, 300, "Invalid action."))
        self._find(key, edit=True)["status"] = "active" if action == "activate" else "inactive"
        return Answer(204)

    @route("PATCH", API + "/users/{key}")
    def change(self, request: Request, key: str) -> Answer:
        self._find(key, edit=True).update(request.json())
        return Answer(204)

    @route("DELETE", API + "/users/{key}/token")
    def revoke(self, request: Request, key: str) -> Answer:
        self._find(key, edit=True)["sso_tokens"] = 0
        return Answer(204)

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users by `email`: `status` (active, inactive, pending), `type`, `meetings`, `webinars`, `recordings`; `refuse` is the code
        that refuses a deletion, `managed` whether the domain is."""
        for given in state.get("users", []):
            held = next((user for user in self.store.all("users") if user["email"] == given["email"]), None)
            key = held["key"] if held else f"z{self.store.next_number('user'):08}"
            usual = {"key": key, "type": 2, "status": "active", "first_name": "Kim", "last_name": "Doe", "sso_tokens": 1, "refuse": None,
                     "managed": False, "meetings": [], "webinars": [], "recordings": []}
            user = {**usual, **(held or {}), **given}
            self.store.put("users", key, {**user, "id": "" if user["status"] == "pending" else key})

    def export(self) -> dict:
        return {"users": list(self.store.all("users"))}
