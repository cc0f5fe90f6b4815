"""Every action of the Okta connector by itself, and what is peculiar to Okta: 404 of what exists, statuses, shared devices."""

import json
import re

import pytest
from connector_table import Case, ConnectorTable, Row, filled
from tries import case as one_case
from unconfirmed import hasty_connector, impatient

pytestmark = pytest.mark.xdist_group("okta")
TOKEN = "00-of-this-test-0123456789"
USER = "/api/v1/users/{id}"
READ = f"GET {USER}"
FACTORS = [{"id": "opf1", "factorType": "push", "status": "ACTIVE"},
           {"id": "ost1", "factorType": "token:software:totp", "status": "ACTIVE"}]
ROLES = [{"id": "JBC1", "type": "HELP_DESK_ADMIN", "assignmentType": "USER"},
         {"id": "JBC2", "type": "APP_ADMIN", "assignmentType": "GROUP"}]
GROUPS = [{"id": "g1.{email}", "members": ["{email}"]}, {"id": "g2.{email}", "members": ["{email}"]},
          {"id": "all.{email}", "type": "BUILT_IN", "members": ["{email}"]},
          {"id": "app.{email}", "type": "APP_GROUP", "members": ["{email}"]}]
DEVICES = [{"id": "d1.{email}", "users": ["{email}"]}, {"id": "d2.{email}", "users": ["{email}", "colleague@example.com"]}]

ROWS = [
    Row("read_user", [READ], again="succeeded", verified=False,
        outputs={"status": "ACTIVE", "login": "{email}", "user": {"name": "Kim Doe", "emails": ["{email}"], "employee_id": None, "country": None, "zone": None,
                                                                      "manager": {"email": "boss@example.com"}}}),
    Row("clear_sessions", [READ, f"DELETE {USER}/sessions?oauthTokens=***&forgetDevices=true"],
        again="succeeded", verified=False),
    Row("suspend_user", [READ, f"POST {USER}/lifecycle/suspend", READ], before={"status": "ACTIVE"}),
    Row("unsuspend_user", [READ, f"POST {USER}/lifecycle/unsuspend", READ], user={"status": "SUSPENDED"}),
    Row("deactivate_user", [READ, f"POST {USER}/lifecycle/deactivate?sendEmail=false", READ]),
    Row("activate_user", [READ, f"POST {USER}/lifecycle/activate?sendEmail=false", READ], user={"status": "DEPROVISIONED"}),
    Row("reset_factors", [READ, f"GET {USER}/factors", f"POST {USER}/lifecycle/reset_factors", READ, f"GET {USER}/factors"],
        user={"factors": FACTORS}),
    Row("revoke_grants", [READ, f"DELETE {USER}/grants", f"GET {USER}/clients", f"DELETE {USER}/clients/c1/tokens",
                          f"DELETE {USER}/clients/c2/tokens", READ, f"GET {USER}/clients"],
        user={"grants": [{"id": "oag1", "clientId": "c3"}], "clients": ["c1", "c2"]},
        outputs={"clients": ["c1", "c2"]}, again="succeeded"),
    Row("remove_admin_roles", [READ, f"GET {USER}/roles", f"DELETE {USER}/roles/JBC1", READ, f"GET {USER}/roles"],
        user={"roles": ROLES}, outputs={"roles": ["HELP_DESK_ADMIN"]}, before={"roles": ["HELP_DESK_ADMIN"]}),
    Row("remove_devices", [READ, f"GET {USER}/devices", "GET /api/v1/devices/d1.{at}/users",
                           "GET /api/v1/devices/d2.{at}/users", "POST /api/v1/devices/d1.{at}/lifecycle/deactivate",
                           "DELETE /api/v1/devices/d1.{at}", READ, f"GET {USER}/devices", "GET /api/v1/devices/d2.{at}/users"],
        seed={"devices": DEVICES}, outputs={"devices": ["d1.{email}"], "names": ["d1.{email}"], "shared": ["d2.{email}"]}, again="succeeded"),
    Row("leave_groups", [READ, f"GET {USER}/groups", "DELETE /api/v1/groups/g1.{at}/users/{id}",
                         "DELETE /api/v1/groups/g2.{at}/users/{id}", READ,
                         f"GET {USER}/groups"],
        seed={"groups": GROUPS}, outputs={"groups": ["g1.{email}", "g2.{email}"], "names": ["g1.{email}", "g2.{email}"]},
        before={"groups": ["g1.{email}", "g2.{email}"]},
        again="succeeded"),
    Row("remove_app_assignments", [READ, f"GET {USER}/appLinks", "GET /api/v1/apps/a1/users/{id}",
                                   "GET /api/v1/apps/a2/users/{id}",
                                   "DELETE /api/v1/apps/a1/users/{id}?sendEmail=false", READ, f"GET {USER}/appLinks",
                                   "GET /api/v1/apps/a2/users/{id}"],
        user={"apps": [{"id": "a1", "scope": "USER"}, {"id": "a2", "scope": "GROUP"}]}, outputs={"apps": ["a1"], "names": ["a1"]},
        again="succeeded"),
]


