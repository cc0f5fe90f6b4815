"""Okta's core API: users through their life, sessions, factors, devices, groups, roles, grants, app assignments; event hooks.

Of a deactivated user all that belongs to it is "not found", though the user is not: so does Okta."""

import hmac
import json
import time
import uuid
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/api/v1"
STATUSES = ("STAGED", "PROVISIONED", "ACTIVE", "RECOVERY", "PASSWORD_EXPIRED", "LOCKED_OUT", "SUSPENDED", "DEPROVISIONED")
SUMMARIES = {"E0000001": "Api validation failed: {}", "E0000004": "Authentication failed", "E0000006":
             "You do not have permission to perform the requested action", "E0000007": "Not found: Resource not found: {}",
             "E0000011": "Invalid token provided", "E0000022": "The endpoint does not support the provided HTTP method",
             "E0000038": "This operation is not allowed in the user's current status.",
             "E0000047": "API call exceeded rate limit due to too many requests.", "E0000009": "Internal Server Error"}


def event_hook(user: dict, event_type: str, *, actor: str = "00uADMIN", result: str = "SUCCESS", **changes) -> dict:
    """The body of an event hook's delivery about a user as `state` shows it."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"uuid": str(uuid.uuid4()), "published": now, "eventType": event_type, "version": "0", "severity": "INFO",
             "actor": {"id": actor, "type": "User", "alternateId": "admin@example.com", "displayName": "Ad Min"},
             "outcome": {"result": result}, "target": [{"id": user["id"], "type": "User", "alternateId": user["profile"]["login"],
                                                        "displayName": user["profile"].get("displayName", "")}], **changes}
    return {"eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1",
            "source": "https://sandbox.okta.com/api/v1/eventHooks/who1", "eventId": str(uuid.uuid4()), "eventTime": now,
            "contentType": "application/json", "data": {"events": [event]}}


class Okta(Vendor):
    """One organisation. What a user has lies in the user's record: factors, devices, roles, grants, clients, apps."""

    DEFAULTS = {
        "token": "00sandbox-okta-s3cret",
        "search_lag": 0.0,      # seconds until a search finds a new user
        "deactivate_lag": 0.0,  # seconds that deactivating takes
        "page": 200,            # of groups
    }
    SEED_KEYS = ("users", "groups", "devices")
    BELONGINGS = ("factors", "roles", "grants", "clients", "apps")

    # Refusing.

    def authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "SSWS" or not hmac.compare_digest(token.encode(), self.settings["token"].encode()):
            raise Refusal(self._error(401, "E0000011"))

    def _error(self, status: int, code: str, about: str = "") -> Answer:
        summary = SUMMARIES[code].format(about)
        return Answer(status, {"errorCode": code, "errorSummary": summary, "errorLink": code,
                               "errorId": "oae" + uuid.uuid4().hex[:20], "errorCauses": []})

    def fail(self, status: int, message: str = "") -> Answer:
        code = {400: "E0000001", 401: "E0000004", 403: "E0000006", 404: "E0000007", 405: "E0000022", 429: "E0000047"}
        return self._error(status, code.get(status, "E0000009" if status >= 500 else "E0000001"), message)

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = self.fail(429)
        answer.headers |= {"X-Rate-Limit-Limit": "600", "X-Rate-Limit-Remaining": "0",
                           "X-Rate-Limit-Reset": str(int(time.time() + wait))}
        return answer

    def unknown_path(self, request: Request) -> Answer:
        return self._error(405, "E0000022")

    def _open(self, kind: str, key: str) -> dict | None:
        """A copy that is to be changed within this request, put back already."""
        held = self.store.edit(kind, key)
        if held is not None:
            self.store.put(kind, key, held)
        return held

    # Users.

    def _user(self, key: str, *, edit: bool = False) -> dict:
        for user in list(self.store.all("users")):
            if key == user["id"] or key.lower() == user["profile"]["login"].lower():
                self._pass_time(user)
                return self._open("users", user["id"]) if edit else self.store.get("users", user["id"])
        raise Refusal(self._error(404, "E0000007", f"{key} (User)"))

    def _pass_time(self, user: dict) -> None:
        ends = user.get("deactivates_at")
        if ends is not None and ends <= time.monotonic():
            self._deactivate(self._open("users", user["id"]))

    def _belonging(self, key: str, *, edit: bool = False) -> dict:
        """The user, to look at what belongs to it: nothing does any more when it is deactivated."""
        user = self._user(key, edit=edit)
        if user["status"] == "DEPROVISIONED":
            raise Refusal(self._error(404, "E0000007", f"{key} (User)"))
        return user

    @staticmethod
    def _shown(user: dict) -> dict:
        return {name: user[name] for name in ("id", "status", "created", "profile")} | (
            {"transitioningToStatus": "DEPROVISIONED"} if "deactivates_at" in user else {})

    @route("GET", API + "/users/{key}")
    def read_user(self, request: Request, key: str) -> Answer:
        if key == "me":
            return Answer(200, {"id": "00uOFFBOARD", "status": "ACTIVE", "profile": {"login": "offboard@example.com"}})
        return Answer(200, self._shown(self._user(key)))

    @route("GET", API + "/users")
    def list_users(self, request: Request) -> Answer:
        search = request.params.get("search", "")
        name, _, rest = search.partition(" eq ")
        try:
            wanted = json.loads(rest)
        except ValueError:
            raise Refusal(self._error(400, "E0000001", "Invalid search criteria.")) from None
        field = name.removeprefix("profile.")       # names are case-sensitive, values are not
        horizon = time.monotonic() - self.settings["search_lag"]
        return Answer(200, [self._shown(user) for user in self.store.all("users")
                            if str(user["profile"].get(field, "")).lower() == str(wanted).lower() and user["found_from"] <= horizon])

    @route("POST", API + "/users/{key}/lifecycle/{what}")
    def change_status(self, request: Request, key: str, what: str) -> Answer:
        if what == "reset_factors":
            self._belonging(key, edit=True)["factors"] = []
            return Answer(200, {})
        user = self._user(key, edit=True)
        status = user["status"]
        if what == "suspend" and status == "ACTIVE":
            user["status"] = "SUSPENDED"
        elif what == "unsuspend" and status == "SUSPENDED":
            user["status"] = "ACTIVE"
        elif what == "activate" and status in ("STAGED", "DEPROVISIONED"):
            user["status"] = "PROVISIONED"
        elif what == "deactivate" and status != "DEPROVISIONED":
            if self.settings["deactivate_lag"]:
                user["deactivates_at"] = time.monotonic() + self.settings["deactivate_lag"]
            else:
                self._deactivate(user)
        elif what == "deactivate":
            raise Refusal(self._error(404, "E0000007", f"{key} (User)"))
        elif what in ("suspend", "unsuspend", "activate"):
            raise Refusal(self._error(400, "E0000001", f"Cannot {what} this user. The user's status is {status}."))
        else:
            raise Refusal(self.unknown_path(request))
        return Answer(200, {})

    def _deactivate(self, user: dict) -> None:
        user["status"] = "DEPROVISIONED"
        user.pop("deactivates_at", None)
        for kind in self.BELONGINGS:
            user[kind] = []
        user["sessions"] = 0
        for group in list(self.store.all("groups")):
            if user["id"] in group["members"]:
                self._open("groups", group["id"])["members"].remove(user["id"])

    @route("DELETE", API + "/users/{key}/sessions")
    def clear_sessions(self, request: Request, key: str) -> Answer:
        user = self._belonging(key, edit=True)
        user["sessions"] = 0
        if request.params.get("oauthTokens") == "true":
            user["clients"] = []        # a grant stays: the user consented to it
        return Answer(204)

    # What belongs to a user.

    @route("GET", API + "/users/{key}/factors")
    def list_factors(self, request: Request, key: str) -> Answer:
        return Answer(200, self._belonging(key)["factors"])

    @route("GET", API + "/users/{key}/grants")
    def list_grants(self, request: Request, key: str) -> Answer:
        return Answer(200, self._belonging(key)["grants"])

    @route("DELETE", API + "/users/{key}/grants")
    def revoke_grants(self, request: Request, key: str) -> Answer:
        self._belonging(key, edit=True)["grants"] = []
        return Answer(204)

    @route("GET", API + "/users/{key}/clients")
    def list_clients(self, request: Request, key: str) -> Answer:
        user = self._belonging(key)
        clients = dict.fromkeys(user["clients"] + [grant["clientId"] for grant in user["grants"]])
        return Answer(200, [{"client_id": client, "client_name": client} for client in clients])

    @route("DELETE", API + "/users/{key}/clients/{client}/tokens")
    def revoke_tokens(self, request: Request, key: str, client: str) -> Answer:
        user = self._belonging(key, edit=True)
        if client not in user["clients"]:
            raise Refusal(self._error(404, "E0000007", f"{client} (OAuthClient)"))
        user["clients"].remove(client)
        return Answer(204)

    @route("GET", API + "/users/{key}/roles")
    def list_roles(self, request: Request, key: str) -> Answer:
        return Answer(200, self._belonging(key)["roles"])

    @route("DELETE", API + "/users/{key}/roles/{role}")
    def remove_role(self, request: Request, key: str, role: str) -> Answer:
        user = self._belonging(key, edit=True)
        held = next((one for one in user["roles"] if one["id"] == role and one["assignmentType"] == "USER"), None)
        if held is None:
            raise Refusal(self._error(404, "E0000007", f"{role} (RoleAssignment)"))
        user["roles"].remove(held)
        return Answer(204)

    @route("GET", API + "/users/{key}/appLinks")
    def list_app_links(self, request: Request, key: str) -> Answer:
        return Answer(200, [{"appInstanceId": app["id"], "label": app["id"], "appAssignmentId": "ala" + app["id"]}
                            for app in self._belonging(key)["apps"]])

    @route("GET", API + "/apps/{app}/users/{key}")
    def read_assignment(self, request: Request, app: str, key: str) -> Answer:
        return Answer(200, {"id": self._user(key)["id"], "scope": self._assignment(app, self._belonging(key))["scope"]})

    @route("DELETE", API + "/apps/{app}/users/{key}")
    def remove_assignment(self, request: Request, app: str, key: str) -> Answer:
        user = self._belonging(key, edit=True)
        user["apps"].remove(self._assignment(app, user))
        return Answer(204)

    def _assignment(self, app: str, user: dict) -> dict:
        held = next((one for one in user["apps"] if one["id"] == app), None)
        if held is None:
            raise Refusal(self._error(404, "E0000007", f"{user['id']} (AppUser)"))
        return held

    # Groups.

    @route("GET", API + "/users/{key}/groups")
    def list_groups(self, request: Request, key: str) -> Answer:
        user = self._belonging(key)
        mine = [group for group in self.store.all("groups") if user["id"] in group["members"]]
        first = int(request.params.get("after", "0"))
        page = mine[first:first + self.settings["page"]]
        links = [f'<{request.origin}{request.path}>; rel="self"']
        if first + len(page) < len(mine):
            links.append(f'<{request.origin}{request.path}?after={first + len(page)}>; rel="next"')
        return Answer(200, [{"id": group["id"], "type": group["type"], "profile": {"name": group["name"]}} for group in page],
                      {"Link": ", ".join(links)})

    def _group(self, key: str) -> dict:
        group = self._open("groups", key)
        if group is None:
            raise Refusal(self._error(404, "E0000007", f"{key} (UserGroup)"))
        if group["type"] != "OKTA_GROUP":
            raise Refusal(self._error(403, "E0000006"))
        return group

    @route("DELETE", API + "/groups/{group}/users/{key}")
    def leave_group(self, request: Request, group: str, key: str) -> Answer:
        held, user = self._group(group), self._user(key)
        if user["id"] in held["members"]:
            held["members"].remove(user["id"])
        return Answer(204)

    @route("PUT", API + "/groups/{group}/users/{key}")
    def join_group(self, request: Request, group: str, key: str) -> Answer:
        held, user = self._group(group), self._user(key)
        if user["id"] not in held["members"]:
            held["members"].append(user["id"])
        return Answer(204)

    # Devices.

    @route("GET", API + "/users/{key}/devices")
    def list_devices(self, request: Request, key: str) -> Answer:
        user = self._belonging(key)
        return Answer(200, [{"created": device["created"], "device": {"id": device["id"], "status": device["status"]}}
                            for device in self.store.all("devices") if user["id"] in device["users"]])

    def _device(self, key: str) -> dict:
        device = self._open("devices", key)
        if device is None:
            raise Refusal(self._error(404, "E0000007", f"{key} (Device)"))
        return device

    @route("GET", API + "/devices/{key}/users")
    def list_device_users(self, request: Request, key: str) -> Answer:
        return Answer(200, [{"created": "2026-01-01T00:00:00.000Z", "managementStatus": "NOT_MANAGED", "user": {"id": user}}
                            for user in self._device(key)["users"]])

    @route("POST", API + "/devices/{key}/lifecycle/{what}")
    def change_device(self, request: Request, key: str, what: str) -> Answer:
        device = self._device(key)
        wanted = {"deactivate": "DEACTIVATED", "suspend": "SUSPENDED"}.get(what)
        if wanted is None:
            raise Refusal(self.unknown_path(request))
        if device["status"] == wanted:
            raise Refusal(self._error(400, "E0000001", f"device is {wanted} already"))
        device["status"] = wanted
        return Answer(204)

    @route("DELETE", API + "/devices/{key}")
    def delete_device(self, request: Request, key: str) -> Answer:
        if self._device(key)["status"] != "DEACTIVATED":
            raise Refusal(self._error(400, "E0000001", "device is not deactivated"))
        self.store.remove("devices", key)
        return Answer(204)

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users by `login` (`status`, `profile`, `sessions`, `factors`, `roles`, `grants`, `clients`, `apps`); groups and devices
        by `id`, with logins as `members` and `users`."""
        for given in state.get("users", []):
            self._seed_user(given)
        for kind, people in (("groups", "members"), ("devices", "users")):
            for given in state.get(kind, []):
                usual = {"type": "OKTA_GROUP", "name": given["id"]} if kind == "groups" else {
                    "status": "ACTIVE", "created": "2026-01-01T00:00:00.000Z"}
                held = self.store.get(kind, given["id"]) or {**usual, people: []}
                ids = [self._user(one)["id"] for one in given.get(people, [])]
                self.store.put(kind, given["id"], {**held, **given, people: ids})

    def _seed_user(self, given: dict) -> None:
        login = given.get("login", "")
        if "@" not in login or given.get("status", "ACTIVE") not in STATUSES:
            raise ValueError(f"{self.name}: users: a login is an address, a status one of {', '.join(STATUSES)}")
        held = next((user for user in self.store.all("users") if user["profile"]["login"].lower() == login.lower()), None)
        user = held or {"id": f"00u{self.store.next_number('user'):017}", "status": "ACTIVE",
                        "created": "2026-01-01T00:00:00.000Z", "profile": {"login": login, "email": login}, "sessions": 1,
                        "found_from": time.monotonic(), **{kind: [] for kind in self.BELONGINGS}}
        more = {name: value for name, value in given.items() if name not in ("login", "profile")}
        self.store.put("users", user["id"], {**user, **more, "profile": {**user["profile"], **given.get("profile", {})}})

    def export(self) -> dict:
        users = []
        for user in list(self.store.all("users")):
            self._pass_time(user)
            users.append({key: value for key, value in self.store.get("users", user["id"]).items()
                          if key not in ("found_from", "deactivates_at")})
        return {"users": users, "groups": list(self.store.all("groups")), "devices": list(self.store.all("devices"))}
