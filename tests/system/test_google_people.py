"""Google's connector: whose account it is, who takes over, and what Google refuses of two people at once."""

import json

import pytest
from google import Google, changes, person, requests, user
from stack import Stack
from unconfirmed import impatient
from vendors.google_errors import error_body

pytestmark = pytest.mark.xdist_group("google-people")
BOSS, DIRECTOR = "boss@example.com", "director@example.com"
LICENCE = {"productId": "Google-Apps", "skuId": "1010020027"}
DIRECTORY = "/admin/directory/v1"


@pytest.fixture(scope="module")
def stack(make_shared_stack) -> Stack:
    stack = Google().alone(make_shared_stack, DIRECTOR, not_member=412)
    stack.settings["systems"]["google"] |= {"settle": "1s", "licence_products": "Google-Apps, 101001"}
    stack.write_settings()
    person(stack, BOSS, relations=[{"type": "manager", "value": DIRECTOR}])
    return stack


@pytest.fixture(autouse=True)
def as_usual(stack):
    yield
    stack.sandbox.clear_faults("google")
    stack.sandbox.settings("google", no_delegation_units=[], transfer_polls=2)


@pytest.fixture
def email(request) -> str:
    return f"{request.node.name.partition('[')[0].removeprefix('test_').replace('_', '-')}@example.com"


def try_(stack, action: str, email: str | None, *more: str, live: bool = True, env: dict | None = None, **values) -> dict:
    """`values`: of the options that take JSON, as with_={…}."""
    options = [word for name, value in values.items() for word in (f"--{name.rstrip('_')}", json.dumps(value))]
    whom = ["--email", email] if email else []
    return json.loads(stack.try_action("google", action, *whom, "--json", *options, *more, *(["--live"] if live else []), **(env or {})).out)


def since(stack) -> int:
    return len(stack.sandbox.journal("google"))


# Whose account.

def test_found_by_employee_id_though_the_address_is_another(stack, email):
    key = person(stack, email, externalIds=[{"type": "organization", "value": "E-4711"}])["id"]
    start = since(stack)
    said = try_(stack, "suspend_user", "nobody@example.com", "--employee-id", "E-4711")
    assert said["pinned"] == {"google": [key]} and user(stack, email)["suspended"]
    assert requests(stack, start)[:2] == [
        f"GET {DIRECTORY}/users?customer=my_customer&query=externalId%3D%27E-4711%27"
        "&fields=kind%2CnextPageToken%2Cusers%28id%2CprimaryEmail%2Caliases%2CnonEditableAliases%2CexternalIds%29",
        f"GET {DIRECTORY}/users/nobody%40example.com?projection=full"]


def test_two_with_one_employee_id_stop_everything(stack, email):
    for name in ("a", "b"):
        person(stack, name + email, externalIds=[{"type": "organization", "value": "E-2"}])
    start = since(stack)
    said = try_(stack, "suspend_user", None, "--employee-id", "E-2")
    assert said["outcome"] == "blocked" and "2 accounts were found" in said["message"] and changes(stack, start) == []


def test_an_alias_may_be_somebody_elses_by_now(stack, email):
    person(stack, email, aliases=["of-old@example.com"])
    start = since(stack)
    said = try_(stack, "suspend_user", "of-old@example.com")
    assert said["outcome"] == "blocked" and "which shows another one" in said["message"], said
    assert changes(stack, start) == []
    said = try_(stack, "suspend_user", "of-old@example.com", user={"emails": [email]})
    assert said["outcome"] == "succeeded" and said["pinned"] == {"google": [user(stack, email)["id"]]}, "HR knows both"


@pytest.mark.parametrize("shown, outcome", [("E-0815", "succeeded"), ("E-9", "blocked")])
def test_somebody_who_was_renamed(stack, email, shown, outcome):
    """HR knows the old address only, which is an alias by now: the employee number says whose it is."""
    email = f"{shown.lower()}.{email}"
    account = person(stack, email, aliases=[f"maiden.{email}"], externalIds=[{"type": "organization", "value": shown}])
    said = try_(stack, "suspend_user", f"maiden.{email}", "--employee-id", "E-0815")
    assert said["outcome"] == outcome and user(stack, email)["suspended"] is (outcome == "succeeded"), said
    assert outcome == "blocked" or said["pinned"] == {"google": [account["id"]]}, said


