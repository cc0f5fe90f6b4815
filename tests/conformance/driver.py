"""`offboard-worker --try --asks` as a process that runs one job after another: it tells of each request before it sends it."""

import json
import os
import queue
import subprocess
import threading
import uuid

from connector import ROOT, Connector, escrow_key

BUILD = os.path.join(ROOT, os.environ.get("TEST_BUILD", "build"))


JOB = "0d4a6a3e-0000-4000-8000-00000000c0de"


class Asked:
    """The requests that the worker has told of and the vendor has not yet got."""

    def __init__(self) -> None:
        self._waiting: list[dict] = []
        self._changed = threading.Condition()

    def add(self, question: dict) -> None:
        with self._changed:
            self._waiting.append(question)
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._waiting.clear()

    def take(self, fits, timeout: float = 5) -> dict | None:
        """The first one that fits. None: nobody told of such a request."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(fits, self._waiting)), timeout):
                return None
            question = next(filter(fits, self._waiting))
            self._waiting.remove(question)
            return question


class Worker:
    """Runs the jobs of one connector; ends with `stop`."""

    def __init__(self, connector: Connector, folder: str, url: str, **settings: str) -> None:
        self.asked = Asked()
        self._results: queue.Queue = queue.Queue()
        os.makedirs(os.path.join(folder, "connectors"), exist_ok=True)
        self._write(folder, f"connectors/{connector.name}.yaml", connector.copy(url))
        config = {"definitions": {"connectors": [os.path.join(folder, "connectors")]},
                  "worker": {"retry_wait": "0s", "circuit_failures": 1000000, "derive_key": "0123456789abcdef0123456789abcdef",
                             "escrow_key": escrow_key(), "request_timeout": "10s", "job_time": "20s"},
                  "systems": {connector.name: connector.settings(url, **settings)}}
        self.log = os.path.join(folder, "worker.log")
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("OFFBOARD_") and not name.lower().endswith("_proxy")}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", os.path.join(BUILD, "offboard-worker"), "--try", "--asks", "--system",
                 connector.name, "-c", self._write(folder, "offboard.yaml", config)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def _write(folder: str, name: str, content: dict) -> str:
        path = os.path.join(folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)    # JSON is YAML
        return path

    def _read(self) -> None:
        for line in self._process.stdout:
            said = json.loads(line)
            if "asks" in said:
                self.asked.add(said["asks"])
            else:
                self._results.put(said)
        self._results.put(None)

    def run(self, message: dict) -> dict:
        """What became of the job. AssertionError when the worker ends instead."""
        self.asked.clear()
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        said = self._results.get(timeout=60)
        assert said is not None, f"the worker ended with {self._process.wait(10)}: {self.said()}"
        return said

    def said(self) -> str:
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def stop(self) -> int:
        self._process.stdin.close()
        return self._process.wait(20)


def job_message(system: str, action: str, user: dict, now: str, **job) -> dict:
    """Of a live job that nobody knows anything of yet; `job` are further members, `ids` and `given_ids` those of the offboarding. The
    job's id is always the same, so that an answer that names it can be given again; the offboarding's is another one each time, because
    the worker remembers whom it has found for an offboarding."""
    ids = {name: job.pop(name) for name in ("ids", "given_ids") if name in job}
    return {"version": 1, "id": str(uuid.uuid4()), "user": user, "actor": {"kind": "person", "id": "test", "name": "Test"},
            "runbook": "test", "source": "/conformance", "mode": job.pop("mode", "live"), "received_at": now, "started_at": now,
            "effective_at": now, "ids": {}, **ids,
            "job": {"id": JOB, "phase": "test", "step": action, "system": system, "action": action, "attempt": 1,
                    "state": None, "steps": {}, "with": {}, **job}}
