"""The SCIM server: refusals, queries, PATCH and its dialects, groups."""

import urllib.parse

import pytest

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def patch(*operations):
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def where(text):
    return "/Users?filter=" + urllib.parse.quote(text, safe="")


def names(answer):
    assert answer.status == 200, answer.text
    return [item.get("userName") or item["displayName"] for item in answer.json["Resources"]]


def dialect(sandbox, **options):
    sandbox.settings("scim", dialect=options)


@pytest.fixture
def user(sandbox):
    return sandbox.state("scim")["users"][0]


@pytest.fixture
def path(user):
    return f"/Users/{user['id']}"


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic c2FuZGJveA==", "sandbox-scim-token-s3cret"])
def test_auth_is_refused_without_effect(sandbox, scim, path, authorization):
    answer = scim("DELETE", path, Authorization=authorization)
    assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"] and answer.json["status"] == "401"
    assert len(sandbox.state("scim")["users"]) == 7


@pytest.mark.parametrize("method, target, body, status, scim_type", [
    ("GET", "/Users/nobody", None, 404, None),
    ("GET", "/Nothing", None, 404, None),
    ("GET", "/Users/a/b", None, 404, None),
    ("PUT", "/Users", {}, 405, None),
    ("POST", "/Users", b"{", 400, "invalidSyntax"),
    ("POST", "/Users", {"userName": "x"}, 400, "invalidValue"),
    ("POST", "/Users", {"schemas": [USER]}, 400, "invalidValue"),
    ("POST", "/Users", {"schemas": [USER], "userName": 7}, 400, "invalidValue"),
    ("POST", "/Users", {"schemas": [USER], "userName": "x", "active": "yes"}, 400, "invalidValue"),
    ("POST", "/Users", {"schemas": [USER], "userName": "USER1@example.com"}, 409, "uniqueness"),
    ("GET", "/Users?startIndex=one", None, 400, "invalidValue"),
])
def test_errors_in_the_vendors_shape(scim, method, target, body, status, scim_type):
    answer = scim(method, target, body)
    assert answer.status == status and answer.headers["Content-Type"] == "application/scim+json"
    assert answer.json["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert (answer.json["status"], answer.json.get("scimType")) == (str(status), scim_type)
    assert answer.json["detail"]


def test_wrong_content_type_is_refused(sandbox, scim, path):
    assert scim("PATCH", path, patch(), Content_Type="text/plain").status == 415
    dialect(sandbox, content_types=["application/json"])
    assert scim("PATCH", path, patch({"op": "replace", "path": "active", "value": False})).status == 415
    answer = scim("PATCH", path, patch({"op": "replace", "path": "active", "value": False}),
                  Content_Type="application/json; charset=utf-8")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"


def test_create_read_replace_delete(sandbox, scim):
    created = scim("POST", "/Users", {"schemas": [USER], "USERNAME": "new@example.com", "password": "s3cret"})
    assert created.status == 201 and created.json["active"] is True and "password" not in created.text
    where_it_is = created.headers["Location"].removeprefix(scim.url)
    assert where_it_is == f"/Users/{created.json['id']}" and created.json["meta"]["location"] == created.headers["Location"]
    replaced = scim("PUT", where_it_is, {"schemas": [USER], "userName": "new@example.com", "active": False, "id": "x"})
    assert replaced.status == 200 and replaced.json["active"] is False and replaced.json["id"] == created.json["id"]
    assert scim("PUT", where_it_is, {"schemas": [USER], "userName": "n"}, If_Match='W/"1"').status == 412
    assert scim("DELETE", where_it_is).status == 204
    assert scim("DELETE", where_it_is).status == 404
    again = scim("POST", "/Users", {"schemas": [USER], "userName": "new@example.com"})
    assert again.json["id"] != created.json["id"], "an id is never used again"
    assert [gone["id"] for gone in sandbox.state("scim")["deleted_users"]] == [created.json["id"]]


def test_pages(scim):
    seen = []
    for start, size in ((1, 3), (4, 3), (7, 1), (10, 0)):
        page = scim("GET", f"/Users?startIndex={start}&count=3").json
        assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (7, start, size)
        assert len(page["Resources"]) == size
        seen += [item["userName"] for item in page["Resources"]]
    assert seen == [f"user{n}@example.com" for n in range(1, 8)]
    none = scim("GET", "/Users?count=0").json
    assert (none["totalResults"], none["Resources"]) == (7, [])
    assert scim("GET", "/Users?startIndex=-4&count=1").json["startIndex"] == 1


def test_page_size_is_capped(sandbox, scim):
    dialect(sandbox, max_count=2)
    assert scim("GET", "/Users?count=50").json["itemsPerPage"] == 2


@pytest.mark.parametrize("text, expected", [
    ('userName eq "user3@example.com"', [3]),
    ('USERNAME EQ "USER3@example.com"', [3]),
    ('externalId eq "E-4"', [4]),
    ('externalId eq "e-4"', []),
    ('emails.value eq "alias5@example.com"', [5]),
    ('emails eq "alias5@example.com"', [5]),
    ('emails[type eq "work" and value eq "alias5@example.com"]', []),
    ('emails[type eq "work" and value co "user5"]', [5]),
    ('name.familyName eq "6" or name.familyName eq "2"', [2, 6]),
    ('not (userName sw "user") or userName sw "user7"', [7]),
    ('active eq true and externalId gt "E-5"', [6, 7]),
    ('title pr', []),
    (f'{USER}:userName eq "user1@example.com"', [1]),
    (r'userName eq "quote\"and\\slash"', []),
])
def test_filters(scim, text, expected):
    assert names(scim("GET", where(text))) == [f"user{n}@example.com" for n in expected]


@pytest.mark.parametrize("text", ["", "userName", 'userName eq', 'userName is "x"', 'shoeSize eq "9"', 'userName eq "x',
                                  'userName eq x', '(userName eq "x"', 'userName eq "x" "y"', 'userName co 3',
                                  'emails[shoe eq "x"]', f'{ENTERPRISE} pr', f'{ENTERPRISE}:shoe eq "x"'])
def test_faulty_filters_are_refused(scim, text):
    answer = scim("GET", where(text))
    assert (answer.status, answer.json["scimType"]) == (400, "invalidFilter")


def test_filter_dialects(sandbox, scim):
    dialect(sandbox, filters=["userName", "email"], filter_aliases={"email": "emails.value"})
    assert names(scim("GET", where('email eq "alias2@example.com"'))) == ["user2@example.com"]
    assert scim("GET", where('externalId eq "E-2"')).json["scimType"] == "invalidFilter"


def test_groups_by_member_and_attributes(scim, user):
    text = urllib.parse.quote(f'members.value eq "{user["id"]}"')
    assert names(scim("GET", f"/Groups?filter={text}")) == ["Sales", "Support"]
    found = scim("GET", f"/Groups?filter={text}&attributes=displayName").json["Resources"]
    assert all(set(group) == {"schemas", "id", "displayName"} for group in found)
    slim = scim("GET", f"/Users/{user['id']}?excludedAttributes=emails,groups").json
    assert "emails" not in slim and "groups" not in slim and slim["userName"] == user["userName"]
    assert [g["display"] for g in scim("GET", f"/Users/{user['id']}").json["groups"]] == ["Sales", "Support"]


def test_search_by_post(scim):
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": 'externalId eq "E-1"', "count": 5}
    assert names(scim("POST", "/Users/.search", body)) == ["user1@example.com"]


@pytest.mark.parametrize("operation", [
    {"op": "replace", "path": "active", "value": False},
    {"op": "Replace", "path": "active", "value": False},
    {"op": "replace", "path": f"{USER}:active", "value": False},
    {"op": "replace", "value": {"active": False}},
    {"op": "add", "value": {"active": False, f"{ENTERPRISE}:department": "Gone"}},
])
def test_patch_forms_accepted_by_default(sandbox, scim, path, operation):
    answer = scim("PATCH", path, patch(operation))
    assert answer.status == 200 and answer.json["active"] is False
    assert sandbox.state("scim")["users"][0]["active"] is False


@pytest.mark.parametrize("options, operation, scim_type", [
    ({}, {"op": "replace", "path": "active", "value": "False"}, "invalidValue"),
    ({"booleans": "string"}, {"op": "replace", "path": "active", "value": False}, "invalidValue"),
    ({"patch_forms": ["path"]}, {"op": "replace", "value": {"active": False}}, "invalidPath"),
    ({"patch_forms": ["no_path"]}, {"op": "replace", "path": "active", "value": False}, "invalidPath"),
    ({"op_case": "lower"}, {"op": "Replace", "path": "active", "value": False}, "invalidSyntax"),
    ({"op_case": "title"}, {"op": "replace", "path": "active", "value": False}, "invalidSyntax"),
    ({}, {"op": "destroy", "path": "active"}, "invalidSyntax"),
    ({}, {"op": "replace", "path": "activ", "value": False}, "invalidPath"),
    ({}, {"op": "replace", "path": "id", "value": "x"}, "mutability"),
    ({}, {"op": "remove", "path": "userName"}, "mutability"),
    ({}, {"op": "remove"}, "noTarget"),
    ({}, {"op": "replace", "path": 'emails[type eq "home"].value', "value": "x"}, "noTarget"),
    ({}, {"op": "replace", "path": "active"}, "invalidValue"),
])
def test_patch_refusals(sandbox, scim, path, options, operation, scim_type):
    dialect(sandbox, **options)
    before = sandbox.state("scim")
    answer = scim("PATCH", path, patch(operation))
    assert (answer.status, answer.json["scimType"]) == (400, scim_type)
    assert sandbox.state("scim") == before and sandbox.journal(effects_only=True) == []


@pytest.mark.parametrize("nonsense", [None, 1, True, "x", [], {}, [None], {"value": []}, [{"value": 1}]], ids=repr)
def test_nonsense_is_refused_or_harmless(scim, path, nonsense):
    """No JSON makes the server fail; the fixture's end checks that it logged no defect either."""
    for target in ("active", "emails", "name", "name.givenName", "emails.type", "schemas", ENTERPRISE,
                   f"{ENTERPRISE}:manager", 'emails[value eq "x"]', nonsense):
        for op in ("add", "replace", "remove", nonsense):
            for resource in (path, "/Groups/" + scim("GET", "/Groups").json["Resources"][0]["id"]):
                assert scim("PATCH", resource, patch({"op": op, "path": target, "value": nonsense})).status in (200, 400)
    for body in (nonsense, {"schemas": nonsense}, {"schemas": [USER], "userName": "n", "emails": nonsense, "name": nonsense}):
        assert scim("POST", "/Users", body).status in (201, 400, 409)
        assert scim("POST", "/Users/.search", body).status == 400


def test_a_patch_is_all_or_nothing(sandbox, scim, path):
    assert scim("PATCH", path, patch({"op": "replace", "path": "active", "value": False},
                                     {"op": "replace", "path": "nonsense", "value": 1})).status == 400
    assert sandbox.state("scim")["users"][0]["active"] is True


def test_patch_values_in_lists(sandbox, scim, path):
    answer = scim("PATCH", path, patch(
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "moved@example.com"},
        {"op": "remove", "path": 'emails[type eq "other"]'},
        {"op": "add", "path": "emails", "value": [{"value": "third@example.com"}]},
        {"op": "add", "path": "emails", "value": [{"value": "third@example.com"}]},
        {"op": "replace", "path": "name.givenName", "value": "Ann"},
        {"op": "remove", "path": "externalId"}))
    assert [email["value"] for email in answer.json["emails"]] == ["moved@example.com", "third@example.com"]
    assert answer.json["name"] == {"givenName": "Ann", "familyName": "1"} and "externalId" not in answer.json


