"""A shipped connector that gives its read-backs a moment only: for tests in which the wanted state never comes."""

import os
import re

from stack import ROOT


def hasty_connector(system: str, tmp_path_factory) -> str:
    """The folder it lies in. Every verify has to say how long it looks."""
    with open(os.path.join(ROOT, "worker", "connectors", f"{system}.yaml"), encoding="utf-8") as file:
        text = file.read()
    folder = tmp_path_factory.mktemp(f"hasty-{system}")
    text = re.sub(r"\bwithin: \d+[a-z]+", "within: 300ms", re.sub(r"\bevery: \d+[a-z]+", "every: 100ms", text))
    (folder / f"{system}.yaml").write_text(text, encoding="utf-8")
    return str(folder)
