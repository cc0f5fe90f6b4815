"""The reference pages: every word has an example, and every example does what the page says."""

import os
import re
import shlex
import subprocess

import pytest
from keys import KeyPair
from pages import ScriptedVendor, definitions, matches, trials
from process import wait_until
from stack import ROOT

pytestmark = pytest.mark.xdist_group("reference")
TOKEN = "s3cret-of-the-reference-page"


def words(*files: str) -> set[str]:
    """The vocabulary as lib/definition_*.c has it."""
    found = set()
    for name in files:
        with open(os.path.join(ROOT, "lib", f"definition_{name}.c"), encoding="utf-8") as file:
            found |= set(re.findall(r'\{"(\w+)", CHECK_\w+, (?:true|false)\}', file.read()))
    return found


def used(texts) -> set[str]:
    return {word for text in texts for word in re.findall(r"(?:^|[{,\s-])(\w+):(?=\s|$)", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def key() -> str:
    """A service account's key file."""
    pem = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                         capture_output=True, text=True, check=True, timeout=60).stdout
    return ('{"client_email": "offboard@example.com", "private_key_id": "k1", "private_key": "%s"}'
            % pem.replace("\n", "\\n"))


def declares(text: str, setting: str) -> bool:
    settings = text.partition("\nsettings:\n")[2]
    return re.match(rf"(?:  .*\n)*?  {setting}:", settings) is not None


@pytest.fixture(scope="module")
def desk(make_shared_stack, tmp_path_factory, key):
    """The connectors of the page, and a vendor that plays it."""
    folder = tmp_path_factory.mktemp("reference")
    vendor = ScriptedVendor()
    connectors = definitions("connectors.md", "system")
    for name, text in connectors.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    settings = {name: {"url": vendor.url, **({"token": TOKEN} if declares(text, "token") else {}),
                       **({"key": key} if declares(text, "key") else {})} for name, text in connectors.items()}
    stack = make_shared_stack(settings={"definitions": {"connectors": [str(folder)]}, "systems": settings,
                                        "worker": {"derive_key": "0123456789abcdef0123456789abcdef",
                                                   "escrow_key": KeyPair.make().public}})
    yield stack, vendor
    vendor.close()


def test_every_word_of_connectors_has_an_example():
    missing = words("connector", "request", "wait", "ldap", "action", "auth") - used(definitions("connectors.md", "system").values())
    assert not missing, f"docs/connectors.md shows no example of {sorted(missing)}"


def test_the_connectors_of_the_page_are_valid(desk):
    stack, _ = desk
    assert "error" not in stack.cli("validate").ok().err


@pytest.mark.parametrize("trial", trials("connectors.md"), ids=lambda trial: " ".join(trial.command.split()[2:4]))
def test_what_the_page_of_connectors_shows(desk, trial):
    stack, vendor = desk
    vendor.script, vendor.complaints = list(trial.exchanges), []
    result = stack.cli(*shlex.split(trial.command)[1:])
    said = dict(line.split(maxsplit=1) for line in result.out.splitlines() if not line.startswith("  "))
    assert not vendor.complaints and not vendor.script, (vendor.complaints, vendor.script, result)
    for name, wanted in trial.said.items():
        assert wanted in said[name] if name == "message" else matches(wanted, said[name]), (name, result.out)
    assert TOKEN not in result.out + result.err


# Runbooks.

@pytest.fixture(scope="module")
def running(make_shared_stack, tmp_path_factory):
    """The runbooks of the page, before the simulated vendors; a day passes in a tenth of a second."""
    folder = tmp_path_factory.mktemp("runbooks")
    for name, text in definitions("runbooks.md", "runbook").items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return make_shared_stack(settings={"definitions": {"runbooks": [str(folder)]}, "clock": {"day": "100ms"}}).start()


def test_every_word_of_runbooks_has_an_example():
    missing = words("runbook", "followers") - used(definitions("runbooks.md", "runbook").values())
    assert not missing, f"docs/runbooks.md shows no example of {sorted(missing)}"


@pytest.mark.parametrize("trial", trials("runbooks.md"), ids=lambda trial: trial.command.split()[-1])
def test_what_the_page_of_runbooks_shows(running, trial):
    email = trial.command.split()[2]
    if not email.startswith("nobody"):
        running.person(email)
    offboarding = running.cli(*shlex.split(trial.command)[1:]).ok().out.split()[-1]
    wait_until(lambda: running.database.value("SELECT count(*) FROM offboarding WHERE id = %s AND status IN ('completed', 'cancelled')",
                                              offboarding) == 1, 60, f"{trial.command} comes to its end")
    assert {step: job["state"] for step, job in running.jobs(offboarding).items() if not job["follower"]} == trial.said


# Sources.

def test_every_word_of_sources_has_an_example():
    missing = words("source", "webhook", "signature", "poll") - used(definitions("sources.md", "source").values())
    assert not missing, f"docs/sources.md shows no example of {sorted(missing)}"


@pytest.mark.parametrize("trial", trials("sources.md"), ids=lambda trial: re.search(r'"id": "([^"]+)"', trial.event).group(1))
def test_what_the_page_of_sources_shows(servers, tmp_path, trial):
    (tmp_path / "sources").mkdir()
    for name, text in definitions("sources.md", "source").items():
        (tmp_path / "sources" / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "offboard.yaml").write_text("definitions: {sources: [sources]}\n", encoding="utf-8")
    (tmp_path / "event.json").write_text(trial.event, encoding="utf-8")
    done = subprocess.run([os.path.join(servers.build, "offboard"), *shlex.split(trial.command)[1:]], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    for line in trial.lines:
        assert line in done.stdout, (line, done.stdout, done.stderr)
