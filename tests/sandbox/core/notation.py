"""The notation of the facts: which values a parameter or a member of a body may have (tests/facts/README.md lists it all).

    string  integer  number  boolean  object  any       a type; `integer 1..100` and `string 4..20` also limit value and length
    date  date-time  uuid  digits                       a string of that form
    = a | b                                             one of these texts
    /\\d{6}/                                             a string that the whole regular expression matches
    csv of T                                            a string: texts of type T with commas between them
    T or null                                           the same, or null
    [T]                                                 a list of T; of a parameter: it may be repeated
    {name*: T, other: T, "x[{name}]": T}                an object; `*`: must be there; {name} stands for any text in a name
    {either: [T, U]}                                    one of these types
"""

import re
from collections.abc import Iterator

_FORMS = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "digits": r"-?\d+",
}
_CLASSES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "any": object}


def kind_of(value) -> str:
    """The type of a JSON value, with its article."""
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "a string"), (list, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), "an object")


class Type:
    """What a value may be. `wrong` tells what is wrong with one, each time with the place in it (`.member`, `[0]`)."""

    def wrong(self, value) -> Iterator[tuple[str, str]]:
        raise NotImplementedError

    def read(self, text: str):
        """The value that a parameter's text stands for; the text itself where it stands for none of this type."""
        return text


class Plain(Type):
    """A type by its name, perhaps within limits."""

    def __init__(self, name: str, low: int | None = None, high: int | None = None) -> None:
        self.name, self.low, self.high = name, low, high

    def wrong(self, value):
        fits = isinstance(value, _CLASSES[self.name]) and (not isinstance(value, bool) or self.name in ("boolean", "any"))
        if not fits:
            yield "", f"{kind_of(value)}; {self.name} is wanted"
        elif self.low is not None and not self.low <= (len(value) if isinstance(value, str) else value) <= self.high:
            yield "", f"outside of {self.low} to {self.high}"

    def read(self, text):
        if self.name in ("integer", "number") and re.fullmatch(r"-?\d+", text):
            return int(text)
        if self.name == "number" and re.fullmatch(r"-?\d+\.\d+", text):
            return float(text)
        return {"true": True, "false": False}.get(text, text) if self.name == "boolean" else text


class Text(Type):
    """A string that a regular expression matches; `what` says it in words."""

    def __init__(self, pattern: str, what: str) -> None:
        self.pattern, self.what = re.compile(pattern), what

    def wrong(self, value):
        if not isinstance(value, str):
            yield "", f"{kind_of(value)}; a string is wanted"
        elif not self.pattern.fullmatch(value):
            yield "", f"not {self.what}"


class Separated(Type):
    """Texts with commas between them."""

    def __init__(self, item: Type) -> None:
        self.item = item

    def wrong(self, value):
        if not isinstance(value, str):
            yield "", f"{kind_of(value)}; a string is wanted"
            return
        for part in value.split(","):
            yield from ((where, f"`{part}` in it is {why}") for where, why in self.item.wrong(self.item.read(part)))


class Nullable(Type):
    """Null, or what it may be otherwise."""

    def __init__(self, item: Type) -> None:
        self.item = item

    def wrong(self, value):
        if value is not None:
            yield from self.item.wrong(value)

    def read(self, text):
        return self.item.read(text)


class List(Type):
    """A list of one type."""

    def __init__(self, item: Type) -> None:
        self.item = item

    def wrong(self, value):
        if not isinstance(value, list):
            yield "", f"{kind_of(value)}; a list is wanted"
            return
        for number, item in enumerate(value):
            yield from ((f"[{number}]{where}", why) for where, why in self.item.wrong(item))


class Either(Type):
    """One of several types."""

    def __init__(self, items: list[Type]) -> None:
        self.items = items

    def wrong(self, value):
        found = [list(item.wrong(value)) for item in self.items]
        if all(found):
            # The one that fits best tells most.
            yield from min(found, key=len)


class Members(Type):
    """An object's members, or the parameters of a query."""

    def __init__(self, spec: dict, where: str) -> None:
        self.required: set[str] = set()
        self.known: list[tuple[re.Pattern, Type]] = []
        for name, item in spec.items():
            plain = name.removesuffix("*")
            if plain != name:
                self.required.add(plain)
            self.known.append((name_pattern(plain), parse_type(item, f"{where}.{name}")))

    def type_of(self, name: str) -> Type | None:
        return next((item for pattern, item in self.known if pattern.fullmatch(name)), None)

    def wrong(self, value):
        if not isinstance(value, dict):
            yield "", f"{kind_of(value)}; an object is wanted"
            return
        for name in sorted(self.required - set(value)):
            yield f".{name}", "missing"
        for name, item in value.items():
            kind = self.type_of(name)
            if kind is None:
                yield f".{name}", "the vendor does not know it"
            else:
                yield from ((f".{name}{where}", why) for where, why in kind.wrong(item))

    def wrong_pairs(self, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """The same of a query or form: texts, and a name comes again only where its type is a list."""
        values: dict = {}
        for name, text in pairs:
            kind = self.type_of(name)
            if isinstance(kind, List):
                values.setdefault(name, []).append(kind.item.read(text))
            elif name in values:
                yield f".{name}", "given twice"
            else:
                values[name] = kind.read(text) if kind else text
        yield from self.wrong(values)


def name_pattern(name: str) -> re.Pattern:
    return re.compile("".join(".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", name)))


def parse_type(spec, where: str) -> Type:
    """A type in the notation. ValueError, with `where` it stands, on what is none."""
    if isinstance(spec, list) and len(spec) == 1:
        return List(parse_type(spec[0], f"{where}[]"))
    if isinstance(spec, dict) and set(spec) == {"either"} and isinstance(spec["either"], list):
        return Either([parse_type(item, where) for item in spec["either"]])
    if isinstance(spec, dict):
        return Members(spec, where)
    if not isinstance(spec, str):
        raise ValueError(f"{where}: {spec!r} is no type")
    if spec.endswith(" or null"):
        return Nullable(parse_type(spec.removesuffix(" or null"), where))
    if spec.startswith("csv of "):
        return Separated(parse_type(spec.removeprefix("csv of "), where))
    return _parse_scalar(spec, where)


def _parse_scalar(spec: str, where: str) -> Type:
    if spec.startswith("= "):
        texts = [text.strip() for text in spec[2:].split("|")]
        return Text("|".join(re.escape(text) for text in texts), f"one of {', '.join(texts)}")
    if spec.startswith("/") and spec.endswith("/") and len(spec) > 2:
        try:
            return Text(spec[1:-1], f"of the form {spec}")
        except re.error as error:
            raise ValueError(f"{where}: {spec} is no regular expression: {error}") from None
    if spec in _FORMS:
        return Text(_FORMS[spec], f"a {spec}")
    found = re.fullmatch(r"(\w+)(?: (\d+)\.\.(\d+))?", spec)
    if not found or found[1] not in _CLASSES or (found[2] and found[1] not in ("string", "integer", "number")):
        raise ValueError(f"{where}: {spec!r} is no type")
    return Plain(found[1], *(int(limit) for limit in found.groups()[1:] if limit is not None))
