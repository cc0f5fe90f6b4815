"""Chaos: a seeded storm of troubles, and an oracle that is asked when all is quiet.

Small storms are kill -9 of the processes and vendors that lose answers. Large ones strike the broker, PostgreSQL, clocks and TLS as well
(troubles.py), and measure how long each trouble is felt: from its end until somebody who leaves then has lost access, on record.

The oracle takes nobody's word: it compares the vendors' own state and journal, the records on Kafka and the rows in
PostgreSQL. The same seed plans the same storm (who dies when, which answers are lost); threads and clocks still differ."""

import random
import time
from collections import Counter

import psycopg
from events import job_id, leaver, offboarding_id
from sealed_tables import JOB, OFFBOARDING
from process import wait_until
from troubles import Weather

PEOPLE = 10
KILLS = 7
DAY = "50ms"


class Chaos:
    """One run. `stack` has not been started yet."""

    def __init__(self, stack, seed: int, people: int = PEOPLE) -> None:
        self.stack = stack
        self.random = random.Random(seed)
        self.emails = [f"user{number}.{seed}@example.com" for number in range(people)]
        self.events = [leaver(email, employee_id=f"E-{seed}-{number}",
                              priority=self.random.choice(["normal", "normal", "urgent"]))
                       for number, email in enumerate(self.emails)]
        self.ids = [offboarding_id(event) for event in self.events]
        self.names = {"producer": "producer", "logger": "logger", "scheduler": "scheduler", "worker": "worker",
                      "worker-2": "worker-2"}
        self.killed: Counter = Counter()

    # The storm.

    def run(self) -> None:
        self._prepare_vendors()
        self.stack.start("producer", "logger", "scheduler", "worker", "worker")
        for event in self.events[:len(self.events) // 2]:
            self.stack.publish(event)
        rest = list(self.events[len(self.events) // 2:])
        for _ in range(KILLS):
            self.let_pass(self.random.uniform(0.1, 1.2))
            if rest:
                self.stack.publish(rest.pop())
            self.kill(self.random.choice(list(self.names)))
        for event in rest:
            self.stack.publish(event)
        self.stack.sandbox.clear_faults("scim")
        self.stack.sandbox.clear_faults("jira")

    def run_large(self, weather: Weather, troubles: list[str]) -> dict[str, float]:
        """Strikes with each of the troubles while people leave. Seconds to recover from each."""
        self._prepare_vendors()
        self.stack.start("producer", "logger", "scheduler", "worker", "worker")
        rest = list(self.events)
        self.stack.publish(rest.pop())
        weather.keep_backup()
        felt = {}
        for name in troubles:
            for _ in range(2):
                self.stack.publish(rest.pop())
            self.let_pass(self.random.uniform(0.1, 0.8))
            weather.strike(name)
            felt[name] = self._recover(rest.pop())
        self.stack.sandbox.clear_faults("scim")
        self.stack.sandbox.clear_faults("jira")
        return felt

    def _recover(self, event: dict) -> float:
        """Until somebody who leaves now has lost access, on record."""
        began = time.monotonic()
        wait_until(lambda: self._published(event), 60, "the HR system can publish again", interval=0.1)
        key = offboarding_id(event)
        wait_until(lambda: self._deactivated(key), 90, "whoever leaves after the trouble has lost access, on record", interval=0.1)
        return time.monotonic() - began

    def _published(self, event: dict) -> bool:
        try:
            self.stack.publish(event)
            return True
        except Exception:  # noqa: BLE001: the broker may not be there yet
            return False

    def _deactivated(self, key: str) -> bool:
        try:
            return self.stack.database.value("SELECT count(*) FROM job WHERE offboarding_id = %s AND step = 'deactivate'"
                                             " AND state = 'succeeded'", key) == 1
        except psycopg.OperationalError:
            return False

    def _prepare_vendors(self) -> None:
        sandbox = self.stack.sandbox
        sandbox.seed("scim", {"users": [{"userName": event["data"]["user"]["email"],
                                         "externalId": event["data"]["user"]["employee_id"]} for event in self.events],
                              "groups": [{"displayName": "Staff", "members": self.emails}]})
        sandbox.settings("jira", search_lag=0.4)
        seed = self.random.randrange(1 << 30)
        sandbox.fault("jira", {"match": {"method": "POST", "path": "/(issue|comment)$"}, "do": "lose_answer",
                               "chance": 0.2, "seed": seed, "times": None},
                      {"match": {"method": "POST", "path": "/(issue|comment)$"}, "do": "slow_after", "seconds": 0.2,
                       "chance": 0.5, "seed": seed + 1, "times": None})
        sandbox.fault("scim", {"match": {"method": "PATCH"}, "do": "lose_answer", "chance": 0.15, "seed": seed + 2,
                               "times": None},
                      {"match": {}, "do": "status", "status": 503, "chance": 0.05, "seed": seed + 3, "times": None})

    def let_pass(self, seconds: float) -> None:
        """Time goes by: what is being tested is what happens meanwhile."""
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end, seconds + 5, "time to pass", interval=0.02)

    def kill(self, role: str, **env: str) -> None:
        """kill -9, and another process in its place; `env` is added to its environment."""
        self.stack.process(self.names[role]).kill()
        self.killed[role.split("-")[0]] += 1
        self.revive(role, **env)

    def revive(self, role: str, *, ready: bool = True, **env: str) -> None:
        self.names[role] = self.stack.restart(self.names[role], ready=ready, **env).name

    # The oracle.

    def check(self) -> None:
        try:
            wait_until(self._completed, 90, "every offboarding is completed", interval=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._unfinished()}") from None
        self.stack.wait_quiet(60)
        self._check_accounts()
        self._check_tickets()
        self._check_begun_calls()
        self._check_audit()
        assert self.stack.topics.read("dead") == [], "something ended among the dead letters"

    def _completed(self) -> bool:
        """With days this short, "three days" of trouble are over at once: what was given up is ordered anew, as a person would."""
        failed = [str(row["offboarding_id"]) for row in self.stack.database.query(
            "SELECT DISTINCT offboarding_id FROM job WHERE state = 'failed'")]
        if failed:
            reply = self.stack.post("/v1/orders", {"order": "retry", "offboardings": failed}, token="operator")
            assert reply.status == 202, reply
        return self.stack.database.value("SELECT count(*) FROM offboarding WHERE status = 'completed'") == len(self.ids)

    def _unfinished(self) -> str:
        """What there is to know of a storm that did not end: which jobs wait, for what, and how far each reader has come."""
        database = self.stack.database
        rows = [*database.query(f"SELECT id, status, reason FROM {OFFBOARDING} WHERE status <> 'completed'"),
                *database.query(f"SELECT * FROM {JOB}"
                                " WHERE state NOT IN ('succeeded', 'skipped')"),
                *database.query("SELECT * FROM due"), *database.query("SELECT * FROM kafka_offset")]
        ends = Counter((name, record.partition) for name in ("intake", "received", "jobs.scim", "urgent.scim", "jobs.jira", "urgent.jira",
                                                             *self.stack.topics.logged()) for record in self.stack.topics.read(name))
        return "\n".join([*map(str, rows), str(dict(ends))])

    def _check_accounts(self) -> None:
        state = self.stack.sandbox.state("scim")
        assert state["users"] == [], "an account was left"
        assert [group["members"] for group in state["groups"]] == [[]], "somebody is still in a group"
        lost = [entry for entry in self.stack.sandbox.journal("scim", effects_only=True) if entry["method"] == "DELETE"]
        assert len(lost) == len(self.ids), "an account was deleted twice, or not by us"

    def _check_tickets(self) -> None:
        """`once`: a ticket a leaver, a reminder and a report on it, whatever was lost."""
        labels = Counter(label for issue in self.stack.tickets() for label in issue["fields"]["labels"]
                         if label.startswith("offboard-"))
        assert labels == Counter(f"offboard-{job_id(key, 'initial', 'ticket')}" for key in self.ids), labels
        comments = Counter(comment["properties"]["offboard"]["job"] for issue in self.stack.tickets()
                           for comment in issue["comments"])
        wanted = [job_id(key, "initial", "reminder") for key in self.ids] + [job_id(key, "post-90", "report") for key in self.ids]
        assert comments == Counter(wanted), comments

    def _check_begun_calls(self) -> None:
        """Every ticket and comment that the vendor has was reported by a job that ended well, with its key."""
        reported = {event["context"]["job_id"]: event["context"] for event in self.stack.topics.events()
                    if event["name"] in ("job.succeeded", "job.already_done")}
        for issue in self.stack.tickets():
            for comment in issue["comments"]:
                context = reported[comment["properties"]["offboard"]["job"]]
                assert context["outputs"]["id"] == comment["id"] and context["verified"]["ok"]
            ticket = issue["properties"]["offboarding"]["job"]
            assert reported[ticket]["outputs"]["key"] == issue["key"] and reported[ticket]["verified"]["ok"]

    def _check_audit(self) -> None:
        """Each record that the logger reads is one row, and the rows are chained without a gap."""
        database = self.stack.database
        records = Counter((record.topic, record.partition, record.offset) for kind in self.stack.topics.logged() if kind != "control"
                          for record in self.stack.topics.read(kind))
        rows = Counter((row["topic"], row["kafka_partition"], row["kafka_offset"]) for row in database.query(
            "SELECT topic, kafka_partition, kafka_offset FROM event WHERE topic <> %s", self.stack.topics.name("control")))
        assert rows == records, f"missing {records - rows}, doubled {rows - records}"
        assert database.query("SELECT * FROM verify_event_chain()") == []
        assert database.value("SELECT count(*) FROM early_result WHERE applied_at IS NULL") == 0
        assert database.value("SELECT count(*) FROM event WHERE name = 'violation'") == 0
        assert database.value("SELECT count(*) FROM due") == 0
        assert database.value("SELECT count(*) FROM offboarding") == len(self.ids)
        assert database.value("SELECT count(*) FROM job WHERE state <> 'succeeded'") == 0
