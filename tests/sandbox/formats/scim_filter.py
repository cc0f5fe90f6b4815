"""SCIM filters (RFC 7644 section 3.4.2.2): text to a predicate over resources."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from formats.scim_schema import Attribute, Schema, ScimError, split_urn

_TOKEN = re.compile(r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*") |
    (?P<punct>[()\[\]]) |
    (?P<word>[^\s()\[\]"]+)
)""", re.VERBOSE)
_OPERATORS = {"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}


@dataclass(frozen=True)
class Filter:
    """A parsed filter. `paths` are the attribute paths it asks about, in lower case (`emails.value`)."""

    matches: Callable[[dict], bool]
    paths: frozenset[str]


def parse_filter(text: str, schema: Schema) -> Filter:
    """ScimError invalidFilter when the text is no filter."""
    parser = _Parser(text, schema)
    matches = parser.disjunction(None)
    parser.expect_end()
    return Filter(matches, frozenset(parser.paths))


def parse_value_filter(text: str, schema: Schema, attribute: Attribute) -> Callable[[dict], bool]:
    """The predicate in the brackets of `emails[type eq "work"]`, over one value of the attribute."""
    parser = _Parser(text, schema)
    matches = parser.disjunction(attribute)
    parser.expect_end()
    return matches


class _Parser:
    """Recursive descent; `parent` is the attribute whose values a filter in brackets looks at, else None."""

    def __init__(self, text: str, schema: Schema) -> None:
        self.schema = schema
        self.paths: set[str] = set()
        self._tokens = _tokens(text)
        self._at = 0

    def disjunction(self, parent: Attribute | None) -> Callable[[dict], bool]:
        terms = [self._conjunction(parent)]
        while self._take_word("or"):
            terms.append(self._conjunction(parent))
        return terms[0] if len(terms) == 1 else lambda value: any(term(value) for term in terms)

    def _conjunction(self, parent: Attribute | None) -> Callable[[dict], bool]:
        terms = [self._term(parent)]
        while self._take_word("and"):
            terms.append(self._term(parent))
        return terms[0] if len(terms) == 1 else lambda value: all(term(value) for term in terms)

    def _term(self, parent: Attribute | None) -> Callable[[dict], bool]:
        if self._take_word("not"):
            self._expect("(")
            inner = self.disjunction(parent)
            self._expect(")")
            return lambda value: not inner(value)
        if self._take("("):
            inner = self.disjunction(parent)
            self._expect(")")
            return inner
        return self._comparison(parent)

    def _comparison(self, parent: Attribute | None) -> Callable[[dict], bool]:
        kind, path = self._next("an attribute")
        if kind != "word":
            raise _bad(f"an attribute was expected instead of {path}")
        attributes = self._resolve(path, parent)
        names = [item.name for item in attributes]
        if parent is None and self._take("["):
            inner = self.disjunction(attributes[-1])
            self._expect("]")
            return lambda resource: any(inner(value) for value in _values(resource, names) if isinstance(value, dict))
        last = attributes[-1]
        if last.type == "complex" and last.sub("value"):
            last = last.sub("value")
            names.append("value")
        self.paths.add(".".join(([parent.name] if parent else []) + names).lower())
        operator = self._next("an operator")[1].lower()
        if operator == "pr":
            return lambda resource: any(value not in (None, "", [], {}) for value in _values(resource, names))
        if operator not in _OPERATORS:
            raise _bad(f"unknown operator {operator}")
        wanted = self._literal()
        compare = _comparer(operator, wanted, last)
        if operator == "ne":
            return lambda resource: not any(compare(value) for value in _values(resource, names))
        return lambda resource: any(compare(value) for value in _values(resource, names))

    def _resolve(self, path: str, parent: Attribute | None) -> list[Attribute]:
        """The attributes along a path; an unknown name is an error, as it would silently find nobody."""
        urn, rest = split_urn(path)
        found, holder = [], parent or self.schema
        for name in ([urn] if urn else []) + rest.split("."):
            attribute = holder.attribute(name) if holder is self.schema else holder.sub(name)
            if attribute is None:
                raise _bad(f"unknown attribute {path}")
            found.append(attribute)
            holder = attribute
        return found

    def _literal(self):
        kind, text = self._next("a value")
        if kind == "string":
            try:
                return json.loads(text)
            except ValueError as error:
                raise _bad(f"invalid string {text}") from error
        try:
            value = json.loads(text.lower() if text.lower() in ("true", "false", "null") else text)
        except ValueError as error:
            raise _bad(f"a value was expected instead of {text}") from error
        return value

    def _next(self, wanted: str) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise _bad(f"{wanted} was expected at the end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, punct: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("punct", punct):
            self._at += 1
            return True
        return False

    def _take_word(self, word: str) -> bool:
        if self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if kind == "word" and text.lower() == word:
                self._at += 1
                return True
        return False

    def _expect(self, punct: str) -> None:
        if not self._take(punct):
            raise _bad(f"{punct} was expected")

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise _bad(f"unexpected {self._tokens[self._at][1]}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise _bad(f"cannot be read from character {at + 1}")
        tokens.append((found.lastgroup, found.group(found.lastgroup)))
        at = found.end()
    return tokens


def _comparer(operator: str, wanted, attribute: Attribute) -> Callable[[object], bool]:
    """The test of one value; strings in any case unless the attribute is case-exact."""

    def fold(value):
        return value.lower() if isinstance(value, str) and not attribute.case_exact else value

    wanted = fold(wanted)
    if operator in ("eq", "ne"):
        return lambda value: type(fold(value)) is type(wanted) and fold(value) == wanted
    if not isinstance(wanted, str):
        raise _bad(f"{operator} needs a string")
    tests = {"co": lambda v: wanted in v, "sw": lambda v: v.startswith(wanted), "ew": lambda v: v.endswith(wanted),
             "gt": lambda v: v > wanted, "ge": lambda v: v >= wanted,
             "lt": lambda v: v < wanted, "le": lambda v: v <= wanted}
    test = tests[operator]
    return lambda value: isinstance(value, str) and test(fold(value))


def _values(value, names: list[str]):
    """All values at a path, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, names)
    elif not names:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        yield from _values(value.get(names[0]), names[1:])


def _bad(reason: str) -> ScimError:
    return ScimError(400, "invalidFilter", f"Invalid filter: {reason}")
