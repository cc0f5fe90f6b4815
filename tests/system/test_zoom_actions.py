"""Every action of the Zoom connector by itself, and what is peculiar to Zoom: transfers, invitations, its codes, its daily limit."""

import json

import pytest
from connector_table import ConnectorTable, Row
from tries import case as one_case

pytestmark = pytest.mark.xdist_group("zoom")
SECRET = "zoom-secret-of-this-test-0123"
USER = "/v2/users/{id}"
READ = f"GET {USER}"
BOSS = "boss@example.com"
DELETE = (f"DELETE {USER}?action=delete&transfer_email=boss%40example.com&transfer_meeting=true&transfer_webinar=true"
          "&transfer_recording=true")


class TestZoom(ConnectorTable):
    system = "zoom"
    token_path = "^/oauth/token$"
    rows = [
        Row("delete_user", [READ, "GET /v2/users/boss%40example.com", DELETE, READ], with_={"transfer_to": BOSS},
            outputs={"transferred_to": BOSS}, missing="already_done"),
        Row("deactivate_user", [READ, f"PUT {USER}/status {{'action': 'deactivate'}}", READ]),
        Row("activate_user", [READ, f"PUT {USER}/status {{'action': 'activate'}}", READ], user={"status": "inactive"}),
        Row("remove_licence", [READ, f"PATCH {USER} {{'type': 1}}", READ], before={"type": 2}),
        Row("revoke_sso_token", [READ, f"DELETE {USER}/token"], again="succeeded", verified=False),
    ]

    def vendors(self):
        return {"zoom": {"client_secret": SECRET}}

    def settings(self, url):
        return {"url": url + "/v2", "token_url": url + "/oauth/token", "account": "A-sandbox", "client_id": "offboard",
                "client_secret": SECRET, "per_minute": "60000"}

    @pytest.fixture(scope="class")
    def stack(self, zoom):
        return zoom

    def leaver(self, stack, row, email):
        state = stack.sandbox.seed("zoom", {"users": [{"email": BOSS}, {"email": email, "meetings": [f"m-{email}"], **row.user}]})
        return {"id": next(user["key"] for user in state["users"] if user["email"] == email)}


@pytest.fixture(scope="module")
def zoom(make_shared_stack):
    table = TestZoom()
    stack = make_shared_stack(systems="zoom", vendors=table.vendors())
    stack.tokens["zoom"] = SECRET
    stack.settings["systems"]["zoom"] = table.settings(stack.sandbox.url("zoom"))
    stack.write_settings()
    return stack


@pytest.fixture
def try_(zoom, request):
    def one(action: str, *more: str, **changes):
        case = one_case(TestZoom(), zoom, action, request.node.name.removeprefix("test_").replace("_", "-")[:40], **changes)
        return case, case.try_(*more)

    yield one
    zoom.sandbox.clear_faults("zoom")


def users(stack) -> dict[str, dict]:
    return {user["email"]: user for user in stack.sandbox.state("zoom")["users"]}


def test_the_manager_has_the_meetings(zoom, try_):
    case, said = try_("delete_user")
    assert said["outcome"] == "succeeded" and f"m-{case.email}" in users(zoom)[BOSS]["meetings"], said
    assert case.email not in users(zoom)


def test_who_was_only_invited_is_deleted_plainly(zoom, try_):
    email = "invited@example.com"
    zoom.sandbox.seed("zoom", {"users": [{"email": email, "status": "pending"}]})
    since = len(zoom.sandbox.journal("zoom"))
    said = json.loads(zoom.cli("try", "zoom", "delete_user", "--email", email, "--with", json.dumps({"transfer_to": BOSS}), "--live",
                               "--json").out)
    assert said["outcome"] == "succeeded" and email not in users(zoom), said
    assert [entry["query"] for entry in zoom.sandbox.journal("zoom")[since:] if entry["method"] == "DELETE"] == [""]


@pytest.mark.parametrize("target", [{"type": 1}, {"status": "inactive"}, {"status": "pending"}], ids=["basic", "inactive", "pending"])
def test_nothing_is_deleted_when_nobody_can_take_over(zoom, try_, target, request):
    heir = f"{request.node.callspec.id}@example.com"
    zoom.sandbox.seed("zoom", {"users": [{"email": heir, **target}]})
    case, said = try_("delete_user", with_={"transfer_to": heir}, name=f"heir-{request.node.callspec.id}")
    assert said["outcome"] == "blocked" and "no active, licensed user" in said["message"], said
    assert case.email in users(zoom)


def test_to_the_leaver_itself_nothing_goes(zoom, try_):
    case, said = try_("delete_user", with_={"transfer_to": "{email}"})
    assert said["outcome"] == "blocked" and case.email in users(zoom), said


@pytest.mark.parametrize("code", [1117, 1000, 200])
def test_what_a_person_has_to_see_to(zoom, try_, code):
    case, said = try_("delete_user", user={"refuse": code}, name=f"code-{code}")
    assert said["outcome"] == "blocked", said


def test_the_daily_limit_says_a_date(zoom, try_):
    zoom.sandbox.fault("zoom", {"match": {"method": "PUT"}, "do": "status", "status": 429, "times": None,
                                "headers": {"Retry-After": "2199-01-01T00:00:00Z"}})
    case, said = try_("deactivate_user")
    assert said["outcome"] == "deferred", said


def test_the_licence_comes_back(zoom, try_):
    case, said = try_("remove_licence")
    undone = json.loads(zoom.cli("try", "zoom", "restore_licence", "--email", case.email, "--ids", json.dumps({"zoom": [case.names["id"]]}),
                                 "--before", json.dumps(said["before"]), "--live", "--json").out)
    assert undone["outcome"] == "succeeded" and users(zoom)[case.email]["type"] == 2, undone
