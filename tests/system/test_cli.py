"""The operator's command: what each does, its JSON, its exit codes."""

import getpass
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from events import leaver, offboarding_id
from process import http, wait_until
from stack import ROOT
from topics import Topics

pytestmark = pytest.mark.xdist_group("cli")
OK, REFUSED, USAGE, AWAY, NOT_FOUND = range(5)
EMAIL = "jane.doe@example.com"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    """One for the whole file; every test takes people of its own."""
    return make_shared_stack().start()


@pytest.fixture(scope="module")
def jane(stack) -> str:
    """An offboarding whose first wave is done."""
    stack.person(EMAIL, "4711")
    result = stack.cli("start", EMAIL, "--employee-id", "4711", "--manager", "boss@example.com").ok()
    offboarding = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", result.out)[0]
    for step in ("deactivate", "leave-groups", "ticket"):
        stack.wait_job(offboarding, step, "succeeded")
    return offboarding


def commands(stack) -> list[str]:
    return re.findall(r"^  ([a-z]+) ", stack.cli("help").ok().out, re.MULTILINE)


def test_help_explains_every_command_with_its_options(stack):
    names = commands(stack)
    assert set(names) >= {"start", "plan", "watch", "status", "events", "approve", "retry", "skip", "undo", "cancel", "pause", "resume",
                          "validate", "check", "migrate", "topics"}
    for name in names:
        asked, flagged = stack.cli("help", name).ok(), stack.cli(name, "--help").ok()
        assert asked.out == flagged.out and asked.out.startswith(f"usage: offboard {name}"), name
        assert len(asked.out.splitlines()) >= 5, f"{name} --help is not worth reading"
    assert "Exit codes" in stack.cli("help").out


