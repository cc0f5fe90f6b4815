"""Every action of the Google connector by itself: the exact requests, again, nobody there, refused, throttled, dry."""

import pytest
from connector_table import ConnectorTable, Row, filled
from google import FORMER, UNLICENSED, Google, person
from vendors.google_errors import error_body, fault_rule

pytestmark = pytest.mark.xdist_group("google")
BOSS = "boss@example.com"
DIRECTORY = "/admin/directory/v1"
USER = DIRECTORY + "/users/{id}"
PHONES = DIRECTORY + "/customer/my_customer/devices/mobile"
TRANSFERS = "/admin/datatransfer/v1/transfers"
LICENSING = "/apps/licensing/v1/product/Google-Apps"
LICENCE = {"productId": "Google-Apps", "skuId": "1010020027"}
MAILBOX = "/gmail/v1/users/{at}/settings"
FOUND_PHONES = f"GET {PHONES}?query=email%3A{{at}}&projection=FULL&maxResults=100"
FOUND_DEVICES = "GET /v1/devices/-/deviceUsers?customer=customers%2Fmy_customer&filter=email%3A{at}&pageSize=20"


ROWS = [
    Row("sign_out", [f"POST {USER}/signOut"], again="succeeded", verified=False),
    Row("reset_password", [f"PUT {USER} {{'password': '***', 'changePasswordAtNextLogin': '***'}}"], again="succeeded", verified=False),
    Row("strip_profile", [f"GET {USER}?projection=full",
                          f"PUT {USER} {{'includeInGlobalAddressList': False, 'recoveryEmail': '', 'recoveryPhone': ''}}",
                          f"GET {USER}?projection=full"], before={"listed": True}),
    Row("move_to_ou", [f"GET {USER}", f"PUT {USER} {{'orgUnitPath': '{FORMER}'}}", f"GET {USER}"], before={"org_unit": "/Staff"}),
    Row("move_to_unlicensed_ou", [f"GET {USER}", f"PUT {USER} {{'orgUnitPath': '{UNLICENSED}'}}", f"GET {USER}"],
        before={"org_unit": "/Staff"}),
    Row("remove_admin_roles", [
        f"GET {USER}", f"GET {DIRECTORY}/customer/my_customer/roleassignments?userKey={{id}}&maxResults=200",
        f"POST {USER}/makeAdmin {{'status': False}}", f"DELETE {DIRECTORY}/customer/my_customer/roleassignments/{{role}}",
        f"GET {USER}", f"GET {DIRECTORY}/customer/my_customer/roleassignments?userKey={{id}}&maxResults=200"],
        user={"isAdmin": True, "roles": ["77"]}, again="succeeded"),
    Row("delete_tokens", [f"GET {USER}/tokens", f"DELETE {USER}/tokens/1.apps", f"DELETE {USER}/tokens/2.apps", f"GET {USER}/tokens"],
        outputs={"clients": ["1.apps", "2.apps"], "apps": ["App", "App"]}),
    Row("delete_app_passwords", [f"GET {USER}/asps", f"DELETE {USER}/asps/7", f"GET {USER}/asps"]),
    Row("invalidate_backup_codes", [f"GET {USER}", f"POST {USER}/verificationCodes/invalidate", f"GET {USER}/verificationCodes"],
        again="succeeded"),
    Row("leave_groups", [
        f"GET {DIRECTORY}/groups?userKey={{id}}&maxResults=200", f"DELETE {DIRECTORY}/groups/a%40example.com/members/{{id}}",
        f"DELETE {DIRECTORY}/groups/b%40example.com/members/{{id}}", f"GET {DIRECTORY}/groups?userKey={{id}}&maxResults=1"],
        seed={"groups": [{"email": f"{name}@example.com", "members": ["{email}"]} for name in "ab"]},
        outputs={"groups": ["a@example.com", "b@example.com"]}, before={"groups": ["a@example.com", "b@example.com"]}),
    Row("wipe_mobile_devices", [
        f"GET {USER}", FOUND_PHONES, f"GET {PHONES}/R-{{at}}?projection=FULL",
        f"POST {PHONES}/R-{{at}}/action {{'action': 'admin_account_wipe'}}", FOUND_PHONES],
        seed={"mobile_devices": [
            {"resourceId": "R-{email}", "deviceId": "D-{email}", "email": ["{email}"], "status": "APPROVED"},
            {"resourceId": "R-other-{email}", "deviceId": "E-{email}", "email": ["x{email}"], "status": "APPROVED"}]},
        again="succeeded"),
    Row("wipe_company_devices", [
        f"GET {USER}", FOUND_DEVICES, "GET /v1/devices/{device}/deviceUsers/{member}?customer=customers%2Fmy_customer",
        "POST /v1/devices/{device}/deviceUsers/{member}:wipe {'customer': 'customers/my_customer'}", FOUND_DEVICES],
        seed={"devices": [{"serialNumber": "S-{email}", "ownerType": "COMPANY", "users": ["{email}"]}]}, again="succeeded"),
    Row("set_vacation", [
        f"GET {USER}", f"GET {MAILBOX}/vacation",
        f"PUT {MAILBOX}/vacation {{'enableAutoReply': True, 'responseSubject': 'Gone', 'responseBodyPlainText': 'Ask {BOSS}.',"
        " 'restrictToContacts': False, 'restrictToDomain': False}", f"GET {MAILBOX}/vacation"],
        with_={"subject": "Gone", "text": f"Ask {BOSS}."}),
    Row("stop_forwarding", [
        f"GET {USER}", f"GET {MAILBOX}/autoForwarding", f"GET {MAILBOX}/forwardingAddresses",
        f"PUT {MAILBOX}/autoForwarding {{'enabled': False}}", f"DELETE {MAILBOX}/forwardingAddresses/me%40home.example",
        f"GET {MAILBOX}/autoForwarding", f"GET {MAILBOX}/forwardingAddresses"],
        user={"forwarding": {"enabled": True, "emailAddress": "me@home.example", "disposition": "leaveInInbox"},
              "forwarding_addresses": [{"forwardingEmail": "me@home.example", "verificationStatus": "accepted"}]},
        outputs={"forwarded_to": ["me@home.example"]}),
    Row("add_delegate", [
        f"GET {USER}", f"GET {DIRECTORY}/users/boss%40example.com", f"GET {MAILBOX}/delegates",
        f"POST {MAILBOX}/delegates {{'delegateEmail': '{BOSS}'}}", f"GET {MAILBOX}/delegates"],
        with_={"delegate": BOSS}, outputs={"delegate": BOSS}, before={"delegates": []}),
    Row("remove_delegate", [
        f"GET {USER}", f"GET {MAILBOX}/delegates", f"DELETE {MAILBOX}/delegates/boss%40example.com", f"GET {MAILBOX}/delegates"],
        with_={"delegate": BOSS}, before={"delegates": [BOSS]},
        user={"delegates": [{"delegateEmail": BOSS, "verificationStatus": "accepted"}]}),
    Row("remove_delegates", [
        f"GET {USER}", f"GET {MAILBOX}/delegates", f"DELETE {MAILBOX}/delegates/boss%40example.com", f"GET {MAILBOX}/delegates"],
        before={"delegates": [BOSS]}, outputs={"delegates": [BOSS]},
        user={"delegates": [{"delegateEmail": BOSS, "verificationStatus": "accepted"}]}),
    Row("delete_aliases", [
        f"GET {USER}/aliases", f"DELETE {USER}/aliases/{{alias}}", f"GET {USER}/aliases"]),
    Row("remove_licences", [
        f"GET {USER}", f"GET {LICENSING}/users?customerId=example.com&maxResults=1000",
        f"DELETE {LICENSING}/sku/1010020027/user/{{at}}", f"GET {LICENSING}/sku/1010020027/user/{{at}}"],
        user={"licenses": [LICENCE]}, again="succeeded", outputs={"licences": [{"product": "Google-Apps", "sku": "1010020027"}], "names": ["1010020027"]},
        before={"licences": [{"product": "Google-Apps", "sku": "1010020027"}]}),
    Row("suspend_user", [f"GET {USER}", f"PUT {USER} {{'suspended': True}}", f"GET {USER}"]),
    Row("restore_user", [f"GET {USER}", f"PUT {USER} {{'suspended': False}}", f"GET {USER}"], user={"suspended": True}),
]


