"""jq's functions, as jq_eval.py calls them: with the evaluator (`self`), the input, the variables, and the arguments as trees. One that
is not here cannot stand in a connector that is tried."""

import calendar
import datetime
import functools
import json
import math
import re
import time

from cells import ISO, Cell, Derived, JqError
from jq_parse import Node, parse

KINDS = {"null": 0, "boolean": 1, "number": 3, "string": 4, "array": 5, "object": 6}


def kind_of(value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(value)]


def rank(value):
    """A key that sorts as jq does."""
    kind = kind_of(value)
    if kind == "array":
        return KINDS[kind], [rank(item) for item in value]
    if kind == "object":
        return KINDS[kind], sorted(value), [rank(value[key]) for key in sorted(value)]
    return KINDS[kind], value if value is not None else 0


def number(value: float):
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2 ** 53 else value


FUNCTIONS = {}


def function(*names: str, arguments: int = 0):
    def register(made):
        for name in names:
            FUNCTIONS[name, arguments] = made
        return made
    return register


def plain(name: str, arguments: int = 0):
    """A function of values that are whole: `made(value, *arguments)`."""
    def register(made):
        def call(self, value, env, *nodes):
            values = [self.deep(value), *(self.deep(self.one(node, value, env)) for node in nodes)]
            try:
                yield made(*values)
            except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError) as error:
                raise JqError(f"{name}: {error}") from error
        FUNCTIONS[name, arguments] = call
        return made
    return register


def defined(name: str, *parameters: str, by: str):
    """A function that jq itself defines by others; parameters are filters."""
    body = parse(by)

    def call(self, value, env, *nodes):
        return self.run(_replaced(body, dict(zip(parameters, nodes))), value, env)
    FUNCTIONS[name, len(parameters)] = call


def _replaced(node, arguments: dict):
    if not isinstance(node, Node) or not arguments:
        return node
    if node.kind == "call" and node.name in arguments and not node.parts:
        return arguments[node.name]
    return Node(node.kind, [_replaced(part, arguments) for part in node.parts], node.name, node.value)


defined("map", "f", by="[.[] | f]")
defined("select", "f", by="if f then . else empty end")
defined("values", by="if . == null then empty else . end")
defined("nulls", by="if . == null then . else empty end")
for _name, _type in (("strings", "string"), ("numbers", "number"), ("booleans", "boolean"), ("arrays", "array"), ("objects", "object")):
    defined(_name, by=f'if type == "{_type}" then . else empty end')
defined("scalars", by='if type == "array" or type == "object" then empty else . end')
defined("first", by=".[0]")
defined("last", by=".[-1]")
defined("with_entries", "f", by="to_entries | map(f) | from_entries")
defined("todateiso8601", by="todate")
defined("fromdate", by="fromdateiso8601")


@function("empty")
def _(self, value, env):
    return iter(())


@function("error")
def _(self, value, env):
    raise JqError(str(self.deep(value)))


@function("error", arguments=1)
def _(self, value, env, message):
    raise JqError(str(self.deep(self.one(message, value, env))))


@function("not")
def _(self, value, env):
    yield not self.truthy(value)


@function("type")
def _(self, value, env):
    value = self.look(value)
    if isinstance(value, Derived):
        yield "string"
    elif isinstance(value, Cell) and value.kind == "open":
        yield self.choose(*(lambda kind=kind: _become(self, value, kind) for kind in (
            ("string",) if value.type == "string" or value.parts else ("number",) if value.type == "number" else
            ("array", "object", "string", "number", "boolean", *(() if value.something else ("null",))))))
    else:
        yield "object" if isinstance(value, Cell) else kind_of(value)


def _become(self, cell: Cell, kind: str) -> str:
    if kind == "array":
        cell.make_list((1, 0)[self.chooser.choose(2)])
    elif kind == "object":
        cell.make_object()
    elif kind == "null":
        cell.decide(None)
    elif kind == "boolean":
        self.decide(cell, True, False)
    else:
        cell.type, cell.something = kind, True
    return kind


@function("length")
def _(self, value, env):
    value = self.look(value)
    if isinstance(value, Cell) and value.kind == "open" and not value.type and not value.parts:
        value = self.iterate(value)
    value = self.concrete(value, *(["130000000000000000"] if isinstance(value, Cell) and value.type == "string" else []))
    if isinstance(value, bool):
        raise JqError("a boolean has no length")
    yield 0 if value is None else abs(value) if isinstance(value, (int, float)) else len(value)


