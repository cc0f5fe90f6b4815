"""What people read of an offboarding (ticket, thread, mails) against the texts in tests/golden/texts. GOLDEN=write replaces those
that differ: read the difference before you commit it."""

import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "texts")
MARKS = ("✅", "❌", "⏳")
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
CHANGING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (rf"\d{{1,2}} ({MONTHS}) \d{{4}}", "<date>"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<instant>"),
    (r"\b\d{4}-\d\d-\d\d\b", "<day>"),
    (r"\b\d\d:\d\d\b", "<time>"),
    (r"the last (less than a second|\d+ \w+) after", "the last <span> after"),
    (r"\bIT-\d+\b", "IT-<n>"),
    (r"\b1Z[A-Z]+\d+\b", "<tracking number>"),
    (r"\bC02\w+\b", "<serial number>"),
    (r"\bS5\d\d\b", "S5<nn>"),
    (r"\bmac-\d+\b", "mac-<n>"),
    (r"was delivered on <date>", "was delivered"),  # the courier may not have said when
)


def constant(text: str) -> str:
    """Without what differs from run to run. Where other phases stand is a matter of time, too, with days this short; tests/unit/test_report.c
    has those lines."""
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return re.sub(r"\n(Under way|Next): [^\n]*", "", text)


def lines_in_order(messages: list[str]) -> list[str]:
    """The lines of a mirror, which come as the steps end, in alphabetical order; then the reports, by what they are about."""
    told = [constant(message).strip() for message in messages]
    lines = sorted(line for message in told if message.startswith(MARKS) for line in message.splitlines())
    return lines + sorted((message for message in told if not message.startswith(MARKS)), key=lambda text: text.splitlines()[:1])


def part(heading: str, blocks: list[str]) -> str:
    return f"=== {heading}\n\n" + "\n".join(blocks) + "\n\n" if blocks else ""


def ticket_part(issue: dict) -> str:
    head = f"{issue['fields']['summary']} ({issue['fields']['status']['name']})"
    return part(f"Ticket: {constant(head)}", [constant(issue["description_text"]), ""] + lines_in_order([one["text"] for one in issue["comments"]]))


def thread_part(messages: list[str]) -> str:
    return part("Thread", [constant(messages[0]), ""] + lines_in_order(messages[1:])) if messages else ""


def mails_part(mails: list) -> str:
    """Mails in the order of their addressees and subjects; reminders of tasks are left out, as their number is a matter of time."""
    blocks = sorted(
        f"--- to {', '.join(mail.recipients)}: {constant(mail.message['Subject'])}\n\n{constant(mail.message.get_content()).replace(chr(13), '').strip()}\n"
        for mail in mails if not mail.message["Subject"].startswith(("Reminder", "Overdue")))
    return part("Mails", blocks)


def check(name: str, text: str) -> None:
    path = os.path.join(FOLDER, f"{name}.txt")
    if os.environ.get("GOLDEN") == "write":
        os.makedirs(FOLDER, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    with open(path, encoding="utf-8") as file:
        assert text == file.read(), "people read something else than tests/golden/texts has (GOLDEN=write replaces it)"
    for line in text.splitlines():
        assert "${" not in line and "vendor answered" not in line, f"no text for people: {line}"
