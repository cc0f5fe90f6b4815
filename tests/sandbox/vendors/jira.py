"""Jira Cloud, REST API v3: issues, comments, properties, transitions, remote links, and a search that lags behind."""

import base64
import hmac
import math
import time
from collections import defaultdict, deque
from datetime import datetime, timedelta, timezone

from core.vendor import Answer, Refusal, Request, Vendor, route
from formats.adf import plain_text, to_document
from formats.jira_fields import (FieldErrors, apply_label_changes, project_object, read_document, read_fields,
                                 read_properties)
from formats.jira_search import params_of_query, reconciled, search_page
from formats.jql import JqlError
from formats.search_index import LaggingIndex

API = "/rest/api/3"
PROPERTY_LIMIT = 32768
GONE = "Issue does not exist or you do not have permission to see it."


class Jira(Vendor):
    """One site, one account. Comments are kept apart from their issue: they are many and change alone."""

    DEFAULTS = {
        "email": "bot@example.com", "token": "sandbox-jira-token-s3cret", "projects": ["IT"],
        "search_lag": 0.0,              # seconds until a search sees a change
        "comment_limit": 5000,          # for one issue; beyond it 413
        "per_issue_writes": None,       # {"count": 20, "seconds": 2}: the vendor's limit of writes to one issue
        "workflow": [{"id": "11", "name": "Reopen", "to": "To Do"}, {"id": "21", "name": "Start", "to": "In Progress"},
                     {"id": "31", "name": "Finish", "to": "Done"}],   # the first is where issues start;
                                        # "from": [names] where a way doesn't begin everywhere
    }
    SEED_KEYS = ("issues",)

    def start(self) -> None:
        self.index = LaggingIndex()
        self._writes: dict[str, deque] = defaultdict(deque)

    def secrets(self) -> list[str]:
        return [self.settings["token"], f"{self.settings['email']}:{self.settings['token']}"]

    def changed(self, changes, *, seeded: bool = False) -> None:
        for kind, key in changes:
            if kind == "issues":
                self.index.note(key, self.store.get(kind, key), at_once=seeded)

    # Refusing.

    def authorize(self, request: Request) -> None:
        expected = base64.b64encode(f"{self.settings['email']}:{self.settings['token']}".encode())
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), b"Basic " + expected):
            answer = self.fail(401, "Client must be authenticated to access this resource.")
            answer.headers |= {"WWW-Authenticate": 'OAuth realm="sandbox"', "X-Seraph-Loginreason": "AUTHENTICATED_FAILED"}
            raise Refusal(answer)
        if request.body and request.media_type != "application/json":
            raise Refusal(self.fail(415, f"Content type '{request.media_type}' is not supported"))

    def fail(self, status: int, message: str = "", errors: dict | None = None) -> Answer:
        return Answer(status, {"errorMessages": [message] if message else [], "errors": errors or {}})

    def throttled(self, request: Request, wait: float, reason: str = "jira-burst-based") -> Answer:
        answer = super().throttled(request, wait)
        reset = datetime.now(timezone.utc) + timedelta(seconds=math.ceil(wait))
        answer.headers |= {"RateLimit-Reason": reason, "X-RateLimit-Reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return answer

    def finish(self, request: Request, answer: Answer) -> Answer:
        limit = self.limit()
        if limit:
            left = math.floor(self.tokens())
            answer.headers |= {"X-RateLimit-Limit": str(math.floor(limit[0])), "X-RateLimit-Remaining": str(left),
                               "X-RateLimit-NearLimit": str(left < limit[0] / 5).lower()}
        return answer

    def _dispatch(self, request: Request) -> Answer:
        try:
            return super()._dispatch(request)
        except FieldErrors as error:
            answer = Answer(400, {"errorMessages": error.messages, "errors": error.errors})
        except JqlError as error:
            answer = self.fail(400, str(error))
        raise Refusal(answer)

    def _refuse(self, status: int, message: str = "", errors: dict | None = None) -> Refusal:
        return Refusal(self.fail(status, message, errors))

    def _object(self, request: Request) -> dict:
        try:
            body = request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self._refuse(400, "Invalid request payload. Refer to the REST API documentation and try again.")
        return body

    def _issue(self, name: str) -> dict:
        """An issue by id or key, to read only."""
        issue = self.store.get("issues", name) or self.store.get("issues", self._ids().get(name.upper(), ""))
        if issue is None:
            raise self._refuse(404, GONE)
        return issue

    def _ids(self) -> dict[str, str]:
        return {issue["key"]: issue["id"] for issue in self.store.all("issues")}

    def _issue_to_write(self, request: Request, name: str) -> dict:
        """An issue about to be written to, within the limit of writes to one issue."""
        issue = self._issue(name)
        limit = self.settings["per_issue_writes"]
        if limit:
            recent, now = self._writes[issue["id"]], time.monotonic()
            while recent and recent[0] <= now - limit["seconds"]:
                recent.popleft()
            if len(recent) >= limit["count"]:
                wait = recent[0] + limit["seconds"] - now
                raise Refusal(self.throttled(request, wait, "jira-per-issue-on-write"))
            recent.append(now)
        return issue

    # Account and project.

    @route("GET", API + "/myself")
    def myself(self, request: Request) -> Answer:
        return Answer(200, {"self": f"{request.origin}{API}/user?accountId=sandbox-bot", **self._account(),
                            "emailAddress": self.settings["email"], "active": True})

    @route("GET", API + "/project/{key}")
    def project(self, request: Request, key: str) -> Answer:
        for name in self.settings["projects"]:
            shown = project_object(name, self.settings["projects"])
            if key in (shown["key"], shown["id"]):
                return Answer(200, {**shown, "self": f"{request.origin}{API}/project/{shown['id']}"})
        raise self._refuse(404, f"No project could be found with key '{key}'.")

    def _account(self) -> dict:
        return {"accountId": "sandbox-bot", "accountType": "atlassian", "displayName": "Offboard Bot"}

    # Issues.

    @route("POST", API + "/issue")
    def create_issue(self, request: Request) -> Answer:
        body = self._object(request)
        fields = read_fields(body.get("fields"), self.settings["projects"], creating=True)
        issue = self._new_issue(fields, read_properties(body))
        return Answer(201, {"id": issue["id"], "key": issue["key"], "self": _issue_url(request, issue)})

    @route("GET", API + "/issue/{name}")
    def read_issue(self, request: Request, name: str) -> Answer:
        issue = self._issue(name)
        wanted = request.params.get("fields", "*all").split(",")
        shown = {"expand": "renderedFields,names,schema", "id": issue["id"], "self": _issue_url(request, issue),
                 "key": issue["key"], "fields": self._fields(request, issue, wanted)}
        properties = request.params.get("properties")
        if properties:
            shown["properties"] = {key: value for key, value in issue["properties"].items()
                                   if properties == "*all" or key in properties.split(",")}
        return Answer(200, shown)

    @route("PUT", API + "/issue/{name}")
    def edit_issue(self, request: Request, name: str) -> Answer:
        body, issue = self._object(request), self._issue_to_write(request, name)
        fields = read_fields(body.get("fields", {}), self.settings["projects"], creating=False)
        if "update" in body:
            fields["labels"] = apply_label_changes(fields.get("labels", issue["fields"]["labels"]), body["update"])
        self._save(issue, {"fields": {**issue["fields"], **fields},
                           "properties": {**issue["properties"], **read_properties(body)}})
        return Answer(204)

    @route("DELETE", API + "/issue/{name}")
    def delete_issue(self, request: Request, name: str) -> Answer:
        issue = self._issue(name)
        for comment in list(self._comments(issue)):
            self.store.remove("comments", comment["id"])
        self.store.remove("issues", issue["id"])
        return Answer(204)

    def _new_issue(self, fields: dict, properties: dict, key: str | None = None) -> dict:
        project = fields["project"]["key"]
        if key:
            self.store.reserve_number("key " + project, int(key.rpartition("-")[2]))
        key = key or f"{project}-{self.store.next_number('key ' + project)}"
        now = _now()
        issue = {"id": str(self.store.next_number("issue", 10001)), "key": key, "properties": properties,
                 "remotelinks": [],
                 "fields": {"labels": [], "description": None, "assignee": None, "duedate": None,
                            "priority": {"id": "3", "name": "Medium"}, "reporter": self._account(),
                            "status": self._status(self.settings["workflow"][0]["to"]), **fields,
                            "created": now, "updated": now}}
        self.store.put("issues", issue["id"], issue)
        return issue

    def _save(self, issue: dict, changes: dict) -> None:
        """Store an issue with changes, as updated now unless they change nothing."""
        if any(issue[key] != value for key, value in changes.items()):
            changed = {**issue, **changes}
            self.store.put("issues", issue["id"], {**changed, "fields": {**changed["fields"], "updated": _now()}})

    def _fields(self, request: Request, issue: dict, wanted: list[str]) -> dict:
        """The fields asked for: names, `*all`, `-name`."""
        every = set(issue["fields"]) | {"comment"}
        names = {name.strip() for name in wanted}
        chosen = every if names & {"*all", "*navigable"} or all(n.startswith("-") for n in names) else every & names
        chosen = chosen - {name[1:] for name in names if name.startswith("-")}
        fields = {key: value for key, value in issue["fields"].items() if key in chosen}
        if "comment" in chosen:
            comments = [_show_comment(request, issue, comment, False) for comment in self._comments(issue)]
            fields["comment"] = {"comments": comments, "total": len(comments), "maxResults": len(comments), "startAt": 0}
        return fields

    # Comments.

    @route("POST", API + "/issue/{name}/comment")
    def create_comment(self, request: Request, name: str) -> Answer:
        body, issue = self._object(request), self._issue_to_write(request, name)
        if body.get("body") is None:
            raise FieldErrors({"comment": "Comment body can not be empty!"})
        document = read_document(body["body"], "comment")
        if sum(1 for _ in self._comments(issue)) >= self.settings["comment_limit"]:
            raise self._refuse(413, "The issue has reached its limit of comments.")
        comment = self._new_comment(issue, document, read_properties(body))
        return Answer(201, _show_comment(request, issue, comment, "properties" in request.params.get("expand", "")))

    @route("GET", API + "/issue/{name}/comment")
    def list_comments(self, request: Request, name: str) -> Answer:
        issue, params = self._issue(name), request.params
        comments = list(self._comments(issue))
        if params.get("orderBy") == "-created":
            comments.reverse()
        start, count = self._number(params, "startAt", 0), self._number(params, "maxResults", 100)
        page = comments[start:start + min(count, 100)]
        expand = "properties" in params.get("expand", "").split(",")
        return Answer(200, {"startAt": start, "maxResults": min(count, 100), "total": len(comments),
                            "comments": [_show_comment(request, issue, comment, expand) for comment in page]})

    @route("GET", API + "/issue/{name}/comment/{key}")
    def read_comment(self, request: Request, name: str, key: str) -> Answer:
        issue = self._issue(name)
        comment = self._comment(issue, key)
        return Answer(200, _show_comment(request, issue, comment, "properties" in request.params.get("expand", "")))

    @route("DELETE", API + "/issue/{name}/comment/{key}")
    def delete_comment(self, request: Request, name: str, key: str) -> Answer:
        issue = self._issue_to_write(request, name)
        self.store.remove("comments", self._comment(issue, key)["id"])
        return Answer(204)

    def _comment(self, issue: dict, key: str) -> dict:
        comment = self.store.get("comments", key)
        if comment is None or comment["issue"] != issue["id"]:
            raise self._refuse(404, f"Can not find a comment for the id: {key}.")
        return comment

    def _comments(self, issue: dict):
        return (comment for comment in self.store.all("comments") if comment["issue"] == issue["id"])

    def _new_comment(self, issue: dict, document: dict, properties: dict) -> dict:
        now = _now()
        comment = {"id": str(self.store.next_number("comment", 10100)), "issue": issue["id"], "author": self._account(),
                   "body": document, "created": now, "updated": now, "properties": properties}
        self.store.put("comments", comment["id"], comment)
        return comment

    # Transitions, properties, remote links.

    @route("GET", API + "/issue/{name}/transitions")
    def list_transitions(self, request: Request, name: str) -> Answer:
        return Answer(200, {"expand": "transitions", "transitions": self._transitions(self._issue(name))})

    @route("POST", API + "/issue/{name}/transitions")
    def make_transition(self, request: Request, name: str) -> Answer:
        body, issue = self._object(request), self._issue_to_write(request, name)
        wanted = body.get("transition")
        if not isinstance(wanted, dict) or not wanted.get("id"):
            raise self._refuse(400, "Missing 'transition' identifier")
        for transition in self._transitions(issue):
            if transition["id"] == str(wanted["id"]):
                self._save(issue, {"fields": {**issue["fields"], "status": transition["to"]}})
                return Answer(204)
        raise self._refuse(400, f"Transition id '{wanted['id']}' is not valid for this issue.")

    def _transitions(self, issue: dict) -> list[dict]:
        """Those that lead out of the issue's status."""
        return [{"id": item["id"], "name": item["name"], "to": self._status(item["to"]), "isAvailable": True}
                for item in self.settings["workflow"]
                if (now := issue["fields"]["status"]["name"]) != item["to"] and now in item.get("from", [now])]

    def _status(self, name: str) -> dict:
        names = [item["to"] for item in self.settings["workflow"]]
        return {"id": str(10000 + names.index(name)), "name": name}

    @route("GET", API + "/issue/{name}/properties")
    def list_properties(self, request: Request, name: str) -> Answer:
        issue = self._issue(name)
        return Answer(200, {"keys": [{"self": f"{_issue_url(request, issue)}/properties/{key}", "key": key}
                                     for key in issue["properties"]]})

    @route("GET", API + "/issue/{name}/properties/{key}")
    def read_property(self, request: Request, name: str, key: str) -> Answer:
        properties = self._issue(name)["properties"]
        if key not in properties:
            raise self._refuse(404, f"The property with key '{key}' does not exist.")
        return Answer(200, {"key": key, "value": properties[key]})

    @route("PUT", API + "/issue/{name}/properties/{key}")
    def set_property(self, request: Request, name: str, key: str) -> Answer:
        issue = self._issue_to_write(request, name)
        try:
            value = request.json()
        except ValueError:
            raise self._refuse(400, "The property value must be valid JSON.") from None
        if len(request.text) > PROPERTY_LIMIT or len(key) > 255:
            raise self._refuse(400, "The property key or value is too long.")
        self._save(issue, {"properties": {**issue["properties"], key: value}})
        return Answer(200 if key in issue["properties"] else 201)

    @route("DELETE", API + "/issue/{name}/properties/{key}")
    def delete_property(self, request: Request, name: str, key: str) -> Answer:
        self.read_property(request, name, key)
        issue = self._issue_to_write(request, name)
        self._save(issue, {"properties": {k: v for k, v in issue["properties"].items() if k != key}})
        return Answer(204)

    @route("GET", API + "/issue/{name}/remotelink")
    def list_links(self, request: Request, name: str) -> Answer:
        return Answer(200, self._issue(name)["remotelinks"])

    @route("POST", API + "/issue/{name}/remotelink")
    def set_link(self, request: Request, name: str) -> Answer:
        body, issue = self._object(request), self._issue_to_write(request, name)
        target = body.get("object")
        if not isinstance(target, dict) or not target.get("url") or not target.get("title"):
            raise self._refuse(400, "", {"object": "'url' and 'title' are required."})
        wanted = body.get("globalId")
        held = next((link for link in issue["remotelinks"] if wanted and link.get("globalId") == wanted), None)
        link = {**body, "id": held["id"] if held else self.store.next_number("link", 10000)}
        self._save(issue, {"remotelinks": [item for item in issue["remotelinks"] if item is not held] + [link]})
        return Answer(200 if held else 201, {"id": link["id"],
                                             "self": f"{_issue_url(request, issue)}/remotelink/{link['id']}"})

    # Search.

    @route("GET", API + "/search", reads=True)
    @route("POST", API + "/search", reads=True)
    def removed_search(self, request: Request) -> Answer:
        raise self._refuse(410, f"The requested API has been removed. Please migrate to the {API}/search/jql API.")

    @route("GET", API + "/search/jql")
    def search_by_query(self, request: Request) -> Answer:
        return self._search(request, params_of_query(request.params))

    @route("POST", API + "/search/jql", reads=True)
    def search_by_body(self, request: Request) -> Answer:
        return self._search(request, self._object(request))

    def _search(self, request: Request, params: dict) -> Answer:
        """Look into the index, and at the issues to reconcile as they are now."""
        documents = self.index.documents(self.settings["search_lag"])
        for key in reconciled(params):
            documents.pop(key, None)
            if self.store.get("issues", key):
                documents[key] = self.store.get("issues", key)
        known = [project_object(key, self.settings["projects"]) for key in self.settings["projects"]]
        page, token = search_page(params, list(documents.values()), {item[k] for item in known for k in ("key", "id")})
        body = {"issues": [self._show_found(request, issue, params.get("fields")) for issue in page],
                "isLast": token is None}
        return Answer(200, body if token is None else {**body, "nextPageToken": token})

    def _show_found(self, request: Request, issue: dict, fields: list[str] | None) -> dict:
        if not fields or fields == ["id"]:
            return {"id": issue["id"]}
        shown = {"expand": "renderedFields,names,schema", "id": issue["id"], "self": _issue_url(request, issue),
                 "key": issue["key"]}
        if set(fields) - {"id", "key"}:
            shown["fields"] = self._fields(request, issue, fields)
        return shown

    def _number(self, params: dict, name: str, default: int) -> int:
        text = str(params.get(name, default))
        if not text.isdigit():
            raise self._refuse(400, f"'{name}' must be a number of 0 or more")
        return int(text)

    # State for tests.

    def seed(self, state: dict) -> None:
        """Issues by key: fields, properties, and comments (a body may be plain text). A known key is merged into."""
        for given in state.get("issues", []):
            key = given.get("key", "")
            project = key.rpartition("-")[0] or self.settings["projects"][0]
            fields = {"project": {"key": project}, "issuetype": {"name": "Task"}, "summary": key or "Seeded",
                      **given.get("fields", {})}
            status = fields.pop("status", None)
            issue = self.store.get("issues", self._ids().get(key, ""))
            try:
                if issue:
                    fields = read_fields(given.get("fields", {}), self.settings["projects"], creating=False)
                else:
                    fields = read_fields(fields, self.settings["projects"], creating=True)
                    issue = self._new_issue(fields, {}, key or None)
                if status:
                    fields["status"] = self._status(status["name"])
                self._save(issue, {"fields": {**issue["fields"], **fields},
                                   "properties": {**issue["properties"], **given.get("properties", {})}})
                for comment in given.get("comments", []):
                    body = comment["body"]
                    document = read_document(to_document(body) if isinstance(body, str) else body, "comment")
                    self._new_comment(issue, document, read_properties(comment))
            except FieldErrors as error:
                raise ValueError(f"{self.name}: issues: {error.errors or error.messages}") from error

    def export(self) -> dict:
        issues = []
        for issue in self.store.all("issues"):
            comments = [{**comment, "text": plain_text(comment["body"])} for comment in self._comments(issue)]
            issues.append({**issue, "comments": comments,
                           "description_text": plain_text(issue["fields"]["description"])})
        return {"issues": issues}


def _show_comment(request: Request, issue: dict, comment: dict, with_properties: bool) -> dict:
    shown = {"self": f"{_issue_url(request, issue)}/comment/{comment['id']}", "id": comment["id"],
             "author": comment["author"], "body": comment["body"], "updateAuthor": comment["author"],
             "created": comment["created"], "updated": comment["updated"], "jsdPublic": True}
    if with_properties:
        shown["properties"] = [{"key": key, "value": value} for key, value in comment["properties"].items()]
    return shown


def _issue_url(request: Request, issue: dict) -> str:
    return f"{request.origin}{API}/issue/{issue['id']}"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