class TestOkta(ConnectorTable):
    system = "okta"
    rows = ROWS
    account_path = "/users/{id}"
    others = {action: {"id": "00uOTHER", "status": status, "profile": {"login": "other@example.com"}} for action, status in (
        ("suspend_user", "SUSPENDED"), ("unsuspend_user", "ACTIVE"), ("deactivate_user", "DEPROVISIONED"), ("activate_user", "ACTIVE"),
        ("leave_groups", "DEPROVISIONED"), ("remove_admin_roles", "DEPROVISIONED"), ("revoke_grants", "DEPROVISIONED"),
        ("remove_app_assignments", "DEPROVISIONED"))}

    @classmethod
    def rows_of(cls, test):
        if test == "test_an_answer_that_is_not_true":
            return [row for row in cls.rows if row.verified]
        return super().rows_of(test)

    def vendors(self):
        return {"okta": {"token": TOKEN}}

    def settings(self, url):
        return {"url": url, "token": TOKEN, "per_minute": "60000"}

    @pytest.fixture(scope="class")
    def stack(self, okta):
        return okta

    def leaver(self, stack, row, email):
        person = {"login": email, "profile": {"displayName": "Kim Doe", "managerId": "boss@example.com"}, **row.user}
        state = stack.sandbox.seed("okta", {"users": [person, {"login": "colleague@example.com"}]})
        stack.sandbox.seed("okta", filled(row.seed, {"email": email}))
        return {"id": next(user["id"] for user in state["users"] if user["profile"]["login"] == email)}

    @pytest.fixture(scope="class")
    def hasty(self, make_shared_stack, tmp_path_factory):
        """A stack whose connector gives its read-backs a moment only."""
        stack = make_shared_stack(systems="okta", vendors=self.vendors(), settings={
            "definitions": {"connectors": [hasty_connector("okta", tmp_path_factory)]}})
        stack.settings["systems"]["okta"] = self.settings(stack.sandbox.url("okta"))
        stack.write_settings()
        return stack

    def test_an_answer_that_is_not_true(self, hasty, row):
        """The change is answered well and made by nobody: the read-back has to see it."""
        case = Case(self, hasty, row, "untrue")
        changing = "DELETE" if any(line.startswith("DELETE ") for line in row.requests) else "POST"
        hasty.sandbox.fault("okta", {"match": {"method": changing}, "do": "noop"})
        said = case.try_()
        hasty.sandbox.clear_faults("okta")
        assert said["outcome"] == "failed" and said["message"].startswith("not confirmed by reading back"), said


@pytest.fixture(scope="module")
def okta(make_shared_stack):
    table = TestOkta()
    stack = make_shared_stack(systems="okta", vendors=table.vendors())
    stack.tokens["okta"] = TOKEN
    stack.settings["systems"]["okta"] = table.settings(stack.sandbox.url("okta"))
    stack.write_settings()
    return stack