def test_an_address_that_was_given_to_another_employee(stack, email):
    """HR's number finds nobody, and the address somebody with another number."""
    heir = person(stack, email, externalIds=[{"type": "organization", "value": "E-9"}])["id"]
    start = since(stack)
    said = try_(stack, "suspend_user", email, "--employee-id", "E-8")
    assert said["outcome"] == "blocked" and f"account {heir} has" in said["message"] and "employee number E-9" in said["message"], said
    assert changes(stack, start) == []


def test_a_number_that_is_not_the_organisations(stack, email):
    """Of several numbers the one that HR knows counts."""
    key = person(stack, email, externalIds=[{"type": "organization", "value": "O-1"}, {"type": "custom", "value": "E-77"}])["id"]
    assert try_(stack, "suspend_user", email, "--employee-id", "E-77")["pinned"] == {"google": [key]}


def test_a_leaver_on_the_second_page(stack, email):
    """Google may send a page with nobody on it, and a token for the next one."""
    key = person(stack, email, externalIds=[{"type": "organization", "value": "E-12"}])["id"]
    stack.sandbox.fault("google", {"match": {"path": "/users$"}, "do": "status", "status": 200, "times": 1,
                                   "body": {"kind": "admin#directory#users", "nextPageToken": "users~0"}})
    said = try_(stack, "suspend_user", None, "--employee-id", "E-12")
    assert said["outcome"] == "succeeded" and said["pinned"] == {"google": [key]}, said


@pytest.mark.parametrize("by, told", [("email", {}), ("number", {"kind": "admin#directory#users"})])
def test_a_search_that_names_a_stranger(stack, email, by, told):
    """As if it had not been understood, or as if it knew the stranger by what the account does not show."""
    stranger = {"id": "1234567890", "primaryEmail": "stranger@example.com", "externalIds": [{"type": "organization", "value": "S"}]}
    body = stranger if by == "email" else {**told, "users": [stranger]}
    stack.sandbox.fault("google", {"match": {"path": "/users(/.*)?$"}, "do": "status", "status": 200, "times": 1, "body": body})
    known = (email,) if by == "email" else (None, "--employee-id", "E-13")
    said = try_(stack, "suspend_user", *known)
    assert said["outcome"] == "blocked" and not any(call["changes"] for call in said["calls"]), said


# Who takes over.

def test_the_profile_and_the_line_of_managers(stack, email):
    key = person(stack, email, relations=[{"type": "manager", "value": "Boss@example.com"}],
                 externalIds=[{"type": "organization", "value": "4711"}],
                 addresses=[{"type": "home", "countryCode": "FR"}, {"type": "work", "country": "Germany"}])["id"]
    start = since(stack)
    said = try_(stack, "read_profile", email, ids={"google": [key]})
    known = user(stack, email)
    assert said["provides"] == {"user": {"name": known["name"]["fullName"], "emails": sorted([email, *known["aliases"]]),
                                         "employee_id": "4711", "country": "DE",
                                         "manager_chain": [{"email": BOSS}, {"email": DIRECTOR}]}}
    assert requests(stack, start) == [f"GET {DIRECTORY}/users/{key}?projection=full",
                                      f"GET {DIRECTORY}/users/Boss%40example.com?projection=full"]


@pytest.mark.parametrize("told, chain", [
    ({"manager": {"email": DIRECTOR}}, [DIRECTOR]),          # HR knows better
    ({"manager": {"email": "{leaver}"}}, [BOSS]),            # a manager who is the leaver counts as none
    ({"manager": {"email": "gone@example.com"}}, ["gone@example.com"])])
def test_what_hr_says_of_the_manager(stack, email, told, chain):
    person(stack, email, relations=[{"type": "manager", "value": BOSS}])
    said = try_(stack, "read_profile", email, user=json.loads(json.dumps(told).replace("{leaver}", email)))
    assert [one["email"] for one in said["outputs"]["user"]["manager_chain"]] == chain


def test_a_line_that_leads_back_to_the_leaver(stack, email):
    alias = email.replace("@", ".alias@")
    person(stack, email, aliases=[alias], relations=[{"type": "manager", "value": alias}])
    assert try_(stack, "read_profile", email)["outputs"]["user"]["manager_chain"] == []


