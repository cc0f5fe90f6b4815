"""Jamf: Macs of the leaver, and of nobody else; one lock at a time; done is what a Mac has acknowledged."""

import json

import pytest
from connector_table import ConnectorTable, Row
from keys import KeyPair

pytestmark = pytest.mark.xdist_group("jamf")
PRIVILEGES = ["Read Computers", "View MDM command information in Jamf Pro API", "Send Computer Remote Lock Command",
              "Send Computer Remote Wipe Command"]
OLD = "2020-02-02T02:02:02.000Z"
FOUND = ("GET /api/v4/computers-inventory?section=GENERAL&section=HARDWARE&section=USER_AND_LOCATION"
         "&filter=userAndLocation.email%3Din%3D%28%22{at}%22%29%2CuserAndLocation.username%3Din%3D%28%22{at}%22%29"
         "&sort=id%3Aasc&page=0&page-size=100")
OWNER = "GET /api/v4/computers-inventory/{mac}?section=USER_AND_LOCATION"


def commands(kind: str) -> str:
    return ("GET /api/v2/mdm/commands?filter=clientManagementId%3Din%3D%28{management}%29%3Bcommand%3D%3D" + kind
            + "&sort=dateSent%3Adesc&page=0&page-size=100")


def under_way(kind: str) -> str:
    return commands(kind).replace("%3Din%3D%28{management}%29", "%3D%3D{management}")


ROWS = [
    Row("list_computers", [FOUND], again="succeeded", missing=None, verified=False,
        outputs={"computers": [{"id": "{mac}", "name": "{name}", "serial": "{serial}", "model": "MacBook Pro"}], "ids": ["{mac}"]}),
    Row("lock_computers", [
        FOUND, commands("DEVICE_LOCK"), OWNER, under_way("DEVICE_LOCK"),
        "POST /api/v2/mdm/commands {'clientData': [{'managementId': '{management}'}], 'commandData': {"
        "'commandType': 'DEVICE_LOCK', 'pin': '***', 'message': 'Call us', 'phoneNumber': '+1 555 0100'}}",
        commands("DEVICE_LOCK"), commands("DEVICE_LOCK")], with_={"message": "Call us", "phone": "+1 555 0100"}, missing=None),
    Row("erase_computers", [
        FOUND, commands("ERASE_DEVICE"), OWNER, under_way("ERASE_DEVICE"),
        "POST /api/v4/computers-inventory/{mac}/erase {'pin': '***'}", commands("ERASE_DEVICE"), commands("ERASE_DEVICE")],
        with_={"computers": ["{mac}"]}, missing=None),
]


def mac(stack, email: str, **more) -> dict:
    return stack.sandbox.seed("jamf", {"computers": [{"email": email, **more}]})["computers"][-1]


class TestJamf(ConnectorTable):
    system = "jamf"
    rows = ROWS

    @pytest.fixture(scope="class")
    def stack(self, make_shared_stack):
        return jamf_alone(make_shared_stack)

    def leaver(self, stack, row, email):
        mac(stack, f"x{email}")
        made = mac(stack, email.title())    # the inventory's spelling
        return {"mac": made["id"], "management": made["general"]["managementId"], "name": made["general"]["name"],
                "serial": made["hardware"]["serialNumber"]}


def jamf_alone(make_shared_stack):
    stack = make_shared_stack(systems="jamf")
    stack.settings["systems"]["jamf"] = {"url": stack.sandbox.url("jamf"), "client_id": "jamf-sandbox-client",
                                         "client_secret": "jamf-sandbox-s3cret", "per_minute": "60000"}
    stack.settings["worker"] |= {"derive_key": "0123456789abcdef0123456789abcdef", "escrow_key": KeyPair.make().public}
    stack.write_settings()
    return stack


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    return jamf_alone(make_shared_stack)


@pytest.fixture(autouse=True)
def as_configured(stack):
    yield
    stack.sandbox.clear_faults("jamf")
    stack.sandbox.settings("jamf", fails="", filters=True, max_page=2000, versions=["v1", "v2", "v3", "v4"], privileges=PRIVILEGES)


def try_(stack, action: str, email: str, *more: str, **with_) -> dict:
    """What is in capitals is for the environment."""
    env = {name: with_.pop(name) for name in list(with_) if name.isupper()}
    result = stack.try_action("jamf", action, "--email", email, "--json", "--with", json.dumps(with_), *more, "--live", **env)
    assert result.out, result
    return json.loads(result.out)


def sent(stack, *macs: dict, kind: str = "DEVICE_LOCK") -> list[dict]:
    management = [one["general"]["managementId"] for one in macs]
    return [command for command in stack.sandbox.state("jamf")["commands"]
            if command["management"] in management and command["type"] == kind]


