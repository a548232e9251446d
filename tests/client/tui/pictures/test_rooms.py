"""Pictures of moderated and private channels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chat.client.model.membership import FollowedThread, Invitation, Mute
from chat.client.model.state import (
    ChannelChanged,
    ConnectionChanged,
    IgnoredChanged,
    InvitationsChanged,
    Link,
    MembersChanged,
    MembershipEnded,
    ThreadChanged,
    TimelineChanged,
)
from chat.client.presenter.commands.users import open_menu
from chat.client.tui.screens.moderation import AskModeration
from chat.protocol.commands import ListBans
from chat.protocol.frames import BanInfo, Bans
from chat.rights import ChannelSettings
from tests.client.presenter.fakes import NOON, info, said
from tests.client.tui.conftest import Desktop, Open
from tests.client.tui.pictures.picture import assert_looks

SIZES = ((80, 24), (120, 36))
PRIVATE = ChannelSettings(private=True)
CHANNELS = (
    info("#general", head=9, builtin=True),
    info("#launch", head=8, settings=PRIVATE, role="owner", topic="The launch, step by step"),
    info("#news", head=3, unread=1, settings=ChannelSettings(posting="moderators")),
    info("#old", head=3, settings=ChannelSettings(archived=True)),
    info("#ops", head=40, unread=2, threads=(FollowedThread(31, unread=3),)),
    info("@alice,me", head=4),
)
INVITATIONS = (
    Invitation("#plans", "olga", NOON, "What comes next", private=True),
    Invitation("#tea", "bob", NOON),
)
PAGE = (
    said(1, "alice", "Ship on Thursday?", "#launch"),
    said(2, "mallory", "BUY TEA CHEAPLY", "#launch"),
    said(3, "mallory", "REALLY CHEAPLY", "#launch"),
    said(4, "bob", "Friday. The checklist is in the thread.", "#launch"),
    said(8, "me", "I do the notes.", "#launch"),
)
REPLIES = tuple(
    said(seq, author, text, "#launch", reply_to=4, thread=4, thread_only=True)
    for seq, author, text in ((5, "alice", "Signed."), (6, "bob", "Uploaded."), (7, "bob", "Done."))
)
MEMBERS = (
    ("alice", "moderator", "online"),
    ("bob", "member", "away"),
    ("mallory", "member", "online"),
    ("me", "owner", "online"),
)


async def begin(desktop: Desktop, channel: str = "#launch") -> None:
    """Show a channel of a server with rooms."""
    desktop.composer.cursor_blink = False
    desktop.core.pages["#launch"] = PAGE
    desktop.core.tell(
        ConnectionChanged(Link.ONLINE, user="me", server="test", has_accounts=True, has_rooms=True),
        InvitationsChanged(INVITATIONS),
    )
    await desktop.pilot.pause()
    desktop.conversation.open_channel(channel)
    desktop.core.tell(
        TimelineChanged("#launch", replies=REPLIES),
        MembersChanged("#launch", MEMBERS, 4, frozenset({"mallory"})),
    )
    await desktop.pilot.pause()


async def looks(desktop: Desktop, text: str, name: str) -> None:
    await desktop.until(lambda: text in desktop.screen(), f"{text} shows")
    await desktop.rest()
    width, height = desktop.app.size
    assert_looks(desktop.app, f"{name}-{width}x{height}-dark")


@pytest.mark.parametrize("size", SIZES)
async def test_a_private_channel_with_a_thread_and_ignored_messages(
    open_desktop: Open, size: tuple[int, int]
) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        followed = info(
            "#launch", head=8, settings=PRIVATE, role="owner", topic="The launch, step by step",
            threads=(FollowedThread(4, unread=2),), followed=frozenset({4}),
        )  # fmt: skip
        desktop.core.tell(IgnoredChanged(("mallory",)), ChannelChanged(followed))
        await looks(desktop, "2 new", "rooms")


@pytest.mark.parametrize("size", SIZES)
async def test_a_mute_shows_above_the_composer(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        mute = Mute("alice", None, "shouting; read the rules in the topic before you return")
        desktop.core.tell(ChannelChanged(replace(CHANNELS[1], role="member", mute=mute)))
        await looks(desktop, "muted in #launch by alice", "muted")


@pytest.mark.parametrize("size", SIZES)
async def test_an_announcement_channel(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop, "#news")
        await looks(desktop, "Only moderators can write", "announcements")


@pytest.mark.parametrize("size", SIZES)
async def test_a_removed_member_keeps_the_text(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        await desktop.type("I was about to say")
        desktop.core.tell(
            MembershipEnded("#launch", "kick", "alice", reason="off topic"),
            ChannelChanged(replace(CHANNELS[1], is_member=False, has_draft=True)),
        )
        await looks(desktop, "removed from #launch by alice: off topic.", "removed")


@pytest.mark.parametrize("size", SIZES)
async def test_the_question_before_a_ban(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        desktop.conversation.state.take_names(("mallory",))
        desktop.conversation.run_command("/ban --channel mallory 1d spam")
        await desktop.until(
            lambda: isinstance(desktop.app.screen, AskModeration), "the dialog opens"
        )
        await desktop.until(lambda: desktop.app.screen.has_class("-ready"), "it is ready")
        await looks(desktop, "Ban mallory", "question")


@pytest.mark.parametrize("size", SIZES)
async def test_the_menu_of_a_member_for_an_owner(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        open_menu(desktop.conversation, "mallory")
        await looks(desktop, "Kick from", "moderator-menu")


@pytest.mark.parametrize("size", SIZES)
async def test_the_menu_of_an_invitation(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        await desktop.press("alt+j")
        await looks(desktop, "What comes next", "invited")


@pytest.mark.parametrize("size", SIZES)
async def test_the_settings_of_a_channel(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/channel")
        await looks(desktop, "Who may write", "channel-settings")


@pytest.mark.parametrize("size", SIZES)
async def test_the_bans_of_a_channel(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        bans = Bans(
            bans=(
                BanInfo(id=2, name="mallory", created=NOON, until=NOON + 86_400_000, by="alice"),
                BanInfo(id=1, name="trent", created=NOON, by="me", reason="spam"),
            )
        )
        desktop.core.answers.append((ListBans(channel="#launch"), bans))
        desktop.conversation.run_command("/bans --channel")
        await looks(desktop, "trent", "channel-bans")


@pytest.mark.parametrize("size", SIZES)
async def test_a_reply_in_a_thread(open_desktop: Open, size: tuple[int, int]) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        desktop.core.tell(
            ChannelChanged(
                replace(
                    CHANNELS[1],
                    threads=(FollowedThread(4, read=5, unread=2),),
                    followed=frozenset({4}),
                )
            )
        )
        await desktop.pilot.pause()
        desktop.conversation.run_command("/thread 4")
        change = TimelineChanged("#launch", (PAGE[3], *REPLIES), reset=True, complete=True)
        desktop.core.tell(ThreadChanged("#launch", 4, 4, change))
        composer = desktop.main.thread.composer
        composer.cursor_blink = False
        composer.insert("All green")
        await desktop.press("alt+c")
        await looks(desktop, "[x] also send to #launch", "thread-reply")


@pytest.mark.parametrize("size", SIZES)
async def test_the_switcher_of_channels_with_signs(
    open_desktop: Open, size: tuple[int, int]
) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await begin(desktop)
        await desktop.press("ctrl+k")
        await looks(desktop, "invited by olga", "switcher-rooms")
