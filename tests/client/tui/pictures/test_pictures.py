"""Pictures of whole screens: the conversation in several sizes and themes, and each dialog."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from textual.containers import VerticalScroll
from textual.widgets import Input

from chat.client.model.sign_in import SignInWay
from chat.client.model.state import (
    ChannelInfo,
    ChannelsChanged,
    ConnectionChanged,
    Delivery,
    Link,
    MembersChanged,
    Message,
    Reaction,
    ThreadChanged,
    TimelineChanged,
    TypingChanged,
)
from chat.client.presenter.commands.users import open_menu
from chat.client.sync.inbox import Unread, Waiting
from chat.client.tui.keymap import KeyRow
from chat.client.tui.screens.confirm import Confirm
from chat.client.tui.screens.help import HelpScreen
from chat.client.tui.screens.picker import Picker
from chat.client.tui.themes import by_name
from chat.protocol.commands import (
    AccountCommand,
    BaseCommand,
    CreateLink,
    ListDevices,
    ListInvitations,
    ReadAudit,
)
from chat.protocol.frames import (
    Account,
    AccountInfo,
    Audit,
    AuditEntry,
    Device,
    Devices,
    Hit,
    Invitation,
    Invitations,
    LinkCode,
    Results,
)
from chat.protocol.values import Wire
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open
from tests.client.tui.pictures.picture import assert_looks

SIZES = ((60, 16), (80, 24), (140, 40))
CODE = "the retry is only this:\n```python\nwhile not acknowledged:\n    await append(message)\n```"
WIDE = "👩‍👩‍👧 🇩🇪 👍🏽 · 日本語の文 · é ñ · مرحبا · שלום"
CHANNELS: tuple[ChannelInfo, ...] = (
    info("#general", head=12, read=9, topic="All that concerns 全員 of us 🍵"),
    info("#ops", head=4, unread=3, mentions=1),
    info("#tea", head=80, unread=12, has_draft=True),
    info("#家-🏠", head=2, failed=1),
    info("@alice,me", head=4, unread=1),
    info("@bob,carol,me", head=9),
)
PAGE: tuple[Message, ...] = (
    said(1, "alice", "", kind="join"),
    said(2, "alice", "Morning! Who broke the build?"),
    said(3, "bob", "Not me. But the log of `#ops` tells: *disk full*, **twice**."),
    said(4, "alice", "And nothing was lost?", reply_to=3),
    said(
        5,
        "bob",
        "Nothing, every `ok` was on disk.",
        reactions=(Reaction("🎉", ("alice", "me")), Reaction("👍🏽", ("carol",))),
    ),
    said(6, "bob", CODE),
    said(7, "me", "I unplugged the router in the middle of a sentence", edited=True),
    said(8, "me", "and here it is, sent by itself when the cable was back"),
    said(9, "carol", WIDE),
    said(10, "carol", "", deleted=True),
    said(11, "carol", "@me see https://example.org/postmortem when you are up", mentions=("me",)),
    said(12, "dave", "pours tea for everybody", me=True),
    replace(said(13, "me", "on its way", cid="a", delivery=Delivery.PENDING), seq=None),
    replace(
        said(14, "me", "too long", cid="b", delivery=Delivery.FAILED, reason="no more than 8000"),
        seq=None,
    ),
)
MEMBERS = (
    ("alice", "owner", "online"),
    ("bob", "member", "away"),
    ("carol", "member", "busy"),
    ("dave", "member", "offline"),
    ("me", "member", "online"),
)


async def talk(desktop: Desktop, theme: str = "dark") -> None:
    """Show a conversation in the given theme."""
    desktop.app.theme = by_name(theme)
    desktop.composer.cursor_blink = False
    desktop.core.pages["#general"] = PAGE
    desktop.core.open_channel("#general")
    desktop.core.tell(
        MembersChanged("#general", MEMBERS, 5), TypingChanged("#general", ("bob", "carol"))
    )
    await desktop.until(lambda: "too long" in desktop.screen(), "the conversation shows")
    await desktop.pilot.pause()


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        *((size, "dark") for size in SIZES),
        *(((80, 24), theme) for theme in ("light", "mono", "contrast", "16")),
        *(((120, 36), theme) for theme in ("contrast", "16")),
        ((40, 12), "16"),
    ],
)
async def test_a_conversation(open_desktop: Open, size: tuple[int, int], theme: str) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop, theme)
        assert_looks(desktop.app, f"conversation-{size[0]}x{size[1]}-{theme}")


async def test_a_selected_message(open_desktop: Open) -> None:
    async with open_desktop(*CHANNELS) as desktop:
        await talk(desktop)
        await desktop.press("ctrl+up", "up", "up")
        assert_looks(desktop.app, "choosing-80x24-dark")


async def test_a_reply_with_a_suggestion(open_desktop: Open) -> None:
    async with open_desktop(*CHANNELS) as desktop:
        await talk(desktop)
        await desktop.press("ctrl+up", "up", "up", "up", "r")
        await desktop.until(lambda: "Replying to" in desktop.screen(), "the reply is begun")
        await desktop.type("I looked, @c")
        await desktop.until(
            lambda: "carol" in desktop.screen().splitlines()[19], "a suggestion shows"
        )
        assert_looks(desktop.app, "answering-80x24-dark")


@pytest.mark.parametrize("size", SIZES[:2])
async def test_the_switcher(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        await desktop.press("ctrl+k", "t", "e")
        await desktop.until(lambda: "tea" in desktop.screen(), "the results show")
        assert_looks(desktop.app, f"switcher-{size[0]}x{size[1]}-dark")


KEYS = (
    KeyRow("Anywhere", ("F1",), "show help", "help"),
    KeyRow(
        "Anywhere",
        ("Ctrl+K", "Ctrl+P"),
        "go to a channel or person, or run a command",
        "channel.switch, palette",
    ),
    KeyRow(
        "Anywhere",
        ("Alt+A", "Ctrl+N"),
        "next unread; when none is left, back where you were",
        "channel.unread",
    ),
    *(
        KeyRow("Anywhere", (f"Alt+{n}",), f"channel {n} in the sidebar", f"channel.{n}")
        for n in range(1, 10)
    ),
    KeyRow("Composer", ("Enter",), "send", "composer.send"),
    KeyRow("Composer", ("Alt+Enter", "Shift+Enter", "Ctrl+J"), "new line", "composer.new_line"),
    KeyRow("Timeline", ("R",), "reply, or resend", "message.reply"),
)
"""A fixed selection of keys, so that a new key does not change the picture."""


@pytest.mark.parametrize("size", SIZES[:2])
async def test_help(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        desktop.app.push_screen(HelpScreen(KEYS))
        await desktop.until(lambda: "show help" in desktop.screen(), "it shows")
        keys = desktop.app.screen.query_one(VerticalScroll)
        await desktop.until(lambda: keys.show_vertical_scrollbar, "it has its scrollbar")
        await desktop.pilot.pause()
        assert_looks(desktop.app, f"help-{size[0]}x{size[1]}-dark")


@pytest.mark.parametrize("size", SIZES[:2])
async def test_the_inbox(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        ops = [said(n, "carol", f"the disk is back, part {n}", "#ops") for n in (2, 3, 4)]
        direct = said(4, "alice", "lunch at noon? 日本語 or そば", "@alice,me")
        desktop.core.unread = (
            Unread("#ops", (Waiting(ops[0], "mention"), Waiting(ops[1], "message")), 0),
            Unread("@alice,me", (Waiting(direct, "direct"),), 0),
            Unread("#tea", (Waiting(said(80, "bob", "cup 80", "#tea"), "message"),), 11),
        )
        await desktop.press("alt+i")
        await desktop.until(lambda: "part 2" in desktop.screen(), "unread messages are listed")
        assert_looks(desktop.app, f"inbox-{size[0]}x{size[1]}-dark")


@pytest.mark.parametrize("size", SIZES)
async def test_search_results(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        desktop.main.conversation.run_command("/search disk")
        await desktop.until(lambda: "search" in desktop.core.futures, "the search is sent")
        hits = (
            found(4, "#ops", "the disk is back"),
            found(3, "#ops", "one disk is *full*"),
            found(3, "#general", "Not me. But the log of `#ops` tells: *disk full*, **twice**."),
        )
        desktop.core.futures["search"].set_result(Results(hits=hits, complete=True))
        await desktop.until(
            lambda: "near" in desktop.core.futures, "the context of the first result is requested"
        )
        near = [said(3, "bob", "one disk is *full*", "#ops"), said(5, "dave", "`df`?", "#ops")]
        desktop.core.futures["near"].set_result(near)
        await desktop.until(lambda: "df?" in desktop.screen(), "it shows")
        assert_looks(desktop.app, f"found-{size[0]}x{size[1]}-dark")


def found(seq: int, channel: str, text: str) -> Hit:
    at, message = text.index("disk"), said(seq, "bob", text, channel)
    ts, marks = message.ts, (at, at + len("disk"))
    return Hit(channel=channel, seq=seq, ts=ts, author="bob", snippet=text, marks=marks)


@pytest.mark.parametrize("size", SIZES)
async def test_a_thread(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        desktop.main.conversation.run_command("/thread 3")
        lines = (PAGE[2], replace(PAGE[3], thread=3))
        change = TimelineChanged("#general", lines, reset=True, complete=True)
        desktop.core.tell(ThreadChanged("#general", 3, 3, change))
        composer = desktop.main.thread.composer
        composer.cursor_blink = False
        composer.insert("It was not")
        await desktop.until(lambda: "It was not" in desktop.screen(), "the reply is typed")
        await desktop.pilot.pause()
        assert_looks(desktop.app, f"thread-{size[0]}x{size[1]}-dark")


async def test_nothing_yet(open_desktop: Open) -> None:
    async with open_desktop() as desktop:
        desktop.composer.cursor_blink = False
        desktop.core.tell(ConnectionChanged(Link.ONLINE, user="me", server="test"))
        desktop.core.tell(ChannelsChanged(()))
        await desktop.until(
            lambda: "browse all channels" in desktop.screen(), "it says how to start"
        )
        assert_looks(desktop.app, "nothing-yet-80x24-dark")


async def test_no_connection(open_desktop: Open) -> None:
    async with open_desktop(*CHANNELS) as desktop:
        await talk(desktop)
        trouble = "the account me is disabled: ask an admin or the operator to enable it"
        desktop.core.tell(ConnectionChanged(Link.REFUSED, trouble, user="me"))
        await desktop.until(lambda: "is disabled" in desktop.screen(), "the reason shows")
        assert_looks(desktop.app, "refused-80x24-dark")


async def test_reading_back(open_desktop: Open) -> None:
    async with open_desktop(*CHANNELS, size=(100, 24)) as desktop:
        await talk(desktop)
        await desktop.press("pageup")
        desktop.core.tell(TimelineChanged("#general", upserts=(said(13, "dave", "more"),)))
        await desktop.until(lambda: "below" in desktop.screen(), "more is below")
        assert_looks(desktop.app, "reading-back-100x24-dark")


ACCOUNT_SIZES = ((80, 24), (120, 36))
MORNING = 1_780_000_000_000


async def be_admin(desktop: Desktop) -> None:
    """Show a conversation to a user who is an admin."""
    await talk(desktop)
    online = ConnectionChanged(
        Link.ONLINE, user="me", server="test", role="admin", has_accounts=True
    )
    desktop.core.tell(online)
    await desktop.pilot.pause()


async def ask(desktop: Desktop, command: str, question: BaseCommand, answer: Wire) -> None:
    """Run a command that the server answers."""
    desktop.core.answers.append((question, answer))
    desktop.conversation.run_command(command)


async def assert_shows(desktop: Desktop, text: str, name: str, size: tuple[int, int]) -> None:
    await desktop.until(lambda: text in desktop.screen(), f"{text} shows")
    await desktop.rest()
    assert_looks(desktop.app, f"{name}-{size[0]}x{size[1]}-dark")


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_a_refused_sign_in(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        why = "the name me is already in use on this server"
        ways = (SignInWay.NAME, SignInWay.LINK, SignInWay.PASSWORD)
        refused = ConnectionChanged(Link.REFUSED, why, user="me", ways=ways, reason=why)
        desktop.core.tell(refused)
        await desktop.until(lambda: isinstance(desktop.app.screen, Picker), "the dialog opens")
        await assert_shows(desktop, "Type another name", "sign-in", size)


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_a_question_for_a_password(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        me = AccountInfo(name="me", created=MORNING, has_password=True)
        await ask(desktop, "/password", AccountCommand(name="me"), Account(account=me))
        await desktop.until(lambda: "current password" in desktop.screen(), "the dialog opens")
        desktop.app.screen.query_one(Input).cursor_blink = False
        await desktop.press(*"hunter2")
        await assert_shows(desktop, "•••••••", "password", size)
        assert "hunter2" not in desktop.screen()


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_a_link_code(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        code = LinkCode(code="7K3QX-9MZ2T", expires=MORNING)
        await ask(desktop, "/link", CreateLink(), code)
        await assert_shows(desktop, "7K3QX-9MZ2T", "link", size)


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_the_devices(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        devices = Devices(
            devices=(
                Device(id=12, label="phone", created=MORNING),
                Device(id=7, label="laptop", created=MORNING, seen=MORNING, current=True),
            )
        )
        await ask(desktop, "/devices", ListDevices(), devices)
        await assert_shows(desktop, "7. laptop", "devices", size)


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_the_menu_of_a_member(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        bob = AccountInfo(name="bob", created=MORNING)
        desktop.core.answers.append((AccountCommand(name="bob"), Account(account=bob)))
        open_menu(desktop.conversation, "bob")
        await assert_shows(desktop, "Ban from this server", "member-menu", size)


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_the_invitations(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        first = Invitation(
            id=3, created=MORNING, expires=4_000_000_000_000, uses=10, used=2, by="me"
        )
        used_up = first.model_copy(update={"id": 2, "uses": 2})
        revoked = first.model_copy(update={"id": 1, "role": "bot", "revoked": True})
        invitations = Invitations(
            invitations=(
                first.model_copy(update={"channels": ("#team",)}),
                used_up,
                revoked,
            )
        )
        await ask(desktop, "/invitations", ListInvitations(), invitations)
        await assert_shows(desktop, "2 of 10", "invitations", size)


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_the_audit_log(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        fields = ("seq", "act", "by", "user", "details")
        rows = (
            (7, "banned", "me", "mallory", {"reason": "spam", "until": str(MORNING)}),
            (6, "banned", "me", None, {"network": "192.0.2.0/24"}),
            (5, "role", None, "me", {"role": "admin", "before": "member"}),
            (4, "device_added", "bob", "bob", {"how": "link", "label": "phone"}),
            (3, "invitation_created", "me", None, {"invitation": "3", "uses": "10"}),
        )
        entries = tuple(
            AuditEntry.model_validate(
                {"ts": MORNING, **dict(zip(fields, row, strict=True))}, strict=True
            )
            for row in rows
        )
        page = Audit(entries=entries, complete=False)
        await ask(desktop, "/audit", ReadAudit(limit=200), page)
        await assert_shows(desktop, "banned mallory", "audit", size)


@pytest.mark.parametrize("size", ACCOUNT_SIZES)
async def test_the_question_before_a_ban(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await be_admin(desktop)
        desktop.conversation.state.take_names(("mallory",))
        desktop.conversation.run_command("/ban mallory spam in #general")
        await desktop.until(lambda: isinstance(desktop.app.screen, Confirm), "the dialog opens")
        question = cast("Confirm", desktop.app.screen)
        await desktop.until(lambda: question.is_ready, "the dialog accepts keys")
        await assert_shows(desktop, "Ban mallory", "ban", size)
