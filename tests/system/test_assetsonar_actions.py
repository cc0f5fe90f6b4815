"""AssetSonar: what a leaver holds comes in, and the member goes; a filter that is not heeded, and a refusal with status 200, deceive
nobody."""

import json

import pytest
from connector_table import ConnectorTable, Row
from unconfirmed import impatient

pytestmark = pytest.mark.xdist_group("assetsonar")
MEMBER = "GET /members/{id}.api?include_custom_fields=true"
HELD = "GET /assets/filter.api?status=possessions_of&filter_param_val={id}&include_custom_fields=true&page=1"
LICENCES = "GET /software_licenses/filter.api?status=possessions_of&filter_param_val={id}&page=1"
ASSET = "GET /assets/{asset}.api"
COMMENT = "checkin_values%5Bcomments%5D=Offboarding%20of%20{at}"

ROWS = [
    Row("list_assets", [MEMBER, HELD], again="succeeded", verified=False, outputs={"ids": ["{asset}"], "assets": [
        {"id": "{asset}", "name": "Laptop", "serial": "{serial}", "state": "checked_out", "location": 7}]}),
    Row("check_in_assets", [MEMBER, HELD, HELD, ASSET,
                            f"PUT /assets/{{asset}}/checkin.api checkin_values%5Blocation_id%5D=42&{COMMENT}", HELD],
        before={"assets": ["{asset}"]}),
    Row("check_out_assets", [ASSET, "PUT /assets/{asset}/checkout.api?user_id={id}", ASSET], undoes={"assets": ["{asset}"]},
        again="succeeded", missing=None),
    Row("flag_assets_returning", [MEMBER, HELD, HELD, ASSET,
                                  "PUT /assets/{asset}.api cust_attrs%5BReturn%20status%5D=To%20be%20returned", HELD]),
    Row("set_member_fields", [
        MEMBER, "PUT /members/{id}.api user%5Bemail%5D={at}&user%5Boffboarding_date%5D=2026-11-30&"
        "user%5Bcustom_attributes%5D%5BLeft%20for%5D=good", MEMBER],
        with_={"offboarding_date": "2026-11-30", "fields": {"Left for": "good"}},
        before={"offboarding_date": None, "fields": [{"name": "Left for", "value": None}]}),
    Row("list_licences", [MEMBER, LICENCES], again="succeeded", verified=False,
        outputs={"licences": [{"id": "{licence}", "name": "Editor"}], "manual": []}),
    Row("revoke_licences", [MEMBER, LICENCES, "PUT /software_licenses/{licence}/checkin.api user_id={id}", LICENCES],
        again="succeeded", outputs={"revoked": [{"id": "{licence}", "name": "Editor"}], "manual": []}),
    Row("deactivate_member", [MEMBER, HELD, "PUT /members/{id}.api user%5Bemail%5D={at}&user%5Bstatus%5D=0", MEMBER],
        seed={"assets": False}),
    Row("reactivate_member", [MEMBER, "PUT /members/{id}.api user%5Bemail%5D={at}&user%5Bstatus%5D=1", MEMBER],
        user={"status": 0}),
]


def alone(make_shared_stack):
    stack = make_shared_stack(systems="assetsonar", vendors={"assetsonar": {"licence_call": "checkin"}})
    stack.settings["systems"]["assetsonar"] = {"url": stack.sandbox.url("assetsonar"), "token": "assetsonar-sandbox-s3cret",
                                               "location": "42", "licence_call": "checkin", "per_minute": "60000"}
    stack.write_settings()
    return stack


def member(stack, email: str, **more) -> dict:
    return stack.sandbox.seed("assetsonar", {"members": [{"email": email, **more}]})["members"][-1]


def asset(stack, holder: str | None, name: str = "Laptop", **more) -> dict:
    return stack.sandbox.seed("assetsonar", {"assets": [{"name": name, "holder": holder, **more}]})["assets"][-1]


def licence(stack, *holders: str, name: str = "Editor", **more) -> dict:
    return stack.sandbox.seed("assetsonar", {"licences": [{"name": name, "holders": holders, **more}]})["licences"][-1]


