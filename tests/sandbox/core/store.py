"""A vendor's state: collections of JSON objects, changed one request at a time, all or nothing.

A request's writes are collected first and applied when its handler returns. So a handler that refuses halfway leaves
nothing behind, and the fault "noop" can let a handler compute the vendor's genuine answer and then forget the writes.
"""

import copy
from collections.abc import Iterator

_ABSENT = object()


class Store:
    """Collections by name, each `{id: object}` in order of creation. Not locked: the vendor's lock is held around it."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict] = {}
        self._counters: dict[str, int] = {}
        self._pending: dict[tuple[str, str], object] = {}

    def next_number(self, name: str, start: int = 1) -> int:
        """The next of a series. Not undone by `forget`: a vendor does not hand out an id twice either."""
        value = self._counters.get(name, start - 1) + 1
        self._counters[name] = value
        return value

    def reserve_number(self, name: str, value: int) -> None:
        """Let the series continue after `value`, which a seed has taken."""
        self._counters[name] = max(self._counters.get(name, 0), value)

    def get(self, kind: str, key: str) -> dict | None:
        """The object, to read only; None when there is none."""
        pending = self._pending.get((kind, key), _ABSENT)
        if pending is not _ABSENT:
            return pending
        return self._kinds.get(kind, {}).get(key)

    def edit(self, kind: str, key: str) -> dict | None:
        """A copy to change and `put` back."""
        return copy.deepcopy(self.get(kind, key))

    def all(self, kind: str) -> Iterator[dict]:
        """Every object of the collection, to read only."""
        held = self._kinds.get(kind, {})
        for key, value in held.items():
            current = self._pending.get((kind, key), value)
            if current is not None:
                yield current
        for (pending_kind, key), value in self._pending.items():
            if pending_kind == kind and key not in held and value is not None:
                yield value

    def put(self, kind: str, key: str, value: dict) -> None:
        """Set an object, which nobody may change from now on."""
        self._pending[(kind, key)] = value

    def remove(self, kind: str, key: str) -> None:
        self._pending[(kind, key)] = None

    def forget(self) -> None:
        """Drop what has been written since the last commit."""
        self._pending.clear()

    def commit(self) -> list[tuple[str, str]]:
        """Apply the writes; the (kind, key) of everything that is different from before."""
        changes = []
        for (kind, key), value in self._pending.items():
            held = self._kinds.setdefault(kind, {})
            if held.get(key) == value:
                continue
            changes.append((kind, key))
            if value is None:
                del held[key]
            else:
                held[key] = value
        self._pending.clear()
        return changes
