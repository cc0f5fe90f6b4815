"""A shipped connector that gives its read-backs a moment only: for tests in which the wanted state never comes."""

import os
import re

from stack import ROOT


def _hasty_looks(verify: re.Match) -> str:
    """A list of looks, each of which gets its moment."""
    item = f"{verify[1]}- "
    looks = re.sub(rf"(?m)^{item}{{", f"{item}{{within: 300ms, ", verify[0])
    return re.sub(rf"(?m)^{item}(?!{{)", f"{item}within: 300ms\n{verify[1]}  ", looks)


def hasty(system: str, folder: str) -> str:
    """Writes it into `folder`, and gives that."""
    with open(os.path.join(ROOT, "worker", "connectors", f"{system}.yaml"), encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"\bevery: \d+[a-z]+", "every: 100ms", text)
    text = re.sub(r"(, |\n +)within: \d+[a-z]+", "", text)
    text = re.sub(r"\bverify: (&\w+ )?{", r"verify: \1{within: 300ms, ", text)
    text = re.sub(r"\bverify:\n( +)(?=[^ -])", r"verify:\n\1within: 300ms\n\1", text)
    text = re.sub(r"\bverify:\n( +)- (?:.*\n)(?:\1[ -] ?.*\n)*", _hasty_looks, text)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{system}.yaml"), "w", encoding="utf-8") as file:
        file.write(text)
    return folder


def hasty_connector(system: str, tmp_path_factory) -> str:
    """The same in a folder of its own."""
    return hasty(system, str(tmp_path_factory.mktemp(f"hasty-{system}")))


def impatient(stack, system: str) -> dict:
    """Variables for `stack.try_action(…)`: the system's read-backs are over soon."""
    return {"OFFBOARD_DEFINITIONS_CONNECTORS": hasty(system, os.path.join(stack.directory, f"hasty-{system}"))}
