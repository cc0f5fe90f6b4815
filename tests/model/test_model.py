"""The state machine in SQL against its model: the cases of cases/, and 100 random runs."""

import pytest

from cases import all_cases, run_case
from main import compare_seeds

pytestmark = pytest.mark.xdist_group("model")
CASES = all_cases()


@pytest.mark.parametrize("name", CASES)
def test_case(name, database):
    run_case(CASES[name], database)


@pytest.mark.timeout(400)  # 20 s on an idle machine
def test_seeds(database):
    """`make model SEEDS=10000` compares more of them."""
    texts: list[str] = []
    compare_seeds(1, 100, database, lambda seed, text: texts.append(f"# seed {seed}\n{text}"))
    assert not texts, "\n".join(texts)
