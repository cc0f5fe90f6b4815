"""Every action of the AfterShip connector by itself, and the webhook that the simulated vendor sends."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from connector_table import ConnectorTable, Row
from process import wait_until
from unconfirmed import impatient
from vendors.aftership import webhook

pytestmark = pytest.mark.xdist_group("aftership")
TRACKINGS = "/tracking/2026-07/trackings"
LOOK = f"GET {TRACKINGS}?tracking_numbers={{number}}&slug=ups"
WITH = {"tracking_number": "{number}", "carrier": "UPS"}

ROWS = [
    Row("track", [LOOK, f"POST {TRACKINGS} {{'tracking_number': '{{number}}', 'title': 'A box', 'order_id': 'o7', 'slug': 'ups'}}", LOOK],
        with_={**WITH, "title": "A box", "order": "o7"}, missing=None),
    Row("stop_tracking", [LOOK, f"DELETE {TRACKINGS}/{{tracking}}", LOOK], with_=WITH, seed={"tag": "InTransit"}, missing=None),
    Row("read_tracking", [LOOK], with_=WITH, seed={"tag": "InTransit", "checkpoint": "Departed"}, missing=None, again="succeeded",
        verified=False),
]


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    stack = make_shared_stack(systems="aftership")
    stack.settings["systems"]["aftership"] = {"url": stack.sandbox.url("aftership") + "/tracking/2026-07", "key": "asat_sandbox-s3cret",
                                              "per_minute": "60000"}
    stack.write_settings()
    return stack


def parcel(stack, number: str, **more) -> dict:
    """A parcel that is followed already; how it stands."""
    state = stack.sandbox.seed("aftership", {"trackings": [{"tracking_number": number, **more}]})
    return next(one for one in state["trackings"] if one["tracking_number"] == number)


class TestAfterShip(ConnectorTable):
    system = "aftership"
    rows = ROWS
    test_nobody_there = None    # no action is about an account
    throttle = {"do": "status", "status": 429, "headers": {"X-RateLimit-Reset": "1"}}

    @pytest.fixture(scope="class")
    def stack(self, stack):
        return stack

    def leaver(self, stack, row, email):
        number = "1Z" + email.partition("@")[0].replace(".", "").replace("-", "").upper()
        tracking = parcel(stack, number, **row.seed)["id"] if row.seed else ""
        return {"number": number, "tracking": tracking}



@pytest.fixture
def try_(stack):
    def one(action: str, *more: str, **with_) -> dict:
        """What is in capitals is for the environment."""
        env = {name: with_.pop(name) for name in list(with_) if name.isupper()}
        done = stack.try_action("aftership", action, "--email", "ann@example.com", "--json", "--live", "--with", json.dumps(with_), *more,
                                **env)
        return json.loads(done.out)

    yield one
    stack.sandbox.clear_faults()
    stack.sandbox.settings("aftership", webhook_url=None, filters=True, page_size=100)


def test_somebody_was_quicker(stack, try_):
    """Between our look and our order the number was registered elsewhere."""
    parcel(stack, "1ZQUICK")
    stack.sandbox.fault("aftership", {"match": {"method": "GET"}, "do": "status", "status": 200, "times": 1,
                                      "body": {"meta": {"code": 200}, "data": {"pagination": {"has_next_page": False}, "trackings": []}}})
    said = try_("track", tracking_number="1ZQUICK", carrier="ups")
    assert (said["outcome"], said["outputs"]["carrier"]) == ("already_done", "ups"), said


def test_a_lost_answer(stack, try_):
    stack.sandbox.fault("aftership", {"match": {"method": "POST"}, "do": "lose_answer", "times": 1})
    said = try_("track", tracking_number="1ZLOST")
    assert (said["outcome"], said["outputs"]["carrier"]) == ("succeeded", "ups"), said   # the number told the courier
    assert len([one for one in stack.sandbox.state("aftership")["trackings"] if one["tracking_number"] == "1ZLOST"]) == 1
    sent = [entry["body"] for entry in stack.sandbox.journal("aftership") if entry["method"] == "POST"][-1]
    assert set(sent) == {"tracking_number", "title", "order_id"}, "without a courier there is no slug"


@pytest.mark.parametrize("known", [False, True])
def test_following_waits_for_the_parcel(stack, try_, known):
    """Also where the number had been registered before: that is no reason to call it delivered."""
    number = f"1ZFOLLOW{known}".upper()
    if known:
        parcel(stack, number, tag="InTransit")
    said = try_("follow", tracking_number=number)
    assert said["outcome"] == "deferred", said
    assert parcel(stack, number)["tag"] == ("InTransit" if known else "Pending")


def two_couriers(stack, number: str) -> dict[str, str]:
    """Two parcels of one number, of which one is somebody else's; ids by courier."""
    for slug, tag in (("fedex", "Delivered"), ("ups", "InTransit")):
        state = stack.sandbox.seed("aftership", {"trackings": [{"tracking_number": number, "slug": slug, "tag": tag}]})
    return {one["slug"]: one["id"] for one in state["trackings"] if one["tracking_number"] == number}