def test_two_macs_are_locked_with_the_passcode_in_escrow(stack):
    first, second = mac(stack, "two@example.com"), mac(stack, "", username="Two@example.com")
    said = try_(stack, "lock_computers", "two@example.com")
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    locks = sent(stack, first, second)
    assert len(locks) == 2 and len(locks[0]["pin"]) == 6 and locks[0]["pin"] == locks[1]["pin"]
    assert said["escrow"][""]["pin"].startswith("offboard-escrow-1:")
    assert locks[0]["pin"] not in json.dumps({key: value for key, value in said.items() if key not in ("calls", "verified")})
    assert [one["id"] for one in said["outputs"]["computers"]] == [first["id"], second["id"]] and said["outputs"]["not_ours"] == []


def test_nobody_has_a_mac(stack):
    said = try_(stack, "lock_computers", "none@example.com")
    assert said["outcome"] == "missing" and "escrow" not in said
    said = try_(stack, "list_computers", "none@example.com")
    assert (said["outcome"], said["outputs"]) == ("succeeded", {"computers": [], "ids": []})


def test_a_mac_that_is_off_is_waited_for(stack):
    off = mac(stack, "off@example.com", online=False)
    said = try_(stack, "lock_computers", "off@example.com")
    assert said["outcome"] == "deferred" and "the next look is in 1m" in said["message"], said
    again = try_(stack, "lock_computers", "off@example.com", "--state", json.dumps(said["state"]))
    assert again["outcome"] == "deferred"
    stack.sandbox.seed("jamf", {"computers": [{"id": off["id"], "online": True}]})
    done = try_(stack, "lock_computers", "off@example.com", "--state", json.dumps(again["state"]))
    assert done["outcome"] == "succeeded" and done["verified"]["ok"], done
    assert len(sent(stack, off)) == 1


def test_no_second_lock_on_top_of_one_under_way(stack):
    held = mac(stack, "held@example.com", online=False)
    stack.sandbox.seed("jamf", {"commands": [{"computer": held["id"], "pin": "111111", "sent": OLD}]})
    said = try_(stack, "lock_computers", "held@example.com")
    assert said["outcome"] == "deferred" and "escrow" not in said, said
    stack.sandbox.seed("jamf", {"computers": [{"id": held["id"], "online": True}]})
    done = try_(stack, "lock_computers", "held@example.com", "--state", json.dumps(said["state"]))
    assert done["outcome"] == "succeeded" and done["outputs"]["not_ours"] == [held["id"]], done
    assert [lock["pin"] for lock in sent(stack, held)] == ["111111"]


def test_a_lock_of_long_ago_says_nothing_of_today(stack):
    back = mac(stack, "back@example.com")
    stack.sandbox.seed("jamf", {"commands": [{"computer": back["id"], "pin": "111111", "sent": OLD, "state": "ACKNOWLEDGED",
                                              "completed": OLD}]})
    assert try_(stack, "lock_computers", "back@example.com")["outcome"] == "succeeded"
    assert len(sent(stack, back)) == 2


def test_a_lost_answer_is_looked_for_before_it_is_sent_again(stack):
    lost = mac(stack, "lost@example.com", online=False)
    stack.sandbox.fault("jamf", {"match": {"method": "POST", "path": "commands$"}, "do": "lose_answer", "times": 1})
    said = try_(stack, "lock_computers", "lost@example.com")
    assert said["outcome"] == "deferred" and "under way at the vendor" in said["message"], said
    assert len(sent(stack, lost)) == 1


def test_the_owner_is_read_right_before_the_command(stack):
    """In the list it is still the leaver's: it has been handed on since."""
    gone = mac(stack, "handed@example.com")
    listed = {"totalCount": 1, "results": [{**gone, "userAndLocation": {"email": "handed@example.com"}}]}
    stack.sandbox.seed("jamf", {"computers": [{"id": gone["id"], "email": "newcomer@example.com"}]})
    stack.sandbox.fault("jamf", {"match": {"method": "GET", "path": "computers-inventory$"}, "do": "status", "status": 200,
                                 "body": listed, "times": None})
    said = try_(stack, "lock_computers", "handed@example.com")
    assert said["outcome"] == "blocked" and "has another owner by now" in said["message"], said
    assert "escrow" not in said and sent(stack, gone) == []


