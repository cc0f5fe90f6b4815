"""The expressions of connectors as trees: the part of jq that a connector may use (lib/expr_allow.c)."""

import functools
import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r"""
    (?P<space>\s+)
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<field>\.[A-Za-z_]\w*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<variable>\$[A-Za-z_]\w*)
  | (?P<format>@[A-Za-z]\w*)
  | (?P<op>//|==|!=|<=|>=|[|,:;<>=+\-/.?()\[\]{}])
""", re.VERBOSE)
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")


class NotUnderstood(Exception):
    """An expression that is no jq, or more of jq than connectors may use."""


@dataclass
class Node:
    """`kind` says what it is, `parts` are its expressions, `name` a word, `value` what a literal is."""
    kind: str
    parts: list = field(default_factory=list)
    name: str = ""
    value: Any = None


@functools.cache
def parse(text: str) -> Node:
    parser = _Parser(text)
    node = parser.pipe()
    if parser.at < len(parser.tokens):
        raise NotUnderstood(f"{text!r} does not end where it should: {parser.tokens[parser.at:][:3]}")
    return node


@functools.cache
def template(text: str) -> tuple[str | Node, ...]:
    """The parts of a text: plain ones, and the expressions of `${ … }`."""
    parts: list[str | Node] = []
    plain, at = "", 0
    while at < len(text):
        if text.startswith("$${", at):
            plain, at = plain + "${", at + 3
        elif text.startswith("${", at):
            end = _closing(text, at + 2)
            if plain:
                parts.append(plain)
            parts.append(parse(text[at + 2:end]))
            plain, at = "", end + 1
        else:
            plain, at = plain + text[at], at + 1
    return (*parts, plain) if plain else tuple(parts)


def expressions(value):
    """All expressions within a value of a connector."""
    if isinstance(value, str):
        yield from (part for part in template(value) if isinstance(part, Node))
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from expressions(item)


def walk(node: Node):
    yield node
    for part in node.parts:
        if isinstance(part, Node):
            yield from walk(part)


def _closing(text: str, at: int) -> int:
    """Where the "}" stands that closes the expression."""
    depth = 0
    while at < len(text):
        if text[at] == '"':
            at = _string_end(text, at)
            continue
        if text[at] == "}" and depth == 0:
            return at
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    raise NotUnderstood(f"{text!r}: an expression is not closed")


