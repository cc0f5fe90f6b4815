"""Microsoft Graph: groups with members and owners, directory roles, and what applications were granted."""

import uuid

from core.vendor import Answer, Request
from vendors.graph_answers import call, context, filter_of, is_advanced, not_found, read_object, refusal, selected
from vendors.graph_users import SYNCED

DIRECTORY = ("Directory.Read.All", "Directory.ReadWrite.All")
MEMBERS = ("GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All")
ROLES = "RoleManagement.ReadWrite.Directory"
GRANTS = ("DelegatedPermissionGrant.ReadWrite.All", "Directory.ReadWrite.All")
ASSIGNMENTS = ("AppRoleAssignment.ReadWrite.All",)
GROUP = frozenset(("id", "displayName", "groupTypes", "mailEnabled", "securityEnabled", "isAssignableToRole",
                   "onPremisesSyncEnabled", "membershipRule", "assignedLicenses"))
USUAL = GROUP - {"assignedLicenses"}


class Groups:
    """Groups, roles and grants. Part of the vendor."""

    def group(self, key: str) -> dict:
        found = self.store.get("groups", key)
        if found is None:
            raise not_found(key)
        return found

    def _groups_of(self, request: Request, key: str, role: str) -> Answer:
        """A cast is an advanced query: without the header and $count all objects of the directory come, with their types."""
        user = self.user(key)["id"]
        cast = self.settings["casts"] and is_advanced(request)
        found = [{name: group[name] for name in GROUP} for group in self.seen_all("groups") if user in group[role]]
        if not cast:
            found = [{"@odata.type": "#microsoft.graph.group", **group} for group in found]
            found += [{"@odata.type": "#microsoft.graph.administrativeUnit", "id": unit["id"], "displayName": unit["displayName"]}
                      for unit in self.seen_all("units") if user in unit.get(role, [])]
        return self.page(request, [selected(request, item, GROUP, USUAL) for item in found], "groups" if cast else "directoryObjects")

    @call("GET", "/users/{key}/memberOf/microsoft.graph.group", *DIRECTORY)
    def list_groups(self, request: Request, key: str) -> Answer:
        return self._groups_of(request, key, "members")

    @call("GET", "/users/{key}/ownedObjects/microsoft.graph.group", *DIRECTORY)
    def list_owned(self, request: Request, key: str) -> Answer:
        return self._groups_of(request, key, "owners")

    def _may_change(self, group: dict, what: str) -> None:
        """What Graph can't change about a group."""
        if group["isAssignableToRole"] and not self.may(ROLES):
            raise refusal(403, "Insufficient privileges to complete the operation.")
        if group["onPremisesSyncEnabled"]:
            raise refusal(400, SYNCED)
        if group["mailEnabled"] and "Unified" not in group["groupTypes"]:
            raise refusal(400, "Cannot Update a mail-enabled security groups and or distribution list.")
        if what == "members" and "DynamicMembership" in group["groupTypes"]:
            raise refusal(403, "Insufficient privileges to complete the operation.")

    def _remove(self, group: dict, role: str, user: str) -> None:
        if user not in group[role]:
            raise not_found(user)
        self.store.put("groups", group["id"], {**group, role: [one for one in group[role] if one != user]})

    def _add(self, request: Request, key: str, role: str) -> Answer:
        group = self.group(key)
        self._may_change(group, role)
        place, _, user = str(read_object(request).get("@odata.id", "")).rpartition("/directoryObjects/")
        if not place.endswith("/v1.0"):
            raise refusal(400, "Invalid URL format specified in payload.")
        user = self.user(user)["id"]
        if user in group[role]:
            raise refusal(400, f"One or more added object references already exist for the following modified properties: "
                               f"'{role}'.")
        self.store.put("groups", key, {**group, role: [*group[role], user]})
        return Answer(204)

    @call("POST", "/groups/{key}/members/$ref", *MEMBERS)
    def add_member(self, request: Request, key: str) -> Answer:
        return self._add(request, key, "members")

    @call("POST", "/groups/{key}/owners/$ref", "Group.ReadWrite.All", "Directory.ReadWrite.All")
    def add_owner(self, request: Request, key: str) -> Answer:
        return self._add(request, key, "owners")

    @call("DELETE", "/groups/{key}/members/{user}/$ref", *MEMBERS)
    def remove_member(self, request: Request, key: str, user: str) -> Answer:
        group = self.group(key)
        self._may_change(group, "members")
        self._remove(group, "members", user)
        self.settle_mailbox(self.user(user))
        return Answer(204)

    @call("DELETE", "/groups/{key}/owners/{user}/$ref", "Group.ReadWrite.All", "Directory.ReadWrite.All")
    def remove_owner(self, request: Request, key: str, user: str) -> Answer:
        group = self.group(key)
        self._may_change(group, "owners")
        if group["owners"] == [user]:
            raise refusal(400, "The group must have at least one owner, hence this owner cannot be removed.")
        self._remove(group, "owners", user)
        return Answer(204)

    # Without $ref it is no longer about the membership: Graph deletes the person.
    @call("DELETE", "/groups/{key}/members/{user}", "User.ReadWrite.All")
    def delete_through_group(self, request: Request, key: str, user: str) -> Answer:
        self.group(key)
        self.store.remove("users", self.user(user)["id"])
        return Answer(204)

    # Directory roles: any scope, custom ones too.

    @call("GET", "/roleManagement/directory/roleAssignments", "RoleManagement.Read.Directory", ROLES, *DIRECTORY)
    def list_roles(self, request: Request) -> Answer:
        names = frozenset(("id", "principalId", "roleDefinitionId", "directoryScopeId"))
        if "$filter" not in request.params:
            raise refusal(400, "The filter is not supported: principalId, roleDefinitionId or id is needed.", "BadRequest")
        wanted = filter_of(request, names)
        found = [selected(request, one, names) for one in self.seen_all("role_assignments") if wanted(one)]
        return self.page(request, found, "roleManagement/directory/roleAssignments")

    @call("DELETE", "/roleManagement/directory/roleAssignments/{key}", ROLES)
    def remove_role(self, request: Request, key: str) -> Answer:
        if self.store.get("role_assignments", key) is None:
            raise not_found(key)
        self.store.remove("role_assignments", key)
        return Answer(204)

    # What applications may do in the person's name, and which applications the person may use.

    @call("GET", "/users/{key}/oauth2PermissionGrants", *DIRECTORY, *GRANTS)
    def list_grants(self, request: Request, key: str) -> Answer:
        user = self.user(key)["id"]
        return self.page(request, [one for one in self.seen_all("grants") if one["principalId"] == user],
                         "oauth2PermissionGrants")

    @call("DELETE", "/oauth2PermissionGrants/{key}", *GRANTS)
    def remove_grant(self, request: Request, key: str) -> Answer:
        if self.store.get("grants", key) is None:
            raise not_found(key)
        self.store.remove("grants", key)
        return Answer(204)

    @call("POST", "/oauth2PermissionGrants", *GRANTS)
    def add_grant(self, request: Request) -> Answer:
        given = read_object(request)
        parts = ("clientId", "principalId", "resourceId")
        if given.get("consentType") != "Principal" or not all(given.get(name) for name in (*parts, "scope")):
            raise refusal(400, "One or more properties contains invalid values.")
        if any(all(one[name] == given[name] for name in parts) for one in self.store.all("grants")):
            raise refusal(409, "Permission entry already exists.", "Request_MultipleObjectsWithSameKeyValue")
        made = self.new_grant({name: given[name] for name in (*parts, "consentType", "scope")})
        return Answer(201, {**context(request, "oauth2PermissionGrants/$entity"), **made})

    def new_grant(self, given: dict) -> dict:
        made = {"id": uuid.uuid4().hex, "consentType": "Principal", **given}
        self.store.put("grants", made["id"], made)
        return made

    @call("GET", "/users/{key}/appRoleAssignments", *DIRECTORY, *ASSIGNMENTS)
    def list_assignments(self, request: Request, key: str) -> Answer:
        user = self.user(key)["id"]
        groups = {group["id"] for group in self.seen_all("groups") if user in group["members"]}
        found = [one for one in self.seen_all("app_roles") if one["principalId"] == user or one["principalId"] in groups]
        return self.page(request, found, "appRoleAssignments")

    @call("DELETE", "/users/{key}/appRoleAssignments/{assignment}", *ASSIGNMENTS)
    def remove_assignment(self, request: Request, key: str, assignment: str) -> Answer:
        found = self.store.get("app_roles", assignment)
        if found is None or found["principalId"] != self.user(key)["id"]:
            raise not_found(assignment)
        self.store.remove("app_roles", assignment)
        return Answer(204)

    @call("POST", "/users/{key}/appRoleAssignments", *ASSIGNMENTS)
    def add_assignment(self, request: Request, key: str) -> Answer:
        given, user = read_object(request), self.user(key)["id"]
        if given.get("principalId") != user or not given.get("resourceId") or not given.get("appRoleId"):
            raise refusal(400, "One or more properties contains invalid values.")
        same = ("principalId", "resourceId", "appRoleId")
        if any(all(one[name] == given[name] for name in same) for one in self.store.all("app_roles")):
            raise refusal(400, "Permission being assigned already exists on the object")
        made = self.new_assignment({name: given[name] for name in same})
        return Answer(201, {**context(request, "appRoleAssignments/$entity"), **made})

    def new_assignment(self, given: dict) -> dict:
        made = {"id": uuid.uuid4().hex, "principalType": "User", "resourceDisplayName": "App", "resourceId": str(uuid.uuid4()),
                "appRoleId": "00000000-0000-0000-0000-000000000000", **given}
        self.store.put("app_roles", made["id"], made)
        return made
