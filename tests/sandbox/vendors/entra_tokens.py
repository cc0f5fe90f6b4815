"""Entra ID's token endpoint for applications (client credentials), and what its tokens open."""

import hmac
import secrets
import time
import urllib.parse
from dataclasses import dataclass
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, route

TOKEN_PATH = "/{tenant}/oauth2/v2.0/token"


def now_text() -> str:
    """This second, as Microsoft writes times."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Token:
    """For which API, and until when on the monotonic clock."""

    resource: str
    expires: float


class Tokens:
    """One tenant with one application. Part of a vendor, whose settings have what TOKEN_SETTINGS names."""

    TOKEN_SETTINGS = {
        "tenant": "7f1c2a4e-0000-4000-8000-00000000c0de",
        "client_id": "0ffb0a2d-0000-4000-8000-000000000a99",
        "client_secret": "sandbox~entra-s3cret",
        "token_seconds": 3599,
        "permissions": None,        # the application permissions that an administrator consented to; null: all
    }
    RESOURCES = ("https://graph.microsoft.com",)

    def start(self) -> None:
        self._tokens: dict[str, Token] = {}

    def resource_of(self, request: Request) -> str:
        """The API that a path belongs to."""
        return self.RESOURCES[0]

    def authorize(self, request: Request) -> None:
        if request.path.endswith("/oauth2/v2.0/token"):
            return
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(text) if scheme.lower() == "bearer" else None
        if token is None or token.resource != self.resource_of(request):
            raise Refusal(self.unauthorized("Access token is empty." if not text else "Access token validation failure. Invalid audience."))
        if token.expires <= time.monotonic():
            raise Refusal(self.unauthorized("Lifetime validation failed, the token is expired."))

    def unauthorized(self, message: str) -> Answer:
        """A 401 in the API's own shape."""
        return self.fail(401, message)

    def may(self, *permissions: str) -> bool:
        """Has the application one of these permissions?"""
        granted = self.settings["permissions"]
        return granted is None or any(name in granted for name in permissions)

    @route("POST", TOKEN_PATH, reads=True)
    def grant_token(self, request: Request, tenant: str) -> Answer:
        form = dict(urllib.parse.parse_qsl(request.text))
        if tenant != self.settings["tenant"]:
            raise _refusal(400, "invalid_request", 90002, f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.")
        if form.get("grant_type") != "client_credentials":
            raise _refusal(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form.get("client_id") != self.settings["client_id"]:
            raise _refusal(400, "unauthorized_client", 700016, "Application was not found in the directory.")
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.settings["client_secret"].encode()):
            raise _refusal(401, "invalid_client", 7000215, "Invalid client secret provided.")
        resource, default, rest = form.get("scope", "").rpartition("/.default")
        if not default or rest or resource not in self.RESOURCES:
            raise _refusal(400, "invalid_scope", 70011, f"The provided value for the input parameter 'scope' is not valid: {form.get('scope')}.")
        text = "entra." + secrets.token_urlsafe(96)
        self._tokens[text] = Token(resource, time.monotonic() + self.settings["token_seconds"])
        return Answer(200, {"token_type": "Bearer", "expires_in": int(self.settings["token_seconds"]), "access_token": text})


def _refusal(status: int, error: str, code: int, text: str) -> Refusal:
    return Refusal(Answer(status, {"error": error, "error_description": f"AADSTS{code}: {text}", "error_codes": [code],
                                   "timestamp": now_text(), "trace_id": "00000000-0000-0000-0000-000000000001",
                                   "correlation_id": "00000000-0000-0000-0000-000000000002"}))
