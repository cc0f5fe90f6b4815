"""Every action of the SCIM connector by itself, in the dialect that the standard means."""

import json

import pytest
import tries
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("scim")
TOKEN = "scim-token-of-this-test-0123456789"
USER = "/Users/{id}"
READ = f"GET {USER}"
MINE = "GET /Groups?filter=members.value%20eq%20%22{id}%22"
DIALECT = {"max_count": 100, "unknown_filters": "refused", "filters": None, "ids": "text", "patch": True}
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ERROR = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "503", "detail": "the directory is being maintained"}


def patched(value: bool) -> str:
    return (f"PATCH {USER} {{'schemas': ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], 'Operations': ["
            f"{{'op': 'replace', 'path': 'active', 'value': {value}}}]}}")


def left(group: str) -> str:
    return (f"PATCH /Groups/{{{group}}} {{'schemas': ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], 'Operations': ["
            "{'op': 'remove', 'path': 'members[value eq \"{id}\"]'}]}")


class TestScim(ConnectorTable):
    system = "scim"
    account_path = "/Users/{id}"
    others = {action: {"id": "other", "userName": "other@example.com", "active": active} for action, active in (
        ("deactivate_user", False), ("activate_user", True))}
    rows = [
        Row("deactivate_user", [READ, patched(False), READ]),
        Row("activate_user", [READ, patched(True), READ], user={"active": False}),
        Row("leave_groups", [MINE + "&startIndex=1&count=100", left("staff"), left("sales"), MINE + "&count=1"],
            outputs={"groups": ["{staff}", "{sales}"], "names": ["staff {email}", "sales {email}"]}, missing="already_done"),
        Row("delete_user", [f"DELETE {USER}", READ], missing="already_done"),
    ]

    def vendors(self):
        return {"scim": {"token": TOKEN}}

    def settings(self, url):
        return {"url": url, "token": TOKEN, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        state = stack.sandbox.seed("scim", {"users": [{"userName": email, "emails": [{"value": email, "primary": True}], **row.user}]})
        key = next(user["id"] for user in state["users"] if user["userName"] == email)
        names = {group: f"{group} {email}" for group in ("staff", "sales")}
        state = stack.sandbox.seed("scim", {"groups": [{"displayName": name, "members": [{"value": key}]} for name in names.values()]})
        found = {group["displayName"]: group["id"] for group in state["groups"]}
        return {"id": key, **{group: found[name] for group, name in names.items()}}

    def test_done_before(self, case, row):
        """What is gone is gone: its deletion is told twice."""
        assert case.try_()["outcome"] == "succeeded"
        assert case.try_()["outcome"] == "already_done"
        assert not [entry for entry in case.changed() if entry.get("effect")]

    # Whose account it is.

    @pytest.fixture
    def dialect(self, stack):
        """Sets what the server is like, and puts it back."""
        yield lambda **changes: stack.sandbox.settings("scim", dialect={**DIALECT, **changes})
        stack.sandbox.settings("scim", dialect=DIALECT)
        stack.sandbox.clear_faults("scim")

    @pytest.fixture
    def searched(self, stack, request):
        """A leaver who is searched for: nobody knows the account yet."""
        case = tries.case(self, stack, "deactivate_user", request.node.name.split("[")[0].removeprefix("test_").replace("_", "-"))
        case.id = case.names.pop("id")
        return case

    def active(self, case) -> bool:
        return next(user for user in case.stack.sandbox.state("scim")["users"] if user["id"] == case.id)["active"]

    def strangers(self, stack, count: int = 5) -> None:
        stack.sandbox.seed("scim", {"users": [{"userName": f"stranger{number}@example.com"} for number in range(count)]})

    def answers(self, case, body, status: int = 200) -> None:
        case.stack.sandbox.fault("scim", {"match": {"method": "GET", "path": "^/Users$"}, "do": "status", "status": status, "body": body})

    def test_a_leaver_on_page_two_of_a_server_that_does_not_filter(self, stack, dialect, searched):
        self.strangers(stack)
        dialect(max_count=2, filters=["nickName"], unknown_filters="ignored")
        said = searched.try_()
        assert said["outcome"] == "succeeded" and said["pinned"] == {"scim": [searched.id]}, said
        assert not self.active(searched) and len(searched.changed()) == 1
        assert "startIndex=3" in " ".join(searched.requests())

    def test_nobody_among_all_that_a_server_shows_that_does_not_filter(self, stack, dialect, searched):
        dialect(max_count=2, filters=["nickName"], unknown_filters="ignored")
        searched.email = "nobody-of-that-name@example.com"
        assert searched.try_()["outcome"] == "missing" and not searched.changed()

    def test_an_id_that_is_a_number(self, stack, dialect, searched):
        dialect(ids="number")
        self.leaver(stack, searched.row, "numbered@example.com")
        searched.email = "numbered@example.com"
        said = searched.try_()
        number, = said["pinned"]["scim"]
        assert said["outcome"] == "succeeded" and number.isdigit(), said

    @pytest.mark.parametrize("body", [
        "", [], {}, {"totalResults": 1}, {"totalResults": 1, "resources": [{"id": "1"}]}, {"totalresults": 0, "resources": []}, ERROR,
        {"error": "maintenance"}, {"Resources": None}, {"Resources": []}, {"totalResults": -1, "Resources": []}, {"totalResults": "many", "Resources": []},
        {"totalResults": True, "Resources": []}, {"totalResults": 0, "Resources": [], "Errors": [{"code": "500", "description": "maintenance"}]}, "<!DOCTYPE html><html><title>Sign in</title></html>"],
        ids=["empty", "list", "object", "no-list", "lower-case", "lower-case-nobody", "error", "error-word", "null", "no-total", "negative", "no-number", "boolean", "errors", "page"])
    def test_an_answer_that_cannot_be_read_says_nothing(self, searched, dialect, body):
        self.answers(searched, body)
        said = searched.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] == "deferred" and not searched.changed() and self.active(searched), said

    def test_a_list_that_ends_before_its_total_is_for_a_person(self, searched, dialect):
        self.answers(searched, {"totalResults": 5, "Resources": []})
        said = searched.try_()
        assert said["outcome"] == "blocked" and "the server found 5 and shows only 0" in said["message"], said

    def test_who_is_shown_counts_whatever_the_total(self, searched, dialect):
        self.answers(searched, {"totalResults": 0, "Resources": [{"id": searched.id, "userName": searched.email}]})
        said = searched.try_()
        assert said["outcome"] == "succeeded" and said["pinned"] == {"scim": [searched.id]}, said

    def test_a_group_that_is_shown_counts_whatever_the_total(self, stack, dialect):
        case = tries.case(self, stack, "leave_groups", "total-of-none")
        stack.sandbox.fault("scim", {"match": {"method": "GET", "path": "^/Groups$"}, "do": "status", "status": 200, "times": 1, "body": {
            "totalResults": 0, "Resources": [{"id": case.names[name], "members": [{"value": case.names["id"]}]} for name in ("staff", "sales")]}})
        assert case.try_()["outcome"] == "succeeded" and len(case.changed()) == 2

    def test_a_total_of_nobody_needs_no_list(self, searched, dialect):
        self.answers(searched, {"totalResults": 0})
        assert searched.try_()["outcome"] == "missing"

    def test_an_account_that_shows_no_address_is_for_a_person(self, searched, dialect):
        self.answers(searched, {"totalResults": 1, "Resources": [{"id": searched.id, "userName": "jdoe"}]})
        said = searched.try_()
        assert said["outcome"] == "blocked" and "shows nothing to compare" in said["message"] and self.active(searched), said

    def test_an_address_that_was_given_to_somebody_else(self, stack, searched):
        stack.sandbox.seed("scim", {"users": [{"id": searched.id, "userName": searched.email, ENTERPRISE: {"employeeNumber": "4712"}}]})
        said = searched.try_("--user", '{"employee_id": "4711"}')
        assert said["outcome"] == "blocked" and "4712" in said["message"] and self.active(searched), said

    def test_an_external_id_of_another_system_contradicts_nobody(self, stack, searched):
        stack.sandbox.seed("scim", {"users": [{"id": searched.id, "userName": searched.email, "externalId": "00u1abc"}]})
        said = searched.try_("--user", '{"employee_id": "4711"}')
        assert said["outcome"] == "succeeded" and said["pinned"] == {"scim": [searched.id]}, said

    @pytest.mark.parametrize("shown, theirs, explicit", [("E-9", "E-4711", False), ("12", "4711", False), ("00u1abc", "4711", True)])
    def test_an_external_id_that_is_another_persons_employee_id(self, stack, searched, shown, theirs, explicit):
        """It looks like an employee id of the company, or the setting says that it is one."""
        stack.sandbox.seed("scim", {"users": [{"id": searched.id, "userName": searched.email, "externalId": shown}]})
        named = {"OFFBOARD_SYSTEMS_SCIM_EMPLOYEE_ID_ATTRIBUTE": "externalId"} if explicit else {}
        said = searched.try_("--user", json.dumps({"employee_id": theirs}), **named)
        assert said["outcome"] == "blocked" and shown in said["message"] and self.active(searched), said

    def test_found_by_the_number_of_the_enterprise_user(self, stack, searched):
        stack.sandbox.seed("scim", {"users": [{"id": searched.id, "userName": searched.email, ENTERPRISE: {"employeeNumber": "815"}}]})
        searched.email = "called.otherwise@example.com"
        said = searched.try_("--user", '{"employee_id": "00815"}', OFFBOARD_SYSTEMS_SCIM_EMPLOYEE_ID_ATTRIBUTE=f"{ENTERPRISE}:employeeNumber")
        assert said["outcome"] == "missing", said     # the server compares letter by letter, and HR has zeros in front
        said = searched.try_("--user", '{"employee_id": "815"}', OFFBOARD_SYSTEMS_SCIM_EMPLOYEE_ID_ATTRIBUTE=f"{ENTERPRISE}:employeeNumber")
        assert said["outcome"] == "succeeded" and said["pinned"] == {"scim": [searched.id]}, said

    def test_a_sign_in_page_is_told_by_the_check_and_by_a_dry_run(self, stack, searched, dialect):
        """Before the first leaver comes, and as it is told of a live one."""
        self.answers(searched, "<!DOCTYPE html><html><title>Sign in</title></html>")
        check = stack.cli("check", "scim")
        assert check.status != 0 and "web page" in check.out + check.err, check
        dry, real = (searched.try_(live=live, OFFBOARD_WORKER_RETRY_WAIT="0s") for live in (False, True))
        assert dry["outcome"] == real["outcome"] == "deferred" and "web page" in dry["message"], dry

    def test_a_content_coding_that_is_none_is_overlooked(self, stack, searched, dialect):
        user = {"id": searched.id, "userName": searched.email}
        stack.sandbox.fault("scim", {"match": {"method": "GET", "path": "^/Users$"}, "do": "status", "status": 200,
                                     "headers": {"Content-Encoding": "UTF-8"}, "body": {"totalResults": 1, "Resources": [user]}})
        assert searched.try_()["outcome"] == "succeeded" and not self.active(searched)

    def test_a_long_refusal_is_cut_between_letters(self, stack, searched, dialect):
        stack.sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "status", "status": 400, "body": {**ERROR, "detail": "ж" * 5000}})
        said = searched.try_()
        assert said["outcome"] == "failed" and said["message"].rstrip("…. ").endswith("жж") and "\ufffd" not in said["message"], said

    # What is special.

    def test_a_server_without_patch_says_so_at_once(self, searched, dialect):
        dialect(patch=False)
        said = searched.try_()
        assert said["outcome"] == "failed" and "PATCH is not supported" in said["message"], said
        assert len(searched.changed()) == 1

    def test_by_put_the_others_stay_members(self, stack):
        case = tries.case(self, stack, "leave_groups", "put")
        self.strangers(stack)
        state = stack.sandbox.state("scim")
        other = next(user["id"] for user in state["users"] if user["userName"] == "stranger0@example.com")
        stack.sandbox.seed("scim", {"groups": [{"displayName": f"staff {case.email}", "members": [{"value": case.names["id"]}, {"value": other}]}]})
        assert case.try_(OFFBOARD_SYSTEMS_SCIM_PATCH="put")["outcome"] == "succeeded"
        group = next(group for group in stack.sandbox.state("scim")["groups"] if group["id"] == case.names["staff"])
        assert [member["value"] for member in group["members"]] == [other]

    def test_by_put_a_group_that_hides_its_members_is_left_alone(self, stack, dialect):
        case = tries.case(self, stack, "leave_groups", "hidden")
        for group in ("staff", "sales"):
            stack.sandbox.fault("scim", {"match": {"method": "GET", "path": f"^/Groups/{case.names[group]}"}, "do": "status", "status": 200,
                                         "body": {"id": case.names[group], "displayName": "x"}})
        said = case.try_(OFFBOARD_SYSTEMS_SCIM_PATCH="put")
        assert said["outcome"] == "blocked" and "would remove everybody" in said["message"] and not case.changed(), said

    def test_a_leaver_in_groups_of_page_two(self, stack, dialect):
        case = tries.case(self, stack, "leave_groups", "paged")
        dialect(max_count=1)
        assert case.try_()["outcome"] == "succeeded" and len(case.changed()) == 2

    def test_groups_that_the_user_shows(self, stack):
        case = tries.case(self, stack, "leave_groups", "shown")
        assert case.try_(OFFBOARD_SYSTEMS_SCIM_GROUPS="user")["outcome"] == "succeeded" and len(case.changed()) == 2
        assert case.requests()[-1] == f"GET /Users/{case.names['id']}"
