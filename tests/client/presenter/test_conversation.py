"""Read markers while an older message is being loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from chat.client.model.state import ChannelsChanged
from chat.client.presenter import conversation
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.notifier import Notifier
from tests.client.presenter.fakes import FakeCore, FakeView, FakeWorkspace, info


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
