"""The sandbox as a library for tests: starts it as a process of its own and talks to its control port.

    with Sandbox("scim,jira", config={"scim": {"users": [{"userName": "ann@example.com"}]}}) as sandbox:
        sandbox.fault("scim", {"do": "status", "status": 503, "times": 2})
        ... run what is to be tested against sandbox.url("scim") ...
        assert sandbox.state("scim")["users"][0]["active"] is False
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

_HERE = os.path.dirname(os.path.abspath(__file__))
_MAIN = os.path.join(_HERE, "main.py")
_FACTS = os.path.join(os.path.dirname(_HERE), "facts")


class Sandbox:
    """A running sandbox. It ends with `stop`, and at the latest with this process (it watches its standard input)."""

    started: "list[Sandbox]" = []     # those of this process that were not stopped

    def __init__(self, systems: str = "scim,jira", config: dict | None = None, directory: str | None = None,
                 facts: dict | None = None) -> None:
        """`directory` receives journal.ndjson and the log; without one a temporary directory lives until `stop`. With `facts`
        (see load_facts) every request is compared with them: `violations`."""
        self.systems = systems
        self.facts = facts
        self._facts_read = 0        # bytes of the journal's file that `violations` has seen
        self.config = config or {}
        self._temporary = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="sandbox-")
        self.journal_path = os.path.join(self.directory, "journal.ndjson")
        self.log_path = os.path.join(self.directory, "sandbox.log")
        self.urls: dict[str, str] = {}
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(self, *_exc) -> None:
        self.stop()

    def start(self, timeout: float = 20) -> "Sandbox":
        """Start and wait until every port listens. RuntimeError, with what it printed, when that fails."""
        config_path, ports_path = (os.path.join(self.directory, name) for name in ("config.json", "ports.json"))
        with open(config_path, "w", encoding="utf-8") as file:
            json.dump(self.config, file)
        if os.path.exists(ports_path):
            os.remove(ports_path)
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, _MAIN, "--systems", self.systems, "--journal", self.journal_path,
                 "--ports", ports_path, "--config", config_path, "--stdin", *self._facts_option()],
                stdin=subprocess.PIPE, stdout=log, stderr=log)
        deadline = time.monotonic() + timeout
        while not os.path.exists(ports_path):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end_process()
                raise RuntimeError(f"the sandbox did not start: {self.log()}")
            time.sleep(0.01)
        with open(ports_path, encoding="utf-8") as file:
            self.urls = json.load(file)
        self.started.append(self)
        return self

    def _facts_option(self) -> list[str]:
        if self.facts is None:
            return []
        path = os.path.join(self.directory, "facts.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.facts, file)
        return ["--facts", path]

    def stop(self) -> int | None:
        """End the process; its exit status (0 when it ended as it should)."""
        status = self._end_process()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        return status

    def url(self, system: str) -> str:
        return self.urls[system]

    def log(self) -> str:
        """What the process has printed; empty unless something is wrong."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def state(self, system: str) -> dict:
        return self._control("GET", f"/state/{system}")

    def seed(self, system: str, state: dict) -> dict:
        """Merge state in; the whole state."""
        return self._control("POST", f"/state/{system}", state)

    def fault(self, system: str, *rules: dict) -> None:
        """Add fault rules, see core/faults.py."""
        self._control("POST", f"/faults/{system}", list(rules))

    def faults(self, system: str) -> list[dict]:
        """The rules, each with its `hits`."""
        return self._control("GET", f"/faults/{system}")

    def clear_faults(self, system: str | None = None) -> None:
        for name in [system] if system else [name for name in self.urls if name != "control"]:
            self._control("DELETE", f"/faults/{name}")

    def settings(self, system: str, **changes) -> dict:
        """The settings, after making the changes."""
        if changes:
            return self._control("PUT", f"/settings/{system}", changes)
        return self._control("GET", f"/settings/{system}")

    def journal(self, system: str | None = None, changing_only: bool = False, effects_only: bool = False) -> list[dict]:
        """The entries so far: all, those that asked for a change (granted or not), or those that made one."""
        query = "?" + urllib.parse.urlencode({"system": system}) if system else ""
        entries = self._control("GET", "/journal" + query)
        if changing_only:
            entries = [entry for entry in entries if entry.get("changing")]
        if effects_only:
            entries = [entry for entry in entries if entry.get("effect")]
        return entries

    def violations(self) -> list[str]:
        """The requests since the last call that were against the facts, each with what was wrong. Also after `stop`."""
        if self.facts is None or not os.path.exists(self.journal_path):
            return []
        with open(self.journal_path, "rb") as file:
            file.seek(self._facts_read)
            lines = file.read().split(b"\n")
        # Of a line that is being written the rest comes later.
        self._facts_read += sum(len(line) + 1 for line in lines[:-1])
        return [_violation(json.loads(line)) for line in lines[:-1] if b'"against_facts"' in line]

    def reset(self) -> None:
        """State and settings as at the start, no faults, an empty journal (its file keeps all lines)."""
        self._control("POST", "/reset")

    def _control(self, method: str, path: str, body=None):
        request = urllib.request.Request(self.urls["control"] + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} {path}: {json.load(error)['error']}") from error

    def _end_process(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        if self in self.started:
            self.started.remove(self)
        process.terminate()
        process.stdin.close()
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _violation(entry: dict) -> str:
    query = f"?{entry['query']}" if entry["query"] else ""
    return f"{entry['system']}: {entry['method']} {entry['path']}{query}: {'; '.join(entry['against_facts'])}"


def load_facts(folder: str = _FACTS) -> dict[str, list[dict]]:
    """The facts of every vendor: the groups of all files that name it. ValueError on a key that stands twice in one place."""
    facts: dict[str, list[dict]] = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".yaml"):
            given = read_facts(os.path.join(folder, name))
            for vendor in given["vendors"]:
                facts.setdefault(vendor, []).extend(given["apis"])
    return facts


def read_facts(path: str) -> dict:
    """One file of them."""
    import yaml     # of the tests' environment; the sandbox itself needs the standard library alone

    class Loader(yaml.CSafeLoader):
        """YAML's own would take the last of two equal keys, and a fact would be lost."""

        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise ValueError(f"{path}: {twice} stands there twice")
            return super().construct_mapping(node, deep)

    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader)
