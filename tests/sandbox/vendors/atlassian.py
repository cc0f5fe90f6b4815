"""Atlassian's administration: an organisation's users, and the lifecycle of the accounts that it manages."""

import hmac
import time

from core.vendor import Answer, Refusal, Request, Vendor, route

ORGANIZATION = "a1b2c3d4-0000-4000-8000-0123456789ab"


class Atlassian(Vendor):
    """One organisation. It knows users of other domains, too, and may do nothing with their accounts."""

    DEFAULTS = {
        "organization": ORGANIZATION, "token": "ATCTT3sandboxKeyOfTheOrganisation",
        "lag": 0.0,     # seconds until a profile shows a change of status
        "page_limit": 10000,
        "ignores_filters": False,
    }
    SEED_KEYS = ("users",)

    def authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.settings['token']}".encode()):
            raise Refusal(self.fail(401, "Unauthorized"))

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"code": status, "message": message or "Error"})

    def _refuse(self, status: int, key: str, message: str) -> Refusal:
        return Refusal(Answer(status, {"key": key, "context": message, "errorKey": key, "errorDetail": message}))

    # The organisation.

    @route("GET", "/admin/v1/orgs/{organization}")
    def show_organization(self, request: Request, organization: str) -> Answer:
        self._organization(organization)
        return Answer(200, {"data": {"id": organization, "type": "orgs", "attributes": {"name": "Acme"}}})

    @route("POST", "/admin/v1/orgs/{organization}/users/search", reads=True)
    def search(self, request: Request, organization: str) -> Answer:
        """By the halves of an address, each whole. `next` is a cursor; an address is shown to those who ask for it."""
        self._organization(organization)
        given = request.json()
        unknown = set(given) - {"accountIds", "accountTypes", "emailUsernames", "emailDomains", "limit", "cursor", "expand"}
        if unknown or not 1 <= given.get("limit", 100) <= 10000:
            raise Refusal(self.fail(400, "Bad Request"))
        if self.settings["ignores_filters"]:
            given = {key: value for key, value in given.items() if key not in ("emailUsernames", "emailDomains")}
        names, domains = ([text.lower() for text in (given.get(key) or {}).get("eq", [])] for key in ("emailUsernames", "emailDomains"))
        found = [user for user in self.store.all("users")
                 if (not names or user["email"].partition("@")[0].lower() in names)
                 and (not domains or user["email"].partition("@")[2].lower() in domains)]
        first = int(given.get("cursor", "0"))
        end = first + min(given.get("limit", 100), self.settings["page_limit"])
        return Answer(200, {"data": [self._listed(user, given.get("expand", [])) for user in found[first:end]],
                            "links": {"next": str(end) if end < len(found) else None}})

    @staticmethod
    def _listed(user: dict, expand: list[str]) -> dict:
        shown = {"accountId": user["account_id"], "accountType": "atlassian", "status": user["account_status"]}
        return {**shown, "email": user["email"]} if "EMAIL" in expand else shown

    def _organization(self, name: str) -> None:
        if name != self.settings["organization"]:
            raise Refusal(self.fail(404, "Not Found"))

    # Accounts.

    def _account(self, key: str) -> dict:
        user = self.store.get("users", key)
        if user is None:
            raise self._refuse(404, "notFound", "User not found")
        if not user["managed"]:
            raise self._refuse(403, "forbidden.unclaimed-domain", "The account is not managed by your organization")
        return user

    @route("GET", "/users/{key}/manage")
    def show_privileges(self, request: Request, key: str) -> Answer:
        user = self._account(key)
        allowed = {"allowed": True} if not user["not_allowed"] else {"allowed": False, "reason": {"key": user["not_allowed"]}}
        every = {"profile.read": {"allowed": True}, "lifecycle.enablement": allowed}
        wanted = [name for name in request.params.get("privileges", "").split(",") if name] or list(every)
        return Answer(200, {name: every[name] for name in wanted if name in every})

    @route("GET", "/users/{key}/manage/profile")
    def show_profile(self, request: Request, key: str) -> Answer:
        user = self._account(key)
        seen = user["account_status"] if time.monotonic() >= user["seen_from"] else user["status_before"]
        return Answer(200, {"account": {"account_id": key, "account_type": "atlassian", "email": user["email"], "name": user["email"],
                                        "account_status": seen}})

    @route("POST", "/users/{key}/manage/lifecycle/disable")
    def disable(self, request: Request, key: str) -> Answer:
        body = request.json() if request.body else {}
        if not isinstance(body, dict) or not isinstance(body.get("message", ""), str):
            raise self._refuse(400, "invalidBody", "Request body is not valid")
        return self._set_status(key, "inactive", body.get("message", ""))

    @route("POST", "/users/{key}/manage/lifecycle/enable")
    def enable(self, request: Request, key: str) -> Answer:
        return self._set_status(key, "active", "")

    def _set_status(self, key: str, status: str, message: str) -> Answer:
        user = self._account(key)
        if user["not_allowed"] or user["account_status"] == "closed":
            raise self._refuse(403, "forbidden", "The action is not allowed for this account")
        if user["account_status"] != status:
            self.store.put("users", key, {**user, "account_status": status, "status_before": user["account_status"], "message": message,
                                          "seen_from": time.monotonic() + self.settings["lag"]})
        return Answer(204)

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users by `email`: `account_status`, `managed`, `not_allowed` (the key of the reason why they can't be disabled)."""
        for given in state.get("users", []):
            if "@" not in given.get("email", ""):
                raise ValueError(f"{self.name}: users: email is missing")
            held = next((user for user in self.store.all("users") if user["email"] == given["email"]), None) or {
                "account_id": f"5b10ac8d82e05b22cc7d{self.store.next_number('user'):04}", "account_status": "active", "managed": True,
                "not_allowed": "", "message": "", "status_before": "active", "seen_from": float("-inf")}
            self.store.put("users", held["account_id"], {**held, **given})

    def export(self) -> dict:
        return {"users": [{key: value for key, value in user.items() if key != "seen_from"} for user in self.store.all("users")]}
