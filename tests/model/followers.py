"""Who is told of results (messages.md, "followers"): a part of the model. Followers' jobs are made while events are applied. One
gets a job when its needs have succeeded, none of its jobs is under way, and there are results that none of them carries."""

A_JOB_CARRIES = 20


def note_results(offboarding, jobs, progress=None) -> None:
    """What became of steps: everything but that they wait or are ready, and of deferrals those with `progress`."""
    if not offboarding.followers:
        return
    order = list(offboarding.jobs)
    for job in sorted(jobs, key=lambda job: order.index(job.step)):
        told = job.state not in ("waiting", "ready") or progress
        if job.follower is None and told and (job.state == "failed" or not {"only_verify", "quiet"} & set(job.spec)):
            offboarding.results.append((job.phase, job.step, job.state))


def told(offboarding, name: str, phase=None) -> int:
    """How many results from the first on the follower's jobs (of that phase) carry."""
    return max((job.carries[-1] + 1 for job in offboarding.jobs.values()
                if job.follower == name and phase in (None, job.phase)), default=0)


def untold(offboarding, follower: dict, now):
    """What it has to tell now, and the phase that its job belongs to; None: nothing."""
    results = list(enumerate(offboarding.results))
    if follower["kind"] == "on_phase_end":
        for phase in offboarding.phases:
            news = [at for at, result in results if result[0] is phase and at >= told(offboarding, follower["name"], phase)]
            under_way = any(job.phase is phase and job.state == "ready" and not (job.attempt == 1 and job.due > now)
                             for job in offboarding.steps())
            if phase.begun and news and not under_way:
                return phase, news
        return None
    news = [at for at, result in results if at >= told(offboarding, follower["name"])
            and (result[2] in ("succeeded", "failed", "ready") if follower["kind"] == "mirror" else result[2] == "failed")][:A_JOB_CARRIES]
    return (offboarding.results[news[-1]][0], news) if news else None


def telling(offboarding, follower: dict) -> bool:
    return any(job.follower == follower["name"] and job.state == "ready" for job in offboarding.jobs.values())


def may_tell(offboarding, follower: dict) -> bool:
    return all(offboarding.jobs[step].state == "succeeded" for step in follower.get("needs", []))


def mirrored_first(offboarding, follower: dict, now) -> bool:
    """A report closes the thread: it waits for the mirrors of its system."""
    return any(mirror["kind"] == "mirror" and mirror["system"] == follower["system"]
               and (telling(offboarding, mirror) or may_tell(offboarding, mirror) and untold(offboarding, mirror, now))
               for mirror in offboarding.followers)


def ripe(offboarding, now) -> list[tuple]:
    """The followers that get a job now: each with the job's phase and the results that it carries."""
    undone = any("undo_of" in job.spec for job in offboarding.jobs.values())
    if not offboarding.started or offboarding.status == "completed" and not undone:
        return []   # it tells nobody of what never began
    return [(follower, *untold(offboarding, follower, now)) for follower in sorted(offboarding.followers, key=lambda one: one["name"])
            if not telling(offboarding, follower) and may_tell(offboarding, follower) and untold(offboarding, follower, now)
            and not (follower["kind"] == "on_phase_end" and mirrored_first(offboarding, follower, now))]
