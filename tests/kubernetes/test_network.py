"""Who may speak to whom, worked out from the live network policies and the live pods of an installation. Both ends have to agree."""

import pytest

from objects import Peer, passes
from release import NAME, program_of

PROCESSES = ("producer", "vault", "logger", "scheduler")


def there(namespace: str) -> dict:
    return {"kubernetes.io/metadata.name": namespace}


KAFKA = Peer(labels={"app": "kafka"}, namespace=there("kafka"))
DNS = Peer(labels={"k8s-app": "kube-dns"}, namespace=there("kube-system"))
POSTGRES = Peer("10.20.0.5")
VENDOR = Peer("198.51.100.7")
# Where tests/chart/production.yaml has a system of one's own network, or a proxy.
MAIL = Peer("10.50.0.25")
ELSEWHERE = {"ad": (Peer("10.30.0.5"), 636), "email": (MAIL, 587), "manual": (MAIL, 587), "github": (Peer("10.40.0.8"), 3128)}
PROMETHEUS = Peer(labels={"app": "prometheus"}, namespace=there("monitoring"))
INGRESS = Peer(labels={"app": "ingress"}, namespace=there("ingress-nginx"))
STRANGER = Peer(labels={"app": "anything"}, namespace=there("elsewhere"))


class Network:
    def __init__(self, release) -> None:
        self.policies = release.items("networking.k8s.io/v1", "NetworkPolicy")
        self.namespace = release.namespace
        self.pods = {program_of(item): release.pods_of(item)[0] for item in release.deployments().values()}

    def reached_by(self, peer: Peer, port: int, protocol: str = "TCP") -> set[str]:
        """Programs that may connect to it."""
        return {program for program, pod in self.pods.items() if passes(self.policies, pod, "egress", peer, port, protocol)}

    def open_to(self, peer: Peer, port: str) -> set[str]:
        """Programs whose port of that name may be connected to by it."""
        return {program for program, pod in self.pods.items() if passes(self.policies, pod, "ingress", peer, port)}

    def own(self, pod: dict) -> Peer:
        return Peer(labels=pod["metadata"]["labels"], namespace=there(self.namespace))


@pytest.fixture(scope="module")
def network(bank):
    return Network(bank)


def test_everybody_reaches_kafka_and_dns(network):
    everybody = set(network.pods)
    assert network.reached_by(KAFKA, 9093) == network.reached_by(DNS, 53, "UDP") == network.reached_by(DNS, 53) == everybody
    assert network.reached_by(KAFKA, 9092) == network.reached_by(DNS, 5353, "UDP") == set()


def test_postgresql_is_for_logger_and_scheduler(network):
    assert network.reached_by(POSTGRES, 5432) == {"logger", "scheduler"}


def test_a_worker_reaches_its_vendor_and_no_other_system(network):
    workers = set(network.pods) - set(PROCESSES)
    for worker in workers:
        for other, (peer, port) in {**dict.fromkeys(workers - set(ELSEWHERE), (VENDOR, 443)), **ELSEWHERE}.items():
            same = ELSEWHERE.get(worker, (VENDOR, 443)) == (peer, port)
            assert (worker in network.reached_by(peer, port)) == (worker == other or same), (worker, other)
    assert not (network.reached_by(VENDOR, 443) | network.reached_by(VENDOR, 587)) & set(PROCESSES)


def test_nobody_reaches_what_no_system_is(network):
    """The machine's metadata service, the nodes, other pods, other ports."""
    for address, port in [("169.254.169.254", 80), ("10.0.0.1", 10250), ("10.0.0.1", 22), ("198.51.100.7", 80), ("198.51.100.7", 25)]:
        assert network.reached_by(Peer(address), port) == set(), (address, port)
    assert network.reached_by(STRANGER, 8080) == set()
    for pod in network.pods.values():
        assert network.reached_by(network.own(pod), 8080) == network.reached_by(network.own(pod), 9090) == set()


def test_a_proxy_that_is_set_can_be_reached(network):
    for program, pod in network.pods.items():
        for variable in [variable for container in pod["spec"]["containers"] for variable in container.get("env", [])]:
            if variable["name"].endswith("_proxy") and variable["name"] != "no_proxy":
                peer, port = ELSEWHERE.get(program, (VENDOR, 443))
                assert variable["value"].endswith(f":{port}"), f"{program} may not reach {variable['value']}"


def test_metrics_are_for_prometheus_and_the_edge_for_the_ingress(network):
    assert network.open_to(PROMETHEUS, "metrics") == set(network.pods) and network.open_to(PROMETHEUS, "http") == set()
    assert network.open_to(INGRESS, "http") == {"producer"} and network.open_to(INGRESS, "metrics") == set()
    assert network.open_to(STRANGER, "http") == network.open_to(STRANGER, "metrics") == set()


def test_the_smoke_test_reaches_the_producer(bank, network):
    """Its own policy lets it out, and the producer's lets it in."""
    pod, = (hook for hook in bank.helm.hooks(NAME) if hook["kind"] == "Pod")
    pod["metadata"]["namespace"] = bank.namespace
    producer = network.pods["producer"]
    assert passes(network.policies, pod, "egress", network.own(producer), 8080)
    assert passes(network.policies, producer, "ingress", network.own(pod), "http")
    assert passes(network.policies, pod, "egress", POSTGRES, 5432), "it reads how the offboarding ended"
    assert not passes(network.policies, pod, "egress", VENDOR, 443)


def test_migrations_and_topics_reach_what_they_change(bank):
    """With the policies that are hooks, too: the others aren't there yet when an installation begins."""
    hooks = bank.helm.hooks(NAME)
    job, = (hook for hook in hooks if hook["kind"] == "Job")
    pod = {"metadata": {**job["spec"]["template"]["metadata"], "namespace": bank.namespace}}
    policies = [hook for hook in hooks if hook["kind"] == "NetworkPolicy"]
    for peer, port, allowed in [(POSTGRES, 5432, True), (KAFKA, 9093, True), (DNS, 53, True), (VENDOR, 443, False)]:
        assert passes(policies, pod, "egress", peer, port) == allowed, peer
    assert not passes(policies, pod, "ingress", PROMETHEUS, "http")
