"""How an action is tried: parameters, settings and before-images with which each of its requests is made in some good run."""

import contextlib
import itertools
import os
import re
import tempfile
from collections.abc import Iterator

from cells import Chooser, Defaults
from connector import Connector, changes, connectors, paths
from jq_eval import Evaluator
from jq_parse import expressions, walk
from runs import Bench, Good, find_run
from world import Book

SETUPS = 40     # of an action, at most
DURATION = re.compile(r"\d+(ms|[smhdw])")


class Setup:
    """Settings beside the usual ones, parameters of the step, and for how many attempts no signal comes."""

    def __init__(self, settings: dict | None = None, with_: dict | None = None, patience: int = 0) -> None:
        self.settings, self.with_, self.patience = settings or {}, with_ or {}, patience

    def __repr__(self) -> str:
        return f"settings {self.settings}, with {self.with_}{', no signal at once' if self.patience else ''}"


class Benches:
    """Workers by connector and settings; they live as long as the tests."""

    def __init__(self) -> None:
        self._open: dict = {}
        self._folder = tempfile.TemporaryDirectory(prefix="offboard-conformance-")

    def get(self, connector: Connector, settings: dict) -> Bench:
        key = connector, *sorted(settings.items())
        if key not in self._open:
            self._open[key] = Bench(connector, os.path.join(self._folder.name, f"{len(self._open)}-{connector.name}"), **settings)
        return self._open[key]

    def close(self) -> None:
        for bench in self._open.values():
            with contextlib.suppress(Exception):
                bench.close()
        self._folder.cleanup()


def guesses(connector: Connector, action: str, name: str) -> list:
    """Values for a parameter, the likeliest first."""
    whole = [connector.requests(action), connector.looks(action)]
    text = f"the-{name.replace('_', '-')}"
    likely: list = [text, [text], "2026-01-31T00:00:00Z", "7", 7, True, ["7"], {"name": "value"}, "colleague@example.com"]
    if re.search("mail|owner|delegate|^to$|manager|recipient", name):
        likely.insert(0, "colleague@example.com")
    if re.search("since|date|until|_at$|^day", name):
        likely.insert(0, "2026-01-31T00:00:00Z")
    if any(path[:2] == ["with", name] for request in connector.requests(action) for path in paths(request.get("for_each"))) or \
            any(path[:3] == ["with", name, "[]"] for path in paths(whole)) or re.search("[^su]s$", name):
        likely.insert(0, [text])
    return compared(whole, "with", name) + likely if not isinstance(likely[0], list) else likely


def compared(value, root: str, name: str) -> list:
    """The constants that `.root.name` is compared with."""
    found = []
    for tree in expressions(value):
        for node in walk(tree):
            if node.kind == "compare" and any(part.kind == "index" and part.parts[1].value == name and part.parts[0].kind == "index"
                                              and part.parts[0].parts[1].value == root for part in node.parts):
                found += [part.value for part in node.parts if part.kind == "literal" and part.value not in (None, "", *found)]
    return found


def setups(connector: Connector, action: str, given: dict) -> Iterator[Setup]:
    """The likely ones first. `given` are parameters that are known."""
    declared = {name: one or {} for name, one in (connector.actions[action].get("with") or {}).items()}
    required = {name: guesses(connector, action, name) for name, one in declared.items()
                if one.get("required") and "default" not in one and name not in given}
    optional = {name: guesses(connector, action, name) for name, one in declared.items()
                if name not in required and name not in given and one.get("default") in (None, "", [], {})}
    usual = {**given, **{name: values[0] for name, values in required.items()}}
    settings = connector.tree.get("settings") or {}
    empty = connector.unset()
    whole = [connector.requests(action), connector.looks(action), connector.identify]
    special = [({name: str(value)}, {}) for name in settings for value in compared(whole, "settings", name)
               if value != (settings[name] or {}).get("default")]
    more = {name: values[0] for name, values in optional.items()}
    yield Setup({}, usual)
    if more:
        yield Setup({}, {**usual, **more})
    if empty:
        yield Setup(empty, usual)
        yield Setup(empty, {**usual, **more})
    for chosen, _ in special:
        yield Setup(chosen, usual)
        if empty:
            yield Setup({**empty, **chosen}, usual)
    if any("wait" in request for request in connector.requests(action)):
        yield Setup(empty, usual, 2)
        yield from (Setup(empty, {**usual, name: "1ms"}, 2) for name, one in declared.items() if DURATION.fullmatch(str(one.get("default"))))
    for name, value in ((name, value) for name, values in {**required, **optional}.items() for value in values):
        yield Setup({}, {**usual, name: value})
    names = list(required)
    for values in itertools.product(*(required[name][:6] for name in names)):
        yield Setup({}, {**usual, **dict(zip(names, values))})


