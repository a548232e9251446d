"""Conversations: typed text is sent to the right channel, or returns with a reason."""

from __future__ import annotations

from functools import partial

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.model.state import (
    ChannelsChanged,
    Delivery,
    Notice,
    TimelineChanged,
    TypingChanged,
)
from chat.client.presenter.composer.draft import Aim
from chat.client.presenter.conversation import Typing
from chat.client.tui.widgets.members import MemberList
from chat.errors import ChatError
from chat.protocol.commands import Join, Leave
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open, at_once


async def test_a_message_goes_to_the_channel_that_is_shown(desktop: Desktop) -> None:
    await desktop.type("hello there", "enter")
    await desktop.until(lambda: desktop.core.asked("send"))
    assert desktop.core.asked("send") == [("#general", "hello there", False, None)]
    assert desktop.composer.text == ""
    await desktop.until(lambda: "hello there" in desktop.screen(), "it shows as pending")


async def test_text_stays_in_a_channel_that_is_left_on_another_device(desktop: Desktop) -> None:
    await desktop.type("half a")
    desktop.core.tell(ChannelsChanged((info("#tea"),)))
    await desktop.until(lambda: desktop.notices)
    assert "no longer in #general" in desktop.notices[0]
    await desktop.type(" thought", "enter")
    await desktop.until(lambda: desktop.core.asked("send"))
    assert desktop.core.asked("send") == [("#general", "half a thought", False, None)]
    desktop.core.tell(ChannelsChanged((info("#tea"),)))
    await desktop.until(lambda: desktop.conversation.state.current == "#tea")


async def test_a_reply_stays_in_a_channel_that_is_left_on_another_device(
    desktop: Desktop,
) -> None:
    await desktop.type("/thread 3", "enter")
    await desktop.type("half a reply")
    desktop.core.tell(ChannelsChanged((info("#tea"),)))
    await desktop.until(lambda: desktop.notices)
    assert desktop.conversation.state.current == "#general"
    assert "half a reply" in desktop.core.drafts.values()


async def test_two_slashes_send_one(desktop: Desktop) -> None:
    await desktop.type("//etc", "enter")
    await desktop.until(lambda: desktop.core.asked("send"))
    assert desktop.core.asked("send")[0][1] == "/etc"


async def test_an_unknown_command_returns_with_a_suggestion(desktop: Desktop) -> None:
    await desktop.type("/jion #tea", "enter")
    await desktop.until(lambda: desktop.notices)
    assert "Did you mean /join?" in desktop.notices[0]
    assert desktop.composer.text == "/jion #tea"
    assert not desktop.core.asked("send")


async def test_a_text_that_is_too_long_returns_unchanged(desktop: Desktop) -> None:
    long = "x" * 8_001
    desktop.composer.load(long)
    await desktop.press("enter")
    await desktop.until(lambda: desktop.notices)
    assert "Message too long" in desktop.notices[0]
    assert desktop.composer.text == long
    assert not desktop.core.asked("send")


@pytest.mark.feature("writing.drafts")
async def test_each_channel_keeps_its_own_draft(desktop: Desktop) -> None:
    await desktop.type("half a", "alt+down")
    assert desktop.composer.text == ""
    assert desktop.core.drafts["#general"] == "half a"
    await desktop.type("tea?", "alt+up")
    assert desktop.composer.text == "half a"
    await desktop.press("enter")
    await desktop.until(lambda: desktop.core.asked("send"))
    assert desktop.core.drafts["#general"] == ""
    assert desktop.core.drafts["#tea"] == "tea?"


async def test_a_saved_draft_is_restored(open_desktop: Open) -> None:
    async with open_desktop() as desktop:
        desktop.core.drafts["#general"] = "from yesterday"
        desktop.core.go_online(info("#general"))
        await desktop.until(lambda: desktop.composer.text == "from yesterday")


async def test_a_draft_that_was_typed_in_no_channel_is_kept_for_the_first(
    open_desktop: Open,
) -> None:
    async with open_desktop() as desktop:
        await desktop.type("hm")
        await desktop.until(lambda: desktop.core.drafts.get("") == "hm", "the draft is saved")
        desktop.core.go_online(info("#general"))
        await desktop.until(
            lambda: desktop.core.drafts.get("#general") == "hm", "the draft is saved in the channel"
        )
        assert desktop.composer.text == "hm"
        assert desktop.core.drafts[""] == ""


async def test_a_draft_is_saved_after_a_pause(desktop: Desktop) -> None:
    await desktop.type("hm")
    await desktop.until(
        lambda: desktop.core.drafts.get("#general") == "hm", "the draft is saved after a pause"
    )


async def test_a_draft_is_saved_on_exit(open_desktop: Open) -> None:
    async with open_desktop(info("#general")) as desktop:
        desktop.composer.insert("hm!")
        desktop.app.exit()
    assert desktop.core.drafts["#general"] == "hm!"


