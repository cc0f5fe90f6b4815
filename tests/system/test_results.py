"""The HTTP API says what became of orders and HR events, to callers who want to wait for it, and later to those who ask."""

import uuid

import pytest
from process import http, wait_until

pytestmark = pytest.mark.xdist_group("results")
WAIT = {"Prefer": "wait=20"}


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    """One for the whole file; every test takes people of its own."""
    return make_shared_stack().start()


def order(stack, headers: dict | None = None, **body):
    return stack.post("/v1/orders", body, token="operator", headers=headers)


def result_of(stack, id: str, token: str = "operator", headers: dict | None = None):
    return http("GET", f"{stack.edge()}/v1/orders/{id}", headers={"Authorization": f"Bearer {stack.tokens[token]}", **(headers or {})})


def waiting(stack, email: str) -> str:
    reply = stack.post("/v1/offboardings", {"id": uuid.uuid4().hex, "user": {"email": email}, "effective_at": "2031-01-01"}, headers=WAIT)
    assert reply.status == 200 and reply.json["disposition"] == "waiting", reply
    assert reply.json["offboarding_id"] == reply.json["id"]
    stack.wait_status(reply.json["id"], "waiting")
    return reply.json["id"]


def test_a_caller_that_waits_is_told_what_became_of_the_order(stack):
    offboarding = waiting(stack, "told@example.com")
    cancel = {"order": "cancel", "offboardings": [offboarding], "reason": "stays"}
    first = order(stack, WAIT, **cancel)
    assert first.status == 200 and [row["result"] for row in first.json["results"]] == ["applied"], first
    again = order(stack, WAIT, **cancel)
    assert again.status == 200 and again.json["results"][0]["result"] == "unchanged", again
    refused = order(stack, WAIT, order="retry", offboardings=[offboarding])
    assert refused.status == 409 and refused.headers["content-type"] == "application/problem+json", refused
    assert refused.json["detail"] == "the offboarding is cancelled" and refused.json["results"][0]["id"] == refused.json["ids"][0], refused
    both = order(stack, WAIT, order="approve", offboardings=[offboarding, str(uuid.uuid4())])
    assert both.status == 409 and len(both.json["results"]) == 2, both


def test_the_same_order_under_its_key_is_told_the_same(stack):
    offboarding = waiting(stack, "key@example.com")
    cancel = {"order": "cancel", "offboardings": [offboarding], "reason": "stays"}
    headers = {**WAIT, "Idempotency-Key": "results"}
    first = order(stack, headers, **cancel)
    assert order(stack, headers, **cancel).json == first.json and first.json["results"][0]["result"] == "applied"


def test_an_order_can_be_asked_for_later(stack):
    offboarding = waiting(stack, "later@example.com")
    given = order(stack, order="cancel", offboardings=[offboarding], reason="stays")
    assert given.status == 202 and "results" not in given.json, given
    told = result_of(stack, given.json["ids"][0], headers=WAIT)
    assert told.status == 200 and told.json["result"] == "applied" and told.json["order"] == "cancel", told
    assert told.json["id"] == given.json["ids"][0] and told.json["recorded_at"] and told.json["why"] is None
    nobody = result_of(stack, str(uuid.uuid4()))
    assert nobody.status == 404 and "no order of this id is recorded" in nobody.json["detail"], nobody
    assert result_of(stack, "nonsense").status == 404
    assert result_of(stack, given.json["ids"][0], token="hr").status == 403
    assert http("GET", f"{stack.edge()}/v1/orders/{uuid.uuid4()}").status == 401


