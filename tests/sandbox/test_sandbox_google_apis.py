"""Google's other APIs: devices, data transfer, licences, Gmail. What takes time is settled by settings, not by waiting."""

import pytest

from test_sandbox_google import ANN, DIRECTORY, reason, user

PHONES = DIRECTORY + "/customer/my_customer/devices/mobile"
TRANSFERS = "/admin/datatransfer/v1/transfers"
LICENSES = "/apps/licensing/v1/product/Google-Apps"
MAILBOX = "/gmail/v1/users/ann@example.com/settings"
LONG = 3600.0


@pytest.fixture
def gmail(google):
    return google.acting("ann@example.com", "gmail.settings.basic", "gmail.settings.sharing")


# Phones.

def test_a_query_finds_other_peoples_phones_too(google):
    found = google("GET", f"{PHONES}?query=email:ann@example.com&projection=FULL").json["mobiledevices"]
    assert [(phone["resourceId"], phone["email"]) for phone in found] == [
        ("R-1", ["ann@example.com"]), ("R-2", ["joann@example.com"])]
    assert "mobiledevices" not in google("GET", f"{PHONES}?query=email:nobody").json
    assert google("GET", f"{PHONES}?query=colour:red").status == 400


@pytest.mark.parametrize("action, during, after", [
    ("admin_account_wipe", "ACCOUNT_WIPING", "ACCOUNT_WIPED"), ("admin_remote_wipe", "WIPING", "WIPED"),
    ("block", "BLOCKED", "BLOCKED")])
def test_wiping_a_phone(google, action, during, after):
    google.sandbox.settings("google", wipe_seconds=LONG)
    assert google("POST", PHONES + "/R-1/action", {"action": action}).status == 204
    assert google("GET", PHONES + "/R-1").json["status"] == during
    assert google("POST", PHONES + "/R-1/action", {"action": action}).status == 204, "again does no harm"
    google.sandbox.settings("google", wipe_seconds=0)
    assert google("GET", PHONES + "/R-1").json["status"] == after
    assert "wiping" not in google("GET", PHONES + "/R-1").json
    assert google("GET", PHONES + "/R-2").json["status"] == "APPROVED"
    google.sandbox.settings("google", status_in_words=True)
    assert google("GET", PHONES + "/R-1").json["status"] == after.replace("_", " ").title()


def test_a_wipe_is_cancelled_only_while_it_is_pending(google):
    google.sandbox.settings("google", wipe_seconds=LONG)
    cancel = {"action": "cancel_remote_wipe_then_block"}
    assert google("POST", PHONES + "/R-1/action", cancel).status == 400
    google("POST", PHONES + "/R-1/action", {"action": "admin_remote_wipe"})
    assert google("POST", PHONES + "/R-1/action", cancel).status == 204
    google.sandbox.settings("google", wipe_seconds=0)
    assert google("GET", PHONES + "/R-1").json["status"] == "BLOCKED"


def test_phones_are_known_by_resource_id(google):
    by_device = google("POST", PHONES + "/D-1/action", {"action": "admin_account_wipe"})
    assert by_device.status == 500 and reason(by_device) == "internalError"
    unknown = google("POST", PHONES + "/R-9/action", {"action": "admin_account_wipe"})
    assert unknown.status == 404 and unknown.json["error"]["message"] == "Resource Not Found: resourceId"
    assert google("POST", PHONES + "/R-1/action", {"action": "explode"}).status == 400
    reader = google.admin("admin.directory.device.mobile.readonly")
    assert reader("POST", PHONES + "/R-1/action", {"action": "block"}).status == 403
    assert all(phone["status"] == "APPROVED" for phone in google.sandbox.state("google")["mobile_devices"])


# The company's devices.

