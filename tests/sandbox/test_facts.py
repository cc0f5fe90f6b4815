"""The facts' checker: what is against them is found, what is not is let pass; and the sandbox notes it in the journal."""

import json
import urllib.error
import urllib.request

import pytest
from client import Sandbox, load_facts
from core.facts import Facts
from core.vendor import Request

GROUP = {"name": "Boxes", "source": "made up", "base": "/v1", "requests": {
    "GET /boxes": {"query": {"page": "integer 1..100", "open": "boolean", "state": "= new | sent", "fields": "csv of = id | name",
                             "section": ["= A | B"], "q*": "string"}, "answers": 200},
    "GET /boxes/{box}": 200,
    "GET /boxes/newest": {"query": {"count": "integer"}, "answers": 200},
    "GET /{v3|v4}/shelves/{shelf}:open": [200, 204],
    "POST /boxes": {"headers": {"X-Level*": "= eventual"}, "answers": 201, "body": {
        "size*": "integer", "note": "string or null", "emails": ["string"], "pin": "/\\d{6}/", "on": "date",
        "to*": {"name*": "string 1..10", "country": "= Canada | United States"}, "weight": "number",
        "what": {"either": [{"kind*": "= lock", "pin*": "string"}, {"kind*": "= open"}]}, "x-{name}": "any"}},
    "PUT /boxes/{box}": {"form": {"user[email]*": "string", "user[custom][{name}]": "integer"}, "answers": 200},
    "PATCH /boxes/{box}": {"type": ["application/json; charset=utf-8"], "body?": {"a": "boolean"}, "answers": 200}}}
GOOD = {"size": 1, "to": {"name": "Ann"}}


