"""The room: one encoding for all, no hole and no duplicate for whoever attaches when."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.items import Event
from chat.server.hub import RING, Hub, Room


class Sink:
    """Takes frames, as a connection does."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

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


def follow(room: Room, head: int) -> tuple[Sink, list[list[bytes] | None]]:
    """Attach a sink that has read up to `head`."""
    sink, missed = Sink(), []

    def ready() -> None:
        frames = room.since(head)
        missed.append(frames)
        for frame in frames or ():
            sink.send(frame)
        room.followers[cast("Any", sink)] = cast("Any", sink)

    room.when_at(head, ready)
    return sink, missed


def test_all_followers_get_the_same_bytes_object() -> None:
    room = Room("#room", "e", 0)
    sinks = [follow(room, 0)[0] for _ in range(3)]
    room.deliver([event(1), event(2)])
    assert sinks[0].seqs() == [1, 2]
    assert all(sink.frames[0] is sinks[0].frames[0] for sink in sinks)
    assert len(sinks[0].frames) == 1  # one piece for a whole commit


def test_what_was_delivered_before_is_passed_over() -> None:
    room = Room("#room", "e", 5)  # a snapshot read the commit before it was delivered
    sink, _ = follow(room, 5)
    room.deliver([event(4), event(5), event(6)])
    assert sink.seqs() == [6]


def test_a_reader_that_is_ahead_waits_for_the_delivery() -> None:
    room = Room("#room", "e", 3)
    sink, missed = follow(room, 5)
    assert not missed
    room.deliver([event(4)])
    assert not missed
    room.deliver([event(5), event(6)])
    assert missed
    room.deliver([event(7)])
    assert sink.seqs() == [6, 7]


def test_beyond_the_recent_frames_one_must_read_on() -> None:
    room = Room("#room", "e", 0)
    room.deliver([event(seq) for seq in range(1, RING + 10)])
    assert room.since(0) is None
    assert room.since(9) is not None


def test_a_room_made_from_an_old_snapshot_knows_what_was_delivered_since() -> None:
    hub = Hub()
    hub.deliver([event(7)])
    session = cast("Any", type("Member", (), {"connection": Sink(), "name": "a"})())
    room = hub.enter(session, "#room", "e", head=6)
    assert room.head == 7
    hub.leave(session, room)
    assert hub.room("#room") is None


@given(st.data())
def test_whoever_attaches_whenever_gets_each_number_once(data: st.DataObject) -> None:
    room = Room("#room", "e", 0)
    committed = delivered = 0
    sinks: list[tuple[int, Sink, list[list[bytes] | None]]] = []
    for _ in range(data.draw(st.integers(1, 20))):
        match data.draw(st.sampled_from(["commit", "deliver", "attach"])):
            case "commit":
                committed += data.draw(st.integers(1, 4))
            case "deliver" if delivered < committed:
                upto = data.draw(st.integers(delivered + 1, committed))
                room.deliver([event(seq) for seq in range(delivered + 1, upto + 1)])
                delivered = upto
            case "attach":
                head = data.draw(st.integers(0, committed))
                sinks.append((head, *follow(room, head)))
    room.deliver([event(seq) for seq in range(delivered + 1, committed + 1)])
    for head, sink, missed in sinks:
        assert missed[0] is not None
        assert sink.seqs() == list(range(head + 1, committed + 1))
