"""Every action of the Exchange connector by itself: the exact cmdlets, again, nobody there, refused, throttled, dry; an
answer that is not true; then what is special."""

import json

import pytest
from connector_table import Case, ConnectorTable, Row, filled, left
from unconfirmed import hasty_connector, impatient
from vendors.exchange_admin import error_body
from vendors.entra_tokens import Tokens

pytestmark = pytest.mark.xdist_group("exchange")
TOKEN = Tokens.TOKEN_SETTINGS
ME = "{'Identity': '{id}'}"
GET, STATISTICS = f"Get-Mailbox {ME}", f"Get-MailboxStatistics {ME}"
BOSS = "boss@example.com"
TO_BOSS = "Get-Mailbox {'Identity': 'Boss@example.com'}"
PERMISSIONS = "Get-MailboxPermission {'Identity': '{id}', 'ResultSize': 'Unlimited'}"
LISTS = "Get-DistributionGroup {'Filter': \"Members -eq '{dn}'\", 'ResultSize': 'Unlimited'}"


SECURITY = {"RecipientTypeDetails": "MailUniversalSecurityGroup", "GroupType": "Universal, SecurityEnabled"}
LATER = "it can bring a licence: it is left once the mailbox is shared"


def change(**parameters) -> str:
    return f"Set-Mailbox {dict(Identity='{id}', **parameters)}"


def member(cmdlet: str, group: str, **more) -> str:
    return f"{cmdlet} {dict(Identity=group, Member='{id}', BypassSecurityGroupManagerCheck=True, **more)}"


ROWS = [
    Row("convert_to_shared", [STATISTICS, GET, change(Type="Shared"), GET], outputs={"shared": True, "needs_licence": [], "synced": False}),
    Row("convert_to_user", [GET, change(Type="Regular"), GET], seed={"RecipientTypeDetails": "SharedMailbox"}),
    Row("set_litigation_hold", [GET, change(LitigationHoldEnabled=True, LitigationHoldDuration="2555"), GET],
        with_={"days": 2555}),
    Row("remove_litigation_hold", [GET, change(LitigationHoldEnabled=False), GET], seed={"LitigationHoldEnabled": True}),
    Row("hide_from_address_list", [GET, change(HiddenFromAddressListsEnabled=True), GET]),
    Row("show_in_address_list", [GET, change(HiddenFromAddressListsEnabled=False), GET],
        seed={"HiddenFromAddressListsEnabled": True}),
    Row("leave_distribution_groups", [
        GET, LISTS, member("Remove-DistributionGroupMember", "{sales}", Confirm=False),
        member("Remove-DistributionGroupMember", "{staff}", Confirm=False), GET, LISTS],
        seed={"lists": [{"PrimarySmtpAddress": "sales.{short}@example.com"}, {"PrimarySmtpAddress": "staff.{short}@example.com"},
                        {"PrimarySmtpAddress": "synced.{short}@example.com", "IsDirSynced": True},
                        {"PrimarySmtpAddress": "secure.{short}@example.com", **SECURITY}]},
        before={"groups": [{"id": "{sales}", "name": "sales.{short}"}, {"id": "{staff}", "name": "staff.{short}"}]},
        outputs={"groups": ["sales.{short}", "staff.{short}"],
                 "not_left": [{"name": "synced.{short}", "reason": "synced from on-premises: AD has to do it"},
                              {"name": "secure.{short}", "reason": LATER}]},
        leaves={"security_groups": ["secure.{short}"]}),
    Row("leave_distribution_groups", [GET, LISTS, member("Remove-DistributionGroupMember", "{secure}", Confirm=False), GET, LISTS],
        name="leave_shared",
        seed={"RecipientTypeDetails": "SharedMailbox", "lists": [{"PrimarySmtpAddress": "secure.{short}@example.com", **SECURITY}]},
        before={"groups": [{"id": "{secure}", "name": "secure.{short}"}]},
        outputs={"groups": ["secure.{short}"], "not_left": []}, leaves={"security_groups": []}),
    Row("leave_distribution_groups", [GET, LISTS, member("Remove-DistributionGroupMember", "{secure}", Confirm=False), GET, LISTS],
        name="leave_for_good", with_={"keep": "nothing"},
        seed={"lists": [{"PrimarySmtpAddress": "secure.{short}@example.com", **SECURITY}]},
        outputs={"groups": ["secure.{short}"], "not_left": []}, leaves={"security_groups": []}),
    Row("stop_forwarding", [GET, change(ForwardingAddress=None, ForwardingSmtpAddress=None, DeliverToMailboxAndForward=False), GET],
        seed={"ForwardingSmtpAddress": "smtp:me@home.example", "DeliverToMailboxAndForward": True},
        before={"address": None, "smtp": "smtp:me@home.example", "both": True}, outputs={"forwarded_to": "me@home.example"}),
    Row("restore_forwarding", [GET, change(ForwardingAddress=None, ForwardingSmtpAddress="smtp:me@home.example", DeliverToMailboxAndForward=True), GET],
        seed={"before": {"address": None, "smtp": "smtp:me@home.example", "both": True}}, again="succeeded"),
    Row("share_mailbox", [GET, TO_BOSS, PERMISSIONS, f"Add-MailboxPermission {dict(Identity='{id}', User=BOSS, AccessRights='FullAccess', AutoMapping=True)}",
                          PERMISSIONS], with_={"to": "Boss@example.com"}),
    Row("unshare_mailbox", [GET, TO_BOSS, PERMISSIONS,
                            f"Remove-MailboxPermission {dict(Identity='{id}', User=BOSS, AccessRights='FullAccess', Confirm=False)}", PERMISSIONS],
        with_={"to": "Boss@example.com"}, seed={"permissions": [{"User": BOSS, "AccessRights": ["FullAccess"], "Deny": False}]}),
    Row("rejoin_distribution_groups", [GET, member("Add-DistributionGroupMember", "{sales}"), LISTS],
        seed={"lists": [{"PrimarySmtpAddress": "sales.{short}@example.com", "members": []}],
              "before": {"groups": [{"id": "{sales}", "name": "sales"}]}}, again="succeeded"),
]


