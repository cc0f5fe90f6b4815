"""Every action of the Retriever connector by itself, and what a box must never be: ordered twice, sent to a stranger, too many a day.

The home address comes from a BambooHR beside it.
"""

import json
from datetime import datetime

import pytest
from connector_table import ConnectorTable, Row
from unconfirmed import impatient

pytestmark = pytest.mark.xdist_group("retriever")
RETURNS = "/api/v2/device_returns/"
STREET = "12 Elm Street"
HOME = {"firstName": "Jane", "lastName": "Doe", "homeEmail": "jane.at.home@home.example", "address1": STREET, "address2": None,
        "city": "Springfield", "state": "IL", "zipcode": "62701-1234", "country": "United States"}
COMPANY = {"display_name": "Example Inc", "return_recipient_name": "IT", "return_address_line_1": "1 Main Street",
           "return_address_city": "Austin", "return_address_state": "TX", "return_address_zip": "78701",
           "notification_emails": ["it@example.com", "hr@example.com"]}


def body(ticket: str, **more) -> dict:
    return {"device": "laptop", "request_charger": True, "ticket_id": ticket,
            "employee_info": {"name": "Jane Doe", "email": HOME["homeEmail"], "address_line_1": STREET,
                              "address_city": "Springfield", "address_state": "IL", "address_zip": "62701-1234",
                              "address_country": "United States"},
            "company_info": COMPANY, **more}


ROWS = [
    Row("order_box", [f"GET {RETURNS}?page=1", f"POST {RETURNS} {{body}}", f"GET {RETURNS}{{new}}/"],
        with_={"employee": "{employee}", "ticket": "{email}"}, missing=None, again="succeeded",
        outputs={"box": "{new}", "status": "box_in_transit", "outbound_tracking": "1ZOUT{new}", "outbound_carrier": "UPS",
                 "return_tracking": "1ZRET{new}", "return_carrier": "UPS"}),
    Row("read_return", [f"GET {RETURNS}{{box}}/"], with_={"box": "{box}"}, missing=None, again="succeeded", verified=False,
        outputs={"status": "box_in_transit", "outbound_tracking": "1ZOUT{box}", "outbound_carrier": "UPS",
                 "return_tracking": "1ZRET{box}", "return_carrier": "UPS"}),
]


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    return connected(make_shared_stack(systems="retriever,bamboohr"))


def connected(stack, **settings):
    """Configures the system, with these settings over its own."""
    stack.settings["systems"]["retriever"] = {
        "url": stack.sandbox.url("retriever") + "/api/v2", "token": "sandbox-retriever-key-s3cret", "per_minute": "60000",
        "hr_url": stack.sandbox.url("bamboohr") + "/api/v1", "hr_key": "sandbox-bamboo-key-s3cret",
        "company": "Example Inc", "return_recipient": "IT", "return_line_1": "1 Main Street", "return_city": "Austin",
        "return_state": "TX", "return_zip": "78701", "notification_emails": "it@example.com, hr@example.com", **settings}
    stack.write_settings()
    return stack


class TestRetriever(ConnectorTable):
    system = "retriever"
    rows = ROWS
    test_nobody_there = None    # no action is about an account

    @pytest.fixture(scope="class")
    def stack(self, stack):
        return stack

    def leaver(self, stack, row, email):
        names = {"employee": hire(stack, email), "body": body(email)}
        last = order(stack, ticket_id=email if row.action == "read_return" else "another's")["id"]
        return names | {"box": last, "new": str(int(last) + 1)}


def hire(stack, email: str, **more) -> str:
    """An employee in HR; the id."""
    state = stack.sandbox.seed("bamboohr", {"employees": [{**HOME, "workEmail": email, **more}]})
    return state["employees"][-1]["id"]


def order(stack, **more) -> dict:
    """An order that is there already."""
    return stack.sandbox.seed("retriever", {"device_returns": [more]})["device_returns"][-1]


def boxes(stack, ticket: str) -> list[dict]:
    return [one for one in stack.sandbox.state("retriever")["device_returns"] if one["ticket_id"] == ticket]


