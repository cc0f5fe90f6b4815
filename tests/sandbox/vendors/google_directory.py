"""Google's Directory API: users, their aliases, tokens, app passwords and backup codes."""

import json

from core.vendor import Answer, Request
from formats.google_user import UserError, matches, merge_user, read_update
from vendors.google_access import call
from vendors.google_errors import LIST, refusal

API = "/admin/directory/v1"
USER = "admin.directory.user"
USER_READ = "admin.directory.user.readonly"
ALIAS = "admin.directory.user.alias"
SECURITY = "admin.directory.user.security"
# Members of a user in the store that other methods show, not users.get.
OWN = ("password", "tokens", "asps", "backup_codes", "sign_outs", "delegates", "vacation", "forwarding",
       "forwarding_addresses")


def refuse(reason: str, message: str = "", status: int | None = None):
    return refusal(reason, message, shape=LIST, status=status)


def read_object(request: Request, shape: str = LIST) -> dict:
    """The body as an object."""
    try:
        body = request.json()
    except ValueError as error:
        raise refusal("parseError", shape=shape) from error
    if not isinstance(body, dict):
        raise refusal("badRequest", "Invalid JSON payload received. Root element must be a message.", shape=shape)
    return body


def page(request: Request, items: list, name: str, *, largest: int, size: str = "maxResults", default: int | None = None,
         shape: str = LIST) -> dict:
    """A page of a list: `name` (absent when it is empty) and nextPageToken. The token is good for this list only."""
    params = request.params
    count, start = params.get(size, str(default or largest)), params.get("pageToken") or "~0"
    mark, _, offset = start.rpartition("~")
    if not count.isdigit() or int(count) < 1 or not offset.isdigit() or mark not in ("", name):
        raise refusal("invalid", f"Invalid Input: {'pageToken' if count.isdigit() else size}", shape=shape)
    end = int(offset) + min(int(count), largest)
    answer = {name: items[int(offset):end]} if items[int(offset):end] else {}
    if end < len(items):
        answer["nextPageToken"] = f"{name}~{end}"
    return answer


