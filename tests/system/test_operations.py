"""The operations guide, followed: its commands run as they stand there, and say what it says they say."""

import os
import re
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from secrets import token_hex

import pytest
from events import leaver, offboarding_id
from keys import KeyPair
from sealed_tables import OFFBOARDING
from postgres import LOGINS, _program
from process import wait_until
from stack import ROOT, Stack

BLOCK = re.compile(r"^<!-- run: (?P<name>[a-z-]+) -->\n```sh\n(?P<text>.*?)^```$(?:\n+```text\n(?P<said>.*?)^```$)?",
                   re.MULTILINE | re.DOTALL)
SYSTEMCTL = """#!/bin/sh
verb=$1
shift
for unit; do curl -fsS -X POST "{control}/$verb/$unit" || exit 1; done
"""
UNITS = {"offboard-producer": ("producer",), "offboard-vault": ("vault",), "offboard-logger": ("logger",),
         "offboard-scheduler": ("scheduler",),
         "offboard-worker@scim": ("worker", "--system", "scim"), "offboard-worker@jira": ("worker", "--system", "jira")}


class Machine:
    """A host as the guide has it: units that `systemctl` starts and stops, PostgreSQL's and Offboard's commands in the PATH."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.running: dict = {}
        with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as file:
            self.blocks = {block["name"]: block for block in BLOCK.finditer(file.read())}
        self.followed: set[str] = set()
        self.asked: Queue = Queue()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._install()

    def _install(self) -> None:
        stack = self.stack
        self.bin = os.path.join(stack.directory, "bin")
        os.makedirs(self.bin)
        path = os.path.join(self.bin, "systemctl")
        with open(path, "w", encoding="ascii") as file:
            file.write(SYSTEMCTL.format(control=f"http://127.0.0.1:{self.server.server_port}"))
        os.chmod(path, stat.S_IRWXU)
        secrets = os.path.join(stack.directory, "secrets")
        os.makedirs(secrets, 0o700)
        passwords = {f"{stack.prefix}_{role}": token_hex(12) for role in LOGINS}
        with stack.postgres.connect("postgres") as connection:
            for role in LOGINS:  # of its own: a password of theirs will be changed, and the cluster is everybody's
                connection.execute(f"CREATE ROLE {stack.prefix}_{role} LOGIN PASSWORD '{passwords[f'{stack.prefix}_{role}']}'"
                                   f" IN ROLE offboard_{role}")
        for name, value in {"scim-token": stack.tokens["scim"],
                            "pgpass": "".join(f"*:*:*:{role}:{password}\n" for role, password in passwords.items())}.items():
            with open(os.open(os.path.join(secrets, name), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
                file.write(value)
        stack.settings["systems"]["scim"].pop("token")
        stack.settings["systems"]["scim"]["token_file"] = os.path.join(secrets, "scim-token")
        for role in LOGINS:
            stack.settings["postgres"][role] = (
                f"host=127.0.0.1 port={stack.postgres.port} dbname={stack.prefix} user={stack.prefix}_{role}"
                f" passfile={os.path.join(secrets, 'pgpass')} connect_timeout=5")
        stack.write_settings()

    def _handler(self):
        machine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                """A process ends with the thread that has started it: the test's own does it."""
                answered: Queue = Queue()
                machine.asked.put((*self.path.split("/")[1:], answered))
                fault = answered.get()
                self.send_response(500 if fault else 204, fault)
                self.end_headers()

            def log_message(self, format, *arguments):
                pass

        return Handler

    # systemctl

    def start(self, unit: str) -> None:
        assert unit in UNITS, f"no unit {unit}"
        if unit not in self.running:
            self.running[unit] = self.stack.launch(*UNITS[unit])
            self.stack.wait_ready(self.running[unit])

    def stop(self, unit: str) -> None:
        if unit in self.running:
            self.running.pop(unit).stop()

    def restart(self, unit: str) -> None:
        self.stop(unit)
        self.start(unit)

    # the guide

    def _text(self, text: str) -> str:
        """What is called otherwise here than in the guide."""
        stack = self.stack
        places = {"/etc/offboard": stack.directory, "/var/backups": stack.directory, "okta": "scim",
                  "AFTER=1m timeout 60": "AFTER=1s timeout 3",
                  "kafka:9092": stack.brokers, "offboard2.keys": f"{stack.prefix}b.keys"}
        for there, here in places.items():
            text = text.replace(there, here)
        for unit, process in self.running.items():
            text = text.replace(f"http://{unit.partition('-')[2]}:9090", stack.url(process.name))
        return re.sub(r"\boffboard_(logger|scheduler|analyst)\b(?!_)", rf"{stack.prefix}_\1", text)

    def _run(self, name: str) -> str:
        stack = self.stack
        env = stack.environment(OFFBOARD_CONFIG=stack.config_path, PGHOST="127.0.0.1", PGPORT=str(stack.postgres.port),
                                PGUSER="admin", PGPASSWORD=stack.postgres.password, PGDATABASE=stack.prefix)
        env["PATH"] = os.pathsep.join([self.bin, os.path.abspath(stack.build), os.path.dirname(_program("pg_dump")), env["PATH"]])
        with open(os.path.join(stack.directory, "shell.out"), "w+", encoding="utf-8") as out, \
                open(os.path.join(stack.directory, "shell.err"), "w+", encoding="utf-8") as err:
            shell = subprocess.Popen(["bash", "-euo", "pipefail", "-c", self._text(self.blocks[name]["text"])], env=env,
                                     cwd=stack.directory, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            wait_until(lambda: self._serve() or shell.poll() is not None, 60, f"{name} ends", 0.01)
            out.seek(0)
            err.seek(0)
            said = out.read()
            assert shell.returncode == 0, (name, said, err.read())
        return said

    def _serve(self) -> None:
        """What `systemctl` has asked for."""
        while not self.asked.empty():
            verb, unit, answered = self.asked.get()
            try:
                getattr(self, verb)(unit)
                answered.put(None)
            except Exception as error:  # noqa: BLE001: the guide's command fails, with the reason in its output
                answered.put(str(error).splitlines()[0])

    def do(self, name: str) -> str:
        """Follows the block once; it must say what the guide says, line by line, `…` standing for anything."""
        assert name in self.blocks, f"the guide has no block {name}"
        self.followed.add(name)
        out = self._run(name)
        missing = self._unsaid(name, out)
        assert not missing, f"{name}: the guide says {missing!r}; what came:\n{out}"
        return out

    def see(self, name: str) -> str:
        """Follows a block that only looks until it shows what the guide says."""
        self.followed.add(name)
        shown = [""]

        def shows() -> bool:
            shown[:] = [self._run(name)]
            return not self._unsaid(name, shown[0])

        try:
            wait_until(shows, 20, f"{name} shows what the guide says", 0.2)
        except AssertionError:
            raise AssertionError(f"{name}: not {self._unsaid(name, shown[0])!r} but:\n{shown[0]}") from None
        return shown[0]

    def _unsaid(self, name: str, out: str) -> str | None:
        """The first line of the guide that did not come; blanks are not compared."""
        at = 0
        lines = [" ".join(line.split()) for line in out.splitlines()]
        for line in self._text(self.blocks[name]["said"] or "").splitlines():
            pattern = re.compile(".*".join(re.escape(part) for part in " ".join(line.split()).split("…")))
            while at < len(lines) and not pattern.fullmatch(lines[at]):
                at += 1
            if at == len(lines):
                return line
            at += 1
        return None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def machine(make_stack):
    made: list[Machine] = []

    def make(**settings) -> Machine:
        made.append(Machine(make_stack(settings=settings)))
        for unit in UNITS.keys() - {"offboard-vault"}:  # runs once there is a key
            made[0].start(unit)
        return made[0]

    yield make
    for one in made:
        one.close()


def done(stack, email: str, **more) -> str:
    """An offboarding whose first phase is done."""
    stack.person(email)
    offboarding = stack.offboard(email, runbook="scim-leaver", **more)
    for step in ("deactivate", "leave-groups", "ticket"):
        stack.wait_job(offboarding, step, "succeeded")
    return offboarding


def test_day_to_day(machine, tmp_path):
    """Pause, secrets, dead letters, the wrong person, the audit, data protection, and the backup of all that."""
    machine = machine(definitions={"runbooks": [str(tmp_path)]})
    stack = machine.stack
    pause_and_resume(machine)
    rotate(machine)
    replay(machine, tmp_path)
    take_back(machine)
    restore(machine)
    protect(machine)
    unused = set(machine.blocks) - machine.followed - WITHOUT_KAFKA
    assert not unused, f"the guide has blocks that nobody follows: {unused}"


def pause_and_resume(machine) -> None:
    stack = machine.stack
    machine.do("pause")
    machine.see("paused")
    stack.person("paula@example.com")
    offboarding = stack.offboard("paula@example.com")
    stack.wait_job(offboarding, "ticket", "succeeded")
    assert stack.account("paula@example.com")["active"]
    machine.do("resume")
    stack.wait_job(offboarding, "deactivate", "succeeded")


def rotate(machine) -> None:
    stack = machine.stack
    # A vendor with one valid credential.
    new = "a-new-token-of-this-vendor"
    with open(os.path.join(stack.directory, "new-token"), "w", encoding="ascii") as file:
        file.write(new + "\n")
    machine.do("secret-pause")
    stack.sandbox.settings("scim", token=new)
    machine.do("secret-replace")
    done(stack, "rita@example.com")
    # PostgreSQL.
    machine.do("database-password")
    done(stack, "rosa@example.com")
    # The edge: two tokens for a while.
    stack.settings["edge"]["tokens"]["hr-2"] = {"token": "a-second-token-of-hr", "roles": ["intake"]}
    stack.write_settings()
    machine.do("edge-token")
    assert stack.post("/v1/offboardings", {"user": {"email": "x@example.com"}, "id": "1", "mode": "dry_run"},
                      token="a-second-token-of-hr").status == 202
    # Escrow: the new key seals, both open.
    old = KeyPair.make()
    keys = {"escrow-public.pem": old.public, "escrow-private.pem": old.private}
    for name, text in keys.items():
        with open(os.path.join(stack.directory, "secrets", name), "w", encoding="ascii") as file:
            file.write(text)
    stack.settings["worker"]["escrow_key_file"] = os.path.join(stack.directory, "secrets", "escrow-public.pem")
    stack.settings["vault"] = {"escrow_private_key_file": os.path.join(stack.directory, "secrets", "escrow-private.pem")}
    stack.write_settings()
    machine.do("escrow-key")
    with open(os.path.join(stack.directory, "secrets", "escrow-private.pem"), encoding="ascii") as file:
        both = file.read()
    assert both.count("BEGIN PRIVATE KEY") == 2 and both.endswith(old.private)


def replay(machine, folder) -> None:
    stack = machine.stack
    event = leaver("dana@example.com", "dana-1", runbook="contractor-leaver")
    stack.person("dana@example.com")
    stack.publish(event)
    machine.see("dead")
    (folder / "contractor-leaver.yaml").write_text(
        "runbook: contractor-leaver\nphases:\n  - name: initial\n    steps:\n"
        "      - {id: gone, system: scim, action: deactivate_user}\n", encoding="utf-8")
    machine.do("replay")
    stack.wait_status(offboarding_id(event), "completed")
    machine.see("replayed")


def take_back(machine) -> None:
    stack = machine.stack
    offboarding = done(stack, "jane@example.com")
    assert not stack.account("jane@example.com")["active"]
    machine.do("wrong-person")
    stack.wait_status(offboarding, "cancelled")
    machine.do("undo")
    stack.wait_job(offboarding, "deactivate.undo", "succeeded")
    assert stack.account("jane@example.com")["active"]
    machine.see("undone")


def restore(machine) -> None:
    """The database as it was before two leavers came: they come back from Kafka, and nothing is done twice."""
    stack = machine.stack
    machine.do("backup")
    after = [done(stack, f"late{number}@example.com") for number in range(2)]
    stack.wait_quiet()
    tickets = len(stack.tickets())
    changes = len(stack.sandbox.journal(effects_only=True))
    before = stack.database.query("SELECT id, status FROM offboarding ORDER BY id")
    machine.do("restore-stop")
    stack.database.close()
    machine.do("restore-database")
    machine.do("restore-logger")
    machine.see("restore-caught-up")
    machine.do("restore-scheduler")
    machine.see("restore-gate")
    assert stack.database.query("SELECT id, status FROM offboarding ORDER BY id") == before
    for offboarding in after:
        stack.wait_job(offboarding, "ticket", "succeeded")
    done(stack, "next@example.com")
    stack.wait_quiet()
    assert len(stack.tickets()) == tickets + 1
    machine.do("audit")
    done(stack, "after@example.com")
    stack.wait_quiet()
    machine.do("heads")     # the chain has grown since
    with open(os.path.join(stack.directory, "heads.csv"), "r+", encoding="ascii") as file:
        kept = file.read()
        file.seek(0)
        file.write(re.sub(r"(?<=[0-9a-f]{40})[1-9a-f](?=\n)", "0", kept, count=1))
    with pytest.raises(AssertionError, match="the guide says '0'"):
        machine.do("heads")
    assert len(stack.sandbox.journal(effects_only=True)) > changes, "the next one was done"
    once = [entry["body"] for entry in stack.sandbox.journal("jira", effects_only=True) if entry["path"].endswith("/issue")]
    assert len(once) == len(stack.tickets())


def protect(machine) -> None:
    """Nothing of the people whose offboarding is over can be read any more, and the chain holds."""
    stack = machine.stack
    for email in ("dana@example.com", "jane@example.com"):
        assert email in stack.cli("export", email).ok().out
    stack.database.query("UPDATE offboarding SET ended_at = ended_at - interval '2 years' WHERE status IN ('completed', 'cancelled')")
    machine.do("erase")
    wait_until(lambda: stack.database.value("SELECT count(*) FROM offboarding WHERE erase_ordered_at IS NOT NULL AND erased_at IS NULL") == 0,
               60, "their keys are erased")
    for email in ("dana@example.com", "jane@example.com"):
        assert stack.cli("export", email).status == 4, email
    assert "rita@example.com" in stack.cli("export", "rita@example.com").ok().out, "hers is not over"
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []


# ---- a feed error, and a Kafka that is lost ----------------------------------------------------------------------------------

WITHOUT_KAFKA = {"held", "held-approve", "held-cancel", "started-by-mistake", "kafka-stop", "kafka-topics", "kafka-keys", "kafka-start",
                 "kafka-pauses", "kafka-unanswered", "kafka-answered"}


def test_a_feed_error_and_a_lost_kafka(machine):
    machine = machine(guards={"cap_per_hour": 3})
    feed_error(machine)
    lose_kafka(machine)
    assert machine.followed == WITHOUT_KAFKA


def feed_error(machine) -> None:
    stack = machine.stack
    emails = [f"user{number}@example.com" for number in range(20)]
    stack.sandbox.seed("scim", {"users": [{"userName": email} for email in emails]})
    events = [leaver(email, runbook="scim-leaver") for email in emails]
    stack.topics.publish_many("intake", [(event["data"]["user"]["email"], event) for event in events])
    stack.wait_intake(20)
    stack.wait_quiet()
    machine.see("held")
    before = stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'held'")
    leaving = stack.database.value(f"SELECT leaver ->> 'email' FROM {OFFBOARDING} WHERE status = 'held' ORDER BY id LIMIT 1")
    with open(os.path.join(stack.directory, "really-leaving.txt"), "w", encoding="ascii") as file:
        file.write(f"{leaving}\n")
    machine.do("held-approve")
    wait_until(lambda: stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'held'") == before - 1, 20, "one is approved")
    machine.do("held-cancel")
    wait_until(lambda: stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'cancelled'") == before - 1, 20,
               "the others are cancelled")
    stack.wait_quiet()
    machine.do("started-by-mistake")
    wait_until(lambda: {user["userName"] for user in stack.sandbox.state("scim")["users"] if not user["active"]} == {leaving}, 30,
               "everybody else has their account again")


def lose_kafka(machine) -> None:
    """A job was published and not answered when Kafka went; HR's words of the last hour come again."""
    stack = machine.stack
    finished = leaver("fay@example.com", runbook="scim-leaver")
    stack.person("fay@example.com")
    stack.publish(finished)
    stack.wait_intake(21)
    chosen = stack.database.query("SELECT id FROM offboarding WHERE status = 'held'")
    assert [str(row["id"]) for row in chosen] == [offboarding_id(finished)], "the hour's cap is used up"
    stack.cli("approve", offboarding_id(finished)).ok()
    for step in ("deactivate", "leave-groups", "ticket"):
        stack.wait_job(offboarding_id(finished), step, "succeeded")
    stack.cli("pause", "scim", "--reason", "before the loss").ok()
    waiting = leaver("una@example.com", runbook="scim-leaver")
    stack.person("una@example.com")
    stack.publish(waiting)
    stack.wait_intake(22)
    stack.cli("approve", offboarding_id(waiting)).ok()
    stack.wait_job(offboarding_id(waiting), "ticket", "succeeded")
    wait_until(lambda: any(record.key == offboarding_id(waiting) for record in stack.topics.read("jobs.scim")), 20, "it is published")
    wait_until(stack.logged, 20, "PostgreSQL has all that Kafka had")
    tickets = len(stack.tickets())

    machine.do("kafka-stop")
    old = stack.topics
    stack.settings["kafka"]["prefix"] = stack.prefix + "b"
    stack.write_settings()
    machine.do("kafka-topics")
    stack.topics = type(old)(stack.brokers, stack.prefix + "b")
    machine.do("kafka-keys")
    assert stack.topics.keys() == old.keys(), "each is there again"
    machine.do("kafka-start")
    machine.see("kafka-pauses")
    assert stack.account("una@example.com")["active"], "it is paused still"
    stack.publish(finished)     # HR sends again what it has sent in the last hour
    machine.do("kafka-unanswered")
    stack.wait_job(offboarding_id(waiting), "deactivate", "succeeded")
    machine.see("kafka-answered")
    stack.wait_quiet()
    assert not stack.account("una@example.com")["active"]
    assert len(stack.tickets()) == tickets, "a ticket was opened twice"
    assert stack.database.value(f"SELECT count(*) FROM {OFFBOARDING} WHERE leaver ->> 'email' = 'fay@example.com'") == 1
    assert stack.database.query("SELECT * FROM verify_event_chain()") == []
    old.delete()