@pytest.fixture
def box(stack):
    """Orders a box for an employee, whatever the vendors do; nothing that is said holds the address."""
    since = [0]

    def try_(email: str, employee: str | None = None, action: str = "order_box", env: dict | None = None, known: bool = False,
             **with_) -> dict:
        """`known`: HR's event names the employee."""
        employee = employee or (hire(stack, email) if action == "order_box" else None)
        given = {"ticket": email, "employee": employee, **with_} if action == "order_box" else with_
        since[0] = len(stack.sandbox.journal("retriever"))
        done = stack.try_action("retriever", action, "--email", email, "--json", "--live", "--with", json.dumps(given),
                                *(["--employee-id", employee] if known else []), **(env or {}))
        assert STREET not in done.out + done.err and "Springfield" not in done.out + done.err
        return json.loads(done.out)

    try_.requests = lambda: [f"{entry['method']} {entry['path'].removeprefix('/api/v2')}?{entry['query']}".rstrip("?")
                             for entry in stack.sandbox.journal("retriever")[since[0]:]]
    yield try_
    stack.sandbox.clear_faults()
    stack.sandbox.settings("retriever", page_size=50, reads_per_day=None, return_polls=0)
    stack.sandbox.settings("bamboohr", key="sandbox-bamboo-key-s3cret", hidden_fields=[])


# Once.

def test_a_lost_answer_orders_no_second_box(stack, box):
    stack.sandbox.fault("retriever", {"match": {"method": "POST"}, "do": "lose_answer", "times": 1})
    said = box("lost@example.com")
    assert said["outcome"] == "deferred" and "looked for before it is tried again" in said["message"], said
    said = box("lost@example.com")
    assert (said["outcome"], said["message"]) == ("succeeded", "it had already been done before this job"), said
    assert len(boxes(stack, "lost@example.com")) == 1 and said["outputs"]["box"] == boxes(stack, "lost@example.com")[0]["id"]


def test_an_earlier_order_is_looked_for_on_every_page(stack, box):
    first = order(stack, ticket_id="pages@example.com")["id"]
    for number in range(4):
        order(stack, ticket_id=f"later-{number}")
    stack.sandbox.settings("retriever", page_size=2)
    said = box("pages@example.com")
    assert said["outputs"]["box"] == first, said
    assert box.requests() == ["GET /device_returns/?page=1", "GET /device_returns/?page=2", "GET /device_returns/?page=3",
                              f"GET /device_returns/{first}/"]


@pytest.mark.parametrize("status, taken", [("box_delivered", True), ("box_in_transit", True), ("return_complete", False), ("deactivated", False)])
def test_a_return_ordered_by_hand(stack, box, status, taken):
    """An open one of the same device for the same person is taken for ours; one that is over says nothing of this leaver."""
    serial = f"S-{status}"
    known = order(stack, serial_number=serial.upper(), employee_info={"email": HOME["homeEmail"].upper()}, shipment={"status": status})["id"]
    said = box(f"{status}@example.com", serial_number=serial)
    assert said["outcome"] == "succeeded" and (said["outputs"]["box"] == known) == taken, said


BOB = {"name": "Bob Roe", "email": "bob@home.example"}


@pytest.mark.parametrize("held, outcome", [
    ({"serial_number": "s-bob", "ticket_id": "B", "employee_info": BOB}, "blocked"), ({"serial_number": "s-bob", "ticket_id": "B"}, "blocked"),
    ({"ticket_id": "{ticket}", "employee_info": BOB}, "blocked"), ({"ticket_id": "{ticket}"}, "succeeded"),
    ({"serial_number": "s-bob", "employee_info": BOB, "shipment": {"status": "return_complete"}}, "succeeded")],
    ids=["his-device", "a-device-of-nobody", "his-ticket", "our-ticket", "his-former-device"])
