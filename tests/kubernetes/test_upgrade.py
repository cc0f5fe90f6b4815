"""Upgrades and rollbacks of a release with twenty systems: who is restarted, and what stays up meanwhile."""

import contextlib
import os
import shutil

import pytest
import yaml

from helm import Failed
from kubelet import is_ready
from objects import needs, promised_ready, selects
from process import wait_until
from release import CHART, NAME, PRODUCTION, program_of


def own_connector(text: str) -> dict:
    return {"definitions": {"connectors": {"files": {"payroll.yaml": text}}}}


INSTALLED = PRODUCTION, own_connector("system: payroll\n")
ANOTHER_IMAGE = {"image": {"digest": "sha256:" + "ef" * 32}}
OKTA_SLOWER = {"systems": {"okta": {"settings": {"per_minute": 30}}}}


@pytest.fixture(scope="module")
def running(module_release):
    release = module_release("upgraded")
    release.bring(*INSTALLED)
    release.install(*INSTALLED)
    release.settled()
    return release


@pytest.fixture
def bank(running):
    """As it was installed, before and after the test."""
    before = running.templates()
    revision = int(running.helm.history(NAME)[-1]["revision"])
    yield running
    running.rollback(revision)
    running.settled()
    assert running.templates() == before, "a rollback brings the old pod templates back"


def read_by(release) -> dict[str, dict]:
    """Of each program, the content of every ConfigMap that its pods read."""
    maps = {item["metadata"]["name"]: item.get("data", {}) for item in release.items("v1", "ConfigMap")}
    return {program_of(deployment): {name: {key: text for key, text in maps[name].items() if not keys or key in keys}
                                     for kind, name, keys in needs(deployment["spec"]["template"]["spec"]) if kind == "ConfigMap"}
            for deployment in release.deployments().values()}


def upgraded(release, *values) -> tuple[set, set]:
    """Programs that an upgrade has restarted, and those that read something that it has changed."""
    templates, read = release.templates(), read_by(release)
    programs = {name: program_of(deployment) for name, deployment in release.deployments().items()}
    release.upgrade(*INSTALLED, *values)
    release.settled()
    after, read_after = release.templates(), read_by(release)
    assert set(after) == set(templates)
    return ({programs[name] for name in templates if after[name] != templates[name]},
            {program for program in read if read_after[program] != read[program]})


def test_a_changed_connector_restarts_those_that_read_connectors(bank):
    restarted, concerned = upgraded(bank, own_connector("system: payroll\n# another text\n"))
    assert restarted == concerned
    assert "producer" in restarted and not restarted & {"logger", "scheduler"}


def test_a_changed_rate_limit_restarts_its_system_alone(bank):
    restarted, concerned = upgraded(bank, OKTA_SLOWER)
    assert restarted == concerned == {"okta"}


def test_an_upgrade_that_changes_nothing_restarts_nobody(bank):
    assert upgraded(bank) == (set(), set())


def test_a_new_chart_with_the_same_image_restarts_nobody(bank, tmp_path):
    """As when only an alert rule has changed."""
    chart = str(tmp_path / "chart")
    shutil.copytree(CHART, chart)
    with open(os.path.join(chart, "Chart.yaml"), encoding="utf-8") as file:
        about = yaml.safe_load(file)
    with open(os.path.join(chart, "Chart.yaml"), "w", encoding="utf-8") as file:
        yaml.safe_dump({**about, "version": "99.0.0"}, file)
    before = bank.templates()
    bank.upgrade(*INSTALLED, chart=chart)
    bank.settled()
    assert bank.templates() == before


def test_what_concerns_all_restarts_all(bank):
    restarted, concerned = upgraded(bank, {"config": {"kafka": {"brokers": "elsewhere:9092"}}})
    assert restarted == concerned == {program_of(item) for item in bank.deployments().values()}


def test_each_new_image_is_ready_before_an_old_one_goes(bank):
    """Every process is replaced. Told from the order of all that happened to the pods, not from looking now and then."""
    with Watched(bank) as watched:
        restarted, _ = upgraded(bank, ANOTHER_IMAGE)
    assert restarted == {program_of(item) for item in bank.deployments().values()}
    for name, fewest in watched.fewest.items():
        deployment = bank.deployments()[name]
        assert fewest >= promised_ready(deployment), (name, fewest, deployment["spec"]["strategy"])
        # Two are there so that somebody always serves the partitions, or answers HR.
        assert fewest >= 1 or deployment["spec"]["replicas"] == 1, name


