"""Bad input: each a clear refusal that names the field, and nothing else is disturbed."""

import gzip
import json
import socket

import pytest
from events import leaver
from sealed_tables import INTAKE, OFFBOARDING
from process import http, wait_until

pytestmark = pytest.mark.xdist_group("bad input")
JSON, CLOUDEVENT = "application/json", "application/cloudevents+json"
EMAIL = "jane.doe@example.com"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    """One for the whole file: what a bad input leaves behind must not disturb the next."""
    return make_shared_stack().start()


def plain(**members) -> dict:
    return {"id": "plain-1", "user": {"email": EMAIL}, **members}


def person(**members) -> dict:
    return plain(user={"email": EMAIL, **members})


# What is sent, its content type, the status (400: can't be read; 422: read, and wrong), and what the problem has to name.
REFUSED = {
    "no JSON": (b"{\"user\": ", JSON, 400, "line"),
    "no object": (b"[]", JSON, 400, "object"),
    "empty body": (b"", JSON, 400, ""),
    "a number": (b"7", JSON, 400, "object"),
    "invalid UTF-8": (b'{"id": "1", "user": {"email": "j\xff@example.com"}}', JSON, 400, "UTF-8"),
    "NUL in a text": (b'{"id": "1", "user": {"email": "a\\u0000@example.com"}}', JSON, 400, ""),
    "no id": ({"user": {"email": EMAIL}}, JSON, 400, "Idempotency-Key"),
    "id of a wrong type": (plain(id=7), JSON, 400, "id"),
    "no user": ({"id": "1"}, JSON, 422, "user"),
    "user of a wrong type": (plain(user="jane"), JSON, 422, "user"),
    "neither e-mail nor employee id": (plain(user={"name": "Jane"}), JSON, 422, "employee_id"),
    "e-mail of a wrong type": (plain(user={"email": 7}), JSON, 422, "user.email"),
    "no e-mail address": (plain(user={"email": "jane at example"}), JSON, 422, "user.email"),
    "two addresses in one": (plain(user={"email": "a@b.example, c@d.example"}), JSON, 422, "user.email"),
    "employee id of a wrong type": (person(employee_id={"a": 1}), JSON, 422, "user.employee_id"),
    "aliases of a wrong type": (person(emails="jane@example.com"), JSON, 422, "user.emails"),
    "manager of a wrong type": (person(manager="boss@example.com"), JSON, 422, "user.manager"),
    "manager without an address": (person(manager={"email": "boss"}), JSON, 422, "user.manager.email"),
    "unknown runbook": (plain(runbook="scim-leavr"), JSON, 422, "scim-leaver"),
    "misspelt member": (plain(runbok="scim-leaver"), JSON, 422, 'did you mean \\"runbook\\"'),
    "unknown member": (plain(colour="blue"), JSON, 422, "colour"),
    "nested too deeply": (person(team=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]), JSON, 400, "deeper than 32 levels"),
    "runbook of a wrong type": (plain(runbook=["scim-leaver"]), JSON, 422, "runbook"),
    "year 9999": (plain(effective_at="9999-12-31"), JSON, 422, "effective_at"),
    "year 9999 with time": (plain(effective_at="9999-12-31T00:00:00Z"), JSON, 422, "9999"),
    "before 1970": (plain(effective_at="1066-10-14"), JSON, 422, "effective_at"),
    "no date": (plain(effective_at="tomorrow"), JSON, 422, "effective_at"),
    "the 30th of February": (plain(effective_at="2027-02-30"), JSON, 422, "effective_at"),
    "date of a wrong type": (plain(effective_at=1790000000), JSON, 422, "effective_at"),
    "unknown zone": (plain(zone="Europe/Atlantis"), JSON, 422, "zone"),
    "zone outside the database": (plain(zone="../../etc/passwd"), JSON, 422, "zone"),
    "unknown mode": (plain(mode="rehearsal"), JSON, 422, "mode"),
    "unknown priority": (plain(priority="asap"), JSON, 422, "priority"),
    "ids of a wrong type": (plain(ids={"scim": 7}), JSON, 422, "ids.scim"),
    "unknown type": (plain(type="leaver.exploded"), JSON, 422, "leaver.exploded"),
    "CloudEvent without source": ({**leaver(EMAIL), "source": None}, CLOUDEVENT, 400, "source"),
    "CloudEvent without id": ({**leaver(EMAIL), "id": ""}, CLOUDEVENT, 400, "id"),
    "CloudEvent of another version": ({**leaver(EMAIL), "specversion": "0.3"}, CLOUDEVENT, 400, "specversion"),
    "CloudEvent without data": ({key: value for key, value in leaver(EMAIL).items() if key != "data"}, CLOUDEVENT, 422, "user"),
    "another content type": (b"email=jane", "application/x-www-form-urlencoded", 415, "Content-Type"),
    "a CloudEvent as plain JSON": (leaver(EMAIL), JSON, 415, "application/cloudevents+json"),
    "CloudEvents as plain JSON": ([leaver(EMAIL)], JSON, 415, "application/cloudevents-batch+json"),
    "two megabytes": (b'{"id": "1", "user": {"email": "' + b"x" * 2_000_000 + b'"}}', JSON, 413, ""),
    "deeply nested": (b'{"id": "1", "user": ' + b"[" * 5000 + b"]" * 5000 + b"}", JSON, 400, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_edge_refuses_with_a_problem_that_names_the_field(stack, case):
    body, content_type, status, named = REFUSED[case]
    before = len(stack.topics.read("received"))
    reply = stack.post("/v1/offboardings", body, headers={"Content-Type": content_type})
    assert reply.status == status, reply
    assert reply.headers["Content-Type"].startswith("application/problem+json"), reply.headers["Content-Type"]
    problem = reply.json
    assert problem["status"] == status and problem["title"] and problem["detail"], problem
    assert named in json.dumps(problem), problem
    assert len(stack.topics.read("received")) == before, "a refused event is on its topic"


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
@pytest.mark.parametrize("path", ["/v1/offboardings", "/v1/orders", "/v1/replays", "/v1/signals/tasks"])
def test_a_coded_body_is_refused_by_its_header(stack, path, coding):
    """Whatever it is: a server that reads it as it comes says so, and takes nothing of it."""
    body = json.dumps({**plain(), "order": "pause", "system": "scim", "reason": "x"}).encode()
    before = len(stack.topics.read("control")) + len(stack.topics.read("intake"))
    reply = stack.post(path, gzip.compress(body) if coding == "gzip" else body, token="operator" if path != "/v1/offboardings" else "hr",
                       headers={"Content-Type": JSON, "Content-Encoding": coding})
    assert reply.status == 415 and reply.json["field"] == "Content-Encoding" and coding in reply.json["detail"], reply
    assert len(stack.topics.read("control")) + len(stack.topics.read("intake")) == before


def test_a_body_as_it_is_says_so(stack):
    reply = stack.post("/v1/orders", {"order": "pause", "system": "scim", "reason": "x"}, token="operator", headers={"Content-Encoding": "Identity"})
    assert reply.status == 202, reply
    assert stack.post("/v1/orders", {"order": "resume", "system": "scim", "reason": "x"}, token="operator").status == 202


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/signals/tasks", "/v1/replays"])
def test_a_stranger_is_asked_for_a_token_first(stack, path):
    assert stack.post(path, b"x", token=None, headers={"Content-Encoding": "gzip"}).status == 401


@pytest.mark.parametrize("token, path, status", [
    (None, "/v1/offboardings", 401), ("wrong", "/v1/offboardings", 401), ("", "/v1/offboardings", 401),
    ("hr", "/v1/orders", 403), (None, "/v1/orders", 401),
], ids=["no token", "unknown token", "empty token", "token without the role", "no token for an order"])
def test_edge_asks_for_a_token_with_the_role(stack, token, path, status):
    reply = stack.post(path, plain(), token=token)
    assert reply.status == status and reply.json["status"] == status, reply
    assert "jane" not in reply.body.decode(), "a stranger is told what was sent"


def test_token_of_another_scheme(stack):
    reply = stack.post("/v1/offboardings", plain(), headers={"Authorization": f"Basic {stack.tokens['hr']}"})
    assert reply.status == 401, reply


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/v1/offboardings", 405), ("DELETE", "/v1/offboardings", 405), ("POST", "/v2/offboardings", 404),
    ("GET", "/", 404), ("GET", "/v1/offboardings/7d3c2b1e-0c55-5b0e-9a44-6f66626f6172", 404)])