@pytest.fixture
def try_(okta, request):
    """A leaver of its own, and one action on it."""
    made = []

    def one(action: str, *more: str, env: dict | None = None, **changes):
        case = one_case(TestOkta(), okta, action, re.sub(r"\W+", "-", request.node.name.removeprefix("test_").replace("_", "-"))[:40], **changes)
        made.append(case)
        return case, case.try_(*more, **(env or {}))

    yield one
    okta.sandbox.clear_faults("okta")
    okta.sandbox.settings("okta", deactivate_lag=0.0, search_lag=0.0, page=200)


def test_found_by_employee_id_as_the_search_spells_it(okta):
    okta.sandbox.seed("okta", {"users": [{"login": "quoted@example.com", "profile": {"employeeNumber": 'a"b\\c'}}]})
    since = len(okta.sandbox.journal("okta"))
    said = json.loads(okta.try_action("okta", "suspend_user", "--employee-id", 'a"b\\c', "--live", "--json").out)
    assert said["outcome"] == "succeeded", said
    assert okta.sandbox.journal("okta")[since]["query"] == \
        "search=profile.employeeNumber%20eq%20%22a%5C%22b%5C%5Cc%22&limit=25"


def searched(okta, try_, *more: str, email: str = "", profile: dict | None = None, **env: str):
    """A leaver whom nobody has looked up yet: what a try says, and the id."""
    case, _ = try_("read_user", user={"profile": profile or {}})
    known = case.names.pop("id")
    case.email = email or case.email
    case.row = next(row for row in ROWS if row.action == "suspend_user")
    return case, known, case.try_(*more, **env)


def test_found_by_an_address_that_is_not_the_login(okta, try_):
    case, known, said = searched(okta, try_, email="kim.maiden-name@example.com", profile={"email": "Kim.Maiden-Name@example.com"})
    assert said["outcome"] == "succeeded" and said["pinned"] == {"okta": [known]}, said


def test_two_with_one_address_are_for_a_person_to_tell(okta, try_):
    okta.sandbox.seed("okta", {"users": [{"login": "double@example.com"}]})
    case, known, said = searched(okta, try_, email="double@example.com", profile={"email": "double@example.com"})
    assert said["outcome"] == "blocked" and "2 accounts were found" in said["message"], said


def test_an_address_that_was_given_to_somebody_else(okta, try_):
    case, known, said = searched(okta, try_, "--user", '{"employee_id": "4711"}', profile={"employeeNumber": "4712"})
    assert said["outcome"] == "blocked" and "4712" in said["message"] and not case.changed(), said


def test_a_number_with_zeros_in_front(okta, try_):
    case, known, said = searched(okta, try_, "--user", '{"employee_id": "004711"}', profile={"employeeNumber": "4711"})
    assert said["outcome"] == "succeeded" and said["pinned"] == {"okta": [known]}, said


def test_who_is_found_shows_what_was_searched_by(okta, try_):
    stranger = {"id": "00uSTRANGER", "status": "ACTIVE", "profile": {"login": "stranger@example.com", "email": "stranger@example.com"}}
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users/[^/]*%40"}, "do": "status", "status": 200, "body": stranger})
    case, known, said = searched(okta, try_)
    assert said["outcome"] == "succeeded" and said["pinned"] == {"okta": [known]}, "the search by address finds the leaver"
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users$"}, "do": "status", "status": 200, "body": [stranger]})
    said = case.try_()
    assert said["outcome"] == "blocked" and "which shows another one" in said["message"] and not case.changed(), said


def test_a_leaver_on_page_two(okta, try_):
    stranger = {"id": "00uSTRANGER", "status": "ACTIVE", "profile": {"login": "stranger@example.com", "email": "stranger@example.com"}}
    link = f'<{okta.sandbox.url("okta")}/api/v1/users?after=x&limit=25&search=profile.email%20eq%20%22kim.paged%40example.com%22>; rel="next"'
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users$", "query": "^search"}, "do": "status", "status": 200,
                                "body": [stranger], "headers": {"Link": link}})
    case, known, said = searched(okta, try_, email="kim.paged@example.com", profile={"email": "kim.paged@example.com"})
    assert said["outcome"] == "succeeded" and said["pinned"] == {"okta": [known]}, said


