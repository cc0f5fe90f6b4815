"""One whole Offboard for one test: configuration, topics, database, vendors, and any number of its processes."""

import json
import os
import secrets
import subprocess
import sys
import uuid
from dataclasses import dataclass, field

from sealed_tables import INTAKE, JOB, OFFBOARDING
from postgres import Database, PostgresCluster
from process import SANITIZER, Ports, Process, Reply, http, metrics, tail, wait_until
from topics import Topics
from trying import Tries, message

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "sandbox"))

from client import Sandbox, load_facts  # noqa: E402: they lie in the sandbox's own folder

PROGRAMS = ("logger", "scheduler", "worker", "producer")
FACTS = load_facts()


@dataclass
class Servers:
    """What all tests of a run share."""

    root: str
    brokers: str
    postgres: PostgresCluster
    ports: Ports
    build: str


@dataclass
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str
    arguments: list[str] = field(default_factory=list)

    @property
    def json(self):
        return json.loads(self.out)

    def ok(self) -> "Result":
        assert self.status == 0, f"{self.arguments} ended with {self.status}: {self.err or self.out}"
        return self


def yaml(value, indent: int = 0) -> str:
    """Nested dictionaries as YAML, texts and lists in JSON's notation."""
    if not isinstance(value, dict):
        return f" {json.dumps(value)}\n"
    lines = "" if indent == 0 else "\n"
    for key, item in value.items():
        lines += f"{'  ' * indent}{json.dumps(key) if not key.replace('_', '').replace('-', '').isalnum() else key}:"
        lines += yaml(item, indent + 1)
    return lines


def merged(base: dict, changes: dict) -> dict:
    """`changes` over `base`, map by map."""
    both = dict(base)
    for key, value in changes.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


def check_requests() -> None:
    """AssertionError if a running sandbox has got a request that is against the vendor's specification; each is told once."""
    wrong = [violation for sandbox in Sandbox.started for violation in sandbox.violations()]
    assert not wrong, "against the vendor's specification (tests/facts):\n" + "\n".join(dict.fromkeys(wrong))


