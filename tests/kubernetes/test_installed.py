"""An installation with the values of a company with twenty systems, seen from the live objects."""

from api import Refused
from objects import containers, needs, selects
from process import wait_until
from release import program_of

POLICY, NETWORK, AUTOSCALING = "policy/v1", "networking.k8s.io/v1", "autoscaling/v2"


def test_every_process_runs(bank):
    """Hooks have succeeded, each Deployment has the pods that it wants; nothing waits for a ConfigMap or Secret."""
    deployments = bank.deployments()
    programs = [program_of(deployment) for deployment in deployments.values()]
    assert len(programs) == len(set(programs)) >= 23
    assert {"producer", "vault", "logger", "scheduler", "okta", "google", "slack"} <= set(programs)
    for name, deployment in deployments.items():
        assert deployment["spec"]["replicas"] == len(bank.pods_of(deployment)) >= 1, name
    assert not [pod for pod in bank.kubelet.complaints if pod.startswith("bank/")]
    assert bank.helm.history("offboard")[-1]["status"] == "deployed"


def test_the_hooks_have_run_before_anything_else(bank):
    jobs = {}
    others = []
    for what, pod in bank.kubelet.events:
        if pod["metadata"]["namespace"] != "bank":
            continue
        if any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", [])):
            jobs[pod["metadata"]["name"]] = pod["status"]["phase"]
        elif what == "ADDED":
            others.append(dict(jobs))
    assert jobs and others
    assert all(seen and set(seen.values()) == {"Succeeded"} for seen in others)


def test_no_pod_can_speak_to_the_api_server(bank):
    for pod in bank.pods():
        name = pod["metadata"]["name"]
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["enableServiceLinks"] is False, name
        assert not [source for volume in pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", [])
                    if "serviceAccountToken" in source], name
        assert pod["spec"]["serviceAccountName"] != "default", name
    assert not bank.items("rbac.authorization.k8s.io/v1", "Role")
    assert [item["metadata"]["name"] for item in bank.items("rbac.authorization.k8s.io/v1", "RoleBinding")] == ["installer"]


def test_a_pod_belongs_to_one_deployment(bank):
    """Two whose selectors overlap would count each other's pods."""
    deployments = bank.deployments()
    for pod in bank.pods():
        owners = [name for name, deployment in deployments.items()
                  if selects(deployment["spec"]["selector"], pod["metadata"]["labels"])]
        assert len(owners) == 1 and pod["metadata"]["name"].startswith(owners[0] + "-"), (pod["metadata"]["name"], owners)


def test_pods_are_spread_among_their_own(bank):
    for name, deployment in bank.deployments().items():
        constraints = deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        assert deployment["spec"]["replicas"] == 1 or constraints, name
        for constraint in constraints:
            matched = {pod["metadata"]["name"] for pod in bank.pods()
                       if selects(constraint["labelSelector"], pod["metadata"]["labels"])}
            assert matched == {pod["metadata"]["name"] for pod in bank.pods_of(deployment)}, name


def test_a_worker_sees_its_own_secrets_and_nobody_elses(bank):
    seen: dict[str, set] = {}
    for deployment in bank.deployments().values():
        seen[program_of(deployment)] = {
            (name, key) for kind, name, keys in needs(deployment["spec"]["template"]["spec"]) if kind == "Secret" for key in keys or [""]}
    # What all may share: Kafka's credentials, the key of `derive`.
    shared = set.intersection(*(secrets for program, secrets in seen.items() if program not in ("producer", "vault", "logger", "scheduler")))
    for program, secrets in seen.items():
        for other, theirs in seen.items():
            assert other == program or not (secrets & theirs) - shared, (program, other)


def test_each_disruption_budget_guards_one_deployment(bank):
    """The controller's own count says which pods it means. One pod may go, and while it is away no other."""
    deployments = bank.deployments()

    def counted() -> bool:
        return all(item.get("status", {}).get("expectedPods") == item["status"]["currentHealthy"] for item in
                   bank.items(POLICY, "PodDisruptionBudget"))

    wait_until(counted, 20, "the disruption budgets count what is ready")
    guarded = {}
    for budget in bank.items(POLICY, "PodDisruptionBudget"):
        matched = [name for name, deployment in deployments.items()
                   if selects(budget["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"])]
        assert len(matched) == 1, budget["metadata"]["name"]
        assert budget["status"]["expectedPods"] == deployments[matched[0]]["spec"]["replicas"]
        assert budget["status"]["disruptionsAllowed"] >= 1, f"{budget['metadata']['name']} would block the draining of a node"
        guarded[matched[0]] = budget
    for name, deployment in deployments.items():
        # A single one that may never be evicted would block the draining of its node.
        assert (name in guarded) == (deployment["spec"]["replicas"] > 1), name


