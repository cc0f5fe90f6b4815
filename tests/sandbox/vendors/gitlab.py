"""GitLab, REST API v4, as an administrator sees it: users, keys, tokens, group members, issues and their comments."""

import hmac
import re
from datetime import datetime, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/api/v4"
LISTS = ("keys", "gpg_keys", "personal_access_tokens", "impersonation_tokens")


class GitLab(Vendor):
    """One instance. Comments whose first line is a command do what it says, and say nothing."""

    DEFAULTS = {
        "token": "glpat-sandboxT0kenOfAnAdmin", "page": 100,
        "projects": ["it/offboarding"], "groups": ["staff", "staff/sales"],
        "block_changes": True,      # False: `block` says true and does nothing
        "admin": True,              # False: answers show no addresses, and those of others are refused
        "searches": True,           # False: a search names everybody
    }
    SEED_KEYS = ("users",)

    # Refusing.

    def authorize(self, request: Request) -> None:
        given = request.headers.get("private-token", "")
        if not hmac.compare_digest(given.encode(), self.settings["token"].encode()):
            raise Refusal(self.fail(401, "401 Unauthorized"))

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"message": message or f"{status} Error"})

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = super().throttled(request, wait)
        return Answer(429, "Retry later\n", {**answer.headers, "RateLimit-Remaining": "0"}, "text/plain")

    def unknown_path(self, request: Request) -> Answer:
        return Answer(404, {"error": "404 Not Found"})

    def _refuse(self, status: int, message: str) -> Refusal:
        return Refusal(self.fail(status, message))

    def _page(self, request: Request, items: list) -> Answer:
        size = min(int(request.params.get("per_page", 20)), self.settings["page"])
        number = int(request.params.get("page", 1))
        more = number * size < len(items)
        return Answer(200, items[(number - 1) * size:number * size],
                      {"X-Page": str(number), "X-Per-Page": str(size), "X-Next-Page": str(number + 1) if more else ""})

    # Users.

    def _user(self, key: str) -> dict:
        user = self.store.get("users", key)
        if user is None:
            raise self._refuse(404, "404 User Not Found")
        return user

    def _save(self, user: dict, **changes) -> None:
        self.store.put("users", str(user["id"]), {**user, **changes})

    @route("GET", API + "/user")
    def own_account(self, request: Request) -> Answer:
        return Answer(200, {"id": 1, "username": "root", "state": "active", "is_admin": True})

    @route("GET", API + "/users")
    def search_users(self, request: Request) -> Answer:
        """Names in part, addresses whole."""
        wanted = request.params.get("search", "").lower()
        return self._page(request, [self._shown(user) for user in self.store.all("users")
                                    if not self.settings["searches"] or wanted in (user["email"].lower(), *user["emails"]) or ("@" not in wanted and wanted in user["username"])])

    def _shown(self, user: dict) -> dict:
        return {name: user[name] for name in ("id", "username", "state", "email") if name != "email" or self.settings["admin"]}

    @route("GET", API + "/users/{key}/emails")
    def list_emails(self, request: Request, key: str) -> Answer:
        """Further addresses. Some releases name the primary one, too."""
        if not self.settings["admin"]:
            raise self._refuse(403, "403 Forbidden")
        return self._page(request, [{"id": number, "email": email, "confirmed_at": "2026-01-01T00:00:00.000Z"}
                                    for number, email in enumerate(self._user(key)["emails"])])

    @route("GET", API + "/users/{key}")
    def show_user(self, request: Request, key: str) -> Answer:
        return Answer(200, self._shown(self._user(key)))

    @route("POST", API + "/users/{key}/block")
    def block(self, request: Request, key: str) -> Answer:
        user = self._user(key)
        if user["state"] == "ldap_blocked":
            raise self._refuse(403, "403 Forbidden - LDAP blocked users cannot be modified by the API")
        if user["internal"]:
            raise self._refuse(403, "403 Forbidden - An internal user cannot be blocked")
        if user["state"] == "blocked":
            return Answer(201, "null")
        if self.settings["block_changes"]:
            self._save(user, state="blocked")
        return Answer(201, True)

    @route("POST", API + "/users/{key}/unblock")
    def unblock(self, request: Request, key: str) -> Answer:
        user = self._user(key)
        if user["state"] == "ldap_blocked":
            raise self._refuse(403, "403 Forbidden - LDAP blocked users cannot be unblocked by the API")
        self._save(user, state="active")
        return Answer(201, True)

    # Keys and tokens.

    @route("GET", API + "/users/{key}/keys")
    def list_keys(self, request: Request, key: str) -> Answer:
        return self._page(request, self._user(key)["keys"])

    @route("GET", API + "/users/{key}/gpg_keys")
    def list_gpg_keys(self, request: Request, key: str) -> Answer:
        return self._page(request, self._user(key)["gpg_keys"])

    @route("GET", API + "/users/{key}/impersonation_tokens")
    def list_impersonation_tokens(self, request: Request, key: str) -> Answer:
        return self._page(request, _in_state(self._user(key)["impersonation_tokens"], request))

    @route("GET", API + "/personal_access_tokens")
    def list_tokens(self, request: Request) -> Answer:
        wanted = request.params.get("user_id")
        tokens = [token for user in self.store.all("users") if wanted in (None, str(user["id"])) for token in user["personal_access_tokens"]]
        return self._page(request, _in_state(tokens, request))

    @route("DELETE", API + "/users/{key}/keys/{item}")
    def delete_key(self, request: Request, key: str, item: str) -> Answer:
        return self._drop(self._user(key), "keys", item, "404 Key Not Found")

    @route("DELETE", API + "/users/{key}/gpg_keys/{item}")
    def delete_gpg_key(self, request: Request, key: str, item: str) -> Answer:
        return self._drop(self._user(key), "gpg_keys", item, "404 GPG Key Not Found")

    @route("DELETE", API + "/users/{key}/impersonation_tokens/{item}")
    def revoke_impersonation_token(self, request: Request, key: str, item: str) -> Answer:
        return self._revoke(self._user(key), "impersonation_tokens", item)

    @route("DELETE", API + "/personal_access_tokens/{item}")
    def revoke_token(self, request: Request, item: str) -> Answer:
        for user in self.store.all("users"):
            if any(str(token["id"]) == item for token in user["personal_access_tokens"]):
                return self._revoke(user, "personal_access_tokens", item)
        raise self._refuse(404, "404 Not Found")

    def _drop(self, user: dict, kind: str, item: str, missing: str) -> Answer:
        if not any(str(held["id"]) == item for held in user[kind]):
            raise self._refuse(404, missing)
        self._save(user, **{kind: [held for held in user[kind] if str(held["id"]) != item]})
        return Answer(204)

    def _revoke(self, user: dict, kind: str, item: str) -> Answer:
        """Tokens are kept, as revoked."""
        if not any(str(held["id"]) == item and held["active"] for held in user[kind]):
            raise self._refuse(404, "404 Token Not Found")
        self._save(user, **{kind: [{**held, "active": False, "revoked": True} if str(held["id"]) == item else held for held in user[kind]]})
        return Answer(204)

    # Group members.

    def _group(self, name: str) -> str:
        if name not in self.settings["groups"]:
            raise self._refuse(404, "404 Group Not Found")
        return name

    @route("GET", API + "/groups/{group}/members/{key}")
    def show_member(self, request: Request, group: str, key: str) -> Answer:
        user, name = self.store.get("users", key), self._group(group)
        if user is None or name not in user["groups"]:
            raise self._refuse(404, "404 Not found")
        return Answer(200, {**self._shown(user), **user["groups"][name]})

    @route("POST", API + "/groups/{group}/members")
    def add_member(self, request: Request, group: str) -> Answer:
        given, name = request.json(), self._group(group)
        if not isinstance(given.get("user_id"), int) or given.get("access_level") not in (5, 10, 15, 20, 30, 40, 50):
            raise self._refuse(400, "400 Bad request")
        user = self._user(str(given["user_id"]))
        if name in user["groups"]:
            raise self._refuse(409, "Member already exists")
        member = {"access_level": given["access_level"], "expires_at": given.get("expires_at")}
        self._save(user, groups={**user["groups"], name: member})
        return Answer(201, {**self._shown(user), **member})

    @route("DELETE", API + "/groups/{group}/members/{key}")
    def remove_member(self, request: Request, group: str, key: str) -> Answer:
        user, name = self.store.get("users", key), self._group(group)
        if user is None or name not in user["groups"]:
            raise self._refuse(404, "404 Not found")
        left = {held: member for held, member in user["groups"].items() if held != name and not held.startswith(name + "/")}
        self._save(user, groups=left)
        return Answer(204)

    # Issues.

    def _project(self, name: str) -> None:
        if name not in self.settings["projects"]:
            raise self._refuse(404, "404 Project Not Found")

    def _issue(self, project: str, iid: str) -> dict:
        self._project(project)
        issue = self.store.get("issues", f"{project}#{iid}")
        if issue is None:
            raise self._refuse(404, "404 Not found")
        return issue

    @route("GET", API + "/projects/{project}/issues")
    def list_issues(self, request: Request, project: str) -> Answer:
        self._project(project)
        labels = [label for label in request.params.get("labels", "").split(",") if label]
        return self._page(request, [issue for issue in self.store.all("issues")
                                    if issue["project"] == project and set(labels) <= set(issue["labels"])])

    @route("POST", API + "/projects/{project}/issues")
    def create_issue(self, request: Request, project: str) -> Answer:
        self._project(project)
        given = request.json()
        if not given.get("title"):
            raise Refusal(Answer(400, {"error": "title is missing"}))
        iid = self.store.next_number(f"issue {project}")
        issue = {"id": self.store.next_number("issue", 9001), "iid": iid, "project": project, "title": given["title"],
                 "description": _without_commands(given.get("description", "")), "confidential": bool(given.get("confidential")),
                 "labels": [label.strip() for label in given.get("labels", "").split(",") if label.strip()], "state": "opened",
                 "web_url": f"{request.origin}/{project}/-/issues/{iid}"}
        self.store.put("issues", f"{project}#{iid}", issue)
        return Answer(201, issue)

    @route("GET", API + "/projects/{project}/issues/{iid}")
    def show_issue(self, request: Request, project: str, iid: str) -> Answer:
        return Answer(200, self._issue(project, iid))

    @route("GET", API + "/projects/{project}/issues/{iid}/notes")
    def list_notes(self, request: Request, project: str, iid: str) -> Answer:
        issue = self._issue(project, iid)
        notes = [note for note in self.store.all("notes") if note["issue"] == issue["id"]]
        return self._page(request, notes if request.params.get("sort") == "asc" else notes[::-1])

    @route("POST", API + "/projects/{project}/issues/{iid}/notes")
    def create_note(self, request: Request, project: str, iid: str) -> Answer:
        issue = self._issue(project, iid)
        body = request.json().get("body", "")
        if re.search(r"^\s*/close\b", body, re.MULTILINE):
            self.store.put("issues", f"{project}#{iid}", {**issue, "state": "closed"})
        body = _without_commands(body)
        if not body.strip():
            return Answer(202, {"commands_changes": {}, "summary": ["Commands applied"]})
        note = {"id": self.store.next_number("note", 301), "issue": issue["id"], "body": body, "system": False,
                "created_at": datetime.now(timezone.utc).isoformat()}
        self.store.put("notes", str(note["id"]), note)
        return Answer(201, note)

    @route("GET", API + "/projects/{project}/issues/{iid}/notes/{key}")
    def show_note(self, request: Request, project: str, iid: str, key: str) -> Answer:
        issue, note = self._issue(project, iid), self.store.get("notes", key)
        if note is None or note["issue"] != issue["id"]:
            raise self._refuse(404, "404 Not found")
        return Answer(200, note)

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users by `email`: `username`, `state`, `internal`, `emails` (further ones), `groups` {path: {access_level, expires_at}},
        and how many `keys`, `gpg_keys`, `personal_access_tokens`, `impersonation_tokens`."""
        for given in state.get("users", []):
            if "@" not in given.get("email", ""):
                raise ValueError(f"{self.name}: users: email is missing")
            held = next((user for user in self.store.all("users") if user["email"] == given["email"]), None) or {
                "id": self.store.next_number("user", 41), "username": given["email"].partition("@")[0], "state": "active", "internal": False,
                "emails": [], "groups": {}, **{name: [] for name in LISTS}}
            given = dict(given)
            for name in LISTS:
                if name in given:
                    given[name] = [{"id": self.store.next_number(name, 701), "title": "laptop", "name": "ci", "user_id": held["id"],
                                    "active": True, "revoked": False} for _ in range(given[name])]
            self._save({**held, **given})

    def export(self) -> dict:
        notes = list(self.store.all("notes"))
        return {"users": list(self.store.all("users")),
                "issues": [{**issue, "notes": [note["body"] for note in notes if note["issue"] == issue["id"]]}
                           for issue in self.store.all("issues")]}


def _in_state(tokens: list[dict], request: Request) -> list[dict]:
    state = request.params.get("state")
    return [token for token in tokens if state is None or token["active"] == (state == "active")]


def _without_commands(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not re.match(r"\s*/[a-z]", line))
