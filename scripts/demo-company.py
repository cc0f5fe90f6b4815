"""The company of scripts/demo: its vendors' configuration, Offboard's settings for them, and what people see there.

    demo-company.py prepare FOLDER              writes vendors.json for tests/sandbox, with new credentials
    demo-company.py settings FOLDER             prints the `systems` of offboard.yaml, once the vendors run
    demo-company.py show WHAT FOLDER EMAIL      WHAT: accounts, ticket, thread, mails
"""

import json
import os
import secrets
import sys
import textwrap
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "sandbox"))

from google_account import ServiceAccount  # noqa: E402: it lies in the sandbox's own folder

CHANNEL = "C0OFFBOARD"
PEOPLE = {"712020:help-desk": "Ada Help (help desk)"}  # Jira's account ids; everybody else is the API token's owner
WIDTH = 112


def read(folder: str, name: str):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def prepare(folder: str) -> None:
    with open(os.path.join(ROOT, "tests", "sandbox", "demo_company.json"), encoding="utf-8") as file:
        company = json.load(file)
    account = ServiceAccount.make()
    company["okta"]["token"] = secrets.token_hex(16)
    company["google"]["service_accounts"] = [account.known]
    company["slack"] |= {"token": "xoxb-" + secrets.token_hex(16), "scim_token": "xoxp-" + secrets.token_hex(16)}
    company["jira"]["token"] = secrets.token_hex(16)
    for name, content in (("vendors.json", json.dumps(company)), ("google-key.json", account.key_file())):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)


def settings(folder: str) -> None:
    """JSON is YAML, too."""
    vendors, urls = read(folder, "vendors.json"), read(folder, "ports.json")
    mail = read(folder, "mail.port")
    google = urls["google"]
    key = {**read(folder, "google-key.json"), "token_uri": google + "/token"}
    systems = {
        "okta": {"url": urls["okta"], "token": vendors["okta"]["token"]},
        "google": {"service_account": json.dumps(key), "admin": "admin@example.com", "admin_url": google, "gmail_url": google,
                   "identity_url": google, "licensing_url": google, "settle": "1s"},
        "slack": {"url": urls["slack"] + "/api", "token": vendors["slack"]["token"], "channel": CHANNEL, "settle": "1s", "posts_per_minute": "60000"},
        "slack-scim": {"url": urls["slack"] + "/scim/v2", "token": vendors["slack"]["scim_token"], "writes_per_minute": "60000"},
        "jira": {"url": urls["jira"], "email": "bot@example.com", "token": vendors["jira"]["token"], "settle": "1s",
                 "assignee": "712020:help-desk", "priority": "High", "due_days": "7"},
        "email": {"url": f"smtp://127.0.0.1:{mail}", "from": "Offboard <offboard@example.com>", "operators": "security@example.com"}}
    for system, values in systems.items():
        print(f"  {system}: {json.dumps({**values, 'per_minute': '60000'})}")


# ---- what people see --------------------------------------------------------------------------------------------------------


def state(folder: str, system: str) -> dict:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{read(folder, 'ports.json')['control']}/state/{system}", timeout=10) as answer:
        return json.load(answer)


