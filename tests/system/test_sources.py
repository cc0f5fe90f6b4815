"""Systems that send their own events: who they are is proven, one request may be several events, each is on record."""

import base64
import json
import random
import time
import uuid

import pytest
from events import leaver, offboarding_id
from sealed_tables import INTAKE
from pages import blocks, definitions
from process import http, wait_until
from signing import bamboohr, digest, okta, okta_event, send, standard_webhook

pytestmark = pytest.mark.xdist_group("sources")

OKTA, OKTA_OLD = "okta hook's own secret", "okta hook's older secret"
BAMBOO = "4bamboo7private1key9"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RUNBOOK = """
runbook: %s
phases: [{name: now, steps: [{id: disable, system: scim, action: deactivate_user}]}]
"""


@pytest.fixture(scope="module")
def stack(make_shared_stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for name in ("fast", "suspended"):
        (folder / f"{name}.yaml").write_text(RUNBOOK % name, encoding="utf-8")
    stack = make_shared_stack(settings={
        "definitions": {"runbooks": [str(folder)]},
        "sources": {"okta-hook": {"token": [OKTA, OKTA_OLD], "own_accounts": ["0oa-offboard"], "runbook_deactivated": "fast",
                                  "runbook_suspended": "suspended"},
                    "bamboohr": {"private_key": BAMBOO, "runbook": "fast"},
                    "cloudevents": {"signing_secret": STANDARD}}})
    return stack.start("logger", "producer")


@pytest.fixture
def person() -> str:
    return f"kim.{uuid.uuid4().hex[:8]}@example.com"


def row(stack, event: str) -> dict:
    """What became of the event of that id."""
    return wait_until(lambda: stack.database.one(f"SELECT * FROM {INTAKE} WHERE source_event_id = %s ORDER BY recorded_at LIMIT 1", event), 30,
                      f"{event} is on record")


def count(stack) -> int:
    return len(list(stack.topics.read("received")))


# Okta: a shared secret in a header, several events in one request.

def test_okta_asks_whether_this_is_the_address(stack):
    reply = http("GET", f"{stack.edge_url}/v1/sources/okta-hook", headers={"X-Okta-Verification-Challenge": "c-1"})
    assert (reply.status, reply.json) == (200, {"verification": "c-1"})
    assert http("GET", f"{stack.edge_url}/v1/sources/okta-hook").status == 405


def test_events_of_one_request_fare_each_by_itself(stack, person):
    ids = [uuid.uuid4().hex for _ in range(5)]
    reply = okta(stack, OKTA,
                 okta_event(person, ids[0]),
                 okta_event("b" + person, ids[1], "user.lifecycle.suspend"),
                 okta_event(person, ids[2], result="FAILURE"),
                 okta_event(person, ids[3], actor="0oa-offboard"),
                 okta_event(person, ids[4], "user.session.start"))
    assert reply.status == 202
    assert [(each["event"], each["outcome"], each.get("why")) for each in reply.json["results"]] == [
        (ids[0], "accepted", None), (ids[1], "accepted", None), (ids[2], "ignored", "done"),
        (ids[3], "ignored", "not our own doing"), (ids[4], "ignored", "types")]
    assert [row(stack, each)["disposition"] for each in ids] == ["started", "started", "ignored", "ignored", "ignored"]
    first = stack.wait_status(reply.json["results"][0]["id"], "initiated")
    assert (first["runbook"], first["source"], first["leaver"]["email"]) == ("fast", "okta-hook", person)
    assert first["actor"] == {"kind": "source", "id": "/offboard/sources/okta-hook", "name": "admin@example.com"}
    assert stack.offboarding(reply.json["results"][1]["id"])["runbook"] == "suspended"


def test_both_keys_are_valid_while_one_is_replaced(stack, person):
    assert okta(stack, OKTA_OLD, okta_event(person, uuid.uuid4().hex)).status == 202


def test_the_same_event_again_changes_nothing(stack, person):
    event = okta_event(person, uuid.uuid4().hex)
    first, again = okta(stack, OKTA, event), okta(stack, OKTA, event)
    assert (first.status, again.status) == (202, 202) and first.json == again.json
    wait_until(lambda: [each["disposition"] for each in stack.database.query(
        "SELECT disposition FROM intake WHERE source_event_id = %s ORDER BY kafka_offset", event["uuid"])] == ["started", "duplicate"], 30, "both are on record")


@pytest.mark.parametrize("token", ["", "okta hook's own secre", OKTA + "x", "Bearer " + OKTA])
def test_a_wrong_secret_is_turned_away(stack, person, token):
    before = count(stack)
    reply = okta(stack, token, okta_event(person, uuid.uuid4().hex))
    assert reply.status == 401 and OKTA not in reply.body.decode()
    assert count(stack) == before
    assert stack.metrics("producer")['offboard_edge_turned_away_total{source="okta-hook",why="wrong"}'] > 0


def test_no_secret_is_stored(stack, person):
    okta(stack, OKTA, okta_event(person, uuid.uuid4().hex))
    texts = [record.value.decode() for record in stack.topics.read("received")]
    assert texts and not any(secret in text for text in texts for secret in (OKTA, OKTA_OLD, BAMBOO, STANDARD))


# BambooHR: the body and the time are signed; a hook that brings no fields decides nothing.

def fields_hook(person: str, number: str, changed=("status",), **fields) -> dict:
    values = {"status": "Inactive", "terminationDate": "2199-03-31", "workEmail": person, "displayName": "Kim Doe", "country": "FR",
              "supervisorEmail": "boss@example.com", "terminationType": "Resignation", "homePhone": "555-0100", **fields}
    return {"employees": [{"id": number, "action": "Updated", "timestamp": "2026-03-02T09:00:00+00:00", "changedFields": list(changed),
                           "fields": {name: {"value": value} for name, value in values.items()}}]}


def test_a_termination_in_bamboohr(stack, person):
    reply = bamboohr(stack, BAMBOO, fields_hook(person, "4711"))
    assert reply.status == 202, reply
    offboarding = stack.wait_status(reply.json["results"][0]["id"], "waiting")
    assert (offboarding["runbook"], offboarding["priority"], offboarding["zone"]) == ("fast", "normal", "Europe/Paris")
    assert offboarding["effective_at"].isoformat().startswith("2199-03-31T21:59:59")
    assert "555-0100" not in " ".join(record.value.decode() for record in stack.topics.read("received"))


def test_one_who_is_dismissed_cannot_wait(stack, person):
    reply = bamboohr(stack, BAMBOO, fields_hook(person, "4712", terminationType="Involuntary", terminationDate="2020-01-31"))
    assert stack.wait_status(reply.json["results"][0]["id"], "initiated")["priority"] == "urgent"


@pytest.mark.parametrize("body, why", [
    (lambda person: {"type": "employee.updated", "timestamp": "2026-03-02T09:00:00+0000",
                     "data": {"companyId": "1", "employeeId": "4713", "changedFields": ["status"]}}, "it tells what was changed"),
    (lambda person: fields_hook(person, "4714", changed=("firstName",)), "it was about leaving"),
    (lambda person: fields_hook(person, "4715", ("status",), status=None, terminationDate=None), "it tells what was changed"),
    (lambda person: fields_hook(person, "4718", ("status",), status="On leave", terminationDate=None), "who leaves"),
    (lambda person: {"type": "employee.created", "timestamp": "2026-03-02T09:00:00+0000", "data": {"employeeId": "4716"}}, "types"),
])
def test_what_is_no_termination_in_bamboohr(stack, person, body, why):
    reply = bamboohr(stack, BAMBOO, body(person))
    assert [(each["outcome"], each["why"]) for each in reply.json["results"]] == [("ignored", why)]
    assert row(stack, reply.json["results"][0]["event"])["disposition"] == "ignored"


def test_an_active_employee_with_a_last_day_to_come(stack, person):
    reply = bamboohr(stack, BAMBOO, fields_hook(person, "4720", ("terminationDate",), status="Active"))
    assert stack.wait_status(reply.json["results"][0]["id"], "waiting")["runbook"] == "fast"


@pytest.mark.parametrize("changed, fields", [
    (("terminationDate",), {"terminationDate": "0000-00-00"}),
    (("terminationDate",), {"terminationDate": ""}),
    (("terminationDate",), {"terminationDate": None, "status": None}),
    (("status", "terminationDate"), {"terminationDate": "0000-00-00"}),
    (("status",), {"terminationDate": "2020-01-31"}),
], ids=["zeros", "empty", "no-status", "returned", "returned-with-the-old-day"])
def test_a_last_day_that_is_taken_back(stack, person, changed, fields):
    """Somebody who stays, or comes back, loses nothing: what was planned is cancelled, and nothing is started."""
    number = uuid.uuid4().hex
    planned = bamboohr(stack, BAMBOO, fields_hook(person, number, status="Active")).json["results"][0]["id"]
    stack.wait_status(planned, "waiting")
    hook = fields_hook(person, number, changed, **{"status": "Active", **fields})
    hook["employees"][0]["timestamp"] = "2026-03-02T10:00:00+00:00"
    reply = bamboohr(stack, BAMBOO, hook)
    assert reply.json["results"][0]["outcome"] == "accepted", reply.json
    stack.wait_status(planned, "cancelled")
    assert row(stack, reply.json["results"][0]["event"])["disposition"] == "cancelled"


@pytest.mark.parametrize("fields, why", [
    ({"status": "Active", "terminationDate": "2020-01-31"}, "which seems to have passed"),
    ({"status": None, "terminationDate": "2026-02-28"}, "does not show the employee as inactive"),
    ({"terminationDate": "31.12.2026"}, '"31.12.2026" as the last day'),
    ({"terminationDate": "12/31/2026"}, "is no date like 2026-11-30"),
    ({"status": "Active", "terminationDate": "soon"}, "is no date like 2026-11-30"),
    ({"terminationDate": "2026-31-12"}, "is no date like 2026-11-30"),
])
def test_a_last_day_that_is_for_a_person_to_judge(stack, person, fields, why):
    reply = bamboohr(stack, BAMBOO, fields_hook(person, "47" + uuid.uuid4().hex, ("terminationDate",), **fields))
    assert reply.json["results"][0]["outcome"] == "refused" and why in reply.json["results"][0]["why"], reply.json
    assert row(stack, reply.json["results"][0]["event"])["disposition"] == "refused"


def test_a_last_day_of_yesterday_has_not_passed_everywhere(stack, person):
    reply = bamboohr(stack, BAMBOO, fields_hook(person, "4723", ("terminationDate",), status="Active", terminationDate="2026-03-01"))
    assert reply.json["results"][0]["outcome"] == "accepted", reply.json


def test_an_old_request_is_turned_away(stack, person):
    before = count(stack)
    assert bamboohr(stack, BAMBOO, fields_hook(person, "4717"), at=time.time() - 301).status == 401
    assert bamboohr(stack, BAMBOO, fields_hook(person, "4717"), at=time.time() + 301).status == 401
    assert bamboohr(stack, "another key", fields_hook(person, "4717")).status == 401
    assert count(stack) == before


# CloudEvents, signed by the Standard Webhooks.

def test_signed_cloudevents(stack, person):
    event = leaver(person, runbook="fast")
    reply = standard_webhook(stack, STANDARD, event)
    assert (reply.status, reply.json["results"][0]["id"]) == (202, offboarding_id(event))
    assert stack.wait_status(offboarding_id(event), "initiated")["actor"]["kind"] == "source"


def test_a_batch_and_the_binary_form(stack, person):
    event = leaver(person, runbook="fast")
    batch = standard_webhook(stack, STANDARD, [event, leaver("b" + person, runbook="fast")], kind="application/cloudevents-batch+json")
    assert [each["outcome"] for each in batch.json["results"]] == ["accepted", "accepted"]
    attributes = {f"ce-{name}": event[name] for name in ("id", "source", "specversion", "type")}
    binary = standard_webhook(stack, STANDARD, event["data"], kind="application/json", headers=attributes)
    assert binary.json["results"][0]["id"] == offboarding_id(event)


def test_nobody_speaks_for_another_source(stack, person):
    """Not with a token of the edge, not with a signature of another sender."""
    event = {**leaver(person, runbook="fast"), "offboardsource": "okta-hook", "offboardactor": "hr"}
    assert standard_webhook(stack, STANDARD, event).status == 202
    assert stack.wait_status(offboarding_id(event), "initiated")["source"] == "cloudevents"
    other = {**leaver("b" + person, runbook="fast"), "offboardsource": "okta-hook"}
    assert stack.post("/v1/offboardings", other, headers={"Content-Type": "application/cloudevents+json"}).status == 202
    assert stack.wait_status(offboarding_id(other), "initiated")["source"] == "cloudevents"
    third = {**leaver("c" + person, type="user.lifecycle.deactivate")}
    assert stack.post("/v1/offboardings", third, headers={"Content-Type": "application/cloudevents+json"}).status == 422


# What can't be read, and where nobody listens.

@pytest.mark.parametrize("body, kind, status", [
    (b"{", "application/json", 400),
    (b"[]", "application/json", 422),
    (b"{}", "application/json", 422),
    (b'{"data": {"events": {}}}', "application/json", 422),
    (b'{"data": {"events": [1]}}', "application/json", 422),
    (b'{"data": {"events": [{"uuid": "u"}]}}', "application/json", 422),
    (b'{"data": {"events": [{"uuid": "", "eventType": "t"}]}}', "application/json", 422),
    (b'{"data": {"events": []}}', "application/json", 202),
    (b"a=%00", "application/x-www-form-urlencoded", 400),
    (b"<xml/>", "text/xml", 415),
])
def test_what_cannot_be_read(stack, body, kind, status):
    before = count(stack)
    assert send(stack, "okta-hook", body, {"Authorization": OKTA}, kind).status == status
    assert count(stack) == before


def test_a_coded_body(stack):
    """Its signature may be right: nobody would know of what."""
    before = count(stack)
    reply = send(stack, "okta-hook", b"{}", {"Authorization": OKTA, "Content-Encoding": "br"}, "application/json")
    assert reply.status == 415 and reply.json["field"] == "Content-Encoding" and count(stack) == before, reply


def test_nonsense_that_is_signed(stack):
    """A sender that has gone mad is answered, again and again."""
    chance = random.Random(7)
    good = json.dumps({"data": {"events": [okta_event("kim@example.com", "u-1")]}}).encode()
    for _ in range(300):
        body = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(body))
            body[at:at + chance.randint(0, 9)] = bytes(chance.choice(b'{}[]":,\\u0%&=\xff\x00 1e') for _ in range(chance.randint(0, 9)))
        kind = chance.choice(["application/json", "application/x-www-form-urlencoded", "application/cloudevents-batch+json", "text/plain", ""])
        assert send(stack, "okta-hook", bytes(body), {"Authorization": OKTA}, kind).status in (202, 400, 415, 422), body
    assert http("GET", stack.url("producer") + "/healthz").status == 200


