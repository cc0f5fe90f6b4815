"""A company with every simulated system that the shipped runbooks need, people in all of them, and a mail server."""

import secrets

from golden_texts import mails_part, thread_part, ticket_part
from google import Google, person
from keys import KeyPair
from mail_server import MailServer
from stack import Stack

CHANNEL = "C0OFFBOARD"
BOSS, DESK = "boss@example.com", "desk@example.com"
SYSTEMS = ("google", "okta", "slack", "jira", "zoom", "jamf", "assetsonar", "retriever", "aftership", "bamboohr", "oomnitza", "m365")
WORKERS = (*SYSTEMS, "slack-scim", "email", "manual")
SECRET = "webhook-secret-of-this-company"


class Company:
    """The stack; `hire` makes a leaver known everywhere."""

    def __init__(self, factory, *, day: str = "400ms") -> None:
        google = Google()
        slack = "xoxb-" + secrets.token_hex(16)
        keys = KeyPair.make()
        self.stack: Stack = factory(systems=",".join(SYSTEMS), vendors={
            **google.vendors(), "slack": {"token": slack, "channels": [{"id": CHANNEL, "name": "offboarding"}]},
            "assetsonar": {"licence_call": "checkin"}, "aftership": {"webhook_secret": SECRET}})
        stack = self.stack
        self.mail = MailServer(stack.servers.ports.take())
        url = stack.sandbox.url
        mails = {"url": f"smtp://127.0.0.1:{self.mail.port}", "from": "offboard@example.com", "per_minute": "60000"}
        stack.configure({"clock": {"day": day}})
        stack.settings["sources"] = {"aftership": {"webhook_secret": SECRET}}
        stack.settings["worker"] |= {"systems": list(WORKERS), "retry_wait": "3s", "escrow_key": keys.public}
        stack.settings["vault"] = {"escrow_private_key": keys.private}
        stack.settings["systems"] |= {
            "okta": {"url": url("okta"), "token": "00sandbox-okta-s3cret"},
            "slack": {"url": url("slack") + "/api", "token": slack, "channel": CHANNEL, "settle": "1s", "posts_per_minute": "60000"},
            "slack-scim": {"url": url("slack") + "/scim/v2", "token": "xoxp-sandbox-scim-s3cret"},
            "zoom": {"url": url("zoom") + "/v2", "token_url": url("zoom") + "/oauth/token", "account": "A-sandbox-account",
                     "client_id": "sandbox-zoom-client", "client_secret": "sandbox-zoom-s3cret"},
            "jamf": {"url": url("jamf"), "client_id": "jamf-sandbox-client", "client_secret": "jamf-sandbox-s3cret"},
            "assetsonar": {"url": url("assetsonar"), "token": "assetsonar-sandbox-s3cret", "location": "42", "licence_call": "checkin"},
            "retriever": {"url": url("retriever") + "/api/v2", "token": "sandbox-retriever-key-s3cret", "settle": "1s",
                          "hr_url": url("bamboohr") + "/api/v1", "hr_key": "sandbox-bamboo-key-s3cret", "company": "Example Inc",
                          "return_recipient": "IT", "return_line_1": "1 Main Street", "return_city": "Austin", "return_state": "TX",
                          "return_zip": "78701"},
            "aftership": {"url": url("aftership") + "/tracking/2026-07", "key": "asat_sandbox-s3cret"},
            "bamboohr": {"url": url("bamboohr") + "/api/v1", "key": "sandbox-bamboo-key-s3cret"},
            "oomnitza": {"url": url("oomnitza"), "token": "sandbox-oomnitza-token-s3cret"},
            "m365": {"url": url("m365") + "/v1.0", "login_url": url("m365"), "tenant": "7f1c2a4e-0000-4000-8000-00000000c0de",
                     "client_id": "0ffb0a2d-0000-4000-8000-000000000a99", "client_secret": "sandbox~entra-s3cret"},
            "email": {**mails, "operators": "security@example.com"},
            "manual": {**mails, "owner": DESK}}
        for system in SYSTEMS:
            stack.settings["systems"].setdefault(system, {})["per_minute"] = "60000"
        google.connect(stack)
        stack.settings["systems"]["google"]["settle"] = "1s"
        stack.write_settings()
        stack.cli("topics").ok()
        self._employ(BOSS, "Bo Ss")
        stack.sandbox.seed("bamboohr", {"employees": [{"id": "1", "firstName": "Bo", "lastName": "Ss", "workEmail": BOSS, "status": "Active"}]})

    def _employ(self, email: str, name: str, **more) -> None:
        sandbox = self.stack.sandbox
        person(self.stack, email, name={"fullName": name}, **more)
        sandbox.seed("zoom", {"users": [{"email": email}]})

    def hire(self, email: str, name: str, number: str, country: str = "US", okta: str = "ACTIVE") -> None:
        """An account with something to take away in every system; the manager is the boss. `okta` is the account's status there."""
        sandbox = self.stack.sandbox
        self._employ(email, name, relations=[{"type": "manager", "value": BOSS}])
        sandbox.seed("zoom", {"users": [{"email": email, "meetings": 3}]})
        sandbox.seed("okta", {"users": [{"login": email, "status": okta, "factors": [{"id": "opf1", "factorType": "push"}], "clients": ["c1"]}]})
        sandbox.seed("okta", {"groups": [{"id": f"g-{number}", "members": [email]}], "devices": [{"id": f"d-{number}", "users": [email]}]})
        sandbox.seed("slack", {"users": [{"email": email, "name": name, "sessions": 2}]})
        sandbox.seed("jamf", {"computers": [{"email": email}]})
        sandbox.seed("assetsonar", {"members": [{"email": email}]})
        sandbox.seed("assetsonar", {"assets": [{"name": f"Laptop {number}", "holder": email}],
                                    "licences": [{"name": f"Editor {number}", "holders": [email]}]})
        sandbox.seed("bamboohr", {"employees": [{
            "id": number, "firstName": name.split()[0], "lastName": name.split()[-1], "workEmail": email, "homeEmail": "at@home.example",
            "address1": "7 Home Lane", "city": "Boise", "state": "ID", "zipcode": "83701",
            "country": {"US": "United States", "DE": "Germany"}[country], "supervisorEmail": BOSS, "status": "Inactive"}]})
        sandbox.seed("m365", {"users": [{"userPrincipalName": email, "displayName": name}]})

    def leave(self, runbook: str, email: str, name: str, number: str, country: str = "US", okta: str = "ACTIVE") -> str:
        self.hire(email, name, number, country, okta)
        return self.stack.offboard(email, runbook=runbook, user={"name": name, "employee_id": number, "country": country})

    # What is said of it.

    def ticket(self, about: str) -> dict:
        return next(issue for issue in self.stack.tickets() if about in issue["fields"]["summary"])

    def told(self, about: str) -> str:
        """All comments of the ticket."""
        return "\n".join(comment["text"] for comment in self.ticket(about)["comments"])

    def thread(self, about: str) -> str:
        """The thread whose first message names somebody, all of it."""
        channel = next(one for one in self.stack.sandbox.state("slack")["channels"] if one["id"] == CHANNEL)
        first = next(message for message in channel["messages"] if about in message["text"] and "thread_ts" not in message)
        return "\n".join(message["text"] for message in channel["messages"] if message.get("thread_ts", message["ts"]) == first["ts"])

    def texts(self, about: str) -> str:
        """Ticket, thread and mails about somebody, as people read them (golden_texts.py)."""
        tickets = [issue for issue in self.stack.tickets() if about in issue["fields"]["summary"]]
        channel = next(one for one in self.stack.sandbox.state("slack")["channels"] if one["id"] == CHANNEL)["messages"]
        first = [message["ts"] for message in channel if about in message["text"] and "thread_ts" not in message]
        thread = [message["text"] for message in channel if message.get("thread_ts", message["ts"]) in first[:1]]
        mails = [mail for mail in self.mail.mails if about in mail.message["Subject"]]
        return "".join(ticket_part(issue) for issue in tickets) + thread_part(thread) + mails_part(mails)
