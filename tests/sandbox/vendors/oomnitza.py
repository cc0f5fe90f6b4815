"""Oomnitza's API v3: users found by filter expressions, their fields and assets, and SaaS seats that are deactivated in bulk.

Every documented answer is a 200; what a refusal looks like is not, and is made up here: a status with {"error": …}.
"""

import hmac
import re
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/api/v3"
CONDITION = re.compile(r"^\(?\s*(\w+) (eq|ne|ge|gt|le|lt) '((?:[^']|'')*)'\s*\)?$")
COMPARE = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "ge": lambda a, b: a >= b, "gt": lambda a, b: a > b,
           "le": lambda a, b: a <= b, "lt": lambda a, b: a < b}
FIELDS = {"username": None, "first_name": "", "last_name": "", "email": None, "employee_id": None, "employee_type": "Employee",
          "status": "Active", "change_date": None, "offboarding_sequence": None, "offboarding_ticket": None}


def seconds(text: str) -> int | None:
    """A date of a filter: seconds since 1970, or with its time, the zone of which is not heeded; None: neither."""
    if text.isdigit():
        return int(text)
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S*", text)
    return int(datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc).timestamp()) if found else None


class Oomnitza(Vendor):
    """One instance. Custom fields are columns like the others, named by their ids; some are locked against edits."""

    DEFAULTS = {
        "token": "sandbox-oomnitza-token-s3cret",
        "max_page": 100,
        "filters": True,            # whether `filter` is heeded
        "locked_fields": [],        # only changed with Oomnitza-Ignore-Meta-Restriction: 1
        "ignores_fields": [],       # taken without a word, and not stored
        "unnamed_seats": [],        # deactivated, but not told of in the answer
        "today": "2026-01-01T00:00:00",     # the change date of what a request changes
    }
    SEED_KEYS = ("users", "assets", "seats")

    def authorize(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get("authorization2", "").encode(), self.settings["token"].encode()):
            raise Refusal(self.fail(401, "Unauthorized"))

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"error": message or "Error"})

    # Users.

    @route("GET", API + "/users")
    def list_users(self, request: Request) -> Answer:
        given = request.params
        users = [user for user in map(self._shown, self.store.all("users")) if self._matches(user, given.get("filter", "") if self.settings["filters"] else "")]
        by = given.get("sortby")
        if by:
            name, _, order = by.partition(" ")
            users.sort(key=lambda user: str(user.get(name)), reverse=order.lower() == "desc")
        skip, limit = int(given.get("skip", "0")), min(int(given.get("limit", "100")), self.settings["max_page"])
        return Answer(200, users[skip:skip + limit])

    def _matches(self, user: dict, text: str) -> bool:
        for part in text.split(" and ") if text else []:
            found = CONDITION.match(part.strip())
            if not found or found[1] not in user:
                raise Refusal(self.fail(400, f"Bad filter: {part}"))
            held, wanted = user[found[1]], found[3].replace("''", "'")
            if found[1] == "change_date":
                wanted = seconds(wanted)
                if wanted is None:
                    raise Refusal(self.fail(400, f"Bad date: {part}"))
            if held is None or not COMPARE[found[2]](held if found[1] == "change_date" else str(held), wanted):
                return False
        return True

    def _shown(self, user: dict) -> dict:
        """As the API names it: the state's `id` is `user_id` there, and a date seconds since 1970."""
        date = user["change_date"]
        return {"user_id": user["id"], **{name: value for name, value in user.items() if name != "id"},
                "change_date": seconds(date) if date else None}

    def _user(self, key: str) -> dict:
        user = self.store.edit("users", key)
        if user is None:
            raise Refusal(self.fail(404, "User not found"))
        return user

    @route("GET", API + "/users/{key}")
    def read_user(self, request: Request, key: str) -> Answer:
        return Answer(200, self._shown(self._user(key)))

    @route("PATCH", API + "/users/{key}")
    def change_user(self, request: Request, key: str) -> Answer:
        user, changes = self._user(key), request.json()
        unlocked = request.headers.get("oomnitza-ignore-meta-restriction") == "1"
        for name in changes:
            if name not in user:
                raise Refusal(self.fail(400, f"Unknown field {name}"))
            if name in self.settings["locked_fields"] and not unlocked:
                raise Refusal(self.fail(403, f"Field {name} is not editable"))
        kept = {name: value for name, value in changes.items() if name not in self.settings["ignores_fields"]}
        self.store.put("users", key, {**user, **kept, "change_date": self.settings["today"]})
        return Answer(200, self._shown(self.store.get("users", key)))

    @route("GET", API + "/users/{key}/assets")
    def list_assets(self, request: Request, key: str) -> Answer:
        self._user(key)
        return Answer(200, [asset for asset in self.store.all("assets") if asset["assigned_to"] == key])

    # Seats. One that fails is told of in the answer, which is a 200 all the same.

    @route("PATCH", API + "/saas_users/deactivate")
    def deactivate_seats(self, request: Request) -> Answer:
        told = []
        for key in request.json().get("saas_user_ids", []):
            seat = self.store.get("seats", key)
            error = "SaaS user not found" if seat is None else seat["error"]
            if error is None:
                self.store.put("seats", key, {**seat, "active": False})
            told += [{"saas_user_id": key, "error": error}] if key not in self.settings["unnamed_seats"] else []
        return Answer(200, told)

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users merge by `id` or email; assets (`assigned_to`, `serial_number`) and seats (`active`, `error`) by `id`."""
        for given in state.get("users", []):
            held = next((user for user in self.store.all("users")
                         if given.get("id") == user["id"] or "id" not in given and given.get("email") == user["email"]), None)
            key = held["id"] if held else str(given.get("id") or self.store.next_number("user", 101))
            base = held or {**FIELDS, "change_date": self.settings["today"]}
            self.store.put("users", key, {**base, **given, "id": key})
        for given in state.get("assets", []):
            key = str(given.get("id") or self.store.next_number("asset", 501))
            self.store.put("assets", key, {"equipment_id": key, "serial_number": None, "model": None, "assigned_to": None,
                                           **{name: value for name, value in given.items() if name != "id"}})
        for given in state.get("seats", []):
            key = str(given.get("id") or self.store.next_number("seat", 901))
            held = self.store.get("seats", key) or {"active": True, "error": None}
            self.store.put("seats", key, {**held, **given, "id": key})

    def export(self) -> dict:
        return {kind: list(self.store.all(kind)) for kind in self.SEED_KEYS}
