"""HR's events as they really come: CloudEvents of every kind, batches with a bad one, dates and addresses as people write them."""

import base64
import http.server as http_server
import json
import threading
import urllib.parse
import uuid

import pytest
from events import leaver, offboarding_id
from sealed_tables import INTAKE
from process import http, wait_until
from signing import standard_webhook

pytestmark = pytest.mark.xdist_group("hr-events")

STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CLOUDEVENTS = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}

PARTITIONS = 12     # as `offboard topics` makes them


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    return make_shared_stack(settings={"sources": {"cloudevents": {"signing_secret": STANDARD}}}).start("logger", "producer")


@pytest.fixture
def person() -> str:
    return f"kim.{uuid.uuid4().hex[:8]}@example.com"


def rows(stack, event: str) -> list[dict]:
    return stack.database.query(f"SELECT * FROM {INTAKE} WHERE source_event_id = %s ORDER BY kafka_offset", event)


def binary_headers(event: dict) -> dict:
    """The HTTP binding, 3.1.3.2: what is not plain ASCII, blanks, quotes and the percent sign are encoded."""
    return {f"ce-{name}": urllib.parse.quote(event[name], safe="/:.-") for name in ("specversion", "id", "source", "type")}


# CloudEvents.

def test_the_same_event_by_every_mode_is_one_offboarding(stack, person):
    event = leaver(person, f"Müller \"{uuid.uuid4().hex}\" 100%", source="/hr/zürich", mode="dry_run")
    wanted = offboarding_id(event)
    headers = binary_headers(event)
    encoded = {**{name: value for name, value in event.items() if name != "data"},
               "data_base64": base64.b64encode(json.dumps(event["data"]).encode()).decode()}
    replies = [stack.post("/v1/offboardings", event, headers=CLOUDEVENTS),
               stack.post("/v1/offboardings", encoded, headers=CLOUDEVENTS),
               stack.post("/v1/offboardings", "\ufeff".encode() + json.dumps(event).encode(), headers=CLOUDEVENTS),
               stack.post("/v1/offboardings", event["data"], headers=headers),
               stack.post("/v1/offboardings", event["data"], headers={**headers, "Content-Type": "application/vnd.hr.leaver+json"})]
    assert [(reply.status, reply.json.get("id")) for reply in replies] == [(202, wanted)] * len(replies)
    batch = stack.post("/v1/offboardings", [event], headers=BATCH)
    assert (batch.status, batch.json["results"][0]["id"]) == (202, wanted)
    signed = [standard_webhook(stack, STANDARD, event), standard_webhook(stack, STANDARD, encoded),
              standard_webhook(stack, STANDARD, [event], kind="application/cloudevents-batch+json"),
              standard_webhook(stack, STANDARD, event["data"], kind="application/vnd.hr.leaver+json", headers=headers)]
    assert [(reply.status, reply.json["results"][0].get("id")) for reply in signed] == [(202, wanted)] * len(signed)
    wait_until(lambda: [row["disposition"] for row in rows(stack, event["id"])] == ["started"] + ["duplicate"] * (len(replies) + len(signed)),
               30, "one is started, all others are repeats")


def test_data_base64_on_the_topic(stack, person):
    event = leaver(person, mode="dry_run")
    data = event.pop("data")
    event["data_base64"] = base64.b64encode(json.dumps(data).encode()).decode()
    stack.topics.publish("intake", event, key=person)
    assert stack.wait_status(offboarding_id(event), "initiated")["leaver"]["email"] == person


@pytest.mark.parametrize("change, status, field", [
    ({"data_base64": "e30="}, 400, None),
    ({"data": None, "data_base64": "no base64!"}, 400, "data_base64"),
    ({"data": None, "data_base64": "eyJh"}, 400, "data_base64"),
    ({"data": None, "data_base64": "e30=", "datacontenttype": "text/plain"}, 400, "datacontenttype"),
])
def test_data_that_cannot_be_read(stack, person, change, status, field):
    event = {**leaver(person), **change}
    if event["data"] is None:
        del event["data"]
    reply = stack.post("/v1/offboardings", event, headers=CLOUDEVENTS)
    assert reply.status == status and (field is None or reply.json["field"] == field), reply


def test_a_header_that_is_no_text(stack, person):
    event = leaver(person)
    reply = stack.post("/v1/offboardings", event["data"], headers={**binary_headers(event), "ce-id": "%ff"})
    assert (reply.status, reply.json["field"]) == (400, "id"), reply


# Batches: nothing is lost, nothing doubled.

