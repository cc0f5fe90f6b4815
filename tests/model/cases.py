"""Case files: sequences that are written down (README.md)."""

import os
from datetime import datetime, timezone

import yaml

from compare import Disagreement, Run
from messages import instant

FOLDER = os.path.dirname(os.path.abspath(__file__))


def load(path: str):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def shared_runbooks() -> dict:
    return load(os.path.join(FOLDER, "runbooks.yaml"))


def all_cases() -> dict[str, dict]:
    """Every case of every file, as file/name."""
    folder = os.path.join(FOLDER, "cases")
    return {f"{file.removesuffix('.yaml')}/{name}": case for file in sorted(os.listdir(folder)) if file.endswith(".yaml")
            for name, case in load(os.path.join(folder, file)).items()}


# ---- running one ----

def run_case(case: dict, database) -> None:
    runbooks = {"own": case["runbook"]} if "runbook" in case else {**shared_runbooks(), **case.get("runbooks", {})}
    run = Run(runbooks, database)
    for step in case["steps"]:
        wrong = _expectation(step)(run, step) if _expectation(step) else run.step(step)
        if wrong:
            raise Disagreement(f"{step}: {wrong}")
    if case.get("ends", True):
        run.drain()
    broken = database.ask("SELECT count(*) FROM verify_event_chain()", run.world.now)
    if broken != "0":
        raise Disagreement(f"{broken} rows of the audit's chain are broken")


def _expectation(step: dict):
    """What checks a step that sends nothing; None: it sends something."""
    return next((check for word, check in _EXPECTATIONS.items() if word in step), None)


def _expect(run: Run, step: dict) -> str | None:
    """How an offboarding stands. That the SQL says the same has been compared."""
    offboarding = run.world.offboardings[step["expect"]]
    queued = [f"{job.step}#{job.attempt}" for job in offboarding.jobs.values() if job.queued and offboarding.runs(job)]
    queued += sorted(phase.name for phase in offboarding.phases if phase.queued and phase.status == "waiting"
                     and offboarding.status in ("waiting", "initiated"))
    seen = {"status": f"{offboarding.status}: " + " ".join(phase.status for phase in offboarding.phases),
            "jobs": " ".join(f"{job.step}:{job.state}" for job in offboarding.jobs.values()), "due": " ".join(queued) or None}
    return next((f"{word} is {seen[word]}" for word in seen if word in step and step[word] != seen[word]), None)


def _note(run: Run, step: dict) -> str | None:
    return None if run.notes[-1] == step["note"] else f"it is {run.notes[-1]!r}"


def _carries(run: Run, step: dict) -> str | None:
    """The results that a follower's job carries."""
    seen = run.database.ask(
        "SELECT string_agg((r ->> 'step') || ':' || (r ->> 'state'), ' ' ORDER BY n) FROM job j CROSS JOIN"
        " jsonb_array_elements(carried_results(j)) WITH ORDINALITY AS e (r, n) WHERE j.step = '" + step["carries"] + "'", run.world.now)
    return None if seen == step["results"] else f"they are {seen}"


def _ask(run: Run, step: dict) -> str | None:
    seen = run.database.ask(step["ask"], run.world.now)
    expected = None if step["answer"] is None else str(step["answer"])
    return None if seen == expected else f"the answer is {seen!r}"


def _released(run: Run, step: dict) -> str | None:
    """What the scheduler publishes: `job 1/a#2`, `phase 1/first`, `start 1`, `ended 1`, `approved 1`."""
    run.step(step)
    seen = sorted(f"job {row[1]}/{row[2]}#{row[3]}" if row[0] == "job" else f"phase {row[1]}/{row[2]}" if row[0] == "phase" else
                  f"{row[0]} {row[1]}" for row in run.taken)
    return None if seen == sorted(step["released"]) else f"it released {seen}"


_EXPECTATIONS = {"expect": _expect, "note": _note, "carries": _carries, "ask": _ask, "released": _released}


# ---- writing one ----


def _flow(value) -> str:
    if isinstance(value, datetime):
        return instant(value.astimezone(timezone.utc)).replace(".000000Z", "Z")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n")[0]


def step_lines(step: dict) -> list[str]:
    """A step as lines of a case file; each message of a batch has its own."""
    if "batch" not in step:
        return ["- " + _flow(step)]
    more = {name: value for name, value in step.items() if name != "batch"}
    lines = ["- batch:", *(f"  - {_flow(message)}" for message in step["batch"])]
    return lines + [f"  {name}: {_flow(value)}" for name, value in more.items()]


def case_text(name: str, comment: str, steps: list[dict]) -> str:
    """A case as it stands in a file. Its runbooks are those of runbooks.yaml, which its events name."""
    lines = [*(f"# {line}" for line in comment.split("\n")), f"{name}:", "  steps:"]
    return "\n".join([*lines, *("  " + line for step in steps for line in step_lines(step))]) + "\n"