def mails_of(folder: str) -> list[dict]:
    with open(os.path.join(folder, "mails.ndjson"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def listed(items) -> str:
    return ", ".join(map(str, items)) or "none"


def field(name: str, value) -> None:
    print(f"  {name:<12} {value}")


def show_text(text: str, head: str = "    ") -> None:
    """As it is, long lines folded as a window folds them, everything to the right of `head`."""
    for line in text.splitlines() or [""]:
        indent = " " * len(head)
        mark = "  " if line.startswith(("•", "✅", "❌", "⏳")) else ""
        print(textwrap.fill(line, WIDTH, initial_indent=head, subsequent_indent=indent + mark) or head.rstrip())
        head = indent


def accounts(folder: str, email: str) -> None:
    okta = state(folder, "okta")
    user = next(one for one in okta["users"] if one["profile"]["login"] == email)
    groups = [group["name"] for group in okta["groups"] if user["id"] in group["members"]]
    devices = [device["id"] for device in okta["devices"] if user["id"] in device["users"]]
    status = {"DEPROVISIONED": "DEACTIVATED"}.get(user["status"], user["status"])  # as Okta's pages show it
    field("Okta", f"{status}; sessions: {user['sessions']}; MFA: {listed(one['factorType'] for one in user['factors'])}; "
                  f"groups: {listed(groups)}; devices: {listed(devices)}")
    google = state(folder, "google")
    user = next(one for one in google["users"] if one["primaryEmail"] == email)
    groups = [group["email"] for group in google["groups"] if email in [member["email"] for member in group["members"]]]
    field("Google", f"{'SUSPENDED' if user['suspended'] else 'ACTIVE'} in {user['orgUnitPath']}; "
                    f"groups: {listed(groups)}; other addresses: {listed(user['aliases'])}")
    field("", f"apps with access: {listed(one['displayText'] for one in user['tokens'])}; app passwords: {len(user['asps'])}; "
              f"backup codes: {len(user['backup_codes'])}; password changes: {user['password']['changes']}")
    field("", f"mailbox open to: {listed(one['delegateEmail'] for one in user['delegates'])}; automatic reply: "
              f"{'on' if user['vacation']['enableAutoReply'] else 'off'}; files given to: {listed(_receivers(google))}")
    slack = state(folder, "slack")
    user = next(one for one in slack["users"] if one["profile"]["email"] == email)
    sessions = [one for one in slack["sessions"] if one["user_id"] == user["id"]]
    field("Slack", f"{'DEACTIVATED' if user['deleted'] else 'ACTIVE'}; sessions: {len(sessions)}")
    field("Jira", f"tickets: {listed(issue['key'] for issue in state(folder, 'jira')['issues'])}")
    field("Mail", f"to John Roe: {sum('john.roe@example.com' in mail['to'] for mail in mails_of(folder))}")


def _receivers(google: dict) -> list[str]:
    people = {one["id"]: one["primaryEmail"] for one in google["users"]}
    return [people[one["newOwnerUserId"]] for one in google["transfers"] if one["overallTransferStatusCode"] == "completed"]


def messages(folder: str) -> list[tuple[str, str, bool]]:
    """Of the channel: author, text as Slack shows it, whether it is a reply."""
    slack = state(folder, "slack")
    names = {user["id"]: user["name"] for user in slack["users"]}
    found = []
    for message in next(one for one in slack["channels"] if one["id"] == CHANNEL)["messages"]:
        text = message["text"]
        for written, shown in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            text = text.replace(written, shown)
        found.append((names[message["user"]], text, message.get("thread_ts", message["ts"]) != message["ts"]))
    return found


def thread(folder: str, email: str) -> None:
    for author, text, is_reply in messages(folder):
        show_text(text, f"  {'↳ ' if is_reply else '  '}{author}  ")


def ticket(folder: str, email: str) -> None:
    """What is not in the thread, in full."""
    (issue,) = [one for one in state(folder, "jira")["issues"] if email in one["description_text"]]
    fields, comments = issue["fields"], issue["comments"]
    field(issue["key"], fields["summary"])
    field("Assignee", PEOPLE[fields["assignee"]["accountId"]])
    field("Priority", fields["priority"]["name"])
    field("Due", fields["duedate"])
    field("Status", fields["status"]["name"])
    known = {line for _, text, _ in messages(folder) for line in text.splitlines()}
    field("Description", "as the first message of the thread, and:")
    show_text("\n".join(line for line in issue["description_text"].splitlines() if line not in known))
    new = [line for comment in comments for line in comment["text"].splitlines() if line not in known]
    field("Comments", f"{len(comments)}, with the lines of the thread{', and:' if new else ''}")
    if new:
        show_text("\n".join(new))
    field("The last one", f"by {comments[-1]['author']['displayName']}:")
    show_text(comments[-1]["text"])


def mails(folder: str, email: str) -> None:
    for mail in mails_of(folder):
        field("To", listed(mail["to"]))
        field("Subject", mail["subject"])
        show_text(mail["text"])


def main() -> int:
    command, *arguments = sys.argv[1:]
    if command == "show":
        what, folder, email = arguments
        {"accounts": accounts, "ticket": ticket, "thread": thread, "mails": mails}[what](folder, email)
    else:
        {"prepare": prepare, "settings": settings}[command](*arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