class TestAssetsonar(ConnectorTable):
    system = "assetsonar"
    rows = ROWS
    nobody = "9"

    @pytest.fixture(scope="class")
    def stack(self, make_shared_stack):
        return alone(make_shared_stack)

    def leaver(self, stack, row, email):
        made = member(stack, email, **row.user)
        held = asset(stack, None if row.action == "check_out_assets" else email) if row.seed.get("assets", True) else {}
        return {"id": str(made["id"]), "asset": str(held.get("sequence_num", "")), "serial": held.get("bios_serial_number", ""),
                "licence": str(licence(stack, email)["id"])}

    def test_a_refusal_with_status_200(self, case, row):
        """As the vendor answers when it does not do what was asked."""
        case.fault({"do": "status", "status": 200, "body": {"errors": {"base": ["no"]}, "status": 403}, "times": None})
        assert case.try_in_vain()["outcome"] == "failed"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    return alone(make_shared_stack)


@pytest.fixture(autouse=True)
def as_configured(stack):
    yield
    stack.sandbox.clear_faults("assetsonar")
    stack.sandbox.settings("assetsonar", possessions_filter=True, licence_filter=True, licence_holders="users", date_format="iso",
                           member_actions=True, member_filter=True, licence_list="licenses")


def try_(stack, action: str, email: str, *more: str, **with_) -> dict:
    """What is in capitals is for the environment."""
    env = {name: with_.pop(name) for name in list(with_) if name.isupper()}
    result = stack.try_action("assetsonar", action, "--email", email, "--json", "--with", json.dumps(with_), *more, "--live", **env)
    assert result.out, result
    return json.loads(result.out)


def state_of(stack, kind: str, key: str, value) -> dict:
    return next(one for one in stack.sandbox.state("assetsonar")[kind] if one[key] == value)


def configured(stack, **changes):
    """Settings of the connector, until the block ends."""
    class Changed:
        def __enter__(self):
            self.before = dict(stack.settings["systems"]["assetsonar"])
            stack.settings["systems"]["assetsonar"].update(changes)
            stack.write_settings()

        def __exit__(self, *_):
            stack.settings["systems"]["assetsonar"] = self.before
            stack.write_settings()
    return Changed()


def test_found_by_address_whatever_its_case(stack):
    made = member(stack, "Case@Example.com", status=0)
    assert try_(stack, "list_assets", "case@example.com")["pinned"] == {"assetsonar": [str(made["id"])]}
    assert try_(stack, "list_assets", "nobody@example.com")["outcome"] == "missing"


def test_a_filter_of_members_that_is_not_heeded(stack):
    """Everybody who is active comes back: the leaver may be on the last page, and an inactive one on none."""
    for number in range(30):
        member(stack, f"crowd{number}@example.com")
    active, gone = member(stack, "filter@example.com"), member(stack, "filtered@example.com", status=0)
    stack.sandbox.settings("assetsonar", member_filter=False)
    said = try_(stack, "list_assets", active["email"])
    assert said["outcome"] == "succeeded" and said["pinned"] == {"assetsonar": [str(active["id"])]}, said
    assert any("page=2" in call["url"] for call in said["calls"]), said
    said = try_(stack, "list_assets", gone["email"])
    assert said["outcome"] == "blocked" and "did not understand the search" in said["message"], said


def answers(stack, path: str, body, status: int = 200) -> None:
    stack.sandbox.fault("assetsonar", {"match": {"method": "GET", "path": path}, "do": "status", "status": status, "body": body})


@pytest.mark.parametrize("body", ["", [], {}, {"members": []}, {"members": None, "total_pages": 1}, {"error": "maintenance"},
                                  "<!DOCTYPE html><html><title>Sign in</title></html>"],
                         ids=["empty", "list", "object", "no-total", "null", "error", "page"])