def test_where_nobody_listens(stack):
    for source in ("nobody", "tasks", "slack-commands", "okta-hook/x", ""):
        assert http("POST", f"{stack.edge_url}/v1/sources/{source}", b"{}", {"Content-Type": "application/json"}).status in (401, 404)
    assert http("PUT", f"{stack.edge_url}/v1/sources/okta-hook", b"{}").status == 405


def test_what_is_signed_and_cannot_be_mapped_is_on_record(stack):
    event = okta_event("no address", uuid.uuid4().hex)
    reply = okta(stack, OKTA, event)
    assert (reply.status, reply.json["results"][0]["outcome"]) == (202, "refused")
    assert "is no e-mail address" in row(stack, event["uuid"])["reason"]


def test_a_key_that_is_none_stops_the_start(make_stack):
    stack = make_stack(settings={"sources": {"cloudevents": {"signing_secret": "whsec_not/base64!"}}})
    process = stack.launch("producer")
    wait_until(lambda: not process.running, 30, "the producer refuses to start")
    assert process.status != 0 and "sources.cloudevents.signing_secret: it is empty or no base64" in process.log()
    assert "not/base64!" not in process.log()
    stack.processes.remove(process)


def test_a_mistyped_setting_stops_the_start(make_stack):
    stack = make_stack(settings={"sources": {"slack-commands": {"poeple": "T1/U1"}}})
    process = stack.launch("producer")
    wait_until(lambda: not process.running, 30, "the producer refuses to start")
    assert 'there is no such setting; did you mean \\"people\\"?' in process.log()
    stack.processes.remove(process)


