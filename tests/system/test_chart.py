"""The Helm chart: what it renders is valid, keeps its promises, and is configuration that the programs read."""

import copy
import json
import os
import re
import subprocess

import kubernetes_validate
import pytest
import yaml
from chart import CHART, KUBERNETES, VALUES, helm, objects, of_kind, render, template, tools
from stack import ROOT

FILES = sorted(name for name in os.listdir(VALUES) if name.endswith(".yaml"))
CUSTOM = ("ScaledObject", "PodMonitor", "PrometheusRule", "ExternalSecret")     # have schemas of their own, by their operators
SECRET = re.compile(r"(token|secret|password|key|service_account)$")
pytestmark = pytest.mark.xdist_group("chart")


def pods(found: dict) -> dict[str, dict]:
    """Every pod's spec, by `kind name`."""
    specs = {f"{kind} {name}": one["spec"]["template"]["spec"] for (kind, name), one in found.items() if kind in ("Deployment", "Job")}
    return specs | {f"Pod {name}": one["spec"] for name, one in of_kind(found, "Pod").items()}


def containers(spec: dict) -> list[dict]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def values_of(name: str) -> dict:
    with open(os.path.join(VALUES, name), encoding="utf-8") as file:
        return yaml.safe_load(file)


# It is a chart, and what it renders is Kubernetes'.

@pytest.mark.parametrize("values", FILES)
def test_helm_finds_nothing_to_mend(values, tmp_path):
    done = helm("lint", "--strict", CHART, "--kube-version", KUBERNETES, "--values", os.path.join(VALUES, values), home=str(tmp_path))
    assert done.returncode == 0 and "[ERROR]" not in done.stdout and "[WARNING]" not in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def schemas(tmp_path_factory) -> str:
    """Kubernetes' own schemas, each with the definitions it refers to: kubeconform looks into one file only."""
    source = os.path.join(os.path.dirname(kubernetes_validate.__file__), "kubernetes-json-schema", f"v{KUBERNETES}-local-strict")
    folder = tmp_path_factory.mktemp("schemas")
    with open(os.path.join(source, "_definitions.json"), encoding="utf-8") as file:
        definitions = json.loads(file.read().replace("/api/_definitions.json#", "#"))["$defs"]
    groups = {one["apiVersion"] for values in FILES for one in objects(values).values() if one["kind"] not in CUSTOM}
    for kind in {one["kind"].lower() for values in FILES for one in objects(values).values()}:
        for group in groups:
            name = f"{kind}-{group.split('/')[0].split('.')[0]}-{group.split('/')[1]}.json" if "/" in group else f"{kind}-{group}.json"
            if os.path.exists(os.path.join(source, name)):
                with open(os.path.join(source, name), encoding="utf-8") as file:
                    schema = json.loads(file.read().replace("/api/_definitions.json#", "#"))
                del schema["$schema"], schema["$id"]    # addresses that would be asked
                (folder / name).write_text(json.dumps({**schema, "$defs": definitions}), encoding="utf-8")
    return str(folder / "{{ .ResourceKind }}{{ .KindSuffix }}.json")


@pytest.mark.parametrize("values", FILES)
def test_objects_are_valid(values, schemas):
    done = subprocess.run([tools()[1], "-strict", "-summary", "-output", "json", "-schema-location", schemas, "-skip", ",".join(CUSTOM), "-"],
                          input=render(values), capture_output=True, text=True, timeout=100)
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["summary"]["invalid"] == told["summary"]["errors"] == 0, done.stdout + done.stderr
    assert told["summary"]["valid"] >= 25


def test_twenty_systems():
    workers = {name for name in of_kind(objects("production.yaml"), "Deployment") if "-worker-" in name}
    assert len(workers) == 20 and {"offboard-worker-okta", "offboard-worker-slack-scim"} <= workers


def test_no_release_collides_with_another():
    names = [set(objects("minimal.yaml", "--set", f"fullnameOverride={name}")) for name in ("one", "two")]
    assert not names[0] & names[1]


def test_a_misspelt_field_is_found(schemas):
    """The test before can fail."""
    wrong = render("minimal.yaml").replace("revisionHistoryLimit:", "revisionHistoryLimits:")
    done = subprocess.run([tools()[1], "-strict", "-schema-location", schemas, "-"], input=wrong, capture_output=True, text=True, timeout=100)
    assert done.returncode != 0 and "revisionHistoryLimits" in done.stdout, done.stdout


