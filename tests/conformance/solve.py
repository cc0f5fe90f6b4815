"""Answers that make of a request what is wanted: found from nothing but the connector's expressions. Of every answer it is known what it
must lead to (an account that is the leaver's, a list with something in it, a state that is confirmed or is not); `answers` looks for
values that do. The engine is the judge of them: what it does not take, it refuses in the run that uses them."""

import contextlib
import itertools
import json
import re
import urllib.parse
from collections.abc import Iterator

from cells import NOTHING_UNLESS_NEEDED, Cell, Chooser, Dead, Defaults, JqError, entries
from connector import METHODS, asks_for_one, paths, reads
from jq_eval import Evaluator
from jq_parse import expressions, template, walk
from vendor import Answer

TRIES = 800         # ways that are gone for one status before it is given up
ALTERNATIVES = 2    # of a kind: answers for one request that a search for a good run goes through
JUDGING = ("denied", "blocked", "missing", "already", "retry", "success")
PARTS = (*JUDGING, "save", "found", "expect", "that", "pages", "poll", "until", "batch")


class Unwanted(Exception):
    """The answer would lead somewhere else."""


class Question:
    """A request that the worker is about to send, as it told of it."""

    def __init__(self, asked: dict, body: str, system: str) -> None:
        self.request: dict = asked["request"]
        self.context: dict = asked["context"]
        self.method, self.url, self.body = asked["method"], asked["url"], body
        self.account: str = self.context["ids"].get(system) if isinstance(self.context["ids"].get(system), str) else ""
        self.offboarding: str = self.context["offboarding"]["id"]
        self.changes: bool = asked["changes"]
        self.further_page = "page" in self.request
        at = asked["at"].removeprefix(self.account + "/") if self.account else asked["at"]
        self.place = re.match(r"(?:\w+/\d+)|", at)[0] or at
        self.kind = self.url.partition("://")[0].removesuffix("s")
        self.role = self._role(asked)

    def _role(self, asked: dict) -> str:
        if asked["search"]:
            return self.place.partition("/")[0]
        if asked["look"]:
            return "verify"
        if "that" in self.request:
            return "require"
        if "expect" in self.request:
            return "find"
        if "every" in self.request:
            return "meanwhile"
        return "change" if self.changes else "read"

    @property
    def index(self) -> int:
        return int(self.place.partition("/")[2] or 0)

    @property
    def asked(self) -> str:
        """The name of the one thing that is asked for; "" where it is not one."""
        tail = asks_for_one(self.request)
        if tail is not None and self.kind == "ldap":
            return self.account
        last = urllib.parse.urlsplit(self.url).path.rstrip("/").rpartition("/")[2]
        return urllib.parse.unquote(last.removesuffix(tail[0])) if tail is not None and not self.further_page else ""

    @property
    def names_account(self) -> bool:
        """A member of the query or of the body is the account."""
        values = [value for _, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(self.url).query)]
        with contextlib.suppress(ValueError):
            values += leaves(json.loads(self.body))
        return bool(self.account) and self.account in values

    @property
    def item(self):
        if "batch" in self.request:
            return self.context.get("items")
        return self.context.get("item") if reads(self.request, "item") else None    # else it is that of an earlier request

    def __str__(self) -> str:
        role = {"require": " (what it requires)", "find": " (find)", "meanwhile": " (meanwhile)"}.get(self.role, "")
        return f"{self.place}{role}: {self.method} {self.url}"


class Want:
    """What the answer to a question is to lead to."""

    def __init__(self, *, found: bool = True, done: bool = False, account: str = "", emails: list[str] = (), employee_id: str = "",
                 ahead: list[dict] = (), more: bool | None = None, others: bool = False, good: bool = True) -> None:
        """`found`: an account, or the effect of a call that is made once. `done`: the state that is wanted is there. `account`,
        `emails` and `employee_id`: whose account. `ahead`: the requests after this one that are to be made. `more`: is there
        another page? None: if possible not. `others`: accounts of other people, as many as the page takes. `good`: what the connector calls a success."""
        self.found, self.done, self.more, self.others, self.good = found, done, more, others, good
        self.account, self.emails, self.employee_id = account, list(emails), employee_id
        self.ahead = list(ahead)

    def key(self) -> tuple:
        return self.found, self.done, self.more, self.others, self.good, self.account, tuple(self.emails), self.employee_id


def account_id(number: int, kind: str) -> str:
    """A directory has hex digits, of whole bytes."""
    return f"{number:032d}" if kind == "ldap" else str(number)


def wanted(condition: bool) -> None:
    if not condition:
        raise Unwanted


