"""The vendors of a device's return: Retriever, AfterShip, and BambooHR, which knows where the leaver lives."""

import base64

import pytest
from client import Sandbox
from sandbox_calls import Caller

EMPLOYEE = {"name": "Jane Doe", "address_line_1": "12 Elm Street", "address_city": "Springfield", "address_state": "IL",
            "address_zip": "62701"}
COMPANY = {"return_recipient_name": "IT", "return_address_line_1": "1 Main Street", "return_address_city": "Austin",
           "return_address_state": "TX", "return_address_zip": "78701", "display_name": "Example Inc"}


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    with Sandbox("retriever,aftership,bamboohr", {}, str(tmp_path_factory.mktemp("returns"))) as running:
        yield running
        assert running.log() == "", "the sandbox has complained"


@pytest.fixture(autouse=True)
def fresh(vendors):
    vendors.reset()


@pytest.fixture
def retriever(vendors):
    return Caller(vendors.url("retriever") + "/api/v2", "Bearer sandbox-retriever-key-s3cret", "application/json")


@pytest.fixture
def aftership(vendors):
    call = Caller(vendors.url("aftership") + "/tracking/2026-07", None, "application/json")
    return lambda *given, **headers: call(*given, **{"as_api_key": "asat_sandbox-s3cret", **headers})


@pytest.fixture
def bamboo(vendors):
    key = base64.b64encode(b"sandbox-bamboo-key-s3cret:x").decode()
    return Caller(vendors.url("bamboohr") + "/api/v1", f"Basic {key}", "application/json")


def order(retriever, **more):
    employee = {**EMPLOYEE, **more.pop("employee_info", {})}
    return retriever("POST", "/device_returns/", {"device": "laptop", "employee_info": employee, "company_info": COMPANY, **more})


# Retriever.

def test_every_order_is_another_box(retriever):
    ids = {order(retriever, ticket_id="t1").json["id"] for _ in range(2)}
    assert len(ids) == 2
    found = retriever("GET", "/device_returns/").json
    assert found["count"] == 2 and {one["ticket_id"] for one in found["results"]} == {"t1"}


@pytest.mark.parametrize("change", [
    {"device": "castle"}, {"employee_info": {"address_zip": ""}}, {"employee_info": {"address_country": "Germany"}},
    {"employee_info": {"address_country": "Canada"}, "device": "monitor"}, {"company_info": {}}, {"note_1": None}, {"serial_number": 7},
    {"request_charger": "yes"}, {"company_info": {**COMPANY, "notification_emails": ""}},
    {"company_info": {**COMPANY, "notification_emails": ["it"]}}, {"employee_info": {"address_line_2": None}}])
def test_orders_that_are_refused(retriever, vendors, change):
    assert order(retriever, **change).status == 400
    assert vendors.state("retriever")["device_returns"] == []


def test_pages_of_orders(retriever, vendors):
    vendors.settings("retriever", page_size=2)
    for number in range(3):
        order(retriever, ticket_id=f"t{number}")
    first = retriever("GET", "/device_returns/").json
    assert [one["ticket_id"] for one in first["results"]] == ["t2", "t1"] and first["next"].endswith("/device_returns/?page=2")
    second = retriever("GET", "/device_returns/?page=2").json
    assert [one["ticket_id"] for one in second["results"]] == ["t0"] and second["next"] is None
    assert retriever("GET", "/device_returns/?page=3").status == 404


def test_the_label_comes_later(retriever, vendors):
    vendors.settings("retriever", return_polls=1)
    key = order(retriever).json["id"]
    seen = [retriever("GET", f"/device_returns/{key}/").json["shipments"][0]["return_tracking"] for _ in range(2)]
    assert seen == [None, f"1ZRET{key}"]
    assert retriever("GET", "/device_returns/404/").status == 404


def test_reads_of_a_day(retriever, vendors):
    vendors.settings("retriever", reads_per_day=1)
    assert retriever("GET", "/device_returns/").status == 200
    refused = retriever("GET", "/device_returns/")
    assert refused.status == 429 and refused.headers["Retry-After"]
    assert order(retriever).status == 201


