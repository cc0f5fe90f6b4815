"""Faults on demand: rules that say which requests go wrong, how, and how often.

A rule is an object; every key but `do` is optional:

    match    {"method": "POST" or a list, "path": regex, "query": regex, "body": regex}; regexes are searched for in
             the raw text; no match: every request
    do       what happens, see KINDS
    times    how many requests it applies to; null: for ever (default)
    skip     let so many matching requests pass first
    chance   apply to this share of matching requests (0 to 1), drawn from a generator seeded with `seed`
    status, headers, body, content_type     the answer of `status` and `status_after`; without `body` the vendor's own
             error shape is used; a string as `body` is sent as it is
    seconds  for `delay` and `slow_after`
"""

import random
import re
import threading
from collections.abc import Iterable

KINDS = {
    "status": "answer with the rule's status, without effect",
    "status_after": "perform the effect, then answer with the rule's status (a gateway's 504)",
    "lose_answer": "perform the effect, then cut the connection",
    "drop": "cut the connection before the effect",
    "noop": "answer the vendor's success and change nothing",
    "delay": "wait, then go on (with the next matching rule, if there is one)",
    "slow_after": "perform the effect, wait, then answer",
    "truncate": "perform the effect, then send half of the answer's body and cut the connection",
    "hang": "neither effect nor answer until the faults are cleared, then cut the connection",
    "down": "close every connection at once; nothing is read, so nothing is journalled (see `hits`)",
    "refuse": "nobody listens: what is open is closed, new connections are refused; nothing is journalled or counted",
}
_KEYS = {"match", "do", "times", "skip", "chance", "seed", "status", "headers", "body", "content_type", "seconds"}
_MATCH_KEYS = {"method", "path", "query", "body"}


class Rule:
    """One rule and how often it was applied."""

    def __init__(self, spec: dict) -> None:
        _check(spec)
        self.spec = spec
        self.kind: str = spec["do"]
        self.hits = 0
        self._seen = 0
        self._random = random.Random(spec.get("seed", 0))
        match = spec.get("match") or {}
        methods = match.get("method")
        self._methods = {methods} if isinstance(methods, str) else set(methods or ())
        self._patterns = {key: re.compile(match[key]) for key in ("path", "query", "body") if match.get(key)}

    def matches(self, request) -> bool:
        if self._methods and request.method not in self._methods:
            return False
        texts = {"path": request.path, "query": request.query, "body": request.text}
        return all(pattern.search(texts[key]) for key, pattern in self._patterns.items())

    def draw(self) -> bool:
        """Count a matching request in; true when the rule applies to it."""
        times = self.spec.get("times")
        if times is not None and self.hits >= times:
            return False
        self._seen += 1
        if self._seen <= self.spec.get("skip", 0):
            return False
        if self._random.random() >= self.spec.get("chance", 1):
            return False
        self.hits += 1
        return True


class Faults:
    """The rules of one system, in order; the first that applies decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._cleared = threading.Event()

    def add(self, specs: Iterable[dict]) -> None:
        """Append rules. ValueError on a faulty one, and then none is added."""
        rules = [Rule(spec) for spec in specs]
        with self._lock:
            self._rules = self._rules + rules

    def clear(self) -> None:
        """Remove all rules and wake whoever waits because of one."""
        with self._lock:
            self._rules = []
            self._cleared.set()
            self._cleared = threading.Event()

    def listing(self) -> list[dict]:
        with self._lock:
            return [{**rule.spec, "hits": rule.hits} for rule in self._rules]

    def is_down(self) -> bool:
        """Whether a connection is to be closed at once; counts it if so."""
        with self._lock:
            return any(rule.kind == "down" and rule.draw() for rule in self._rules)

    def refuses(self) -> bool:
        """Whether nobody is to listen."""
        with self._lock:
            return any(rule.kind == "refuse" for rule in self._rules)

    def pick(self, request) -> tuple[list[Rule], threading.Event]:
        """The rules to apply (delays, then at most one other), and the event that ends their waiting."""
        picked = []
        with self._lock:
            for rule in self._rules:
                if rule.kind in ("down", "refuse") or not rule.matches(request) or not rule.draw():
                    continue
                picked.append(rule)
                if rule.kind != "delay":
                    break
            return picked, self._cleared


def _check(spec: dict) -> None:
    if not isinstance(spec, dict):
        raise ValueError("a fault rule is an object")
    unknown = sorted(set(spec) - _KEYS) + sorted(set(spec.get("match") or {}) - _MATCH_KEYS)
    if unknown:
        raise ValueError(f"unknown key in fault rule: {', '.join(unknown)}")
    kind = spec.get("do")
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}; there are: {', '.join(sorted(KINDS))}")
    if kind in ("status", "status_after") and not isinstance(spec.get("status"), int):
        raise ValueError(f"{kind} needs a status")
    if kind in ("delay", "slow_after") and not isinstance(spec.get("seconds"), (int, float)):
        raise ValueError(f"{kind} needs seconds")
    for key in ("path", "query", "body"):
        try:
            re.compile((spec.get("match") or {}).get(key) or "")
        except re.error as error:
            raise ValueError(f"match.{key} is no regular expression: {error}") from error
