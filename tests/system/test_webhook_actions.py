"""Signed webhooks: what is sent, that it verifies, and that a repeat is known as one."""

import pytest
from connector_table import ConnectorTable, Row

pytestmark = pytest.mark.xdist_group("webhook")
SECRET = "whsec_dGhlLWtleS1vZi10aGlzLXRlc3QtaXMtbG9uZy1lbm91Z2g="


class TestWebhook(ConnectorTable):
    system = "webhook"
    rows = [Row("send", ["POST /hooks/offboarding {'type': 'offboarding.started', 'timestamp': '{now}', 'data': {'grüße': [1, None]}}"],
                with_={"type": "offboarding.started", "data": {"grüße": [1, None]}}, again="succeeded", missing=None, verified=False)]

    def vendors(self):
        return {"webhook": {"secret": SECRET}}

    def settings(self, url):
        return {"url": f"{url}/hooks/offboarding", "secret": SECRET, "per_minute": "60000"}

    def leaver(self, stack, row, email):
        return {}

    @pytest.fixture(autouse=True)
    def fresh(self, stack):
        stack.sandbox.reset()

    def test_exactly_these_requests(self, case, row):
        said = case.try_()
        sent, = case.journal()
        case.names["now"] = sent["body"]["timestamp"]
        assert said["outcome"] == "succeeded" and case.requests() == case.expected()

    def test_what_is_taken(self, case, row):
        case.try_()
        event, = case.stack.sandbox.state("webhook")["events"]
        sent, = case.journal()
        assert (event["type"], event["data"]) == ("offboarding.started", {"grüße": [1, None]})
        assert sent["headers"]["webhook-id"] == event["id"] and event["repeats"] == 0
        assert sent["headers"]["content-type"] == "application/json"

    def test_a_lost_answer_is_a_repeat_with_the_same_id(self, case, row):
        case.fault({"do": "lose_answer", "times": 1})
        said = case.try_()
        assert said["outcome"] == "succeeded" and len(said["calls"]) == 2
        event, = case.stack.sandbox.state("webhook")["events"]
        assert event["repeats"] == 1

    def test_the_wrong_key_is_refused_and_pauses_the_system(self, case, row):
        case.stack.sandbox.settings("webhook", secret="whsec_YW5vdGhlci1rZXktb2YtdGhlLXJlY2VpdmVyLTMyLWI=")
        said = case.try_()
        assert said["outcome"] == "denied" and "No matching signature found" in said["message"], said
        check = case.stack.cli("check", "webhook")
        assert check.status != 0 and "No matching signature found" in check.out + check.err, check
        assert case.stack.sandbox.state("webhook")["events"] == []

    def test_an_old_signature_is_refused(self, case, row):
        case.stack.sandbox.settings("webhook", tolerance=-1)
        assert "too old" in case.try_()["message"]

    def test_a_check_is_signed_and_nothing_is_taken(self, case, row):
        case.stack.cli("check", "webhook").ok()
        assert case.stack.sandbox.state("webhook")["events"] == []

    def test_a_receiver_that_wants_no_more_needs_a_person(self, case, row):
        case.stack.sandbox.settings("webhook", gone=True)
        said = case.try_()
        assert said["outcome"] == "blocked" and len(said["calls"]) == 1, said

    def test_the_key_is_nowhere(self, case, row):
        said = case.try_()
        assert SECRET.removeprefix("whsec_") not in str(said) + str(case.stack.sandbox.journal("webhook"))
