"""PostgreSQL away: access is revoked all the same, and the audit catches up."""

import os

import pytest
from events import leaver, offboarding_id
from postgres import PostgresCluster
from process import http, wait_until

PEOPLE = [f"user{number}@example.com" for number in range(12)]


@pytest.fixture
def own_postgres(servers):
    """A cluster that a test may stop without disturbing the others."""
    directory = os.path.join(servers.root, f"postgres-{os.urandom(4).hex()}")
    cluster = PostgresCluster(directory, servers.ports)
    yield cluster
    cluster.stop()


def audit(stack) -> list[tuple]:
    return [(row["topic"], row["kafka_partition"], row["kafka_offset"]) for row in
            stack.database.query("SELECT topic, kafka_partition, kafka_offset FROM event")]


def assert_audit_is_the_topic(stack) -> None:
    """Every record that the logger reads has its one row, and the chain holds."""
    records = [(record.topic, record.partition, record.offset) for kind in stack.topics.logged()
               for record in stack.topics.read(kind)]
    assert sorted(audit(stack)) == sorted(records)
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


def test_access_goes_without_postgresql_and_the_audit_catches_up(make_stack, own_postgres):
    stack = make_stack(postgres=own_postgres).start()
    for email in PEOPLE:
        stack.person(email)
    before = stack.offboard(PEOPLE[0])
    stack.wait_job(before, "ticket", "succeeded")

    own_postgres.stop()
    away = [stack.offboard(email) for email in PEOPLE[1:]]
    wait_until(lambda: not any(stack.account(email)["active"] or stack.account(email)["groups"] for email in PEOPLE), 30,
               "all are out while PostgreSQL is away")
    wait_until(lambda: len(stack.tickets()) == len(PEOPLE), 30, "all tickets are open")
    assert http("GET", stack.url("producer") + "/readyz").status == 200, "the producer needs PostgreSQL"
    assert all(process.running for process in stack.processes)

    own_postgres.start()
    for offboarding in [before, *away]:
        for step in ("deactivate", "leave-groups", "ticket"):
            stack.wait_job(offboarding, step, "succeeded")
    stack.wait_quiet()
    assert_audit_is_the_topic(stack)
    assert stack.database.value("SELECT count(*) FROM intake WHERE disposition = 'started'") == len(PEOPLE)
    assert len(stack.tickets()) == len(PEOPLE)
    # And what the database is needed for goes on: reminders are waiting.
    assert stack.jobs(away[0])["reminder"]["state"] == "ready"


def test_steps_that_were_due_meanwhile_run_when_postgresql_is_back(make_stack, own_postgres):
    stack = make_stack(postgres=own_postgres, settings={"clock": {"day": "20ms"}}).start()
    stack.person(PEOPLE[0])
    offboarding = stack.offboard(PEOPLE[0])
    stack.wait_job(offboarding, "ticket", "succeeded")
    said = len(stack.process("scheduler").log())
    own_postgres.stop()
    wait_until(lambda: len(stack.process("scheduler").log()) > said, 20, "the scheduler says that the database is away")
    own_postgres.start()
    stack.wait_status(offboarding, "completed", 60)
    assert stack.account(PEOPLE[0]) is None
    assert_audit_is_the_topic(stack)


def test_figures_keep_their_values_and_the_gate_is_closed_until_the_logger_is_there(make_stack, own_postgres):
    """An alert on what is open must not resolve because nobody can count it; and whoever was reconnected to may know less."""
    stack = make_stack(postgres=own_postgres, settings={"scheduler": {"figures_every": "200ms"}}).start()
    stack.person(PEOPLE[0])
    offboarding = stack.offboard(PEOPLE[0])
    stack.wait_job(offboarding, "ticket", "succeeded")
    open_now = 'offboard_offboardings{status="initiated"}'
    wait_until(lambda: stack.metrics("scheduler").get(open_now) == 1, 20, "one is counted")
    own_postgres.stop()
    scheduler = stack.process("scheduler")
    wait_until(lambda: "could not read the figures" in scheduler.log(), 20, "it can't count")
    read_at = stack.metrics("scheduler")["offboard_figures_last_read_timestamp_seconds"]
    now = stack.metrics("scheduler")
    assert now[open_now] == 1 and now["offboard_figures_last_read_timestamp_seconds"] == read_at > 0

    stack.process("logger").stop()
    stack.person(PEOPLE[1])
    stack.offboard(PEOPLE[1])
    wait_until(lambda: not stack.account(PEOPLE[1])["active"], 30, "Kafka has what PostgreSQL has not")
    own_postgres.start()
    wait_until(lambda: "the logger has not yet recorded" in scheduler.log(), 30, "the gate is closed")
    assert stack.metrics("scheduler")["offboard_scheduler_gate_open"] == 0
    stack.restart("logger")
    wait_until(lambda: stack.metrics("scheduler")["offboard_scheduler_gate_open"] == 1, 30, "the gate is open")
    wait_until(lambda: stack.metrics("scheduler")["offboard_figures_last_read_timestamp_seconds"] > read_at, 20, "it counts again")


