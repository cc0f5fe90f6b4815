"""RSQL as Jamf Pro reads it: `field==value`, `!=`, `=in=(a,b)`, `=out=(…)`; `;` is and, `,` is or, and binds looser."""

import fnmatch

OPERATORS = ("=in=", "=out=", "==", "!=")


class RsqlError(ValueError):
    pass


def parse(text: str):
    """A tree of ("or" | "and", [parts]) and (operator, field, [values])."""
    rest, tree = _either(text)
    if rest:
        raise RsqlError(f"unexpected {rest[:20]!r}")
    return tree


def matches(tree, value_of) -> bool:
    """`value_of(field)` is a text or None; comparing regards no case, as the vendor's database does."""
    if tree[0] in ("or", "and"):
        return (any if tree[0] == "or" else all)(matches(part, value_of) for part in tree[1])
    operator, field, wanted = tree
    found = str(value_of(field) or "").lower()
    hit = any(fnmatch.fnmatchcase(found, one.lower().replace("[", "[[]")) for one in wanted)
    return hit if operator in ("==", "=in=") else not hit


def fields(tree) -> set[str]:
    return set().union(*map(fields, tree[1])) if tree[0] in ("or", "and") else {tree[1]}


def _either(text: str):
    rest, first = _all(text)
    parts = [first]
    while rest.startswith(","):
        rest, part = _all(rest[1:])
        parts.append(part)
    return rest, parts[0] if len(parts) == 1 else ("or", parts)


def _all(text: str):
    rest, first = _one(text)
    parts = [first]
    while rest.startswith(";"):
        rest, part = _one(rest[1:])
        parts.append(part)
    return rest, parts[0] if len(parts) == 1 else ("and", parts)


def _one(text: str):
    if text.startswith("("):
        rest, tree = _either(text[1:])
        if not rest.startswith(")"):
            raise RsqlError("a parenthesis is not closed")
        return rest[1:], tree
    places = [(text.find(operator), operator) for operator in OPERATORS if text.find(operator) > 0]
    if not places:
        raise RsqlError(f"no comparison in {text[:20]!r}")
    at, operator = min(places)
    field, rest = text[:at], text[at + len(operator):]
    if operator not in ("=in=", "=out="):
        rest, value = _value(rest)
        return rest, (operator, field, [value])
    if not rest.startswith("("):
        raise RsqlError(f"{operator} takes a list")
    values = []
    while not values or rest.startswith(","):
        rest, value = _value(rest[1:])
        values.append(value)
    if not rest.startswith(")"):
        raise RsqlError("a list is not closed")
    return rest[1:], (operator, field, values)


def _value(text: str):
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        if end < 0:
            raise RsqlError("a quote is not closed")
        return text[end + 1:], text[1:end]
    end = next((i for i, char in enumerate(text) if char in ",;()"), len(text))
    if end == 0:
        raise RsqlError("a value is missing")
    return text[end:], text[:end]
