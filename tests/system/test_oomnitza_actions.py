"""Every action of the Oomnitza connector by itself; fields that don't stick, seats that fail within a 200, pages of leavers."""

import dataclasses
import json

import pytest
from connector_table import ConnectorTable, Row
from tries import case

pytestmark = pytest.mark.xdist_group("oomnitza")
API = "/api/v3"
READ = f"GET {API}/users/{{id}}"
WITH = {"sequence": 1, "ticket": "IT-7"}
SEATS = f"PATCH {API}/saas_users/deactivate"


def patch(**fields) -> str:
    return f"PATCH {API}/users/{{id}} {fields}"


class TestOomnitza(ConnectorTable):
    system = "oomnitza"
    rows = [
        Row("set_fields", [READ, patch(offboarding_sequence="1", offboarding_ticket="IT-7"), READ], with_=WITH,
            before={"fields": {"offboarding_sequence": None, "offboarding_ticket": None}}),
        Row("set_fields", [READ, patch(offboarding_ticket="IT-7"), READ], with_={"ticket": "IT-7"}, name="set_ticket",
            before={"fields": {"offboarding_ticket": None}}),
        Row("advance_sequence", [READ, patch(offboarding_sequence="2"), READ], with_={"from": 1}, seed={"offboarding_sequence": "1"},
            before={"fields": {"offboarding_sequence": "1"}}),
        Row("advance_sequence", [READ, patch(offboarding_sequence="7"), READ], with_={"from": "1", "to": "7"}, name="jump_in_sequence",
            seed={"offboarding_sequence": 1}, before={"fields": {"offboarding_sequence": 1}}),
        Row("deactivate_seats", [f"{SEATS} {{'saas_user_ids': ['{{seat}}', '{{other}}']}}"],
            with_={"seats": "{seats}"}, outputs={"seats": "{seats}"}, again="succeeded", missing=None, verified=False),
        Row("list_assets", [f"GET {API}/users/{{id}}/assets"], again="succeeded", verified=False,
            outputs={"assets": [{"id": "{asset}", "serial_number": "S-{asset}", "model": "M1"}]}),
    ]

    account_path = "/users/{id}"
    others = {action: {"user_id": "8", "email": "bob@example.com", **state} for action, state in (
        ("set_fields", {"offboarding_sequence": "1", "offboarding_ticket": "IT-7"}), ("set_ticket", {"offboarding_ticket": "IT-7"}),
        ("advance_sequence", {"offboarding_sequence": "2"}), ("jump_in_sequence", {"offboarding_sequence": 7}))}

    def settings(self, url):
        return {"url": url, "token": "sandbox-oomnitza-token-s3cret", "per_minute": "60000"}

    def leaver(self, stack, row, email):
        key = hire(stack, email, **row.seed)
        stack.sandbox.seed("oomnitza", {
            "assets": [{"id": f"9{key}", "assigned_to": key, "serial_number": f"S-9{key}", "model": "M1"}],
            "seats": [{"id": f"s{key}"}, {"id": f"t{key}"}]})
        return {"id": key, "asset": f"9{key}", "seat": f"s{key}", "other": f"t{key}", "seats": [f"s{key}", f"t{key}"]}

    # What is special.

    @pytest.fixture(autouse=True)
    def plain(self, stack):
        yield
        stack.sandbox.clear_faults("oomnitza")
        stack.sandbox.settings("oomnitza", locked_fields=[], ignores_fields=[], max_page=100, filters=True, unnamed_seats=[])

    def test_is_found_by_e_mail_alone(self, stack):
        mine = hire(stack, "o'neil@example.com")
        hire(stack, "somebody.else@example.com")
        done = stack.try_action("oomnitza", "list_assets", "--email", "o'neil@example.com", "--json").json
        assert (done["outcome"], done["pinned"]) == ("succeeded", {"oomnitza": [mine]}), done
        done = stack.try_action("oomnitza", "list_assets", "--email", "stranger@example.com", "--json").json
        assert (done["outcome"], done["pinned"]) == ("missing", {"oomnitza": []}), done

    def test_two_users_with_one_address(self, stack):
        stack.sandbox.seed("oomnitza", {"users": [{"id": "d1", "email": "twice@example.com"}, {"id": "d2", "email": "twice@example.com"}]})
        done = stack.try_action("oomnitza", "list_assets", "--email", "twice@example.com", "--json").json
        assert done["outcome"] == "blocked" and "2 accounts" in done["message"], done

    def test_a_leaver_on_page_two_of_a_server_that_does_not_filter(self, stack):
        """Its pages are smaller than was asked for, too."""
        for number in range(5):
            hire(stack, f"crowd-{number}@example.com")
        mine = hire(stack, "Second.Page@Example.com")
        stack.sandbox.settings("oomnitza", max_page=2, filters=False)
        done = stack.try_action("oomnitza", "list_assets", "--email", "second.page@example.com", "--json").json
        assert (done["outcome"], done["pinned"]) == ("succeeded", {"oomnitza": [mine]}), done
        done = stack.try_action("oomnitza", "list_assets", "--email", "second.stranger@example.com", "--json").json
        assert (done["outcome"], done["pinned"]) == ("missing", {"oomnitza": []}), done

    @pytest.mark.parametrize("body", ["", {}, {"users": []}, None, {"error": "maintenance"}, [{"user_id": "7"}],
                                      "<!DOCTYPE html><html><title>Sign in</title></html>"],
                             ids=["empty", "object", "wrapped", "null", "error", "unnamed", "page"])
    def test_an_answer_that_does_not_name_anybody_says_nothing(self, stack, body):
        one = case(self, stack, "set_fields", "unread")
        one.names.pop("id")
        unnamed = body == [{"user_id": "7"}]
        stack.sandbox.fault("oomnitza", {"match": {"path": "/users$"}, "do": "status", "status": 200, "body": body,
                                         "times": 1 if unnamed else 3})    # the same page again would be a fault of its own
        said = one.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] == ("blocked" if unnamed else "deferred") and one.changed() == [], said

    def test_an_address_that_was_given_to_somebody_else(self, stack):
        hire(stack, "inherited@example.com", employee_id="4712")
        done = stack.try_action("oomnitza", "list_assets", "--email", "inherited@example.com", "--employee-id", "4711", "--json").json
        assert done["outcome"] == "blocked" and "4712" in done["message"], done

    @pytest.mark.parametrize("body", [{}, {"message": "try later"}, []], ids=["empty", "other", "list"])
    def test_what_was_there_before_is_not_made_up(self, stack, body):
        """A user that is not shown has fields all the same: null would be put back by the undo."""
        one = case(self, stack, "set_fields", "before")
        stack.sandbox.fault("oomnitza", {"match": {"method": "GET", "path": f"/users/{one.names['id']}$"}, "do": "status", "status": 200,
                                         "body": body})
        said = one.try_(OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("failed", "deferred") and one.changed() == [], said
        one.row = dataclasses.replace(one.row, action="restore_fields", with_={})
        said = one.try_("--before", json.dumps({one.names["id"]: {"fields": {"offboarding_ticket": None}}}), OFFBOARD_WORKER_RETRY_WAIT="0s")
        assert said["outcome"] in ("failed", "deferred"), said

    def test_locked_fields_are_changed(self, stack):
        stack.sandbox.settings("oomnitza", locked_fields=["offboarding_ticket"])
        assert case(self, stack, "set_fields", "locked").try_()["outcome"] == "succeeded"

    def test_a_field_that_does_not_stick(self, stack):
        stack.sandbox.settings("oomnitza", ignores_fields=["offboarding_ticket"])
        said = case(self, stack, "set_fields", "ignored").try_in_vain()
        assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said

    def test_a_number_that_is_shown_as_a_text_is_restored(self, stack):
        one = case(self, stack, "set_fields", "number", with_={"ticket": "IT-8"}, seed={"offboarding_ticket": 7})
        before = one.try_()["before"]
        one.row = dataclasses.replace(one.row, action="restore_fields", with_={})
        stack.sandbox.fault("oomnitza", {"match": {"method": "GET", "path": f"/users/{one.names['id']}$"}, "do": "status", "status": 200,
                                         "skip": 1, "body": {"user_id": int(one.names["id"]), "offboarding_ticket": "7"}})
        said = one.try_("--before", json.dumps(before))
        assert said["outcome"] == "succeeded" and [each["body"] for each in one.changed()] == [{"offboarding_ticket": 7}], said

    def test_nothing_to_set(self, stack):
        said = case(self, stack, "set_fields", "nothing", with_={}).try_()
        assert said["outcome"] == "blocked" and "neither a sequence nor a ticket" in said["message"], said

    @pytest.mark.parametrize("at", ["3", None, "abc"])
    def test_nobody_jumps_over_a_sequence(self, stack, at):
        one = case(self, stack, "advance_sequence", f"moved-{at}", seed={"offboarding_sequence": at})
        said = one.try_()
        assert said["outcome"] == "blocked" and "at another number" in said["message"], said
        assert one.changed() == []

    @pytest.mark.parametrize("action", ["set_fields", "advance_sequence"])
    def test_undo_puts_back_what_was_there(self, stack, action):
        seed = {"offboarding_sequence": 1, "offboarding_ticket": None}
        one = case(self, stack, action, "undo", seed=seed, with_={"from": 1} if action == "advance_sequence" else {"sequence": 5, "ticket": "IT-9"})
        before = one.try_()["before"]
        assert user(stack, one.names["id"])["offboarding_sequence"] in ("2", "5")
        undone = case(self, stack, action, "undone", seed=seed)
        undone.row = dataclasses.replace(undone.row, action="restore_fields", with_={})
        said = undone.try_("--before", json.dumps(before), id=one.names["id"])
        assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
        assert {name: user(stack, one.names["id"])[name] for name in seed} == seed
        assert undone.try_("--before", json.dumps(before), id=one.names["id"])["outcome"] == "already_done"

    def test_undo_of_what_is_not_known(self, stack):
        one = case(self, stack, "set_fields", "undo-nothing")
        one.row = dataclasses.replace(one.row, action="restore_fields", with_={})
        assert one.try_()["outcome"] != "succeeded" and one.changed() == []

    def test_a_seat_that_fails_within_a_200(self, stack):
        one = case(self, stack, "deactivate_seats", "partly")
        stack.sandbox.seed("oomnitza", {"seats": [{"id": one.names["seat"], "error": "the application refused"}]})
        said = one.try_()
        assert said["outcome"] == "failed" and f"1 of 2 items failed: {one.names['seat']}" in said["message"], said
        assert said["state"]["accounts"][one.names["id"]]["items_left"] == [one.names["seat"]]
        seats = {seat["id"]: seat["active"] for seat in stack.sandbox.state("oomnitza")["seats"]}
        assert seats[one.names["seat"]] and not seats[one.names["other"]]

    def test_a_seat_that_the_answer_does_not_name(self, stack):
        one = case(self, stack, "deactivate_seats", "unnamed")
        stack.sandbox.settings("oomnitza", unnamed_seats=[one.names["other"]])
        said = one.try_()
        assert said["outcome"] != "succeeded" and one.names["other"] in said["message"], said

    def test_no_seats_are_no_success_for_all(self, stack):
        one = case(self, stack, "deactivate_seats", "none", with_={"seats": []})
        one.try_()
        assert one.changed() == []

    def test_leavers_of_all_pages(self, stack):
        for number in range(5):
            hire(stack, f"leaves-{number}@example.com", status="Offboarding", change_date="2199-01-01T10:00:00", offboarding_sequence=number)
        hire(stack, "long-gone@example.com", status="Offboarding", change_date="2001-01-01T10:00:00")
        hire(stack, "stays@example.com", change_date="2199-01-01T10:00:00")
        stack.settings["systems"]["oomnitza"]["page"] = "2"
        stack.write_settings()
        since = len(stack.sandbox.journal("oomnitza"))
        done = stack.try_action("oomnitza", "list_leavers", "--email", "anybody@example.com", "--json").json
        stack.settings["systems"]["oomnitza"].pop("page")
        stack.write_settings()
        users = done["outputs"]["users"]
        assert sorted(one["email"] for one in users) == [f"leaves-{number}@example.com" for number in range(5)], done
        assert sorted(one["sequence"] for one in users) == ["0", "1", "2", "3", "4"]
        assert set(users[0]) == {"id", "email", "employee_id", "name", "type", "status", "sequence", "changed"}
        assert len(stack.sandbox.journal("oomnitza")) - since == 4      # the last page is empty


def hire(stack, email: str, **fields) -> str:
    """A user; the id."""
    state = stack.sandbox.seed("oomnitza", {"users": [{"email": email, "first_name": "Kim", "last_name": "Doe", **fields}]})
    return next(one["id"] for one in state["users"] if one["email"] == email)


def user(stack, key: str) -> dict:
    return next(one for one in stack.sandbox.state("oomnitza")["users"] if one["id"] == key)
