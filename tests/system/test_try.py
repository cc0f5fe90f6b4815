"""`offboard try`: one action of one connector, for who writes it."""

import http.server
import json
import os
import subprocess
import threading
import time

import pytest

pytestmark = pytest.mark.xdist_group("try")
EMAIL = "jane.doe@example.com"


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    """Nothing runs but the vendors."""
    stack = make_shared_stack(systems="scim,jira")
    stack.person(EMAIL)
    return stack


def changes(stack, system: str) -> list[str]:
    return [entry["method"] for entry in stack.sandbox.journal(system, effects_only=True)]


def test_a_dry_run_unless_live(stack):
    said = stack.cli("try", "scim", "deactivate_user", "--email", EMAIL).ok().out
    assert "PATCH" in said and "(not sent: dry run)" in said and "dry run: would PATCH" in said
    assert stack.account(EMAIL)["active"] and changes(stack, "scim") == []


def test_live(stack):
    said = stack.cli("try", "scim", "deactivate_user", "--email", EMAIL, "--live").ok().out
    assert "outcome   succeeded" in said and "confirmed by reading back" in said
    assert not stack.account(EMAIL)["active"]


def test_what_happens_once_is_found_when_it_is_tried_again(stack):
    first, second = (json.loads(stack.cli("try", "jira", "create_ticket", "--email", EMAIL, "--live", "--json").ok().out)
                     for _ in range(2))
    assert first["outputs"] == second["outputs"] and second["message"].startswith("it had already")
    assert len(stack.tickets()) == 1


def test_a_failure_is_an_exit_code(stack):
    refused = stack.cli("try", "jira", "comment", "--email", EMAIL, "--live", "--with", '{"issue": "IT-1"}')
    assert refused.status == 1 and "with.text is null" in refused.out


@pytest.mark.parametrize("arguments, said", [
    (("scim", "deactivate_user"), "usage: offboard try"),
    (("scim", "deactivate_user", "--email", EMAIL, "--with", "text"), "--with"),
    (("scim", "deactivate_user", "--email", EMAIL, "--with", "[1]"), "--with: a JSON object is wanted"),
])
def test_a_wrong_command_line(stack, arguments, said):
    refused = stack.cli("try", *arguments)
    assert refused.status == 2 and said in refused.err


def test_unknown_systems_and_actions(stack):
    refused = stack.cli("try", "scmi", "deactivate_user", "--email", EMAIL)
    assert refused.status == 1 and "scmi" in refused.err and "scim" in refused.err
    refused = stack.cli("try", "scim", "deactivate", "--email", EMAIL)
    assert refused.status == 1 and 'no action "deactivate"; did you mean "deactivate_user"?' in refused.err
    assert "It has: " in refused.err and "leave_groups" in refused.err


# As its author's tool.

DESK = """system: desk
settings: {url: {required: true}, token: {required: true, secret: true}, count: {default: "3"}}
auth: {header: {Authorization: "Bearer ${ .settings.token }"}}
check: {get: /page}
actions:
  look:
    effect: notify
    accounts: none
    requests:
      - {post: /login, changes: false, save: {session: "${ .body.session }"}, secret: [session]}
      - {get: "/me/${ .saved.session }", save: {seen: "${ .body }"}}
      - {post: /note, json: {for: "${ .user.email }"}}
    outputs: {seen: "${ .saved.seen.who }"}
  many:
    effect: notify
    accounts: none
    requests:
      - {get: /items, save: {items: "${ .body.items }"}}
      - {delete: "/items/${ .item }", for_each: "${ .saved.items }"}
  many_at_once:
    effect: notify
    accounts: none
    requests:
      - {get: /items, save: {items: "${ .body.items }"}}
      - {delete: "/items/${ .item }", for_each: "${ .saved.items }", parallel: 4}
"""
SESSION = "sess-t0ken-123456"


