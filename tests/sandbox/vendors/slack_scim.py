"""Slack's administration: SCIM 2.0, and sessions of an Enterprise organisation. A part of the vendor `slack`, so that who is
deactivated is so everywhere."""

import hmac
import time

from core.vendor import Answer, Refusal, Request, route
from formats.scim_filter import parse_filter
from formats.scim_patch import apply_patch
from formats.scim_schema import USER, ScimError
from formats.slack_messages import SlackError, read_arguments

SCIM = "/scim/v2"
MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
DIALECT = {"patch_forms": ["path", "no_path"], "op_case": "any", "booleans": "bool", "remove_forms": ["value_path"]}


class SlackScim:
    """Users by SCIM; `active` is the Web API's `deleted`, the other way round."""

    def _authorize_scim(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.settings['scim_token']}".encode()):
            raise Refusal(self._scim_error(401, "invalid_authentication"))
        if self.settings["scim_owner_left"]:    # a token ends with its owner's rights
            raise Refusal(self._scim_error(403, "not_an_admin"))

    def _scim_error(self, status: int, detail: str) -> Answer:
        return Answer(status, {"schemas": [MESSAGES + "Error"], "status": str(status), "detail": detail})

    @route("GET", SCIM + "/ServiceProviderConfigs")
    def scim_configuration(self, request: Request) -> Answer:
        return Answer(200, {"patch": {"supported": True}, "bulk": {"supported": False}, "filter": {"supported": True, "maxResults": 1000}})

    @route("GET", SCIM + "/Users")
    def scim_users(self, request: Request) -> Answer:
        found = [self._scim_user(user) for user in self.store.all("users")]
        text = request.params.get("filter")
        if text:
            # Their short name for a user's addresses.
            first, space, rest = text.strip().partition(" ")
            try:
                matches = parse_filter(("emails.value" if first == "email" else first) + space + rest, USER).matches
            except ScimError as error:
                raise Refusal(self._scim_error(400, error.detail)) from None
            found = [user for user in found if matches(user)]
        count = min(int(request.params.get("count", 10)), 1000)
        start = max(1, int(request.params.get("startIndex", 1)))
        page = found[start - 1:start - 1 + count]
        return Answer(200, {"schemas": [MESSAGES + "ListResponse"], "totalResults": len(found), "itemsPerPage": len(page),
                            "startIndex": start, "Resources": page})

    @route("GET", SCIM + "/Users/{key}")
    def scim_read(self, request: Request, key: str) -> Answer:
        return Answer(200, self._scim_user(self._scim_held(key)))

    @route("PATCH", SCIM + "/Users/{key}")
    def scim_patch(self, request: Request, key: str) -> Answer:
        held = self._scim_held(key)
        resource = self._scim_user(held)
        try:
            apply_patch(USER, resource, request.json(), DIALECT)
        except ValueError:
            raise Refusal(self._scim_error(400, "invalid_json")) from None
        except ScimError as error:
            raise Refusal(self._scim_error(error.status, error.detail)) from None
        if self.settings["scim_active"] == "kept":
            self._set_active(held, bool(resource["active"]))
        return Answer(200, self._scim_user(self._scim_held(key)))

    @route("DELETE", SCIM + "/Users/{key}")
    def scim_delete(self, request: Request, key: str) -> Answer:
        self._set_active(self._scim_held(key), False)   # nobody is ever deleted
        return Answer(200)

    def _scim_held(self, key: str) -> dict:
        held = self.store.get("users", key)
        if held is None:
            raise Refusal(self._scim_error(404, "user_not_found"))
        return held

    def _set_active(self, user: dict, active: bool) -> None:
        if user.get("is_primary_owner") and not active:
            raise Refusal(self._scim_error(403, "cannot_deactivate_primary_owner"))
        self.store.put("users", user["id"], {**user, "deleted": not active})
        if not active:
            self.store.remove("sessions", user["id"])

    def _scim_user(self, user: dict) -> dict:
        return {"schemas": [USER.urn], "id": user["id"], "externalId": user.get("external_id", ""), "userName": user["name"],
                "displayName": user["profile"]["real_name"], "active": not user["deleted"],
                "emails": [{"value": user["profile"]["email"], "primary": True}], "groups": []}

    # Sessions: of an Enterprise organisation, by a token of its owner or administrator.

    def _authorize_admin(self, token: str) -> None:
        if hmac.compare_digest(token.encode(), self.settings["token"].encode()):
            raise Refusal(self._error("not_allowed_token_type"))
        if not hmac.compare_digest(token.encode(), self.settings["admin_token"].encode()):
            raise Refusal(self._error("invalid_auth"))
        if not self.settings["grid"]:
            raise Refusal(self._error("feature_not_enabled"))

    @route("POST", "/api/admin.users.session.reset")
    def reset_sessions(self, request: Request) -> Answer:
        user = self._session_user(read_arguments(request, takes_json=True))
        held = self.store.get("sessions", user)
        if held:
            self.store.put("sessions", user, {**held, "end": time.monotonic() + self.settings["session_lag"]})
        return Answer(200, {"ok": True})

    @route("POST", "/api/admin.users.session.list", reads=True)
    def list_sessions(self, request: Request) -> Answer:
        given = read_arguments(request, takes_json=True)
        if bool(given.get("user_id")) != bool(given.get("team_id")):
            raise SlackError("invalid_arguments", "[ERROR] user_id and team_id go together")
        shown = [session for held in self.store.all("sessions") if held["end"] > time.monotonic() for session in held["sessions"]
                 if not given.get("user_id") or (session["user_id"], session["team_id"]) == (given["user_id"], given["team_id"])]
        return Answer(200, {"ok": True, "active_sessions": shown, "response_metadata": {"next_cursor": ""}})

    def _session_user(self, given: dict) -> str:
        user = given.get("user_id")
        if not user or not self.store.get("users", user):
            raise SlackError("user_not_found")
        return user
