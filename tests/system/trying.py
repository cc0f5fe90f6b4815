"""`offboard try --json` without two new processes for each try: one worker runs the tries of a connector, one after another."""

import argparse
import json
import os
import queue
import subprocess
import threading
import uuid

from events import instant, job_id, offboarding_id
from process import dying_with_parent

# Nothing that a try leaves behind in the worker may matter to the next one.
FORGETFUL = {"OFFBOARD_WORKER_CIRCUIT_FAILURES": "1000000"}

_options = argparse.ArgumentParser(exit_on_error=False)
_options.add_argument("system")
_options.add_argument("action")
for _name in ("--email", "--employee-id"):
    _options.add_argument(_name)
for _name in ("--user", "--with", "--ids", "--steps", "--state", "--before"):
    _options.add_argument(_name, type=json.loads)
for _name in ("--json", "--live"):
    _options.add_argument(_name, action="store_true")


def message(*arguments: str) -> dict:
    """The job that `offboard try` makes of its command line (cli/cmd_try.c). The offboarding is another one each time: the worker
    remembers whom it has found for an offboarding."""
    told = vars(_options.parse_args(arguments))
    assert told["json"], "the result is JSON"
    email, employee_id, action, now = told["email"], told["employee_id"], told["action"], instant()
    steady = offboarding_id({"source": "/offboard/try", "id": email or employee_id})
    person = {"email": email, "employee_id": employee_id}
    job = {"id": job_id(steady, "try", f"{told['system']}/{action}/{json.dumps(told['with']) if told['with'] else ''}"), "phase": "try",
           "step": action, "system": told["system"], "action": action, "attempt": 1, "state": told["state"],
           "with": told["with"] or {}, "steps": told["steps"] or {}}
    if told["before"] is not None:
        job["before"] = told["before"]
    return {"version": 1, "id": str(uuid.uuid4()), "runbook": "try", "source": "/offboard/try", "mode": "live" if told["live"] else "dry_run",
            "received_at": now, "effective_at": now, "actor": {"kind": "person", "id": "try", "name": "offboard try"}, "job": job,
            "user": {**(told["user"] or {}), **{name: value for name, value in person.items() if value}}, "ids": told["ids"] or {}}


class Tries:
    """A worker that runs one try after another, until `stop`."""

    def __init__(self, program: str, system: str, config: str, log: str, env: dict[str, str]) -> None:
        self._log = log
        self._results: queue.Queue = queue.Queue()
        with open(log, "ab") as file:
            self._process = subprocess.Popen(
                [*dying_with_parent(9, None), program, "--try", "--system", system, "-c", config], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=file, text=True, env={**env, **FORGETFUL}, cwd=os.path.dirname(config))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._results.put(json.loads(line))
        self._results.put(None)

    def run(self, job: dict) -> dict:
        """What became of it. AssertionError when the worker ends instead."""
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        said = self._results.get(timeout=60)
        assert said is not None, f"the worker ended with {self._process.wait(10)}: {self.log()}"
        said.pop("trace", None)
        return said

    def log(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)