@pytest.mark.parametrize("action", ["track", "stop_tracking", "read_tracking"])
def test_two_couriers_have_a_parcel_of_this_number(stack, try_, action):
    number = f"1ZTWO{action}".replace("_", "").upper()
    known = two_couriers(stack, number)
    said = try_(action, tracking_number=number)
    assert said["outcome"] == "blocked" and "several couriers have a parcel" in said["message"] and "fedex, ups" in said["message"], said
    assert {one["slug"] for one in stack.sandbox.state("aftership")["trackings"] if one["tracking_number"] == number} == set(known)
    said = try_(action, tracking_number=number, carrier="UPS")
    assert said["outcome"] in ("succeeded", "already_done"), said
    assert action != "read_tracking" or (said["outputs"]["tag"], said["outputs"]["carrier"]) == ("InTransit", "ups"), said
    left = {one["slug"] for one in stack.sandbox.state("aftership")["trackings"] if one["tracking_number"] == number}
    assert left == ({"fedex"} if action == "stop_tracking" else {"fedex", "ups"})


def test_two_couriers_on_two_pages(stack, try_):
    two_couriers(stack, "1ZTWOPAGES")
    stack.sandbox.settings("aftership", page_size=1)
    assert try_("track", tracking_number="1ZTWOPAGES")["outcome"] == "blocked"
    assert try_("read_tracking", tracking_number="1ZTWOPAGES", carrier="ups")["outputs"]["tag"] == "InTransit"


@pytest.mark.parametrize("body, outcome", [
    ({"tracking_number": "1ZWHOSE", "slug": "ups"}, "deferred"), ({"tracking_number": "1ZANOTHER", "slug": "ups"}, "blocked"),
    ({"tracking_number": "1ZWHOSE", "slug": "fedex"}, "blocked"), ({}, "blocked"), ([], "blocked")],
    ids=["ours", "another-number", "another-courier", "nothing", "list"])
def test_what_is_followed_has_this_number_and_courier(stack, try_, body, outcome):
    """The answer to the registration, or else the list, has to name it."""
    data = {**body, "id": "t-1"} if isinstance(body, dict) else body
    stack.sandbox.fault("aftership", {"match": {"method": "POST"}, "do": "status", "status": 201, "body": {"meta": {"code": 201}, "data": data}})
    assert try_("follow", tracking_number="1ZWHOSE", carrier="UPS")["outcome"] == outcome


RUNBOOK = """\
runbook: parcel
phases:
  - name: initial
    steps:
      - {id: parcel, system: aftership, action: follow, with: {tracking_number: 1ZHERS, carrier: UPS}}
"""


def test_the_signal_about_another_couriers_parcel(make_stack, tmp_path):
    """It has the same number; it ends no wait, neither one that has begun nor one that begins later, and is no news."""
    (tmp_path / "parcel.yaml").write_text(RUNBOOK, encoding="utf-8")
    stack = make_stack(systems="aftership", settings={
        "definitions": {"runbooks": [str(tmp_path)]}, "worker": {"systems": ["aftership"]},
        "sources": {"aftership": {"webhook_secret": "sandbox-webhook-s3cret"}}})
    stack.settings["systems"]["aftership"] = {"url": stack.sandbox.url("aftership") + TRACKINGS.removesuffix("/trackings"),
                                              "key": "asat_sandbox-s3cret"}
    stack.write_settings()
    stack.start()

    def hook(slug: str, tag: str) -> None:
        state = stack.sandbox.seed("aftership", {"trackings": [{"tracking_number": "1ZHERS", "slug": slug, "tag": tag}]})
        body, headers = webhook(next(one for one in state["trackings"] if one["slug"] == slug), "sandbox-webhook-s3cret")
        assert stack.post("/v1/signals/aftership", body, token=None, headers=headers).status == 202

    def heard(offboarding: str) -> int:
        return max((len(one["context"]["waits"]["heard"]) for one in stack.topics.events("job.deferred", offboarding)), default=-1)

    hook("fedex", "Delivered")
    offboarding = stack.offboard("ann@example.com", runbook="parcel")
    wait_until(lambda: heard(offboarding) == 1, 30, "the signal that came before was heard")
    hook("fedex", "Delivered")
    hook("ups", "InTransit")
    wait_until(lambda: heard(offboarding) == 3, 30, "both signals were heard")
    assert stack.jobs(offboarding)["parcel"]["state"] != "succeeded"
    told = [one["context"].get("progress") for one in stack.topics.events("job.deferred", offboarding)]
    assert [one for one in told if one] == ["parcel 1ZHERS: in transit, Pending"], told
    hook("ups", "Delivered")
    stack.wait_job(offboarding, "parcel", "succeeded")


