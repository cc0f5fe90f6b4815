"""A company with every simulated system that the shipped runbooks need, people in all of them, and a mail server."""

import secrets

from golden_texts import mails_part, thread_part, ticket_part
from google import Google, person
from keys import KeyPair
from m365 import METHODS, exchange_settings
from m365 import settings as m365_settings
from mail_server import MailServer
from stack import Stack
from vendors.m365 import MAILBOX_SKU, OTHER_SKU

CHANNEL = "C0OFFBOARD"
BOSS, DESK = "boss@example.com", "desk@example.com"
SYSTEMS = ("google", "okta", "slack", "jira", "zoom", "jamf", "assetsonar", "retriever", "aftership", "bamboohr", "oomnitza", "m365", "github", "gitlab",
           "atlassian")
WORKERS = (*SYSTEMS, "slack-scim", "exchange", "email", "manual")
SECRET = "webhook-secret-of-this-company"
GITHUB_TOKEN, GITLAB_TOKEN, ATLASSIAN_TOKEN = "ghp_0123456789abcdefOfThisTest", "glpat-0123456789-of-this-test", "ATCTT3key-of-this-test-0123456789"
ATLASSIAN_ORGANIZATION = "0f9e8d7c-0000-4000-8000-0123456789ab"


class Company:
    """The stack; `hire` makes a leaver known everywhere. `more` are settings of systems that have no simulated vendor."""

    def __init__(self, factory, *, day: str = "400ms", more: dict | None = None) -> None:
        google = Google()
        slack = "xoxb-" + secrets.token_hex(16)
        keys = KeyPair.make()
        self.stack: Stack = factory(systems=",".join(SYSTEMS), vendors={
            **google.vendors(), "slack": {"token": slack, "channels": [{"id": CHANNEL, "name": "offboarding"}]},
            "github": {"token": GITHUB_TOKEN}, "gitlab": {"token": GITLAB_TOKEN},
            "atlassian": {"token": ATLASSIAN_TOKEN, "organization": ATLASSIAN_ORGANIZATION},
            "assetsonar": {"licence_call": "checkin"}, "aftership": {"webhook_secret": SECRET}})
        stack = self.stack
        self.mail = MailServer(stack.servers.ports.take())
        url = stack.sandbox.url
        mails = {"url": f"smtp://127.0.0.1:{self.mail.port}", "from": "offboard@example.com", "per_minute": "60000"}
        stack.configure({"clock": {"day": day}})
        stack.settings["sources"] = {"aftership": {"webhook_secret": SECRET}}
        stack.settings["worker"] |= {"systems": [*WORKERS, *(more or {})], "retry_wait": "3s", "escrow_key": keys.public}
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
            "m365": m365_settings(url("m365")),
            "exchange": exchange_settings(url("m365")),
            "github": {"url": url("github"), "graphql_url": url("github") + "/graphql", "organization": "acme", "token": GITHUB_TOKEN},
            "gitlab": {"url": url("gitlab"), "token": GITLAB_TOKEN},
            "atlassian": {"url": url("atlassian"), "organization": ATLASSIAN_ORGANIZATION, "token": ATLASSIAN_TOKEN},
            "email": {**mails, "operators": "security@example.com"},
            "manual": {**mails, "owner": DESK}}
        stack.settings["systems"] |= more or {}
        for system in (*SYSTEMS, "exchange"):
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
        sandbox.seed("m365", {"users": [{"userPrincipalName": email, "displayName": name}]})

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
        self.hire_office(email, name)
        self.hire_developer(email)

    def hire_office(self, email: str, name: str, **more) -> None:
        """Microsoft 365 alone, with something of everything."""
        sandbox = self.stack.sandbox
        sandbox.seed("m365", {"users": [{
            "userPrincipalName": email, "displayName": name, "manager": BOSS, "methods": METHODS,
            "licenses": [{"skuId": MAILBOX_SKU}, {"skuId": OTHER_SKU}], "mailbox": {"ForwardingSmtpAddress": "smtp:at@home.example"}, **more}]})
        short = email.partition("@")[0]
        sandbox.seed("m365", {
            "groups": [{"displayName": f"{short} sales", "members": [email]}, {"displayName": f"{short} project", "owners": [email, BOSS]},
                       {"displayName": f"{short} licences", "members": [email], "assignedLicenses": [{"skuId": "visio"}]}],
            "grants": [{"principalId": email, "clientId": "c1", "resourceId": "r1", "scope": "Mail.Read"}],
            "app_roles": [{"principalId": email, "resourceDisplayName": "Travel", "resourceId": "r1", "appRoleId": "a1"}],
            "devices": [{"registeredUsers": [email], "displayName": "Notebook"}], "managed_devices": [{"userId": email}]})
        if more.get("mailbox") is not False:
            sandbox.seed("m365", {"lists": [{"PrimarySmtpAddress": f"{short}.news@example.com", "members": [email]}]})

    def hire_developer(self, email: str) -> None:
        sandbox = self.stack.sandbox
        sandbox.seed("github", {"users": [{"login": email.partition("@")[0].title(), "name_id": email, "credentials": 2,
                                           "membership": {"state": "active", "role": "member"}}]})
        sandbox.seed("gitlab", {"users": [{"email": email, "keys": 1, "gpg_keys": 1, "personal_access_tokens": 1}]})
        sandbox.seed("atlassian", {"users": [{"email": email}]})

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
