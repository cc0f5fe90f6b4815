"""How Microsoft Graph answers: errors, $select, $filter, pages with an absolute link, and reads that lag behind the writes."""

import functools
import re
import time
import urllib.parse
import uuid

from core.vendor import Answer, Refusal, Request, route
from vendors.entra_tokens import now_text

API = "/v1.0"
PAGE_DEFAULT, PAGE_MAX = 100, 999
CODES = {400: "Request_BadRequest", 401: "InvalidAuthenticationToken", 403: "Authorization_RequestDenied",
         404: "Request_ResourceNotFound",
         405: "Request_BadRequest", 409: "Request_Conflict", 429: "TooManyRequests", 500: "InternalServerError",
         502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}
# Whose words a refusal for lack of permission has, by what a path holds; else the directory's.
DENIALS = (("/mailboxSettings", "ErrorAccessDenied", "Access is denied. Check credentials and try again."),
           ("/drive", "accessDenied", "Access denied"), ("/authentication/", "accessDenied", "Request Authorization failed"),
           ("/deviceManagement", "Forbidden", "Application is not authorized to perform this operation."),
           ("/managedDevices", "Forbidden", "Application is not authorized to perform this operation."))


def error_body(code: str, message: str) -> dict:
    request = str(uuid.uuid4())
    return {"error": {"code": code, "message": message,
                      "innerError": {"date": now_text().rstrip("Z"), "request-id": request, "client-request-id": request}}}


def refusal(status: int, message: str, code: str = "") -> Refusal:
    """To raise from a handler."""
    return Refusal(Answer(status, error_body(code or CODES[status], message)))


def not_found(key: str) -> Refusal:
    return refusal(404, f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.")


def call(method: str, path: str, *permissions: str, reads: bool = False):
    """Mark a method of the API, open to an application with one of the permissions."""

    def mark(function):
        @functools.wraps(function)
        def admitted(self, request: Request, **names: str) -> Answer:
            if not self.may(*permissions):
                own = ((code, text) for part, code, text in DENIALS if part in request.path)
                code, text = next(own, (CODES[403], "Insufficient privileges to complete the operation."))
                raise refusal(403, text, code)
            return function(self, request, **names)

        return route(method, API + path, reads=reads)(admitted)

    return mark


def read_object(request: Request) -> dict:
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise refusal(400, "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of "
                           "valid JSON format.",
                      "BadRequest")
    return body


def selected(request: Request, item: dict, known: frozenset[str], usual: frozenset[str] | None = None) -> dict:
    """The members that $select names, else the usual ones (None: all)."""
    asked = request.params.get("$select")
    names = asked.split(",") if asked else usual
    for name in asked.split(",") if asked else ():
        if name not in known:
            raise refusal(400, f"Parsing OData Select and Expand failed: Could not find a property named '{name}'.", "BadRequest")
    kept = {name: value for name, value in item.items() if names is None or name in names or name.startswith("@")}
    return {**({"id": item["id"]} if "id" in item else {}), **kept}


def is_advanced(request: Request) -> bool:
    """Does it have what advanced queries of the directory need?"""
    return request.headers.get("consistencylevel") == "eventual" and request.params.get("$count") == "true"


def filter_of(request: Request, known: frozenset[str]):
    """A predicate for $filter: comparisons `name eq 'text'` or, of a list, `name/any(a:a eq 'text')`, joined by `or`."""
    text = request.params.get("$filter")
    if text is None:
        return lambda item: True
    pairs = []
    for part in re.split(r"\s+or\s+(?=\w+(?:\s+eq\s|/any))", text):
        found = re.fullmatch(r"(\w+)\s+eq\s+'((?:[^']|'')*)'|(\w+)/any\((\w):\4 eq '((?:[^']|'')*)'\)", part.strip())
        if not found or (found[1] or found[3]) not in known:
            raise refusal(400, f"Invalid filter clause: {text}", "BadRequest")
        pairs.append((found[1] or found[3], (found[2] or found[5] or "").replace("''", "'").lower()))

    def held(item: dict, name: str) -> list[str]:
        value = item.get(name) or ""
        return [str(one).lower() for one in (value if isinstance(value, list) else [value])]

    return lambda item: any(value in held(item, name) for name, value in pairs)


def context(request: Request, name: str) -> dict:
    return {"@odata.context": f"{request.origin}{API}/$metadata#{name}"}


class Pages:
    """Lists in pages, and reads that lag. Part of the vendor; its settings have `page_size` and `read_lag`."""

    def start(self) -> None:
        super().start()
        self._versions: dict[tuple[str, str], list[tuple[float, dict | None]]] = {}

    def changed(self, changes: list[tuple[str, str]], *, seeded: bool = False) -> None:
        """What was changed is seen later, and what a test seeds at once."""
        now = time.monotonic()
        for change in changes:
            old = [] if seeded else self._versions.get(change, [])
            self._versions[change] = [*old, (now if seeded else now + self.settings["read_lag"], self.store.get(*change))]

    def seen(self, kind: str, key: str) -> dict | None:
        """The object as a read sees it by now."""
        now, value = time.monotonic(), None
        for since, version in self._versions.get((kind, key), []):
            value = version if since <= now else value
        return value

    def seen_all(self, kind: str) -> list[dict]:
        found = (self.seen(kind, key) for held, key in list(self._versions) if held == kind)
        return [item for item in found if item is not None]

    def page(self, request: Request, items: list[dict], name: str, default: int = PAGE_DEFAULT) -> Answer:
        """A page of a list and, unless it is the last, the absolute link to the next."""
        params = request.params
        top, skip = params.get("$top", str(default)), params.get("$skiptoken", "0")
        if not top.isdigit() or not 1 <= int(top) <= PAGE_MAX:
            raise refusal(400, f"Invalid page size specified: '{top}'. Must be between 1 and 999 inclusive.")
        if not skip.isdigit():
            raise refusal(400, "The specified page token value has expired and can no longer be included in your request.",
                          "Directory_ExpiredPageToken")
        end = int(skip) + min(int(top), self.settings["page_size"] or PAGE_MAX)
        answer = {**context(request, name), "value": items[int(skip):end]}
        if end < len(items):
            kept = {key: value for key, value in params.items() if key != "$skiptoken"}
            query = urllib.parse.urlencode({**kept, "$skiptoken": str(end)}, safe="$,", quote_via=urllib.parse.quote)
            answer["@odata.nextLink"] = f"{request.origin}{request.path}?{query}"
        return Answer(200, answer)
