"""Definitions of one's own: a connector, a runbook and a source dropped into directories work without a rebuild; faulty ones
are refused with file and line."""

import os

import pytest
from events import leaver, offboarding_id
from stack import ROOT, yaml
from unconfirmed import hasty

EMAIL = "jane.doe@example.com"

# A system that the repository does not know; the sandbox plays it with its SCIM vendor under another name.
CONNECTOR = """\
system: badges
description: "door badges of the head office"
settings:
  url: {required: true}
  token: {required: true, secret: true}
auth:
  header: {Authorization: "Bearer ${ .settings.token }"}
check: {get: "/Users", query: {count: "1"}}
identify:
  keys: [email]
  requests:
    - get: "/Users"
      query: {filter: "userName eq ${ .key | tojson }"}
      save: {id: "${ [.body.Resources[]? | .id] }"}
actions:
  withdraw:
    effect: revoke
    with:
      note: {default: "left"}
    requests:
      - patch: "/Users/${ .ids.badges }"
        headers: {Content-Type: "application/scim+json"}
        json:
          schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
          Operations:
            - {op: replace, value: {active: false, title: "${ .with.note }"}}
    verify:
      get: "/Users/${ .ids.badges }"
      expect: "${ .body.active == false }"
    outputs: {title: "${ .with.note }"}
"""

RUNBOOK = """\
runbook: head-office
phases:
  - name: initial
    steps:
      - {id: badge, system: badges, action: withdraw, with: {note: "left on ${ .offboarding.effective_at[0:10] }"}}
      - id: ticket
        system: jira
        action: create_ticket
        needs: [badge]
        if: "${ .steps.badge.outputs.title | startswith(\\"left on 20\\") }"
      - id: never
        system: jira
        action: create_ticket
        if: "${ .user.country == \\"AQ\\" }"
"""

# One of one's own under a shipped name.
SHORT_RUNBOOK = """\
runbook: scim-leaver
phases:
  - name: initial
    steps:
      - {id: gone, system: scim, action: deactivate_user}
      - {id: ticket, system: jira, action: create_ticket, needs: [gone], if: "${ .steps.gone.state == \\"succeeded\\" }"}
      - {id: never, system: jira, action: create_ticket, needs: [gone], if: "${ .steps.gone.state == \\"failed\\" }"}
"""

SOURCE = """\
source: acme
types: {com.acme.exit: start, com.acme.exit.withdrawn: cancel}
criteria:
  employee: "${ .data.worker.type == \\"Employee\\" }"
map:
  user:
    email: "${ .data.worker.mail }"
    employee_id: "${ .data.worker.number | tostring }"
    country: "${ .data.worker.country }"
  effective_at: "${ .data.lastDay }"
  runbook: "head-office"
"""


@pytest.fixture
def directory(tmp_path):
    """Directories of a customer; `write` puts a file into one of them."""
    class Directory:
        settings = {"definitions": {kind: [str(tmp_path / kind)] for kind in ("connectors", "runbooks", "sources")}}

        def write(self, kind: str, name: str, text: str) -> str:
            path = tmp_path / kind / name
            path.write_text(text, encoding="utf-8")
            return str(path)

    for kind in ("connectors", "runbooks", "sources"):
        os.makedirs(tmp_path / kind)
    return Directory()


@pytest.fixture
def acme(directory, make_stack):
    """A stack with all three, its badge system under the name `badges`."""
    directory.write("connectors", "badges.yaml", CONNECTOR)
    directory.write("runbooks", "head-office.yaml", RUNBOOK)
    directory.write("sources", "acme.yaml", SOURCE)
    stack = make_stack(systems="scim,jira,badges=scim", vendors={"badges": {"token": "badge-token-0123456789"}}, facts=False,
                       settings=directory.settings)
    stack.configure({**directory.settings, "worker": {"systems": ["scim", "jira", "badges"]},
                     "systems": {"badges": {"url": stack.sandbox.url("badges"), "token": "badge-token-0123456789"}}})
    stack.cli("topics").ok()
    return stack


