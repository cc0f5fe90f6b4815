"""Values that nobody has decided yet. An expression is evaluated over an answer that is still open: whenever it looks at something of
it, that is decided there and then, one of a few ways. A `Chooser` goes through the ways until all that is wanted comes true."""

import datetime
import re

ISO = "%Y-%m-%dT%H:%M:%SZ"
NOTHING_UNLESS_NEEDED = re.compile(r"error|next|cursor|fault|warning|retry-after|page_?token|link$|^link|ratelimit|rate-limit", re.I)
TIME = re.compile(r"date|time|_at$|At$|since|expir|until", re.I)
COUNT = re.compile(r"count|total|size|^pages$", re.I)


def in_hours(hours: float) -> str:
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)).strftime(ISO)


LEFT_AT = in_hours(-1)  # when the tests' leaver leaves: a vendor that keeps the day keeps this one


class Dead(Exception):
    """This way leads nowhere: what was decided before rules it out."""


class JqError(Exception):
    """What jq would call an error."""


class Chooser:
    """Depth first, by doing it all again: `choose` gives the same indexes as the last time up to the latest choice that has another
    way left."""

    def __init__(self) -> None:
        self.path: list[list[int]] = []     # [index, count]
        self.at = 0

    def choose(self, count: int) -> int:
        if self.at == len(self.path):
            self.path.append([0, count])
        self.at += 1
        return self.path[self.at - 1][0]

    def again(self) -> bool:
        """The next way; False when there is none."""
        del self.path[self.at:]
        while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
            self.path.pop()
        if self.path:
            self.path[-1][0] += 1
        self.at = 0
        return bool(self.path)


class Cell:
    """One value of an answer. `kind` is open, value (a scalar, or something whole), list (`items`) or object (`members`, of which
    more may come). An open one is known as far as `excluded` (it is none of these), `parts` (a text that holds these), `type` and
    `something` (not null) tell."""

    __slots__ = ("name", "kind", "value", "items", "members", "excluded", "parts", "type", "something", "same", "texts")

    def __init__(self, name: str = "", *, type: str = "", texts: bool = False) -> None:
        """`texts`: a list of texts, or nothing."""
        self.name, self.texts = name, texts
        self.kind = "open"
        self.value = None
        self.items: list = []
        self.members: dict = {}
        self.excluded: list = [""] if type == "string" else []
        self.parts: list[str] = []
        self.type = type
        self.something = bool(type)
        self.same: Cell | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    def decide(self, value) -> None:
        if self.kind != "open" or self.texts and value is not None:
            raise Dead
        if any(type(value) is type(one) and value == one for one in self.excluded) or (value is None and self.something):
            raise Dead
        if self.parts and not (isinstance(value, str) and all(part in value for part in self.parts)):
            raise Dead
        if self.type == "string" and not isinstance(value, str) or self.type == "number" and (
                isinstance(value, bool) or not isinstance(value, (int, float))):
            raise Dead
        self.kind, self.value = "value", value

    def exclude(self, value) -> None:
        self.excluded.append(value)
        if value is not None and NOTHING_UNLESS_NEEDED.search(self.name):
            return      # none at all is none of these, too
        if not self.type and isinstance(value, str):
            self.type = "string"
        elif not self.type and isinstance(value, (int, float)) and not isinstance(value, bool):
            self.type = "number"
        self.something = self.something or value is None or bool(self.type)

    def make_list(self, length: int) -> None:
        if self.kind != "open" or self.type or self.parts:
            raise Dead
        singular = self.name.removesuffix("s")
        self.kind, self.items = "list", [Cell(singular, type="string" if self.texts else "") for _ in range(length)]

    def make_object(self) -> None:
        if self.kind != "open" or self.type or self.parts or self.texts:
            raise Dead
        self.kind = "object"

    def member(self, name: str) -> "Cell":
        if name not in self.members:
            self.members[name] = Cell(name)
        return self.members[name]


class Attributes(Cell):
    """Those of an entry of a directory: lists of texts."""

    __slots__ = ()

    def member(self, name: str) -> Cell:
        if name not in self.members:
            self.members[name] = Cell(name, texts=True)
        return self.members[name]


def entries(count: int) -> Cell:
    """What a directory answers to a search."""
    body = Cell("entry")
    body.make_list(count)
    for entry in body.items:
        entry.make_object()
        entry.members = {name: Cell(name, type="string") for name in ("dn", "rdn", "parent")}
        entry.members["attributes"] = Attributes("attributes")
        entry.members["attributes"].make_object()
    return body


class Derived:
    """What a function makes of an open cell, as long as it can be turned round: lower case, a text of a number."""

    __slots__ = ("cell", "apply", "invert")

    def __init__(self, cell: Cell, apply, invert) -> None:
        self.cell, self.apply, self.invert = cell, apply, invert


class Defaults:
    """What is taken for a value that nothing depends on. Every text is another one."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.count = 0

    def fresh(self, name: str = "") -> str:
        self.count += 1
        return f"{re.sub(r'[^A-Za-z0-9]+', '-', name or 'value').strip('-') or 'value'}-{self.count}"

    @staticmethod
    def now(hours: float = 1) -> str:
        return in_hours(hours)

    def of(self, cell: Cell):
        if cell.texts:
            return None
        if cell.parts:
            text = "".join(dict.fromkeys(cell.parts))
            return text if text not in cell.excluded else text + self.fresh()
        if cell.type == "number" or COUNT.search(cell.name) and not cell.type:
            return next(number for number in range(1, 100) if number not in cell.excluded)
        if NOTHING_UNLESS_NEEDED.search(cell.name) and not cell.something:
            return None
        if TIME.search(cell.name) and not cell.excluded:
            return self.now()
        return next(text for text in iter(lambda: self.fresh(cell.name), None) if text not in cell.excluded)

    def whole(self, value):
        """`value` with all that is open in it taken by default."""
        if isinstance(value, Derived):
            return value.apply(self.whole(value.cell))
        if isinstance(value, dict):
            return {key: self.whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.whole(item) for item in value]
        if not isinstance(value, Cell):
            return value
        while value.same:
            value = value.same
        if value.kind == "open":
            value.kind, value.value = "value", self.of(value)
        if value.kind == "value":
            return self.whole(value.value)
        if value.kind == "list":
            return [self.whole(item) for item in value.items]
        return {name: self.whole(member) for name, member in value.members.items()}
