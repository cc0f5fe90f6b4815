"""Each process reads its own secrets and no others, and keeps them to itself."""

import json
import os
import re
import resource
import shutil
import subprocess

import pytest
from keys import KeyPair
from stack import yaml

# Every secret has a file of its own. Who opens which: a file that is not listed here is opened by nobody.
OPENS = {
    "offboard-producer": {"token-hr", "source-okta-hook", "kafka"},
    "offboard-vault": {"token-security", "vault", "kafka"},
    "offboard-worker --system scim": {"scim", "derive", "kafka"},
    "offboard-worker --system jira,scim": {"scim", "jira", "derive", "kafka"},
    "offboard-worker": {"jira", "derive", "kafka"},
    "offboard-logger": {"postgres-logger", "kafka"},
    "offboard-scheduler": {"postgres-scheduler", "kafka"},
}
VALUES = {
    "kafka": "session.timeout.ms=6000", "token-hr": "a-token-of-the-hr-system", "source-okta-hook": "a-key-of-sixteen-bytes",
    "scim": "a-token-of-scim-1234", "jira": "a-token-of-jira-1234", "derive": "0123456789abcdef0123456789abcdef",
    "postgres-logger": "host=127.0.0.1", "postgres-scheduler": "host=127.0.0.1", "postgres-admin": "host=127.0.0.1",
    "postgres-analyst": "host=127.0.0.1", "token-security": "a-token-of-the-security-team", "vault": None, "token-cli": "a-token-of-the-command",
}


def configuration(folder) -> dict:
    def file(name: str) -> str:
        return str(folder / name)

    return {
        "kafka": {"properties_file": file("kafka")},
        "edge": {"token_file": file("token-cli"), "tokens": {"hr": {"token_file": file("token-hr"), "roles": ["intake"]},
                                                            "security": {"token_file": file("token-security"), "roles": ["reveal"]}}},
        "vault": {"escrow_private_key_file": file("vault")},
        "postgres": {f"{role}_file": file(f"postgres-{role}") for role in ("admin", "analyst", "logger", "scheduler")},
        "worker": {"systems": ["jira"], "derive_key_file": file("derive")},
        "sources": {"okta-hook": {"token_file": file("source-okta-hook")}},
        "systems": {"scim": {"url": "http://127.0.0.1:1", "token_file": file("scim")},
                    "jira": {"url": "http://127.0.0.1:1", "email": "bot@example.com", "token_file": file("jira")}}}


def write(folder, names) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        (folder / name).write_text(VALUES[name] or KeyPair.make().private, encoding="utf-8")
        (folder / name).chmod(0o600)
    path = folder / "offboard.yaml"
    path.write_text(yaml(configuration(folder)), encoding="utf-8")
    return str(path)


@pytest.fixture
def check(servers, tmp_path):
    """Runs a program with --check-config: its status and what it said."""
    def run(command: str, config: str, **env: str):
        program, *arguments = command.split()
        done = subprocess.run([os.path.join(servers.build, program), "-c", config, *arguments, "--check-config"],
                              env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("command", OPENS)
def test_its_own_secrets_and_no_others(command, check, tmp_path):
    folder = tmp_path / "secrets"
    assert check(command, write(folder, OPENS[command])) == (0, ""), "it opens none of the others"
    for missing in OPENS[command]:
        status, said = check(command, write(folder, OPENS[command] - {missing}))
        assert status != 0 and f"secrets/{missing}" in said, f"it does not open {missing}"


def test_the_same_by_variables(check, tmp_path):
    env = {"OFFBOARD_SYSTEMS_SCIM_TOKEN_FILE": "/nonexistent/scim", "OFFBOARD_SOURCES_OKTA_HOOK_TOKEN_FILE": "/nonexistent/hook",
           "OFFBOARD_EDGE_TOKENS_HR_TOKEN_FILE": "/nonexistent/hr", "OFFBOARD_POSTGRES_LOGGER_FILE": "/nonexistent/logger"}
    path = tmp_path / "empty.yaml"
    path.write_text("worker: {systems: [jira]}\nsystems: {jira: {url: 'http://127.0.0.1:1', email: a@example.com, token: abcdefgh}}\n", encoding="utf-8")
    path.chmod(0o600)
    assert check("offboard-scheduler", str(path), **env) == (0, "")
    for command, file in {"offboard-logger": "logger", "offboard-producer": "h", "offboard-worker --system scim": "scim"}.items():
        status, said = check(command, str(path), **env)
        assert status != 0 and f"/nonexistent/{file}" in said, command
    assert "/nonexistent" not in check("offboard-worker", str(path), **env)[1]


def test_files_that_others_can_read_are_named(check, tmp_path):
    folder = tmp_path / "secrets"
    path = write(folder, OPENS["offboard-logger"])
    (folder / "postgres-logger").chmod(0o644)
    status, said = check("offboard-logger", path)
    line, = map(json.loads, said.splitlines())
    assert status == 0 and line["level"] == "warning" and line["file"] == str(folder / "postgres-logger")
    assert line["mend"] == f"chmod o= {folder / 'postgres-logger'}"
    plain = tmp_path / "plain.yaml"
    plain.write_text("edge: {tokens: {hr: {token: a-token-in-the-file, roles: [intake]}}}\n", encoding="utf-8")
    plain.chmod(0o644)
    assert "chmod o= " in check("offboard-logger", str(plain))[1], "a secret in the configuration itself"
    plain.write_text("kafka: {properties: [session.timeout.ms=6000]}\nlog: {level: info}\n", encoding="utf-8")
    assert check("offboard-logger", str(plain)) == (0, "")


def test_no_process_leaves_its_memory_behind(stack):
    """No core dump; that no process of the same user looks into it (PR_SET_DUMPABLE) is seen in tests/unit/test_daemon.c."""
    for process in stack.processes:
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0), process.name
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            assert re.search(r"^Name:\s+offboard-", file.read(), re.M)
