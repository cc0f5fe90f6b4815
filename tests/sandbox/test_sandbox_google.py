"""Google Workspace: tokens and scopes, users, groups, roles. The other APIs are in test_sandbox_google_apis.py."""

import hashlib
import json
import urllib.parse

import pytest

from google_account import GRANT_TYPE
from vendors.google_errors import fault_rule

DIRECTORY = "/admin/directory/v1"
ANN = DIRECTORY + "/users/ann@example.com"


def user(google, address="ann@example.com"):
    return next(item for item in google.sandbox.state("google")["users"] if item["primaryEmail"] == address)


def reason(answer):
    return answer.json["error"]["errors"][0]["reason"]


def grant(google, assertion, grant_type=GRANT_TYPE):
    form = urllib.parse.urlencode({"grant_type": grant_type, "assertion": assertion}).encode()
    return google.anonymous("POST", "/token", form, Content_Type="application/x-www-form-urlencoded")


# Tokens.

def test_token_opens_what_its_scopes_say(google):
    answer = grant(google, google.account.assertion("admin@example.com", ["admin.directory.user.readonly"]))
    assert answer.status == 200 and answer.json["token_type"] == "Bearer" and answer.json["expires_in"] == 3599
    reader = google.bearer(answer.json["access_token"])
    assert reader("GET", ANN).json["primaryEmail"] == "ann@example.com"
    refused = reader("PUT", ANN, {"suspended": True})
    assert refused.status == 403 and reason(refused) == "insufficientPermissions"
    assert "insufficient_scope" in refused.headers["WWW-Authenticate"]
    assert user(google)["suspended"] is False
    assert google.sandbox.state("google")["granted"][-1] == {"subject": "admin@example.com",
                                                             "scopes": ["admin.directory.user.readonly"]}


@pytest.mark.parametrize("changes, description", [
    ({"iss": "other@sandbox.iam.gserviceaccount.com"}, "account not found"),
    ({"aud": "https://example.com/token"}, "audience"),
    ({"iat": 1000, "exp": 4600}, "short-lived"), ({"exp": 99999999999}, "short-lived"), ({"exp": None}, "short-lived"),
    ({"sub": "nobody@example.com"}, "Invalid email or User ID"), ({"sub": "ann"}, "Invalid email or User ID"),
    ({"sub": ["ann@example.com"]}, "Invalid email or User ID"),
    ({"header": {"kid": "another"}}, "Signature"), ({"header": {"alg": "none"}}, "Signature"),
], ids=str)
def test_faulty_assertions(google, changes, description):
    answer = grant(google, google.account.assertion(
        "admin@example.com", ["admin.directory.user"], **{"sub": "admin@example.com", **changes}))
    assert answer.status == 400 and answer.json["error"] == "invalid_grant"
    assert description in answer.json["error_description"]


def test_other_faulty_grants(google):
    good = google.account.assertion("admin@example.com", ["admin.directory.user"])
    assert grant(google, good, "password").json["error"] == "unsupported_grant_type"
    assert grant(google, "").json["error"] == "invalid_request"
    assert grant(google, "a.b.c").json["error"] == "invalid_grant"
    head, claims, signature = good.split(".")
    assert grant(google, f"{head}.{claims}.{'A' * len(signature)}").json["error_description"] == "Invalid JWT Signature."
    unknown = google.account.assertion("admin@example.com", ["no.such.scope"])
    assert grant(google, unknown).json["error"] == "invalid_scope"
    assert google.anonymous("POST", "/token", {"assertion": good}).status == 400, "a form is wanted"


def test_key_of_another_account_is_refused(google, other_account):
    answer = grant(google, other_account.assertion("admin@example.com", ["admin.directory.user"]))
    assert answer.json == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


def test_one_scope_that_is_not_delegated_fails_all(google):
    google.sandbox.settings("google", delegated_scopes=["admin.directory.user"])
    both = google.account.assertion("admin@example.com", ["admin.directory.user", "apps.licensing"])
    assert grant(google, both).status == 401 and grant(google, both).json["error"] == "unauthorized_client"
    assert grant(google, google.account.assertion("admin@example.com", ["admin.directory.user"])).status == 200


def test_revoked_key_grants_nothing_more(google):
    google.sandbox.settings("google", service_accounts=[{**google.account.known, "revoked": True}])
    answer = grant(google, google.account.assertion("admin@example.com", ["admin.directory.user"]))
    assert answer.status == 400 and answer.json["error_description"] == "Invalid JWT Signature."
    assert google("GET", ANN).status == 200, "a token given before lives on"


