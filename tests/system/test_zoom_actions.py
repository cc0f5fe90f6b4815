"""Every action of the Zoom connector by itself; who may take over, pending users, managed domains, and the limit of a day."""

import dataclasses
import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from connector_table import Case, ConnectorTable, Row
from tries import case as one_case
from unconfirmed import hasty_connector

pytestmark = pytest.mark.xdist_group("zoom")
SECRET = "zoom-s3cret-of-this-test-0123456789"
USER = "/v2/users/{id}"
READ = f"GET {USER}"
ADDRESS = "/v2/users/{at}"
BOSS = "boss@example.com"
TO_BOSS = "transfer_email=boss%40example.com&transfer_meeting=true&transfer_webinar=true&transfer_recording=true"
DATA = {"meetings": 3, "webinars": 2, "recordings": 1}

ROWS = [
    Row("revoke_sso_token", [READ, f"DELETE {USER}/token"], again="succeeded", verified=False),
    Row("deactivate_user", [READ, f"PUT {USER}/status {{'action': 'deactivate'}}", READ], before={"type": 2}),
    Row("activate_user", [READ, f"PUT {USER}/status {{'action': 'activate'}}", READ], user={"status": "inactive", "type": 1}),
    Row("activate_user", [READ, f"PUT {USER}/status {{'action': 'activate'}}", f"PATCH {USER} {{'type': 2}}", READ],
        user={"status": "inactive", "type": 1}, undoes={"type": 2}, name="activate_with_licence"),
    Row("remove_licence", [READ, f"PATCH {USER} {{'type': 1}}", READ], before={"type": 2}),
    Row("restore_licence", [READ, f"PATCH {USER} {{'type': 2}}", READ], user={"type": 1}, undoes={"type": 2}),
    Row("delete_user", [READ, "GET /v2/users/boss%40example.com", f"DELETE {USER}?action=delete&{TO_BOSS}", READ],
        with_={"transfer_to": BOSS}, outputs={"transferred_to": BOSS}, again="missing"),
    Row("delete_user", [READ, "GET /v2/users/boss%40example.com", f"DELETE {USER}?action=disassociate&{TO_BOSS}", READ],
        with_={"transfer_to": BOSS, "how": "disassociate"}, again="missing", name="disassociate_user"),
    Row("delete_user", [f"GET {ADDRESS}", f"DELETE {ADDRESS}", f"GET {ADDRESS}"], user={"status": "pending"}, again="blocked",
        outputs={"transferred_to": None}, name="delete_pending"),
]


