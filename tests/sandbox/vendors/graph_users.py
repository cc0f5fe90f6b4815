"""Microsoft Graph: users, their sessions, passwords, authentication methods, licences, and the settings of their mailboxes."""

import hashlib
from datetime import datetime, timedelta, timezone

from core.vendor import Answer, Request
from vendors.entra_tokens import now_text
from vendors.graph_answers import call, context, filter_of, not_found, read_object, refusal, selected

USUAL = frozenset(("id", "userPrincipalName", "displayName", "mail", "givenName", "surname", "jobTitle", "officeLocation",
                   "businessPhones", "mobilePhone", "preferredLanguage"))
ON_REQUEST = frozenset(("accountEnabled", "userType", "employeeId", "onPremisesSyncEnabled", "proxyAddresses", "usageLocation",
                        "signInSessionsValidFromDateTime", "lastPasswordChangeDateTime", "assignedLicenses",
                        "licenseAssignmentStates"))
KNOWN = USUAL | ON_REQUEST
FILTERED = frozenset(("id", "userPrincipalName", "mail", "employeeId", "displayName", "proxyAddresses"))
READ = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
METHODS = ("UserAuthenticationMethod.Read.All", "UserAuthenticationMethod.ReadWrite.All")
SYNCED = ("Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently "
          "undergoing migration.")
AUDIENCES, STATES = ("none", "contactsOnly", "all"), ("disabled", "alwaysEnabled", "scheduled")
NO_REPLY = {"status": "disabled", "externalAudience": "all", "internalReplyMessage": "", "externalReplyMessage": "",
            "scheduledStartDateTime": {"dateTime": "2016-03-19T02:00:00.0000000", "timeZone": "UTC"},
            "scheduledEndDateTime": {"dateTime": "2016-03-20T02:00:00.0000000", "timeZone": "UTC"}}


def later_than(text: str) -> str:
    """Now, and at least a second after `text`: these times have whole seconds."""
    least = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) + timedelta(seconds=1)
    return max(now_text(), least.strftime("%Y-%m-%dT%H:%M:%SZ"))


def in_html(text: str) -> str:
    """An automatic reply as Exchange gives it back."""
    return text if not text or text.startswith("<html>") else f"<html>\n<body>\n{text}\n</body>\n</html>\n"


