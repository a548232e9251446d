"""Live channels: shared encoding, and attaching without a gap or a duplicate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.frames import ChannelInvitation, ErrorFrame, Invited, Joined, Removed
from chat.protocol.items import EventFields
from chat.server.channels.live import LiveChannel, LiveChannels
from chat.server.channels.presence import PresenceBroadcaster
from chat.server.subscriptions import Subscriptions
from chat.store.operations import (
    ChannelState,
    Commit,
    MemberPage,
    Membership,
    OpenInvitation,
    Preference,
    Resumed,
    User,
)

RECENT = 20
CAROL = User(3, "carol")


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


def event(seq: int, kind: str = "message", **more: Any) -> EventFields:
    """Return an event by alice in #room; `more` are its other fields."""
    fields: Any = {
        "type": "event",
        "channel": "#room",
        "seq": seq,
        "mid": f"m{seq}",
        "ts": 0,
        "author": "alice",
        "kind": kind,
        **more,
    }
    return cast("EventFields", fields)


class Session:
    """A session of alice; `pages` has the head and `complete` of each page it was sent."""

    id = "session"

    def __init__(self, channels: LiveChannels, *, is_welcomed: bool = True) -> None:
        self.sink = Sink()
        self.connection = cast("Any", self.sink)
        self.pages: list[tuple[int, bool]] = []
        self.refused: list[str] = []
        self.told: list[tuple[object, list[int]]] = []
        """Frames without an answer, each with the events that came before it."""
        self.heads: list[int] = []
        """Heads of the log at each read, without items; the last one is repeated."""
        self.is_slow = False
        self._tasks: set[asyncio.Task[None]] = set()
        context = SimpleNamespace(
            loop=asyncio.get_running_loop(),
            channels=channels,
            presence=PresenceBroadcaster(asyncio.get_running_loop(), channels),
            reads=self,
            settings=SimpleNamespace(limits=None, resume_window=0),
        )
        self.subscriptions = Subscriptions(self, User(1, "alice"), cast("Any", context))
        if is_welcomed:
            self.subscriptions.welcomed([], lambda: None)

    def send(self, frame: object) -> None:
        """Receive a `joined` or an error."""
        if isinstance(frame, Joined):
            self.pages.append((frame.head, frame.complete))
        elif isinstance(frame, ErrorFrame):
            self.refused.append(frame.code)
        elif isinstance(frame, Removed | Invited):
            self.told.append((frame, self.sink.seqs()))

    answer = send

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

    async def log(self, _connection: object, _user: object, _query: object) -> list[Any]:
        """Read the log or the membership."""
        if not self.heads:  # a check of the right to be shown as typing
            return cast("list[Any]", membership(0))
        head = self.heads.pop(0) if len(self.heads) > 1 else self.heads[0]
        if self.is_slow:
            await asyncio.sleep(0)
        view = Resumed(membership(head), (), True, (), True)
        return [(view, MemberPage("#room", (), None, 0))]

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


def membership(head: int) -> Membership:
    """Return alice's membership of #room."""
    state, preference = ChannelState(1, "#room", "e", head, ""), Preference(0, False, "")
    return Membership(state, "member", 0, 0, 0, preference)


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


async def test_kicked_user_gets_a_frame_right_after_the_event() -> None:
    channels = LiveChannels()
    session = await attached(channels, 0)
    kick = event(2, "leave", by="bob", act="kick", reason="spam")
    channels.deliver([event(1), kick, event(3)])
    frame = Removed(channel="#room", act="kick", by="bob", reason="spam")
    assert session.told == [(frame, [1, 2])]
    assert session.sink.seqs() == [1, 2]


async def test_kick_before_a_later_join_ends_nothing() -> None:
    channels = LiveChannels()
    session = await attached(channels, 5)  # after a kick and another join
    channels.deliver([event(4, "leave", by="bob", act="kick"), event(5, "join"), event(6)])
    assert session.told == []
    assert session.sink.seqs() == [6]


async def test_deleted_channel_is_left_by_all_and_its_name_begins_anew() -> None:
    channels = LiveChannels()
    session = await attached(channels, 7)
    session.heads = [2]
    channels.deliver([event(8, "deleted", author="bob"), event(1, "join"), event(2)])
    await deliver(channels, 3, 3)
    frame = Removed(channel="#room", act="deleted", by="bob")
    assert session.told == [(frame, [8])]
    assert session.pages == [(7, True), (2, True)]
    assert session.sink.seqs() == [8, 3]


async def test_read_that_began_before_the_deletion_is_repeated() -> None:
    channels = LiveChannels()
    session = Session(channels)
    session.heads, session.is_slow = [7, 1], True
    session.subscriptions.listed("#room", 7)
    await asyncio.sleep(0)
    channels.deliver([event(8, "deleted"), event(1, "join")])
    await deliver(channels, 2, 2)
    assert (7, True) not in session.pages
    assert session.pages[-1] == (1, True)
    assert set(session.sink.seqs()) == {2}


async def test_direct_channel_stays_hidden_from_those_who_ignore_the_author() -> None:
    channels = LiveChannels()
    session = Session(channels)
    session.heads = [2]
    direct = "@alice,bob"
    message = event(1, channel=direct, author="bob")
    channels.committed(Commit([message], (), kept_hidden={direct: frozenset(("alice",))}))
    assert channels.channel(direct) is None
    channels.committed(Commit([event(2, channel=direct, author="bob")], ()))
    assert channels.channel(direct) is not None


async def test_frames_before_the_welcome_are_applied_after_it_in_order() -> None:
    channels = LiveChannels()
    session = Session(channels, is_welcomed=False)
    session.heads = [1]
    channels.deliver([event(7, "leave", by="bob", act="ban"), event(8, "deleted", author="bob")])
    channels.deliver([event(1, "join")])
    assert session.told == []
    session.subscriptions.welcomed([membership(5)], lambda: None)
    await settled()
    assert [frame.act for frame, _ in session.told if isinstance(frame, Removed)] == ["ban"]
    assert session.pages == [(1, True)]


@pytest.mark.parametrize("kind", ["mute", "role", "settings"])
async def test_changed_rights_hide_who_is_typing(kind: str) -> None:
    channels = LiveChannels()
    session = await attached(channels, 0)
    live = channels.enter(session.subscriptions, "#room", 0)
    assert not session.subscriptions.start_typing(live)
    await session.subscriptions.check_typing(live)
    assert live.typing.names(5) == ("alice",)
    more = {} if kind == "settings" else {"user": "alice"}
    channels.deliver([event(1, kind, author="bob", **more)])
    assert live.typing.names(5) == ()


async def test_ended_invitations_are_sent_to_the_invited_user() -> None:
    channels = LiveChannels()
    session = Session(channels)
    ended = OpenInvitation("#room", "bob", 7, "", private=True)
    channels.committed(Commit((), (), uninvited=((User(1, "alice"), ended), (CAROL, ended))))
    invitation = ChannelInvitation(channel="#room", by="bob", ts=7, private=True)
    assert session.told == [(Invited(invitation=invitation, remove=True), [])]


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


async def test_a_join_answered_after_a_kick_of_the_same_commit_enters_nothing() -> None:
    session = Session(LiveChannels())
    session.subscriptions.left("#room", 5, None)
    session.subscriptions.listed("#room", 4)
    assert session.subscriptions.channel("#room") is None
    session.heads = [6]
    session.subscriptions.listed("#room", 6)
    assert session.subscriptions.channel("#room") is not None
    await settled()
