"""Starts the sandbox: one port of 127.0.0.1 per simulated vendor and one control port. See README.md."""

import argparse
import importlib
import inspect
import json
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from core.control import ControlServer
from core.facts import Facts
from core.journal import Journal
from core.server import LoopbackServer, VendorServer
from core.vendor import Vendor


def main() -> int:
    options = parse_options()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        kinds = parse_systems(options.systems)
        vendors = make_vendors(kinds, read_config(options.config))
        facts = make_facts(kinds, options.facts)
        journal = Journal(options.journal)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"could not start the sandbox: {error}", file=sys.stderr)
        return 2
    for vendor in vendors.values():
        journal.add_secrets(vendor.secrets())
    servers: dict[str, LoopbackServer] = {name: VendorServer(vendor, journal, facts.get(name))
                                          for name, vendor in vendors.items()}
    servers["control"] = ControlServer(vendors, journal)
    for server in servers.values():
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    if options.stdin:
        threading.Thread(target=wait_for_end_of_input, args=(stop,), daemon=True).start()
    write_ports(options.ports, {name: server.url for name, server in servers.items()})
    stop.wait()
    for server in servers.values():
        server.shutdown()
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Simulated vendors on 127.0.0.1.")
    parser.add_argument("--systems", required=True, help="comma list of vendors; NAME=VENDOR gives one another name")
    parser.add_argument("--journal", required=True, metavar="FILE", help="every request, one JSON object a line")
    parser.add_argument("--ports", required=True, metavar="FILE", help="written when ready: {system: URL}")
    parser.add_argument("--config", metavar="FILE", help="JSON: {system: {setting: value, users: [...], ...}}")
    parser.add_argument("--facts", metavar="FILE", help="JSON: {vendor: [group, ...]}; what is against them stands in the journal")
    parser.add_argument("--stdin", action="store_true", help="also end when standard input closes")
    return parser.parse_args()


def read_config(path: str | None) -> dict:
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def parse_systems(systems: str) -> dict[str, str]:
    """The vendor of each system. ValueError on a name that is reserved or given twice."""
    kinds: dict[str, str] = {}
    for item in systems.split(","):
        name, _, kind = item.strip().partition("=")
        if name in kinds or name in ("", "control"):
            raise ValueError(f"system name {name!r} is given twice or reserved")
        kinds[name] = kind or name
    return kinds


def make_vendors(kinds: dict[str, str], config: dict) -> dict[str, Vendor]:
    """The vendors by system name. ValueError on a vendor that is unknown."""
    unused = sorted(set(config) - set(kinds))
    if unused:
        raise ValueError(f"configuration for systems that are not started: {', '.join(unused)}")
    return {name: vendor_class(kind)(name, config.get(name, {})) for name, kind in kinds.items()}


def make_facts(kinds: dict[str, str], path: str | None) -> dict[str, Facts]:
    """The facts of each system's vendor; none without a file. ValueError on a vendor that the file lacks."""
    if path is None:
        return {}
    known = read_config(path)
    missing = sorted(set(kinds.values()) - set(known))
    if missing:
        raise ValueError(f"there are no facts of {', '.join(missing)}")
    return {name: Facts(known[kind]) for name, kind in kinds.items()}


def vendor_class(kind: str) -> type[Vendor]:
    """The one subclass of Vendor that vendors/<kind>.py defines."""
    try:
        module = importlib.import_module(f"vendors.{kind}")
    except ModuleNotFoundError as error:
        if error.name != f"vendors.{kind}":
            raise
        raise ValueError(f"no vendor {kind!r}: there is no vendors/{kind}.py") from error
    found = [item for item in vars(module).values()
             if inspect.isclass(item) and issubclass(item, Vendor) and item.__module__ == module.__name__]
    if len(found) != 1:
        raise ValueError(f"vendors/{kind}.py defines {len(found)} vendor classes instead of one")
    return found[0]


def wait_for_end_of_input(stop: threading.Event) -> None:
    # Unbuffered: a thread waiting in the buffered stdin would hold its lock and abort the interpreter's exit.
    while os.read(0, 4096):
        pass
    stop.set()


def write_ports(path: str, urls: dict[str, str]) -> None:
    """All at once: whoever sees the file sees all of it."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(urls, file)
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
