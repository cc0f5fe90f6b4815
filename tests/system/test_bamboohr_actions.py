"""Every action of the BambooHR connector by itself: what HR knows of the leaver, and nothing of a home address."""

import json

import pytest
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("bamboohr")
API = "/api/v1"
FIELDS = "displayName%2CworkEmail%2Cstatus%2CterminationDate%2Ccountry%2CjobTitle%2Cdepartment%2Clocation%2CsupervisorEmail%2Csupervisor"
BOSS = "boss@example.com"

ROWS = [
    Row("read_employee", [f"GET {API}/employees/{{id}}?fields={FIELDS}"], again="succeeded", verified=False,
        outputs={"status": "Inactive", "last_day": "2026-01-31", "leaving": True,
                 "user": {"name": "Jane Doe", "country": "Canada", "manager": {"email": BOSS}}}),
    Row("list_terminated", [f"GET {API}/employees/changed?since=2000-01-01T00%3A00%3A00Z"],
        with_={"since": "2000-01-01T00:00:00Z"}, missing=None, again="succeeded", verified=False),
]


class TestBambooHR(ConnectorTable):
    system = "bamboohr"
    rows = ROWS
    nobody = "999999"

    @pytest.fixture(scope="class")
    def stack(self, stack):
        return stack

    def leaver(self, stack, row, email):
        # What changed is asked about one by one, and all tests share a company: here nobody else has.
        stack.sandbox.reset()
        if row.action == "list_terminated":
            return {}
        return {"id": employee(stack, email, status="Inactive", terminationDate="2026-01-31", country="Canada",
                               displayName="Jane Doe", supervisorEmail="Boss@Example.com", address1="12 Elm Street")}


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    stack = make_shared_stack(systems="bamboohr")
    stack.settings["systems"]["bamboohr"] = {"url": stack.sandbox.url("bamboohr") + API, "key": "sandbox-bamboo-key-s3cret",
                                             "per_minute": "60000"}
    stack.write_settings()
    return stack


@pytest.fixture
def fresh(stack):
    stack.sandbox.reset()
    yield stack
    stack.sandbox.clear_faults("bamboohr")
    stack.sandbox.settings("bamboohr", hidden_fields=[])


def employee(stack, email: str | None, **more) -> str:
    return stack.sandbox.seed("bamboohr", {"employees": [{"workEmail": email, **more}]})["employees"][-1]["id"]


def try_(stack, action: str, *whom: str, with_: dict | None = None, **env) -> dict:
    done = stack.try_action("bamboohr", action, *whom, "--json", "--with", json.dumps(with_ or {}), **env)
    assert done.out, done
    return json.loads(done.out)


def test_found_by_id_and_by_email_though_the_last_day_is_over(fresh):
    key = employee(fresh, "Gone@Example.com", status="Inactive")
    for whom in (("--employee-id", key), ("--email", "gone@example.com")):
        said = try_(fresh, "read_employee", *whom)
        assert said["outcome"] == "succeeded" and said["pinned"] == {"bamboohr": [key]}, said


def test_found_by_employee_number(fresh):
    key = employee(fresh, "ann@example.com", employeeNumber="4711")
    employee(fresh, "other@example.com", employeeNumber=key)     # another's number is no id
    said = try_(fresh, "read_employee", "--employee-id", "4711", OFFBOARD_SYSTEMS_BAMBOOHR_EMPLOYEE_KEY="employeeNumber")
    assert said["pinned"] == {"bamboohr": [key]}, said


def test_numbers_with_zeros_in_front(fresh):
    key = employee(fresh, "zeros@example.com", employeeNumber="00815")
    said = try_(fresh, "read_employee", "--employee-id", "815", OFFBOARD_SYSTEMS_BAMBOOHR_EMPLOYEE_KEY="employeeNumber")
    assert said["pinned"] == {"bamboohr": [key]}, said


def test_an_address_that_was_given_to_somebody_else(fresh):
    key = employee(fresh, "inherited@example.com")
    said = try_(fresh, "read_employee", "--email", "inherited@example.com", "--employee-id", "4711")
    assert said["outcome"] == "blocked" and key in said["message"], said


@pytest.mark.parametrize("hidden, whom", [("workEmail", ("--email", "seen@example.com")), ("employeeNumber", ("--employee-id", "7"))])
def test_what_the_key_may_not_see_finds_nobody(fresh, hidden, whom):
    """It is no proof that there is nobody."""
    employee(fresh, "seen@example.com", employeeNumber="7")
    fresh.sandbox.settings("bamboohr", hidden_fields=[hidden])
    said = try_(fresh, "read_employee", *whom, OFFBOARD_SYSTEMS_BAMBOOHR_EMPLOYEE_KEY="employeeNumber")
    assert said["outcome"] == "blocked" and "may not see it" in said["message"], said


@pytest.mark.parametrize("hidden", ["status", "terminationDate"])
def test_who_leaves_is_not_told_without_status_and_last_day(fresh, hidden):
    employee(fresh, "hidden@example.com", status="Inactive", terminationDate="2026-01-31")
    fresh.sandbox.settings("bamboohr", hidden_fields=[hidden])
    said = try_(fresh, "read_employee", "--email", "hidden@example.com")
    assert said["outcome"] == "blocked" and "does not show" in said["message"], said
    said = try_(fresh, "list_terminated", "--email", "anybody@example.com", with_={"since": "2025-01-01T00:00:00Z"})
    assert said["outcome"] == "failed", said


UNREADABLE = ["", [], {}, {"employees": None}, {"error": {"code": 429}}, "<!DOCTYPE html><html><title>Sign in</title></html>"]
NAMES = ["empty", "list", "object", "null", "error", "page"]