@pytest.mark.parametrize("chain, taken", [
    ([{"email": BOSS}, {"email": DIRECTOR}], BOSS),
    ([{"email": BOSS, "leaving": True}, {"email": DIRECTOR}], DIRECTOR),
    ([{"email": "away@example.com"}, {"email": "gone@example.com"}, {"email": DIRECTOR}], DIRECTOR),
    ([{"email": "{leaver}"}, {"email": DIRECTOR}], DIRECTOR),
    ([{"email": "boss.alias@example.com"}, {"email": DIRECTOR}], DIRECTOR),     # whoever has the alias now need not be who was meant
    ([{"email": "Boss@Example.com"}], BOSS)])
def test_the_first_who_is_active_and_not_leaving(stack, email, chain, taken):
    leaver = person(stack, email)
    person(stack, "away@example.com", suspended=True)
    chain = json.loads(json.dumps(chain).replace("{leaver}", leaver["primaryEmail"]))
    for live in (True, False):
        said = try_(stack, "choose_manager", email, user={"manager_chain": chain}, ids={"google": [leaver["id"]]}, live=live)
        assert said["outcome"] == "succeeded" and said["provides"]["user"]["manager"]["email"] == taken, said


def shows(stack, who: str, body, status: int = 200) -> None:
    """What Google answers when it is asked for that person."""
    stack.sandbox.fault("google", {"match": {"method": "GET", "path": f"/users/{who.replace('@', '(@|%40)')}$"}, "do": "status", "status": status,
                                   "body": body, "times": None})


NO_PERSON = [{}, [], {"kind": "x", "id": "1"}, {"primaryEmail": BOSS}, {"id": 7, "primaryEmail": BOSS}]


@pytest.mark.parametrize("body", NO_PERSON, ids=json.dumps)
@pytest.mark.parametrize("action", ["read_profile", "choose_manager", "add_delegate", "transfer_data"])
def test_an_answer_that_shows_no_person_is_nobody(stack, email, action, body):
    key = person(stack, email, relations=[{"type": "manager", "value": BOSS}])["id"]
    shows(stack, BOSS, body)
    start = since(stack)
    with_ = {"transfer_data": {"to": BOSS}, "add_delegate": {"delegate": BOSS}}.get(action, {})
    said = try_(stack, action, email, user={"manager_chain": [{"email": BOSS}, {"email": DIRECTOR}]}, ids={"google": [key]}, with_=with_)
    assert said["outcome"] == "failed" and "provides" not in said and changes(stack, start) == [], said


@pytest.mark.parametrize("who", ["the leaver's account", "the leaver's other address", "suspended in words", "archived in words"])
def test_who_never_takes_over(stack, email, who):
    """By whatever address the leaver is asked for, the leaver is no manager of the leaver."""
    leaver = person(stack, email)
    shown = {"id": "1", "primaryEmail": BOSS, "suspended": False, "archived": False, "name": {"fullName": "B"}}
    shows(stack, BOSS, {**shown, **{"the leaver's account": {"id": leaver["id"]}, "suspended in words": {"suspended": "true"},
                                    "archived in words": {"archived": "yes"}}.get(who, {})})
    known = {"emails": [BOSS]} if who == "the leaver's other address" else {}
    said = try_(stack, "choose_manager", email, user={"manager_chain": [{"email": BOSS}, {"email": DIRECTOR}], **known}, ids={"google": [leaver["id"]]})
    assert said["outcome"] == "succeeded" and said["provides"]["user"]["manager"]["email"] == DIRECTOR, said


def test_nobody_gets_the_files_by_an_alias(stack, email):
    key = person(stack, email)["id"]
    start = since(stack)
    said = try_(stack, "transfer_data", email, with_={"to": "boss.alias@example.com"}, ids={"google": [key]})
    assert said["outcome"] == "blocked" and "boss.alias@example.com is an alias of boss@example.com" in said["message"], said
    assert changes(stack, start) == []


def test_nobody_takes_over(stack, email):
    leaver = person(stack, email)
    for chain in ([], [{"email": BOSS, "leaving": True}]):
        said = try_(stack, "choose_manager", email, user={"manager_chain": chain}, ids={"google": [leaver["id"]]})
        assert said["outcome"] == "blocked" and said["message"].startswith("nobody of the line of managers is active"), said
        assert said["state"]["accounts"][""]["at"] == 0, "a retry looks at all of them again"