def _string_end(text: str, at: int) -> int:
    """Just past the string that begins at `at`."""
    at += 1
    while text[at] != '"':
        if text.startswith("\\(", at):
            depth, at = 1, at + 2
            while depth:
                if text[at] == '"':
                    at = _string_end(text, at)
                    continue
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
        else:
            at += 2 if text[at] == "\\" else 1
    return at + 1


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.tokens = text, 0, []
        place = 0
        while place < len(text):
            if text[place] == '"':
                end = _string_end(text, place)
                self.tokens.append(("string", text[place + 1:end - 1]))
                place = end
                continue
            match = TOKEN.match(text, place)
            if not match:
                raise NotUnderstood(f"{text!r}: {text[place:place + 10]!r}")
            if match.lastgroup != "space":
                self.tokens.append((match.lastgroup, match.group()))
            place = match.end()

    # Tokens.

    def peek(self, *texts: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][0] in ("op", "word") and self.tokens[self.at][1] in texts

    def take(self, *texts: str) -> str | None:
        if self.peek(*texts):
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise NotUnderstood(f"{self.text!r}: {text!r} is missing before {self.tokens[self.at:][:2]}")

    def kind(self, kind: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at][0] == kind:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    # Operators, the loosest first.

    def pipe(self) -> Node:
        left = self.comma()
        return Node("pipe", [left, self.pipe()]) if self.take("|") else left

    def comma(self) -> Node:
        parts = [self.alternative()]
        while self.take(","):
            parts.append(self.alternative())
        return Node("comma", parts) if len(parts) > 1 else parts[0]

    def alternative(self) -> Node:
        left = self.either()
        return Node("alternative", [left, self.alternative()]) if self.take("//") else left

    def either(self) -> Node:
        left = self.both()
        while self.take("or"):
            left = Node("or", [left, self.both()])
        return left

    def both(self) -> Node:
        left = self.comparison()
        while self.take("and"):
            left = Node("and", [left, self.comparison()])
        return left

    def comparison(self) -> Node:
        left = self.sum()
        operator = self.take(*COMPARISONS)
        return Node("compare", [left, self.sum()], operator) if operator else left

    def sum(self) -> Node:
        left = self.quotient()
        while operator := self.take("+", "-"):
            left = Node("calculate", [left, self.quotient()], operator)
        return left

    def quotient(self) -> Node:
        left = self.postfix()
        while operator := self.take("/"):
            left = Node("calculate", [left, self.postfix()], operator)
        return left

    # Terms.

    def postfix(self) -> Node:
        if self.take("-"):
            return Node("negative", [self.postfix()])
        node = self.term()
        while True:
            if name := self.kind("field"):
                node = Node("index", [node, Node("literal", value=name[1:])])
            elif self.peek(".") and self.tokens[self.at + 1:self.at + 2] and (
                    self.tokens[self.at + 1][0] == "string" or self.tokens[self.at + 1][1] == "["):
                self.at += 1
                if (text := self.kind("string")) is not None:
                    node = Node("index", [node, self.string(text)])
            elif self.take("["):
                node = self.bracket(node)
            elif self.take("?"):
                node = Node("try", [node])
            elif self.peek("as"):
                self.at += 1
                pattern = self.pattern()
                self.expect("|")
                return Node("as", [node, pattern, self.pipe()])
            else:
                return node

    def bracket(self, node: Node) -> Node:
        if self.take("]"):
            return Node("each", [node])
        if self.take(":"):
            end = self.pipe()
            self.expect("]")
            return Node("slice", [node, None, end])
        index = self.pipe()
        if self.take(":"):
            end = None if self.peek("]") else self.pipe()
            self.expect("]")
            return Node("slice", [node, index, end])
        self.expect("]")
        return Node("index", [node, index])

    def term(self) -> Node:
        if (number := self.kind("number")) is not None:
            return Node("literal", value=float(number) if re.search(r"[.eE]", number) else int(number))
        if (text := self.kind("string")) is not None:
            return self.string(text)
        if name := self.kind("field"):
            return Node("index", [Node("input"), Node("literal", value=name[1:])])
        if variable := self.kind("variable"):
            return Node("variable", name=variable)
        if name := self.kind("format"):
            text = self.kind("string")
            return Node("format", name=name) if text is None else self.string(text, name)
        if self.take("."):
            text = self.kind("string")
            return Node("index", [Node("input"), self.string(text)]) if text is not None else Node("input")
        if self.take("("):
            inner = self.pipe()
            self.expect(")")
            return inner
        if self.take("["):
            inner = None if self.peek("]") else self.pipe()
            self.expect("]")
            return Node("list", [inner] if inner else [])
        if self.take("{"):
            return self.object()
        if self.take("if"):
            return self.condition()
        if self.take("try"):
            parts = [self.postfix()]
            if self.take("catch"):
                parts.append(self.postfix())
            return Node("try", parts)
        if name := self.kind("word"):
            return self.call(name)
        raise NotUnderstood(f"{self.text!r}: {self.tokens[self.at:][:3]}")

    def condition(self) -> Node:
        parts = [self.pipe()]
        self.expect("then")
        parts.append(self.pipe())
        if self.take("elif"):
            return Node("if", [*parts, self.condition()])
        parts.append(self.pipe() if self.take("else") else Node("input"))
        self.expect("end")
        return Node("if", parts)

    def call(self, name: str) -> Node:
        if name in ("true", "false", "null"):
            return Node("literal", value={"true": True, "false": False, "null": None}[name])
        arguments = []
        if self.take("("):
            arguments.append(self.pipe())
            while self.take(";"):
                arguments.append(self.pipe())
            self.expect(")")
        return Node("call", arguments, name)

    def object(self) -> Node:
        parts: list[Node] = []
        while not self.take("}"):
            parts += self.member()
            if not self.peek("}"):
                self.expect(",")
        return Node("object", parts)

    def member(self) -> list[Node]:
        if variable := self.kind("variable"):
            key, default = Node("literal", value=variable[1:]), Node("variable", name=variable)
        elif (text := self.kind("string")) is not None:
            key = self.string(text)
            default = Node("index", [Node("input"), key])
        elif self.take("("):
            key, default = self.pipe(), None
            self.expect(")")
        else:
            word = self.kind("word") or self.kind("format")
            if not word:
                raise NotUnderstood(f"{self.text!r}: a name is wanted at {self.tokens[self.at:][:2]}")
            key = Node("literal", value=word)
            default = Node("index", [Node("input"), key])
        return [key, self.value_of_member() if self.take(":") else default]

    def value_of_member(self) -> Node:
        """No comma, and pipes between parentheses only."""
        left = self.either()
        return Node("alternative", [left, self.value_of_member()]) if self.take("//") else left

    def pattern(self) -> Node:
        if variable := self.kind("variable"):
            return Node("variable", name=variable)
        if self.take("["):
            parts = [self.pattern()]
            while self.take(","):
                parts.append(self.pattern())
            self.expect("]")
            return Node("list", parts)
        self.expect("{")
        parts = []
        while not self.take("}"):
            if variable := self.kind("variable"):
                parts += [Node("literal", value=variable[1:]), Node("variable", name=variable)]
            else:
                key = self.kind("word") or self.kind("string")
                self.expect(":")
                parts += [Node("literal", value=key), self.pattern()]
            self.take(",")
        return Node("object", parts)

    def string(self, raw: str, format_name: str = "") -> Node:
        """`raw` is what stands between the quotes."""
        parts: list[Node] = []
        plain, at = "", 0
        while at < len(raw):
            if raw.startswith("\\(", at):
                end, depth = at + 2, 1
                while depth:
                    if raw[end] == '"':
                        end = _string_end(raw, end)
                        continue
                    depth += {"(": 1, ")": -1}.get(raw[end], 0)
                    end += 1
                parts += [Node("literal", value=plain), parse(raw[at + 2:end - 1])]
                plain, at = "", end
            elif raw[at] == "\\":
                plain, at = _escaped(raw, at, plain)
            else:
                plain, at = plain + raw[at], at + 1
        return Node("text", [*parts, Node("literal", value=plain)], format_name) if parts else Node("literal", value=plain)


def _escaped(raw: str, at: int, plain: str) -> tuple[str, int]:
    if raw[at + 1] == "u":
        return plain + chr(int(raw[at + 2:at + 6], 16)), at + 6
    return plain + {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(raw[at + 1], raw[at + 1]), at + 2
