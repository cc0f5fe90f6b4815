"""Seeded storms; CHAOS_SEEDS (3) small ones from CHAOS_FIRST (1) on, and CHAOS_LARGE (1) large ones, each with a few of all troubles.
`make chaos` runs two hundred of both, and prints how long each trouble was felt."""

import json
import os

import pytest
from broker import Broker
from chaos import DAY, Chaos
from tls_proxy import TlsProxy
from troubles import PostgresPair, Weather

FIRST = int(os.environ.get("CHAOS_FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("CHAOS_SEEDS", "2")))
PARTITIONS = 12     # as `offboard topics` makes them
LARGE = range(FIRST, FIRST + int(os.environ.get("CHAOS_LARGE", "1")))
TROUBLES = 4
STORM = {"clock": {"day": DAY}, "worker": {"retry_wait": "2s"}}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_no_once_effect_doubled(make_stack, seed):
    chaos = Chaos(make_stack(settings=STORM), seed)
    chaos.run()
    chaos.check()


@pytest.fixture(scope="module")
def broker(servers):
    broker = Broker(os.path.join(servers.root, f"kafka-{os.urandom(4).hex()}"), os.environ["KAFKA_LIBS"], servers.ports)
    broker.wait_ready()
    yield broker
    broker.stop()


@pytest.fixture
def cluster(servers):
    cluster = PostgresPair(os.path.join(servers.root, f"postgres-{os.urandom(4).hex()}"), servers.ports)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def felt():
    """Seconds that each trouble was felt, kept in CHAOS_FELT for the table of tests/chaos/run."""
    seconds: dict[str, list[float]] = {}
    yield seconds
    if os.environ.get("CHAOS_FELT") and seconds:
        with open(f"{os.environ['CHAOS_FELT']}.{os.getpid()}", "w", encoding="ascii") as file:
            json.dump(seconds, file)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", LARGE)
def test_all_troubles(make_stack, broker, cluster, felt, seed, tmp_path):
    stack = make_stack(settings={**STORM, "scheduler": {"republish_after": "2s", "republish_every": "300ms"}}, brokers=broker.address,
                       postgres=cluster)
    proxy = TlsProxy(str(tmp_path), stack.sandbox.urls["scim"])
    stack.settings["systems"]["scim"].update(url=proxy.url, ca_file=proxy.ca_file)
    stack.write_settings()
    chaos = Chaos(stack, seed, people=1 + TROUBLES * 3)
    names = Weather.names()
    # Every trouble comes in its turn, whatever the number of seeds.
    troubles = [names[(seed * TROUBLES + number) % len(names)] for number in range(TROUBLES)]
    chaos.random.shuffle(troubles)
    for name, seconds in chaos.run_large(Weather(chaos, broker, cluster, proxy), troubles).items():
        felt.setdefault(name, []).append(seconds)
    chaos.check()
    proxy.close()
