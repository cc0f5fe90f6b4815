"""SIGHUP: every process reads its configuration, its secrets and its definitions again, and a mistake in them changes nothing."""

import json
import os
import signal

import pytest
from process import http, wait_until
from test_edge import Sender

BEGINS = "beginning anew"


def lines(process, message: str) -> int:
    return sum(message in line["message"] for line in map(json.loads, process.log().splitlines()))


def hang_up(stack, name: str) -> None:
    """Returns when the process is there again."""
    process = stack.process(name)
    starts = lines(process, "started")
    process.signal(signal.SIGHUP)
    wait_until(lambda: lines(process, "started") > starts, 30, f"{name} begins anew")
    stack.wait_ready(process)


def refused(stack, name: str) -> str:
    """Its log since the signal, once it has said that it goes on with what it had."""
    process = stack.process(name)
    before, starts = len(process.log()), lines(process, "started")
    process.signal(signal.SIGHUP)
    wait_until(lambda: "going on with what was read before" in process.log()[before:], 30, f"{name} goes on")
    assert lines(process, "started") == starts and process.running
    return process.log()[before:]


def command(process) -> tuple[str, str]:
    with open(f"/proc/{process.pid}/comm", encoding="ascii") as file:
        name = file.read().strip()
    with open(f"/proc/{process.pid}/cmdline", encoding="utf-8") as file:
        return name, file.read()


def test_every_process_begins_anew(stack):
    before = {process.name: (process.pid, command(process)) for process in stack.processes}
    open_files = {process.name: len(os.listdir(f"/proc/{process.pid}/fd")) for process in stack.processes}
    for turn in range(2):
        for process in stack.processes:
            hang_up(stack, process.name)
            assert (process.pid, command(process)) == before[process.name], "the same process"
            assert "unchanged" in process.log()
    for process in stack.processes:
        now = len(os.listdir(f"/proc/{process.pid}/fd"))
        assert now <= open_files[process.name] + 5, f"{process.name} leaves descriptors behind"
    stack.person("kim@example.com")
    stack.wait_job(stack.offboard("kim@example.com"), "leave-groups", "succeeded")
    for process in stack.processes:
        assert process.stop() == 0, process.name


def test_new_secrets_and_old_ones(stack):
    """A token of the edge, a password of PostgreSQL, a token of a vendor."""
    stack.person("kim@example.com")
    old, stack.tokens["hr"] = stack.tokens["hr"], "a-new-token-of-the-hr-system"
    stack.settings["edge"]["tokens"]["hr"]["token"] = stack.tokens["hr"]
    new = "a-new-token-of-the-vendor"
    stack.settings["systems"]["scim"]["token"] = new
    stack.write_settings()
    assert stack.post("/v1/offboardings", {}, token="hr").status == 401
    stack.sandbox.settings("scim", token=new)
    for name in ("producer", "worker", "logger", "scheduler"):
        hang_up(stack, name)
    assert stack.post("/v1/offboardings", {}, token=old).status == 401
    stack.wait_job(stack.offboard("kim@example.com"), "leave-groups", "succeeded")
    assert new not in "".join(process.log() for process in stack.processes), "new secrets are masked, too"


def test_nobody_is_refused_meanwhile(make_stack):
    """Clients wait for their connection: the socket stays open."""
    stack = make_stack().start("producer")
    senders = [Sender(stack, f"s{i}", keeps=i % 2 == 0) for i in range(4)]
    for sender in senders:
        sender.start()
    wait_until(lambda: all(len(sender.taken) > 20 for sender in senders), 30, "events are taken")
    for _ in range(2):
        hang_up(stack, "producer")
        counts = [len(sender.taken) for sender in senders]
        wait_until(lambda: all(len(sender.taken) > count + 20 for sender, count in zip(senders, counts)), 30, "events are taken again")
    for sender in senders:
        sender.over.set()
        sender.join()
        assert sender.lost == []
    there = {json.loads(record.value)["id"] for record in stack.topics.read("received")}
    assert {event for sender in senders for event in sender.taken} <= there


@pytest.mark.parametrize("name", ["producer", "worker", "logger", "scheduler"])
def test_a_broken_configuration_changes_nothing(stack, name):
    stack.settings["kafka"]["brokerss"] = "x"
    stack.write_settings()
    assert "kafka.brokerss" in refused(stack, name)
    del stack.settings["kafka"]["brokerss"]
    stack.write_settings()
    hang_up(stack, name)


@pytest.mark.parametrize("name, kind, text, said", [
    ("producer", "sources", "source: workday\nnonsense: true\n", "nonsense"),
    ("worker", "connectors", "nonsense: true\n", "mine.yaml:1")])
def test_a_broken_definition_changes_nothing(make_stack, tmp_path, name, kind, text, said):
    stack = make_stack(settings={"definitions": {kind: [str(tmp_path)]}}).start()
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert said in refused(stack, name)
    stack.person("kim@example.com")
    stack.wait_job(stack.offboard("kim@example.com"), "leave-groups", "succeeded")


def test_a_worker_that_could_not_start_goes_on(stack):
    """Not only the files are read: what a start would find is found."""
    stack.settings["systems"]["scim"]["urll"] = "x"
    stack.write_settings()
    assert "systems.scim.urll" in refused(stack, "worker")
