"""Mail: what arrives, under which protection, and what a server's refusals mean."""

import os
import uuid

import pytest
from events import job_id
from mail_server import Authority, MailServer
from process import wait_until

pytestmark = [pytest.mark.xdist_group("mail"),
              # Of aiosmtpd, for a server that takes a password in the clear: that is what is tested.
              pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]

PASSWORD = "mail-password-0123456789"
USER = "bot@example.com"

RUNBOOK = """\
runbook: {name}
phases:
  - name: initial
    steps:
      - id: mail
        system: email
        action: send
        with:
          to: {to}
          subject: "{subject}"
          text: ".\\n..Grüße an ${{ .user.name }}\\n{more}"
"""
RUNBOOKS = {
    "one": {"to": '"${ .user.email }"', "subject": "Abschied von ${ .user.name }", "more": ""},
    "two": {"to": '["Ann <ann@example.com>", "bob@example.com"]', "subject": "Plain", "more": "x" * 3000},
    "evil": {"to": '"ann@example.com"', "subject": '${ \\"a\\\\r\\\\nBcc: eve@example.com\\" }', "more": ""},
    "nobody": {"to": "[]", "subject": "Plain", "more": ""},
}


def make(factory, directory, url: str, **email):
    """A stack whose worker serves mail alone."""
    for name, words in RUNBOOKS.items():
        with open(os.path.join(directory, f"{name}.yaml"), "w", encoding="utf-8") as file:
            file.write(RUNBOOK.format(name=name, **words))
    stack = factory(settings={"definitions": {"runbooks": [str(directory)]}, "worker": {"systems": ["email"]},
                              "systems": {"email": {"url": url, "from": "Offboard Büro <bot@example.com>", "per_minute": "6000",
                                                    **email}}})
    stack.tokens["mail"] = PASSWORD
    return stack


