"""SCIM 2.0 schemas (RFC 7643): which attributes Users and Groups have, and bringing a client's JSON into their shape."""

import copy
from dataclasses import dataclass

USER_URN = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_URN = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class ScimError(Exception):
    """A refusal in SCIM's terms: HTTP status, `scimType` (RFC 7644 table 9) or None, and a text."""

    def __init__(self, status: int, scim_type: str | None, detail: str) -> None:
        super().__init__(detail)
        self.status, self.scim_type, self.detail = status, scim_type, detail


@dataclass(frozen=True)
class Attribute:
    """An attribute's characteristics, as RFC 7643 section 2.2 names them."""

    name: str
    type: str = "string"
    multi: bool = False
    case_exact: bool = False
    mutability: str = "readWrite"
    required: bool = False
    subs: tuple["Attribute", ...] = ()

    def sub(self, name: str) -> "Attribute | None":
        return next((sub for sub in self.subs if sub.name.lower() == name.lower()), None)


@dataclass(frozen=True)
class Schema:
    """A resource type; `attributes` holds the core attributes, the common ones, and extensions under their URN."""

    urn: str
    name: str
    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> Attribute | None:
        """By name in any case, with or without the core schema's URN."""
        prefix = self.urn.lower() + ":"
        wanted = name.lower().removeprefix(prefix)
        return next((item for item in self.attributes if item.name.lower() == wanted), None)


def split_urn(path: str) -> tuple[str | None, str]:
    """Take a schema's URN off a path: the extension's URN (None for the core) and what follows it."""
    for urn in (ENTERPRISE_URN, USER_URN, GROUP_URN):
        if path.lower() == urn.lower():
            return urn, ""
        if path.lower().startswith(urn.lower() + ":"):
            return (urn if urn == ENTERPRISE_URN else None), path[len(urn) + 1:]
    return None, path


def _plural(name: str) -> Attribute:
    return Attribute(name, "complex", multi=True, subs=(
        Attribute("value"), Attribute("display"), Attribute("type"), Attribute("primary", "boolean")))


def _strings(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name) for name in names)


_COMMON = (
    Attribute("schemas", multi=True, case_exact=True),
    Attribute("id", case_exact=True, mutability="readOnly"),
    Attribute("externalId", case_exact=True),
    Attribute("meta", "complex", mutability="readOnly",
              subs=_strings("resourceType", "created", "lastModified", "location", "version")),
)
_ENTERPRISE = Attribute(ENTERPRISE_URN, "complex", subs=(
    *_strings("employeeNumber", "costCenter", "organization", "division", "department"),
    Attribute("manager", "complex", subs=_strings("value", "$ref", "displayName"))))

USER = Schema(USER_URN, "User", (
    *_COMMON,
    Attribute("userName", required=True),
    Attribute("name", "complex", subs=_strings(
        "formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")),
    *_strings("displayName", "nickName", "profileUrl", "title", "userType", "preferredLanguage", "locale", "timezone"),
    Attribute("active", "boolean"),
    Attribute("password", mutability="writeOnly"),
    *(_plural(name) for name in ("emails", "phoneNumbers", "ims", "photos", "entitlements", "roles", "x509Certificates")),
    Attribute("addresses", "complex", multi=True, subs=(
        *_strings("formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"),
        Attribute("primary", "boolean"))),
    Attribute("groups", "complex", multi=True, mutability="readOnly",
              subs=(Attribute("value", case_exact=True), *_strings("$ref", "display", "type"))),
    _ENTERPRISE,
))
GROUP = Schema(GROUP_URN, "Group", (
    *_COMMON,
    Attribute("displayName", required=True),
    Attribute("members", "complex", multi=True,
              subs=(Attribute("value", case_exact=True), *_strings("$ref", "display", "type"))),
))


def coerce(attribute: Attribute, value, booleans: str):
    """A client's value as the schema wants it. `booleans` says which forms pass: "bool", "string" or "any"."""
    if attribute.multi:
        items = value if isinstance(value, list) else [value]
        return [_coerce_one(attribute, item, booleans) for item in items]
    return _coerce_one(attribute, value, booleans)