async def test_typing_is_sent_to_its_channel(desktop: Desktop) -> None:
    await desktop.type("a", "alt+down")
    await desktop.until(lambda: len(desktop.core.asked("typing")) == 2)
    told = [(each.channel, each.state) for (each,) in desktop.core.asked("typing")]
    assert told == [("#general", "start"), ("#general", "stop")]


@pytest.mark.feature("around.reactions")
class TestAnswering:
    """Replies, from a selected message or by command."""

    async def test_a_reply_shows_its_target_and_sends_its_number(self, desktop: Desktop) -> None:
        await desktop.type("glad")
        desktop.conversation.drafts.begin_reply(said(3, "alice", "tea?"))
        await desktop.pilot.pause()
        assert "Replying to alice: tea?" in desktop.screen()
        assert str(desktop.composer.placeholder) == "Reply to alice"
        await desktop.type("ly", "enter")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send") == [("#general", "gladly", False, 3)]
        await desktop.until(lambda: "Replying" not in desktop.screen())

    async def test_escape_cancels_a_reply_and_keeps_the_text(self, desktop: Desktop) -> None:
        desktop.conversation.drafts.begin_reply(said(3, "alice", "tea?"))
        await desktop.type("gladly", "escape")
        await desktop.until(lambda: "Replying" not in desktop.screen())
        assert desktop.composer.text == "gladly"

    async def test_the_reply_command_replies_to_the_latest_message_or_a_number(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/reply yes", "enter")
        await desktop.type("/reply 2 no", "enter")
        await desktop.until(lambda: len(desktop.core.asked("send")) == 2)
        assert desktop.core.asked("send") == [
            ("#general", "yes", False, 6),
            ("#general", "no", False, 2),
        ]


class TestChanging:
    """Edits of one's own messages."""

    @pytest.mark.feature("writing.last")
    async def test_up_in_an_empty_composer_edits_the_last_message(self, desktop: Desktop) -> None:
        await desktop.press("up")
        await desktop.until(lambda: desktop.composer.text == "mine")
        assert "Editing your message" in desktop.screen()
        await desktop.type("!", "enter")
        await desktop.until(lambda: desktop.core.asked("edit"))
        assert desktop.core.asked("edit") == [("#general", 6, "mine!")]
        assert desktop.composer.text == ""
        assert not desktop.core.asked("send")

    async def test_up_moves_the_cursor_in_a_nonempty_composer(self, desktop: Desktop) -> None:
        await desktop.type("a\nb", "up")
        assert desktop.composer.cursor_location[0] == 0
        assert desktop.conversation.drafts.here.aim is Aim.MESSAGE

    async def test_the_draft_returns_after_an_edit(self, desktop: Desktop) -> None:
        await desktop.type("a draft")
        desktop.conversation.drafts.begin_edit(said(6, "me", "mine"))
        await desktop.until(lambda: desktop.composer.text == "mine")
        await desktop.type("!", "enter")
        await desktop.until(lambda: desktop.composer.text == "a draft")

    async def test_escape_cancels_an_edit_without_loss(self, desktop: Desktop) -> None:
        await desktop.press("up", "escape")
        await desktop.until(lambda: "Editing" not in desktop.screen())
        assert desktop.composer.text == ""
        await desktop.press("up")
        await desktop.type("!", "escape")
        assert desktop.composer.text == "mine!"
        assert not desktop.core.asked("edit")

    async def test_an_edit_without_a_change_is_not_sent(self, desktop: Desktop) -> None:
        await desktop.press("up", "enter")
        await desktop.until(lambda: "Editing" not in desktop.screen())
        assert not desktop.core.asked("edit")
        assert desktop.composer.text == ""

    async def test_only_own_messages_can_be_edited(self, desktop: Desktop) -> None:
        await desktop.type("/edit 1 mischief", "enter")
        await desktop.until(lambda: desktop.notices)
        assert "by alice. You can edit only your own" in desktop.notices[0]
        assert desktop.composer.text == "/edit 1 mischief"
        assert not desktop.core.asked("edit")


async def test_a_command_run_during_an_edit_does_not_replace_the_message(
    desktop: Desktop,
) -> None:
    await desktop.press("up")
    assert desktop.composer.text == "mine"
    at_once(desktop, "ctrl+k", "/members", "enter")
    await desktop.until(lambda: desktop.main.query_one(MemberList).display)
    assert not desktop.core.asked("edit")
    assert desktop.composer.text == "mine"


class TestJoining:
    """Joining channels, and text typed meanwhile."""

    async def test_a_new_channel_is_shown_after_the_join_is_confirmed(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/join coffee", "enter")
        await desktop.until(lambda: desktop.core.asked("join"))
        assert desktop.core.asked("join") == [(Join(channel="#coffee"),)]
        desktop.core.answer_join("#coffee")
        await desktop.pilot.pause()
        desktop.core.tell(ChannelsChanged((info("#general"), info("#coffee"))))
        await desktop.until(lambda: desktop.conversation.state.current == "#coffee")

    @pytest.mark.feature("around.turns")
    async def test_text_typed_during_a_join_is_sent_in_order(self, desktop: Desktop) -> None:
        at_once(desktop, "/join Coffee", "enter", "one", "enter", "/me waves", "enter", "half")
        await desktop.until(lambda: desktop.composer.text == "half")
        assert not desktop.core.asked("send")
        assert desktop.core.drafts["#Coffee"] == "one\n/me waves", (
            "the draft is kept if the client ends here"
        )
        desktop.core.answer_join("#coffee")  # in the server's spelling
        await desktop.pilot.pause()
        desktop.core.tell(ChannelsChanged((info("#general"), info("#coffee"))))
        await desktop.until(lambda: desktop.conversation.state.current == "#coffee")
        assert desktop.core.asked("send") == [
            ("#coffee", "one", False, None),
            ("#coffee", "waves", True, None),
        ]
        assert desktop.composer.text == "half"
        await desktop.type(" a word", "enter")
        assert desktop.core.asked("send")[2:] == [("#coffee", "half a word", False, None)]
        assert set(desktop.core.drafts.values()) == {""}

    async def test_text_typed_for_a_refused_channel_returns(self, desktop: Desktop) -> None:
        desktop.composer.load("for general")
        at_once(desktop, "ctrl+k", "#coffee", "enter", "one", "enter", "two", "enter", "half")
        await desktop.until(lambda: desktop.composer.text == "half")
        assert "Joining #coffee" in str(desktop.composer.placeholder)
        desktop.core.futures["join"].set_exception(ChatError("you are banned"))
        await desktop.until(lambda: desktop.notices == ["Cannot open #coffee: you are banned"])
        assert desktop.composer.text == "one\ntwo\nhalf\nfor general"
        assert not desktop.core.asked("send")
        assert desktop.core.drafts["#coffee"] == ""
        assert "Message #general" in str(desktop.composer.placeholder)

    async def test_an_older_draft_stays_in_a_channel_that_does_not_open(
        self, desktop: Desktop
    ) -> None:
        desktop.core.drafts["#coffee"] = "an older draft"
        await desktop.type("/join coffee", "enter")
        await desktop.until(lambda: desktop.composer.text == "an older draft")
        await desktop.type(", and more")
        desktop.core.futures["join"].set_exception(ChatError("not connected"))
        await desktop.until(lambda: desktop.notices == ["Cannot open #coffee: not connected"])
        assert desktop.core.drafts["#coffee"] == "an older draft"
        assert desktop.composer.text == ", and more"

    async def test_a_command_run_during_a_join_keeps_the_typed_text(self, desktop: Desktop) -> None:
        desktop.composer.load("for general")
        at_once(desktop, "ctrl+k", "#coffee", "enter", "ctrl+k", "/members", "enter")
        await desktop.until(lambda: desktop.core.asked("join"))
        await desktop.until(lambda: desktop.main.query_one(MemberList).display)
        assert desktop.core.drafts["#general"] == "for general"
        await desktop.press("alt+down", "alt+up")
        assert desktop.composer.text == "for general"

    async def test_a_join_can_be_typed_during_another_join(self, desktop: Desktop) -> None:
        at_once(desktop, "/join a", "enter", "one", "enter", "/join b", "enter", "two", "enter")
        await desktop.until(lambda: desktop.core.drafts.get("#a") == "one\n/join b\ntwo")
        for name in ("#a", "#b"):
            desktop.core.tell(ChannelsChanged((info("#general"), info("#a"), info(name))))
            desktop.core.answer_join(name)
            await desktop.until(partial(lambda n: desktop.conversation.state.current == n, name))
        assert [call[:2] for call in desktop.core.asked("send")] == [("#a", "one"), ("#b", "two")]

    async def test_a_late_join_does_not_replace_another_opened_channel(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/join coffee", "enter")
        await desktop.type("one", "enter")
        await desktop.press("alt+down")
        desktop.core.tell(ChannelsChanged((info("#coffee", has_draft=True), info("#tea"))))
        desktop.core.answer_join("#coffee")
        told = "Joined #coffee. Your text there is not sent yet."
        await desktop.until(lambda: desktop.notices == [told])
        assert desktop.conversation.state.current == "#tea"
        assert not desktop.core.asked("send")
        assert desktop.core.drafts["#coffee"] == "one"

    async def test_drafts_are_saved_if_the_client_ends_during_a_join(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/msg zoe lunch?", "enter")
        await desktop.type("or tea", "enter")
        desktop.main.workspace.close()
        assert desktop.core.drafts["#general"] == "/msg zoe lunch?\nor tea"
        assert desktop.core.drafts["@me,zoe"] == ""

    async def test_a_late_join_does_not_interrupt_a_reply(self, desktop: Desktop) -> None:
        await desktop.type("/join coffee", "enter")
        await desktop.press("ctrl+up", "r")
        await desktop.until(lambda: "Replying to" in desktop.screen(), "the reply is begun")
        at_once(desktop, "yes", "enter")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send") == [("#general", "yes", False, 6)]
        desktop.core.tell(ChannelsChanged((info("#general"), info("#coffee"))))
        desktop.core.answer_join("#coffee")
        await desktop.until(lambda: desktop.notices == ["Joined #coffee."])
        assert desktop.conversation.state.current == "#general"

    async def test_text_typed_without_a_channel_moves_to_the_first_one(
        self, open_desktop: Open
    ) -> None:
        async with open_desktop() as desktop:
            await desktop.type("good morning")
            desktop.core.go_online(info("#general"))
            await desktop.until(lambda: desktop.conversation.state.current == "#general")
            assert desktop.composer.text == "good morning"

    async def test_a_joined_channel_is_shown_at_once(self, desktop: Desktop) -> None:
        await desktop.type("/join tea", "enter")
        await desktop.until(lambda: desktop.conversation.state.current == "#tea")
        assert not desktop.core.asked("join")

    async def test_a_direct_message_to_an_unknown_user_returns(self, desktop: Desktop) -> None:
        await desktop.type("/msg zoe lunch?", "enter")
        await desktop.until(lambda: desktop.core.asked("join"))
        assert desktop.core.asked("join") == [(Join(channel="@me,zoe"),)]
        desktop.core.futures["join"].set_exception(ChatError("nobody is called zoe"))
        await desktop.until(lambda: desktop.notices)
        assert desktop.notices == ["Cannot open @zoe: nobody is called zoe"]
        assert desktop.composer.text == "/msg zoe lunch?"
        assert not desktop.core.asked("send")

    async def test_a_direct_message_to_a_known_user_is_queued_offline(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/msg alice lunch?", "enter")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send") == [("@alice,me", "lunch?", False, None)]
        assert desktop.conversation.state.current == "@alice,me"

    async def test_leaving_a_channel_shows_the_previous_one(self, desktop: Desktop) -> None:
        await desktop.press("alt+down")
        await desktop.type("/leave", "enter")
        await desktop.until(lambda: desktop.core.asked("leave") == [(Leave(channel="#tea"),)])
        desktop.core.tell(ChannelsChanged((info("#a"), info("#general"))))
        await desktop.until(lambda: desktop.conversation.state.current == "#general")
        desktop.core.tell(ChannelsChanged(()))
        await desktop.until(lambda: "You have not joined a channel yet" in desktop.screen())


async def test_notices_of_the_core_are_shown(desktop: Desktop) -> None:
    desktop.core.tell(Notice("The disk is full.", "error"))
    await desktop.until(lambda: "The disk is full." in desktop.screen())


@pytest.mark.feature("writing.delivery")
async def test_a_failed_message_can_be_retried_or_discarded(desktop: Desktop) -> None:
    failed = said(None, "me", "too soon", cid="f", delivery=Delivery.FAILED, reason="rate")
    await desktop.type("/retry", "enter")
    await desktop.until(lambda: desktop.notices, "there is nothing to retry yet")
    desktop.composer.load("")
    desktop.core.tell(TimelineChanged("#general", upserts=(failed,)))
    await desktop.type("/retry", "enter")
    await desktop.type("/discard", "enter")
    await desktop.answer("n")
    assert not desktop.core.asked("discard")
    await desktop.type("/discard", "enter")
    await desktop.answer("y")
    await desktop.until(lambda: desktop.core.asked("discard"))
    assert desktop.core.asked("retry") == desktop.core.asked("discard") == [("f",)]


@pytest.mark.parametrize(
    ("setting", "shows", "tells"),
    [("both", True, True), ("show", True, False), ("tell", False, True), ("off", False, False)],
)
@pytest.mark.feature("around.typing")
async def test_typing_can_be_off_in_both_directions(
    open_desktop: Open, setting: Typing, shows: bool, tells: bool
) -> None:
    settings = ClientSettings(name="me", typing=setting)
    async with open_desktop(info("#general"), settings=settings) as desktop:
        desktop.core.tell(TypingChanged("#general", ("alice",)))
        await desktop.press("h", "i")
        await desktop.until(
            lambda: desktop.core.drafts.get("#general") == "hi", "the draft is saved"
        )
        assert ("alice is typing" in desktop.screen()) is shows
        assert bool(desktop.core.asked("typing")) is tells
