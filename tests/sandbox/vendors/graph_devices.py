"""Microsoft Graph: devices of the directory, devices managed by Intune, and the person's OneDrive."""

import uuid

from core.vendor import Answer, Request
from vendors.entra_tokens import now_text
from vendors.graph_answers import call, context, not_found, read_object, refusal, selected

DEVICE = ("id", "deviceId", "displayName", "accountEnabled", "operatingSystem")
MANAGED = frozenset(("id", "deviceName", "userId", "managedDeviceOwnerType", "operatingSystem", "deviceActionResults"))
INTUNE = ("DeviceManagementManagedDevices.Read.All", "DeviceManagementManagedDevices.ReadWrite.All")
FILES = ("Files.ReadWrite.All", "Sites.ReadWrite.All")


class Devices:
    """Devices and drives. Part of the vendor."""

    @call("GET", "/users/{key}/registeredDevices", "User.Read.All", "Directory.Read.All", "User.ReadWrite.All")
    def list_devices(self, request: Request, key: str) -> Answer:
        user = self.user(key)["id"]
        found = [{"@odata.type": "#microsoft.graph.device", **{name: one[name] for name in DEVICE}}
                 for one in self.seen_all("devices") if user in one["registeredUsers"]]
        return self.page(request, found, "directoryObjects")

    def _device(self, key: str) -> dict:
        found = self.store.get("devices", key)
        if found is None:
            raise not_found(key)
        return found

    @call("GET", "/devices/{key}/registeredOwners", "Device.Read.All", "Device.ReadWrite.All", "Directory.Read.All")
    def list_device_owners(self, request: Request, key: str) -> Answer:
        people = [{"@odata.type": "#microsoft.graph.user", "id": one} for one in self._device(key)["registeredOwners"]]
        return self.page(request, people, "directoryObjects")

    @call("PATCH", "/devices/{key}", "Device.ReadWrite.All", "Directory.ReadWrite.All")
    def update_device(self, request: Request, key: str) -> Answer:
        device, given = self._device(key), read_object(request)
        if set(given) != {"accountEnabled"}:
            raise refusal(400, "The sandbox updates accountEnabled.")
        self.store.put("devices", key, {**device, "accountEnabled": given["accountEnabled"] is True})
        return Answer(204)

    # Intune.

    @call("GET", "/users/{key}/managedDevices", *INTUNE)
    def list_managed(self, request: Request, key: str) -> Answer:
        user = self.user(key)["id"]
        found = [selected(request, one, MANAGED) for one in self.seen_all("managed_devices") if one["userId"] == user]
        return self.page(request, found, "managedDevices", default=999)

    def _managed(self, key: str) -> dict:
        found = self.store.get("managed_devices", key)
        if found is None:
            raise refusal(404, f"{{\"_version\": 3, \"Message\": \"Device with ID {key} not found\"}}", "ResourceNotFound")
        return found

    @call("GET", "/deviceManagement/managedDevices/{key}", *INTUNE)
    def get_managed(self, request: Request, key: str) -> Answer:
        shown = selected(request, self.seen("managed_devices", key) or self._managed(key), MANAGED)
        return Answer(200, {**context(request, "deviceManagement/managedDevices/$entity"), **shown})

    @call("POST", "/deviceManagement/managedDevices/{key}/retire", "DeviceManagementManagedDevices.PrivilegedOperations.All")
    def retire(self, request: Request, key: str) -> Answer:
        device = self._managed(key)
        asked = {"actionName": "retire", "actionState": "pending", "startDateTime": now_text(), "lastUpdatedDateTime": now_text()}
        self.store.put("managed_devices", key, {**device, "deviceActionResults": [*device["deviceActionResults"], asked],
                                                "retired": device.get("retired", 0) + 1})
        return Answer(204)

    # OneDrive.

    def _drive_of(self, key: str) -> dict:
        user = self.user(key)
        found = next((one for one in self.store.all("drives") if one["owner"] == user["id"]), None)
        if found is None:
            raise refusal(404, "User's mysite not found.", "ResourceNotFound")
        return found

    @call("GET", "/users/{key}/drive/root", "Files.Read.All", *FILES)
    def get_root(self, request: Request, key: str) -> Answer:
        drive = self._drive_of(key)
        shown = {"id": drive["root"], "name": "root", "webUrl": drive["webUrl"], "root": {},
                 "parentReference": {"driveType": drive["driveType"], "driveId": drive["id"]}}
        return Answer(200, {**context(request, "driveItems/$entity"), **selected(request, shown, frozenset(shown))})

    def _drive(self, key: str, item: str) -> dict:
        """The drive whose root an item is: the sandbox's drives hold nothing else."""
        found = self.store.get("drives", key)
        if found is None or found["root"] != item:
            raise refusal(404, "The resource could not be found.", "itemNotFound")
        return found

    @call("GET", "/drives/{key}/items/{item}/permissions", "Files.Read.All", *FILES)
    def list_permissions(self, request: Request, key: str, item: str) -> Answer:
        drive = self._drive(key, item)
        return self.page(request, (self.seen("drives", key) or drive)["permissions"], "permissions")

    @call("POST", "/drives/{key}/items/{item}/invite", *FILES)
    def invite(self, request: Request, key: str, item: str) -> Answer:
        drive, given = self._drive(key, item), read_object(request)
        if not self.settings["root_sharing"]:
            raise refusal(403, "Access denied", "accessDenied")
        people = [self._recipient(one) for one in given.get("recipients") or []]
        if not people or given.get("roles") not in (["read"], ["write"]) or given.get("requireSignIn") is not True:
            raise refusal(400, "One of the provided arguments is not acceptable.", "invalidRequest")
        made = [{"id": uuid.uuid4().hex, "roles": given["roles"], "grantedToV2": {"user": {
            "id": one["id"], "email": one["mail"], "displayName": one["displayName"]}}} for one in people]
        self.store.put("drives", key, {**drive, "permissions": [*drive["permissions"], *made]})
        return Answer(200, {**context(request, "Collection(permission)"), "value": made})

    def _recipient(self, given: dict) -> dict:
        key = given.get("objectId") or given.get("email") or ""
        found = self.find_user(key) or next((one for one in self.store.all("users") if one["mail"] == key), None)
        if found is None:
            raise refusal(400, "The sharing recipient could not be resolved.", "invalidRequest")
        return found

    @call("DELETE", "/drives/{key}/items/{item}/permissions/{permission}", *FILES)
    def remove_permission(self, request: Request, key: str, item: str, permission: str) -> Answer:
        drive = self._drive(key, item)
        found = next((one for one in drive["permissions"] if one["id"] == permission), None)
        if found is None:
            raise refusal(404, "The resource could not be found.", "itemNotFound")
        if "owner" in found["roles"]:
            raise refusal(403, "Access denied", "accessDenied")
        self.store.put("drives", key, {**drive, "permissions": [one for one in drive["permissions"] if one is not found]})
        return Answer(204)