# Two people at once.

def test_the_leaver_can_get_no_delegate(stack, email):
    key = person(stack, email, suspended=True)["id"]
    for state in ({"suspended": True}, {"suspended": False, "changePasswordAtNextLogin": True}):
        stack.sandbox.seed("google", {"users": [{"id": key, **state}]})
        start = since(stack)
        said = try_(stack, "add_delegate", email, with_={"delegate": BOSS})
        assert said["outcome"] == "blocked" and "Google takes no delegate for it" in said["message"], said
        assert changes(stack, start) == []


@pytest.mark.parametrize("state", [{"suspended": True}, {"changePasswordAtNextLogin": True}, {"isMailboxSetup": False}],
                         ids=lambda state: next(iter(state)))
def test_a_delegate_who_can_be_none(stack, email, state):
    person(stack, email)
    person(stack, "other@example.com", **{"suspended": False, "changePasswordAtNextLogin": False, "isMailboxSetup": True, **state})
    start = since(stack)
    said = try_(stack, "add_delegate", email, with_={"delegate": "other@example.com"})
    assert said["outcome"] == "blocked" and "the delegate has to be" in said["message"], said
    said = try_(stack, "add_delegate", email, with_={"delegate": "stranger@example.com"})
    assert said["outcome"] == "blocked" and changes(stack, start) == []


def test_a_delegate_is_added_by_the_primary_address(stack, email):
    person(stack, email)
    said = try_(stack, "add_delegate", email, with_={"delegate": "boss.alias@example.com"})
    assert said["outcome"] == "blocked" and "named by the main address" in said["message"], said
    said = try_(stack, "add_delegate", email, with_={"delegate": "Boss@Example.com"})
    assert said["outcome"] == "succeeded" and said["outputs"] == {"delegate": BOSS}
    assert [one["delegateEmail"] for one in user(stack, email)["delegates"]] == [BOSS]


def test_a_unit_that_forbids_delegates(stack, email):
    person(stack, email)
    stack.sandbox.settings("google", no_delegation_units=["/Staff"])
    said = try_(stack, "add_delegate", email, with_={"delegate": BOSS})
    assert said["outcome"] == "blocked" and "Mail delegation is not enabled" in said["message"], said


def test_an_expired_delegate_lets_nobody_in(stack, email):
    person(stack, email, delegates=[{"delegateEmail": BOSS, "verificationStatus": "expired"}])
    assert try_(stack, "remove_delegate", email, with_={"delegate": BOSS})["outcome"] == "already_done"


def test_an_answer_of_the_leavers_own_is_not_left_to_win(stack, email):
    person(stack, email, vacation={"enableAutoReply": True, "responseBodyHtml": "<b>Back soon</b>", "endTime": "1"})
    said = try_(stack, "set_vacation", email, with_={"subject": "Gone", "text": "Write to the boss"})
    key = user(stack, email)["id"]
    assert said["before"][key]["vacation"]["responseBodyHtml"] == "<b>Back soon</b>"
    assert user(stack, email)["vacation"] == {
        "enableAutoReply": True, "responseSubject": "Gone", "responseBodyPlainText": "Write to the boss",
        "restrictToContacts": False, "restrictToDomain": False}


def test_backup_codes_of_a_suspended_account_are_of_no_use(stack, email):
    person(stack, email, suspended=True)
    said = try_(stack, "invalidate_backup_codes", email)
    assert said["outcome"] == "already_done" and user(stack, email)["backup_codes"] == ["12345678"], said


# Suspended at once, as after a dismissal.

