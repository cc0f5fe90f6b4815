"""Makes a sequence that fails as short as it gets: delta debugging, then batches and members of single messages."""


def shortest(steps: list[dict], fails) -> list[dict]:
    """The shortest part of `steps` that was found for which `fails(part)` is true."""
    steps = _without_parts(steps, fails)
    steps = _without_batches(steps, fails)
    return _without_parts(steps, fails)


def _without_parts(steps: list[dict], fails) -> list[dict]:
    size = max(1, len(steps) // 2)
    while True:
        at, shrunk = 0, False
        while at < len(steps):
            rest = steps[:at] + steps[at + size:]
            if rest and fails(rest):
                steps, shrunk = rest, True
            else:
                at += size
        if size == 1 and not shrunk:
            return steps
        size = max(1, size // 2)


def _without_batches(steps: list[dict], fails) -> list[dict]:
    """Messages of a batch as steps of their own, and transactions that are not lost, where that fails as well."""
    for at in range(len(steps) - 1, -1, -1):
        step = steps[at]
        for smaller in ([*step.get("batch", [])], [{"batch": step.get("batch")}], [{"schedule": True}]):
            known = "batch" in step if smaller != [{"schedule": True}] else "lost" in step and "schedule" in step
            if known and smaller != [step] and fails(steps[:at] + smaller + steps[at + 1:]):
                steps = steps[:at] + smaller + steps[at + 1:]
                break
        else:
            for message in list(step.get("batch", []))[1:] and list(step["batch"]):
                rest = [other for other in steps[at]["batch"] if other is not message]
                if rest and fails(steps[:at] + [{**steps[at], "batch": rest}] + steps[at + 1:]):
                    steps = steps[:at] + [{**steps[at], "batch": rest}] + steps[at + 1:]
    return steps
