"""What Slack's methods have in common: arguments, timestamps, metadata, pages."""

import base64
import json
import re
import urllib.parse

DEFAULT_PAGE = 100


class SlackError(Exception):
    """An `ok: false`, by its name."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.detail = detail


def read_arguments(request, *, takes_json: bool) -> dict:
    """From the query, a form, or, where a method takes it, JSON; a method that does not take JSON sees nothing of it."""
    given = dict(request.params)
    if not request.body or request.method == "GET":
        return given
    if request.media_type == "application/x-www-form-urlencoded":
        return {**given, **dict(urllib.parse.parse_qsl(request.text, keep_blank_values=True))}
    if request.media_type != "application/json":
        raise SlackError("invalid_post_type")
    try:
        body = request.json()
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(body, dict):
        raise SlackError("json_not_object")
    if not takes_json:
        return given
    if not isinstance(body.get("text", ""), str):
        raise SlackError("invalid_arguments", "[ERROR] must be a string [json-pointer:/text]")
    return {**given, **body}


def flag(value: object) -> bool:
    return str(value).lower() in ("true", "1")


def timestamp_of(value: object) -> float | None:
    """Seconds of "1640725808.000800", which is also a message's id; None when it is none."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"\d{6,12}\.\d{6}", value) else None


def check_metadata(value: object) -> dict | None:
    """{event_type, event_payload} of an app's message; a form carries it as JSON text."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise SlackError("invalid_metadata_format") from None
    good = isinstance(value, dict) and isinstance(value.get("event_type"), str) and isinstance(value.get("event_payload"), dict)
    if not good:
        raise SlackError("invalid_metadata_format")
    return {"event_type": value["event_type"], "event_payload": value["event_payload"]}


def shown(message: dict, with_metadata: bool) -> dict:
    """A message as the methods show it: its metadata only to who asks for it."""
    hidden = {"channel", "seen_from"} if with_metadata else {"channel", "seen_from", "metadata"}
    return {key: value for key, value in message.items() if key not in hidden}


def _seconds(given: dict, name: str, default: float) -> float:
    text = str(given.get(name, ""))
    if not text:
        return default
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise SlackError("invalid_ts_" + name)
    return float(text)


def page_of(given: dict, messages: list[dict], max_page: int) -> tuple[list[dict], str]:
    """The messages asked for (`oldest`, `latest`, `inclusive`, `limit`, `cursor`), and the cursor of those after them."""
    limit = str(given.get("limit", DEFAULT_PAGE))
    if not limit.isdigit() or not 1 <= int(limit) <= 999:
        raise SlackError("invalid_limit")
    oldest, latest = _seconds(given, "oldest", 0), _seconds(given, "latest", float("inf"))
    edges = flag(given.get("inclusive"))
    wanted = [item for item in messages
              if oldest < float(item["ts"]) < latest or (edges and float(item["ts"]) in (oldest, latest))]
    start = 0
    if given.get("cursor"):
        ids = [item["ts"] for item in wanted]
        at = _decode(given["cursor"])
        if at not in ids:
            raise SlackError("invalid_cursor")
        start = ids.index(at)
    end = start + min(int(limit), max_page)
    cursor = base64.b64encode(f"next_ts:{wanted[end]['ts']}".encode()).decode() if end < len(wanted) else ""
    return wanted[start:end], cursor


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, validate=True).decode().removeprefix("next_ts:")
    except ValueError:
        raise SlackError("invalid_cursor") from None