def test_a_filter_that_is_not_heeded_locks_nobody(stack):
    others = [mac(stack, f"other{i}@example.com") for i in range(3)]
    stack.sandbox.fault("jamf", {"match": {"method": "GET", "path": "computers-inventory$"}, "do": "status", "status": 200,
                                 "body": {"totalCount": 3, "results": others}, "times": None})
    said = try_(stack, "lock_computers", "nobody-at-all@example.com")
    assert said["outcome"] == "blocked" and "Macs of the leaver: none" in said["message"], said
    assert sent(stack, *others) == []


def test_a_mac_on_page_two_of_a_server_that_does_not_filter(stack):
    for number in range(3):
        mac(stack, f"crowd{number}@example.com")
    own = mac(stack, "page.two@example.com")
    stack.sandbox.settings("jamf", filters=False, max_page=2)
    said = try_(stack, "list_computers", "page.two@example.com")
    assert said["outputs"]["ids"] == [own["id"]], said


@pytest.mark.parametrize("pages", [[[0], [0]], [[0, 0], []], [[0], [0], [1]]], ids=["the same page again", "twice on one", "and then the other"])
@pytest.mark.parametrize("action", ["list_computers", "lock_computers"])
def test_a_mac_that_is_listed_twice_hides_another(stack, request, action, pages):
    """A server that does not turn the page: what it counts is never seen."""
    email = f"twice{abs(hash(request.node.name))}@example.com"
    macs = [mac(stack, email), mac(stack, email)]
    for number, page in enumerate(pages):
        stack.sandbox.fault("jamf", {"match": {"method": "GET", "path": "computers-inventory$"}, "do": "status", "status": 200,
                                     "body": {"totalCount": 2, "results": [macs[which] for which in page]},
                                     "times": None if number == len(pages) - 1 else 1})
    said = try_(stack, action, email)
    why = ("more Macs than it lists",) if pages[-1] == [] else ("lists the same Mac twice", "gave the same page again")
    assert said["outcome"] == "failed" and any(one in said["message"] for one in why) and sent(stack, *macs) == [], said


def test_another_mac_than_the_one_that_was_asked_for_says_nothing(stack):
    own, other = mac(stack, "asked@example.com"), mac(stack, "asked@example.com", online=False)
    stack.sandbox.fault("jamf", {"match": {"method": "GET", "path": f"computers-inventory/{own['id']}$"}, "do": "status", "status": 200,
                                 "body": other, "times": None})
    said = try_(stack, "lock_computers", "asked@example.com", computers=[own["id"]])
    assert said["outcome"] == "blocked" and sent(stack, own, other) == [], said


def test_commands_to_other_macs_do_not_tell_what_is_under_way(stack):
    """A filter of commands that is not heeded: a lock may be under way on another page, and nobody knew which passcode holds."""
    own, other = mac(stack, "own@example.com"), mac(stack, "other.mac@example.com", online=False)
    stack.sandbox.seed("jamf", {"commands": [{"computer": other["id"]}]})
    stack.sandbox.settings("jamf", filters=False)
    said = try_(stack, "lock_computers", "own@example.com")
    assert said["outcome"] == "blocked" and "does not say what is under way" in said["message"], said
    assert sent(stack, own) == []


def test_a_mac_without_an_owner_is_nobodys(stack):
    lost, own = mac(stack, "", username=""), mac(stack, "empty@example.com")
    stack.sandbox.settings("jamf", filters=False)
    said = try_(stack, "list_computers", "empty@example.com", owners=["empty@example.com", "", None])
    assert said["outputs"]["ids"] == [own["id"]] and lost["id"] not in said["outputs"]["ids"], said


@pytest.mark.parametrize("body", ["", [], {}, {"results": []}, {"totalCount": 0}, {"totalCount": 0, "results": None},
                                  {"totalCount": 3, "results": []}, {"errors": [{"code": "X", "description": "later"}]},
                                  "<!DOCTYPE html><html><title>Sign in</title></html>"],
                         ids=["empty", "list", "object", "no-total", "no-list", "null", "ends-early", "errors", "page"])
def test_an_answer_that_cannot_be_read_says_nothing(stack, body):
    mac(stack, "unread@example.com")
    stack.sandbox.fault("jamf", {"match": {"path": "computers-inventory$"}, "do": "status", "status": 200, "body": body})
    said = try_(stack, "list_computers", "unread@example.com", OFFBOARD_WORKER_RETRY_WAIT="0s")
    assert said["outcome"] in ("deferred", "failed") and not said["outputs"], said


