"""The facts and the shipped connectors fit together: what a connector asks for is described, and nothing is described that none asks for.

Values are looked at when tests send them; this is about methods, paths and names of parameters, of connectors without a simulated
vendor, too.
"""

import glob
import os
import re

import pytest
import yaml
from client import read_facts
from core.facts import Entry

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FACTS = os.path.join(ROOT, "tests", "facts")
METHODS = ("get", "post", "put", "patch", "delete")
NO_HTTP = {"ad", "email", "manual"}     # LDAP, SMTP, and a person
OTHERS = {"retriever": ["bamboohr"]}    # whose facts a connector needs beside its own
NAMES = {"me", "-"}                     # what stands for an id in a path: oneself, and any
PAGING = ("page", "cursor", "pageToken", "startIndex", "startAt", "after", "first", "skip", "$skiptoken", "next_page_token")
EXPRESSION = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")


def connectors() -> list[str]:
    names = (os.path.basename(path).removesuffix(".yaml") for path in glob.glob(os.path.join(ROOT, "worker", "connectors", "*.yaml")))
    return sorted(set(names) - NO_HTTP)


def segments(path: str) -> list[str]:
    """Those of a path; one with an expression or a variable in it is "*", and one of several words "a|b"."""
    plain = re.sub(r"(?<=/)\{(\w+(?:\|\w+)+)\}(?=/|$)", r"\1", EXPRESSION.sub("*", path))
    return ["*" if "*" in part or "{" in part else part for part in plain.strip("/").split("/") if part]


class Connector:
    """A connector's requests, each with what `use` brings."""

    def __init__(self, name: str) -> None:
        with open(os.path.join(ROOT, "worker", "connectors", f"{name}.yaml"), encoding="utf-8") as file:
            self.text = yaml.load(file, yaml.CSafeLoader)
        self.requests: list[dict] = []
        for part in ("check", "identify", "actions"):
            self._walk(self.text.get(part))
        self.searches = [self._merged(request) for request in (self.text.get("identify") or {}).get("requests", [])]

    def _merged(self, node: dict) -> dict:
        names = node.get("use", [])
        merged: dict = {}
        for name in [names] if isinstance(names, str) else names:
            for key, value in self._merged(self.text["defs"][name]).items():
                merged[key] = {**merged.get(key, {}), **value} if key == "query" else value
        query = {**merged.get("query", {}), **node.get("query", {})}
        own_method = any(method in node for method in METHODS)
        kept = {key: value for key, value in merged.items() if not (own_method and key in METHODS)}
        return {**kept, **node, **({"query": query} if query else {})}

    def _walk(self, node) -> None:
        if isinstance(node, list):
            for item in node:
                self._walk(item)
        if not isinstance(node, dict):
            return
        merged = self._merged(node)
        method = next((method for method in METHODS if isinstance(merged.get(method), str)), None)
        if method:
            base = EXPRESSION.sub("*", merged.get("base", self.text.get("base", "")))
            self.requests.append({"method": method.upper(), "query": merged.get("query", {}), "pages": merged.get("pages", {}),
                                  "path": segments(re.sub(r"^\*", "", base) + merged[method])})
        for key, value in node.items():
            if key not in ("json", "form", "query", "save", "with", "outputs", "headers"):
                self._walk(value)


def entries(*names: str) -> list[Entry]:
    return [Entry(title, group.get("base", ""), spec) for name in names
            for group in read_facts(os.path.join(FACTS, f"{name}.yaml"))["apis"] for title, spec in group["requests"].items()]


def fits(request: dict, entry: Entry) -> bool:
    """Is it the entry's request? A setting may hold the first segments of a path, and an expression a word of it."""
    path, known = request["path"], segments(entry.title.partition(" ")[2])
    if request["method"] != entry.method or len(path) > len(known):
        return False
    return all(ours in ("*", *theirs.split("|")) or (theirs == "*" and ours in NAMES)
               for ours, theirs in zip(path[::-1], known[::-1]))


@pytest.mark.parametrize("name", connectors())
def test_every_request_of_a_connector_is_described(name):
    known = entries(name, *OTHERS.get(name, []))
    requests = Connector(name).requests
    assert requests, "a connector asks for something"
    for request in requests:
        found = [entry for entry in known if fits(request, entry)]
        assert found, f"no fact of {name} describes {request}"
        asked = {**request["query"], **request["pages"].get("query", {})}
        unknown = [key for key in asked if not any(entry.query.type_of(key) for entry in found)]
        assert not unknown, f"{found[0].title} has no parameter {unknown}"


@pytest.mark.parametrize("name", connectors())
def test_a_search_for_the_leaver_goes_on_to_the_last_page(name):
    """Where the vendor gives its answer in pages; or it insists (`require`) that there is only one. What is asked about each account that
    was found is no such search."""
    known = entries(name, *OTHERS.get(name, []))
    for search in Connector(name).searches:
        if "get" in search and not {"for_each", "pages", "require"} & set(search):
            path = segments(search["get"])
            paged = [entry.title for entry in known if entry.method == "GET" and segments(entry.title.partition(" ")[2])[-len(path):] == path
                     and any(entry.query.type_of(key) for key in PAGING)]
            assert not paged, f"the search {search['get']} has no `pages`, and the vendor has several of {paged}"


@pytest.mark.parametrize("name", connectors())
def test_nothing_is_described_that_no_connector_asks_for(name):
    requests = Connector(name).requests
    for other, needed in OTHERS.items():
        if name in needed:
            requests += Connector(other).requests
    idle = [entry.title for entry in entries(name) if not any(fits(request, entry) for request in requests)
            and not re.search(r"/token\b", entry.title)]
    assert not idle


def table() -> list[str]:
    """The rows of README.md's table."""
    rows = []
    for name in connectors():
        apis = read_facts(os.path.join(FACTS, f"{name}.yaml"))["apis"]
        for api in apis:
            specs = api["requests"].values()
            unconfirmed = [spec["unconfirmed"] for spec in specs if isinstance(spec, dict) and "unconfirmed" in spec]
            why = f": {unconfirmed[0]}" if unconfirmed else ""
            rows.append(f"| `{name}` | {api['name']} | {api['source']} | {len(specs) - len(unconfirmed)} | {len(unconfirmed)}{why} |")
    return rows


def test_the_table_of_what_is_known():
    with open(os.path.join(FACTS, "README.md"), encoding="utf-8") as file:
        shown = [line for line in file.read().partition("## What is known")[2].splitlines() if line.startswith("| `")]
    assert shown == table(), "README.md of tests/facts should have:\n" + "\n".join(table())
