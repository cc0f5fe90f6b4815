"""The Helm chart, rendered: tools, values files, objects."""

import functools
import os
import subprocess

import yaml
from stack import ROOT

CHART = os.path.join(ROOT, "helm", "offboard")
VALUES = os.path.join(ROOT, "tests", "chart")
KUBERNETES = "1.31.0"


@functools.cache
def tools() -> tuple[str, str]:
    """Paths of helm and kubeconform; built once, and kept in the cache."""
    done = subprocess.run([os.path.join(ROOT, "scripts", "chart-tools")], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    helm, kubeconform = done.stdout.split()
    return helm, kubeconform


def helm(*words: str, home: str | None = None) -> subprocess.CompletedProcess:
    """Helm as its user calls it, without plugins and caches of this machine."""
    env = {"PATH": os.environ["PATH"], "HOME": home or "/nonexistent"}
    return subprocess.run([tools()[0], *words], capture_output=True, text=True, timeout=100, env=env)


def template(values: str, *more: str) -> subprocess.CompletedProcess:
    return helm("template", "offboard", CHART, "--namespace", "identity", "--kube-version", KUBERNETES, "--values",
                os.path.join(VALUES, values), *more)


@functools.cache
def render(values: str, *more: str) -> str:
    done = template(values, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def yaml_documents(text: str) -> list[dict]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, loader) if document]


@functools.cache
def objects(values: str, *more: str) -> dict[tuple[str, str], dict]:
    """By kind and name."""
    found = yaml_documents(render(values, *more))
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found), "two objects of one name"
    return named


def of_kind(found: dict, kind: str) -> dict[str, dict]:
    return {name: one for (its_kind, name), one in found.items() if its_kind == kind}
