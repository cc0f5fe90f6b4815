"""Jira: refusals, issues, comments, properties, transitions, and the search that lags behind."""

import time

import pytest


def document(text):
    return {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}]}


def fields(**changes):
    merged = {"project": {"key": "IT"}, "issuetype": {"name": "Task"}, "summary": "Offboard Ann",
              "labels": ["offboard-1"], "description": document("Started by HR"), **changes}
    return {"fields": {key: value for key, value in merged.items() if value is not None}}


def create(jira, **changes):
    answer = jira("POST", "/issue", fields(**changes))
    assert answer.status == 201, answer.text
    return answer.json


def search(jira, jql, **params):
    answer = jira("POST", "/search/jql", {"jql": jql, "fields": ["key"], **params})
    assert answer.status == 200, answer.text
    return answer.json


def keys(jira, jql, **params):
    return [issue["key"] for issue in search(jira, jql, **params)["issues"]]


@pytest.mark.parametrize("authorization", [None, "Bearer sandbox-jira-token-s3cret", "Basic d3Jvbmc6d3Jvbmc="])
def test_auth_is_refused_without_effect(sandbox, jira, authorization):
    answer = jira("POST", "/issue", fields(), Authorization=authorization)
    assert answer.status == 401 and answer.json["errorMessages"] and answer.json["errors"] == {}
    assert sandbox.state("jira")["issues"] == []


def test_create_and_read(sandbox, jira):
    created = jira("POST", "/issue", {**fields(), "properties": [{"key": "offboarding", "value": {"run": "r1"}}]}).json
    assert set(created) == {"id", "key", "self"} and created["key"] == "IT-1"
    assert created["self"].endswith(f"/rest/api/3/issue/{created['id']}")
    shown = jira("GET", f"/issue/{created['key']}?fields=status,labels&properties=offboarding").json
    assert shown["fields"] == {"status": {"id": "10000", "name": "To Do"}, "labels": ["offboard-1"]}
    assert shown["properties"] == {"offboarding": {"run": "r1"}}
    whole = jira("GET", f"/issue/{created['id']}").json
    assert whole["fields"]["summary"] == "Offboard Ann" and whole["fields"]["comment"]["total"] == 0
    assert "properties" not in whole
    assert create(jira)["key"] == "IT-2", "there is no idempotency key: the same request is another issue"
    assert create(jira, project={"key": "HR"})["key"] == "HR-1"
    assert sandbox.state("jira")["issues"][0]["description_text"] == "Started by HR"


@pytest.mark.parametrize("changes, field", [
    ({"project": None}, "project"), ({"project": {"key": "NOPE"}}, "project"),
    ({"issuetype": None}, "issuetype"), ({"issuetype": {"name": "Epos"}}, "issuetype"),
    ({"summary": None}, "summary"), ({"summary": "a\nb"}, "summary"), ({"summary": "x" * 256}, "summary"),
    ({"labels": ["two words"]}, "labels"), ({"labels": "one"}, "labels"),
    ({"description": "plain text"}, "description"), ({"colour": "red"}, "colour"),
    ({"assignee": "ann"}, "assignee"), ({"duedate": "tomorrow"}, "duedate"),
])
def test_faulty_fields_are_named(sandbox, jira, changes, field):
    answer = jira("POST", "/issue", fields(**changes))
    assert answer.status == 400 and list(answer.json["errors"]) == [field] and answer.json["errorMessages"] == []
    assert sandbox.state("jira")["issues"] == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", {}, {"fields": []}])
def test_faulty_bodies(jira, body):
    answer = jira("POST", "/issue", body)
    assert answer.status == 400 and set(answer.json) == {"errorMessages", "errors"}


@pytest.mark.parametrize("nonsense", [None, 1, True, "x", [], {}, [None], {"key": []}, [{"add": 1}]], ids=repr)
def test_nonsense_is_refused_or_harmless(jira, nonsense):
    """No JSON makes the server fail; the fixture's end checks that it logged no defect either."""
    key = create(jira)["key"]
    for name in ("project", "summary", "labels", "description", "priority", "assignee"):
        assert jira("POST", "/issue", fields(**{name: nonsense})).status in (201, 400)
    for body in ({"fields": nonsense}, {"update": nonsense}, {"update": {"labels": nonsense}}, {"properties": nonsense}):
        assert jira("PUT", f"/issue/{key}", body).status in (204, 400)
    for path in ("comment", "transitions", "remotelink"):
        assert jira("POST", f"/issue/{key}/{path}", {"body": nonsense, "transition": nonsense, "object": nonsense}).status == 400
    for name in ("jql", "fields", "maxResults", "nextPageToken", "reconcileIssues"):
        assert jira("POST", "/search/jql", {"jql": "project = IT", name: nonsense}).status in (200, 400)


