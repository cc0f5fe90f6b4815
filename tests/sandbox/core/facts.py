"""Facts of a vendor's published specification, and what in a request is against them.

They lie in tests/facts, a file a connector; the sandbox gets them as JSON, by vendor: {vendor: [group, …]}. A group is an API with
`name`, `source`, `base` (what its paths begin with) and `requests`: {"METHOD /path/{variable}": entry}. An entry is the status of
success, or an object with `query`, `body`, `form`, `headers` (in the notation of core/notation.py), `type` and `answers`.
"""

import re
import urllib.parse
from collections.abc import Iterator

from core.notation import Members, Type, parse_type

_KEYS = {"query", "body", "body?", "form", "type", "headers", "answers", "source", "unconfirmed"}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Entry:
    """One request as the vendor describes it."""

    def __init__(self, title: str, base: str, spec) -> None:
        """`title` is "METHOD /path". ValueError where the notation is not kept."""
        spec = spec if isinstance(spec, dict) else {"answers": spec}
        where = f"{title}: "
        if set(spec) - _KEYS:
            raise ValueError(f"{where}unknown: {', '.join(sorted(set(spec) - _KEYS))}")
        self.method, _, path = title.partition(" ")
        self.title = f"{self.method} {base}{path}"
        self.path = path_pattern(base + path)
        self.variables = (base + path).count("{")
        self.query = Members(spec.get("query", {}), where + "query")
        self.headers = Members({name.lower(): item for name, item in spec.get("headers", {}).items()}, where + "headers")
        self.form = Members(spec["form"], where + "form") if "form" in spec else None
        self.body: Type | None = next((parse_type(spec[key], where + "body") for key in ("body", "body?") if key in spec), None)
        self.body_required = "body" in spec
        types = spec.get("type", FORM if self.form else JSON)
        self.types = [types] if isinstance(types, str) else types
        answers = spec.get("answers", [])
        self.answers = answers if isinstance(answers, list) else [answers]
        if not self.answers or not all(isinstance(status, int) for status in self.answers):
            raise ValueError(f"{where}answers: the status of success is missing")

    def wrong(self, request) -> Iterator[str]:
        """What in the request is against the facts."""
        pairs = urllib.parse.parse_qsl(request.query, keep_blank_values=True)
        yield from _told("query", self.query.wrong_pairs(pairs))
        given = {name: value for name, value in request.headers.items() if self.headers.type_of(name)}
        yield from _told("headers", self.headers.wrong(given))
        if not request.body:
            if self.form or self.body_required:
                yield "the body is missing"
        elif not self.form and not self.body:
            yield "it has a body, and the vendor takes none"
        elif request.headers.get("content-type", "") not in self.types:
            yield f"Content-Type is `{request.headers.get('content-type', '')}`, and not {' or '.join(self.types)}"
        else:
            yield from self._wrong_body(request)

    def _wrong_body(self, request) -> Iterator[str]:
        if self.form:
            yield from _told("form", self.form.wrong_pairs(urllib.parse.parse_qsl(request.text, keep_blank_values=True)))
            return
        try:
            body = request.json()
        except ValueError:
            yield "the body is not JSON"
            return
        yield from _told("body", self.body.wrong(body))


class Facts:
    """All that is known of one vendor's requests."""

    def __init__(self, groups: list[dict]) -> None:
        self.entries = [Entry(title, group.get("base", ""), spec)
                        for group in groups for title, spec in group["requests"].items()]
        self.entries.sort(key=lambda entry: entry.variables)

    def find(self, method: str, path: str) -> Entry | None:
        """The entry for a request; `path` is raw."""
        return next((entry for entry in self.entries if entry.method == method and entry.path.fullmatch(path)), None)

    def wrong(self, request, status: int | None) -> list[str]:
        """What is against the facts: in the request, and in a status of success (None: none was decided on, or a test did)."""
        entry = self.find(request.method, request.path)
        if entry is None:
            return ["no fact describes this request"]
        told = list(entry.wrong(request))
        if status is not None and 200 <= status < 300 and status not in entry.answers:
            told.append(f"the sandbox answered {status}, the vendor {' or '.join(map(str, entry.answers))}")
        return told


def path_pattern(path: str) -> re.Pattern:
    """{name} is one segment or a part of it, {a|b} one of these, {...} anything."""
    pattern = ""
    for part in re.split(r"(\{[^}]*\})", path):
        if part == "{...}":
            pattern += ".*"
        elif part.startswith("{") and "|" in part:
            pattern += f"(?:{'|'.join(map(re.escape, part[1:-1].split('|')))})"
        else:
            pattern += "[^/]+" if part.startswith("{") else re.escape(part)
    return re.compile(pattern)


def _told(what: str, wrong: Iterator[tuple[str, str]]) -> Iterator[str]:
    return (f"{what}{where}: {why}" for where, why in wrong)
