"""Deliver the events of all servers on one database, in order and without a gap.

The log in the database decides. After a commit, a server publishes a hint with the events of each
channel. A server that follows the channel delivers a hint that continues what it has delivered,
drops what it has delivered already, and reads the log if something is missing. It compares all
positions with the database every second, after a reconnect of the broker, and when a session waits
for an event; so a lost hint costs a read, and without a broker everything still arrives.

What is no event of a followed channel comes as a notice, with a number of its own (`generation`).
A server that cannot confirm the last number for some seconds cannot know who was banned: it
delivers nothing more, and sends everyone away. It does the same once the database has lost
commits, as after a failover to a standby. Before it delivers again, it compares what it has
delivered with the database; a log that has lost some of it gets a new epoch.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from chat.broker.port import Broker, Receiver
from chat.errors import CloseCode, CommandError, ErrorCode, FrameError, StoreUnavailable
from chat.protocol.codec import decode_frame, encode
from chat.protocol.frames import Ignored, Invited, Preferences, Read, Removed
from chat.protocol.items import EventFields
from chat.server.channels.live import LiveChannel, LiveChannels, invitation_frame
from chat.server.cluster.seals import BadSeal, ForeignVersion, Seal, Subjects
from chat.server.monitoring.metrics import Metrics
from chat.server.reads import ReadBatcher
from chat.store.operations import ChannelHead, Commit, Delivered, Notice, User
from chat.store.read.reader import Reader
from chat.text import channel_names, is_direct

__all__ = ["Relay", "SharedStore", "Timing"]

log = logging.getLogger(__name__)
T = TypeVar("T")

PAGE = 200
"""Events in one read of the log."""
EARLY_MAX = 64
"""Hints of a channel that are kept until the ones before them arrive."""
_MARGIN = 256
"""Bytes of a hint besides its events."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, which tests change and operators do not."""

    poll: float = 1.0
    """Between two comparisons of all positions with the database."""
    confirm: float = 0.4
    """Between two looks for notices."""
    patience: float = 3.0
    """Without a successful look before the server sends everyone away."""
    early: float = 0.01
    """That a gap waits for its hint before the log is read."""


