"""A release of the chart in a namespace of its own, where pods have to be `restricted`, installed by somebody who may do what the role
`admin` allows in that namespace and nothing else."""

import contextlib
import json
import os
import re

from api import Refused
from cluster import Cluster
from helm import Failed, Helm, objects_of
from kubelet import Kubelet
from objects import needs, selects
from process import wait_until

NAME = "offboard"
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHART = os.path.join(ROOT, "helm", "offboard")
PRODUCTION = os.path.join(ROOT, "tests", "chart", "production.yaml")

APPS = "apps/v1"
# What the cluster itself puts into every namespace, and what only reports.
_ALWAYS_THERE = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"), ("RoleBinding", "installer")}
_REPORTS = {"Event", "PodMetrics"}


class Release:
    def __init__(self, name: str, cluster: Cluster, kubelet: Kubelet, folder: str) -> None:
        self.namespace = name
        self.kubelet = kubelet
        self.admin = cluster.api("admin")
        self.installer = cluster.api("installer")
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
        self.admin.create({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "installer"},
            "subjects": [{"kind": "User", "name": "installer", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": "admin", "apiGroup": "rbac.authorization.k8s.io"}}, name)
        program = os.environ["HELM"]
        self.helm = Helm(program, os.path.join(folder, f"helm-{name}"), cluster.kubeconfig("installer"), name)
        wait_until(lambda: self.installer.get("v1", "ServiceAccount", name, "default"), 20, "the namespace is ready")

    # ---- helm -------------------------------------------------------------------------------------------------------

    def render(self, *values) -> tuple[list[dict], list[dict]]:
        """Objects and hooks that an installation would make in this cluster."""
        told = self._rehearse(*values)
        return objects_of(told["manifest"]), _hooks(told)

    def _rehearse(self, *values) -> dict:
        return json.loads(self.helm.run("install", NAME, CHART, *self.helm.values(*values), "--dry-run=server", "--output", "json"))

    def bring(self, *values) -> None:
        """What an installation expects to be there: the customer's Secrets, unless an operator is to make them, and the ConfigMaps with
        definitions that the values name. Nothing else may be missing."""
        told = self._rehearse(*values)
        made = [*objects_of(told["manifest"]), *_hooks(told)]
        named = {name for part in told["config"].get("definitions", {}).values() for name in part.get("configMaps", [])}
        wanted: dict[tuple[str, str], set] = {}
        for item in made:
            for kind, name, keys in needs(pod_spec(item) or {"containers": []}):
                wanted.setdefault((kind, name), set()).update(keys)
        there = {(item["kind"].removeprefix("External"), item["metadata"]["name"]) for item in made}
        for kind, name in wanted.keys() - there:
            assert kind == "Secret" or name in named, f"there is no {kind} {name}, and the values don't name it"
            member = "stringData" if kind == "Secret" else "data"
            self.give({"apiVersion": "v1", "kind": kind, "metadata": {"name": name},
                       member: {key: f"value of {key}" for key in sorted(wanted[kind, name])}})

    def give(self, item: dict) -> None:
        """An object of the customer's own, new or changed."""
        item = {**item, "metadata": {**item["metadata"], "namespace": self.namespace}}
        try:
            self.installer.create(item)
        except Refused as refused:
            if refused.status != 409:
                raise
            self.installer.patch(item, item)

    def install(self, *values) -> None:
        """Returns when every hook has succeeded and every Deployment has its ready pods."""
        self._told_why(lambda: self.helm.install(NAME, CHART, *values))

    def upgrade(self, *values, chart: str = CHART) -> None:
        self._told_why(lambda: self.helm.upgrade(NAME, chart, *values))

    def rollback(self, revision: int) -> None:
        self._told_why(lambda: self.helm.rollback(NAME, revision))

    def _told_why(self, action) -> None:
        """helm says that it has waited in vain; the kubelet knows for what."""
        try:
            action()
        except Failed as failed:
            why = [f"{pod}: {text}" for pod, text in sorted(self.kubelet.complaints.items())
                   if pod.startswith(f"{self.namespace}/")]
            raise Failed("\n".join([str(failed), *why])) from None

    def settled(self) -> None:
        """Every Deployment has rolled to its end: as many pods as it and its autoscaler want, all new, all ready."""
        def at_rest() -> bool:
            least = {item["spec"]["scaleTargetRef"]["name"]: item["spec"].get("minReplicas", 1)
                     for item in self.items("autoscaling/v2", "HorizontalPodAutoscaler")}
            if any(item["spec"]["replicas"] < least.get(name, 0) for name, item in self.deployments().items()):
                return False
            for deployment in self.deployments().values():
                status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
                if status.get("observedGeneration") != deployment["metadata"]["generation"]:
                    return False
                if any(status.get(name, 0) != wanted for name in ("replicas", "updatedReplicas", "readyReplicas")):
                    return False
            return True

        wait_until(at_rest, 60, "every Deployment is at rest")

    def unready(self, predicate):
        """Pods of this namespace that start and don't get ready, for the time of a block."""
        return self._decides("unready", predicate)

    def failing(self, predicate):
        """Pods of Jobs in this namespace whose containers fail, for the time of a block."""
        return self._decides("failing", predicate)

    @contextlib.contextmanager
    def _decides(self, what: str, predicate):
        before = getattr(self.kubelet, what)
        setattr(self.kubelet, what, lambda pod: pod["metadata"]["namespace"] == self.namespace and predicate(pod))
        try:
            yield
        finally:
            setattr(self.kubelet, what, before)

    # ---- what is there ----------------------------------------------------------------------------------------------

    def items(self, version: str, kind: str) -> list[dict]:
        return self.admin.items(version, kind, self.namespace)

    def deployments(self) -> dict[str, dict]:
        return {item["metadata"]["name"]: item for item in self.items(APPS, "Deployment")}

    def pods(self) -> list[dict]:
        """Those that aren't being deleted."""
        return [pod for pod in self.items("v1", "Pod") if not pod["metadata"].get("deletionTimestamp")]

    def pods_of(self, deployment: dict) -> list[dict]:
        return [pod for pod in self.pods() if selects(deployment["spec"]["selector"], pod["metadata"]["labels"])]

    def templates(self) -> dict[str, str]:
        """Of each Deployment, the hash of the pod template that its ReplicaSet with pods has. One has to be at rest."""
        found: dict[str, str] = {}
        for replica_set in self.items(APPS, "ReplicaSet"):
            if replica_set["spec"]["replicas"]:
                owner = replica_set["metadata"]["ownerReferences"][0]["name"]
                assert owner not in found, f"{owner} is still rolling"
                found[owner] = replica_set["metadata"]["labels"]["pod-template-hash"]
        return found

    def everything(self) -> set[tuple[str, str]]:
        """(kind, name) of every object in the namespace, except what belongs to any namespace."""
        found = set()
        for version in self.admin.versions():
            for kind, resource in self.admin.resources(version).items():
                if resource["namespaced"] and "list" in resource["verbs"] and kind not in _REPORTS:
                    found |= {(kind, item["metadata"]["name"]) for item in self.items(version, kind)}
        return found - _ALWAYS_THERE

    def awaits_only(self, expected: set[tuple[str, str]]) -> None:
        """Waits until everything else has gone."""
        left = []

        def gone() -> bool:
            left[:] = self.everything() - expected
            return not left

        try:
            wait_until(gone, 15, "everything else has gone")
        except AssertionError:
            raise AssertionError(f"left behind: {sorted(left)}") from None
        assert self.everything() == expected

    def remove(self) -> None:
        """The namespace is cleared up by its controller; nobody waits for it."""
        self.admin.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})


def _hooks(told: dict) -> list[dict]:
    return [item for hook in told.get("hooks") or [] for item in objects_of(hook["manifest"])]


def pod_spec(item: dict) -> dict | None:
    """Of what makes pods, the pods' specification."""
    if item["kind"] == "Pod":
        return item["spec"]
    return item.get("spec", {}).get("template", {}).get("spec")


def program_of(deployment: dict) -> str:
    """The word that tells what a Deployment runs: `producer`, `logger`, `scheduler`, or a worker's system."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    words = [*container.get("command", []), *container.get("args", [])]
    if "--system" in words:
        return words[words.index("--system") + 1]
    found = re.search(r"offboard-(producer|logger|scheduler)", " ".join([*words, container["name"]]))
    return found[1] if found else container["name"]