# Promises.

@pytest.mark.parametrize("values", FILES)
def test_pods_may_do_nothing_that_they_need_not(values):
    for name, spec in pods(objects(values)).items():
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        for container in containers(spec):
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 65532,
                               "runAsGroup": 65532, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}, name
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], name
            assert all(mount["readOnly"] for mount in container["volumeMounts"]), name
    for name, account in of_kind(objects(values), "ServiceAccount").items():
        assert account["automountServiceAccountToken"] is False, name
    assert not of_kind(objects(values), "Role") and not of_kind(objects(values), "ClusterRole"), "nobody talks to the API server"


@pytest.mark.parametrize("values", FILES)
def test_each_selector_means_the_pods_of_one_component(values):
    found = objects(values)
    labels = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in of_kind(found, "Deployment").items()}

    def meant(selector: dict) -> set[str]:
        return {name for name, own in labels.items() if selector.items() <= own.items()}

    for name, one in of_kind(found, "Deployment").items():
        assert meant(one["spec"]["selector"]["matchLabels"]) == {name}
        for spread in one["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert meant(spread["labelSelector"]["matchLabels"]) == {name}
    for name, one in of_kind(found, "PodDisruptionBudget").items():
        assert meant(one["spec"]["selector"]["matchLabels"]) == {name} and one["spec"]["maxUnavailable"] == 1
    for name, one in of_kind(found, "NetworkPolicy").items():
        assert meant(one["spec"]["podSelector"]["matchLabels"]) == ({name} & labels.keys())
    for name, one in of_kind(found, "Service").items():
        assert meant(one["spec"]["selector"]) == {name}
    covered = {name for one in of_kind(found, "NetworkPolicy").values() for name in meant(one["spec"]["podSelector"]["matchLabels"])}
    assert covered == labels.keys(), "no pod without a policy"


def test_a_budget_blocks_no_drain():
    """One replica has none: else its node could never be emptied."""
    found = objects("production.yaml")
    budgets = of_kind(found, "PodDisruptionBudget")
    assert "offboard-worker-email" not in budgets and {"offboard-worker-okta", "offboard-producer"} <= budgets.keys()


def ports(rule: dict) -> set[int]:
    return {port["port"] for port in rule.get("ports", [])}


def test_a_worker_reaches_kafka_and_its_vendor():
    policies = of_kind(objects("production.yaml"), "NetworkPolicy")
    dns, kafka, vendor = policies["offboard-worker-okta"]["spec"]["egress"]
    assert ports(dns) == {53} and ports(kafka) == {9093} and ports(vendor) == {443}
    assert kafka["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}]
    assert {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                                            "192.168.0.0/16"]} in [peer["ipBlock"] for peer in vendor["to"]], "nothing of our own network"
    assert ports(policies["offboard-worker-ad"]["spec"]["egress"][2]) == {389, 636}
    assert policies["offboard-worker-ad"]["spec"]["egress"][2]["to"] == [{"ipBlock": {"cidr": "10.30.0.0/28"}}]
    assert ports(policies["offboard-worker-email"]["spec"]["egress"][2]) == {465, 587}
    for name in ("offboard-logger", "offboard-scheduler", "offboard-setup"):
        assert [ports(rule) for rule in policies[name]["spec"]["egress"]] == [{53}, {9093}, {5432}], name
    assert [ports(rule) for rule in policies["offboard-producer"]["spec"]["egress"]] == [{53}, {9093}], "no database"
    assert [rule["ports"] for rule in policies["offboard-producer"]["spec"]["ingress"]] == [[{"port": "metrics"}], [{"port": "http"}]]
    assert [rule["ports"] for rule in policies["offboard-vault"]["spec"]["ingress"]] == [[{"port": "metrics"}]], "nobody may call it"
    asked = of_kind(objects("production.yaml", "--set", "networkPolicy.revealFrom[0].podSelector.matchLabels.app=desk"), "NetworkPolicy")
    assert asked["offboard-vault"]["spec"]["ingress"][1]["ports"] == [{"port": "http"}]
    assert [rule["ports"] for rule in policies["offboard-logger"]["spec"]["ingress"]] == [[{"port": "metrics"}]]
    assert all(policy["spec"]["policyTypes"] == ["Ingress", "Egress"] for policy in policies.values())


def test_the_edge_drains_within_its_grace():
    """It takes requests until no Service sends any, and then has time for those in hand."""
    found = objects("production.yaml")
    config = yaml.safe_load(found["ConfigMap", "offboard-producer"]["data"]["offboard.yaml"])
    assert config["edge"]["drain_wait"] == "5s"
    assert found["Deployment", "offboard-producer"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 5 + 10 + 15
    changed = objects("production.yaml", "--set", "config.edge.drain_wait=7s")["ConfigMap", "offboard-producer"]
    assert yaml.safe_load(changed["data"]["offboard.yaml"])["edge"]["drain_wait"] == "7s"


def test_probes_mean_it():
    for name, one in of_kind(objects("production.yaml"), "Deployment").items():
        container, = one["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/healthz", name
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", name
        assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")} == {"metrics"}, name
        api = [{"name": "http", "containerPort": 8080}] if name.endswith(("-producer", "-vault")) else []
        assert container["ports"] == [{"name": "metrics", "containerPort": 9090}, *api], name
        assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 300, name
        rolling = one["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": 1, "maxUnavailable": 0}, name


@pytest.mark.parametrize("grace, seconds", [("25s", 35), ("40s", 50), ("1m30s", 100), ("1500ms", 12)])
def test_the_grace_fits_the_drain(grace, seconds):
    found = objects("minimal.yaml", "--set", f"config.worker.drain_grace={grace}")
    assert found["Deployment", "offboard-worker-okta"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds


def test_scaled_by_lag():
    found = objects("production.yaml")
    scaled = found["ScaledObject", "offboard-worker-okta"]["spec"]
    assert scaled["scaleTargetRef"] == {"name": "offboard-worker-okta"} and (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 12)
    assert {trigger["metadata"]["topic"] for trigger in scaled["triggers"]} == {"offboard.jobs.okta", "offboard.urgent.okta"}
    for trigger in scaled["triggers"]:
        assert trigger["metadata"]["consumerGroup"] == "offboard.okta" and trigger["metadata"]["lagThreshold"] == "20"
        assert trigger["authenticationRef"] == {"name": "offboard-kafka"} and trigger["metadata"]["tls"] == "enable"
    assert "replicas" not in found["Deployment", "offboard-worker-okta"]["spec"], "the scaler's to say"
    assert ("ScaledObject", "offboard-worker-ad") not in found and found["Deployment", "offboard-worker-ad"]["spec"]["replicas"] == 2


def test_scaled_by_processor_where_keda_is_absent():
    found = objects("all.yaml")
    assert found["HorizontalPodAutoscaler", "leavers-worker-okta"]["spec"]["scaleTargetRef"]["name"] == "leavers-worker-okta"
    assert ("HorizontalPodAutoscaler", "leavers-worker-badges") not in found and not of_kind(found, "ScaledObject")


def test_the_scaler_that_is_there():
    auto = ("--set", "worker.autoscaling.kind=auto")
    assert ("HorizontalPodAutoscaler", "offboard-worker-okta") in objects("minimal.yaml", *auto)
    there = objects("minimal.yaml", *auto, "--api-versions", "keda.sh/v1alpha1")
    assert ("ScaledObject", "offboard-worker-okta") in there and not of_kind(there, "HorizontalPodAutoscaler")


def secrets_of(spec: dict) -> set[str]:
    return {item["path"] for volume in spec["volumes"] if volume["name"] == "secrets"
            for source in volume["projected"]["sources"] for item in source["secret"]["items"]}


def test_a_pod_gets_its_own_secrets_and_no_other():
    found = pods(objects("production.yaml"))
    assert secrets_of(found["Deployment offboard-worker-okta"]) == {"systems.okta.token", "worker.derive_key", "kafka.properties"}
    assert secrets_of(found["Deployment offboard-logger"]) == {"postgres.logger", "kafka.properties"}
    assert secrets_of(found["Deployment offboard-scheduler"]) == {"postgres.scheduler", "kafka.properties"}
    assert secrets_of(found["Deployment offboard-producer"]) == {
        "edge.tokens.workday.token", "edge.tokens.smoke.token", "edge.tokens.security.token", "sources.okta-hook.token", "kafka.properties"}
    assert secrets_of(found["Deployment offboard-vault"]) == {
        "edge.tokens.security.token", "vault.escrow_private_key", "kafka.properties"}, "the private key is nobody else's"
    assert secrets_of(found["Job offboard-setup"]) == {"postgres.admin", "kafka.properties"}
    assert secrets_of(found["Pod offboard-test"]) == {"postgres.analyst", "edge.token", "kafka.properties"}


@pytest.mark.parametrize("values", FILES)
def test_no_config_map_holds_a_secret(values):
    """Of what the programs call a secret there are paths of files only."""
    def keys(tree: dict, prefix: str = ""):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from keys(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    for name, one in of_kind(objects(values), "ConfigMap").items():
        for key, value in keys(yaml.safe_load(one["data"].get("offboard.yaml", "{}")) or {}):
            if key.endswith("_file"):
                assert value == f"/etc/offboard/secrets/{key.removesuffix('_file')}", (name, key)
            else:
                assert not SECRET.search(key) or key in ("worker.escrow_key",), (name, key)


def test_a_changed_connector_restarts_those_who_read_it():
    def checksums(*more: str) -> dict[str, dict]:
        return {name: one["spec"]["template"]["metadata"]["annotations"]
                for name, one in of_kind(objects("all.yaml", *more), "Deployment").items()}

    before, definition = checksums(), checksums("--set-string", "definitions.connectors.files.badges\\.yaml=system: badges")
    assert {name for name in before if before[name] != definition[name]} == {
        "leavers-producer", "leavers-worker-okta", "leavers-worker-oomnitza", "leavers-worker-badges"}
    for option, restarted in (("guards.cap_per_hour=7", {"leavers-producer", "leavers-worker-okta", "leavers-worker-oomnitza",
                                                         "leavers-worker-badges"}),
                              ("logger.batch_size=7", {"leavers-logger"}), ("scheduler.batch_size=7", {"leavers-logger", "leavers-scheduler"}),
                              ("topics.replication=2", set())):
        changed = checksums("--set", f"config.{option}")
        assert {name for name in before if before[name] != changed[name]} == restarted, option
    setting = checksums("--set", "systems.okta.settings.per_minute=100")
    assert {name for name in before if before[name] != setting[name]} == {"leavers-worker-okta"}


def test_setup_runs_before_everything_else_and_again():
    found = objects("production.yaml")
    job = found["Job", "offboard-setup"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    migrate, = job["spec"]["template"]["spec"]["initContainers"]
    topics, = job["spec"]["template"]["spec"]["containers"]
    assert migrate["command"][1] == "migrate" and topics["command"][1] == "topics" and len(topics["command"]) == 4 + 20
    needed = {("ConfigMap", "offboard-setup"), ("ServiceAccount", "offboard-setup"), ("NetworkPolicy", "offboard-setup")}
    for kind, name in needed:
        annotations = found[kind, name]["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade" and int(annotations["helm.sh/hook-weight"]) < 0
    assert ("Job", "leavers-setup") in objects("all.yaml") and ("ConfigMap", "leavers-connectors-setup") in objects("all.yaml")


def test_the_smoke_test_is_a_dry_run_against_the_producer():
    found = objects("all.yaml")
    command = found["Pod", "leavers-test"]["spec"]["containers"][0]["command"]
    assert command[:2] == ["/usr/bin/offboard", "start"] and "--dry-run" in command and command[command.index("--wait") + 1] == "2m"
    assert command[-2:] == ["--runbook", "visitors"]
    config = yaml.safe_load(found["ConfigMap", "leavers-test"]["data"]["offboard.yaml"])
    service = found["Service", "leavers-producer"]
    assert config["edge"]["url"] == f"http://leavers-producer:{service['spec']['ports'][0]['port']}"


def test_secrets_from_a_store():
    found = of_kind(objects("all.yaml"), "ExternalSecret")
    assert found.keys() == {"leavers-postgres", "leavers-tokens", "leavers-sources", "leavers-okta", "leavers-oomnitza", "leavers-badges",
                            "leavers-escrow", "leavers-setup-leavers-postgres"}
    keys = {one["secretKey"]: one["remoteRef"] for one in found["leavers-postgres"]["spec"]["data"]}
    assert keys["logger"] == {"key": "offboard/leavers-postgres", "property": "logger"} and len(keys) == 4
    # The hook runs before those are there: it has one of its own.
    assert found["leavers-setup-leavers-postgres"]["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    secrets, = (volume["projected"]["sources"] for volume in objects("all.yaml")["Job", "leavers-setup"]["spec"]["template"]["spec"]["volumes"]
                if volume["name"] == "secrets")
    assert [source["secret"]["name"] for source in secrets] == ["leavers-setup-leavers-postgres"]


def test_what_is_switched_off_is_not_there():
    found = objects("all.yaml")
    assert "OffboardVaultAbsent" in json.dumps(found["PrometheusRule", "leavers"])
    without, = of_kind(objects("minimal.yaml", "--set", "alerts.enabled=true"), "PrometheusRule").values()
    assert "OffboardVaultAbsent" not in json.dumps(without) and "OffboardProducerAbsent" in json.dumps(without)
    assert not [name for _, name in found if "zoom" in name]
    assert "zoom" not in found["Job", "leavers-setup"]["spec"]["template"]["spec"]["containers"][0]["command"]
    plain = objects("minimal.yaml", "--set", "networkPolicy.enabled=false,setup.enabled=false,podDisruptionBudget.enabled=false")
    assert {kind for kind, _ in plain} == {"ServiceAccount", "ConfigMap", "Service", "Deployment"}


# Bad values.

@pytest.mark.parametrize("options, named", [
    (["--set", "config.guards.cap_per_hour=-1"], "/config/guards/cap_per_hour"),
    (["--set", "config.gards.cap_per_hour=1"], "'gards'"),
    (["--set", "config.worker.drain_grace=soon"], "/config/worker/drain_grace"),
    (["--set", "systems.okta.replica=3"], "'replica'"),
    (["--set", "systems.okta.replicas=20"], "topics.partitions is 12"),
    (["--set", "systems.okta.terminationGracePeriodSeconds=20"], "give at least 30"),
    (["--set", "systems.Okta.replicas=1"], "Okta"),
    (["--set", "systems.okta.secrets.token.key="], "/systems/okta/secrets/token/key"),
    (["--set", "worker.autoscaling.kind=magic"], "/worker/autoscaling/kind"),
    (["--set", "worker.autoscaling.minReplicas=0"], "/worker/autoscaling/minReplicas"),
    (["--set", "tokens.hr.roles={admin}"], "/tokens/hr/roles"),
    (["--set", "secrets.postgres\\.logger=null"], "postgres.logger"),
    (["--set", "alerts.thresholds.revokeWithinSeconds=901"], "/alerts/thresholds/revokeWithinSeconds"),
    (["--set", "image.digest=latest"], "/image/digest"),
    (["--set", "config.kafka.properties={a=b}", "--set", "secrets.kafka\\.properties.name=x", "--set", "secrets.kafka\\.properties.key=y"],
     "kafka.properties is given by a Secret and by config"),
])
def test_bad_values_are_refused_by_name(options, named):
    done = template("minimal.yaml", *options)
    assert done.returncode != 0 and named in done.stderr, done.stderr


# The programs.

def placed(config: dict, folder: str) -> dict:
    """Configuration as a pod reads it, with the secrets' files in a folder of ours."""
    config = copy.deepcopy(config)

    def place(tree: dict) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                place(value)
            elif key.endswith("_file") and key != "ca_file":
                path = os.path.join(folder, os.path.basename(value))
                with open(path, "w", encoding="utf-8") as file:
                    file.write("security.protocol=ssl\n" if "kafka" in value else "0123456789abcdef0123456789abcdef\n")
                tree[key] = path

    place(config)
    for kind in list(config.pop("definitions", {})):
        config.setdefault("definitions", {})[kind] = [os.path.join(folder, kind)]
    return config


def written(values: str, folder: str) -> None:
    """The definitions of the values, as they are mounted."""
    for kind, of in values_of(values).get("definitions", {}).items():
        os.makedirs(os.path.join(folder, kind), exist_ok=True)
        for name, text in of.get("files", {}).items():
            with open(os.path.join(folder, kind, name), "w", encoding="utf-8") as file:
                file.write(text)


@pytest.mark.parametrize("values", FILES)
def test_the_programs_read_what_it_writes(values, servers, tmp_path):
    """Each process its own: an unknown option, a wrong duration, a setting that nobody declares would be refused."""
    read = 0
    written(values, str(tmp_path))
    for name, one in of_kind(objects(values), "ConfigMap").items():
        if "offboard.yaml" not in one["data"]:
            continue
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(placed(yaml.safe_load(one["data"]["offboard.yaml"]), str(tmp_path))), encoding="utf-8")
        done = subprocess.run([os.path.join(servers.build, "offboard"), "validate", "-c", str(path)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (name, done.stdout + done.stderr)
        read += 1
    assert read >= 5
    programs = {container["command"][0] for spec in pods(objects(values)).values() for container in containers(spec)}
    # The vault runs where it has a key.
    assert programs - {"/usr/bin/offboard-vault"} == {f"/usr/bin/offboard{name}" for name in ("", "-producer", "-worker", "-logger", "-scheduler")}
    assert ("/usr/bin/offboard-vault" in programs) == (values != "minimal.yaml")


def test_a_process_is_told_what_it_reads():
    """By the column of CONFIGURATION.md: an option that is left out of a process's file is one that it doesn't read."""
    with open(os.path.join(ROOT, "CONFIGURATION.md"), encoding="utf-8") as file:
        readers = {found[1]: found[2].split() for found in re.finditer(
            r"^\| `([a-z_.]+)`(?: \(secret\))? \|[^|]*\|[^|]*\| ([a-z ]+) \|", file.read(), re.MULTILINE)}
    given = {"clock.zone": "UTC", "kafka.prefix": "x", "log.level": "debug", "guards.cap_per_hour": 9, "edge.body_limit": 9, "logger.batch_size": 9,
             "scheduler.poll": "9s", "worker.in_flight": 9, "worker.escrow_key": "x", "topics.replication": 9}
    options = [word for name, value in given.items() for word in ("--set-json", f"config.{name}={json.dumps(value)}")]
    found = of_kind(objects("minimal.yaml", *options), "ConfigMap")
    for process in ("producer", "worker", "logger", "scheduler"):
        config = yaml.safe_load(found[f"offboard-{process}" + ("-okta" if process == "worker" else "")]["data"]["offboard.yaml"])
        for name in given:
            section, option = name.split(".")
            if {process, "all"} & set(readers[name]):
                assert option in config.get(section, {}), f"{process} reads {name}"


# No option is missing in one place.

def options_of_the_page() -> dict[str, bool]:
    """Every option of CONFIGURATION.md, and whether it is a secret."""
    with open(os.path.join(ROOT, "CONFIGURATION.md"), encoding="utf-8") as file:
        return {found[1]: bool(found[2]) for found in re.finditer(r"^\| `([a-z_.]+)`( \(secret\))? \|", file.read(), re.MULTILINE)}


def test_every_option_can_be_given():
    with open(os.path.join(CHART, "values.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    config = {f"{section}.{name}" for section, of in schema["properties"]["config"]["properties"].items() for name in of["properties"]}
    secrets = set(schema["properties"]["secrets"]["properties"])
    options = options_of_the_page()
    assert len(options) > 40
    assert config == {name for name, secret in options.items() if not secret} | {"kafka.properties"}
    assert secrets == {name for name, secret in options.items() if secret}
    subprocess.run(["make", "-s", "build/conf-document"], cwd=ROOT, check=True, timeout=100)
    made = subprocess.run([os.path.join(ROOT, "build", "conf-document"), "--values-schema", os.path.join(CHART, "values.schema.json")],
                          capture_output=True, text=True, timeout=30)
    assert json.loads(made.stdout) == schema, "stale: make helm/offboard/values.schema.json"


def test_schema_and_values_name_the_same():
    with open(os.path.join(CHART, "values.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    with open(os.path.join(CHART, "values.yaml"), encoding="utf-8") as file:
        values = yaml.safe_load(file)

    def compare(of: dict, tree: dict, path: str) -> None:
        if "$ref" in of:
            of = schema["definitions"][of["$ref"].rpartition("/")[2]]
        if not isinstance(tree, dict) or "properties" not in of or path in (".config", ".secrets"):
            return
        assert of["properties"].keys() - {"global"} == tree.keys(), path
        for name, value in tree.items():
            compare(of["properties"][name], value, f"{path}.{name}")

    compare(schema, values, "")


def test_the_version_is_the_programs(servers):
    with open(os.path.join(CHART, "Chart.yaml"), encoding="utf-8") as file:
        chart = yaml.safe_load(file)
    said = subprocess.run([os.path.join(servers.build, "offboard"), "--version"], capture_output=True, text=True, timeout=30).stdout
    assert said == f"offboard {chart['appVersion']}\n"


def test_the_readme_names_every_value():
    with open(os.path.join(CHART, "README.md"), encoding="utf-8") as file:
        page = file.read()
    with open(os.path.join(CHART, "values.yaml"), encoding="utf-8") as file:
        top = yaml.safe_load(file)
    missing = [name for name in top if f"`{name}`" not in page and f"`{name}." not in page]
    assert not missing, missing
