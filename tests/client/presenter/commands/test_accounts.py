"""Commands for accounts and administration: their requests, questions and results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.state import ConnectionChanged, DeviceAdded, Link
from chat.client.presenter.commands.audit import entry_text
from chat.client.presenter.commands.users import open_menu
from chat.client.presenter.composer.completion import Sources, complete
from chat.client.presenter.view import sentence
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import (
    AccountCommand,
    Ban,
    BaseCommand,
    CreateInvitation,
    CreateLink,
    ListBans,
    ListDevices,
    ListInvitations,
    ListUsers,
    ReadAudit,
    Revoke,
    SetPassword,
    Unban,
)
from chat.protocol.frames import (
    Account,
    AccountInfo,
    Audit,
    AuditEntry,
    BanInfo,
    Bans,
    Device,
    Devices,
    Invitation,
    InvitationFrame,
    Invitations,
    LinkCode,
    Ok,
    Users,
)
from chat.protocol.values import Wire
from tests.client.presenter.commands.test_commands import Bench

NOW = 1_764_000_000_000
LATER = 4_000_000_000_000
BOB = Account(account=AccountInfo(name="bob", created=NOW))
PHONE = Device(id=7, label="phone", created=NOW, seen=NOW)
LAPTOP = Device(id=8, label="laptop", created=NOW, seen=NOW, current=True)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    be(bench, "admin")
    bench.conversation.state.take_names(("mallory", "10.0.0.1"))
    yield bench
    for work in bench.view.beside:
        work.close()


def be(bench: Bench, role: str, *, has_accounts: bool = True) -> None:
    """Sign in with a role, on a server with or without accounts."""
    bench.core.tell(ConnectionChanged(Link.ONLINE, user="me", role=role, has_accounts=has_accounts))
    bench.take_in()


def answer(bench: Bench, *answers: tuple[BaseCommand, Wire]) -> None:
    bench.core.answers += answers


def asked(bench: Bench, command: BaseCommand) -> bool:
    return (command.type, command) in bench.core.calls  # type: ignore[attr-defined]


async def run(bench: Bench, text: str) -> None:
    bench.run(text)
    await bench.finish()


async def choose(bench: Bench, key: str) -> None:
    bench.view.choose_row(key)
    await bench.finish()


@pytest.mark.feature("accounts.devices")
async def test_a_device_is_revoked_from_the_list_after_one_question(bench: Bench) -> None:
    answer(bench, (ListDevices(), Devices(devices=(PHONE, LAPTOP))), (Revoke(device=7), Ok()))
    await run(bench, "/devices")
    assert [row.label for row in bench.view.rows] == ["7. phone", "8. laptop"]
    assert ["this device" in row.note for row in bench.view.rows] == [False, True]
    await choose(bench, "7")
    assert bench.view.done[-1][0] == "confirm"
    assert asked(bench, Revoke(device=7))
    assert bench.view.said[-1] == ("Revoked device 7 (phone).", "information")


async def test_revoking_this_device_says_that_it_is_signed_out(bench: Bench) -> None:
    answer(bench, (ListDevices(), Devices(devices=(LAPTOP,))))
    bench.view.agrees = False
    await run(bench, "/devices revoke 8")
    assert "You are using it" in bench.view.done[-1][1]
    assert not asked(bench, Revoke(device=8))
    await run(bench, "/devices revoke 9")
    assert bench.view.said[-1][0] == "You have no device 9. Use /devices to list them."


@pytest.mark.feature("accounts.link")
async def test_a_link_code_is_shown_and_not_said(bench: Bench) -> None:
    answer(bench, (CreateLink(), LinkCode(code="7K3QX-9MZ2T", expires=NOW)))
    await run(bench, "/link")
    assert bench.view.done[-1][:3] == ("show_code", "Link code for me", "7K3QX-9MZ2T")
    assert not any("7K3QX" in text for text, _ in bench.view.said)
    bench.core.tell(DeviceAdded())
    bench.take_in()
    assert bench.view.done[-1] == ("close_code", "7K3QX-9MZ2T")


@pytest.mark.feature("accounts.password")
@pytest.mark.parametrize(
    ("command", "has_password", "typed", "sent"),
    [
        ("/password", False, ["longer one", "longer one"], SetPassword(password="longer one")),
        (
            "/password",
            True,
            ["old one", "longer one", "longer one"],
            SetPassword(password="longer one", current="old one"),
        ),
        ("/password set", False, ["longer one"] * 2, SetPassword(password="longer one")),
        (
            "/password change",
            True,
            ["old one", "longer one", "longer one"],
            SetPassword(password="longer one", current="old one"),
        ),
        ("/password remove", True, ["old one"], SetPassword(current="old one")),
    ],
)
async def test_a_new_password_is_hidden_and_typed_twice(
    bench: Bench, command: str, has_password: bool, typed: list[str], sent: SetPassword
) -> None:
    me = AccountInfo(name="me", created=NOW, has_password=has_password)
    answer(bench, (AccountCommand(name="me"), Account(account=me)), (sent, Ok()))
    bench.view.secrets += typed
    await run(bench, command)
    questions = [done for done in bench.view.done if done[0] == "ask_secret"]
    assert [is_hidden for *_, is_hidden in questions] == [True] * len(typed)
    assert [call[1] for call in bench.core.calls if call[0] == "password"] == [sent]
    assert len(bench.view.said) == 1


@pytest.mark.parametrize(
    ("typed", "problem"),
    [(["short"], "That is too short."), (["longer one", "other one"], "The two passwords differ.")],
)
async def test_an_unusable_new_password_is_asked_for_again(
    bench: Bench, typed: list[str], problem: str
) -> None:
    me = AccountInfo(name="me", created=NOW)
    set_it = SetPassword(password="longer one")
    answer(bench, (AccountCommand(name="me"), Account(account=me)), (set_it, Ok()))
    bench.view.secrets += [*typed, "longer one", "longer one"]
    await run(bench, "/password")
    questions = [done[1] for done in bench.view.done if done[0] == "ask_secret"]
    new = "New password, at least 8 characters"
    assert questions[len(typed) :] == [f"{problem} {new}", "Repeat the new password"]
    assert asked(bench, set_it)


async def test_a_password_typed_behind_the_command_is_not_repeated(bench: Bench) -> None:
    await run(bench, "/password hunter2hunter2")
    assert "hunter2" not in bench.view.said[-1][0]
    assert not bench.core.asked("password")


async def test_whois_tells_about_an_account(bench: Bench) -> None:
    bob = AccountInfo(name="Bob", role="admin", created=NOW, disabled=True)
    answer(bench, (AccountCommand(name="bob"), Account(account=bob)))
    await run(bench, "/whois @bob")
    assert bench.view.said[-1][0] == "Bob: admin · created 24 Nov 2025 · never signed in · disabled"


@pytest.mark.feature("accounts.menu")
@pytest.mark.parametrize(
    ("name", "role", "rows"),
    [
        ("bob", "member", ["message", "whois"]),
        ("bob", "admin", ["message", "whois", "ban", "role", "disable"]),
        ("ME", "admin", ["devices", "link", "password", "whois"]),
    ],
)
async def test_the_menu_of_a_user_lists_the_permitted_actions(
    bench: Bench, name: str, role: str, rows: list[str]
) -> None:
    be(bench, role)
    answer(bench, (AccountCommand(name="bob"), BOB))
    open_menu(bench.conversation, name)
    await bench.finish()
    assert [row.key for row in bench.view.rows] == rows


@pytest.mark.parametrize(
    ("change", "key"),
    [({"banned": True}, "unban"), ({"disabled": True}, "enable")],
)
async def test_the_menu_offers_to_undo_what_applies(
    bench: Bench, change: dict[str, bool], key: str
) -> None:
    account = BOB.account.model_copy(update=change)
    answer(bench, (AccountCommand(name="bob"), Account(account=account)))
    open_menu(bench.conversation, "bob")
    await bench.finish()
    keys = [row.key for row in bench.view.rows]
    assert key in keys
    assert {"unban": "ban", "enable": "disable"}[key] not in keys


async def test_the_menu_begins_commands_that_need_more(bench: Bench) -> None:
    answer(bench, (AccountCommand(name="bob"), BOB))
    open_menu(bench.conversation, "bob")
    await bench.finish()
    await choose(bench, "ban")
    assert bench.view.done[-1] == ("begin_command", "/ban bob ")


@pytest.mark.parametrize("command", ["/ban bob", "/users", "/audit", "/role bob admin"])
def test_members_are_refused_commands_of_admins_at_once(bench: Bench, command: str) -> None:
    be(bench, "member")
    before = list(bench.view.done)
    bench.conversation.run_command(command)
    word = command.split()[0]
    said = f"Only admins of this server can use {word}."
    assert bench.view.said == [(said, "warning")]
    assert bench.view.done == before
    assert not bench.view.beside


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("there is no user “bob”", "There is no user “bob”."),
        ("bob is not banned", "bob is not banned."),
        ("address: “x” is not an address", "Address: “x” is not an address."),
        ("“x” is not a name.", "“x” is not a name."),
    ],
)
def test_an_error_is_shown_as_a_sentence(text: str, shown: str) -> None:
    assert sentence(text) == shown


async def test_without_accounts_a_chosen_member_opens_the_direct_channel(bench: Bench) -> None:
    be(bench, "member", has_accounts=False)
    open_menu(bench.conversation, "bob")
    for work in bench.view.beside:
        work.send(None)
    assert not bench.view.rows
    assert bench.core.asked("join")


@pytest.mark.parametrize("role", ["admin", "member"])
def test_commands_of_admins_are_listed_for_them_only(bench: Bench, role: str) -> None:
    be(bench, role)
    found = complete("/ban", Sources(is_admin=bench.conversation.state.is_admin))
    offered = [each.insert for each in found.candidates] if found else []
    assert ("/bans " in offered) is (role == "admin")


async def test_users_are_listed_page_by_page_and_open_their_menu(bench: Bench) -> None:
    ann = AccountInfo(name="ann", created=NOW, banned=True)
    bob = AccountInfo(name="bob", created=NOW)
    answer(bench, (ListUsers(), Users(users=(ann,), cursor="ann")))
    answer(bench, (ListUsers(cursor="ann"), Users(users=(bob,))))
    answer(bench, (AccountCommand(name="bob"), BOB))
    await run(bench, "/users")
    assert [row.key for row in bench.view.rows] == ["ann", "bob"]
    assert bench.view.rows[0].note.endswith("banned")
    await choose(bench, "bob")
    assert bench.view.done[-1] == ("list_rows", "bob")


INVITATION = Invitation(id=13, created=NOW, expires=LATER, uses=10, used=2, channels=("#team",))


@pytest.mark.feature("accounts.invitations")
@pytest.mark.parametrize(
    ("details", "command"),
    [
        ("", CreateInvitation()),
        ("10 2d #team", CreateInvitation(uses=10, expires=172_800, channels=("#team",))),
        ("#a, #b bot 1h", CreateInvitation(expires=3_600, role="bot", channels=("#a", "#b"))),
    ],
)
async def test_an_invitation_is_created_and_its_code_shown(
    bench: Bench, details: str, command: CreateInvitation
) -> None:
    answer(bench, (command, InvitationFrame(code="0Q8VB-KM4TS", invitation=INVITATION)))
    await run(bench, f"/invitations create {details}".strip())
    assert bench.view.done[-1][:3] == ("show_code", "Invitation for 10 people", "0Q8VB-KM4TS")
    assert not bench.view.said


@pytest.mark.parametrize("details", ["0", "tomorrow", "20000", "30s", "#"])
async def test_invalid_details_of_an_invitation_are_refused(bench: Bench, details: str) -> None:
    await run(bench, f"/invitations create {details}")
    assert f"“{details}”" in bench.view.said[-1][0]
    assert not bench.core.asked("invitation")


async def test_only_valid_invitations_can_be_revoked(bench: Bench) -> None:
    gone = INVITATION.model_copy(update={"id": 12, "revoked": True})
    answer(bench, (ListInvitations(), Invitations(invitations=(INVITATION, gone))))
    answer(bench, (Revoke(invitation=13), Ok()))
    await run(bench, "/invitations")
    assert [row.key for row in bench.view.rows] == ["create", "13", "12"]
    assert "2 of 10 used · #team" in bench.view.rows[1].note
    await choose(bench, "12")
    assert bench.view.said[-1][0] == "Invitation 12 is already revoked."
    await choose(bench, "13")
    assert asked(bench, Revoke(invitation=13))


@pytest.mark.feature("accounts.ban")
@pytest.mark.parametrize(
    ("text", "name", "address", "reason", "has_end"),
    [
        ("/ban mallory", "mallory", None, "", False),
        ("/ban @mallory 7d  spam  again", "mallory", None, "spam again", True),
        ("/ban mallory spam", "mallory", None, "spam", False),
        ("/ban 192.0.2.0/24 2h", None, "192.0.2.0/24", "", True),
        ("/ban 2001:db8::1", None, "2001:db8::1", "", False),
        ("/ban @10.0.0.1", "10.0.0.1", None, "", False),
    ],
)
async def test_a_ban_is_placed_after_one_question(
    bench: Bench, text: str, name: str | None, address: str | None, reason: str, has_end: bool
) -> None:
    await run_to_ask(bench, text)
    ((ban,),) = bench.core.asked("ban")
    assert isinstance(ban, Ban)
    assert (ban.name, ban.address, ban.reason) == (name, address, reason)
    assert (ban.until is not None) is has_end
    questions = [done for done in bench.view.done if done[0] == "confirm"]
    assert len(questions) == 1
    assert (name or address or "") in questions[0][1]


async def run_to_ask(bench: Bench, text: str) -> None:
    """Run a command up to its request."""
    bench.run(text)
    for work in bench.view.beside:
        work.send(None)


async def test_a_ban_that_needs_force_asks_again(bench: Bench) -> None:
    answer(bench, (Ban(address="127.0.0.1", force=True), Ok()))
    bench.run("/ban 127.0.0.1")
    working = asyncio.create_task(bench.finish())
    while "ban" not in bench.core.futures:
        await asyncio.sleep(0)
    error = CommandError(ErrorCode.NEEDS_FORCE, "it covers loopback")
    bench.core.futures["ban"].set_exception(error)
    await working
    assert "it covers loopback" in [done[2] for done in bench.view.done if done[0] == "confirm"]
    assert bench.view.said[-1][0] == "Banned 127.0.0.1."


async def test_a_ban_says_which_ban_it_replaces(bench: Bench) -> None:
    replaced = BanInfo(
        id=1, address="192.0.2.7", created=1_780_000_000_000, by="olga", reason="spam"
    )
    answer(bench, (Ban(address="192.0.2.7"), Ok(replaced=replaced)))
    bench.run("/ban 192.0.2.7")
    await bench.finish()
    assert bench.view.said[-1][0] == (
        "Banned 192.0.2.7. This replaces the ban until lifted · by olga · spam."
    )


async def test_a_ban_of_an_unknown_name_asks_nothing(bench: Bench) -> None:
    bench.run("/ban malory")
    working = asyncio.create_task(bench.finish())
    while "account" not in bench.core.futures:
        await asyncio.sleep(0)
    error = CommandError(ErrorCode.NO_SUCH_USER, "there is no user “malory”")
    bench.core.futures["account"].set_exception(error)
    await working
    assert bench.view.said[-1][0] == "There is no user “malory”."
    assert not [done for done in bench.view.done if done[0] == "confirm"]
    assert not bench.core.asked("ban")


async def test_nothing_is_banned_without_agreement(bench: Bench) -> None:
    bench.view.agrees = False
    await run(bench, "/ban mallory")
    await run(bench, "/disable mallory")
    assert not bench.core.asked("ban")
    assert not bench.core.asked("account")


@pytest.mark.parametrize("command", ["users", "bans", "channels"])
async def test_a_list_that_cannot_be_read_shows_why(bench: Bench, command: str) -> None:
    bench.run(f"/{command}")
    working = asyncio.create_task(bench.finish())
    while not bench.core.futures:
        await asyncio.sleep(0)
    (asked,) = bench.core.futures.values()
    asked.set_exception(CommandError(ErrorCode.FORBIDDEN, "only admins may do this"))
    await working
    assert [row.label for row in bench.view.rows] == ["Only admins may do this."]


async def test_bans_are_listed_and_lifted(bench: Bench) -> None:
    ban = BanInfo(id=4, address="192.0.2.0/24", created=NOW, until=LATER, reason="spam", by="me")
    answer(bench, (ListBans(), Bans(bans=(ban,))), (Unban(address="192.0.2.0/24"), Ok()))
    await run(bench, "/bans")
    assert bench.view.rows[0].label == "192.0.2.0/24"
    await choose(bench, "4")
    assert bench.view.said[-1][0] == "Lifted the ban on 192.0.2.0/24."


@pytest.mark.parametrize(
    ("text", "command", "said"),
    [
        ("/unban mallory", Unban(name="mallory"), "Lifted the ban on mallory."),
        ("/role bob ADMIN", AccountCommand(name="bob", role="admin"), "The role of bob is now"),
        ("/disable bob", AccountCommand(name="bob", disabled=True), "Disabled bob."),
        ("/enable bob", AccountCommand(name="bob", disabled=False), "Enabled bob."),
    ],
)
async def test_an_act_on_an_account_is_confirmed_in_words(
    bench: Bench, text: str, command: BaseCommand, said: str
) -> None:
    answer(bench, (command, Ok()))
    await run(bench, text)
    assert bench.view.said[-1][0].startswith(said)


@pytest.mark.feature("accounts.audit")
async def test_the_audit_log_is_read_in_pages(bench: Bench) -> None:
    entry = AuditEntry(seq=9, ts=NOW, act="banned", by="me", user="mallory")
    answer(bench, (ReadAudit(limit=200), Audit(entries=(entry,), complete=False)))
    answer(bench, (ReadAudit(before=9, limit=200), Audit(entries=(), complete=True)))
    await run(bench, "/audit")
    assert [row.key for row in bench.view.rows] == ["9", "older"]
    await choose(bench, "9")
    assert "me banned mallory" in bench.view.said[-1][0]
    await choose(bench, "older")
    assert asked(bench, ReadAudit(before=9, limit=200))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            {"act": "device_added", "user": "bob", "details": {"label": "x"}},
            "the operator added the device “x” for bob",
        ),
        ({"act": "device_added", "by": "bob", "user": "bob"}, "bob added a device"),
        ({"act": "created", "by": "bob", "user": "bob"}, "bob signed up"),
        ({"act": "created", "user": "bob"}, "the operator created the account bob"),
        ({"act": "banned", "details": {"network": "::/0"}}, "the operator banned ::/0"),
        (
            {"act": "role", "by": "a", "user": "b", "details": {"role": "bot"}},
            "a set the role of b to bot",
        ),
        ({"act": "link_created", "by": "a", "user": "a"}, "a created a link code"),
        ({"act": "link_created", "user": "a"}, "the operator created a link code for a"),
        (
            {"act": "erased", "user": "deleted-2", "details": {"login": "olivia"}},
            "the operator (olivia) erased deleted-2",
        ),
        ({"act": "new_kind", "by": "a"}, "a: new kind"),
    ],
)
def test_an_audit_entry_is_a_sentence(entry: dict[str, object], sentence: str) -> None:
    assert entry_text(AuditEntry.model_validate({"seq": 1, "ts": NOW, **entry})) == sentence


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ((SignInWay.NAME,), "You cannot use a link code here. The name is taken. Use /name NAME"),
        ((), "You cannot use a link code here. Use /reconnect to retry."),
    ],
)
async def test_signing_in_another_way_than_the_possible_ones_says_what_helps(
    bench: Bench, ways: tuple[SignInWay, ...], said: str
) -> None:
    await run(bench, "/signin link")
    assert bench.view.said[-1][0] == "You are signed in."
    why = "the name is taken"
    bench.core.tell(ConnectionChanged(Link.REFUSED, why, user="me", ways=ways, reason=why))
    bench.take_in()
    await run(bench, "/signin link")
    assert bench.view.said[-1][0].startswith(said)


async def test_a_closed_server_asks_for_the_operators_link_code(bench: Bench) -> None:
    why, ways = "this server is closed", (SignInWay.LINK, SignInWay.NAME)
    bench.core.tell(ConnectionChanged(Link.REFUSED, why, user="me", ways=ways, reason=why))
    bench.take_in()
    await run(bench, "/signin invitation")
    assert bench.view.said[-1][0] == (
        "You cannot use an invitation here. This server is closed. Use /signin link if you have a "
        "link code from the operator. Use /name NAME to sign in with another name."
    )


async def test_signing_in_without_a_way_asks_for_one(bench: Bench) -> None:
    await run(bench, "/signin")
    assert bench.view.said[-1][0] == "You are signed in."
    bench.core.tell(ConnectionChanged(Link.REFUSED, "why", user="me", ways=(SignInWay.LINK,)))
    bench.take_in()
    bench.view.done.clear()
    await run(bench, "/signin")
    assert bench.view.done == [("ask_sign_in", (SignInWay.LINK,))]
    await run(bench, "/signin 31XDM-YKKZQ")
    assert "use /signin and enter it there" in bench.view.said[-1][0]


@pytest.mark.parametrize(
    ("how", "typed", "secret"),
    [("invitation", " 0Q8VB \n", "0Q8VB"), ("password", " as typed ", " as typed ")],
)
async def test_a_typed_credential_is_passed_to_the_core(
    bench: Bench, how: str, typed: str, secret: str
) -> None:
    refused = ConnectionChanged(Link.REFUSED, "why", user="me", ways=(SignInWay(how),))
    bench.core.tell(refused)
    bench.take_in()
    assert ("ask_sign_in", (SignInWay(how),)) in bench.view.done
    bench.view.secrets.append(typed)
    bench.run(f"/signin {how}")
    for work in bench.view.beside:
        work.send(None)
    assert bench.core.asked("sign_in") == [("me", Credential(SignInWay(how), secret))]
    assert bench.view.done[-1][2] is (how == "password")


async def test_a_wrong_code_is_asked_for_again_with_the_reason(bench: Bench) -> None:
    def refuse(reason: str, *ways: SignInWay) -> SignInWay | None:
        refused = ConnectionChanged(Link.REFUSED, reason, user="me", reason=reason, ways=ways)
        bench.core.tell(ConnectionChanged(Link.CONNECTING, user="me"))
        bench.core.tell(refused)
        bench.take_in()
        return bench.conversation.wrong_way

    assert refuse("the name is in use", SignInWay.NAME, SignInWay.LINK) is None
    bench.view.secrets.append("wrong")
    bench.run("/signin link")
    for work in bench.view.beside:
        work.send(None)
    assert refuse("this code is wrong", SignInWay.LINK, SignInWay.NAME) is SignInWay.LINK
    bench.conversation.sign_in(SignInWay.LINK)
    assert bench.view.done[-1][1].startswith("This code is wrong. Link code for me")
    assert refuse("this device was revoked", SignInWay.LINK) is None
