"""A table of a connector's actions, each tried by itself against the sandbox: the exact requests, again, nobody there, refused for
good, throttled, dry. A test file says what its vendor is and lists the rows."""

import json
import re
from dataclasses import dataclass, field

import pytest
from unconfirmed import impatient


@dataclass
class Row:
    """An action. `requests` come after the look-up, as `METHOD path?query`, changing ones with ` BODY`; {placeholders} in them, in
    `with_`, `steps`, `undoes` and `outputs` are those that `leaver` gave. `again` and `missing` are the outcomes of another try and
    for an account that is gone; None: no such test. `seed` and `user` are for `leaver`. `undoes` is what the action that is undone
    kept as `before`. `leaves`: the names of what stays in place on purpose, by kind. `verified`: the action has a read-back."""
    action: str
    requests: list[str]
    with_: dict = field(default_factory=dict)
    seed: dict = field(default_factory=dict)
    user: dict = field(default_factory=dict)
    steps: dict = field(default_factory=dict)
    outputs: dict | None = None
    before: dict | None = None
    undoes: dict | None = None
    leaves: dict | None = None
    again: str | None = "already_done"
    missing: str | None = "missing"
    verified: bool = True
    name: str = ""      # tells two rows of one action apart


def left(said: dict) -> dict[str, list]:
    """What a try says to have left in place on purpose: the names by kind."""
    return {kind: entry["items"] for kind, entry in said.get("open", {}).items()}


def filled(value, names: dict):
    """`value`, with the names for their {placeholders} in every text of it; a text that is a placeholder alone becomes the value."""
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if not isinstance(value, str):
        return value
    if value[1:-1] in names and value == "{" + value[1:-1] + "}":
        return names[value[1:-1]]
    for name, text in names.items():
        value = value.replace("{" + name + "}", str(text))
    return value


class Case:
    """One leaver and one row."""

    def __init__(self, table, stack, row: Row, test: str) -> None:
        self.table, self.stack, self.row = table, stack, row
        self.email = f"{(row.name or row.action).replace('_', '-')}.{test}@example.com"
        self.names = {"email": self.email, "at": self.email.replace("@", "%40")}
        self.names |= table.leaver(stack, row, self.email)
        self.since = 0

    def try_in_vain(self) -> dict:
        """Of what is never confirmed: its read-back is not waited for."""
        return self.try_(**impatient(self.stack, self.table.system))

    def try_(self, *more: str, live: bool = True, id: str | None = None, **env: str) -> dict:
        """What `offboard try --json` says. `id`: an account in place of the leaver's."""
        account = id or self.names.get("id")
        known = ["--ids", json.dumps({self.table.system: [account]})] if account else []
        steps = ["--steps", json.dumps(filled(self.row.steps, self.names))] if self.row.steps else []
        kept = {account or "": filled(self.row.undoes, self.names)}
        before = ["--before", json.dumps(kept)] if self.row.undoes is not None else []
        self.since = len(self.stack.sandbox.journal(self.table.vendor_name))
        result = self.stack.try_action(self.table.system, self.row.action, "--email", self.email, "--json",
                                       "--with", json.dumps(filled(self.row.with_, self.names)), *known, *steps, *before,
                                       *(["--live"] if live else []), *more, **env)
        assert result.out, result
        return json.loads(result.out)

    def journal(self) -> list[dict]:
        """The requests since the last try, but for tokens."""
        return [entry for entry in self.stack.sandbox.journal(self.table.vendor_name)[self.since:]
                if not re.search(self.table.token_path, entry["path"])]

    def requests(self) -> list[str]:
        told = []
        for entry in self.journal():
            query = f"?{entry['query']}" if entry["query"] else ""
            body = f" {entry['body']}" if entry.get("changing") and entry["body"] else ""
            told.append(f"{entry['method']} {entry['path']}{query}{body}")
        return told

    def expected(self) -> list[str]:
        return filled(self.row.requests, self.names)

    def changed(self) -> list[dict]:
        return [entry for entry in self.journal() if entry.get("changing")]

    def fault(self, rule: dict) -> None:
        """On the action's first change, or on its first request where it changes nothing."""
        first = next((line for line in self.expected() if not line.startswith("GET ")), self.expected()[0])
        method, path = first.split(" ")[:2]
        pattern = re.escape(path.partition("?")[0]).replace("%40", "(%40|@)") + "$"
        self.stack.sandbox.fault(self.table.vendor_name, {"match": {"method": method, "path": pattern}, **rule})