def test_an_open_return_of_somebody_else(stack, box, request, held, outcome):
    """It is not taken for the leaver's, who would get no box; a person has to look."""
    email = f"{request.node.callspec.id}@example.com"
    known = order(stack, **{**held, **({"ticket_id": email} if held.get("ticket_id") == "{ticket}" else {})})["id"]
    said = box(email, serial_number=request.node.callspec.id if "ticket" in request.node.callspec.id else "S-BOB")
    stack.sandbox.seed("retriever", {"device_returns": [{"id": known, "shipment": {"status": "return_complete"}}]})
    assert said["outcome"] == outcome, said
    if outcome == "blocked":
        assert f"device return {known} has this ticket or serial number" in said["message"], said
        assert not [one for one in box.requests() if one.startswith("POST")]
    else:
        assert (said["outputs"]["box"] == known) == (held.get("ticket_id") == "{ticket}"), said


def test_a_ticket_that_is_shown_as_a_number(stack, box):
    known = order(stack, ticket_id=4711)["id"]
    assert box("number@example.com", ticket="4711")["outputs"]["box"] == known


def test_an_answer_about_another_box(stack, box):
    """Neither an order's read-back nor the wait for the label takes it."""
    known, other = order(stack, ticket_id="other-box@example.com")["id"], order(stack, ticket_id="others")
    stack.sandbox.fault("retriever", {"match": {"method": "GET", "path": f"device_returns/{known}/$"}, "do": "status", "status": 200,
                                      "body": {**other, "shipments": [{**other["shipments"][0], "return_tracking": "1ZOTHER"}]}})
    assert box("other-box@example.com", env=impatient(stack, "retriever"))["outcome"] == "failed"
    said = box("other-box@example.com", action="read_return", box=known)
    assert said["outcome"] == "failed" and not any(said["outputs"].values()), said


def test_an_order_that_is_answered_with_another_box(stack, box):
    other = order(stack, ticket_id="somebody's")
    stack.sandbox.fault("retriever", {"match": {"method": "POST"}, "do": "status", "status": 201, "body": other})
    said = box("answered-otherwise@example.com", env=impatient(stack, "retriever"))
    assert said["outcome"] == "failed" and "not confirmed" in said["message"], said


def test_number_and_courier_of_one_shipment(stack, box):
    known = order(stack, ticket_id="two-shipments@example.com")["id"]
    stack.sandbox.fault("retriever", {"match": {"method": "GET", "path": f"device_returns/{known}/$"}, "do": "status", "status": 200,
                                      "body": {"id": int(known), "ticket_id": "two-shipments@example.com", "shipments": [
                                          {"status": "lost", "outbound_tracking": "", "outbound_carrier": "DHL", "return_carrier": "UPS"},
                                          {"status": "box_in_transit", "outbound_tracking": "9400", "outbound_carrier": "USPS",
                                           "return_tracking": "7712", "return_carrier": "FedEx"}]}})
    for said in (box("two-shipments@example.com"), box("two-shipments@example.com", action="read_return", box=known)):
        assert {name: said["outputs"][name] for name in said["outputs"] if "_" in name} == {
            "outbound_tracking": "9400", "outbound_carrier": "USPS", "return_tracking": "7712", "return_carrier": "FedEx"}, said


@pytest.mark.parametrize("known", [False, True])
def test_an_answer_about_another_employee(stack, box, known):
    """No box to whom HR shows in place of the one who was asked for, whatever the work e-mail."""
    email, other = f"asked-for-{known}@example.com".lower(), hire(stack, "roe@example.com")
    employee = hire(stack, email)
    shown = {**HOME, "id": other, "workEmail": None if known else email}
    stack.sandbox.fault("bamboohr", {"match": {"method": "GET"}, "do": "status", "status": 200, "body": shown})
    said = box(email, employee, known=known)
    assert said["outcome"] == "blocked" and f"about another employee than {employee}" in said["message"], said
    assert box.requests() == [] and boxes(stack, email) == [], said