def _coerce_one(attribute: Attribute, value, booleans: str):
    if attribute.type == "boolean":
        return _coerce_boolean(attribute, value, booleans)
    if attribute.type == "complex":
        if isinstance(value, str) and attribute.sub("value"):
            value = {"value": value}
        if not isinstance(value, dict):
            raise ScimError(400, "invalidValue", f"Attribute '{attribute.name}' must be an object")
        known = ((attribute.sub(key), item) for key, item in value.items())
        return {sub.name: coerce(sub, item, booleans) for sub, item in known if sub and item is not None}
    if not isinstance(value, str):
        raise ScimError(400, "invalidValue", f"Attribute '{attribute.name}' must be a string")
    return value


def _coerce_boolean(attribute: Attribute, value, booleans: str) -> bool:
    if isinstance(value, bool) and booleans in ("bool", "any"):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false") and booleans in ("string", "any"):
        return value.lower() == "true"
    raise ScimError(400, "invalidValue", f"Attribute '{attribute.name}' has no acceptable boolean value")


def normalize(schema: Schema, body, booleans: str) -> dict:
    """A whole resource from a client: known names in their spelling, read-only and unknown ones left out."""
    check_body(body, schema.urn)
    resource = {}
    for key, value in body.items():
        attribute = schema.attribute(key)
        if attribute and attribute.mutability != "readOnly" and value is not None:
            resource[attribute.name] = coerce(attribute, value, booleans)
    check_required(schema, resource)
    return resource


def check_body(body, urn: str) -> None:
    """Every body is an object that says which schema it follows."""
    if not isinstance(body, dict):
        raise ScimError(400, "invalidSyntax", "Request body must be a JSON object")
    if not isinstance(body.get("schemas"), list) or urn not in body["schemas"]:
        raise ScimError(400, "invalidValue", f"Attribute 'schemas' must contain {urn}")


def check_required(schema: Schema, resource: dict) -> None:
    for attribute in schema.attributes:
        if attribute.required and not resource.get(attribute.name):
            raise ScimError(400, "invalidValue", f"Attribute '{attribute.name}' is required")


def select(resource: dict, attributes: str | None, excluded: str | None) -> dict:
    """The resource with the `attributes` asked for, or without the `excluded` ones; `id` and `schemas` always stay."""
    if attributes:
        chosen = {key: resource[key] for key in ("schemas", "id") if key in resource}
        for path in _paths(attributes):
            key = next((key for key in resource if key.lower() == path[0]), None)
            if key is None:
                continue
            part = resource[key] if len(path) == 1 else _pick(resource[key], path[1])
            if isinstance(part, dict) and isinstance(chosen.get(key), dict):
                part = {**chosen[key], **part}
            chosen[key] = part
        return chosen
    if excluded:
        dropped = {path[0] for path in _paths(excluded) if len(path) == 1} - {"id", "schemas"}
        return {key: value for key, value in resource.items() if key.lower() not in dropped}
    return resource


def _paths(text: str) -> list[list[str]]:
    found = []
    for item in text.split(","):
        urn, rest = split_urn(item.strip())
        found.append(([urn.lower()] if urn else []) + [part.lower() for part in rest.split(".") if part])
    return [path for path in found if path]


def _pick(value, name: str):
    if isinstance(value, list):
        return [_pick(item, name) for item in value]
    return {key: copy.deepcopy(item) for key, item in value.items() if key.lower() == name}


def describe(schema: Schema) -> dict:
    """The schema as GET /Schemas shows it."""
    return {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": schema.urn, "name": schema.name,
            "attributes": [_describe(item) for item in schema.attributes
                           if item not in _COMMON and not item.name.startswith("urn:")]}


def _describe(attribute: Attribute) -> dict:
    described = {"name": attribute.name, "type": attribute.type, "multiValued": attribute.multi,
                 "required": attribute.required, "caseExact": attribute.case_exact,
                 "mutability": attribute.mutability,
                 "returned": "never" if attribute.mutability == "writeOnly" else "default",
                 "uniqueness": "server" if attribute.name == "userName" else "none"}
    if attribute.subs:
        described["subAttributes"] = [_describe(sub) for sub in attribute.subs]
    return described