def test_a_version_that_does_not_come_up_takes_nobody_away(bank):
    """The old pods stay as many as promised, and the rollback needs none of the new ones."""
    digest = ANOTHER_IMAGE["image"]["digest"]
    with bank.unready(lambda pod: pod["spec"]["containers"][0]["image"].endswith(digest)), Watched(bank) as watched:
        with pytest.raises(Failed):
            bank.helm.upgrade(NAME, CHART, *INSTALLED, ANOTHER_IMAGE, timeout="5s")
        bank.rollback(int(bank.helm.history(NAME)[-2]["revision"]))
        bank.settled()
    for name, fewest in watched.fewest.items():
        assert fewest >= promised_ready(bank.deployments()[name]), name


def test_nothing_is_replaced_when_the_migration_fails(bank):
    before = bank.templates()
    with bank.failing(lambda pod: any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))):
        with pytest.raises(Failed, match="pre-upgrade hooks failed"):
            bank.upgrade(*INSTALLED, {**ANOTHER_IMAGE, "setup": {"backoffLimit": 0}})
    assert bank.templates() == before
    bank.settled()


def test_a_system_that_is_switched_off_goes_with_all_that_is_its_own(bank):
    """Nobody else is restarted. The rollback brings it back."""
    before, templates = bank.everything(), bank.templates()
    bank.upgrade(*INSTALLED, {"systems": {"zoom": {"enabled": False}}})
    bank.settled()
    wait_until(lambda: not any("zoom" in name for kind, name in bank.everything() - {("Secret", "offboard-zoom")}), 20,
               "nothing of it is left but the customer's Secret")
    gone = {kind for kind, name in before if name == "offboard-worker-zoom"}
    assert {"Deployment", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "ScaledObject"} <= gone
    assert bank.templates() == {name: value for name, value in templates.items() if name != "offboard-worker-zoom"}


def test_an_upgrade_leaves_the_autoscalers_count_alone(bank):
    scaled = next(item for item in bank.deployments().values() if program_of(item) == autoscaled(bank))
    wanted = scaled["spec"]["replicas"] + 1
    bank.admin.patch(scaled, {"spec": {"replicas": wanted}}, subresource="/scale")
    bank.settled()
    bank.upgrade(*INSTALLED, OKTA_SLOWER, ANOTHER_IMAGE)
    bank.settled()
    assert bank.deployments()[scaled["metadata"]["name"]]["spec"]["replicas"] == wanted


def autoscaled(release) -> str:
    """A program that something scales."""
    names = [item["spec"]["scaleTargetRef"]["name"] for item in release.items("keda.sh/v1alpha1", "ScaledObject")]
    return program_of(release.deployments()[names[0]])


class Watched(contextlib.AbstractContextManager):
    """Of each Deployment, the fewest ready pods that there were at any moment of the block."""

    def __init__(self, release) -> None:
        self._release = release
        self.fewest: dict[str, int] = {}

    def __enter__(self):
        self._from = len(self._release.kubelet.events)
        self._before = self._release.pods()
        return self

    def __exit__(self, *failure) -> None:
        if failure[0]:
            return
        self._wait_for_the_last()
        events = [(what, pod) for what, pod in self._release.kubelet.events[self._from:]
                  if pod["metadata"]["namespace"] == self._release.namespace]
        for name, deployment in self._release.deployments().items():
            ready = {pod["metadata"]["uid"] for pod in self._before if is_ready(pod) and _owns(deployment, pod)}
            self.fewest[name] = len(ready)
            for what, pod in events:
                if not _owns(deployment, pod):
                    continue
                if what != "DELETED" and is_ready(pod):
                    ready.add(pod["metadata"]["uid"])
                else:
                    ready.discard(pod["metadata"]["uid"])
                self.fewest[name] = min(self.fewest[name], len(ready))

    def _wait_for_the_last(self) -> None:
        """Until the kubelet has seen what is true now."""
        pod = self._release.pods()[0]
        mark = str(len(self._release.kubelet.events))
        self._release.admin.patch(pod, {"metadata": {"annotations": {"tests/mark": mark}}})
        wait_until(lambda: any(seen["metadata"].get("annotations", {}).get("tests/mark") == mark
                               for _, seen in self._release.kubelet.events[self._from:]), 20, "the kubelet has seen it all")


def _owns(deployment: dict, pod: dict) -> bool:
    return selects(deployment["spec"]["selector"], pod["metadata"]["labels"])