def possible(bench: Bench, action: str, index: int, setup: Setup) -> bool:
    """False: with these settings and parameters alone it is clear that the request is not made."""
    connector = bench.connector
    condition = connector.requests(action)[index].get("if")
    if any(path[0] not in ("settings", "with") for path in paths(condition)):
        return True
    defaults = {name: (one or {}).get("default") for name, one in (connector.tree.get("settings") or {}).items()}
    declared = {name: (one or {}).get("default") for name, one in (connector.actions[action].get("with") or {}).items()}
    if any("${" in str(declared.get(path[1])) for path in paths(condition) if path[0] == "with"):
        return True
    context = {"settings": {**defaults, **connector.settings("", **setup.settings)}, "with": {**declared, **setup.with_}}
    return Evaluator(context, Chooser(), Defaults()).true(condition, True)


class Plan:
    """The good runs of an action, which make all requests that have to be made between them; `missed` are those that none makes."""

    def __init__(self, good: list[Good], missed: dict[tuple[str, int], str]) -> None:
        self.good, self.missed = good, missed


def to_be_made(connector: Connector, action: str) -> set[tuple[str, int]]:
    """The requests that good runs have to make between them: those that change something, and those of waits, by role and index."""
    requests = list(enumerate(connector.requests(action)))
    return {("change", index) for index, request in requests if "wait" not in request and changes(request)} | {
        ("meanwhile", index) for index, request in requests if "meanwhile" in request.get("wait", {})}


def made(good: Good) -> set[tuple[str, int]]:
    return {(call.question.role, call.question.index) for call in good.calls if call.question.role in ("change", "meanwhile")}


class Plans:
    """Of all actions, each made once."""

    def __init__(self, benches: Benches, all_: dict[str, Connector] | None = None) -> None:
        self.benches = benches
        self.all = all_ or connectors()
        self._made: dict = {}           # a plan, or why there is none
        self._making: set = set()       # of what undoes each other, the first one asked for is made without the other

    def of(self, system: str, action: str) -> Plan:
        """AssertionError when there is no good run at all."""
        if (system, action) not in self._made:
            try:
                self._made[system, action] = self._make(system, action)
            except AssertionError as error:
                self._made[system, action] = error
        if isinstance(self._made[system, action], AssertionError):
            raise self._made[system, action]
        return self._made[system, action]

    def _make(self, system: str, action: str) -> Plan:
        connector = self.all[system]
        self._making.add((system, action))
        job = self._undone(connector, action)
        self._making.discard((system, action))
        missing = to_be_made(connector, action)
        found: list[Good] = []
        trouble: dict = {}      # by what was looked for: why it was not found
        for setup in itertools.islice(setups(connector, action, job.get("with", {})), SETUPS):
            bench = self.benches.get(connector, setup.settings)
            for focus in ([] if found else [None]) + [one for one in sorted(missing) if possible(bench, action, one[1], setup)]:
                book = Book(connector, action, bench.vendor.url)
                book.focus = {focus[1]} if focus else book.focus
                try:
                    good = find_run(bench, book, {**job, "with": setup.with_, "patience": setup.patience},
                                    lambda good: focus is None or focus in made(good))
                except AssertionError as error:
                    trouble[focus] = f"{setup}\n{error}"
                    continue
                good.bench = bench
                if not found or made(good) & missing:
                    found.append(good)
                missing -= made(good)
            if found and not missing:
                break
        assert found, trouble[None]
        return Plan(found, {one: trouble.get(one, "it is ruled out by all settings and parameters that were tried") for one in sorted(missing)})

    def _undone(self, connector: Connector, action: str) -> dict:
        """What a job has that undoes what another action did: parameters, accounts, before-images."""
        for name, other in connector.actions.items():
            if other.get("undo") == action and other.get("before") and (connector.name, name) not in self._making:
                with contextlib.suppress(AssertionError):
                    for good in self.of(connector.name, name).good:
                        if good.said.get("before"):
                            return self._job(connector, action, good)
        return {}

    @staticmethod
    def _job(connector: Connector, action: str, good: Good) -> dict:
        declared = connector.actions[action].get("with") or {}
        job = {"before": good.said["before"], "with": {name: value for name, value in good.job["with"].items() if name in declared}}
        accounts = [account for account in good.said["before"] if account]
        return {**job, "ids": {connector.name: accounts}} if accounts and connector.of_accounts(action) else job
