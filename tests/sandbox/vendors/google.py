"""Google Workspace: one organisation, seen through the Directory, Data Transfer, Licensing, Cloud Identity and Gmail APIs.

They are told apart by their paths, which are Google's own. `google_access` grants tokens to service accounts; each API has
a module of its own.
"""

from core.vendor import Answer, Request, Vendor
from vendors.google_access import TOKEN_PATH, Access
from vendors.google_devices import Devices
from vendors.google_directory import Directory
from vendors.google_errors import DEFAULT_REASONS, REASONS, error_body
from vendors.google_gmail import Gmail
from vendors.google_groups import Groups
from vendors.google_licensing import Licensing
from vendors.google_transfer import Transfer


class Google(Access, Directory, Groups, Devices, Transfer, Licensing, Gmail, Vendor):
    """One organisation. Users are JSON in Google's words, with `tokens`, `asps`, `delegates`... beside them."""

    DEFAULTS = {
        "service_accounts": [],          # {client_email, private_key_id, public_key (PEM), revoked}; see google_account.py
        "delegated_scopes": None,        # what they may ask for when they act as somebody; null: every scope
        "grant_seconds": 3599,           # life of an access token
        "admin": "admin@example.com",    # a super admin that is always there; null: none
        "customer": "C0sandbox1",
        "org_units": ["/Former Team Members", "/No Google License"],   # beside those of seeded users
        "archived_licenses": 0,          # how many users can be archived
        "not_member": 404,               # or 412: leaving a group one is not in
        "wipe_seconds": 0.0,             # from wiping to wiped
        "status_in_words": False,        # a phone is "Account Wiped", not ACCOUNT_WIPED; Google documents neither
        "transfer_polls": 2,             # looks at a transfer until it ends
        "transfer_seconds": 0.0,         # and the least time it takes
        "transfer_fails": False,
        "delegate_lag": 0.0,             # seconds until a new delegate is listed
        "no_delegation_units": [],       # units whose policy forbids mail delegation, with what lies under them
        "auto_licensing": None,          # {productId, skuId, unlicensed: [units]}: licences by unit
        "throttle_reason": "userRateLimitExceeded",   # over rate_limit; or rateLimitExceeded, which is a 429
    }
    SECRETS = ()
    SEED_KEYS = ("users", "groups", "mobile_devices", "devices")

    def start(self) -> None:
        super().start()
        self.granted: list[dict] = []
        self.transfer_progress: dict[str, dict] = {}

    def check_settings(self, settings: dict) -> None:
        super().check_settings(settings)
        if settings["throttle_reason"] not in REASONS:
            raise ValueError(f"{self.name}: throttle_reason is one of {', '.join(REASONS)}")

    # Refusing.

    def fail(self, status: int, message: str = "") -> Answer:
        reason = DEFAULT_REASONS.get(status, "internalError")
        return Answer(status, error_body(reason, message, status=status))

    def throttled(self, request: Request, wait: float) -> Answer:
        reason = self.settings["throttle_reason"]
        return Answer(REASONS[reason][0], error_body(reason))

    def unknown_path(self, request: Request) -> Answer:
        return Answer(404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", content_type="text/html")

    def _spend(self, request: Request) -> None:
        if request.path != TOKEN_PATH:
            super()._spend(request)

    def forget_user(self, user: dict) -> None:
        """Take a deleted user out of everything."""
        for group in list(self.store.all("groups")):
            left = [member for member in group["members"] if member["id"] != user["id"]]
            self.store.put("groups", group["id"], {**group, "members": left})
        for assignment in self.roles_of(user["id"]):
            self.store.remove("role_assignments", assignment["roleAssignmentId"])
        for item in list(self.store.all("licenses")):
            if item["user"] == user["id"]:
                self.store.remove("licenses", f"{item['user']}/{item['productId']}")

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users merge by id or primaryEmail, groups by email, phones by resourceId, devices by name."""
        if self.settings["admin"] and self.find_user(self.settings["admin"]) is None:
            self.seed_user({"primaryEmail": self.settings["admin"], "isAdmin": True, "name": {"fullName": "Admin"}})
        for kind, merge in (("users", self.seed_user), ("groups", self.seed_group),
                            ("mobile_devices", self.seed_phone), ("devices", self.seed_device)):
            for given in state.get(kind, []):
                merge(given)

    def export(self) -> dict:
        plain = ("users", "deleted_users", "groups", "role_assignments")
        return {**{kind: list(self.store.all(kind)) for kind in plain}, "licenses": self.licenses(),
                "mobile_devices": [self.device_state(item, "status") for item in self.store.all("mobile_devices")],
                "devices": [self.device_state(item, "managementState") for item in self.store.all("devices")],
                "device_users": [self.device_state(item, "managementState") for item in self.store.all("device_users")],
                "transfers": [self.show_transfer(item) for item in self.store.all("transfers")], "granted": self.granted}
