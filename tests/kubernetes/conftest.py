"""A control plane for the run, and namespaces in it where the chart is installed by who may do nothing else."""

import os
import re
import shutil
import sys
import tempfile

import pytest
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "system")]

from cluster import Cluster
from kubelet import Kubelet
from operators import ExternalSecrets, Keda
from process import Ports
from release import PRODUCTION, Release

_FOLDER = "offboard-kubernetes-"


def pytest_addoption(parser) -> None:
    parser.addoption("--keep", action="store_true", help="keep the folder of the run: logs, keys, values")


def pytest_terminal_summary(terminalreporter) -> None:
    """One line for scripts that add up; an error in a fixture is a failure."""
    counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error")}
    terminalreporter.write_line(f"kubernetes: {counts['passed']} passed, {counts['failed'] + counts['error']} failed")


def _remove_leftovers() -> None:
    """Folders of runs that were killed: their processes died with them."""
    for name in os.listdir(tempfile.gettempdir()):
        owner = re.fullmatch(_FOLDER + r"(\d+)-.*", name)
        if owner and not os.path.exists(f"/proc/{owner[1]}"):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


@pytest.fixture(scope="session")
def folder(request):
    _remove_leftovers()
    path = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-")
    yield path
    if request.config.option.keep:
        print(f"\nkept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def ports():
    return Ports(0)


@pytest.fixture(scope="session")
def cluster(folder, ports):
    with open(os.path.join(HERE, "cluster.yaml"), encoding="utf-8") as file:
        furniture = yaml.safe_load(file)
    cluster = Cluster(os.path.join(folder, "cluster"), os.environ["KUBERNETES_PROGRAMS"], ports, furniture)
    yield cluster
    cluster.stop()


@pytest.fixture
def bare_cluster(folder, ports):
    """Without any operator."""
    cluster = Cluster(os.path.join(folder, "bare"), os.environ["KUBERNETES_PROGRAMS"], ports, [])
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def kubelet(cluster):
    """With the operators."""
    watchers = [made(cluster.api("admin")) for made in (Kubelet, Keda, ExternalSecrets)]
    yield watchers[0]
    for watcher in watchers:
        watcher.stop()


def _releases(cluster, kubelet, folder):
    made: list[Release] = []

    def make(name: str) -> Release:
        made.append(Release(name, cluster, kubelet, folder))
        return made[-1]

    yield make
    for release in made:
        release.remove()


@pytest.fixture(scope="session")
def bank(cluster, kubelet, folder):
    """An installation with twenty systems, which tests look at and leave as it was."""
    bank = Release("bank", cluster, kubelet, folder)
    bank.bring(PRODUCTION)
    bank.install(PRODUCTION)
    bank.settled()
    return bank


@pytest.fixture(scope="module")
def module_release(cluster, kubelet, folder):
    """Makes namespaces that serve all tests of a file."""
    yield from _releases(cluster, kubelet, folder)


@pytest.fixture
def release(cluster, kubelet, folder):
    """Makes namespaces for one test."""
    yield from _releases(cluster, kubelet, folder)