class ExchangeCase(Case):
    """All requests are POSTs to one path: what they are is told by the cmdlet."""

    def try_(self, *more: str, live: bool = True, id: str | None = None, **env: str) -> dict:
        before = self.row.seed.get("before")
        given = ["--before", json.dumps({id or self.names["id"]: filled(before, self.names)})] if before else []
        return super().try_(*given, *more, live=live, id=id, **env)

    def requests(self) -> list[str]:
        inputs = [entry["body"]["CmdletInput"] for entry in self.journal()]
        return [f"{one['CmdletName']} {one['Parameters']}" for one in inputs]

    def fault(self, rule: dict) -> None:
        first = next((line for line in self.expected() if not line.startswith("Get-")), self.expected()[0])
        match = {"path": "InvokeCommand$", "body": f'"CmdletName": ?"{first.split()[0]}"'}
        self.stack.sandbox.fault(self.table.vendor_name, {"match": match, **rule})


class TestExchange(ConnectorTable):
    system = "exchange"
    rows = ROWS

    def settings(self, url):
        return {"url": url, "login_url": url, **{name: TOKEN[name] for name in ("tenant", "client_id", "client_secret")},
                "per_minute": "60000"}

    def leaver(self, stack, row, email):
        short = email.partition("@")[0]
        lists = filled([{"members": ["{email}"], **one} for one in row.seed.get("lists", [])], {"short": short, "email": email})
        given = {name: value for name, value in row.seed.items() if name not in ("lists", "before")}
        state = stack.sandbox.seed("exchange", {"mailboxes": [{"PrimarySmtpAddress": BOSS}, {"PrimarySmtpAddress": email, **given}], "lists": lists})
        mailbox = next(one for one in state["mailboxes"] if one["PrimarySmtpAddress"] == email)
        ids = {one["PrimarySmtpAddress"].partition(".")[0]: one["Guid"] for one in state["lists"]
               if one["PrimarySmtpAddress"].partition(".")[2] == email}
        return {"id": mailbox["Guid"], "dn": mailbox["DistinguishedName"], "short": short, **ids}

    @pytest.fixture
    def case(self, stack, row, request):
        test = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
        yield ExchangeCase(self, stack, row, test)
        stack.sandbox.clear_faults(self.vendor_name)

    @pytest.fixture(scope="class")
    def hasty(self, make_shared_stack, tmp_path_factory):
        """A stack whose connector gives its read-backs a moment only."""
        stack = make_shared_stack(systems="exchange", settings={
            "definitions": {"connectors": [hasty_connector("exchange", tmp_path_factory)]}})
        stack.settings["systems"]["exchange"] = self.settings(stack.sandbox.url("exchange"))
        stack.write_settings()
        return stack

    def test_an_answer_that_is_not_true(self, hasty, row):
        """All changes are answered well and made by nobody: the read-back has to see it."""
        case = ExchangeCase(self, hasty, row, "untrue")
        hasty.sandbox.fault("exchange", {"match": {"body": '"CmdletName": ?"(Set|Add|Remove)-'}, "do": "noop"})
        said = case.try_()
        hasty.sandbox.clear_faults("exchange")
        assert said["outcome"] == "failed" and said["message"].startswith("not confirmed by reading back"), said


