"""One page of a Jira search: checks the request's parameters, runs the query, and cuts the page out."""

import base64
import json

from formats.jira_fields import is_list_of
from formats.jql import JqlError, parse_jql

RECONCILE_LIMIT = 50
_BAD_REQUEST = "Invalid request payload. Refer to the REST API documentation and try again."


def params_of_query(query: dict[str, str]) -> dict:
    """The parameters of the GET form as the POST form has them."""
    params: dict = dict(query)
    if "fields" in params:
        params["fields"] = params["fields"].split(",")
    if "reconcileIssues" in params:
        params["reconcileIssues"] = [_integer(key) for key in params["reconcileIssues"].split(",")]
    if "maxResults" in params:
        params["maxResults"] = _integer(params["maxResults"])
    return params


def reconciled(params: dict) -> list[str]:
    """Ids of the issues whose present state is to be searched, whatever the index says. JqlError when faulty."""
    keys = params.get("reconcileIssues") or []
    if not is_list_of(keys, int) or len(keys) > RECONCILE_LIMIT:
        raise JqlError(f"reconcileIssues takes at most {RECONCILE_LIMIT} issue ids")
    return [str(key) for key in keys]


def search_page(params: dict, documents: list[dict], projects: set[str]) -> tuple[list[dict], str | None]:
    """The documents of the page asked for and the token of the next, None on the last. JqlError when refused."""
    jql, fields, limit = params.get("jql") or "", params.get("fields") or [], params.get("maxResults", 50)
    if not isinstance(jql, str) or not is_list_of([limit], int) or limit < 0 or not is_list_of(fields, str):
        raise JqlError(_BAD_REQUEST)
    found = parse_jql(jql, projects).run(documents)
    start = _page_start(jql, params.get("nextPageToken"))
    largest = 5000 if set(fields) <= {"id", "key"} else 100
    end = start + min(limit, largest)
    return found[start:end], _page_token(jql, end) if end < len(found) else None


def _page_start(jql: str, token) -> int:
    """A token is good for the query it came from only."""
    if token is None:
        return 0
    try:
        start = json.loads(base64.urlsafe_b64decode(token))["at"]
    except (ValueError, TypeError, KeyError):
        start = None
    if start is None or token != _page_token(jql, start):
        raise JqlError("The provided next page token is invalid for this query.")
    return start


def _page_token(jql: str, start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"at": start, "jql": jql}).encode()).decode()


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise JqlError(_BAD_REQUEST) from None
