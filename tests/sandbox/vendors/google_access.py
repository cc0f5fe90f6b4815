"""Who calls Google's APIs: the token endpoint for service accounts, and the check of scope and person at every method."""

import functools
import secrets
import time
import urllib.parse
from dataclasses import dataclass

from core.vendor import Answer, Refusal, Request, route
from formats.rs256 import TokenError, check_signature, read_public_key, read_token
from vendors.google_errors import BOTH, LIST, STATUS, error_body, refusal

TOKEN_PATH = "/token"
GOOGLES_TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPE_PREFIX = "https://www.googleapis.com/auth/"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# What an account may be allowed to ask for: the scopes of the methods that the sandbox has.
SCOPES = frozenset(f"admin.{name}" for name in (
    "directory.user", "directory.user.readonly", "directory.user.security", "directory.user.alias",
    "directory.user.alias.readonly", "directory.group", "directory.group.readonly", "directory.group.member",
    "directory.group.member.readonly", "directory.rolemanagement", "directory.rolemanagement.readonly",
    "directory.orgunit", "directory.orgunit.readonly", "directory.device.mobile", "directory.device.mobile.action",
    "directory.device.mobile.readonly", "datatransfer", "datatransfer.readonly")) | {
    "apps.licensing", "cloud-identity.devices", "cloud-identity.devices.readonly", "gmail.settings.basic",
    "gmail.settings.sharing", "gmail.modify", "gmail.readonly", "https://mail.google.com/"}


@dataclass
class Grant:
    """What an access token stands for; `expires` on the monotonic clock."""

    subject: str | None
    scopes: frozenset[str]
    expires: float


def call(method: str, path: str, *scopes: str, admin: bool = True):
    """Mark a method of an API, open to a token with one of the scopes; `admin` wants an administrator's."""

    def mark(function):
        @functools.wraps(function)
        def admitted(self, request: Request, **names: str) -> Answer:
            self.admit(request, scopes, admin)
            return function(self, request, **names)

        return route(method, path)(admitted)

    return mark


def shape_of(path: str) -> str:
    """The shape of errors of the API to which a path belongs."""
    if path.startswith("/v1/"):
        return STATUS
    return BOTH if path.startswith("/gmail/") else LIST


class Access:
    """Tokens: granting them, and what they open. Part of the vendor."""

    def start(self) -> None:
        self._grants: dict[str, Grant] = {}

    def check_settings(self, settings: dict) -> None:
        for account in settings["service_accounts"]:
            missing = {"client_email", "private_key_id", "public_key"} - set(account)
            if missing:
                raise ValueError(f"{self.name}: a service account needs {', '.join(sorted(missing))}")
            read_public_key(account["public_key"])

    def authorize(self, request: Request) -> None:
        """Refuse a request to an API without a token that is still good."""
        if request.path == TOKEN_PATH:
            return
        grant = self._grant(request)
        if grant is None or grant.expires <= time.monotonic():
            raise Refusal(Answer(401, error_body("authError"), {
                "WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}))

    def _grant(self, request: Request) -> Grant | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self._grants.get(token) if scheme.lower() == "bearer" else None

    def admit(self, request: Request, scopes: tuple[str, ...], admin: bool) -> None:
        """Refuse a token without one of the scopes and, where it takes one, without an administrator behind it."""
        grant = self._grant(request)
        if grant.scopes.isdisjoint(scopes):
            raise _scope_refusal(scopes)
        if admin and not self._is_admin(grant.subject):
            raise refusal("forbidden", shape=shape_of(request.path))

    def subject(self, request: Request) -> str | None:
        """The address the caller acts as, as the assertion gave it."""
        return self._grant(request).subject

    def _is_admin(self, subject: str | None) -> bool:
        user = self.find_user(subject) if subject else None
        return user is not None and not user["suspended"] and bool(user["isAdmin"] or self.roles_of(user["id"]))

    # The token endpoint.

    @route("POST", TOKEN_PATH, reads=True)
    def grant_token(self, request: Request) -> Answer:
        form = dict(urllib.parse.parse_qsl(request.text))
        if request.media_type != "application/x-www-form-urlencoded":
            raise _token_refusal("invalid_request", "Bad Request")
        if form.get("grant_type") != GRANT_TYPE:
            raise _token_refusal("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        if not form.get("assertion"):
            raise _token_refusal("invalid_request", "Missing required parameter: assertion")
        claims = self._check_assertion(request, form["assertion"])
        scopes = _read_scopes(claims)
        self._check_delegation(claims.get("sub"), scopes)
        token = "ya29.c." + secrets.token_urlsafe(96)
        life = self.settings["grant_seconds"]
        self._grants[token] = Grant(claims.get("sub"), scopes, time.monotonic() + life)
        self.granted.append({"subject": claims.get("sub"), "scopes": sorted(scopes)})
        return Answer(200, {"access_token": token, "expires_in": int(life), "token_type": "Bearer"})

    def _check_assertion(self, request: Request, assertion: str) -> dict:
        """The claims of an assertion that one of the accounts has signed with a key that is still good."""
        try:
            header, claims, signed, signature = read_token(assertion)
        except TokenError as error:
            raise _token_refusal("invalid_grant", "Invalid JWT: Failed to parse the token.") from error
        accounts = [account for account in self.settings["service_accounts"]
                    if account["client_email"] == claims.get("iss")]
        if not accounts:
            raise _token_refusal("invalid_grant", "Invalid grant: account not found")
        keys = [account["public_key"] for account in accounts if not account.get("revoked")
                and header.get("kid", account["private_key_id"]) == account["private_key_id"]]
        if header.get("alg") != "RS256" or not any(_is_signed(key, signed, signature) for key in keys):
            raise _token_refusal("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") not in (GOOGLES_TOKEN_URL, request.origin + TOKEN_PATH):
            raise _token_refusal("invalid_grant", "Invalid JWT: Failed audience check.")
        _check_times(claims)
        return claims

    def _check_delegation(self, subject: str | None, scopes: frozenset[str]) -> None:
        """Whether the account may act as this person, with all of these scopes."""
        if subject is None:
            return
        if not isinstance(subject, str) or "@" not in subject or self.find_user(subject) is None:
            gone = any(user["primaryEmail"] == subject for user in self.store.all("deleted_users"))
            raise _token_refusal("invalid_grant",
                                 "The account has been deleted" if gone else "Invalid email or User ID")
        delegated = self.settings["delegated_scopes"]
        if delegated is not None and not scopes <= {name.removeprefix(SCOPE_PREFIX) for name in delegated}:
            raise _token_refusal("unauthorized_client", "Client is unauthorized to retrieve access tokens using this "
                                 "method, or client not authorized for any of the scopes requested.", 401)


def full_scope(name: str) -> str:
    """A scope as it is sent."""
    return name if name.startswith("https://") else SCOPE_PREFIX + name


def _read_scopes(claims: dict) -> frozenset[str]:
    asked = frozenset(str(claims.get("scope", "")).split())
    if not asked or not asked <= {full_scope(name) for name in SCOPES}:
        raise _token_refusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    return frozenset(scope.removeprefix(SCOPE_PREFIX) for scope in asked)


def _check_times(claims: dict) -> None:
    """At most an hour, and now lies within it; a few minutes are allowed for clocks that differ."""
    issued, expires, now = claims.get("iat"), claims.get("exp"), time.time()
    whole = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (issued, expires))
    if not whole or expires - issued > 3600 or expires < now or issued > now + 300:
        raise _token_refusal("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                             "reasonable timeframe. Check your iat and exp values in the JWT claim.")


def _is_signed(public_key: str, signed: bytes, signature: bytes) -> bool:
    try:
        check_signature(public_key, signed, signature)
    except TokenError:
        return False
    return True


def _token_refusal(error: str, description: str, status: int = 400) -> Refusal:
    return Refusal(Answer(status, {"error": error, "error_description": description}))


def _scope_refusal(scopes: tuple[str, ...]) -> Refusal:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com"}]
    message = "Request had insufficient authentication scopes."
    wanted = " ".join(full_scope(scope) for scope in scopes)
    return Refusal(Answer(403, error_body("insufficientPermissions", message, details=details), {
        "WWW-Authenticate": f'Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="{wanted}"'}))
