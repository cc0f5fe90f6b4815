"""A connector as its file says it, and the copy of it that is tried: the same but for waiting times, limits and hosts."""

import copy
import functools
import glob
import json
import os
import re
import subprocess

import yaml
from jq_parse import Node, expressions, template, walk

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = [os.path.join(ROOT, "worker", "connectors"), *filter(None, os.environ.get("CONNECTORS", "").split(":"))]
METHODS = ("get", "post", "put", "patch", "delete", "head", "mail", "ldap", "wait")
MERGED = ("query", "headers", "form", "as")
CHECK = "dc=check"
SECRET = "c2VjcmV0LW9mLXRoZS1jb25mb3JtYW5jZS10ZXN0"     # base64 of a text, so that it is a key of any kind


class Loader(yaml.CSafeLoader):
    """PyYAML refuses an anchor that is given anew, which YAML allows."""

    def compose_node(self, parent, index):
        if not self.check_event(yaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)
        return super().compose_node(parent, index)


def connectors() -> dict[str, "Connector"]:
    """All of them by name; those of CONNECTORS (folders, with `:` between them) win."""
    files = [path for folder in FOLDERS for path in sorted(glob.glob(os.path.join(folder, "*.yaml")))]
    return {connector.name: connector for connector in map(Connector, files)}


def changes(request: dict) -> bool:
    """As worker/engine_definition.c has it."""
    if "changes" in request:
        return request["changes"] is True
    if "ldap" in request:
        return "search" not in request["ldap"]
    return any(method in request for method in ("post", "put", "patch", "delete", "mail"))


def paths(value) -> list[list[str]]:
    """What the expressions within `value` read of their context: chains of names."""
    if isinstance(value, (list, dict)):
        return [path for item in (value.values() if isinstance(value, dict) else value) for path in paths(item)]
    return _paths(value) if isinstance(value, str) else []


@functools.cache
def _paths(text: str) -> list[list[str]]:
    return [chain for tree in expressions(text) for chain in chains(tree)]


def chains(tree: Node) -> list[list[str]]:
    """What one expression reads."""
    found = []
    inner = {id(node.parts[0]) for node in walk(tree) if node.kind == "index"}
    for node in walk(tree):
        chain, at = [], node
        while at.kind in ("index", "each", "try") and at.parts:
            key = at.parts[1] if at.kind == "index" else None
            chain.insert(0, key.value if key is not None and key.kind == "literal" else "[]")
            at = at.parts[0]
        if chain and at.kind == "input" and id(node) not in inner:
            found.append(chain)
    return found


def asks_for_one(request: dict) -> tuple[str] | None:
    """Its path ends with the name of one thing: what comes behind that, such as `.json`. A name that a setting gives is no such name. Of a
    directory one entry is asked for."""
    search = (request.get("ldap") or {}).get("search") or {}
    if search:
        return ("",) if search.get("scope") == "base" and reads(search["base"], "ids") else None
    path = next((request[method] for method in METHODS if isinstance(request.get(method), str)), "").rstrip("/")
    parts = list(template(path))
    tail = parts.pop() if parts and isinstance(parts[-1], str) else ""
    if "/" in tail or len(parts) < 2 or not isinstance(parts[-2], str) or not parts[-2].endswith("/"):
        return None
    return (tail,) if {chain[0] for chain in chains(parts[-1])} & {"ids", "item", "saved", "with"} else None


def reads(value, *names: str) -> bool:
    return any(path[:len(names)] == list(names) for path in paths(value))


def pieces(request: dict) -> list[dict]:
    """The request and the requests within it."""
    require = request.get("require")
    within = [request.get("find"), *(require if isinstance(require, list) else [require]), (request.get("wait") or {}).get("meanwhile")]
    return [request, *(one for one in within if isinstance(one, dict))]


