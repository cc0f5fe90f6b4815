"""The HTTP side of a vendor: reads a request, applies faults, journals, answers. HTTP/1.1 with keep-alive."""

import json
import os
import socket
import threading
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from core.facts import Facts
from core.faults import Rule
from core.journal import Journal
from core.vendor import Answer, Request, Vendor

BODY_LIMIT = 16 * 1024 * 1024


class LoopbackServer(ThreadingHTTPServer):
    """A server on a free port of 127.0.0.1, a daemon thread for each connection."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, handler_class: type) -> None:
        super().__init__(("127.0.0.1", 0), handler_class)

    def server_bind(self) -> None:
        # HTTPServer's own would ask the resolver for this host's name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """Clients that go away in the middle are part of what is tested; everything else is a defect: show it."""
        import sys
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class VendorServer(LoopbackServer):
    """Serves one vendor; with `facts`, every request is compared with them."""

    def __init__(self, vendor: Vendor, journal: Journal, facts: Facts | None) -> None:
        self.vendor = vendor
        self.journal = journal
        self.facts = facts
        self._stopping = threading.Event()
        super().__init__(VendorHandler)

    def verify_request(self, request, client_address) -> bool:
        return not self.vendor.faults.is_down()

    def service_actions(self) -> None:
        """While connections are to be refused, a socket that does not listen keeps the port, so that nobody else gets it."""
        if not self.vendor.faults.refuses():
            return
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            deaf.bind(self.server_address)
            os.dup2(deaf.fileno(), self.socket.fileno())
        while self.vendor.faults.refuses() and not self._stopping.wait(0.02):
            pass
        self.socket.listen(self.request_queue_size)

    def shutdown(self) -> None:
        self._stopping.set()
        super().shutdown()


class JsonHandler(BaseHTTPRequestHandler):
    """Reading requests and sending answers; subclasses say what happens in between."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 64 * 1024

    def read_request(self) -> Request | None:
        """The request with its whole body; None (answered or cut) when it cannot be read."""
        # Not self.path: the base class has already folded leading slashes in it.
        target = self.requestline.split(" ")[1]
        path, _, query = target.partition("?")
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = self._read_body(headers)
        if body is None:
            self.close_connection = True
            self.send(Answer(413, "request body unreadable or too large", content_type="text/plain"))
            return None
        return Request(self.command, path, query, headers, body)

    def _read_body(self, headers: dict[str, str]) -> bytes | None:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._read_chunks()
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return None
        if not 0 <= length <= BODY_LIMIT:
            return None
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("request cut short")
        return body

    def _read_chunks(self) -> bytes | None:
        chunks, total = [], 0
        while True:
            try:
                size = int(self.rfile.readline(1024).partition(b";")[0], 16)
            except ValueError:
                return None
            total += size
            if total > BODY_LIMIT:
                return None
            if size == 0:
                while self.rfile.readline(65536) not in (b"\r\n", b"\n", b""):
                    pass
                return b"".join(chunks)
            chunks.append(self.rfile.read(size))
            self.rfile.readline(16)

    def send(self, answer: Answer, *, default_type: str = "application/json", truncate: bool = False) -> None:
        """Send in one write; `truncate` announces the whole body and sends half of it."""
        body = b""
        if isinstance(answer.body, str):
            body = answer.body.encode()
        elif answer.body is not None:
            body = json.dumps(answer.body, ensure_ascii=False).encode()
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Unknown"
        headers = {"Date": self.date_time_string(), **answer.headers}
        if answer.status not in (204, 304):
            headers["Content-Length"] = str(len(body))
        if body:
            headers.setdefault("Content-Type", answer.content_type or default_type)
        if self.close_connection or truncate:
            headers["Connection"] = "close"
        if self.command == "HEAD" or answer.status in (204, 304):
            body = b""
        if truncate:
            body = body[:len(body) // 2]
            self.close_connection = True
        head = f"HTTP/1.1 {answer.status} {phrase}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self.wfile.write(head.encode("latin-1", "replace") + b"\r\n" + body)

    def answer_request(self) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str):
        # The base class looks for do_<METHOD>; which methods exist is for the vendor to say.
        if name.startswith("do_"):
            return self.answer_request
        raise AttributeError(name)

    def log_message(self, *_args) -> None:
        """The journal is the log."""


class VendorHandler(JsonHandler):
    """One connection to a vendor."""

    server: VendorServer

    def answer_request(self) -> None:
        vendor = self.server.vendor
        if vendor.faults.is_down() or vendor.faults.refuses():
            self.close_connection = True
            return
        arrived = datetime.now(timezone.utc)
        request = self.read_request()
        if request is None:
            return
        rules, cleared = vendor.faults.pick(request)
        for rule in rules:
            if rule.kind == "delay":
                cleared.wait(rule.spec["seconds"])
        last = rules[-1] if rules else None
        kind = last.kind if last else None
        if kind in ("drop", "hang"):
            self._journal(arrived, request, None, False, kind)
            if kind == "hang":
                cleared.wait()
            self.close_connection = True
            return
        answer = self._perform(arrived, request, last)
        if kind == "slow_after":
            cleared.wait(last.spec["seconds"])
        if kind == "lose_answer":
            self.close_connection = True
            return
        self.send(answer, default_type=vendor.CONTENT_TYPE, truncate=kind == "truncate")

    def _perform(self, arrived: datetime, request: Request, rule: Rule | None) -> Answer:
        """Effect (unless the fault forbids it) and journal line under one lock, so that lines come in effect order."""
        vendor = self.server.vendor
        kind = rule.kind if rule else None
        with vendor.lock:
            effect = False
            if kind != "status":
                answer, effect = vendor.handle(request, dry=kind == "noop")
            if kind in ("status", "status_after"):
                answer = _fault_answer(vendor, request, rule.spec)
            self._journal(arrived, request, answer.status, effect, kind)
        return answer

    def _journal(self, arrived: datetime, request: Request, status: int | None, effect: bool, fault: str | None) -> None:
        vendor, facts = self.server.vendor, self.server.facts
        wrong = facts.wrong(request, None if fault else status) if facts else []
        self.server.journal.write(time=arrived, system=vendor.name, request=request, status=status,
                                  changing=vendor.is_changing(request), effect=effect, fault=fault, against_facts=wrong)


def _fault_answer(vendor: Vendor, request: Request, spec: dict) -> Answer:
    """The answer a rule spells out, completed by the vendor's own shape."""
    if "body" in spec:
        answer = Answer(spec["status"], spec["body"], content_type=spec.get("content_type"))
    elif spec["status"] == 429:
        answer = vendor.throttled(request, 1)
    else:
        answer = vendor.fail(spec["status"], "Fault injected")
    given = {name.lower() for name in spec.get("headers") or {}}
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in given}
    answer.headers = {**kept, **{name: str(value) for name, value in (spec.get("headers") or {}).items()}}
    return answer