def exit_event(kind: str = "Employee", **worker) -> dict:
    event = leaver(None, type="com.acme.exit")
    event["data"] = {"worker": {"type": kind, "mail": EMAIL, "number": 4711, "country": "FR", **worker}}
    return event


def test_connector_runbook_and_source_from_directories_work_without_a_rebuild(acme):
    acme.sandbox.seed("badges", {"users": [{"userName": EMAIL}]})
    assert "0 errors" in acme.cli("validate").ok().out
    acme.start()
    event = exit_event()
    acme.topics.publish("intake", event, EMAIL)
    offboarding = offboarding_id(event)
    acme.wait_status(offboarding, "completed")
    user = acme.sandbox.state("badges")["users"][0]
    assert user["active"] is False and user["title"].startswith("left on 20")
    assert {step: job["state"] for step, job in acme.jobs(offboarding).items()} == {
        "badge": "succeeded", "ticket": "succeeded", "never": "skipped"}
    assert len(acme.tickets()) == 1
    row = acme.offboarding(offboarding)
    assert row["source"] == "acme" and row["leaver"]["employee_id"] == "4711" and row["zone"] == "Europe/Paris"
    texts = {row["name"]: row["text"] for row in acme.database.query("SELECT name, text FROM definition")}
    assert texts["badges"] == CONNECTOR and texts["head-office"] == RUNBOOK and texts["acme"] == SOURCE


def test_event_that_meets_no_criterion_is_ignored_with_what_was_seen(acme):
    acme.start("producer", "logger")
    event = exit_event("Contractor")
    acme.topics.publish("intake", event, EMAIL)
    row = acme.wait_intake(1)[0]
    assert row["disposition"] == "ignored" and row["criterion"]["name"] == "employee", row
    assert "Contractor" in str(row["criterion"]["seen"])
    assert acme.database.value("SELECT count(*) FROM offboarding") == 0


def test_a_definition_of_ones_own_wins_by_name(directory, make_stack):
    directory.write("runbooks", "mine.yaml", SHORT_RUNBOOK)
    stack = make_stack(settings=directory.settings).start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_status(offboarding, "completed")
    assert {step: job["state"] for step, job in stack.jobs(offboarding).items()} == {
        "gone": "succeeded", "ticket": "succeeded", "never": "skipped"}


def test_changing_a_runbook_strands_nobody(directory, make_stack):
    """Rules, 17: an offboarding keeps its plan as made."""
    stack = make_stack(settings={**directory.settings, "clock": {"day": "50ms"}}).start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    stack.wait_job(offboarding, "reminder", "ready")
    directory.write("runbooks", "scim-leaver.yaml", "runbook: scim-leaver\nphases:\n  - name: other\n    steps:\n"
                                                    "      - {id: other, system: jira, action: create_ticket}\n")
    assert stack.process("producer").stop() == 0
    stack.restart("producer")
    stack.wait_status(offboarding, "completed", 60)
    assert stack.account(EMAIL) is None
    assert stack.phases(offboarding) == {"initial": "completed", "post-90": "completed"}