# What is special.

TABLE = TestExchange()


@pytest.fixture(scope="module")
def stack(make_shared_stack):
    stack = make_shared_stack(systems="exchange")
    stack.settings["systems"]["exchange"] = TABLE.settings(stack.sandbox.url("exchange"))
    stack.write_settings()
    return stack


@pytest.fixture
def try_(stack):
    """A try of an action for a leaver who is known by address alone."""
    def one(action: str, email: str, *more: str, live: bool = True, **env: str) -> dict:
        done = stack.try_action("exchange", action, "--email", email, "--json", *(["--live"] if live else []), *more, **env)
        return json.loads(done.out)

    yield one
    stack.sandbox.clear_faults()


def mailbox(stack, email: str, **more) -> dict:
    state = stack.sandbox.seed("exchange", {"mailboxes": [{"PrimarySmtpAddress": email, **more}]})
    return next(one for one in state["mailboxes"] if one["PrimarySmtpAddress"] == email)


def test_who_it_is(stack, try_):
    """The mailbox is pinned by its guid, and asked for where the leaver's mail lies."""
    known = mailbox(stack, "pinned@example.com")
    since = len(stack.sandbox.journal("exchange"))
    said = try_("hide_from_address_list", "pinned@example.com")
    assert said["outcome"] == "succeeded", said
    entries = [entry for entry in stack.sandbox.journal("exchange")[since:] if entry["path"].endswith("/InvokeCommand")]
    assert {entry["headers"]["x-anchormailbox"] for entry in entries} == {"UPN:pinned@example.com"}
    asked = [entry["body"]["CmdletInput"]["Parameters"]["Identity"] for entry in entries]
    assert asked == ["pinned@example.com"] + 3 * [known["Guid"]]


def test_an_alias_of_somebody_else(stack, try_):
    """The address was given to a new person: nobody's mailbox is touched."""
    mailbox(stack, "heir@example.com", EmailAddresses=["SMTP:heir@example.com", "smtp:old.hand@example.com"])
    said = try_("convert_to_shared", "old.hand@example.com")
    assert said["outcome"] == "blocked" and "which shows another one" in said["message"], said
    assert mailbox(stack, "heir@example.com")["RecipientTypeDetails"] == "UserMailbox"


def test_an_alias_of_the_leaver(stack, try_):
    """HR knows the main address as well."""
    mailbox(stack, "new.name@example.com", EmailAddresses=["SMTP:new.name@example.com", "smtp:old.name@example.com"])
    said = try_("convert_to_shared", "old.name@example.com", "--user", json.dumps({"emails": ["new.name@example.com"]}))
    assert said["outcome"] == "succeeded", said


def test_an_alias_that_the_directory_knows(stack, try_):
    """HR has the old address only: that the mailbox is the leaver's says the account of Microsoft 365."""
    known = mailbox(stack, "married@example.com", EmailAddresses=["SMTP:married@example.com", "smtp:maiden@example.com"])
    said = try_("convert_to_shared", "maiden@example.com", "--ids", json.dumps({"m365": [known["ExternalDirectoryObjectId"]]}))
    assert said["outcome"] == "succeeded" and said["pinned"]["exchange"] == [known["Guid"]], said


