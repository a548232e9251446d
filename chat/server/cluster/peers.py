"""Presence and typing across the servers on one database.

Each server owns the presence of its own sessions. It publishes changes, and a snapshot every few
seconds. A server that is silent for some seconds counts as dead, and its users leave in one batch.
A leave is delayed, so that nobody sees the reconnect of a client; so a planned restart announces
nothing.

The subject of a channel tells which users have sessions there (`here`), and who is typing. What is
lost is sent again: after a reconnect of the broker, and from time to time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from chat.protocol.values import Presence, Status
from chat.server.channels.live import LiveChannel, LiveChannels
from chat.server.channels.presence import LINGERING, PresenceBroadcaster, PresenceTracker
from chat.server.cluster.relay import Relay

__all__ = ["PeerTiming", "Peers"]

NAMES_MAX = 2_000
"""Users in one part of a snapshot, which then has about 60 KB."""
_STATUSES = frozenset(get_args(Status))


@dataclass(frozen=True, slots=True)
class PeerTiming:
    """Seconds, which tests change and operators do not."""

    pulse: float = 0.25
    """Between a change and its message, which has all changes of that time."""
    snapshot: float = 5.0
    """Between two snapshots of all users."""
    dead: float = 15.0
    """Of silence after which a server counts as dead."""
    linger: float = 10.0
    """From the end of a user's last session until the user counts as offline."""
    round: float = 30.0
    """Seconds in which the members with sessions here are sent again, channel by channel."""


@dataclass(slots=True)
class _Peer:
    """Another server; `boot` is new with each of its starts."""

    boot: str
    heard: float
    users: dict[str, Status] = field(default_factory=dict)
    channels: set[LiveChannel] = field(default_factory=set)
    """Live channels in which it has told of its users."""


