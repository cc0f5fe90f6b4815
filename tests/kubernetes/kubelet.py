"""What scheduler and kubelets do to pods, as the API server sees it; no container runs.

A pod is bound to a node. When every ConfigMap and Secret that it needs is there, with the keys that it names, it becomes ready, or,
if it is one that ends (a Job's, a test's), it succeeds; else it waits and is looked at again. A deleted pod goes after its
containers would have ended. Everything that happens to pods is kept in order, so that a test can tell afterwards what was true at
every moment, and not only when it looked."""

from collections.abc import Callable

from api import Api, Refused
from objects import needs
from watcher import Watcher

_NODES = ("node-a", "node-b", "node-c")


class Kubelet(Watcher):
    """Works from construction until `stop`."""

    def __init__(self, api: Api) -> None:
        super().__init__(api, "v1", "Pod")
        self._bound = self._addresses = 0
        self._waiting: dict[str, dict] = {}
        # What a test decides: pods that don't become ready, pods whose containers fail. Both are asked about each pod.
        self.unready: Callable[[dict], bool] = lambda pod: False
        self.failing: Callable[[dict], bool] = lambda pod: False
        self.events: list[tuple[str, dict]] = []
        self.complaints: dict[str, str] = {}
        for node in _NODES:
            api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": {
                "kubernetes.io/hostname": node, "topology.kubernetes.io/zone": node.replace("node", "zone")}}})
        self.start()

    def happened(self, what: str, pod: dict) -> None:
        self.events.append((what, pod))
        name = _name(pod)
        self._waiting.pop(name, None)
        self.complaints.pop(name, None)
        if what != "DELETED":
            self._attend(pod)

    def look_again(self) -> None:
        for pod in list(self._waiting.values()):
            self._attend(pod)

    def _attend(self, pod: dict) -> None:
        """The next thing that has to be done for a pod; the event that it causes leads to the one after."""
        if pod["metadata"].get("deletionTimestamp"):
            self._api.call("DELETE", self._pod_path(pod), {"gracePeriodSeconds": 0,
                                                           "preconditions": {"uid": pod["metadata"]["uid"]}})
        elif not pod["spec"].get("nodeName"):
            self._bind(pod)
        elif pod["status"].get("phase", "Pending") in ("Pending", "Running") and not is_ready(pod):
            self._start(pod)

    def _bind(self, pod: dict) -> None:
        self._bound += 1
        self._api.call("POST", self._pod_path(pod) + "/binding", {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": _NODES[self._bound % len(_NODES)]}})

    def _start(self, pod: dict) -> None:
        missing = self._missing(pod)
        if missing or self.unready(pod):
            if missing:
                self.complaints[_name(pod)] = missing
            self._waiting[_name(pod)] = pod
            return
        self._addresses += 1
        phase, ready = "Running", "True"
        if pod["spec"]["restartPolicy"] != "Always":
            phase, ready = "Failed" if self.failing(pod) else "Succeeded", "False"
        conditions = [{"type": kind, "status": ready} for kind in ("Initialized", "ContainersReady", "Ready")]
        self._api.call("PATCH", self._pod_path(pod) + "/status", {
            "metadata": {"uid": pod["metadata"]["uid"]},
            "status": {"phase": phase, "conditions": conditions, "podIP": _address(self._addresses),
                       "podIPs": [{"ip": _address(self._addresses)}]}}, content_type="application/strategic-merge-patch+json")

    def _missing(self, pod: dict) -> str:
        """The first thing that would keep the pod's containers from starting; empty: nothing does."""
        for kind, name, keys in needs(pod["spec"]):
            try:
                item = self._api.get("v1", kind, pod["metadata"]["namespace"], name)
            except Refused:
                return f"there is no {kind} {name}"
            present = {**item.get("data", {}), **item.get("binaryData", {})}
            for key in keys:
                if key not in present:
                    return f"{kind} {name} has no key {key}"
        return ""

    def _pod_path(self, pod: dict) -> str:
        return self._api.path("v1", "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])


def is_ready(pod: dict) -> bool:
    """And wanted: one that is being deleted takes no more work."""
    return not pod["metadata"].get("deletionTimestamp") and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"].get("conditions", []))


def _name(pod: dict) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _address(number: int) -> str:
    return f"10.244.{number // 250}.{number % 250 + 1}"
