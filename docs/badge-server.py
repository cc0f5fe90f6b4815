"""A pretended system for docs/write-a-connector.md: the door badges of an office. It forgets everything when it ends.

    python3 badge-server.py PORT

    GET   /people?mail=jane@example.com    [{"id": 7, "mail": …, "badge": "active"}], or []
    GET   /people/7                        {"id": 7, …}, 404 when there is none
    POST  /people/7/badge {"state": "blocked"}   202; the doors know a second later
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

TOKEN = "badge-t0ken"
PEOPLE = {"7": {"id": 7, "mail": "jane@example.com", "badge": "active"}}


class Badges(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:  # noqa: N802: the name is the library's
        url = urlparse(self.path)
        person = PEOPLE.get(url.path.removeprefix("/people/"))
        if self.headers.get("X-Badge-Token") != TOKEN:
            self.answer(401, {"error": "who are you?"})
        elif url.path == "/people":
            mail = parse_qs(url.query).get("mail", [""])[0]
            self.answer(200, [one for one in PEOPLE.values() if one["mail"] == mail])
        else:
            self.answer(200 if person else 404, person or {"error": "nobody"})

    def do_POST(self) -> None:  # noqa: N802: the name is the library's
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        person = PEOPLE.get(self.path.removeprefix("/people/").removesuffix("/badge"))
        if self.headers.get("X-Badge-Token") != TOKEN:
            self.answer(401, {"error": "who are you?"})
        elif person is None:
            self.answer(404, {"error": "nobody"})
        else:
            threading.Timer(1.0, person.update, [{"badge": body["state"]}]).start()
            self.answer(202, {"queued": True})

    def log_message(self, format: str, *args) -> None:  # noqa: A002: the name is the library's
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Badges).serve_forever()