@pytest.mark.parametrize("body, outcome", [([], "blocked"), ([{"user": {"id": "00uOTHER"}}], "blocked"), ({}, "deferred"), ("", "deferred")],
                         ids=["nobody", "another", "object", "empty"])
def test_a_device_whose_users_are_not_known_stays(okta, try_, body, outcome):
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/devices/[^/]*/users$"}, "do": "status", "status": 200, "body": body})
    case, said = try_("remove_devices", env={"OFFBOARD_WORKER_RETRY_WAIT": "0s"})
    assert said["outcome"] == outcome and not case.changed(), said


@pytest.mark.parametrize("body", [{}, {"scope": "USER"}, {"id": "00uOTHER", "scope": "GROUP"}], ids=["nothing", "nobody", "another"])
def test_an_app_of_which_nobody_knows_whose_it_is(okta, try_, body):
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/apps/a1/"}, "do": "status", "status": 200, "body": body})
    case, said = try_("remove_app_assignments")
    assert said["outcome"] == "failed" and not case.changed(), said


def test_a_404_of_what_belongs_to_a_user_proves_nothing(okta, try_):
    """While the user is there, "not found" says nothing of clients, roles, groups or apps."""
    for action, path in (("revoke_grants", "clients"), ("remove_admin_roles", "roles"), ("leave_groups", "groups"),
                         ("remove_app_assignments", "appLinks")):
        okta.sandbox.fault("okta", {"match": {"method": "GET", "path": f"/{path}$"}, "skip": 1, "do": "status", "status": 404})
        case, said = try_(action, name=f"{action}-404", env=impatient(okta, "okta"))
        okta.sandbox.clear_faults("okta")
        assert said["outcome"] == "failed" and "not confirmed" in said["message"], said


def test_an_app_that_stays_is_a_groups(okta, try_):
    """Of what was assigned to the user one assignment comes back: the later read-back knows nothing of the requests, and sees it."""
    okta.sandbox.fault("okta", {"match": {"method": "DELETE", "path": "/apps/a3/"}, "do": "noop"})
    apps = [{"id": "a2", "scope": "GROUP"}, {"id": "a3", "scope": "USER"}]
    case, said = try_("remove_app_assignments", user={"apps": apps}, env=impatient(okta, "okta"))
    assert said["outcome"] == "failed" and said["verified"]["seen"] == {
        "status": 200, "body.id": case.names["id"], "body.scope": "USER"}, said


def test_what_the_profile_tells(okta, try_):
    """Of a leaver of whom the event knows the address only; what HR said stays."""
    profile = {"employeeNumber": "0042", "countryCode": "us", "timezone": "America/Denver", "email": "other@example.com"}
    case, said = try_("read_user", user={"profile": profile}, name="told")
    assert said["provides"]["user"] | {"name": None, "manager": None} == {
        "name": None, "manager": None, "emails": sorted([case.names["email"], "other@example.com"]), "employee_id": "0042", "country": "US",
        "zone": "America/Denver"}


def test_of_a_deactivated_user_404_says_nothing(okta, try_):
    """Every sub-resource is "not found", the user is not: nothing here may say that nobody was there."""
    for action in ("clear_sessions", "reset_factors", "revoke_grants", "remove_admin_roles", "remove_devices", "leave_groups",
                   "remove_app_assignments"):
        case, said = try_(action, user={"status": "DEPROVISIONED"}, name=f"{action}-late")
        assert said["outcome"] in ("already_done", "succeeded"), said


def test_deactivation_that_takes_time_is_waited_for(okta, try_):
    okta.sandbox.settings("okta", deactivate_lag=2.5)
    case, said = try_("deactivate_user")
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert len([line for line in case.requests() if line.startswith("GET ")]) >= 3


def test_deactivated_by_somebody_else_meanwhile(okta, try_):
    """Okta answers 404 to the second deactivation."""
    okta.sandbox.fault("okta", {"match": {"method": "POST", "path": ".*/deactivate$"}, "do": "lose_answer", "times": 1})
    case, said = try_("deactivate_user")
    assert said["outcome"] == "succeeded" and "reading back" in said["message"], said