# Fault, kind of definition, file text, the line of the fault, and what the message must say.
FAULTY = {
    "no YAML": ("connectors", "system: badges\nactions: {withdraw: {effect: revoke\n", None, ""),
    "duplicate key": ("connectors", "system: badges\nsystem: gates\n", 2, "duplicate"),
    "unknown word": ("connectors", CONNECTOR.replace("identify:", "identfy:"), 9, "identify"),
    "unknown effect": ("connectors", CONNECTOR.replace("effect: revoke", "effect: revok"), 16, "revoke"),
    "no effect": ("connectors", CONNECTOR.replace("    effect: revoke\n", ""), None, "effect"),
    "expression that does not parse": ("connectors", CONNECTOR.replace("== false }", "== = false }"), 29, "== = false"),
    "expression that reads the environment": (
        "connectors", CONNECTOR.replace("${ .with.note }\"}}", "${ env.HOME }\"}}"), None, "env"),
    "unclosed expression": (
        "connectors", CONNECTOR.replace("${ .body.active == false }", "${ .body.active == false"), 29, "not closed"),
    "unknown system": ("runbooks", RUNBOOK.replace("system: badges", "system: badgess"), 5, "badges"),
    "unknown action": ("runbooks", RUNBOOK.replace("withdraw", "withdrw"), 5, "withdraw"),
    "unknown parameter": ("runbooks", RUNBOOK.replace("{note:", "{nite:"), 5, "note"),
    "needs an unknown step": ("runbooks", RUNBOOK.replace("[badge]", "[badg]"), None, "badge"),
    "cycle": ("runbooks", RUNBOOK.replace("action: withdraw,", "action: withdraw, needs: [ticket],"), None, "ticket"),
    "bad duration": ("runbooks", RUNBOOK.replace("needs: [badge]", "needs: [badge]\n        after: soon"), 10, "soon"),
    "steps without need": ("runbooks", RUNBOOK.replace("        needs: [badge]\n", ""), 9, "badge"),
    "private data": ("sources", SOURCE.replace("    country:", "    home_address:"), 9, "home_address"),
    "unknown intent": ("sources", SOURCE.replace("exit: start", "exit: strat"), 2, "start"),
}


@pytest.fixture(scope="module")
def plain_stack(make_shared_stack):
    """Topics and a database for processes that are not going to start."""
    return make_shared_stack(systems="jira")


@pytest.mark.xdist_group("faulty definitions")
@pytest.mark.parametrize("fault", FAULTY)
def test_faulty_definition_is_refused_with_file_and_line(directory, plain_stack, fault):
    stack = plain_stack
    kind, text, line, named = FAULTY[fault]
    directory.write("connectors", "badges.yaml", CONNECTOR)
    directory.write("runbooks", "head-office.yaml", RUNBOOK)
    name = {"connectors": "badges.yaml", "runbooks": "head-office.yaml", "sources": "acme.yaml"}[kind]
    path = directory.write(kind, name, text)
    stack.configure(directory.settings)

    said = stack.cli("validate")
    assert said.status == 1, said
    problems = [problem for problem in stack.cli("validate", "--json").json if problem["severity"] == "error"]
    mine = [problem for problem in problems if problem["file"] == path]
    assert mine, problems
    assert f"{path}:{mine[0]['line']}: " in said.out
    assert any(named in problem["text"] for problem in mine), mine
    if line:
        assert line in {problem["line"] for problem in mine}, mine

    # No process starts that uses it; a connector's fault does not keep the workers of other systems from starting.
    workers = {"connectors": [("worker", "--system", "badges")], "runbooks": [("worker",)], "sources": []}
    for program in [("producer",), *workers[kind]]:
        process = stack.launch(*program)
        assert process.wait(20) != 0
        assert f"{path}:{mine[0]['line']}: " in process.log(), process.log()
        stack.processes.remove(process)


@pytest.mark.parametrize("systems, said", [
    ({"scim": {"url": "https://x", "token": "y", "per_minit": "5"}},
     'systems.scim.per_minit: there is no such setting; did you mean "per_minute"?'),
    ({"scm": {"url": "https://x"}}, 'systems.scm.url: there is no such system: it has no connector; did you mean "scim"?')])
def test_a_setting_that_nobody_declares_is_refused(plain_stack, tmp_path, systems, said):
    """Mistyped, it would leave the right one at its default, unnoticed."""
    path = tmp_path / "offboard.yaml"
    path.write_text(yaml({"systems": systems}), encoding="utf-8")
    found = plain_stack.cli("validate", "-c", str(path), config=False)
    assert found.status == 1 and f"{path}: {said}" in found.out, found


def test_connectors_that_give_read_backs_a_moment_only_are_connectors(plain_stack, tmp_path):
    """Tests of what is never confirmed use them; a faulty one would fail everything, and prove nothing."""
    for name in os.listdir(os.path.join(ROOT, "worker", "connectors")):
        if name.endswith(".yaml"):
            hasty(name.removesuffix(".yaml"), str(tmp_path))
    plain_stack.cli("validate", OFFBOARD_DEFINITIONS_CONNECTORS=str(tmp_path)).ok()