# AfterShip.

def test_a_courier_that_is_null(aftership):
    refused = aftership("POST", "/trackings", {"tracking_number": "1Z1234", "slug": None})
    assert (refused.status, refused.json["meta"]["code"]) == (400, 4008)
    assert aftership("POST", "/trackings", {"tracking_number": "1Z1234"}).json["data"]["slug"] == "ups"


def test_a_number_is_tracked_once(aftership):
    detected = aftership("POST", "/trackings", {"tracking_number": "1z777", "title": "x"})
    assert detected.status == 201 and (detected.json["data"]["slug"], detected.json["data"]["tracking_number"]) == ("ups", "1Z777")
    made = aftership("POST", "/trackings", {"tracking_number": "1z999", "slug": "ups"}).json["data"]
    again = aftership("POST", "/trackings", {"tracking_number": "1Z999", "slug": "ups"})
    assert again.status == 400 and again.json["meta"]["code"] == 4003 and again.json["data"]["id"] == made["id"]
    assert aftership("GET", "/trackings?tracking_numbers=1Z999&slug=fedex").json["data"]["trackings"] == []
    assert aftership("DELETE", f"/trackings/{made['id']}").status == 200
    gone = aftership("DELETE", f"/trackings/{made['id']}")
    assert gone.status == 404 and gone.json["meta"]["code"] == 4004


@pytest.mark.parametrize("body, code", [({"tracking_number": "1Z"}, 4005), ({"tracking_number": "99999"}, 4012),
                                        ({"tracking_number": "99999", "slug": "pigeon"}, 4012), (b"{", 4001)])
def test_numbers_that_are_refused(aftership, body, code):
    answer = aftership("POST", "/trackings", body)
    assert answer.status == 400 and answer.json["meta"]["code"] == code


# BambooHR.

def test_only_the_fields_that_are_asked_for(bamboo, vendors):
    key = vendors.seed("bamboohr", {"employees": [{"workEmail": "ann@example.com", "address1": "12 Elm Street"}]})["employees"][0]["id"]
    assert bamboo("GET", f"/employees/{key}?fields=workEmail").json == {"id": key, "workEmail": "ann@example.com"}
    vendors.settings("bamboohr", hidden_fields=["address1"])
    assert bamboo("GET", f"/employees/{key}?fields=address1").json == {"id": key}
    missing = bamboo("GET", "/employees/999?fields=workEmail")
    assert missing.status == 404 and missing.headers["X-BambooHR-Error-Message"]


def test_the_report_and_the_changes(bamboo, vendors):
    vendors.seed("bamboohr", {"employees": [{"workEmail": "ann@example.com", "lastChanged": "2020-01-01T00:00:00+00:00"},
                                            {"workEmail": "bob@example.com", "status": "Inactive"}]})
    asked = {"title": "x", "fields": ["workEmail"]}
    everybody = bamboo("POST", "/reports/custom?format=json&onlyCurrent=true", asked).json["employees"]
    assert [one["workEmail"] for one in everybody] == ["ann@example.com", "bob@example.com"]
    refused = bamboo("POST", "/reports/custom?format=json", asked, Content_Type="application/json; charset=utf-8")
    assert (refused.status, refused.headers["X-BambooHR-Error-Message"]) == (400, "Malformed XML")
    changed = bamboo("GET", "/employees/changed?since=2021-01-01T00:00:00Z").json["employees"]
    assert list(changed) == [everybody[1]["id"]]
    assert bamboo("GET", "/employees/changed?since=yesterday").status == 400


def test_wrong_keys(retriever, aftership, bamboo):
    assert retriever("GET", "/device_returns/", Authorization="Bearer x").status == 401
    assert aftership("GET", "/trackings", as_api_key="x").json["meta"]["code"] == 401
    assert bamboo("GET", "/employees/1", Authorization="Basic eDp4").status == 401