class Connector:
    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, encoding="utf-8") as file:
            self.tree = yaml.load(file, Loader)
        self.name: str = self.tree["system"]
        self.actions: dict = self.tree["actions"]
        self.identify: dict = self.tree.get("identify") or {}

    def expanded(self, request: dict) -> dict:
        """With what `use` brings."""
        names = request.get("use", [])
        whole = {key: value for key, value in request.items() if key != "use"}
        for name in [names] if isinstance(names, str) else names:
            for key, value in self.tree["defs"][name].items():
                if key in MERGED and isinstance(whole.get(key), dict) and isinstance(value, dict):
                    whole[key] = {**value, **whole[key]}
                elif key not in whole:
                    whole[key] = value
        if isinstance(whole.get("find"), dict):
            whole["find"] = self.expanded(whole["find"])
        if isinstance(whole.get("require"), (dict, list)):
            require = whole["require"]
            whole["require"] = [self.expanded(one) for one in require] if isinstance(require, list) else self.expanded(require)
        if isinstance((whole.get("wait") or {}).get("meanwhile"), dict):
            whole["wait"] = {**whole["wait"], "meanwhile": self.expanded(whole["wait"]["meanwhile"])}
        return whole

    @functools.cache
    def requests(self, action: str) -> list[dict]:
        return [self.expanded(request) for request in self.actions[action]["requests"]]

    @functools.cache
    def looks(self, action: str) -> list[dict]:
        verify = self.actions[action].get("verify") or []
        return [self.expanded(look) for look in (verify if isinstance(verify, list) else [verify])]

    def searches(self) -> list[dict]:
        return [self.expanded(request) for request in self.identify.get("requests", [])]

    def everything(self) -> list[dict]:
        """All requests, with those within them."""
        lists = [self.searches(), [self.expanded(request) for request in self.identify.get("confirm", [])]]
        lists += [self.requests(action) + self.looks(action) for action in self.actions]
        return [piece for requests in lists for request in requests for piece in pieces(request)]

    def kind(self) -> str:
        """http, smtp or ldap."""
        everything = self.everything()
        return "smtp" if any("mail" in one for one in everything) else "ldap" if any("ldap" in one for one in everything) else "http"

    def of_accounts(self, action: str) -> bool:
        return bool(self.identify) and self.actions[action].get("accounts") != "none"

    def undoes(self, action: str) -> bool:
        """Does it undo another one with what that has kept of each account? Then it is told whose they are."""
        return any(other.get("undo") == action and "before" in other for other in self.actions.values())

    def covered(self, action: str, index: int) -> bool:
        """Does the read-back say that it shows what this request changes?"""
        body = self.actions[action]
        changing = [request for request in self.requests(action) if "wait" not in request and changes(request)]
        request = self.requests(action)[index]
        return bool(body.get("verify")) and "unverified" not in request and (body.get("covers") == "all" or len(changing) == 1)

    # The copy that is tried.

    def settings(self, url: str, **more: str) -> dict[str, str]:
        """Values for all settings that need one."""
        urls, numbers, keys = set(), set(), set()
        auth = next(iter((self.tree.get("auth") or {}).values()), {})
        for text in [self.tree.get("base"), auth.get("url") if isinstance(auth, dict) else None,
                     *(one.get("base") for one in self.everything()),
                     *(one[method] for one in self.everything() for method in METHODS if isinstance(one.get(method), str))]:
            urls |= {first.parts[1].value for first in template(text or "")[:1] if isinstance(first, Node) and _is_setting(first)}
        for path in paths(self.tree.get("limits") or {}):
            numbers |= {path[1]} if path[0] == "settings" else set()
        if "service_account" in (self.tree.get("auth") or {}):
            keys = {path[1] for path in paths(auth["key"]) if path[0] == "settings"}
        values = {}
        for name, declared in (self.tree.get("settings") or {}).items():
            declared = declared or {}
            if name in urls or name.endswith("url"):
                values[name] = url
            elif name in keys:
                values[name] = service_account(url + "/token")
            elif name in numbers:
                values[name] = "1000000"
            elif name == "settle":
                values[name] = "1ms"
            elif declared.get("secret") and declared.get("required"):
                values[name] = SECRET
            elif declared.get("required"):
                values[name] = plausible(name)
        return {**values, **more}

    def unset(self) -> dict[str, str]:
        """Values for the settings that may be left empty. Who logs in to send mail would have to be asked for it."""
        log_in = {path[1] for path in paths(self.tree.get("auth") or {}) if path[0] == "settings"}
        return {name: plausible(name) for name, one in (self.tree.get("settings") or {}).items()
                if not (one or {}).get("required") and (one or {}).get("default") in ("", None) and name not in {"tls", "mode", *log_in}}

    def copy(self, url: str) -> dict:
        """The tree with short waits, no limits, and literal hosts replaced by `url`."""
        tree = copy.deepcopy(json.loads(json.dumps(self.tree, default=str)))
        if self.kind() == "http":
            tree.pop("check", None)     # a refusal would be followed by one, which no action asks for
        elif self.kind() == "ldap":
            tree["check"] = {"ldap": {"search": {"base": CHECK, "scope": "base"}}}      # a directory has to have one
        if "limits" in tree:
            tree["limits"] = {name: {"in_flight": 50} for name in tree["limits"]}
        for action in tree["actions"].values():
            for look in _listed(action.get("verify")):
                look |= {"every": "1ms", "within": "4ms"}
            for request in action["requests"]:
                if "meanwhile" in request.get("wait", {}):
                    request["wait"]["meanwhile"]["every"] = "1ms"
            if "settle" in action:
                action["settle"] = "1ms"
        return _replaced_hosts(tree, url)


def plausible(name: str) -> str:
    """A value for a setting."""
    if re.search("_days$|^assignee_id$", name):
        return "17"
    return "admin@example.com" if re.search("mail|admin|user|from|owner|operators|escalate", name) else f"the-{name.replace('_', '-')}"


def _listed(value) -> list:
    return value if isinstance(value, list) else [value] if value else []


def _is_setting(node: Node) -> bool:
    return node.kind == "index" and node.parts[0].kind == "index" and node.parts[0].parts[0].kind == "input" \
        and node.parts[0].parts[1].value == "settings"


def _replaced_hosts(tree: dict, url: str) -> dict:
    literal = re.compile(r"^(https?|smtps?|ldaps?)://[^/$\"]+")
    for key in ("base", "url", *METHODS):
        if isinstance(tree.get(key), str):
            tree[key] = literal.sub(url, tree[key])
    for key, value in tree.items():
        if key not in ("json", "form", "headers", "settings", "with"):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    _replaced_hosts(item, url)
    return tree


@functools.cache
def _private_key() -> str:
    return subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                          capture_output=True, text=True, check=True).stdout


@functools.cache
def escrow_key() -> str:
    private = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519"], capture_output=True, check=True).stdout
    return subprocess.run(["openssl", "pkey", "-pubout"], input=private, capture_output=True, check=True).stdout.decode()


def service_account(token_url: str) -> str:
    """A key file as Google hands them out."""
    return json.dumps({"type": "service_account", "client_email": "bot@example.com", "private_key_id": "k1", "token_uri": token_url,
                       "private_key": _private_key()})