@pytest.mark.parametrize("second, disposition, reason", [
    ({"same": True}, "duplicate", "already"),
    ({"type": "leaver.cancelled"}, "cancelled", None),
    ({"runbook": "nobodys"}, None, None),
])
def test_hr_is_told_what_became_of_an_event(stack, second, disposition, reason):
    email = f"hr.{uuid.uuid4().hex[:8]}@example.com"
    waiting(stack, email)
    data = {"user": {"email": email}, "effective_at": "2031-01-01"}
    event = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "/hr/results", "type": second.pop("type", "leaver.created"),
             "data": {**data, **{name: value for name, value in second.items() if name != "same"}}}
    reply = stack.post("/v1/offboardings", event, headers={**WAIT, "Content-Type": "application/cloudevents+json"})
    if disposition is None:
        assert reply.status == 422, "what can be seen at once is refused at once"
        return
    assert reply.status == 200 and reply.json["disposition"] == disposition, reply
    assert reason is None or reply.json["reason"], reply


def test_each_event_of_a_batch_has_its_decision(stack):
    events = [{"specversion": "1.0", "id": f"batch-{number}", "source": "/hr/results", "type": "leaver.created",
               "data": {"user": {"email": email}, "effective_at": "2031-01-01"}}
              for number, email in enumerate(("one@example.com", "two@example.com", "one@example.com"))]
    reply = stack.post("/v1/offboardings", events, headers={**WAIT, "Content-Type": "application/cloudevents-batch+json"})
    assert reply.status == 200, reply
    assert [result["disposition"] for result in reply.json["results"]] == ["waiting", "waiting", "duplicate"], reply


def test_what_is_not_known_in_time_is_accepted(stack):
    offboarding = waiting(stack, "slow@example.com")
    logger = stack.process("logger")
    logger.freeze()
    late = order(stack, {"Prefer": "respond-async, wait=1"}, order="cancel", offboardings=[offboarding], reason="x")
    logger.thaw()
    assert late.status == 202 and len(late.json["ids"]) == 1 and late.json.get("results", []) == [], late
    assert result_of(stack, late.json["ids"][0], headers=WAIT).json["result"] == "applied"


def test_the_edge_reads_nothing_else(stack):
    """It stands in the Internet: with its rights nobody learns who leaves."""
    tables = [row["name"] for row in stack.database.query(
        "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('public', 'analyst') AND c.relkind IN ('r', 'p', 'v')")]
    assert len(tables) > 40
    readable = stack.database.query("SELECT t FROM unnest(%s::text[]) t WHERE has_table_privilege('offboard_edge', t, 'SELECT, INSERT, UPDATE, DELETE')", tables)
    assert readable == []
    callable_ = stack.database.query(
        "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'analyst') AND p.prosecdef"
        " AND has_function_privilege('offboard_edge', p.oid, 'EXECUTE') ORDER BY 1")
    assert [row["proname"] for row in callable_] == ["results_of_events", "results_of_orders"]


def test_without_the_database_orders_are_taken_all_the_same(make_stack):
    stack = make_stack(settings={"postgres": {"edge": "host=127.0.0.1 port=1 dbname=nowhere connect_timeout=1"}}).start()
    offboarding = stack.offboard("away@example.com", effective_at="2031-01-01")
    stack.wait_status(offboarding, "waiting")
    given = order(stack, {"Prefer": "wait=1"}, order="cancel", offboardings=[offboarding], reason="x")
    assert given.status == 202 and len(given.json["ids"]) == 1, given
    asked = result_of(stack, given.json["ids"][0])
    assert asked.status == 503 and "PostgreSQL" in asked.json["detail"], asked
    stack.wait_status(offboarding, "cancelled")
    producer = stack.process("producer")
    assert producer.log().count("what became of orders and HR events can't be read") == 1
    stack.configure({"postgres": {"edge": ""}})
    producer.stop()
    stack.restart("producer")
    asked = result_of(stack, given.json["ids"][0])
    assert asked.status == 501 and "postgres.edge" in asked.json["detail"], asked
    assert order(stack, {"Prefer": "wait=1"}, order="resume", system="jira").status == 202
    wait_until(lambda: stack.database.query("SELECT 1 FROM analyst.orders WHERE \"order\" = 'resume'"), 20, "it is recorded")
