"""The examples of the pages under docs/, as the tests read them."""

import itertools
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stack import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXCHANGE = re.compile(r"^([A-Z]+) (\S+)(?: (.+?))? -> (\d{3})(?: (.+))?$")


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order."""
    with open(os.path.join(ROOT, "docs", page), encoding="utf-8") as file:
        return FENCE.findall(file.read())


def definitions(page: str, word: str) -> dict[str, str]:
    """The definitions of a page: one begins with `word: NAME`, and goes on in the yaml blocks after it."""
    found: dict[str, str] = {}
    name = ""
    for language, text in blocks(page):
        if language == "yaml":
            begun = re.match(rf"{word}: (\S+)\n", text)
            name = begun.group(1) if begun else name
            found[name] = found.get(name, "") + text
    return found


@dataclass
class Exchange:
    method: str
    path: str
    body: str
    status: int
    answer: str


@dataclass
class Trial:
    """A `text` block: a command, what it exchanges with the vendor, and what it says. `event` is the JSON block before it."""
    command: str
    event: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def trials(page: str) -> list[Trial]:
    found = []
    event = ""
    for language, text in blocks(page):
        event = text if language == "json" else event
        if language == "text" and text.startswith("$ "):
            lines = text.splitlines()
            trial = Trial(lines[0].removeprefix("$ "), event)
            for line in lines[1:]:
                exchange = EXCHANGE.match(line)
                if exchange:
                    method, path, body, status, answer = exchange.groups()
                    trial.exchanges.append(Exchange(method, path, body or "", int(status), answer or ""))
                else:
                    name, value = line.split(": ", 1)
                    trial.said[name] = value
                    trial.lines.append(value)
            found.append(trial)
    return found


def matches(wanted: str, seen: str) -> bool:
    """Equal as JSON or as text; `*` stands for anything."""
    try:
        if json.loads(wanted) == json.loads(seen):
            return True
    except ValueError:
        pass
    return re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), seen, re.DOTALL) is not None


class ScriptedVendor:
    """Answers what a page says, and keeps what did not come as written."""

    def __init__(self) -> None:
        self.script: list[Exchange] = []
        self.complaints: list[str] = []
        self.lock = threading.Lock()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # noqa: N802: the name is the library's
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                status, answer = vendor.play(self.command, self.path, body)
                data = answer.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD" and status != 204:
                    self.wfile.write(data)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

            def log_message(self, format: str, *args) -> None:  # noqa: A002: the name is the library's
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def play(self, method: str, path: str, body: str) -> tuple[int, str]:
        seen = f"{method} {path} {body}".rstrip()
        with self.lock:
            if not self.script:
                self.complaints.append(f"{seen} came after all")
                return 418, ""
            alike = list(itertools.takewhile(lambda one: one.method == self.script[0].method, self.script))
            # Requests that are made in parallel come in any order.
            wanted = next((one for one in alike if one.method == method and matches(one.path, path) and matches(one.body, body)), None)
            if wanted is None:
                wanted = self.script[0]
                self.complaints.append(f"{seen} came instead of {wanted.method} {wanted.path} {wanted.body}")
            self.script.remove(wanted)
            return wanted.status, wanted.answer

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
