"""Steps that wait for the outside world: tasks for people, with reminders, escalation and evidence; signals of other systems."""

import os

import pytest
from mail_server import MailServer
from process import wait_until

pytestmark = [pytest.mark.xdist_group("signals")]

OWNER, BOSS = "desk@example.com", "head-of-it@example.com"
RUNBOOKS = {
    "task": """
      - {id: laptop, system: manual, action: task, with: {title: "Collect the laptop of ${ .user.name }", due: 20d, remind: 30d}}
      - {id: disable, system: scim, action: deactivate_user, needs: [laptop]}
""",
    "choice": """
      - {id: received, system: manual, action: task, with: {title: "Erase or keep?", answers: [erase, keep], due: 3650d, remind: 3650d}}
      - {id: disable, system: scim, action: deactivate_user, needs: [received], if: "${ .steps.received.outputs.answer == \\"erase\\" }"}
""",
    "late": """
      - {id: laptop, system: manual, action: task, with: {title: "Collect it", due: 5d, remind: 2d, give_up: 5d, escalate_to: head-of-it@example.com}}
""",
    "parcel": """
      - {id: parcel, system: parcels, action: follow, with: {number: "1Z-${ .user.name }"}}
""",
}
MIRROR = """
mirror:
  - {system: parcels, action: note, with: {text: "${ .report }"}}
"""
PARCELS = """
system: parcels
settings: {url: {required: true}, user: {default: ""}, password: {default: "", secret: true}, from: {required: true}}
base: "${ .settings.url }"
check: {mail: {}}
actions:
  follow:
    effect: notify
    accounts: none
    with: {number: {required: true}}
    requests:
      - wait:
          signal: parcel
          key: "${ .with.number }"
          for: 3650d
          until: "${ .signal.data.tag == \\"Delivered\\" }"
          failed: "${ .signal.data.tag == \\"Lost\\" }"
          progress: "the parcel is ${ .signal.data.tag }"
        save: {tag: "${ .signal.data.tag }", source: "${ .signal.source }"}
    outputs: {tag: "${ .saved.tag }", source: "${ .saved.source }"}
  note:
    effect: notify
    accounts: none
    with: {text: {required: true}}
    requests: [{mail: {to: notes@example.com, from: "${ .settings.from }", subject: note, text: "${ .with.text }"}}]
"""
CARRIER = """
source: carrier
criteria: {ours: "${ .data.account == \\"A1\\" }"}
signal:
  name: parcel
  key: "${ .data.number }"
  id: "${ .data.event }"
  data: {tag: "${ .data.tag }", address: null}
""".replace(", address: null", "")


def put(directory, kind: str, name: str, text: str) -> str:
    path = os.path.join(directory, kind)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, f"{name}.yaml"), "w", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.fixture(scope="module")
def mail(servers):
    server = MailServer(servers.ports.take())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def stack(make_shared_stack, mail, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("definitions"))
    for name, steps in RUNBOOKS.items():
        head = MIRROR if name == "parcel" else ""
        put(directory, "runbooks", name, f"runbook: {name}\n{head}phases:\n  - name: initial\n    steps:{steps}")
    put(directory, "connectors", "parcels", PARCELS)
    put(directory, "sources", "carrier", CARRIER)
    mails = {"url": f"smtp://127.0.0.1:{mail.port}", "from": "bot@example.com"}
    made = make_shared_stack(settings={
        "clock": {"day": "200ms"},
        "definitions": {kind: [os.path.join(directory, kind)] for kind in ("runbooks", "connectors", "sources")},
        "worker": {"systems": ["manual", "parcels", "scim"]},
        "edge": {"tokens": {"carrier": {"token": "carrier-token-0123456789abcdef", "roles": ["signals"]}}},
        "systems": {"manual": {**mails, "owner": OWNER, "per_minute": "6000"}, "parcels": mails}})
    made.tokens["carrier"] = "carrier-token-0123456789abcdef"
    return made.start()


@pytest.fixture(autouse=True)
def quiet(mail):
    mail.mails.clear()


def subjects(mail, about: str) -> list[str]:
    return [one.message["Subject"] for one in mail.mails if about in one.message.get_content() or about in one.message["Subject"]]


def waits(stack, offboarding: str, step: str) -> dict:
    """Until the job has said that it waits."""
    return wait_until(lambda: stack.database.query(
        "SELECT a.* FROM awaited a JOIN job j ON j.id = a.job_id WHERE j.offboarding_id = %s AND j.step = %s", offboarding, step),
        30, f"{step} waits")[0]