class Peers:
    """The presence on other servers; used on the event loop.

    Args:
        loop: runs the timers.
        relay: carries the messages; not started yet.
        channels: the live channels.
        presence: combines the presence of all servers, and sends it to the followers here.
        timing: see `PeerTiming`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        relay: Relay,
        channels: LiveChannels,
        presence: PresenceBroadcaster,
        timing: PeerTiming,
    ) -> None:
        self.boot = secrets.token_hex(8)
        self._loop = loop
        self._relay = relay
        self._channels = channels
        self._presence = presence
        self._timing = timing
        self._peers: dict[str, _Peer] = {}
        self._local = PresenceTracker()
        """The sessions here, and those that have ended a moment ago."""
        self._users: dict[str, Presence] = {}
        """The presence of the users of `_local`."""
        self._changes: dict[str, Presence] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._round: deque[LiveChannel] = deque()
        self._task: asyncio.Task[None] | None = None
        relay.take(relay.subjects.presence, self._take)
        relay.take_of_channels(
            self._take_of_channel, bound=self._ask, closed=self._closed, gap=self._gap
        )
        presence.use(self, timing.linger)

    def start(self) -> None:
        """Publish snapshots, and watch the other servers; call it after `Relay.start`."""
        self._task = self._loop.create_task(self._run())

    def stop(self) -> None:
        """Publish nothing more, nor that the sessions end: clients reconnect elsewhere soon."""
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    # The users of this server (`presence.Elsewhere`)

    def set(self, name: str, session: object, status: Status) -> None:
        """Set the status of a session here."""
        self._changed(name, self._local.set(name, session, status))

    def drop(self, name: str, session: object) -> None:
        """Remove a session."""
        self._changed(name, self._local.drop(name, session))

    def _changed(self, name: str, presence: Presence | None) -> None:
        if presence is None:
            return
        if presence == "offline":
            self._users.pop(name, None)
        else:
            self._users[name] = presence
        self._changes[name] = presence
        if self._timer is None:
            self._timer = self._loop.call_later(self._timing.pulse, self._publish_changes)

    def _publish_changes(self) -> None:
        self._timer = None
        changes, self._changes = self._changes, {}
        names = list(changes)
        for at in range(0, len(names), NAMES_MAX):
            part = {name: changes[name] for name in names[at : at + NAMES_MAX]}
            self._publish({"users": part})

    def entered_or_left(self, channel: LiveChannel, names: Iterable[str]) -> None:
        """Tell which of these users have sessions here in a channel."""
        if self._peers and not self._presence.is_crowded(channel):
            here = _names(channel)
            self._tell(channel, {"here": {name: name in here for name in names}})

    def typing(self, channel: LiveChannel, name: str, *, is_typing: bool) -> None:
        """Tell that a user here has started or stopped typing."""
        if self._peers and not self._presence.is_crowded(channel):
            self._tell(channel, {"typing": {name: is_typing}})

    def _publish(self, fields: dict[str, Any]) -> None:
        self._relay.publish(self._relay.subjects.presence, {"boot": self.boot, **fields})

    def _tell(self, channel: LiveChannel, fields: dict[str, Any]) -> None:
        self._relay.publish_to_channel(channel, {"boot": self.boot, **fields})

    # Repetition

    async def _run(self) -> None:
        self._publish({"ask": True})
        while True:
            self._publish_snapshot()
            self._end_dead()
            self._tell_some_channels()
            await asyncio.sleep(self._timing.snapshot)

    def _publish_snapshot(self) -> None:
        """Publish all users, in parts that each cover a range of names."""
        names = sorted(self._users)
        parts = [names[at : at + NAMES_MAX] for at in range(0, len(names), NAMES_MAX)] or [[]]
        above = ""
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            up_to = None if is_last else part[-1]
            users = {name: self._users[name] for name in part}
            self._publish({"users": users, "above": above, "up_to": up_to})
            above = up_to or ""

    def _tell_some_channels(self) -> None:
        """Tell a share of the channels who is here, all of them within a round."""
        if not self._round:
            self._round.extend(self._channels.all())
        share = 1 + int(len(self._round) * self._timing.snapshot / self._timing.round)
        for _ in range(min(share, len(self._round))):
            self._tell_all_of(self._round.popleft())

    def _tell_all_of(self, channel: LiveChannel) -> None:
        if self._peers and channel.members and not self._presence.is_crowded(channel):
            self._tell(channel, {"all": sorted(_names(channel))})

    def _ask(self, channel: LiveChannel) -> None:
        """Ask who is in a channel, and tell who is here."""
        self._tell(channel, {"ask": True, "all": sorted(_names(channel))})

    def _closed(self, channel: LiveChannel) -> None:
        if self._peers:
            self._tell(channel, {"all": sorted(_names(channel))})
        for peer in self._peers.values():
            peer.channels.discard(channel)
        self._presence.closed(channel)

    def _gap(self) -> None:
        """Ask again after messages were lost, and give silent servers another chance."""
        for peer in self._peers.values():
            peer.heard = self._loop.time()
        self._publish({"ask": True})
        self._publish_snapshot()
        self._round.clear()

    # The users of other servers

    def _peer(self, boot: str) -> _Peer:
        peer = self._peers.get(boot)
        if peer is None:
            peer = self._peers[boot] = _Peer(boot, 0.0)
            self._publish_snapshot()  # it may be new, and its question may have been lost
            for channel in self._channels.all():
                self._tell_all_of(channel)
        peer.heard = self._loop.time()
        return peer

    def _take(self, fields: dict[str, Any]) -> None:
        boot = fields["boot"]
        if boot == self.boot:
            return
        peer = self._peer(boot)
        if fields.get("ask"):
            self._publish_snapshot()
        if "users" in fields:
            self._update(peer, fields["users"])
        if "above" in fields:
            above, up_to = fields["above"], fields["up_to"]
            gone = [
                name
                for name in peer.users
                if name > above and (up_to is None or name <= up_to) and name not in fields["users"]
            ]
            self._update(peer, dict.fromkeys(gone, "offline"))

    def _update(self, peer: _Peer, users: Mapping[str, Presence]) -> None:
        for name, presence in users.items():
            if presence in _STATUSES:
                peer.users[name] = presence  # type: ignore[assignment]  # as just checked
                self._presence.set_elsewhere(name, peer.boot, peer.users[name])
            elif peer.users.pop(name, None) is not None:
                self._presence.drop_elsewhere(name, peer.boot)

    def _take_of_channel(self, channel: LiveChannel, fields: dict[str, Any]) -> None:
        boot = fields["boot"]
        if boot == self.boot:
            return
        peer = self._peer(boot)
        peer.channels.add(channel)
        elsewhere = channel.elsewhere.setdefault(boot, set())
        if "all" in fields:
            present = set(fields["all"])
            changed = elsewhere ^ present
            channel.elsewhere[boot] = present
            self._presence.moved_elsewhere(channel, changed)
        if "here" in fields:
            for name, is_here in fields["here"].items():
                (elsewhere.add if is_here else elsewhere.discard)(name)
            self._presence.moved_elsewhere(channel, fields["here"])
        for name, is_typing in fields.get("typing", {}).items():
            if is_typing:
                is_change = channel.typing.start(name, self._loop.time())
            else:
                is_change = channel.typing.stop(name)
            if is_change:
                self._presence.typing_changed(channel)
        if fields.get("ask"):
            self._tell_all_of(channel)

    def _end_dead(self) -> None:
        """Let the users of dead servers leave, unless the broker itself is silent."""
        if not self._relay.is_broker_up:
            return
        now = self._loop.time()
        for peer in [each for each in self._peers.values() if each.heard < now - self._timing.dead]:
            del self._peers[peer.boot]
            self._update(peer, dict.fromkeys(tuple(peer.users), "offline"))
            for channel in peer.channels:
                self._presence.moved_elsewhere(channel, channel.elsewhere.pop(peer.boot, ()))


def _names(channel: LiveChannel) -> set[str]:
    """Return the users with sessions here, and those whose last one has just ended."""
    lingering = channel.elsewhere.get(LINGERING, set())
    return {member.name for member in channel.members} | lingering
