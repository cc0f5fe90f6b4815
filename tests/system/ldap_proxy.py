"""Stands before an LDAP server (TLS on both sides), and answers in its place as told: busy, gone, or with another result."""

import select
import socket
import socketserver
import ssl
import threading

# Tags of requests and of their answers (RFC 4511, 4.2 and following).
OPERATIONS = {"BIND": (0x60, 0x61), "SEARCH": (0x63, 0x65), "MODIFY": (0x66, 0x67), "RENAME": (0x6C, 0x6D), "DELETE": (0x4A, 0x6B)}


def _read(connection, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _message(connection) -> bytes:
    """One whole message: its tag, its length, its content."""
    head = _read(connection, 2)
    size = head[1]
    if size & 0x80:
        more = _read(connection, size & 0x7F)
        head, size = head + more, int.from_bytes(more, "big")
    return head + _read(connection, size)


def _begin(message: bytes) -> tuple[int, int]:
    """Message id and tag of the operation. Every length in it may be in its long form."""
    at = 2 + (message[1] & 0x7F if message[1] & 0x80 else 0)
    size = message[at + 1]
    return int.from_bytes(message[at + 2:at + 2 + size], "big"), message[at + 2 + size]


def _answer(number: int, tag: int, code: int) -> bytes:
    text = b"of the test"
    result = b"\x0a\x01" + bytes([code]) + b"\x04\x00" + b"\x04" + bytes([len(text)]) + text
    content = b"\x02\x04" + number.to_bytes(4, "big") + bytes([tag, len(result)]) + result
    return b"\x30" + bytes([len(content)]) + content


class LdapProxy:
    """On 127.0.0.1. A fault: the operation, and the result code in place of the server's answer; "drop" cuts the connection
    before the server hears of it, "lose" after it has, "hold" says nothing until `release`; `times` None: always."""

    def __init__(self, server: str, context: ssl.SSLContext) -> None:
        self._fault: tuple[str, object] | None = None
        self._times: int | None = None
        self._released = threading.Event()
        self.held = 0
        proxy = self
        upstream = ssl.create_default_context()
        upstream.check_hostname, upstream.verify_mode = False, ssl.CERT_NONE

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    with context.wrap_socket(self.request, server_side=True) as client, \
                            upstream.wrap_socket(socket.create_connection((server, 636), 10)) as real:
                        proxy._relay(client, real)
                except (OSError, ConnectionError):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"ldaps://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fault(self, operation: str | None = None, what: object = None, times: int | None = 1) -> None:
        """None: all is well again."""
        self._fault, self._times = (operation, what) if operation else None, times

    def release(self) -> None:
        self._released.set()

    def _take(self, tag: int) -> object:
        if not self._fault or self._times == 0 or OPERATIONS[self._fault[0]][0] != tag:
            return None
        if self._times is not None:
            self._times -= 1
        return self._fault[1]

    def _relay(self, client, real) -> None:
        """One thread for both directions: a TLS connection is not for two."""
        lost = False
        while True:
            if not client.pending() and not real.pending():
                select.select([client, real], [], [])
            if real.pending() or select.select([real], [], [], 0)[0]:
                data = real.recv(65536)
                if not data or lost:
                    return
                client.sendall(data)
            if client.pending() or select.select([client], [], [], 0)[0]:
                message = _message(client)
                number, tag = _begin(message)
                what = self._take(tag)
                lost = lost or what == "lose"
                if what == "hold":
                    self.held += 1
                    self._released.wait(60)
                if what in ("drop", "hold"):
                    return
                if isinstance(what, int):
                    client.sendall(_answer(number, dict(OPERATIONS.values())[tag], what))
                else:
                    real.sendall(message)

    def stop(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
