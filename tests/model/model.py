"""The state machine of an offboarding, as schema/messages.md promises it: what its status, its phases and its jobs are after a
sequence of messages. It is written from that document and not from the SQL, to be compared with the SQL (README.md).

A message is a dictionary as the case files have it (messages.py). `World.apply()` takes a batch of them as the logger does,
`World.schedule()` says what the scheduler publishes."""

from datetime import datetime

from followers import note_results
from messages import duration
from offboarding import OVER, Job, Offboarding

STATE_AFTER = {  # what an outcome makes of a job
    "succeeded": "succeeded", "already_done": "succeeded", "skipped": "skipped", "missing": "skipped", "unconfigured": "skipped",
    "deferred": "ready", "failed": "failed", "blocked": "failed", "denied": "failed", "cancelled": "cancelled"}


class World:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.offboardings: dict[int, Offboarding] = {}
        self.cancellations: dict = {}   # an offboarding, or a key of a person -> (up to when, is it a duplicate?)
        self.paused: set[str] = set()   # pause/<system>
        self.signals: dict = {}         # id -> (name, key)
        self.early: dict = {}           # an offboarding that nobody knows yet -> answers of its jobs

    def apply(self, messages: list[dict]) -> list[str | None]:
        """A batch. Of each message: why it changed nothing, or None. Signals and control records come on keys or topics of their
        own, so they have no order with the events of an offboarding; the logger takes them first."""
        notes: list[str | None] = [None] * len(messages)
        signals = [(at, message) for at, message in enumerate(messages) if message.get("event") == "signal"]
        for _, message in signals:
            self.hear(message)
        for at, message in signals:
            if not self.waiting_for(message):
                notes[at] = "no job waits for it yet"
        controls = [(at, message) for at, message in enumerate(messages) if "control" in message]
        before = {number: offboarding.status for number, offboarding in self.offboardings.items()}
        for at, message in controls:
            notes[at] = self.control(message, before)
        events = [(at, message) for at, message in enumerate(messages) if message.get("event", "signal") != "signal"]
        for at, message in sorted(events, key=lambda event: event[1]["event"] != "initiated"):  # answers have topics of their own
            notes[at] = self.event(message)
        return notes

    def event(self, message: dict) -> str | None:
        name, offboarding = message["event"], self.offboardings.get(message["of"])
        if name == "initiated":
            return self.initiated(message)
        if name == "job.lost":
            return self.lost(offboarding, message)
        if name.startswith("job."):
            return self.answer(offboarding, message) if offboarding else self.keep(message)
        if offboarding is None:
            return {"phase.due": "unknown offboarding", "phase.again": "unknown phase", "cancelled": "unknown offboarding"}.get(
                name, "refused: unknown offboarding")
        return getattr(self, name.replace(".", "_"))(offboarding, message)

    # ---- the planner's ----

    def initiated(self, message: dict) -> str | None:
        if message["of"] in self.offboardings:
            return "repeated: the first one counts"
        new = self.offboardings[message["of"]] = Offboarding(message, self.now)
        orders = [(at, duplicate) for subject, (at, duplicate) in self.cancellations.items()
                  if subject == message["of"] or subject in new.keys and new.received <= at]
        if orders:  # an order to cancel travels on another topic, and may come first
            new.cancel(self.now, min(orders)[1])
        elif message["status"] == "initiated":
            new.start(message.get("started", self.now), self.now, message.get("published", []))
        new.wait_for_date()
        for early in self.early.pop(message["of"], []):
            self.answer(new, early)

    def keep(self, message: dict) -> str:
        """An answer that is read before the offboarding it belongs to: it counts when that is read."""
        self.early.setdefault(message["of"], []).append({**message, "at": message.get("at", self.now)})
        return "early"

    def moved(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.status not in ("waiting", "held"):
            return f"refused: the offboarding is {offboarding.status}"
        offboarding.effective = message.get("effective", offboarding.effective)
        offboarding.priority = message.get("priority", offboarding.priority)
        offboarding.wait_for_date()

    def started(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.status != "waiting":
            return f"refused: the offboarding is {offboarding.status}"
        if offboarding.effective != message["due"]:
            return "stale"
        if message["event"] == "held":
            offboarding.status = "held"
        else:
            offboarding.start(self.now, self.now)

    held = started

    def cancelled(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.status in OVER:
            return f"the offboarding is already {offboarding.status}"
        offboarding.cancel(self.now)

    # ---- the scheduler's ----

    @staticmethod
    def _waiting_phase(offboarding: Offboarding, name: str) -> tuple:
        """The phase, and None; or why it is none that waits."""
        phase = next((phase for phase in offboarding.phases if phase.name == name), None)
        if phase is None:
            return None, "unknown phase"
        if offboarding.status not in ("waiting", "initiated"):
            return None, f"the offboarding is {offboarding.status}"
        return (phase, None) if phase.status == "waiting" else (None, f"the phase is already {phase.status}")

    def phase_due(self, offboarding: Offboarding, message: dict) -> str | None:
        phase, refusal = self._waiting_phase(offboarding, message["phase"])
        if refusal:
            return refusal
        position = offboarding.phases.index(phase)
        if offboarding.status == "waiting" and position > 0:
            return "the offboarding is waiting"
        if phase.due != message["due"]:
            return "stale"
        if offboarding.status == "waiting":
            offboarding.start(self.now, self.now)
            return None
        free = not offboarding.waits_for_phases(phase)
        phase.status, phase.begun = ("initiated", True) if free else ("held", False)
        offboarding.settle(self.now)

    def phase_again(self, offboarding: Offboarding, message: dict) -> str | None:
        """Nobody has answered that the phase's time has come: it is said again."""
        phase, refusal = self._waiting_phase(offboarding, message["phase"])
        if refusal:
            return refusal
        if phase.due != message["due"]:
            return "stale"
        if phase.queued:
            return "late"
        phase.queued = True

    def lost(self, offboarding: Offboarding | None, message: dict) -> str | None:
        """The job's message is lost, or the answer to it: the next attempt is due at once."""
        job = offboarding and offboarding.jobs.get(message["step"])
        if not job:
            return "unknown job"
        if job.state != "ready":
            return f"the job is already {job.state}"
        if job.attempt != message["attempt"]:
            return "late"
        if "expires" in job.spec and job.attempt == 1 and job.due + duration(job.spec["expires"]) < self.now:
            job.become("skipped")
            note_results(offboarding, [job])
        else:
            job.become("ready", self.now)
            job.attempt += 1
        offboarding.settle(self.now)

    def schedule(self) -> set[tuple]:
        """What is due now is published, and leaves the scheduler's table."""
        taken = set()
        for number, offboarding in self.offboardings.items():
            for job in offboarding.jobs.values():
                if job.queued and job.queued <= self.now:
                    job.queued = None
                    if offboarding.runs(job):
                        taken.add(("job", number, job.step, job.attempt))
            for phase in offboarding.phases:
                if phase.queued and phase.due <= self.now:
                    phase.queued = False
                    if offboarding.status in ("waiting", "initiated") and phase.status == "waiting":
                        # Whether a live one may start is for the planner to say, who counts; a person has said it of approved ones.
                        asks = offboarding.status == "waiting" and offboarding.live and not offboarding.approved
                        taken.add(("start", number, phase.due) if asks else ("phase", number, phase.name, phase.due))
            taken |= {(kind, number) for kind in offboarding.notices}
            offboarding.notices.clear()
        return taken

    # ---- the workers' ----

    def answer(self, offboarding: Offboarding, message: dict) -> str | None:
        job = offboarding.jobs.get(message["step"])
        if not job:
            return "unknown job"
        if message.get("system", job.spec.get("system", "scim")) != job.spec.get("system", "scim"):
            return "not believed"
        if message["event"] == "job.before":
            return None
        outcome, attempt = message["event"].removeprefix("job."), message["attempt"]
        state = STATE_AFTER[outcome]
        if state != "succeeded" or job.state == "succeeded":  # a late success is the truth; anything else late changes nothing
            if job.state not in ("waiting", "ready"):
                return f"the job is already {job.state}"
            if attempt < job.attempt or job.state == "waiting" and attempt == job.attempt:
                return "late"
        job.attempt, job.outcome, job.answered = max(attempt, job.attempt), outcome, message.get("at", self.now)
        job.become(state)
        if outcome == "deferred":
            self.put_off(job, message)
        if state == "succeeded":
            self.leave_open(offboarding, job, message.get("open", {}))
        if state != "ready" or "progress" in message:
            note_results(offboarding, [job], message.get("progress"))
            stops = outcome == "missing" and job.spec.get("on_missing") == "cancel_phase" and job.phase.status == "initiated"
            if stops:
                offboarding.stop_phase(job.phase)
            offboarding.settle(self.now)

    def put_off(self, job: Job, message: dict) -> None:
        job.attempt += 1
        job.queued = job.due = message.get("due", self.now)
        waits = message.get("waits")
        if waits:
            job.waits = (waits["signal"], waits["key"])
            if any(about == job.waits and signal not in waits.get("heard", []) for signal, about in self.signals.items()):
                job.queued = job.due = self.now

    @staticmethod
    def leave_open(offboarding: Offboarding, job: Job, left: dict) -> None:
        """What a step leaves in place on purpose; the latest word of a system about a kind counts."""
        for kind, items in left.items():
            offboarding.open_items[job.system, kind] = {item: job.step for item in items}

    # ---- orders ----

    def order_approve(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.status != "held":
            return f"refused: the offboarding is {offboarding.status}"
        offboarding.status, offboarding.approved = "waiting", True
        if offboarding.live:
            offboarding.notices.add("approved")
        if offboarding.effective <= self.now:
            offboarding.start(self.now, self.now)
        offboarding.wait_for_date()

    def order_erase(self, offboarding: Offboarding, message: dict) -> str | None:
        """The planner is told to delete its key; until that is gone, the order may come again."""
        if offboarding.status not in OVER:
            return f"refused: the offboarding is {offboarding.status}"
        if any(job.outlives and job.state == "ready" for job in offboarding.jobs.values()):
            return "refused: a job of the offboarding is still to run"
        offboarding.erasing = True
        offboarding.notices.add("erase")

    def order_retry(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.erasing:
            return "refused: the offboarding is erased"
        named = [job for job in offboarding.jobs.values() if message.get("step") in (None, job.step)]
        failed = [job for job in named if job.state == "failed" and offboarding.runs(job)]
        if not failed:
            return (f"refused: the offboarding is {offboarding.status}" if offboarding.status != "initiated" else
                    "refused: no job has failed" if "step" not in message else
                    f"refused: the job is {named[0].state}, not failed" if named else "refused: no such job")
        # Of all that failed, one that needs another of them waits for it anew; one that is named runs at once.
        behind = [job for job in failed if "step" not in message and any(
            offboarding.jobs[step].state in ("waiting", "ready", "failed") for step in job.spec.get("needs", []))]
        for job in failed:
            if job in behind:
                job.become("waiting")
            else:
                job.become("ready", self.now)
                job.attempt += 1
        offboarding.settle(self.now)

    def order_skip(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.erasing:
            return "refused: the offboarding is erased"
        if "step" not in message:
            return (f"refused: the offboarding is {offboarding.status}" if offboarding.status != "initiated" else
                    "refused: it names no job and no step")
        job = offboarding.jobs.get(message["step"])
        left = [items for items in offboarding.open_items.values() for item, step in items.items() if step == message["step"]]
        # One that has been published may be running; one that is still to be published is withdrawn.
        skips = job and (job.state in ("waiting", "failed") or job.state == "ready" and job.queued) and offboarding.runs(job)
        if not skips and not left:
            return (f"refused: the offboarding is {offboarding.status}" if offboarding.status != "initiated" else
                    "refused: no such job" if not job else "refused: the job has been published" if job.state == "ready" else
                    f"refused: the job is {job.state}")
        for kind, items in offboarding.open_items.items():
            offboarding.open_items[kind] = {item: step for item, step in items.items() if step != message["step"]}
        if skips:
            job.become("skipped")
            note_results(offboarding, [job])
        offboarding.settle(self.now)

    def order_undo(self, offboarding: Offboarding, message: dict) -> str | None:
        if offboarding.erasing:
            return "refused: the offboarding is erased"
        if not offboarding.live:
            return "refused: a dry run has changed nothing"
        if offboarding.status not in OVER:
            return (f"refused: the offboarding is {offboarding.status}; cancel it first (offboard cancel),"
                    " or wait until it is over")
        named = message.get("step")  # what was so before we came is undone only by its name
        undone = [job for job in offboarding.steps() if job.state == "succeeded" and "undo" in job.spec
                  and (job.step == named if named else job.outcome == "succeeded")]
        if not undone:
            return "refused: no such step has succeeded and can be undone"
        jobs = [offboarding.jobs.setdefault(f"{job.step}.undo", Job(f"{job.step}.undo", job.phase, {
            "system": job.system, "undo_of": job.step})) for job in undone]
        ordered = [job for job in jobs if job.state in ("waiting", "failed")]
        if not ordered:
            return "refused: it was ordered before; the jobs that undo have not failed"
        for job in ordered:
            job.become("ready", self.now)
            job.attempt += 1

    # ---- control records and signals ----

    def control(self, message: dict, before: dict) -> str | None:
        """Cancels an offboarding by its number, or what has come of a person up to then, and what is still on its way."""
        subject, up_to = message["control"], message.get("at", self.now)
        if isinstance(subject, str) and subject.startswith("pause/"):   # for workers: the state of no offboarding changes
            if not message.get("gone"):
                self.paused.add(subject)
            elif subject in self.paused:
                self.paused.remove(subject)
            else:
                return "unchanged: the system was not paused"
            return None
        if message.get("gone"):
            self.cancellations.pop(subject, None)
            return None
        duplicate = "duplicate_of" in message
        if subject not in self.cancellations or self.cancellations[subject][0] <= up_to:
            self.cancellations[subject] = (up_to, duplicate)
        meant = [number for number, offboarding in self.offboardings.items() if before[number] not in OVER
                 and (number == subject or subject in offboarding.keys and offboarding.received <= up_to)]
        for number in meant:
            if self.offboardings[number].status not in OVER:
                self.offboardings[number].cancel(self.now, duplicate)
        if meant:
            return None
        if before.get(subject) == "cancelled":
            return "unchanged: the offboarding was cancelled before"
        return ("refused: the person has no open offboarding" if isinstance(subject, str) else
                f"refused: the offboarding is {before[subject]}" if subject in before else
                "refused: unknown offboarding; if it is recorded later, it is cancelled then")

    def hear(self, message: dict) -> None:
        """A signal wakes the jobs that rest and wait for it. One that is at a worker now hears of it when it rests again."""
        if message["id"] in self.signals:
            return
        self.signals[message["id"]] = (message["name"], message["key"])
        for job in self.waiting_for(message):
            if job.queued:
                job.queued = min(job.queued, self.now)

    def waiting_for(self, message: dict) -> list[Job]:
        return [job for offboarding in self.offboardings.values() for job in offboarding.jobs.values()
                if job.waits == (message["name"], message["key"]) and job.state == "ready"]