@function("any", "all")
def _(self, value, env):
    raise JqError("registered below")


def _quantify(name: str, wanted: bool):
    @function(name)
    def _all(self, value, env):
        yield any(self.truthy(item) == wanted for item in self.iterate(value)) == wanted

    @function(name, arguments=1)
    def _all_that(self, value, env, condition):
        yield any(self.truthy(result) == wanted for item in self.iterate(value)
                  for result in self.run(condition, item, env)) == wanted

    @function(name, arguments=2)
    def _all_of(self, value, env, items, condition):
        yield any(self.truthy(result) == wanted for item in self.run(items, value, env)
                  for result in self.run(condition, item, env)) == wanted


_quantify("any", True)
_quantify("all", False)


@function("IN", arguments=1)
def _(self, value, env, items):
    yield any(self.equal(value, item) for item in self.run(items, value, env))


@function("IN", arguments=2)
def _(self, value, env, source, items):
    yield any(self.equal(one, item) for one in self.run(source, value, env) for item in self.run(items, value, env))


@function("isempty", arguments=1)
def _(self, value, env, items):
    yield next(self.run(items, value, env), FUNCTIONS) is FUNCTIONS


@function("first", arguments=1)
def _(self, value, env, items):
    for item in self.run(items, value, env):
        yield item
        return


@function("last", arguments=1)
def _(self, value, env, items):
    yield from list(self.run(items, value, env))[-1:]


@function("add")
def _(self, value, env):
    yield functools.reduce(lambda total, item: self.calculate("+", total, item), self.iterate(value), None)


@function("contains", arguments=1)
def _(self, value, env, part):
    part = self.concrete(self.one(part, value, env))
    value = self.look(value)
    if isinstance(value, Cell) and value.kind == "open" and isinstance(part, str):
        if value.type == "number":
            raise JqError("a number contains no text")
        value.type, value.something = "string", True
        if any(part in known for known in value.parts):
            yield True
        elif self.chooser.choose(2) == 0:
            value.parts.append(part)
            yield True
        else:
            yield False
    else:
        yield _contains(self.deep(value), self.deep(part))


def _edge(name: str, holds, made):
    """Does a text begin, or end, with another one?"""
    @function(name, arguments=1)
    def call(self, value, env, part):
        part, value = self.concrete(self.one(part, value, env)), self.look(value)
        if not isinstance(part, str):
            raise JqError(f"{name} wants texts")
        if isinstance(value, Cell) and value.kind == "open" and value.type != "number" and not value.parts:
            value.type, value.something = "string", True
            if self.chooser.choose(2) == 0:
                value.decide(made(part, self.defaults.fresh()))
                yield True
            else:
                yield False
        else:
            value = self.deep(value)
            if not isinstance(value, str):
                raise JqError(f"{name} wants texts")
            yield holds(value, part)


_edge("startswith", str.startswith, lambda part, fresh: part + fresh)
_edge("endswith", str.endswith, lambda part, fresh: fresh + part)


def _contains(value, part) -> bool:
    if kind_of(value) != kind_of(part):
        raise JqError("cannot contain it")
    if isinstance(value, str):
        return part in value
    if isinstance(value, list):
        return all(any(kind_of(one) == kind_of(item) and _contains(one, item) for one in value) for item in part)
    if isinstance(value, dict):
        return all(key in value and kind_of(value[key]) == kind_of(item) and _contains(value[key], item) for key, item in part.items())
    return value == part


def _turned(name: str, apply, invert, wanted: type = str):
    """A function that an open cell is seen through."""
    @function(name)
    def call(self, value, env):
        value = self.look(value)
        if isinstance(value, Derived):
            outer = value
            yield Derived(outer.cell, lambda one: apply(outer.apply(one)), lambda one: outer.invert(invert(one)))
        elif isinstance(value, Cell) and value.kind == "open":
            value.something = True
            if wanted is str and not value.type:
                value.type = "string"
            yield Derived(value, apply, invert)
        else:
            whole = self.deep(value)
            if wanted is str and not isinstance(whole, str):
                raise JqError(f"{name} wants a text")
            yield apply(whole)


def _tostring(value):
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


_turned("ascii_downcase", lambda text: text.lower(), lambda text: text)
_turned("ascii_upcase", lambda text: text.upper(), lambda text: text)
_turned("tostring", _tostring, lambda text: text, object)


