"""The journal: one JSON object a line for every request a vendor has read, without the secrets in it.

`time` is the request's arrival. A line is written before its answer is sent, and in the order of the effects within a
system, so whoever has an answer finds its line. Header names are in lower case; path and query are raw. `status` is the
status the vendor decided on (also when a fault then lost it) and null when it never came to that. `changing` marks a
request that asked for a change, `effect` one that made a change, `fault` names the injected fault. `against_facts` lists what in
the request is against the vendor's published specification, where the sandbox was given facts of it.
"""

import base64
import json
import re
import threading
import urllib.parse
from datetime import datetime, timezone

MASK = "***"
_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|passcode|secret|assertion|credential|private_?key|api_?key|token"
    r"|signature|^pin$", re.IGNORECASE)
# Cursors are called tokens too, and a reader of the journal needs them.
_CURSOR_NAME = re.compile(r"page_?token|sync_?token|continuation_?token|token_?type", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*")


class Journal:
    """Appends to a file, one write a line, and keeps the lines for the control port."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)
        self._lock = threading.Lock()
        self._entries: list[dict] = []
        self._secrets: list[str] = []

    def add_secrets(self, values: list[str]) -> None:
        """Values to mask wherever they turn up, also in the forms a request carries them."""
        for value in values:
            forms = {value, urllib.parse.quote(value, safe=""), base64.b64encode(value.encode()).decode()}
            self._secrets.extend(form for form in forms if form and form not in self._secrets)
        self._secrets.sort(key=len, reverse=True)

    def write(self, *, time: datetime, system: str, request, status: int | None, changing: bool, effect: bool,
              fault: str | None, against_facts: list[str]) -> None:
        entry = {
            "time": time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "system": system,
            "method": request.method,
            "path": request.path,
            "query": mask_pairs(request.query),
            "headers": {name: mask_header(name, value) for name, value in request.headers.items()},
            "body": mask_body(request.text, request.headers.get("content-type", "")),
            "status": status,
        }
        if changing:
            entry["changing"] = True
        if effect:
            entry["effect"] = True
        if fault:
            entry["fault"] = fault
        if against_facts:
            entry["against_facts"] = against_facts
        entry = self._mask_values(entry)
        line = json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._lock:
            self._file.write(line)
            self._entries.append(entry)

    def entries(self, system: str | None = None) -> list[dict]:
        with self._lock:
            return [entry for entry in self._entries if system in (None, entry["system"])]

    def clear(self) -> None:
        """Forget the entries; the file keeps them."""
        with self._lock:
            self._entries = []

    def _mask_values(self, value):
        if isinstance(value, dict):
            return {self._mask_values(key): self._mask_values(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._mask_values(item) for item in value]
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, MASK)
            return _JWT.sub(MASK, value)
        return value


def is_secret_name(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _CURSOR_NAME.search(name)


def mask_header(name: str, value: str) -> str:
    """The value, or for a credential its scheme only (`Bearer ***`)."""
    if not is_secret_name(name):
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and name.endswith("authorization") else MASK


def mask_pairs(text: str) -> str:
    """A raw query or form with the values of secret names masked and everything else untouched."""
    pairs = []
    for pair in text.split("&"):
        name, equals, _ = pair.partition("=")
        pairs.append(name + equals + MASK if equals and is_secret_name(urllib.parse.unquote_plus(name)) else pair)
    return "&".join(pairs)


def mask_body(text: str, content_type: str):
    """The body as JSON if it is JSON, else as text; null when there is none."""
    if not text:
        return None
    if "x-www-form-urlencoded" in content_type:
        return mask_pairs(text)
    try:
        return mask_json(json.loads(text))
    except (ValueError, RecursionError):
        return text


def mask_json(value):
    """JSON with the values of secret names masked, a SCIM operation's `value` on a secret `path` included."""
    if isinstance(value, list):
        return [mask_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    named_secret = any(isinstance(value.get(key), str) and is_secret_name(value[key]) for key in ("path", "key", "name"))
    masked = {}
    for key, item in value.items():
        secret = is_secret_name(key) or (named_secret and key == "value")
        masked[key] = MASK if secret and item is not None else mask_json(item)
    return masked
