"""Every action of every connector, before a vendor that refuses, says nothing, says it late or speaks of somebody else. Nobody writes
these tests: they are made from the connectors' own files (tests/conformance/README.md)."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "conformance"))

from connector import connectors
from plans import Benches, Plans
from variations import cases, families


def all_tests():
    for connector in connectors().values():
        group = pytest.mark.xdist_group(f"conformance-{connector.name}")    # one worker process for a connector
        for action in connector.actions:
            for family in ["good_run", *families(connector, action)]:
                yield pytest.param(connector.name, action, family, id=f"{connector.name}-{action}-{family}", marks=group)


@pytest.fixture(scope="module")
def plans():
    benches = Benches()
    yield Plans(benches)
    benches.close()


@pytest.mark.parametrize("system, action, family", all_tests())
def test_action(plans, system, action, family):
    plan = plans.of(system, action)
    if family == "good_run":
        assert not plan.missed, f"no good run makes the requests {list(plan.missed)}: {plan.missed}"
        return
    tried = [case for case in cases(plan) if case.family == family]
    assert tried, f"no good run of {system} {action} has a place where this could be tried"
    findings = [f"{case.name}: {finding}" for case in tried if (finding := case.go())]
    assert not findings, f"{len(findings)} of {len(tried)} cases\n\n" + "\n\n".join(findings)
