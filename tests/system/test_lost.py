"""A job without an answer: what waits, however long, is left alone; what is lost is published again, once, on record."""

from collections import Counter

import pytest
from mail_server import MailServer
from process import wait_until

DAY = {"republish_after": "1s", "republish_every": "200ms"}     # 24 h and 1 h of real life, scaled

RUNBOOK = """\
runbook: mailer
phases:
  - name: initial
    steps:
      - {id: mail, system: email, action: send, with: {to: "ann@example.com", subject: "S ${ .user.email }", text: "t"}}
"""


@pytest.fixture
def mailing(make_stack, tmp_path, servers):
    """A stack whose mail server is not there yet."""
    (tmp_path / "mailer.yaml").write_text(RUNBOOK, encoding="ascii")
    port = servers.ports.take()
    stack = make_stack(settings={"definitions": {"runbooks": [str(tmp_path)]}, "scheduler": DAY,
                                 "worker": {"systems": ["email"], "memory": "250ms"},
                                 "systems": {"email": {"url": f"smtp://127.0.0.1:{port}", "from": "bot@example.com",
                                                       "per_minute": "6000", "tls": "off"}}})
    stack.mail_port = port
    return stack


def leave(stack, count: int) -> list[str]:
    return [stack.offboard(f"p{number}@example.com", runbook="mailer") for number in range(count)]


def wait_days(stack, days: int) -> None:
    """Until every job that was published has had no answer for so many (scaled) days, and it was looked what is lost."""
    wait_until(lambda: stack.database.value("SELECT bool_and(clock_timestamp() > due_at + %s * interval '1 s') FROM job"
                                            " WHERE state = 'ready'", days), 60, f"{days} days have passed")


def assert_each_once(stack, count: int) -> None:
    server = MailServer(stack.mail_port)
    try:
        wait_until(lambda: stack.database.value("SELECT count(*) FROM job WHERE state = 'succeeded'") == count, 60, "all are sent")
        stack.wait_quiet()
        assert Counter(Counter(mail.message["Subject"] for mail in server.mails).values()) == {1: count}
    finally:
        server.stop()
    assert len(stack.topics.read("jobs.email")) == count and not stack.topics.events("job.lost")


def test_a_long_mail_outage_sends_each_mail_once(mailing):
    mailing.start()
    leave(mailing, 60)
    wait_until(lambda: mailing.database.value("SELECT count(*) FROM job WHERE state = 'ready'") == 60, 30, "all are published")
    wait_days(mailing, 6)
    assert_each_once(mailing, 60)


def test_a_worker_that_is_away_for_days_finds_each_job_once(mailing):
    mailing.start("producer", "logger", "scheduler")
    leave(mailing, 30)
    wait_until(lambda: mailing.database.value("SELECT count(*) FROM job WHERE state = 'ready'") == 30, 30, "all are published")
    wait_days(mailing, 4)
    mailing.start("worker")
    assert_each_once(mailing, 30)


def test_a_slow_vendor_gets_each_call_once(make_stack):
    """2 requests a second: the last of them waits for many days."""
    stack = make_stack(settings={"scheduler": DAY, "systems": {"jira": {"per_minute": "120"}}}).start()
    emails = [f"p{number}@example.com" for number in range(6)]
    for email in emails:
        stack.person(email)
    offboardings = [stack.offboard(email) for email in emails]
    for offboarding in offboardings:
        stack.wait_job(offboarding, "ticket", "succeeded", 60)
    stack.wait_quiet()
    assert len(stack.tickets()) == len(emails)
    assert not stack.topics.events("job.lost")
    assert stack.database.value("SELECT max(attempt) FROM job WHERE step = 'ticket'") == 1


def test_a_lost_message_is_published_again_once_and_the_old_one_is_not_run(make_stack):
    stack = make_stack(settings={"scheduler": DAY}).start("producer", "logger", "scheduler")
    email = "lost@example.com"
    stack.person(email)
    offboarding = stack.offboard(email)
    wait_until(lambda: [record.key for record in stack.topics.read("jobs.jira")] == [offboarding], 30, "it is published")
    old = stack.topics.read("jobs.jira")[0]
    stack.wait_job(offboarding, "ticket", "ready")
    stack.topics.make_anew("jobs.jira", "urgent.jira")
    job = stack.wait_job(offboarding, "ticket", "ready", attempt=2)
    assert job["reason"] == "attempt 1 was lost; it is published again"
    wait_until(lambda: len(stack.topics.read("jobs.jira")) == 1, 30, "it is published again")
    assert stack.topics.read("jobs.jira")[0].json["job"]["attempt"] == 2

    def looks() -> float:
        return stack.metrics("scheduler")["offboard_scheduler_published_total{kind=\"lost\"}"]

    assert looks() == 1
    wait_until(lambda: stack.database.value("SELECT bool_and(clock_timestamp() > due_at + interval '3 s') FROM job"
                                            " WHERE step = 'ticket'"), 30, "days have passed")
    assert looks() == 1, "what waits for its worker was taken for lost"
    stack.topics.publish("jobs.jira", old.value, old.key, headers=old.headers)      # it turns up after all
    stack.start("worker")
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.wait_quiet()
    assert len(stack.tickets()) == 1
    assert [(event["context"]["attempt"], event["context"]["outcome"]) for event in stack.topics.events(offboarding=offboarding)
            if event["context"].get("step") == "ticket"] == [(1, "lost"), (2, "succeeded")]


