"""A small HTTP client for the sandbox's own tests."""

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

SCIM_TOKEN = "sandbox-scim-token-s3cret"
JIRA_TOKEN = "sandbox-jira-token-s3cret"
SLACK_TOKEN = "xoxb-sandbox-s3cret"


def wait_until(condition, seconds=10):
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it has not become true in time")


@dataclass
class Reply:
    """An answer, whatever its status."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Caller:
    """Calls one system with good credentials, unless told otherwise."""

    def __init__(self, url: str, authorization: str, content_type: str) -> None:
        self.url = url
        self._headers = {"Authorization": authorization, "Content-Type": content_type}

    def __call__(self, method: str, path: str, body=None, *, timeout: float = 20, **headers: str | None) -> Reply:
        """`body`: JSON-able, or bytes to send as they are. A header given as None is left out; `_` stands for `-`."""
        given = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method,
                                         headers={name: value for name, value in given.items() if value is not None})
        if given["Content-Type"] is None and data is not None:
            request.add_unredirected_header("Content-Type", "")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Reply(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read().decode())


class GoogleCaller(Caller):
    """Calls Google as an administrator with all scopes of the admin APIs, and makes callers with other tokens."""

    ADMIN_SCOPES = ("admin.directory.user", "admin.directory.user.security", "admin.directory.group",
                    "admin.directory.group.member", "admin.directory.rolemanagement", "admin.directory.orgunit",
                    "admin.directory.device.mobile", "admin.datatransfer", "apps.licensing", "cloud-identity.devices")

    def __init__(self, sandbox, account) -> None:
        self.sandbox = sandbox
        self.account = account
        super().__init__(sandbox.url("google"), "", "application/json")
        self.anonymous = Caller(self.url, "", "application/json")
        self._headers["Authorization"] = "Bearer " + self._token("admin@example.com", self.ADMIN_SCOPES)

    def _token(self, subject: str | None, scopes: tuple[str, ...]) -> str:
        return self.account.token(self.url + "/token", subject, list(scopes))

    def bearer(self, token: str) -> Caller:
        return Caller(self.url, f"Bearer {token}", "application/json")

    def acting(self, subject: str | None, *scopes: str) -> Caller:
        """As somebody, with these scopes."""
        return self.bearer(self._token(subject, scopes))

    def admin(self, *scopes: str) -> Caller:
        return self.acting("admin@example.com", *scopes)
