"""Slack's private channels: made, listed, invited to. A part of the vendor `slack`."""

import base64
import re

from core.vendor import Answer, Request, route
from formats.slack_messages import SlackError, flag, read_arguments

API = "/api/"
NAME_LIMIT = 80


class SlackChannels:
    """Methods about channels; who is in one are its `members`. The bot is in what it has made."""

    @route("POST", API + "conversations.create")
    def create_channel(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=True)
        self._need("groups:write" if flag(given.get("is_private")) else "channels:manage")
        name = given.get("name") or ""
        if not name:
            raise SlackError("invalid_name_required")
        if len(name) > NAME_LIMIT:
            raise SlackError("invalid_name_maxlength")
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise SlackError("invalid_name_specials")
        if any(channel["name"] == name for channel in self.store.all("channels")):
            raise SlackError("name_taken")
        letter = "G" if flag(given.get("is_private")) else "C"
        channel = {"id": f"{letter}{self.store.next_number('channel'):08}", "name": name, "is_archived": False, "is_member": True,
                   "members": [self.settings["bot"]]}
        self.store.put("channels", channel["id"], channel)
        return Answer(200, {"ok": True, "channel": _shown(channel)})

    @route("GET", API + "conversations.list")
    @route("POST", API + "conversations.list", reads=True)
    def list_channels(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=False)
        letters = {"public_channel": "C", "private_channel": "G", "im": "D"}
        wanted = {letters.get(kind.strip(), "") for kind in given.get("types", "public_channel").split(",")}
        if "G" in wanted:
            self._need("groups:read")
        found = [channel for channel in self.store.all("channels")
                 if channel["id"][0] in wanted and (channel["is_member"] or channel["id"][0] == "C")
                 and not (flag(given.get("exclude_archived")) and channel["is_archived"])]
        return self._cut(given, "channels", [_shown(channel) for channel in found], self.settings["max_list"])

    @route("GET", API + "conversations.members")
    @route("POST", API + "conversations.members", reads=True)
    def list_members(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=False)
        self._need("groups:read")
        return self._cut(given, "members", self._channel(given.get("channel")).get("members", []), 1000)

    @route("POST", API + "conversations.invite")
    def invite(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=True)
        self._need("groups:write")
        channel = self._channel(given.get("channel"))
        if channel["is_archived"]:
            raise SlackError("is_archived")
        members = channel.get("members", [])
        users = [name for name in str(given.get("users") or "").split(",") if name]
        if not users:
            raise SlackError("no_user")
        for name in users:
            user = self.store.get("users", name)
            if name == self.settings["bot"]:
                raise SlackError("cant_invite_self")
            if user is None or user["deleted"]:
                raise SlackError("user_not_found")
            if name in members:
                raise SlackError("already_in_channel")
        self.store.put("channels", channel["id"], {**channel, "members": [*members, *users]})
        return Answer(200, {"ok": True, "channel": _shown(channel)})

    def _cut(self, given: dict, name: str, items: list, most: int) -> Answer:
        """A page of `limit`, from the cursor on."""
        limit = str(given.get("limit") or 100)
        if not limit.isdigit() or not 1 <= int(limit) <= 999:
            raise SlackError("invalid_limit")
        try:
            start = int(base64.b64decode(given.get("cursor") or base64.b64encode(b"0"), validate=True))
        except ValueError:
            raise SlackError("invalid_cursor") from None
        end = start + min(int(limit), most)
        cursor = base64.b64encode(str(end).encode()).decode() if end < len(items) else ""
        return Answer(200, {"ok": True, name: items[start:end], "response_metadata": {"next_cursor": cursor}})


def _shown(channel: dict) -> dict:
    return {"id": channel["id"], "name": channel["name"], "is_channel": True, "is_private": channel["id"][0] == "G",
            "is_archived": channel["is_archived"], "is_member": channel["is_member"]}
