"""TLS in front of a vendor that speaks plain HTTP. As told, it shows a certificate of another host, one that has expired, or hangs up."""

import os
import select
import socket
import socketserver
import ssl
import subprocess
import threading
import urllib.parse


def _certificate(directory: str, name: str, host: str, *, days: int = 2) -> str:
    """Signed by itself; the path of certificate and key in one file."""
    path = os.path.join(directory, f"{name}.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path + ".key",
                    "-out", path + ".crt", "-subj", f"/CN={host}", "-addext", f"subjectAltName=IP:{host}" if host[0].isdigit()
                    else f"subjectAltName=DNS:{host}", "-days", str(days)], check=True, capture_output=True, timeout=60)
    with open(path, "w", encoding="ascii") as out:
        for part in (path + ".key", path + ".crt"):
            with open(part, encoding="ascii") as file:
                out.write(file.read())
    return path


class TlsProxy:
    """On 127.0.0.1. `trouble`: None, "wrong host", "unknown signer" or "hang up"."""

    TROUBLES = ("wrong host", "unknown signer", "hang up")

    def __init__(self, directory: str, upstream: str) -> None:
        self.trouble: str | None = None
        paths = {None: _certificate(directory, "right", "127.0.0.1"), "wrong host": _certificate(directory, "wrong", "other.example.com"),
                 "unknown signer": _certificate(directory, "unknown", "127.0.0.1")}
        # The client trusts the signer of the certificate for another host; it is the name that is wrong.
        self.ca_file = os.path.join(directory, "trusted.pem")
        with open(self.ca_file, "w", encoding="ascii") as out:
            for path in (paths[None], paths["wrong host"]):
                with open(path + ".crt", encoding="ascii") as file:
                    out.write(file.read())
        contexts = {}
        for trouble, path in paths.items():
            contexts[trouble] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            contexts[trouble].load_cert_chain(path)
        address = urllib.parse.urlsplit(upstream)
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                if proxy.trouble == "hang up":
                    return
                try:
                    with contexts[proxy.trouble].wrap_socket(self.request, server_side=True) as client, \
                            socket.create_connection((address.hostname, address.port)) as vendor:
                        _relay(client, vendor, proxy)
                except (OSError, ssl.SSLError):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}{address.path}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _relay(client: ssl.SSLSocket, vendor: socket.socket, proxy: TlsProxy) -> None:
    """Until one of them ends, or a trouble begins: who is connected has to connect anew then."""
    while True:
        ready = [client] if client.pending() else select.select([client, vendor], [], [], 0.2)[0]
        if proxy.trouble and vendor not in ready:
            return
        for one in ready:
            data = one.recv(65536)
            if not data:
                return
            (vendor if one is client else client).sendall(data)
