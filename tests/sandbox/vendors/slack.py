"""Slack's Web API: messages with metadata, threads, direct messages, people by e-mail. Errors come with status 200. Private
channels are in slack_channels.py, SCIM and sessions in slack_scim.py."""

import hmac
import time

from core.vendor import Answer, Refusal, Request, Vendor, route
from formats.slack_messages import (SlackError, check_metadata, flag, page_of, read_arguments, shown, timestamp_of)
from vendors.slack_channels import SlackChannels
from vendors.slack_scim import SCIM, SlackScim

API = "/api/"
TEXT_LIMIT = 40000
SCOPES = {"chat.postMessage": "chat:write", "conversations.open": "im:write", "users.lookupByEmail": "users:read.email",
          "users.info": "users:read"}
HISTORY_SCOPES = {"C": "channels:history", "G": "groups:history", "D": "im:history"}


class Slack(SlackChannels, SlackScim, Vendor):
    """One workspace, one bot. A channel's id begins with C (public), G (private) or D (direct messages)."""

    DEFAULTS = {
        "token": "xoxb-sandbox-s3cret", "team": "T0SANDBOX", "bot": "U0OFFBOARD",
        "token_state": "good",      # or the error that every call with the right token gets: token_revoked, account_inactive, …
        "scopes": ["chat:write", "channels:history", "groups:history", "groups:read", "groups:write", "im:history", "im:write",
                   "users:read", "users:read.email"],
        "admin_token": "xoxp-sandbox-admin-s3cret", "grid": True,   # whether it is an Enterprise organisation
        "session_lag": 0.0,         # seconds until a reset has ended the sessions
        "scim_token": "xoxp-sandbox-scim-s3cret", "scim_owner_left": False,
        "scim_active": "kept",      # ignored: SCIM answers 200 and changes nothing
        "max_list": 1000,           # of channels in a page
        "history_lag": 0.0,         # seconds until conversations.history and .replies see a message
        "max_page": 999,            # of messages; 15 for apps that are sold and not reviewed
        "per_channel": None,        # {"count": 1, "seconds": 1}: the vendor's limit of messages in one channel
    }
    SEED_KEYS = ("users", "channels")
    SECRETS = ("token", "admin_token", "scim_token")

    def start(self) -> None:
        self._posts: dict[str, list[float]] = {}

    # Refusing.

    def authorize(self, request: Request) -> None:
        if request.path.startswith(SCIM + "/"):
            self._authorize_scim(request)
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(self._error("not_authed"))
        if request.path.startswith(API + "admin."):
            self._authorize_admin(token)
            return
        if not hmac.compare_digest(token.encode(), self.settings["token"].encode()):
            raise Refusal(self._error("invalid_auth"))
        if self.settings["token_state"] != "good":
            raise Refusal(self._error(self.settings["token_state"]))
        scope = SCOPES.get(request.path.removeprefix(API))
        if scope:
            self._need(scope)

    def _need(self, scope: str) -> None:
        if scope not in self.settings["scopes"]:
            raise Refusal(self._error("missing_scope", needed=scope, provided=",".join(self.settings["scopes"])))

    def _error(self, error: str, **more) -> Answer:
        return Answer(200, {"ok": False, "error": error, **more})

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"ok": False, "error": "ratelimited" if status == 429 else "internal_error"})

    def unknown_path(self, request: Request) -> Answer:
        return self._error("unknown_method", req_method=request.path.removeprefix(API))

    def _dispatch(self, request: Request) -> Answer:
        try:
            return super()._dispatch(request)
        except SlackError as error:
            more = {"response_metadata": {"messages": [error.detail]}} if error.detail else {}
            raise Refusal(self._error(error.name, **more)) from None

    def finish(self, request: Request, answer: Answer) -> Answer:
        answer.content_type = "application/json; charset=utf-8"
        if request.path.startswith(SCIM + "/"):
            return answer
        declared = request.headers.get("content-type", "")
        if request.media_type == "application/json" and "charset" not in declared and isinstance(answer.body, dict):
            answer.body["warning"] = "missing_charset"
        return answer

    # The account, and people.

    @route("GET", API + "auth.test")
    @route("POST", API + "auth.test", reads=True)
    def test_auth(self, request: Request) -> Answer:
        return Answer(200, {"ok": True, "url": "https://sandbox.slack.com/", "team": "Sandbox", "user": "offboard",
                            "team_id": self.settings["team"], "user_id": self.settings["bot"], "bot_id": "B0OFFBOARD"})

    @route("GET", API + "users.lookupByEmail")
    @route("POST", API + "users.lookupByEmail", reads=True)
    def look_up(self, request: Request) -> Answer:
        wanted = read_arguments(request, takes_json=False).get("email", "")
        if not wanted:
            raise SlackError("invalid_arguments", "[ERROR] missing required field: email")
        for user in self.store.all("users"):
            if user["profile"]["email"].lower() == wanted.lower() and not user["deleted"]:
                return Answer(200, {"ok": True, "user": user})
        raise SlackError("users_not_found")     # for who has left, too

    @route("GET", API + "users.info")
    @route("POST", API + "users.info", reads=True)
    def show_user(self, request: Request) -> Answer:
        user = self.store.get("users", read_arguments(request, takes_json=False).get("user", ""))
        if user is None:
            raise SlackError("user_not_found")
        return Answer(200, {"ok": True, "user": user})

    # Channels.

    def _channel(self, key: object, *, by_name: bool = False) -> dict:
        """A channel the bot can see, to read only. Only posting knows names."""
        for channel in self.store.all("channels"):
            named = by_name and channel["name"] and str(key).removeprefix("#") == channel["name"]
            if channel["id"] == key or named:
                if not channel["is_member"] and channel["id"][0] == "G":
                    break
                return channel
        raise SlackError("channel_not_found")

    @route("POST", API + "conversations.open")
    def open_conversation(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=True).get("users")
        if not given or not isinstance(given, str):
            raise SlackError("users_list_not_supplied")
        user = self.store.get("users", given)
        if user is None:
            raise SlackError("user_not_found")
        if user["deleted"]:
            raise SlackError("user_disabled")
        held = next((item for item in self.store.all("channels") if item.get("user") == given), None)
        known = {"no_op": True, "already_open": True} if held else {}
        channel = held or self._new_direct(given)
        return Answer(200, {"ok": True, **known, "channel": {"id": channel["id"]}})

    def _new_direct(self, user: str) -> dict:
        channel = {"id": f"D{self.store.next_number('direct'):08}", "name": "", "user": user, "is_archived": False,
                   "is_member": True}
        self.store.put("channels", channel["id"], channel)
        return channel

    # Messages.

    @route("POST", API + "chat.postMessage")
    def post_message(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=True)
        channel = self._channel(given.get("channel"), by_name=True)
        if channel["is_archived"]:
            raise SlackError("is_archived")
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        text = given.get("text") or ""
        if not text and not given.get("blocks"):
            raise SlackError("no_text")
        if len(text) > TEXT_LIMIT:
            raise SlackError("msg_too_long")
        thread = given.get("thread_ts")
        if thread and timestamp_of(thread) is None:
            raise SlackError("invalid_thread_ts", f"[ERROR] {thread} is not a valid thread_ts")
        metadata = check_metadata(given.get("metadata"))
        self._spend_post(request, channel["id"])
        message = self._new_message(channel["id"], text, thread, metadata)
        return Answer(200, {"ok": True, "channel": channel["id"], "ts": message["ts"], "message": shown(message, True)})

    def _spend_post(self, request: Request, channel: str) -> None:
        limit = self.settings["per_channel"]
        if not limit:
            return
        now = time.monotonic()
        recent = [at for at in self._posts.get(channel, []) if at > now - limit["seconds"]]
        if len(recent) >= limit["count"]:
            raise Refusal(self.throttled(request, recent[0] + limit["seconds"] - now))
        self._posts[channel] = [*recent, now]

    def _new_message(self, channel: str, text: str, thread: str | None, metadata: dict | None,
                     user: str | None = None, *, at_once: bool = False) -> dict:
        number = int(time.time() * 1e6)
        last = self.store.next_number("message")
        number = max(number, last)
        self.store.reserve_number("message", number)
        message = {"type": "message", "channel": channel, "user": user or self.settings["bot"], "text": text,
                   "ts": f"{number // 1000000}.{number % 1000000:06}",
                   "seen_from": float("-inf") if at_once else time.monotonic()}
        if thread:
            message["thread_ts"] = thread
        if metadata:
            message["metadata"] = metadata
        self.store.put("messages", f"{channel}:{message['ts']}", message)
        return message

    def _messages(self, channel: str) -> list[dict]:
        """Those of a channel that the reading methods see by now, oldest first."""
        horizon = time.monotonic() - self.settings["history_lag"]
        return [message for message in self.store.all("messages")
                if message["channel"] == channel and message["seen_from"] <= horizon]

    def _channel_to_read(self, given: dict) -> dict:
        channel = self._channel(given.get("channel"))
        self._need(HISTORY_SCOPES[channel["id"][0]])
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        return channel

    @route("GET", API + "conversations.history")
    @route("POST", API + "conversations.history", reads=True)
    def history(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=False)
        channel = self._channel_to_read(given)
        top = [item for item in self._messages(channel["id"]) if item.get("thread_ts", item["ts"]) == item["ts"]]
        return self._page(given, top[::-1])

    @route("GET", API + "conversations.replies")
    @route("POST", API + "conversations.replies", reads=True)
    def replies(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=False)
        channel = self._channel_to_read(given)
        messages, thread = self._messages(channel["id"]), given.get("ts")
        if not any(item["ts"] == thread for item in messages):
            raise SlackError("thread_not_found")
        return self._page(given, [item for item in messages if thread in (item["ts"], item.get("thread_ts"))])

    def _page(self, given: dict, messages: list[dict]) -> Answer:
        page, cursor = page_of(given, messages, self.settings["max_page"])
        everything = flag(given.get("include_all_metadata"))
        return Answer(200, {"ok": True, "messages": [shown(message, everything) for message in page],
                            "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}})

    # State for tests.

    def seed(self, state: dict) -> None:
        """Users by `id` or `email` (`name`, `deleted`, `sessions`: how many), channels by `id` with `messages` (`text`, `user`, `metadata`)."""
        for given in state.get("users", []):
            self._seed_user(given)
        for given in state.get("channels", []):
            if str(given.get("id", ""))[:1] not in HISTORY_SCOPES:
                raise ValueError(f"{self.name}: channels: an id begins with C, G or D")
            known = self.store.get("channels", given["id"]) or {"name": "", "is_archived": False, "is_member": True}
            self.store.put("channels", given["id"], {**known, **{k: v for k, v in given.items() if k != "messages"}})
            for message in given.get("messages", []):
                self._new_message(given["id"], message["text"], message.get("thread_ts"), message.get("metadata"),
                                  message.get("user"), at_once=True)

    def _seed_user(self, given: dict) -> None:
        email = given.get("email", "")
        if "@" not in email:
            raise ValueError(f"{self.name}: users: email is missing")
        held = next((user for user in self.store.all("users")
                     if given.get("id", user["id"]) == user["id"] and user["profile"]["email"] == email), None)
        key = held["id"] if held else given.get("id") or f"U{self.store.next_number('user'):08}"
        name = given.get("name", email.partition("@")[0])
        self.store.put("users", key, {"id": key, "team_id": self.settings["team"], "name": name,
                                      "deleted": bool(given.get("deleted", False)), "is_bot": False,
                                      "is_primary_owner": bool(given.get("is_primary_owner", False)),
                                      "profile": {"email": email, "real_name": name}})
        if given.get("sessions"):
            self.store.put("sessions", key, {"id": key, "end": float("inf"), "sessions": [
                {"user_id": key, "team_id": self.settings["team"], "session_id": number} for number in range(given["sessions"])]})

    def export(self) -> dict:
        messages = [{key: value for key, value in item.items() if key != "seen_from"} for item in self.store.all("messages")]
        now = time.monotonic()
        return {"users": list(self.store.all("users")),
                "sessions": [session for held in self.store.all("sessions") if held["end"] > now for session in held["sessions"]],
                "channels": [{**channel, "messages": [item for item in messages if item["channel"] == channel["id"]]}
                             for channel in self.store.all("channels")]}
