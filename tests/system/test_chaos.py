"""Seeded storms; CHAOS_SEEDS (3) of them, from CHAOS_FIRST (1) on. `make chaos` runs fifty."""

import os

import pytest

from chaos import DAY, Chaos

FIRST = int(os.environ.get("CHAOS_FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("CHAOS_SEEDS", "3")))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_no_once_effect_doubled(make_stack, seed):
    chaos = Chaos(make_stack(settings={"clock": {"day": DAY}, "worker": {"retry_wait": "2s"}}), seed)
    chaos.run()
    chaos.check()
