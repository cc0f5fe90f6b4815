"""The shipped connectors with a few words changed, in a directory of one's own: the customer's way to win by name."""

import os

from stack import ROOT


def changed(directory, name: str, *replacements: tuple[str, str]) -> None:
    """Writes `name`.yaml into `directory`, each replacement made wherever it applies (and it has to)."""
    with open(os.path.join(ROOT, "worker", "connectors", f"{name}.yaml"), encoding="utf-8") as file:
        text = file.read()
    for old, new in replacements:
        assert old in text, f"{name}.yaml has no {old!r}"
        text = text.replace(old, new)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, f"{name}.yaml"), "w", encoding="utf-8") as file:
        file.write(text)


def hasty(tmp_path) -> dict:
    """Settings for tests of a read-back that fails: it gives up after a second."""
    directory = os.path.join(tmp_path, "connectors")
    changed(directory, "scim", ("    verify:\n", "    verify:\n      within: 1s\n      every: 200ms\n"))
    return {"definitions": {"connectors": [directory]}}
