"""Talking: what is written goes where it was meant, or comes back with a reason."""

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
from chat.client.presenter.navigation import PaneKey
from chat.client.tui.composer.widget import Composer
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
    await desktop.until(lambda: "hello there" in desktop.screen(), "it is shown as pending")


async def test_text_stays_in_a_channel_that_is_left_on_another_device(desktop: Desktop) -> None:
    await desktop.type("half a")
    desktop.core.tell(ChannelsChanged((info("#tea"),)))
    await desktop.until(lambda: desktop.told)
    assert "no longer in #general" in desktop.told[0]
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
    await desktop.until(lambda: desktop.told)
    assert desktop.conversation.state.current == "#general"
    assert "half a reply" in desktop.core.drafts.values()


async def test_a_doubled_slash_sends_one(desktop: Desktop) -> None:
    await desktop.type("//etc", "enter")
    await desktop.until(lambda: desktop.core.asked("send"))
    assert desktop.core.asked("send")[0][1] == "/etc"


async def test_an_unknown_command_comes_back_with_a_suggestion(desktop: Desktop) -> None:
    await desktop.type("/jion #tea", "enter")
    await desktop.until(lambda: desktop.told)
    assert "Did you mean /join?" in desktop.told[0]
    assert desktop.composer.text == "/jion #tea"
    assert not desktop.core.asked("send")


async def test_a_text_that_is_too_long_comes_back_whole(desktop: Desktop) -> None:
    long = "x" * 8_001
    desktop.composer.load(long)
    await desktop.press("enter")
    await desktop.until(lambda: desktop.told)
    assert "Message too long" in desktop.told[0]
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


async def test_a_draft_of_yesterday_is_there(open_desktop: Open) -> None:
    async with open_desktop() as desktop:
        desktop.core.drafts["#general"] = "from yesterday"
        desktop.core.go_online(info("#general"))
        await desktop.until(lambda: desktop.composer.text == "from yesterday")


async def test_a_draft_that_was_typed_in_no_channel_is_kept_for_the_first(
    open_desktop: Open,
) -> None:
    async with open_desktop() as desktop:
        await desktop.type("hm")
        await desktop.until(lambda: desktop.core.drafts.get("") == "hm", "kept")
        desktop.core.go_online(info("#general"))
        await desktop.until(lambda: desktop.core.drafts.get("#general") == "hm", "kept there")
        assert desktop.composer.text == "hm"
        assert desktop.core.drafts[""] == ""


async def test_a_draft_is_kept_while_one_rests(desktop: Desktop) -> None:
    await desktop.type("hm")
    await desktop.until(lambda: desktop.core.drafts.get("#general") == "hm", "kept after a rest")


async def test_a_draft_that_was_replaced_before_it_was_saved_stays_replaced(
    desktop: Desktop,
) -> None:
    await desktop.type("words of alice")
    key = PaneKey("#general")
    desktop.composer.post_message(Composer.Drafted(desktop.composer.subject))
    desktop.conversation.view.compose_with(key, "words of both")  # before the message is handled
    desktop.conversation.drafts.keep("words of both", key)
    await desktop.pilot.pause()
    assert desktop.core.draft("#general") == "words of both"


async def test_a_draft_is_kept_when_one_leaves(open_desktop: Open) -> None:
    async with open_desktop(info("#general")) as desktop:
        desktop.composer.insert("hm!")
        desktop.app.exit()
    assert desktop.core.drafts["#general"] == "hm!"


async def test_typing_is_told_to_the_channel_it_happens_in(desktop: Desktop) -> None:
    await desktop.type("a", "alt+down")
    await desktop.until(lambda: len(desktop.core.asked("typing")) == 2)
    told = [(each.channel, each.state) for (each,) in desktop.core.asked("typing")]
    assert told == [("#general", "start"), ("#general", "stop")]