def test_an_answer_that_is_lost_is_asked_for_again(make_stack):
    """The logger set it aside: the job ends as what it finds."""
    stack = make_stack(settings={"scheduler": DAY}).start("producer", "scheduler", "worker", "logger")
    email = "lost@example.com"
    stack.person(email)
    with stack.postgres.connect(stack.database.name) as connection:
        connection.execute("ALTER TABLE job ADD CONSTRAINT lose CHECK (NOT (step = 'ticket' AND attempt = 1 AND outcome = 'succeeded'))")
    offboarding = stack.offboard(email)
    stack.wait_job(offboarding, "ticket", "succeeded", attempt=2)
    assert len(stack.tickets()) == 1
    assert [event["context"]["attempt"] for event in stack.topics.events("job.lost", offboarding)] == [1]


def test_the_word_that_a_phase_is_due_is_said_again(make_stack):
    stack = make_stack(settings={"clock": {"day": "20ms"}, "scheduler": DAY}).start("producer", "logger", "worker")
    email = "phase@example.com"
    stack.person(email)
    offboarding = stack.offboard(email)
    stack.wait_job(offboarding, "ticket", "succeeded")
    lost = stack.database.query("DELETE FROM due WHERE offboarding_id = %s AND phase IS NOT NULL RETURNING phase", offboarding)
    assert lost
    stack.start("scheduler")
    stack.wait_status(offboarding, "completed", 60)
    again = [event["context"]["phase"] for event in stack.topics.events("phase.again", offboarding)]
    assert sorted(again) == sorted(row["phase"] for row in lost), "each is said again once"
    assert stack.account(email) is None


def test_a_leaver_whose_date_was_lost_leaves(make_stack):
    stack = make_stack(settings={"scheduler": DAY}).start("producer", "logger", "worker")
    email = "date@example.com"
    stack.person(email)
    at = stack.database.value("SELECT instant(clock_timestamp() + interval '3 s')")
    offboarding = stack.offboard(email, effective_at=at)
    stack.wait_status(offboarding, "waiting")
    assert stack.database.query("DELETE FROM due WHERE offboarding_id = %s RETURNING phase", offboarding)
    stack.start("scheduler")
    stack.wait_job(offboarding, "ticket", "succeeded", 30)
    assert not stack.account(email)["active"]
    assert len(stack.topics.events("phase.again", offboarding)) == 1


LATER = """\
runbook: later
phases:
  - name: initial
    steps:
      - {id: deactivate, system: scim, action: deactivate_user}
      - {id: groups, system: scim, action: leave_groups, after: 60d}
      - {id: ticket, system: jira, action: create_ticket, after: 60d}
"""


def test_a_restored_backup_publishes_nothing_again(make_stack, tmp_path):
    """What was done since, and what was published since and waits for its worker: the backup has both still to be published."""
    (tmp_path / "later.yaml").write_text(LATER, encoding="ascii")
    stack = make_stack(settings={"clock": {"day": "50ms"}, "definitions": {"runbooks": [str(tmp_path)]}}).start()
    stack.cli("pause", "jira", "--reason", "what is published waits").ok()
    people = ["one@example.com", "two@example.com"]
    for email in people:
        stack.person(email)
    offboardings = [stack.offboard(email, runbook="later") for email in people]
    for offboarding in offboardings:
        stack.wait_job(offboarding, "deactivate", "succeeded")
    for name in ("scheduler", "logger"):
        stack.process(name).stop()
    assert stack.database.value("SELECT count(*) FROM due") == 4, "the backup comes before the later steps"
    backup = stack.database.copy(stack.database.name + "_backup")
    stack.start("logger", "scheduler")
    wait_until(lambda: len(stack.topics.read("jobs.jira")) == 2, 30, "the tickets are published, and wait")
    for offboarding in offboardings:
        stack.wait_job(offboarding, "groups", "succeeded")
    wait_until(stack.logged, 30, "all is recorded")

    for name in ("scheduler-2", "logger-2"):
        stack.process(name).stop()
    stack.database.replace_with(backup)
    assert stack.database.value("SELECT count(*) FROM due WHERE due_at < now()") == 4, "it is in the past"
    scheduler = stack.launch("scheduler")
    wait_until(lambda: "the logger has not yet recorded" in scheduler.log(), 30, "the gate is closed")
    stack.start("logger")
    stack.wait_ready(scheduler)
    wait_until(lambda: stack.database.value("SELECT count(*) FROM due") == 0, 30, "what was due is dealt with")
    stack.cli("resume", "jira").ok()
    for offboarding in offboardings:
        stack.wait_status(offboarding, "completed")
    stack.wait_quiet()
    published = Counter((message["job"]["id"], message["job"]["attempt"]) for kind in ("jobs.scim", "jobs.jira")
                        for message in (record.json for record in stack.topics.read(kind)))
    assert len(published) == 6 and set(published.values()) == {1}, "a job was published twice"
    assert len(stack.tickets()) == 2
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []
