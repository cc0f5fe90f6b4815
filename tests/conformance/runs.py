"""Good runs of an action: every answer made up, until the engine says that it succeeded."""

import time

from cells import LEFT_AT
from connector import Connector
from driver import Worker, job_message
from vendor import VENDORS
from world import USER, Book, NoAnswer, World

RUNS = 40       # tries to find a good run
ATTEMPTS = 8    # of one job


class Bench:
    """A connector before a made-up vendor."""

    def __init__(self, connector: Connector, folder: str, **settings: str) -> None:
        self.connector = connector
        self.vendor = VENDORS[connector.kind()]()
        self.worker = Worker(connector, folder, self.vendor.url, **settings)
        self.vendor.asked = self.worker.asked

    def run(self, world: World, *, attempts: int = ATTEMPTS, patience: int = 0, **job) -> dict:
        """What becomes of a job in the end; while it is deferred it goes on with its state. While it waits for a signal, it gets one
        after so many attempts."""
        self.vendor.reply = world.reply
        message = job_message(self.connector.name, world.book.action, USER, LEFT_AT, **job)
        for attempt in range(1, attempts + 1):
            message["job"]["attempt"] = attempt
            self.vendor.begin()
            said = self.worker.run(message)
            said["attempts"] = attempt
            if said["outcome"] != "deferred":
                break
            message["job"]["state"] = said["state"]
            message["ids"] |= said.get("pinned", {})
            if "waits" in said and patience:
                patience -= 1
                time.sleep(0.002)       # the shortest waiting times are over then
            elif "waits" in said:
                message["job"].setdefault("signals", []).append(world.signal(said["waits"]))
        return said

    def close(self) -> None:
        self.worker.stop()
        self.vendor.close()


class Good:
    """A run that succeeded, and what it took."""

    def __init__(self, world: World, said: dict, job: dict, book: Book) -> None:
        self.world, self.said, self.job, self.book = world, said, job, book
        self.calls = world.calls
        self.changes: dict[str, set] = {}
        for call in world.calls:
            if call.question.changes:
                self.changes.setdefault(call.question.account, set()).add(World.change(call.question))


def find_run(bench: Bench, book: Book, job: dict, check=lambda good: True) -> Good:
    """Goes through answers until a run succeeds that `check` likes. AssertionError that tells what was in the way."""
    trouble = ""
    for _ in range(RUNS):
        world = World(book)
        said = bench.run(world, **job)
        keys = list(dict.fromkeys(world.keys))
        if world.trouble and not isinstance(world.trouble, NoAnswer):
            raise AssertionError(_told(world, said))
        if world.trouble:
            trouble = trouble or _told(world, said)
        elif said["outcome"] == "succeeded" and (not book.connector.actions[book.action].get("verify") or (said["verified"] or {})["ok"]):
            good = Good(world, said, job, book)
            if check(good):
                return good
            trouble = trouble or f"it succeeds, but without all of its requests; {_told(world, said)}"
            keys = [key for key in keys if key[0] not in ("identify", "confirm", "verify")]
        else:
            trouble = trouble or _told(world, said)
        while keys and not book.another(keys[-1]):
            keys.pop()
        if not keys:
            break
    raise AssertionError(trouble)


def _told(world: World, said: dict) -> str:
    calls = "\n".join(f"  {call.question} -> {call.answer}" for call in world.calls)
    return f"{world.trouble or ''}\noutcome {said['outcome']}: {said['message']}\n{calls}"
