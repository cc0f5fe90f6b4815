"""Accounts that an event names by what people change: pinned is the vendor's own id, and a name that is nobody's is for a person."""

import os

import pytest

pytestmark = pytest.mark.xdist_group("named-accounts")
TOKEN = "ghp_named-0123456789", "00-named-0123456789", "glpat-named-0123456789"
RUNBOOK = """\
runbook: named
phases:
  - name: initial
    steps:
      - {id: github, system: github, action: remove_member}
      - {id: okta, system: okta, action: suspend_user}
      - {id: gitlab, system: gitlab, action: block_user}
"""
MEMBER = {"membership": {"state": "active", "role": "member"}}


@pytest.fixture(scope="module")
def stack(make_shared_stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runbooks")
    with open(os.path.join(folder, "named.yaml"), "w", encoding="utf-8") as file:
        file.write(RUNBOOK)
    github, okta, gitlab = TOKEN
    stack = make_shared_stack(systems="github,okta,gitlab", vendors={"github": {"token": github}, "okta": {"token": okta}, "gitlab": {"token": gitlab}})
    url = stack.sandbox.url
    stack.configure({
        "definitions": {"runbooks": [str(folder)]}, "worker": {"systems": ["github", "okta", "gitlab"]},
        "systems": {"github": {"url": url("github"), "graphql_url": url("github") + "/graphql", "organization": "acme", "token": github,
                               "per_minute": "60000"},
                    "okta": {"url": url("okta"), "token": okta, "per_minute": "60000"},
                    "gitlab": {"url": url("gitlab"), "token": gitlab, "per_minute": "60000"}}})
    stack.cli("topics").ok()
    return stack.start()


def account(stack, system: str, **wanted) -> dict:
    """The user of the simulated vendor that has these members."""
    return next(user for user in stack.sandbox.state(system)["users"] if all(user[name] == value for name, value in wanted.items()))


def test_pinned_is_what_nobody_changes(stack):
    email = "jane@example.com"
    stack.sandbox.seed("github", {"users": [{"login": "Jane-Doe", **MEMBER}]})
    stack.sandbox.seed("okta", {"users": [{"login": email}]})
    stack.sandbox.seed("gitlab", {"users": [{"email": email}]})
    number = account(stack, "github", login="Jane-Doe")["id"]
    gitlab = str(account(stack, "gitlab", email=email)["id"])
    offboarding = stack.offboard(email, runbook="named", ids={"github": ["jane-doe"], "okta": [email], "gitlab": [gitlab]})
    stack.wait_status(offboarding, "completed", 60)
    assert stack.offboarding(offboarding)["ids"] == {
        "github": [str(number)], "okta": [account(stack, "okta", status="SUSPENDED")["id"]], "gitlab": [gitlab]}
    assert not account(stack, "github", id=number)["membership"]


def test_the_number_of_an_account(stack):
    stack.sandbox.seed("github", {"users": [{"login": "John-Doe", **MEMBER}]})
    number = account(stack, "github", login="John-Doe")["id"]
    offboarding = stack.offboard("john@example.com", runbook="named", ids={"github": [str(number)]})
    stack.wait_job(offboarding, "github", "succeeded", 60)
    assert not account(stack, "github", id=number)["membership"]


def test_digits_may_be_somebody_elses_login(stack):
    stack.sandbox.seed("github", {"users": [{"login": "Joan-Doe", **MEMBER}]})
    number = account(stack, "github", login="Joan-Doe")["id"]
    stack.sandbox.seed("github", {"users": [{"login": str(number), **MEMBER}]})
    offboarding = stack.offboard("joan@example.com", runbook="named", ids={"github": [str(number)]})
    job = stack.wait_job(offboarding, "github", "failed", 60, outcome="blocked")
    assert "may be the login of another" in job["reason"], job["reason"]
    assert account(stack, "github", id=number)["membership"] and account(stack, "github", login=str(number))["membership"]


def test_a_name_that_is_nobodys_is_for_a_person(stack):
    named = {"github": ["nobody-of-that-name"], "okta": ["nobody@example.com"], "gitlab": ["4711"]}
    offboarding = stack.offboard("nobody@example.com", runbook="named", ids=named)
    for step, names in named.items():
        job = stack.wait_job(offboarding, step, "failed", 60, outcome="blocked")
        assert f"the event names account {names[0]}, which is not there" in job["reason"], job["reason"]
    assert stack.offboarding(offboarding)["status"] == "initiated"
