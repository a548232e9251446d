"""Live channels: shared encoding, and attaching without a gap or a duplicate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.frames import ErrorFrame, Joined
from chat.protocol.items import EventFields
from chat.server.channels.live import LiveChannel, LiveChannels
from chat.server.channels.presence import PresenceBroadcaster
from chat.server.subscriptions import Subscriptions
from chat.store.operations import ChannelState, MemberPage, Membership, Preference, Resumed, User

RECENT = 20


class Sink:
    """Receives frames, as a connection with its outlet does."""

    is_backed_up = False

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.outlet = self

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def send_now(self, frame: bytes) -> None:
        self.frames.append(frame)

    async def drain(self) -> None:
        """Return at once."""

    def seqs(self) -> list[int]:
        """Return the numbers of all received events."""
        return [int(part.split(b",")[0]) for part in b"".join(self.frames).split(b'"seq":')[1:]]


def event(seq: int, kind: str = "message") -> EventFields:
    """Return an event by alice in #room."""
    return {
        "type": "event",
        "channel": "#room",
        "seq": seq,
        "mid": f"m{seq}",
        "ts": 0,
        "author": "alice",
        "kind": kind,
    }


class Session:
    """A session of alice; `pages` has the head and `complete` of each page it was sent."""

    id = "session"

    def __init__(self, channels: LiveChannels) -> None:
        self.sink = Sink()
        self.connection = cast("Any", self.sink)
        self.pages: list[tuple[int, bool]] = []
        self.refused: list[str] = []
        self.heads: list[int] = []
        """Heads of the log at each read, without items; the last one is repeated."""
        self._tasks: set[asyncio.Task[None]] = set()
        context = SimpleNamespace(
            channels=channels,
            presence=PresenceBroadcaster(asyncio.get_running_loop(), channels),
            reads=self,
            settings=SimpleNamespace(limits=None, resume_window=0),
        )
        self.subscriptions = Subscriptions(self, User(1, "alice"), cast("Any", context))
        self.subscriptions.welcomed([], lambda: None)

    def send(self, frame: object) -> None:
        """Receive a `joined` or an error."""
        if isinstance(frame, Joined):
            self.pages.append((frame.head, frame.complete))
        elif isinstance(frame, ErrorFrame):
            self.refused.append(frame.code)

    answer = send

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

    async def log(self, _connection: object, _user: object, _query: object) -> list[Any]:
        """Read the log."""
        head = self.heads.pop(0) if len(self.heads) > 1 else self.heads[0]
        state, preference = ChannelState(1, "#room", "e", head, ""), Preference(0, False, "")
        membership = Membership(state, "member", 0, 0, 0, preference)
        return [(Resumed(membership, (), True, (), True), MemberPage("#room", (), None, 0))]

    def attach(self, head: int, *, is_read: bool = True) -> None:
        """Start to attach with a log that was read up to `head`."""
        state = ChannelState(1, "#room", "e", head, "")
        self.subscriptions.enter("#room", head)

        async def attach() -> None:
            await self.subscriptions.attach(
                state,
                lambda is_complete: self.pages.append((head, is_complete)),
                is_read=is_read,
                is_empty=False,
            )

        self.run(attach())


async def attached(channels: LiveChannels, head: int) -> Session:
    """Let a session attach that has read up to `head`."""
    session = Session(channels)
    session.attach(head)
    await settled()
    return session


