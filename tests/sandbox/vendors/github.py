"""One organisation on GitHub: members, outside collaborators, SAML identities and credentials, Copilot seats."""

import hmac
import math
import time

from core.vendor import Answer, Refusal, Request, Vendor, route

DOCS = "https://docs.github.com/rest"


class GitHub(Vendor):
    """Logins are kept in lower case, as GitHub compares them. An organisation has one owner whose token is ours."""

    DEFAULTS = {
        "organization": "acme", "token": "ghp_sandboxT0kenOfTheOwner0123456789",
        "role": "admin",            # of the token's account
        "scopes": "admin:org, repo",    # of the token; without `repo` it is shown public repositories only
        "repositories": {"site": "public", "app": "private"},
        "saml": True,               # whether the organisation has SAML
        "enterprise": "",           # the slug, where SAML is the enterprise's
        "copilot": True,
        "seat_end": "2031-01-01",   # of the billing cycle
        "page": 100,                # largest page
        "filters": True,            # false: the search by address names everybody
    }
    SEED_KEYS = ("users",)

    def start(self) -> None:
        self._reset = int(time.time()) + 3600

    # Refusing.

    def authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.settings['token']}".encode()):
            raise Refusal(self.fail(401, "Bad credentials"))
        if "user-agent" not in request.headers:
            raise Refusal(self.fail(403, "Request forbidden by administrative rules."))

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"message": message or "Not Found", "documentation_url": DOCS, "status": str(status)})

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = self.fail(403, "API rate limit exceeded for user ID 1.")
        answer.headers |= {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(math.ceil(time.time() + wait))}
        return answer

    def finish(self, request: Request, answer: Answer) -> Answer:
        answer.headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999", "x-ratelimit-reset": str(self._reset),
                          "x-oauth-scopes": self.settings["scopes"], "x-github-media-type": "github.v3; format=json", **answer.headers}
        return answer

    def unknown_path(self, request: Request) -> Answer:
        return self.fail(404, "Not Found")

    def _organization(self, name: str) -> None:
        if name.lower() != self.settings["organization"]:
            raise Refusal(self.fail(404, "Not Found"))
        if self.settings["role"] != "admin":
            raise Refusal(self.fail(403, "Must have admin rights to Repository."))

    def _user(self, login: str) -> dict:
        user = self.store.get("users", login.lower())
        if user is None:
            raise Refusal(self.fail(404, "Not Found"))
        return user

    def _save(self, user: dict, **changes) -> None:
        self.store.put("users", user["login"].lower(), {**user, **changes})

    def _page(self, request: Request, items: list) -> Answer:
        size = min(int(request.params.get("per_page", 30)), self.settings["page"])
        number = int(request.params.get("page", 1))
        answer = Answer(200, items[(number - 1) * size:number * size])
        if number * size < len(items):
            kept = "&".join(f"{key}={value}" for key, value in request.params.items() if key != "page")
            answer.headers["Link"] = (f'<{request.origin}{request.path}?{kept}&page=1>; rel="first", '
                                      f'<{request.origin}{request.path}?{kept}&page={number + 1}>; rel="next"')
        return answer

    # People.

    @staticmethod
    def _shown(user: dict) -> dict:
        return {"login": user["login"], "id": user["id"], "type": "User", "email": None}

    @route("GET", "/users/{login}")
    def show_user(self, request: Request, login: str) -> Answer:
        return Answer(200, self._shown(self._user(login)))

    @route("GET", "/user/{key}")
    def show_user_by_id(self, request: Request, key: str) -> Answer:
        for user in self.store.all("users"):
            if str(user["id"]) == key:
                return Answer(200, self._shown(user))
        raise Refusal(self.fail(404, "Not Found"))

    @route("POST", "/graphql", reads=True)
    def graphql(self, request: Request) -> Answer:
        """Two queries: is there SAML, and who is behind an address. It matches a NameID or a SCIM user name, whole."""
        body = request.json()
        query, given = body.get("query", ""), body.get("variables", {})
        if "externalIdentities(" in query and "userName: $name" not in query:
            return self._graphql_error("undefinedField", "Field is not known to the sandbox")
        if self.settings["role"] != "admin":
            return self._graphql_error("FORBIDDEN", "Must have admin rights")
        provider = {"id": "PRO_1"} if "externalIdentities(" not in query else {"externalIdentities": self._identities(given)}
        if "enterprise(slug: $slug)" in query:
            if given.get("slug") != self.settings["enterprise"]:
                return self._graphql_error("NOT_FOUND", "Could not resolve to a Business")
            return Answer(200, {"data": {"enterprise": {"ownerInfo": {"samlIdentityProvider": provider}}}})
        if given.get("org", "").lower() != self.settings["organization"]:
            return self._graphql_error("NOT_FOUND", "Could not resolve to an Organization")
        own = self.settings["saml"] and not self.settings["enterprise"]
        return Answer(200, {"data": {"organization": {"samlIdentityProvider": provider if own else None}}})

    def _identities(self, given: dict) -> dict:
        wanted = str(given.get("name", "")).lower()
        found = [user for user in self.store.all("users")
                 if user["name_id"] and (user["name_id"].lower() == wanted or not self.settings["filters"])]
        start, size = int(given.get("after") or 0), self.settings["page"]
        more = start + size < len(found)
        return {"pageInfo": {"hasNextPage": more, "endCursor": str(start + size) if more else None},
                "nodes": [{"samlIdentity": {"nameId": user["name_id"], "username": None}, "scimIdentity": None,
                           "user": {"login": user["login"], "databaseId": user["id"]} if user["linked"] else None}
                          for user in found[start:start + size]]}

    def _graphql_error(self, kind: str, message: str) -> Answer:
        return Answer(200, {"data": None, "errors": [{"type": kind, "message": message}]})

    # Members.

    @route("GET", "/user/memberships/orgs/{organization}")
    def own_membership(self, request: Request, organization: str) -> Answer:
        if organization.lower() != self.settings["organization"]:
            raise Refusal(self.fail(404, "Not Found"))
        return Answer(200, {"state": "active", "role": self.settings["role"]})

    @route("GET", "/orgs/{organization}/memberships/{login}")
    def show_membership(self, request: Request, organization: str, login: str) -> Answer:
        self._organization(organization)
        user = self._user(login)
        if not user["membership"]:
            raise Refusal(self.fail(404, "Not Found"))
        return Answer(200, {**user["membership"], "user": {"login": user["login"], "id": user["id"]}})

    @route("PUT", "/orgs/{organization}/memberships/{login}")
    def invite(self, request: Request, organization: str, login: str) -> Answer:
        self._organization(organization)
        user, role = self._user(login), request.json().get("role", "member")
        if role not in ("admin", "member"):
            raise Refusal(self.fail(422, "Validation Failed"))
        membership = {"state": (user["membership"] or {}).get("state", "pending"), "role": role}
        self._save(user, membership=membership)
        return Answer(200, {**membership, "user": {"login": user["login"], "id": user["id"]}})

    @route("DELETE", "/orgs/{organization}/memberships/{login}")
    def remove(self, request: Request, organization: str, login: str) -> Answer:
        self._organization(organization)
        user = self._user(login)
        if not user["membership"]:
            raise Refusal(self.fail(404, "Not Found"))
        if user["by_enterprise_team"]:
            return Answer(204)      # the membership that comes from the enterprise's team remains
        self._save(user, membership=None, credentials=[], copilot=None)
        return Answer(204)

    @route("GET", "/orgs/{organization}/outside_collaborators")
    def list_collaborators(self, request: Request, organization: str) -> Answer:
        self._organization(organization)
        return self._page(request, [{"login": user["login"], "id": user["id"]} for user in self.store.all("users") if user["collaborator"]])

    @route("DELETE", "/orgs/{organization}/outside_collaborators/{login}")
    def remove_collaborator(self, request: Request, organization: str, login: str) -> Answer:
        self._organization(organization)
        user = self._user(login)
        if user["membership"]:
            raise Refusal(self.fail(422, "You cannot specify an organization member to remove as an outside collaborator."))
        self._save(user, collaborator=False)
        return Answer(204)

    # Repositories, and who was invited to one and has not accepted yet.

    @route("GET", "/orgs/{organization}/repos")
    def list_repositories(self, request: Request, organization: str) -> Answer:
        self._organization(organization)
        return self._page(request, [{"name": name, "visibility": kind} for name, kind in self.settings["repositories"].items()
                                    if kind == "public" or "repo" in self.settings["scopes"].split(", ")])

    def _repository(self, organization: str, repository: str) -> None:
        self._organization(organization)
        if repository not in self.settings["repositories"]:
            raise Refusal(self.fail(404, "Not Found"))

    @route("GET", "/repos/{organization}/{repository}/invitations")
    def list_invitations(self, request: Request, organization: str, repository: str) -> Answer:
        self._repository(organization, repository)
        return self._page(request, [{"id": user["invited"][repository], "invitee": {"login": user["login"], "id": user["id"]}}
                                    for user in self.store.all("users") if repository in user["invited"]])

    @route("DELETE", "/repos/{organization}/{repository}/invitations/{key}")
    def cancel_invitation(self, request: Request, organization: str, repository: str, key: str) -> Answer:
        self._repository(organization, repository)
        for user in self.store.all("users"):
            if str(user["invited"].get(repository)) == key:
                self._save(user, invited={name: held for name, held in user["invited"].items() if name != repository})
                return Answer(204)
        raise Refusal(self.fail(404, "Not Found"))

    # Credentials of SAML.

    @route("GET", "/orgs/{organization}/credential-authorizations")
    def list_credentials(self, request: Request, organization: str) -> Answer:
        self._organization(organization)
        if not self.settings["saml"]:
            raise Refusal(self.fail(404, "Not Found"))
        wanted = request.params.get("login", "").lower()
        return self._page(request, [
            {"login": user["login"], "credential_id": key, "credential_type": "personal access token", "token_last_eight": "12345678"}
            for user in self.store.all("users") if wanted in ("", user["login"].lower()) for key in user["credentials"]])

    @route("DELETE", "/orgs/{organization}/credential-authorizations/{key}")
    def revoke_credential(self, request: Request, organization: str, key: str) -> Answer:
        self._organization(organization)
        for user in self.store.all("users"):
            if key.isdigit() and int(key) in user["credentials"]:
                self._save(user, credentials=[held for held in user["credentials"] if held != int(key)])
                return Answer(204)
        raise Refusal(self.fail(404, "Not Found"))

    # Copilot.

    @route("GET", "/orgs/{organization}/members/{login}/copilot")
    def show_seat(self, request: Request, organization: str, login: str) -> Answer:
        self._organization(organization)
        user = self._user(login)
        if not self.settings["copilot"]:
            raise Refusal(self.fail(422, "Copilot Business is not enabled for this organization."))
        if not user["copilot"]:
            raise Refusal(self.fail(404, "Not Found"))
        return Answer(200, {"assignee": {"login": user["login"], "id": user["id"]}, **user["copilot"]})

    @route("DELETE", "/orgs/{organization}/copilot/billing/selected_users")
    def cancel_seats(self, request: Request, organization: str) -> Answer:
        users = self._selected(request, organization)
        if any((user["copilot"] or {}).get("assigning_team") for user in users):
            raise Refusal(self.fail(422, "The seat is assigned by a team."))
        for user in users:
            self._save(user, copilot={**(user["copilot"] or {}), "pending_cancellation_date": self.settings["seat_end"]})
        return Answer(200, {"seats_cancelled": len(users)})

    @route("POST", "/orgs/{organization}/copilot/billing/selected_users")
    def assign_seats(self, request: Request, organization: str) -> Answer:
        users = self._selected(request, organization)
        for user in users:
            self._save(user, copilot={"pending_cancellation_date": None})
        return Answer(201, {"seats_created": len(users)})

    def _selected(self, request: Request, organization: str) -> list[dict]:
        self._organization(organization)
        if not self.settings["copilot"]:
            raise Refusal(self.fail(422, "Copilot Business is not enabled for this organization."))
        return [self._user(login) for login in request.json().get("selected_usernames", [])]

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users by `login` (one with the `id` of somebody else is renamed): `name_id` (of SAML; `linked`: claimed by the account), `membership` {state, role},
        `collaborator`, `invited` (to which repositories), `credentials` (how many), `copilot` {pending_cancellation_date, assigning_team}, `by_enterprise_team`."""
        for given in state.get("users", []):
            if not given.get("login"):
                raise ValueError(f"{self.name}: users: login is missing")
            renamed = next((user for user in self.store.all("users") if user["id"] == given.get("id")), None)
            if renamed:
                self.store.remove("users", renamed["login"].lower())
            held = renamed or self.store.get("users", given["login"].lower()) or {
                "id": self.store.next_number("user", 1000), "name_id": None, "linked": True, "membership": None,
                "collaborator": False, "invited": {}, "credentials": [], "copilot": None, "by_enterprise_team": False}
            given = dict(given)
            if isinstance(given.get("credentials"), int):
                given["credentials"] = [self.store.next_number("credential", 501) for _ in range(given["credentials"])]
            if isinstance(given.get("invited"), list):
                given["invited"] = {name: self.store.next_number("invitation", 9001) for name in given["invited"]}
            self.store.put("users", given["login"].lower(), {**held, **given})

    def export(self) -> dict:
        return {"users": list(self.store.all("users"))}
