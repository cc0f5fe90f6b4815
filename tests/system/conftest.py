"""Servers and stacks for the system tests.

One Kafka broker and one PostgreSQL cluster serve a whole run; the controlling pytest process starts and ends them and tells
its workers where they are. Every test has topics, a database, vendors, ports and a folder of its own."""

import os
import re
import shutil
import sys
import tempfile
from collections import Counter

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from broker import Broker
from postgres import PostgresCluster
from process import Ports
from stack import ROOT, Servers, Stack, check_requests

_stash = pytest.StashKey()
_folders = pytest.StashKey()
_FOLDER = "offboard-tests-"
_MEMORY = "/dev/shm"


class _Running:
    """The servers of this run, started when the first test asks for them (a worker: when the run starts)."""

    def __init__(self) -> None:
        _remove_leftovers()
        self.root = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=_place())
        os.chmod(self.root, 0o711)  # PostgreSQL's user has to pass
        self.broker = self.postgres = None
        ports = Ports(0)
        try:
            self.broker = Broker(os.path.join(self.root, "kafka"), os.environ.get("KAFKA_LIBS", ""), ports)
            self.postgres = PostgresCluster(os.path.join(self.root, "postgres"), ports)
            self.broker.wait_ready()
        except BaseException:
            self.stop(keep=False)
            raise

    def stop(self, keep: bool) -> None:
        if self.broker:
            self.broker.stop()
        if self.postgres:
            self.postgres.stop()
        if keep:
            print(f"\nkept: {self.root}")
        else:
            shutil.rmtree(self.root, ignore_errors=True)


def _place() -> str:
    """Where the servers keep their data: in memory, if there is plenty. Every stack makes a database of 300 files and topics of 60 partitions,
    and throws them away; on a disk that takes a third of a run's processor time."""
    with open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = int(re.search(r"^MemAvailable: +(\d+) kB$", file.read(), re.MULTILINE)[1])
    plenty = kilobytes > 6 << 20 and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 4 << 30
    return _MEMORY if plenty else tempfile.gettempdir()


def _remove_leftovers() -> None:
    """Folders of runs that were killed: their processes died with them."""
    for place in {_MEMORY, tempfile.gettempdir()}:
        for name in os.listdir(place) if os.path.isdir(place) else []:
            owner = re.fullmatch(_FOLDER + r"(\d+)-.*", name)
            if owner and not os.path.exists(f"/proc/{owner[1]}"):
                shutil.rmtree(os.path.join(place, name), ignore_errors=True)


def pytest_addoption(parser) -> None:
    parser.addoption("--keep", action="store_true", help="keep the folder of the run: logs, configurations, journals")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config) -> None:
    """The tests' own folders (tmp_path) go with the run, too."""
    if not hasattr(config, "workerinput") and not config.option.basetemp:
        config.option.basetemp = config.stash[_folders] = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-paths-")


def pytest_sessionstart(session) -> None:
    config = session.config
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[_stash] = _Running()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Of xdist: what a worker gets to know."""
    running = node.config.stash[_stash]
    cluster = running.postgres
    node.workerinput["servers"] = {
        "root": running.root, "brokers": running.broker.address, "port": cluster.port, "password": cluster.password,
        "passwords": cluster.passwords}


def pytest_terminal_summary(terminalreporter) -> None:
    """One line for scripts that add up; an error in a fixture is a failure."""
    counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    terminalreporter.write_line(f"system: {counts['passed']} passed, {counts['failed'] + counts['error']} failed{skipped}")


def pytest_unconfigure(config) -> None:
    running = config.stash.get(_stash, None)
    if running:
        running.stop(config.option.keep)
    if _folders in config.stash and not config.option.keep:
        shutil.rmtree(config.stash[_folders], ignore_errors=True)


@pytest.fixture(autouse=True)
def requests_as_specified(request):
    """Fails a test whose requests are against the facts of the vendor's specification, in a stack of its own or a shared one."""
    yield
    check_requests()


@pytest.fixture(scope="session")
def servers(request) -> Servers:
    config = request.config
    build = os.path.join(ROOT, os.environ.get("TEST_BUILD", "build"))
    assert os.access(os.path.join(build, "offboard"), os.X_OK), f"there are no programs in {build}: run make"
    if not hasattr(config, "workerinput"):
        running = config.stash[_stash]
        return Servers(running.root, running.broker.address, running.postgres, Ports(1), build)
    told = config.workerinput["servers"]
    number = int(config.workerinput["workerid"].removeprefix("gw"))
    cluster = PostgresCluster.running(os.path.join(told["root"], "postgres"), told["port"], told["password"], told["passwords"])
    return Servers(told["root"], told["brokers"], cluster, Ports(1 + number), build)


def _stacks(request, servers):
    """Makes stacks, and closes them in the end; the failed test's report shows the tails of their logs. `PARTITIONS` of a module says how
    many its topics have."""
    made: list[Stack] = []

    def make(**options) -> Stack:
        options.setdefault("partitions", getattr(request.module, "PARTITIONS", 3))
        stack = Stack(request.node.name.partition("[")[0].removesuffix(".py").rpartition("/")[2], servers, **options)
        made.append(stack)
        return stack

    request.node.stash[_stash] = made
    yield make
    faults = []
    for stack in made:
        try:
            stack.close()
        except Exception as error:  # noqa: BLE001: the other stacks have to be closed as well
            faults.append(error)
    assert not faults, "\n".join(str(error) for error in faults)


@pytest.fixture
def make_stack(request, servers):
    """Makes a stack from Stack's options; nothing is started yet."""
    yield from _stacks(request, servers)


@pytest.fixture(scope="module")
def make_shared_stack(request, servers):
    """The same for a stack that all tests of a file use; mark them with xdist_group."""
    yield from _stacks(request, servers)


def pytest_collection_modifyitems(items) -> None:
    """What takes long comes first, so that in the end no process works alone: tests with a time-out of their own, files that share a stack,
    other stacks; then the many tests of one process each, large groups before small ones."""
    def group(item) -> str:
        marker = item.get_closest_marker("xdist_group")
        return marker.args[0] if marker else item.nodeid

    sizes = Counter(map(group, items))
    starts = {group(item): bool({"make_stack", "make_shared_stack", "servers"} & set(item.fixturenames)) for item in items}
    longer = {group(item) for item in items if item.get_closest_marker("timeout")}
    items.sort(key=lambda item: (group(item) not in longer, not starts[group(item)], -sizes[group(item)]))


def pytest_generate_tests(metafunc) -> None:
    """The rows of a connector's table."""
    if "row" in metafunc.fixturenames and hasattr(metafunc.cls, "rows"):
        metafunc.parametrize("row", metafunc.cls.rows_of(metafunc.function.__name__), ids=lambda row: row.name or row.action)


@pytest.fixture
def stack(make_stack) -> Stack:
    """Producer, worker, logger and scheduler, ready, with the default configuration."""
    return make_stack().start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for node in (item, item.parent):
            for stack in node.stash.get(_stash, []):
                report.sections += [(f"log of {title}", text) for title, text in stack.report()]