@pytest.mark.parametrize("action, outcome, why", [
    ("sign_out", "succeeded", ""), ("reset_password", "succeeded", ""), ("strip_profile", "succeeded", ""), ("delete_tokens", "succeeded", ""),
    ("delete_app_passwords", "succeeded", ""), ("leave_groups", "already_done", ""), ("move_to_ou", "succeeded", ""),
    ("transfer_data", "succeeded", ""), ("remove_licences", "succeeded", ""), ("delete_aliases", "succeeded", ""),
    ("invalidate_backup_codes", "already_done", ""), ("set_vacation", "blocked", "its mail is not served"),
    ("stop_forwarding", "blocked", "its mail is not served"), ("add_delegate", "blocked", "Google takes no delegate for it"),
    ("remove_delegate", "blocked", "who restores it has to remove them"), ("remove_delegates", "blocked", "who restores it has to remove them"),
])
def test_what_a_suspended_account_leaves_to_do(stack, action, outcome, why):
    email = f"{action.replace('_', '-')}.suspended@example.com"
    stack.sandbox.settings("google", transfer_polls=0)
    key = person(stack, email, suspended=True, licenses=[LICENCE])["id"]
    with_ = {"to": BOSS} if action == "transfer_data" else {"delegate": BOSS} if "delegate" in action else {}
    said = try_(stack, action, email, with_=with_, ids={"google": [key]})
    assert said["outcome"] == outcome and why in said["message"], said


# Transfers and licences.

