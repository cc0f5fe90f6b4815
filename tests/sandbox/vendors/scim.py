"""A SCIM 2.0 server (RFC 7643, RFC 7644) whose dialect can be set to what the field's servers really do."""

import copy
import hmac
import uuid
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route
from formats.scim_filter import parse_filter
from formats.scim_patch import apply_patch
from formats.scim_schema import GROUP, USER, Schema, ScimError, check_body, check_required, describe, normalize, select

MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
# What a dialect can say, each with the values it may have; the first is the default.
DIALECT = {
    "patch": (True, False),                        # False: PUT of the whole resource only, PATCH is 501
    "patch_forms": (["path", "no_path"],),         # operations with a path, and with an object as value
    "op_case": ("any", "lower", "title"),          # spelling of add, replace, remove
    "booleans": ("bool", "string", "any"),         # what a client may send
    "answer_booleans": ("bool", "string"),         # "string": active is "False" in answers
    "remove_forms": (["value_path", "value_list"],),  # members[value eq "x"]; path members with a list as value
    "patch_answer": (200, 204),
    "active": ("kept", "ignored", "hidden"),       # ignored: 200, unchanged; hidden: not in answers
    "delete": ("remove", "deactivate", "none"),    # none: 501
    "filters": (None,),                            # list of the attributes that can be filtered on; None: all
    "unknown_filters": ("refused", "ignored"),     # ignored: answered as if there were none
    "filter_aliases": ({},),                       # {"email": "emails.value"}
    "ids": ("text", "number"),                     # number: answers show numbers, and paths are made of them
    "max_count": (100,),                           # largest page
    "user_groups": (True, False),                  # whether a user shows its groups
    "content_types": (["application/scim+json", "application/json"],),  # accepted; the first is answered with
}


