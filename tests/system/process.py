"""Processes of a test: started with a log file, ended by their id, and never outliving the test run."""

import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

# What a sanitizer build prints when it has found something.
SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")


def wait_until(predicate, timeout: float, what: str, interval: float = 0.1):
    """The first true value of `predicate`. AssertionError that says what was waited for; an exception of the predicate counts
    as "not yet" and is shown at the end."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = predicate()
            if value:
                return value
            last = value
        except Exception as error:  # noqa: BLE001: servers come and go while a test waits for them
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain until {what}; last seen: {last!r}")
        time.sleep(interval)


class Ports:
    """Free ports below the range that outgoing connections use. A port stays ours until this process ends, also while nobody
    listens on it: an abstract socket with its number tells other test processes so."""

    def __init__(self, worker: int) -> None:
        self._next = 20000 + worker * 1500
        self._held: list[socket.socket] = []

    def take(self) -> int:
        while True:
            self._next += 1
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0offboard-tests-port-{self._next}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", self._next))
            except OSError:
                claim.close()
                continue
            self._held.append(claim)
            return self._next


def dying_with_parent(death_signal: int, user: str | None) -> list[str]:
    """Beginning of a command line: what follows gets the signal when the pytest process ends, however that ends."""
    as_user = ["--reuid", user, "--regid", user, "--init-groups"] if user else []
    return ["setpriv", *as_user, "--pdeathsig", signal.Signals(death_signal).name.removeprefix("SIG"), "--"]


class Process:
    """A running program with its log. `name` is unique within a test."""

    def __init__(self, name: str, arguments: list[str], log_path: str, *, env: dict | None = None, cwd: str | None = None,
                 user: str | None = None, death_signal: int = signal.SIGKILL) -> None:
        self.name = name
        self.arguments = arguments
        self.log_path = log_path
        self.killed = False
        self._frozen = False
        with open(log_path, "ab") as log:
            self._process = subprocess.Popen(
                [*dying_with_parent(death_signal, user), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=cwd)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def status(self) -> int | None:
        return self._process.poll()

    def log(self) -> str:
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number: int) -> None:
        if self.running:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP, and wait until it stands still."""
        self._frozen = True
        self.signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", 5, f"{self.name} stands still")

    def thaw(self) -> None:
        self._frozen = False
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self.killed = True
        self.signal(signal.SIGKILL)
        self._process.wait(20)

    def terminate(self) -> None:
        """SIGTERM; `wait` tells how it ended."""
        if self._frozen:
            self.thaw()
        self.signal(signal.SIGTERM)

    def wait(self, timeout: float = 20) -> int:
        """Exit status. AssertionError when it does not end in time (it is then killed)."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout:g} s: {tail(self.log())}") from None

    def stop(self, timeout: float = 20) -> int:
        self.terminate()
        return self.wait(timeout)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def tail(text: str, lines: int = 30) -> str:
    return "\n".join(text.splitlines()[-lines:])


class Reply:
    """An HTTP answer, whatever its status."""

    def __init__(self, status: int, headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:500]!r}>"


def http(method: str, url: str, body: bytes | None = None, headers: dict | None = None, timeout: float = 20) -> Reply:
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read())


def metrics(url: str) -> dict[str, float]:
    """Samples of a /metrics page by their name with labels, as they stand there."""
    samples = {}
    for line in http("GET", url + "/metrics").body.decode().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples
