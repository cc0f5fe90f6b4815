"""Google's user resource: what of it may be written, how an update merges, and the search language of users.list."""

import hashlib
import re

# What the directory decides for itself; sent along, it is ignored.
READ_ONLY = {"id", "kind", "etag", "isAdmin", "isDelegatedAdmin", "lastLoginTime", "creationTime", "deletionTime",
             "agreedToTerms", "suspensionReason", "aliases", "nonEditableAliases", "customerId", "isMailboxSetup",
             "isEnrolledIn2Sv", "isEnforcedIn2Sv", "thumbnailPhotoUrl", "thumbnailPhotoEtag"}
FLAGS = {"suspended", "archived", "includeInGlobalAddressList", "ipWhitelisted", "changePasswordAtNextLogin"}
MAPS = {"name", "customSchemas"}
_LISTS = {"addresses", "emails", "externalIds", "ims", "keywords", "languages", "locations", "notes", "organizations",
          "phones", "posixAccounts", "relations", "sshPublicKeys", "websites"}
_TEXTS = {"primaryEmail", "orgUnitPath", "recoveryEmail", "recoveryPhone", "password", "hashFunction"}
_TYPES = {**dict.fromkeys(FLAGS, bool), **dict.fromkeys(MAPS, dict), **dict.fromkeys(_LISTS, list),
          **dict.fromkeys(_TEXTS, str), "gender": dict}
_HASHES = {"MD5": r"[0-9a-fA-F]{32}", "SHA-1": r"[0-9a-fA-F]{40}", "crypt": r"\S+"}
_TERM = re.compile(r"(\w+)([=:])('(?:[^'\\]|\\.)*'|\S+)\s*")


class UserError(ValueError):
    """A body or a query that the directory does not take; `reason` in Google's words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_update(body: dict) -> dict:
    """The writable part of a body, checked. UserError on a field that does not exist or a value it cannot have."""
    changes = {}
    for key, value in body.items():
        if key in READ_ONLY:
            continue
        if key not in _TYPES:
            raise UserError("badRequest", f'Invalid JSON payload received. Unknown name "{key}": Cannot find field.')
        if value is not None and not isinstance(value, _TYPES[key]):
            raise UserError("invalid", f"Invalid Input: {key}")
        changes[key] = value
    if changes.get("recoveryPhone") and not re.fullmatch(r"\+[1-9]\d{6,14}", changes["recoveryPhone"]):
        raise UserError("invalid", "Invalid Input: recovery_phone")
    if changes.get("recoveryEmail") and "@" not in changes["recoveryEmail"]:
        raise UserError("invalid", "Invalid Input: recovery_email")
    _check_password(changes)
    return changes


def _check_password(changes: dict) -> None:
    password, function = changes.get("password"), changes.get("hashFunction")
    if password is None:
        return
    if function is None:
        good = 8 <= len(password) <= 100 and password.isascii()
    else:
        good = function in _HASHES and re.fullmatch(_HASHES[function], password)
    if not good:
        raise UserError("invalid", "Invalid Password")


def merge_user(user: dict, changes: dict, *, clears: bool = True) -> dict:
    """The user with the changes: what is not sent stays. Null and an empty text clear, and so does an empty list unless
    `clears` is false, as in PATCH. The password is kept as a digest, with a count of its changes."""
    merged = dict(user)
    for key, value in changes.items():
        if key in ("password", "hashFunction") or (value == [] and not clears):
            continue
        if key in MAPS and value is not None:
            merged[key] = {**merged.get(key, {}), **value}
        elif value in (None, "", []) and key not in ("primaryEmail", "orgUnitPath"):
            merged.pop(key, None)
        elif value is not None:
            merged[key] = value
    if changes.get("password") is not None:
        merged["password"] = {"sha256": hashlib.sha256(changes["password"].encode()).hexdigest(),
                              "hashFunction": changes.get("hashFunction"),
                              "changes": user["password"]["changes"] + 1}
    for flag in FLAGS - {"ipWhitelisted"}:
        merged.setdefault(flag, flag == "includeInGlobalAddressList")
    merged.pop("suspensionReason", None)
    if merged["suspended"]:
        merged["suspensionReason"] = user.get("suspensionReason", "ADMIN")
    return merged


def matches(user: dict, query: str) -> bool:
    """Whether a user meets a query of users.list: terms FIELD=VALUE, FIELD:VALUE, FIELD:PREFIX*, all of them."""
    position = 0
    query = query.strip()
    while position < len(query):
        term = _TERM.match(query, position)
        if term is None or term[1] not in _FIELDS:
            raise UserError("invalid", "Invalid Input: query")
        value = re.sub(r"\\(.)", r"\1", term[3][1:-1]) if term[3].startswith("'") else term[3]
        if not _has(_FIELDS[term[1]](user), term[2], value.lower()):
            return False
        position = term.end()
    return True


def _has(values: list, operator: str, wanted: str) -> bool:
    texts = [str(value).lower() for value in values]
    if operator == ":" and wanted.endswith("*"):
        return any(text.startswith(wanted[:-1]) for text in texts)
    return wanted in texts


def _values(key: str, member: str = "value", kind: str | None = None):
    return lambda user: [item.get(member, "") for item in user.get(key) or []
                         if kind is None or item.get("type") == kind]


_FIELDS = {
    "email": lambda user: [user["primaryEmail"], *user["aliases"], *_values("emails", "address")(user)],
    "externalId": _values("externalIds"),
    "givenName": lambda user: [user.get("name", {}).get("givenName", "")],
    "familyName": lambda user: [user.get("name", {}).get("familyName", "")],
    "isSuspended": lambda user: [user["suspended"]],
    "isArchived": lambda user: [user["archived"]],
    "isAdmin": lambda user: [user["isAdmin"]],
    "orgUnitPath": lambda user: [user["orgUnitPath"]],
    "directManager": _values("relations", kind="manager"),
}