# Signals of those who sign.

PARCELS = """
source: parcels
settings: {secret: {secret: true}}
signature: {header: aftership-hmac-sha256, encoding: base64, key: secret}
signal: {name: parcel, key: "${ .data.msg.tracking_number }", id: "${ .data.event_id }", data: {tag: "${ .data.msg.tag }"}}
"""


def test_a_signal_is_signed_by_its_sender(make_stack, tmp_path):
    (tmp_path / "parcels.yaml").write_text(PARCELS, encoding="utf-8")
    stack = make_stack(settings={"definitions": {"sources": [str(tmp_path)]}, "sources": {"parcels": {"secret": "parcel secret"}}})
    stack.start("logger", "producer")
    body = b'{"event_id": "e-1", "msg": {"tracking_number": "1Z7", "tag": "Delivered"}}'

    def post(key: str, token: str | None = None):
        signature = base64.b64encode(digest(key, body)).decode()
        return stack.post("/v1/signals/parcels", body, token=token, headers={"aftership-hmac-sha256": signature})

    assert post("another secret").status == 401
    assert post("another secret", "operator").status == 401
    assert post("parcel secret").status == 202
    row = wait_until(lambda: stack.database.one("SELECT * FROM signal"), 30, "it is on record")
    assert row["actor"]["kind"] == "source" and row["actor"]["id"] == "parcels"
    assert http("POST", f"{stack.edge_url}/v1/sources/parcels", body, {"Content-Type": "application/json"}).status == 404


