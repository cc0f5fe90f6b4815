"""The pages that take a newcomer by the hand, followed literally."""

import os
import re
import signal
import subprocess

import pytest
from stack import ROOT

FENCE = re.compile(r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Newcomer:
    """Does what a page says, in a directory of their own."""

    def __init__(self, page: str, folder, build: str) -> None:
        with open(os.path.join(ROOT, "docs", page), encoding="utf-8") as file:
            self.blocks = list(FENCE.finditer(file.read()))
        self.folder = folder
        self.groups: list[int] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFBOARD")}
        self.env = {**kept, "OFFBOARD": ROOT, "PATH": f"{build}:{os.environ['PATH']}"}

    def write(self, name: str, text: str) -> None:
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run(self, commands: str) -> str:
        process = subprocess.Popen(["bash", "-euc", commands], cwd=self.folder, env=self.env, text=True, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.groups.append(process.pid)
        out, _ = process.communicate(timeout=100)
        assert process.returncode == 0, (commands, out)
        return out

    def follow(self) -> int:
        """How many lines of output the page foretells, all of them true and in that order."""
        out, said = "", 0
        for block in self.blocks:
            if block["file"]:
                self.write(block["file"], block["text"])
            elif block["language"] == "sh":
                out = self.run(block["text"])
            else:
                for line in block["text"].splitlines():
                    assert line in out, f"the page says {line!r}; the rest of what came: {out}"
                    out = out[out.index(line) + len(line):]
                    said += 1
        return said

    def leave(self) -> None:
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGTERM)
            except ProcessLookupError:
                pass


@pytest.mark.parametrize("page", ["write-a-connector.md", "write-a-source.md"])
def test_a_newcomer_follows_the_page(servers, tmp_path, page):
    newcomer = Newcomer(page, tmp_path, os.path.abspath(servers.build))
    try:
        assert newcomer.follow() > 5
    finally:
        newcomer.leave()
