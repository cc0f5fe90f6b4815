"""A stack for the runbook `google-workspace`: Google, Slack and a mail server, with a day of a quarter of a second."""

import secrets

from google import Google
from mail_server import MailServer

CHANNEL = "C0OFFBOARD"
OPERATORS = "security@example.com"


class Workspace:
    """The stack, its mail server, and what is said in the thread."""

    def __init__(self, factory, google: Google, *, day: str = "250ms", settings: dict | None = None, google_settings: dict | None = None,
                 vendor: dict | None = None) -> None:
        token = "xoxb-" + secrets.token_hex(16)
        stack = factory(systems="google,slack", vendors={**google.vendors(**(vendor or {})),
                                                         "slack": {"token": token, "channels": [{"id": CHANNEL, "name": "offboarding"}]}})
        self.stack = stack
        self.mail = MailServer(stack.servers.ports.take())
        stack.tokens["slack"] = token
        stack.configure({"clock": {"day": day}, **(settings or {})})
        stack.settings["worker"] = {**stack.settings["worker"], "systems": ["google", "slack", "email"], "retry_wait": "3s"}
        stack.settings["systems"] |= {
            "slack": {"url": stack.sandbox.url("slack") + "/api", "token": token, "channel": CHANNEL, "settle": "1s",
                      "per_minute": "60000", "posts_per_minute": "60000"},
            "email": {"url": f"smtp://127.0.0.1:{self.mail.port}", "from": "offboard@example.com", "operators": OPERATORS,
                      "per_minute": "60000"}}
        google.connect(stack)
        stack.settings["systems"]["google"] |= {"settle": "1s", **(google_settings or {})}
        stack.write_settings()
        stack.cli("topics").ok()

    def thread(self) -> list[str]:
        """Texts of the thread, the opening one first."""
        channel = next(one for one in self.stack.sandbox.state("slack")["channels"] if one["id"] == CHANNEL)
        return [message["text"] for message in sorted(channel["messages"], key=lambda message: float(message["ts"]))]

    def mails(self, to: str) -> list[str]:
        """Subjects of the mails to somebody."""
        return [mail.message["Subject"] for mail in self.mail.mails if to in mail.recipients]

    def reports(self) -> list[str]:
        return [text for text in self.thread() if text.startswith("Report on ")]

    def leave(self, email: str, **event) -> str:
        return self.stack.offboard(email, runbook="google-workspace", **event)