class Users:
    """Users. Part of the vendor."""

    def find_user(self, key: str) -> dict | None:
        """By id or user principal name, as it is stored, to read only."""
        return self.store.get("users", key) or next(
            (user for user in self.store.all("users") if user["userPrincipalName"].lower() == key.lower()), None)

    def user(self, key: str) -> dict:
        found = self.find_user(key)
        if found is None:
            raise not_found(key)
        return found

    def seen_user(self, key: str) -> dict:
        return self.seen("users", self.user(key)["id"]) or self.user(key)

    def show_user(self, user: dict) -> dict:
        """The resource, with the licences of groups among its own."""
        states = [{"skuId": one["skuId"], "disabledPlans": one["disabledPlans"], "assignedByGroup": group, "state": "Active",
                   "error": "None"}
                  for group, one in self.licences(user)]
        assigned = {one["skuId"]: {"skuId": one["skuId"], "disabledPlans": one["disabledPlans"]} for one in states}
        return {**{name: user.get(name) for name in KNOWN}, "licenseAssignmentStates": states,
                "assignedLicenses": list(assigned.values())}

    def licences(self, user: dict) -> list[tuple[str | None, dict]]:
        """(group or None, licence) as the reads see them."""
        groups = [group for group in self.seen_all("groups") if user["id"] in group["members"]]
        inherited = [(group["id"], one) for group in groups for one in group["assignedLicenses"]]
        return [(None, one) for one in user["licenses"]] + inherited

    @call("GET", "/users", *READ)
    def list_users(self, request: Request) -> Answer:
        wanted = filter_of(request, FILTERED)
        found = [selected(request, self.show_user(user), KNOWN, USUAL) for user in self.seen_all("users") if wanted(user)]
        return self.page(request, found, "users")

    @call("GET", "/users/{key}", *READ)
    def get_user(self, request: Request, key: str) -> Answer:
        shown = selected(request, self.show_user(self.seen_user(key)), KNOWN, USUAL)
        return Answer(200, {**context(request, "users/$entity"), **shown})

    @call("GET", "/users/{key}/manager", *READ)
    def get_manager(self, request: Request, key: str) -> Answer:
        """`manager` of a user in the store is a user principal name."""
        name = self.user(key).get("manager")
        found = self.find_user(name) if name else None
        if found is None:
            raise not_found("manager")
        return Answer(200, {**context(request, "directoryObjects/$entity"), "@odata.type": "#microsoft.graph.user",
                            **selected(request, self.show_user(found), KNOWN, USUAL)})

    # The end: what is deleted can be restored, with its groups and its mailbox.

    @call("DELETE", "/users/{key}", "User.DeleteRestore.All", "User.ReadWrite.All")
    def delete_user(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        self._protected(user)
        if user["onPremisesSyncEnabled"]:
            raise refusal(400, SYNCED)
        mailbox = self.store.get("mailboxes", user["id"])
        lost = bool(mailbox) and not mailbox.get("deleted")
        self.store.put("deleted_users", user["id"], {**user, "with_mailbox": lost})
        self.store.remove("users", user["id"])
        if lost:
            self.store.put("mailboxes", user["id"], {**mailbox, "deleted": True})
        return Answer(204)

    @call("POST", "/directory/deletedItems/{key}/restore", "User.DeleteRestore.All")
    def restore_user(self, request: Request, key: str) -> Answer:
        user = dict(self.store.get("deleted_users", key) or {})
        if not user:
            raise not_found(key)
        self.store.remove("deleted_users", key)
        if user.pop("with_mailbox"):
            self.store.put("mailboxes", key, {**self.store.get("mailboxes", key), "deleted": False})
        self.store.put("users", key, user)
        return Answer(200, {**context(request, "directoryObjects/$entity"), "@odata.type": "#microsoft.graph.user", "id": key})

    # Sessions, state, password.

    def is_admin(self, user: dict) -> bool:
        """A holder of a role, or a member of a group that can hold one: ordinary permissions don't reach those."""
        held = any(one["principalId"] == user["id"] for one in self.store.all("role_assignments"))
        return held or any(group["isAssignableToRole"] and user["id"] in group["members"] for group in self.store.all("groups"))

    def _protected(self, user: dict) -> None:
        if self.is_admin(user) and not self.settings["app_is_admin"]:
            raise refusal(403, "Insufficient privileges to complete the operation.")

    @call("POST", "/users/{key}/revokeSignInSessions", "User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All")
    def revoke_sessions(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        if user["userType"] != "Guest":     # whose sessions are those of another tenant
            at = later_than(user["signInSessionsValidFromDateTime"])
            self.store.put("users", user["id"], {**user, "signInSessionsValidFromDateTime": at})
        return Answer(200, {**context(request, "Edm.Boolean"), "value": True})

    @call("PATCH", "/users/{key}", "User.ReadWrite.All", "Directory.ReadWrite.All", "User.EnableDisableAccount.All",
          "User-PasswordProfile.ReadWrite.All")
    def update_user(self, request: Request, key: str) -> Answer:
        user, given = dict(self.user(key)), read_object(request)
        self._protected(user)
        if not given or set(given) - {"accountEnabled", "passwordProfile"}:
            raise refusal(400, "The sandbox updates accountEnabled and passwordProfile.")
        if "accountEnabled" in given:
            self._need("User.EnableDisableAccount.All")
            user["accountEnabled"] = given["accountEnabled"] is True
        if "passwordProfile" in given:
            self._need("User-PasswordProfile.ReadWrite.All")
            if user["onPremisesSyncEnabled"]:
                raise refusal(400, SYNCED)
            self._take_password(user, given["passwordProfile"].get("password"))
        self.store.put("users", user["id"], user)
        return Answer(204)

    def _need(self, permission: str) -> None:
        if not self.may(permission, "User.ReadWrite.All", "Directory.ReadWrite.All"):
            raise refusal(403, "Insufficient privileges to complete the operation.")

    def _take_password(self, user: dict, password: object) -> None:
        kinds = [str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum()]
        text = password if isinstance(password, str) else ""
        if not 8 <= len(text) <= 256 or sum(any(kind(c) for c in text) for kind in kinds) < 3:
            raise refusal(400, "The specified password does not comply with password complexity requirements. Please provide a "
                               "different password.")
        user["password"] = hashlib.sha256(text.encode()).hexdigest()
        user["lastPasswordChangeDateTime"] = later_than(user["lastPasswordChangeDateTime"])

    # Authentication methods.

    @call("GET", "/users/{key}/authentication/methods", *METHODS)
    def list_methods(self, request: Request, key: str) -> Answer:
        shown = [{name: value for name, value in method.items() if name != "default"}
                 for method in self.seen_user(key)["methods"]]
        return self.page(request, shown, "users/authentication/methods")

    @call("DELETE", "/users/{key}/authentication/{kind}/{method}", "UserAuthenticationMethod.ReadWrite.All")
    def delete_method(self, request: Request, key: str, kind: str, method: str) -> Answer:
        user, wanted = self.user(key), f"#microsoft.graph.{kind.removesuffix('Methods')}AuthenticationMethod"
        if kind == "passwordMethods" or not kind.endswith("Methods"):
            raise refusal(400, f"Resource not found for the segment '{kind}'.", "BadRequest")
        found = next((one for one in user["methods"] if one["id"] == method and one["@odata.type"] == wanted), None)
        if found is None:
            raise refusal(404, "Authentication method not found.", "resourceNotFound")
        others = [one for one in user["methods"] if one is not found]
        if found.get("default") and any("password" not in one["@odata.type"] for one in others):
            raise refusal(400, f"The requested authentication method id of [{method}] matches the user's current default "
                               f"authentication method, "
                          "and cannot be deleted until the default authentication method is changed", "badRequest")
        self.store.put("users", user["id"], {**user, "methods": others})
        return Answer(204)

    # Licences.

    @call("POST", "/users/{key}/assignLicense", "LicenseAssignment.ReadWrite.All", "User.ReadWrite.All",
          "Directory.ReadWrite.All")
    def assign_licence(self, request: Request, key: str) -> Answer:
        user, given = dict(self.user(key)), read_object(request)
        for name in ("addLicenses", "removeLicenses"):
            if not isinstance(given.get(name), list):
                raise refusal(400, f"Missing or invalid parameter '{name}'.")
        held = {one["skuId"]: one for one in user["licenses"]}
        for sku in given["removeLicenses"]:
            if sku in held:
                del held[sku]
            elif any(one["skuId"] == sku for _, one in self.licences(user)):
                raise refusal(400, "User license is inherited from a group membership and it cannot be removed directly from "
                                   "the user.")
            else:
                raise refusal(400, "User does not have a corresponding license.")
        for one in given["addLicenses"]:
            if one["skuId"] in self.settings["sold_out"]:
                raise refusal(400, f"Subscription with SKU {one['skuId']} does not have any available licenses.")
            held[one["skuId"]] = {"skuId": one["skuId"], "disabledPlans": one.get("disabledPlans", [])}
        user["licenses"] = list(held.values())
        self.store.put("users", user["id"], user)
        self.settle_mailbox(user)
        return Answer(200, {**context(request, "users/$entity"), "id": user["id"]})

    def settle_mailbox(self, user: dict) -> None:
        """A person's mailbox lives by its licence; a shared one needs none."""
        mailbox = self.store.get("mailboxes", user["id"])
        groups = [group for group in self.store.all("groups") if user["id"] in group["members"]]
        inherited = [one for group in groups for one in group["assignedLicenses"]]
        skus = {one["skuId"] for one in [*user["licenses"], *inherited]}
        if mailbox and mailbox["RecipientTypeDetails"] == "UserMailbox" and not skus & set(self.settings["mailbox_skus"]):
            self.store.put("mailboxes", user["id"], {**mailbox, "deleted": True})

    # Mailbox settings.

    def _mailbox_of(self, key: str) -> dict:
        user = self.find_user(key)
        if user is None:
            raise refusal(404, f"The requested user '{key}' is invalid.", "ErrorInvalidUser")
        mailbox = self.store.get("mailboxes", user["id"])
        if mailbox is None or mailbox.get("deleted"):
            raise refusal(404, "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
                          "MailboxNotEnabledForRESTAPI")
        return mailbox

    @call("GET", "/users/{key}/mailboxSettings/userPurpose", "MailboxSettings.Read", "MailboxSettings.ReadWrite")
    def get_purpose(self, request: Request, key: str) -> Answer:
        kinds = {"UserMailbox": "user", "SharedMailbox": "shared", "RoomMailbox": "room", "EquipmentMailbox": "equipment"}
        name = f"users('{key}')/mailboxSettings/userPurpose"
        return Answer(200, {**context(request, name), "value": kinds[self._mailbox_of(key)["RecipientTypeDetails"]]})

    @call("GET", "/users/{key}/mailboxSettings/automaticRepliesSetting", "MailboxSettings.Read", "MailboxSettings.ReadWrite")
    def get_reply(self, request: Request, key: str) -> Answer:
        held = self._mailbox_of(key)["auto_reply"] or NO_REPLY
        return Answer(200, {**context(request, f"users('{key}')/mailboxSettings/automaticRepliesSetting"), **held})

    @call("PATCH", "/users/{key}/mailboxSettings", "MailboxSettings.ReadWrite")
    def update_settings(self, request: Request, key: str) -> Answer:
        mailbox, given = self._mailbox_of(key), read_object(request).get("automaticRepliesSetting")
        if not isinstance(given, dict) or set(given) - set(NO_REPLY):
            raise refusal(400, "The property is not one that can be set.", "ErrorInvalidProperty")
        if given.get("status", "disabled") not in STATES or given.get("externalAudience", "all") not in AUDIENCES:
            raise refusal(400, "Requested value was not found.", "RequestBodyRead")
        texts = {name: in_html(given[name]) for name in given if name.endswith("ReplyMessage")}
        held = {**(mailbox["auto_reply"] or NO_REPLY), **given, **texts}
        self.store.put("mailboxes", mailbox["ExternalDirectoryObjectId"], {**mailbox, "auto_reply": held})
        return Answer(200, {**context(request, f"users('{key}')/mailboxSettings"), "automaticRepliesSetting": held})