def wrong(method: str, target: str, body=None, *, form: str | None = None, status: int | None = None, **headers) -> list[str]:
    path, _, query = target.partition("?")
    data = b"" if body is None else json.dumps(body).encode()
    kind = {"content-type": "application/json"} if body is not None else {}
    if form is not None:
        data, kind = form.encode(), {"content-type": "application/x-www-form-urlencoded"}
    given = {**kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Facts([GROUP]).wrong(Request(method, path, query, given, data), status)


def wrong_post(**members) -> list[str]:
    """The box that is good, with these members."""
    return wrong("POST", "/v1/boxes", {**GOOD, **members}, x_level="eventual")


@pytest.mark.parametrize("method, target", [
    ("GET", "/v1/boxes?q=x&page=7&open=true&state=sent&fields=id,name&section=A&section=B"), ("GET", "/v1/boxes/a%2Fb"),
    ("GET", "/v1/boxes/newest?count=3"), ("GET", "/v1/v4/shelves/7:open"), ("PATCH", "/v1/boxes/7")])
def test_what_is_as_the_vendor_wants_it(method, target):
    assert wrong(method, target) == []


@pytest.mark.parametrize("target, told", [
    ("/v1/boxes?q=x&page=many", "query.page: a string; integer is wanted"),
    ("/v1/boxes?q=x&page=101", "query.page: outside of 1 to 100"),
    ("/v1/boxes?q=x&open=yes", "query.open: a string; boolean is wanted"),
    ("/v1/boxes?q=x&state=lost", "query.state: not one of new, sent"),
    ("/v1/boxes?q=x&fields=id,size", "query.fields: `size` in it is not one of id, name"),
    ("/v1/boxes?q=x&section=C", "query.section[0]: not one of A, B"),
    ("/v1/boxes?q=x&q=y", "query.q: given twice"),
    ("/v1/boxes?q=x&colour=red", "query.colour: the vendor does not know it"),
    ("/v1/boxes", "query.q: missing"),
    ("/v1/crates", "no fact describes this request"),
    ("/v2/boxes?q=x", "no fact describes this request"),
    ("/v1/v5/shelves/7:open", "no fact describes this request"),
])
def test_a_query_against_them(target, told):
    assert wrong("GET", target) == [told]


@pytest.mark.parametrize("members", [
    {"note": None}, {"emails": ["a@example.com"]}, {"emails": []}, {"pin": "123456", "on": "2026-01-31"}, {"weight": 1.5, "x-any": [1]},
    {"what": {"kind": "lock", "pin": "1"}}, {"what": {"kind": "open"}}, {"to": {"name": "Ann", "country": "Canada"}}])
def test_a_body_as_the_vendor_wants_it(members):
    assert wrong_post(**members) == []


@pytest.mark.parametrize("members, told", [
    ({"size": "1"}, "body.size: a string; integer is wanted"),
    ({"size": True}, "body.size: a boolean; integer is wanted"),
    ({"size": None}, "body.size: null; integer is wanted"),
    ({"emails": ""}, "body.emails: a string; a list is wanted"),
    ({"emails": None}, "body.emails: null; a list is wanted"),
    ({"emails": ["a", None]}, "body.emails[1]: null; string is wanted"),
    ({"pin": 123456}, "body.pin: an integer; a string is wanted"),
    ({"pin": "12345"}, r"body.pin: not of the form /\d{6}/"),
    ({"on": "31.1.2026"}, "body.on: not a date"),
    ({"to": {}}, "body.to.name: missing"),
    ({"to": "Ann"}, "body.to: a string; an object is wanted"),
    ({"to": {"name": ""}}, "body.to.name: outside of 1 to 10"),
    ({"to": {"name": "Ann", "country": "Germany"}}, "body.to.country: not one of Canada, United States"),
    ({"to": {"name": "Ann", "zip": "1"}}, "body.to.zip: the vendor does not know it"),
    ({"colour": "red"}, "body.colour: the vendor does not know it"),
    ({"what": {"kind": "lock"}}, "body.what.pin: missing"),
])
def test_a_body_against_them(members, told):
    assert wrong_post(**members) == [told]


def test_the_rest_of_a_request():
    assert wrong("POST", "/v1/boxes", GOOD) == ["headers.x-level: missing"]
    assert wrong("POST", "/v1/boxes", GOOD, x_level="session") == ["headers.x-level: not one of eventual"]
    assert wrong("POST", "/v1/boxes", x_level="eventual") == ["the body is missing"]
    assert wrong("GET", "/v1/boxes/7", {}) == ["it has a body, and the vendor takes none"]
    assert wrong("DELETE", "/v1/boxes/7") == ["no fact describes this request"]
    assert wrong("PATCH", "/v1/boxes/7", {"a": True}) == [
        "Content-Type is `application/json`, and not application/json; charset=utf-8"]
    assert wrong("POST", "/v1/boxes", form="size=1", x_level="eventual") == [
        "Content-Type is `application/x-www-form-urlencoded`, and not application/json"]
    assert wrong("PUT", "/v1/boxes/7", form="user[email]=a&user[custom][Shoe+size]=43") == []
    assert wrong("PUT", "/v1/boxes/7", form="user[custom][size]=big") == [
        "form.user[email]: missing", "form.user[custom][size]: a string; integer is wanted"]


def test_a_status_of_success_that_the_vendor_does_not_give():
    assert wrong("GET", "/v1/boxes/7", status=204) == ["the sandbox answered 204, the vendor 200"]
    assert wrong("GET", "/v1/boxes/7", status=404) == wrong("GET", "/v1/v3/shelves/7:open", status=204) == []


@pytest.mark.parametrize("entry, told", [
    ({"query": {"page": "int"}, "answers": 200}, "'int' is no type"), ({"body": {"a": ["string", "integer"]}, "answers": 200}, "is no type"),
    ({"body": {"a": "boolean 1..2"}, "answers": 200}, "is no type"), ({"querry": {}, "answers": 200}, "unknown: querry"),
    ({"query": {}}, "the status of success is missing"), ({"query": {"a": "/[/"}, "answers": 200}, "query.a: /\\[/ is no regular expression")])
def test_a_fact_that_is_none(entry, told):
    with pytest.raises(ValueError, match=told):
        Facts([{"requests": {"GET /boxes": entry}}])


def test_a_request_that_stands_twice_in_a_file(tmp_path):
    (tmp_path / "boxes.yaml").write_text("vendors: [boxes]\napis:\n  - requests: {GET /a: 200, GET /a: 204}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="GET /a stands there twice"):
        load_facts(str(tmp_path))


# In the sandbox.

def order(sandbox, body: dict, path: str = "/api/v2/device_returns/") -> int:
    request = urllib.request.Request(sandbox.url("retriever") + path, json.dumps(body).encode(), {
        "Content-Type": "application/json", "Authorization": "Bearer sandbox-retriever-key-s3cret"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


BOX = {"device": "laptop",
       "employee_info": {"name": "Ann", "address_line_1": "1 Elm St", "address_city": "Springfield", "address_state": "IL", "address_zip": "62701"},
       "company_info": {"return_recipient_name": "IT", "return_address_line_1": "1 Main St", "return_address_city": "Austin",
                        "return_address_state": "TX", "return_address_zip": "78701", "display_name": "Example"}}


def test_the_sandbox_notes_it(tmp_path):
    with Sandbox("retriever", directory=str(tmp_path), facts=load_facts()) as sandbox:
        assert order(sandbox, BOX) == 201 and sandbox.violations() == []
        order(sandbox, {**BOX, "colour": "red"})
        order(sandbox, {**BOX, "company_info": {**BOX["company_info"], "notification_emails": ""}})
        order(sandbox, BOX, "/api/v2/crates/")
        assert [entry.get("against_facts") for entry in sandbox.journal("retriever")] == [
            None, ["body.colour: the vendor does not know it"],
            ["body.company_info.notification_emails: a string; a list is wanted"], ["no fact describes this request"]]
        sandbox.reset()
        assert sandbox.violations() == [
            "retriever: POST /api/v2/device_returns/: body.colour: the vendor does not know it",
            "retriever: POST /api/v2/device_returns/: body.company_info.notification_emails: a string; a list is wanted",
            "retriever: POST /api/v2/crates/: no fact describes this request"]
        assert sandbox.violations() == [], "each is told once"
        sandbox.fault("retriever", {"do": "status", "status": 503})
        assert order(sandbox, {**BOX, "device": 7}) == 503
    assert sandbox.violations() == ["retriever: POST /api/v2/device_returns/: body.device: an integer; a string is wanted"]


def test_a_vendor_without_facts_is_no_start(tmp_path):
    with pytest.raises(RuntimeError, match="there are no facts of scim"):
        Sandbox("scim", directory=str(tmp_path), facts={}).start()