def test_a_batch_with_a_bad_event_is_no_success(stack, person):
    good, other = leaver(person, mode="dry_run"), leaver("b" + person, mode="dry_run")
    batch = [good, leaver("no address"), {"specversion": "1.0"}, other]
    first = stack.post("/v1/offboardings", batch, headers=BATCH)
    assert first.status == 422
    assert [(each["status"], each.get("id"), each.get("field")) for each in first.json["results"]] == [
        (202, offboarding_id(good), None), (422, None, "user.email"), (400, None, "id"), (202, offboarding_id(other), None)]
    for event in (good, other):
        stack.wait_status(offboarding_id(event), "initiated")
    # HR mends it, and sends all of it again.
    mended = leaver("c" + person, batch[1]["id"], mode="dry_run")
    again = stack.post("/v1/offboardings", [good, mended, other], headers=BATCH)
    assert again.status == 202 and {each["status"] for each in again.json["results"]} == {202}
    stack.wait_status(offboarding_id(mended), "initiated")
    for event in (good, other):
        wait_until(lambda sent=event: [row["disposition"] for row in rows(stack, sent["id"])] == ["started", "duplicate"], 30,
                   "it is one offboarding, and a repeat on record")


def test_a_signed_batch_with_a_bad_event(stack, person):
    good = leaver(person, mode="dry_run")
    reply = standard_webhook(stack, STANDARD, [{"specversion": "1.0", "id": "x"}, good], kind="application/cloudevents-batch+json")
    assert reply.status == 422
    assert [each["outcome"] for each in reply.json["results"]] == ["unreadable", "accepted"]
    assert "source is missing" in reply.json["results"][0]["why"]
    stack.wait_status(offboarding_id(good), "initiated")


@pytest.mark.parametrize("body", [b"{}", b"[" + b",".join([b"{}"] * 1001) + b"]"])
def test_what_is_no_batch(stack, body):
    assert stack.post("/v1/offboardings", body, headers=BATCH).status == 400


# The handshake of web hooks.

