"""An SMTP server that takes every mail and keeps it, in Python's standard library alone.

    python3 tests/sandbox/mail_sink.py --mails FILE --port FILE

Every mail is a line of JSON in the first file: `from`, `to` (of the envelope), `subject`, `text`. The second file holds the port on
127.0.0.1; it appears, whole, when the server listens. SIGTERM ends it with status 0. It knows neither TLS nor logins: what a mail server
can refuse is in tests/system/mail_server.py.
"""

import argparse
import json
import os
import signal
import socketserver
import sys
import threading
from email import message_from_bytes, policy


class Session(socketserver.StreamRequestHandler):
    """One connection (RFC 5321)."""

    server: "MailSink"

    def handle(self) -> None:
        self._say("220 sandbox ESMTP")
        self._forget()
        for line in iter(self.rfile.readline, b""):
            verb, _, argument = line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            verb = verb.upper()
            if verb == "QUIT":
                self._say("221 2.0.0 bye")
                return
            self._answer(verb, argument)

    def _answer(self, verb: str, argument: str) -> None:
        if verb == "EHLO":
            self._say("250-sandbox", "250-8BITMIME", "250 SMTPUTF8")
        elif verb == "MAIL":
            self._forget()
            self.sender = _address(argument)
            self._say("250 2.1.0 ok")
        elif verb == "RCPT" and self.sender is not None:
            self.recipients.append(_address(argument))
            self._say("250 2.1.5 ok")
        elif verb == "DATA" and self.recipients:
            self._say("354 end with a dot")
            self.server.keep(self.sender, self.recipients, self._read_mail())
            self._forget()
            self._say("250 2.0.0 kept")
        elif verb in ("HELO", "NOOP", "RSET"):
            self._forget()
            self._say("250 2.0.0 ok")
        else:
            self._say("503 5.5.1 bad sequence of commands" if verb in ("RCPT", "DATA") else "502 5.5.2 not known here")

    def _read_mail(self) -> bytes:
        lines = []
        for line in iter(self.rfile.readline, b""):
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
        raise ConnectionResetError("mail cut short")

    def _forget(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class MailSink(socketserver.ThreadingTCPServer):
    """On a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115: as long as the server
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Session)

    def keep(self, sender: str, recipients: list[str], raw: bytes) -> None:
        message = message_from_bytes(raw, policy=policy.default)
        mail = {"from": sender, "to": recipients, "subject": str(message["Subject"]), "text": message.get_content().replace("\r\n", "\n")}
        with self._lock:
            self._file.write(json.dumps(mail) + "\n")
            self._file.flush()

    def handle_error(self, request, client_address) -> None:
        """Clients may go away in the middle; everything else is a defect: show it."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _address(argument: str) -> str:
    """Of `FROM:<jane@example.com> BODY=8BITMIME`."""
    return argument.partition("<")[2].partition(">")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description="An SMTP server on 127.0.0.1 that keeps every mail.")
    parser.add_argument("--mails", required=True, metavar="FILE", help="gets a JSON object a line, one for each mail")
    parser.add_argument("--port", required=True, metavar="FILE", help="written when ready")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = MailSink(options.mails)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    temporary = f"{options.port}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{server.server_address[1]}\n")
    os.replace(temporary, options.port)
    stop.wait()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