def test_string_booleans(sandbox, scim, path):
    dialect(sandbox, booleans="string", answer_booleans="string")
    answer = scim("PATCH", path, patch({"op": "replace", "path": "active", "value": "False"}))
    assert answer.json["active"] == "False"
    assert sandbox.state("scim")["users"][0]["active"] is False


def test_answers_without_a_body_or_without_active(sandbox, scim, path):
    dialect(sandbox, patch_answer=204, active="hidden")
    answer = scim("PATCH", path, patch({"op": "replace", "path": "active", "value": False}))
    assert (answer.status, answer.text) == (204, "")
    assert "active" not in scim("GET", path).json


def test_active_ignored(sandbox, scim, path):
    dialect(sandbox, active="ignored")
    assert scim("PATCH", path, patch({"op": "replace", "path": "active", "value": False})).status == 200
    assert scim("GET", path).json["active"] is True and sandbox.journal(effects_only=True) == []


def test_put_only(sandbox, scim, path, user):
    dialect(sandbox, patch=False)
    assert scim("PATCH", path, patch({"op": "replace", "path": "active", "value": False})).status == 501
    assert scim("GET", "/ServiceProviderConfig").json["patch"] == {"supported": False}
    whole = {**scim("GET", path).json, "active": False}
    assert scim("PUT", path, whole).json["active"] is False
    after = sandbox.state("scim")["users"][0]
    assert {k: v for k, v in after.items() if k != "meta"} == {**{k: v for k, v in user.items() if k != "meta"}, "active": False}