async def settled() -> None:
    """Let all tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def deliver(channels: LiveChannels, first: int, last: int) -> None:
    """Deliver the events of one commit."""
    channels.deliver([event(seq) for seq in range(first, last + 1)])
    await settled()


async def test_all_followers_get_the_same_bytes_object() -> None:
    channels = LiveChannels()
    sinks = [(await attached(channels, 0)).sink for _ in range(3)]
    await deliver(channels, 1, 2)
    assert sinks[0].seqs() == [1, 2]
    assert all(sink.frames[0] is sinks[0].frames[0] for sink in sinks)
    assert len(sinks[0].frames) == 1  # one write for a whole commit


async def test_events_delivered_before_are_skipped() -> None:
    channels = LiveChannels()
    session = await attached(channels, 5)  # a snapshot read the commit before it was delivered
    await deliver(channels, 4, 6)
    assert session.sink.seqs() == [6]


async def test_session_that_read_ahead_attaches_with_the_delivery() -> None:
    channels = LiveChannels()
    await attached(channels, 3)
    session = await attached(channels, 5)
    assert not session.pages
    await deliver(channels, 4, 4)
    assert not session.pages
    await deliver(channels, 5, 6)
    assert session.pages == [(5, True)]
    await deliver(channels, 7, 7)
    assert session.sink.seqs() == [6, 7]


async def test_session_attaches_only_after_reading_to_the_head() -> None:
    channels = LiveChannels()
    await attached(channels, 0)
    session = Session(channels)
    session.attach(0, is_read=False)
    await settled()
    await deliver(channels, 1, 2)
    assert session.pages == [(0, False)]
    assert session.sink.seqs() == []
    session.attach(2)
    await settled()
    await deliver(channels, 3, 3)
    assert session.sink.seqs() == [3]


async def test_session_too_far_behind_gets_an_incomplete_answer() -> None:
    channels = LiveChannels(recent=RECENT)
    await attached(channels, 0)
    await deliver(channels, 1, RECENT + 10)
    session = await attached(channels, 5)
    assert session.pages == [(5, False)]
    await deliver(channels, RECENT + 11, RECENT + 11)
    assert session.sink.seqs() == []


async def test_empty_page_too_far_behind_is_read_again() -> None:
    channels = LiveChannels(recent=RECENT)
    await attached(channels, 0)
    await deliver(channels, 1, RECENT + 10)
    session = Session(channels)
    session.heads = [5, RECENT + 10]
    session.subscriptions.listed("#room", RECENT + 10)
    await settled()
    assert session.pages == [(RECENT + 10, True)]


async def test_membership_that_ends_during_a_read_delivers_no_later_events() -> None:
    channels = LiveChannels()
    session = Session(channels)
    session.heads = [3]
    session.subscriptions.listed("#room", 1)
    await settled()
    assert not session.pages
    channels.deliver([event(2), event(3), event(4, "leave"), event(5)])
    await settled()
    assert session.pages == [(3, True)]
    assert session.sink.seqs() == [4]


async def test_read_of_a_channel_left_meanwhile_is_refused() -> None:
    channels = LiveChannels()
    session = Session(channels)
    session.heads = [3]
    session.subscriptions.listed("#room", 1)
    await settled()
    channels.deliver([event(2, "leave")])
    await settled()
    assert session.refused == ["not_a_member"]


def test_replay_stops_beyond_the_recent_frames() -> None:
    channel = LiveChannel("#room", 0, recent=RECENT)
    channel.deliver([event(seq) for seq in range(1, RECENT + 10)])
    assert channel.replay_after(0) is None
    assert channel.replay_after(9) is not None


async def test_channel_entered_with_an_old_snapshot_keeps_the_delivered_head() -> None:
    channels = LiveChannels()
    channels.deliver([event(7)])
    session = Session(channels).subscriptions
    channel = channels.enter(session, "#room", head=6)
    assert channel.head == 7
    channels.leave(session, channel)
    assert channels.channel("#room") is None


async def test_delivered_leave_removes_all_sessions_of_the_user() -> None:
    channels = LiveChannels()
    devices = [await attached(channels, 0) for _ in range(2)]
    channels.deliver([event(1), event(2, "leave"), event(3)])
    assert [device.sink.seqs() for device in devices] == [[1, 2], [1, 2]]
    assert channels.channel("#room") is None


async def test_leave_older_than_the_read_head_is_ignored() -> None:
    channels = LiveChannels()
    session = await attached(channels, 5)  # after leaving and joining again
    channels.deliver([event(4, "leave"), event(5, "join"), event(6)])
    assert session.sink.seqs() == [6]


async def test_repeated_leave_is_ignored() -> None:
    channels = LiveChannels()
    session = Session(channels)
    session.heads = [3]
    channels.deliver([event(1, "join"), event(2, "leave"), event(3, "join")])
    await settled()
    channels.deliver([event(2, "leave")])
    await deliver(channels, 4, 4)
    assert session.sink.seqs() == [4]


@given(st.data())
def test_session_that_attaches_at_any_time_gets_each_event_once(data: st.DataObject) -> None:
    asyncio.run(_attach_whenever(data))


async def _attach_whenever(data: st.DataObject) -> None:
    channels = LiveChannels()
    await attached(channels, 0)
    committed = delivered = 0
    sessions: list[Session] = []
    for _ in range(data.draw(st.integers(1, 20))):
        match data.draw(st.sampled_from(["commit", "deliver", "attach"])):
            case "commit":
                committed += data.draw(st.integers(1, 4))
            case "deliver" if delivered < committed:
                upto = data.draw(st.integers(delivered + 1, committed))
                await deliver(channels, delivered + 1, upto)
                delivered = upto
            case "attach":
                sessions.append(await attached(channels, data.draw(st.integers(0, committed))))
    await deliver(channels, delivered + 1, committed)
    for session in sessions:
        ((head, complete),) = session.pages
        assert complete
        assert session.sink.seqs() == list(range(head + 1, committed + 1))
