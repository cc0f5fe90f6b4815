"""The main scenario on a build with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer: all stop clean."""

import os
import subprocess

import pytest
from events import leaver, offboarding_id
from process import SANITIZER, wait_until
from stack import ROOT

SANITIZERS = "address,undefined"
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("sanitizers")]


@pytest.fixture(scope="module")
def sanitized() -> str:
    """The folder of the build, brought up to date."""
    built = subprocess.run(["make", "-s", "-j2", f"SANITIZER={SANITIZERS}", "CFLAGS=-O0 -g1", "all"], cwd=ROOT, capture_output=True, text=True,
                           timeout=580, stdin=subprocess.DEVNULL)
    assert built.returncode == 0, built.stderr[-3000:]
    return os.path.join(ROOT, "build", SANITIZERS.replace(",", "-"))


def clean(result):
    assert not SANITIZER.search(result.err), result.err[-3000:]
    return result


def test_a_whole_life_and_all_processes_stop_clean(make_stack, sanitized):
    stack = make_stack(build=sanitized, env=OPTIONS, settings={"clock": {"day": "60ms"}}).start(
        "producer", "worker", "worker", "logger", "scheduler")
    emails = [f"user{number}@example.com" for number in range(8)]
    for number, email in enumerate(emails):
        stack.person(email, f"E-{number}")
    # Trouble of every kind on the way: throttling, lost answers, an error that stays, a vendor that falls silent.
    users = {email: stack.account(email)["id"] for email in emails}
    for email, fault in zip(emails, (
            {"do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 1}, {"do": "lose_answer", "times": 1},
            {"do": "status", "status": 400}, {"do": "drop", "times": 1}, {"do": "truncate", "times": 1})):
        stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": f"^/Users/{users[email]}$"}, **fault})
    stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/issue$"}, "do": "lose_answer", "times": 1})
    for topic in ("intake", "received", "jobs.scim", "urgent.jira", "events", "orders", "results.scim", "control"):
        stack.topics.publish(topic, b"{\"poison", "cancel/x" if topic == "control" else "x")
    stack.post("/v1/offboardings", b"{\"poison")
    events = [leaver(email, employee_id=f"E-{number}") for number, email in enumerate(emails)]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    dry = leaver(emails[0], mode="dry_run")
    stack.publish(dry)

    failed = offboarding_id(events[2])
    stack.wait_job(failed, "deactivate", "failed", 60)
    stack.sandbox.clear_faults("scim")
    clean(stack.cli("retry", failed, timeout=120)).ok()
    clean(stack.cli("cancel", emails[7], "--reason", "stays", timeout=120)).ok()
    for event in events[:7]:
        stack.wait_status(offboarding_id(event), "completed", 90)
    stack.wait_status(offboarding_id(events[7]), "cancelled", 60)
    stack.wait_status(offboarding_id(dry), "completed", 60)
    stack.wait_quiet(60)
    for arguments in (("status",), ("events", failed), ("plan", emails[0]), ("validate",), ("check",), ("topics",), ("migrate",),
                      ("pause", "scim", "--reason", "x"), ("resume", "scim"), ("status", "nobody@example.com")):
        clean(stack.cli(*arguments, timeout=120))
    stack.close()  # in good order, without a word of the sanitizers: checked there
    assert all(process.status == 0 for process in stack.processes), [process.status for process in stack.processes]


def test_stopping_in_the_middle_of_work_is_clean(make_stack, sanitized):
    stack = make_stack(build=sanitized, env=OPTIONS,
                       settings={"worker": {"drain_grace": "300ms", "request_timeout": "20s"}}).start()
    emails = [f"user{number}@example.com" for number in range(10)]
    for email in emails:
        stack.person(email)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "hang"})
    stack.sandbox.fault("jira", {"do": "down"})
    stack.topics.publish_many("intake", [(email, leaver(email)) for email in emails])
    wait_until(lambda: sum(rule["hits"] for rule in stack.sandbox.faults("scim")) >= 5, 60, "calls hang")
    wait_until(lambda: sum(rule["hits"] for rule in stack.sandbox.faults("jira")) >= 5, 60, "the circuit has been tried")
    stack.close()
    assert all(process.status == 0 for process in stack.processes), [process.status for process in stack.processes]


@pytest.mark.parametrize("program", ["producer", "worker", "logger", "scheduler"])
def test_stopping_before_servers_ever_answered_is_clean(make_stack, sanitized, program):
    stack = make_stack(build=sanitized, env=OPTIONS)
    nowhere = f"host=127.0.0.1 port={stack.servers.ports.take()} dbname=x user=x password=x connect_timeout=2"
    stack.configure({"postgres": {"logger": nowhere, "scheduler": nowhere},
                     "kafka": {"brokers": f"127.0.0.1:{stack.servers.ports.take()}"}})
    process = stack.launch(program)
    wait_until(lambda: process.log() or not process.running, 30, f"{program} has said something")
    process.terminate()
    status = process.wait(60)
    stack.processes.remove(process)
    assert not SANITIZER.search(process.log()), process.log()[-3000:]
    assert status in (0, 1), f"{program} ended with {status}"
