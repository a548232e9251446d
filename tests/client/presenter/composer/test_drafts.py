"""Drafts by channel and thread: text is sent, saved, and returned to its own draft."""

from __future__ import annotations

from typing import Any

import pytest

from chat.client.model.membership import Mute
from chat.client.model.state import (
    ChannelChanged,
    ConnectionChanged,
    Link,
    ThreadChanged,
    TimelineChanged,
)
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.composer.draft import Aim
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.notifier import Notifier
from tests.client.presenter.fakes import FakeCore, FakeView, FakeWorkspace, info, said

GENERAL, THREAD = PaneKey("#general"), PaneKey("#general", 3)
LINES = (
    said(3, "alice", "tea?"),
    said(4, "bob", "yes", reply_to=3, thread=3),
    said(6, "me", "mine", reply_to=4, thread=3),
)


class Writer:
    """A user in `#general` who has opened the thread of message 3."""

    def __init__(self) -> None:
        self.core, self.view = FakeCore(), FakeView()
        self.conversation = Conversation(
            self.core,
            self.view,
            "me",
            server_key=1,
            workspace=FakeWorkspace(),
            notifier=Notifier(self.view, self.core),
            commands=HANDLERS,
        )
        self.drafts = self.conversation.drafts
        self.core.go_online(info("#general", head=6), info("#tea"))
        self.take_in()
        self.core.tell(TimelineChanged("#general", upserts=LINES))
        self.open_thread(3, 3)

    def take_in(self) -> None:
        while self.core.has_updates:
            self.conversation.take_in()

    def open_thread(self, asked: int, root: int) -> None:
        self.take_in()
        self.conversation.threads.show("#general", asked)
        change = TimelineChanged("#general", LINES, reset=True, complete=True)
        self.core.tell(ThreadChanged("#general", asked, root, change))
        self.take_in()


@pytest.fixture
def writer() -> Writer:
    return Writer()


def test_channel_and_thread_have_each_their_own_draft(writer: Writer) -> None:
    writer.view.text, writer.view.thread_text = "for all", "for few"
    writer.drafts.keep_open()
    assert writer.core.drafts == {"#general": "for all", "#general/3": "for few"}
    writer.conversation.open_channel("#tea")
    writer.conversation.open_channel("#general")
    writer.open_thread(3, 3)
    assert (writer.view.text, writer.view.thread_text) == ("for all", "for few")


def test_text_sent_in_a_thread_answers_it_even_after_another_one_was_opened(
    writer: Writer,
) -> None:
    writer.open_thread(5, 5)
    writer.conversation.drafts.submit("indeed", THREAD)
    assert writer.core.asked("send") == [("#general", "indeed", False, 3)]


def test_text_typed_while_an_edit_is_applied_stays_after_the_draft_that_waited(
    writer: Writer,
) -> None:
    writer.view.thread_text = "a draft"
    writer.drafts.edit_last(THREAD)
    assert writer.view.thread_text == "mine"
    writer.view.thread_text = "typed since"
    writer.conversation.drafts.submit("mine!", THREAD)
    assert writer.view.thread_text == "a draft\ntyped since"
    assert writer.drafts.at(THREAD).aim is Aim.MESSAGE


def test_a_draft_saved_for_the_real_root_comes_before_the_typed_text(writer: Writer) -> None:
    writer.conversation.threads.close()
    writer.core.drafts["#general/1"] = "an older draft"
    writer.conversation.threads.show("#general", 5)
    writer.view.thread_text = "written meanwhile"
    change = TimelineChanged("#general", LINES, reset=True, complete=True)
    writer.core.tell(ThreadChanged("#general", 5, 1, change))
    writer.take_in()
    assert writer.view.thread_text == "an older draft\nwritten meanwhile"
    assert writer.core.drafts["#general/1"] == "an older draft\nwritten meanwhile"
    assert writer.core.drafts["#general/5"] == ""


@pytest.mark.parametrize("key", [GENERAL, THREAD])
def test_an_unsendable_text_returns_to_its_composer(writer: Writer, key: PaneKey) -> None:
    writer.conversation.drafts.submit("x" * 8_001, key)
    texts = {GENERAL: writer.view.text, THREAD: writer.view.thread_text}
    assert texts.pop(key) == "x" * 8_001
    assert set(texts.values()) == {""}


def test_escape_cancels_first_then_closes_a_thread_without_text(
    writer: Writer,
) -> None:
    writer.drafts.begin_reply(LINES[1], 3)
    writer.view.thread_text = "words"
    writer.conversation.dismiss(THREAD)
    assert writer.drafts.at(THREAD).aim is Aim.MESSAGE
    writer.conversation.dismiss(THREAD)
    assert writer.conversation.state.thread is not None
    writer.view.thread_text = ""
    writer.conversation.dismiss(THREAD)
    assert writer.conversation.state.thread is None


def with_rooms(writer: Writer, **fields: Any) -> None:
    """Connect to a server with rooms, with these fields of `#general`."""
    writer.core.tell(
        ConnectionChanged(Link.ONLINE, user="me", text_limit=8_000, has_rooms=True),
        ChannelChanged(info("#general", head=6, **fields)),
    )
    writer.take_in()


def test_replies_are_only_in_their_thread_unless_the_user_says_otherwise(writer: Writer) -> None:
    with_rooms(writer)
    writer.drafts.begin_reply(LINES[0])
    writer.drafts.submit("one", GENERAL)
    assert writer.view.done[-1] == ("sent_to_thread", "#general", 3)
    writer.drafts.submit("two", THREAD)
    assert writer.drafts.toggle_in_channel(THREAD)
    writer.drafts.submit("three", THREAD)
    writer.drafts.submit("four", THREAD)
    writer.drafts.submit("/reply --channel 3 five", GENERAL)
    writer.drafts.submit("six", GENERAL)
    assert writer.core.asked("send") == [
        ("#general", "one", False, 3, "thread_only"),
        ("#general", "two", False, 3, "thread_only"),
        ("#general", "three", False, 3),
        ("#general", "four", False, 3, "thread_only"),
        ("#general", "five", False, 3),
        ("#general", "six", False, None),
    ]


def test_replies_to_an_old_server_are_in_the_channel(writer: Writer) -> None:
    writer.drafts.submit("two", THREAD)
    assert writer.core.asked("send") == [("#general", "two", False, 3)]


def test_nothing_is_sent_while_the_user_may_not_write(writer: Writer) -> None:
    with_rooms(writer, mute=Mute("olga", reason="spam"))
    writer.drafts.submit("hello", GENERAL)
    assert writer.view.said[-1] == ("You were muted in #general by olga: spam.", "warning")
    assert writer.view.text == "hello"
    assert writer.core.asked("send") == []
