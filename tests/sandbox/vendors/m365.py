"""Microsoft 365: one tenant, seen through Microsoft Graph and through Exchange Online's admin endpoint.

Both are told apart by their paths, which are Microsoft's own. What a test does to a mailbox by the one is seen by the other.
"""

import math
import uuid

from core.vendor import Answer, Request, Vendor
from vendors import exchange_admin
from vendors.entra_tokens import Tokens
from vendors.graph_answers import CODES, Pages, error_body
from vendors.graph_devices import Devices
from vendors.graph_groups import Groups
from vendors.graph_users import Users

GRAPH = "https://graph.microsoft.com"
MAILBOX_SKU, OTHER_SKU = "6fd2c87f-b296-42f0-b197-1e91e994b900", "f30db892-07e9-47e9-837c-80727f46fd3d"
PASSWORD = {"@odata.type": "#microsoft.graph.passwordAuthenticationMethod", "id": "28c10230-6103-485e-b985-444c60001490",
            "password": None}


class M365(Pages, Users, Groups, Devices, Tokens, exchange_admin.ExchangeAdmin, Vendor):
    """One tenant. A user is JSON in Graph's words, with `methods` and `licenses` (direct ones) beside them."""

    DEFAULTS = {
        **Tokens.TOKEN_SETTINGS,
        "read_lag": 0.0,                    # seconds until reads of the directory see a change
        "page_size": None,                  # the most of a list's objects on a page, whatever is asked for; null: 999
        "app_is_admin": False,              # the application holds a directory role, and so reaches administrators
        "mailbox_skus": [MAILBOX_SKU],      # a person's mailbox lives as long as there is one of them
        "sold_out": [],                     # SKUs without licences left
        "casts": True,                      # false: casts of an advanced query are not heeded either
        "root_sharing": True,               # a OneDrive's root can be shared
        "cmdlet_page": 1000,                # objects on a page of a cmdlet's answer
    }
    SECRETS = ("client_secret",)
    SEED_KEYS = ("users", "groups", "units", "role_assignments", "grants", "app_roles", "devices", "managed_devices", "drives",
                 "mailboxes", "lists")
    RESOURCES = (GRAPH, exchange_admin.RESOURCE)

    def resource_of(self, request: Request) -> str:
        return exchange_admin.RESOURCE if request.path.startswith("/adminapi/") else GRAPH

    # Refusing.

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, error_body(CODES.get(status, "UnknownError"), message))

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = Answer(429, error_body("TooManyRequests", "Please retry again later."))
        answer.headers["Retry-After"] = str(max(1, math.ceil(wait)))
        return answer

    def unknown_path(self, request: Request) -> Answer:
        return Answer(400, error_body("BadRequest", f"Resource not found for the segment '{request.path.rpartition('/')[2]}'."))

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users merge by `id` or `userPrincipalName`, groups by `displayName`; people in other objects are named by either."""
        for given in state.get("users", []):
            self._seed_user(given)
        for given in state.get("groups", []):
            self._seed_group(given)
        for kind, make in (("units", self._new_unit), ("role_assignments", self._new_role), ("grants", self.new_grant), ("app_roles", self.new_assignment),
                           ("devices", self._new_device), ("managed_devices", self._new_managed), ("drives", self._new_drive)):
            for given in state.get(kind, []):
                make(self._resolved(given))
        for given in state.get("mailboxes", []):
            self.seed_mailbox(given)
        for given in state.get("lists", []):
            self.seed_list(given)

    def _resolved(self, given):
        """`given`, with a user's id for each user principal name."""
        if isinstance(given, dict):
            return {key: value if key == "@odata.type" else self._resolved(value) for key, value in given.items()}
        if isinstance(given, list):
            return [self._resolved(value) for value in given]
        found = self.find_user(given) if isinstance(given, str) and "@" in given else None
        return found["id"] if found else given

    def _seed_user(self, given: dict) -> None:
        """`mailbox`: false for none, or members of it; `drive`: false for none."""
        name = given.get("userPrincipalName", "")
        held = self.find_user(given.get("id") or name)
        if held is None and "@" not in name:
            raise ValueError(f"{self.name}: users: userPrincipalName is missing")
        mailbox, drive = given.pop("mailbox", {}), given.pop("drive", {})
        old = "2026-01-01T00:00:00Z"
        made = held or {"id": str(uuid.uuid4()), "userPrincipalName": name, "mail": name, "displayName": name.partition("@")[0],
                        "accountEnabled": True, "userType": "Member", "employeeId": None, "onPremisesSyncEnabled": None,
                        "proxyAddresses": [f"SMTP:{name}"], "usageLocation": "DE", "signInSessionsValidFromDateTime": old,
                        "lastPasswordChangeDateTime": old, "licenses": [], "methods": [PASSWORD]}
        licences = [{"disabledPlans": [], **one} for one in given.get("licenses", made["licenses"])]
        user = {**made, **given, "licenses": licences}
        self.store.put("users", user["id"], user)
        if held is None and mailbox is not False:
            self.store.put("mailboxes", user["id"], {**exchange_admin.new_mailbox(user["id"], user["mail"] or name), **mailbox})
        if held is None and drive is not False:
            self._new_drive({"owner": user["id"], **drive})

    def _seed_group(self, given: dict) -> None:
        held = next((one for one in self.store.all("groups") if one["displayName"] == given.get("displayName")), None)
        made = held or {"id": str(uuid.uuid4()), "displayName": "", "groupTypes": [], "mailEnabled": False,
                        "securityEnabled": True,
                        "isAssignableToRole": None, "onPremisesSyncEnabled": None, "membershipRule": None, "assignedLicenses": [],
                        "members": [], "owners": []}
        both = {**made, **self._resolved(given)}
        both["assignedLicenses"] = [{"disabledPlans": [], **one} for one in both["assignedLicenses"]]
        self.store.put("groups", both["id"], both)

    def _put(self, kind: str, made: dict) -> None:
        self.store.put(kind, made["id"], made)

    def _new_unit(self, given: dict) -> None:
        self._put("units", {"id": str(uuid.uuid4()), "displayName": "Branch", "members": [], **given})

    def _new_role(self, given: dict) -> None:
        self._put("role_assignments", {"id": uuid.uuid4().hex, "roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10",
                                       "directoryScopeId": "/", **given})

    def _new_device(self, given: dict) -> None:
        users = given.get("registeredUsers", [])
        self._put("devices", {"id": str(uuid.uuid4()), "deviceId": str(uuid.uuid4()), "displayName": "Laptop",
                              "accountEnabled": True,
                              "operatingSystem": "Windows", "registeredOwners": users, **given})

    def _new_managed(self, given: dict) -> None:
        self._put("managed_devices", {"id": str(uuid.uuid4()), "deviceName": "Phone", "managedDeviceOwnerType": "personal",
                                      "operatingSystem": "iOS", "deviceActionResults": [], **given})

    def _new_drive(self, given: dict) -> None:
        held = next((one for one in self.store.all("drives") if one["owner"] == given["owner"]), None)
        made = held or {"id": "b!" + uuid.uuid4().hex, "root": "01" + uuid.uuid4().hex.upper(), "driveType": "business",
                        "webUrl": f"https://sandbox-my.sharepoint.com/personal/{given['owner']}",
                        "permissions": [{"id": uuid.uuid4().hex, "roles": ["owner"],
                                         "grantedToV2": {"user": {"id": given["owner"]}}}]}
        more = [{"id": uuid.uuid4().hex, "roles": ["write"], **one} for one in given.pop("permissions", [])]
        self._put("drives", {**made, **given, "permissions": [*made["permissions"], *more]})

    def export(self) -> dict:
        return {kind: list(self.store.all(kind)) for kind in self.SEED_KEYS}
