"""Every action of every connector, before a vendor that refuses, says nothing, says it late or speaks of somebody else. Nobody writes
these tests: they are made from the connectors' own files (tests/conformance/README.md)."""

import json
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "conformance"))

from connector import FOLDERS, Connector, connectors
from driver import BUILD
from plans import Benches, Plans
from variations import cases, families


def on_its_own(name: str):
    """One worker process makes and tries the plans of a connector."""
    return pytest.mark.xdist_group(f"conformance-{name}")


def all_tests():
    for connector in connectors().values():
        for action in connector.actions:
            for family in ["good_run", *families(connector, action)]:
                yield pytest.param(connector.name, action, family, id=f"{connector.name}-{action}-{family}", marks=on_its_own(connector.name))


def tried(plan, family: str) -> list[str]:
    """What was found wrong."""
    if family == "good_run":
        return [f"no good run makes {role} {index}: {why}" for (role, index), why in plan.missed.items()]
    mine = [case for case in cases(plan) if case.family == family]
    assert mine, "none of the good runs has a place where this could be tried"
    return [f"{case.name}: {finding}" for case in mine if (finding := case.go())]


def validated(tmp_path, *folders: str) -> str:
    """What `offboard validate` says of the shipped connectors, with those of the folders in place of their namesakes."""
    conf = tmp_path / "offboard.yaml"
    conf.write_text(json.dumps({"definitions": {"connectors": folders}}))
    said = subprocess.run([os.path.join(BUILD, "offboard"), "validate", "-c", conf], capture_output=True, text=True, timeout=60)
    return said.stdout + said.stderr


@pytest.fixture(scope="module")
def benches():
    benches = Benches()
    yield benches
    benches.close()


@pytest.fixture(scope="module")
def plans(benches):
    return Plans(benches)


def test_no_warnings(tmp_path):
    said = validated(tmp_path, *FOLDERS[1:])
    assert "0 errors, 0 warnings" in said, said


@pytest.mark.parametrize("system, action, family", all_tests())
def test_action(plans, system, action, family):
    findings = tried(plans.of(system, action), family)
    assert not findings, f"{len(findings)} cases\n\n" + "\n\n".join(findings)


# Does the suite find what is wrong? One fault at a time is put into a connector.

def nothing_compared(tree):
    tree["identify"]["account"] = {"id": tree["identify"]["account"]["id"]}
    tree["identify"]["trusts"] = "the server finds nobody else"


def any_refusal_means_nobody(tree):
    for search in tree["identify"]["requests"]:
        search["missing"] = "${ .status >= 400 }"


def any_refusal_means_done(tree):
    action = tree["actions"]["deactivate_user"]
    action["requests"][-1]["already"] = "${ .status >= 400 }"
    action["unverified"] = "it would not be believed"
    del action["verify"], action["covers"]


def first_page_again(tree):
    tree["defs"]["list"]["pages"]["query"] = {"startIndex": "1"}


def never_confirmed(tree):
    tree["actions"]["deactivate_user"]["verify"]["expect"] = "${ .body.active == 1 and .body.active == 2 }"


def anybody_will_do(tree):
    tree["defs"]["user"]["success"] = "${ .status == 200 }"


def anybody_confirms(tree):
    tree["actions"]["deactivate_user"]["verify"]["expect"] = "${ .status == 200 and .body.active == false }"


FAULTS = {anybody_will_do: "others", anybody_confirms: "others", nothing_compared: "strangers", any_refusal_means_nobody: "odd_answers", any_refusal_means_done: "refusals",
          first_page_again: "pages", never_confirmed: "good_run"}


@pytest.mark.xdist_group("conformance-faults")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found(benches, fault):
    connector = Connector(connectors()["scim"].path)
    fault(connector.tree)
    plans = Plans(benches, {"scim": connector})
    if FAULTS[fault] == "good_run":
        with pytest.raises(AssertionError, match="no answer|wanted"):
            plans.of("scim", "deactivate_user")
    else:
        assert tried(plans.of("scim", "deactivate_user"), FAULTS[fault])


@pytest.mark.parametrize("name", ["account", "verify", "covers"])
def test_what_is_left_out_is_found(name, tmp_path):
    """What only its file can tell of a connector: whether what it shows is compared, read back, and all of it."""
    connector = Connector(connectors()["google"].path)
    for tree in (connector.tree["identify"], *connector.tree["actions"].values()):
        tree.pop(name, None)
    (tmp_path / "google.yaml").write_text(json.dumps(connector.tree, default=str))
    said = validated(tmp_path, str(tmp_path))
    assert "google.yaml" in said and "0 errors, 0 warnings" not in said
