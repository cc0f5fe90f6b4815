"""Compares the model with the SQL over random runs: seeds.py [--seeds N] [--first N] [--stop]. A run that fails is
reduced and printed as a case file."""

import argparse
import sys
import time

import psycopg

from cases import case_text, shared_runbooks
from compare import Disagreement, Run
from generate import generate
from reduce import shortest
from server import database as new_database

LOOK_EVERY = 12     # steps between two comparisons of everything
CLEAN_EVERY = 20    # runs


def failure(steps: list[dict], runbooks: dict, database, every: int = 1) -> str | None:
    """What is wrong with a sequence: None, or a text for people. All is compared after so many steps, and in the end."""
    run = Run(runbooks, database, every)
    try:
        for step in steps:
            run.step(step)
        run.drain()
    except (Disagreement, psycopg.Error) as error:
        return str(error)
    return None


def reduced(seed: int, steps: list[dict], runbooks: dict, database) -> str:
    """A sequence that fails, made short, as a case."""
    short = shortest(steps, lambda part: failure(part, runbooks, database) is not None)
    return case_text(f"seed-{seed}", failure(short, runbooks, database), short)


def compare_seeds(first: int, count: int, database, tell=None) -> list[int]:
    """The seeds that fail; `tell(case)` of each."""
    runbooks, failed = shared_runbooks(), []
    for seed in range(first, first + count):
        try:
            steps, wrong = generate(seed, runbooks), None
        except Disagreement as error:   # what the model itself does wrong
            steps, wrong = None, str(error)
        if steps:
            wrong = failure(steps, runbooks, database, LOOK_EVERY)
        if seed % CLEAN_EVERY == 0:
            database.clean()
        if wrong:
            failed.append(seed)
            if tell:
                tell(reduced(seed, steps, runbooks, database) if steps else f"# seed {seed}: {wrong}\n")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--stop", action="store_true", help="stop at the first run that fails")
    options = parser.parse_args()
    begun, failed, done = time.monotonic(), 0, 0
    with new_database() as database:
        for seed in range(options.first, options.first + options.seeds):
            failed += len(compare_seeds(seed, 1, database, lambda case: print(case, flush=True)))
            done += 1
            if done % 100 == 0:
                print(f"model: {done} runs after {time.monotonic() - begun:.0f} s", flush=True)
            if failed and options.stop:
                break
    print(f"model: {done - failed} of {done} runs agree, {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