def test_delete_dialects(sandbox, scim, path):
    dialect(sandbox, delete="none")
    assert scim("DELETE", path).status == 501
    dialect(sandbox, delete="deactivate")
    assert scim("DELETE", path).status == 204
    assert scim("GET", path).json["active"] is False
    dialect(sandbox, delete="remove")
    assert scim("DELETE", path).status == 204
    assert scim("GET", path).status == 404


def test_leaving_groups(sandbox, scim, user):
    sales, support = sandbox.state("scim")["groups"]
    by_path = patch({"op": "remove", "path": f'members[value eq "{user["id"]}"]'})
    assert scim("PATCH", f"/Groups/{sales['id']}", by_path).status == 200
    assert scim("PATCH", f"/Groups/{sales['id']}", by_path).status == 200, "leaving twice is no error"
    dialect(sandbox, remove_forms=["value_list"])
    assert scim("PATCH", f"/Groups/{support['id']}",
                patch({"op": "remove", "path": f'members[value eq "{user["id"]}"]'})).status == 400
    assert scim("PATCH", f"/Groups/{support['id']}",
                patch({"op": "remove", "path": "members", "value": [{"value": user["id"]}]})).status == 200
    assert [[m["display"] for m in g["members"]] for g in sandbox.state("scim")["groups"]] == [["user2@example.com"], []]
    assert len(sandbox.journal(effects_only=True)) == 2
    stranger = patch({"op": "add", "path": "members", "value": [{"value": "nobody"}]})
    assert scim("PATCH", f"/Groups/{sales['id']}", stranger).json["scimType"] == "invalidValue"