def test_logger_killed_again_and_again_writes_everything_once(make_stack):
    stack = make_stack(settings={"logger": {"batch_size": 20}}).start()
    emails = [f"user{number}@example.com" for number in range(60)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email) for email in emails]
    name = "logger"
    for part in range(0, len(events), 15):
        seen = len(audit(stack))
        stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events[part:part + 15]])
        wait_until(lambda: len(audit(stack)) > seen, 30, "the logger writes")
        stack.process(name).kill()
        name = stack.restart(name).name
    for event in events:
        stack.wait_job(offboarding_id(event), "ticket", "succeeded", 60)
        stack.wait_job(offboarding_id(event), "leave-groups", "succeeded", 60)
    stack.wait_quiet()
    assert_audit_is_the_topic(stack)


def test_two_loggers_and_two_schedulers_share_the_work(make_stack):
    stack = make_stack(settings={"clock": {"day": "20ms"}}).start("producer", "worker", "logger", "logger", "scheduler",
                                                                 "scheduler")
    emails = [f"user{number}@example.com" for number in range(20)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email) for email in emails]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    for event in events:
        stack.wait_status(offboarding_id(event), "completed", 60)
    stack.wait_quiet()
    assert_audit_is_the_topic(stack)
    published = [(message["job"]["id"], message["job"]["attempt"]) for kind in ("jobs.scim", "jobs.jira")
                 for message in (record.json for record in stack.topics.read(kind))]
    assert len(published) == len(set(published)), "a job was published twice"
    assert all(len(issue["comments"]) == 2 for issue in stack.tickets())


def test_a_late_scheduler_catches_up_and_says_how_late_it_was(make_stack):
    stack = make_stack(settings={"clock": {"day": "20ms"}}).start("producer", "worker", "logger")
    stack.person(PEOPLE[0])
    offboarding = stack.offboard(PEOPLE[0])
    stack.wait_job(offboarding, "reminder", "ready")
    overdue = "SELECT count(*) FROM due WHERE due_at < now() - interval '1 s'"
    wait_until(lambda: stack.database.value(overdue) >= 2, 30, "reminder and post-90 are overdue")
    stack.start("scheduler")
    stack.wait_status(offboarding, "completed", 60)
    samples = stack.metrics("scheduler")
    lateness = next((value for name, value in samples.items() if name.startswith("offboard_scheduler_lateness_seconds_sum")), 0)
    assert lateness >= 1, samples


def test_sessions_to_a_read_only_server_are_given_up(make_stack, own_postgres):
    """After a fail-over the name of the database may lead to a standby for a while. Sessions that were opened to it would live on."""
    stack = make_stack(postgres=own_postgres, settings={"clock": {"day": "20ms"}}).start()
    database = stack.database.name

    def read_only(on: str) -> None:
        with own_postgres.connect("postgres") as connection:
            connection.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = {on}')

    def said(name: str) -> int:
        return stack.process(name).log().count("read-only")

    read_only("on")
    with own_postgres.connect("postgres") as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE"
                           " 'offboard-%%'", [database])
    stack.person(PEOPLE[0])
    offboarding = stack.offboard(PEOPLE[0])
    wait_until(lambda: said("logger") and said("scheduler"), 30, "both have met the read-only server")
    wait_until(lambda: http("GET", stack.url("logger") + "/readyz").status == 503, 10, "the logger isn't ready")
    read_only("off")  # and nobody cuts what lives
    stack.database.close()
    stack.wait_status(offboarding, "completed", 60)
    assert_audit_is_the_topic(stack)