class Scim(Vendor):
    """Users and Groups. Keys that start with an underscore are the server's own and appear in no answer."""

    DEFAULTS = {"token": "sandbox-scim-token-s3cret", "base_path": "",
                "dialect": {name: values[0] for name, values in DIALECT.items()}}
    SEED_KEYS = ("users", "groups")
    TYPES = {"Users": USER, "Groups": GROUP}

    def check_settings(self, settings: dict) -> None:
        for name, value in settings["dialect"].items():
            if name not in DIALECT:
                raise ValueError(f"{self.name}: unknown dialect option {name!r}; there are: {', '.join(sorted(DIALECT))}")
            values = DIALECT[name]
            if len(values) > 1 and value not in values:
                raise ValueError(f"{self.name}: dialect option {name} is one of {values}")
            if isinstance(values[0], list) and name != "content_types" and not set(value) <= set(values[0]):
                raise ValueError(f"{self.name}: dialect option {name} is a list of {values[0]}")

    @property
    def dialect(self) -> dict:
        return self.settings["dialect"]

    # Refusing.

    def authorize(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(),
                                   f"Bearer {self.settings['token']}".encode()):
            answer = self.fail(401, "Authentication failed")
            answer.headers["WWW-Authenticate"] = "Bearer"
            raise Refusal(answer)
        if request.body and request.media_type not in self.dialect["content_types"]:
            raise Refusal(self.fail(415, f"Content type '{request.media_type}' is not supported"))

    def fail(self, status: int, message: str = "", scim_type: str | None = None) -> Answer:
        body = {"schemas": [MESSAGES + "Error"], "status": str(status), "detail": message}
        if scim_type:
            body["scimType"] = scim_type
        return Answer(status, body)

    def finish(self, request: Request, answer: Answer) -> Answer:
        answer.content_type = answer.content_type or self.dialect["content_types"][0]
        return answer

    def handle(self, request: Request, *, dry: bool = False) -> tuple[Answer, bool]:
        base = self.settings["base_path"].rstrip("/")
        if request.path.startswith(base + "/"):
            request = Request(request.method, request.path[len(base):], request.query, request.headers, request.body)
        elif base:
            request = Request(request.method, "/", request.query, request.headers, request.body)
        return super().handle(request, dry=dry)

    def is_changing(self, request: Request) -> bool:
        return super().is_changing(request) and not request.path.endswith("/.search")

    def _dispatch(self, request: Request) -> Answer:
        try:
            return super()._dispatch(request)
        except ScimError as error:
            raise Refusal(self.fail(error.status, error.detail, error.scim_type)) from error

    def _json(self, request: Request):
        try:
            return request.json()
        except ValueError as error:
            raise ScimError(400, "invalidSyntax", "Request body is not valid JSON") from error

    # Discovery.

    @route("GET", "/ServiceProviderConfig")
    def service_provider_config(self, request: Request) -> Answer:
        return Answer(200, {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": {"supported": self.dialect["patch"]},
            "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
            "filter": {"supported": True, "maxResults": self.dialect["max_count"]},
            "changePassword": {"supported": True}, "sort": {"supported": False}, "etag": {"supported": True},
            "authenticationSchemes": [{"type": "oauthbearertoken", "name": "Bearer token",
                                       "description": "A token issued by the administrator"}],
            "meta": {"resourceType": "ServiceProviderConfig",
                     "location": self._location(request, "ServiceProviderConfig")}})

    @route("GET", "/ResourceTypes")
    def resource_types(self, request: Request) -> Answer:
        return self._list(request, [
            {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": schema.name,
             "name": schema.name, "endpoint": "/" + kind, "schema": schema.urn} for kind, schema in self.TYPES.items()])

    @route("GET", "/Schemas")
    def schemas(self, request: Request) -> Answer:
        return self._list(request, [describe(schema) for schema in self.TYPES.values()])

    # Resources.

    @route("GET", "/{kind}")
    def query(self, request: Request, kind: str) -> Answer:
        return self._query(request, self._type(kind), kind, request.params)

    @route("POST", "/{kind}/.search", reads=True)
    def search(self, request: Request, kind: str) -> Answer:
        body = self._json(request)
        check_body(body, MESSAGES + "SearchRequest")
        params = {key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
                  for key, value in body.items()}
        return self._query(request, self._type(kind), kind, params)

    @route("POST", "/{kind}")
    def create(self, request: Request, kind: str) -> Answer:
        schema = self._type(kind)
        resource = normalize(schema, self._json(request), self.dialect["booleans"])
        resource = self._new(schema, kind, resource)
        self._save(schema, kind, resource)
        shown = self._show(request, kind, resource)
        return Answer(201, shown, {"Location": shown["meta"]["location"], "ETag": shown["meta"]["version"]})

    @route("GET", "/{kind}/{key}")
    def read(self, request: Request, kind: str, key: str) -> Answer:
        return self._answer_with(request, kind, self._find(kind, key))

    @route("PUT", "/{kind}/{key}")
    def replace(self, request: Request, kind: str, key: str) -> Answer:
        schema, held = self._type(kind), self._find(kind, key)
        self._check_version(request, held)
        resource = normalize(schema, self._json(request), self.dialect["booleans"])
        kept = {key: value for key, value in held.items() if key in ("id", "meta") or key.startswith("_")}
        resource = {**kept, **({"active": True} if kind == "Users" else {}), **resource}
        return self._answer_with(request, kind, self._update(schema, kind, held, resource))

    @route("PATCH", "/{kind}/{key}")
    def patch(self, request: Request, kind: str, key: str) -> Answer:
        schema = self._type(kind)
        if not self.dialect["patch"]:
            raise ScimError(501, None, "PATCH is not supported")
        held = self._find(kind, key)
        self._check_version(request, held)
        resource = copy.deepcopy(held)
        apply_patch(schema, resource, self._json(request), self.dialect)
        check_required(schema, resource)
        resource = self._update(schema, kind, held, resource)
        return Answer(204) if self.dialect["patch_answer"] == 204 else self._answer_with(request, kind, resource)

    @route("DELETE", "/{kind}/{key}")
    def delete(self, request: Request, kind: str, key: str) -> Answer:
        held = self._find(kind, key)
        self._check_version(request, held)
        if self.dialect["delete"] == "none":
            raise ScimError(501, None, "DELETE is not supported")
        if self.dialect["delete"] == "deactivate" and kind == "Users":
            self._update(USER, kind, held, {**held, "active": False})
            return Answer(204)
        self.store.remove(kind, key)
        if kind == "Users":
            self.store.put("deleted_users", key, {**held, "_deleted_at": _now()})
        for group in list(self.store.all("Groups")):
            left = [member for member in group.get("members", []) if member["value"] != key]
            if left != group.get("members", []):
                self._save(GROUP, "Groups", _touched({**group, "members": left}))
        return Answer(204)

    def _type(self, kind: str) -> Schema:
        if kind not in self.TYPES:
            raise ScimError(404, None, f"No resource type at /{kind}")
        return self.TYPES[kind]

    def _find(self, kind: str, key: str) -> dict:
        self._type(kind)
        held = self.store.get(kind, key)
        if held is None:
            raise ScimError(404, None, f"Resource {key} not found")
        return held

    def _check_version(self, request: Request, held: dict) -> None:
        wanted = request.headers.get("if-match")
        if wanted not in (None, "*", held["meta"]["version"]):
            raise ScimError(412, None, "Resource has changed")

    # Writing.

    def _new(self, schema: Schema, kind: str, resource: dict) -> dict:
        now = _now()
        serial = self.store.next_number("id")
        number = self.dialect["ids"] == "number"
        key = resource.get("id") or (str(serial) if number else str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{serial}")))
        if kind == "Users":
            resource.setdefault("active", True)
        return {**resource, "id": key, "meta": {"resourceType": schema.name, "created": now, "lastModified": now,
                                                "version": 'W/"1"'}}

    def _update(self, schema: Schema, kind: str, held: dict, resource: dict) -> dict:
        """Store what a client made of `held`; what changes nothing makes no new version."""
        if self.dialect["active"] == "ignored" and kind == "Users":
            resource = {**resource, "active": held["active"]}
        if kind == "Groups":
            resource = {**resource, "members": [self._member(member) for member in resource.get("members", [])]}
        if resource == held:
            return held
        resource = _touched(resource)
        self._save(schema, kind, resource)
        return resource

    def _save(self, schema: Schema, kind: str, resource: dict) -> None:
        """Store a resource if it clashes with none. A password is never kept, only when it was set."""
        if schema is USER:
            name = resource["userName"].lower()
            if any(other["userName"].lower() == name and other["id"] != resource["id"] for other in self.store.all(kind)):
                raise ScimError(409, "uniqueness", "User name is already in use")
            if resource.pop("password", None) is not None:
                resource["_password_set_at"] = _now()
        else:
            resource["members"] = [self._member(member) for member in resource.get("members", [])]
        self.store.put(kind, resource["id"], resource)

    def _member(self, member: dict) -> dict:
        """A member as kept: reference and kind, the name is looked up when shown."""
        key = member.get("value")
        for kind, schema in self.TYPES.items():
            if key and self.store.get(kind, key):
                return {"value": key, "type": schema.name}
        raise ScimError(400, "invalidValue", f"Member {key} does not exist")

    # Showing.

    def _answer_with(self, request: Request, kind: str, resource: dict) -> Answer:
        shown = self._show(request, kind, resource)
        version = shown["meta"]["version"]
        return Answer(200, select(shown, request.params.get("attributes"), request.params.get("excludedAttributes")),
                      {"ETag": version})

    def _show(self, request: Request, kind: str, resource: dict) -> dict:
        shown = {key: copy.deepcopy(value) for key, value in resource.items() if not key.startswith("_")}
        shown["meta"]["location"] = self._location(request, kind, resource["id"])
        if self.dialect["ids"] == "number":
            shown["id"] = int(resource["id"])
        if kind == "Users":
            if self.dialect["user_groups"]:
                shown["groups"] = [{"value": group["id"], "display": group["displayName"], "type": "direct",
                                    "$ref": self._location(request, "Groups", group["id"])}
                                   for group in self.store.all("Groups") if _has_member(group, resource["id"])]
            if self.dialect["active"] == "hidden":
                del shown["active"]
            elif self.dialect["answer_booleans"] == "string":
                shown["active"] = str(shown["active"])
        for member in shown.get("members", []):
            member["$ref"] = self._location(request, member["type"] + "s", member["value"])
            member["display"] = self._display(member)
        return shown

    def _display(self, member: dict) -> str:
        target = self.store.get(member["type"] + "s", member["value"])
        return target.get("displayName") or target.get("userName")

    def _location(self, request: Request, *parts: str) -> str:
        return "/".join((request.origin + self.settings["base_path"].rstrip("/"), *parts))

    def _query(self, request: Request, schema: Schema, kind: str, params: dict) -> Answer:
        found = self.store.all(kind)
        text = params.get("filter")
        if text is not None:
            parsed = parse_filter(self._without_aliases(text), schema)
            allowed = self.dialect["filters"]
            refused = sorted(parsed.paths - {self._without_aliases(path).lower() for path in allowed or parsed.paths})
            if refused and self.dialect["unknown_filters"] == "ignored":
                return self._list(request, list(found), params, kind)
            if refused:
                raise ScimError(400, "invalidFilter", f"Filtering on {', '.join(refused)} is not supported")
            found = (item for item in found if parsed.matches(item if "groups.value" not in parsed.paths
                                                              else self._show(request, kind, item)))
        return self._list(request, list(found), params, kind)

    def _without_aliases(self, text: str) -> str:
        """Servers with a short name for an attribute (`email`) know it as the first word of a filter."""
        first, space, rest = text.strip().partition(" ")
        return self.dialect["filter_aliases"].get(first, first) + space + rest

    def _list(self, request: Request, found: list[dict], params: dict | None = None, kind: str | None = None) -> Answer:
        params = params or {}
        start = max(1, _integer(params, "startIndex", 1))
        count = min(max(0, _integer(params, "count", self.dialect["max_count"])), self.dialect["max_count"])
        page = found[start - 1:start - 1 + count]
        if kind:
            page = [select(self._show(request, kind, item), params.get("attributes"), params.get("excludedAttributes"))
                    for item in page]
        return Answer(200, {"schemas": [MESSAGES + "ListResponse"], "totalResults": len(found), "startIndex": start,
                            "itemsPerPage": len(page), "Resources": page})

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users merge with the one of the same id or user name; groups likewise by displayName, and their members may
        be given as user names."""
        for kind, schema, name in (("Users", USER, "userName"), ("Groups", GROUP, "displayName")):
            for given in state.get(kind.lower(), []):
                held = self._held(kind, name, given)
                if kind == "Groups" and "members" in given:
                    given["members"] = [self._seed_member(member) for member in given["members"]]
                given.setdefault("schemas", [schema.urn])
                try:
                    normalized = normalize(schema, {**(held or {}), **given}, "bool")
                    if "id" in given:
                        normalized["id"] = given["id"]
                    if held:
                        internal = {key: value for key, value in held.items() if key.startswith("_")}
                        normalized = _touched({**internal, **normalized, "id": held["id"], "meta": held["meta"]})
                    else:
                        normalized = self._new(schema, kind, normalized)
                    self._save(schema, kind, normalized)
                except ScimError as error:
                    raise ValueError(f"{self.name}: {kind.lower()}: {error.detail}") from error

    def _held(self, kind: str, name: str, given: dict) -> dict | None:
        if "id" in given:
            return self.store.get(kind, given["id"])
        return next((item for item in self.store.all(kind) if item[name].lower() == given.get(name, "").lower()), None)

    def _seed_member(self, member) -> dict:
        if isinstance(member, dict):
            return member
        user = self._held("Users", "userName", {"userName": member})
        return {"value": user["id"] if user else member}

    def export(self) -> dict:
        groups = [{**group, "members": [{**member, "display": self._display(member)} for member in group["members"]]}
                  for group in self.store.all("Groups")]
        return {"users": list(self.store.all("Users")), "groups": groups,
                "deleted_users": list(self.store.all("deleted_users"))}


def _has_member(group: dict, key: str) -> bool:
    return any(member["value"] == key for member in group["members"])


def _integer(params: dict, name: str, default: int) -> int:
    try:
        return int(params.get(name, default))
    except ValueError as error:
        raise ScimError(400, "invalidValue", f"'{name}' must be an integer") from error


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _touched(resource: dict) -> dict:
    """The resource as a new version of itself."""
    number = int(resource["meta"]["version"][3:-1]) + 1
    return {**resource, "meta": {**resource["meta"], "lastModified": _now(), "version": f'W/"{number}"'}}
