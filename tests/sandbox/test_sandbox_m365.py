"""The simulated Microsoft 365: what it refuses, how it pages, what lags, and what a licence means to a mailbox."""

import urllib.parse

import pytest
from client import Sandbox
from sandbox_calls import Caller, wait_until
from vendors.entra_tokens import Tokens
from vendors.m365 import MAILBOX_SKU

TOKEN = Tokens.TOKEN_SETTINGS
GRAPH, EXCHANGE = "https://graph.microsoft.com", "https://outlook.office365.com"
ANN = "ann@example.com"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    people = [{"userPrincipalName": ANN, "licenses": [{"skuId": MAILBOX_SKU}]}, {"userPrincipalName": "bob@example.com"}]
    with Sandbox("m365", {"m365": {"users": people}}, str(tmp_path_factory.mktemp("m365"))) as sandbox:
        yield sandbox
        assert sandbox.log() == "", "the sandbox has complained"


@pytest.fixture
def sandbox(running):
    running.reset()
    return running


def ask_token(sandbox, **changes):
    form = {"grant_type": "client_credentials", "client_id": TOKEN["client_id"], "client_secret": TOKEN["client_secret"],
            "scope": f"{GRAPH}/.default", **changes}
    caller = Caller(sandbox.url("m365"), "", "application/x-www-form-urlencoded")
    tenant = form.pop("tenant", TOKEN["tenant"])
    return caller("POST", f"/{tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form).encode())


def caller_of(sandbox, resource: str, path: str) -> Caller:
    token = ask_token(sandbox, scope=f"{resource}/.default").json["access_token"]
    return Caller(sandbox.url("m365") + path, f"Bearer {token}", "application/json")


@pytest.fixture
def graph(sandbox):
    return caller_of(sandbox, GRAPH, "/v1.0")


@pytest.fixture
def exchange(sandbox):
    """Calls a cmdlet."""
    caller = caller_of(sandbox, EXCHANGE, f"/adminapi/beta/{TOKEN['tenant']}/InvokeCommand")
    return lambda name, **parameters: caller("POST", "", {"CmdletInput": {"CmdletName": name, "Parameters": parameters}},
                                             X_AnchorMailbox=f"UPN:{ANN}")


def code(reply) -> tuple[int, str]:
    return reply.status, reply.json["error"]["code"]


def user(graph, key: str = ANN, **query) -> dict:
    return graph("GET", f"/users/{key}?" + urllib.parse.urlencode({f"${name}": value for name, value in query.items()})).json


@pytest.mark.parametrize("changes, status, number", [
    ({"client_secret": "wrong"}, 401, 7000215), ({"client_id": "other"}, 400, 700016), ({"tenant": "other"}, 400, 90002),
    ({"scope": "User.Read"}, 400, 70011), ({"grant_type": "password"}, 400, 70003)])
def test_no_token(sandbox, changes, status, number):
    reply = ask_token(sandbox, **changes)
    assert (reply.status, reply.json["error_codes"]) == (status, [number])
    assert reply.json["error_description"].startswith(f"AADSTS{number}: ")


def test_a_token_is_for_one_api(graph, exchange, sandbox):
    assert code(graph("GET", "/users", Authorization="Bearer nonsense")) == (401, "InvalidAuthenticationToken")
    assert exchange("Get-Mailbox", Identity=ANN).status == 200
    other = caller_of(sandbox, EXCHANGE, "/v1.0")
    assert code(other("GET", "/users")) == (401, "InvalidAuthenticationToken")


def test_a_token_ends(sandbox, graph):
    sandbox.settings("m365", token_seconds=0)
    assert caller_of(sandbox, GRAPH, "/v1.0")("GET", "/users").status == 401


def test_what_graph_refuses(sandbox, graph):
    assert code(graph("GET", "/users/nobody")) == (404, "Request_ResourceNotFound")
    assert code(graph("GET", "/users?$select=shoeSize")) == (400, "BadRequest")
    assert code(graph("GET", "/users?$top=1000")) == (400, "Request_BadRequest")
    assert code(graph("GET", "/users?$filter=shoeSize%20eq%20'7'")) == (400, "BadRequest")
    assert code(graph("GET", "/nonsense")) == (400, "BadRequest")
    assert code(graph("PATCH", f"/users/{ANN}", {"passwordProfile": {"password": "short"}})) == (400, "Request_BadRequest")
    sandbox.settings("m365", permissions=["User.Read.All"])
    assert code(graph("PATCH", f"/users/{ANN}", {"accountEnabled": False})) == (403, "Authorization_RequestDenied")


def test_pages_have_absolute_links(sandbox, graph):
    sandbox.settings("m365", page_size=1)
    first = graph("GET", "/users?$select=id&$top=999").json
    link = first["@odata.nextLink"]
    assert link.startswith(sandbox.url("m365") + "/v1.0/users?") and "$skiptoken=1" in link
    second = graph("GET", link.removeprefix(sandbox.url("m365") + "/v1.0")).json
    assert "@odata.nextLink" not in second and len(first["value"] + second["value"]) == 2


def test_reads_lag_behind(sandbox, graph):
    sandbox.settings("m365", read_lag=0.4)
    assert graph("PATCH", f"/users/{ANN}", {"accountEnabled": False}).status == 204
    assert user(graph, select="accountEnabled")["accountEnabled"] is True
    wait_until(lambda: user(graph, select="accountEnabled")["accountEnabled"] is False)


def test_a_person_is_deleted_through_a_group(sandbox, graph):
    """What a forgotten /$ref does."""
    ann = user(graph)["id"]
    group = sandbox.seed("m365", {"groups": [{"displayName": "Sales", "members": [ANN]}]})["groups"][0]["id"]
    assert graph("DELETE", f"/groups/{group}/members/{ann}/$ref").status == 204
    assert user(graph)["id"] == ann
    assert graph("DELETE", f"/groups/{group}/members/{ann}").status == 204
    assert code(graph("GET", f"/users/{ann}")) == (404, "Request_ResourceNotFound")


@pytest.mark.parametrize("shared, left", [(True, "shared"), (False, None)])
def test_a_mailbox_lives_by_its_licence(graph, exchange, shared, left):
    if shared:
        assert exchange("Set-Mailbox", Identity=ANN, Type="Shared").status == 200
    assert graph("POST", f"/users/{ANN}/assignLicense", {"addLicenses": [], "removeLicenses": [MAILBOX_SKU]}).status == 200
    purpose = graph("GET", f"/users/{ANN}/mailboxSettings/userPurpose")
    assert purpose.json.get("value") == left
    if not shared:
        assert code(purpose) == (404, "MailboxNotEnabledForRESTAPI") and exchange("Get-Mailbox", Identity=ANN).status == 404


def test_licences_that_are_not_there_or_not_direct(sandbox, graph):
    sandbox.seed("m365", {"groups": [{"displayName": "All", "members": [ANN], "assignedLicenses": [{"skuId": "visio"}]}]})
    for sku, why in (("none", "does not have a corresponding license"), ("visio", "inherited from a group")):
        reply = graph("POST", f"/users/{ANN}/assignLicense", {"addLicenses": [], "removeLicenses": [sku]})
        assert reply.status == 400 and why in reply.json["error"]["message"]
    assert graph("POST", f"/users/{ANN}/assignLicense", {"removeLicenses": [MAILBOX_SKU]}).status == 400


def test_what_exchange_refuses(exchange, graph):
    gone = exchange("Get-Mailbox", Identity="nobody@example.com")
    assert code(gone) == (404, "NotFound") and "ManagementObjectNotFoundException" in gone.json["error"]["details"][0]["message"]
    assert exchange("Set-Mailbox", Identity=ANN, Type="Sharde").status == 400
    assert exchange("Set-Mailbox", Identity=ANN, Shade="dark").status == 400
    assert exchange("Remove-Everything").status == 404