def test_only_the_active_can_be_suspended(okta, try_):
    case, said = try_("suspend_user", user={"status": "STAGED"})
    assert said["outcome"] == "blocked" and "this one is STAGED" in said["message"], said
    assert not case.changed()


def test_a_shared_device_stays(okta, try_):
    case, said = try_("remove_devices")
    left = {device["id"] for device in okta.sandbox.state("okta")["devices"] if case.names["id"] in device["users"]}
    assert left == {f"d2.{case.email}"}, "it is a colleague's, too"


def state_of(okta, case) -> dict:
    return next(user for user in okta.sandbox.state("okta")["users"] if user["id"] == case.names["id"])


def test_tokens_end_with_the_sessions(okta, try_):
    """The journal masks the value of oauthTokens; what has become of them tells."""
    case, said = try_("clear_sessions", user={"sessions": 3, "clients": ["c1"], "grants": [{"id": "oag1", "clientId": "c2"}]})
    left = state_of(okta, case)
    assert (left["sessions"], left["clients"], [grant["id"] for grant in left["grants"]]) == (0, [], ["oag1"])


@pytest.mark.parametrize("profile, manager", [
    ({"managerId": "00u7"}, None), ({"managerId": "00u7", "manager": "Boss@example.com"}, "boss@example.com"),
    ({"managerId": "{email}"}, None), ({}, None)])
def test_a_manager_is_an_address_of_somebody_else(okta, try_, profile, manager, request):
    name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_").replace("_", "-"))
    email = f"read-user.{name[:40]}@example.com"
    case, said = try_("read_user", user={"profile": filled(profile, {"email": email})})
    assert case.email == email
    assert said["outputs"]["user"]["manager"] == (manager and {"email": manager}), said
    assert said["provides"]["user"].get("manager", {}).get("email") == manager


def test_groups_come_in_pages(okta, try_):
    okta.sandbox.settings("okta", page=1)
    case, said = try_("leave_groups")
    assert said["outcome"] == "succeeded" and len(said["outputs"]["groups"]) == 2, said


def test_a_link_with_a_comma_leads_on(okta, try_):
    """Between its brackets a comma is a part of the address."""
    url = f"{okta.sandbox.url('okta')}/api/v1/users/x/groups?limit=1"
    link = f'<{url}&after=of,one>; rel="self", <{url}&after=of,two>; rel="next"'
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users/[^/]+/groups$", "query": "after=of(,|%2C)two"}, "do": "status", "status": 200,
                                "times": 1, "body": [{"id": "behind", "type": "OKTA_GROUP"}]})
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users/[^/]+/groups$"}, "do": "status", "status": 200, "times": 1,
                                "body": [], "headers": {"Link": link}})
    case, said = try_("leave_groups", env=impatient(okta, "okta"))
    assert said["outputs"].get("groups") == ["behind"] or "behind" in str(case.requests()), said


@pytest.mark.parametrize("action, path", [("reset_factors", "factors"), ("remove_devices", "devices"), ("remove_admin_roles", "roles")])
def test_an_empty_page_with_a_link_is_not_the_end(okta, try_, action, path):
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": f"/users/[^/]+/{path}$"}, "do": "status", "status": 200, "times": 1, "body": [],
                                "headers": {"Link": f'<{okta.sandbox.url("okta")}/api/v1/users/x/{path}>; rel="next"'}})
    case, said = try_(action, env=impatient(okta, "okta"))
    assert said["outcome"] != "already_done", said


@pytest.mark.parametrize("action, path, page", [("reset_factors", "factors", FACTORS), ("remove_devices", "devices", [{"device": {"id": "dp1"}}]),
                                                ("remove_admin_roles", "roles", ROLES)])
