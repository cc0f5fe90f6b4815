"""The fields of a Jira issue: what a create or edit request may set, and how the vendor complains about the rest."""

from datetime import date

from formats.adf import TEXT_LIMIT, is_document, is_valid, plain_text

ISSUE_TYPES = {"Task": "10002", "Bug": "10004", "Story": "10001", "Service Request": "10010"}
PRIORITIES = {"Highest": "1", "High": "2", "Medium": "3", "Low": "4", "Lowest": "5"}


class FieldErrors(Exception):
    """What is wrong: texts by field name, and general ones."""

    def __init__(self, errors: dict[str, str] | None = None, messages: list[str] | None = None) -> None:
        super().__init__(errors, messages)
        self.errors, self.messages = errors or {}, messages or []


def read_fields(given: dict, projects: list[str], *, creating: bool) -> dict:
    """The fields of a request in the form the vendor stores them. FieldErrors names every faulty one."""
    if not isinstance(given, dict):
        raise FieldErrors({"fields": "Fields must be an object"})
    fields, errors = {}, {}
    if creating:
        given = {"project": None, "issuetype": None, "summary": None, **given}
    for name, value in given.items():
        reader = _READERS.get(name)
        try:
            if reader is None or (not creating and name == "project"):
                raise ValueError(f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown.")
            fields[name] = reader(value, projects)
        except ValueError as error:
            errors[name] = str(error)
    if errors:
        raise FieldErrors(errors)
    return fields


def read_document(value, name: str) -> dict:
    """A document for a description or comment."""
    if not is_document(value):
        raise FieldErrors({name: "Operation value must be an Atlassian Document "
                                 "(see the Atlassian Document Format)"})
    if not is_valid(value):
        raise FieldErrors(messages=["INVALID_INPUT"])
    if len(plain_text(value)) > TEXT_LIMIT:
        raise FieldErrors(messages=["CONTENT_LIMIT_EXCEEDED"])
    return value


def apply_label_changes(labels: list[str], update) -> list[str]:
    """The labels after an edit's `update`: a list of `{"add": label}` and `{"remove": label}`."""
    if not isinstance(update, dict) or not is_list_of(update.get("labels", []), dict):
        raise FieldErrors({"update": "Update must be an object with lists of operations"})
    changed = list(labels)
    for change in update.get("labels", []):
        changed = [label for label in changed if label != change.get("remove")]
        if "add" in change:
            changed.append(change["add"])
    return read_fields({"labels": changed}, [], creating=False)["labels"]


def read_properties(body: dict) -> dict:
    """The `properties` of a create request as a mapping."""
    given = body.get("properties") or []
    if not is_list_of(given, dict) or not all(isinstance(item.get("key"), str) and "value" in item for item in given):
        raise FieldErrors({"properties": "Properties must be a list of objects with 'key' and 'value'"})
    return {item["key"]: item["value"] for item in given}


def is_list_of(value, kind: type) -> bool:
    """Whether a value is a list of nothing but `kind`; a boolean is no number here."""
    return isinstance(value, list) and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)


def project_object(key: str, projects: list[str]) -> dict:
    return {"id": str(10000 + projects.index(key)), "key": key, "name": key}


def _project(value, projects: list[str]) -> dict:
    if isinstance(value, dict):
        for key in projects:
            found = project_object(key, projects)
            if value.get("key") == key or value.get("id") == found["id"]:
                return found
    raise ValueError("Specify a valid project ID or key")


def _issue_type(value, _projects: list[str]) -> dict:
    if isinstance(value, dict):
        for name, key in ISSUE_TYPES.items():
            if str(value.get("name", "")).lower() == name.lower() or value.get("id") == key:
                return {"id": key, "name": name, "subtask": False}
    raise ValueError("Specify a valid issue type")


def _summary(value, _projects: list[str]) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("You must specify a summary of the issue.")
    if "\n" in value or "\r" in value:
        raise ValueError("The summary is invalid because it contains newline characters.")
    if len(value) > 255:
        raise ValueError("Summary must be less than 255 characters.")
    return value


def _labels(value, _projects: list[str]) -> list[str]:
    if not is_list_of(value, str) or not all(value):
        raise ValueError("data was not an array of strings")
    for label in value:
        if any(character.isspace() for character in label):
            raise ValueError(f"The label '{label}' contains spaces which is invalid.")
        if len(label) > 255:
            raise ValueError(f"The label '{label}' exceeds the maximum length for labels of 255 characters.")
    return sorted(set(value))


def _description(value, _projects: list[str]) -> dict | None:
    if value is None:
        return None
    try:
        return read_document(value, "description")
    except FieldErrors as error:
        if error.messages:
            raise
        raise ValueError(error.errors["description"]) from error


def _priority(value, _projects: list[str]) -> dict:
    if isinstance(value, dict):
        for name, key in PRIORITIES.items():
            if value.get("name") == name or value.get("id") == key:
                return {"id": key, "name": name}
    raise ValueError("Specify a valid 'id' or 'name' for Priority")


def _person(value, _projects: list[str]) -> dict | None:
    if value is None:
        return None
    key = value.get("accountId") or value.get("id") if isinstance(value, dict) else None
    if not isinstance(key, str):
        raise ValueError("Specify a valid value for account id")
    return {"accountId": key}


def _date(value, _projects: list[str]) -> str | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError) as error:
        raise ValueError("Operation value must be a string in the format 'yyyy-MM-dd'") from error


_READERS = {"project": _project, "issuetype": _issue_type, "summary": _summary, "labels": _labels,
            "description": _description, "priority": _priority, "assignee": _person, "reporter": _person,
            "duedate": _date}