@pytest.mark.parametrize("path", ["^/members.api$", "^/assets/filter.api$"], ids=["members", "assets"])
def test_an_answer_that_cannot_be_read_says_nothing(stack, path, body):
    made = member(stack, "unread@example.com")
    asset(stack, "unread@example.com")
    answers(stack, path, body)
    known = ["--ids", json.dumps({"assetsonar": [str(made["id"])]})] if "assets" in path else []
    said = try_(stack, "check_in_assets", "unread@example.com", *known, OFFBOARD_WORKER_RETRY_WAIT="0s")
    assert said["outcome"] in ("deferred", "failed"), said
    assert not [call for call in said["calls"] if call["method"] == "PUT"], said


def test_an_address_that_was_given_to_somebody_else(stack):
    member(stack, "inherited@example.com", custom={"employee_identification_number": "4712"})
    said = try_(stack, "list_assets", "inherited@example.com", "--user", '{"employee_id": "4711"}')
    assert said["outcome"] == "blocked" and "4712" in said["message"], said
    said = try_(stack, "list_assets", "inherited@example.com", "--user", '{"employee_id": "04712"}')
    assert said["outcome"] == "succeeded", said


def test_thirty_assets_on_two_pages(stack):
    member(stack, "many@example.com")
    for i in range(30):
        asset(stack, "many@example.com", name=f"Thing {i}")
    assert len(try_(stack, "list_assets", "many@example.com")["outputs"]["ids"]) == 30
    said = try_(stack, "check_in_assets", "many@example.com")
    assert said["outcome"] == "succeeded" and len(said["before"][next(iter(said["before"]))]["assets"]) == 30
    assert try_(stack, "list_assets", "many@example.com")["outputs"]["ids"] == []


def test_others_assets_stay_where_they_are(stack):
    """The filter of assets is not heeded: everybody's come back."""
    member(stack, "left@example.com"), member(stack, "stays@example.com")
    own, others = asset(stack, "left@example.com"), asset(stack, "stays@example.com")
    stack.sandbox.settings("assetsonar", possessions_filter=False)
    said = try_(stack, "check_in_assets", "left@example.com", assets=[own["sequence_num"], others["sequence_num"]])
    assert said["outcome"] == "blocked" and "lies with somebody else by now" in said["message"], said
    assert state_of(stack, "assets", "sequence_num", others["sequence_num"])["state"] == "checked_out"
    assert state_of(stack, "assets", "sequence_num", own["sequence_num"])["state"] == "available"


def test_only_the_assets_that_are_named(stack):
    member(stack, "some@example.com")
    kept, gone = asset(stack, "some@example.com", name="Phone"), asset(stack, "some@example.com")
    assert try_(stack, "check_in_assets", "some@example.com", assets=[str(gone["sequence_num"])])["outcome"] == "succeeded"
    assert state_of(stack, "assets", "sequence_num", kept["sequence_num"])["state"] == "checked_out"


def test_no_inventory_is_named(stack):
    member(stack, "where@example.com"), asset(stack, "where@example.com")
    with configured(stack, location=""):
        said = try_(stack, "check_in_assets", "where@example.com")
    assert said["outcome"] == "blocked" and "assetsonar.location is not set" in said["message"]


def test_checking_in_is_undone(stack):
    member(stack, "undo@example.com")
    held = asset(stack, "undo@example.com")
    said = try_(stack, "check_in_assets", "undo@example.com")
    again = try_(stack, "check_out_assets", "undo@example.com", "--before", json.dumps(said["before"]))
    assert again["outcome"] == "succeeded" and again["verified"]["ok"], again
    assert state_of(stack, "assets", "sequence_num", held["sequence_num"])["assigned_to_user_email"] == "undo@example.com"


def test_what_somebody_else_has_by_now_is_not_checked_out(stack):
    made = member(stack, "returns@example.com")
    member(stack, "successor@example.com")
    given = asset(stack, "successor@example.com")
    before = json.dumps({str(made["id"]): {"assets": [str(given["sequence_num"])]}})
    said = try_(stack, "check_out_assets", "returns@example.com", "--before", before)
    assert said["outcome"] == "blocked" and "not in the inventory any more" in said["message"], said
    assert state_of(stack, "assets", "sequence_num", given["sequence_num"])["assigned_to_user_email"] == "successor@example.com"


