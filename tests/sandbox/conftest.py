"""Fixtures of the sandbox's own tests: one sandbox for all of them, reset before each, and clients for its systems."""

import base64
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from client import Sandbox
from google_account import ServiceAccount
from sandbox_calls import JIRA_TOKEN, SCIM_TOKEN, SLACK_TOKEN, Caller, GoogleCaller

USERS = [{"userName": f"user{n}@example.com", "externalId": f"E-{n}",
          "name": {"givenName": "User", "familyName": str(n)},
          "emails": [{"value": f"user{n}@example.com", "type": "work", "primary": True},
                     {"value": f"alias{n}@example.com", "type": "other"}]} for n in range(1, 8)]
GROUPS = [{"displayName": "Sales", "members": ["user1@example.com", "user2@example.com"]},
          {"displayName": "Support", "members": ["user1@example.com"]}]
CONFIG = {"scim": {"users": USERS, "groups": GROUPS}, "jira": {"projects": ["IT", "HR"]}}
GOOGLE = {
    "users": [
        {"primaryEmail": "ann@example.com", "name": {"givenName": "Ann", "familyName": "Lee"},
         "aliases": ["a.lee@example.com"], "nonEditableAliases": ["ann@example.net"], "orgUnitPath": "/Staff/Sales",
         "externalIds": [{"type": "organization", "value": "E-1"}], "recoveryEmail": "ann@home.example",
         "recoveryPhone": "+15550100100", "relations": [{"type": "manager", "value": "mia@example.com"}],
         "roles": ["3894208461012993"], "tokens": [{"clientId": "client-1", "displayText": "Mail reader", "scopes": []}],
         "asps": [{"codeId": 7, "name": "Old phone"}], "backup_codes": ["12345678"],
         "licenses": [{"productId": "Google-Apps", "skuId": "1010020027"}]},
        {"primaryEmail": "mia@example.com", "licenses": [{"productId": "Google-Apps", "skuId": "1010020027"}]},
        {"primaryEmail": "sue@example.com", "suspended": True, "backup_codes": ["87654321"]},
        {"primaryEmail": "new@example.com", "isMailboxSetup": False}],
    "groups": [{"email": "sales@example.com", "members": ["ann@example.com"]},
               {"email": "all@example.com", "members": ["ann@example.com", "guest@example.org"]},
               {"email": "dynamic@example.com", "members": ["ann@example.com"], "dynamic": True}],
    "mobile_devices": [{"resourceId": "R-1", "deviceId": "D-1", "email": "ann@example.com"},
                       {"resourceId": "R-2", "deviceId": "D-2", "email": "joann@example.com"}],
    "devices": [{"name": "devices/one", "users": ["ann@example.com", "mia@example.com"]},
                {"name": "devices/two", "users": ["mia@example.com"]}]}


@pytest.fixture(scope="session")
def account():
    return ServiceAccount.make()


@pytest.fixture(scope="session")
def other_account():
    """One with the same names and another key."""
    return ServiceAccount.make()


@pytest.fixture(scope="session")
def running(tmp_path_factory, account):
    config = {**CONFIG, "google": {**GOOGLE, "service_accounts": [account.known]}}
    with Sandbox("scim,jira,slack,google,other=scim", config, str(tmp_path_factory.mktemp("sandbox"))) as sandbox:
        yield sandbox
        assert sandbox.log() == "", "the sandbox has complained"


@pytest.fixture
def sandbox(running):
    running.reset()
    yield running
    running.clear_faults()


@pytest.fixture
def scim(sandbox):
    return Caller(sandbox.url("scim"), f"Bearer {SCIM_TOKEN}", "application/scim+json")


@pytest.fixture
def jira(sandbox):
    basic = base64.b64encode(f"bot@example.com:{JIRA_TOKEN}".encode()).decode()
    return Caller(sandbox.url("jira") + "/rest/api/3", f"Basic {basic}", "application/json")


@pytest.fixture
def slack(sandbox):
    return Caller(sandbox.url("slack") + "/api", f"Bearer {SLACK_TOKEN}", "application/json; charset=utf-8")


@pytest.fixture
def google(sandbox, account):
    return GoogleCaller(sandbox, account)
