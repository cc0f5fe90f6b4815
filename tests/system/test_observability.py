"""What an operator sees from outside: metrics of every process, and one trace from HR's word to the vendor's log."""

import json
import subprocess
import time
from datetime import datetime, timezone

import pytest
from events import leaver, offboarding_id
from process import http, wait_until

PROGRAMS = ("producer", "worker", "logger", "scheduler")
ENDS = datetime(2031, 1, 31, 23, 59, 59, tzinfo=timezone.utc).timestamp()
TRACE = "0af7651916cd43dd8448eb211c80319c"


def lines(stack, program: str) -> list[dict]:
    return [json.loads(line) for line in stack.process(program).log().splitlines() if line.startswith("{")]


def wait_metric(stack, program: str, sample: str, value: float) -> None:
    wait_until(lambda: stack.metrics(program).get(sample) == value, 30, f"{program} tells {sample} {value:g}")


@pytest.fixture
def stack(make_stack):
    return make_stack(settings={"scheduler": {"figures_every": "200ms"}, "worker": {"check_every": "300ms"},
                                "systems": {"scim": {"expires": "2031-01-31"}}}).start()


def test_metrics_tell_a_whole_life(stack):
    began = time.time()
    email = "jane.doe@example.com"
    stack.person(email)
    event = leaver(email)
    assert stack.post("/v1/offboardings", event, headers={"Content-Type": "application/cloudevents+json"}).status == 202
    offboarding = offboarding_id(event)
    stack.wait_job(offboarding, "deactivate", "succeeded")
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.topics.publish("jobs.scim", b"no job", "key")

    wait_metric(stack, "scheduler", 'offboard_offboardings{status="initiated"}', 1)
    wait_metric(stack, "worker", "offboard_dead_letters_total", 1)
    wait_metric(stack, "worker", 'offboard_credential_ok{system="scim"}', 1)
    wait_metric(stack, "worker", 'offboard_credential_ok{system="jira"}', 1)
    for system in ("scim", "jira"):
        for priority in ("normal", "urgent"):
            wait_metric(stack, "worker", f'offboard_consumer_lag_messages{{system="{system}",priority="{priority}"}}', 0)
    worker = stack.metrics("worker")
    assert worker['offboard_jobs_total{system="scim",outcome="succeeded"}'] == 2
    assert worker['offboard_time_to_revoke_seconds_count{system="scim"}'] == 2, "deactivated, and out of the groups"
    assert worker['offboard_time_to_revoke_seconds_count{system="jira"}'] == 0, "a ticket revokes nothing"
    assert 0 < worker['offboard_time_to_revoke_seconds_sum{system="scim"}'] < 2 * (time.time() - began)
    assert worker['offboard_credential_expiry_timestamp_seconds{system="scim"}'] == ENDS
    producer = stack.metrics("producer")
    assert producer['offboard_intake_events_total{source="cloudevents",disposition="started"}'] == 1
    assert began - 1 < producer['offboard_intake_last_event_timestamp_seconds{source="cloudevents"}'] < time.time() + 1
    assert stack.metrics("logger")["offboard_event_partitions_end_timestamp_seconds"] > began + 55 * 86400
    assert stack.metrics("scheduler")["offboard_scheduler_gate_open"] == 1
    for program in PROGRAMS:
        samples = stack.metrics(program)
        assert samples[f'offboard_build_info{{process="offboard-{program}",version="1.0.0"}}'] == 1
        assert began - 60 < samples["process_start_time_seconds"] < time.time() + 1
        assert samples["process_resident_memory_bytes"] > 1e6 and samples["process_cpu_seconds_total"] > 0
        assert 3 < samples["process_open_fds"] < samples["process_max_fds"]
        assert samples['offboard_log_lines_total{level="info"}'] >= 1


