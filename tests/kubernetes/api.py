"""The API server as its users see it: JSON over HTTPS, one user's token."""

import http.client
import json
import math
import ssl
import threading
import time
import urllib.parse

# Seconds after which a connection is not used again: the server closes it after 90.
_IDLE = 30


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """One connection for each thread that calls."""

    def __init__(self, address: str, tls: ssl.SSLContext, token: str) -> None:
        self._address = address
        self._tls = tls
        self._token = token
        self._threads = threading.local()
        self._resources: dict[str, dict[str, dict]] = {}

    def call(self, method: str, path: str, body=None, **options) -> dict:
        return json.loads(self.text(path, method, body, **options))

    def text(self, path: str, method: str = "GET", body=None, **options) -> str:
        now = time.monotonic()
        if now - getattr(self._threads, "used", -math.inf) >= _IDLE:
            self._threads.connection = self._connect()
        try:
            with self._ask(self._threads.connection, method, path, body, **options) as answer:
                text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self._threads.used = -math.inf
            raise
        self._threads.used = now
        return text

    def lines(self, path: str, **query):
        """Of an answer that goes on, each line as it comes."""
        connection = self._connect()
        try:
            with self._ask(connection, "GET", path, **query) as answer:
                yield from answer
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, timeout=30, context=self._tls)

    def _ask(self, connection, method: str, path: str, body=None, content_type: str = "application/json", **query):
        """The answer, to be read and closed. Refused when it is an error."""
        query = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        connection.request(method, f"{path}?{query}", body=None if body is None else json.dumps(body), headers={
            "Authorization": f"Bearer {self._token}", "Content-Type": content_type, "Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status < 300:
            return answer
        text = answer.read().decode("utf-8", "replace")
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError):
            pass
        raise Refused(answer.status, text)

    # ---- which path an object has: the server says so --------------------------------------------------------------

    def resources(self, version: str) -> dict[str, dict]:
        """Kinds of an API version (`v1`, `apps/v1`), with the server's description of each; subresources left out."""
        if version not in self._resources:
            found = self.call("GET", _root(version))["resources"]
            self._resources[version] = {entry["kind"]: entry for entry in found if "/" not in entry["name"]}
        return self._resources[version]

    def path(self, version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        kinds = self.resources(version)
        if kind not in kinds:
            raise Refused(404, f"the server knows no {kind} in {version}")
        parts = [_root(version)]
        if kinds[kind]["namespaced"] and namespace:
            parts += ["namespaces", namespace]
        parts.append(kinds[kind]["name"])
        if name:
            parts.append(name)
        return "/".join(parts)

    def versions(self) -> list[str]:
        """Every API version that is preferred in its group, `v1` first."""
        groups = self.call("GET", "/apis")["groups"]
        return ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]

    # ---- objects ---------------------------------------------------------------------------------------------------

    def get(self, version: str, kind: str, namespace: str | None, name: str) -> dict:
        return self.call("GET", self.path(version, kind, namespace, name))

    def items(self, version: str, kind: str, namespace: str | None = None, labels: str | None = None) -> list[dict]:
        """Items as the server has them now, with their kind."""
        items = self.call("GET", self.path(version, kind, namespace), labelSelector=labels)["items"]
        return [{"apiVersion": version, "kind": kind, **item} for item in items]

    def create(self, item: dict, namespace: str | None = None, dry_run: bool = False) -> dict:
        """With strict validation: an unknown or doubled field is refused."""
        namespace = item["metadata"].get("namespace", namespace)
        return self.call("POST", self.path(item["apiVersion"], item["kind"], namespace), item, fieldValidation="Strict",
                         dryRun="All" if dry_run else None)

    def patch(self, item: dict, patch: dict, subresource: str = "") -> dict:
        """Merges; `item` says into which object."""
        return self.call("PATCH", self.path_of(item) + subresource, patch, content_type="application/merge-patch+json")

    def delete(self, item: dict) -> None:
        self.call("DELETE", self.path_of(item))

    def path_of(self, item: dict) -> str:
        return self.path(item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