class Desk:
    """A system that answers what its page says, counts, and breaks off the deletion of item 70 on request."""

    def __init__(self) -> None:
        desk = self
        self.page, self.throttled = (200, "application/json", "{}"), False

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, kind, body = desk.reply(self.path)
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "3600")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reply(self, path: str) -> tuple[int, str, str]:
        if path == "/page":
            return self.page
        if path == "/items/i70" and self.throttled:
            return 429, "application/json", "{}"
        found = {"/login": {"session": SESSION}, f"/me/{SESSION}": {"who": f"Bearer {SESSION}", "odd": "\x1b[2J"},
                 "/items": {"items": [f"i{number}" for number in range(120)]}}.get(path, {})
        return 200, "application/json", json.dumps(found, ensure_ascii=False)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def author(make_shared_stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("author")
    (folder / "desk.yaml").write_text(DESK, encoding="utf-8")
    desk = Desk()
    stack = make_shared_stack(settings={"definitions": {"connectors": [str(folder)]},
                                        "systems": {"desk": {"url": desk.url, "token": "t0ken-of-the-desk"}}})
    yield stack, desk, folder / "desk.yaml"
    desk.close()


def test_problems_of_the_file_are_lines(author):
    stack, _, file = author
    good = file.read_text(encoding="utf-8")
    try:
        for text, said in ((good.replace("effect: notify", "efect: notify", 1), 'desk.yaml:7: there is no "efect" here'),
                           (good.replace("look:", "look: [", 1), "desk.yaml:")):
            file.write_text(text, encoding="utf-8")
            for command in (("try", "desk", "look", "--email", EMAIL), ("check", "desk")):
                refused = stack.cli(*command)
                assert refused.status == 1 and said in refused.err, refused
                assert not any(line.startswith("{") for line in refused.err.splitlines()), "no log line"
    finally:
        file.write_text(good, encoding="utf-8")


def test_what_a_dry_run_would_send(author):
    stack, _, _ = author
    said = stack.cli("try", "desk", "look", "--email", EMAIL).ok().out
    at = said.index("/note  (not sent: dry run)")
    assert json.loads(said[at:].splitlines()[1]) == {"for": EMAIL}


def test_show(author):
    stack, _, _ = author
    said = stack.cli("try", "desk", "look", "--email", EMAIL, "--live", "--show").ok().out
    lines = [line.strip() for line in said.splitlines()]
    assert "> Authorization: Bearer ***" in lines and "< content-type: application/json" in lines
    assert '< {"session": "***"}' in lines and f'> {{"for":"{EMAIL}"}}' in lines
    assert SESSION not in said and "t0ken-of-the-desk" not in said and "\x1b" not in said
    assert 'outputs   {"seen":"Bearer ***"}' in said
    kept = json.loads(stack.cli("try", "desk", "look", "--email", EMAIL, "--live", "--show", "--json").ok().out)
    assert [call["url"].rpartition("/")[2] for call in kept["trace"]] == ["login", "***", "note"]
    assert kept["trace"][0]["received"]["body"] == '{"session": "***"}'
    assert "trace" not in json.loads(stack.cli("try", "desk", "look", "--email", EMAIL, "--json").ok().out)


def test_all_calls_and_a_short_state(author):
    stack, desk, _ = author
    for action in ("many", "many_at_once"):
        assert stack.cli("try", "desk", action, "--email", EMAIL, "--live").ok().out.count("DELETE") == 120, action
    desk.throttled = True
    try:
        said = stack.cli("try", "desk", "many", "--email", EMAIL, "--live").ok().out
        whole = json.loads(stack.cli("try", "desk", "many", "--email", EMAIL, "--live", "--json").ok().out)["state"]
    finally:
        desk.throttled = False
    state = next(line for line in said.splitlines() if line.startswith("state"))
    assert "request 2, 50 items left" in state and len(state) < 100
    assert len(whole["accounts"][""]["items_left"]) == 50
    rest = stack.cli("try", "desk", "many", "--email", EMAIL, "--live", "--state", json.dumps(whole)).ok()
    assert rest.out.count("DELETE") == 50


@pytest.mark.parametrize("url, said", [
    ("http://127.0.0.1:1", "is systems.desk.url right?"),
    ("http://no-such-host.invalid", "is systems.desk.url right?"),
])
def test_a_wrong_address_is_said_at_once(author, url, said):
    stack, _, _ = author
    began = time.monotonic()
    checked = stack.cli("check", "desk", OFFBOARD_SYSTEMS_DESK_URL=url)
    tried = stack.cli("try", "desk", "look", "--email", EMAIL, "--live", OFFBOARD_SYSTEMS_DESK_URL=url)
    assert time.monotonic() - began < 20
    assert checked.status == 1 and said in checked.out and tried.status == 1 and said in tried.out
    assert tried.out.count("no answer") == 2, "one call, and the message"


@pytest.mark.parametrize("page, said", [
    ((200, "text/html; charset=utf-8", "<!DOCTYPE html><html><title>Sign in</title></html>"), "a web page instead of data"),
    ((200, "application/octet-stream", "\n  <html><body>Sign in</body></html>"), "a web page instead of data"),
    ((200, "text/html", "<!-- portal --><body>"), "a web page instead of data"),
    ((200, "application/xml", "<?xml version='1.0'?><error/>"), "application/xml instead of JSON"),
    ((200, "application/json", "[]"), "desk: ok"),
    ((200, "text/plain", "pong"), "desk: ok"),
    ((204, "application/json", ""), "desk: ok"),
])
def test_a_log_in_page_is_no_answer(author, page, said):
    stack, desk, _ = author
    desk.page = page
    checked = stack.cli("check", "desk")
    assert said in checked.out and checked.status == (0 if said == "desk: ok" else 1)


def test_a_worker_tries_one_job_after_another_and_tells_of_each_request(stack):
    """What `offboard-worker --try --asks` is to a program that answers the requests itself (tests/conformance)."""
    message = {"version": 1, "id": "5d3c2b1e-0000-4000-8000-000000000001", "mode": "live", "user": {"email": EMAIL}, "ids": {},
               "job": {"id": "5d3c2b1e-0000-4000-8000-000000000002", "system": "scim", "action": "activate_user", "attempt": 1}}
    done = subprocess.run([os.path.join(stack.build, "offboard-worker"), "--try", "--asks", "--system", "scim", "-c", stack.config_path],
                          input=2 * (json.dumps(message) + "\n"), capture_output=True, text=True, timeout=60,
                          env=stack.environment(), check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    outcomes = [line["outcome"] for line in lines if "outcome" in line]
    asked = [line["asks"] for line in lines if "asks" in line]
    assert len(outcomes) == 2 and outcomes[1] == "already_done", lines
    first = asked[0]
    assert first["at"] == "identify/0" and first["search"] and not first["changes"] and first["method"] == "GET"
    assert first["url"].startswith(stack.sandbox.url("scim")) and first["context"]["key"] == EMAIL
    assert "get" in first["request"] and first["context"]["settings"]["token"] == "***"
    assert stack.tokens["scim"] not in done.stdout
