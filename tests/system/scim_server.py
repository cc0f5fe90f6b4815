"""scim2-server from PyPI: a SCIM server that nobody here wrote."""

import json
import os
import secrets
import sys

from process import Process, http, wait_until


class ScimServer:
    def __init__(self, directory: str, port: int) -> None:
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{port}/v2"
        program = os.path.join(os.path.dirname(sys.executable), "scim2-server")
        self._process = Process("scim2-server", [sys.executable, program, "--port", str(port), "--bearer-token", self.token],
                                os.path.join(directory, "scim2-server.log"))
        wait_until(lambda: self._call("GET", "/Users"), 20, "scim2-server answers")

    def _call(self, method: str, path: str, body: dict | None = None) -> dict:
        reply = http(method, self.url + path, None if body is None else json.dumps(body).encode(),
                     {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"})
        assert reply.status in (200, 201), reply
        return reply.json

    def add_user(self, email: str, employee_id: str) -> str:
        return self._call("POST", "/Users", {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email, "externalId": employee_id,
            "active": True, "emails": [{"value": email, "type": "work"}]})["id"]

    def add_group(self, name: str, *members: str) -> str:
        return self._call("POST", "/Groups", {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name,
            "members": [{"value": member, "type": "User"} for member in members]})["id"]

    def user(self, key: str) -> dict:
        return self._call("GET", f"/Users/{key}")

    def there(self, key: str) -> bool:
        return http("GET", f"{self.url}/Users/{key}", None, {"Authorization": f"Bearer {self.token}"}).status == 200

    def members(self, group: str) -> list[str]:
        return [member["value"] for member in self._call("GET", f"/Groups/{group}").get("members") or []]

    def requests(self, *begin: str) -> int:
        """How many requests of the log hold one of these texts."""
        return sum(any(text in line for text in begin) for line in self._process.log().splitlines())

    def stop(self) -> None:
        self._process.kill()