class SharedStore(Protocol):
    """What a relay needs of the store."""

    server_id: str

    def secret(self) -> bytes:
        """Return the key that all servers on the database share."""

    def read(self, query: Callable[[Reader], T]) -> Future[T]:
        """Run `query` on a snapshot."""

    def follow(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do the same in a thread of its own, so that no other read delays it."""

    def renew_epochs(self, delivered: Sequence[Delivered]) -> Future[list[int]]:
        """Give the logs that have lost what was delivered a new epoch.

        Returns the number of lost events of each.
        """


@dataclass(slots=True, eq=False)
class _Followed:
    """A live channel whose id is known."""

    live: LiveChannel
    channel_id: int
    subject: str
    epoch: str | None = None
    """As first read; another one later means that the log was restored."""
    mid: str | None = None
    """That of the last delivered event."""
    early: dict[int, Sequence[EventFields]] = field(default_factory=dict)
    """Events of hints after a gap, by the first number."""
    repair: asyncio.Task[None] | None = None


class Relay:
    """Delivers the commits of this server and those of the others; used on the event loop.

    Args:
        loop: runs the reads and timers.
        store: the shared database.
        broker: carries hints; not started.
        channels: the live channels of this server.
        apply: delivers a commit of this server, with its answers.
        start_jobs: runs the store's jobs.
        reload: reads again what notices and entries of the audit log have changed.
        send_away: ends all sessions, so that they reconnect elsewhere; its argument is the reason.
        metrics: counts hints and repairs.
        timing: see `Timing`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: SharedStore,
        broker: Broker,
        channels: LiveChannels,
        *,
        apply: Callable[[Commit], None],
        start_jobs: Callable[[], None],
        reload: Callable[[], None],
        send_away: Callable[[str], None],
        metrics: Metrics,
        timing: Timing = Timing(),
    ) -> None:
        self._loop = loop
        self._store = store
        self._broker = broker
        self._channels = channels
        self._apply = apply
        self._start_jobs = start_jobs
        self._reload = reload
        self._send_away = send_away
        self._timing = timing
        self._metrics = metrics
        self.is_cut_off = False
        """Whether the database could not be read for too long: nothing is delivered."""
        self.subjects = Subjects(store.server_id)
        self.seal: Seal
        """Set by `start`."""
        self._reads = ReadBatcher(store.read)
        self._looks = ReadBatcher(store.follow)
        self.generation = 0
        """Of the last applied notice."""
        self._timeline = ""
        """Of the database; another one means that it may have lost commits."""
        self._confirmed = loop.time()
        """When the last successful look for notices began."""
        self._waiting: deque[Commit] = deque()
        """Commits of this server that wait for events or notices before them."""
        self._new: dict[str, LiveChannel] = {}
        """Live channels whose ids are not known yet, by name."""
        self._followed: dict[LiveChannel, _Followed] = {}
        self._by_subject: dict[str, _Followed] = {}
        self._closed: dict[int, _Followed] = {}
        """Channels that were live at the last comparison of positions, by id."""
        self._users: dict[str, str] = {}
        """The names of users with sessions here, by their subjects."""
        self._user_subjects: dict[str, str] = {}
        self._boot = secrets.token_hex(8)
        """Marks the frames of users that this server has published, and delivered already."""
        self._takers: dict[str, Callable[[dict[str, Any]], None]] = {}
        """Functions that take the contents of further subjects; see `take`."""
        self._channel_taker: Callable[[LiveChannel, dict[str, Any]], None] | None = None
        self._bound_handlers: list[Callable[[LiveChannel], None]] = []
        self._closed_handlers: list[Callable[[LiveChannel], None]] = []
        self._gap_handlers: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._should_poll = asyncio.Event()
        self._should_look = asyncio.Event()
        self._is_binding = False

    async def start(self) -> None:
        """Read the shared key and the position of the notices, and connect to the broker.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        self.seal = Seal(await asyncio.to_thread(self._store.secret))
        self._timeline, self.generation = await self._looks.read(
            lambda reader: (reader.timeline(), reader.generation())
        )
        self._confirmed = self._loop.time()
        self._channels.watcher = self
        self._metrics.broker_up.value = int(self._broker.is_up)
        self._broker.start(Receiver(self._received, self._gap, self._broker_changed))
        self._run(self._broker.subscribe([self.subjects.notices, *self._takers]))
        self._run(self._follow_notices())
        self._run(self._follow_heads())
        self._run(self._watch())

    async def close(self) -> None:
        """Stop following; deliver what is left of this server's commits, and disconnect."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._flush()
        await self._broker.close()

    @property
    def is_broker_up(self) -> bool:
        """Whether the broker can be reached; without it, events arrive by polling."""
        return self._broker.is_up

    # Further messages, for presence

    def take(self, subject: str, taker: Callable[[dict[str, Any]], None]) -> None:
        """Pass the contents of a subject to `taker`; call it before `start`."""
        self._takers[subject] = taker

    def take_of_channels(
        self,
        taker: Callable[[LiveChannel, dict[str, Any]], None],
        *,
        bound: Callable[[LiveChannel], None],
        closed: Callable[[LiveChannel], None],
        gap: Callable[[], None],
    ) -> None:
        """Pass the contents of channels that are no hints to `taker`.

        `bound` gets each channel as soon as its contents arrive, `closed` gets it just before they
        arrive no longer, and `gap` is called after some may have been lost.
        """
        self._channel_taker = taker
        self._bound_handlers.append(bound)
        self._closed_handlers.append(closed)
        self._gap_handlers.append(gap)

    def publish(self, subject: str, fields: dict[str, Any]) -> None:
        """Publish a content on a subject."""
        self._broker.publish(subject, self.seal.close(subject, fields))

    def publish_to_channel(self, live: LiveChannel, fields: dict[str, Any]) -> None:
        """Publish a content for the followers of a channel; it is dropped if its id is unknown."""
        if followed := self._followed.get(live):
            self.publish(followed.subject, fields)

    # Commits of this server

    def committed(self, commit: Commit) -> None:
        """Deliver a commit of this server, once everything before it is delivered."""
        self._check_confirmed()
        self._publish_hints(commit)
        self._waiting.append(commit)
        self._deliver_waiting()

    def _deliver_waiting(self) -> None:
        while self._waiting:
            commit = self._waiting[0]
            if not self.is_cut_off and self._is_gap_before(commit):
                return
            self._waiting.popleft()
            if commit.notice is not None:
                self.generation = max(self.generation, commit.generation)
            self._apply(commit)
            self._note(commit.events)
            for live in {event["channel"] for event in commit.events}:
                self._deliver_early(live)

    def _is_gap_before(self, commit: Commit) -> bool:
        """Return whether the commit must wait; if so, what is missing is being read."""
        is_gap = False
        seen: set[str] = set()
        for event, channel_id in zip(commit.events, commit.channel_ids, strict=True):
            name = event["channel"]
            if name in seen or (live := self._channels.channel(name)) is None:
                continue
            seen.add(name)
            followed = self._followed.get(live) or self._bind(live, channel_id)
            if (
                followed.channel_id != channel_id or event["seq"] > live.head + 1
            ):  # the old channel of this name was deleted
                self._repair(followed)
                is_gap = True
        if commit.generation > self.generation + (commit.notice is not None):
            self._should_look.set()
            is_gap |= commit.notice is not None
        return is_gap

    def _publish_hints(self, commit: Commit) -> None:
        by_channel: dict[int, list[EventFields]] = {}
        for event, channel_id in zip(commit.events, commit.channel_ids, strict=True):
            by_channel.setdefault(channel_id, []).append(event)
        for channel_id, events in by_channel.items():
            subject = self.subjects.channel(channel_id)
            fields: dict[str, Any] = {"first": events[0]["seq"], "last": events[-1]["seq"]}
            content = self.seal.close(subject, {**fields, "events": events})
            if len(content) + _MARGIN > self._broker.message_max:
                content = self.seal.close(subject, fields)
            self._broker.publish(subject, content)
            self._metrics.hints.add("published")
        if commit.notice is not None:
            self.publish(self.subjects.notices, {"generation": commit.generation})

    # Messages of the broker

    def _received(self, subject: str, content: bytes) -> None:
        if self._check_confirmed():
            return
        try:
            fields = self.seal.open(subject, content)
        except ForeignVersion:
            self._metrics.hints.add("foreign")
        except BadSeal:
            self._metrics.hints.add("forged")
        else:
            self._take(subject, fields)

    def _take(self, subject: str, fields: dict[str, Any]) -> None:
        if followed := self._by_subject.get(subject):
            if "first" in fields:
                self._hinted(followed, fields)
            elif self._channel_taker is not None:
                self._channel_taker(followed.live, fields)
        elif name := self._users.get(subject):
            self._take_of_user(name, fields)
        elif subject == self.subjects.notices:
            if fields["generation"] > self.generation:
                self._should_look.set()
        elif taker := self._takers.get(subject):
            taker(fields)

    def _hinted(self, followed: _Followed, fields: dict[str, Any]) -> None:
        first, last = int(fields["first"]), int(fields["last"])
        events: list[EventFields] | None = fields.get("events")
        head, result = followed.live.head, "delivered"
        if last <= head:
            result = "late"
        elif events is None:
            result = "numbers"
            self._repair(followed, pause=0.0)
        elif first > head + 1:
            result = "early"
            if len(followed.early) < EARLY_MAX:
                followed.early[first] = events
            self._repair(followed)
        else:
            self._deliver(events)
            self._deliver_early(followed.live.name)
            self._deliver_waiting()
        self._metrics.hints.add(result)

    def _deliver_early(self, name: str) -> None:
        """Deliver the kept hints that now continue what was delivered."""
        live = self._channels.channel(name)
        followed = self._followed.get(live) if live is not None else None
        if followed is None or not followed.early:
            return
        for first in sorted(followed.early):
            events = followed.early[first]
            if first > followed.live.head + 1:
                return
            del followed.early[first]
            self._deliver(events)

    def _deliver(self, events: Sequence[EventFields]) -> None:
        """Deliver events that another server has committed.

        Notices add direct channels to the lists of users: a hint does not say who ignores whom.
        """
        kept = {
            name: frozenset(channel_names(name))
            for name in {event["channel"] for event in events}
            if is_direct(name)
        }
        self._channels.deliver(events, kept)
        self._note(events)

    def _note(self, events: Sequence[EventFields]) -> None:
        """Keep the ids of the last events that were delivered."""
        for name, event in {event["channel"]: event for event in events}.items():
            live = self._channels.channel(name)
            followed = self._followed.get(live) if live is not None else None
            if followed is not None and followed.live.head == event["seq"]:
                followed.mid = event["mid"]

    def _gap(self) -> None:
        """Handle lost messages of the broker."""
        self._should_poll.set()
        self._should_look.set()
        for handler in self._gap_handlers:
            handler()

    def _broker_changed(self, is_up: bool) -> None:
        self._metrics.broker_up.value = int(is_up)
        if not is_up:
            self._should_poll.set()

    # The channels of this server (`Watcher`)

    def opened(self, channel: LiveChannel) -> None:
        """See `Watcher`: find the channel's id, subscribe to it, and compare its position."""
        self._new[channel.name] = channel
        self._bind_soon()

    def closed(self, channel: LiveChannel) -> None:
        """See `Watcher`."""
        for handler in self._closed_handlers:
            handler(channel)
        self._new.pop(channel.name, None)
        if followed := self._followed.pop(channel, None):
            self._closed[followed.channel_id] = followed
            if self._by_subject.get(followed.subject) is followed:
                del self._by_subject[followed.subject]
                self._broker.unsubscribe([followed.subject])
            if followed.repair is not None:
                followed.repair.cancel()
        self._loop.call_soon(self._deliver_waiting)  # a waiting commit may be complete

    def behind(self, channel: LiveChannel) -> None:
        """See `Watcher`: an event that was read is not delivered yet."""
        if followed := self._followed.get(channel):
            self._repair(followed)  # otherwise `_bind_new` compares the position

    def signed_in(self, user: User) -> None:
        """See `Watcher`."""
        subject = self.subjects.user(user.id)
        self._users[subject] = user.name
        self._user_subjects[user.name] = subject
        self._run(self._broker.subscribe([subject]))

    def signed_out(self, name: str) -> None:
        """See `Watcher`."""
        if subject := self._user_subjects.pop(name, None):
            del self._users[subject]
            self._broker.unsubscribe([subject])

    def sent(self, name: str, frame: Read | Preferences) -> None:
        """See `Watcher`: send the frame to the user's sessions on other servers."""
        if subject := self._user_subjects.get(name):
            self.publish(subject, {"frame": encode(frame).decode(), "boot": self._boot})

    def _take_of_user(self, name: str, fields: dict[str, Any]) -> None:
        if fields.get("boot") == self._boot:
            return
        try:
            frame = decode_frame(fields["frame"].encode())
        except FrameError:
            return  # of a newer version
        if isinstance(frame, Read):
            self._channels.send_to(name, frame)
        elif isinstance(frame, Preferences):
            for session in self._channels.sessions_of(name):
                session.preferences_changed(frame)

    # Positions

    def _bind(self, live: LiveChannel, channel_id: int) -> _Followed:
        subject = self.subjects.channel(channel_id)
        followed = _Followed(live, channel_id, subject)
        self._new.pop(live.name, None)
        self._followed[live] = followed
        self._by_subject[subject] = followed
        self._run(self._subscribe([followed]))
        return followed

    def _bind_soon(self) -> None:
        if not self._is_binding:
            self._is_binding = True
            self._run(self._bind_new())

    async def _bind_new(self) -> None:
        """Find the ids of the new channels of this turn, and follow them."""
        try:
            names = list(self._new)
            found = await self._read(lambda reader: reader.ids_of(names))
        except CommandError:
            return  # tried again with the next poll
        finally:
            self._is_binding = False
        if any(name not in names for name in self._new):
            self._bind_soon()
        for name in names:
            if name not in found and (live := self._new.pop(name, None)) is not None:
                self._vanished(live)
        bound = []
        for name, channel_id in found.items():
            live = self._new.pop(name, None)
            if live is not None:
                subject = self.subjects.channel(channel_id)
                followed = _Followed(live, channel_id, subject)
                self._followed[live] = self._by_subject[subject] = followed
                bound.append(followed)
        await self._subscribe(bound)

    def _vanished(self, live: LiveChannel) -> None:
        """Take a channel from its members that was deleted after they had read it."""
        for session in tuple(live.members):
            session.removed(Removed(channel=live.name))

    async def _subscribe(self, bound: Sequence[_Followed]) -> None:
        """Subscribe to channels, and then compare their positions: no event is missed between."""
        await self._broker.subscribe([each.subject for each in bound])
        for each in bound:
            if self._is_followed(each):
                for handler in self._bound_handlers:
                    handler(each.live)
        with suppress(CommandError):  # the next poll compares them
            await self._compare(bound)

    async def _follow_heads(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.poll):
                    await self._should_poll.wait()
            self._should_poll.clear()
            if self._new:
                self._bind_soon()
            closed = tuple(self._closed.values())
            with suppress(CommandError):
                await self._compare((*closed, *self._followed.values()))
                if not self.is_cut_off:
                    self._forget(closed)
            self._deliver_waiting()

    async def _compare(self, followed: Iterable[_Followed]) -> None:
        """Compare positions with the database, and repair what is behind."""
        by_id = {each.channel_id: each for each in followed}
        if not by_id:
            return
        delivered = {channel_id: each.live.head for channel_id, each in by_id.items()}
        heads = await self._read(lambda reader: reader.heads(by_id))
        for channel_id, head in heads.items():
            each = by_id[channel_id]
            if head.head < delivered[channel_id] and each.epoch == head.epoch:
                self._lost("messages")
                return
            if self._followed.get(each.live) is each:
                self._check_position(each, head)

    def _forget(self, closed: Iterable[_Followed]) -> None:
        """Drop the positions of closed channels that the database has."""
        for each in closed:
            if self._closed.get(each.channel_id) is each:
                del self._closed[each.channel_id]

    def _check_position(self, followed: _Followed, head: ChannelHead) -> None:
        if followed.epoch is None:
            followed.epoch = head.epoch
        if head.epoch != followed.epoch:
            log.warning("the log of a channel was restored: its members read it again")
            followed.epoch = head.epoch
            for session in tuple(followed.live.members):
                session.connection.end(CloseCode.GOING_AWAY, "the log of a channel was restored")
            self._closed.pop(followed.channel_id, None)  # its last position is of the old epoch
        elif head.head > followed.live.head:
            self._repair(followed)

    def _repair(self, followed: _Followed, pause: float | None = None) -> None:
        """Read what is missing, unless a hint brings it within `pause` seconds."""
        if followed.repair is None:
            wait = self._timing.early if pause is None else pause
            followed.repair = self._run(self._read_missing(followed, wait, followed.live.head))

    async def _read_missing(self, followed: _Followed, wait: float, head: int) -> None:
        live = followed.live
        try:
            await asyncio.sleep(wait)
            if wait and live.head > head and not followed.early and not self._waiting:
                return  # hints have filled the gap
            while self._is_followed(followed):
                head = live.head
                self._metrics.gap_repairs.value += 1
                events = await self._events_after(followed.channel_id, head)
                if not self._is_followed(followed):
                    return
                # A deleted or renamed channel has another name in the database by now.
                self._deliver([{**event, "channel": live.name} for event in events])
                self._deliver_early(live.name)
                if len(events) < PAGE or live.head == head:
                    return
        except CommandError:
            pass  # the database cannot be read: the next poll tries again
        finally:
            followed.repair = None
            self._loop.call_soon(self._deliver_waiting)

    # Notices

    async def _follow_notices(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.confirm):
                    await self._should_look.wait()
            self._should_look.clear()
            began = self._loop.time()
            with suppress(CommandError):
                if self.is_cut_off:
                    await self._renew_epochs()
                last = self.generation
                self._confirm(began, last, *await self._look(last))

    def _confirm(
        self,
        began: float,
        last: int,
        timeline: str,
        generation: int,
        notices: Sequence[Notice] | None,
    ) -> None:
        """Apply the notices after the generation `last`, or send everyone away."""
        if self._loop.time() - began > self._timing.patience:
            self._should_look.set()  # the answer is too old to rely on
            self._check_confirmed()
            return
        if self.is_cut_off:
            self._timeline, self.generation = timeline, generation
            self.is_cut_off = False
            self._confirmed = began
            self._reload()
            self._start_jobs()
            log.info("the server delivers messages again")
            return
        if timeline != self._timeline:
            self._cut_off("the database was replaced by a standby or a backup")
            return
        if generation < last:
            self._lost("changes")
            return
        if notices is None:
            self._cut_off("this server is too far behind the others")
            return
        self._confirmed = began
        for notice in notices:
            if notice.generation > self.generation:
                self.generation = notice.generation
                try:
                    self._apply_notice(notice)
                except Exception:  # the later notices still apply
                    log.exception("cannot apply the notice %d", notice.generation)
        self._deliver_waiting()

    def _apply_notice(self, notice: Notice) -> None:
        channels = self._channels
        for user, channel, head in notice.listed:
            channels.add_to_lists((user,), channel, head)
        for user, channel, seq in notice.left:
            self._left(user, channel, seq)
        for user, channel, head in notice.hidden:
            for session in channels.sessions_of(user):
                session.hidden(channel, head)
        for user, invitation in notice.invited:
            channels.send_to(user, Invited(invitation=invitation_frame(invitation)))
        for user, invitation in notice.uninvited:
            frame = Invited(invitation=invitation_frame(invitation), remove=True)
            channels.send_to(user, frame)
        for user, names in notice.ignored:
            channels.send_to(user, Ignored(names=tuple(names)))
        for old, new in notice.renamed:
            channels.renamed(old, new)
        if notice.has_jobs:
            self._start_jobs()

    def _left(self, user: str, channel: str, seq: int) -> None:
        """End a membership; the `leave` event, with its reason, comes first if it can."""
        live = self._channels.channel(channel)
        if live is not None and live.head < seq:

            def leave() -> None:
                for session in self._channels.sessions_of(user):
                    session.left(channel, seq, None)

            live.on_reached(seq, leave)
        else:
            for session in self._channels.sessions_of(user):
                session.left(channel, seq, None)

    # Lost commits

    def _lost(self, what: str) -> None:
        """Send everyone away; `_follow_notices` then compares all positions."""
        if not self.is_cut_off:
            self._cut_off(f"the database has lost {what} that this server has delivered")

    async def _renew_epochs(self) -> None:
        """Give the logs a new epoch that have lost events which this server has delivered."""
        closed = tuple(self._closed.values())
        renewing = self._store.renew_epochs(
            [
                Delivered(each.channel_id, each.epoch, each.live.head, each.mid)
                for each in closed
                if each.epoch is not None
            ]
        )
        try:
            lost = await asyncio.wrap_future(renewing)
        except StoreUnavailable:
            raise CommandError(ErrorCode.UNAVAILABLE, "the database cannot be used") from None
        self._forget(closed)
        if lost:
            self._metrics.lost_logs.value += len(lost)
            log.error(
                "the database has lost at least %d events in %d channels: the channels have new "
                "epochs, and clients load them again",
                sum(lost),
                len(lost),
            )

    # Failing closed

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._timing.confirm)
            self._check_confirmed()

    def _check_confirmed(self) -> bool:
        """Return whether the server is cut off; it sends everyone away if that is new."""
        late = self._loop.time() - self._confirmed
        if not self.is_cut_off and late > self._timing.patience:
            self._cut_off(f"the database could not be read for {late:.0f} s")
        return self.is_cut_off

    def _cut_off(self, reason: str) -> None:
        log.error("%s: disconnecting all clients; they reconnect to other servers", reason)
        self.is_cut_off = True
        self._send_away(reason)
        self._flush()

    def _flush(self) -> None:
        """Settle the commits that wait: their events are stored, and their sessions are over."""
        waiting, self._waiting = self._waiting, deque()
        for commit in waiting:
            self._apply(commit)

    # Work

    async def _read(self, query: Callable[[Reader], T]) -> T:
        return await self._reads.read(query)

    async def _events_after(self, channel_id: int, seq: int) -> Sequence[EventFields]:
        return await self._read(lambda reader: reader.events_after(channel_id, seq, PAGE))

    async def _look(self, last: int) -> tuple[str, int, Sequence[Notice] | None]:
        """Return the present timeline and generation, and the notices after another one."""
        return await self._looks.read(
            lambda reader: (reader.timeline(), reader.generation(), reader.notices_after(last))
        )

    def _is_followed(self, followed: _Followed) -> bool:
        return not self.is_cut_off and self._followed.get(followed.live) is followed

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("internal error between servers", exc_info=error)