def test_token_expires(google):
    google.sandbox.settings("google", grant_seconds=0)
    late = google.admin("admin.directory.user")
    answer = late("GET", ANN)
    assert answer.status == 401 and reason(answer) == "authError"
    assert answer.json["error"]["status"] == "UNAUTHENTICATED"
    assert google.bearer("ya29.nonsense")("GET", ANN).status == 401
    assert google.anonymous("GET", ANN).status == 401


@pytest.mark.parametrize("subject", [None, "mia@example.com"])
def test_directory_wants_an_administrator(google, subject):
    answer = google.acting(subject, "admin.directory.user")("GET", ANN)
    assert answer.status == 403 and reason(answer) == "forbidden"
    assert answer.json["error"]["message"] == "Not Authorized to access this resource/api"


def test_deleted_person_cannot_be_acted_as(google):
    assert google("DELETE", ANN).status == 204
    answer = grant(google, google.account.assertion("ann@example.com", ["gmail.settings.basic"]))
    assert answer.json["error_description"] == "The account has been deleted"
    assert google("GET", ANN).status == 404
    members = [group["members"] for group in google.sandbox.state("google")["groups"]]
    assert all(member["email"] != "ann@example.com" for group in members for member in group)


def test_no_secret_reaches_the_journal(google):
    google("PUT", ANN, {"password": "correct horse battery"})
    with open(google.sandbox.journal_path, encoding="utf-8") as file:
        text = file.read()
    assert "correct horse" not in text and "ya29" not in text and "eyJ" not in text
    assert "correct horse" not in json.dumps(google.sandbox.state("google"))


def test_throttling_is_told_by_its_reason(google):
    match = {"path": "/users/"}
    google.sandbox.fault("google", fault_rule("userRateLimitExceeded", times=1, match=match),
                         fault_rule("forbidden", times=1, match=match), {"do": "status", "status": 503, "times": 1})
    answers = [google("GET", ANN) for _ in range(4)]
    assert [(answer.status, answer.status != 200 and reason(answer)) for answer in answers] == [
        (403, "userRateLimitExceeded"), (403, "forbidden"), (503, "backendError"), (200, False)]
    assert answers[0].json["error"]["errors"][0]["domain"] == "usageLimits"


@pytest.mark.parametrize("named, status", [("userRateLimitExceeded", 403), ("rateLimitExceeded", 429)])
def test_rate_limit(google, named, status):
    google.sandbox.settings("google", rate_limit={"per_minute": 1}, throttle_reason=named)
    assert google("GET", ANN).status == 200
    answer = google("GET", ANN)
    assert answer.status == status and reason(answer) == named and "Retry-After" not in answer.headers
    assert google.admin("admin.directory.user"), "the token endpoint has no part in it"


# Users.

def test_get_by_id_address_and_alias(google):
    shown = google("GET", ANN).json
    assert int(shown["id"]) > 2 ** 53 and shown["isDelegatedAdmin"] is True
    for key in (shown["id"], "ANN@example.com", "a.lee@example.com"):
        assert google("GET", f"{DIRECTORY}/users/{key}?projection=full").json == shown
    assert "tokens" not in shown and "password" not in shown and "delegates" not in shown
    answer = google("GET", DIRECTORY + "/users/nobody@example.com")
    assert answer.status == 404 and answer.json == {"error": {
        "code": 404, "message": "Resource Not Found: userKey",
        "errors": [{"domain": "global", "reason": "notFound", "message": "Resource Not Found: userKey"}]}}


def test_neighbouring_ids_differ_only_beyond_a_double(google):
    first, second = (google("GET", f"{DIRECTORY}/users/{name}@example.com").json["id"] for name in ("ann", "mia"))
    assert first != second and float(first) == float(second)


@pytest.mark.parametrize("query, found", [
    ("email:ann@example.com", ["ann"]), ("email=a.lee@example.com", ["ann"]), ("email:a*", ["admin", "ann"]),
    ("externalId=E-1", ["ann"]), ("externalId:E-9", []), ("isSuspended=true", ["sue"]),
    ("orgUnitPath='/No Google License'", []), ("familyName:'Lee' externalId=E-1", ["ann"]),
    ("directManager='mia@example.com'", ["ann"]),
])
def test_search(google, query, found):
    params = urllib.parse.urlencode({"customer": "my_customer", "query": query})
    users = google("GET", f"{DIRECTORY}/users?{params}").json.get("users", [])
    assert [item["primaryEmail"].partition("@")[0] for item in users] == found


def test_faulty_searches(google):
    assert google("GET", DIRECTORY + "/users").status == 400
    assert google("GET", DIRECTORY + "/users?customer=C0other").status == 400
    assert reason(google("GET", DIRECTORY + "/users?customer=my_customer&query=colour:red")) == "invalid"


def test_users_page(google):
    names, token = [], ""
    while token is not None:
        shown = google("GET", f"{DIRECTORY}/users?customer=my_customer&maxResults=2&pageToken={token}").json
        names += [item["primaryEmail"] for item in shown["users"]]
        token = shown.get("nextPageToken")
    assert len(names) == len(set(names)) == len(google.sandbox.state("google")["users"])
    assert google("GET", DIRECTORY + "/users?customer=my_customer&pageToken=x").status == 400


def test_put_merges(google):
    changed = google("PUT", ANN, {"includeInGlobalAddressList": False, "name": {"givenName": "Anne"},
                                  "recoveryEmail": "", "isAdmin": True, "id": "1", "externalIds": []})
    assert changed.status == 200
    shown = google("GET", ANN).json
    assert shown == changed.json and shown["name"] == {"givenName": "Anne", "familyName": "Lee"}
    assert shown["includeInGlobalAddressList"] is False and shown["isAdmin"] is False and len(shown["id"]) == 21
    assert "recoveryEmail" not in shown and shown["recoveryPhone"] == "+15550100100" and "externalIds" not in shown
    assert google("PATCH", ANN, {"relations": []}).json["relations"], "PATCH clears no list"
    assert "relations" not in google("PUT", ANN, {"relations": None}).json


@pytest.mark.parametrize("body, named, message", [
    (b"{", "parseError", ""), ([], "badRequest", ""), ({"colour": "red"}, "badRequest", "colour"),
    ({"suspended": "true"}, "invalid", "suspended"), ({"recoveryPhone": "0123"}, "invalid", "recovery_phone"),
    ({"password": "short"}, "invalid", "Password"), ({"password": "x" * 101}, "invalid", "Password"),
    ({"password": "clear text", "hashFunction": "SHA-1"}, "invalid", "Password"),
    ({"orgUnitPath": "/Nowhere"}, "invalid", "INVALID_OU_ID"),
], ids=str)
def test_faulty_updates(google, body, named, message):
    before = user(google)
    answer = google("PUT", ANN, body)
    assert answer.status == 400 and reason(answer) == named and message in answer.json["error"]["message"]
    assert user(google) == before


def test_password(google):
    digest = hashlib.sha1(b"a new password").hexdigest()
    assert google("PUT", ANN, {"password": digest, "hashFunction": "SHA-1"}).status == 200
    assert user(google)["password"] == {"sha256": hashlib.sha256(digest.encode()).hexdigest(), "hashFunction": "SHA-1",
                                        "changes": 1}


def test_suspend_and_restore(google):
    assert google("PUT", ANN, {"suspended": True}).json["suspensionReason"] == "ADMIN"
    shown = google("PUT", ANN, {"suspended": False, "orgUnitPath": "/Former Team Members"}).json
    assert shown["suspended"] is False and "suspensionReason" not in shown
    assert shown["orgUnitPath"] == "/Former Team Members"


def test_archiving_takes_a_licence(google):
    answer = google("PUT", ANN, {"archived": True})
    assert answer.status == 412 and reason(answer) == "insufficientArchivedUserLicenses"
    google.sandbox.settings("google", archived_licenses=1)
    assert google("PUT", ANN, {"archived": True}).json["archived"] is True


def test_renamed_user_keeps_the_old_address(google):
    assert google("PUT", ANN, {"primaryEmail": "mia@example.com"}).status == 409
    assert google("PUT", ANN, {"primaryEmail": "gone@example.com"}).json["primaryEmail"] == "gone@example.com"
    assert "ann@example.com" in google("GET", ANN).json["aliases"]


def test_sign_out_and_admin(google):
    assert google("POST", ANN + "/signOut").status == 204 and user(google)["sign_outs"] == 1
    assert google("POST", ANN + "/makeAdmin", {"status": True}).status == 204 and user(google)["isAdmin"] is True
    assert google("POST", ANN + "/makeAdmin", {"status": False}).text == "" and user(google)["isAdmin"] is False
    assert google("POST", ANN + "/makeAdmin", {}).status == 400


def test_aliases(google):
    assert [item["alias"] for item in google("GET", ANN + "/aliases").json["aliases"]] == ["a.lee@example.com"]
    assert google("DELETE", ANN + "/aliases/a.lee%40example.com").status == 204
    assert "aliases" not in google("GET", ANN + "/aliases").json
    assert google("DELETE", ANN + "/aliases/a.lee@example.com").status == 404
    assert google("DELETE", ANN + "/aliases/ann@example.net").status == 403