def test_devices_of_a_user(google):
    found = google("GET", "/v1/devices?filter=email:ann@example.com").json["devices"]
    assert [device["name"] for device in found] == ["devices/one"]
    users = google("GET", "/v1/devices/-/deviceUsers?filter=email:mia@example.com").json["deviceUsers"]
    assert [item["name"].rpartition("/deviceUsers/")[0] for item in users] == ["devices/one", "devices/two"]
    assert len(google("GET", "/v1/devices/one/deviceUsers").json["deviceUsers"]) == 2
    first = google("GET", "/v1/devices?pageSize=1").json
    assert google("GET", f"/v1/devices?pageToken={first['nextPageToken']}").json["devices"][0]["name"] == "devices/two"
    assert google("GET", "/v1/devices?filter=owner:ann").status == 400
    assert google("GET", "/v1/devices?customer=customers/C0other").json["error"]["status"] == "PERMISSION_DENIED"


def test_wiping_a_device_and_an_account_on_it(google):
    google.sandbox.settings("google", wipe_seconds=LONG)
    body = {"customer": "customers/my_customer"}
    account = google("GET", "/v1/devices/-/deviceUsers?filter=email:ann@example.com").json["deviceUsers"][0]["name"]
    operation = google("POST", f"/v1/{account}:wipe", body).json
    assert operation["done"] is True and operation["response"]["deviceUser"]["managementState"] == "WIPING"
    assert google("POST", "/v1/devices/one:wipe", {**body, "removeResetLock": False}).status == 200
    again = google("POST", "/v1/devices/one:wipe", body)
    assert again.status == 400 and again.json["error"]["status"] == "FAILED_PRECONDITION"
    assert "errors" not in again.json["error"]
    assert google("POST", "/v1/devices/one:cancelWipe", body).status == 200
    assert google("POST", "/v1/devices/one:cancelWipe", body).status == 400
    google.sandbox.settings("google", wipe_seconds=0)
    assert google("GET", f"/v1/{account}").json["managementState"] == "WIPED"
    assert google("GET", "/v1/devices/one").json["managementState"] == "APPROVED"
    assert google("POST", "/v1/devices/none:wipe", body).json["error"]["status"] == "NOT_FOUND"


# Data transfer.