class TestZoom(ConnectorTable):
    system = "zoom"
    rows = ROWS
    account_path = "/users/{id}"
    others = {action: {"id": "z-other", "email": "other@example.com", **state} for action, state in (
        ("deactivate_user", {"status": "inactive", "type": 2}), ("activate_user", {"status": "active", "type": 2}),
        ("activate_with_licence", {"status": "active", "type": 2}), ("remove_licence", {"status": "active", "type": 1}),
        ("restore_licence", {"status": "active", "type": 2}))}
    # A code that the connector doesn't know: those it knows are for a person.
    refusal = {"do": "status", "status": 400, "body": {"code": 5999, "message": "not like this"}}

    @classmethod
    def rows_of(cls, test):
        if test == "test_an_answer_that_is_not_true":
            return [row for row in cls.rows if row.verified]
        return super().rows_of(test)

    def vendors(self):
        return {"zoom": {"client_secret": SECRET, "users": [{"email": BOSS}]}}

    def settings(self, url):
        return {"url": f"{url}/v2", "token_url": f"{url}/oauth/token", "account": "A-sandbox-account",
                "client_id": "sandbox-zoom-client", "client_secret": SECRET, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        state = stack.sandbox.seed("zoom", {"users": [{"email": email, **DATA, **row.user}]})
        user = next(user for user in state["users"] if user["email"] == email)
        return {"id": email if user["status"] == "pending" else user["id"]}

    @pytest.fixture(scope="class")
    def stack(self, zoom):
        return zoom

    @pytest.fixture(scope="class")
    def hasty(self, make_shared_stack, tmp_path_factory):
        """A stack whose connector gives its read-backs a moment only."""
        stack = make_shared_stack(systems="zoom", vendors=self.vendors(), settings={
            "definitions": {"connectors": [hasty_connector("zoom", tmp_path_factory)]}})
        stack.settings["systems"]["zoom"] = self.settings(stack.sandbox.url("zoom"))
        stack.write_settings()
        return stack

    def test_an_answer_that_is_not_true(self, hasty, row):
        """All changes are answered well and made by nobody: the read-back has to see it."""
        case = Case(self, hasty, row, "untrue")
        hasty.sandbox.fault("zoom", {"match": {"method": ["PUT", "PATCH", "DELETE"]}, "do": "noop"})
        said = case.try_()
        hasty.sandbox.clear_faults("zoom")
        assert said["outcome"] == "failed" and said["message"].startswith("not confirmed by reading back"), said


TABLE = TestZoom()


@pytest.fixture(scope="module")
def zoom(make_shared_stack):
    stack = make_shared_stack(systems="zoom", vendors=TABLE.vendors())
    stack.settings["systems"]["zoom"] = TABLE.settings(stack.sandbox.url("zoom"))
    stack.write_settings()
    return stack


@pytest.fixture
def make(zoom, request):
    """A leaver of its own for an action, which is still to be tried."""
    def one(action: str, **changes) -> Case:
        return one_case(TABLE, zoom, action, re.sub(r"\W+", "-", request.node.name.removeprefix("test_").replace("_", "-"))[:40], **changes)

    yield one
    zoom.sandbox.clear_faults("zoom")
    zoom.sandbox.settings("zoom", managed_domains=[], scopes=None, daily_limit=None, token_seconds=3599)


def user(zoom, email: str) -> dict | None:
    return next((user for user in zoom.sandbox.state("zoom")["users"] if user["email"] == email), None)


def counts(held: dict) -> dict:
    return {kind: held[kind] for kind in DATA}


def is_blocked(said: dict, why: str) -> bool:
    return said["outcome"] == "blocked" and why in said["message"]


# Who it is.

def test_found_by_address_and_pinned_by_id(zoom, make):
    held = zoom.sandbox.seed("zoom", {"users": [{"email": "kim+zoom@example.com"}]})["users"][-1]
    said = zoom.try_action("zoom", "remove_licence", "--email", "kim+zoom@example.com", "--live", "--json").json
    assert (said["outcome"], said["pinned"]) == ("succeeded", {"zoom": [held["id"]]}), said


def test_a_pending_user_has_only_the_address(zoom, make):
    zoom.sandbox.seed("zoom", {"users": [{"email": "invited@example.com", "status": "pending"}]})
    said = zoom.try_action("zoom", "delete_user", "--email", "invited@example.com", "--live", "--json").json
    assert (said["outcome"], said["pinned"]) == ("succeeded", {"zoom": ["invited@example.com"]}), said
    assert user(zoom, "invited@example.com") is None


def test_only_zooms_own_404_means_nobody(zoom, make):
    """One of a proxy, or of a wrong URL, says nothing about the person."""
    case = make("deactivate_user")
    zoom.sandbox.fault("zoom", {"match": {"path": "/users/"}, "do": "status", "status": 404, "body": "<h1>Not Found</h1>"})
    assert case.try_()["outcome"] == "failed"


@pytest.fixture
def searched(make):
    """A leaver who is searched for: nobody knows the account yet."""
    case = make("deactivate_user")
    case.id = case.names.pop("id")
    return case


def test_an_address_in_another_spelling_is_the_same(zoom, searched):
    zoom.sandbox.fault("zoom", {"match": {"method": "GET"}, "do": "status", "status": 200, "times": 1,
                                "body": {"id": searched.id, "email": searched.email.title(), "status": "active", "type": 2}})
    said = searched.try_()
    assert said["outcome"] == "succeeded" and said["pinned"] == {"zoom": [searched.id]}, said


@pytest.mark.parametrize("shown, why", [({"email": "stranger@example.com"}, "shows another one"), ({}, "shows nothing to compare")],
                         ids=["stranger", "hidden"])
def test_who_is_found_shows_the_address(zoom, searched, shown, why):
    zoom.sandbox.fault("zoom", {"match": {"method": "GET"}, "do": "status", "status": 200,
                                "body": {"id": "zUstranger", "status": "active", "type": 2, **shown}})
    assert is_blocked(searched.try_(), why) and searched.changed() == []


# Neither an answer of Zoom's nor a word about the person.
ODD = {"empty": "", "list": [], "object": {}, "page": "<!DOCTYPE html><html><title>Sign in</title></html>", "error": {"error": "maintenance"},
       "code": {"code": 1001, "message": "User does not exist"}, "null": {"id": None, "email": None, "status": None}}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_a_look_up_that_cannot_be_read_says_nothing(zoom, searched, body):
    zoom.sandbox.fault("zoom", {"match": {"method": "GET"}, "do": "status", "status": 200, "body": body})
    said = searched.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
    assert said["outcome"] in ("deferred", "failed") and searched.changed() == [], said


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("row", TABLE.rows_of("test_an_answer_that_is_not_true"), ids=lambda row: row.name or row.action)
def test_a_read_that_cannot_be_read_proves_nothing(zoom, request, row, body):
    case = Case(TABLE, zoom, row, f"odd-{list(ODD.values()).index(body)}")
    zoom.sandbox.fault("zoom", {"match": {"method": "GET"}, "do": "status", "status": 200, "body": body})
    said = case.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
    zoom.sandbox.clear_faults("zoom")
    assert said["outcome"] in ("deferred", "failed") and case.changed() == [], said


def test_an_invitation_that_is_gone_is_for_a_person(zoom, make):
    """Its address may have been given to somebody else, or the account may have another one by now."""
    assert is_blocked(make("deactivate_user").try_(id="withdrawn@example.com"), "User does not exist: withdrawn@example.com")


# Who takes over.

def test_the_manager_takes_over_unless_somebody_is_named(zoom, make):
    zoom.sandbox.seed("zoom", {"users": [{"email": "manager@example.com", "meetings": 10}]})
    case = make("delete_user", with_={})
    said = case.try_("--user", json.dumps({"manager": {"email": "manager@example.com"}}))
    assert said["outcome"] == "succeeded" and said["outputs"] == {"transferred_to": "manager@example.com"}, said
    assert counts(user(zoom, "manager@example.com")) == {"meetings": 13, "webinars": 2, "recordings": 1}
    gone = next(one for one in zoom.sandbox.state("zoom")["gone"] if one["id"] == case.names["id"])
    assert (gone["action"], counts(gone)) == ("delete", dict.fromkeys(DATA, 0)), "nothing was lost"


@pytest.mark.parametrize("live", [True, False])
def test_with_nobody_to_take_over_nothing_is_deleted(zoom, make, live):
    case = make("delete_user", with_={})
    assert is_blocked(case.try_(live=live), "transfer_to says who takes meetings and recordings")
    assert case.changed() == []


@pytest.mark.parametrize("taker", [{"status": "inactive"}, {"status": "pending"}, {"type": 1}, None])
def test_who_takes_over_is_active_and_licensed(zoom, make, taker, request):
    email = f"taker.{request.node.callspec.id}@example.com"
    if taker:
        zoom.sandbox.seed("zoom", {"users": [{"email": email, **taker}]})
    case = make("delete_user", with_={"transfer_to": email})
    assert is_blocked(case.try_(), "active and licensed" if taker else "User does not exist")
    assert case.changed() == []


@pytest.mark.parametrize("shown", [{"id": "zThief", "email": "thief@example.com"}, {"id": "zBoss"}, {"id": "zBoss", "email": ""},
                                   {"id": "zBoss", "email": None}], ids=["another", "no-address", "empty", "null"])
def test_who_takes_over_is_whom_the_step_names(zoom, make, shown):
    """An answer about somebody else, or about nobody, hands nothing over, and nothing is deleted without a receiver."""
    case = make("delete_user", with_={"transfer_to": BOSS})
    zoom.sandbox.fault("zoom", {"match": {"method": "GET", "path": "boss"}, "do": "status", "status": 200,
                                "body": {"status": "active", "type": 2, **shown}})
    assert is_blocked(case.try_(), f"it shows {shown.get('email') or 'no address'}")
    assert case.changed() == []


def test_who_takes_over_may_be_spelled_otherwise(zoom, make):
    said = make("delete_user", with_={"transfer_to": "BOSS@Example.com"}).try_()
    assert said["outcome"] == "succeeded" and said["outputs"]["transferred_to"].lower() == BOSS, said


def test_nobody_takes_over_from_themselves(zoom, make):
    case = make("delete_user", with_={"transfer_to": "{email}"})
    assert is_blocked(case.try_(), "somebody else")
    assert case.changed() == []


def test_nobody_takes_over_from_themselves_when_an_address_is_pinned(zoom, make):
    """The invitation was accepted in the meantime."""
    case = make("delete_user", with_={"transfer_to": "{email}"})
    assert is_blocked(case.try_(id=case.email), "somebody else")
    assert case.changed() == []


def test_a_transfer_that_zoom_refuses_deletes_nobody(zoom, make):
    zoom.sandbox.seed("zoom", {"users": [{"email": "no.webinars@example.com", "webinar_licence": False}]})
    case = make("delete_user", with_={"transfer_to": "no.webinars@example.com"})
    assert is_blocked(case.try_(), "lacks the licence")
    assert counts(user(zoom, case.email)) == DATA


# What Zoom doesn't do.

def test_a_managed_domain_is_not_deleted_instead(zoom, make):
    zoom.sandbox.settings("zoom", managed_domains=["example.com"])
    case = make("delete_user", with_={"transfer_to": BOSS, "how": "disassociate"})
    assert is_blocked(case.try_(), "managed domain")
    assert len(case.changed()) == 1 and counts(user(zoom, case.email)) == DATA


def test_there_are_two_ways_to_go(zoom, make):
    case = make("delete_user", with_={"transfer_to": BOSS, "how": "destroy"})
    assert is_blocked(case.try_(), "how is delete or disassociate")
    assert case.changed() == []


@pytest.mark.parametrize("action", ["delete_user", "deactivate_user"])
def test_an_administrator_needs_a_person(zoom, make, action):
    case = make(action, user={"role": "Admin"})
    assert is_blocked(case.try_(), "dmin")
    assert user(zoom, case.email)["status"] == "active"


@pytest.mark.parametrize("action", ["deactivate_user", "activate_user"])
def test_an_invitation_has_no_status_to_change(zoom, make, action):
    case = make(action, user={"status": "pending"})
    assert is_blocked(case.try_(), "never accepted")
    assert case.changed() == []


def test_a_lost_answer_to_a_deletion(zoom, make):
    zoom.sandbox.seed("zoom", {"users": [{"email": "lost@example.com"}]})
    case = make("delete_user", with_={"transfer_to": "lost@example.com"})
    zoom.sandbox.fault("zoom", {"match": {"method": "DELETE"}, "do": "lose_answer", "times": 1})
    said = case.try_()
    assert said["outcome"] == "succeeded" and "reading back" in said["message"], said
    assert counts(user(zoom, "lost@example.com")) == DATA, "transferred once"


# Undoing.

@pytest.mark.parametrize("action, undo", [("deactivate_user", "activate_user"), ("remove_licence", "restore_licence")])
def test_undo_gives_the_licence_back(zoom, make, action, undo):
    case = make(action)
    before = case.try_()["before"]
    assert user(zoom, case.email)["type"] == 1
    case.row = dataclasses.replace(case.row, action=undo)
    said = case.try_("--before", json.dumps(before))
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert (user(zoom, case.email)["status"], user(zoom, case.email)["type"]) == ("active", 2)
    assert case.try_("--before", json.dumps(before))["outcome"] == "already_done"


def test_a_licence_that_is_refused_is_not_given_back(zoom, make):
    """Two changes, of which one is made: the read-back covers both."""
    case = make("activate_user", user={"status": "inactive", "type": 1}, undoes={"type": 2})
    zoom.sandbox.fault("zoom", {"match": {"method": "PATCH"}, "do": "status", "status": 400, "body": {"code": 5999, "message": "no seat"}})
    said = case.try_in_vain()
    assert said["outcome"] == "failed" and "no seat" in said["message"], said
    assert (user(zoom, case.email)["status"], user(zoom, case.email)["type"]) == ("active", 1)


def test_an_activation_that_is_refused_and_there_goes_on_with_the_licence(zoom, make):
    case = make("activate_user", user={"status": "inactive", "type": 1}, undoes={"type": 2})
    zoom.sandbox.fault("zoom", {"match": {"method": "PUT"}, "do": "lose_answer", "times": 1})
    said = case.try_()
    assert said["outcome"] == "succeeded" and user(zoom, case.email)["type"] == 2, said


def test_undo_of_what_is_not_known(zoom, make):
    case = make("restore_licence", undoes=None)
    assert is_blocked(case.try_(), "not known which licence")
    assert case.changed() == []


# Limits and rights.

def test_the_limit_of_a_day_says_the_date(zoom, make):
    """Retry-After is a date-time then, not a number of seconds."""
    case = make("deactivate_user")
    zoom.sandbox.settings("zoom", daily_limit=1)
    said = case.try_()
    assert said["outcome"] == "deferred", said
    tomorrow = (datetime.now(timezone.utc) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    due = datetime.fromisoformat(said["due_at"].replace("Z", "+00:00"))
    assert timedelta(0) <= due - tomorrow < timedelta(hours=1), said
    assert user(zoom, case.email)["status"] == "active"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_scope_that_is_missing_is_no_error_of_the_job(zoom, make, status):
    case = make("deactivate_user")
    zoom.sandbox.fault("zoom", {"match": {"method": "PUT"}, "do": "status", "status": status,
                                "body": {"code": 4711, "message": "Invalid access token, does not contain scopes:[x]."}})
    assert case.try_()["outcome"] == "denied"


def test_the_check_tells_of_rights_that_are_missing(zoom, make):
    assert zoom.cli("check", "zoom").status == 0
    zoom.sandbox.settings("zoom", scopes=["user:read:user:admin"])
    told = zoom.cli("check", "zoom")
    assert told.status != 0 and "does not contain scopes" in told.out + told.err, told


def test_a_token_that_has_ended_is_renewed(zoom, make):
    case = make("deactivate_user")
    zoom.sandbox.fault("zoom", {"match": {"method": "PUT"}, "do": "status", "status": 401, "times": 1,
                                "body": {"code": 124, "message": "Access token is expired."}})
    assert case.try_()["outcome"] == "succeeded"
    entries = zoom.sandbox.journal("zoom")[case.since:]
    refused = next(index for index, entry in enumerate(entries) if entry["method"] == "PUT")
    assert [entry["path"] for entry in entries[refused:]].count("/oauth/token") == 1


def test_a_wrong_secret_is_denied_and_not_told(zoom, make):
    case = make("deactivate_user")
    wrong = "wrong-s3cret-0123456789"
    told = zoom.try_action("zoom", "deactivate_user", "--email", case.email, "--live", "--json",
                           OFFBOARD_SYSTEMS_ZOOM_CLIENT_SECRET=wrong)
    assert told.json["outcome"] == "denied", told
    assert wrong not in told.out + told.err
