"""Jamf Pro's API: computers, and MDM commands that are carried out when a computer is online."""

import hmac
import re
import time
import urllib.parse
import uuid
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route
from formats import rsql

READ, VIEW = "Read Computers", "View MDM command information in Jamf Pro API"
LOCK, WIPE = "Send Computer Remote Lock Command", "Send Computer Remote Wipe Command"
PIN = "View Computer Device Lock Pin"
INVENTORY = "/api/{version}/computers-inventory"
SECTIONS = {"GENERAL": "general", "HARDWARE": "hardware", "USER_AND_LOCATION": "userAndLocation"}
COMMAND_FIELDS = {"uuid", "clientManagementId", "command", "status", "clientType", "dateSent", "validAfter", "dateCompleted",
                  "profileId", "profileIdentifier", "active"}


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Jamf(Vendor):
    """One server, one API client."""

    DEFAULTS = {
        "client_id": "jamf-sandbox-client", "client_secret": "jamf-sandbox-s3cret",
        "token_seconds": 60,        # life of an access token
        "versions": ["v1", "v2", "v3", "v4"],   # of the inventory
        "privileges": [READ, VIEW, LOCK, WIPE, PIN],
        "acknowledge_seconds": 0.0,  # until a computer that is online has carried a command out
        "filters": True,            # whether `filter` is heeded
        "max_page": 2000,
        "fails": "",                # what an online computer answers in place of ACKNOWLEDGED: ERROR, NOT_NOW
    }
    SECRETS = ("client_secret",)
    SEED_KEYS = ("computers", "commands")

    def start(self) -> None:
        self._tokens: dict[str, float] = {}

    # Signing in.

    def authorize(self, request: Request) -> None:
        if request.path == "/api/v1/oauth/token":
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) < time.monotonic():
            raise Refusal(self.fail(401, "Unauthorized", "INVALID_TOKEN"))

    def _need(self, privilege: str) -> None:
        if privilege not in self.settings["privileges"]:
            raise Refusal(self.fail(403, "Forbidden", "INVALID_PRIVILEGE"))

    @route("POST", "/api/v1/oauth/token", reads=True)
    def grant(self, request: Request) -> Answer:
        given = dict(urllib.parse.parse_qsl(request.text))
        if request.media_type != "application/x-www-form-urlencoded" or given.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        known = all(hmac.compare_digest(given.get(name, "").encode(), self.settings[name].encode())
                    for name in ("client_id", "client_secret"))
        if not known:
            return Answer(401, {"error": "invalid_client"})
        token = "jamf-" + uuid.uuid4().hex
        self._tokens[token] = time.monotonic() + self.settings["token_seconds"]
        return Answer(200, {"access_token": token, "scope": "api-role:1", "token_type": "Bearer",
                            "expires_in": self.settings["token_seconds"]})

    def secrets(self) -> list[str]:
        return [*super().secrets(), *self._tokens]

    def fail(self, status: int, message: str = "", code: str = "") -> Answer:
        return Answer(status, {"httpStatus": status,
                               "errors": [{"code": code or f"HTTP_{status}", "description": message, "id": "0", "field": None}]})

    # The inventory.

    def _check_version(self, version: str) -> None:
        if version not in self.settings["versions"]:
            raise Refusal(self.fail(404, "Not Found"))

    def _shown(self, computer: dict, sections: list[str]) -> dict:
        wanted = [SECTIONS[name] for name in sections or ["GENERAL"] if name in SECTIONS]
        return {"id": computer["id"], "udid": computer["udid"],
                **{name: computer[name] if name in wanted else None for name in SECTIONS.values()}}

    def _computer(self, key: str) -> dict:
        computer = self.store.get("computers", key)
        if computer is None:
            raise Refusal(self.fail(404, f"Computer with id {key} does not exist", "INVALID_ID"))
        return computer

    def _filtered(self, request: Request, items: list[dict], value_of, known: set[str] | None = None) -> list[dict]:
        text = request.params.get("filter", "")
        try:
            tree = rsql.parse(text) if text else None
        except rsql.RsqlError as error:
            raise Refusal(self.fail(400, f"filter: {error}", "INVALID_FILTER")) from None
        if tree and known is not None and rsql.fields(tree) - known:
            raise Refusal(self.fail(400, "filter: unknown field", "INVALID_FILTER"))
        return [item for item in items if not tree or not self.settings["filters"] or rsql.matches(tree, lambda field: value_of(item, field))]

    def _page(self, request: Request, items: list[dict]) -> Answer:
        number, size = int(request.params.get("page", 0)), int(request.params.get("page-size", 100))
        size = min(size, self.settings["max_page"])
        return Answer(200, {"totalCount": len(items), "results": items[number * size:(number + 1) * size]})

    @route("GET", INVENTORY)
    def list_computers(self, request: Request, version: str) -> Answer:
        self._check_version(version)
        self._need(READ)

        def value_of(computer: dict, field: str):
            part, _, name = field.partition(".")
            return (computer.get(part) or {}).get(name) if name else computer.get(field)

        found = self._filtered(request, list(self.store.all("computers")), value_of)
        sections = [value for name, value in urllib.parse.parse_qsl(request.query) if name == "section"]
        return self._page(request, [self._shown(computer, sections) for computer in found])

    @route("GET", INVENTORY + "/{key}")
    def get_computer(self, request: Request, version: str, key: str) -> Answer:
        self._check_version(version)
        self._need(READ)
        sections = [value for name, value in urllib.parse.parse_qsl(request.query) if name == "section"]
        return Answer(200, self._shown(self._computer(key), sections))

    @route("GET", INVENTORY + "/{key}/view-device-lock-pin")
    def view_pin(self, request: Request, version: str, key: str) -> Answer:
        self._check_version(version)
        self._need(PIN)
        management = self._computer(key)["general"]["managementId"]
        pins = [item["pin"] for item in self.store.all("commands")
                if item["management"] == management and item["type"] == "DEVICE_LOCK"]
        return Answer(200, {"pin": pins[-1]}) if pins else self.fail(404, "No device lock pin")

    # Commands.

    def _state(self, command: dict) -> tuple[str, str | None]:
        """A command's state by now, and when it ended."""
        if command.get("state"):
            return command["state"], command.get("completed")
        computer = next((item for item in self.store.all("computers")
                         if item["general"]["managementId"] == command["management"]), None)
        if computer is None or not computer["online"]:
            return "PENDING", None
        if time.monotonic() < max(command["since"], computer["since"]) + self.settings["acknowledge_seconds"]:
            return "PENDING", None
        return self.settings["fails"] or "ACKNOWLEDGED", _now()

    def _settle(self) -> None:
        """What has ended stays so."""
        for command in list(self.store.all("commands")):
            state, completed = self._state(command)
            if state not in ("PENDING", "NOT_NOW") and not command.get("state"):
                self.store.put("commands", command["uuid"], {**command, "state": state, "completed": completed})

    def _queue(self, management: str, kind: str, pin: str | None) -> dict:
        if pin is not None and not re.fullmatch(r"\d{6}", pin):
            raise Refusal(self.fail(400, "The passcode must be six digits", "INVALID_FIELD"))
        command = {"uuid": str(uuid.uuid4()), "management": management, "type": kind, "pin": pin, "sent": _now(),
                   "since": time.monotonic(), "state": None}
        self.store.put("commands", command["uuid"], command)
        return command

    @route("POST", "/api/v2/mdm/commands")
    def send(self, request: Request) -> Answer:
        body = request.json()
        data, kind = body.get("commandData") or {}, (body.get("commandData") or {}).get("commandType")
        self._need({"DEVICE_LOCK": LOCK, "ERASE_DEVICE": WIPE}.get(kind, "none"))
        known = {computer["general"]["managementId"] for computer in self.store.all("computers")}
        clients = [client.get("managementId") for client in body.get("clientData") or []]
        if not clients or not set(clients) <= known:
            raise Refusal(self.fail(400, "Management id does not exist", "INVALID_FIELD"))
        sent = [self._queue(client, kind, data.get("pin")) for client in clients]
        return Answer(201, [{"id": command["uuid"], "href": f"/v2/mdm/commands?filter=uuid=={command['uuid']}"}
                            for command in sent])

    @route("POST", "/api/v4/computers-inventory/{key}/erase")
    def erase(self, request: Request, key: str) -> Answer:
        self._check_version("v4")
        return self._erase(request, key)

    @route("POST", "/api/v1/computer-inventory/{key}/erase")
    def erase_before_v4(self, request: Request, key: str) -> Answer:
        return self._erase(request, key)

    def _erase(self, request: Request, key: str) -> Answer:
        self._need(WIPE)
        computer = self._computer(key)
        command = self._queue(computer["general"]["managementId"], "ERASE_DEVICE", request.json().get("pin"))
        return Answer(200, {"deviceId": key, "commandUuid": command["uuid"]})

    @route("GET", "/api/v2/mdm/commands")
    def list_commands(self, request: Request) -> Answer:
        self._need(VIEW)
        if not request.params.get("filter"):
            raise Refusal(self.fail(400, "At least one filter field is required", "INVALID_FILTER"))
        self._settle()

        def value_of(command: dict, field: str):
            names = {"uuid": "uuid", "clientManagementId": "management", "command": "type"}
            return self._state(command)[0] if field == "status" else command.get(names.get(field, ""))

        found = self._filtered(request, list(self.store.all("commands")), value_of, COMMAND_FIELDS)
        found.sort(key=lambda command: command["sent"], reverse=request.params.get("sort", "").endswith(":desc"))
        return self._page(request, [{
            "uuid": command["uuid"], "dateSent": command["sent"],
            "client": {"managementId": command["management"], "clientType": "COMPUTER"}, "commandState": self._state(command)[0], "commandType": command["type"], "dateCompleted": self._state(command)[1],
            "profileId": None, "profileIdentifier": None} for command in found])

    # State for tests.

    def seed(self, state: dict) -> None:
        """Computers by `id` (`email`, `username`, `name`, `serial`, `managed`, `online`), commands (`computer`, `type`, `sent`,
        `pin`, `state`)."""
        for given in state.get("computers", []):
            self._seed_computer(given)
        for given in state.get("commands", []):
            management = self._computer(str(given["computer"]))["general"]["managementId"]
            command = self._queue(management, given.get("type", "DEVICE_LOCK"), given.get("pin"))
            self.store.put("commands", command["uuid"], {**command, "sent": given.get("sent", command["sent"]),
                                                         "state": given.get("state"), "completed": given.get("completed")})

    def _seed_computer(self, given: dict) -> None:
        held = self.store.edit("computers", str(given["id"])) if "id" in given else None
        key = str(given.get("id") or self.store.next_number("computer"))
        new = {"id": key, "udid": str(uuid.uuid4()).upper(), "online": True, "since": time.monotonic(),
               "general": {"name": given.get("name", f"mac-{key}"),
                           "managementId": str(uuid.uuid4()) if given.get("managed", True) else None,
                           "remoteManagement": {"managed": given.get("managed", True)}},
               "hardware": {"serialNumber": given.get("serial", f"C02{key:0>8}"), "model": given.get("model", "MacBook Pro")},
               "userAndLocation": {"email": "", "username": ""}}
        computer = held or new
        for name in ("email", "username"):
            if name in given:
                computer["userAndLocation"][name] = given[name]
        if "online" in given:
            computer |= {"online": bool(given["online"]), "since": time.monotonic()}
        self.store.put("computers", key, computer)

    def export(self) -> dict:
        return {"computers": list(self.store.all("computers")),
                "commands": [{**command, "state": self._state(command)[0]} for command in self.store.all("commands")]}
