"""No secret of the configuration appears in a log, a message, the journal, a process list or the database."""

import base64
import os
import urllib.parse

import pytest
from process import wait_until

EMAIL = "jane.doe@example.com"


def spellings(secret: str) -> list[str]:
    """As it is, and as it looks inside of headers and URLs."""
    return [secret, base64.b64encode(secret.encode()).decode().rstrip("="), urllib.parse.quote(secret, safe="")]


def found_in(text: str, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets for form in spellings(secret) if form in text]


def process_list() -> str:
    """Command lines of every process on the machine."""
    lines = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    lines.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(lines)


def everything(stack) -> dict[str, str]:
    """All that is kept or shown, by the place where it is."""
    places = {f"log of {process.name}": process.log() for process in stack.processes}
    for kind in stack.topics.names():
        places[f"topic {kind}"] = "\n".join(
            f"{record.key} {record.headers} {(record.value or b'').decode(errors='replace')}"
            for record in stack.topics.read(kind))
    with open(stack.sandbox.journal_path, encoding="utf-8") as file:
        places["journal"] = file.read()
    tables = stack.database.query("SELECT schemaname, tablename FROM pg_tables"
                                  " WHERE schemaname IN ('public', 'analyst')")
    assert len(tables) >= 8
    for table in tables:
        rows = stack.database.query(f'SELECT to_jsonb(t)::text AS row FROM "{table["schemaname"]}"."{table["tablename"]}" t')
        places[f"table {table['tablename']}"] = "\n".join(row["row"] for row in rows)
    places["log of postgres"] = stack.postgres.log()
    places["process list"] = process_list()
    for process in stack.processes:
        places[f"/metrics of {process.name}"] = "\n".join(stack.metrics(process.name)) if process.running else ""
    return places


def assert_no_secret(stack, secrets: list[str]) -> None:
    leaks = {place: found_in(text, secrets) for place, text in everything(stack).items()}
    assert not any(leaks.values()), {place: found for place, found in leaks.items() if found}


@pytest.fixture
def stack(make_stack):
    return make_stack(settings={"clock": {"day": "40ms"}, "log": {"level": "debug"}}).start()


def test_no_secret_in_a_life_with_all_kinds_of_trouble(stack):
    for email in (EMAIL, "bad@example.com", "late@example.com"):
        stack.person(email)
    # Vendors that echo what they were sent, in bodies and headers, with errors of all kinds.
    echo = {"echo": [stack.tokens["scim"], stack.tokens["jira"]]}
    bad = stack.account("bad@example.com")["id"]
    stack.sandbox.fault("scim", {"match": {"path": f"^/Users/{bad}$", "method": "PATCH"}, "do": "status", "status": 400,
                                 "body": echo, "headers": {"X-Echo": f"Bearer {stack.tokens['scim']}"}})
    stack.sandbox.fault("jira", {"match": {"method": "POST", "path": "/issue$"}, "do": "status", "status": 503, "body": echo,
                                 "times": 1})
    done, failed = stack.offboard(EMAIL), stack.offboard("bad@example.com")
    assert stack.post("/v1/offboardings", {"user": {"email": stack.tokens["operator"]}}, token=stack.tokens["scim"]).status == 401
    stack.wait_job(failed, "deactivate", "failed")
    stack.wait_status(done, "completed", 60)
    for topic in ("received", "events"):
        stack.topics.publish(topic, b"{\"poison", EMAIL)
    wait_until(lambda: len(stack.topics.read("dead")) == 2, 20, "poison is set aside")
    for arguments in (("status",), ("events", done), ("plan", EMAIL), ("validate",), ("check",),
                      ("pause", "scim", "--reason", "x")):
        result = stack.cli(*arguments)
        assert not found_in(result.out + result.err, stack.secrets()), arguments
    stack.wait_quiet()
    assert_no_secret(stack, stack.secrets())


def test_no_secret_when_servers_and_credentials_are_wrong(make_stack):
    stack = make_stack()
    wrong = {"postgres": {role: f"host=127.0.0.1 port=1 dbname=x user=x password={stack.tokens['operator']}"
                          for role in ("logger", "scheduler", "analyst", "admin")},
             "kafka": {"properties": [f"sasl.password={stack.tokens['hr']}", "security.protocol=plaintext"]}}
    stack.configure(wrong)
    started = [stack.launch(program) for program in ("logger", "scheduler", "worker", "producer")]
    wait_until(lambda: stack.process("scheduler").log() and stack.process("logger").log(), 20, "they say something")
    for arguments in (("status",), ("migrate",), ("topics",)):
        result = stack.cli(*arguments)
        assert not found_in(result.out + result.err, stack.secrets()), result
    for process in started:
        process.stop()
    for process in started:
        assert not found_in(process.log(), stack.secrets()), process.name
        stack.processes.remove(process)


def test_secrets_from_files_and_from_the_environment(make_stack, tmp_path):
    """Each way of giving a secret works, and none shows it."""
    stack = make_stack()
    token_file = tmp_path / "scim-token"
    token_file.write_text(stack.tokens["scim"] + "\n", encoding="utf-8")
    del stack.settings["systems"]["scim"]["token"], stack.settings["systems"]["jira"]["token"]
    stack.settings["systems"]["scim"]["token_file"] = str(token_file)
    stack.write_settings()
    stack.env["OFFBOARD_SYSTEMS_JIRA_TOKEN"] = stack.tokens["jira"]
    with open(stack.config_path, encoding="utf-8") as file:
        assert not found_in(file.read(), [stack.tokens["scim"], stack.tokens["jira"]])
    stack.start()
    stack.person(EMAIL)
    offboarding = stack.offboard(EMAIL)
    for step in ("deactivate", "leave-groups", "ticket"):
        stack.wait_job(offboarding, step, "succeeded")
    assert_no_secret(stack, stack.secrets())


def test_personal_data_that_never_travels(stack):
    """Rules, 6: home addresses and phone numbers are in no object and no event."""
    stack.person(EMAIL)
    private = {"home_address": "Elm Street 1313", "phone": "+1-555-0199-7", "mobile": "+1-555-0123-7", "birth_date": "1970-02-31",
               "address": "Elm Street 1313", "home_phone": "+1-555-0177-7"}
    offboarding = stack.offboard(EMAIL, user=private)
    stack.wait_job(offboarding, "ticket", "succeeded")
    stack.wait_quiet()
    for kind in ("jobs.scim", "jobs.jira"):
        for record in stack.topics.read(kind):
            assert not any(value in record.value.decode() for value in private.values()), f"{kind} carries personal data"
    assert not any(value in str(stack.offboarding(offboarding)) for value in private.values())
    jobs = [event for event in stack.topics.events() if event["name"].startswith("job.") or event["name"] == "initiated"]
    assert jobs and not any(value in str(event) for event in jobs for value in private.values())