@pytest.mark.feature("around.reactions")
class TestAnswering:
    """Replies: begun from a message or a command."""

    async def test_it_says_whom_and_sends_the_number(self, desktop: Desktop) -> None:
        await desktop.type("glad")
        desktop.conversation.drafts.begin_reply(said(3, "alice", "tea?"))
        await desktop.pilot.pause()
        assert "Replying to alice: tea?" in desktop.screen()
        await desktop.type("ly", "enter")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send") == [("#general", "gladly", False, 3)]
        await desktop.until(lambda: "Replying" not in desktop.screen())

    async def test_escape_gives_it_up_and_keeps_the_text(self, desktop: Desktop) -> None:
        desktop.conversation.drafts.begin_reply(said(3, "alice", "tea?"))
        await desktop.type("gladly", "escape")
        await desktop.until(lambda: "Replying" not in desktop.screen())
        assert desktop.composer.text == "gladly"

    async def test_a_command_answers_the_latest_or_a_number(self, desktop: Desktop) -> None:
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
    async def test_up_in_an_empty_composer_changes_the_last_message(self, desktop: Desktop) -> None:
        await desktop.press("up")
        await desktop.until(lambda: desktop.composer.text == "mine")
        assert "Editing your message" in desktop.screen()
        await desktop.type("!", "enter")
        await desktop.until(lambda: desktop.core.asked("edit"))
        assert desktop.core.asked("edit") == [("#general", 6, "mine!")]
        assert desktop.composer.text == ""
        assert not desktop.core.asked("send")

    async def test_up_moves_the_cursor_once_there_is_text(self, desktop: Desktop) -> None:
        await desktop.type("a\nb", "up")
        assert desktop.composer.cursor_location[0] == 0
        assert desktop.conversation.drafts.here.aim is Aim.MESSAGE

    async def test_the_draft_waits_meanwhile(self, desktop: Desktop) -> None:
        await desktop.type("a draft")
        desktop.conversation.drafts.begin_edit(said(6, "me", "mine"))
        await desktop.until(lambda: desktop.composer.text == "mine")
        await desktop.type("!", "enter")
        await desktop.until(lambda: desktop.composer.text == "a draft")

    async def test_escape_gives_it_up_without_loss(self, desktop: Desktop) -> None:
        await desktop.press("up", "escape")
        await desktop.until(lambda: "Editing" not in desktop.screen())
        assert desktop.composer.text == ""
        await desktop.press("up")
        await desktop.type("!", "escape")
        assert desktop.composer.text == "mine!"
        assert not desktop.core.asked("edit")

    async def test_a_change_that_changes_nothing_is_not_sent(self, desktop: Desktop) -> None:
        await desktop.press("up", "enter")
        await desktop.until(lambda: "Editing" not in desktop.screen())
        assert not desktop.core.asked("edit")
        assert desktop.composer.text == ""

    async def test_only_ones_own_can_be_changed(self, desktop: Desktop) -> None:
        await desktop.type("/edit 1 mischief", "enter")
        await desktop.until(lambda: desktop.told)
        assert "by alice. You can edit only your own" in desktop.told[0]
        assert desktop.composer.text == "/edit 1 mischief"
        assert not desktop.core.asked("edit")


async def test_a_command_chosen_while_one_changes_a_message_is_not_its_new_text(
    desktop: Desktop,
) -> None:
    await desktop.press("up")
    assert desktop.composer.text == "mine"
    at_once(desktop, "ctrl+k", "/members", "enter")
    await desktop.until(lambda: desktop.main.query_one(MemberList).display)
    assert not desktop.core.asked("edit")
    assert desktop.composer.text == "mine"