# The page.

def exchanges() -> list[tuple[str, str]]:
    """Each request of docs/sources.md, and its answer."""
    found, request = [], ""
    for language, text in blocks("sources.md"):
        if language == "text" and request:
            found.append((request, text))
        request = text if language == "http" else ""
    return found


@pytest.fixture(scope="module")
def page(make_shared_stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for name, text in definitions("sources.md", "source").items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    stack = make_shared_stack(settings={"definitions": {"sources": [str(folder)]}, "sources": {"gate": {"secret": "gate keeper's secret"}}})
    said = next(text for language, text in blocks("sources.md") if language == "conf")
    with open(stack.config_path, "a", encoding="utf-8") as file:
        file.write(said.removeprefix("sources:\n").replace("  badges:", "sources.badges:", 1))
    return stack.start("producer")


@pytest.mark.parametrize("request_text, answer", exchanges())
def test_what_the_page_of_sources_shows(page, request_text, answer):
    head, _, body = request_text.partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split()
    data, now = body.strip().encode(), str(int(time.time()))
    headers = dict(line.split(": ", 1) for line in lines)
    signed = f"{headers.get('X-Badges-Id')}.{now}.".encode() + data
    for key in ("bmV3IGtleSBvZiB0aGUgYmFkZ2Vz", "b2xkIGtleSBvZiB0aGUgYmFkZ2Vz"):
        signature = digest(base64.b64decode(key), signed).hex()
        filled = {name: value.replace("<now>", now).replace("<signature>", signature) for name, value in headers.items()}
        reply = http(method, page.edge_url + path, data if method == "POST" else None, filled)
        status, text = answer.strip().split(" ", 1)
        assert (reply.status, reply.json) == (int(status), json.loads(text)), reply
