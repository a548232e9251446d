"""Private and moderated channels: menus, invitations, mutes, threads, ignored users."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from chat.client.model.membership import FollowedThread, Invitation, Mute
from chat.client.model.state import (
    ChannelChanged,
    ChannelRemoved,
    ConnectionChanged,
    IgnoredChanged,
    InvitationsChanged,
    Link,
    MembersChanged,
    MembershipEnded,
    TimelineChanged,
)
from chat.client.tui.screens.moderation import AskModeration
from chat.client.tui.screens.picker import Picker
from chat.client.tui.widgets.sidebar import Sidebar
from chat.protocol.commands import Decline, Follow, Join, MuteUser
from chat.rights import ChannelSettings
from tests.client.presenter.fakes import NOON, info, said
from tests.client.tui.conftest import Desktop, Open

TEA = info("#tea", head=3, role="moderator")
PAGE = (
    said(1, "bob", "hello", "#tea"),
    said(2, "mallory", "noise", "#tea"),
    said(3, "mallory", "more noise", "#tea"),
)
MEMBERS = (("bob", "member", "online"), ("mallory", "member", "online"))
PLANS = Invitation("#plans", "olga", NOON, private=True)


async def begin(desktop: Desktop) -> None:
    """Show `#tea` to its moderator, on a server with rooms."""
    desktop.core.pages["#tea"] = PAGE
    desktop.conversation.state.take_names(("mallory",))
    desktop.core.tell(
        ConnectionChanged(Link.ONLINE, user="me", server="test", has_accounts=True, has_rooms=True)
    )
    await desktop.pilot.pause()
    desktop.conversation.open_channel("#tea")
    desktop.core.open_channel("#tea")
    desktop.core.tell(MembersChanged("#tea", MEMBERS, 2))
    await desktop.until(lambda: "more noise" in desktop.screen(), "the channel shows")


def asked(desktop: Desktop, kind: type) -> list[object]:
    """Return the commands of a kind that were sent to the server."""
    return [call[1] for call in desktop.core.calls if len(call) > 1 and isinstance(call[1], kind)]


async def answer_question(desktop: Desktop, *keys: str) -> None:
    """Answer the confirmation dialog, as soon as it accepts keys."""
    await desktop.until(
        lambda: (
            isinstance(desktop.app.screen, AskModeration) and desktop.app.screen.has_class("-ready")
        ),
        "it asks",
    )
    await desktop.press(*keys)


async def test_enter_on_a_message_opens_the_menu_of_its_author(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        await desktop.press("ctrl+up", "enter")
        await desktop.until(lambda: "Ban from #tea" in desktop.screen(), "the menu opens")
        await desktop.press(*"Mute", "enter")
        await answer_question(desktop, *"spam", "enter")
        (mute,) = cast("list[MuteUser]", asked(desktop, MuteUser))
        assert (mute.channel, mute.name, mute.reason, mute.until) == (
            "#tea",
            "mallory",
            "spam",
            None,
        )


async def test_a_click_on_an_author_opens_their_menu(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        await desktop.click_on("mallory")
        await desktop.until(lambda: isinstance(desktop.app.screen, Picker), "the menu opens")
        assert "Kick from #tea" in desktop.screen()


async def test_a_click_on_the_users_own_name_selects_the_message(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(TimelineChanged("#tea", upserts=(said(4, "me", "quiet", "#tea"),)))
        await desktop.until(lambda: "quiet" in desktop.screen(), "it shows")
        await desktop.click_on("quiet")
        assert desktop.main.channel.timeline.cursor is not None


@pytest.mark.parametrize(("sign", "kind"), [("✓", Join), ("✗", Decline)])
async def test_an_invitation_is_answered_in_the_sidebar(
    open_desktop: Open, sign: str, kind: type
) -> None:
    async with open_desktop(TEA, size=(120, 30)) as desktop:
        await begin(desktop)
        desktop.core.tell(InvitationsChanged((PLANS,)))
        await desktop.until(lambda: "Invitations" in desktop.screen(), "the row shows")
        rows = desktop.screen().splitlines()
        y = next(at for at, row in enumerate(rows) if "#plans" in row)
        sidebar = desktop.main.query_one(Sidebar)
        await desktop.pilot.click(Sidebar, offset=(rows[y].index(sign), y - sidebar.region.y))
        await desktop.until(lambda: asked(desktop, kind), "the server is asked")


async def test_an_invitation_is_answered_by_key(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(InvitationsChanged((PLANS,)))
        await desktop.until(
            lambda: "#plans invitation" in desktop.screen(), "the status bar shows it"
        )
        await desktop.press("alt+j", "down", "enter")
        assert asked(desktop, Decline) == [Decline(channel="#plans")]


async def test_without_invitations_their_key_says_so(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        await desktop.press("alt+j")
        assert "You have no invitations." in desktop.notices


async def test_a_muted_user_sees_why_and_may_run_commands(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        await desktop.type("half a thought")
        muted = replace(TEA, role="member", mute=Mute("olga", None, "shouting"))
        desktop.core.tell(ChannelChanged(muted))
        await desktop.until(
            lambda: "muted in #tea by olga: shouting" in desktop.screen(), "the reason shows"
        )
        await desktop.press("enter")
        assert desktop.composer.text == "half a thought"
        assert not desktop.core.asked("send")
        await desktop.press("ctrl+u")
        assert "Type / to run a command" in desktop.screen()
        desktop.core.tell(ChannelChanged(TEA))
        await desktop.until(lambda: "Message #tea" in desktop.screen(), "the user may write again")


async def test_a_muted_user_cannot_begin_a_reply(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(ChannelChanged(replace(TEA, role="member", mute=Mute("olga"))))
        await desktop.until(lambda: "muted in #tea" in desktop.screen(), "the reason shows")
        await desktop.press("ctrl+up")
        assert "reply" not in desktop.screen()
        assert "author" in desktop.screen()


async def test_a_removed_member_comes_to_another_channel(open_desktop: Open) -> None:
    async with open_desktop(info("#general", head=1), TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(MembershipEnded("#tea", "ban", "olga", reason="spam"))
        desktop.core.tell(ChannelRemoved("#tea"))
        await desktop.until(lambda: desktop.conversation.state.current == "#general", "it moves")
        assert any("banned from #tea by olga" in each for each in desktop.notices)


async def test_a_reply_is_sent_to_the_channel_too_if_chosen(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/thread 1")
        await desktop.until(lambda: "[ ] also send to #tea" in desktop.screen(), "the choice shows")
        composer = desktop.main.thread.composer
        composer.insert("only here")
        await desktop.press("enter")
        composer.insert("everywhere")
        await desktop.press("alt+c")
        assert "[x] also send to #tea" in desktop.screen()
        await desktop.press("enter")
        sent = [call[1:] for call in desktop.core.asked("send")]
        assert sent == [
            ("only here", False, 1, "thread_only"),
            ("everywhere", False, 1),
        ]
        assert "[ ] also send to #tea" in desktop.screen()
        await desktop.click_on("also send to #tea")
        assert "[x] also send to #tea" in desktop.screen()


async def test_an_old_server_offers_no_choice_of_place(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(ConnectionChanged(Link.ONLINE, user="me", server="test"))
        await desktop.pilot.pause()
        desktop.conversation.run_command("/thread 1")
        await desktop.until(lambda: "Thread in #tea" in desktop.screen(), "the thread opens")
        assert "also send" not in desktop.screen()


async def test_a_click_in_the_threads_header_follows_it(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/thread 1")
        await desktop.click_on("follow")
        assert asked(desktop, Follow) == [Follow(channel="#tea", thread=1)]


async def test_unread_replies_show_under_their_root(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        reply = said(4, "bob", "aside", "#tea", reply_to=1, thread=1, thread_only=True)
        desktop.core.tell(
            TimelineChanged("#tea", replies=(reply,)),
            ChannelChanged(replace(TEA, threads=(FollowedThread(1, unread=1),))),
        )
        await desktop.until(lambda: "↳ 1 reply · 1 new" in desktop.screen(), "the count shows")
        assert "aside" not in desktop.screen()
        desktop.core.tell(ChannelChanged(TEA))
        await desktop.until(lambda: "1 new" not in desktop.screen(), "the reply was read")


@pytest.mark.parametrize("by_key", [True, False])
async def test_ignored_messages_fold_and_unfold(open_desktop: Open, by_key: bool) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(IgnoredChanged(("mallory",)))
        await desktop.until(
            lambda: "2 messages from mallory (ignored)" in desktop.screen(), "they fold"
        )
        assert "noise" not in desktop.screen()
        if by_key:
            await desktop.press("ctrl+up", "enter")
        else:
            await desktop.click_on("(ignored)")
        await desktop.until(lambda: "more noise" in desktop.screen(), "they show")
        assert "(ignored)" not in desktop.screen()


async def test_the_cursor_skips_folded_messages(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.core.tell(IgnoredChanged(("mallory",)))
        await desktop.until(lambda: "(ignored)" in desktop.screen(), "they fold")
        await desktop.press("ctrl+up", "up")
        cursor = desktop.main.channel.timeline.cursor
        assert cursor is not None
        assert cursor.seq == 1


async def test_channels_have_signs_of_their_kind(open_desktop: Open) -> None:
    channels = (
        info("#old", settings=ChannelSettings(archived=True)),
        info("#plans", settings=ChannelSettings(private=True)),
        info("#news", settings=ChannelSettings(posting="moderators")),
    )
    async with open_desktop(*channels, size=(120, 30)) as desktop:
        await desktop.until(lambda: "📦old" in desktop.screen(), "the sidebar shows")
        assert "🔒plans" in desktop.screen()
        assert "📢news" in desktop.screen()
        desktop.conversation.open_channel("#plans")
        await desktop.until(lambda: "🔒 #plans" in desktop.screen(), "the header shows it")
