"""Every action of the Microsoft 365 connector by itself: the exact requests, again, nobody there, refused, throttled, dry; and an
answer that is not true."""

import urllib.parse

import pytest
from connector_table import ConnectorTable, Row, filled
from m365 import BOSS, METHODS, GraphCase, documented_permissions, of, person, query, settings, user
from unconfirmed import hasty_connector
from vendors.graph_answers import error_body
from vendors.m365 import MAILBOX_SKU, OTHER_SKU

pytestmark = pytest.mark.xdist_group("m365")
API = "/v1.0"
USER = f"{API}/users/{{id}}"
NOBODY = "00000000-0000-0000-0000-00000000dead"
ME = f"GET {USER}?{query(select='id')}"
STATE = f"GET {USER}?{query(select='id,accountEnabled,onPremisesSyncEnabled')}"
LICENCES = f"GET {USER}?{query(select='id,licenseAssignmentStates')}"
PURPOSE = f"GET {USER}/mailboxSettings/userPurpose"
REPLY = f"GET {USER}/mailboxSettings/automaticRepliesSetting"
METHOD_LIST = f"GET {USER}/authentication/methods"
GROUP_MEMBERS = "id,displayName,groupTypes,mailEnabled,isAssignableToRole,onPremisesSyncEnabled,assignedLicenses"
GROUPS = f"GET {USER}/memberOf/microsoft.graph.group?{query(count='true', select=GROUP_MEMBERS, top='999')}"
OWNED = f"GET {USER}/ownedObjects/microsoft.graph.group?{query(count='true', select=GROUP_MEMBERS, top='999')}"
ROLES = f"GET {API}/roleManagement/directory/roleAssignments?" + query(filter="principalId eq '{id}'").replace("%7Bid%7D", "{id}")
GRANTS, ASSIGNMENTS = f"GET {USER}/oauth2PermissionGrants", f"GET {USER}/appRoleAssignments?{query(top='999')}"
DEVICES = f"GET {USER}/registeredDevices"
OF_DEVICE = query(select="id,deviceName,userId,managedDeviceOwnerType,deviceActionResults")
MANAGED = f"GET {USER}/managedDevices?{OF_DEVICE}"
DRIVE = f"GET {USER}/drive/root?{query(select='id,webUrl,parentReference')}"
RECIPIENT = f"GET {API}/users?" + query(filter=f"userPrincipalName eq '{BOSS}' or mail eq '{BOSS}'", select="id,accountEnabled,userPrincipalName,mail")
PERMISSIONS = f"GET {API}/drives/{{drive}}/items/{{root}}/permissions"
UNIFIED = {"groupTypes": ["Unified"], "mailEnabled": True, "securityEnabled": False}
PLANS = ["11b0131d-43c8-4bbb-b2c8-e80f9a50834a"]


def group(name: str, role: str = "members", **more) -> dict:
    return {"displayName": f"{name}.{{short}}", role: ["{email}"], **more}


def replies(text: str) -> dict:
    return {"automaticRepliesSetting": {"status": "alwaysEnabled", "externalAudience": "all",
                                        "internalReplyMessage": text, "externalReplyMessage": text}}


HELD = {"status": "disabled", "externalAudience": "none", "internalReplyMessage": "", "externalReplyMessage": "",
        "scheduledStartDateTime": {"dateTime": "2026-01-01T00:00:00.0000000", "timeZone": "UTC"},
        "scheduledEndDateTime": {"dateTime": "2026-01-02T00:00:00.0000000", "timeZone": "UTC"}}
