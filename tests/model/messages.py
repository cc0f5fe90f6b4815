"""Messages as case files write them, and the same as the logger stages them for the SQL.

    {event: initiated, of: 1, runbook: two-phases, status: waiting, effective: 2026-02-01T00:00:00Z}
    {event: job.failed, of: 1, step: b, attempt: 1}
    {control: cancel/jane@x.org}
    {event: signal, id: 1, name: parcel, key: P1}

README.md lists the members. Offboardings have small numbers, jobs the names of their steps."""

import hashlib
import re
import uuid
from datetime import datetime, timedelta

UNITS = {"us": "microseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
JANE = {"email": "jane@x.org", "name": "Jane"}


def duration(text: str | None) -> timedelta:
    if not text:
        return timedelta()
    number, unit = re.fullmatch(r"(\d+)(us|[smhd])", text).groups()
    return timedelta(**{UNITS[unit]: int(number)})


def microseconds(text: str | None) -> int:
    return duration(text) // timedelta(microseconds=1)


def instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def phases_of(plan: dict) -> list[tuple[str, timedelta, bool, dict]]:
    return [(phase["name"], duration(phase.get("after")), phase.get("beside", False), phase["steps"]) for phase in plan["phases"]]


def keys_of(person: dict, accounts: dict) -> list[str]:
    """What a person is known by: addresses in lower case, employee id, and where there is neither the accounts HR named."""
    addresses = [person.get("email"), *person.get("emails", [])]
    keys = [address.lower() for address in addresses if address] + [person[key] for key in ("employee_id",) if key in person]
    if "email" in person or "employee_id" in person:
        return keys
    return keys + [f"{system}:{account}" for system, names in accounts.items() for account in names]


def effective_of(message: dict, now: datetime) -> datetime:
    return message.get("effective", message.get("started", now))


def complete(message: dict, runbooks: dict) -> dict:
    """The message with what it leaves out: its plan and the person's keys, and the subject of a control record."""
    if message.get("event") == "initiated":
        name = message.get("runbook", next(iter(runbooks)))
        return {**message, "runbook": name, "plan": runbooks[name], 
                "keys": keys_of(message.get("person", JANE), message.get("given_ids", {}))}
    if "control" in message and message["control"].startswith("cancel/"):
        subject = message["control"].removeprefix("cancel/")
        return {**message, "control": int(subject) if re.fullmatch(r"\d{1,2}", subject) else subject}
    return message


# ---- ids ----

def offboarding_id(number: int) -> uuid.UUID:
    return uuid.UUID(f"00000000-0000-4000-8000-{number:012d}")


def signal_id(number: int) -> uuid.UUID:
    return uuid.UUID(f"00000000-0000-4000-9000-{number:012d}")


def job_id(number: int, step: str) -> uuid.UUID:
    """Of a step: its name alone, as no test has one name in two phases. Of a follower: RFC 9562's version 3."""
    owner = offboarding_id(number)
    if re.match(r"(mirror|on-failure|on-phase-end)-\d", step):
        return uuid.UUID(bytes=hashlib.md5(owner.bytes + f"follower/{step}".encode()).digest(), version=3)
    return uuid.uuid5(owner, step)


# ---- what the logger stages ----

def _step(number: int, name: str, spec: dict) -> dict:
    planned = {"id": name, "job_id": str(job_id(number, name)), "system": "scim", "action": "act", "effect": "notify",
               "needs": [], "when": "on_success", **spec}
    planned |= {f"{word}_us": microseconds(spec[word]) for word in ("after", "expires", "wait") if word in spec}
    if "undo" in spec:
        planned |= {"undo_effect": "handover", "undo_job_id": str(job_id(number, f"{name}.undo"))}
    return planned


def plan(number: int, runbook: dict) -> dict:
    phases = [{"name": phase["name"], "beside": phase.get("beside", False), "after": phase.get("after"), "after_us": microseconds(phase.get("after")),
               "steps": [_step(number, name, spec) for name, spec in phase["steps"].items()]} for phase in runbook["phases"]]
    followers = [{"action": "comment", "effect": "notify", "needs": [], "with": {}, **follower}
                 for follower in runbook.get("followers", [])]
    return {"phases": phases, "followers": followers}


def _initiated(message: dict, now: datetime) -> dict:
    number, started = message["of"], message["status"] == "initiated"
    person = message.get("person", JANE)
    return {
        "plan": plan(number, message["plan"]), "status": message["status"], "reason": message.get("reason"),
        "published": [str(job_id(number, step)) for step in message.get("published", [])],
        "offboarding": {
            "user": person, "runbook": message["runbook"], "source": "s", "mode": message.get("mode", "live"),
            "priority": message.get("priority", "normal"), "ids": {}, "tenant": "t1",
            "received_at": instant(message.get("received", now)), "effective_at": instant(effective_of(message, now)),
            "started_at": instant(message.get("started", now)) if started else None,
            **({"given_ids": message["given_ids"]} if "given_ids" in message else {})}}


def systems_of(initiated: dict) -> dict:
    """The system of each step, and of each follower, of an offboarding."""
    plan, number = initiated["plan"], initiated["of"]
    steps = [(name, spec) for phase in plan["phases"] for name, spec in phase["steps"].items()]
    return {(number, name): spec.get("system", "scim")
            for name, spec in steps + [(follower["name"], follower) for follower in plan.get("followers", [])]}


def _system(systems: dict, number: int, step: str) -> str:
    """Jobs that undo, and those of a follower, are named after what they belong to."""
    names = (step, step.removesuffix(".undo"), step.rpartition(".")[0], step.rpartition("-")[0])
    return next((systems[number, name] for name in names if (number, name) in systems), "scim")


def _context(message: dict, now: datetime, systems: dict) -> dict:
    name = message["event"]
    context = {member: message[member] for member in
               ("step", "attempt", "reason", "phase", "priority", "status", "progress", "actor", "pinned", "provides", "outputs",
                "state", "before", "verified", "outcome") if member in message}
    context |= {f"{member}_at": instant(message[member]) for member in ("effective", "due") if member in message}
    if name == "initiated":
        context |= _initiated(message, now)
    elif name.startswith("job."):
        context |= {"job_id": str(job_id(message["of"], message["step"])), "outcome": name.removeprefix("job."),
                    "system": message.get("system", _system(systems, message["of"], message["step"]))}
        if "open" in message:
            context["open"] = {kind: {"items": items, "why": "why"} for kind, items in message["open"].items()}
        if "waits" in message:
            heard = [str(signal_id(number)) for number in message["waits"].get("heard", [])]
            context["waits"] = {**message["waits"], "heard": heard}
    elif name == "signal":
        signal = {member: message[member] for member in ("name", "key")}
        context = {"signal": {**signal, "id": str(signal_id(message["id"])), "source": "s", "data": {"tag": message["id"]},
                              "received_at": instant(now)}}
    return context


def staged(message: dict, now: datetime, systems: dict) -> dict:
    """The row of `stage` for a message, but for its place."""
    if "control" in message:
        subject = message["control"]
        about = "cancel/" + (str(offboarding_id(subject)) if isinstance(subject, int) else subject)
        pause = isinstance(subject, str) and subject.startswith("pause/")
        value = None if message.get("gone") else {
            "reason": message.get("reason", "ordered"), "actor": message.get("actor", {"kind": "token", "id": "ann"}),
            "duplicate_of": str(offboarding_id(message["duplicate_of"])) if "duplicate_of" in message else None}
        kind = ("resume" if message.get("gone") else "pause") if pause else "uncancel" if message.get("gone") else "cancel"
        return {"name": f"control.{kind}", "occurred_at": instant(message.get("at", now)),
                "body": {"key": subject if pause else about, "value": value}}
    context = _context(message, now, systems)
    body = {"timestamp": instant(message.get("at", now)), "response": {"statusCode": 200, "message": ""}, "context": context}
    return {"name": message["event"], "occurred_at": instant(now), "body": body, "job_id": context.get("job_id"),
            "offboarding_id": str(offboarding_id(message["of"])) if "of" in message else None}
