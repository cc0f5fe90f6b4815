"""Google's Directory API: groups and their members, admin roles, organizational units."""

from core.vendor import Answer, Request
from vendors.google_access import call
from vendors.google_directory import API, page, read_object, refuse

GROUP, GROUP_READ = "admin.directory.group", "admin.directory.group.readonly"
MEMBER, MEMBER_READ = "admin.directory.group.member", "admin.directory.group.member.readonly"
ROLES = "admin.directory.rolemanagement"
UNITS = "admin.directory.orgunit"


class Groups:
    """Groups, role assignments, organizational units. Part of the vendor."""

    def find_group(self, key: str) -> dict | None:
        """A group by id or address, to read only."""
        wanted = key.lower()
        return next((group for group in self.store.all("groups") if wanted in (group["id"].lower(), group["email"])), None)

    def _group(self, key: str) -> dict:
        group = self.find_group(key)
        if group is None:
            raise refuse("notFound", "Resource Not Found: groupKey")
        return group

    def _member(self, group: dict, key: str) -> dict | None:
        """A member by its id or address, or by any other key of the user it is."""
        user = self.find_user(key)
        names = {key.lower(), user["id"] if user else None}
        return next((member for member in group["members"] if {member["id"], member["email"]} & names), None)

    @call("GET", API + "/groups", GROUP, GROUP_READ)
    def list_groups(self, request: Request) -> Answer:
        params = request.params
        if params.get("userKey") and params.get("customer") or not set(params) & {"userKey", "customer", "domain"}:
            raise refuse("badRequest")
        self.check_customer(params.get("customer") or "my_customer")
        groups = list(self.store.all("groups"))
        if params.get("userKey"):
            key = self.user(params["userKey"])["id"]
            groups = [group for group in groups if any(member["id"] == key for member in group["members"])]
        return Answer(200, {"kind": "admin#directory#groups",
                            **page(request, [_show_group(group) for group in groups], "groups", largest=200)})

    @call("GET", API + "/groups/{key}", GROUP, GROUP_READ)
    def get_group(self, request: Request, key: str) -> Answer:
        return Answer(200, _show_group(self._group(key)))

    @call("GET", API + "/groups/{key}/members", GROUP, GROUP_READ, MEMBER, MEMBER_READ)
    def list_members(self, request: Request, key: str) -> Answer:
        members = [_show_member(member) for member in self._group(key)["members"]]
        return Answer(200, {"kind": "admin#directory#members", **page(request, members, "members", largest=200)})

    @call("GET", API + "/groups/{key}/members/{member}", GROUP, GROUP_READ, MEMBER, MEMBER_READ)
    def get_member(self, request: Request, key: str, member: str) -> Answer:
        found = self._member(self._group(key), member)
        if found is None:
            raise refuse("notFound", "Resource Not Found: memberKey")
        return Answer(200, _show_member(found))

    @call("GET", API + "/groups/{key}/hasMember/{member}", GROUP, GROUP_READ, MEMBER, MEMBER_READ)
    def has_member(self, request: Request, key: str, member: str) -> Answer:
        group = self._group(key)
        if self.find_user(member) is None:
            raise refuse("invalid", "Invalid Input: memberKey")
        return Answer(200, {"isMember": self._member(group, member) is not None})

    @call("POST", API + "/groups/{key}/members", GROUP, MEMBER)
    def insert_member(self, request: Request, key: str) -> Answer:
        group, body = self._group(key), read_object(request)
        self._check_static(group)
        member = self._new_member(str(body.get("email") or body.get("id") or ""), body.get("role", "MEMBER"))
        if self._member(group, member["id"]):
            raise refuse("duplicate", "Member already exists.")
        self.store.put("groups", group["id"], {**group, "members": [*group["members"], member]})
        return Answer(200, _show_member(member))

    @call("DELETE", API + "/groups/{key}/members/{member}", GROUP, MEMBER)
    def delete_member(self, request: Request, key: str, member: str) -> Answer:
        group = self._group(key)
        self._check_static(group)
        found = self._member(group, member)
        if found is None and self.find_user(member) is not None and self.settings["not_member"] == 412:
            raise refuse("conditionNotMet")
        if found is None:
            raise refuse("notFound", "Resource Not Found: memberKey")
        left = [item for item in group["members"] if item != found]
        self.store.put("groups", group["id"], {**group, "members": left})
        return Answer(204)

    def _check_static(self, group: dict) -> None:
        if group["dynamic"]:
            raise refuse("forbidden")

    def _new_member(self, key: str, role: str) -> dict:
        user, group = self.find_user(key), self.find_group(key)
        if user is None and "@" not in key:
            raise refuse("notFound", "Resource Not Found: memberKey")
        if user is not None:
            return {"id": user["id"], "email": user["primaryEmail"], "role": role, "type": "USER", "status": "ACTIVE"}
        if group is not None:
            return {"id": group["id"], "email": group["email"], "role": role, "type": "GROUP", "status": "ACTIVE"}
        return {"id": f"1099{self.store.next_number('outsider', 10 ** 16)}", "email": key.lower(), "role": role,
                "type": "USER", "status": "ACTIVE"}

    # Admin roles.

    def roles_of(self, user_id: str) -> list[dict]:
        return [item for item in self.store.all("role_assignments") if item["assignedTo"] == user_id]

    @call("GET", API + "/customer/{customer}/roleassignments", ROLES, ROLES + ".readonly")
    def list_roles(self, request: Request, customer: str) -> Answer:
        self.check_customer(customer)
        params = request.params
        found = list(self.store.all("role_assignments"))
        if params.get("userKey"):
            found = self.roles_of(self.user(params["userKey"])["id"])
        if params.get("roleId"):
            found = [item for item in found if item["roleId"] == params["roleId"]]
        return Answer(200, {"kind": "admin#directory#roleAssignments", **page(request, found, "items", largest=200)})

    @call("DELETE", API + "/customer/{customer}/roleassignments/{key}", ROLES)
    def delete_role(self, request: Request, customer: str, key: str) -> Answer:
        self.check_customer(customer)
        if self.store.get("role_assignments", key) is None:
            raise refuse("notFound", "Resource Not Found: roleAssignmentId")
        self.store.remove("role_assignments", key)
        return Answer(204)

    # Organizational units.

    def org_units(self) -> list[str]:
        """The paths of all units, parents included."""
        paths = {"/", *self.settings["org_units"], *(unit["orgUnitPath"] for unit in self.store.all("org_units"))}
        return sorted(paths | {path.rsplit("/", depth)[0] or "/" for path in paths for depth in range(1, path.count("/"))})

    @call("GET", API + "/customer/{customer}/orgunits", UNITS, UNITS + ".readonly")
    def list_units(self, request: Request, customer: str) -> Answer:
        self.check_customer(customer)
        return Answer(200, {"kind": "admin#directory#orgUnits",
                            "organizationUnits": [_show_unit(path) for path in self.org_units() if path != "/"]})

    @call("GET", API + "/customer/{customer}/orgunits/{path}", UNITS, UNITS + ".readonly")
    def get_unit(self, request: Request, customer: str, path: str) -> Answer:
        self.check_customer(customer)
        if "/" + path.strip("/") not in self.org_units():
            raise refuse("notFound", "Org unit not found")
        return Answer(200, _show_unit("/" + path.strip("/")))

    # State for tests.

    def seed_group(self, given: dict) -> None:
        """Merge a group by address; `members`: addresses or {email, role}; `dynamic`: nobody can be taken out of it."""
        if not given.get("email"):
            raise ValueError(f"{self.name}: a group needs an email")
        group = self.find_group(given["email"]) or {
            "id": given.get("id") or f"{self.store.next_number('group', 10 ** 13):016x}", "email": given["email"].lower(),
            "name": given["email"].partition("@")[0], "description": "", "adminCreated": True, "members": [],
            "dynamic": False}
        if "members" in given:
            members = [{"email": item} if isinstance(item, str) else item for item in given["members"]]
            given["members"] = [self._new_member(item["email"], item.get("role", "MEMBER")) for item in members]
        self.store.put("groups", group["id"], {**group, **given, "id": group["id"], "email": group["email"]})

    def seed_roles(self, user: dict, roles: list) -> None:
        """Assign a user these roles, given by roleId."""
        for role in roles:
            key = str(self.store.next_number("role", 90071992547409931))
            self.store.put("role_assignments", key, {
                "kind": "admin#directory#roleAssignment", "roleAssignmentId": key, "roleId": str(role),
                "assignedTo": user["id"], "assigneeType": "user", "scopeType": "CUSTOMER"})


def _show_group(group: dict) -> dict:
    shown = {key: value for key, value in group.items() if key not in ("members", "dynamic")}
    return {"kind": "admin#directory#group", **shown, "directMembersCount": str(len(group["members"]))}


def _show_member(member: dict) -> dict:
    return {"kind": "admin#directory#member", **member}


def _show_unit(path: str) -> dict:
    parent, _, name = path.rpartition("/")
    return {"kind": "admin#directory#orgUnit", "name": name, "orgUnitPath": path, "parentOrgUnitPath": parent or "/",
            "orgUnitId": "id:" + path.encode().hex()[:24]}