@pytest.fixture
def serve(servers):
    """Starts mail servers that end with the test."""
    started = []

    def start(**options) -> MailServer:
        started.append(MailServer(servers.ports.take(), **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(str(tmp_path_factory.mktemp("authority")))


@pytest.fixture
def server(serve) -> MailServer:
    """In the clear, without a log-in."""
    return serve()


@pytest.fixture
def stack(make_stack, tmp_path, server):
    return make(make_stack, tmp_path, f"smtp://127.0.0.1:{server.port}").start()


def start(stack, runbook: str = "one", **event) -> str:
    return stack.offboard(f"{uuid.uuid4().hex[:8]}@example.com", runbook=runbook, user={"name": "Jörg Müller-Lüdenscheidt"},
                          **event)


def message_id(offboarding: str) -> str:
    return f"<{job_id(offboarding, 'initial', 'mail')}@offboard>"


def calls(stack, offboarding: str, name: str = "job.succeeded") -> list[dict]:
    return stack.topics.events(name, offboarding)[0]["context"]["calls"]


# What arrives.

def test_a_mail_arrives_as_it_was_meant(stack, server):
    offboarding = start(stack)
    job = stack.wait_job(offboarding, "mail", "succeeded")
    mail, = server.mails
    email = mail.recipients[0]
    assert mail.sender == USER and len(mail.recipients) == 1 and email.endswith("@example.com")
    message = mail.message
    assert message["To"] == email and message["From"].addresses[0].display_name == "Offboard Büro"
    assert message["Subject"] == "Abschied von Jörg Müller-Lüdenscheidt"
    assert message["Message-ID"] == message_id(offboarding) == job["outputs"]["message_id"]
    assert abs((message["Date"].datetime - stack.offboarding(offboarding)["received_at"]).total_seconds()) < 30
    assert message.get_content().replace("\r\n", "\n") == ".\n..Grüße an Jörg Müller-Lüdenscheidt\n"
    call, = calls(stack, offboarding)
    assert (call["method"], call["url"], call["status"], call["changes"]) == (
        "MAIL", f"smtp://127.0.0.1:{server.port}", 250, True)
    assert server.commands[0] == "EHLO" and server.commands[-1] == "QUIT", "the server was left without a word"


def test_a_text_of_dots_and_long_lines_and_a_second_recipient(stack, server):
    stack.wait_job(start(stack, "two"), "mail", "succeeded")
    mail, = server.mails
    assert mail.recipients == ["ann@example.com", "bob@example.com"]
    assert mail.message["To"] == "Ann <ann@example.com>, bob@example.com"
    assert mail.message.get_content().splitlines()[:2] == [".", "..Grüße an Jörg Müller-Lüdenscheidt"]
    assert mail.message.get_content().splitlines()[2] == "x" * 3000
    assert max(len(line) for line in mail.raw.splitlines()) <= 78


@pytest.mark.parametrize("runbook, reason", [("evil", "line break"), ("nobody", "mail.to is empty")])
def test_what_must_not_be_sent_never_reaches_the_server(stack, server, runbook, reason):
    job = stack.wait_job(start(stack, runbook), "mail", "failed")
    assert reason in job["reason"] and server.commands == []


def test_a_dry_run_sends_nothing(stack, server):
    offboarding = start(stack, mode="dry_run")
    stack.wait_job(offboarding, "mail", "succeeded")
    assert server.commands == []
    event, = stack.topics.events("job.succeeded", offboarding)
    assert event["response"]["message"] == f"dry run: would MAIL smtp://127.0.0.1:{server.port}"
    bad = start(stack, "evil", mode="dry_run")
    assert "line break" in stack.wait_job(bad, "mail", "failed")["reason"]


# Protection on the way.

@pytest.mark.parametrize("smtps", [False, True], ids=["STARTTLS", "smtps"])
def test_encrypted_and_logged_in(make_stack, tmp_path, serve, authority, smtps):
    server = serve(context=authority.context(), smtps=smtps, login=(USER, PASSWORD))
    url = f"{'smtps' if smtps else 'smtp'}://127.0.0.1:{server.port}"
    stack = make(make_stack, tmp_path, url, user=USER, password=PASSWORD, tls="required", ca_file=authority.ca_file).start()
    assert "email: ok" in stack.cli("check", "email").ok().out
    offboarding = start(stack)
    stack.wait_job(offboarding, "mail", "succeeded")
    assert [(mail.encrypted, mail.user) for mail in server.mails] == [(True, USER)]
    assert PASSWORD not in str(stack.topics.events("job.succeeded", offboarding))


CHECKS = {
    # title: (server, settings, what is said)
    "no STARTTLS on this host": ({}, {}, "email: ok"),
    "no STARTTLS on this host, though demanded": ({}, {"tls": "required"}, "offers no STARTTLS"),
    "no STARTTLS elsewhere": ({"host": "mail.localhost"}, {}, "offers no STARTTLS"),
    "no STARTTLS elsewhere, on one's own risk": ({"host": "mail.localhost"}, {"tls": "off"}, "email: ok"),
    "STARTTLS elsewhere": ({"host": "mail.localhost", "tls": True}, {"trusted": True}, "email: ok"),
    "an unknown certificate": ({"host": "mail.localhost", "tls": True}, {}, "certificate"),
    "an unknown certificate with smtps": ({"tls": True, "smtps": True}, {}, "certificate"),
    "a password in the clear": ({"host": "mail.localhost"}, {"tls": "off", "user": USER, "password": PASSWORD}, "in the clear"),
    "a wrong word": ({}, {"tls": "maybe"}, "systems.email.tls must be required or off"),
    "a wrong protocol": ({"scheme": "http"}, {}, "mail goes to smtp://HOST:587"),
    "a wrong password": ({"login": (USER, "another")}, {"user": USER, "password": PASSWORD}, "535"),
}


@pytest.mark.parametrize("title", CHECKS)
def test_check_says_whether_mail_could_go(make_stack, tmp_path, serve, authority, title):
    how, settings, said = CHECKS[title]
    server = serve(context=authority.context() if how.get("tls") else None, smtps=how.get("smtps", False), login=how.get("login"))
    scheme = how.get("scheme") or ("smtps" if how.get("smtps") else "smtp")
    settings = {name: value for name, value in settings.items() if name != "trusted"} | (
        {"ca_file": authority.ca_file} if settings.get("trusted") else {})
    stack = make(make_stack, tmp_path, f"{scheme}://{how.get('host', '127.0.0.1')}:{server.port}", **settings)
    result = stack.cli("check", "email")
    assert said in result.out + result.err and (result.status == 0) == (said == "email: ok")
    assert "MAIL" not in server.commands and ("NOOP" in server.commands) == (said == "email: ok")
    assert PASSWORD not in result.out + result.err


def test_nothing_is_sent_to_a_server_whose_certificate_is_unknown(make_stack, tmp_path, serve, authority):
    server = serve(context=authority.context())
    stack = make(make_stack, tmp_path, f"smtp://mail.localhost:{server.port}").start()
    offboarding = start(stack)
    wait_until(lambda: any(value == 1 for name, value in stack.metrics("worker").items()
                           if name.startswith("offboard_circuit_open")), 30, "the circuit is open")
    assert server.mails == [] and "MAIL" not in server.commands
    assert stack.jobs(offboarding)["mail"]["state"] == "ready"


# What a reply means.

REFUSALS = {
    # title: (command, reply, outcome, part of the reason)
    "unknown recipient": ("RCPT", "550 5.1.1 no such user here", "failed", "550: 5.1.1 no such user here"),
    "refused sender": ("MAIL", "553 5.1.8 who is that", "failed", "553"),
    "refused message": ("DATA", "554 5.7.1 looks like spam", "failed", "554: 5.7.1 looks like spam"),
    "no log-in": ("MAIL", "530 5.7.0 Authentication required", "denied", "530"),
}


@pytest.mark.parametrize("title", REFUSALS)
def test_a_refusal_is_final(stack, server, title):
    command, reply, outcome, reason = REFUSALS[title]
    server.faults.replies[command] = reply
    job = stack.wait_job(start(stack), "mail", "failed")
    assert job["outcome"] == outcome and reason in job["reason"] and job["attempt"] == 1
    assert server.mails == [] and server.commands.count("MAIL") == 1, "a refusal was tried again"
    assert not stack.database.query("SELECT * FROM system_pause"), "the check works: it is no reason to pause"
    server.faults.replies.clear()
    stack.wait_job(start(stack), "mail", "succeeded")


@pytest.mark.parametrize("command, reply", [("RCPT", "451 4.7.1 greylisted, come again"), ("DATA", "452 4.3.1 disk full"),
                                            ("MAIL", "421 4.3.2 going down"), ("MAIL", "drop"), ("DATA", "450 4.2.1 busy")])
def test_temporary_trouble_is_waited_out_and_one_mail_arrives(stack, server, command, reply):
    server.faults.replies[command] = reply
    server.faults.times = 2
    offboarding = start(stack)
    job = stack.wait_job(offboarding, "mail", "succeeded")
    assert job["attempt"] == 1 and len(server.mails) == 1 and server.commands.count("MAIL") == 3
    status = 0 if reply == "drop" else int(reply[:3])
    assert [call["status"] for call in calls(stack, offboarding)] == [status, status, 250]


def test_a_lost_answer_repeats_the_mail_under_the_same_id(stack, server):
    server.faults.lose_answer = True
    offboarding = start(stack)
    stack.wait_job(offboarding, "mail", "succeeded")
    assert [mail.message["Message-ID"] for mail in server.mails] == [message_id(offboarding)] * 2
    assert [call["status"] for call in calls(stack, offboarding)] == [0, 250]


def test_refused_credentials_pause_mail(make_stack, tmp_path, serve):
    server = serve(login=(USER, "another"))
    stack = make(make_stack, tmp_path, f"smtp://127.0.0.1:{server.port}", user=USER, password=PASSWORD).start()
    job = stack.wait_job(start(stack), "mail", "failed")
    assert job["outcome"] == "denied" and "535" in job["reason"]
    paused = wait_until(lambda: stack.database.query("SELECT * FROM system_pause"), 20, "email is paused")
    assert [row["system"] for row in paused] == ["email"] and server.mails == []


# The worker itself.

def test_a_server_that_hangs_at_the_end_holds_nobody_up(stack, server):
    server.faults.hold = {"QUIT"}
    first, second = start(stack), start(stack)
    for offboarding in (first, second):
        stack.wait_job(offboarding, "mail", "succeeded", 15)
    assert len(server.mails) == 2


def test_a_worker_stops_while_a_server_thinks_and_its_successor_sends_the_mail(stack, server):
    server.faults.hold = {"DATA"}
    offboarding = start(stack)
    wait_until(lambda: server.mails, 20, "the server has the mail")
    assert stack.metrics("worker"), "the worker does nothing else meanwhile"
    worker = stack.process("worker")
    worker.terminate()
    assert worker.wait(20) == 0
    server.release()
    stack.restart("worker")
    stack.wait_job(offboarding, "mail", "succeeded")
    assert {mail.message["Message-ID"] for mail in server.mails} == {message_id(offboarding)}
