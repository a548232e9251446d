"""The room: one encoding for all, no hole and no duplicate for whoever attaches when."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.items import Event
from chat.server.channels.live import RING, LiveChannel, LiveChannels
from chat.server.channels.presence import PresenceBroadcaster, PresenceTracker
from chat.server.subscriptions import Subscriptions
from chat.store.operations import ChannelState, User


class Sink:
    """Takes frames, as a connection and its outlet do."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.outlet = self

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def send_now(self, frame: bytes) -> None:
        self.frames.append(frame)

    def seqs(self) -> list[int]:
        """Return the numbers of all events it got."""
        return [int(part.split(b",")[0]) for part in b"".join(self.frames).split(b'"seq":')[1:]]


def event(seq: int, channel: str = "#room") -> Event:
    """Return an event."""
    return Event(
        channel=channel, seq=seq, mid=f"m{seq}", ts=0, author="a", kind="message", text="x"
    )


class Member:
    """A session of alice's; `pages` are the heads and `complete` of what it was sent."""

    id = "session"
    is_closed = False

    def __init__(self, hub: LiveChannels) -> None:
        self.sink = Sink()
        self.connection = cast("Any", self.sink)
        services = SimpleNamespace(
            hub=hub, presence=PresenceTracker(), news=SimpleNamespace(of_room=lambda _channel: None)
        )
        services.news.snapshot = PresenceBroadcaster(cast("Any", None), services.presence).snapshot
        self.subscriptions = Subscriptions(self, User(1, "alice"), cast("Any", services))
        hub.signed_in(self.subscriptions)
        self.pages: list[tuple[int, bool]] = []

    def send(self, _frame: object) -> None:
        """Take what is not of the log."""

    def attach(
        self, head: int, again: Callable[[], None] | None = None, *, is_read: bool = True
    ) -> None:
        """Attach with what was read up to `head`."""
        self.subscriptions.attach(
            ChannelState(1, "#room", "e", head, ""),
            is_read,
            lambda complete: self.pages.append((head, complete)),
            again,
        )


def follow(hub: LiveChannels, head: int, again: Callable[[], None] | None = None) -> Member:
    """Have a member attach who has read up to `head`."""
    member = Member(hub)
    member.attach(head, again)
    return member


def deliver(hub: LiveChannels, first: int, last: int) -> None:
    """Deliver one commit's events."""
    hub.deliver([event(seq) for seq in range(first, last + 1)])


def test_all_followers_get_the_same_bytes_object() -> None:
    hub = LiveChannels()
    sinks = [follow(hub, 0).sink for _ in range(3)]
    deliver(hub, 1, 2)
    assert sinks[0].seqs() == [1, 2]
    assert all(sink.frames[0] is sinks[0].frames[0] for sink in sinks)
    assert len(sinks[0].frames) == 1  # one piece for a whole commit


def test_what_was_delivered_before_is_passed_over() -> None:
    hub = LiveChannels()
    member = follow(hub, 5)  # a snapshot read the commit before it was delivered
    deliver(hub, 4, 6)
    assert member.sink.seqs() == [6]


def test_a_reader_that_is_ahead_waits_for_the_delivery() -> None:
    hub = LiveChannels()
    follow(hub, 3)
    member = follow(hub, 5)
    assert not member.pages
    deliver(hub, 4, 4)
    assert not member.pages
    deliver(hub, 5, 6)
    assert member.pages == [(5, True)]
    deliver(hub, 7, 7)
    assert member.sink.seqs() == [6, 7]


def test_a_reader_of_a_part_follows_only_when_it_has_read_the_rest() -> None:
    hub = LiveChannels()
    follow(hub, 0)
    member = Member(hub)
    member.attach(0, is_read=False)
    deliver(hub, 1, 2)
    assert member.pages == [(0, False)]
    assert member.sink.seqs() == []
    member.attach(2)
    deliver(hub, 3, 3)
    assert member.sink.seqs() == [3]


def test_a_reader_that_is_too_far_behind_reads_on() -> None:
    hub = LiveChannels()
    follow(hub, 0)
    deliver(hub, 1, RING + 10)
    member = follow(hub, 5)
    assert member.pages == [(5, False)]
    deliver(hub, RING + 11, RING + 11)
    assert member.sink.seqs() == []


def test_an_empty_page_that_is_too_far_behind_is_read_again() -> None:
    hub, again = LiveChannels(), []
    follow(hub, 0)
    deliver(hub, 1, RING + 10)
    member = follow(hub, 5, lambda: again.append(True))
    assert again
    assert not member.pages
    assert member.sink.seqs() == []


def test_beyond_the_recent_frames_one_must_read_on() -> None:
    room = LiveChannel("#room", 0)
    room.deliver([event(seq) for seq in range(1, RING + 10)])
    assert room.replay_after(0) is None
    assert room.replay_after(9) is not None


def test_a_room_made_from_an_old_snapshot_knows_what_was_delivered_since() -> None:
    hub = LiveChannels()
    hub.deliver([event(7)])
    member = Member(hub).subscriptions
    room = hub.enter(member, "#room", head=6)
    assert room.head == 7
    hub.leave(member, room)
    assert hub.channel("#room") is None


def membership(seq: int, kind: str, channel: str = "#room") -> Event:
    """Return alice's join or leave."""
    return Event(channel=channel, seq=seq, mid=f"m{seq}", ts=0, author="alice", kind=kind)


def test_a_delivered_leave_ends_what_every_device_gets() -> None:
    hub = LiveChannels()
    devices = [follow(hub, 0), follow(hub, 0)]
    hub.deliver([event(1), membership(2, "leave"), event(3)])
    assert [device.sink.seqs() for device in devices] == [[1, 2], [1, 2]]
    assert hub.channel("#room") is None


def test_a_leave_that_is_older_than_what_was_read_is_passed_over() -> None:
    hub = LiveChannels()
    member = follow(hub, 5)  # after leaving and joining again
    hub.deliver([membership(4, "leave"), membership(5, "join"), event(6)])
    assert member.sink.seqs() == [6]


@given(st.data())
def test_whoever_attaches_whenever_gets_each_number_once(data: st.DataObject) -> None:
    hub = LiveChannels()
    follow(hub, 0)
    committed = delivered = 0
    members: list[Member] = []
    for _ in range(data.draw(st.integers(1, 20))):
        match data.draw(st.sampled_from(["commit", "deliver", "attach"])):
            case "commit":
                committed += data.draw(st.integers(1, 4))
            case "deliver" if delivered < committed:
                upto = data.draw(st.integers(delivered + 1, committed))
                deliver(hub, delivered + 1, upto)
                delivered = upto
            case "attach":
                members.append(follow(hub, data.draw(st.integers(0, committed))))
    deliver(hub, delivered + 1, committed)
    for member in members:
        ((head, complete),) = member.pages
        assert complete
        assert member.sink.seqs() == list(range(head + 1, committed + 1))
