"""helm as its user calls it, with folders of its own."""

import json
import os
import subprocess

import yaml


class Failed(Exception):
    """helm's own words."""


class Helm:
    """`namespace` is where its releases are."""

    def __init__(self, program: str, directory: str, kubeconfig: str, namespace: str) -> None:
        self._program = program
        self._namespace = namespace
        os.makedirs(directory)
        self._env = {
            "PATH": os.environ["PATH"], "HOME": directory, "KUBECONFIG": kubeconfig, "HELM_QPS": "1000", "HELM_BURST_LIMIT": "1000",
            **{f"HELM_{name}_HOME": os.path.join(directory, name.lower()) for name in ("CACHE", "CONFIG", "DATA")},
        }
        self._directory = directory
        self._values = 0

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self._program, "--namespace", self._namespace, *arguments], env=self._env, capture_output=True,
                              text=True, timeout=110)
        if done.returncode != 0:
            raise Failed(done.stdout + done.stderr)
        return done.stdout

    def values(self, *values: str | dict) -> list[str]:
        """Options that give them: paths of files, or what a file would say."""
        options = []
        for value in values:
            if isinstance(value, dict):
                self._values += 1
                path = os.path.join(self._directory, f"values-{self._values}.json")
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(value, file)
                value = path
            options += ["--values", value]
        return options

    def install(self, release: str, chart: str, *values: str | dict) -> None:
        self.run("install", release, chart, *self.values(*values), "--wait", "--timeout", "60s")

    def upgrade(self, release: str, chart: str, *values: str | dict, timeout: str = "60s") -> None:
        self.run("upgrade", release, chart, *self.values(*values), "--wait", "--timeout", timeout)

    def rollback(self, release: str, revision: int) -> None:
        self.run("rollback", release, str(revision), "--wait", "--timeout", "60s")

    def hooks(self, release: str) -> list[dict]:
        return objects_of(self.run("get", "hooks", release))

    def history(self, release: str) -> list[dict]:
        return json.loads(self.run("history", release, "--output", "json"))


def objects_of(text: str) -> list[dict]:
    return [item for item in yaml.safe_load_all(text) if item]