def statuses(question: Question, want: Want) -> list[int]:
    """The likely ones first. Those of SMTP and of LDAP are the protocol's own."""
    if question.kind == "smtp":
        return [250]
    if question.kind == "ldap":
        return [0, 32] if question.role == "verify" or (question.role == "identify" and not want.found) else [0]
    named = sorted({node.value for part in PARTS for tree in expressions(question.request.get(part)) for node in walk(tree)
                    if node.kind == "literal" and isinstance(node.value, int) and 100 <= node.value < 600
                    and reads(question.request.get(part), "status")})
    named = [status for status in named if status % 100 or status in (200, 400, 500)]      # others are bounds
    bad = [status for status in named if status >= 400]
    usual = [200, 201, 202, 204] if question.changes else [200]
    order = [404, *bad, *usual] if question.role == "identify" and not want.found and "missing" in question.request else [*usual, *named]
    if question.role == "verify":
        order = [*usual, *named, *([] if want.done else [404])]
    elif "success" not in question.request and not (want.done and "already" in question.request):
        nobody = question.role == "identify" and not want.found and "missing" in question.request
        order = [status for status in order if status < 300 or nobody]
    return list(dict.fromkeys(order))


class Search:
    """For the answer to one question."""

    def __init__(self, question: Question, want: Want, defaults: Defaults) -> None:
        self.question, self.want, self.defaults = question, want, defaults
        self._shown = None      # the id of the account that the answer shows

    def answers(self) -> Iterator[Answer]:
        """Those that lead where they are to lead, the best first."""
        seen: set[str] = set()
        ways = [False, True] if self.want.more is None else [self.want.more]
        plain = self.question.role in ("identify", "confirm", "verify", "require") or self.want.more
        levels = (0,) if plain else (3, 2, 1, 0)
        hopeless = set()
        for more, level, status in itertools.product(ways, levels, statuses(self.question, self.want)):
            if (more, status) in hopeless:
                continue
            if level == levels[0] and level and next(self._with(status, 0, more), None) is None:
                hopeless.add((more, status))    # what is a must is more than can be had
                continue
            for answer in itertools.islice(self._with(status, level, more), ALTERNATIVES):
                text = str(answer)
                if text not in seen:
                    seen.add(text)
                    yield answer

    def _with(self, status: int, level: int, more: bool) -> Iterator[Answer]:
        chooser = Chooser()
        begin = self.defaults.count
        for _ in range(TRIES):
            self.defaults.count = begin
            body, headers = self._body(status, chooser), Cell("headers")
            headers.make_object()
            self._shown = None
            evaluator = Evaluator({**self.question.context, "status": status, "body": body, "headers": headers}, chooser, self.defaults)
            evaluator.never = (*self.want.emails, self.want.employee_id) if self.want.others else ()
            try:
                if more:        # first of all: how long is a full page?
                    self._pages(evaluator, more)
                self._goals(evaluator, status, level)
                self._pages(evaluator, more)
                yield self._answer(status, body, headers)
            except (Unwanted, Dead, JqError):
                pass
            if not chooser.again():
                return

    def _body(self, status: int, chooser: Chooser) -> Cell:
        if self.question.kind == "ldap" and self.question.method == "SEARCH" and status == 0:
            return entries((1, 0, 2)[chooser.choose(3)])
        return Cell("body")

    def _answer(self, status: int, body: Cell, headers: Cell) -> Answer:
        request = self.question.request
        for part in PARTS:
            for path in paths(request.get(part)):
                if path[0] == "body":
                    _make_present(body, path[1:])
        told = {name: str(value) for name, value in (
            (name, self.defaults.whole(cell) if cell.kind != "open" or cell.something else None)
            for name, cell in headers.members.items()) if value is not None}
        if body.kind == "open":
            nothing = self.question.changes or status >= 400 or status == 204 or self.question.method == "HEAD"
            return Answer(status, None if nothing else {}, told)
        whole = self.defaults.whole(body)
        shown = self.defaults.whole(self._shown)
        return Answer(status, whole, told, account="" if shown is None else str(shown))

    def _lengths(self) -> list[int]:
        """Of a full page, as far as the request says how long one is."""
        numbers = [node.value for tree in expressions(self.question.request.get("pages")) for node in walk(tree) if node.kind == "literal"]
        numbers += [int(value) for _, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(self.question.url).query)
                    if value.isdecimal() and len(value) < 5]
        return sorted({number for number in numbers if isinstance(number, int) and 2 < number <= 1000})

    # What it must come to. In the order in which the engine asks.

    def _goals(self, ev: Evaluator, status: int, level: int) -> None:
        request, want, role = self.question.request, self.want, self.question.role
        nobody = role == "identify" and not want.found
        if self.question.further_page:
            level = 0
        wanted(not ev.true(request.get("denied")) and not ev.true(request.get("blocked")))
        missing = ev.true(request.get("missing"))
        if nobody and "missing" in request and missing and not self.question.further_page:
            return
        wanted(not missing)
        already = ev.true(request.get("already"))
        if want.done and role in ("read", "require", "change") and "already" in request:
            wanted(already)
            return
        wanted(not already and not ev.true(request.get("retry")))
        if role == "verify" and "success" in request and (status == 0 or 200 <= status < 300):
            wanted(ev.true(request["success"]) == want.good)
        if role != "verify":
            wanted(ev.true(request["success"]) if "success" in request else status == 0 or 200 <= status < 300)
        if role in ("identify", "confirm"):
            self._account(ev, nobody)
            self._goes_on(ev)
        elif role == "verify":
            wanted(ev.true(request["expect"]) == want.done)
        elif role == "find":
            wanted(ev.true(request["expect"]) == want.found)
        else:
            self._goes_on(ev)
        self._saves(ev, level)

    def _account(self, ev: Evaluator, nobody: bool) -> None:
        request = self.question.request
        if "found" in request:
            value = ev.look(ev.render(request["found"]))
            if isinstance(value, Cell) and value.kind == "open":
                value = ev.iterate(value)
            wanted(value is not None)
            accounts = value if isinstance(value, list) else [value]
            wanted(self.want.others or len(accounts) == (0 if nobody else 1))   # before all that an account can be is gone through
            for account in accounts:
                self._is_other(ev, account) if self.want.others else self._shows(ev, account)
        elif "id" in request.get("save", {}):
            value = ev.look(ev.render(request["save"]["id"]))
            accounts = value if isinstance(value, list) else [] if value is None else [value]
            wanted(self.want.others or len(accounts) == (0 if nobody else 1))
            for account in accounts:
                self._is(ev, account)

    def _shows(self, ev: Evaluator, account) -> None:
        """The account says whose it is."""
        rules, want = self.want.ahead[0]["account"], self.want
        ev.context["account"] = account
        self._is(ev, ev.render(rules["id"]))
        if rules.get("employee_id") and want.employee_id:
            wanted(ev.equal(ev.render(rules["employee_id"]), want.employee_id))
        if rules.get("email") and want.emails:
            shown = ev.listed(ev.render(rules["email"]))
            wanted(all(any(ev.equal(one, email) for one in shown) for email in want.emails))
        ev.context["account"] = None

    def _is_other(self, ev: Evaluator, account) -> None:
        """The account says that it is somebody else's."""
        rules = self.want.ahead[0]["account"]
        ev.context["account"] = account
        wanted(_says_something(ev, ev.render(rules["id"])))
        shown = [ev.look(one) for one in ev.listed(ev.render(rules.get("email")))]
        for place, one in enumerate(shown):
            if place == 0 and isinstance(one, Cell):
                one.decide(self.defaults.fresh("other") + "@example.net")
        wanted("email" not in rules or any(one is not None for one in shown))
        _says_something(ev, ev.render(rules.get("employee_id")))
        ev.context["account"] = None

    def _is(self, ev: Evaluator, account) -> None:
        """The account has the id that is wanted, or any; a number if it may be one."""
        self._shown = account
        if self.want.account:
            wanted(ev.equal(account, self.want.account))
        elif isinstance(account, Cell) and account.name == "dn":
            account.decide("cn=10470,dc=example")
        elif ev.chooser.choose(2) == 0:
            wanted(ev.equal(account, account_id(10470 + self.defaults.count, self.question.kind)))
        wanted(ev.truthy(account, boolean=False))

    def _goes_on(self, ev: Evaluator) -> None:
        request = self.question.request
        if self.question.role == "require":
            wanted(ev.true(request["that"]))
        require = request.get("require")
        own = isinstance(require, dict) and not any(method in require for method in ("get", "post", "head", "ldap"))
        if own or isinstance(require, (str, bool)):
            with_saved = self._with_saved(ev)
            wanted(with_saved.true(require["that"] if own else require))
        poll = request.get("poll", {})
        if poll:
            wanted(not ev.true(poll.get("failed")) and ev.true(poll["until"]))
        if self.question.role == "meanwhile" and "until" in request:
            wanted(ev.true(request["until"]))
        if "batch" in request:
            results = ev.iterate(ev.render(request["batch"]["results"]))
            wanted(len(results) == len(self.question.context["items"]))
            for place, result in enumerate(results):
                self._item_done(ev, result, place)

    @staticmethod
    def _item_done(ev: Evaluator, result, place: int) -> None:
        result = ev.look(result)
        index = ev.look(ev.index(result, "index"))
        wanted(index is None or ev.equal(index, place))
        if ev.truthy(ev.index(result, "already")) or ev.truthy(ev.index(result, "ok")):
            return
        status = ev.look(ev.index(result, "status"))
        wanted(status is not None and (ev.equal(status, 200) or ev.equal(status, 204)))

    def _with_saved(self, ev: Evaluator) -> Evaluator:
        """As expressions see it when the answer has been saved."""
        saved = {**self.question.context.get("saved", {})}
        collects = self.question.role != "find" and ("pages" in self.question.request or "for_each" in self.question.request)
        for name, tmpl in self.question.request.get("save", {}).items():
            value = ev.render(tmpl)
            if collects:
                value = ev.look(value)
                value = [*(saved.get(name) or []), *(value if isinstance(value, list) else [] if value is None else [value])]
            saved[name] = value
        return ev.seeing(saved=saved)

    def _saves(self, ev: Evaluator, level: int) -> None:
        if self.question.role == "find" and not self.want.found:
            return
        with_saved = self._with_saved(ev)       # an error is one of the engine's, too
        if level in (1, 3) and self.question.role in ("read", "change", "find", "meanwhile"):
            for name in self.question.request.get("save", {}):
                wanted(_says_something(ev, with_saved.context["saved"][name]))
        if level >= 2 and self.question.role not in ("identify", "confirm", "verify"):
            self._look_ahead(with_saved)

    def _look_ahead(self, ev: Evaluator) -> None:
        """The requests that are to come are made: as far as that can be told yet."""
        blind = ev.seeing(body=None, status=None, headers={}, item=None)
        for request in self.want.ahead:
            if "if" in request and self._known(blind, request["if"]):
                wanted(blind.true(request["if"]))
            if "for_each" in request and self._known(blind, request["for_each"]):
                items = blind.iterate(blind.render(request["for_each"]))
                wanted(len(items) > 0)
                blind.context["item"] = items[0]
            self._has_path(blind, request)
            blind.context["item"] = None

    def _has_path(self, ev: Evaluator, request: dict) -> None:
        """Nothing is missing in its path."""
        path = next((request[method] for method in METHODS if isinstance(request.get(method), str)), "")
        if ("for_each" in request) != (ev.context["item"] is not None) or "batch" in request or not self._known(ev, path):
            return
        for part in template(path):
            if not isinstance(part, str):
                wanted(_says_something(ev, ev.one(part, ev.context, {})))

    @staticmethod
    def _known(ev: Evaluator, value) -> bool:
        """Can it be told yet?"""
        saved = ev.context["saved"]
        return (ev.context["item"] is not None or not reads(value, "item")) and not reads(value, "body") and not reads(
            value, "status") and all(path[1] in saved for path in paths(value) if path[0] == "saved" and len(path) > 1)

    def _pages(self, ev: Evaluator, more: bool) -> None:
        pages = self.question.request.get("pages")
        if not pages:
            return
        ev.lengths = self._lengths() if more and "more" in pages else ()
        seen = self._with_saved(ev) if reads(pages, "saved") else ev
        if "next" in pages:
            link = seen.look(seen.render(pages["next"]))
            wanted((link != "" and seen.truthy(link, boolean=False)) == more)
        else:
            wanted(seen.true(pages["more"]) == more)
        if more:        # what the next page is asked for by
            for name in ("query", "json"):
                wanted(all(_says_something(seen, value) for value in _leaves(seen.render(pages.get(name)))))
        ev.lengths = ()


