"""Google's devices: people's own phones in the Directory API, the company's in the Cloud Identity API."""

import re
import time

from core.vendor import Answer, Request
from vendors.google_access import call
from vendors.google_directory import API, page, read_object, refuse
from vendors.google_errors import STATUS, refusal

MOBILE = "admin.directory.device.mobile"
DEVICES = "cloud-identity.devices"
PHONES = API + "/customer/{customer}/devices/mobile"
# What an action makes of a phone: at once, and after the setting wipe_seconds.
ACTIONS = {"admin_account_wipe": ("ACCOUNT_WIPING", "ACCOUNT_WIPED"), "admin_remote_wipe": ("WIPING", "WIPED"),
           "approve": ("APPROVED", None), "block": ("BLOCKED", None),
           "cancel_remote_wipe_then_activate": ("APPROVED", None),
           "cancel_remote_wipe_then_block": ("BLOCKED", None)}


class Devices:
    """Phones, computers, and their wiping. Part of the vendor. Changes that take time keep what comes `then`, and when it
    began on the monotonic clock, in `wiping`."""

    def device_state(self, device: dict, key: str) -> dict:
        """A device as it is by now; `key` names the member that says its state."""
        wiping = device.get("wiping")
        shown = {name: value for name, value in device.items() if name != "wiping"}
        if wiping and time.monotonic() >= wiping["since"] + self.settings["wipe_seconds"]:
            shown[key] = wiping["then"]
        return shown

    def show_phone(self, phone: dict) -> dict:
        shown = self.device_state(phone, "status")
        if self.settings["status_in_words"]:
            shown["status"] = shown["status"].replace("_", " ").title()
        return shown

    def _phone(self, key: str) -> dict:
        phone = self.store.get("mobile_devices", key)
        if phone is not None:
            return phone
        if any(item["deviceId"] == key for item in self.store.all("mobile_devices")):
            # The other id of the same phone is no "not found" to Google.
            raise refuse("internalError")
        raise refuse("notFound", "Resource Not Found: resourceId")

    @call("GET", PHONES, MOBILE, MOBILE + ".action", MOBILE + ".readonly")
    def list_phones(self, request: Request, customer: str) -> Answer:
        self.check_customer(customer)
        found = [self.show_phone(phone) for phone in self.store.all("mobile_devices")
                 if _phone_matches(self.device_state(phone, "status"), request.params.get("query", ""))]
        if request.params.get("projection", "FULL").upper() == "BASIC":
            found = [{key: value for key, value in phone.items() if key not in ("imei", "meid", "wifiMacAddress")}
                     for phone in found]
        return Answer(200, {"kind": "admin#directory#mobiledevices",
                            **page(request, found, "mobiledevices", largest=100)})

    @call("GET", PHONES + "/{key}", MOBILE, MOBILE + ".action", MOBILE + ".readonly")
    def get_phone(self, request: Request, customer: str, key: str) -> Answer:
        self.check_customer(customer)
        return Answer(200, self.show_phone(self._phone(key)))

    @call("POST", PHONES + "/{key}/action", MOBILE, MOBILE + ".action")
    def act_on_phone(self, request: Request, customer: str, key: str) -> Answer:
        self.check_customer(customer)
        phone, action = self._phone(key), str(read_object(request).get("action"))
        if action not in ACTIONS:
            raise refuse("invalid", "Invalid Input: action")
        if action.startswith("cancel") and self.device_state(phone, "status")["status"] != "WIPING":
            raise refuse("badRequest")
        status, then = ACTIONS[action]
        if self.device_state(phone, "status")["status"] in (status, then):
            return Answer(204)
        self.store.put("mobile_devices", phone["resourceId"], _changing({**phone, "status": status}, then))
        return Answer(204)

    # Cloud Identity.

    def _show_device(self, device: dict) -> dict:
        return self.device_state(device, "managementState")

    def _device(self, kind: str, name: str) -> dict:
        device = self.store.get(kind, name)
        if device is None:
            raise refusal("notFound", shape=STATUS)
        return device

    def _check_body(self, request: Request) -> None:
        self._check_identity_customer(str(read_object(request, STATUS).get("customer", "customers/my_customer")))

    def _check_identity_customer(self, name: str) -> None:
        if name not in ("customers/my_customer", "customers/" + self.settings["customer"]):
            raise refusal("forbidden", "The caller does not have permission", shape=STATUS)

    @call("GET", "/v1/devices", DEVICES, DEVICES + ".readonly")
    def list_devices(self, request: Request) -> Answer:
        params = request.params
        self._check_identity_customer(params.get("customer") or "customers/my_customer")
        address = _filter_address(params.get("filter", ""))
        owned = {user["name"].rpartition("/deviceUsers/")[0] for user in self.store.all("device_users")
                 if address in (None, user["userEmail"])}
        found = [self._show_device(device) for device in self.store.all("devices")
                 if address is None or device["name"] in owned]
        return Answer(200, page(request, found, "devices", largest=100, size="pageSize", default=20, shape=STATUS))

    @call("GET", "/v1/devices/{device}", DEVICES, DEVICES + ".readonly")
    def get_device(self, request: Request, device: str) -> Answer:
        return Answer(200, self._show_device(self._device("devices", f"devices/{device}")))

    @call("GET", "/v1/devices/{device}/deviceUsers", DEVICES, DEVICES + ".readonly")
    def list_device_users(self, request: Request, device: str) -> Answer:
        self._check_identity_customer(request.params.get("customer") or "customers/my_customer")
        address = _filter_address(request.params.get("filter", ""))
        found = [self._show_device(user) for user in self.store.all("device_users")
                 if address in (None, user["userEmail"]) and (device == "-" or user["name"].split("/")[1] == device)]
        return Answer(200, page(request, found, "deviceUsers", largest=20, size="pageSize", default=5, shape=STATUS))

    @call("GET", "/v1/devices/{device}/deviceUsers/{user}", DEVICES, DEVICES + ".readonly")
    def get_device_user(self, request: Request, device: str, user: str) -> Answer:
        return Answer(200, self._show_device(self._device("device_users", f"devices/{device}/deviceUsers/{user}")))

    @call("POST", "/v1/devices/{device}:wipe", DEVICES)
    def wipe_device(self, request: Request, device: str) -> Answer:
        self._check_body(request)
        return self._wipe("devices", f"devices/{device}", "WipeDeviceResponse", "device")

    @call("POST", "/v1/devices/{device}/deviceUsers/{user}:wipe", DEVICES)
    def wipe_account(self, request: Request, device: str, user: str) -> Answer:
        self._check_body(request)
        return self._wipe("device_users", f"devices/{device}/deviceUsers/{user}", "WipeDeviceUserResponse", "deviceUser")

    @call("POST", "/v1/devices/{device}:cancelWipe", DEVICES)
    def cancel_device_wipe(self, request: Request, device: str) -> Answer:
        self._check_body(request)
        return self._cancel("devices", f"devices/{device}", "CancelWipeDeviceResponse", "device")

    @call("POST", "/v1/devices/{device}/deviceUsers/{user}:cancelWipe", DEVICES)
    def cancel_account_wipe(self, request: Request, device: str, user: str) -> Answer:
        self._check_body(request)
        return self._cancel("device_users", f"devices/{device}/deviceUsers/{user}", "CancelWipeDeviceUserResponse",
                            "deviceUser")

    def _wipe(self, kind: str, name: str, answer: str, member: str) -> Answer:
        held = self._device(kind, name)
        if self._show_device(held)["managementState"] in ("WIPING", "WIPED"):
            raise refusal("failedPrecondition", "The device is being wiped or has been wiped.", shape=STATUS)
        changed = _changing({**held, "managementState": "WIPING"}, "WIPED")
        self.store.put(kind, name, changed)
        return self._operation(changed, answer, member)

    def _cancel(self, kind: str, name: str, answer: str, member: str) -> Answer:
        held = self._device(kind, name)
        if self._show_device(held)["managementState"] != "WIPING":
            raise refusal("failedPrecondition", "No wipe is pending.", shape=STATUS)
        changed = _changing({**held, "managementState": "APPROVED"}, None)
        self.store.put(kind, name, changed)
        return self._operation(changed, answer, member)

    def _operation(self, device: dict, answer: str, member: str) -> Answer:
        """The operation is done when the order is taken; the device itself takes its time."""
        kind = f"type.googleapis.com/google.apps.cloudidentity.devices.v1.{answer}"
        return Answer(200, {"name": f"operations/{self.store.next_number('operation', 10 ** 17)}", "done": True,
                            "response": {"@type": kind, member: self._show_device(device)}})

    # State for tests.

    def seed_phone(self, given: dict) -> None:
        """Merge a phone by resourceId; `email`: an address or a list."""
        number = self.store.next_number("phone")
        key = given.setdefault("resourceId", f"AFiQxQ8Resource{number}")
        if isinstance(given.get("email"), str):
            given["email"] = [given["email"]]
        phone = self.store.get("mobile_devices", key) or {
            "kind": "admin#directory#mobiledevice", "deviceId": f"device{number}", "status": "APPROVED", "email": [],
            "type": "ANDROID", "model": "Pixel 8", "os": "Android 15"}
        self.store.put("mobile_devices", key, {**phone, **given})

    def seed_device(self, given: dict) -> None:
        """Merge a device by name; `users`: addresses of its users or {userEmail, ...}."""
        number = self.store.next_number("device", 10 ** 9)
        name = given.setdefault("name", f"devices/{number}")
        users = given.pop("users", [])
        device = self.store.get("devices", name) or {"deviceType": "MAC_OS", "serialNumber": f"C02{number}",
                                                     "ownerType": "COMPANY", "managementState": "APPROVED"}
        self.store.put("devices", name, {**device, **given})
        for user in users:
            user = {"userEmail": user} if isinstance(user, str) else user
            key = user.get("name") or f"{name}/deviceUsers/{self.store.next_number('device user', 10 ** 9)}"
            self.store.put("device_users", key, {"managementState": "APPROVED", **user, "name": key})


def _changing(device: dict, then: str | None) -> dict:
    """The device with its next state, if there is one."""
    device = {key: value for key, value in device.items() if key != "wiping"}
    return {**device, "wiping": {"then": then, "since": time.monotonic()}} if then else device


def _phone_matches(phone: dict, query: str) -> bool:
    """Terms FIELD:VALUE; an address is found by any part of it, so another one's phone may be."""
    for term in query.split():
        name, colon, value = term.partition(":")
        if not colon or name not in ("email", "status", "type", "serial", "id", "name"):
            raise refuse("invalid", "Invalid Input: query")
        key = {"serial": "serialNumber", "id": "deviceId"}.get(name, name)
        held = phone.get(key, "")
        if not any(value.strip("'\"").lower() in text.lower() for text in (held if isinstance(held, list) else [held])):
            return False
    return True


def _filter_address(text: str) -> str | None:
    """The address of a filter `email:ADDRESS`, None without a filter."""
    if not text:
        return None
    found = re.fullmatch(r"""email:["']?([^\s"']+)["']?""", text)
    if found is None:
        raise refusal("invalidArgument", "Invalid filter", shape=STATUS)
    return found[1].lower()