def test_a_drained_node_leaves_somebody_at_work(bank):
    """All pods of a Deployment are evicted at once, while no new one gets ready: the budget lets one go."""
    deployment = next(item for item in bank.deployments().values() if program_of(item) == "producer")
    pods = bank.pods_of(deployment)
    assert len(pods) >= 2
    answers = []
    with bank.unready(lambda pod: selects(deployment["spec"]["selector"], pod["metadata"]["labels"])):
        for pod in pods:
            try:
                bank.admin.call("POST", bank.admin.path_of({"apiVersion": "v1", "kind": "Pod", **pod}) + "/eviction", {
                    "apiVersion": POLICY, "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}})
                answers.append("evicted")
            except Refused as refused:
                answers.append(refused.status)
    assert answers == ["evicted"] + [429] * (len(pods) - 1)
    bank.settled()


def test_the_service_leads_to_the_producer(bank):
    """As the controller has worked it out from live pods; and Ingress and Service agree on names and ports."""
    producer = next(item for item in bank.deployments().values() if program_of(item) == "producer")
    services = {item["metadata"]["name"]: item for item in bank.items("v1", "Service")}
    assert services
    addresses = {pod["status"]["podIP"] for pod in bank.pods_of(producer)}

    def leads() -> bool:
        slices = bank.items("discovery.k8s.io/v1", "EndpointSlice")
        return {address for item in slices for endpoint in item["endpoints"] if endpoint["conditions"]["ready"]
                for address in endpoint["addresses"]} == addresses

    wait_until(leads, 20, "the service's endpoints are the producer's pods")
    ports = {port["containerPort"] for container in producer["spec"]["template"]["spec"]["containers"] for port in container["ports"]}
    assert {port["port"] for item in bank.items("discovery.k8s.io/v1", "EndpointSlice") for port in item["ports"]} <= ports
    ingresses = bank.items(NETWORK, "Ingress")
    assert ingresses, "production values have an ingress"
    for ingress in ingresses:
        assert ingress["spec"]["tls"]
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                target = path["backend"]["service"]
                port = target["port"]
                assert any(port.get("name") == known.get("name") or port.get("number") == known["port"]
                           for known in services[target["name"]]["spec"]["ports"]), ingress["metadata"]["name"]


def test_every_process_is_scraped_once(bank):
    monitors = bank.items("monitoring.coreos.com/v1", "PodMonitor")
    for pod in bank.pods():
        ports = {port["name"]: port["containerPort"] for container in containers(pod["spec"]) for port in container.get("ports", [])}
        found = [endpoint["port"] for monitor in monitors if selects(monitor["spec"]["selector"], pod["metadata"]["labels"])
                 for endpoint in monitor["spec"]["podMetricsEndpoints"] if endpoint["port"] in ports]
        assert len(found) == 1, (pod["metadata"]["name"], found)
    assert bank.items("monitoring.coreos.com/v1", "PrometheusRule")


def test_what_scales_a_deployment_exists_once(bank):
    deployments = bank.deployments()
    scaled = [item for kind, version in [("ScaledObject", "keda.sh/v1alpha1"), ("HorizontalPodAutoscaler", AUTOSCALING)]
              for item in bank.items(version, kind) if not item["metadata"].get("ownerReferences")]
    targets = [item["spec"]["scaleTargetRef"]["name"] for item in scaled]
    assert targets and len(targets) == len(set(targets)) and set(targets) <= set(deployments)
    for item in scaled:
        program = program_of(deployments[item["spec"]["scaleTargetRef"]["name"]])
        if item["kind"] == "ScaledObject":
            assert item["spec"]["minReplicaCount"] >= 1
            about = {trigger["metadata"]["topic"].partition(".")[2] for trigger in item["spec"]["triggers"]}
            assert about == {f"jobs.{program}", f"urgent.{program}"}, item["metadata"]["name"]
            assert deployments[item["spec"]["scaleTargetRef"]["name"]]["spec"]["replicas"] >= item["spec"]["minReplicaCount"]
