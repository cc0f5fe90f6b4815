"""What the operators do whose kinds the chart uses, as far as the chart's other objects wait for it."""

from api import Api, Refused
from watcher import Watcher


class Keda(Watcher):
    """KEDA makes a HorizontalPodAutoscaler of each ScaledObject; Kubernetes' own controller does the rest."""

    def __init__(self, api: Api) -> None:
        super().__init__(api, "keda.sh/v1alpha1", "ScaledObject")
        self.start()

    def happened(self, what: str, item: dict) -> None:
        if what != "ADDED":
            return
        spec = item["spec"]
        metrics = [{"type": "External", "external": {
            "metric": {"name": f"s{number}-kafka"},
            "target": {"type": "AverageValue", "averageValue": trigger["metadata"]["lagThreshold"]}}}
            for number, trigger in enumerate(spec["triggers"])]
        self._api.create({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": _made_of(item, f"keda-hpa-{item['metadata']['name']}"),
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec["scaleTargetRef"]["name"]},
                     "minReplicas": spec["minReplicaCount"], "maxReplicas": spec["maxReplicaCount"], "metrics": metrics}})


class ExternalSecrets(Watcher):
    """Makes the Secret of each ExternalSecret, with the keys that it names."""

    def __init__(self, api: Api) -> None:
        super().__init__(api, "external-secrets.io/v1", "ExternalSecret")
        self.start()

    def happened(self, what: str, item: dict) -> None:
        if what == "DELETED":
            return
        name = item["spec"].get("target", {}).get("name", item["metadata"]["name"])
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": _made_of(item, name),
                  "stringData": {part["secretKey"]: f"from the store: {part['remoteRef']['key']}" for part in item["spec"]["data"]}}
        try:
            self._api.create(secret)
        except Refused as refused:
            if refused.status != 409:
                raise
            self._api.patch(secret, secret)


def _made_of(owner: dict, name: str) -> dict:
    """Metadata of what goes when its owner goes."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                 "uid": owner["metadata"]["uid"]}
    return {"name": name, "namespace": owner["metadata"]["namespace"], "ownerReferences": [reference]}
