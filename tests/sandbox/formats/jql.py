"""The part of JQL that programs use: comparisons, IN, IS EMPTY, AND, OR, NOT, parentheses, ORDER BY.

A query is parsed into a predicate over documents `{"id", "key", "fields"}`. What the vendor refuses is a JqlError with
the texts for `errorMessages`: syntax errors, fields and projects that do not exist, queries without a restriction.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_TOKEN = re.compile(r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') |
    (?P<punct>!=|!~|<=|>=|[=~<>(),]) |
    (?P<word>[^\s"'=!~<>(),]+)
)""", re.VERBOSE)
_RESERVED = {"and", "or", "not", "in", "is", "empty", "null", "order", "by", "asc", "desc", "true", "false"}
_RELATIVE = re.compile(r"([+-]?\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _named(name: str) -> Callable[[dict], list]:
    return lambda document: [value for value in [(document["fields"].get(name) or {}).get("name")] if value]


def _plain(name: str) -> Callable[[dict], list]:
    return lambda document: [value for value in [document["fields"].get(name)] if value]


# What each field of a query looks at: the values of a document.
FIELDS: dict[str, Callable[[dict], list]] = {
    "project": lambda document: [document["fields"]["project"]["key"], document["fields"]["project"]["id"]],
    "labels": lambda document: document["fields"].get("labels") or [],
    "key": lambda document: [document["key"], document["id"]],
    "status": _named("status"),
    "issuetype": _named("issuetype"),
    "priority": _named("priority"),
    "summary": _plain("summary"),
    "created": _plain("created"),
    "updated": _plain("updated"),
    "duedate": _plain("duedate"),
    "reporter": lambda document: list((document["fields"].get("reporter") or {}).values()),
    "assignee": lambda document: list((document["fields"].get("assignee") or {}).values()),
}
_SYNONYMS = {"issuekey": "key", "issue": "key", "id": "key", "type": "issuetype", "due": "duedate",
             "createddate": "created", "updateddate": "updated"}
_TEXT_FIELDS, _TIME_FIELDS = {"summary"}, {"created", "updated", "duedate"}


class JqlError(Exception):
    """A query the vendor refuses, with its message."""


@dataclass(frozen=True)
class Query:
    """A parsed query: predicate, and the sort order as (field, descending)."""

    matches: Callable[[dict], bool]
    order: tuple[tuple[str, bool], ...]

    def run(self, documents: list[dict]) -> list[dict]:
        """The documents that match, in order; newest first when the query does not say."""
        found = [document for document in documents if self.matches(document)]
        for name, descending in reversed(self.order or (("key", True),)):
            found.sort(key=lambda document: _sort_key(name, document), reverse=descending)
        return found


def parse_jql(text: str, projects: set[str]) -> Query:
    """JqlError when the vendor would not run it. `projects` are the keys and ids that exist."""
    parser = _Parser(text, projects)
    if parser.at_end() or parser.peek_word("order"):
        raise JqlError("Unbounded JQL queries are not allowed here. Please add a search restriction to your query.")
    return Query(parser.disjunction(), parser.order_by())


class _Parser:
    """Recursive descent over the tokens of a query."""

    def __init__(self, text: str, projects: set[str]) -> None:
        self._tokens = _tokens(text)
        self._projects = {project.lower() for project in projects}
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def peek_word(self, word: str) -> bool:
        return not self.at_end() and self._tokens[self._at][0] == "word" and self._tokens[self._at][1].lower() == word

    def disjunction(self) -> Callable[[dict], bool]:
        terms = [self._conjunction()]
        while self._take_word("or"):
            terms.append(self._conjunction())
        return lambda document: any(term(document) for term in terms)

    def order_by(self) -> tuple[tuple[str, bool], ...]:
        order = []
        if self._take_word("order"):
            if not self._take_word("by"):
                raise self._unexpected()
            while True:
                name = self._field()
                descending = self._take_word("desc")
                if not descending:
                    self._take_word("asc")
                order.append((name, descending))
                if not self._take(","):
                    break
        if not self.at_end():
            raise self._unexpected()
        return tuple(order)

    def _conjunction(self) -> Callable[[dict], bool]:
        terms = [self._term()]
        while self._take_word("and"):
            terms.append(self._term())
        return lambda document: all(term(document) for term in terms)

    def _term(self) -> Callable[[dict], bool]:
        if self._take_word("not"):
            inner = self._term()
            return lambda document: not inner(document)
        if self._take("("):
            inner = self.disjunction()
            if not self._take(")"):
                raise self._unexpected()
            return inner
        return self._clause()

    def _clause(self) -> Callable[[dict], bool]:
        name = self._field()
        values_of = FIELDS[name]
        if self._take_word("is"):
            negated = self._take_word("not")
            if not (self._take_word("empty") or self._take_word("null")):
                raise self._unexpected()
            return lambda document: bool(values_of(document)) == negated
        negated = self._take_word("not")
        if self._take_word("in"):
            wanted = self._list(name)
            # A negative clause does not match documents without a value.
            return lambda document: bool(values_of(document)) and _any_of(values_of(document), wanted) != negated
        if negated:
            raise self._unexpected()
        operator = self._operator(name)
        return _comparison(name, operator, self._value(name))

    def _field(self) -> str:
        if self.at_end() or self._tokens[self._at][0] == "punct":
            raise self._unexpected()
        kind, text = self._tokens[self._at]
        if kind == "word" and text.lower() in _RESERVED:
            raise self._unexpected()
        self._at += 1
        name = _SYNONYMS.get(text.lower(), text.lower())
        if name not in FIELDS:
            raise JqlError(f"Field '{text}' does not exist or you do not have permission to view it.")
        return name

    def _operator(self, name: str) -> str:
        allowed = {"=", "!="}
        if name in _TEXT_FIELDS:
            allowed = {"~", "!~"}
        elif name in _TIME_FIELDS:
            allowed = {"=", "!=", "<", "<=", ">", ">="}
        for operator in ("=", "!=", "~", "!~", "<=", ">=", "<", ">"):
            if self._take(operator):
                if operator not in allowed:
                    raise JqlError(f"The operator '{operator}' is not supported by the '{name}' field.")
                return operator
        raise self._unexpected()

    def _list(self, name: str) -> list[str]:
        if not self._take("("):
            raise self._unexpected()
        values = [self._value(name)]
        while self._take(","):
            values.append(self._value(name))
        if not self._take(")"):
            raise self._unexpected()
        return values

    def _value(self, name: str) -> str:
        if self.at_end() or self._tokens[self._at][0] == "punct":
            raise self._unexpected()
        kind, text = self._tokens[self._at]
        if kind == "word" and text.lower() in _RESERVED:
            raise JqlError(f"Error in the JQL Query: '{text}' is a reserved JQL word. "
                           "You must surround it in quotation marks to use it in a query.")
        self._at += 1
        if name == "project" and text.lower() not in self._projects:
            raise JqlError(f"The value '{text}' does not exist for the field 'project'.")
        return text

    def _take(self, punct: str) -> bool:
        if not self.at_end() and self._tokens[self._at] == ("punct", punct):
            self._at += 1
            return True
        return False

    def _take_word(self, word: str) -> bool:
        if self.peek_word(word):
            self._at += 1
            return True
        return False

    def _unexpected(self) -> JqlError:
        if self.at_end():
            return JqlError("Error in the JQL Query: The query ends too early.")
        return JqlError(f"Error in the JQL Query: '{self._tokens[self._at][1]}' was not expected here.")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise JqlError(f"Error in the JQL Query: It cannot be read from character {at + 1}.")
        kind = found.lastgroup
        value = found.group(kind)
        tokens.append((kind, re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "string" else value))
        at = found.end()
    return tokens


def _comparison(name: str, operator: str, wanted: str) -> Callable[[dict], bool]:
    values_of = FIELDS[name]
    if operator in ("~", "!~"):
        words = wanted.lower().split()
        found = lambda document: all(word in " ".join(values_of(document)).lower() for word in words)
        return found if operator == "~" else lambda document: not found(document)
    if operator in ("=", "!="):
        negated = operator == "!="
        return lambda document: bool(values_of(document)) and _any_of(values_of(document), [wanted]) != negated
    limit = _time(wanted)
    tests = {"<": lambda t: t < limit, "<=": lambda t: t <= limit, ">": lambda t: t > limit, ">=": lambda t: t >= limit}
    return lambda document: any(tests[operator](_time(value)) for value in values_of(document))


def _any_of(values: list, wanted: list[str]) -> bool:
    folded = {str(value).lower() for value in values}
    return any(item.lower() in folded for item in wanted)


def _time(text: str) -> datetime:
    """A point in time: relative to now (`-2h`), a day, a minute, or as the vendor writes it."""
    relative = _RELATIVE.fullmatch(text)
    if relative:
        return datetime.now(timezone.utc) + timedelta(**{_UNITS[relative.group(2)]: int(relative.group(1))})
    for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M:%S.%f%z"):
        try:
            parsed = datetime.strptime(text, form)
        except ValueError:
            continue
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    raise JqlError(f"Date value '{text}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd', '-5d'.")


def _sort_key(name: str, document: dict):
    if name == "key":
        project, _, number = document["key"].rpartition("-")
        return project, int(number)
    return "", " ".join(str(value) for value in FIELDS[name](document)).lower()