def _leaves(value) -> list:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [] if value is None else [value]


def leaves(value) -> list:
    """All texts and numbers within a value of JSON, as texts."""
    if isinstance(value, (dict, list)):
        return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in leaves(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _says_something(ev: Evaluator, value) -> bool:
    value = ev.look(value)
    if isinstance(value, Cell) and value.kind == "open":
        value.something = True
        return True
    return value is not None and value != "" and value != []


def _make_present(value, path: list) -> None:
    """What an expression reads is there, though it was decided without it."""
    value = Evaluator.look(value)
    if not path or isinstance(value, (str, int, float, bool)) or value is None:
        return
    if path[0] == "[]":
        if isinstance(value, Cell) and value.kind == "open" and not value.type and not value.parts:
            value.make_list(0)
        for item in value if isinstance(value, list) else []:
            _make_present(item, path[1:])
    elif isinstance(path[0], str):
        if isinstance(value, Cell) and value.kind == "open" and not value.type and not value.parts:
            value.make_object()
        if isinstance(value, Cell) and value.kind == "object":
            member = value.member(path[0])
            if member.kind == "open" and not member.something and not member.type and NOTHING_UNLESS_NEEDED.search(path[0]):
                member.decide(None)
            _make_present(member, path[1:])
        elif isinstance(value, dict):
            value.setdefault(path[0], None)
            _make_present(value[path[0]], path[1:])


def told(question: Question, want: Want) -> str:
    """For people: what was looked for."""
    parts = {name: question.request[name] for name in (*PARTS, "require") if name in question.request}
    return f"{question}\n  wanted: {want.key()}\n  of: {json.dumps(parts)[:1500]}"