def transfer(google, **changes):
    drive = {"applicationId": "55656082996",
             "applicationTransferParams": [{"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]}
    return google("POST", TRANSFERS, {"oldOwnerUserId": user(google)["id"], "applicationDataTransfers": [drive],
                                      "newOwnerUserId": user(google, "mia@example.com")["id"], **changes})


def test_transfer_goes_on_with_each_look(google):
    made = transfer(google)
    assert made.status == 200 and made.json["overallTransferStatusCode"] == "new"
    path = f"{TRANSFERS}/{made.json['id']}"
    states = [google("GET", path).json["overallTransferStatusCode"] for _ in range(3)]
    assert states == ["inProgress", "completed", "completed"]
    part = google("GET", path).json["applicationDataTransfers"][0]
    assert part["applicationTransferStatus"] == "completed" and part["applicationId"] == "55656082996"
    assert [entry["path"] for entry in google.sandbox.journal("google", effects_only=True)] == [TRANSFERS]


def test_transfer_takes_time(google):
    google.sandbox.settings("google", transfer_polls=0, transfer_seconds=LONG)
    path = f"{TRANSFERS}/{transfer(google).json['id']}"
    assert [google("GET", path).json["overallTransferStatusCode"] for _ in range(4)] == ["inProgress"] * 4
    google.sandbox.settings("google", transfer_seconds=0)
    assert google("GET", path).json["overallTransferStatusCode"] == "completed"


def test_inserting_twice_makes_two(google):
    first, second = transfer(google).json, transfer(google).json
    assert first["id"] != second["id"]
    pair = f"oldOwnerUserId={first['oldOwnerUserId']}&newOwnerUserId={first['newOwnerUserId']}"
    found = google("GET", f"{TRANSFERS}?{pair}&customerId=my_customer").json["dataTransfers"]
    assert [item["id"] for item in found] == [first["id"], second["id"]]
    assert "dataTransfers" not in google("GET", f"{TRANSFERS}?{pair}&status=completed").json
    assert "dataTransfers" not in google("GET", f"{TRANSFERS}?oldOwnerUserId={first['newOwnerUserId']}").json


def test_transfer_fails(google):
    google.sandbox.settings("google", transfer_fails=True, transfer_polls=1)
    assert google("GET", f"{TRANSFERS}/{transfer(google).json['id']}").json["overallTransferStatusCode"] == "failed"
    google.sandbox.settings("google", transfer_fails=False)
    path = f"{TRANSFERS}/{transfer(google).json['id']}"
    google("DELETE", ANN)
    assert google("GET", path).json["overallTransferStatusCode"] == "failed", "nobody is left to transfer from"


@pytest.mark.parametrize("changes", [
    {"oldOwnerUserId": "ann@example.com"}, {"newOwnerUserId": "1"}, {"newOwnerUserId": 1}, {"applicationDataTransfers": []},
    {"applicationDataTransfers": [{"applicationId": "1"}]},
    {"applicationDataTransfers": [{"applicationId": "55656082996",
                                   "applicationTransferParams": [{"key": "PRIVACY_LEVEL", "value": ["ALL"]}]}]},
], ids=str)
def test_faulty_transfers(google, changes):
    assert transfer(google, **changes).status == 400
    assert google.sandbox.state("google")["transfers"] == []


def test_transfer_to_oneself(google):
    assert transfer(google, newOwnerUserId=user(google)["id"]).status == 400


def test_private_files_stay_unless_named(google):
    made = transfer(google, applicationDataTransfers=[{"applicationId": "55656082996"}]).json
    assert made["applicationDataTransfers"][0]["applicationTransferParams"] == [
        {"key": "PRIVACY_LEVEL", "value": ["SHARED"]}]


def test_applications(google):
    found = google("GET", "/admin/datatransfer/v1/applications?customerId=my_customer").json["applications"]
    assert {item["name"]: item["id"] for item in found} == {"Drive and Docs": "55656082996", "Calendar": "435070579839"}


# Licences.

def test_licences(google):
    found = google("GET", LICENSES + "/users?customerId=example.com&maxResults=1000").json["items"]
    assert [item["userId"] for item in found] == ["ann@example.com", "mia@example.com"]
    path = f"{LICENSES}/sku/{found[0]['skuId']}/user/"
    assert google("GET", path + "ann@example.com").status == 200
    assert google("GET", path + "a.lee@example.com").status == 404, "an alias is no user here"
    assert google("DELETE", path + "ann@example.com").json == {}
    gone = google("DELETE", path + "ann@example.com")
    assert gone.status == 404 and reason(gone) == "notFound"
    assert [item["userId"] for item in google.sandbox.state("google")["licenses"]] == ["mia@example.com"]
    assert google("GET", LICENSES + "/users").status == 400
    assert google("GET", LICENSES + "/users?customerId=other.example").status == 403


def test_automatic_licences_go_with_the_unit(google):
    google.sandbox.settings("google", auto_licensing={"productId": "Google-Apps", "skuId": "1010020027",
                                                      "unlicensed": ["/No Google License"]})
    path = f"{LICENSES}/sku/1010020027/user/ann@example.com"
    refused = google("DELETE", path)
    assert refused.status == 412 and reason(refused) == "conditionNotMet"
    google("PUT", ANN, {"orgUnitPath": "/No Google License"})
    assert google("GET", path).status == 404
    google("PUT", ANN, {"orgUnitPath": "/Staff/Sales"})
    assert google("GET", path).status == 200


# Gmail: forwarding.

def test_forwarding(google, gmail):
    assert gmail("GET", MAILBOX + "/autoForwarding").json == {"enabled": False}
    there = {"enabled": True, "emailAddress": "ann@home.example", "disposition": "leaveInInbox"}
    assert gmail("PUT", MAILBOX + "/autoForwarding", there).status == 400
    google.sandbox.seed("google", {"users": [{"primaryEmail": "ann@example.com", "forwarding_addresses": [
        {"forwardingEmail": "ann@home.example", "verificationStatus": "accepted"}]}]})
    assert gmail("PUT", MAILBOX + "/autoForwarding", there).json == there
    assert gmail("PUT", MAILBOX + "/autoForwarding", {"enabled": False}).json == {"enabled": False}
    assert gmail("DELETE", MAILBOX + "/forwardingAddresses/ann%40home.example").status == 204
    assert gmail("DELETE", MAILBOX + "/forwardingAddresses/ann@home.example").status == 404
    assert gmail("GET", MAILBOX + "/forwardingAddresses").json == {}


# Gmail: delegates.

def test_delegates(google, gmail):
    assert gmail("GET", MAILBOX + "/delegates").json == {}
    added = gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"})
    assert added.json == {"delegateEmail": "mia@example.com", "verificationStatus": "accepted"}
    again = gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"})
    assert again.status == 409 and reason(again) == "alreadyExists"
    assert gmail("GET", "/gmail/v1/users/me/settings/delegates").json == {"delegates": [added.json]}
    assert gmail("DELETE", MAILBOX + "/delegates/mia%40example.com").status == 204
    assert gmail("DELETE", MAILBOX + "/delegates/mia@example.com").status == 404


def test_new_delegate_shows_late(google, gmail):
    google.sandbox.settings("google", delegate_lag=LONG)
    gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"})
    assert gmail("GET", MAILBOX + "/delegates").json == {}
    assert gmail("GET", MAILBOX + "/delegates/mia@example.com").status == 404
    assert gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"}).status == 409
    google.sandbox.settings("google", delegate_lag=0)
    assert gmail("GET", MAILBOX + "/delegates/mia@example.com").json["verificationStatus"] == "accepted"


@pytest.mark.parametrize("address, status, named", [
    ("guest@example.org", 400, "invalidArgument"), ("ann@example.com", 400, "invalidArgument"), ("", 400, "invalidArgument"),
    ("sue@example.com", 500, "backendError"), ("new@example.com", 403, "forbidden")])
def test_who_cannot_be_a_delegate(google, gmail, address, status, named):
    answer = gmail("POST", MAILBOX + "/delegates", {"delegateEmail": address})
    assert answer.status == status and reason(answer) == named and user(google)["delegates"] == []


def test_an_alias_cannot_be_a_delegate(google):
    mia = google.acting("mia@example.com", "gmail.settings.sharing")
    path = "/gmail/v1/users/mia@example.com/settings/delegates"
    assert mia("POST", path, {"delegateEmail": "a.lee@example.com"}).status == 400
    assert mia("POST", path, {"delegateEmail": "ann@example.com"}).status == 200


def test_password_to_be_changed_prevents_delegation(google, gmail):
    google("PUT", ANN, {"changePasswordAtNextLogin": True})
    assert gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"}).status == 500


@pytest.mark.parametrize("unit", ["/Staff", "/"])
def test_policy_of_either_unit_prevents_delegation(google, gmail, unit):
    google.sandbox.settings("google", no_delegation_units=[unit])
    answer = gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"})
    assert answer.status == 400 and reason(answer) == "failedPrecondition"


def test_moving_out_of_the_policy_hides_the_delegates(google, gmail):
    google.sandbox.settings("google", no_delegation_units=["/Former Team Members"])
    gmail("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"})
    assert len(gmail("GET", MAILBOX + "/delegates").json["delegates"]) == 1
    google("PUT", ANN, {"orgUnitPath": "/Former Team Members"})
    assert gmail("GET", MAILBOX + "/delegates").json == {}


def test_expired_invitation_cannot_be_deleted(google, gmail):
    google.sandbox.seed("google", {"users": [{"primaryEmail": "ann@example.com", "delegates": [
        {"delegateEmail": "mia@example.com", "verificationStatus": "expired"}]}]})
    assert gmail("DELETE", MAILBOX + "/delegates/mia@example.com").status == 400


# Gmail: whose mailbox, and the vacation responder.

def test_only_the_owner_gets_into_a_mailbox(google):
    mia = google.acting("mia@example.com", "gmail.settings.basic")
    assert mia("GET", MAILBOX + "/vacation").status == 403
    nobody = google.acting(None, "gmail.settings.basic")
    for name in ("me", "ann@example.com"):
        answer = nobody("GET", f"/gmail/v1/users/{name}/settings/vacation")
        assert answer.status == 400 and reason(answer) == "failedPrecondition"
    by_alias = google.acting("a.lee@example.com", "gmail.settings.basic")
    assert by_alias("GET", "/gmail/v1/users/me/settings/vacation").status == 400
    assert by_alias("GET", MAILBOX + "/vacation").status == 200
    basic = google.acting("ann@example.com", "gmail.settings.basic")
    refused = basic("POST", MAILBOX + "/delegates", {"delegateEmail": "mia@example.com"})
    assert refused.status == 403 and reason(refused) == "insufficientPermissions"


@pytest.mark.parametrize("address", ["sue@example.com", "new@example.com"])
def test_mailbox_that_is_not_in_use(google, address):
    owner = google.acting(address, "gmail.settings.basic")
    answer = owner("GET", f"/gmail/v1/users/{address}/settings/vacation")
    assert answer.status == 400 and reason(answer) == "failedPrecondition"
    assert answer.json["error"]["message"] == "Mail service not enabled"


def test_vacation_is_put_as_a_whole(google, gmail):
    sent = {"enableAutoReply": True, "responseSubject": "Ann has left", "responseBodyPlainText": "Write to Mia.",
            "startTime": 1893456000000}
    assert gmail("PUT", MAILBOX + "/vacation", sent).json == {**sent, "startTime": "1893456000000"}
    gmail("PUT", MAILBOX + "/vacation", {"enableAutoReply": True, "responseSubject": "Gone"})
    assert gmail("GET", MAILBOX + "/vacation").json == {"enableAutoReply": True, "responseSubject": "Gone"}
    assert user(google)["vacation"] == {"enableAutoReply": True, "responseSubject": "Gone"}


@pytest.mark.parametrize("body", [
    {"enableAutoReply": True}, {"enableAutoReply": "yes"}, {"colour": "red"}, {"startTime": "soon"},
    {"startTime": "2", "endTime": "1"}, {"startTime": True}, []], ids=str)
def test_faulty_vacations(google, gmail, body):
    answer = gmail("PUT", MAILBOX + "/vacation", body)
    assert answer.status == 400 and user(google)["vacation"] == {"enableAutoReply": False}


@pytest.mark.parametrize("method, path", [
    ("PUT", ANN), ("POST", ANN + "/makeAdmin"), ("POST", DIRECTORY + "/groups/sales@example.com/members"),
    ("POST", PHONES + "/R-1/action"), ("POST", "/v1/devices/one:wipe"), ("POST", TRANSFERS),
    ("POST", MAILBOX + "/delegates"), ("PUT", MAILBOX + "/vacation")])
@pytest.mark.parametrize("nonsense", [None, 1, "x", [], [None], {"customer": []}, {"action": []}, {"status": {}},
                                      {"applicationDataTransfers": [1]}, {"delegateEmail": 1}, {"name": 1},
                                      {"email": {}}, {"orgUnitPath": None}], ids=repr)
def test_nonsense_is_refused_or_harmless(google, gmail, method, path, nonsense):
    """No JSON makes the server fail; the fixture's end checks that it logged no defect either."""
    caller = gmail if path.startswith("/gmail") else google
    answer = caller(method, path, nonsense)
    assert answer.status < 500
