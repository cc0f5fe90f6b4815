"""What a vendor is: settings, state, routes, and its own way of refusing.

A vendor module subclasses `Vendor`, marks its handlers with `@route`, and overrides what makes the vendor itself:
`authorize`, `fail` (its error shape), `throttled`, `seed` and `export`. One request is handled at a time, under `lock`;
what takes time (faults, sending) happens outside of it.
"""

import copy
import json
import math
import re
import threading
import time
import traceback
import urllib.parse
from dataclasses import dataclass, field

from core.faults import Faults
from core.store import Store

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass
class Request:
    """A request as read from the wire. `path` and `query` are raw, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def params(self) -> dict[str, str]:
        """The decoded query; of a name given twice the last one."""
        return dict(urllib.parse.parse_qsl(self.query, keep_blank_values=True))

    @property
    def origin(self) -> str:
        """Scheme and authority under which the client knows us, for links in answers."""
        return "http://" + self.headers.get("host", "127.0.0.1")

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self):
        """The body; ValueError when it is not JSON in UTF-8."""
        return json.loads(self.body.decode("utf-8"))


@dataclass
class Answer:
    """An answer. `body` is anything JSON can say, a string that is sent as it is, or None for no body."""

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None


class Refusal(Exception):
    """Raised by a handler to answer with an error and undo the request's writes."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def route(method: str, template: str, *, reads: bool = False):
    """Mark a handler. `{name}` in the template is one path segment, passed decoded as a keyword argument. `reads`
    says that a POST changes nothing, which the journal then knows."""

    def mark(function):
        function.__dict__.setdefault("routes", []).append((method, template, reads))
        return function

    return mark


