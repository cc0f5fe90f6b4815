"""The SCIM connector against scim2-server from PyPI, which nobody here wrote: each action, again, nobody there, refused, dry."""

import itertools
import json

import pytest
from scim_server import ScimServer

pytestmark = pytest.mark.xdist_group("scim-real")
ACTIONS = ("deactivate_user", "activate_user", "leave_groups", "delete_user")
GONE = {"deactivate_user": "missing", "activate_user": "missing"}   # of an account that was pinned; the other states are reached
NOBODY = "00000000000000000000000000000000"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(servers, tmp_path_factory):
    server = ScimServer(str(tmp_path_factory.mktemp("scim")), servers.ports.take())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def stack(make_shared_stack, server):
    return make_shared_stack(settings={"systems": {"scim": {"url": server.url, "token": server.token}}})


class Leaver:
    """In two groups of two; inactive where the action is to wake it."""

    def __init__(self, server, stack, action: str) -> None:
        number = next(_numbers)
        self.server, self.stack, self.action = server, stack, action
        self.email, self.employee_id = f"leaver{number}@example.com", f"E-{number}"
        self.id = server.add_user(self.email, self.employee_id)
        self.other = server.add_user(f"other{number}@example.com", f"O-{number}")
        self.groups = [server.add_group(f"{name}-{number}", self.id, self.other) for name in ("staff", "sales")]
        if action == "activate_user":
            assert self.try_("deactivate_user")["outcome"] == "succeeded"

    def try_(self, action: str | None = None, *more: str, live: bool = True) -> dict:
        result = self.stack.try_action("scim", action or self.action, "--email", self.email, "--json", *more,
                                       *(["--live"] if live else []))
        assert result.out and self.server.token not in result.out + result.err, result
        return json.loads(result.out)

    def state(self) -> dict:
        """What the server itself says."""
        there = self.server.there(self.id)
        return {"there": there, "active": there and self.server.user(self.id)["active"],
                "groups": [group for group in self.groups if self.id in self.server.members(group)]}

    def wanted(self) -> dict:
        all_well = {"there": True, "active": True, "groups": self.groups}
        return {"deactivate_user": {**all_well, "active": False}, "activate_user": all_well,
                "leave_groups": {**all_well, "groups": []},
                "delete_user": {"there": False, "active": False, "groups": self.groups}}[self.action]


@pytest.fixture
def leaver(server, stack, action):
    return Leaver(server, stack, action)


def changes(said: dict) -> list[dict]:
    return [call for call in said["calls"] if call["changes"] and not call.get("dry_run")]


every = pytest.mark.parametrize("action", ACTIONS)


def gone_or(action: str, state: dict, wanted: dict) -> bool:
    """Whether a deleted account's groups still name it is the server's affair."""
    names = ("there",) if action == "delete_user" else tuple(wanted)
    return all(state[name] == wanted[name] for name in names)


@every
def test_done_and_seen(leaver, action):
    said = leaver.try_()
    assert said["outcome"] == "succeeded" and said["verified"]["ok"], said
    assert gone_or(action, leaver.state(), leaver.wanted())
    assert leaver.server.user(leaver.other)["active"] is True
    assert all(leaver.other in leaver.server.members(group) for group in leaver.groups), "the others stay"
    if action == "leave_groups":
        assert sorted(said["outputs"]["groups"]) == sorted(leaver.groups)


@every
def test_done_before(leaver, action):
    assert leaver.try_()["outcome"] == "succeeded"
    said = leaver.try_(None, "--ids", json.dumps({"scim": [leaver.id]}))
    assert said["outcome"] == "already_done", said
    assert [call["status"] for call in changes(said)] == ([404] if action == "delete_user" else [])


@every
def test_nobody_there(leaver, action):
    said = leaver.try_(None, "--ids", json.dumps({"scim": [NOBODY]}))
    assert said["outcome"] == GONE.get(action, "already_done"), said
    leaver.email = "nobody@example.com"
    assert leaver.try_()["outcome"] == "missing"


@every
def test_refused_credentials(leaver, action, server):
    was = leaver.state()
    result = leaver.stack.try_action("scim", action, "--email", leaver.email, "--json", "--live",
                                     OFFBOARD_SYSTEMS_SCIM_TOKEN="another-one")
    assert json.loads(result.out)["outcome"] == "denied" and leaver.state() == was, result


@every
def test_a_dry_run_changes_nothing(leaver, action):
    was = leaver.state()
    said = leaver.try_(live=False)
    assert said["outcome"] == "succeeded" and said["message"].startswith("dry run: would "), said
    assert changes(said) == [] and leaver.state() == was


@pytest.mark.parametrize("known", ["email", "employee_id"])
def test_found_by(server, stack, known):
    leaver = Leaver(server, stack, "deactivate_user")
    if known == "employee_id":
        leaver.email = f"{leaver.employee_id.lower()}.elsewhere@example.com"
        said = leaver.try_(None, "--user", json.dumps({"employee_id": leaver.employee_id}))
    else:
        said = leaver.try_()
    assert said["outcome"] == "succeeded" and said["pinned"]["scim"] == [leaver.id], said
    assert leaver.state() == leaver.wanted()


def test_a_leaver_comes_back(server, stack):
    leaver = Leaver(server, stack, "activate_user")
    before = server.user(leaver.id)
    assert leaver.try_()["outcome"] == "succeeded"
    after = server.user(leaver.id)
    for one in (before, after):
        one.pop("meta"), one.pop("active")
    assert before == after, "all else is as it was"


def test_check(server, stack):
    assert "scim: ok" in stack.cli("check", "scim").ok().out
    assert stack.cli("check", "scim", OFFBOARD_SYSTEMS_SCIM_TOKEN="another-one").status != 0
