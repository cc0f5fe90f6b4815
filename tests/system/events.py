"""HR events as CloudEvents, and the ids that follow from them."""

import uuid
from datetime import datetime, timedelta, timezone

NAMESPACE = uuid.UUID("7d3c2b1e-0c55-5b0e-9a44-6f66626f6172")
SOURCE = "/hr/tests"


def leaver(email: str | None, event: str | None = None, *, type: str = "leaver.created", source: str = SOURCE,
           employee_id: str | None = None, user: dict | None = None, **data) -> dict:
    """A structured CloudEvent. `event` is its id; further arguments become members of its data."""
    person = {"email": email, "employee_id": employee_id, **(user or {})}
    return {"specversion": "1.0", "id": event or uuid.uuid4().hex, "source": source, "type": type, "time": instant(),
            "datacontenttype": "application/json",
            "data": {"user": {name: value for name, value in person.items() if value is not None}, **data}}


def offboarding_id(event: dict) -> str:
    """schema/messages.md, Ids."""
    return str(uuid.uuid5(NAMESPACE, f"{event['source']}\n{event['id']}"))


def job_id(offboarding: str, phase: str, step: str) -> str:
    return str(uuid.uuid5(uuid.UUID(offboarding), f"{phase}/{step}"))


def instant(**ahead: float) -> str:
    """Now, or so much later (as timedelta takes it), in UTC."""
    return (datetime.now(timezone.utc) + timedelta(**ahead)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