def test_our_own_order_is_never_repeated(stack, box):
    """Not even when it is over: somebody who cancelled it in the portal knows why."""
    order(stack, ticket_id="over@example.com", shipment={"status": "deactivated"})
    said = box("over@example.com", env=impatient(stack, "retriever"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said
    assert len(boxes(stack, "over@example.com")) == 1


# To whom, and where.

@pytest.mark.parametrize("name, change, with_, why", [
    ("stranger", {"workEmail": "somebody@example.com"}, {}, "has another one"),
    ("no-address", {"workEmail": None}, {}, "shows none, and the employee is not known to be the leaver"),
    ("nowhere", {"address1": ""}, {}, "no complete home address"),
    ("no-zip", {"zipcode": None}, {}, "no complete home address"),
    ("germany", {"country": "Germany"}, {}, "the leaver lives in Germany"),
    ("unknown", {"country": None}, {}, "the leaver lives in an unknown country"),
    ("monitor", {"country": "Canada"}, {"device": "monitor"}, "the leaver lives in Canada"),
])
def test_no_box_to(stack, box, name, change, with_, why):
    email = f"{name}@example.com"
    said = box(email, hire(stack, email, **change), **with_)
    assert said["outcome"] == "blocked" and why in said["message"], said
    assert box.requests() == []


@pytest.mark.parametrize("name, change, country", [
    ("canada", {"country": "Canada"}, "Canada"), ("usa", {"country": "USA"}, "United States"),
    ("left", {"workEmail": None, "status": "Inactive"}, "United States"), ("caps", {"workEmail": "CAPS@Example.com"}, "United States"),
])
def test_a_box_to(stack, box, name, change, country):
    email = f"{name}@example.com"
    assert box(email, hire(stack, email, **change), known=name == "left")["outcome"] == "succeeded"
    assert [one["employee_info"]["address_country"] for one in boxes(stack, email)] == [country]


@pytest.mark.parametrize("answer", ["", [], {}, {"id": "1"}, {"error": "maintenance"}, "<!DOCTYPE html><html><title>Sign in</title></html>"],
                         ids=["empty", "list", "object", "id", "error", "page"])
def test_no_box_while_hr_says_nothing(stack, box, answer):
    email = "unread-hr@example.com"
    stack.sandbox.fault("bamboohr", {"match": {"method": "GET"}, "do": "status", "status": 200, "body": answer})
    said = box(email, env={"OFFBOARD_WORKER_RETRY_WAIT": "0s"}, known=True)
    assert said["outcome"] in ("blocked", "deferred", "failed") and boxes(stack, email) == [], said


def test_a_work_e_mail_that_hr_may_not_show(stack, box):
    stack.sandbox.settings("bamboohr", hidden_fields=["workEmail"])
    said = box("hidden-mail@example.com", known=True)
    assert said["outcome"] == "blocked" and "shows none" in said["message"] and box.requests() == [], said


@pytest.mark.parametrize("answer", ["", [], {}, {"results": []}, {"next": None}, {"next": None, "results": None}, {"error": "maintenance"},
                                    {"count": 7, "next": None, "results": []}, "<!DOCTYPE html><html><title>Sign in</title></html>"],
                         ids=["empty", "list", "object", "no-next", "no-list", "null", "error", "ends-early", "page"])
def test_no_second_box_while_orders_cannot_be_read(stack, box, answer):
    email = "unread-list@example.com"
    stack.sandbox.fault("retriever", {"match": {"method": "GET", "path": "device_returns/$"}, "do": "status", "status": 200, "body": answer})
    said = box(email, env={"OFFBOARD_WORKER_RETRY_WAIT": "0s"})
    assert said["outcome"] in ("deferred", "failed") and boxes(stack, email) == [], said


def test_an_order_without_its_shipments_is_not_confirmed(stack, box):
    known = order(stack, ticket_id="no-shipments@example.com")["id"]
    stack.sandbox.fault("retriever", {"match": {"method": "GET", "path": f"device_returns/{known}/$"}, "do": "status", "status": 200,
                                      "body": {"id": known, "ticket_id": "no-shipments@example.com"}})
    said = box("no-shipments@example.com", env=impatient(stack, "retriever"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said


def test_an_employee_hr_does_not_know(box):
    said = box("unknown-to-hr@example.com", "999999")
    assert said["outcome"] == "blocked" and box.requests() == [], said


def test_hr_refuses_our_key(stack, box):
    stack.sandbox.settings("bamboohr", key="another-key-s3cret")
    said = box("refused-by-hr@example.com")
    assert said["outcome"] == "denied" and box.requests() == ["GET /device_returns/"], said   # the check: Retriever is well


def test_neither_system_is_shown_the_others_key(stack, box):
    before = len(stack.sandbox.journal("bamboohr"))
    assert box("keys@example.com")["outcome"] == "succeeded"
    assert {entry["headers"]["authorization"] for entry in stack.sandbox.journal("bamboohr")[before:]} == {"Basic ***"}
    assert {entry["headers"]["authorization"] for entry in stack.sandbox.journal("retriever")} == {"Bearer ***"}


# The address is for Retriever alone.

def test_a_refusal_that_repeats_the_address(stack, box):
    stack.sandbox.fault("retriever", {"match": {"method": "POST"}, "do": "status", "status": 400, "times": None,
                                      "body": {"detail": f"{STREET}, Springfield is not deliverable"}})
    said = box("echo@example.com")
    assert said["outcome"] == "failed" and said["message"] == "refused: the vendor answered 400: ***, *** is not deliverable", said


def test_a_deferral_forgets_the_address_and_reads_it_again(stack, box):
    stack.sandbox.fault("retriever", {"match": {"method": "POST"}, "do": "status", "status": 429, "times": 1,
                                      "headers": {"Retry-After": "3600"}})
    said = box("deferred@example.com")
    place, = said["state"]["accounts"].values()
    assert said["outcome"] == "deferred" and place["at"] == 0 and said["state"]["begun"], said
    assert place["saved"] == {}, "all of it is read again"


# Waiting.

def test_the_label_for_the_way_back_is_waited_for(stack, box):
    stack.sandbox.settings("retriever", return_polls=1)
    known = order(stack, ticket_id="waits@example.com")["id"]
    said = box("waits@example.com", action="read_return", box=known)
    assert said["outcome"] == "deferred" and "the next look is in 6h" in said["message"], said
    said = box("waits@example.com", action="read_return", box=known)
    assert said["outputs"]["return_tracking"] == f"1ZRET{known}", said


def test_a_return_that_is_called_off(stack, box):
    stack.sandbox.settings("retriever", return_polls=9)
    known = order(stack, shipment={"status": "deactivated"})["id"]
    assert box("called-off@example.com", action="read_return", box=known)["outcome"] == "failed"
    assert box("called-off@example.com", action="read_return", box="404")["outcome"] == "missing"


def test_the_days_reads_are_used_up(stack, box):
    stack.sandbox.settings("retriever", reads_per_day=0)
    said = box("reads@example.com")
    assert said["outcome"] == "deferred" and boxes(stack, "reads@example.com") == [], said


DAY = 8
RUNBOOK = """\
runbook: boxes
phases:
  - name: initial
    steps:
      - {id: box, system: retriever, action: order_box}
"""


def test_one_box_a_day(make_stack, tmp_path):
    """The second leaver's box is ordered the next day; nothing on record holds an address."""
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "boxes.yaml").write_text(RUNBOOK, encoding="utf-8")
    stack = make_stack(systems="retriever,bamboohr", settings={
        "definitions": {"runbooks": [str(tmp_path / "runbooks")]}, "clock": {"day": f"{DAY}s"},
        "topics": {"partitions": 1}, "worker": {"systems": ["retriever"]}})
    connected(stack, boxes_per_day="1").start()
    emails = ["one@example.com", "two@example.com"]
    offboardings = [stack.offboard(email, user={"employee_id": hire(stack, email)}, runbook="boxes") for email in emails]
    for offboarding in offboardings:
        stack.wait_job(offboarding, "box", "succeeded", timeout=5 * DAY)
    ordered = [datetime.fromisoformat(entry["time"]).timestamp() // DAY
               for entry in stack.sandbox.journal("retriever", effects_only=True) if entry["method"] == "POST"]
    assert len(ordered) == 2 and ordered[0] < ordered[1]
    stack.wait_quiet()
    for kind in ("events", "jobs.retriever"):
        told = json.dumps([record.json for record in stack.topics.read(kind)])
        assert STREET not in told and "Springfield" not in told and HOME["homeEmail"] not in told
    assert not any(STREET in process.log() for process in stack.processes)
