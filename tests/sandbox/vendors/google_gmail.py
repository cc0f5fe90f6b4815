"""Gmail's settings: delegates, forwarding and the vacation responder of the mailbox whose owner the token acts as."""

import time

from core.vendor import Answer, Request
from vendors.google_access import call
from vendors.google_directory import read_object
from vendors.google_errors import BOTH, refusal

API = "/gmail/v1/users/{mailbox}/settings"
BASIC, SHARING = "gmail.settings.basic", "gmail.settings.sharing"
READERS = (BASIC, "gmail.modify", "gmail.readonly", "https://mail.google.com/")
DELEGATE_LIMIT = 25
_VACATION = {"enableAutoReply": bool, "responseSubject": str, "responseBodyPlainText": str, "responseBodyHtml": str,
             "restrictToContacts": bool, "restrictToDomain": bool, "startTime": (str, int), "endTime": (str, int)}


def refuse(reason: str, message: str = "", status: int | None = None):
    return refusal(reason, message, shape=BOTH, status=status)


class Gmail:
    """Mailbox settings. Part of the vendor."""

    def _mailbox(self, request: Request, name: str) -> dict:
        """The user whose mailbox it is. Only its owner gets in, under the primary address, and while it is in use."""
        subject = self.subject(request)
        user = self.find_user(subject) if subject else None
        if user is None:
            raise refuse("failedPrecondition")
        address = (subject if name == "me" else name).lower()
        if self.find_user(address) is not user:
            raise refuse("forbidden", f"Delegation denied for {subject}")
        if address != user["primaryEmail"]:
            raise refuse("failedPrecondition")
        if user["suspended"] or user["archived"] or not user["isMailboxSetup"]:
            raise refuse("failedPrecondition", "Mail service not enabled")
        return user

    def _may_delegate(self, user: dict) -> bool:
        """Whether the policy of the user's unit allows delegation."""
        return not any(user["orgUnitPath"] == unit or user["orgUnitPath"].startswith(unit.rstrip("/") + "/")
                       for unit in self.settings["no_delegation_units"])

    # Delegates.

    def shown_delegates(self, user: dict) -> list[dict]:
        """Those that can be seen: none in a unit without delegation, and a new one only after a while."""
        horizon = time.monotonic() - self.settings["delegate_lag"]
        return [_show_delegate(item) for item in user["delegates"]
                if self._may_delegate(user) and item.get("since", horizon) <= horizon]

    @call("GET", API + "/delegates", *READERS, SHARING, admin=False)
    def list_delegates(self, request: Request, mailbox: str) -> Answer:
        shown = self.shown_delegates(self._mailbox(request, mailbox))
        return Answer(200, {"delegates": shown} if shown else {})

    @call("GET", API + "/delegates/{address}", *READERS, SHARING, admin=False)
    def get_delegate(self, request: Request, mailbox: str, address: str) -> Answer:
        for item in self.shown_delegates(self._mailbox(request, mailbox)):
            if item["delegateEmail"] == address.lower():
                return Answer(200, item)
        raise refuse("notFound")

    @call("POST", API + "/delegates", SHARING, admin=False)
    def add_delegate(self, request: Request, mailbox: str) -> Answer:
        user, body = self._mailbox(request, mailbox), read_object(request, BOTH)
        address = str(body.get("delegateEmail") or "").lower()
        delegate = self.find_user(address)
        if delegate is None or delegate["primaryEmail"] != address or delegate is user:
            # Strangers, aliases, oneself.
            raise refuse("invalidArgument", "Invalid delegate")
        self._check_sides(user, delegate)
        if any(item["delegateEmail"] == address for item in user["delegates"]):
            raise refuse("alreadyExists", "Delegate already exists")
        if len(user["delegates"]) >= DELEGATE_LIMIT:
            raise refuse("failedPrecondition", "Too many delegates")
        added = {"delegateEmail": address, "verificationStatus": "accepted", "since": time.monotonic()}
        self.store.put("users", user["id"], {**user, "delegates": [*user["delegates"], added]})
        return Answer(200, _show_delegate(added))

    def _check_sides(self, user: dict, delegate: dict) -> None:
        """What has to hold for both: active, no password to change, a mailbox that is in use, a unit that allows it."""
        if delegate["suspended"] or delegate["archived"] or any(
                side["changePasswordAtNextLogin"] for side in (user, delegate)):
            raise refuse("backendError", "Internal error encountered.", 500)
        if not delegate["isMailboxSetup"]:
            raise refuse("forbidden", "Delegation denied")
        if not self._may_delegate(user) or not self._may_delegate(delegate):
            raise refuse("failedPrecondition", "Mail delegation is not enabled.")

    @call("DELETE", API + "/delegates/{address}", SHARING, admin=False)
    def delete_delegate(self, request: Request, mailbox: str, address: str) -> Answer:
        user = self._mailbox(request, mailbox)
        found = next((item for item in user["delegates"] if item["delegateEmail"] == address.lower()), None)
        if found is None:
            raise refuse("notFound", "Invalid delegate")
        if found.get("verificationStatus") == "expired":
            raise refuse("failedPrecondition")
        left = [item for item in user["delegates"] if item is not found]
        self.store.put("users", user["id"], {**user, "delegates": left})
        return Answer(204)

    # Forwarding.

    @call("GET", API + "/autoForwarding", *READERS, admin=False)
    def get_forwarding(self, request: Request, mailbox: str) -> Answer:
        return Answer(200, self._mailbox(request, mailbox)["forwarding"])

    @call("PUT", API + "/autoForwarding", SHARING, admin=False)
    def put_forwarding(self, request: Request, mailbox: str) -> Answer:
        user, body = self._mailbox(request, mailbox), read_object(request, BOTH)
        verified = [item["forwardingEmail"] for item in user["forwarding_addresses"] if item["verificationStatus"] == "accepted"]
        if body.get("enabled") and body.get("emailAddress") not in verified:
            raise refuse("failedPrecondition", "Unrecognized forwarding address")
        forwarding = body if body.get("enabled") else {"enabled": False}
        self.store.put("users", user["id"], {**user, "forwarding": forwarding})
        return Answer(200, forwarding)

    @call("GET", API + "/forwardingAddresses", *READERS, admin=False)
    def list_forwarding_addresses(self, request: Request, mailbox: str) -> Answer:
        found = self._mailbox(request, mailbox)["forwarding_addresses"]
        return Answer(200, {"forwardingAddresses": found} if found else {})

    @call("DELETE", API + "/forwardingAddresses/{address}", SHARING, admin=False)
    def delete_forwarding_address(self, request: Request, mailbox: str, address: str) -> Answer:
        user = self._mailbox(request, mailbox)
        left = [item for item in user["forwarding_addresses"] if item["forwardingEmail"] != address]
        if len(left) == len(user["forwarding_addresses"]):
            raise refuse("notFound", "Forwarding address not found")
        self.store.put("users", user["id"], {**user, "forwarding_addresses": left})
        return Answer(204)

    # Vacation responder.

    @call("GET", API + "/vacation", *READERS, admin=False)
    def get_vacation(self, request: Request, mailbox: str) -> Answer:
        return Answer(200, self._mailbox(request, mailbox)["vacation"])

    @call("PUT", API + "/vacation", BASIC, admin=False)
    def put_vacation(self, request: Request, mailbox: str) -> Answer:
        """The whole setting: what is not sent is not set any more."""
        user, body = self._mailbox(request, mailbox), read_object(request, BOTH)
        for key, value in body.items():
            right = _VACATION.get(key)
            if right is None or not isinstance(value, right) or (isinstance(value, bool) and right is not bool):
                raise refuse("invalidArgument", f"Invalid value at '{key}'")
        times = [body[key] for key in ("startTime", "endTime") if key in body]
        if not all(str(moment).isdigit() for moment in times):
            raise refuse("invalidArgument", "Invalid value for a time in milliseconds")
        if len(times) == 2 and int(times[0]) >= int(times[1]):
            raise refuse("invalidArgument", "startTime must precede endTime")
        if body.get("enableAutoReply") and not any(body.get(key) for key in (
                "responseSubject", "responseBodyPlainText", "responseBodyHtml")):
            raise refuse("invalidArgument", "Either the response subject or the response body must be non-empty.")
        vacation = {"enableAutoReply": False, **body, **{key: str(body[key]) for key in ("startTime", "endTime")
                                                         if key in body}}
        self.store.put("users", user["id"], {**user, "vacation": vacation})
        return Answer(200, vacation)


def _show_delegate(delegate: dict) -> dict:
    return {"delegateEmail": delegate["delegateEmail"],
            "verificationStatus": delegate.get("verificationStatus", "accepted")}
