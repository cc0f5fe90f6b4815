"""Google's Data Transfer API: files and calendars go to a new owner, and that takes a while."""

import time
from datetime import datetime, timezone

from core.vendor import Answer, Request
from vendors.google_access import call
from vendors.google_directory import page, read_object, refuse

API = "/admin/datatransfer/v1"
SCOPE, READ = "admin.datatransfer", "admin.datatransfer.readonly"
APPLICATIONS = [
    {"id": "55656082996", "name": "Drive and Docs",
     "transferParams": [{"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]},
    {"id": "435070579839", "name": "Calendar", "transferParams": [{"key": "RELEASE_RESOURCES", "value": ["TRUE", "FALSE"]}]},
]
# What is meant when a parameter is not sent: of Drive the shared files only.
DEFAULTS = {"PRIVACY_LEVEL": ["SHARED"], "RELEASE_RESOURCES": ["FALSE"]}


class Transfer:
    """Transfers. Part of the vendor. `transfer_progress` keeps how often and since when each has been going, beside the
    store: looking at a transfer is no change of it."""

    def _state(self, transfer: dict) -> str:
        """new, inProgress, completed or failed, by the looks taken so far and the time that has passed."""
        progress = self.transfer_progress[transfer["id"]]
        looks, seconds = progress["looks"], time.monotonic() - progress["since"]
        if looks >= self.settings["transfer_polls"] and seconds >= self.settings["transfer_seconds"]:
            owners = [self.store.get("users", transfer[key]) for key in ("oldOwnerUserId", "newOwnerUserId")]
            progress["end"] = progress["end"] or ("failed" if self.settings["transfer_fails"] or None in owners
                                                  else "completed")
        return progress["end"] or ("inProgress" if looks else "new")

    def show_transfer(self, transfer: dict) -> dict:
        state = self._state(transfer)
        parts = [{**part, "applicationTransferStatus": state} for part in transfer["applicationDataTransfers"]]
        return {"kind": "admin#datatransfer#DataTransfer", **transfer, "applicationDataTransfers": parts,
                "overallTransferStatusCode": state}

    @call("GET", API + "/applications", SCOPE, READ)
    def list_applications(self, request: Request) -> Answer:
        self.check_customer(request.params.get("customerId") or "my_customer")
        items = [{"kind": "admin#datatransfer#ApplicationResource", **item} for item in APPLICATIONS]
        return Answer(200, {"kind": "admin#datatransfer#applicationsList",
                            **page(request, items, "applications", largest=500, default=100)})

    @call("GET", API + "/applications/{key}", SCOPE, READ)
    def get_application(self, request: Request, key: str) -> Answer:
        for item in APPLICATIONS:
            if item["id"] == key:
                return Answer(200, {"kind": "admin#datatransfer#ApplicationResource", **item})
        raise refuse("notFound", "Resource Not Found: applicationId")

    @call("GET", API + "/transfers", SCOPE, READ)
    def list_transfers(self, request: Request) -> Answer:
        params = request.params
        self.check_customer(params.get("customerId") or "my_customer")
        found = [self.show_transfer(item) for item in self.store.all("transfers")
                 if all(params.get(key) in (None, "", item[key]) for key in ("oldOwnerUserId", "newOwnerUserId"))]
        found = [item for item in found if params.get("status") in (None, "", item["overallTransferStatusCode"])]
        return Answer(200, {"kind": "admin#datatransfer#dataTransfersList",
                            **page(request, found, "dataTransfers", largest=500, default=100)})

    @call("GET", API + "/transfers/{key}", SCOPE, READ)
    def get_transfer(self, request: Request, key: str) -> Answer:
        transfer = self.store.get("transfers", key)
        if transfer is None:
            raise refuse("notFound", "Resource Not Found: dataTransferId")
        self.transfer_progress[key]["looks"] += 1
        return Answer(200, self.show_transfer(transfer))

    @call("POST", API + "/transfers", SCOPE)
    def insert_transfer(self, request: Request) -> Answer:
        """Another transfer every time, however alike."""
        body = read_object(request)
        for key in ("oldOwnerUserId", "newOwnerUserId"):
            if not isinstance(body.get(key), str) or self.store.get("users", body[key]) is None:
                # An address is no id here, and a number would have lost its last digits.
                raise refuse("invalid", f"Invalid Input: {key}")
        if body["oldOwnerUserId"] == body["newOwnerUserId"]:
            raise refuse("invalid", "Invalid Input: newOwnerUserId")
        parts = body.get("applicationDataTransfers")
        if not isinstance(parts, list) or not parts:
            raise refuse("required", "Missing required field: applicationDataTransfers")
        key = f"AKrEtIa{self.store.next_number('transfer', 10 ** 15)}"
        transfer = {"id": key, "oldOwnerUserId": body["oldOwnerUserId"], "newOwnerUserId": body["newOwnerUserId"],
                    "applicationDataTransfers": [_read_part(part) for part in parts],
                    "requestTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        self.store.put("transfers", key, transfer)
        self.transfer_progress[key] = {"looks": 0, "since": time.monotonic(), "end": None}
        return Answer(200, self.show_transfer(transfer))


def _read_part(part) -> dict:
    """One application's part of a transfer, with the parameters that hold for it."""
    identifier = part.get("applicationId") if isinstance(part, dict) else None
    application = next((item for item in APPLICATIONS if item["id"] == str(identifier)), None)
    if application is None:
        raise refuse("invalid", "Invalid Input: applicationId")
    params = {}
    allowed = {param["key"]: param["value"] for param in application["transferParams"]}
    for param in part.get("applicationTransferParams") or []:
        key, values = (param.get("key"), param.get("value")) if isinstance(param, dict) else (None, None)
        if key not in allowed or not isinstance(values, list) or not set(map(str, values)) <= set(allowed[key]):
            raise refuse("invalid", "Invalid Input: applicationTransferParams")
        params[key] = values
    shown = [{"key": key, "value": params.get(key, DEFAULTS[key])} for key in allowed]
    return {"applicationId": application["id"], "applicationTransferParams": shown}