def test_a_deleted_user_leaves_its_groups(sandbox, scim, user, path):
    assert scim("DELETE", path).status == 204
    assert user["id"] not in str(sandbox.state("scim")["groups"])


def test_base_path(sandbox, scim):
    sandbox.settings("scim", base_path="/scim/v2")
    assert scim("GET", "/Users").status == 404
    found = scim("GET", "/scim/v2/Users?count=1").json["Resources"][0]
    assert found["meta"]["location"] == f"{scim.url}/scim/v2/Users/{found['id']}"


def test_discovery(scim):
    assert [item["endpoint"] for item in scim("GET", "/ResourceTypes").json["Resources"]] == ["/Users", "/Groups"]
    schema = scim("GET", "/Schemas").json["Resources"][0]
    assert {"userName", "active", "emails"} <= {item["name"] for item in schema["attributes"]}


def test_seed_merges_by_user_name_and_takes_members_by_name(sandbox):
    state = sandbox.seed("scim", {"users": [{"userName": "user1@example.com", "title": "Leaver"}],
                                  "groups": [{"displayName": "Sales", "members": ["user3@example.com"]}]})
    assert len(state["users"]) == 7 and state["users"][0]["title"] == "Leaver" and state["users"][0]["emails"]
    assert [member["display"] for member in state["groups"][0]["members"]] == ["user3@example.com"]