@pytest.mark.parametrize("body", UNREADABLE, ids=NAMES)
@pytest.mark.parametrize("path, action", [("reports/custom", "read_employee"), ("employees/[0-9]+", "read_employee"),
                                          ("employees/changed", "list_terminated"), ("employees/[0-9]+", "list_terminated")])
def test_an_answer_that_cannot_be_read_says_nothing(fresh, path, action, body):
    employee(fresh, "unread@example.com", status="Inactive", terminationDate="2026-01-31")
    fresh.sandbox.fault("bamboohr", {"match": {"path": path + "$"}, "do": "status", "status": 200, "body": body})
    said = try_(fresh, action, "--email", "unread@example.com", with_={"since": "2025-01-01T00:00:00Z"} if "list" in action else {},
                OFFBOARD_WORKER_RETRY_WAIT="0s")
    assert said["outcome"] in ("deferred", "failed", "blocked") and not said["outputs"], said
    assert said["outcome"] != "blocked" or "may not see" in said["message"], said


def test_nobody_has_changed(fresh):
    said = try_(fresh, "list_terminated", "--email", "anybody@example.com", with_={"since": "2025-01-01T00:00:00Z"})
    assert said["outcome"] == "succeeded" and said["outputs"]["terminated"] == [], said


def test_two_of_one_email_are_nobody(fresh):
    for _ in range(2):
        employee(fresh, "twice@example.com")
    assert try_(fresh, "read_employee", "--email", "twice@example.com")["outcome"] == "blocked"


def test_nobody_of_that_email(fresh):
    """An empty work e-mail is nobody's."""
    employee(fresh, None)
    employee(fresh, "")
    assert try_(fresh, "read_employee", "--email", "nobody@example.com")["outcome"] == "missing"


@pytest.mark.parametrize("fields, leaving, provided", [
    ({"supervisorEmail": None}, False, {"name": "Jane Doe", "country": "CA"}),
    ({"supervisorEmail": "JANE@example.com"}, False, {"name": "Jane Doe", "country": "CA"}),
    ({"supervisorEmail": BOSS, "terminationDate": "2199-12-31"}, True, {"name": "Jane Doe", "country": "CA", "manager": {"email": BOSS}}),
    ({"terminationDate": "0000-00-00", "country": None}, False, {"name": "Jane Doe"}),
    ({"terminationDate": "2020-01-31", "country": None}, False, {"name": "Jane Doe"}),  # came back
    ({"status": "Inactive", "terminationDate": None, "country": None}, True, {"name": "Jane Doe"}),
])
def test_what_is_provided(fresh, fields, leaving, provided):
    employee(fresh, "jane@example.com", **{"displayName": "Jane Doe", "country": "Canada", **fields})
    said = try_(fresh, "read_employee", "--email", "jane@example.com")
    assert (said["outputs"]["leaving"], said["provides"]) == (leaving, {"user": provided}), said


@pytest.mark.parametrize("fields", [{"terminationDate": "31/12/2026"}, {"status": "Inaktiv"}, {"status": None}])
def test_what_cannot_be_read_is_for_a_person(fresh, fields):
    employee(fresh, "jane@example.com", **fields)
    said = try_(fresh, "read_employee", "--email", "jane@example.com")
    assert said["outcome"] == "blocked" and "does not show the employee's status (Active, Inactive) and last day" in said["message"], said


def test_nobody_is_their_own_supervisor_by_another_address(fresh):
    employee(fresh, "jane@example.com", supervisorEmail="J.Doe@example.com")
    said = try_(fresh, "read_employee", "--email", "jane@example.com", "--user", '{"emails": ["j.doe@example.com"]}')
    assert said["outcome"] == "succeeded" and said["outputs"]["user"]["manager"] is None, said


def test_no_home_address_is_read(fresh):
    employee(fresh, "home@example.com", address1="12 Elm Street", city="Springfield", homeEmail="jane@home.example")
    told = json.dumps(try_(fresh, "read_employee", "--email", "home@example.com"))
    assert not any(word in told for word in ("Elm", "Springfield", "home.example"))
    asked = json.dumps(fresh.sandbox.journal("bamboohr"))
    assert not any(word in asked for word in ("address", "homeEmail"))


def test_who_is_terminated(fresh):
    employee(fresh, "stays@example.com")
    gone = employee(fresh, "gone@example.com", status="Inactive", terminationDate="2026-01-31")
    soon = employee(fresh, "soon@example.com", terminationDate="2199-12-31")
    odd = employee(fresh, "odd@example.com", terminationDate="31/12/2026")
    employee(fresh, "back@example.com", terminationDate="2020-01-31")
    employee(fresh, "before@example.com", status="Inactive", lastChanged="2020-01-01T00:00:00+00:00")
    employee(fresh, "deleted@example.com", status="Inactive", action="Deleted")
    said = try_(fresh, "list_terminated", "--email", "anybody@example.com", with_={"since": "2025-01-01T00:00:00Z"})
    assert [(one["id"], one["email"], one["last_day"]) for one in said["outputs"]["terminated"]] == [
        (gone, "gone@example.com", "2026-01-31"), (soon, "soon@example.com", "2199-12-31"), (odd, "odd@example.com", "31/12/2026")], said
    assert said["outputs"]["latest"]


def test_refused_credentials(fresh):
    said = try_(fresh, "list_terminated", "--email", "a@example.com", with_={"since": "2025-01-01T00:00:00Z"},
                OFFBOARD_SYSTEMS_BAMBOOHR_KEY="another-key-s3cret")
    assert said["outcome"] == "denied" and "Invalid API key" in said["message"], said
