"""What the chart renders is what the API server takes: its schemas, with every unknown field refused, and its admission."""

import glob
import os

import pytest

from api import Refused
from release import ROOT

VALUES = sorted(glob.glob(os.path.join(ROOT, "tests", "chart", "*.yaml")))


@pytest.mark.parametrize("values", VALUES, ids=os.path.basename)
def test_every_object_is_accepted(release, values):
    """Hooks and the test's pod, too. A pod template is tried as the pod it will be: only pods are held to be `restricted`."""
    here = release("accepted-" + os.path.basename(values).removesuffix(".yaml"))
    objects, hooks = here.render(values)
    assert {"Deployment", "ServiceAccount", "ConfigMap"} <= {item["kind"] for item in objects}
    assert "Job" in {item["kind"] for item in hooks}
    refused = []

    def try_out(item: dict, name: str, dry_run: bool = True) -> None:
        try:
            here.installer.create(item, here.namespace, dry_run=dry_run)
        except Refused as error:
            refused.append(f"{name}: {error}")

    for item in [*objects, *hooks]:
        # Pods are admitted only where their service account is.
        try_out(item, f"{item['kind']} {item['metadata']['name']}", dry_run=item["kind"] != "ServiceAccount")
    for item in [*objects, *hooks]:
        if item["kind"] in ("Deployment", "Job"):
            template = item["spec"]["template"]
            try_out({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                     "metadata": {**template["metadata"], "name": item["metadata"]["name"]}}, f"a pod of {item['metadata']['name']}")
    assert not refused, "\n".join(refused)


def test_what_is_misspelt_or_not_restricted_is_refused(release):
    """The two tests above can fail: this server does refuse."""
    here = release("refused")
    container = {"name": "a", "image": "a", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {
        "containers": [container], "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}}}
    here.installer.create(pod, here.namespace, dry_run=True)
    for change, word in [({"containers": [{**container, "securityContext": {}}]}, "restricted"),
                         ({"containers": [{**container, "livenesProbe": {}}]}, "livenesProbe")]:
        with pytest.raises(Refused, match=word):
            here.installer.create({**pod, "spec": {**pod["spec"], **change}}, here.namespace, dry_run=True)
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a"}, "spec": {
        "scaleTargetRef": {"name": "a"}, "triggers": [{"type": "kafka", "metadata": {"lagThreshold": "5"}}]}}
    here.installer.create(scaled, here.namespace, dry_run=True)
    with pytest.raises(Refused, match="maxReplicas"):
        here.installer.create({**scaled, "spec": {**scaled["spec"], "maxReplicas": 3}}, here.namespace, dry_run=True)
    with pytest.raises(Refused, match="cannot create resource"):
        here.installer.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "another"}}, dry_run=True)
