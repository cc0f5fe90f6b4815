"""An offboarding of the model: its phases and jobs, how it begins, how it comes to rest after a change, and how it ends. What the
messages do to it is in model.py."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from followers import note_results, ripe
from messages import duration, effective_of, phases_of

OVER = ("completed", "cancelled", "duplicate")  # an offboarding that ended stays ended


@dataclass
class Job:
    step: str
    phase: "Phase | None"
    spec: dict
    state: str = "waiting"
    attempt: int = 0
    queued: datetime | None = None  # when the scheduler is to publish this attempt; None: it is published, or none is due
    due: datetime | None = None     # when this attempt was to run
    outcome: str | None = None
    answered: datetime | None = None
    waits: tuple | None = None      # the signal that it waits for: name and key
    follower: str | None = None     # of a job that tells of results: whose it is, and which results
    carries: list = field(default_factory=list)

    @property
    def system(self) -> str:
        return self.spec.get("system", "scim")

    @property
    def outlives(self) -> bool:
        """It runs though its offboarding is over: it tells of results, or undoes a step."""
        return self.follower is not None or "undo_of" in self.spec

    def become(self, state: str, due: datetime | None = None) -> None:
        self.state, self.queued, self.due = state, due, due or self.due


@dataclass
class Phase:
    name: str
    after: timedelta
    beside: bool = False            # it does not wait for those before it
    status: str = "waiting"
    due: datetime | None = None
    queued: bool = False            # its time is in the scheduler's table
    begun: bool = False


class Offboarding:
    def __init__(self, message: dict, now: datetime) -> None:
        self.message = message
        self.keys = message["keys"]
        self.live = message.get("mode", "live") == "live"
        self.status = "held" if message["status"] == "held" else "waiting"
        self.priority = message.get("priority", "normal")
        self.effective = effective_of(message, now)
        self.received = message.get("received", now)
        self.started = None
        self.approved = False
        self.phases, self.jobs = [], {}
        self.results, self.followers = [], message["plan"].get("followers", [])
        self.open_items = {}        # (system, kind) -> {item: the step that left it}
        self.notices = set()        # what the planner has yet to be told
        self.erasing = False        # its key is to be deleted: nothing of it runs any more
        for name, after, beside, steps in phases_of(message["plan"]):
            phase = Phase(name, after, beside)
            self.phases.append(phase)
            for step, spec in steps.items():
                self.jobs[step] = Job(step, phase, spec)

    def steps(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.follower is None]

    def runs(self, job: Job) -> bool:
        return not self.erasing and (self.status == "initiated" or job.outlives)

    def set_status(self, status: str) -> None:
        if self.live and status in OVER:
            self.notices.add("ended")
        self.status = status

    # ---- beginning ----

    def start(self, at: datetime, now: datetime, published: list[str] = ()) -> None:
        """It really starts. Its phases get their dates, and those begin that wait for nothing, with the jobs that the planner published."""
        self.started, self.status = at, "initiated"
        for phase in self.phases:
            phase.due = max(self.effective, at) + phase.after
            if (phase is self.phases[0] or phase.beside) and not phase.after:
                phase.status, phase.begun = "initiated", True
            else:
                phase.queued = True
        for step in published:
            self.jobs[step].become("ready")
            self.jobs[step].attempt, self.jobs[step].due = 1, at
        self.settle(now)

    def wait_for_date(self) -> None:
        """A waiting offboarding starts when its first phase is due, which is its effective date."""
        if self.status == "waiting" and self.phases[0].due != self.effective:
            self.phases[0].due, self.phases[0].queued = self.effective, True

    # ---- coming to rest after a change ----

    def decide(self, job: Job) -> str | None:
        """What becomes of a waiting job: ready, skipped or cancelled, or None while that is undecided."""
        needs = [self.jobs[step].state for step in job.spec.get("needs", [])]
        behind = [self.jobs[step].state for step in job.spec.get("behind", [])]
        if any(state in ("waiting", "ready", "failed") for state in behind):
            return None
        if "cancelled" in needs:
            return "cancelled"
        when = job.spec.get("when", "on_success")
        if when == "on_success":
            return "skipped" if "skipped" in needs else "ready" if all(state == "succeeded" for state in needs) else None
        if when == "any" and {"succeeded", "failed"} & set(needs):
            return "ready"
        if any(state in ("waiting", "ready") for state in needs):
            return None
        if when == "any":
            return "skipped"
        if when == "unless_failed" and "failed" in needs:
            return None
        return "skipped" if when == "on_failure" and "failed" not in needs else "ready"

    def release(self, job: Job, now: datetime) -> None:
        """A job may run: at its time, or not at all when that has been over for longer than `expires`."""
        base, after = max(self.effective, self.started), duration(job.spec.get("after"))
        latest = base + max(after, job.phase.after) + duration(job.spec.get("expires"))
        if "expires" in job.spec and max(after, job.phase.after) and job.attempt == 0 and latest < now:
            job.become("skipped")
            return
        if "wait" in job.spec:      # a later read-back: so long after the success of what it reads
            base, after = max(self.jobs[step].answered for step in job.spec["needs"]), duration(job.spec["wait"])
        job.become("ready", max(now, base + after))
        job.attempt += 1

    def resolve(self, now: datetime) -> list[Job]:
        decided = [(job, self.decide(job)) for job in self.jobs.values()
                   if job.state == "waiting" and job.phase.status == "initiated"]
        changed = [job for job, state in decided if state]
        for job, state in decided:
            if state == "ready":
                self.release(job, now)
            elif state:
                job.become(state)
        note_results(self, changed)
        return [job for job in changed if job.state != "ready"]

    def settle(self, now: datetime) -> None:
        """Jobs whose needs are decided become due or end, phases end and begin, and so does the offboarding."""
        moved = self.status == "initiated"
        while moved:
            while self.resolve(now):
                pass
            moved = False
            for phase in self.phases:
                if phase.status == "held" and not self.waits_for_phases(phase):
                    phase.status, phase.begun, moved = "initiated", True, True
                    break
                if phase.status == "initiated" and not any(
                        job.phase is phase and job.state in ("waiting", "ready", "failed") for job in self.steps()):
                    phase.status, moved = "completed", True
        self.follow(now)
        if (self.status == "initiated" and all(phase.status in ("completed", "cancelled") for phase in self.phases)
                and not any(job.follower and job.state in ("waiting", "ready", "failed") for job in self.jobs.values())
                and not any(self.open_items.values())):
            self.set_status("completed")

    def waits_for_phases(self, phase: Phase) -> bool:
        before = self.phases[:self.phases.index(phase)]
        return not phase.beside and any(other.status not in ("completed", "cancelled") for other in before)

    def follow(self, now: datetime) -> None:
        """Who is told of results gets a job, due at once."""
        if self.erasing:
            return
        for follower, phase, carries in ripe(self, now):
            number = 1 + sum(job.follower == follower["name"] for job in self.jobs.values())
            step = follower["name"] + (f".{number}" if number > 1 else "")
            spec = {"needs": follower.get("needs", []), "system": follower["system"]}
            self.jobs[step] = Job(step, phase, spec, "ready", 1, now, now, follower=follower["name"], carries=carries)

    # ---- ending ----

    def stop_phase(self, phase: Phase) -> None:
        """Nobody was found, and so the phase is cancelled. One that runs beside the others goes alone."""
        if phase.beside:
            self.stop([phase])
        else:
            self.stop(self.phases, "cancelled")

    def stop(self, phases: list[Phase], status: str | None = None) -> None:
        """These phases and what has not happened of them are cancelled, and with them the offboarding (which gets the status)."""
        if status:
            self.set_status(status)
        for phase in phases:
            if phase.status not in ("completed", "cancelled"):
                phase.status = "cancelled"
        stopped = [job for job in self.steps() if job.phase in phases and job.state in ("waiting", "ready")]
        for job in stopped:
            job.become("cancelled")
        note_results(self, stopped)

    def cancel(self, now: datetime, duplicate: bool = False) -> None:
        self.stop(self.phases, "duplicate" if duplicate else "cancelled")
        self.follow(now)
