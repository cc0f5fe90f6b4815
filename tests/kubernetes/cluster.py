"""A Kubernetes control plane for the tests: etcd, API server and controller manager, on loopback, in a folder of its own."""

import json
import os
import secrets
import shutil
import ssl
import subprocess

from api import Api
from process import Ports, Process, tail, wait_until

# What turns our objects into others, keeps status, or clears up. There are no nodes: what a kubelet and a scheduler do is kubelet.py.
_CONTROLLERS = [
    "clusterrole-aggregation-controller", "deployment-controller", "disruption-controller", "endpointslice-controller",
    "garbage-collector-controller", "horizontal-pod-autoscaler-controller", "job-controller", "namespace-controller",
    "replicaset-controller", "root-ca-certificate-publisher-controller", "serviceaccount-controller",
]


class Cluster:
    """Running from construction. Its folder belongs to the caller. `furniture` are objects that are there before the controllers start:
    the garbage collector takes half a minute to learn of a kind that is added later."""

    def __init__(self, directory: str, programs: str, ports: Ports, furniture: list[dict]) -> None:
        self.directory = directory
        self._programs = programs
        self._processes: list[Process] = []
        os.makedirs(directory, mode=0o700)
        self._tokens: dict[str, str] = {}
        try:
            self._start(ports, furniture)
        except BaseException:
            self.stop()
            raise

    def _start(self, ports: Ports, furniture: list[dict]) -> None:
        self._write_identities()
        etcd = self._start_etcd(ports)
        self._address = f"127.0.0.1:{ports.take()}"
        self._run("kube-apiserver", self._api_server_options(etcd))
        self.certificate = self._path("certificates/apiserver.crt")
        self._await("the API server is ready", lambda: self.api("admin").text("/readyz") == "ok")
        self._furnish(furniture)
        self._run("kube-controller-manager", [
            f"--kubeconfig={self.kubeconfig('controller-manager')}", "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._path('service-account.key')}", f"--root-ca-file={self.certificate}",
            "--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={ports.take()}",
            f"--cert-dir={self._path('controller-certificates')}", f"--controllers={','.join(_CONTROLLERS)}",
            # The defaults are for clusters of thousands of nodes.
            "--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=20",
            "--horizontal-pod-autoscaler-sync-period=1s",
        ])
        self._await("the controllers work", lambda: self.api("admin").get("v1", "ServiceAccount", "default", "default"))
        if furniture:
            # One of the controllers adds up the rules of the role `admin`.
            self._await("administrators of a namespace may make the operators' kinds", lambda: any(
                "keda.sh" in rule["apiGroups"]
                for rule in self.api("admin").get("rbac.authorization.k8s.io/v1", "ClusterRole", None, "admin")["rules"]))

    def _furnish(self, furniture: list[dict]) -> None:
        api = self.api("admin")
        kinds = [api.create(item) for item in furniture if item["kind"] == "CustomResourceDefinition"]
        for item in furniture:
            if item["kind"] != "CustomResourceDefinition":
                api.create(item)

        def established(kind: dict) -> bool:
            status = api.call("GET", api.path_of(kind)).get("status", {})
            return any(condition["type"] == "Established" and condition["status"] == "True"
                       for condition in status.get("conditions", []))

        self._await("the operators' kinds are served", lambda: all(map(established, kinds)))

    def _write_identities(self) -> None:
        """Users with tokens, and the key that service accounts' tokens are signed with."""
        for user, name, groups in [("admin", "admin", "system:masters"), ("installer", "installer", ""),
                                   ("controller-manager", "system:kube-controller-manager", "")]:
            self._tokens[user] = secrets.token_hex(16)
            with open(self._path("tokens.csv"), "a", encoding="ascii") as file:
                file.write(f'{self._tokens[user]},{name},{name},"{groups}"\n')
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-out", self._path("service-account.key")], check=True, capture_output=True, timeout=30)
        subprocess.run(["openssl", "pkey", "-in", self._path("service-account.key"), "-pubout",
                        "-out", self._path("service-account.pub")], check=True, capture_output=True, timeout=30)

    def _start_etcd(self, ports: Ports) -> str:
        etcd = shutil.which("etcd")
        if not etcd:
            raise RuntimeError("there is no etcd: run scripts/deps --kubernetes")
        client, peer = (f"http://127.0.0.1:{ports.take()}" for _ in range(2))
        self._processes.append(Process("etcd", [
            etcd, "--name=tests", f"--data-dir={self._path('etcd')}", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=tests={peer}", "--log-level=warn",
        ], self._path("etcd.log"), cwd=self.directory))
        return client

    def _api_server_options(self, etcd: str) -> list[str]:
        return [
            f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={self._address.rpartition(':')[2]}",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--cert-dir={self._path('certificates')}",
            "--anonymous-auth=false", "--authorization-mode=RBAC", f"--token-auth-file={self._path('tokens.csv')}",
            "--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._path('service-account.pub')}",
            f"--service-account-signing-key-file={self._path('service-account.key')}",
        ]

    def _run(self, program: str, options: list[str]) -> None:
        self._processes.append(Process(program, [os.path.join(self._programs, program), *options],
                                       self._path(f"{program}.log"), cwd=self.directory))

    def _await(self, what: str, predicate) -> None:
        def look():
            for process in self._processes:
                if not process.running:
                    raise RuntimeError(f"{process.name} ended: {tail(process.log())}")
            return predicate()

        wait_until(look, 60, what)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def api(self, user: str) -> Api:
        return Api(self._address, ssl.create_default_context(cafile=self.certificate), self._tokens[user])

    def kubeconfig(self, user: str) -> str:
        """Path of a file with which helm and the controllers log in."""
        path = self._path(f"{user}.kubeconfig")
        with open(path, "w", encoding="ascii") as file:
            json.dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "tests",
                "clusters": [{"name": "tests", "cluster": {"server": f"https://{self._address}", "certificate-authority": self.certificate}}],
                "users": [{"name": user, "user": {"token": self._tokens[user]}}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            }, file)
        return path

    def stop(self) -> None:
        # Nothing of it is kept, so there is nothing to write to disk first.
        for process in reversed(self._processes):
            process.kill()
