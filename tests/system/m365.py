"""Microsoft 365 for tests: the sandbox's tenant, the settings of the connector, and a leaver with something of everything."""

import json
import os
import re
import urllib.parse

from connector_table import Case, filled
from stack import ROOT, Stack
from vendors.entra_tokens import Tokens
from vendors.m365 import MAILBOX_SKU, OTHER_SKU, PASSWORD

TOKEN = {name: Tokens.TOKEN_SETTINGS[name] for name in ("tenant", "client_id", "client_secret")}
BOSS = "boss@example.com"


def documented_permissions() -> list[str]:
    """The application permissions that the connector's help asks for."""
    with open(os.path.join(ROOT, "worker", "connectors", "m365.yaml"), encoding="utf-8") as file:
        text = " ".join(file.read().split())
    return re.search(r"application permissions: ([^;]+);", text)[1].split(", ")


def settings(url: str) -> dict:
    return {"url": url + "/v1.0", "login_url": url, **TOKEN, "per_minute": "60000"}


def exchange_settings(url: str) -> dict:
    """Of the system `exchange`, whose admin endpoint the same tenant has."""
    return {"url": url, "login_url": url, **TOKEN, "per_minute": "60000"}


def query(**pairs: str) -> str:
    """OData's parameters as they are sent, in the order given."""
    return "&".join(f"%24{name}={urllib.parse.quote(value, safe='')}" for name, value in pairs.items())


def person(stack: Stack, email: str, **more) -> dict:
    """A user with a licence for mail and one besides; the state of it."""
    return user(stack.sandbox.seed("m365", {"users": [
        {"userPrincipalName": email, "licenses": [{"skuId": MAILBOX_SKU}, {"skuId": OTHER_SKU}], **more}]}), email)


def user(state: dict, email: str) -> dict:
    return next(one for one in state["users"] if one["userPrincipalName"] == email)


def of(state: dict, kind: str, account: str) -> list[dict]:
    """What of this kind belongs to a user."""
    one_of, lists = ("principalId", "owner", "userId", "ExternalDirectoryObjectId"), ("members", "owners", "registeredUsers")
    return [item for item in state[kind]
            if account in [item.get(key) for key in one_of] or any(account in item.get(key, []) for key in lists)]


def method(kind: str, number: int, **more) -> dict:
    return {"@odata.type": f"#microsoft.graph.{kind}AuthenticationMethod", "id": f"{kind}-{number}", **more}


METHODS = [PASSWORD, method("phone", 1, phoneNumber="+49 151 2345678"), method("fido2", 2)]


class GraphCase(Case):
    """A row's seed may hold `before`, for an action that undoes another."""

    def try_(self, *more: str, live: bool = True, id: str | None = None, **env: str) -> dict:
        before = self.row.seed.get("before")
        given = ["--before", json.dumps({id or self.names["id"]: filled(before, self.names)})] if before is not None else []
        return super().try_(*given, *more, live=live, id=id, **env)
