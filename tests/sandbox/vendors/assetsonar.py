"""AssetSonar's API, version 1: members, assets, software licences. Bodies are forms; what it does not understand it ignores."""

import hmac
import re
import urllib.parse

from core.vendor import Answer, Refusal, Request, Vendor, route

PAGE = 25


class Assetsonar(Vendor):
    """One company. Ids are numbers in answers."""

    DEFAULTS = {
        "token": "assetsonar-sandbox-s3cret",
        "member_actions": True,         # PUT …/deactivate.api and activate.api are there
        "member_filter": True,          # members.api heeds `filter`; else those who are active come back
        "possessions_filter": True,     # filter.api of assets heeds possessions_of; else everybody's come back
        "licence_filter": True,         # so does that of licences
        "licence_call": "",             # name of the call that takes a licence from a user; empty: there is none
        "licence_holders": "users",     # what a licence calls the list of who holds it; empty: it shows none
        "licence_list": "licenses",     # what it calls the list of licences
        "date_format": "iso",           # how it shows dates: iso, us
    }
    SEED_KEYS = ("members", "assets", "licences")

    def authorize(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get("token", "").encode(), self.settings["token"].encode()):
            raise Refusal(self.fail(401, "Invalid token"))

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"errors": {"base": [message]}})

    def throttled(self, request: Request, wait: float) -> Answer:
        answer = self.fail(429, "Too many requests")
        answer.headers["Retry-After"] = "60"
        return answer

    # Reading.

    def _form(self, request: Request) -> dict[str, str]:
        if request.body and request.media_type != "application/x-www-form-urlencoded":
            raise Refusal(self.fail(400, "Bad request"))
        return dict(urllib.parse.parse_qsl(request.text, keep_blank_values=True))

    def _one(self, kind: str, key: str) -> dict:
        found = self.store.edit(kind, key)
        if found is None:
            raise Refusal(self.fail(404, f"Could not find {kind} {key}"))
        return found

    def _page(self, request: Request, name: str, items: list[dict]) -> Answer:
        number = int(request.params.get("page") or 1)
        return Answer(200, {name: items[(number - 1) * PAGE:number * PAGE], "total_pages": max(1, -(-len(items) // PAGE))})

    def _shown(self, item: dict, custom: bool) -> dict:
        """Custom attributes stand among the others, by their names, when they are asked for."""
        return {key: value for key, value in item.items() if key != "custom"} | (item["custom"] if custom else {})

    # Members.

    @route("GET", "/members.api")
    def list_members(self, request: Request) -> Answer:
        params, everybody = request.params, list(self.store.all("members"))
        kind, value = params.get("filter") if self.settings["member_filter"] else None, params.get("filter_val", "")
        if kind == "email":
            found = [one for one in everybody if (one["email"] or "").lower() == value.lower()]
        elif (kind, value) == ("status", "inactive"):
            found = [one for one in everybody if one["status"] == 0]
        else:       # any other filter is not heeded
            found = [one for one in everybody if one["status"] == 1]
        return self._page(request, "members", [self._shown(one, "include_custom_fields" in params) for one in found])

    @route("GET", "/members/{key}.api")
    def get_member(self, request: Request, key: str) -> Answer:
        return Answer(200, self._shown(self._one("members", key), request.params.get("include_custom_fields") == "true"))

    @route("PUT", "/members/{key}.api")
    def update_member(self, request: Request, key: str) -> Answer:
        member, form = self._one("members", key), self._form(request)
        for name, value in form.items():
            custom = re.fullmatch(r"user\[custom_attributes\]\[(.+)\]", name)
            plain = re.fullmatch(r"user\[(email|offboarding_date|status|first_name|last_name)\]", name)
            if custom:
                member["custom"][custom[1]] = value
            elif plain:
                member[plain[1]] = int(value) if plain[1] == "status" else self._date(value) if "date" in plain[1] else value
        if "user[email]" not in form and "user[status]" not in form:
            member["email"] = None      # as was seen of updates without it
        self.store.put("members", key, member)
        return Answer(200, {"message": "Member updated."})

    def _date(self, given: str) -> str | None:
        us = re.fullmatch(r"(\d\d)/(\d\d)/(\d{4})", given)
        year, month, day = (us[3], us[1], us[2]) if us else given.split("-")
        return f"{month}/{day}/{year}" if self.settings["date_format"] == "us" else f"{year}-{month}-{day}"

    def _switch(self, key: str, status: int) -> Answer:
        if not self.settings["member_actions"]:
            return self.fail(404, "No such resource")
        self.store.put("members", key, {**self._one("members", key), "status": status})
        return Answer(200, {"message": "Done."})

    @route("PUT", "/members/{key}/deactivate.api")
    def deactivate(self, request: Request, key: str) -> Answer:
        return self._switch(key, 0)

    @route("PUT", "/members/{key}/activate.api")
    def activate(self, request: Request, key: str) -> Answer:
        return self._switch(key, 1)

    # Assets, by their Asset#.

    @route("GET", "/assets/filter.api")
    def filter_assets(self, request: Request) -> Answer:
        params = request.params
        heeded = params.get("status") == "possessions_of" and self.settings["possessions_filter"]
        found = [one for one in self.store.all("assets")
                 if not heeded or str(one["assigned_to_user_id"]) == params.get("filter_param_val")]
        return self._page(request, "assets", [self._shown(one, params.get("include_custom_fields") == "true") for one in found])

    @route("GET", "/assets/{key}.api")
    def get_asset(self, request: Request, key: str) -> Answer:
        return Answer(200, {"asset": self._shown(self._one("assets", key), True)})

    @route("PUT", "/assets/{key}.api")
    def update_asset(self, request: Request, key: str) -> Answer:
        asset = self._one("assets", key)
        for name, value in self._form(request).items():
            custom = re.fullmatch(r"cust_attrs\[(.+)\]", name)
            if custom:
                asset["custom"][custom[1]] = value
        self.store.put("assets", key, asset)
        return Answer(200, {"message": "Asset updated."})

    @route("PUT", "/assets/{key}/checkin.api")
    def check_in(self, request: Request, key: str) -> Answer:
        asset, form = self._one("assets", key), self._form(request)
        if not form.get("checkin_values[location_id]", "").isdigit():
            return Answer(200, {"errors": {"base": ["Location is invalid"]}, "status": 400})
        if asset["state"] != "checked_out":
            return Answer(200, {"errors": {"base": ["Asset is not checked out"]}, "status": 403})
        self.store.put("assets", key, {**asset, "state": "available", "assigned_to_user_id": None, "assigned_to_user_email": None,
                                       "location_id": int(form["checkin_values[location_id]"]),
                                       "comments": form.get("checkin_values[comments]", "")})
        return Answer(200, {"message": "Asset checked in."})

    @route("PUT", "/assets/{key}/checkout.api")
    def check_out(self, request: Request, key: str) -> Answer:
        asset, member = self._one("assets", key), self._one("members", request.params.get("user_id", ""))
        self.store.put("assets", key, {**asset, "state": "checked_out", "assigned_to_user_id": member["id"],
                                       "assigned_to_user_email": member["email"]})
        return Answer(200, {"message": "Asset checked out."})

    # Software licences.

    @route("GET", "/software_licenses/filter.api")
    def filter_licences(self, request: Request) -> Answer:
        params = request.params
        heeded = params.get("status") == "possessions_of" and self.settings["licence_filter"]
        found = [one for one in self.store.all("licences")
                 if not heeded or params.get("filter_param_val") in map(str, one["holders"])]
        shown = []
        for one in found:
            holders = [{"id": key, "email": self.store.get("members", str(key))["email"]} for key in one["holders"]]
            listed = {self.settings["licence_holders"]: holders} if self.settings["licence_holders"] else {}
            shown.append({"license_id": one["id"], "name": one["name"], **(listed if one["users"] else {})})
        return self._page(request, self.settings["licence_list"], shown)

    @route("PUT", "/software_licenses/{key}/{call}.api")
    def take_licence(self, request: Request, key: str, call: str) -> Answer:
        if call != self.settings["licence_call"]:
            return self.fail(404, "No such resource")
        licence, user = self._one("licences", key), self._form(request).get("user_id", "")
        self.store.put("licences", key, {**licence, "holders": [one for one in licence["holders"] if str(one) != user]})
        return Answer(200, {"message": "License checked in."})

    # State for tests.

    def seed(self, state: dict) -> None:
        """Members by `email` (`status`, `custom`); assets by `name` with `holder` (a member's e-mail); licences by `name` with
        `holders` (e-mails), `users` false: one that shows no holders."""
        for given in state.get("members", []):
            number = self.store.next_number("member", 1000)
            self.store.put("members", str(number), {
                "id": number, "email": given["email"], "full_name": given.get("name", "Kim Doe"), "status": given.get("status", 1),
                "offboarding_date": None, "custom": given.get("custom", {})})
        for given in state.get("assets", []):
            holder = self._by_email(given.get("holder"))
            number = given.get("sequence_num") or self.store.next_number("asset", 500)
            self.store.put("assets", str(number), {
                "sequence_num": number, "name": given["name"], "bios_serial_number": given.get("serial", f"S{number}"),
                "location_id": 7, "state": "checked_out" if holder else "available", "assigned_to_user_id": holder["id"] if holder else None,
                "assigned_to_user_email": holder["email"] if holder else None, "custom": {}})
        for given in state.get("licences", []):
            number = self.store.next_number("licence", 80)
            holders = [self._by_email(email)["id"] for email in given.get("holders", [])]
            self.store.put("licences", str(number), {"id": number, "name": given["name"], "users": given.get("users", True),
                                                     "holders": holders})

    def _by_email(self, email: str | None) -> dict | None:
        return next((one for one in self.store.all("members") if email and one["email"] == email), None)

    def export(self) -> dict:
        return {kind: list(self.store.all(kind)) for kind in self.SEED_KEYS}