def test_thirty_assets_are_flagged_on_two_pages(stack):
    member(stack, "flags@example.com")
    for number in range(30):
        asset(stack, "flags@example.com", name=f"Thing {number}")
    assert try_(stack, "flag_assets_returning", "flags@example.com")["outcome"] == "succeeded"
    shown = [one for one in stack.sandbox.state("assetsonar")["assets"] if one["assigned_to_user_email"] == "flags@example.com"]
    assert len(shown) == 30 and all(one["custom"] == {"Return status": "To be returned"} for one in shown)


def test_named_assets_of_page_two_are_seen_to_be_in(stack):
    """Of thirty that the leaver holds one is checked in; that it is in has to be seen on both pages."""
    member(stack, "page2@example.com")
    for number in range(30):
        asset(stack, "page2@example.com", name=f"Thing {number}")
    last = asset(stack, "page2@example.com", name="Last")
    assert try_(stack, "check_in_assets", "page2@example.com", assets=[str(last["sequence_num"])])["outcome"] == "succeeded"
    last = asset(stack, "page2@example.com", name="Last but stays")
    stack.sandbox.fault("assetsonar", {"match": {"method": "PUT"}, "do": "noop"})
    said = try_(stack, "check_in_assets", "page2@example.com", **impatient(stack, "assetsonar"), assets=[str(last["sequence_num"])])
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said


@pytest.mark.parametrize("action", ["set_member_fields", "deactivate_member"])
def test_a_member_that_shows_no_address_keeps_it(stack, action):
    """What is sent would empty it."""
    made = member(stack, f"{action}@example.com")
    answers(stack, f"^/members/{made['id']}.api$", {"id": made["id"], "status": 1})
    said = try_(stack, action, made["email"], "--ids", json.dumps({"assetsonar": [str(made["id"])]}))
    assert said["outcome"] == "failed" and "shows no e-mail address" in said["message"], said
    assert state_of(stack, "members", "id", made["id"])["email"] == made["email"]


def test_a_member_who_holds_something_stays(stack):
    made = member(stack, "holds@example.com")
    asset(stack, "holds@example.com")
    said = try_(stack, "deactivate_member", "holds@example.com")
    assert said["outcome"] == "blocked" and "check_in_assets" in said["message"], said
    assert state_of(stack, "members", "id", made["id"])["status"] == 1
    assert try_(stack, "check_in_assets", "holds@example.com")["outcome"] == "succeeded"
    assert try_(stack, "deactivate_member", "holds@example.com")["outcome"] == "succeeded"


def test_the_other_way_to_deactivate(stack):
    made = member(stack, "action@example.com")
    with configured(stack, deactivation="action"):
        said = try_(stack, "deactivate_member", "action@example.com")
        assert said["outcome"] == "succeeded" and said["calls"][-2]["url"].endswith("/deactivate.api"), said
        assert try_(stack, "reactivate_member", "action@example.com")["outcome"] == "succeeded"
    assert state_of(stack, "members", "id", made["id"])["status"] == 1


def test_a_gateway_that_forgets_to_say_that_it_is_done(stack):
    """502 for a write that was committed, as the vendor's gateway answers now and then."""
    made = member(stack, "gateway@example.com")
    stack.sandbox.fault("assetsonar", {"match": {"method": "PUT"}, "do": "status_after", "status": 502, "times": 1})
    said = try_(stack, "deactivate_member", "gateway@example.com")
    assert said["outcome"] == "succeeded" and state_of(stack, "members", "id", made["id"])["status"] == 0, said
    assert len([call for call in said["calls"] if call["method"] == "PUT"]) == 1


@pytest.mark.parametrize("sent, shown", [("%Y-%m-%d", "iso"), ("%m/%d/%Y", "us"), ("%m/%d/%Y", "iso")])
def test_dates_as_they_are_sent_and_shown(stack, sent, shown):
    email = f"date{shown}{len(sent)}{sent[1]}@example.com"
    made = member(stack, email)
    stack.sandbox.settings("assetsonar", date_format=shown)
    with configured(stack, date_format=sent):
        assert try_(stack, "set_member_fields", email, offboarding_date="2026-11-03")["outcome"] == "succeeded"
    seen = state_of(stack, "members", "id", made["id"])
    assert seen["offboarding_date"] == ("2026-11-03" if shown == "iso" else "11/03/2026")
    assert seen["email"] == email, "the vendor would have emptied it"