class Vendor:
    """Base of all vendors; `settings` are DEFAULTS overlaid by the configuration and by PUT /settings."""

    DEFAULTS: dict = {}
    SECRETS: tuple[str, ...] = ("token",)      # settings whose values never reach the journal
    SEED_KEYS: tuple[str, ...] = ()            # configuration keys that are state, not settings
    CONTENT_TYPE = "application/json"

    def __init__(self, name: str, config: dict) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.faults = Faults()
        self._config = config
        self._routes = _collect_routes(type(self))
        self.reset()

    def reset(self) -> None:
        """Back to the configuration: settings and state as at the start, no faults."""
        with self.lock:
            self.faults.clear()
            self.store = Store()
            self.start()
            self.settings = copy.deepcopy({"rate_limit": None, **self.DEFAULTS})
            self._bucket: tuple[float, float] | None = None
            self.change_settings({k: v for k, v in self._config.items() if k not in self.SEED_KEYS})
            self.load({key: self._config[key] for key in self.SEED_KEYS if key in self._config})

    def change_settings(self, changes: dict) -> None:
        """Overlay settings, objects key by key. ValueError on a name the vendor does not know."""
        with self.lock:
            merged = copy.deepcopy(self.settings)
            for key, value in changes.items():
                if key not in merged:
                    raise ValueError(f"{self.name}: unknown setting {key!r}; there are: {', '.join(sorted(merged))}")
                if isinstance(merged[key], dict) and isinstance(value, dict) and key != "rate_limit":
                    value = {**merged[key], **value}
                merged[key] = copy.deepcopy(value)
            self.check_settings(merged)
            self.settings = merged
            if "rate_limit" in changes:
                self._bucket = None

    def load(self, state: dict) -> None:
        """Merge state from the configuration or the control port; all of it or, on ValueError, nothing."""
        with self.lock:
            try:
                unknown = sorted(set(state) - set(self.SEED_KEYS))
                if unknown:
                    raise ValueError(f"{self.name}: unknown state {', '.join(unknown)}; "
                                     f"there are: {', '.join(self.SEED_KEYS)}")
                self.seed(copy.deepcopy(state))
                self.changed(self.store.commit(), seeded=True)
            except BaseException:
                self.store.forget()
                raise

    def secrets(self) -> list[str]:
        return [str(self.settings[key]) for key in self.SECRETS if self.settings.get(key)]

    def handle(self, request: Request, *, dry: bool = False) -> tuple[Answer, bool]:
        """Answer a request; the flag says whether state changed. `dry` answers alike and changes nothing. The caller
        holds `lock`."""
        try:
            self.authorize(request)
            self._spend(request)
            answer = self._dispatch(request)
        except Refusal as refusal:
            self.store.forget()
            answer = refusal.answer
        except Exception:
            # A defect of the sandbox: the client gets an answer, the log the reason, and tests look at the log.
            self.store.forget()
            traceback.print_exc()
            answer = self.fail(500, "Internal error")
        if dry:
            self.store.forget()
        changes = self.store.commit()
        self.changed(changes)
        return self.finish(request, answer), bool(changes)

    def is_changing(self, request: Request) -> bool:
        """Whether a request asks for a change, granted or not."""
        if request.method in SAFE_METHODS:
            return False
        return not any(method == request.method and reads and pattern.fullmatch(request.path)
                       for method, pattern, reads, _ in self._routes)

    # What a vendor overrides.

    def start(self) -> None:
        """Set up what the vendor keeps outside of the store."""

    def check_settings(self, settings: dict) -> None:
        """ValueError when a setting has a value the vendor cannot work with."""

    def authorize(self, request: Request) -> None:
        """Refuse a request without the right credentials."""

    def fail(self, status: int, message: str = "") -> Answer:
        """An error in the vendor's own shape."""
        return Answer(status, {"message": message})

    def throttled(self, request: Request, wait: float) -> Answer:
        """The answer to a request over the rate limit; `wait` in seconds."""
        answer = self.fail(429, "Too many requests")
        answer.headers["Retry-After"] = str(max(1, math.ceil(wait)))
        return answer

    def finish(self, request: Request, answer: Answer) -> Answer:
        """Last touch on every answer (headers the vendor always sends)."""
        return answer

    def seed(self, state: dict) -> None:
        """Merge `state` into the store."""

    def export(self) -> dict:
        """The whole state, as GET /state shows it."""
        return {}

    def changed(self, changes: list[tuple[str, str]], *, seeded: bool = False) -> None:
        """Called with what a request (or, `seeded`, the test) has changed in the store."""

    # Rate limit: a token bucket that holds one period's worth.

    def limit(self) -> tuple[float, float] | None:
        """Size of the bucket and tokens per second, from {"per_second": n} or {"per_minute": n}, plus "burst"."""
        spec = self.settings["rate_limit"]
        if not spec:
            return None
        count, period = (spec["per_second"], 1) if "per_second" in spec else (spec["per_minute"], 60)
        return float(spec.get("burst", count)), count / period

    def tokens(self) -> float:
        """What is left in the bucket."""
        size, rate = self.limit()
        now = time.monotonic()
        level, since = self._bucket or (size, now)
        return min(size, level + (now - since) * rate)

    def _spend(self, request: Request) -> None:
        limit = self.limit()
        if limit is None:
            return
        left = self.tokens()
        if left < 1:
            raise Refusal(self.throttled(request, (1 - left) / limit[1]))
        self._bucket = (left - 1, time.monotonic())

    def _dispatch(self, request: Request) -> Answer:
        other_method = False
        for method, pattern, _, function in self._routes:
            found = pattern.fullmatch(request.path)
            if not found:
                continue
            if method != request.method:
                other_method = True
                continue
            return function(self, request, **{k: urllib.parse.unquote(v) for k, v in found.groupdict().items()})
        if other_method:
            return self.fail(405, "Method not allowed")
        return self.unknown_path(request)

    def unknown_path(self, request: Request) -> Answer:
        return self.fail(404, "No such resource")


def _collect_routes(vendor_class: type) -> list[tuple]:
    """(method, pattern, reads, handler) of all marked functions, fixed segments before variable ones."""
    routes = []
    for base in vendor_class.__mro__:
        for function in vars(base).values():
            for method, template, reads in getattr(function, "routes", ()):
                pattern = "".join(f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
                                  for part in re.split(r"(\{\w+\})", template))
                routes.append((template.count("{"), method, re.compile(pattern), reads, function))
    routes.sort(key=lambda entry: entry[0])
    return [entry[1:] for entry in routes]