# `seed` holds what belongs to the leaver, and `before` for what undoes.
ROWS = [
    Row("revoke_sessions", [f"GET {USER}?{query(select='id,userType,signInSessionsValidFromDateTime')}",
                            f"POST {USER}/revokeSignInSessions",
                            f"GET {USER}?{query(select='id,signInSessionsValidFromDateTime')}"], again="succeeded"),
    Row("disable_user", [STATE, f"PATCH {USER} {{'accountEnabled': False}}", STATE]),
    Row("enable_user", [STATE, f"PATCH {USER} {{'accountEnabled': True}}", STATE], user={"accountEnabled": False}),
    Row("reset_password", [f"GET {USER}?{query(select='id,onPremisesSyncEnabled,lastPasswordChangeDateTime')}",
                           f"PATCH {USER} {{'passwordProfile': '***'}}",
                           f"GET {USER}?{query(select='id,lastPasswordChangeDateTime')}"],
        again="succeeded"),
    Row("remove_methods", [METHOD_LIST, f"DELETE {USER}/authentication/phoneMethods/phone-1",
                           f"DELETE {USER}/authentication/fido2Methods/fido2-2", METHOD_LIST],
        user={"methods": METHODS}, outputs={"methods": ["phone", "fido2"]}),
    Row("remove_directory_roles", [ME, ROLES, f"DELETE {API}/roleManagement/directory/roleAssignments/{{role}}", ROLES],
        seed={"role_assignments": [{"principalId": "{email}", "roleDefinitionId": "helpdesk",
                                    "directoryScopeId": "/administrativeUnits/7"}]},
        before={"roles": [{"id": "{role}", "role": "helpdesk", "scope": "/administrativeUnits/7"}]},
        outputs={"roles": ["helpdesk"]}),
    Row("leave_role_groups", [GROUPS, f"DELETE {API}/groups/{{admins}}/members/{{id}}/$ref", GROUPS, GROUPS],
        seed={"groups": [group("admins", isAssignableToRole=True), group("sales")]},
        before={"groups": [{"id": "{admins}", "name": "admins.{short}"}]}, outputs={"groups": ["admins.{short}"]},
        leaves={"role_groups": []}),
    Row("leave_groups", [GROUPS, f"DELETE {API}/groups/{{sales}}/members/{{id}}/$ref",
                         f"DELETE {API}/groups/{{team}}/members/{{id}}/$ref",
                         GROUPS],
        seed={"groups": [group("sales"), group("team", **UNIFIED), group("dynamic", groupTypes=["DynamicMembership"]),
                         group("synced", onPremisesSyncEnabled=True), group("roles", isAssignableToRole=True),
                         group("licence", assignedLicenses=[{"skuId": OTHER_SKU}]), group("list", mailEnabled=True)]},
        before={"groups": [{"id": "{sales}", "name": "sales.{short}"}, {"id": "{team}", "name": "team.{short}"}]},
        outputs={"groups": ["sales.{short}", "team.{short}"], "not_left": [
            {"name": "dynamic.{short}", "reason": "dynamic: its rule decides"},
            {"name": "synced.{short}", "reason": "synced from on-premises: AD has to do it"},
            {"name": "roles.{short}", "reason": "it can hold roles: leave_role_groups"},
            {"name": "licence.{short}", "reason": "it brings licences: remove_licences"},
            {"name": "list.{short}", "reason": "mail-enabled: exchange's leave_distribution_groups"}]},
        leaves={"licence_groups": ["licence.{short}"], "role_groups": ["roles.{short}"]}),
    Row("rejoin_groups", [ME, f"POST {API}/groups/{{sales}}/members/$ref {{'@odata.id': '{{url}}/v1.0/directoryObjects/{{id}}'}}",
                          GROUPS],
        seed={"groups": [group("sales", members=[])], "before": {"groups": [{"id": "{sales}", "name": "sales"}]}},
        again="succeeded"),
    Row("remove_group_ownerships", [OWNED, f"DELETE {API}/groups/{{project}}/owners/{{id}}/$ref", OWNED],
        seed={"groups": [group("project", "owners", **{**UNIFIED, "owners": ["{email}", BOSS]}),
                         group("list", "owners", mailEnabled=True)]},
        before={"groups": [{"id": "{project}", "name": "project.{short}"}]},
        outputs={"groups": ["project.{short}"],
                 "not_removed": [{"name": "list.{short}", "reason": "mail-enabled: Exchange has to do it"}]}),
    Row("restore_group_ownerships", [
        ME, f"POST {API}/groups/{{project}}/owners/$ref {{'@odata.id': '{{url}}/v1.0/directoryObjects/{{id}}'}}", OWNED],
        seed={"groups": [group("project", owners=[BOSS], members=[])],
              "before": {"groups": [{"id": "{project}", "name": "project"}]}},
        again="succeeded"),
    Row("remove_app_grants", [GRANTS, f"DELETE {API}/oauth2PermissionGrants/{{grant}}", GRANTS],
        seed={"grants": [{"principalId": "{email}", "clientId": "c1", "resourceId": "r1", "scope": "Mail.Read"}]},
        before={"grants": [{"id": "{grant}", "clientId": "c1", "resourceId": "r1", "scope": "Mail.Read"}]},
        outputs={"applications": ["c1"]}),
    Row("restore_app_grants", [
        ME, f"POST {API}/oauth2PermissionGrants "
            f"{{'clientId': 'c1', 'consentType': 'Principal', 'principalId': '{{id}}', 'resourceId': 'r1', "
        "'scope': 'Mail.Read'}", GRANTS],
        seed={"before": {"grants": [{"id": "g", "clientId": "c1", "resourceId": "r1", "scope": "Mail.Read"}]}},
        again="succeeded"),
    Row("remove_app_assignments", [ASSIGNMENTS, f"DELETE {USER}/appRoleAssignments/{{assignment}}", ASSIGNMENTS],
        seed={"app_roles": [{"principalId": "{email}", "resourceId": "r1", "appRoleId": "a1"}]},
        before={"assignments": [{"id": "{assignment}", "name": "App", "resourceId": "r1", "appRoleId": "a1"}]},
        outputs={"applications": ["App"]}),
    Row("restore_app_assignments", [
        ME, f"POST {USER}/appRoleAssignments {{'principalId': '{{id}}', 'resourceId': 'r1', 'appRoleId': 'a1'}}", ASSIGNMENTS],
        seed={"before": {"assignments": [{"id": "x", "name": "App", "resourceId": "r1", "appRoleId": "a1"}]}}, again="succeeded"),
    Row("disable_devices", [
        DEVICES, f"GET {API}/devices/{{device}}/registeredOwners?{query(select='id')}",
        f"PATCH {API}/devices/{{device}} {{'accountEnabled': False}}", DEVICES],
        seed={"devices": [{"registeredUsers": ["{email}"]}, {"registeredUsers": ["{email}"], "accountEnabled": False}]},
        before={"devices": [{"id": "{device}", "name": "Laptop"}]}, outputs={"devices": [{"id": "{device}", "name": "Laptop"}]}),
    Row("enable_devices", [ME, f"PATCH {API}/devices/{{device}} {{'accountEnabled': True}}", DEVICES],
        seed={"devices": [{"registeredUsers": ["{email}"], "accountEnabled": False}],
              "before": {"devices": [{"id": "{device}", "name": "Laptop"}]}}, again="succeeded"),
    Row("retire_devices", [MANAGED, f"GET {API}/deviceManagement/managedDevices/{{phone}}?{OF_DEVICE}",
                           f"POST {API}/deviceManagement/managedDevices/{{phone}}/retire", MANAGED],
        seed={"managed_devices": [{"userId": "{email}"},
                                  {"userId": "{email}", "deviceName": "Notebook", "managedDeviceOwnerType": "company"}]},
        outputs={"devices": ["Phone"], "not_retired": [{"name": "Notebook", "owner": "company"}]}),
    Row("set_auto_reply", [REPLY, f"PATCH {USER}/mailboxSettings {replies('Ask R&amp;D.<br>' + chr(10) + 'Bye')}", REPLY],
        with_={"message": "Ask R&D.\nBye"}, user={"mailbox": {"auto_reply": HELD}}, before={"setting": HELD}),
    Row("restore_auto_reply", [REPLY, f"PATCH {USER}/mailboxSettings {{'automaticRepliesSetting': {HELD}}}", REPLY],
        seed={"before": {"setting": HELD}}, user={"mailbox": {"auto_reply": {**HELD, "status": "alwaysEnabled"}}},
        again="succeeded"),
    Row("share_onedrive", [
        DRIVE, RECIPIENT, PERMISSIONS,
        f"POST {API}/drives/{{drive}}/items/{{root}}/invite "
        f"{{'recipients': [{{'objectId': '{{boss}}'}}], 'roles': ['write'], 'requireSignIn': True, "
        "'sendInvitation': False}", PERMISSIONS], with_={"to": BOSS}, outputs={"url": "{drive_url}", "to": BOSS}),
    Row("unshare_onedrive", [
        DRIVE, RECIPIENT, PERMISSIONS, f"DELETE {API}/drives/{{drive}}/items/{{root}}/permissions/p1", PERMISSIONS],
        with_={"to": BOSS},
        user={"drive": {"permissions": [{"id": "p1", "roles": ["write"], "grantedToV2": {"user": {"id": BOSS}}}]}}),
    Row("remove_licences", [
        GROUPS, LICENCES, PURPOSE,
        f"POST {USER}/assignLicense {{'addLicenses': [], 'removeLicenses': ['{MAILBOX_SKU}', '{OTHER_SKU}']}}",
        f"DELETE {API}/groups/{{licence}}/members/{{id}}/$ref", LICENCES, GROUPS],
        user={"licenses": [{"skuId": MAILBOX_SKU, "disabledPlans": PLANS}, {"skuId": OTHER_SKU}],
              "mailbox": {"RecipientTypeDetails": "SharedMailbox"}},
        seed={"groups": [group("licence", assignedLicenses=[{"skuId": "visio"}]), group("sales")]},
        before={"licences": [{"skuId": MAILBOX_SKU, "disabledPlans": PLANS}, {"skuId": OTHER_SKU, "disabledPlans": []}],
                "groups": [{"id": "{licence}", "name": "licence.{short}"}]},
        outputs={"licences": [MAILBOX_SKU, OTHER_SKU], "of_groups": [{"skuId": "visio", "group": "{licence}"}],
                 "groups": ["licence.{short}"]}, leaves={"licence_groups": []}),
    Row("restore_licences", [
        LICENCES, f"POST {USER}/assignLicense "
                  f"{{'addLicenses': [{{'skuId': '{OTHER_SKU}', 'disabledPlans': {PLANS}}}], 'removeLicenses': []}}",
        f"POST {API}/groups/{{licence}}/members/$ref {{'@odata.id': '{{url}}/v1.0/directoryObjects/{{id}}'}}",
        LICENCES, GROUPS], user={"licenses": []},
        seed={"groups": [group("licence", members=[], assignedLicenses=[{"skuId": "visio"}])],
              "before": {"licences": [{"skuId": OTHER_SKU, "disabledPlans": PLANS}], "groups": [{"id": "{licence}", "name": "licence"}]}},
        again="succeeded"),
    Row("delete_user", [STATE, f"DELETE {USER}", ME], user={"accountEnabled": False}, missing="already_done"),
]


