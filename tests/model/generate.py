"""Random sequences of messages. Whatever can arrive does: workers answer what was published, in any order and repeatedly; the
planner, HR and people say anything at any time; transactions are lost, batches repeated."""

import random
from datetime import timedelta

from compare import Run

PEOPLE = (
    {"email": "Jane@x.org", "employee_id": "E1"},
    {"email": "jane@x.org", "emails": ["J.Doe@x.org"]},
    {"employee_id": "E1", "name": "Jane"},
    {"email": "tom@x.org"},
    {"name": "Tom"},
)
ACCOUNTS = {"okta": ["7"]}
KEYS = ("jane@x.org", "j.doe@x.org", "E1", "tom@x.org", "okta:7")
OUTCOMES = ("succeeded",) * 8 + ("already_done",) * 2 + ("failed",) * 3 + ("deferred",) * 3 + (
    "missing", "skipped", "unconfigured", "blocked", "denied", "cancelled")
LENGTH = 26
PARCELS = ("P1", "P2")


class Generator:
    def __init__(self, seed: int, runbooks: dict) -> None:
        self.random = random.Random(seed)
        self.run = Run(runbooks)            # the model alone: it knows what can happen next
        self.runbooks = runbooks
        self.said: list[dict] = []          # messages that may come again
        self.events: list[dict] = []        # what the scheduler and the planner have put on Kafka, and nobody has delivered yet
        self.pairs: list[tuple] = []        # jobs at workers: offboarding, step, attempt
        self.behind: list[dict] = []        # offboardings that are read after the first answers of their jobs

    def sequence(self) -> list[dict]:
        steps = [self.begin() or self.come()]
        self.run.step(steps[0])
        while len(steps) < LENGTH:
            step = self.step()
            if step:
                self.run.step(step)
                self._remember(step)
                steps.append(step)
        return steps

    def _remember(self, step: dict) -> None:
        for message in step.get("batch", [step]):
            if "event" in message or "control" in message:
                self.said.append(message)
        if "schedule" in step:
            self.pairs += sorted(row[1:] for row in self.run.taken if row[0] == "job")
            for message in self.run.asked:  # the planner holds a third of those that ask
                held = message["event"] == "started" and self.random.random() < 0.33
                self.events.append({**message, "event": "held"} if held else message)
            self.run.asked = []

    # ---- steps ----

    def step(self) -> dict | None:
        kind = self.random.choices(("message", "batch", "schedule", "wait"), (25, 38, 26, 9))[0]
        if kind == "wait":
            return {"wait": self.random.choice(("1m", "1h", "2h", "1d", "3d", "91d"))}
        if kind == "schedule":
            return {"schedule": True, **({"lost": 1} if self.random.random() < 0.1 else {})}
        if kind == "message":
            return self.message()
        batch = [message for message in (self.message() for _ in range(self.random.randint(2, 8))) if message]
        how = self.random.choices(({}, {"lost": 1}, {"repeated": True}), (60, 20, 20))[0]
        return {"batch": batch, **how} if batch else None

    def message(self) -> dict | None:
        makers = (self.begin, self.come, self.answer, self.deliver, self.again, self.order, self.hr, self.cancel, self.signal, self.lost)
        return self.random.choices(makers, (8, 8, 40, 16, 8, 14, 5, 4, 5, 3))[0]()

    def number(self) -> int:
        """An offboarding, mostly one that is known."""
        known = list(self.run.world.offboardings)
        return self.random.choice(known) if known and self.random.random() < 0.97 else self.random.randint(1, 6)

    def date(self):
        return self.run.world.now + timedelta(days=self.random.choice((-3, -1, 0, 1, 2, 100)))

    def begin(self) -> dict | None:
        number = self.random.randint(1, 6)
        if len(self.run.world.offboardings) >= 4:
            return None
        runbook = self.random.choice(list(self.runbooks))
        message = {"event": "initiated", "of": number, "runbook": runbook, "person": self.random.choice(PEOPLE),
                   "received": self.run.world.now - timedelta(hours=self.random.choice((0, 0, 1, 30))),
                   "status": self.random.choice(("initiated", "initiated", "waiting", "held"))}
        if self.random.random() < 0.5:
            message["given_ids"] = ACCOUNTS
        if message["status"] != "initiated" or self.random.random() < 0.3:
            message["effective"] = self.date() if message["status"] != "initiated" else self.run.world.now - timedelta(days=2)
        if self.random.random() < 0.1:
            message["mode"] = "dry_run"
        first = self.runbooks[runbook]["phases"][0]
        if message["status"] == "initiated" and "after" not in first:
            message["published"] = [step for step, spec in first["steps"].items()
                                    if not spec.keys() & {"needs", "after", "behind"} and self.random.random() < 0.9]
            if number not in self.run.world.offboardings and not any(number == one["of"] for one in self.behind):
                self.pairs += [(number, step, 1) for step in message["published"]]
                if self.random.random() < 0.3:
                    self.behind.append(message)
                    return None
        return message

    def come(self) -> dict | None:
        return self.behind.pop() if self.behind else None

    def answer(self) -> dict | None:
        if not self.pairs:
            return None
        at = self.random.randrange(len(self.pairs))
        number, step, attempt = self.pairs[at]
        if self.random.random() < 0.8:
            self.pairs.pop(at)
        outcome = self.random.choice(OUTCOMES)
        message = {"event": f"job.{outcome}", "of": number, "step": step, "attempt": attempt}
        for late in (late for late in self.behind if late["of"] == number):
            phases = self.runbooks[late["runbook"]]["phases"]  # several may begin at once
            spec = next((phase["steps"][step] for phase in phases if step in phase["steps"]), {})  # {}: of an earlier one that was erased
            message["system"] = spec.get("system", "scim")
        if outcome == "deferred":
            message["due"] = self.run.world.now + timedelta(hours=self.random.choice((0, 1, 30)))
            if self.random.random() < 0.5:
                heard = [signal for signal in self.run.world.signals if self.random.random() < 0.7]
                message["waits"] = {"signal": "parcel", "key": self.random.choice(PARCELS), "heard": heard}
            if self.random.random() < 0.2:
                message["progress"] = "on its way"
        elif outcome == "succeeded" and self.random.random() < 0.2:
            message["open"] = {"groups": self.random.sample(("g1", "g2"), self.random.randint(0, 2))}
        return message

    def deliver(self) -> dict | None:
        """A phase.due, or the planner's answer to "may it start?": now, and perhaps once more later."""
        if not self.events:
            return None
        at = self.random.randrange(len(self.events))
        return self.events[at] if self.random.random() < 0.2 else self.events.pop(at)

    def again(self) -> dict | None:
        return self.random.choice(self.said) if self.said else None

    def order(self) -> dict:
        number = self.number()
        order = {"event": f"order.{self.random.choice(('approve', 'approve', 'retry', 'retry', 'skip', 'undo', 'erase'))}", "of": number}
        known = self.run.world.offboardings.get(number)
        if order["event"] not in ("order.approve", "order.erase") and known and self.random.random() < 0.6:
            order["step"] = self.random.choice(list(known.jobs)) if self.random.random() < 0.95 else "nowhere"
        return order

    def hr(self) -> dict:
        if self.random.random() < 0.4:
            return {"event": "cancelled", "of": self.number(), "reason": "rehired"}
        held = self.run.world.offboardings.get(self.number())
        return {"event": "moved", "of": self.number(), "effective": self.date(),
                "status": "held" if held and held.status == "held" else "waiting",
                "priority": self.random.choice(("normal", "urgent"))}

    def cancel(self) -> dict:
        subject = str(self.number()) if self.random.random() < 0.5 else self.random.choice(KEYS)
        message = {"control": f"cancel/{subject}"}
        how = self.random.random()
        if how < 0.15:
            message["gone"] = True
        elif how < 0.3 and subject.isdigit():
            message["duplicate_of"] = 9
        elif how < 0.6:
            message["at"] = self.run.world.now - timedelta(hours=self.random.choice((0, 2)))
        return message

    def lost(self) -> dict | None:
        """What the scheduler takes for lost; it may turn up after all."""
        if self.pairs and self.random.random() < 0.7:
            number, step, attempt = self.random.choice(self.pairs)
            return {"event": "job.lost", "of": number, "step": step, "attempt": attempt}
        asked = [message for message in self.said + self.events if message.get("event") == "phase.due"]
        return {**self.random.choice(asked), "event": "phase.again"} if asked else None

    def signal(self) -> dict:
        return {"event": "signal", "id": self.random.randint(1, 9), "name": "parcel", "key": self.random.choice(PARCELS)}


def generate(seed: int, runbooks: dict) -> list[dict]:
    return Generator(seed, runbooks).sequence()
