"""A vendor on loopback that answers what it is told to, by HTTP, SMTP or LDAP. Which of the connector's requests it has before it, the
worker has told."""

import contextlib
import json
import re
import socket
import socketserver
import threading
import urllib.parse
from dataclasses import dataclass, field

from connector import CHECK

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

    scheme = ""

    def __init__(self) -> None:
        self.asked = None
        self.reply = None
        vendor = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError):
                    vendor.serve(self.rfile, self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"{self.scheme}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def serve(self, rfile, wfile) -> None:
        """A connection, until it is over."""
        raise NotImplementedError

    def begin(self) -> None:
        """Another attempt is made from now on."""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class HttpVendor(Vendor):
    """A connection is for one request: libcurl would repeat what is lost on a used one, without a word."""

    scheme = "http"

    def __init__(self) -> None:
        super().__init__()
        self._again: tuple | None = None    # a request that may come again without being told of, with a new token

    def begin(self) -> None:
        self._again = None

    def serve(self, rfile, wfile) -> None:
        line = rfile.readline().decode("latin-1")
        if not line.strip():
            return
        method, target, _ = line.split(" ", 2)
        length = 0
        while (header := rfile.readline().decode("latin-1").strip()):
            name, _, value = header.partition(":")
            length = int(value) if name.lower() == "content-length" else length
        answer = self._answer(method, target, rfile.read(length).decode(errors="replace"))
        if not answer.lost:
            self._write(wfile, method, answer)

    def _answer(self, method: str, target: str, body: str) -> Answer:
        if method == "POST" and "grant_type" in body:
            return Answer(200, TOKEN)
        again, self._again = self._again, None
        if again and again[1:] == (method, target, body):
            question = again[0]
        else:
            question = self.asked.take(lambda one: one["method"] == method and same(one["url"], self.url + target))
        if question is None:
            return Answer(404, {"error": "nobody told of this request"})
        answer = self.reply(question, body)
        self._again = (question, method, target, body) if answer.status == 401 else None
        return answer

    @staticmethod
    def _write(wfile, method: str, answer: Answer) -> None:
        data = answer.data()
        headers = {"Content-Type": "application/json", "Connection": "close", **answer.headers}
        if answer.status not in (204, 304):
            headers["Content-Length"] = str(len(data))
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        wfile.write("\r\n".join(lines).encode("latin-1", errors="replace")
                    + (data if method != "HEAD" and answer.status not in (204, 304) else b""))
        wfile.flush()


class MailVendor(Vendor):
    """The answer is that to the whole mail."""

    scheme = "smtp"

    def serve(self, rfile, wfile) -> None:
        wfile.write(b"220 ready\r\n")
        while (command := rfile.readline()[:4].upper()):
            if command != b"DATA":
                wfile.write(b"250 OK\r\n")
                continue
            wfile.write(b"354 go on\r\n")
            mail = b"".join(iter(rfile.readline, b".\r\n")).decode(errors="replace")
            answer = self.reply(self.asked.take(lambda one: one["method"] == "MAIL"), mail)
            if answer.lost:
                return
            wfile.write(f"{answer.status} {answer.body or 'OK'}\r\n".encode())


class LdapVendor(Vendor):
    """Whoever binds is welcome. An entry of a search is told as the worker reads it: `{dn, rdn, parent, attributes}`."""

    scheme = "ldap"
    RESULTS = {0x60: 0x61, 0x63: 0x65, 0x66: 0x67, 0x6C: 0x6D, 0x4A: 0x6B}     # tags of a request and of its result (RFC 4511, 4.2 and following)

    def serve(self, rfile, wfile) -> None:
        while (message := ber_read(rfile)):
            number, at = ber_part(message, 0)
            tag = message[at]
            if tag not in self.RESULTS:
                return
            own = tag == 0x60 or ber(0x04, CHECK.encode()) in message     # of this program, not of a job
            answer = Answer(0, []) if own else self.reply(self.asked.take(lambda one: True), "")
            if answer.lost:
                return
            entries = answer.body if tag == 0x63 and answer.status == 0 else []
            text = "" if answer.status == 0 else str(answer.body)
            result = ber(0x0A, bytes([answer.status])) + ber(0x04, b"") + ber(0x04, text.encode())
            for part in (*(ber(0x64, self._entry(entry)) for entry in entries), ber(self.RESULTS[tag], result)):
                wfile.write(ber(0x30, ber(0x02, number) + part))

    @staticmethod
    def _entry(entry: dict) -> bytes:
        attributes = b""
        for name, values in (entry.get("attributes") or {}).items():
            data = [bytes.fromhex(value) if name == "objectGUID" else value.encode() for value in values or []]
            if data:
                attributes += ber(0x30, ber(0x04, name.encode()) + ber(0x31, b"".join(ber(0x04, one) for one in data)))
        name = entry["dn"] if "," in entry["dn"] else f"{entry['rdn']},{entry['parent']}"
        return ber(0x04, name.encode()) + ber(0x30, attributes)


def ber(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([tag]) + (bytes([size]) if size < 128 else b"\x84" + size.to_bytes(4, "big")) + content


def ber_read(file) -> bytes:
    """The content of the next message."""
    head = file.read(2)
    if len(head) < 2:
        return b""
    return file.read(int.from_bytes(file.read(head[1] & 0x7F), "big") if head[1] & 0x80 else head[1])


def ber_part(data: bytes, at: int) -> tuple[bytes, int]:
    """The content of the part that begins at `at`, and where it ends; its length is a short one."""
    end = at + 2 + data[at + 1]
    return data[at + 2:end], end


VENDORS = {"http": HttpVendor, "smtp": MailVendor, "ldap": LdapVendor}


def decoded(question: dict, body: str) -> str:
    """All that a request says, as plain text: who is it about?"""
    return urllib.parse.unquote_plus(question["url"] + " " + body)
