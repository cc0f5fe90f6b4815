"""What is written agrees with what is built."""

import os
import re
import subprocess

import pytest
from stack import ROOT

PROGRAMS = ("offboard-producer", "offboard-worker", "offboard-logger", "offboard-scheduler", "offboard-vault")


def read(*path: str) -> str:
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL)


def test_configuration_page_is_the_generated_one():
    built = run("make", "-s", "build/conf-document")
    assert built.returncode == 0, built.stderr
    page = run(os.path.join(ROOT, "build", "conf-document"))
    assert page.stdout == read("CONFIGURATION.md"), "CONFIGURATION.md is stale: make CONFIGURATION.md"


def test_connectors_page_is_the_generated_one(servers):
    page = run(os.path.join(servers.build, "offboard"), "connectors", "--markdown", "-c", "/dev/null")
    assert page.returncode == 0, page.stderr
    assert page.stdout == read("worker", "connectors", "README.md"), "stale: make worker/connectors/README.md"


def test_make_help_lists_the_targets_that_people_use():
    listed = run("make", "help").stdout
    for target in ("all", "unit", "test", "demo", "lint", "chaos", "bench", "install"):
        assert re.search(rf"^  {target} ", listed, re.MULTILINE), f"make help does not list {target}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_explain_themselves(servers, program):
    path = os.path.join(servers.build, program)
    usage, version, wrong = run(path, "--help"), run(path, "--version"), run(path, "--no-such-option")
    assert usage.returncode == 0 and "--config" in usage.stdout
    assert version.returncode == 0 and re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", version.stdout)
    assert wrong.returncode == 2 and "--no-such-option" in wrong.stderr


def test_readme_names_only_files_that_exist():
    text = read("README.md")
    named = set(re.findall(r"`((?:[a-z_]+/)+[A-Za-z0-9_.-]+\.(?:c|h|yaml|sql|md|py))`", text))
    assert named, "the README's tour names no file"
    missing = sorted(name for name in named if not os.path.exists(os.path.join(ROOT, name)))
    assert not missing, f"README.md names files that are not there: {missing}"


def test_every_command_is_in_the_readme(servers):
    listed = run(os.path.join(servers.build, "offboard"), "help").stdout
    commands = re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)
    assert len(commands) >= 15
    readme = read("README.md")
    missing = [command for command in commands if not re.search(rf"\b{command}\b", readme)]
    assert not missing, f"README.md does not mention the commands {missing}"