class Stack:
    """Made with its topics and its migrated database; `start` starts processes. `close` ends all and checks how they ended."""

    def __init__(self, name: str, servers: Servers, *, settings: dict | None = None, vendors: dict | None = None,
                 systems: str = "scim,jira", postgres: PostgresCluster | None = None, brokers: str | None = None,
                 build: str | None = None, env: dict | None = None, facts: bool = True, partitions: int = 3,
                 lacks: tuple[str, ...] = ()) -> None:
        """`settings` go over the configuration, `vendors` over the sandbox's; `systems` are the sandbox's, `env` is added to
        the environment of all processes. `facts`: every request has to be one that the vendor's specification knows (tests/facts);
        false for a test whose connector is made up. `lacks`: systems that the company does not have, so that they get no topics."""
        self.name = name
        self.partitions = partitions
        self.servers = servers
        self.build = build or servers.build
        self.prefix = "t" + uuid.uuid4().hex[:10]
        self.directory = os.path.join(servers.root, "tests", f"{self.prefix}-{name}"[:80])
        os.makedirs(os.path.join(self.directory, "logs"))
        self.postgres = postgres or servers.postgres
        self.processes: list[Process] = []
        self._tries: dict[str, Tries] = {}
        self.brokers = brokers or servers.brokers
        self.topics = Topics(self.brokers, self.prefix)
        self.tokens = {name: secrets.token_hex(16) for name in ("hr", "operator", "scim", "jira")}
        self.env = env or {}
        self._urls: dict[str, str] = {}
        self._edges: dict[str, str] = {}
        credentials = {system: {"token": self.tokens[system]} for system in systems.split(",") if system in self.tokens}
        self.sandbox = Sandbox(systems, merged(credentials, vendors or {}), self.directory,
                               FACTS if facts else None).start()
        self._closed = False
        self.database: Database | None = None
        try:
            self.database = self.postgres.create_migrated(self.prefix, self.build)
            self.edge_url = f"http://127.0.0.1:{servers.ports.take()}"
            self.vault_url = f"http://127.0.0.1:{servers.ports.take()}"
            self.config_path = os.path.join(self.directory, "offboard.yaml")
            self.configure(settings or {})
            # A broker shared by all tests bears no thousand topics a dozen tests.
            systems = sorted({"email", "slack", *self.settings["worker"]["systems"], *self.settings["systems"]} - set(lacks))
            if "definitions" in self.settings or {"oomnitza", "assetsonar"} & set(systems):     # a source may poll them
                self.cli("topics", *systems).ok()
            else:
                self.topics.create(systems, self.settings["topics"]["partitions"])
        except BaseException:
            self.sandbox.stop()
            raise

    # Configuration.

    def _base(self) -> dict:
        return {
            # A killed process is missed after two seconds instead of 45.
            "kafka": {"brokers": self.brokers, "prefix": self.prefix,
                      "properties": ["session.timeout.ms=2000", "heartbeat.interval.ms=400"]},
            "topics": {"partitions": self.partitions},
            "postgres": {role: self.database.conninfo(role) for role in ("admin", "analyst", "edge", "logger", "scheduler")},
            "edge": {"listen": self.edge_url.removeprefix("http://"), "url": self.edge_url, "token": self.tokens["operator"],
                     "tokens": {"hr": {"token": self.tokens["hr"], "roles": ["intake"]},
                                "operator": {"token": self.tokens["operator"], "roles": ["intake", "operator", "approve", "undo", "erase", "reveal"]}}},
            "reveal": {"url": self.vault_url},
            "guards": {"cap_per_hour": 0},
            "scheduler": {"poll": "100ms"},
            "logger": {"batch_wait": "10ms"},
            # No check of the credentials beside the requests that a test counts.
            "worker": {"systems": ["scim", "jira"], "check_every": "0s", "drain_grace": "5s", "circuit_wait": "200ms", "circuit_wait_max": "1s",
                       "request_timeout": "5s"},
            "systems": {
                "scim": {"url": self.sandbox.urls.get("scim", "http://127.0.0.1:1"), "token": self.tokens["scim"],
                         "per_minute": "60000"},
                "jira": {"url": self.sandbox.urls.get("jira", "http://127.0.0.1:1"), "email": "bot@example.com",
                         "token": self.tokens["jira"], "settle": "1s", "per_minute": "60000"}},
        }

    def configure(self, settings: dict) -> None:
        """Writes offboard.yaml anew; processes read it when they are started."""
        self.settings = merged(self._base(), settings)
        self.write_settings()

    def write_settings(self) -> None:
        with open(os.open(self.config_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(yaml(self.settings))

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("OFFBOARD_") and not name.lower().endswith("_proxy")}
        return {**kept, **self.env, **more}

    # Processes.

    def start(self, *programs: str, ready: bool = True) -> "Stack":
        """One process of each (default: all four), and waits until they are ready."""
        started = [self.launch(program) for program in programs or PROGRAMS]
        if ready:
            for process in started:
                self.wait_ready(process)
        return self

    def launch(self, program: str, *arguments: str, **env: str) -> Process:
        """One more process, not waited for; `env` is added to its environment."""
        number = sum(1 for process in self.processes if process.name.split("-")[0] == program) + 1
        name = program if number == 1 else f"{program}-{number}"
        first = program == "producer" and not any(process.running and process.name.startswith("producer")
                                                  for process in self.processes)
        url = self._urls[name] = f"http://127.0.0.1:{self.servers.ports.take()}"
        env = {f"OFFBOARD_{program.upper()}_LISTEN": url.removeprefix("http://"), **env}
        if program == "vault":
            env = {"OFFBOARD_REVEAL_LISTEN": self.vault_url.removeprefix("http://"), **env}
        if program == "producer":
            edge = self._edges[name] = self.edge_url if first else f"http://127.0.0.1:{self.servers.ports.take()}"
            env = {"OFFBOARD_EDGE_LISTEN": edge.removeprefix("http://"), **env}
        process = Process(name, [os.path.join(self.build, f"offboard-{program}"), "-c", self.config_path, *arguments],
                          os.path.join(self.directory, "logs", f"{name}.log"), env=self.environment(**env),
                          cwd=self.directory)
        self.processes.append(process)
        return process

    def wait_ready(self, process: Process, timeout: float = 30) -> None:
        def ready() -> bool:
            return not process.running or http("GET", self._urls[process.name] + "/readyz", timeout=5).status == 200

        wait_until(ready, timeout, f"{process.name} is ready")
        assert process.running, f"{process.name} ended with {process.status}: {tail(process.log())}"

    def process(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def restart(self, name: str, *, ready: bool = True, **env: str) -> Process:
        """Another process of the same program, after `name` was killed or stopped."""
        assert not self.process(name).running
        process = self.launch(name.split("-")[0], **env)
        if ready:
            self.wait_ready(process)
        return process

    def url(self, name: str) -> str:
        """Where a process answers with its metrics and health."""
        return self._urls[name]

    def edge(self, name: str = "producer") -> str:
        """Where a producer takes requests."""
        return self._edges[name]

    def metrics(self, name: str) -> dict[str, float]:
        return metrics(self._urls[name])

    def cli(self, *arguments: str, input: str | None = None, config: bool = True, timeout: float = 60, **env: str) -> Result:
        """Runs `offboard` with this test's configuration."""
        command = [os.path.join(self.build, "offboard"), *arguments]
        if config:
            env = {"OFFBOARD_CONFIG": self.config_path, **env}
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, cwd=self.directory,
                              env=self.environment(**env), stdin=subprocess.DEVNULL if input is None else None)
        return Result(done.returncode, done.stdout, done.stderr, list(arguments))

    def try_action(self, system: str, action: str, *options: str, **env: str) -> Result:
        """What `offboard try SYSTEM ACTION …  --json` says with this test's configuration, and how it ends."""
        with open(self.config_path, encoding="utf-8") as file:
            key = json.dumps([system, env, file.read()])
        if key not in self._tries:
            self._tries[key] = Tries(os.path.join(self.build, "offboard-worker"), system, self.config_path,
                                     os.path.join(self.directory, "logs", f"try-{len(self._tries)}.log"), self.environment(**env))
        said = self._tries[key].run(message(system, action, *options))
        return Result(int(said["outcome"] in ("failed", "blocked", "denied", "cancelled")), json.dumps(said), "", [system, action, *options])

    # The edge.

    def post(self, path: str, body, *, token: str | None = "hr", headers: dict | None = None) -> Reply:
        """`body`: JSON-able or bytes. `token` names one of ours, anything else is sent as it is, None sends none."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens.get(token, token)}")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return http("POST", (self.vault_url if path == "/v1/reveals" else self.edge_url) + path, data, sent)

    def offboard(self, email: str, **event) -> str:
        """Starts an offboarding by plain JSON; its id."""
        event.setdefault("id", uuid.uuid4().hex)
        user = {"email": email, **event.pop("user", {})}
        reply = self.post("/v1/offboardings", {"user": user, **event})
        assert reply.status == 202, reply
        return reply.json["id"]

    # People and events.

    def person(self, email: str, employee_id: str | None = None, groups: tuple[str, ...] = ("Staff", "Sales")) -> str:
        """An account at the SCIM vendor, a member of the groups; its id there."""
        user = {"userName": email, "name": {"givenName": "Kim", "familyName": "Doe"},
                "emails": [{"value": email, "type": "work", "primary": True}],
                **({"externalId": employee_id} if employee_id else {})}
        members = {group["displayName"]: group["members"] for group in self.sandbox.state("scim")["groups"]}
        state = self.sandbox.seed("scim", {"users": [user]})
        key = next(user["id"] for user in state["users"] if user["userName"] == email)
        self.sandbox.seed("scim", {"groups": [
            {"displayName": group, "members": [*({"value": member["value"]} for member in members.get(group, [])),
                                               {"value": key}]} for group in groups]})
        return key

    def account(self, email: str) -> dict | None:
        """The person's account at the SCIM vendor, with `groups`; None when it is deleted."""
        state = self.sandbox.state("scim")
        for user in state["users"]:
            if user["userName"] == email:
                return {**user, "groups": [group["displayName"] for group in state["groups"]
                                           if any(member["value"] == user["id"] for member in group["members"])]}
        return None

    def tickets(self) -> list[dict]:
        return self.sandbox.state("jira")["issues"]

    def publish(self, event: dict, kind: str = "intake", **where) -> tuple[int, int]:
        """Puts a CloudEvent on intake, as an HR system would, or on another topic of HR events."""
        user = event["data"]["user"]
        return self.topics.publish(kind, event, (user.get("email") or user.get("employee_id")).lower(),
                                   headers={"content-type": "application/cloudevents+json"}, **where)

    # What PostgreSQL tells.

    def offboarding(self, offboarding: str) -> dict:
        return self.database.one(f"SELECT * FROM {OFFBOARDING} WHERE id = %s", offboarding)

    def jobs(self, offboarding: str) -> dict[str, dict]:
        """The jobs by step."""
        return {job["step"]: job for job in self.database.query(f"SELECT * FROM {JOB} WHERE offboarding_id = %s", offboarding)}

    def phases(self, offboarding: str) -> dict[str, str]:
        """Status of each phase, in order."""
        return {phase["name"]: phase["status"] for phase in self.database.query(
            "SELECT name, status FROM phase WHERE offboarding_id = %s ORDER BY position", offboarding)}

    def wait_status(self, offboarding: str, status: str, timeout: float = 30) -> dict:
        def reached():
            rows = self.database.query(f"SELECT * FROM {OFFBOARDING} WHERE id = %s", offboarding)
            seen.append(rows[0]["status"] if rows else "no row")
            return rows[0] if rows and rows[0]["status"] == status else None

        seen: list[str] = []
        try:
            return wait_until(reached, timeout, f"offboarding {offboarding} is {status}")
        except AssertionError as error:
            jobs = {step: (job["state"], job["reason"]) for step, job in self.jobs(offboarding).items()}
            raise AssertionError(f"{error}; was {seen[-1]}; jobs: {jobs}") from None

    def wait_job(self, offboarding: str, step: str, state: str, timeout: float = 30, **columns) -> dict:
        """The job, once its state is `state` and its columns are as given."""
        def reached():
            job = seen["job"] = self.jobs(offboarding).get(step)
            return job if job and job["state"] == state and all(job[name] == value for name, value in columns.items()) else None

        seen: dict = {}
        try:
            return wait_until(reached, timeout, f"job {step} is {state}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the job: {seen.get('job')}") from None

    def wait_intake(self, count: int, timeout: float = 30) -> list[dict]:
        """All rows of intake, once there are so many."""
        def rows():
            return self.database.query(f"SELECT * FROM {INTAKE} ORDER BY received_at, kafka_partition, kafka_offset")

        wait_until(lambda: len(rows()) >= count, timeout, f"{count} HR events are on record")
        return rows()

    def wait_quiet(self, timeout: float = 30) -> None:
        """Until every record on every topic was dealt with: the planner, the workers and the logger have no lag."""
        systems = [kind.removeprefix("jobs.") for kind in self.topics.names() if kind.startswith("jobs.")
                   and kind.removeprefix("jobs.") in self.settings["worker"]["systems"]]

        def quiet() -> bool:
            waiting = self.unplanned()
            waiting += sum(self.topics.lag(system, f"jobs.{system}", f"urgent.{system}") for system in systems)
            return waiting == 0 and self.logged()

        wait_until(quiet, timeout, "everything on the topics was dealt with", 0.1)

    def unplanned(self) -> int:
        """HR events that the planner has not dealt with, on all topics that they come on."""
        return self.topics.lag("producer", "intake", "received", *(kind for kind in self.topics.names() if kind.startswith("polled.")))

    def logged(self) -> bool:
        """Has PostgreSQL every record that is for it?"""
        next_offsets = {(row["topic"], row["kafka_partition"]): row["next"]
                        for row in self.database.query("SELECT topic, kafka_partition, next FROM kafka_offset")}
        return all(next_offsets.get((record.topic, record.partition), 0) > record.offset
                   for kind in self.topics.logged() for record in self.topics.read(kind))

    # The end.

    def report(self) -> list[tuple[str, str]]:
        """Title and text for each log, for a test that failed."""
        texts = [(f"{process.name} (status {process.status})", tail(process.log())) for process in self.processes]
        if self.sandbox.log():
            texts.append(("sandbox", tail(self.sandbox.log())))
        return texts

    def secrets(self) -> list[str]:
        """Everything of the configuration that must be seen nowhere."""
        return [*self.tokens.values(), self.postgres.password, *self.postgres.passwords.values()]

    def close(self) -> None:
        """Ends what runs. AssertionError unless every process that was not killed ended in good order and told no secret."""
        if self._closed:
            return
        self._closed = True
        died = [process for process in self.processes if not process.running and process.status != 0 and not process.killed]
        faults = [f"{process.name} ended with {process.status}" for process in died]
        for tries in self._tries.values():
            tries.stop()
            if SANITIZER.search(tries.log()) or any(secret in tries.log() for secret in self.secrets()):
                faults.append(f"a worker that tries says what it must not: {tries.log()[-2000:]}")
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                status = process.wait(20)
                if status != 0 and not process.killed and process not in died:
                    faults.append(f"{process.name} answered SIGTERM with status {status}")
            except AssertionError as error:
                faults.append(str(error))
            if SANITIZER.search(process.log()):
                faults.append(f"{process.name}: the sanitizer found: {tail(process.log(), 60)}")
            if any(secret in process.log() for secret in self.secrets()):
                faults.append(f"{process.name} wrote a secret into its log")
        self.sandbox.stop()
        faults += dict.fromkeys(self.sandbox.violations())
        self.topics.delete()
        if self.database and self.postgres is self.servers.postgres:
            self.database.drop()
        assert not faults, "; ".join(faults)
