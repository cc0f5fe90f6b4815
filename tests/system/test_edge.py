"""The edge as strangers see it: who is refused, how early, and what it takes to get in its way."""

import http.client as http_client
import json
import re
import resource
import socket
import threading
import time

import pytest
from process import http, wait_until

pytestmark = pytest.mark.xdist_group("edge")

BODY_LIMIT = 1 << 20
HEAD = b"POST /v1/offboardings HTTP/1.1\r\nHost: x\r\n"
SIGNED = {"sources": {"okta-hook": {"token": "a-key-of-sixteen-bytes"}}}

LEAVER = {"id": "one", "user": {"email": "kim@example.com"}}


def dial(stack, host: str = "127.0.0.1") -> socket.socket:
    edge = stack.edge().rpartition(":")
    return socket.create_connection(("127.0.0.1", int(edge[2])), timeout=10, source_address=(host, 0))


def all_of(connection: socket.socket) -> bytes:
    """What comes until the connection ends."""
    heard = b""
    while part := connection.recv(65536):
        heard += part
    return heard


def answered(connection: socket.socket) -> bool:
    """Something has come, or the connection has ended."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def said(stack) -> list[dict]:
    """The log lines about requests that were turned away."""
    return [line for line in map(json.loads, stack.process("producer").log().splitlines()) if "turned away" in line["message"]]


def memory(process) -> int:
    """Resident, in MiB."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) // 1024


@pytest.fixture(scope="module")
def edge(make_shared_stack):
    return make_shared_stack(settings=SIGNED).start("producer")


@pytest.fixture
def own_edge(make_stack):
    return make_stack().start("producer")


def test_health_and_metrics_have_a_port_of_their_own(edge):
    for path in ("/metrics", "/healthz", "/readyz"):
        assert http("GET", edge.edge() + path).status == 404, path
        assert http("GET", edge.url("producer") + path).status == 200, path
    assert http("POST", edge.url("producer") + "/v1/offboardings", b"{}").status == 404
    assert http("GET", edge.edge() + "/v1/version").status == 401
    version = http("GET", edge.edge() + "/v1/version", headers={"Authorization": f"Bearer {edge.tokens['hr']}"})
    assert edge.process("producer").log().count(f'"version":"{version.json["version"]}"') == 1


@pytest.mark.parametrize("head, status", [
    (HEAD, 401), (HEAD + b"Authorization: Bearer wrong\r\n", 401), (HEAD + b"Authorization: Basic aHI6aHI=\r\n", 401),
    (b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hr}\r\n", 403),
    (b"POST /v1/sources/okta-hook HTTP/1.1\r\nHost: x\r\n", 401), (b"POST /v1/sources/nobody HTTP/1.1\r\nHost: x\r\n", 404),
    (b"POST /v1/signals/nobody HTTP/1.1\r\nHost: x\r\n", 401), (b"GET /v1/orders HTTP/1.1\r\nHost: x\r\n", 405)])