@pytest.mark.parametrize("kind, key, name", [("tokens", "client-1", "clientId"), ("asps", "7", "codeId")])
def test_tokens_and_app_passwords(google, kind, key, name):
    items = google("GET", f"{ANN}/{kind}").json["items"]
    assert [str(item[name]) for item in items] == [key]
    assert google("DELETE", f"{ANN}/{kind}/{key}").status == 204
    assert "items" not in google("GET", f"{ANN}/{kind}").json
    again = google("DELETE", f"{ANN}/{kind}/{key}")
    assert again.status == 404 and name in again.json["error"]["message"]


def test_backup_codes_of_a_suspended_user(google):
    assert google("POST", ANN + "/verificationCodes/invalidate").status == 204
    assert user(google)["backup_codes"] == []
    answer = google("POST", DIRECTORY + "/users/sue@example.com/verificationCodes/invalidate")
    assert answer.status == 400 and reason(answer) == "invalid" and answer.json["error"]["message"] == "Invalid Input"


# Groups, roles, units.

def test_groups_of_a_user(google):
    groups = google("GET", DIRECTORY + "/groups?userKey=ann@example.com&maxResults=2").json
    assert [group["email"] for group in groups["groups"]] == ["sales@example.com", "all@example.com"]
    rest = google("GET", f"{DIRECTORY}/groups?userKey=ann@example.com&pageToken={groups['nextPageToken']}").json
    assert [group["email"] for group in rest["groups"]] == ["dynamic@example.com"] and "nextPageToken" not in rest
    assert "groups" not in google("GET", DIRECTORY + "/groups?userKey=mia@example.com").json
    assert google("GET", DIRECTORY + "/groups?userKey=nobody@example.com").status == 404
    assert google("GET", DIRECTORY + "/groups?userKey=ann@example.com&customer=my_customer").status == 400


def test_leaving_groups(google):
    member = DIRECTORY + "/groups/sales@example.com/members/"
    key = user(google)["id"]
    assert google("GET", f"{DIRECTORY}/groups/sales@example.com/hasMember/{key}").json == {"isMember": True}
    assert google("DELETE", member + key).status == 204
    assert google("GET", f"{DIRECTORY}/groups/sales@example.com/hasMember/{key}").json == {"isMember": False}
    gone = google("DELETE", member + key)
    assert gone.status == 404 and gone.json["error"]["message"] == "Resource Not Found: memberKey"
    google.sandbox.settings("google", not_member=412)
    refused = google("DELETE", member + key)
    assert refused.status == 412 and reason(refused) == "conditionNotMet"
    assert google("DELETE", member + "nobody@example.com").status == 404
    nowhere = google("DELETE", f"{DIRECTORY}/groups/none@example.com/members/{key}")
    assert nowhere.status == 404 and nowhere.json["error"]["message"] == "Resource Not Found: groupKey"
    assert google("POST", DIRECTORY + "/groups/sales@example.com/members", {"email": "ann@example.com"}).status == 200
    assert google("POST", DIRECTORY + "/groups/sales@example.com/members", {"email": "ann@example.com"}).status == 409


def test_dynamic_group_cannot_be_left(google):
    answer = google("DELETE", DIRECTORY + "/groups/dynamic@example.com/members/ann@example.com")
    assert answer.status == 403 and reason(answer) == "forbidden"
    assert google("GET", DIRECTORY + "/groups/dynamic@example.com/hasMember/nobody@example.com").status == 400


def test_role_assignments(google):
    path = DIRECTORY + "/customer/my_customer/roleassignments"
    items = google("GET", f"{path}?userKey={user(google)['id']}").json["items"]
    assert [item["roleId"] for item in items] == ["3894208461012993"]
    assert google("DELETE", f"{path}/{items[0]['roleAssignmentId']}").status == 204
    assert google("DELETE", f"{path}/{items[0]['roleAssignmentId']}").status == 404
    assert google("GET", ANN).json["isDelegatedAdmin"] is False


def test_units(google):
    path = DIRECTORY + "/customer/my_customer/orgunits"
    assert google("GET", path + "/Former%20Team%20Members").json["orgUnitPath"] == "/Former Team Members"
    assert google("GET", path + "/Staff%2FSales").json["parentOrgUnitPath"] == "/Staff"
    assert google("GET", path + "/Nowhere").status == 404
    assert "/Staff" in [unit["orgUnitPath"] for unit in google("GET", path).json["organizationUnits"]]


def test_seeding_merges_and_reset_undoes(google):
    google.sandbox.seed("google", {"users": [{"primaryEmail": "ann@example.com", "suspended": True}]})
    assert user(google)["suspended"] is True and user(google)["aliases"] == ["a.lee@example.com"]
    with pytest.raises(ValueError, match="primaryEmail"):
        google.sandbox.seed("google", {"users": [{}]})
    google.sandbox.reset()
    assert user(google)["suspended"] is False
