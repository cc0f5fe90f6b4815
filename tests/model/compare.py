"""Runs one sequence of messages on the model and on the SQL, and says where they disagree or what no user would accept."""

from collections import Counter
from datetime import datetime, timedelta, timezone

from messages import complete, duration
from model import World
from offboarding import OVER

TICK = timedelta(seconds=1)     # passes before every step
BEGINNING = datetime(2026, 1, 5, 10, tzinfo=timezone.utc) - TICK
DRAIN_ROUNDS = 60


class Disagreement(Exception):
    pass


def second(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def model_state(world: World) -> dict[str, str]:
    state = {}
    for number, offboarding in world.offboardings.items():
        words = [offboarding.status, offboarding.priority, "approved" if offboarding.approved else None,
                 second(offboarding.effective)]
        state[f"{number}"] = " ".join(word for word in words if word)
        for phase in offboarding.phases:
            due = phase.queued and phase.status == "waiting" and offboarding.status in ("waiting", "initiated")
            state[f"{number} phase {phase.name}"] = phase.status + (f" {second(phase.due)}" if due else "")
        for job in offboarding.jobs.values():
            value = f"{job.state}#{job.attempt}" + (
                f" {second(job.queued)}" if job.queued and offboarding.runs(job) else "")
            if job.follower and not job.follower.startswith("on-phase-end"):
                results = [offboarding.results[at] for at in job.carries]
                value += " carries " + " ".join(f"{step}:{state}" for _, step, state in results)
            state[f"{number} {job.step}"] = value
        for (system, kind), items in offboarding.open_items.items():
            if items:
                state[f"{number} open {system}/{kind}"] = " ".join(sorted(items))
        if offboarding.notices:
            state[f"{number} notices"] = " ".join(sorted(offboarding.notices))
    return state


class Run:
    """One sequence. `database` None: the model alone."""

    def __init__(self, runbooks: dict, database=None, every: int = 1) -> None:
        self.runbooks = runbooks
        self.every, self.steps = every, 0       # after how many steps all is compared
        self.database = database
        self.world = World(BEGINNING)
        self.published: Counter = Counter()     # how often each attempt of each job was released
        self.approved: set = set()
        self.notes: list = []                   # on the messages of the latest batch
        self.taken: set = set()                 # of the latest look of the scheduler
        self.asked: list[dict] = []             # what follows from all its looks: phase.due, and the planner's "it starts"
        if database:
            database.reset()

    def step(self, step: dict) -> None:
        self.world.now += TICK
        if "wait" in step:
            self.world.now += duration(step["wait"])
        before = {number: offboarding.status for number, offboarding in self.world.offboardings.items()}
        if "schedule" in step:
            self._schedule(step)
        elif "batch" in step:
            self._apply(step["batch"], step)
        elif "event" in step or "control" in step:
            self._apply([step], {})
        self.steps += 1
        if self.steps % self.every == 0:
            self.look(step)
        self._check_ends(before)

    def _apply(self, batch: list[dict], how: dict) -> None:
        messages = [complete(message, self.runbooks) for message in batch]
        self.approved |= {message["of"] for message in messages if message.get("event") == "order.approve"}
        new = {message["of"]: message for message in reversed(messages)
               if message.get("event") == "initiated" and message["of"] not in self.world.offboardings}
        for number, message in new.items():
            self._release(("job", number, step, 1) for step in message.get("published", []))
        self.notes = self.world.apply(messages)
        if not self.database:
            return
        notes = self.database.apply(messages, self.world.now, how.get("lost", 0))
        if how.get("repeated") and not self.database.apply_again(messages, self.world.now):
            raise Disagreement("a batch that was recorded was recorded again")
        ours_of, self.notes = self.notes, notes
        for message, ours, theirs in zip(batch, ours_of, notes):
            if (ours is None) != (theirs is None) or not (theirs or "").startswith(ours or ""):
                raise Disagreement(f"{message}\n  note: model {ours!r}, SQL {theirs!r}")

    def _schedule(self, step: dict) -> None:
        taken = self.taken = self.world.schedule()
        self._release(row for row in taken if row[0] == "job")
        self.asked += [message for message in map(self._follows, sorted(taken, key=str)) if message]
        for row in taken:
            if row[0] == "job":
                self._check_release(row)
        if self.database:
            rows = self.database.schedule(self.world.now, step.get("lost", 0))
            if set(rows) != taken or len(set(rows)) != len(rows):
                raise Disagreement(f"released: model {sorted(map(str, taken))}, SQL {sorted(map(str, rows))}")

    @staticmethod
    def _follows(row: tuple) -> dict | None:
        if row[0] == "start":
            return {"event": "started", "of": row[1], "due": row[2]}
        return {"event": "phase.due", "of": row[1], "phase": row[2], "due": row[3]} if row[0] == "phase" else None

    def _check_release(self, row: tuple) -> None:
        status = self.world.offboardings[row[1]].status
        told_or_undone = row[2].endswith(".undo") or row[2].startswith(("mirror-", "on-failure-", "on-phase-end-"))
        if status in ("waiting", "held") or status in OVER and not told_or_undone:
            raise Disagreement(f"{row} was released, and the offboarding is {status}")

    def _release(self, rows) -> None:
        for row in rows:
            self.published[row] += 1
            if self.published[row] > 1:
                raise Disagreement(f"{row} was released twice")

    def look(self, step: dict) -> None:
        if not self.database:
            return
        ours, theirs = model_state(self.world), self.database.state()
        different = [f"  {name}: model {ours.get(name)!r}, SQL {theirs.get(name)!r}"
                     for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
        if different:
            raise Disagreement("\n".join([f"after {step}", *different]))

    def _check_ends(self, before: dict) -> None:
        for number, offboarding in self.world.offboardings.items():
            was = before.get(number)
            if was in OVER and offboarding.status != was:
                raise Disagreement(f"offboarding {number} was {was}, and is {offboarding.status}")
            if was == "held" and offboarding.status in ("waiting", "initiated", "completed") and number not in self.approved:
                raise Disagreement(f"offboarding {number} was held, and starts without approval")

    # ---- nothing is lost ----

    def drain(self) -> None:
        """From here on all goes well: held ones are approved, the planner lets start what is due, workers succeed, what failed is
        retried. Then every offboarding ends, and nothing is left to publish."""
        for _ in range(DRAIN_ROUNDS):
            messages = self._what_goes_well()
            if not messages:
                self.look({"drain": True})
                return
            self.step(messages[0] if "wait" in messages[0] else {"batch": messages})
        raise Disagreement("it never ends: " + ", ".join(
            f"{name}: {value}" for name, value in model_state(self.world).items() if "ready" in value or "waiting" in value))

    def _what_goes_well(self) -> list[dict]:
        self.step({"schedule": True})
        steps, self.asked = self.asked, []
        for number, offboarding in self.world.offboardings.items():
            if offboarding.status == "held":
                steps.append({"event": "order.approve", "of": number})
            jobs = [job for job in offboarding.jobs.values() if offboarding.runs(job)]
            at_work = [job for job in jobs if job.state == "ready" and not job.queued]
            steps += [self._success(number, job) for job in at_work]
            if any(job.state == "failed" for job in jobs):
                steps.append({"event": "order.retry", "of": number})
            elif offboarding.status == "initiated" and not at_work:
                steps += [{"event": "order.skip", "of": number, "step": step} for items in offboarding.open_items.values()
                          for step in set(items.values())]
        waiting = [job.queued for offboarding in self.world.offboardings.values() for job in offboarding.jobs.values() if job.queued]
        waiting += [phase.due for offboarding in self.world.offboardings.values() for phase in offboarding.phases
                    if phase.queued and phase.status == "waiting" and offboarding.status in ("waiting", "initiated")]
        if not steps and waiting:
            steps.append({"wait": f"{max(1, int((min(waiting) - self.world.now).total_seconds()))}s"})
        open_ones = [number for number, offboarding in self.world.offboardings.items() if offboarding.status not in OVER]
        if not steps and open_ones:
            raise Disagreement(f"nothing happens any more, and these never end: {open_ones}")
        return steps

    @staticmethod
    def _success(number: int, job) -> dict:
        return {"event": "job.succeeded", "of": number, "step": job.step, "attempt": job.attempt}
