"""A small release from its installation to its end, and what is refused before anything is made."""

import os

import pytest

from helm import Failed
from kubelet import Kubelet
from objects import selects
from release import CHART, NAME, ROOT, Release

ALL = os.path.join(ROOT, "tests", "chart", "all.yaml")
MINIMAL = os.path.join(ROOT, "tests", "chart", "minimal.yaml")


@pytest.mark.parametrize("values", [MINIMAL, ALL], ids=os.path.basename)
def test_uninstalling_leaves_what_the_customer_brought(release, values):
    """Also of hooks and the smoke test. It can be installed again."""
    here = release("ended-" + os.path.basename(values).removesuffix(".yaml"))
    here.bring(values)
    brought = here.everything()
    for _ in range(2):
        here.install(values)
        here.settled()
        here.helm.run("test", NAME, "--timeout", "30s")
        assert len(here.everything()) > len(brought)
        here.helm.run("uninstall", NAME, "--wait")
        here.awaits_only(brought)


def test_two_releases_in_a_namespace_keep_out_of_each_others_way(release):
    here = release("shared")
    here.bring(MINIMAL)
    for name in ("offboard", "offboard-emea"):
        here.helm.install(name, CHART, MINIMAL)
    here.settled()
    deployments = here.deployments()
    for pod in here.pods():
        owners = [name for name, item in deployments.items() if selects(item["spec"]["selector"], pod["metadata"]["labels"])]
        assert len(owners) == 1, (pod["metadata"]["name"], owners)
    for service in here.items("v1", "Service"):
        matched = {name for name, item in deployments.items()
                   if selects({"matchLabels": service["spec"]["selector"]}, item["spec"]["template"]["metadata"]["labels"])}
        assert len(matched) == 1, (service["metadata"]["name"], matched)


def test_a_cluster_without_operators_will_do(bare_cluster, folder):
    """Where KEDA is absent `auto` means processor time; Kubernetes' controller finds what it shall scale."""
    kubelet = Kubelet(bare_cluster.api("admin"))
    here = Release("bare", bare_cluster, kubelet, folder)
    auto = {"worker": {"autoscaling": {"kind": "auto", "minReplicas": 3}}}
    here.bring(MINIMAL, auto)
    here.install(MINIMAL, auto)
    here.settled()
    scaler, = here.items("autoscaling/v2", "HorizontalPodAutoscaler")
    conditions = {condition["type"]: condition["status"] for condition in scaler["status"]["conditions"]}
    assert conditions["AbleToScale"] == "True" and scaler["status"]["currentReplicas"] == 3
    kubelet.stop()


def test_auto_means_keda_where_it_is(release):
    here = release("auto")
    objects, _ = here.render(MINIMAL, {"worker": {"autoscaling": {"kind": "auto"}}})
    assert "ScaledObject" in {item["kind"] for item in objects}


@pytest.mark.parametrize("wrong, named", [
    ({"systems": {"okta": {"replicas": -1}}}, "/systems/okta/replicas"),
    ({"systems": {"okta": {"setings": {}}}}, "setings"),
    ({"config": {"worker": {"drain_grace": "soon"}}}, "/config/worker/drain_grace"),
    ({"config": {"kafka": {"broker": "a:9092"}}}, "broker"),
    ({"worker": {"terminationGracePeriodSeconds": 5}}, "terminationGracePeriodSeconds"),
    ({"producer": {"replicas": "two"}}, "/producer/replicas"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_value_is_named_and_nothing_is_made(module_release, wrong, named, untouched):
    before = untouched.everything()
    with pytest.raises(Failed) as failed:
        untouched.helm.install(NAME, CHART, MINIMAL, wrong)
    assert named in str(failed.value) or named.replace("/", ".").strip(".") in str(failed.value)
    assert untouched.everything() == before


@pytest.fixture(scope="module")
def untouched(module_release):
    return module_release("untouched")


def test_helm_test_says_how_the_smoke_test_ended(release):
    here = release("tried")
    here.bring(ALL)
    here.install(ALL)
    here.helm.run("test", NAME, "--timeout", "30s")
    with here.failing(lambda pod: not pod["metadata"].get("ownerReferences")):
        with pytest.raises(Failed, match="failed"):
            here.helm.run("test", NAME, "--timeout", "30s")