class Table(ConnectorTable):
    """The tenant; the application has the permissions that the connector's help names, and no other."""
    system = "m365"
    rows = ROWS
    nobody = NOBODY
    account_path = "/users/{id}"
    others = {action: {"id": NOBODY, **state} for action, state in (
        ("disable_user", {"accountEnabled": False}), ("enable_user", {"accountEnabled": True}),
        ("revoke_sessions", {"userType": "Member", "signInSessionsValidFromDateTime": "2999-01-01T00:00:00Z"}),
        ("reset_password", {"onPremisesSyncEnabled": None, "lastPasswordChangeDateTime": "2999-01-01T00:00:00Z"}),
        ("remove_licences", {"licenseAssignmentStates": []}), ("delete_user", {"onPremisesSyncEnabled": None, "accountEnabled": False}),
        ("restore_licences", {"licenseAssignmentStates": [{"skuId": OTHER_SKU, "disabledPlans": [], "assignedByGroup": None}]}))}
    refusal = {"do": "status", "status": 400, "body": error_body("Request_BadRequest", "Of the test.")}

    def vendors(self):
        return {"m365": {"permissions": [*documented_permissions(), "Exchange.ManageAsApp"],
                         "users": [{"userPrincipalName": BOSS}]}}

    def settings(self, url):
        return settings(url)

    def leaver(self, stack, row, email):
        short = email.partition("@")[0]
        names = {"email": email, "short": short}
        given = filled(row.user, names)
        boss = user(stack.sandbox.state("m365"), BOSS)["id"]
        for one in given.get("drive", {}).get("permissions", []):
            one["grantedToV2"] = {"user": {"id": boss}}
        account = person(stack, email, **given)["id"]
        state = stack.sandbox.seed("m365", filled({key: value for key, value in row.seed.items() if key != "before"}, names))
        kinds = ("role_assignments", "grants", "app_roles", "devices", "managed_devices", "drives")
        mine = {kind: of(state, kind, account) for kind in kinds}
        first = {name: mine[kind][0]["id"] if mine[kind] else "" for name, kind in (
            ("role", "role_assignments"), ("grant", "grants"), ("assignment", "app_roles"), ("device", "devices"),
            ("phone", "managed_devices"))}
        drive, = mine["drives"]
        groups = {one["displayName"].partition(".")[0]: one["id"] for one in state["groups"]
                  if one["displayName"].partition(".")[2] == short}
        return {"id": account, "short": short, "boss": boss, "url": stack.sandbox.url("m365"),
                "drive": urllib.parse.quote(drive["id"]), "drive_url": drive["webUrl"], "root": drive["root"], **first, **groups}


class TestM365(Table):
    @pytest.fixture
    def case(self, stack, row, request):
        test = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
        yield GraphCase(self, stack, row, test)
        stack.sandbox.clear_faults(self.vendor_name)

    @pytest.fixture(scope="class")
    def hasty(self, make_shared_stack, tmp_path_factory):
        """A stack whose connector gives its read-backs a moment only."""
        stack = make_shared_stack(systems="m365", vendors=self.vendors(), settings={
            "definitions": {"connectors": [hasty_connector("m365", tmp_path_factory)]},
            "worker": {"derive_key": "0123456789abcdef0123456789abcdef"}})
        stack.settings["systems"]["m365"] = self.settings(stack.sandbox.url("m365"))
        stack.write_settings()
        return stack

    def test_an_answer_that_is_not_true(self, hasty, row):
        """All changes are answered well and made by nobody: the read-back has to see it."""
        case = GraphCase(self, hasty, row, "untrue")
        hasty.sandbox.fault("m365", {"match": {"method": ["POST", "PATCH", "DELETE"], "path": "^/v1.0/"}, "do": "noop"})
        said = case.try_()
        hasty.sandbox.clear_faults("m365")
        assert said["outcome"] == "failed" and said["message"].startswith("not confirmed by reading back"), said
