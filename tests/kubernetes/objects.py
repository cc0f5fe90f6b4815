"""What Kubernetes' objects say, worked out as its parts do it: selectors, references, reachability."""

import ipaddress
from collections.abc import Iterator


def selects(selector: dict | None, labels: dict) -> bool:
    """A LabelSelector; an empty one selects everything, none selects nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_expression(term, labels) for term in selector.get("matchExpressions", []))


def _expression(term: dict, labels: dict) -> bool:
    value = labels.get(term["key"])
    return {
        "In": lambda: value in term["values"],
        "NotIn": lambda: value not in term["values"],
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }[term["operator"]]()


def containers(spec: dict) -> list[dict]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def needs(spec: dict) -> Iterator[tuple[str, str, list[str]]]:
    """(kind, name, keys) of the ConfigMaps and Secrets without which a kubelet does not start a pod's containers."""
    for volume in spec.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            for kind, member, name in [("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")]:
                part = source.get(member)
                if part and not part.get("optional"):
                    # In a projection a Secret has a `name`, too.
                    yield kind, part.get(name) or part["name"], [item["key"] for item in part.get("items", [])]
    for container in containers(spec):
        for source in container.get("envFrom", []):
            for kind, member in [("ConfigMap", "configMapRef"), ("Secret", "secretRef")]:
                if member in source and not source[member].get("optional"):
                    yield kind, source[member]["name"], []
        for variable in container.get("env", []):
            for kind, member in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")]:
                part = variable.get("valueFrom", {}).get(member)
                if part and not part.get("optional"):
                    yield kind, part["name"], [part["key"]]


def promised_ready(deployment: dict) -> int:
    """The fewest ready pods that a rolling update leaves."""
    replicas, strategy = deployment["spec"]["replicas"], deployment["spec"]["strategy"]
    if strategy["type"] == "Recreate":
        return 0
    unavailable = strategy["rollingUpdate"]["maxUnavailable"]
    if isinstance(unavailable, str):
        unavailable = int(unavailable.removesuffix("%")) * replicas // 100
    return replicas - unavailable


# ---- network policies: what a network plug-in would let pass ---------------------------------------------------------------


class Peer:
    """The other end of a connection: a pod (its labels, its namespace's labels), or an address outside."""

    def __init__(self, address: str = "", labels: dict | None = None, namespace: dict | None = None) -> None:
        self.address = ipaddress.ip_address(address) if address else None
        self.labels = labels
        self.namespace = namespace or {}

    def __repr__(self) -> str:
        return str(self.address or f"{self.labels} in {self.namespace}")


def passes(policies: list[dict], pod: dict, direction: str, peer: Peer, port: int | str, protocol: str = "TCP") -> bool:
    """Whether the policies of a pod's namespace let it connect (`egress`), or be connected (`ingress`)."""
    about = [policy["spec"] for policy in policies
             if selects(policy["spec"]["podSelector"], pod["metadata"]["labels"])
             and direction.capitalize() in policy["spec"]["policyTypes"]]
    if not about:
        return True
    member = {"egress": "to", "ingress": "from"}[direction]
    return any(_rule_has_port(rule, port, protocol) and _rule_has_peer(rule, member, peer, pod["metadata"]["namespace"])
               for spec in about for rule in spec.get(direction, []))


def _rule_has_port(rule: dict, port: int | str, protocol: str) -> bool:
    ports = rule.get("ports", [])
    return not ports or any(
        entry.get("protocol", "TCP") == protocol
        and ("port" not in entry or entry["port"] == port
             or isinstance(port, int) and isinstance(entry["port"], int) and entry["port"] <= port <= entry.get("endPort", 0))
        for entry in ports)


def _rule_has_peer(rule: dict, member: str, peer: Peer, own_namespace: str) -> bool:
    return not rule.get(member) or any(_is_peer(entry, peer, own_namespace) for entry in rule[member])


def _is_peer(entry: dict, peer: Peer, own_namespace: str) -> bool:
    if "ipBlock" in entry:
        block = entry["ipBlock"]
        return peer.address is not None and _within(peer.address, block["cidr"]) and not any(
            _within(peer.address, hole) for hole in block.get("except", []))
    if peer.labels is None:
        return False
    if "namespaceSelector" in entry:
        if not selects(entry["namespaceSelector"], peer.namespace):
            return False
    elif peer.namespace.get("kubernetes.io/metadata.name") != own_namespace:
        return False
    return "podSelector" not in entry or selects(entry["podSelector"], peer.labels)


def _within(address, block: str) -> bool:
    network = ipaddress.ip_network(block)
    return address.version == network.version and address in network