class TestJoining:
    """Channels that are entered, and what is said in them."""

    async def test_a_new_channel_is_shown_once_the_server_has_let_one_in(
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
    async def test_what_is_written_while_a_channel_opens_goes_there_in_its_order(
        self, desktop: Desktop
    ) -> None:
        at_once(desktop, "/join Coffee", "enter", "one", "enter", "/me waves", "enter", "half")
        await desktop.until(lambda: desktop.composer.text == "half")
        assert not desktop.core.asked("send")
        assert desktop.core.drafts["#Coffee"] == "one\n/me waves", "kept, if it ends here"
        desktop.core.answer_join("#coffee")  # as its server spells it
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

    async def test_what_was_written_for_a_channel_that_stays_shut_comes_back(
        self, desktop: Desktop
    ) -> None:
        desktop.composer.load("for general")
        at_once(desktop, "ctrl+k", "#coffee", "enter", "one", "enter", "two", "enter", "half")
        await desktop.until(lambda: desktop.composer.text == "half")
        assert "Joining #coffee" in str(desktop.composer.placeholder)
        desktop.core.futures["join"].set_exception(ChatError("you are banned"))
        await desktop.until(lambda: desktop.told == ["you are banned"])
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
        await desktop.until(lambda: desktop.told == ["not connected"])
        assert desktop.core.drafts["#coffee"] == "an older draft"
        assert desktop.composer.text == ", and more"

    async def test_a_command_chosen_meanwhile_leaves_what_is_written_elsewhere(
        self, desktop: Desktop
    ) -> None:
        desktop.composer.load("for general")
        at_once(desktop, "ctrl+k", "#coffee", "enter", "ctrl+k", "/members", "enter")
        await desktop.until(lambda: desktop.core.asked("join"))
        await desktop.until(lambda: desktop.main.query_one(MemberList).display)
        assert desktop.core.drafts["#general"] == "for general"
        await desktop.press("alt+down", "alt+up")
        assert desktop.composer.text == "for general"

    async def test_one_may_lead_to_the_next(self, desktop: Desktop) -> None:
        at_once(desktop, "/join a", "enter", "one", "enter", "/join b", "enter", "two", "enter")
        await desktop.until(lambda: desktop.core.drafts.get("#a") == "one\n/join b\ntwo")
        for name in ("#a", "#b"):
            desktop.core.tell(ChannelsChanged((info("#general"), info("#a"), info(name))))
            desktop.core.answer_join(name)
            await desktop.until(partial(lambda n: desktop.conversation.state.current == n, name))
        assert [call[:2] for call in desktop.core.asked("send")] == [("#a", "one"), ("#b", "two")]

    async def test_who_goes_elsewhere_meanwhile_stays_there(self, desktop: Desktop) -> None:
        await desktop.type("/join coffee", "enter")
        await desktop.type("one", "enter")
        await desktop.press("alt+down")
        desktop.core.tell(ChannelsChanged((info("#coffee", has_draft=True), info("#tea"))))
        desktop.core.answer_join("#coffee")
        told = "Joined #coffee. Your text there is not sent yet."
        await desktop.until(lambda: desktop.told == [told])
        assert desktop.conversation.state.current == "#tea"
        assert not desktop.core.asked("send")
        assert desktop.core.drafts["#coffee"] == "one"

    async def test_the_end_may_come_before_the_answer(self, desktop: Desktop) -> None:
        await desktop.type("/msg zoe lunch?", "enter")
        await desktop.type("or tea", "enter")
        desktop.main.workspace.close()
        assert desktop.core.drafts["#general"] == "/msg zoe lunch?\nor tea"
        assert desktop.core.drafts["@me,zoe"] == ""

    async def test_who_answers_a_message_meanwhile_stays_there(self, desktop: Desktop) -> None:
        await desktop.type("/join coffee", "enter")
        at_once(desktop, "ctrl+up", "r", "yes", "enter")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send") == [("#general", "yes", False, 6)]
        desktop.core.tell(ChannelsChanged((info("#general"), info("#coffee"))))
        desktop.core.answer_join("#coffee")
        await desktop.until(lambda: desktop.told == ["Joined #coffee."])
        assert desktop.conversation.state.current == "#general"

    async def test_what_was_written_before_there_was_a_channel_is_there_in_the_first(
        self, open_desktop: Open
    ) -> None:
        async with open_desktop() as desktop:
            await desktop.type("good morning")
            desktop.core.go_online(info("#general"))
            await desktop.until(lambda: desktop.conversation.state.current == "#general")
            assert desktop.composer.text == "good morning"

    async def test_a_known_channel_is_shown_at_once(self, desktop: Desktop) -> None:
        await desktop.type("/join tea", "enter")
        await desktop.until(lambda: desktop.conversation.state.current == "#tea")
        assert not desktop.core.asked("join")

    async def test_first_words_to_a_person_come_back_if_there_is_no_such_person(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/msg zoe lunch?", "enter")
        await desktop.until(lambda: desktop.core.asked("join"))
        assert desktop.core.asked("join") == [(Join(channel="@me,zoe"),)]
        desktop.core.futures["join"].set_exception(ChatError("nobody is called zoe"))
        await desktop.until(lambda: desktop.told)
        assert desktop.told == ["nobody is called zoe"]
        assert desktop.composer.text == "/msg zoe lunch?"
        assert not desktop.core.asked("send")

    async def test_words_to_somebody_known_go_out_without_a_connection(
        self, desktop: Desktop
    ) -> None:
        await desktop.type("/msg alice lunch?", "enter")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send") == [("@alice,me", "lunch?", False, None)]
        assert desktop.conversation.state.current == "@alice,me"

    async def test_a_channel_one_is_no_longer_in_gives_way_to_the_one_before(
        self, desktop: Desktop
    ) -> None:
        await desktop.press("alt+down")
        await desktop.type("/leave", "enter")
        await desktop.until(lambda: desktop.core.asked("leave") == [(Leave(channel="#tea"),)])
        desktop.core.tell(ChannelsChanged((info("#a"), info("#general"))))
        await desktop.until(lambda: desktop.conversation.state.current == "#general")
        desktop.core.tell(ChannelsChanged(()))
        await desktop.until(lambda: "You have not joined a channel yet" in desktop.screen())


async def test_what_the_core_notices_is_told(desktop: Desktop) -> None:
    desktop.core.tell(Notice("The disk is full.", "error"))
    await desktop.until(lambda: "The disk is full." in desktop.screen())


@pytest.mark.feature("writing.delivery")
async def test_what_was_refused_is_sent_again_or_thrown_away(desktop: Desktop) -> None:
    failed = said(None, "me", "too soon", cid="f", delivery=Delivery.FAILED, reason="rate")
    await desktop.type("/retry", "enter")
    await desktop.until(lambda: desktop.told, "nothing to retry yet")
    desktop.composer.load("")
    desktop.core.tell(TimelineChanged("#general", upserts=(failed,)))
    await desktop.type("/retry", "enter")
    await desktop.type("/discard", "enter")
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
        await desktop.until(lambda: desktop.core.drafts.get("#general") == "hi", "at rest")
        assert ("alice is typing" in desktop.screen()) is shows
        assert bool(desktop.core.asked("typing")) is tells