def test_faulty_documents_and_content_types(jira):
    empty_text = {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": ""}]}]}
    assert jira("POST", "/issue", fields(description=empty_text)).json["errorMessages"] == ["INVALID_INPUT"]
    assert jira("POST", "/issue", fields(), Content_Type="text/plain").status == 415


def test_unknown_paths_issues_and_methods(jira):
    for method, path, status in (("GET", "/issue/IT-99", 404), ("GET", "/nothing", 404), ("PATCH", "/issue", 405),
                                 ("GET", "/issue/IT-99/comment", 404), ("POST", "/search", 410), ("GET", "/search?jql=x", 410)):
        answer = jira(method, path, {} if method == "POST" else None)
        assert answer.status == status and answer.json["errorMessages"]


def test_comments_with_properties_and_pages(sandbox, jira):
    key = create(jira)["key"]
    for n in range(5):
        answer = jira("POST", f"/issue/{key}/comment", {"body": document(f"step {n}"),
                                                         "properties": [{"key": "step", "value": {"job": n}}]})
        assert answer.status == 201 and answer.json["id"] and "properties" not in answer.json
    plain = jira("GET", f"/issue/{key}/comment").json
    assert (plain["startAt"], plain["total"], len(plain["comments"])) == (0, 5, 5)
    assert "properties" not in plain["comments"][0]
    page = jira("GET", f"/issue/{key}/comment?startAt=3&maxResults=1&expand=properties").json
    assert [comment["properties"] for comment in page["comments"]] == [[{"key": "step", "value": {"job": 3}}]]
    newest = jira("GET", f"/issue/{key}/comment?orderBy=-created&maxResults=1&expand=properties").json["comments"][0]
    assert newest["properties"][0]["value"] == {"job": 4}
    state = sandbox.state("jira")["issues"][0]["comments"]
    assert [(comment["text"], comment["properties"]) for comment in state][0] == ("step 0", {"step": {"job": 0}})


def test_comment_refusals(sandbox, jira):
    key = create(jira)["key"]
    assert "comment" in jira("POST", f"/issue/{key}/comment", {}).json["errors"]
    assert jira("POST", f"/issue/{key}/comment", {"body": "text"}).status == 400
    assert jira("POST", f"/issue/{key}/comment", {"body": document("x"), "properties": {"step": 1}}).status == 400
    sandbox.settings("jira", comment_limit=1)
    assert jira("POST", f"/issue/{key}/comment", {"body": document("x")}).status == 201
    assert jira("POST", f"/issue/{key}/comment", {"body": document("x")}).status == 413


def test_writes_to_one_issue_are_limited(sandbox, jira):
    one, two = create(jira)["key"], create(jira)["key"]
    sandbox.settings("jira", per_issue_writes={"count": 2, "seconds": 30})
    seen = [jira("POST", f"/issue/{one}/comment", {"body": document("x")}) for _ in range(3)]
    assert [answer.status for answer in seen] == [201, 201, 429]
    assert seen[2].headers["RateLimit-Reason"] == "jira-per-issue-on-write" and int(seen[2].headers["Retry-After"]) > 20
    assert jira("POST", f"/issue/{two}/comment", {"body": document("x")}).status == 201


def test_properties(jira):
    path = f"/issue/{create(jira)['key']}/properties/offboarding"
    assert jira("GET", path).status == 404
    assert jira("PUT", path, {"run": 1}).status == 201
    assert jira("PUT", path, {"run": 2}).status == 200
    assert jira("GET", path).json == {"key": "offboarding", "value": {"run": 2}}
    assert jira("PUT", path, b"not json").status == 400
    assert jira("PUT", path, "x" * 32768).status == 400
    assert [item["key"] for item in jira("GET", path.rpartition("/")[0]).json["keys"]] == ["offboarding"]
    assert jira("DELETE", path).status == 204 and jira("DELETE", path).status == 404


def test_transitions(sandbox, jira):
    path = f"/issue/{create(jira)['key']}/transitions"
    listed = jira("GET", path).json["transitions"]
    assert [item["to"]["name"] for item in listed] == ["In Progress", "Done"]
    done = listed[1]["id"]
    assert jira("POST", path, {"transition": {"id": done}}).status == 204
    assert sandbox.state("jira")["issues"][0]["fields"]["status"]["name"] == "Done"
    assert jira("POST", path, {"transition": {"id": done}}).status == 400, "it is there already: not listed any more"
    assert jira("POST", path, {}).status == 400


def test_edit_and_remote_link(sandbox, jira):
    key = create(jira)["key"]
    assert jira("PUT", f"/issue/{key}", {"fields": {"summary": "Done"}, "update": {"labels": [{"add": "x"}]}}).status == 204
    assert jira("PUT", f"/issue/{key}", {"fields": {"project": {"key": "HR"}}}).status == 400
    link = {"globalId": "run-1", "object": {"url": "https://console.example", "title": "Run"}}
    assert [jira("POST", f"/issue/{key}/remotelink", link).status for _ in range(2)] == [201, 200]
    issue = sandbox.state("jira")["issues"][0]
    assert (issue["fields"]["summary"], issue["fields"]["labels"]) == ("Done", ["offboard-1", "x"])
    assert len(issue["remotelinks"]) == 1


def test_search_default_fields_and_pages(jira):
    made = [create(jira, labels=["many"])["key"] for _ in range(5)]
    assert all(set(issue) == {"id"} for issue in jira("POST", "/search/jql", {"jql": "labels = many"}).json["issues"])
    jql, seen, token = 'project = IT AND labels = "many" ORDER BY key ASC', [], {}
    for last in (False, False, True):
        page = search(jira, jql, maxResults=2, fields=["status"], **token)
        assert all(issue["fields"] == {"status": {"id": "10000", "name": "To Do"}} for issue in page["issues"])
        seen += [issue["key"] for issue in page["issues"]]
        assert page["isLast"] is last and ("nextPageToken" in page) is not last
        token = {"nextPageToken": page["nextPageToken"]} if not last else token
    assert seen == made
    assert jira("POST", "/search/jql", {"jql": "labels = other", **token}).status == 400
    assert jira("GET", "/search/jql?jql=labels%20%3D%20many&fields=key&maxResults=1").json["isLast"] is False


@pytest.mark.parametrize("jql, expected", [
    ('labels = "offboard-1"', ["IT-2", "IT-1"]),
    ("labels = OFFBOARD-1 and status = Done", []),
    ("labels in (offboard-2, offboard-3)", ["HR-1"]),
    ("labels not in (offboard-2)", ["IT-2", "IT-1"]),
    ("labels is EMPTY", ["IT-3"]),
    ("labels is not EMPTY AND project = HR", ["HR-1"]),
    ("NOT labels = offboard-1 AND (project = HR OR key = IT-3) ORDER BY key", ["HR-1", "IT-3"]),
    ('summary ~ "bob" OR summary ~ nobody', ["HR-1"]),
    ('project != IT', ["HR-1"]),
    ('created >= -1h AND project = HR', ["HR-1"]),
    ('created < "2020-01-01" AND project = HR', []),
])
def test_jql(jira, jql, expected):
    create(jira), create(jira), create(jira, labels=None)
    create(jira, project={"key": "HR"}, labels=["offboard-2"], summary="Offboard Bob")
    assert keys(jira, jql) == expected


@pytest.mark.parametrize("jql", ["", "ORDER BY created", "labels =", "labels = a b", "colour = red", "project = NOPE",
                                 'labels = "a', "labels = order", "summary = x", "labels > x", "created > soon", "labels in a"])
def test_refused_jql(jira, jql):
    answer = jira("POST", "/search/jql", {"jql": jql})
    assert answer.status == 400 and answer.json["errorMessages"] and answer.json["errors"] == {}


def test_search_lags_and_reading_does_not(sandbox, jira):
    sandbox.settings("jira", search_lag=60)
    created = create(jira)
    assert keys(jira, "labels = offboard-1") == []
    assert jira("GET", f"/issue/{created['key']}").status == 200
    assert keys(jira, "labels = offboard-1", reconcileIssues=[int(created["id"])]) == ["IT-1"]
    assert keys(jira, "labels = offboard-2", reconcileIssues=[int(created["id"])]) == []
    for faulty in (["10001"], list(range(51)), 7):
        assert jira("POST", "/search/jql", {"jql": "project = IT", "reconcileIssues": faulty}).status == 400
    sandbox.settings("jira", search_lag=0)
    assert keys(jira, "labels = offboard-1") == ["IT-1"]


def test_the_index_catches_up_by_itself_and_lags_with_changes_too(sandbox, jira):
    sandbox.settings("jira", search_lag=0.4)
    began = time.monotonic()
    key = create(jira)["key"]
    while not keys(jira, "labels = offboard-1"):
        assert time.monotonic() - began < 10
    assert time.monotonic() - began >= 0.4
    sandbox.settings("jira", search_lag=60)
    jira("PUT", f"/issue/{key}", {"fields": {"labels": ["changed"]}})
    assert keys(jira, "labels = changed") == [] and keys(jira, "labels = offboard-1") == [key]
    assert jira("DELETE", f"/issue/{key}").status == 204
    assert keys(jira, "labels = offboard-1") == [key], "the index still holds what is gone"
    sandbox.settings("jira", search_lag=0)
    assert keys(jira, "labels = offboard-1") == []


def test_seed(sandbox, jira):
    sandbox.settings("jira", search_lag=60)
    sandbox.seed("jira", {"issues": [{"key": "IT-7", "fields": {"labels": ["seeded"], "status": {"name": "Done"}},
                                      "properties": {"offboarding": {"run": "r"}}, "comments": [{"body": "hello"}]}]})
    issue = sandbox.state("jira")["issues"][0]
    assert (issue["key"], issue["fields"]["status"]["name"], issue["comments"][0]["text"]) == ("IT-7", "Done", "hello")
    assert keys(jira, "labels = seeded") == ["IT-7"], "what was there before is in the index"
    assert create(jira)["key"] == "IT-8"
    assert jira("GET", "/myself").json["emailAddress"] == "bot@example.com"
    assert jira("GET", "/project/HR").json["id"] == "10001" and jira("GET", "/project/NOPE").status == 404