@pytest.mark.parametrize("number, carrier, why", [("940550", "Royal Pigeon", "Cannot detect courier"), ("1Z", None, "is invalid")])
def test_a_person_knows_the_right_number_or_courier(stack, try_, number, carrier, why):
    said = try_("track", tracking_number=number, carrier=carrier)
    assert said["outcome"] == "blocked" and why in said["message"], said
    assert len(stack.sandbox.violations()) == (1 if len(number) < 4 else 0)     # it is sent as it was given


def test_a_couriers_name_becomes_a_slug(stack, try_):
    assert try_("track", tracking_number="990011", carrier="Canada Post")["outputs"]["carrier"] == "canada-post"


@pytest.mark.parametrize("action", ["track", "read_tracking", "stop_tracking"])
def test_only_this_parcel_of_all_that_a_server_shows_that_does_not_filter(stack, try_, action):
    """It is on page two, and the others are not ours: they are neither told of nor deleted."""
    number = f"1ZSECOND{action}".replace("_", "").upper()
    others = [parcel(stack, f"1ZOTHER{action}{at}".replace("_", "").upper())["tracking_number"] for at in range(3)]
    parcel(stack, number, tag="InTransit")
    stack.sandbox.settings("aftership", filters=False, page_size=2)
    said = try_(action, tracking_number=number.lower())
    assert said["outcome"] == ("already_done" if action == "track" else "succeeded"), said
    assert action != "read_tracking" or said["outputs"]["tag"] == "InTransit"
    left = [one["tracking_number"] for one in stack.sandbox.state("aftership")["trackings"]]
    assert set(others) <= set(left) and (number in left) == (action != "stop_tracking")


def test_new_among_all_that_a_server_shows_that_does_not_filter(stack, try_):
    for at in range(3):
        parcel(stack, f"1ZCROWD{at}")
    stack.sandbox.settings("aftership", filters=False, page_size=2)
    said = try_("track", tracking_number="1ZNEWBOX")
    assert (said["outcome"], said["outputs"]["carrier"]) == ("succeeded", "ups"), said
    assert try_("stop_tracking", tracking_number="1ZNOTTHERE")["outcome"] == "already_done"
    assert try_("read_tracking", tracking_number="1ZNOTTHERE")["outcome"] == "missing"


@pytest.mark.parametrize("body", ["", [], {}, {"data": {}}, {"data": {"trackings": None}}, {"error": "maintenance"},
                                  {"meta": {"code": 500, "message": "internal"}, "data": []},
                                  "<!DOCTYPE html><html><title>Sign in</title></html>"],
                         ids=["empty", "list", "object", "no-list", "null", "error", "meta", "page"])
@pytest.mark.parametrize("action", ["track", "read_tracking", "stop_tracking"])
def test_an_answer_that_cannot_be_read_says_nothing(stack, try_, action, body):
    parcel(stack, "1ZUNREAD")
    stack.sandbox.fault("aftership", {"match": {"method": "GET"}, "do": "status", "status": 200, "body": body})
    said = try_(action, tracking_number="1ZUNREAD", OFFBOARD_WORKER_RETRY_WAIT="0s", **impatient(stack, "aftership"))
    assert said["outcome"] in ("deferred", "failed") and not said["outputs"], said


def test_nobody_follows_it(try_):
    assert try_("read_tracking", tracking_number="1ZNOBODY")["outcome"] == "missing"


def test_where_it_is(stack, try_):
    """The courier's words, and no town: it would soon be the leaver's."""
    parcel(stack, "1ZHOME", tag="OutForDelivery", checkpoint="On the way to you")
    said = try_("read_tracking", tracking_number="1ZHOME", carrier="UPS")
    assert said["outputs"]["tag"] == "OutForDelivery" and said["outputs"]["checkpoint"] == "On the way to you", said
    assert "Springfield" not in json.dumps(said)


def test_refused_credentials(stack, try_):
    said = json.loads(stack.try_action("aftership", "read_tracking", "--email", "ann@example.com", "--json", "--with",
                                       '{"tracking_number": "1ZKEY"}', OFFBOARD_SYSTEMS_AFTERSHIP_KEY="another-key").out)
    assert said["outcome"] == "denied" and "The API key is invalid" in said["message"], said


def test_the_webhook(stack, try_):
    """A moving parcel is told of, signed with base64(HMAC-SHA256(secret, body))."""
    got = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802: the name is the library's
            got.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers["aftership-hmac-sha256"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args) -> None:  # noqa: A002: the name is the library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.sandbox.settings("aftership", webhook_url=f"http://127.0.0.1:{server.server_address[1]}/hook")
    shown = parcel(stack, "1ZHOOK", tag="Delivered")
    wait_until(lambda: got, 10, "the webhook came")
    server.shutdown()
    server.server_close()
    told = json.loads(got[0][0])
    assert (told["event"], told["msg"]["tracking_number"], told["msg"]["tag"]) == ("tracking_update", "1ZHOOK", "Delivered")
    body, headers = webhook(shown, "sandbox-webhook-s3cret", event_id=told["event_id"], ts=told["ts"])
    assert (body, headers["aftership-hmac-sha256"]) == got[0]
