import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import server


@pytest.fixture(scope="session")
def database():
    with server.database() as database:
        yield database