class ConnectorTable:
    """Subclass it as TestX; what it needs to be told stands first."""

    system: str             # the connector
    vendor: str = ""        # the sandbox's name of it, where that is another
    rows: list[Row]
    token_path = r"/(oauth2?|token)\b.*token"   # what is left out of the requests
    nobody = "nobody"       # an id that no account has
    # The account's own path (a regex with {placeholders}), and by action an answer about somebody else who is as the action wants it.
    account_path = ""
    others: dict[str, dict] = {}
    # Faults; `body` where the vendor tells by more than the status.
    refusal = {"do": "status", "status": 400}
    throttle = {"do": "status", "status": 429, "headers": {"Retry-After": "0"}}     # the engine backs off all the same

    @property
    def vendor_name(self) -> str:
        return self.vendor or self.system

    @classmethod
    def rows_of(cls, test: str) -> list[Row]:
        """Those that a test is about."""
        if test == "test_an_answer_about_somebody_else":
            return [row for row in cls.rows if (row.name or row.action) in cls.others]
        wanted = {"test_done_before": "again", "test_nobody_there": "missing"}.get(test)
        return [row for row in cls.rows if not wanted or getattr(row, wanted) is not None]

    def vendors(self) -> dict:
        """Settings of the sandbox's vendors."""
        return {}

    def settings(self, url: str) -> dict:
        """Of systems.<system>."""
        raise NotImplementedError

    def leaver(self, stack, row: Row, email: str) -> dict:
        """Makes the leaver's account at the vendor; {placeholders} for the row, `id` (the account's) among them."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def stack(self, make_shared_stack):
        stack = make_shared_stack(systems=self.vendor_name, vendors=self.vendors())
        stack.settings["systems"][self.system] = self.settings(stack.sandbox.url(self.vendor_name))
        stack.settings["worker"]["derive_key"] = "0123456789abcdef0123456789abcdef"
        stack.write_settings()
        return stack

    @pytest.fixture
    def case(self, stack, row, request):
        test = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
        yield Case(self, stack, row, test)
        stack.sandbox.clear_faults(self.vendor_name)

    def test_exactly_these_requests(self, case, row):
        said = case.try_()
        assert said["outcome"] == "succeeded", said
        assert case.requests() == case.expected()
        assert row.outputs is None or said["outputs"] == filled(row.outputs, case.names)
        assert row.before is None or said["before"] == {case.names["id"]: filled(row.before, case.names)}
        assert row.leaves is None or left(said) == filled(row.leaves, case.names)
        assert (said["verified"] or {"ok": False})["ok"] == row.verified, said
        assert "says can't be made" not in said["message"], said

    def test_done_before(self, case, row):
        assert case.try_()["outcome"] == "succeeded"
        again = case.try_()
        assert again["outcome"] == row.again and "says can't be made" not in again["message"], again
        if row.again == "already_done":
            assert case.changed() == []

    def test_nobody_there(self, case, row):
        said = case.try_(id=self.nobody)
        assert said["outcome"] == row.missing, said
        assert not [entry for entry in case.changed() if entry.get("effect")]

    def test_an_answer_about_somebody_else(self, case, row):
        """It confirms nothing about the leaver, neither before the change nor after it."""
        path = filled(self.account_path, case.names) + "$"
        paths = [line.split(" ")[1].partition("?")[0] if line.startswith("GET ") else None for line in case.expected()]
        before = paths[:paths.index(None)]
        for skip in {0, sum(bool(re.search(path, one)) for one in before)}:
            case.stack.sandbox.fault(self.vendor_name, {"match": {"method": "GET", "path": path}, "do": "status", "status": 200,
                                                        "skip": skip, "body": self.others[row.name or row.action]})
            said = case.try_in_vain()
            case.stack.sandbox.clear_faults(self.vendor_name)
            assert said["outcome"] not in ("succeeded", "already_done"), (skip, said)
            assert skip or not case.changed(), said

    def test_refused_for_good(self, case, row):
        case.fault({**self.refusal, "times": None})
        said = case.try_in_vain()
        assert said["outcome"] == "failed", said

    def test_throttled(self, case, row):
        case.fault({**self.throttle, "times": 1})
        said = case.try_()
        assert said["outcome"] == "succeeded", said
        assert self.throttle["status"] in [call["status"] for call in said["calls"]]

    def test_a_dry_run_changes_nothing(self, case, row):
        said = case.try_(live=False)
        assert said["outcome"] == "succeeded", said
        assert case.changed() == []
        if any(not line.startswith("GET ") for line in case.expected()):
            assert said["message"].startswith("dry run: would "), said