@pytest.mark.parametrize("alias, outcome", [(False, "succeeded"), (True, "blocked")], ids=["leaver", "alias"])
def test_a_mailbox_on_the_second_page(stack, try_, alias, outcome):
    name = f"second.{outcome}@example.com"
    key = f"alias.{name}" if alias else name
    known = mailbox(stack, name, EmailAddresses=[f"SMTP:{name}", f"smtp:{key}"])
    stack.sandbox.fault("exchange", {"match": {"body": f'"Identity": ?"{key}"', "query": "^$"}, "do": "status", "status": 200, "body": {
        "value": [], "@odata.nextLink": f"{stack.sandbox.url('exchange')}/adminapi/beta/{TOKEN['tenant']}/InvokeCommand?$skiptoken=0"}})
    said = try_("hide_from_address_list", key)
    assert said["outcome"] == outcome and known["Guid"] in str(said), said


@pytest.mark.parametrize("action, state", [
    ("convert_to_shared", {"RecipientTypeDetails": "SharedMailbox"}), ("set_litigation_hold", {"LitigationHoldEnabled": True}),
    ("hide_from_address_list", {"HiddenFromAddressListsEnabled": True})])
def test_an_answer_about_somebody_else(stack, try_, action, state):
    """It confirms nothing, neither before the change nor after it."""
    known = mailbox(stack, f"{action}.mine@example.com".replace("_", "-"))
    for skip in (0, 1):
        stack.sandbox.fault("exchange", {"match": {"body": '"Get-Mailbox"'}, "do": "status", "status": 200, "skip": skip, "body": {
            "value": [{**known, **state, "Guid": "another"}]}})
        said = try_(action, known["PrimarySmtpAddress"], "--ids", json.dumps({"exchange": [known["Guid"]]}), **impatient(stack, "exchange"))
        stack.sandbox.clear_faults()
        assert said["outcome"] == "failed", (skip, said)


def test_nobody_of_this_name(try_):
    assert try_("convert_to_shared", "no.such@example.com")["outcome"] == "missing"


@pytest.mark.parametrize("name, more, reasons", [
    ("big", {"size": 60 * 2 ** 30}, ["more than 50 GB"]), ("archive", {"ArchiveStatus": "Active"}, ["archive"]),
    ("held", {"LitigationHoldEnabled": True, "InPlaceHolds": ["mbx7"]}, ["litigation hold", "retention hold"]),
    ("new", {"opened": False}, []), ("unread", {"size": None}, ["its size is not known"])])
def test_what_needs_a_licence_all_the_same(stack, try_, name, more, reasons):
    mailbox(stack, f"{name}@example.com", **more)
    said = try_("convert_to_shared", f"{name}@example.com")
    assert (said["outcome"], said["outputs"]) == ("succeeded", {"shared": True, "needs_licence": reasons, "synced": False}), said


def test_a_room_is_nobodys_mailbox(stack, try_):
    mailbox(stack, "room@example.com", RecipientTypeDetails="RoomMailbox")
    said = try_("convert_to_shared", "room@example.com")
    assert said["outcome"] == "blocked" and "no person's mailbox" in said["message"], said


def test_a_synced_mailbox_is_hidden_by_ad(stack, try_):
    mailbox(stack, "synced@example.com", IsDirSynced=True)
    said = try_("hide_from_address_list", "synced@example.com")
    assert said["outcome"] == "blocked" and "AD has to do it" in said["message"], said
    assert [call for call in said["calls"] if call["changes"]] == []


@pytest.mark.parametrize("to, why", [("nobody.here@example.com", "has no mailbox in Exchange Online"), ("mine@example.com", "and not the leaver"),
                                     ("boss.alias@example.com", "the main address boss.alias@example.com")])
def test_who_may_not_open_the_mailbox(stack, try_, to, why):
    mailbox(stack, "mine@example.com")
    mailbox(stack, BOSS, EmailAddresses=[f"SMTP:{BOSS}", "smtp:boss.alias@example.com"])
    said = try_("share_mailbox", "mine@example.com", "--with", json.dumps({"to": to}))
    assert said["outcome"] == "blocked" and why in said["message"], said
    assert [call for call in said["calls"] if call["changes"]] == []


def test_the_access_of_who_has_left_since(stack, try_):
    """The right is found by the address that is known; Exchange has no mailbox of that name any more."""
    mailbox(stack, "held@example.com", permissions=[{"User": "Former.Boss@example.com", "AccessRights": ["FullAccess"], "Deny": False}])
    stack.sandbox.settings("exchange", cmdlet_page=1)
    said = try_("unshare_mailbox", "held@example.com", "--with", json.dumps({"to": "former.boss@example.com"}))
    again = try_("unshare_mailbox", "held@example.com", "--with", json.dumps({"to": "former.boss@example.com"}))
    stack.sandbox.settings("exchange", cmdlet_page=1000)
    assert (said["outcome"], again["outcome"]) == ("succeeded", "already_done"), (said, again)
    assert mailbox(stack, "held@example.com")["permissions"] == []


