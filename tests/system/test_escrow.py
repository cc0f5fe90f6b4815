"""Secrets that are found again: sealed before they are set, nowhere in clear, and told only on record."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from broker import Broker
from keys import KeyPair
from process import http, wait_until
from stack import PROGRAMS
from test_secrets import everything, found_in

pytestmark = pytest.mark.xdist_group("escrow")
CONNECTOR = """
system: locks
settings: {url: {required: true}}
check: {get: "/locks/nobody"}
actions:
  lock:
    effect: revoke
    accounts: none
    derive: {code: {digits: 12}}
    escrow: {code: "${ .derived.code }"}
    requests:
      - {post: "/locks/${ .user.email }", json: {code: "${ .derived.code }"}}
    verify: {get: "/locks/${ .user.email }", expect: "${ .body.locked }", within: 1s}
"""
RUNBOOK = """
runbook: locking
phases:
  - name: initial
    steps:
      - {id: lock, system: locks, action: lock}
      - {id: lock-again, system: locks, action: lock, needs: [lock]}
"""


class Locks:
    """A vendor that is locked by codes; whom `refused` names is told so, with what he sent in the answer."""

    def __init__(self) -> None:
        self.codes: dict[str, list[str]] = {}
        self.refused: set[str] = set()
        self.asked = []     # called on every change, before it is made
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for call in vendor.asked:
                    call(self.path)
                refused = any(name in self.path for name in vendor.refused)
                if not refused:
                    vendor.codes.setdefault(self.path, []).append(sent["code"])
                self.reply(400 if refused else 200, {"you sent": sent})

            def do_GET(self):
                self.reply(200, {"locked": self.path in vendor.codes, "codes": vendor.codes.get(self.path)})

            def reply(self, status: int, body) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def of(self, email: str) -> list[str]:
        return self.codes.get("/locks/" + email.replace("@", "%40"), [])


@pytest.fixture(scope="module")
def vendor():
    vendor = Locks()
    yield vendor
    vendor.server.shutdown()


@pytest.fixture(scope="module")
def stack(make_shared_stack, vendor, tmp_path_factory):
    directory = tmp_path_factory.mktemp("definitions")
    pair = KeyPair.make()
    for kind, name, text in (("connectors", "locks", CONNECTOR), ("runbooks", "locking", RUNBOOK)):
        (directory / kind).mkdir()
        (directory / kind / f"{name}.yaml").write_text(text, encoding="utf-8")
    for name, text in (("escrow.pub", pair.public), ("escrow.key", pair.private)):
        (directory / name).write_text(text, encoding="utf-8")
    return make_shared_stack(settings={
        "log": {"level": "debug"},
        "definitions": {kind: [str(directory / kind)] for kind in ("connectors", "runbooks")},
        "worker": {"systems": ["locks"], "derive_key": "0123456789abcdef0123456789abcdef",
                   "escrow_key_file": str(directory / "escrow.pub")},
        "vault": {"escrow_private_key_file": str(directory / "escrow.key")},
        "systems": {"locks": {"url": vendor.url}}}).start(*PROGRAMS, "vault")


@pytest.fixture
def own_broker(servers):
    broker = Broker(os.path.join(servers.root, f"kafka-{os.urandom(4).hex()}"), os.environ["KAFKA_LIBS"], servers.ports)
    broker.wait_ready()
    yield broker
    broker.stop()


def sealed(stack, offboarding: str, step: str = "lock") -> list[dict]:
    return stack.database.query("SELECT * FROM analyst.escrow WHERE offboarding_id = %s AND step = %s ORDER BY sealed_at",
                                offboarding, step)


def order(stack, offboarding: str, step: str = "lock", **changes) -> dict:
    """What the command sends for a step."""
    row = sealed(stack, offboarding, step)[0]
    return {"offboarding": offboarding, "job": str(row["job_id"]), "step": step, "reason": "of the test",
            "sealed": [{"account": row["account"], "name": row["name"], "text": row["sealed"]}], **changes}


def revealed(stack, offboarding: str) -> list[dict]:
    return [event for event in stack.topics.events() if event["name"] == "secret.revealed"
            and event["context"]["offboarding_id"] == offboarding]


def test_a_code_is_kept_and_told_on_record(stack, vendor):
    kept = []
    vendor.asked.append(lambda path: kept.append([
        event for event in stack.topics.events() if event["name"] == "job.before" and "escrow" in event["context"]]))
    offboarding = stack.offboard("kate@example.com", runbook="locking")
    stack.wait_status(offboarding, "completed")
    vendor.asked.clear()
    code, other = vendor.of("kate@example.com")
    assert len(kept[0]) == 1 and len(kept[1]) == 2, "it is in Kafka before the code is used"
    assert len(code) == 12 and code != other

    told = stack.cli("reveal", "kate@example.com", "lock", "--reason", "IT-7: the laptop is back").ok()
    assert told.out == f"{code}\n" and not told.err
    assert stack.cli("reveal", offboarding, "lock-again", "--reason", "IT-7").ok().out == f"{other}\n"
    first, second = revealed(stack, offboarding)
    assert first["context"]["reason"] == "IT-7: the laptop is back" and first["context"]["names"] == ["code"]
    assert first["context"]["actor"]["id"] == "operator" and first["context"]["actor"]["name"]
    assert (first["context"]["step"], second["context"]["step"]) == ("lock", "lock-again")
    wait_until(lambda: "secret.revealed" in stack.cli("events", offboarding).out, 20, "the audit has it")
    assert "IT-7: the laptop is back" in stack.cli("events", offboarding).out
    orders = stack.database.query("SELECT * FROM analyst.orders WHERE subject = %s ORDER BY ordered_at", offboarding)
    assert [(row["order"], row["step"], row["reason"], row["result"]) for row in orders] == [
        ("reveal", "lock", "IT-7: the laptop is back", "applied"), ("reveal", "lock-again", "IT-7", "applied")]
    assert orders[0]["ordered_by"] == first["context"]["actor"]["name"]
    stack.wait_quiet()
    assert stack.database.value("SELECT count(*) FROM verify_event_chain()") == 0
    leaks = {place: found_in(text, [code, other]) for place, text in everything(stack).items()}
    assert not any(leaks.values()), leaks


def test_a_vendor_that_repeats_it_and_a_second_attempt(stack, vendor):
    vendor.refused.add("rita")
    offboarding = stack.offboard("rita@example.com", runbook="locking")
    stack.wait_job(offboarding, "lock", "failed")
    assert len(sealed(stack, offboarding)) == 1, "it might have been set"
    vendor.refused.clear()
    stack.cli("retry", offboarding, "--step", "lock").ok()
    stack.wait_status(offboarding, "completed")
    code = vendor.of("rita@example.com")[0]
    assert len(sealed(stack, offboarding)) == 2
    assert stack.cli("reveal", offboarding, "lock", "--reason", "x").ok().out == f"{code}\n", "the same value, told once"
    stack.wait_quiet()
    assert not any(found_in(text, [code]) for text in everything(stack).values())


def test_who_may_have_it_told_and_what_opens(stack, vendor):
    offboarding = stack.offboard("omar@example.com", runbook="locking")
    other = stack.offboard("olga@example.com", runbook="locking")
    for each in (offboarding, other):
        stack.wait_status(each, "completed")
    good = order(stack, offboarding)
    elsewhere = order(stack, other)
    assert stack.post("/v1/reveals", good, token=None).status == 401
    assert stack.post("/v1/reveals", good, token="wrong").status == 401
    assert stack.post("/v1/reveals", good, token="hr").status == 403
    for reason in (None, "", 7):
        refused = stack.post("/v1/reveals", {**good, "reason": reason}, token="operator")
        assert refused.status == 422 and refused.json["field"] == "reason", refused
    wrong = [{**good, "job": elsewhere["job"]}, {**good, "offboarding": other}, {**good, "sealed": elsewhere["sealed"]},
             {**good, "step": "lock-again"}, {**good, "sealed": good["sealed"] + elsewhere["sealed"]},
             {**good, "sealed": [{**good["sealed"][0], "name": "pin"}]},
             {**good, "sealed": [{**good["sealed"][0], "text": good["sealed"][0]["text"][:-8]}]}]
    for body in wrong:
        refused = stack.post("/v1/reveals", body, token="operator")
        assert refused.status == 422 and "sealed for another job or with another key" in refused.json["detail"], refused
    for body in ({**good, "sealed": []}, {**good, "sealed": [{}]}, {**good, "job": "lock"}, {**good, "step": None}):
        assert stack.post("/v1/reveals", body, token="operator").status == 422
    assert stack.post("/v1/reveals", b"{", token="operator").status == 400
    coded = stack.post("/v1/reveals", good, token="operator", headers={"Content-Encoding": "br"})
    assert (coded.status, coded.json["field"]) == (415, "Content-Encoding"), coded
    assert revealed(stack, offboarding) == [], "who was told nothing is not on record as told"
    answer = stack.post("/v1/reveals", good, token="operator")
    assert (answer.status, answer.json) == (200, {"values": [{"account": "", "name": "code",
                                                              "value": vendor.of("omar@example.com")[0]}]})
    assert len(revealed(stack, offboarding)) == 1
    assert "a reveal was refused" in stack.process("vault").log()


def test_the_command_asks_for_a_reason_and_knows_the_step(stack, vendor):
    offboarding = stack.offboard("nora@example.com", runbook="locking")
    stack.wait_status(offboarding, "completed")
    assert stack.cli("reveal", offboarding, "lock").status == 2
    assert stack.cli("reveal", offboarding, "lock", "--reason", "").status == 2
    unknown = stack.cli("reveal", offboarding, "unlock", "--reason", "x")
    assert unknown.status == 4 and 'the step "unlock"' in unknown.err
    assert revealed(stack, offboarding) == []


def test_nothing_is_told_before_it_is_on_record(own_broker, make_stack, stack, vendor):
    alone = make_stack(brokers=own_broker.address, settings={
        key: stack.settings[key] for key in ("definitions", "systems", "worker", "vault")}).start(*PROGRAMS, "vault")
    offboarding = alone.offboard("kim@example.com", runbook="locking")
    alone.wait_status(offboarding, "completed", 60)
    asked, code = order(alone, offboarding), vendor.of("kim@example.com")[0]
    own_broker.freeze()
    refused = alone.post("/v1/reveals", asked, token="operator")
    own_broker.thaw()
    assert refused.status == 503 and code not in json.dumps(refused.json), refused
    told = wait_until(lambda: (reply := alone.post("/v1/reveals", asked, token="operator")).status == 200 and reply, 30,
                      "it is told")
    assert told.json["values"][0]["value"] == code


def test_without_keys(make_stack, stack, vendor):
    """Nothing is locked by a code that nobody would ever know; and who can open nothing says so."""
    bare = make_stack(settings={**{key: stack.settings[key] for key in ("definitions", "systems")},
                                "worker": {"systems": ["locks"], "derive_key": "0123456789abcdef0123456789abcdef"}}).start()
    check = bare.cli("check", "locks")
    assert "locks: warning: lock: blocked until worker.escrow_key_file is set" in check.out, check
    offboarding = bare.offboard("bea@example.com", runbook="locking")
    job = bare.wait_job(offboarding, "lock", "failed")
    assert job["outcome"] == "blocked" and "worker.escrow_key_file is not set" in job["reason"]
    assert vendor.of("bea@example.com") == []
    vault = bare.launch("vault")
    assert vault.wait() == 1 and "vault.escrow_private_key_file is not set" in vault.log()
    bare.processes.remove(vault)


def test_the_edge_holds_no_key(stack):
    """What is exposed to the Internet has no path to it, and the vault none to anything else. tests/system/test_own_secrets.py: nor its file."""
    token = {"Authorization": f"Bearer {stack.tokens['operator']}"}
    assert http("POST", stack.edge() + "/v1/reveals", b"{}", token).status == 404
    assert http("POST", stack.vault_url + "/v1/orders", b"{}", token).status == 404
    assert http("GET", stack.vault_url + "/v1/version", headers=token).status == 200
    assert http("GET", stack.vault_url + "/metrics").status == 404 and stack.metrics("vault")


@pytest.mark.parametrize("process, option", [("worker", "escrow_key"), ("vault", "escrow_private_key")])
def test_a_key_that_is_none(make_stack, stack, process, option):
    wrong = make_stack(settings={**{key: stack.settings[key] for key in ("definitions", "systems")},
                                 "worker": {"systems": ["locks"], "derive_key": "0123456789abcdef0123456789abcdef"}})
    wrong.settings.setdefault(process, {})[option] = "hunter22-hunter22"
    wrong.write_settings()
    started = wrong.launch(process)
    wait_until(lambda: not started.running, 20, f"{process} ends")
    assert f"{process}.{option}: it is no " in started.log() and "hunter22" not in started.log()
    wrong.processes.remove(started)
