"""A vendor on loopback that answers what it is told to: HTTP. Which request of the connector it has before it, the worker has told."""

import json
import re
import socket
import socketserver
import threading
import urllib.parse
from dataclasses import dataclass, field

TOKEN = {"access_token": "t0ken-of-the-conformance-test", "token_type": "Bearer", "expires_in": 3600}


@dataclass
class Answer:
    """`body` is JSON-able, bytes, or None for none. `lost`: the connection is closed in place of an answer."""
    status: int = 200
    body: object = None
    headers: dict = field(default_factory=dict)
    lost: bool = False
    account: str = ""   # whose it shows, by id

    def data(self) -> bytes:
        return b"" if self.body is None else self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    def renamed(self, names: dict[str, str]) -> "Answer":
        """The same with other names in it."""
        names = {name: other for name, other in names.items() if name and name != other}
        if not names or isinstance(self.body, bytes):
            return self
        text = json.dumps([self.body, self.headers])
        for name, other in names.items():
            text = text.replace(name, other)
        body, headers = json.loads(text)
        return Answer(self.status, body, headers, account=names.get(self.account, self.account))

    def __str__(self) -> str:
        if self.lost:
            return "the connection closed"
        text = self.data().decode(errors="replace")
        return f"{self.status} {text[:300] or 'with an empty body'}{' ' + json.dumps(self.headers) if self.headers else ''}"


def same(told: str, seen: str) -> bool:
    """Is the URL that was told of the one seen? What is secret of it was told as stars."""
    told, seen = told.removesuffix("/"), seen.removesuffix("/")
    return told == seen or "***" in told and re.fullmatch(re.escape(told).replace(r"\*\*\*", ".*"), seen) is not None


class Vendor:
    """`reply(question, body)` makes the answers; `asked` is the worker's list of what it sends."""

    def __init__(self) -> None:
        self.asked = None
        self.reply = None
        self.strays: list[str] = []     # requests that nobody told of
        self.again: tuple | None = None     # a request that may come again without being told of
        vendor = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while vendor.serve(self.rfile, self.wfile):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def serve(self, rfile, wfile) -> bool:
        """One request; False when the connection is over."""
        try:
            line = rfile.readline().decode("latin-1")
            if not line.strip():
                return False
            method, target, _ = line.split(" ", 2)
            length = 0
            while (header := rfile.readline().decode("latin-1").strip()):
                name, _, value = header.partition(":")
                length = int(value) if name.lower() == "content-length" else length
            answer = self._answer(method, target, rfile.read(length).decode(errors="replace"))
            if answer.lost:
                return False
            self._write(wfile, method, answer)
            return True
        except (ConnectionError, OSError):
            return False

    def _answer(self, method: str, target: str, body: str) -> Answer:
        if re.search(r"grant_type", body) and method == "POST":
            return Answer(200, TOKEN)
        again, self.again = self.again, None
        if again and again[1:] == (method, target, body):
            question = again[0]
        else:
            question = self.asked.take(lambda one: one["method"] == method and same(one["url"], self.url + target))
        if question is None:
            self.strays.append(f"{method} {target}")
            return Answer(404, {"error": "nobody told of this request"})
        answer = self.reply(question, body)
        # libcurl repeats by itself what may be repeated, and after a 401 the worker tries a new token.
        self.again = (question, method, target, body) if answer.lost or answer.status == 401 else None
        return answer

    @staticmethod
    def _write(wfile, method: str, answer: Answer) -> None:
        data = answer.data()
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.status not in (204, 304):
            headers["Content-Length"] = str(len(data))
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        wfile.write("\r\n".join(lines).encode("latin-1", errors="replace")
                    + (data if method != "HEAD" and answer.status not in (204, 304) else b""))
        wfile.flush()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def decoded(question: dict, body: str) -> str:
    """All that a request says, as plain text: who is it about?"""
    return urllib.parse.unquote_plus(question["url"] + " " + body)