def test_fields_alone(stack):
    made = member(stack, "fields@example.com")
    said = try_(stack, "set_member_fields", "fields@example.com", offboarding_date="", fields={"Ticket": "IT-7"})
    seen = state_of(stack, "members", "id", made["id"])
    assert said["outcome"] == "succeeded" and seen["custom"] == {"Ticket": "IT-7"} and seen["offboarding_date"] is None


def test_licences_for_which_there_is_no_call_are_for_a_person(stack):
    member(stack, "manual@example.com")
    held = licence(stack, "manual@example.com", name="Drawing")
    with configured(stack, licence_call=""):
        said = try_(stack, "revoke_licences", "manual@example.com")
    assert said["outputs"] == {"revoked": [], "manual": [{"id": str(held["id"]), "name": "Drawing"}]}, said
    assert len(state_of(stack, "licences", "id", held["id"])["holders"]) == 1


def test_licences_of_others_stay_and_unclear_ones_are_named(stack):
    mine, theirs = member(stack, "lic@example.com"), member(stack, "other-lic@example.com")
    shared = licence(stack, "lic@example.com", "other-lic@example.com", name="Shared")
    unclear = licence(stack, "lic@example.com", name="Unclear", users=False)
    said = try_(stack, "revoke_licences", "lic@example.com")
    assert said["outputs"] == {"revoked": [{"id": str(shared["id"]), "name": "Shared"}],
                               "manual": [{"id": str(unclear["id"]), "name": "Unclear"}]}, said
    assert state_of(stack, "licences", "id", shared["id"])["holders"] == [theirs["id"]]
    assert state_of(stack, "licences", "id", unclear["id"])["holders"] == [mine["id"]]


def test_a_filter_of_licences_that_is_not_heeded(stack):
    member(stack, "unheeded@example.com")
    stack.sandbox.settings("assetsonar", licence_filter=False)
    said = try_(stack, "revoke_licences", "unheeded@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"]["revoked"] == [], said
    assert not [call for call in said["calls"] if call["method"] == "PUT"]


