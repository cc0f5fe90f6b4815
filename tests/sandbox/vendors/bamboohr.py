"""BambooHR: employees by id with chosen fields, those who changed, and the custom report over all of them."""

import base64
import hmac
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/api/v1"


class BambooHR(Vendor):
    """One company. An employee is an object of texts by field name; `status` is Active or Inactive."""

    DEFAULTS = {
        "key": "sandbox-bamboo-key-s3cret",
        "hidden_fields": [],      # fields the key's owner may not see: left out of every answer, as the vendor does
    }
    SECRETS = ("key",)
    SEED_KEYS = ("employees",)

    # Refusing.

    def authorize(self, request: Request) -> None:
        wanted = "Basic " + base64.b64encode(f"{self.settings['key']}:x".encode()).decode()
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode()):
            raise Refusal(self.fail(401, "Invalid API key"))

    def fail(self, status: int, message: str = "") -> Answer:
        """No body: a header says why."""
        return Answer(status, None, {"X-BambooHR-Error-Message": message})

    # Reading.

    def _shown(self, employee: dict, fields: list[str]) -> dict:
        """What has no value is null."""
        return {"id": employee["id"], **{name: employee.get(name) for name in fields if name not in self.settings["hidden_fields"]}}

    @route("GET", API + "/employees/changed")
    def changed_employees(self, request: Request) -> Answer:
        try:
            since = datetime.fromisoformat(request.params["since"])
        except (KeyError, ValueError):
            raise Refusal(self.fail(400, "since is not a date")) from None
        if since.tzinfo is None:
            since = since.replace(tzinfo=timezone.utc)
        kind = request.params.get("type", "").lower()
        found = {}
        for one in self.store.all("employees"):
            if datetime.fromisoformat(one["lastChanged"]) >= since and kind in ("", one["action"].lower()):
                found[one["id"]] = {"id": one["id"], "action": one["action"], "lastChanged": one["lastChanged"]}
        # Nobody is an empty list, as PHP writes it.
        return Answer(200, {"latest": datetime.now(timezone.utc).isoformat(timespec="seconds"), "employees": found or []})

    @route("GET", API + "/employees/{employee}")
    def read_employee(self, request: Request, employee: str) -> Answer:
        found = self.store.get("employees", employee)
        if found is None or found["action"] == "Deleted":
            raise Refusal(self.fail(404, "Employee not found"))
        return Answer(200, self._shown(found, request.params.get("fields", "").split(",")))

    @route("POST", API + "/reports/custom", reads=True)
    def report(self, request: Request) -> Answer:
        if request.headers.get("content-type") != "application/json":
            raise Refusal(self.fail(400, "Malformed XML"))      # anything else is read as XML, a charset behind it as well
        try:
            asked = request.json()
            fields = [str(name) for name in asked["fields"]]
        except (ValueError, KeyError, TypeError):
            raise Refusal(self.fail(400, "Malformed report")) from None
        if request.params.get("format", "").lower() != "json":
            raise Refusal(self.fail(400, "Unsupported format"))
        rows = [self._shown(one, fields) for one in self.store.all("employees") if one["action"] != "Deleted"]
        return Answer(200, {"title": asked.get("title", ""), "fields": [{"id": name, "type": "text", "name": name} for name in fields],
                            "employees": rows})

    # State for tests.

    def seed(self, state: dict) -> None:
        """Employees merge by `id` (one is given without it); `action` is what `changed` says of them: Inserted, Updated or Deleted."""
        for given in state.get("employees", []):
            held = self.store.get("employees", str(given.get("id", "")))
            key = held["id"] if held else str(given.get("id") or self.store.next_number("employee", 101))
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.store.put("employees", key, {"status": "Active", "action": "Updated" if held else "Inserted", "lastChanged": now,
                                              **(held or {}), **given, "id": key})

    def export(self) -> dict:
        return {"employees": list(self.store.all("employees"))}
