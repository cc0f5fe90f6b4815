"""jq over values some of which are open (cells.py). What jq itself would say decides in the end: the engine evaluates every expression
again, with the answer that came out here."""

import base64
import functools
import json
import urllib.parse
from collections.abc import Iterator

from cells import LEFT_AT, NOTHING_UNLESS_NEEDED, Cell, Chooser, Dead, Defaults, Derived, JqError
from jq_functions import FUNCTIONS, kind_of, number, rank
from jq_parse import Node, NotUnderstood, template


class Evaluator:
    """Evaluates in a context, an object whose values may be open."""

    def __init__(self, context: dict, chooser: Chooser, defaults: Defaults) -> None:
        self.context, self.chooser, self.defaults = context, chooser, defaults
        self.lengths: tuple | list = ()     # of lists, beside one, none and two
        self.never: tuple = ()              # texts that nothing open is

    def seeing(self, **context) -> "Evaluator":
        """The same with other things in its context."""
        other = Evaluator({**self.context, **context}, self.chooser, self.defaults)
        other.lengths, other.never = self.lengths, self.never
        return other

    # What a connector's texts come to.

    def true(self, text, otherwise: bool = False) -> bool:
        """A predicate; an error is false."""
        if text is None or isinstance(text, bool):
            return otherwise if text is None else text
        try:
            return self.truthy(self.render(text))
        except JqError:
            return False

    def render(self, value):
        """The value of a template, in which cells may remain."""
        if isinstance(value, dict):
            return {key: self.render(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.render(item) for item in value]
        if not isinstance(value, str):
            return value
        parts = template(value)
        if len(parts) == 1 and isinstance(parts[0], Node):
            results = list(self.run(parts[0], self.context, {}))
            if len(results) > 1:
                raise JqError("several values")
            return results[0] if results else None
        return "".join(part if isinstance(part, str) else self.text(self.one(part, self.context, {})) for part in parts)

    # Choices.

    def choose(self, *ways):
        """One of the ways, each a function that decides; what it returns."""
        return ways[self.chooser.choose(len(ways))]()

    @staticmethod
    def look(value):
        """The value itself where it is decided: a scalar, a list, an object that is whole; else its cell."""
        while isinstance(value, Cell):
            if value.same:
                value = value.same
            elif value.kind == "value":
                value = value.value
            elif value.kind == "list":
                return value.items
            else:
                return value
        return value

    def decide(self, cell: Cell, *values):
        """Makes an open cell one of the values; that value."""
        value = values[self.chooser.choose(len(values))] if len(values) > 1 else values[0]
        cell.decide(value)
        return value

    def concrete(self, value, *pool):
        """Nothing is open any more at the value's top. `pool` are values to choose from, before the default."""
        value = self.look(value)
        if isinstance(value, Derived):
            return value.apply(self.concrete(value.cell, *pool))
        if isinstance(value, Cell):
            if value.kind == "object":
                return {name: member for name, member in value.members.items()}
            if value.type:
                pool = tuple(one for one in pool if kind_of(one) == value.type)
            return self.decide(value, *pool, self.defaults.of(value)) if pool else self.decide(value, self.defaults.of(value))
        return value

    def deep(self, value):
        value = self.concrete(value)
        if isinstance(value, list):
            return [self.deep(item) for item in value]
        if isinstance(value, dict):
            return {key: self.deep(item) for key, item in value.items()}
        return value

    def truthy(self, value, boolean: bool = True) -> bool:
        value = self.look(value)
        if isinstance(value, Derived):
            return True
        if not isinstance(value, Cell):
            return value is not None and value is not False
        if value.kind == "object" or value.something or value.type or value.parts:
            return True
        if boolean:
            return self.decide(value, True, False)
        if self.chooser.choose(2) == 0:
            value.something = True
            return True
        value.decide(None)
        return False

    def listed(self, value) -> list:
        """One value is a list of one."""
        value = self.look(value)
        if isinstance(value, Cell) and value.texts:
            return self.iterate(value)
        return value if isinstance(value, list) else [value]

    def iterate(self, value) -> list:
        value = self.look(value)
        if isinstance(value, Cell):
            if value.kind == "object":
                return list(value.members.values())
            return self._open_list(value)
        if isinstance(value, list):
            return value
        if isinstance(value, dict):
            return list(value.values())
        raise JqError("cannot iterate")

    def _open_list(self, cell: Cell) -> list:
        """With one item, none, two; or no list at all."""
        ways: list = [1, 0, 2, *self.lengths] + ([] if cell.something else [None])
        if NOTHING_UNLESS_NEEDED.search(cell.name):
            ways.reverse()
        length = ways[self.chooser.choose(len(ways))]
        if length is None:
            cell.decide(None)
            raise JqError("cannot iterate over null")
        cell.make_list(length)
        return cell.items

    def equal(self, a, b) -> bool:
        a, b = self.look(a), self.look(b)
        if a is b:
            return True
        if not isinstance(a, (Cell, Derived)):
            a, b = b, a
        if isinstance(a, Derived) and isinstance(b, Cell):
            a, b = b, self.concrete(a)
        if isinstance(a, Derived):
            return self._derived_equal(a, self.concrete(b) if isinstance(b, Derived) else b)
        if isinstance(a, Cell):
            return self._cell_equal(a, self.concrete(b) if isinstance(b, Derived) else b)
        return self._plain_equal(a, b)

    def _plain_equal(self, a, b) -> bool:
        if kind_of(a) != kind_of(b):
            return False
        if isinstance(a, list):
            return len(a) == len(b) and all(self.equal(one, two) for one, two in zip(a, b))
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(self.equal(a[key], b[key]) for key in a)
        return a == b

    def _derived_equal(self, derived: Derived, wanted) -> bool:
        cell = derived.cell
        if not isinstance(wanted, str) or wanted in self.never or any(
                derived.apply(one) == wanted for one in cell.excluded if one is not None):
            return False
        if self.chooser.choose(2) == 0:
            source = derived.invert(wanted)
            if derived.apply(source) != wanted:
                raise Dead
            cell.decide(source)
            return True
        cell.exclude(derived.invert(wanted))
        return False

    def _cell_equal(self, cell: Cell, wanted) -> bool:
        if isinstance(wanted, Cell):
            return self._unify(cell, wanted)
        if cell.kind == "object":
            return isinstance(wanted, dict) and cell.members.keys() == wanted.keys() and all(
                self.equal(cell.members[key], wanted[key]) for key in wanted)
        if isinstance(wanted, bool):
            return self.decide(cell, wanted, not wanted) is wanted
        if any(type(one) is type(wanted) and one == wanted for one in (*cell.excluded, *self.never)):
            return False
        if isinstance(wanted, (list, dict)):
            if cell.type or cell.parts:
                return False
            if wanted:
                return self.choose(lambda: cell.decide(wanted), lambda: cell.decide(type(wanted)())) is None and cell.value is wanted
            return self._empty_or_not(cell, wanted)
        if wanted is None and (cell.something or cell.type):
            return False
        if isinstance(wanted, str) and cell.type == "number" or isinstance(wanted, (int, float)) and cell.type == "string":
            return False
        if self.chooser.choose(2) == 0:
            cell.decide(wanted)
            return True
        cell.exclude(wanted)
        return False

    def _empty_or_not(self, cell: Cell, empty) -> bool:
        if self.chooser.choose(2) == 1:
            cell.decide(empty)
            return True
        if isinstance(empty, list):
            cell.make_list(1)
        else:
            cell.make_object()
        return False

    def _unify(self, a: Cell, b: Cell) -> bool:
        if a.kind == "object" or b.kind == "object":
            return False
        if self.chooser.choose(2) == 0:
            for one in b.excluded:
                a.exclude(one)
            a.parts += b.parts
            b.same = a
            return True
        return False

    def compare(self, operator: str, a, b) -> bool:
        if operator in ("==", "!="):
            return self.equal(a, b) == (operator == "==")
        a, b = self.look(a), self.look(b)
        for left, right, flip in ((a, b, False), (b, a, True)):
            if isinstance(left, Cell) and left.kind == "open" and not isinstance(right, (Cell, Derived)):
                return self._order_open(left, right, operator, flip)
        first, second = rank(self.deep(a)), rank(self.deep(b))
        return {"<": first < second, ">": first > second, "<=": first <= second, ">=": first >= second}[operator]

    def _order_open(self, cell: Cell, than, operator: str, flipped: bool) -> bool:
        upwards = (operator[0] == ">") != flipped
        if isinstance(than, (int, float)) and not isinstance(than, bool):
            yes, no = (than + 1, than - 1) if upwards else (than - 1, than + 1)
        elif isinstance(than, str):
            higher, lower = (self.defaults.now(24 * 400), "2001-01-01T00:00:00Z") if than[:2] in ("19", "20") else (than + "~", "")
            yes, no = (higher, lower) if upwards else (lower, higher)
        else:
            return self._settled(operator, rank(self.concrete(cell)), rank(self.deep(than)), flipped)
        return self._settled(operator, rank(self.decide(cell, yes, no, than)), rank(than), flipped)

    @staticmethod
    def _settled(operator: str, one, two, flipped: bool) -> bool:
        if flipped:
            one, two = two, one
        return {"<": one < two, ">": one > two, "<=": one <= two, ">=": one >= two}[operator]

    def text(self, value) -> str:
        value = self.deep(value)
        if value is None or isinstance(value, (dict, list)):
            raise JqError("cannot stand within a text")
        return value if isinstance(value, str) else json.dumps(value)

    # The tree.

    def one(self, node: Node, value, env: dict):
        for result in self.run(node, value, env):
            return result
        raise JqError("nothing")

    def run(self, node: Node, value, env: dict) -> Iterator:
        return getattr(self, "do_" + node.kind)(node, value, env)

    def do_input(self, node, value, env):
        yield value

    def do_literal(self, node, value, env):
        yield node.value

    def do_variable(self, node, value, env):
        yield env[node.name]

    def do_pipe(self, node, value, env):
        for result in self.run(node.parts[0], value, env):
            yield from self.run(node.parts[1], result, env)

    def do_comma(self, node, value, env):
        for part in node.parts:
            yield from self.run(part, value, env)

    def do_as(self, node, value, env):
        source, pattern, body = node.parts
        for result in self.run(source, value, env):
            yield from self.run(body, value, {**env, **self._bind(pattern, result)})

    def _bind(self, pattern: Node, value) -> dict:
        if pattern.kind == "variable":
            return {pattern.name: value}
        bound: dict = {}
        if pattern.kind == "list":
            for position, part in enumerate(pattern.parts):
                bound |= self._bind(part, self.index(value, position))
        else:
            for key, part in zip(pattern.parts[::2], pattern.parts[1::2]):
                bound |= self._bind(part, self.index(value, key.value))
        return bound

    def do_alternative(self, node, value, env):
        found = False
        try:
            for result in self.run(node.parts[0], value, env):
                if self.truthy(result, boolean=False):
                    found = True
                    yield result
        except JqError:
            pass
        if not found:
            yield from self.run(node.parts[1], value, env)

    def do_or(self, node, value, env):
        for left in self.run(node.parts[0], value, env):
            if self.truthy(left):
                yield True
            else:
                for right in self.run(node.parts[1], value, env):
                    yield self.truthy(right)

    def do_and(self, node, value, env):
        for left in self.run(node.parts[0], value, env):
            if not self.truthy(left):
                yield False
            else:
                for right in self.run(node.parts[1], value, env):
                    yield self.truthy(right)

    def do_compare(self, node, value, env):
        for right in self.run(node.parts[1], value, env):
            for left in self.run(node.parts[0], value, env):
                yield self.compare(node.name, left, right)

    def do_calculate(self, node, value, env):
        for right in self.run(node.parts[1], value, env):
            for left in self.run(node.parts[0], value, env):
                yield self.calculate(node.name, left, right)

    def do_negative(self, node, value, env):
        for result in self.run(node.parts[0], value, env):
            yield -self.concrete(result, 1)

    def do_index(self, node, value, env):
        for index in self.run(node.parts[1], value, env):
            for of in self.run(node.parts[0], value, env):
                yield self.index(of, self.concrete(index))

    def do_slice(self, node, value, env):
        of, begin, end = node.parts
        for result in self.run(of, value, env):
            bounds = [None if part is None else self.concrete(self.one(part, value, env)) for part in (begin, end)]
            result = self.concrete(result, LEFT_AT, "2001-01-01T00:00:00Z")
            if result is not None and not isinstance(result, (str, list)):
                raise JqError("cannot take a part of it")
            yield None if result is None else result[slice(*bounds)]

    def do_each(self, node, value, env):
        for result in self.run(node.parts[0], value, env):
            yield from list(self.iterate(result))

    def do_try(self, node, value, env):
        try:
            yield from self.run(node.parts[0], value, env)
        except JqError as error:
            if len(node.parts) > 1:
                yield from self.run(node.parts[1], str(error), env)

    def do_if(self, node, value, env):
        for condition in self.run(node.parts[0], value, env):
            yield from self.run(node.parts[1 if self.truthy(condition) else 2], value, env)

    def do_list(self, node, value, env):
        yield [item for part in node.parts for item in self.run(part, value, env)]

    def do_object(self, node, value, env):
        made = {}
        for key, part in zip(node.parts[::2], node.parts[1::2]):
            made[self.text(self.one(key, value, env))] = self.one(part, value, env)
        yield made

    def do_text(self, node, value, env):
        made = ""
        for part in node.parts:
            if part.kind == "literal":
                made += part.value
            else:
                result = self.deep(self.one(part, value, env))
                text = result if isinstance(result, str) else json.dumps(result)
                made += self._formatted(node.name, text) if node.name else text
        yield made

    def do_format(self, node, value, env):
        result = self.deep(value)
        yield self._formatted(node.name, result if isinstance(result, str) else json.dumps(result))

    @staticmethod
    def _formatted(name: str, text: str) -> str:
        if name == "@base64":
            return base64.b64encode(text.encode()).decode()
        if name == "@base64d":
            return base64.b64decode(text + "===").decode(errors="replace")
        if name == "@uri":
            return urllib.parse.quote(text, safe="-_.~")
        if name == "@html":
            return functools.reduce(lambda text, pair: text.replace(*pair), [
                ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&quot;")], text)
        if name in ("@text", "@json"):
            return text
        raise JqError(f"{name} is not known here")

    def do_call(self, node, value, env):
        function = FUNCTIONS.get((node.name, len(node.parts)))
        if not function:
            raise NotUnderstood(f"jq_functions.py has no {node.name}/{len(node.parts)}")
        return function(self, value, env, *node.parts)

    # Operations.

    def index(self, of, index):
        of = self.look(of)
        if of is None:
            return None
        if isinstance(of, Derived):
            of = self.concrete(of)
        if isinstance(index, str):
            if isinstance(of, dict):
                return of.get(index)
            if isinstance(of, Cell):
                if of.kind == "object":
                    return of.member(index)
                return self._open_index(of, index)
        elif isinstance(index, (int, float)) and not isinstance(index, bool):
            if isinstance(of, Cell) and of.kind == "open":
                least = int(index) + 1 if index >= 0 else -int(index)
                of.make_list((least, 0)[self.chooser.choose(2)])
                of = of.items
            if isinstance(of, list):
                return of[int(index)] if -len(of) <= index < len(of) else None
        raise JqError(f"cannot index it with {index!r}")

    def _open_index(self, cell: Cell, name: str):
        if cell.type or cell.parts:
            raise JqError("cannot index a text")
        if not cell.something and self.chooser.choose(2) == (0 if NOTHING_UNLESS_NEEDED.search(cell.name) else 1):
            cell.decide(None)
            return None
        cell.make_object()
        return cell.member(name)

    def calculate(self, operator: str, a, b):
        a, b = self.look(a), self.look(b)
        for one, other in ((a, b), (b, a)):
            if isinstance(one, Cell) and one.kind == "open" and isinstance(other, list):
                self.iterate(one)
            elif isinstance(one, Cell) and one.kind == "open" and isinstance(other, (int, float)):
                self.concrete(one, 1, 2)
        a, b = self.concrete(a), self.concrete(b)
        if operator == "+":
            return self._sum(a, b)
        if operator == "-" and isinstance(a, list) and isinstance(b, list):
            return [one for one in a if not any(self.equal(one, other) for other in b)]
        if kind_of(a) == kind_of(b) == "number":
            if operator == "/" and b == 0:
                raise JqError("division by zero")
            return number(a - b if operator == "-" else a / b)
        raise JqError(f"cannot calculate {kind_of(a)} {operator} {kind_of(b)}")

    @staticmethod
    def _sum(a, b):
        if a is None or b is None:
            return b if a is None else a
        if kind_of(a) != kind_of(b) or kind_of(a) == "boolean":
            raise JqError(f"{kind_of(a)} and {kind_of(b)} cannot be added")
        return {**a, **b} if isinstance(a, dict) else number(a + b)
