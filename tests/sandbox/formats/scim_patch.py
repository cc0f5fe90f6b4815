"""SCIM PATCH (RFC 7644 section 3.5.2) with the dialects seen in the field as options."""

import re

from formats.scim_filter import parse_value_filter
from formats.scim_schema import Attribute, Schema, ScimError, check_body, coerce, split_urn

PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_PATH = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<filter>.+)\])?(?:\.(?P<sub>[^.\[\]]+))?")


def apply_patch(schema: Schema, resource: dict, body, dialect: dict) -> None:
    """Change `resource` in place as a PATCH body says. ScimError when it is refused; then the resource is unusable."""
    for operation in _operations(body):
        op = _op(operation, dialect)
        path = operation.get("path")
        if path is not None and not isinstance(path, str):
            raise ScimError(400, "invalidPath", "Attribute 'path' must be a string")
        form = "path" if path else "no_path"
        if form not in dialect["patch_forms"]:
            raise ScimError(400, "invalidPath", f"Operations {'with' if path else 'without'} 'path' are not supported")
        if op != "remove" and "value" not in operation:
            raise ScimError(400, "invalidValue", f"Operation '{op}' needs a 'value'")
        if path:
            _apply_at(schema, resource, op, path, operation.get("value"), dialect)
        elif op == "remove":
            raise ScimError(400, "noTarget", "Operation 'remove' needs a 'path'")
        else:
            _apply_whole(schema, resource, op, operation["value"], dialect)


def _operations(body) -> list[dict]:
    check_body(body, PATCH_URN)
    operations = body.get("Operations")
    if not isinstance(operations, list) or not operations or not all(isinstance(item, dict) for item in operations):
        raise ScimError(400, "invalidSyntax", "Attribute 'Operations' must be a list of operations")
    return operations


def _op(operation: dict, dialect: dict) -> str:
    """The operation's name in lower case, if it is spelt as this server wants it."""
    given = operation.get("op")
    name = given.lower() if isinstance(given, str) else None
    spellings = {"any": given, "lower": name, "title": name and name.title()}
    if name not in ("add", "replace", "remove") or given != spellings[dialect["op_case"]]:
        raise ScimError(400, "invalidSyntax", f"Unknown operation {given!r}")
    return name


def _apply_whole(schema: Schema, resource: dict, op: str, value, dialect: dict) -> None:
    """No path: the value holds attributes, or (as some clients write) paths, as keys."""
    if not isinstance(value, dict):
        raise ScimError(400, "invalidValue", "Without 'path' the 'value' must be an object")
    for key, item in value.items():
        if key.lower() != "schemas":
            _apply_at(schema, resource, op, key, item, dialect)


def _apply_at(schema: Schema, resource: dict, op: str, path: str, value, dialect: dict) -> None:
    urn, rest = split_urn(path)
    holder = resource
    attribute_of = schema.attribute
    if urn and rest:
        holder = resource.setdefault(urn, {}) if schema.attribute(urn) else {}
        extension = schema.attribute(urn)
        attribute_of = extension.sub if extension else lambda _name: None
    if urn and not rest:
        # The URN alone names the whole extension; its dots ("2.0") separate nothing.
        name, brackets, sub_name = urn, None, None
    else:
        match = _PATH.fullmatch(rest)
        if not match:
            raise ScimError(400, "invalidPath", f"Path '{path}' cannot be read")
        name, brackets, sub_name = match.group("name", "filter", "sub")
    attribute = attribute_of(name)
    sub = attribute.sub(sub_name) if attribute and sub_name else None
    if attribute is None or (sub_name and sub is None) or (brackets and not attribute.multi):
        raise ScimError(400, "invalidPath", f"Path '{path}' names no attribute")
    if attribute.mutability == "readOnly":
        raise ScimError(400, "mutability", f"Attribute '{attribute.name}' is read-only")
    if brackets:
        _change_matching(schema, holder, op, attribute, sub, brackets, value, dialect)
    elif op == "remove" or value is None:
        _remove(holder, attribute, sub, value, dialect)
    elif sub is not None:
        _set_sub(holder, attribute, sub, value, dialect)
    else:
        _set(holder, op, attribute, value, dialect)


def _set(holder: dict, op: str, attribute: Attribute, value, dialect: dict) -> None:
    value = coerce(attribute, value, dialect["booleans"])
    if attribute.multi and op == "add":
        present = holder.get(attribute.name, [])
        value = present + [item for item in value if not _holds(present, item)]
    elif attribute.type == "complex" and not attribute.multi:
        value = {**holder.get(attribute.name, {}), **value}
    holder[attribute.name] = value


def _set_sub(holder: dict, attribute: Attribute, sub: Attribute, value, dialect: dict) -> None:
    value = coerce(sub, value, dialect["booleans"])
    if not attribute.multi:
        holder[attribute.name] = {**holder.get(attribute.name, {}), sub.name: value}
        return
    if not holder.get(attribute.name):
        raise ScimError(400, "noTarget", f"Attribute '{attribute.name}' has no values")
    for item in holder[attribute.name]:
        item[sub.name] = value


def _change_matching(schema: Schema, holder: dict, op: str, attribute: Attribute, sub: Attribute | None, brackets: str,
                     value, dialect: dict) -> None:
    """The values a filter in brackets selects. None selected is an error, except for removing: it is done already."""
    matches = parse_value_filter(brackets, schema, attribute)
    present = holder.get(attribute.name, [])
    chosen = [item for item in present if matches(item)]
    if op == "remove":
        if "value_path" not in dialect["remove_forms"]:
            raise ScimError(400, "invalidPath", "Filters in a 'path' are not supported")
        if sub is None:
            _keep(holder, attribute, [item for item in present if item not in chosen])
        for item in chosen:
            if sub is not None:
                item.pop(sub.name, None)
        return
    if not chosen:
        raise ScimError(400, "noTarget", f"No value of '{attribute.name}' matches the filter")
    for item in chosen:
        if sub is not None:
            item[sub.name] = coerce(sub, value, dialect["booleans"])
        else:
            item.update(coerce(attribute, value, dialect["booleans"])[0])


def _remove(holder: dict, attribute: Attribute, sub: Attribute | None, value, dialect: dict) -> None:
    """A whole attribute, one sub-attribute, or of a multi-valued one the values given."""
    if attribute.required:
        raise ScimError(400, "mutability", f"Attribute '{attribute.name}' is required")
    if sub is not None:
        held = holder.get(attribute.name, {})
        for item in held if isinstance(held, list) else [held]:
            item.pop(sub.name, None)
    elif attribute.multi and value:
        if "value_list" not in dialect["remove_forms"]:
            raise ScimError(400, "invalidValue", "Operation 'remove' takes no 'value'")
        gone = coerce(attribute, value, dialect["booleans"])
        present = holder.get(attribute.name, [])
        _keep(holder, attribute, [item for item in present if not _holds(gone, item)])
    else:
        holder.pop(attribute.name, None)


def _keep(holder: dict, attribute: Attribute, values: list) -> None:
    """An attribute without values is an attribute that is not there."""
    if values:
        holder[attribute.name] = values
    else:
        holder.pop(attribute.name, None)


def _holds(values: list, item) -> bool:
    """Whether a value is in a list; complex values are compared by `value`."""
    if isinstance(item, dict) and "value" in item:
        return any(other.get("value") == item["value"] for other in values)
    return item in values