def test_lists_on_many_pages(stack, try_):
    stack.sandbox.settings("exchange", cmdlet_page=2)
    mailbox(stack, "o'neil@example.com")
    stack.sandbox.seed("exchange", {"lists": [{"PrimarySmtpAddress": f"list{n}@example.com", "members": ["o'neil@example.com"],
                                               "IsDirSynced": n == 0} for n in range(5)]})
    said = try_("leave_distribution_groups", "o'neil@example.com")
    stack.sandbox.settings("exchange", cmdlet_page=1000)
    assert said["outcome"] == "succeeded" and said["outputs"]["groups"] == [f"list{n}" for n in range(1, 5)], said
    assert [one["name"] for one in said["outputs"]["not_left"]] == ["list0"]
    again = try_("leave_distribution_groups", "o'neil@example.com")
    assert again["outcome"] == "already_done" and [one["name"] for one in again["outputs"]["not_left"]] == ["list0"], again


def test_a_security_group_is_left_after_the_conversion(stack, try_):
    """It may bring the licence: a person's mailbox would be deleted."""
    mailbox(stack, "secured@example.com")
    stack.sandbox.seed("exchange", {"lists": [{"PrimarySmtpAddress": "secured.list@example.com", "members": ["secured@example.com"],
                                               **SECURITY}]})
    said = try_("leave_distribution_groups", "secured@example.com")
    assert said["outcome"] == "already_done" and left(said) == {"security_groups": ["secured.list"]}, said
    assert try_("convert_to_shared", "secured@example.com")["outcome"] == "succeeded"
    said = try_("leave_distribution_groups", "secured@example.com")
    assert (said["outcome"], said["outputs"]["groups"], left(said)) == ("succeeded", ["secured.list"], {"security_groups": []}), said


def test_somebody_was_quicker(stack, try_):
    mailbox(stack, "quick@example.com")
    stack.sandbox.seed("exchange", {"lists": [{"PrimarySmtpAddress": "quick.list@example.com",
                                               "members": ["quick@example.com"]}]})
    body = error_body("BadRequest", "The recipient isn't a member of the group.", "MemberNotFoundException")
    stack.sandbox.fault("exchange", {"match": {"body": "Remove-"}, "do": "status_after", "status": 400, "body": body, "times": 1})
    assert try_("leave_distribution_groups", "quick@example.com")["outcome"] == "succeeded"


def test_the_reason_of_a_refusal_is_told(stack, try_):
    mailbox(stack, "refused@example.com")
    body = error_body("BadRequest", "The mailbox plan does not allow it.", "RecipientTaskException")
    stack.sandbox.fault("exchange", {"match": {"body": "Set-Mailbox"}, "do": "status", "status": 400, "body": body})
    said = try_("set_litigation_hold", "refused@example.com")
    assert said["outcome"] == "failed" and said["message"].endswith("400: The mailbox plan does not allow it."), said


def test_a_moment_of_weakness(stack, try_):
    mailbox(stack, "weak@example.com")
    body = error_body("BadRequest", "The directory is busy.", "ADTransientException")
    stack.sandbox.fault("exchange", {"match": {"body": "Set-Mailbox"}, "do": "status", "status": 400, "body": body, "times": 1})
    assert try_("set_litigation_hold", "weak@example.com")["outcome"] == "succeeded"


def test_refused_credentials(stack, try_):
    said = try_("convert_to_shared", "any@example.com", OFFBOARD_SYSTEMS_EXCHANGE_CLIENT_SECRET="another-s3cret")
    assert said["outcome"] == "denied" and "AADSTS7000215" in said["message"] and "s3cret" not in json.dumps(said), said


def test_without_the_permission(stack, try_):
    stack.sandbox.settings("exchange", permissions=["Mail.Read"])
    said = try_("convert_to_shared", "any@example.com")
    stack.sandbox.settings("exchange", permissions=None)
    assert said["outcome"] == "denied", said


def test_the_check(stack):
    assert stack.cli("check", "exchange").ok().out == "exchange: ok\n"
