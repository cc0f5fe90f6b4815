"""Chaos: a seeded storm of kill -9 and of vendors that fail, and an oracle that is asked when all is quiet.

The oracle takes nobody's word: it compares the vendors' own state and journal, the records on Kafka and the rows in
PostgreSQL. The same seed plans the same storm (who dies when, which answers are lost); threads and clocks still differ."""

import random
import time
from collections import Counter

from events import job_id, leaver, offboarding_id
from process import wait_until

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
            self._let_pass(self.random.uniform(0.1, 1.2))
            if rest:
                self.stack.publish(rest.pop())
            self._kill(self.random.choice(list(self.names)))
        for event in rest:
            self.stack.publish(event)
        self.stack.sandbox.clear_faults("scim")
        self.stack.sandbox.clear_faults("jira")

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

    def _let_pass(self, seconds: float) -> None:
        """Time goes by: what is being tested is what happens meanwhile."""
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end, seconds + 5, "time to pass", interval=0.02)

    def _kill(self, role: str) -> None:
        self.stack.process(self.names[role]).kill()
        self.killed[role.split("-")[0]] += 1
        self.names[role] = self.stack.restart(self.names[role]).name

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
        rows = [*database.query("SELECT id, status, reason FROM offboarding WHERE status <> 'completed'"),
                *database.query("SELECT * FROM job"
                                " WHERE state NOT IN ('succeeded', 'skipped')"),
                *database.query("SELECT * FROM due"), *database.query("SELECT * FROM kafka_offset")]
        ends = Counter((name, record.partition) for name in ("intake", "events", "jobs.scim", "urgent.scim", "jobs.jira",
                                                             "urgent.jira") for record in self.stack.topics.read(name))
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
        """Each record of the topic is one row, and the rows are chained without a gap."""
        database = self.stack.database
        records = Counter((record.partition, record.offset) for record in self.stack.topics.read("events"))
        rows = Counter((row["kafka_partition"], row["kafka_offset"]) for row in database.query(
            "SELECT kafka_partition, kafka_offset FROM event WHERE topic = %s", self.stack.topics.name("events")))
        assert rows == records, f"missing {records - rows}, doubled {rows - records}"
        assert database.query("SELECT * FROM verify_event_chain()") == []
        assert database.value("SELECT count(*) FROM due") == 0
        assert database.value("SELECT count(*) FROM offboarding") == len(self.ids)
        assert database.value("SELECT count(*) FROM job WHERE state <> 'succeeded'") == 0
