"""The state machine in SQL against its model: the cases of cases/, and 100 random runs."""

import pytest

from cases import all_cases, run_case
from seeds import compare_seeds
from reduce import shortest

pytestmark = pytest.mark.xdist_group("model")
CASES = all_cases()


@pytest.mark.parametrize("name", CASES)
def test_case(name, database):
    run_case(CASES[name], database)


@pytest.mark.timeout(900)  # a quarter of a minute, unless much else runs on the machine
def test_seeds(database):
    """`make model SEEDS=10000` compares more of them."""
    texts: list[str] = []
    compare_seeds(1, 100, database, texts.append)
    assert not texts, "\n".join(texts)


def test_what_fails_is_made_short():
    """Two steps are at fault, one of them in a batch: they are what is left."""
    steps = [{"wait": f"{number}s"} for number in range(20)]
    steps[7] = {"batch": [{"event": "moved"}, {"event": "started"}, {"event": "held"}], "lost": 1}
    steps[15] = {"schedule": True, "lost": 1}

    def fails(part):
        return (any({"event": "started"} in step.get("batch", [step]) for step in part)
                and any("schedule" in step for step in part))

    assert shortest(steps, fails) == [{"event": "started"}, {"schedule": True}]
