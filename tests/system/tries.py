"""Single tries of a table's actions, for what is special; and the ids by which what is done once is found."""

import dataclasses
import json

from connector_table import Case
from events import job_id, offboarding_id


def ids(system: str, action: str, email: str, with_: dict) -> dict[str, str]:
    """{"job": …} of a try with these parameters, as Case hands them over."""
    offboarding = offboarding_id({"source": "/offboard/try", "id": email})
    return {"job": job_id(offboarding, "try", f"{system}/{action}/{json.dumps(with_)}")}


def case(table, stack, action: str, test: str, **changes) -> Case:
    """A leaver of its own for the action's first row; `changes` are to the row."""
    row = next(row for row in table.rows if row.action == action)
    return Case(table, stack, dataclasses.replace(row, **changes), test)