def test_other_paths_and_methods(stack, method, path, status):
    reply = http(method, stack.edge_url + path, b"{}" if method == "POST" else None,
                 {"Authorization": f"Bearer {stack.tokens['hr']}", "Content-Type": JSON})
    assert reply.status == status and reply.json["status"] == status, reply


ORDERS = {
    "no order": {}, "unknown order": {"order": "explode"}, "order of a wrong type": {"order": ["approve"]},
    "approve without ids": {"order": "approve"}, "approve with a bad id": {"order": "approve", "offboardings": ["x"]},
    "ids of a wrong type": {"order": "approve", "offboardings": "x"},
    "cancel without reason": {"order": "cancel", "person": EMAIL}, "pause without system": {"order": "pause", "reason": "x"},
    "skip without step": {"order": "skip", "reason": "x", "offboardings": ["7d3c2b1e-0c55-5b0e-9a44-6f66626f6172"]},
}


@pytest.mark.parametrize("case", ORDERS)
def test_bad_orders_are_refused(stack, case):
    reply = stack.post("/v1/orders", ORDERS[case], token="operator")
    assert reply.status == 422 and reply.json["detail"] and reply.json["field"], reply


def test_half_a_request_and_noise_do_not_harm_the_edge(stack):
    address = stack.edge_url.removeprefix("http://").split(":")
    for noise in (b"POST /v1/offboardings HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", b"\x16\x03\x01\x02\x00\x01\x00",
                  b"GET " + b"/" * 100_000, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b""):
        with socket.create_connection((address[0], int(address[1])), timeout=5) as connection:
            connection.sendall(noise)
    assert stack.offboard("after.noise@example.com")