def _replacing(name: str, count: int):
    @function(name, arguments=2)
    def call(self, value, env, pattern, replacement):
        pattern, replacement = (self.deep(self.one(node, value, env)) for node in (pattern, replacement))

        def apply(text):
            return re.sub(pattern, lambda _: replacement, text, count=count)

        value = self.look(value)
        if isinstance(value, Derived):
            yield Derived(value.cell, lambda one: apply(value.apply(one)), value.invert)
        elif isinstance(value, Cell) and value.kind == "open" and value.type != "number":
            value.type, value.something = "string", True
            yield Derived(value, apply, lambda text: text)
        else:
            text = self.deep(value)
            if not isinstance(text, str):
                raise JqError(f"{name} wants a text")
            yield apply(text)


_replacing("sub", 1)
_replacing("gsub", 0)


@function("tonumber")
def _(self, value, env):
    value = self.concrete(value, 1, 2, 1000, "1", "512", "514", "7", "0")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value
        return
    try:
        yield number(float(value)) if isinstance(value, str) else 1 / 0
    except (ValueError, ZeroDivisionError) as error:
        raise JqError("is no number") from error


@function("fromdateiso8601")
def _(self, value, env):
    text = self.concrete(value, self.defaults.now(), "2001-01-01T00:00:00Z")
    try:
        yield calendar.timegm(time.strptime(text, ISO))
    except (ValueError, TypeError) as error:
        raise JqError("is no time") from error


@function("split", arguments=1)
def _(self, value, env, separator):
    separator = self.concrete(self.one(separator, value, env))
    name = _name_of(self, value)
    if not isinstance(separator, str):
        raise JqError("split wants texts")
    if re.search("link|next|url|cursor", name, re.I):
        link = f"{self.defaults.url}?page=2&cursor=2"
        pool = [f'<{link}>; rel="next"' if name.lower() == "link" else link]
    elif separator and name:
        pool = [self.defaults.fresh(name), separator.join(self.defaults.fresh(name) for _ in range(4))]
    else:
        pool = []
    text = self.concrete(value, *pool)
    if not isinstance(text, str):
        raise JqError("split wants texts")
    yield text.split(separator) if separator else list(text)


def _name_of(self, value) -> str:
    value = self.look(value)
    return value.name if isinstance(value, Cell) else ""


@function("has", arguments=1)
def _(self, value, env, key):
    key, value = self.concrete(self.one(key, value, env)), self.look(value)
    if isinstance(value, Cell) and value.kind == "open":
        value.make_object()
    if isinstance(value, Cell):
        if key not in value.members and self.chooser.choose(2) == 1:
            yield False
        else:
            value.member(key)
            yield True
    elif isinstance(value, (dict, list)):
        yield key in value if isinstance(value, dict) else 0 <= key < len(value)
    else:
        raise JqError("has no keys")


@function("to_entries")
def _(self, value, env):
    value = self.look(value)
    if isinstance(value, Cell) and value.kind == "open":
        value.make_object()
        if self.chooser.choose(2) == 0:
            value.member(self.defaults.fresh("key"))
    members = value.members if isinstance(value, Cell) else value
    if not isinstance(members, dict):
        raise JqError("has no entries")
    yield [{"key": key, "value": member} for key, member in members.items()]


@function("from_entries")
def _(self, value, env):
    made = {}
    for entry in self.iterate(value):
        key = next((self.concrete(self.index(entry, name)) for name in ("key", "k", "name", "Name", "Key")
                    if self.look(self.index(entry, name)) is not None), None)
        made[self.text(key)] = self.index(entry, "value")
    yield made


@function("fromjson")
def _(self, value, env):
    value = self.look(value)
    try:
        yield json.loads(self.concrete(value, '{"id": "1"}'))
    except (ValueError, TypeError) as error:
        raise JqError("is no JSON") from error


@function("unique_by", "group_by", "sort_by", "min_by", "max_by", arguments=1)
def _(self, value, env, by):
    raise JqError("registered below")


def _by(name: str, made):
    @function(name, arguments=1)
    def call(self, value, env, by):
        whole = [self.deep(item) for item in self.iterate(value)]
        keyed = sorted(((rank([self.deep(one) for one in self.run(by, item, env)]), position) for position, item in enumerate(whole)))
        yield made([(key, whole[position]) for key, position in keyed])


def _groups(keyed: list) -> list[list]:
    groups: dict = {}
    for key, item in keyed:
        groups.setdefault(repr(key), []).append(item)
    return list(groups.values())


