"""Google Workspace for tests: the sandbox's organisation, and the settings of the connector that talks to it."""

from google_account import ServiceAccount
from stack import Stack

DOMAIN = "example.com"
FORMER, UNLICENSED = "/Former Team Members", "/No Google License"


class Google:
    """What a stack needs to have Google, and what a test asks of it. The key pair is made once."""

    def __init__(self) -> None:
        self.account = ServiceAccount.make()

    def vendors(self, **settings) -> dict:
        return {"google": {"service_accounts": [self.account.known], **settings}}

    def connect(self, stack: Stack) -> None:
        """Configures the stack's system `google`; the sandbox tells its port only when it runs."""
        url = stack.sandbox.url("google")
        stack.settings["systems"]["google"] = {
            "service_account": self.account.key_file(url + "/token"), "admin": "admin@example.com",
            "admin_url": url, "gmail_url": url, "identity_url": url, "licensing_url": url, "per_minute": "60000"}
        stack.settings["worker"]["derive_key"] = "0123456789abcdef0123456789abcdef"
        stack.write_settings()


    def alone(self, factory, *people: str, **settings) -> Stack:
        """A stack before nothing but Google, with these people in it."""
        stack = factory(systems="google", vendors=self.vendors(**settings))
        self.connect(stack)
        for email in people:
            person(stack, email)
        return stack


def user(stack: Stack, email: str) -> dict:
    return next(one for one in stack.sandbox.state("google")["users"] if one["primaryEmail"] == email)


def person(stack: Stack, email: str, **more) -> dict:
    """An account with something of everything, unless `more` says otherwise; its state."""
    name = email.partition("@")[0]
    stack.sandbox.seed("google", {"users": [{
        "primaryEmail": email, "name": {"givenName": name.title(), "familyName": "Doe", "fullName": f"{name.title()} Doe"},
        "orgUnitPath": "/Staff", "includeInGlobalAddressList": True, "recoveryEmail": f"{name}@home.example",
        "recoveryPhone": "+4915112345678", "aliases": [f"{name}.alias@{DOMAIN}"],
        "tokens": [{"clientId": f"{n}.apps", "displayText": "App", "scopes": []} for n in (1, 2)],
        "asps": [{"codeId": 7, "name": "Mail"}], "backup_codes": ["12345678"], **more}]})
    return user(stack, email)


def requests(stack: Stack, since: int = 0) -> list[str]:
    """Each request since that entry of the journal, but for tokens: `METHOD path?query`, changing ones with their body."""
    told = []
    for entry in stack.sandbox.journal("google")[since:]:
        if entry["path"] != "/token":
            query = f"?{entry['query']}" if entry["query"] else ""
            body = f" {entry['body']}" if entry.get("changing") and entry["body"] else ""
            told.append(f"{entry['method']} {entry['path']}{query}{body}")
    return told


def changes(stack: Stack, since: int = 0) -> list[dict]:
    return [entry for entry in stack.sandbox.journal("google")[since:] if entry.get("changing") and entry["path"] != "/token"]
