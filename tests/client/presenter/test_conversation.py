"""Read markers of channels and threads, and the end of a mute or a membership."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from chat.client.model.membership import FollowedThread, Mute, now_ms
from chat.client.model.state import (
    ChannelChanged,
    ChannelsChanged,
    ConnectionChanged,
    Link,
    MembershipEnded,
)
from chat.client.presenter import conversation
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.notifier import Notifier
from tests.client.presenter.fakes import FakeCore, FakeView, FakeWorkspace, info
from tests.serving import PATIENCE


class SlowCore(FakeCore):
    """A core that finishes loading a message when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[Future[bool]] = []

    def reach(self, channel: str, seq: int) -> Future[bool]:
        self.ways.append(Future())
        return self.ways[-1]


class Reader:
    def __init__(self) -> None:
        self.core, self.view = SlowCore(), FakeView()
        self.conversation = Conversation(
            self.core,
            self.view,
            "me",
            server_key=1,
            workspace=FakeWorkspace(),
            notifier=Notifier(self.view, self.core),
            commands=HANDLERS,
        )
        self.core.go_online(info("#general", head=90, read=10), info("#tea", head=5))
        self.take_in()
        self.conversation.open_channel("#general")

    def take_in(self) -> None:
        self.conversation.take_in()

    def jump(self, seq: int) -> asyncio.Task[None]:
        conversation.jump(self.conversation, "#general", seq)
        return asyncio.get_running_loop().create_task(self.view.beside.pop())

    @property
    def marked(self) -> list[tuple[object, ...]]:
        return self.core.asked("mark")


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    for work in reader.view.beside:
        work.close()


async def test_overlapping_jumps_mark_the_messages_visible_at_their_end(reader: Reader) -> None:
    first, second = reader.jump(20), reader.jump(30)
    await asyncio.sleep(0)
    reader.core.ways[0].set_result(True)
    await first
    reader.conversation.reading.seen("#general", 90)
    assert reader.marked == [], "the second one is still on its way"
    reader.view.shows = 35
    reader.core.ways[1].set_result(True)
    await second
    assert reader.marked == [("#general", 35)]
    reader.conversation.reading.seen("#general", 40)
    assert reader.marked[-1] == ("#general", 40)


async def test_a_jump_holds_the_marker_of_its_channel_only(reader: Reader) -> None:
    way = reader.jump(20)
    await asyncio.sleep(0)
    reader.conversation.open_channel("#tea")
    reader.conversation.reading.seen("#tea", 5)
    assert reader.marked == [("#tea", 5)]
    reader.core.ways[0].set_result(True)
    await way
    assert reader.marked == [("#tea", 5)]


def test_a_lowered_marker_shows_the_channel_again(reader: Reader) -> None:
    reader.view.done.clear()
    reader.core.tell(ChannelsChanged((info("#general", head=50, read=2), info("#tea"))))
    reader.take_in()
    assert ("show", "#general", "me", 2) in reader.view.done
    reader.conversation.reading.watched(True)
    assert reader.marked == [], "what was seen was of the other log"


async def test_a_jump_to_a_reply_that_is_only_in_its_thread_opens_the_thread(
    reader: Reader,
) -> None:
    reader.core.roots[20] = 15
    jump = reader.jump(20)
    await asyncio.sleep(0)
    reader.core.ways[0].set_result(False)
    await jump
    assert reader.core.asked("open_thread") == [("#general", 20)]
    assert reader.view.said == []


def test_a_thread_is_marked_as_read_while_the_terminal_has_the_focus(reader: Reader) -> None:
    key = PaneKey("#general", 15)
    reader.conversation.reading.watched(False)
    reader.conversation.reading.thread_seen(key, 20)
    assert reader.core.asked("mark_thread") == []
    reader.conversation.reading.watched(True)
    assert reader.core.asked("mark_thread") == [("#general", 15, 20)]


def test_marking_a_channel_as_read_includes_its_threads(reader: Reader) -> None:
    threads = (FollowedThread(15, unread=2),)
    reader.core.tell(ChannelChanged(info("#tea", head=5, threads=threads)))
    reader.take_in()
    conversation.mark_all(reader.conversation)
    assert reader.core.asked("mark_thread") == [("#tea", 15, 5)]


async def test_the_view_is_redrawn_when_a_mute_ends(reader: Reader) -> None:
    redrawn = asyncio.Event()
    reader.view.redraw = redrawn.set  # type: ignore[method-assign]  # to wait for it
    until = now_ms() + 2_000
    reader.core.tell(
        ConnectionChanged(Link.ONLINE, user="me", has_rooms=True),
        ChannelChanged(info("#general", head=90, read=10, mute=Mute("olga", until))),
    )
    reader.take_in()
    assert reader.conversation.why_silent
    redrawn.clear()
    async with asyncio.timeout(PATIENCE):
        await redrawn.wait()
    assert not reader.conversation.why_silent


def test_the_end_of_a_membership_is_told(reader: Reader) -> None:
    reader.core.tell(MembershipEnded("#tea", "kick", "olga", reason="spam"))
    reader.take_in()
    assert reader.view.said == [("You were removed from #tea by olga: spam.", "warning")]


def test_the_reason_for_a_removal_is_said_only_above_a_text(reader: Reader) -> None:
    reader.view.text = "half a thought"
    reader.core.tell(MembershipEnded("#general", "kick", "olga"))
    reader.take_in()
    assert reader.view.said == []
    assert reader.conversation.why_silent == "", "the list still has the channel"
    reader.core.tell(ChannelsChanged((info("#tea", head=5),)))
    reader.take_in()
    assert reader.conversation.why_silent == "You were removed from #general by olga."
    assert reader.view.said == [("Your text for #general is kept.", "warning")]


def test_text_for_a_channel_that_the_user_was_removed_from_is_kept(reader: Reader) -> None:
    reader.view.text = "half a thought"
    reader.core.tell(
        MembershipEnded("#general", "kick", "olga"), ChannelsChanged((info("#tea", head=5),))
    )
    reader.take_in()
    assert reader.conversation.state.current == "#general"
    assert reader.conversation.why_silent == "You were removed from #general by olga."
    assert reader.view.said == [("Your text for #general is kept.", "warning")]