_by("sort_by", lambda keyed: [item for _, item in keyed])
_by("group_by", _groups)
_by("unique_by", lambda keyed: [group[0] for group in _groups(keyed)])
_by("min_by", lambda keyed: keyed[0][1] if keyed else None)
_by("max_by", lambda keyed: keyed[-1][1] if keyed else None)

plain("unique")(lambda items: [item for position, item in enumerate(sorted(items, key=rank))
                               if position == 0 or rank(sorted(items, key=rank)[position - 1]) != rank(item)])
plain("sort")(lambda items: sorted(items, key=rank))
plain("min")(lambda items: min(items, key=rank) if items else None)
plain("max")(lambda items: max(items, key=rank) if items else None)
plain("reverse")(lambda items: items[::-1] if items is not None else [])
plain("flatten")(lambda items: [one for item in items for one in (item if isinstance(item, list) else [item])])
plain("keys")(lambda value: sorted(value) if isinstance(value, dict) else list(range(len(value))))
plain("keys_unsorted")(lambda value: list(value) if isinstance(value, dict) else list(range(len(value))))
plain("floor")(lambda value: math.floor(value))
plain("round")(lambda value: math.floor(value + 0.5))
plain("tojson")(lambda value: json.dumps(value, separators=(",", ":")))
plain("utf8bytelength")(lambda value: len(value.encode()))
plain("explode")(lambda value: [ord(letter) for letter in value])
plain("implode")(lambda value: "".join(map(chr, value)))
plain("join", 1)(lambda items, by: by.join("" if item is None else item if isinstance(item, str) else json.dumps(item) for item in items))
plain("ltrimstr", 1)(lambda text, begin: text.removeprefix(begin) if isinstance(text, str) else text)
plain("rtrimstr", 1)(lambda text, end: text.removesuffix(end) if isinstance(text, str) else text)
plain("rindex", 1)(lambda text, part: text.rindex(part) if part in text else None)
plain("indices", 1)(lambda text, part: [match.start() for match in re.finditer(re.escape(part), text)])
plain("inside", 1)(lambda part, value: _contains(value, part))
plain("in", 1)(lambda key, value: key in value)
plain("test", 1)(lambda text, pattern: re.search(pattern, text) is not None)
plain("match", 1)(lambda text, pattern: _match(re.search(pattern, text)))
plain("capture", 1)(lambda text, pattern: re.search(pattern, text).groupdict())
plain("strptime", 1)(lambda text, form: _broken_down(datetime.datetime.strptime(text, form)))
plain("gmtime")(lambda seconds: _broken_down(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)))
plain("mktime")(lambda parts: calendar.timegm((parts[0], parts[1] + 1, *parts[2:6], 0, 0, 0)))
plain("strftime", 1)(lambda value, form: time.strftime(form, _struct(value)))
plain("todate")(lambda seconds: time.strftime(ISO, time.gmtime(seconds)))


def _match(match) -> dict:
    return {"offset": match.start(), "length": len(match.group()), "string": match.group(),
            "captures": [{"string": group, "name": None} for group in match.groups()]}


def _broken_down(moment: datetime.datetime) -> list:
    return [moment.year, moment.month - 1, moment.day, moment.hour, moment.minute, moment.second, moment.isoweekday() % 7,
            moment.timetuple().tm_yday - 1]


def _struct(value):
    return time.gmtime(value) if not isinstance(value, list) else time.gmtime(calendar.timegm((value[0], value[1] + 1, *value[2:6], 0, 0, 0)))


@function("index", arguments=1)
def _(self, value, env, part):
    part, value = self.look(self.one(part, value, env)), self.look(value)
    if not isinstance(value, list):
        text, within = self.deep(part), self.deep(value)
        if within is not None and not (isinstance(text, str) and isinstance(within, str)):
            raise JqError("index wants a text or a list")
        yield within.index(text) if within and text and text in within else None
        return
    part = part if isinstance(part, list) else [part]
    yield next((at for at in range(len(value) - len(part) + 1)
                if part and all(self.equal(one, other) for one, other in zip(value[at:], part))), None)


@function("INDEX", arguments=1)
def _(self, value, env, by):
    yield {self.text(self.one(by, item, env)): item for item in self.iterate(value)}


@function("INDEX", arguments=2)
def _(self, value, env, items, by):
    yield {self.text(self.one(by, item, env)): item for item in self.run(items, value, env)}


@function("map_values", arguments=1)
def _(self, value, env, by):
    value = self.concrete(value)
    if isinstance(value, list):
        yield [self.one(by, item, env) for item in value]
    else:
        yield {key: self.one(by, item, env) for key, item in value.items()}
