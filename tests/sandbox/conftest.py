"""Fixtures of the sandbox's own tests: one sandbox for all of them, reset before each, and clients for its systems."""

import base64
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from client import Sandbox
from sandbox_calls import JIRA_TOKEN, SCIM_TOKEN, SLACK_TOKEN, Caller

USERS = [{"userName": f"user{n}@example.com", "externalId": f"E-{n}",
          "name": {"givenName": "User", "familyName": str(n)},
          "emails": [{"value": f"user{n}@example.com", "type": "work", "primary": True},
                     {"value": f"alias{n}@example.com", "type": "other"}]} for n in range(1, 8)]
GROUPS = [{"displayName": "Sales", "members": ["user1@example.com", "user2@example.com"]},
          {"displayName": "Support", "members": ["user1@example.com"]}]
CONFIG = {"scim": {"users": USERS, "groups": GROUPS}, "jira": {"projects": ["IT", "HR"]}}


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    with Sandbox("scim,jira,slack,other=scim", CONFIG, str(tmp_path_factory.mktemp("sandbox"))) as sandbox:
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
