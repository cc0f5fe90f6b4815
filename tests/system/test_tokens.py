"""Access tokens against a vendor that checks signatures, audience, scopes and subjects."""

import json
import os
import sys

import pytest
from stack import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "sandbox"))

from google_account import SCOPE_PREFIX, ServiceAccount  # noqa: E402: it lies in the sandbox's own folder

pytestmark = pytest.mark.xdist_group("tokens")
EMAIL = "jane.doe@example.com"
ADMIN = "admin@example.com"
CONNECTOR = """
system: workspace
settings: {url: {required: true}, key: {required: true, secret: true}, admin: {required: true}}
auth:
  service_account:
    key: "${ .settings.key }"
    subject: "${ .settings.admin }"
    scopes: ["https://www.googleapis.com/auth/admin.directory.user.readonly"]
check: {get: "/admin/directory/v1/users/${ .settings.admin }"}
actions:
  read:
    effect: notify
    accounts: none
    requests:
      - {get: "/admin/directory/v1/users/${ .user.email }", save: {id: "${ .body.id }"}}
      - get: "/gmail/v1/users/me/settings/vacation"
        as: {subject: "${ .user.email }", scopes: ["https://www.googleapis.com/auth/gmail.settings.basic"]}
        save: {away: "${ .body.enableAutoReply }"}
    outputs: {id: "${ .saved.id }", away: "${ .saved.away }"}
"""


@pytest.fixture(scope="module")
def account():
    return ServiceAccount.make()


@pytest.fixture(scope="module")
def stack(make_shared_stack, account, tmp_path_factory):
    """Nothing runs but the vendor."""
    directory = tmp_path_factory.mktemp("connectors")
    (directory / "workspace.yaml").write_text(CONNECTOR, encoding="utf-8")
    stack = make_shared_stack(systems="google", vendors={"google": {"service_accounts": [account.known]}})
    stack.sandbox.seed("google", {"users": [{"primaryEmail": EMAIL, "name": {"fullName": "Jane Doe"}}]})
    configure(stack, account, connectors=str(directory))
    return stack


def configure(stack, account, connectors: str | None = None) -> None:
    """The vendor's own token endpoint, and the account's key."""
    url = stack.sandbox.url("google")
    directories = [connectors] if connectors else stack.settings["definitions"]["connectors"]
    stack.configure({"definitions": {"connectors": directories},
                     "systems": {"workspace": {"url": url, "admin": ADMIN, "key": account.key_file(f"{url}/token")}}})


def attempt(stack, email: str) -> dict:
    return json.loads(stack.cli("try", "workspace", "read", "--email", email, "--json").out)


def test_who_acts_for_whom(stack):
    said = attempt(stack, EMAIL)
    assert said["outcome"] == "succeeded" and said["outputs"]["away"] is False, said
    assert [call["url"].rpartition("/")[2] for call in said["calls"]] == ["token", EMAIL.replace("@", "%40"), "token",
                                                                          "vacation"]
    assert stack.sandbox.state("google")["granted"][-2:] == [
        {"subject": ADMIN, "scopes": ["admin.directory.user.readonly"]}, {"subject": EMAIL, "scopes": ["gmail.settings.basic"]}]
    assert SCOPE_PREFIX not in json.dumps(said)


def test_check(stack, account):
    assert stack.cli("check", "workspace").status == 0
    stranger = ServiceAccount.make(key_id=account.key_id)
    configure(stack, stranger)
    refused = stack.cli("check", "workspace")
    configure(stack, account)
    assert refused.status != 0 and "Invalid JWT Signature" in refused.out + refused.err


def test_a_key_that_is_none(stack, account):
    configure(stack, ServiceAccount(account.email, account.key_id, "hunter22", account.public_key))
    refused = stack.cli("check", "workspace")
    configure(stack, account)
    assert refused.status != 0 and "systems.workspace.key: could not read the private key" in refused.err
    assert "hunter22" not in refused.out + refused.err


def test_a_scope_that_is_not_delegated(stack):
    stack.sandbox.settings("google", delegated_scopes=["admin.directory.user.readonly"])
    said = attempt(stack, EMAIL)
    stack.sandbox.settings("google", delegated_scopes=None)
    assert said["outcome"] == "denied"
    assert f"no access token for {EMAIL}: the token endpoint answered 401: unauthorized_client" in said["message"]