def test_a_stranger_is_answered_before_the_body(edge, head, status):
    connection = dial(edge)
    connection.sendall(head.replace(b"{hr}", edge.tokens["hr"].encode()) + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
    heard = all_of(connection)
    assert heard.startswith(b"HTTP/1.1 %d " % status) and b"100 Continue" not in heard


def test_bodies_of_strangers_are_not_kept(edge):
    producer = edge.process("producer")
    before = memory(producer)
    connections = [dial(edge) for _ in range(200)]
    for connection in connections:
        connection.setblocking(False)
        for head in (HEAD, b""):
            try:
                connection.send(head + b"Content-Length: 1000000\r\n\r\n" if head else b"x" * 900_000)
            except OSError:
                pass
    wait_until(lambda: all(answered(connection) for connection in connections), 30, "all strangers are answered")
    assert memory(producer) - before < 40
    assert edge.post("/v1/offboardings", LEAVER).status == 202


def test_refusals_are_logged_and_counted(own_edge):
    assert own_edge.post("/v1/offboardings", {}, token="wr0ng-t0ken-of-mine").status == 401
    assert own_edge.post("/v1/offboardings", {}, token=None).status == 401
    assert own_edge.post("/v1/orders", {}, token="hr").status == 403
    unknown, missing, forbidden = said(own_edge)
    assert unknown["address"] == missing["address"] == forbidden["address"] == "127.0.0.1"
    assert unknown["path"] == "/v1/offboardings" and unknown["reason"] == "the token is not known" and "token" not in unknown
    assert forbidden["path"] == "/v1/orders" and forbidden["token"] == "hr" and "operator" in forbidden["reason"]
    assert "wr0ng-t0ken" not in own_edge.process("producer").log()
    for _ in range(50):
        own_edge.post("/v1/offboardings", {}, token="wrong")
    counted = own_edge.metrics("producer")
    assert counted['offboard_edge_denied_total{why="unknown_token"}'] == 51
    assert counted['offboard_edge_denied_total{why="no_token"}'] == counted['offboard_edge_denied_total{why="role"}'] == 1
    assert counted['offboard_edge_requests_total{code="401"}'] == 52
    assert len(said(own_edge)) <= 20, "a flood of requests is no flood of log lines"


def test_idle_connections_shut_nobody_out(edge):
    """More connections than the edge takes, from several addresses; some send a header line now and then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        idle = []
        for i in range(1500):
            connection = dial(edge, f"127.0.1.{1 + i % 8}")
            if i % 2:
                connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            idle.append(connection)
        for _ in range(3):
            begun = time.monotonic()
            assert http("GET", edge.url("producer") + "/healthz", timeout=5).status == 200
            assert edge.post("/v1/offboardings", LEAVER).status == 202
            assert time.monotonic() - begun < 3
        figures = edge.metrics("producer")
        assert figures['offboard_http_connections{server="edge"}'] <= 1000
        assert figures['offboard_http_connections_refused_total{server="edge",why="limit"}'] > 0
        for connection in idle:
            connection.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_address_uses_its_share(make_stack):
    stack = make_stack(settings={"http": {"connections": 50, "connections_per_address": 5, "head_time": "1s"}}).start("producer")
    many = [dial(stack, "127.0.1.1") for _ in range(20)]
    assert stack.post("/v1/offboardings", LEAVER).status == 202
    refused = 'offboard_http_connections_refused_total{server="edge",why="address_limit"}'
    wait_until(lambda: stack.metrics("producer")[refused] == 15, 10, "those beyond five are closed")
    many[-1].sendall(HEAD)
    assert all_of(many[-1]).startswith(b"HTTP/1.1 408 "), "a head has its time"


def test_chunk_extensions_without_end_cost_nothing(own_edge):
    producer = own_edge.process("producer")
    connection = dial(own_edge)
    connection.sendall(b"POST /v1/offboardings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n1;"
                       % own_edge.tokens["hr"].encode() + b"x" * 33000)
    assert all_of(connection).startswith(b"HTTP/1.1 400 ")
    for unfinished in (b"", HEAD, HEAD + b"Authorization: Bearer %s\r\nContent-Length: 100\r\n\r\nabc" % own_edge.tokens["hr"].encode()):
        dial(own_edge).sendall(unfinished)
    begun = time.monotonic()
    assert producer.stop() == 0
    assert time.monotonic() - begun < 15


def test_a_body_that_is_too_large(edge):
    reply = edge.post("/v1/offboardings", b" " * (BODY_LIMIT + 1))
    assert reply.status == 413 and "edge.body_limit" in reply.json["detail"]


# ---- the end -----------------------------------------------------------------------------------------------------------


class Sender(threading.Thread):
    """Sends one event after the other, on one connection as long as the edge keeps it, or on a new one each time."""

    def __init__(self, stack, name: str, keeps: bool) -> None:
        super().__init__()
        self.stack, self.label, self.keeps = stack, name, keeps
        self.port = int(stack.edge().rpartition(":")[2])
        self.taken: list[str] = []
        self.lost: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        connection = http_client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        number = 0
        while not self.over.is_set():
            try:
                if not connection.sock:
                    connection.connect()
            except ConnectionRefusedError:
                return
            number += 1
            self._send(connection, f"{self.label}-{number}")
            if not self.keeps:
                connection.close()

    def _send(self, connection, event: str) -> None:
        body = json.dumps({"id": event, "user": {"email": f"{event}@example.com"}})
        try:
            connection.request("POST", "/v1/offboardings", body, {
                "Authorization": f"Bearer {self.stack.tokens['hr']}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            (self.taken if answer.status == 202 else self.lost).append(event)
        except OSError as error:
            self.lost.append(f"{event}: {error!r}")
            connection.close()


@pytest.mark.parametrize("wait", ["0s", "1s"])
def test_no_request_is_lost_at_the_end(make_stack, wait):
    stack = make_stack(settings={"edge": {"drain_wait": wait}}).start("producer")
    taken = []
    for turn in range(3):
        senders = [Sender(stack, f"{turn}-{i}", keeps=i % 2 == 0) for i in range(6)]
        for sender in senders:
            sender.start()
        wait_until(lambda: all(len(sender.taken) > 20 for sender in senders), 30, "events are taken")
        producer = next(process for process in stack.processes if process.running)
        producer.terminate()
        if wait != "0s":
            wait_until(lambda: http("GET", stack.url(producer.name) + "/readyz").status == 503, 5, "it is not ready")
            assert stack.post("/v1/offboardings", {**LEAVER, "id": f"late-{turn}"}).status == 202, "not ready, and still there"
        assert producer.wait() == 0
        for sender in senders:
            sender.over.set()
            sender.join()
            assert sender.lost == []
            taken += sender.taken
        stack.restart(producer.name)
    there = {json.loads(record.value)["id"] for record in stack.topics.read("received")}
    assert len(taken) > 300 and set(taken) <= there


def test_a_second_signal_does_not_wait(own_edge):
    connection = dial(own_edge)
    connection.sendall(HEAD + b"Authorization: Bearer %s\r\nContent-Length: 100\r\n\r\nabc" % own_edge.tokens["hr"].encode())
    producer = own_edge.process("producer")
    wait_until(lambda: own_edge.metrics("producer")['offboard_http_connections{server="edge"}'] == 1, 5, "the connection is there")
    producer.terminate()
    wait_until(lambda: "takes its last requests" in producer.log(), 5, "the edge drains")
    assert producer.running
    producer.terminate()
    assert producer.wait(5) == 0


# ---- roles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role, allowed", [
    ("operator", {"retry", "skip", "cancel", "pause", "resume"}), ("approve", {"approve"}), ("undo", {"undo"}), ("erase", {"erase"}), ("reveal", set()),
    ("intake", set()), ("signals", set())])
def test_no_role_follows_from_another(make_stack, role, allowed):
    token = "a-token-with-one-role-only"
    stack = make_stack(settings={"edge": {"tokens": {"one": {"token": token, "roles": [role]}}}}).start("producer")
    for order in ("approve", "retry", "skip", "cancel", "pause", "resume", "undo", "erase"):
        answer = stack.post("/v1/orders", {"order": order}, token=token)
        assert answer.status == (422 if order in allowed else 403), (order, answer)
    assert (stack.post("/v1/replays", {}, token=token).status == 422) == (role == "operator")
    assert (stack.post("/v1/offboardings", {**LEAVER, "mode": "dry_run"}, token=token).status == 202) == (role == "intake")
