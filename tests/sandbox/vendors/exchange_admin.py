"""Exchange Online's admin endpoint: cmdlets by POST, on mailboxes and distribution groups.

Microsoft publishes no specification of it; the shapes are those that its PowerShell module and the tools around it show.
"""

import json
import re
import uuid

from core.vendor import Answer, Refusal, Request, route

RESOURCE = "https://outlook.office365.com"
ADMIN = "/adminapi/beta/{tenant}/InvokeCommand"
TYPES = {"Shared": "SharedMailbox", "Regular": "UserMailbox", "Room": "RoomMailbox", "Equipment": "EquipmentMailbox"}
SELF = {"User": "NT AUTHORITY\\SELF", "AccessRights": ["FullAccess", "ReadPermission"], "Deny": False, "IsInherited": False}
OWN = ("size", "auto_reply", "deleted", "opened", "permissions")     # members of a mailbox in the store that other cmdlets show
GONE, MEMBER_GONE, MEMBER_THERE = "ManagementObjectNotFoundException", "MemberNotFoundException", "MemberAlreadyExistsException"


def cmdlet_of(request: Request) -> tuple[str, dict]:
    """Name and parameters; ("", {}) where the body is none."""
    try:
        given = request.json()["CmdletInput"]
        return str(given["CmdletName"]), dict(given.get("Parameters") or {})
    except (ValueError, KeyError, TypeError):
        return "", {}


def error_body(code: str, message: str, kind: str = "") -> dict:
    """What is wrong stands in `details`, behind the exception's name."""
    space = "Configuration.Tasks" if kind == GONE else "Management.Tasks"
    details = [{"code": "Context", "target": "",
                "message": f"Ex6F9304|Microsoft.Exchange.{space}.{kind}|{message}"}] if kind else []
    return {"error": {"code": code, "message": "Error executing cmdlet" if kind else message, "details": details,
                      "innererror": {"message": "Error executing cmdlet",
                                     "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException"}}}


def refusal(status: int, message: str, kind: str) -> Refusal:
    return Refusal(Answer(status, error_body("NotFound" if status == 404 else "BadRequest", message, kind)))


def new_mailbox(user: str, address: str, **more) -> dict:
    """A mailbox in the store; `user` is the directory's id, which is its key."""
    name = address.partition("@")[0]
    return {"Guid": str(uuid.uuid4()), "ExternalDirectoryObjectId": user, "UserPrincipalName": address,
            "PrimarySmtpAddress": address,
            "EmailAddresses": [f"SMTP:{address}"],
            "DistinguishedName": f"CN={name},OU=sandbox.example.com,DC=EURPR01,DC=PROD,DC=OUTLOOK,DC=COM",
            "RecipientTypeDetails": "UserMailbox", "HiddenFromAddressListsEnabled": False, "LitigationHoldEnabled": False,
            "LitigationHoldDuration": "Unlimited", "ArchiveStatus": "None", "InPlaceHolds": [], "IsDirSynced": False,
            "ForwardingAddress": None, "ForwardingSmtpAddress": None, "DeliverToMailboxAndForward": False,
            "size": 1288490189, "auto_reply": None, "permissions": [SELF], **more}


class ExchangeAdmin:
    """Mailboxes (kind `mailboxes`) and distribution groups (`lists`). Part of a vendor."""

    def is_changing(self, request: Request) -> bool:
        if request.path.endswith("/InvokeCommand"):
            return not cmdlet_of(request)[0].startswith("Get-")
        return super().is_changing(request)

    @route("POST", ADMIN)
    def invoke(self, request: Request, tenant: str) -> Answer:
        name, parameters = cmdlet_of(request)
        if tenant != self.settings["tenant"]:
            raise Refusal(Answer(403, error_body("Forbidden", f"The tenant {tenant} is not the token's.")))
        if not request.headers.get("x-anchormailbox"):
            raise Refusal(Answer(400, error_body("BadRequest", "X-AnchorMailbox is missing: the request could not be routed.")))
        if not self.may("Exchange.ManageAsApp"):
            raise Refusal(Answer(403, error_body("Forbidden", "The role assigned to application isn't supported in this "
                                                              "scenario.")))
        handler = _CMDLETS.get(name)
        if handler is None:
            raise refusal(404, f"The term '{name}' is not recognized as the name of a cmdlet.", "CommandNotFoundException")
        values = handler(self, parameters)
        return self._page(request, values)

    def _page(self, request: Request, values: list[dict]) -> Answer:
        size, skip = self.settings["cmdlet_page"], int(request.params.get("$skiptoken", "0"))
        answer = {"@odata.context": f"{request.origin}{request.path}/$metadata#Collection", "value": values[skip:skip + size]}
        if skip + size < len(values):
            answer["@odata.nextLink"] = f"{request.origin}{request.path}?$skiptoken={skip + size}"
        return Answer(200, answer)

    # Mailboxes.

    def _mailbox(self, parameters: dict) -> dict:
        key = str(parameters.get("Identity") or "")
        if not key:
            raise refusal(400, "Cannot bind argument to parameter 'Identity' because it is empty.", "ParameterBindingException")
        for mailbox in self.store.all("mailboxes"):
            names = [mailbox[name] for name in ("Guid", "ExternalDirectoryObjectId", "UserPrincipalName", "DistinguishedName")]
            names += [address.partition(":")[2] for address in mailbox["EmailAddresses"]]
            if not mailbox.get("deleted") and key.lower() in (name.lower() for name in names):
                return mailbox
        raise refusal(404, f"The operation couldn't be performed because object '{key}' couldn't be found on "
                           f"'EURPR01A001.PROD.OUTLOOK.COM'.", GONE)

    def get_mailbox(self, parameters: dict) -> list[dict]:
        if "Identity" in parameters:
            found = [self._mailbox(parameters)]
        else:
            found = [mailbox for mailbox in self.store.all("mailboxes") if not mailbox.get("deleted")]
            found = found[:int(parameters["ResultSize"])] if str(parameters.get("ResultSize", "")).isdigit() else found
        return [{key: value for key, value in mailbox.items() if key not in OWN} for mailbox in found]

    def get_statistics(self, parameters: dict) -> list[dict]:
        mailbox = self._mailbox(parameters)
        if mailbox.get("opened") is False:
            return []
        size = mailbox["size"]
        if size is None:
            return [{"DisplayName": mailbox["UserPrincipalName"], "ItemCount": 7, "TotalItemSize": "Unlimited"}]
        return [{"DisplayName": mailbox["UserPrincipalName"], "ItemCount": 7,
                 "TotalItemSize": f"{size / 2 ** 30:.1f} GB ({size:,} bytes)"}]

    def set_mailbox(self, parameters: dict) -> list[dict]:
        mailbox = dict(self._mailbox(parameters))
        for name, value in parameters.items():
            if name == "Type":
                if value not in TYPES:
                    raise refusal(400, f"Cannot process argument transformation on parameter 'Type': '{value}'.",
                                  "ParameterBindingException")
                mailbox["RecipientTypeDetails"] = TYPES[value]
            elif name == "HiddenFromAddressListsEnabled" and mailbox["IsDirSynced"]:
                raise refusal(400, "The operation failed because it's out of the current user's write scope: the object is being "
                              "synchronized from your on-premises organization.", "InvalidOperationInDehydratedContextException")
            elif name in ("HiddenFromAddressListsEnabled", "LitigationHoldEnabled", "LitigationHoldDuration", "ForwardingAddress",
                          "ForwardingSmtpAddress", "DeliverToMailboxAndForward"):
                mailbox[name] = value
            elif name != "Identity":
                raise refusal(400, f"A parameter cannot be found that matches parameter name '{name}'.",
                              "ParameterBindingException")
        self.store.put("mailboxes", mailbox["ExternalDirectoryObjectId"], mailbox)
        return []

    # Who may open a mailbox.

    def get_permissions(self, parameters: dict) -> list[dict]:
        name = self._mailbox(parameters)["DistinguishedName"]
        return [{"Identity": name, **one} for one in self._mailbox(parameters)["permissions"]]

    def _with_permissions(self, parameters: dict, change) -> list[dict]:
        """By the user principal name, as Exchange shows it; who is not there can be taken away, but not added."""
        if parameters.get("AccessRights") != "FullAccess":
            raise refusal(400, "The sandbox knows FullAccess.", "ParameterBindingException")
        mailbox = self._mailbox(parameters)
        self.store.put("mailboxes", mailbox["ExternalDirectoryObjectId"], {**mailbox, "permissions": change(mailbox["permissions"])})
        return []

    def add_permission(self, parameters: dict) -> list[dict]:
        name = self._mailbox({"Identity": parameters.get("User")})["UserPrincipalName"]
        made = {"User": name, "AccessRights": ["FullAccess"], "Deny": False, "IsInherited": False}
        return self._with_permissions(parameters, lambda held: [*(one for one in held if one["User"] != name), made])

    def remove_permission(self, parameters: dict) -> list[dict]:
        name = str(parameters.get("User", "")).lower()
        return self._with_permissions(parameters, lambda held: [one for one in held if one["User"].lower() != name])

    # Distribution groups.

    def _list(self, parameters: dict) -> dict:
        found = next((item for item in self.store.all("lists")
                      if parameters.get("Identity") in (item["Guid"], item["PrimarySmtpAddress"], item["DisplayName"])), None)
        if found is None:
            raise refusal(404, f"The operation couldn't be performed because object '{parameters.get('Identity')}' couldn't be "
                               f"found.", GONE)
        if found["IsDirSynced"]:
            raise refusal(400, "The action can't be performed because the object is being synchronized from your on-premises "
                               "organization.",
                          "InvalidOperationException")
        return found

    def get_lists(self, parameters: dict) -> list[dict]:
        asked = re.fullmatch(r"Members -eq '((?:[^']|'')*)'", str(parameters.get("Filter", "")))
        if not asked:
            raise refusal(400, "The filter is not one that the sandbox knows.", "ParameterBindingException")
        name = asked[1].replace("''", "'")
        user = next((item["ExternalDirectoryObjectId"] for item in self.store.all("mailboxes")
                     if item["DistinguishedName"] == name), None)
        return [{key: value for key, value in item.items() if key != "members"} for item in self.store.all("lists")
                if user in item["members"]]

    def _member(self, parameters: dict) -> tuple[dict, str]:
        if not parameters.get("BypassSecurityGroupManagerCheck"):
            raise refusal(400, "You don't have sufficient permissions. This operation can only be performed by a manager of the "
                               "group.",
                          "OperationRequiresGroupManagerException")
        found = self._list(parameters)
        return found, self._mailbox({"Identity": parameters.get("Member")})["ExternalDirectoryObjectId"]

    def remove_member(self, parameters: dict) -> list[dict]:
        found, user = self._member(parameters)
        if user not in found["members"]:
            raise refusal(400, f'The recipient "{parameters["Member"]}" isn\'t a member of the group "{found["DisplayName"]}".',
                          MEMBER_GONE)
        self.store.put("lists", found["Guid"], {**found, "members": [item for item in found["members"] if item != user]})
        return []

    def add_member(self, parameters: dict) -> list[dict]:
        found, user = self._member(parameters)
        if user in found["members"]:
            raise refusal(400, f'The recipient "{parameters["Member"]}" is already a member of the group '
                               f'"{found["DisplayName"]}".', MEMBER_THERE)
        self.store.put("lists", found["Guid"], {**found, "members": [*found["members"], user]})
        return []

    # State for tests.

    def seed_mailbox(self, given: dict) -> None:
        """By `PrimarySmtpAddress`; `ExternalDirectoryObjectId` is the user's id in the directory."""
        address = given.get("PrimarySmtpAddress", "")
        if "@" not in address:
            raise ValueError(f"{self.name}: mailboxes: PrimarySmtpAddress is missing")
        held = next((item for item in self.store.all("mailboxes") if item["PrimarySmtpAddress"] == address), None)
        held = held or new_mailbox(given.get("ExternalDirectoryObjectId") or str(uuid.uuid4()), address)
        self.store.put("mailboxes", held["ExternalDirectoryObjectId"], {**held, **given})

    def seed_list(self, given: dict) -> None:
        """By `PrimarySmtpAddress`; `members` are addresses."""
        address = given.get("PrimarySmtpAddress", "")
        held = next((item for item in self.store.all("lists") if item["PrimarySmtpAddress"] == address), None)
        members = [self._mailbox({"Identity": key})["ExternalDirectoryObjectId"] for key in given.get("members", [])]
        name = address.partition("@")[0]
        made = held or {"Guid": str(uuid.uuid4()), "DisplayName": name, "PrimarySmtpAddress": address, "IsDirSynced": False,
                        "RecipientTypeDetails": "MailUniversalDistributionGroup", "GroupType": "Universal", "members": []}
        both = {**made, **given, "members": sorted({*made["members"], *members})}
        self.store.put("lists", both["Guid"], json.loads(json.dumps(both)))


_CMDLETS = {"Get-Mailbox": ExchangeAdmin.get_mailbox, "Get-MailboxStatistics": ExchangeAdmin.get_statistics,
            "Set-Mailbox": ExchangeAdmin.set_mailbox, "Get-MailboxPermission": ExchangeAdmin.get_permissions,
            "Add-MailboxPermission": ExchangeAdmin.add_permission, "Remove-MailboxPermission": ExchangeAdmin.remove_permission,
            "Get-DistributionGroup": ExchangeAdmin.get_lists,
            "Remove-DistributionGroupMember": ExchangeAdmin.remove_member,
            "Add-DistributionGroupMember": ExchangeAdmin.add_member}
