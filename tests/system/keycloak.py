"""Keycloak from Maven Central, with one realm, in memory: nothing of it lies on disk."""

import json
import os
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

from process import Process, http, tail, wait_until

REALM = "corp"
PASSWORD = "Of-the-tests-4711"

_REALM = {
    "realm": REALM, "enabled": True, "accessTokenLifespan": 300, "sslRequired": "none",
    "clients": [
        {"clientId": "app", "publicClient": True, "directAccessGrantsEnabled": True, "redirectUris": ["*"],
         "optionalClientScopes": ["offline_access"]},
        {"clientId": "https://wiki.example.com/saml", "publicClient": True, "consentRequired": True},
        {"clientId": "calendar", "publicClient": True, "consentRequired": True}],
    "identityProviders": [{"alias": "partner", "providerId": "oidc", "enabled": True, "config": {
        "clientId": "corp", "clientSecret": "of-the-tests", "authorizationUrl": "https://partner.example/auth", "tokenUrl": "https://partner.example/token"}}],
    "groups": [{"name": "staff"}, {"name": "sales"}, {"name": "nobody"}],
}


def _service(name: str, secret: str) -> dict:
    return {"clientId": name, "secret": secret, "serviceAccountsEnabled": True, "standardFlowEnabled": False}


def _service_account(name: str, *roles: str) -> dict:
    return {"username": f"service-account-{name}", "enabled": True, "serviceAccountClientId": name,
            "clientRoles": {"realm-management": list(roles)}}


class Keycloak:
    """Running from construction; `wait_ready` before use. The clients `offboard` and `reader` (may only look) are there."""

    def __init__(self, directory: str, home: str, port: int) -> None:
        if not os.path.isdir(home):
            raise RuntimeError(f"there is no Keycloak in {home!r}: run the tests by scripts/system-tests")
        self.url = f"http://127.0.0.1:{port}"
        self.secret = uuid.uuid4().hex
        self._admin = uuid.uuid4().hex
        self._process = Process(
            "keycloak", ["bash", os.path.join(home, "bin", "kc.sh"), "start", "--optimized", "--http-enabled=true",
                         "--http-host=127.0.0.1", f"--http-port={port}", "--hostname-strict=false", "--cache=local"],
            os.path.join(directory, "keycloak.log"), cwd=directory, env={
                **os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": self._admin,
                "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx400m"})

    def wait_ready(self) -> None:
        def answers() -> bool:
            if not self._process.running:
                raise RuntimeError(f"Keycloak ended: {tail(self._process.log())}")
            try:
                return http("GET", f"{self.url}/realms/master").status == 200
            except OSError:
                return False

        wait_until(answers, 180, "Keycloak answers")
        services = [_service("offboard", self.secret), _service("reader", self.secret)]
        self.call("POST", "/admin/realms", {**_REALM, "clients": _REALM["clients"] + services, "users": [
            _service_account("offboard", "manage-users", "view-users"), _service_account("reader", "view-users")]})
        profile = self.call("GET", f"/admin/realms/{REALM}/users/profile")
        self.call("PUT", f"/admin/realms/{REALM}/users/profile", profile | {"unmanagedAttributePolicy": "ENABLED"})

    def stop(self) -> None:
        self._process.kill()

    def call(self, method: str, path: str, body: dict | None = None):
        reply = http(method, self.url + path, None if body is None else json.dumps(body).encode(), {
            "Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"})
        assert reply.status < 300, (method, path, reply)
        return reply.json if reply.body else None

    def of(self, method: str, path: str, body: dict | None = None):
        return self.call(method, f"/admin/realms/{REALM}{path}", body)

    def _token(self) -> str:
        return self.grant("master", client_id="admin-cli", username="admin", password=self._admin)["access_token"]

    def grant(self, realm: str = REALM, **form: str) -> dict:
        """What the token endpoint says; a refusal as well."""
        form = {"grant_type": "password", **form}
        return http("POST", f"{self.url}/realms/{realm}/protocol/openid-connect/token", urlencode(form).encode(),
                    {"Content-Type": "application/x-www-form-urlencoded"}).json

    # People.

    def add_user(self, email: str, **more) -> str:
        """The id. With a password, and what a user may have: groups, clientConsents, attributes."""
        user = {"username": email.partition("@")[0], "email": email, "emailVerified": True, "enabled": True,
                "firstName": "Jane", "lastName": "Doe", "realmRoles": [f"default-roles-{REALM}"],
                "credentials": [{"type": "password", "value": PASSWORD}], **more}
        done = self.of("POST", "/partialImport", {"ifResourceExists": "FAIL", "users": [user]})
        return done["results"][0]["id"]

    def user(self, key: str) -> dict:
        return self.of("GET", f"/users/{key}")

    def group(self, name: str) -> str:
        found, = [group["id"] for group in self.of("GET", "/groups") if group["name"] == name]
        return found

    def log_in(self, email: str, offline: bool = False) -> dict:
        scope = "openid offline_access" if offline else "openid"
        return self.grant(client_id="app", username=email.partition("@")[0], password=PASSWORD, scope=scope)

    def refresh(self, token: str) -> dict:
        return self.grant(grant_type="refresh_token", client_id="app", refresh_token=token)


class Front:
    """Stands before a Keycloak, and answers some requests in its place: `rules` are (what matches METHOD PATH?QUERY, status, body)."""

    def __init__(self, keycloak: Keycloak) -> None:
        self.rules: list[tuple[str, int, str]] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # noqa: N802: the name is the library's
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                line = f"{self.command} {self.path}"
                rule = next((rule for rule in front.rules if re.search(rule[0], line)), None)
                if rule:
                    status, answer, kind = rule[1], rule[2].encode(), "application/json"
                else:
                    kept = {name: self.headers[name] for name in ("Authorization", "Content-Type", "Accept") if name in self.headers}
                    reply = http(self.command, keycloak.url + self.path, body or None, kept)
                    status, answer, kind = reply.status, reply.body, reply.headers.get("Content-Type", "")
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(answer)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, format: str, *args) -> None:  # noqa: A002: the name is the library's
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, pattern: str, body, status: int = 200) -> None:
        self.rules.insert(0, (pattern, status, body if isinstance(body, str) else json.dumps(body)))
        if isinstance(body, list) and "first=" not in pattern:
            self.rules.insert(0, (f"{pattern}.*first=[1-9]", 200, "[]"))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
