"""`make demo` does the main job. Its Kafka is librdkafka's mock cluster, which leaves some questions unanswered: nothing may wait for them."""

import glob
import os
import re
import subprocess
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from stack import ROOT

DEMO = os.path.join(ROOT, "scripts", "demo")


def sections(output: str) -> dict[str, str]:
    """By the first words of their headings, as far as a colon."""
    parts = re.split(r"^== (.*)$", output, flags=re.MULTILINE)
    return {heading.partition(":")[0].partition(",")[0]: text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def days_from_now(days: int) -> set[str]:
    """That day in Berlin, as people write it, counted from today or, around midnight, from yesterday."""
    today = datetime.now(ZoneInfo("Europe/Berlin"))
    return {f"{day.day} {day:%B %Y}" for day in (today + timedelta(days=days), today + timedelta(days=days - 1))}


@pytest.mark.timeout(240)
def test_the_demo_shows_a_company_and_ends_well(servers):
    if servers.build != os.path.join(ROOT, "build"):
        pytest.skip("the demo runs the ordinary build")
    folders = set(glob.glob("/tmp/offboard-demo-*"))
    done = subprocess.run([DEMO], capture_output=True, text=True, timeout=220, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The demo failed" not in done.stdout + done.stderr and done.stderr == ""
    assert set(glob.glob("/tmp/offboard-demo-*")) <= folders, "it leaves a folder behind"
    assert len(done.stdout.splitlines()) < 300, "nobody reads so much"
    shown = sections(done.stdout)

    # The vendors, before, during the outage, and after.
    before, after = shown["Before"], shown["After"]
    assert re.search(r"Okta +ACTIVE; sessions: 1; MFA: push, webauthn; groups: payments, vpn; devices: janes-phone", before), before
    assert re.search(r"Okta +DEACTIVATED; sessions: 0; MFA: none; groups: none; devices: none", after), after
    assert re.search(r"Google +ACTIVE in /Staff; .*other addresses: jdoe@example.com\n +apps with access: Expense app, Slack", before), before
    assert re.search(r"Google +SUSPENDED in /No Google License; groups: none; other addresses: none\n +apps with access: none", after), after
    assert "Slack        ACTIVE; sessions: 2" in before and "Slack        DEACTIVATED; sessions: 0" in after
    outage, recovered = shown["Google is down"], shown["Google is back"]
    assert "system google: is down since " in outage and re.search(r"Okta +DEACTIVATED", outage) and re.search(r"Google +ACTIVE", outage), outage
    assert "system google" not in recovered and re.search(r"standard-leaver  live  initiated .* 0 +20", recovered), recovered

    # What people read.
    thread = shown["The Slack thread"]
    for line in ("Offboard  Jane Doe (jane.doe@example.com) leaves.", "✅ Okta: removed from 2 groups: payments, vpn",
                 "✅ Google Workspace: john.roe@example.com may now read and answer the leaver's mail",
                 "✅ All access is gone in Okta, Google Workspace and Slack: 16 of 16 steps", "Not set up here: Zoom, Microsoft 365, ",
                 "➖ Nothing was done.", "✅ Google Workspace: account suspended: nobody can sign in with it"):
        assert line in thread, (line, thread)
    assert "❌" not in done.stdout and "⚠" not in done.stdout
    assert any(f"{day}: the manager's access to what was handed over ends" in thread for day in days_from_now(60)), thread
    ticket = shown["The Jira ticket"]
    for line in (r"IT-1 +Offboarding of Jane Doe", r"Assignee +Ada Help", r"Priority +High", r"Due +\d{4}-\d\d-\d\d", r"Status +Done",
                 r"Comments +\d+, with the lines of the thread\n", r"✅ Complete\."):
        assert re.search(line, ticket), (line, ticket)
    mail = shown["The mail to the manager"]
    assert re.search(r"To +john.roe@example.com\n +Subject +Jane Doe has left: what you take over\n", mail), mail
    assert mail.count("Subject ") == 1 and any(f"until {day} you can read the mailbox" in mail for day in days_from_now(60)), mail

    # The verdict.
    assert re.search(r"^status +completed$", shown["The verdict"], re.MULTILINE)
    assert re.search(r"^access +gone \d+\.\d s after the HR event arrived: 16 revoking jobs, 13 confirmed by reading back, 31 more skipped$",
                     shown["The verdict"], re.MULTILINE), shown["The verdict"]
    assert len(re.findall("job.succeeded", shown["The timeline"])) == 9 and "zoom is not configured here" in shown["The timeline"]
    assert re.search(r"google +\| +8 \| +6 \|", shown["The analyst's views"])