def test_a_refused_credential_is_told_before_anybody_leaves(stack):
    wait_metric(stack, "worker", 'offboard_credential_ok{system="scim"}', 1)
    stack.sandbox.fault("scim", {"match": {"method": "GET"}, "do": "status", "status": 401, "times": None})
    wait_metric(stack, "worker", 'offboard_credential_ok{system="scim"}', 0)
    refused = [line for line in lines(stack, "worker") if line["message"] == "the system refuses our credentials"]
    assert [(line["level"], line["system"]) for line in refused] == [("error", "scim")]
    assert stack.metrics("worker")['offboard_system_paused{system="scim"}'] == 0, "no job was refused"
    assert stack.metrics("worker")['offboard_credential_ok{system="jira"}'] == 1
    stack.sandbox.clear_faults("scim")
    wait_metric(stack, "worker", 'offboard_credential_ok{system="scim"}', 1)


def test_figures_go_back_to_nothing(stack):
    """A failure that was skipped, an offboarding that is over: told as 0, not for ever as they were."""
    email = "jane.doe@example.com"
    stack.person(email)
    stack.sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "status", "status": 400, "times": None})
    offboarding = stack.offboard(email)
    stack.wait_job(offboarding, "deactivate", "failed")
    wait_metric(stack, "scheduler", 'offboard_failed_jobs{system="scim",effect="revoke",outcome="failed"}', 2)
    stack.cli("cancel", offboarding, "--reason", "a test").ok()
    wait_metric(stack, "scheduler", 'offboard_failed_jobs{system="scim",effect="revoke",outcome="failed"}', 0)
    wait_metric(stack, "scheduler", 'offboard_offboardings{status="initiated"}', 0)


def test_one_trace_from_intake_to_the_vendor(stack):
    email = "jane.doe@example.com"
    stack.person(email)
    event = leaver(email)
    assert stack.post("/v1/offboardings", event, headers={
        "Content-Type": "application/cloudevents+json", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}).status == 202
    offboarding = offboarding_id(event)
    stack.wait_job(offboarding, "deactivate", "succeeded")
    stack.wait_quiet()
    assert stack.database.value("SELECT trace_id FROM analyst.offboardings WHERE offboarding_id = %s", offboarding) == TRACE
    timeline = stack.database.query("SELECT name, trace_id, calls FROM analyst.timeline WHERE offboarding_id = %s", offboarding)
    assert {row["trace_id"] for row in timeline} == {TRACE}, timeline
    spans = {f"00-{TRACE}-{call['span_id']}-01" for row in timeline for call in row["calls"] or []}
    seen = {entry["headers"]["traceparent"] for name in ("scim", "jira") for entry in stack.sandbox.journal(name)
            if TRACE in entry["headers"]["traceparent"]}
    assert seen and seen == spans, "each call's span is what the vendor was told"
    for program, message in (("producer", "HR event decided"), ("worker", "job ended")):
        told = [line for line in lines(stack, program) if line["message"] == message]
        assert told and {(line["trace_id"], line["offboarding_id"]) for line in told} == {(TRACE, offboarding)}
    for kind in ("events", "results.scim", "jobs.scim"):
        for record in stack.topics.read(kind):
            if record.json.get("name", "").startswith("system."):
                continue    # of no offboarding
            assert TRACE in record.headers["traceparent"], record


def test_an_event_without_a_trace_begins_one(stack):
    """As an HR system that writes to the topic itself: all that follows is one trace."""
    event = leaver("nobody@example.com")
    stack.publish(event)
    offboarding = offboarding_id(event)
    stack.wait_job(offboarding, "ticket", "succeeded")
    traces = {row["trace_id"] for row in stack.database.query(
        "SELECT trace_id FROM analyst.timeline WHERE offboarding_id = %s", offboarding)}
    assert len(traces) == 1 and len(traces.pop()) == 32


def test_every_process_says_alive_and_ready(stack):
    """And its metrics are named as Prometheus wants them."""
    stack.wait_job(stack.offboard("jane.doe@example.com"), "ticket", "succeeded")
    for program in PROGRAMS:
        page = http("GET", stack.url(program) + "/metrics").body
        checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=20)
        assert checked.returncode == 0 and not checked.stderr + checked.stdout, (program, checked)
        assert [http("GET", stack.url(program) + path).status for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
