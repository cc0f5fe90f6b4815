"""The runbook google-workspace and what it needs: Google, Slack and mail, played; and what became of it all."""

from google import Google, person, user
from mail_server import MailServer
from process import wait_until
from stack import Stack

CHANNEL = "C0OFFBOARD"
SLACK_TOKEN = "xoxb-0123456789-of-the-workspace"
SECURITY = "security@example.com"
SYSTEMS = ["google", "slack", "email"]


class Workspace:
    """A stack with the three systems; `day` is how long a day lasts, None: a day."""

    def __init__(self, make_stack, port: int, *, day: str | None = None, worker: dict | None = None, **google) -> None:
        self.google, self.mail = Google(), MailServer(port)
        channels = [{"id": CHANNEL, "name": "offboarding"}]
        self.stack: Stack = make_stack(systems="google,slack", vendors={
            **self.google.vendors(**google), "slack": {"token": SLACK_TOKEN, "channels": channels}})
        self.stack.tokens["slack"] = SLACK_TOKEN
        self.stack.configure({
            "worker": {"systems": SYSTEMS, **(worker or {})}, **({"clock": {"day": day}} if day else {}),
            "systems": {
                "slack": {"url": self.stack.sandbox.url("slack") + "/api", "token": SLACK_TOKEN, "channel": CHANNEL,
                          "settle": "1s", "per_minute": "60000", "posts_per_minute": "60000"},
                "email": {"url": f"smtp://127.0.0.1:{port}", "from": "Offboard <offboard@example.com>", "per_minute": "6000",
                          "failures_to": SECURITY}}})
        self.google.connect(self.stack)
        self.stack.cli("topics").ok()

    def start(self) -> "Workspace":
        self.stack.start()
        return self

    def person(self, email: str, **more) -> dict:
        return person(self.stack, email, **more)

    def user(self, email: str) -> dict:
        return user(self.stack, email)

    def leaves(self, email: str, **event) -> str:
        return self.stack.offboard(email, runbook="google-workspace", **event)

    def thread(self) -> list[str]:
        """Everything in the channel, in order; what follows the first is checked to be a reply to some thread's head."""
        channel = next(one for one in self.stack.sandbox.state("slack")["channels"] if one["id"] == CHANNEL)
        messages = sorted(channel["messages"], key=lambda message: message["ts"])
        heads = {message["ts"] for message in messages if message.get("thread_ts") in (None, message["ts"])}
        assert all(message["ts"] in heads or message["thread_ts"] in heads for message in messages)
        return [message["text"] for message in messages]

    def told(self) -> dict[str, str]:
        """What the mirror said of each step, the last word counts: {step: outcome}."""
        lines = [line for text in self.thread()[1:] if not text.startswith("Report of") for line in text.splitlines()]
        return {line.split(": ")[0]: line.split(": ")[1].split(" ")[0] for line in lines}

    def reports(self) -> list[str]:
        return [text for text in self.thread() if text.startswith("Report of phase ")]

    def mails(self, to: str) -> list[tuple[str, str]]:
        """Subject and text of the mails that somebody got, in the order in which they came."""
        return [(mail.message["subject"], mail.message.get_content().replace("\r\n", "\n"))
                for mail in self.mail.mails if mail.recipients == [to]]

    def outcomes(self, offboarding: str) -> dict[str, str]:
        """Of the steps, without followers: outcome, or state of those that have none."""
        return {row["step"]: row["outcome"] or row["state"] for row in self.stack.database.query(
            "SELECT step, outcome, state FROM job WHERE offboarding_id = %s AND follower IS NULL ORDER BY position", offboarding)}

    def wait_report(self, count: int = 1, timeout: float = 60) -> str:
        return wait_until(lambda: len(self.reports()) >= count and self.reports()[-1], timeout, f"{count} reports")
