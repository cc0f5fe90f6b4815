"""Exchange Online by itself: the admin endpoint without the directory. `m365` has both, of one tenant."""

import math

from core.vendor import Answer, Request, Vendor
from vendors.entra_tokens import Tokens
from vendors.exchange_admin import RESOURCE, ExchangeAdmin, error_body

CODES = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests", 503: "ServiceUnavailable"}


class Exchange(Tokens, ExchangeAdmin, Vendor):
    """One tenant. Mailboxes and lists are JSON in the words of PowerShell, with `size` and `members` beside them."""

    DEFAULTS = {
        **Tokens.TOKEN_SETTINGS,
        "cmdlet_page": 1000,        # objects on a page of a cmdlet's answer
    }
    SECRETS = ("client_secret",)
    SEED_KEYS = ("mailboxes", "lists")
    RESOURCES = (RESOURCE,)

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, error_body(CODES.get(status, "InternalServerError"), message))

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = self.fail(429, "Too many requests.")
        answer.headers["Retry-After"] = str(max(1, math.ceil(wait)))
        return answer

    def seed(self, state: dict) -> None:
        for given in state.get("mailboxes", []):
            self.seed_mailbox(given)
        for given in state.get("lists", []):
            self.seed_list(given)

    def export(self) -> dict:
        return {kind: list(self.store.all(kind)) for kind in ("mailboxes", "lists")}