class Directory:
    """Users. Part of the vendor."""

    def find_user(self, key: str) -> dict | None:
        """A user by id, primary address or alias, to read only."""
        user = self.store.get("users", key)
        if user is not None:
            return user
        wanted = str(key).lower()
        for user in self.store.all("users"):
            if wanted in (user["primaryEmail"], *user["aliases"], *user["nonEditableAliases"]):
                return user
        return None

    def user(self, key: str) -> dict:
        """The same, or 404."""
        user = self.find_user(key)
        if user is None:
            raise refuse("notFound", "Resource Not Found: userKey")
        return user

    def _change(self, user: dict, **changes) -> None:
        self.store.put("users", user["id"], {**user, **changes})

    def show_user(self, user: dict) -> dict:
        """The resource, without lists that are empty."""
        shown = {key: value for key, value in user.items() if key not in OWN and value != []}
        return {"kind": "admin#directory#user", **shown, "isDelegatedAdmin": bool(self.roles_of(user["id"])),
                "emails": [{"address": user["primaryEmail"], "primary": True},
                           *({"address": alias} for alias in user["aliases"]), *user.get("emails", [])],
                "customerId": self.settings["customer"]}

    def check_customer(self, customer: str) -> None:
        if customer not in ("my_customer", self.settings["customer"]):
            raise refuse("badRequest")

    @call("GET", API + "/users/{key}", USER, USER_READ)
    def get_user(self, request: Request, key: str) -> Answer:
        return Answer(200, self.show_user(self.user(key)))

    @call("GET", API + "/users", USER, USER_READ)
    def list_users(self, request: Request) -> Answer:
        params = request.params
        if not params.get("customer") and not params.get("domain"):
            raise refuse("badRequest", "Bad Request")
        self.check_customer(params.get("customer") or "my_customer")
        try:
            found = [user for user in self.store.all("users") if matches(user, params.get("query", ""))]
        except UserError as error:
            raise refuse(error.reason, str(error)) from error
        domain = params.get("domain")
        found = [user for user in found if not domain or user["primaryEmail"].endswith("@" + domain)]
        return Answer(200, {"kind": "admin#directory#users",
                            **page(request, [self.show_user(user) for user in found], "users", largest=500, default=100)})

    @call("PUT", API + "/users/{key}", USER)
    def update_user(self, request: Request, key: str) -> Answer:
        return self._update(request, self.user(key), clears=True)

    @call("PATCH", API + "/users/{key}", USER)
    def patch_user(self, request: Request, key: str) -> Answer:
        return self._update(request, self.user(key), clears=False)

    def _update(self, request: Request, user: dict, *, clears: bool) -> Answer:
        try:
            changes = read_update(read_object(request))
        except UserError as error:
            raise refuse(error.reason, str(error)) from error
        merged = merge_user(user, changes, clears=clears)
        self._check_unit(merged)
        if merged["archived"] and not user["archived"] and not self._archive_seats():
            raise refuse("insufficientArchivedUserLicenses")
        merged["primaryEmail"] = merged["primaryEmail"].lower()
        if merged["primaryEmail"] != user["primaryEmail"]:
            self._rename(user, merged)
        self.store.put("users", user["id"], merged)
        self.unit_changed(user, merged)
        return Answer(200, self.show_user(merged))

    def _check_unit(self, user: dict) -> None:
        if user["orgUnitPath"] not in self.org_units():
            raise refuse("invalid", "Invalid Input: INVALID_OU_ID")

    def _archive_seats(self) -> int:
        return self.settings["archived_licenses"] - sum(1 for user in self.store.all("users") if user["archived"])

    def _rename(self, user: dict, merged: dict) -> None:
        """The old primary address becomes an alias."""
        holder = self.find_user(merged["primaryEmail"])
        if holder is not None and holder["id"] != user["id"]:
            raise refuse("duplicate")
        merged["aliases"] = [alias for alias in [*user["aliases"], user["primaryEmail"]] if alias != merged["primaryEmail"]]

    @call("DELETE", API + "/users/{key}", USER)
    def delete_user(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        self.store.put("deleted_users", user["id"], user)
        self.store.remove("users", user["id"])
        self.forget_user(user)
        return Answer(204)

    @call("POST", API + "/users/{key}/signOut", SECURITY)
    def sign_out(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        self._change(user, sign_outs=user["sign_outs"] + 1)
        return Answer(204)

    @call("POST", API + "/users/{key}/makeAdmin", USER)
    def make_admin(self, request: Request, key: str) -> Answer:
        user, status = self.user(key), read_object(request).get("status")
        if not isinstance(status, bool):
            raise refuse("required", "Missing required field: status")
        self._change(user, isAdmin=status)
        return Answer(204)

    # Aliases.

    @call("POST", API + "/users/{key}/aliases", USER, ALIAS)
    def insert_alias(self, request: Request, key: str) -> Answer:
        user, alias = self.user(key), str(read_object(request).get("alias") or "").lower()
        if "@" not in alias:
            raise refuse("invalid", "Invalid Input: alias")
        if self.find_user(alias) or self.find_group(alias):
            raise refuse("duplicate", "Entity already exists.")
        self._change(user, aliases=[*user["aliases"], alias])
        return Answer(200, {"kind": "admin#directory#alias", "id": user["id"], "primaryEmail": user["primaryEmail"], "alias": alias})

    @call("GET", API + "/users/{key}/aliases", USER, USER_READ, ALIAS, ALIAS + ".readonly")
    def list_aliases(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        return _listing("aliases", "aliases", [
            {"kind": "admin#directory#alias", "id": user["id"], "primaryEmail": user["primaryEmail"], "alias": alias}
            for alias in user["aliases"]])

    @call("DELETE", API + "/users/{key}/aliases/{alias}", USER, ALIAS)
    def delete_alias(self, request: Request, key: str, alias: str) -> Answer:
        user = self.user(key)
        if alias.lower() in user["nonEditableAliases"]:
            raise refuse("forbidden")
        if alias.lower() not in user["aliases"]:
            raise refuse("notFound", "Resource Not Found: alias")
        self._change(user, aliases=[item for item in user["aliases"] if item != alias.lower()])
        return Answer(204)

    # Tokens, app passwords, backup codes.

    @call("GET", API + "/users/{key}/tokens", SECURITY)
    def list_tokens(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        return _listing("tokenList", "items", [
            {"kind": "admin#directory#token", "userKey": user["id"], **token} for token in user["tokens"]])

    @call("DELETE", API + "/users/{key}/tokens/{client}", SECURITY)
    def delete_token(self, request: Request, key: str, client: str) -> Answer:
        return self._remove(key, "tokens", "clientId", client)

    @call("GET", API + "/users/{key}/asps", SECURITY)
    def list_asps(self, request: Request, key: str) -> Answer:
        user = self.user(key)
        return _listing("aspList", "items", [
            {"kind": "admin#directory#asp", "userKey": user["id"], **asp} for asp in user["asps"]])

    @call("DELETE", API + "/users/{key}/asps/{code}", SECURITY)
    def delete_asp(self, request: Request, key: str, code: str) -> Answer:
        return self._remove(key, "asps", "codeId", code)

    @call("GET", API + "/users/{key}/verificationCodes", SECURITY)
    def list_codes(self, request: Request, key: str) -> Answer:
        user = self._user_with_codes(key)
        return _listing("verificationCodesList", "items", [
            {"kind": "admin#directory#verificationCode", "userId": user["id"], "verificationCode": code}
            for code in user["backup_codes"]])

    @call("POST", API + "/users/{key}/verificationCodes/invalidate", SECURITY)
    def invalidate_codes(self, request: Request, key: str) -> Answer:
        self._change(self._user_with_codes(key), backup_codes=[])
        return Answer(204)

    def _user_with_codes(self, key: str) -> dict:
        user = self.user(key)
        if user["suspended"]:
            raise refuse("invalid")
        return user

    def _remove(self, key: str, kind: str, name: str, value: str) -> Answer:
        user = self.user(key)
        left = [item for item in user[kind] if str(item[name]) != value]
        if len(left) == len(user[kind]):
            raise refuse("notFound", f"Resource Not Found: {name}")
        self._change(user, **{kind: left})
        return Answer(204)

    # State for tests.

    def seed_user(self, given: dict) -> None:
        """Merge a user by id or address; anything of the resource may be set, read-only members included."""
        if not given.get("id") and not given.get("primaryEmail"):
            raise ValueError(f"{self.name}: a user needs a primaryEmail")
        user = self.find_user(str(given.get("id") or given["primaryEmail"]))
        if user is None:
            user = self._new_user(given)
        given = {**given, "id": user["id"], "primaryEmail": given.get("primaryEmail", user["primaryEmail"]).lower()}
        for key in ("aliases", "nonEditableAliases"):
            given[key] = [alias.lower() for alias in given.get(key, user[key])]
        licenses, roles = given.pop("licenses", []), given.pop("roles", [])
        merged = {**user, **json.loads(json.dumps(given))}
        if merged["suspended"]:
            merged.setdefault("suspensionReason", "ADMIN")
        self.store.put("users", user["id"], merged)
        self.store.put("org_units", merged["orgUnitPath"], {"orgUnitPath": merged["orgUnitPath"]})
        self.seed_licenses(merged, licenses)
        self.seed_roles(merged, roles)

    def _new_user(self, given: dict) -> dict:
        # Neighbouring ids are the same number to whoever reads them as a double.
        number = str(given.get("id") or self.store.next_number("user", 108412345678901234501))
        return {"id": number, "primaryEmail": given["primaryEmail"], "suspended": False, "archived": False,
                "isAdmin": False, "orgUnitPath": "/", "includeInGlobalAddressList": True, "isMailboxSetup": True,
                "changePasswordAtNextLogin": False, "isEnrolledIn2Sv": True, "aliases": [], "nonEditableAliases": [],
                "creationTime": "2020-01-01T00:00:00.000Z", "tokens": [], "asps": [], "backup_codes": [], "sign_outs": 0,
                "delegates": [], "vacation": {"enableAutoReply": False}, "forwarding": {"enabled": False},
                "forwarding_addresses": [],
                "password": {"sha256": None, "hashFunction": None, "changes": 0}}


def _listing(kind: str, name: str, items: list) -> Answer:
    """A list that does not page; the key is absent when there is nothing in it."""
    return Answer(200, {"kind": f"admin#directory#{kind}", **({name: items} if items else {})})