# The same on the topic, where nobody can be answered: dead letters.
DEAD = {
    "no type": ({**leaver(EMAIL), "type": None}, "type"),
    "no data": ({key: value for key, value in leaver(EMAIL).items() if key != "data"}, "user"),
    "unknown runbook": (leaver(EMAIL, runbook="nothing-like-it"), "runbook"),
    "misspelt member": (leaver(EMAIL, runbok="scim-leaver"), 'did you mean "runbook"'),
    "neither e-mail nor employee id": (leaver(None, user={"name": "Jane"}), "employee_id"),
    "year 9999": (leaver(EMAIL, effective_at="9999-12-31"), "effective_at"),
    "e-mail of a wrong type": (leaver(EMAIL, user={"email": ["a"]}), "user.email"),
    "unknown zone": (leaver(EMAIL, zone="Nowhere"), "zone"),
}


@pytest.mark.parametrize("case", DEAD)
def test_bad_event_on_the_topic_is_a_dead_letter_that_names_the_field(stack, case):
    event, named = DEAD[case]
    event["id"] = f"dead {case}"
    place = stack.topics.publish("intake", event, EMAIL)
    letters = wait_until(lambda: [letter for letter in stack.topics.read("dead") if event["id"].encode() in letter.value], 20,
                         "there is a dead letter")
    assert named in letters[0].headers["dead_reason"], letters[0].headers
    row = wait_until(lambda: stack.database.query(f"SELECT * FROM {INTAKE} WHERE topic = %s AND kafka_partition = %s AND kafka_offset = %s",
                                                  stack.topics.name("intake"), *place), 20, "it is on record")[0]
    assert row["disposition"] == "dead" and named in row["reason"], row


def test_nothing_else_was_disturbed(stack):
    """Last in the file: after all that, work goes on, and no other offboarding came of it."""
    stack.person("last@example.com")
    stack.wait_job(stack.offboard("last@example.com"), "leave-groups", "succeeded")
    people = {row["email"] for row in stack.database.query(f"SELECT leaver ->> 'email' AS email FROM {OFFBOARDING}")}
    assert people <= {"last@example.com", "after.noise@example.com"}, people
    assert all(process.running for process in stack.processes)