class TestGoogle(ConnectorTable):
    system = "google"
    rows = ROWS
    account_path = "/users/{id}"
    others = {action: {"kind": "admin#directory#user", "id": "100000000000000000009", "primaryEmail": "other@example.com", **state}
              for action, state in (
                  ("strip_profile", {"includeInGlobalAddressList": False}), ("move_to_ou", {"orgUnitPath": FORMER}),
                  ("move_to_unlicensed_ou", {"orgUnitPath": UNLICENSED}), ("remove_admin_roles", {"isAdmin": False}),
                  ("suspend_user", {"suspended": True}), ("restore_user", {"suspended": False}))}
    token_path = "^/token$"
    nobody = "100000000000000000001"
    refusal = {"do": "status", "status": 400, "body": error_body("invalid", "Invalid Input: of the test")}
    throttle = fault_rule("userRateLimitExceeded")

    @pytest.fixture(scope="class")
    def stack(self, make_shared_stack):
        return Google().alone(make_shared_stack, BOSS)

    def leaver(self, stack, row, email):
        account = person(stack, email, **row.user)
        state = stack.sandbox.seed("google", filled(row.seed, {"email": email}))
        device = next((one["name"].split("/") for one in state["device_users"] if one["userEmail"] == email), ["", "", "", ""])
        role = next((one["roleAssignmentId"] for one in state["role_assignments"] if one["assignedTo"] == account["id"]), "")
        return {"id": account["id"], "device": device[1], "member": device[3], "role": role,
                "alias": account["aliases"][0].replace("@", "%40")}

    def test_a_403_without_such_a_reason_is_no_throttling(self, case, row):
        case.fault(fault_rule("forbidden", times=None))
        said = case.try_()
        assert said["outcome"] == "denied", said
        assert len(case.changed()) == len([line for line in case.expected() if not line.startswith("GET ")]) or len(case.changed()) == 1