def test_an_empty_last_page_is_not_the_list(okta, try_, action, path, page):
    """What the page before it named is taken away all the same."""
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users/x/groups$", "query": "after=none"}, "do": "status",
                                "status": 200, "body": []})
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": f"/users/[^/]+/{path}$"}, "do": "status", "status": 200, "body": page,
                                "headers": {"Link": f'<{okta.sandbox.url("okta")}/api/v1/users/x/groups?after=none>; rel="next"'}, "times": 1})
    case, said = try_(action, seed={"devices": [{"id": "dp1", "users": ["{email}"]}]})
    assert said["outcome"] == "succeeded" and case.changed(), said


@pytest.mark.parametrize("action, path", [("reset_factors", "factors"), ("revoke_grants", "clients")])
def test_what_is_left_on_page_two_is_seen(okta, try_, action, path):
    """The first page of the read-back is empty."""
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": "/users/x/groups$", "query": "after=two"}, "do": "status",
                                "status": 200, "body": [{"id": "left", "client_id": "left"}]})
    okta.sandbox.fault("okta", {"match": {"method": "GET", "path": f"/users/[^/]+/{path}$"}, "skip": 1, "do": "status", "status": 200,
                                "body": [], "headers": {"Link": f'<{okta.sandbox.url("okta")}/api/v1/users/x/groups?after=two>; rel="next"'}})
    case, said = try_(action, env=impatient(okta, "okta"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said


def test_the_read_back_looks_at_all_pages(okta, try_):
    """What is left stands on the second page, behind a group that may stay."""
    okta.sandbox.settings("okta", page=1)
    okta.sandbox.fault("okta", {"match": {"method": "DELETE", "path": "/groups/z"}, "do": "noop"})
    groups = [{"id": "a.{email}", "type": "APP_GROUP", "members": ["{email}"]}, {"id": "z.{email}", "members": ["{email}"]}]
    case, said = try_("leave_groups", seed={"groups": groups}, env=impatient(okta, "okta"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said


def test_mastered_elsewhere_needs_a_person(okta, try_):
    body = {"errorCode": "E0000023", "errorSummary": "Operation failed because user profile is mastered under another system"}
    okta.sandbox.fault("okta", {"match": {"method": "POST"}, "do": "status", "status": 403, "body": body, "times": None})
    case, said = try_("suspend_user")
    assert said["outcome"] == "blocked" and "mastered" in said["message"], said


def test_refused_rights_are_denied(okta, try_):
    okta.sandbox.fault("okta", {"match": {"method": "POST"}, "do": "status", "status": 403, "times": None})
    case, said = try_("suspend_user")
    assert said["outcome"] == "denied", said


def test_the_reset_says_when_to_come_back(okta, try_):
    okta.sandbox.fault("okta", {"match": {"method": "POST"}, "do": "status", "status": 429, "times": None,
                                "headers": {"X-Rate-Limit-Limit": "600", "X-Rate-Limit-Remaining": "0",
                                            "X-Rate-Limit-Reset": "4102444800"}})
    case, said = try_("suspend_user")
    assert said["outcome"] == "deferred", said


def test_a_limit_of_concurrent_requests_is_no_matter_of_waiting_for_the_reset(okta, try_):
    okta.sandbox.fault("okta", {"match": {"method": "POST"}, "do": "status", "status": 429, "times": 1,
                                "headers": {"X-Rate-Limit-Limit": "0", "X-Rate-Limit-Remaining": "0",
                                            "X-Rate-Limit-Reset": "4102444800"}})
    case, said = try_("suspend_user")
    assert said["outcome"] == "succeeded" and 429 in [call["status"] for call in said["calls"]], said


def test_leaving_is_undone(okta, try_):
    case, said = try_("leave_groups")
    undone = json.loads(okta.try_action("okta", "rejoin_groups", "--email", case.email, "--ids",
                                        json.dumps({"okta": [case.names["id"]]}), "--before", json.dumps(said["before"]), "--live",
                                        "--json").out)
    assert undone["outcome"] == "succeeded", undone
    assert {group["id"] for group in okta.sandbox.state("okta")["groups"] if case.names["id"] in group["members"]} >= {
        f"g1.{case.email}", f"g2.{case.email}"}