def test_a_task_waits_for_a_person_and_keeps_the_evidence(stack, mail):
    stack.person("tess@example.com")
    offboarding = stack.offboard("tess@example.com", runbook="task", user={"name": "Tess Doe"})
    assert waits(stack, offboarding, "laptop")["key"] == f"{offboarding}/laptop"
    assert stack.account("tess@example.com")["active"]
    text = mail.mails[0].message.get_content()
    assert mail.mails[0].recipients == [OWNER] and f"offboard done {offboarding} laptop --evidence TEXT" in text
    assert "This is about Tess Doe. Please answer within 20 days of the first mail about it." in text

    said = stack.cli("done", "tess@example.com", "laptop", "--evidence", "shelf 7, photo attached").ok()
    assert said.out == "on record: laptop is done\n"
    job = stack.wait_job(offboarding, "laptop", "succeeded")
    assert job["outputs"]["evidence"] == "shelf 7, photo attached" and job["outputs"]["by"] and job["outputs"]["at"]
    stack.wait_status(offboarding, "completed")
    assert not stack.account("tess@example.com")["active"]


def test_only_a_task_that_is_open_can_be_done(stack, mail):
    """What is on record as done must have been a person's to do."""
    stack.person("other@example.com")
    offboarding = stack.offboard("other@example.com", runbook="task", user={"name": "Other Doe"})
    waits(stack, offboarding, "laptop")
    other = next(step for step, job in stack.jobs(offboarding).items() if job["system"] == "scim")
    refused = stack.cli("done", offboarding, other, "--evidence", "by hand")
    assert refused.status == 1 and f"{other} is not a manual task: the worker of scim runs " in refused.err and not refused.out, refused
    unknown = stack.cli("done", offboarding, "laptopp", "--evidence", "by hand")
    assert unknown.status == 4 and 'no step "laptopp"' in unknown.err, unknown
    assert not stack.database.query("SELECT * FROM signal WHERE key LIKE %s", f"{offboarding}/%")
    stack.cli("done", offboarding, "laptop", "--evidence", "shelf 7").ok()
    stack.wait_job(offboarding, "laptop", "succeeded")
    again = stack.cli("done", offboarding, "laptop", "--evidence", "shelf 8")
    assert again.status == 1 and "laptop is succeeded already" in again.err, again


def test_a_word_before_the_task_began_counts(stack, mail):
    stack.person("early@example.com")
    stack.cli("pause", "manual", "--reason", "test").ok()
    wait_until(lambda: stack.database.query("SELECT * FROM system_pause WHERE system = 'manual'"), 30, "manual is paused")
    offboarding = stack.offboard("early@example.com", runbook="task", user={"name": "Early Doe"})
    stack.wait_job(offboarding, "laptop", "ready")
    stack.cli("done", offboarding, "laptop", "--evidence", "it lay on the desk").ok()
    wait_until(lambda: stack.database.query("SELECT * FROM signal WHERE key = %s", f"{offboarding}/laptop"), 30, "it is on record")
    stack.cli("resume", "manual").ok()
    assert stack.wait_job(offboarding, "laptop", "succeeded")["outputs"]["evidence"] == "it lay on the desk"


def test_only_the_answers_asked_for_end_it(stack, mail):
    stack.person("choice@example.com")
    offboarding = stack.offboard("choice@example.com", runbook="choice")
    waits(stack, offboarding, "received")
    stack.cli("done", offboarding, "received", "--evidence", "x", "--answer", "burn").ok()
    job = wait_until(lambda: (job := stack.jobs(offboarding)["received"])["attempt"] == 3 and job, 30, "the answer was heard")
    assert job["state"] == "ready" and "answered burn; asked for: erase, keep" in job["reason"]
    stack.cli("done", offboarding, "received", "--evidence", "x", "--answer", "keep").ok()
    assert stack.wait_job(offboarding, "received", "succeeded")["outputs"]["answer"] == "keep"
    assert stack.wait_job(offboarding, "disable", "skipped")
    assert stack.account("choice@example.com")["active"]


