"""`offboard try`: one action of one connector, for who writes it."""

import json

import pytest

pytestmark = pytest.mark.xdist_group("try")
EMAIL = "jane.doe@example.com"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    """Nothing runs but the vendors."""
    stack = make_shared_stack(systems="scim,jira")
    stack.person(EMAIL)
    return stack


def changes(stack, system: str) -> list[str]:
    return [entry["method"] for entry in stack.sandbox.journal(system, effects_only=True)]


def test_a_dry_run_unless_live(stack):
    said = stack.cli("try", "scim", "deactivate_user", "--email", EMAIL).ok().out
    assert "PATCH" in said and "(not sent: dry run)" in said and "dry run: would PATCH" in said
    assert stack.account(EMAIL)["active"] and changes(stack, "scim") == []


def test_live(stack):
    said = stack.cli("try", "scim", "deactivate_user", "--email", EMAIL, "--live").ok().out
    assert "outcome   succeeded" in said and "confirmed by reading back" in said
    assert not stack.account(EMAIL)["active"]


def test_what_happens_once_is_found_when_it_is_tried_again(stack):
    first, second = (json.loads(stack.cli("try", "jira", "create_ticket", "--email", EMAIL, "--live", "--json").ok().out)
                     for _ in range(2))
    assert first["outputs"] == second["outputs"] and second["message"].startswith("found")
    assert len(stack.tickets()) == 1


def test_a_failure_is_an_exit_code(stack):
    refused = stack.cli("try", "jira", "comment", "--email", EMAIL, "--live", "--with", '{"issue": "IT-1"}')
    assert refused.status == 1 and "with.text is null" in refused.out


@pytest.mark.parametrize("arguments, said", [
    (("scim", "deactivate_user"), "usage: offboard try"),
    (("scim", "deactivate_user", "--email", EMAIL, "--with", "text"), "--with"),
    (("scim", "deactivate_user", "--email", EMAIL, "--with", "[1]"), "--with: a JSON object is wanted"),
])
def test_a_wrong_command_line(stack, arguments, said):
    refused = stack.cli("try", *arguments)
    assert refused.status == 2 and said in refused.err


def test_unknown_systems_and_actions(stack):
    refused = stack.cli("try", "scmi", "deactivate_user", "--email", EMAIL)
    assert refused.status == 1 and "scmi" in refused.err and "scim" in refused.err
    refused = stack.cli("try", "scim", "deactivate", "--email", EMAIL)
    assert refused.status == 1 and 'no action "deactivate"' in refused.out