def test_a_licence_that_stays(stack):
    member(stack, "noop@example.com"), licence(stack, "noop@example.com")
    stack.sandbox.fault("assetsonar", {"match": {"method": "PUT", "path": "checkin.api"}, "do": "noop", "times": None})
    said = try_(stack, "revoke_licences", "noop@example.com", **impatient(stack, "assetsonar"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said


@pytest.mark.parametrize("called", ["licenses", "software_licenses"])
def test_a_leaver_without_licences(stack, called):
    """Whatever the vendor calls the list; where it is called otherwise nobody knows that there are none."""
    member(stack, f"{called}@example.com")
    stack.sandbox.settings("assetsonar", licence_list=called)
    said = try_(stack, "revoke_licences", f"{called}@example.com")
    assert said["outcome"] == "succeeded" and said["outputs"] == {"revoked": [], "manual": []}, said
    stack.sandbox.settings("assetsonar", licence_list="entitlements")
    said = try_(stack, "revoke_licences", f"{called}@example.com")
    assert said["outcome"] == "failed" and "could not read the answer" in said["message"], said


def test_licences_of_page_two_are_read_back(stack):
    member(stack, "pages@example.com")
    for number in range(30):
        licence(stack, "pages@example.com", name=f"Editor {number}")
    last = licence(stack, "pages@example.com", name="Last")
    stack.sandbox.fault("assetsonar", {"match": {"method": "PUT", "path": f"/{last['id']}/checkin.api"}, "do": "noop"})
    stack.sandbox.settings("assetsonar", licence_filter=False)     # those of all others are listed before it
    said = try_(stack, "revoke_licences", "pages@example.com", **impatient(stack, "assetsonar"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said


def test_check(stack):
    assert stack.cli("check", "assetsonar").ok().out == "assetsonar: ok\n"
    with configured(stack, token="wrong-token-of-the-test"):
        assert stack.cli("check", "assetsonar").status == 1


# Who was deactivated: for a source to poll.

@pytest.mark.parametrize("page_of_others", [0, 30])
def test_members_deactivated_this_week(stack, page_of_others):
    mark = f"poll-{page_of_others}"
    for number in range(page_of_others):
        member(stack, f"old-{number}@{mark}.example", status=0, custom={"deactivated_at": "2001-01-01"})
    known = member(stack, f"new@{mark}.example", status=0, custom={"deactivated_at": "2199-01-01T10:00:00Z"})
    unknown = member(stack, f"unknown@{mark}.example", status=0)
    member(stack, f"active@{mark}.example", custom={"deactivated_at": "2199-01-01"})
    done = json.loads(stack.try_action("assetsonar", "list_deactivated_members", "--email", "anybody@example.com", "--json").out)
    assert done["outcome"] == "succeeded", done
    assert [one for one in done["outputs"]["members"] if mark in one["email"]] == [
        {"id": str(known["id"]), "email": known["email"], "name": "Kim Doe", "deactivated_at": "2199-01-01T10:00:00Z", "day": "2199-01-01"},
        {"id": str(unknown["id"]), "email": unknown["email"], "name": "Kim Doe", "deactivated_at": None, "day": None}]


@pytest.mark.parametrize("written, day, listed, format", [
    ("11/28/2199", None, True, None), ("28.11.2199", None, True, None), ("Nov 28, 2199", None, True, None), ("", None, True, None),
    ("2199-28-11", None, True, None), ("31.12.2019", None, True, None), (7258118400, "2200-01-01", True, None), (978307200, None, False, None),
    (7258118400000, None, True, None), ({"at": 1}, None, True, None), ("2199-11-28", "2199-11-28", True, "%m/%d/%Y"),
    ("11/28/2199", "2199-11-28", True, "%m/%d/%Y"), ("11/28/2199 10:00 AM", "2199-11-28", True, "%m/%d/%Y"), ("11/28/2019", None, False, "%m/%d/%Y"),
    ("28/11/2199", None, True, "%m/%d/%Y"),
], ids=str)
def test_a_day_that_cannot_be_read_is_no_day(stack, request, written, day, listed, format):
    email = f"day{abs(hash(request.node.name))}@example.com"
    member(stack, email, status=0, custom={"deactivated_at": written})
    with configured(stack, **({"date_format": format} if format else {})):
        said = try_(stack, "list_deactivated_members", "anybody@example.com")
    found = [(one["deactivated_at"], one["day"]) for one in said["outputs"]["members"] if one["email"] == email]
    assert found == ([(written, day)] if listed else []), said


def test_a_day_that_may_be_another_one_is_not_taken_for_it(stack):
    """4 March where days come first, 3 April where months do."""
    made = member(stack, "ambiguous@example.com")
    stack.sandbox.fault("assetsonar", {"match": {"method": "GET", "path": f"/members/{made['id']}.api"}, "do": "status", "status": 200, "times": None,
                                       "body": {**made, "offboarding_date": "04/03/2026"}})
    said = try_(stack, "set_member_fields", "ambiguous@example.com", offboarding_date="2026-03-04", **impatient(stack, "assetsonar"))
    assert said["outcome"] == "failed" and any(call["changes"] for call in said["calls"]), said
    with configured(stack, date_format="%d/%m/%Y"):
        assert try_(stack, "set_member_fields", "ambiguous@example.com", offboarding_date="2026-03-04")["outcome"] == "already_done"


@pytest.mark.parametrize("action", ["list_assets", "check_in_assets", "flag_assets_returning", "set_member_fields", "list_licences",
                                    "revoke_licences", "deactivate_member"])
def test_a_record_of_another_member_says_nothing_of_the_leaver(stack, action):
    made, other = member(stack, f"asked.{action}@example.com"), member(stack, f"other.{action}@example.com")
    asset(stack, other["email"])
    answers(stack, f"/members/{made['id']}.api", other)
    said = try_(stack, action, made["email"])
    assert said["outcome"] == "failed" and not any(call["changes"] for call in said["calls"]), said