@pytest.mark.parametrize("arguments, said", [
    (["strat"], "start"), (["status", "--helt"], "held"), (["start"], "usage"), (["start", EMAIL, "--file", "x"], "usage"),
    (["watch"], "usage"), (["approve"], "--held"), (["skip", EMAIL, "--step", "x"], "reason"), (["cancel", EMAIL], "reason"), (["undo", EMAIL], "reason"),
    (["pause", "scim"], "reason"), (["validate", "x"], "operands"), (["start", EMAIL, "--at"], "value"),
    (["status", "--limit", "many"], "limit"), (["watch", EMAIL, "--timeout", "soon"], "timeout"),
    (["start", EMAIL, "--wait", "soon"], "wait"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_wrong_usage_is_2_with_a_hint(stack, arguments, said):
    result = stack.cli(*arguments)
    assert result.status == USAGE and said in result.err, result
    assert result.out == ""


def test_wrong_configuration_is_2_with_file_and_line(stack, tmp_path):
    path = tmp_path / "offboard.yaml"
    path.write_text("kafka:\n  brokerss: 127.0.0.1:9092\n", encoding="utf-8")
    result = stack.cli("status", "-c", str(path), config=False)
    assert result.status == USAGE and f"{path}:2" in result.err and "brokers" in result.err, result
    assert stack.cli("status", "-c", str(tmp_path / "none.yaml"), config=False).status == USAGE


def test_edge_and_database_away_are_3(stack):
    port = stack.servers.ports.take()
    result = stack.cli("start", EMAIL, OFFBOARD_EDGE_URL=f"http://127.0.0.1:{port}")
    assert result.status == AWAY and str(port) in result.err, result
    nowhere = f"host=127.0.0.1 port={port} dbname=x user=x connect_timeout=2"
    for arguments in (("status",), ("events", EMAIL), ("approve", "--held")):
        assert stack.cli(*arguments, OFFBOARD_POSTGRES_ANALYST=nowhere).status == AWAY, arguments
    assert stack.cli("migrate", OFFBOARD_POSTGRES_ADMIN=nowhere).status == AWAY
    for command in ("topics", "dead"):
        result = stack.cli(command, OFFBOARD_KAFKA_BROKERS=f"127.0.0.1:{port}", timeout=90)
        assert result.status == AWAY and result.err.count("\n") == 1, result
        assert result.err.startswith("offboard: could not reach Kafka: ") and f"127.0.0.1:{port} failed" in result.err, result


def test_unknown_offboarding_is_4(stack):
    unknown = "7d3c2b1e-0c55-5b0e-9a44-6f66626f6172"
    for arguments in (("status", unknown), ("status", "nobody@example.com"), ("events", unknown),
                      ("retry", "nobody@example.com"), ("approve", "deadbeef"), ("approve", unknown), ("retry", unknown),
                      ("undo", unknown, "--reason", "x"), ("skip", unknown, "--step", "a", "--reason", "x"),
                      ("cancel", unknown, "--reason", "x"), ("cancel", unknown.upper(), "--reason", "x"),
                      ("cancel", "nobody@example.com", "--reason", "x"), ("cancel", "E-0815", "--reason", "x")):
        result = stack.cli(*arguments)
        assert result.status == NOT_FOUND and result.err.startswith("offboard: "), (arguments, result)


def test_refused_by_the_edge_is_1_and_names_the_field(stack):
    result = stack.cli("start", EMAIL, "--runbook", "scim-leavr")
    assert result.status == REFUSED and "scim-leaver" in result.err, result
    result = stack.cli("start", EMAIL, "--at", "9999-12-31")
    assert result.status == REFUSED and "effective_at" in result.err, result
    result = stack.cli("pause", "scim", "--reason", "x", OFFBOARD_EDGE_TOKEN=stack.tokens["hr"])
    assert result.status == REFUSED and "operator" in result.err, result


def test_start_with_a_key_is_one_offboarding(stack):
    first, second = (stack.cli("start", "key@example.com", "--id", "key-1", "--dry-run", "--json").ok().json for _ in range(2))
    assert first["id"] == second["id"]


def test_start_from_a_file(stack, tmp_path):
    event = leaver("file@example.com", mode="dry_run")
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    assert offboarding_id(event) in stack.cli("start", "--file", str(path)).ok().out
    path.write_text("{", encoding="utf-8")
    broken = stack.cli("start", "--file", str(path))
    assert broken.status == REFUSED and str(path) in broken.err
    assert stack.cli("start", "--file", str(tmp_path / "none")).status != OK


def test_start_of_many_lines_goes_on_after_a_bad_one(stack):
    lines = [json.dumps({"id": f"line-{number}", "user": {"email": f"line{number}@example.com"}, "mode": "dry_run"})
             for number in range(5)]
    lines[1], lines[3] = "{broken", json.dumps({"id": "x", "user": {"name": "nobody"}})
    result = stack.cli("start", "-", input="\n".join(lines) + "\n")
    assert result.status == REFUSED
    assert "line 2" in result.err and "line 4" in result.err and "line 1" not in result.err
    good = {"line0@example.com", "line2@example.com", "line4@example.com"}
    wait_until(lambda: good <= {row["person"] for row in stack.database.query("SELECT person FROM analyst.intake")}, 20,
               "the good lines have arrived")


def test_plan_shows_what_would_run_when(stack):
    said = stack.cli("plan", EMAIL, "--at", "2027-06-30", "--zone", "Europe/Berlin").ok().out
    assert "2027-06-30 23:59" in said and "2027-08-29" in said and "2027-09-28" in said, said
    assert all(step in said for step in ("deactivate", "leave-groups", "ticket", "reminder", "delete", "report"))
    both = stack.cli("plan", EMAIL, "--json").ok().json
    assert both["plan"]["runbook"]["name"] == "scim-leaver" and both["offboarding"]["user"]["email"] == EMAIL
    refused = stack.cli("plan", EMAIL, "--runbook", "scim-leavr")
    assert refused.status == REFUSED and "scim-leaver" in refused.err


def test_systems_that_the_company_does_not_have_are_named_before(stack):
    """This company has scim and jira: of standard-leaver it can use the ticket."""
    said = stack.cli("validate").ok().out
    warned = [line for line in said.splitlines() if "standard-leaver.yaml: warning: not configured here: okta, google, slack-scim, zoom" in line]
    assert len(warned) == 1 and "scim-leaver.yaml: warning" not in said, said
    plan = stack.cli("plan", EMAIL, "--runbook", "standard-leaver").ok().out
    assert "not configured here: okta, google, slack-scim, zoom" in plan, plan
    assert "not configured here" not in stack.cli("plan", EMAIL).ok().out


def test_status_of_all_and_of_one(stack, jane):
    listed = stack.cli("status", "--json").ok().json
    assert jane in {row["offboarding_id"] for row in listed["offboardings"]}
    assert set(listed["attention"]) >= {"held", "failures", "stuck", "paused"}
    assert EMAIL in stack.cli("status").ok().out
    for named in (jane, jane[:8], EMAIL, EMAIL.upper(), "4711"):
        one = stack.cli("status", named, "--json").ok().json
        assert one["offboarding"]["offboarding_id"] == jane, named
    assert [phase["phase"] for phase in one["phases"]] == ["initial", "post-90"]
    assert {job["step"]: job["state"] for job in one["jobs"]}["deactivate"] == "succeeded"
    assert one["time_to_revoke"]["from_received_s"] > 0
    text = stack.cli("status", EMAIL).ok().out
    assert "initiated" in text and "deactivate" in text and re.search(r"access +gone \d+\.\d s after the HR event arrived: \d revoking jobs, \d confirmed by reading back\n", text), text
    for flag in ("--held", "--failed", "--stuck", "--all"):
        stack.cli("status", flag).ok()
        assert stack.cli("status", flag, "--json").ok().json


def test_events_tell_the_story(stack, jane):
    events = stack.cli("events", jane, "--json").ok().json
    names = [event["name"] for event in events]
    assert names.index("initiated") < names.index("job.succeeded") and names.count("job.succeeded") == 3
    text = stack.cli("events", EMAIL, "--calls").ok().out
    assert "PATCH" in text and "[read back]" in text
    assert {event["step"] for event in stack.cli("events", jane, "--step", "ticket", "--json").ok().json} == {"ticket"}
    assert stack.cli("events", jane, "--step", "nothing").status == NOT_FOUND


def test_start_waits_until_nothing_is_due(stack):
    """What is to happen in 60 and 90 days is not waited for."""
    stack.person("waited@example.com")
    done = stack.cli("start", "waited@example.com", "--dry-run", "--wait", "30s").ok()
    offboarding, *told = done.out.splitlines()
    states = {step: job["state"] for step, job in stack.jobs(offboarding).items()}
    assert states["deactivate"] == states["ticket"] == "succeeded" and states["delete"] == "waiting", states
    assert any("deactivate" in line and "succeeded" in line for line in told), told
    assert stack.cli("watch", offboarding, "--now", "--timeout", "5s").ok()
    stack.person("refused@example.com")
    stack.sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "status", "status": 400, "times": None})
    failed = stack.cli("start", "refused@example.com", "--wait", "30s")
    stack.sandbox.clear_faults("scim")
    assert failed.status == REFUSED and "2 jobs failed: offboard status" in failed.err, failed


def test_watch_ends_with_the_offboarding(stack):
    offboarding = stack.cli("start", "watched@example.com", "--dry-run", "--json").ok().json["id"]
    short = stack.cli("watch", offboarding, "--timeout", "1s")
    assert short.status == REFUSED and "1s" in short.err, "a dry run of 90 days was over within a second"
    stack.cli("cancel", offboarding, "--reason", "enough").ok()
    ended = stack.cli("watch", offboarding, "--timeout", "30s", "--json")
    assert ended.status == REFUSED and "cancelled" in ended.err
    last = json.loads(ended.out.splitlines()[-1])
    assert last["offboarding"]["status"] == "cancelled"


def test_pause_holds_jobs_back_and_resume_lets_them_go(stack):
    stack.person("paused@example.com")
    stack.cli("pause", "scim", "--reason", "maintenance").ok()
    wait_until(lambda: stack.database.query("SELECT * FROM system_pause WHERE system = 'scim'"), 20, "the pause is on record")
    offboarding = stack.cli("start", "paused@example.com", "--json").ok().json["id"]
    stack.wait_job(offboarding, "ticket", "succeeded")
    assert stack.jobs(offboarding)["deactivate"]["state"] == "ready"
    assert stack.account("paused@example.com")["active"] is True
    assert "maintenance" in stack.cli("status").ok().out
    stack.cli("resume", "scim", "--reason", "the maintenance is over").ok()
    stack.wait_job(offboarding, "deactivate", "succeeded")
    wait_until(lambda: not stack.database.query("SELECT * FROM system_pause"), 20, "the pause is over, on record")
    orders = stack.database.query("SELECT * FROM analyst.orders WHERE subject = 'scim' ORDER BY ordered_at DESC LIMIT 2")
    assert [(row["order"], row["result"]) for row in orders] == [("resume", "applied"), ("pause", "applied")]
    assert orders[0]["reason"] == "the maintenance is over"
    assert all(row["ordered_by"] and row["actor"]["id"] == "operator" for row in orders), orders


def test_pause_of_an_unknown_system_is_refused(stack):
    result = stack.cli("pause", "scimm", "--reason", "x")
    assert result.status in (REFUSED, NOT_FOUND) and "scim" in result.err, result


def test_retry_and_skip(stack):
    stack.person("trouble@example.com")
    path = f"^/Users/{stack.account('trouble@example.com')['id']}$"
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": path}, "do": "status", "status": 400})
    offboarding = stack.cli("start", "trouble@example.com", "--json").ok().json["id"]
    stack.wait_job(offboarding, "deactivate", "failed")
    failures = stack.cli("status", "--failed", "--json").ok().json["failures"]
    assert [row["step"] for row in failures if row["offboarding_id"] == offboarding] == ["deactivate"]
    stack.cli("retry", "trouble@example.com", "--step", "deactivate").ok()
    stack.wait_job(offboarding, "deactivate", "failed", attempt=2)
    stack.cli("skip", offboarding, "--step", "deactivate", "--reason", "by hand").ok()
    stack.wait_job(offboarding, "deactivate", "skipped")
    stack.sandbox.clear_faults("scim")
    # An order that can't be carried out is on record, too.
    refused = stack.cli("retry", offboarding, "--step", "ticket", "--reason", "just in case")
    assert refused.status == REFUSED and "the job is succeeded, not failed" in refused.err and not refused.out, refused
    orders = stack.database.query("SELECT * FROM analyst.orders WHERE subject = %s ORDER BY ordered_at", offboarding)
    assert [(row["order"], row["step"], row["result"]) for row in orders] == [
        ("retry", "deactivate", "applied"), ("skip", "deactivate", "applied"), ("retry", "ticket", "refused")], orders
    assert orders[2]["reason"] == "just in case" and orders[2]["ordered_by"] and "not failed" in orders[2]["why"]
    actors = stack.database.query("SELECT name, actor FROM analyst.timeline WHERE offboarding_id = %s", offboarding)
    assert {row["actor"] for row in actors if row["name"].startswith("order.")} == {orders[0]["ordered_by"]}
    assert {row["actor"] for row in actors if row["name"].startswith("job.")} == {None}
    told = [line for line in stack.cli("events", offboarding).ok().out.splitlines() if "order.retry" in line]
    assert len(told) == 2 and all(orders[0]["ordered_by"] in line for line in told), told
    # A revocation that did not happen is an error in the log: access is still there.
    lines = [json.loads(line) for line in stack.process("worker").log().splitlines()]
    ended = {line["level"] for line in lines if line.get("offboarding_id") == offboarding and line.get("outcome") == "failed"}
    assert ended == {"error"}, lines


def test_an_order_is_not_waited_for_longer_than_the_logger_needs(stack):
    """Nobody is told that something was done while it is not known."""
    offboarding = stack.cli("start", "order@example.com", "--at", "2031-01-01", "--json").ok().json["id"]
    stack.wait_status(offboarding, "waiting")
    logger = stack.process("logger")
    logger.freeze()
    sent = stack.cli("cancel", offboarding, "--reason", "x", "--no-wait").ok()
    unknown = stack.cli("cancel", offboarding, "--reason", "x")
    logger.thaw()
    assert sent.out.startswith("sent;") and "cancelled" not in sent.out, sent
    assert unknown.status == AWAY and "the logger has not recorded it yet" in unknown.out, unknown
    stack.wait_status(offboarding, "cancelled")
    again = stack.cli("cancel", offboarding.upper(), "--reason", "x", "--json").ok().json
    assert [result["result"] for result in again["results"]] == ["unchanged"], again


def test_an_order_that_is_given_again_changes_nothing(stack):
    """By whoever got no answer, or runs from a queue: the key says that it is the same order."""
    key = ("--idempotency-key", "IT-4711")
    pause = ("pause", "jira", "--reason", "maintenance")
    first = stack.cli(*pause, *key, "--json").ok().json
    stack.cli("resume", "jira").ok()
    again = stack.cli(*pause, *key, "--json").ok().json
    assert again["ids"] == first["ids"] and again["results"] == first["results"]
    assert not stack.database.query("SELECT * FROM system_pause")
    assert stack.database.value("SELECT count(*) FROM analyst.orders WHERE \"order\" = 'pause' AND subject = 'jira' AND reason = 'maintenance'") == 1
    other = stack.cli("pause", "scim", "--reason", "maintenance", *key)
    assert other.status == REFUSED and "another order was given under this key" in other.err, other

    # Many at once, and another producer: it knows the key from Kafka. Another token's key is another key.
    offboardings = [stack.cli("start", f"key{number}@example.com", "--at", "2031-01-01", "--json").ok().json["id"] for number in range(3)]
    for offboarding in offboardings:
        stack.wait_status(offboarding, "waiting")
    order = {"order": "cancel", "offboardings": offboardings, "reason": "x"}
    header = {"Idempotency-Key": "many"}
    cancelled = stack.post("/v1/orders", order, token="operator", headers=header)
    assert cancelled.status == 202 and len(cancelled.json["ids"]) == 3, cancelled
    second = stack.launch("producer")
    stack.wait_ready(second)

    def elsewhere() -> dict:
        return http("POST", stack.edge(second.name) + "/v1/orders", json.dumps(order).encode(),
                    {"Content-Type": "application/json", "Authorization": f"Bearer {stack.tokens['operator']}", **header}).json

    assert elsewhere() == cancelled.json
    second.stop()
    for offboarding in offboardings:
        stack.wait_status(offboarding, "cancelled")
    stack.wait_quiet()
    assert stack.database.value("SELECT count(*) FROM analyst.orders WHERE order_id = ANY (%s::uuid[])", cancelled.json["ids"]) == 3
    assert stack.database.value("SELECT count(*) FROM event WHERE name = 'control.cancel'"
                                " AND offboarding_id = ANY (%s::uuid[])", offboardings) == 3
    assert stack.post("/v1/orders", order, token="operator", headers={"Idempotency-Key": "x" * 201}).status == 422
    assert stack.post("/v1/orders", order, token="operator", headers={"Idempotency-Key": ""}).status in (202, 422)


def test_what_may_be_running_is_not_skipped(stack):
    stack.person("busy@example.com")
    path = f"^/Users/{stack.account('busy@example.com')['id']}$"
    stack.sandbox.fault("scim", {"match": {"method": "PATCH", "path": path}, "do": "slow_after", "seconds": 4, "times": 1})
    offboarding = stack.cli("start", "busy@example.com", "--json").ok().json["id"]
    stack.wait_job(offboarding, "deactivate", "ready")
    refused = stack.cli("skip", offboarding, "--step", "deactivate", "--reason", "too slow")
    assert refused.status == REFUSED and "its worker may be running it" in refused.err and not refused.out, refused
    stack.wait_job(offboarding, "deactivate", "succeeded")
    undo = stack.cli("undo", offboarding, "--reason", "wrong person")
    assert undo.status == REFUSED and "cancel it first" in undo.err, undo


@pytest.mark.parametrize("how", [(), ("--json",)], ids=["text", "json"])
def test_the_exit_code_of_a_refused_order(stack, how):
    """A script that asks for JSON sees the refusal in the exit code, as a person does."""
    offboarding = stack.cli("start", f"code{len(how)}@example.com", "--at", "2031-01-01", "--json").ok().json["id"]
    stack.wait_status(offboarding, "waiting")
    assert stack.cli("retry", offboarding, *how).status == REFUSED
    assert stack.cli("cancel", "nobody@example.com", "--reason", "x", *how).status == NOT_FOUND
    assert stack.cli("cancel", offboarding, "--reason", "x", *how).status == OK


def test_runbooks_and_sources_are_listed(stack):
    """With what a company lacks of each, and how often it was used."""
    stack.wait_status(stack.cli("start", "listed@example.com", "--dry-run", "--json").ok().json["id"], "initiated")
    runbooks = {row["runbook"]: row for row in stack.cli("runbooks", "--json").ok().json}
    assert runbooks["scim-leaver"]["used"] >= 1 and runbooks["scim-leaver"]["not_configured"] == [] and runbooks["zoom-package"]["used"] == 0
    assert {"zoom", "okta"} <= set(runbooks["standard-leaver"]["not_configured"]) <= set(runbooks["standard-leaver"]["systems"])
    assert runbooks["device-return"]["started_by"] == ["cloudevents", "slack-commands"]
    sources = {row["source"]: row for row in stack.cli("sources", "--json").ok().json}
    assert sources["oomnitza"]["runbooks"] == ["standard-leaver", "zoom-package"] and sources["cloudevents"]["used"] >= 1
    assert sources["okta-hook"]["not_set"] == ["token"]
    assert "STARTED BY" in stack.cli("runbooks").ok().out and stack.cli("sources", "x").status == USAGE


def test_check_tries_the_systems(stack):
    good = stack.cli("check").ok()
    assert "scim" in good.out and "jira" in good.out
    bad = stack.cli("check", "scim", OFFBOARD_SYSTEMS_SCIM_TOKEN="wrong-token-0123456789")
    assert bad.status == REFUSED and "scim" in bad.out + bad.err


def test_a_proxy_of_the_environment_is_used(stack):
    """As a bank's network wants it; who is in no_proxy is spoken to directly."""
    nowhere = f"127.0.0.1:{stack.servers.ports.take()}"
    refused = stack.cli("check", "scim", http_proxy=f"http://{nowhere}", OFFBOARD_WORKER_RETRY_WAIT="0s")
    assert refused.status == REFUSED and nowhere.rpartition(":")[2] in refused.out + refused.err, refused
    stack.cli("check", "scim", http_proxy=f"http://{nowhere}", no_proxy="127.0.0.1").ok()


def test_topics_says_what_differs_and_changes_nothing(stack):
    stack.cli("topics").ok()
    systems = {name.partition(".")[2] for name in stack.topics.names() if "." in name}
    assert {"scim", "jira"} <= systems and "okta" not in systems, "those of the configuration"
    stack.cli("topics", "--all").ok()
    shipped = [name.removesuffix(".yaml") for name in os.listdir(os.path.join(ROOT, "worker", "connectors"))
               if name.endswith(".yaml")]
    polled = {"polled.assetsonar", "polled.oomnitza"}  # what the sources ask that come with the programs
    wanted = {"intake", "received", *polled, "events", "orders", "control", "roster", "keys", "dead", *(f"{kind}.{system}" for kind in ("jobs", "urgent", "results") for system in shipped)}
    wait_until(lambda: set(stack.topics.names()) == wanted, 30, "the broker tells of all of them")
    assert stack.topics.partitions("jobs.scim") == stack.topics.partitions("urgent.scim") == 3
    assert stack.topics.partitions("control") == stack.topics.partitions("roster") == stack.topics.partitions("keys") == 1
    stack.cli("topics").ok()
    differs = stack.cli("topics", OFFBOARD_TOPICS_PARTITIONS="5")
    assert differs.status == REFUSED and "3" in differs.out + differs.err and "5" in differs.out + differs.err, differs
    assert stack.topics.partitions("intake") == 3
    stack.cli("topics", "another").ok()
    wait_until(lambda: {"jobs.another", "urgent.another"} <= set(stack.topics.names()), 30, "the broker tells of the new topics")


def test_topics_that_are_set_up_otherwise_are_told(stack):
    """Made by hand, with the broker's defaults."""
    made = Topics(stack.brokers, stack.prefix + "y")
    admin = AdminClient({"bootstrap.servers": stack.brokers})
    by_hand = {"intake": {}, "keys": {"cleanup.policy": "compact"}, "events": {"retention.ms": "604800000"}}
    for kind, config in by_hand.items():
        admin.create_topics([NewTopic(made.name(kind), 1 if kind == "keys" else 3, 1, config=config)])[made.name(kind)].result(30)
    try:
        told = stack.cli("topics", "scim", OFFBOARD_KAFKA_PREFIX=made.prefix)
        assert told.status == REFUSED, told
        lines = told.out.splitlines()
        wrong = [line.split(": ", 2)[1:] for line in lines if " is " in line and ", not " in line]
        assert [line[0] for line in wrong] == [
            "message.timestamp.type is CreateTime, not LogAppendTime", "message.timestamp.type is CreateTime, not LogAppendTime",
            "segment.ms is 604800000, not 86400000", "max.compaction.lag.ms is 9223372036854775807, not 86400000",
            "min.cleanable.dirty.ratio is 0.5, not 0.01"], told.out
        assert wrong[0][1] == "a sender's clock decides what came first. Set it:"
        assert f"{made.name('events')}: Kafka keeps its records for 7 days; `offboard topics` would make it keep them for ever" in lines
        assert f"--entity-name {made.name('keys')} --add-config segment.ms=86400000" in told.out
    finally:
        made.delete()


def test_the_tests_topics_are_those_that_it_makes(stack):
    """The tests make theirs without it, as it reads all definitions first."""
    made = Topics(stack.brokers, stack.prefix + "x")
    stack.cli("topics", "scim", OFFBOARD_KAFKA_PREFIX=made.prefix).ok()
    try:
        ours = stack.topics.settings()
        theirs = wait_until(made.settings, 30, "the broker tells of the new topics")
        assert theirs == {kind: ours[kind] for kind in theirs} and "results.scim" in theirs and "roster" in theirs
    finally:
        made.delete()


def test_a_broken_pipe_is_no_crash(stack, jane):
    command = [os.path.join(stack.build, "offboard"), "events", jane, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=stack.environment(OFFBOARD_CONFIG=stack.config_path))
    process.stdout.close()
    assert process.wait(20) not in (-6, -11), process.stderr.read()
    process.stderr.close()


def test_connectors_lists_what_each_can_do(stack):
    listed = stack.cli("connectors").ok().out
    assert re.search(r"^scim +deactivate_user +revoke +activate_user +read back$", listed, re.MULTILINE), listed
    assert re.search(r"^google +sign_out +revoke +- +no: Google shows no sessions$", listed, re.MULTILINE), listed
    told = stack.cli("connectors", "jira").ok().out
    assert re.search(r"^token +required, secret +API token$", told, re.MULTILINE), told
    assert "issue: required; key of the ticket" in told and "verified: read back; undo: none" in told
    assert "google" not in told
    one = stack.cli("connectors", "slack", "--json").ok().json
    assert one["system"] == "slack" and {"name": "token", "required": True, "secret": True}.items() <= one["settings"][1].items()
    assert {action["name"]: (action["effect"], action["verified"]) for action in one["actions"]}["post_reply"] == ("notify", True)
    everything = stack.cli("connectors", "--json").ok().json
    assert [system["system"] for system in everything] == sorted(system["system"] for system in everything)
    wrong = stack.cli("connectors", "jra")
    assert wrong.status == NOT_FOUND and 'did you mean "jira"' in wrong.err


@pytest.mark.parametrize("name", ["retry", "cancel"])
def test_orders_given_at_the_same_moment_are_one(stack, name):
    """A queue that delivers twice does so within milliseconds, before anybody can know the key."""
    offboarding = stack.cli("start", f"same.{name}@example.com", "--at", "2031-01-01", "--json").ok().json["id"]
    stack.wait_status(offboarding, "waiting")
    order = {"order": name, "offboardings": [offboarding], "reason": "x"}

    def give(_) -> list[str]:
        reply = stack.post("/v1/orders", order, token="operator", headers={"Idempotency-Key": f"the same moment of {name}"})
        assert reply.status == 202 or (reply.status == 409 and "send it again in a moment" in reply.json["detail"]), reply
        return reply.json.get("ids", [])

    with ThreadPoolExecutor(20) as pool:
        ids = {id for given in pool.map(give, range(20)) for id in given}
    assert len(ids) == 1
    stack.wait_quiet()
    rows = stack.database.query("SELECT result FROM analyst.orders WHERE order_id = ANY (%s::uuid[])", list(ids))
    assert [row["result"] for row in rows] == ["applied" if name == "cancel" else "refused"], rows


def test_two_producers_that_are_asked_the_same_at_once_give_one_order(stack):
    offboarding = stack.cli("start", "two.doors@example.com", "--at", "2031-01-01", "--json").ok().json["id"]
    stack.wait_status(offboarding, "waiting")
    second = stack.launch("producer")
    stack.wait_ready(second)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {stack.tokens['operator']}"}

    def give(which: tuple[int, str]) -> list[str]:
        number, door = which
        order = json.dumps({"order": "retry", "offboardings": [offboarding], "reason": f"round {number}"}).encode()
        reply = http("POST", f"{door}/v1/orders", order, {**headers, "Idempotency-Key": f"two doors {number}"})
        assert reply.status == 202, reply
        return reply.json["ids"]

    doors = [(number, stack.edge(name)) for number in range(20) for name in ("producer", second.name)]
    with ThreadPoolExecutor(2) as pool:
        ids = {id for given in pool.map(give, doors) for id in given}
    second.stop()
    assert len(ids) == 20
    stack.wait_quiet()
    assert stack.database.value("SELECT count(*) FROM analyst.orders WHERE order_id = ANY (%s::uuid[])", list(ids)) == 20


@pytest.mark.parametrize("first", ["the order", "the offboarding"])
def test_who_cancelled_by_e_mail_is_in_the_offboardings_own_record(stack, first):
    email = f"by.mail.{first.split()[1]}@example.com"
    event = leaver(email, effective_at="2031-01-01")
    if first == "the offboarding":
        stack.publish(event)
        stack.wait_status(offboarding_id(event), "waiting")
        stack.cli("cancel", email.upper(), "--reason", "stays after all").ok()
    else:   # its time is later than the HR event's, which a broker holds back
        stack.process("logger").stop()
        stack.publish(event)
        wait_until(lambda: stack.unplanned() == 0, 30, "it is planned")
        stack.cli("cancel", email.upper(), "--reason", "stays after all", "--no-wait").ok()
        stack.restart("logger")
    stack.wait_status(offboarding_id(event), "cancelled")
    row = stack.database.query("SELECT * FROM analyst.offboardings WHERE offboarding_id = %s", offboarding_id(event))[0]
    assert row["cancelled_by"] == getpass.getuser() and row["reason"] == "stays after all", row
    told, = stack.database.query("SELECT * FROM analyst.timeline WHERE offboarding_id = %s AND name = 'control.cancel'", offboarding_id(event))
    assert told["actor"] == getpass.getuser() and "stays after all" in json.dumps(told["body"])
    shown = stack.cli("events", offboarding_id(event)).ok().out
    assert re.search(rf"control.cancel.*{getpass.getuser()}", shown), shown
    order, = stack.database.query("SELECT * FROM analyst.orders WHERE order_id = %s", told["event_id"])
    assert (order["result"], order["why"]) == ("applied", None), order


def test_an_order_that_finds_its_work_done_says_so(stack):
    resumed = stack.cli("resume", "jira").ok()
    assert resumed.out == "nothing to do: jira: the system was not paused\n", resumed
    offboarding = stack.cli("start", "done.before@example.com", "--at", "2031-01-01", "--json").ok().json["id"]
    stack.wait_status(offboarding, "waiting")
    stack.cli("cancel", offboarding, "--reason", "x").ok()
    again = stack.cli("cancel", offboarding, "--reason", "x").ok()
    assert again.out == f"nothing to do: {offboarding}: the offboarding was cancelled before\n", again


@pytest.mark.parametrize("order, wrong, right", [
    ({"order": "undo", "offboardings": ["7d3c2b1e-0c55-5b0e-9a44-6f66626f6172"], "reason": "x", "stepp": "ticket"}, "stepp", "step"),
    ({"order": "retry", "offboardings": ["7d3c2b1e-0c55-5b0e-9a44-6f66626f6172"], "jobs": "a"}, "jobs", "job"),
    ({"order": "cancel", "person": EMAIL, "reasn": "x", "reason": "y"}, "reasn", "reason"),
    ({"order": "approve", "offboarding": ["7d3c2b1e-0c55-5b0e-9a44-6f66626f6172"]}, "offboarding", "offboardings"),
])
def test_a_misspelt_member_of_an_order_is_refused(stack, order, wrong, right):
    """Without it the order would mean something else: all steps, for one."""
    reply = stack.post("/v1/orders", order, token="operator")
    assert reply.status == 422 and f'has no member "{wrong}"; did you mean "{right}"?' in reply.json["detail"], reply


@pytest.fixture
def held_up(stack):
    """Nothing is done at the vendors meanwhile."""
    for system in ("scim", "jira"):
        stack.cli("pause", system, "--reason", "test").ok()
    yield
    for system in ("scim", "jira"):
        stack.cli("resume", system)


@pytest.mark.parametrize("known, named, one", [
    ("JÖRG@example.com", "jörg@example.com", True), ("jörg.two@example.com", "jo\u0308rg.two@example.com", True),
    ("jane@xn--mnchen-3ya.de", "jane@MÜNCHEN.de", True), ("john@münchen.de", "john@xn--mnchen-3ya.de", True),
    ("weiß@example.com", "WEISS@example.com", False), ("AB-4711", "ab-4711", False), ("ab-4712", "AB-4712", False),
])
def test_who_is_cancelled_is_cancelled_everywhere(stack, held_up, known, named, one):
    """The worker, the planner and PostgreSQL agree who it is: an e-mail is one in any case, an employee id is not."""
    email = known if "@" in known else f"{known}.person@example.com".replace("-", "")
    stack.person(email, None if "@" in known else known)
    offboarding = stack.offboard(email, user={} if "@" in known else {"employee_id": known})
    stack.wait_status(offboarding, "initiated")
    cancelled = stack.cli("cancel", named, "--reason", "the wrong one")
    for system in ("scim", "jira"):
        stack.cli("resume", system).ok()
    if one:
        assert cancelled.status == OK, cancelled
        stack.wait_status(offboarding, "cancelled")
        stack.wait_quiet()
        assert {job["state"] for job in stack.jobs(offboarding).values()} <= {"cancelled", "skipped"}
        assert stack.account(email)["active"] is True
    else:
        assert cancelled.status == NOT_FOUND, cancelled
        stack.wait_job(offboarding, "deactivate", "succeeded")
        assert stack.account(email)["active"] is False
