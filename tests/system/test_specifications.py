"""A request that is against the vendor's specification fails the test that sent it."""

import pytest
from process import http
from stack import FACTS, Sandbox, check_requests


@pytest.mark.parametrize("method, path, body, told", [
    ("GET", "/Users?colour=red", None, "query.colour: the vendor does not know it"),
    ("GET", "/Users?count=many", None, "query.count: a string; integer is wanted"),
    ("GET", "/Crates/1", None, "no fact describes this request"),
    ("PATCH", "/Users/1", b'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": null}',
     "body.Operations: null; a list is wanted"),
    ("PATCH", "/Users/1", b'{"Operations": [{"op": "replace", "path": "active", "value": false}]}', "body.schemas: missing")])
def test_a_request_against_the_specification(tmp_path, method, path, body, told):
    with Sandbox("scim", directory=str(tmp_path), facts=FACTS) as sandbox:
        http(method, sandbox.url("scim") + path, body, {"Content-Type": "application/scim+json"})
        with pytest.raises(AssertionError, match=told):
            check_requests()
        check_requests()    # it was told


def test_a_request_as_specified(tmp_path):
    with Sandbox("scim", directory=str(tmp_path), facts=FACTS) as sandbox:
        http("GET", sandbox.url("scim") + "/Users?count=1", None, {})
        assert len(sandbox.journal("scim")) == 1
        check_requests()