@pytest.mark.parametrize("path", ["/v1/offboardings", "/v1/sources/cloudevents", "/v1/signals/tasks"])
def test_web_hooks_shake_hands(stack, path):
    asked = http("OPTIONS", stack.edge_url + path, headers={"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"})
    assert (asked.status, asked.headers["WebHook-Allowed-Origin"], asked.headers["WebHook-Allowed-Rate"]) == (200, "eventgrid.azure.net", "120")
    unlimited = http("OPTIONS", stack.edge_url + path, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    assert (unlimited.status, unlimited.headers["WebHook-Allowed-Rate"]) == (200, "*")
    assert http("OPTIONS", stack.edge_url + path).status == 405


@pytest.mark.parametrize("path", ["/v1/sources/nobody", "/v1/orders", "/v1/replays"])
def test_where_no_web_hook_may_send(stack, path):
    assert http("OPTIONS", stack.edge_url + path, headers={"WebHook-Request-Origin": "eventgrid.azure.net"}).status in (404, 405)


# Dates, addresses, ids.

@pytest.mark.parametrize("said, detail", [
    ("", "effective_at is empty: give a date or a date-time; leave it out or send null to start now"),
    ("2199-12-31", 'effective_at: "2199-12-31" is 2200-01-01T04:59:59Z, which is out of range (1970 to 2199)'),
    ("2199-12-31T23:59:60Z", "out of range"),
    ("31.12.2199", "is no RFC 3339 date or date-time"),
])
def test_a_date_that_cannot_be_right_starts_nothing(stack, person, said, detail):
    reply = stack.post("/v1/offboardings", leaver(person, effective_at=said, zone="America/New_York"), headers=CLOUDEVENTS)
    assert (reply.status, reply.json["field"]) == (422, "effective_at") and detail in reply.json["detail"], reply


def test_such_a_date_on_the_topic_is_set_aside(stack, person):
    """The edge is not the only way in: what the planner can't read it must not start."""
    event = leaver(person, effective_at="2199-12-31", zone="America/New_York")
    stack.topics.publish("intake", event, key=person)
    assert wait_until(lambda: rows(stack, event["id"]), 30, "it is on record")[0]["disposition"] == "dead"
    assert not stack.database.query("SELECT id FROM offboarding WHERE id = %s", offboarding_id(event))


@pytest.mark.parametrize("data, at, zone", [
    ({"effective_at": "2199-12-31T17:00:00", "zone": "Europe/Berlin"}, "2199-12-31T16:00:00", "Europe/Berlin"),
    ({"effective_at": "2199-07-01T17:00", "user": {"country": "DE"}}, "2199-07-01T15:00:00", "Europe/Berlin"),
    ({"effective_at": "2199-12-31", "user": {"country": "DE"}}, "2199-12-31T22:59:59.999999", "Europe/Berlin"),
    ({"effective_at": "2199-12-31T17:00:00", "user": {"country": "US"}}, "2199-12-31T17:00:00", "UTC"),
])
def test_local_times(stack, person, data, at, zone):
    event = leaver(person, **data)
    assert stack.post("/v1/offboardings", event, headers=CLOUDEVENTS).status == 202
    offboarding = stack.wait_status(offboarding_id(event), "waiting")
    assert (offboarding["effective_at"].isoformat().removesuffix("+00:00"), offboarding["zone"]) == (at, zone)
    said = stack.topics.events("initiated", offboarding_id(event))[0]["response"]["message"]
    assert zone in said, said


def test_what_nobody_sees(stack, person):
    reply = stack.post("/v1/offboardings", leaver(person.replace("@", "\u200b@")), headers=CLOUDEVENTS)
    assert (reply.status, reply.json["field"]) == (422, "user.email")
    assert "contains U+200B (zero width space) after" in reply.json["detail"]
    manager = stack.post("/v1/offboardings", leaver(person, user={"manager": {"email": "b\u00adoss@example.com"}}), headers=CLOUDEVENTS)
    assert (manager.status, manager.json["field"]) == (422, "user.manager.email")
    pasted = leaver(f"\ufeff {person}\u00a0\n", mode="dry_run", ids={"jira": "\u200bj-1 "})
    assert stack.post("/v1/offboardings", pasted, headers=CLOUDEVENTS).json["person"] == person
    offboarding = stack.wait_status(offboarding_id(pasted), "initiated")
    assert offboarding["leaver"]["email"] == person


# Webhooks that bring an id alone.

@pytest.fixture
def scripted_people():
    """Makes a payroll system that knows these people by id; its address."""
    servers = []

    def make(people: dict[str, dict]) -> str:
        class Handler(http_server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802: the name is the library's
                person = people.get(self.path.rpartition("/")[2])
                body = json.dumps(person or {"error": "not found"}).encode()
                self.send_response(200 if person else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        servers.append(http_server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


HOOK = """
source: payroll
types: {employee.terminated: start}
map:
  ids: {payroll: "${ .data.entity_uuid }"}
  runbook: payroll-leaver
"""
CONNECTOR = """
system: payroll
settings: {url: {required: true}, token: {required: true, secret: true}}
auth: {header: {Authorization: "Bearer ${ .settings.token }"}}
identify:
  keys: [email]
  requests: [{get: "/people", query: {mail: "${ .key }"}, save: {id: "${ [.body[]?.id] }"}}]
  confirm: [{get: "/people/${ .ids.payroll }", missing: "${ .status == 404 }"}]
actions:
  read_person:
    effect: identify
    requests: [{get: "/people/${ .ids.payroll }", save: {email: "${ .body.mail }", name: "${ .body.name }"}}]
    outputs: {user: {email: "${ .saved.email }", name: "${ .saved.name }"}}
    provides: [user.email, user.name]
"""
RUNBOOK = """
runbook: payroll-leaver
phases:
  - name: now
    steps:
      - {id: person, system: payroll, action: read_person}
      - {id: off, system: scim, action: deactivate_user, needs: [person]}
  - name: later       # it stays open, so that a second event about the person is a duplicate
    after: 30d
    steps:
      - {id: gone, system: scim, action: delete_user}
"""


def test_nothing_but_an_account_is_enough(make_stack, tmp_path, scripted_people):
    for kind, text in (("sources", HOOK), ("connectors", CONNECTOR), ("runbooks", RUNBOOK)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "payroll.yaml").write_text(text, encoding="utf-8")
    stack = make_stack(settings={"definitions": {kind: [str(tmp_path / kind)] for kind in ("sources", "connectors", "runbooks")},
                                 "systems": {"payroll": {"url": scripted_people({"u-1": {"mail": "jane@example.com", "name": "Jane Doe"}}),
                                                         "token": "t0ken of payroll"}},
                                 "worker": {"systems": ["scim", "jira", "payroll"]}})
    stack.start()
    stack.person("jane@example.com")
    event = {"specversion": "1.0", "id": "03ff", "source": "/payroll", "type": "employee.terminated", "data": {"entity_uuid": "u-1"}}
    reply = stack.post("/v1/offboardings", event, headers=CLOUDEVENTS)
    assert (reply.status, reply.json["person"]) == (202, "payroll:u-1")
    stack.wait_job(reply.json["id"], "off", "succeeded")
    assert stack.account("jane@example.com")["active"] is False
    assert stack.offboarding(reply.json["id"])["leaver"] == {"email": "jane@example.com", "name": "Jane Doe"}
    again = stack.post("/v1/offboardings", {**event, "id": "04ff"}, headers=CLOUDEVENTS)
    assert again.status == 202
    assert wait_until(lambda: rows(stack, "04ff"), 30, "it is on record")[0]["disposition"] == "duplicate"
