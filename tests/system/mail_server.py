"""SMTP servers (aiosmtpd) that keep what they get and fail as told, and a certificate authority for them."""

import asyncio
import os
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


@dataclass
class Mail:
    """One delivered mail, with how it came."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)


@dataclass
class Faults:
    """What goes wrong, and how often (None: always). A reply in place of the server's own; `drop` cuts the connection."""

    replies: dict[str, str] = field(default_factory=dict)    # by command: MAIL, RCPT, DATA (before the mail is kept)
    lose_answer: bool = False                                # after the mail was kept
    times: int | None = None
    hold: set[str] = field(default_factory=set)              # commands whose answer waits until `release`: DATA, QUIT

    def take(self, command: str) -> str | None:
        """The reply for this command, if it is to fail now."""
        reply = self.replies.get(command)
        if reply is None or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return reply


class _Session(SMTP):
    """A reply may be that there is none."""

    async def push(self, status):
        if status == "drop":
            self.transport.abort()
            return
        await super().push(status)


class MailServer:
    """On 127.0.0.1. `context` offers STARTTLS with it, or, with `smtps`, speaks TLS from the start; with `login` (user and
    password) only who logs in may send."""

    def __init__(self, port: int, *, context: ssl.SSLContext | None = None, smtps: bool = False,
                 login: tuple[str, str] | None = None) -> None:
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.faults = Faults()
        self._login = login
        self._released = threading.Event()
        options = {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False} if login else {}
        if context and not smtps:
            options["tls_context"] = context
        server = self

        class Listener(Controller):
            def factory(self):
                return _Session(self.handler, **self.SMTP_kwargs)

        self._controller = Listener(server, "127.0.0.1", port, ssl_context=context if smtps else None,
                                    server_hostname="mail.example.com", **options)
        self._controller.start()
        self.port = port

    def release(self) -> None:
        """Lets held commands be answered."""
        self._released.set()

    def stop(self) -> None:
        self.release()
        self._controller.stop()

    def _authenticate(self, server, session, envelope, mechanism, data) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=good, handled=False, auth_data=data.login.decode() if good else None)

    async def _hold(self, command: str) -> None:
        if command in self.faults.hold:
            await asyncio.to_thread(self._released.wait)

    # What aiosmtpd asks its handler.

    async def handle_EHLO(self, server, session, envelope, hostname, responses) -> list[str]:
        self.commands.append("EHLO")
        session.host_name = hostname
        return responses

    async def handle_NOOP(self, server, session, envelope, argument) -> str:
        self.commands.append("NOOP")
        return "250 OK"

    async def handle_MAIL(self, server, session, envelope, address, options) -> str:
        self.commands.append("MAIL")
        envelope.mail_from = address
        return self.faults.take("MAIL") or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        self.commands.append("RCPT")
        reply = self.faults.take("RCPT")
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        self.commands.append("DATA")
        reply = self.faults.take("DATA")
        if reply:
            return reply
        self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content,
                               server.transport.get_extra_info("sslcontext") is not None, session.auth_data))
        await self._hold("DATA")
        if self.faults.lose_answer and self.faults.times != 0:
            self.faults.times = 0
            return "drop"
        return "250 2.0.0 queued"

    async def handle_QUIT(self, server, session, envelope) -> str:
        self.commands.append("QUIT")
        await self._hold("QUIT")
        return "221 Bye"


class Authority:
    """A certificate authority in a folder, with a certificate for 127.0.0.1, localhost and `names` ("IP:127.0.0.2")."""

    def __init__(self, directory: str, *names: str) -> None:
        self.ca_file = os.path.join(directory, "ca.pem")
        key, request, self._cert, self._key = (os.path.join(directory, name) for name in (
            "ca.key", "server.csr", "server.pem", "server.key"))
        extensions = os.path.join(directory, "names")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={','.join(['IP:127.0.0.1', 'DNS:localhost', 'DNS:mail.localhost', *names])}\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._run("req", "-x509", *curve, "-keyout", key, "-out", self.ca_file, "-days", "2", "-subj", "/CN=Test authority")
        self._run("req", *curve, "-keyout", self._key, "-out", request, "-subj", "/CN=127.0.0.1")
        self._run("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", key, "-CAcreateserial", "-days", "2",
                  "-extfile", extensions, "-out", self._cert)

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def context(self) -> ssl.SSLContext:
        """For a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._cert, self._key)
        return context
