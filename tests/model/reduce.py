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
    """Steps are replaced by simpler ones where that fails as well."""
    for at in range(len(steps) - 1, -1, -1):
        for simpler in _simpler(steps[at]):
            part = steps[:at] + simpler + steps[at + 1:]
            if fails(part):
                steps = part
                break
    return steps


def _simpler(step: dict):
    """What may stand for a step, the simplest first: its messages one by one, fewer of them, and a transaction that is not lost."""
    if "batch" in step:
        yield step["batch"]
        if len(step) > 1:
            yield [{"batch": step["batch"]}]
        if len(step["batch"]) > 2:
            yield from ([{**step, "batch": [step["batch"][a], step["batch"][b]]}]
                        for b in range(len(step["batch"])) for a in range(b))
    elif "schedule" in step and "lost" in step:
        yield [{"schedule": True}]