@pytest.mark.parametrize("body", ["", [], {}, {"results": None}, {"error": "later"}], ids=["empty", "list", "object", "null", "error"])
def test_nothing_is_sent_while_it_is_not_known_what_is_under_way(stack, body):
    own = mac(stack, "unknown.state@example.com")
    stack.sandbox.fault("jamf", {"match": {"method": "GET", "path": "mdm/commands$"}, "do": "status", "status": 200, "body": body})
    said = try_(stack, "lock_computers", "unknown.state@example.com", OFFBOARD_WORKER_RETRY_WAIT="0s")
    assert said["outcome"] in ("deferred", "blocked", "failed") and sent(stack, own) == [], said


def test_what_one_person_does_not_have(stack):
    many = [mac(stack, "lab@example.com") for _ in range(6)]
    said = try_(stack, "lock_computers", "lab@example.com")
    assert said["outcome"] == "blocked" and "at most 5" in said["message"], said
    chosen = [one["id"] for one in many[:2]]
    assert try_(stack, "lock_computers", "lab@example.com", computers=chosen)["outcome"] == "succeeded"
    assert len(sent(stack, *many)) == 2


def test_nothing_is_erased_but_what_is_named_and_theirs(stack):
    own, strange = mac(stack, "era@example.com"), mac(stack, "somebody@example.com")
    assert try_(stack, "erase_computers", "era@example.com")["outcome"] == "blocked"
    said = try_(stack, "erase_computers", "era@example.com", computers=[own["id"], strange["id"]])
    assert said["outcome"] == "blocked" and "all of those asked for have to be the leaver's" in said["message"], said
    assert sent(stack, own, strange, kind="ERASE_DEVICE") == []
    assert try_(stack, "erase_computers", "era@example.com", computers=[own["id"]])["outcome"] == "succeeded"
    assert len(sent(stack, own, kind="ERASE_DEVICE")) == 1


def test_a_lock_is_no_erasure(stack):
    own = mac(stack, "both@example.com")
    assert try_(stack, "lock_computers", "both@example.com")["outcome"] == "succeeded"
    assert try_(stack, "erase_computers", "both@example.com", computers=[own["id"]])["outcome"] == "succeeded"
    assert len(sent(stack, own)) == 1 and len(sent(stack, own, kind="ERASE_DEVICE")) == 1


def test_a_mac_that_no_command_reaches_is_for_a_person(stack):
    mac(stack, "byod@example.com", managed=False)
    said = try_(stack, "lock_computers", "byod@example.com")
    assert said["outcome"] == "blocked" and "(not managed)" in said["message"], said


def test_a_mac_that_refuses_fails_at_once(stack):
    mac(stack, "err@example.com")
    stack.sandbox.settings("jamf", fails="ERROR")
    said = try_(stack, "lock_computers", "err@example.com")
    assert said["outcome"] == "failed" and "the vendor reports that it failed" in said["message"], said


def test_a_log_in_name_that_the_runbook_knows(stack):
    own = mac(stack, "", username="jdoe")
    assert try_(stack, "lock_computers", "jdoe@example.com")["outcome"] == "missing"
    assert try_(stack, "lock_computers", "jdoe@example.com", owners=["jdoe"])["outcome"] == "succeeded"
    assert len(sent(stack, own)) == 1
    assert try_(stack, "lock_computers", "jdoe@example.com", owners=['x" or "'])["outcome"] == "failed"
    assert try_(stack, "lock_computers", "jdoe@example.com", owners=[])["outcome"] == "failed"


def test_a_token_that_ends_early_is_renewed(stack):
    mac(stack, "short@example.com")
    stack.sandbox.fault("jamf", {"match": {"method": "GET", "path": "commands$"}, "do": "status", "status": 401, "times": 1})
    assert try_(stack, "lock_computers", "short@example.com")["outcome"] == "succeeded"


def test_an_older_server(stack):
    old = mac(stack, "v3@example.com")
    stack.sandbox.settings("jamf", versions=["v1", "v2", "v3"])
    older = {"OFFBOARD_SYSTEMS_JAMF_INVENTORY": "v3"}
    for action, with_ in (("lock_computers", {}), ("erase_computers", {"computers": [old["id"]]})):
        done = stack.try_action("jamf", action, "--email", "v3@example.com", "--json", "--live", "--with", json.dumps(with_), **older)
        assert json.loads(done.out)["outcome"] == "succeeded", done
    assert [len(sent(stack, old, kind=kind)) for kind in ("DEVICE_LOCK", "ERASE_DEVICE")] == [1, 1]


def test_check_and_rights_that_are_missing(stack):
    assert stack.cli("check", "jamf").ok().out == "jamf: ok\n"
    mac(stack, "rights@example.com")
    stack.sandbox.settings("jamf", privileges=PRIVILEGES[:2])
    said = try_(stack, "lock_computers", "rights@example.com")
    assert said["outcome"] == "denied" and "Forbidden" in said["message"], said