def test_a_transfer_by_exactly_these_requests_and_once(stack, email):
    stack.sandbox.settings("google", transfer_polls=0)
    key, new = person(stack, email)["id"], user(stack, BOSS)["id"]
    start, transfers = since(stack), "/admin/datatransfer/v1/transfers"
    said = try_(stack, "transfer_data", email, with_={"to": BOSS}, ids={"google": [key]})
    made = stack.sandbox.state("google")["transfers"][-1]
    assert said["outcome"] == "succeeded" and said["outputs"] == {"transfer": made["id"], "to": BOSS}, said
    body = {"oldOwnerUserId": key, "newOwnerUserId": new, "applicationDataTransfers": [
        {"applicationId": "55656082996", "applicationTransferParams": [{"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]},
        {"applicationId": "435070579839", "applicationTransferParams": [{"key": "RELEASE_RESOURCES", "value": ["TRUE"]}]}]}
    assert requests(stack, start) == [
        f"GET {DIRECTORY}/users/boss%40example.com", "GET /admin/datatransfer/v1/applications?customerId=my_customer",
        f"GET {transfers}?customerId=my_customer&oldOwnerUserId={key}&newOwnerUserId={new}", f"POST {transfers} {body}",
        f"GET {transfers}/{made['id']}", f"GET {transfers}/{made['id']}"]
    start = since(stack)
    again = try_(stack, "transfer_data", email, with_={"to": BOSS}, ids={"google": [key]})
    assert again["outputs"] == said["outputs"] and again["message"].startswith("it had already") and changes(stack, start) == []


def test_a_transfer_to_nobody(stack, email):
    key = person(stack, email)["id"]
    person(stack, "asleep@example.com", suspended=True)
    start = since(stack)
    for to in ("nobody-at-all@example.com", "asleep@example.com", email):
        assert try_(stack, "transfer_data", email, with_={"to": to}, ids={"google": [key]})["outcome"] == "blocked"
    assert try_(stack, "transfer_data", email, with_={"to": None})["message"] == "with.to is null, and the action needs it"
    assert changes(stack, start) == []


def test_licences(stack, email):
    key = person(stack, email, licenses=[LICENCE])["id"]
    said = try_(stack, "remove_licences", email, ids={"google": [key]})
    licences = [{"product": "Google-Apps", "sku": "1010020027"}]
    assert said["outcome"] == "succeeded" and said["outputs"] == {"licences": licences, "names": ["1010020027"]}
    assert said["before"] == {key: {"licences": licences}}
    assert not [one for one in stack.sandbox.state("google")["licenses"] if one["userId"] == email]
    assert try_(stack, "remove_licences", email)["outputs"] == {"licences": [], "names": []}


def test_a_product_that_is_not_told_of(stack, email):
    """What could not be read is not done, though no licence of the other product is there."""
    key = person(stack, email)["id"]
    stack.sandbox.fault("google", {"match": {"path": "/product/101001/"}, "do": "status", "status": 400, "times": None,
                                   "body": error_body("invalid", "Invalid productId")})
    said = try_(stack, "remove_licences", email, ids={"google": [key]})
    assert said["outcome"] == "failed" and "1 of 2 items failed: 101001" in said["message"], said


def test_a_licence_that_stays(stack, email):
    """Google says yes and keeps it; that of the other product is gone."""
    key = person(stack, email, licenses=[LICENCE, {"productId": "101001", "skuId": "1010010001"}])["id"]
    stack.sandbox.fault("google", {"match": {"method": "DELETE", "path": "/product/101001/"}, "do": "noop", "times": None})
    start = since(stack)
    said = try_(stack, "remove_licences", email, ids={"google": [key]}, env=impatient(stack, "google"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said
    assert len(changes(stack, start)) == 2


# Throttling in a line of text.

def test_throttled_by_a_gateway(stack, email):
    person(stack, email)
    stack.sandbox.fault("google", {"match": {"method": "PUT", "path": "/users/"}, "do": "status", "status": 403,
                                   "body": "Request rate higher than configured.", "times": 1})
    said = try_(stack, "suspend_user", email)
    assert said["outcome"] == "succeeded" and [call["status"] for call in said["calls"] if call["changes"]] == [403, 200]


# Other changes under way, and answers that say nothing.

def test_a_change_that_meets_another_one_is_made_again(stack, email):
    person(stack, email)
    stack.sandbox.fault("google", {"match": {"method": "PUT", "path": "/users/"}, "do": "status", "status": 409, "times": 2,
                                   "body": error_body("conflict", "Conflicting requests. Please try again")})
    said = try_(stack, "suspend_user", email)
    assert said["outcome"] == "succeeded", said
    assert [call["status"] for call in said["calls"] if call["changes"]] == [409, 409, 200]


def test_a_group_is_asked_again_after_a_conflict(stack, email):
    """Whatever Google says of it, the reason tells."""
    person(stack, email)
    stack.sandbox.seed("google", {"groups": [{"email": "busy@example.com", "members": [email]}]})
    stack.sandbox.fault("google", {"match": {"method": "DELETE"}, "do": "status", "status": 409, "times": 1,
                                   "body": error_body("conflict")})
    assert try_(stack, "leave_groups", email)["outcome"] == "succeeded"


@pytest.mark.parametrize("name, match", [("role", {"method": "DELETE", "path": "/roleassignments/"}),
                                         ("super", {"method": "POST", "path": "/makeAdmin$"})])
def test_a_role_that_stays(stack, name, match):
    """One call is refused and the other made: neither stands for the other."""
    email = f"{name}.admin@example.com"
    key = person(stack, email, isAdmin=True, roles=["77"])["id"]
    stack.sandbox.fault("google", {"match": match, "do": "status", "status": 400, "times": None, "body": error_body("invalid")})
    said = try_(stack, "remove_admin_roles", email, ids={"google": [key]}, env=impatient(stack, "google"))
    assert said["outcome"] == "failed" and not (said["verified"] or {"ok": False})["ok"], said


@pytest.mark.parametrize("action, path", [
    ("delete_tokens", "/tokens$"), ("delete_app_passwords", "/asps$"), ("leave_groups", "/groups$"), ("delete_aliases", "/aliases$"),
    ("remove_admin_roles", "/roleassignments$"), ("wipe_mobile_devices", "/mobile$"), ("remove_licences", "/users$")])
def test_an_answer_without_a_list_is_no_empty_list(stack, action, path):
    """Google's own says at least what kind of list it is."""
    email = f"{action.replace('_', '-')}.unreadable@example.com"
    key = person(stack, email, tokens=[], asps=[], aliases=[])["id"]
    stack.sandbox.fault("google", {"match": {"method": "GET", "path": path}, "do": "status", "status": 200, "times": None, "body": {}})
    said = try_(stack, action, email, ids={"google": [key]}, env=impatient(stack, "google"))
    assert said["outcome"] in ("deferred", "failed"), said


def test_devices_on_the_second_page_of_the_read_back(stack, email):
    """A phone that is not being wiped is seen wherever it stands in the list."""
    key = person(stack, email)["id"]
    stack.sandbox.seed("google", {"mobile_devices": [
        {"resourceId": f"P-{number:03}", "deviceId": f"PD-{number}", "email": [email], "status": "ACCOUNT_WIPED"} for number in range(100)]
        + [{"resourceId": "P-last", "deviceId": "PD-last", "email": [email], "status": "APPROVED"}]})
    stack.sandbox.fault("google", {"match": {"method": "POST", "path": "/mobile/P-last/action"}, "do": "noop", "times": None})
    said = try_(stack, "wipe_mobile_devices", email, ids={"google": [key]}, env=impatient(stack, "google"))
    assert said["outcome"] == "failed" and "not confirmed by reading back" in said["message"], said