def test_reminders_escalation_and_the_end(stack, mail):
    offboarding = stack.offboard("late@example.com", runbook="late")
    job = stack.wait_job(offboarding, "laptop", "failed")
    assert f'no signal "task" for {offboarding}/laptop came within 5d' in job["reason"]
    sent = [(one.message["Subject"], one.recipients) for one in mail.mails]
    assert sent[0] == ("Task: Collect it", [OWNER]) and ("Reminder 1: Collect it", [OWNER]) in sent
    assert ("Overdue: Collect it", [BOSS, OWNER]) in sent
    assert sum(recipients == [BOSS, OWNER] for _, recipients in sent) == 1, "one escalation"
    assert len({one.message["Message-ID"] for one in mail.mails}) == len(mail.mails), "a reminder is no repetition"
    stack.cli("skip", offboarding, "--step", "laptop", "--reason", "written off").ok()
    stack.wait_status(offboarding, "completed")


def tell(stack, token: str = "carrier", **body):
    return stack.post("/v1/signals/carrier", {"account": "A1", **body}, token=token)


def test_signals_of_another_system(stack, mail):
    offboarding = stack.offboard("parcel@example.com", runbook="parcel", user={"name": "Pat"})
    assert waits(stack, offboarding, "parcel")["key"] == "1Z-Pat"
    first = tell(stack, number="1Z-Pat", event="e1", tag="InTransit")
    assert first.status == 202 and first.json["signal"] == "parcel"
    wait_until(lambda: any("the parcel is InTransit" in one.message.get_content() for one in mail.mails), 30, "the news was told")
    assert stack.jobs(offboarding)["parcel"]["state"] == "ready"
    assert tell(stack, number="1Z-Pat", event="e1", tag="InTransit").json["id"] == first.json["id"], "the same signal"
    assert tell(stack, number="1Z-Pat", event="e2", tag="Delivered").status == 202
    job = stack.wait_job(offboarding, "parcel", "succeeded")
    assert job["outputs"] == {"tag": "Delivered", "source": "carrier"}
    stack.wait_status(offboarding, "completed")
    assert sum("InTransit" in one.message.get_content() for one in mail.mails) == 1, "told once"
    events = stack.database.query("SELECT name FROM event WHERE name = 'signal' AND body #>> '{context,signal,key}' = '1Z-Pat'")
    assert len(events) == 3, "all that came in is in the audit"
    signals = stack.database.query("SELECT * FROM analyst.signals WHERE key = '1Z-Pat' ORDER BY received_at")
    assert [(row["step"], row["email"], row["sent_by"], row["result"]) for row in signals] == [
        ("parcel", "parcel@example.com", "carrier", "the job is succeeded")] * 2, signals


def test_what_is_erased_is_gone_from_signals_too(stack, mail):
    offboarding = stack.offboard("erase@example.com", runbook="parcel", user={"name": "Erase"})
    waits(stack, offboarding, "parcel")
    assert tell(stack, number="1Z-Erase", event="b1", tag="Delivered").status == 202
    stack.wait_status(offboarding, "completed")
    stack.wait_quiet()
    left = ("SELECT count(*) FROM event e CROSS JOIN LATERAL (SELECT body_of(e)::text) AS x (said)"
            " WHERE said LIKE '%%1Z-Erase%%' OR said LIKE '%%erase@example.com%%'")
    assert stack.database.value(left) > 3
    stack.cli("erase", offboarding, "--reason", "asked for", "--yes").ok()
    wait_until(lambda: stack.offboarding(offboarding)["erased_at"], 30, "it is erased")
    assert stack.database.value(left) == 0
    assert stack.database.value("SELECT data FROM signal WHERE key = '1Z-Erase'") is None
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


def test_who_may_signal_and_what(stack):
    assert tell(stack, token="hr", number="1", event="e", tag="x").status == 403
    assert stack.post("/v1/signals/carrier", {}, token=None).status == 401
    assert stack.post("/v1/signals/carier", {}, token="carrier").status == 404
    assert stack.post("/v1/signals/cloudevents", {}, token="carrier").status == 404, "it starts offboardings"
    assert stack.post("/v1/signals/carrier", b"{", token="carrier").status == 400
    unmet = stack.post("/v1/signals/carrier", {"account": "B2"}, token="carrier")
    assert (unmet.status, unmet.json) == (200, {"ignored": "ours"})
    refused = tell(stack, event="e", tag="x")
    assert refused.status == 422 and "signal.key" in refused.json["detail"]
    assert tell(stack, token="operator", number="7", event="e9", tag="x").status == 202
    wait_until(lambda: [row["result"] for row in stack.database.query("SELECT * FROM analyst.signals WHERE key = '7'")]
               == ["no job waits for it"], 20, "a signal for nobody is shown, too")
