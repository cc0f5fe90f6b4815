"""offboard validate --target: what production lacks or has differently, told without a secret."""

import json
import os

import pytest
from stack import yaml

SECRETS = {"here": "here-0123456789-secret", "there": "there-0123456789-secret", "both": "both-0123456789-secret"}
BADGES = """\
system: badges
settings: {url: {required: true}, token: {required: true, secret: true}}
actions:
  collect: {effect: revoke, requests: [{post: "/collect", json: {email: "${ .user.email }"}}]}
"""


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    stack = make_shared_stack()
    stack.start("producer", "logger")
    return stack


def write(folder, name: str, settings: dict) -> str:
    path = os.path.join(folder, f"{name}.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml(settings))
    return path


def compare(stack, tmp_path, here: dict, there: dict, *more: str):
    result = stack.cli("validate", "-c", write(tmp_path, "dev", here), "--target", write(tmp_path, "prod", there), "--json", *more,
                       config=False)
    assert not [secret for secret in SECRETS.values() if secret in result.out + result.err], "a secret is never shown"
    return result.status, {one["what"]: one for one in json.loads(result.out)}


def test_files_alone(stack, tmp_path):
    for name, text in (("mine", BADGES), ("theirs", BADGES.replace("/collect", "/gather").replace("revoke", "destroy"))):
        os.makedirs(tmp_path / name)
        (tmp_path / name / "badges.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "mine" / "doors.yaml").write_text(BADGES.replace("system: badges", "system: doors"), encoding="utf-8")
    here = {"definitions": {"connectors": [str(tmp_path / "mine")]}, "guards": {"cap_per_hour": 20},
            "systems": {"scim": {"url": "https://dev.example.com", "token": SECRETS["both"]},
                        "badges": {"url": "https://dev.example.com", "token": SECRETS["here"]},
                        "okta": {"url": "https://dev.okta.example.com", "token": SECRETS["here"]},
                        "doors": {"url": "https://dev.example.com", "token": SECRETS["here"]}}}
    there = {"definitions": {"connectors": [str(tmp_path / "theirs")]}, "guards": {"cap_per_hour": 0}, "clock": {"day": "1s"},
             "log": {"level": "debug"}, "topics": {"replication": 3}, "kafka": {"properties": ["security.protocol=ssl"]},
             "systems": {"scim": {"url": "http://example.com", "token": SECRETS["both"], "mode": "dry_run"},
                         "badges": {"url": "https://example.com"},
                         "jamf": {"url": "https://jamf.example.com", "client_id": "x", "client_secret_file": "/nowhere/secret"}}}
    status, found = compare(stack, tmp_path, here, there, "--offline")
    assert status == 1

    def severity(what: str) -> str:
        return found[what]["severity"]

    assert severity("systems.badges.token") == "error", "required, and missing"
    assert severity("connector doors") == "error" and severity("connector badges") == "warning"
    assert "actions.collect" in found["connector badges"]["why"]
    assert severity("okta") == "error" and "runbook" in found["okta"]["why"]
    assert severity("doors") == "warning" and severity("jamf") == "note"
    assert severity("systems.scim.token") == "warning" and "same secret" in found["systems.scim.token"]["why"]
    assert severity("systems.scim.mode") == "error" and severity("clock.day") == "error"
    assert severity("systems.scim.url") in ("warning", "note")
    assert severity("guards.cap_per_hour") == "warning" and found["guards.cap_per_hour"]["here"] == "20"
    assert severity("log.level") == severity("guards.protected") == "warning"
    assert severity("systems.jamf.client_secret") == "note" and "/nowhere/secret" in found["systems.jamf.client_secret"]["why"]
    assert severity("worker.derive_key, for jamf") == "error" or severity("worker.escrow_key, for jamf") == "error"
    assert not [what for what in found if what.startswith("topics.replication") and severity(what) != "note"]
    assert "kafka.properties" not in found or severity("kafka.properties") != "warning"


def test_what_it_runs_is_asked_for(stack, tmp_path):
    """A system without topics, a runbook that plans were made from in another form."""
    stack.person("jane.doe@example.com")
    stack.wait_job(stack.offboard("jane.doe@example.com", runbook="scim-leaver"), "ticket", "ready")
    runbooks = tmp_path / "runbooks"
    os.makedirs(runbooks)
    text = stack.database.value("SELECT text FROM definition WHERE kind = 'runbook' AND name = 'scim-leaver'")
    (runbooks / "scim-leaver.yaml").write_text(text + "# mine\n", encoding="utf-8")
    there = {**stack.settings, "systems": {**stack.settings["systems"], "zoom": {"url": "https://zoom.example.com"}}}
    here = {**stack.settings, "definitions": {"runbooks": [str(runbooks)]}}
    status, found = compare(stack, tmp_path, here, there)
    assert status == 1
    assert found[stack.topics.name("jobs.zoom")]["severity"] == "error" and stack.topics.name("jobs.scim") not in found
    assert found["runbook scim-leaver"]["severity"] == "warning"
    assert not [what for what, one in found.items() if "could not be asked" in one.get("why", "")], found
    assert "the database" not in found and "the programs" not in found, "the same version"
    stack.database.query("UPDATE schema_migration SET version = 999 WHERE version = (SELECT max(version) FROM schema_migration)"
                         " RETURNING version")
    assert compare(stack, tmp_path, here, there)[1]["the database"]["there"] == "migration 999"


def test_what_does_not_answer_is_said(stack, tmp_path):
    nowhere = f"127.0.0.1:{stack.servers.ports.take()}"
    there = {"kafka": {"brokers": nowhere}, "edge": {"url": f"http://{nowhere}"},
             "postgres": {"analyst": f"host=127.0.0.1 port={nowhere.split(':')[1]} dbname=x user=x connect_timeout=2"}}
    status, found = compare(stack, tmp_path, {}, there)
    assert {one["kind"] for one in found.values() if "could not be asked" in one.get("why", "")} == {"version", "topic"}
    assert status == 0, "that alone is no fault of the target"


def test_a_target_that_is_no_configuration(stack, tmp_path):
    path = write(tmp_path, "prod", {"sistems": {"scim": {"url": "x"}}})
    result = stack.cli("validate", "--target", path)
    assert result.status == 2 and f"{path}:" in result.err and "sistems.scim.url" in result.err, result
