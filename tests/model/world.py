"""The real server, or several on one database, and devices that use it as the real client does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from chat.client.model.channel import Channel
from chat.client.model.log_view import LogView
from chat.client.model.preferences import Preference
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import Hello, Ping, ResumeFrom
from chat.protocol.frames import (
    Devices,
    ErrorFrame,
    Ignored,
    InvitationFrame,
    Joined,
    LinkCode,
    Membership,
    Preferences,
    PresenceFrame,
    Read,
    Removed,
    ServerFrame,
    TypingFrame,
    Welcome,
)
from chat.protocol.items import Event, Item
from chat.server.app import App
from chat.server.cluster.peers import PeerTiming
from chat.server.config.settings import LimitSettings, ServerSettings
from chat.server.context import Tuning
from chat.server.session import Session
from chat.store.operations import ChannelHead, Operation, PendingCall
from chat.store.read.reader import Reader
from chat.text import fold
from tests.held_store import HeldStore
from tests.model.accounts import Proof
from tests.serving import PATIENCE, Peer

__all__ = ["CHOSEN", "LIMITS", "TUNING", "WINDOW", "Device", "World", "plain", "server_settings"]

T = TypeVar("T")
LIMITS = LimitSettings(rate=1e9, burst=10**9, page=10, unread=12, reactions=2, pins=2)
"""Small limits, so that a few commands reach them."""
TUNING = Tuning(pulse=0.002, typing_expiry=3_600.0)
"""Typing expires late, so that a slow machine does not end it."""
PEER_TIMING = PeerTiming(pulse=0.002, linger=0.0)
"""Other servers learn at once that a session has ended."""
AUDIT_EVERY = 0.02
"""Seconds between looks for entries of other servers in the audit log."""
WINDOW = 25
"""Maximum number of missed events for which a position is continued."""
EPHEMERAL = (PresenceFrame, TypingFrame)
CHOSEN = "chosen-"
"""Prefix of the tokens that clients choose."""
_ONLY_THE_SERVER_KNOWS = {
    *("mid", "ts", "epoch", "session", "server", "limits", "heartbeat", "token"),
    *("code", "created", "seen", "expires", "label", "cursor", "id"),
}


def server_settings(folder: Path, **more: Any) -> ServerSettings:
    """Return the settings of a server with small limits, and `more`."""
    return ServerSettings(
        data=folder,
        host=["127.0.0.1"],
        port=0,
        heartbeat=300,
        resume_window=WINDOW,
        limits=LIMITS,
        **more,
    )


class World:
    """A server in this event loop, or several on one database, and their constant values.

    Args:
        settings: those of each server.
    """

    def __init__(self, *settings: ServerSettings) -> None:
        self.settings = settings
        self.tokens: dict[str, str] = {}
        self.invitations: list[tuple[int, str]] = []
        """The server's number and the code of each invitation."""
        self.clock_offset = 0
        """Milliseconds by which the server's clock is ahead."""
        self.link = ""
        """The last created link code."""
        self._ids: dict[tuple[Any, ...], Any] = {}

    @property
    def is_cluster(self) -> bool:
        """Whether several servers share the database."""
        return len(self.settings) > 1

    @property
    def url(self) -> str:
        """The address of the first server."""
        return self.url_of(0)

    def url_of(self, client: int) -> str:
        """Return the address of a client's server: each client in turn gets the next server."""
        return self.apps[self.server_of(client)].addresses[0]

    def server_of(self, client: int) -> int:
        """Return the number of a client's server."""
        return client % len(self.settings)

    @property
    def store(self) -> HeldStore:
        """The store of the first running server."""
        return _store_of(self.apps[0])

    @property
    def sessions(self) -> list[Session]:
        """The signed-in sessions of all servers."""
        endpoints = (each.endpoint for app in self.apps for each in app.connections)
        return [each for each in endpoints if isinstance(each, Session) and each.is_signed_in]

    async def start(self) -> None:
        """Start without heartbeats: tests call `Session.heartbeat`."""
        loop = asyncio.get_running_loop()
        open_store = partial(HeldStore.opened, clock_ms=self._clock_ms, audit_every=AUDIT_EVERY)
        self.apps = [
            App(settings, loop, TUNING, open_store, peer_timing=PEER_TIMING)
            for settings in self.settings
        ]
        for app in self.apps:
            await app.start()
        self._first_entry = await self.read(_last_entry)

    def _clock_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_offset

    async def stop(self) -> None:
        """Stop all servers."""
        for app in self.apps:
            await app.stop()

    async def level(self) -> None:
        """Wait until each server has delivered what the others have committed.

        A server alone on its database has done so with the answers.
        """
        if self.is_cluster:
            async with asyncio.timeout(PATIENCE):
                while not await self._is_level():
                    await asyncio.sleep(0.002)

    async def _is_level(self) -> bool:
        live = [(each.name, each.head) for app in self.apps for each in app.context.channels.all()]
        names = {name for name, _head in live}

        def state(reader: Reader) -> tuple[int, int, dict[str, int], dict[int, ChannelHead]]:
            ids = reader.ids_of(names)
            return reader.generation(), _last_entry(reader), ids, reader.heads(ids.values())

        generation, entry, ids, heads = await self.read(state)
        users = {session.user.name for session in self.sessions}
        return (
            all(app.relay is not None and app.relay.generation == generation for app in self.apps)
            and all(
                max(_store_of(app).commits.last_entry, self._first_entry) == entry
                for app in self.apps
            )
            and all(name in ids and heads[ids[name]].head == head for name, head in live)
            and all(
                len({app.context.presence.of(name) for app in self.apps}) == 1 for name in users
            )
        )

    async def administer(self, operation: Operation[Any]) -> None:
        """Run an operation of the operator."""
        done = asyncio.get_running_loop().create_future()
        self.store.submit([PendingCall(operation, done.set_result, done.set_exception)])
        await done

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Read from the server's store."""
        return await asyncio.wrap_future(self.store.read(query))

    def learn(self, frame: ServerFrame) -> None:
        """Check that values of the server's choice never change: epochs, mids, times."""
        channel = getattr(frame, "channel", None)
        if epoch := getattr(frame, "epoch", None):
            self._same((channel,), epoch)
        for entry in (frame, *getattr(frame, "items", ())):
            if channel is not None and isinstance(entry, Event | Item):
                self._same((channel, entry.seq), (entry.mid, entry.ts))
        if isinstance(frame, InvitationFrame):
            self.invitations.append((frame.invitation.id, frame.code))
        elif isinstance(frame, LinkCode):
            self.link = frame.code
        elif isinstance(frame, Welcome):
            for membership in frame.channels:
                self._same((membership.channel,), membership.epoch)

    def epoch(self, channel: str) -> str | None:
        """Return the epoch of a channel's log, if it is known."""
        return next(
            (e for k, e in self._ids.items() if len(k) == 1 and fold(k[0]) == channel), None
        )

    def deleted(self, channel: str) -> None:
        """Forget a deleted channel: the next one of this name is another one."""
        self._ids = {key: value for key, value in self._ids.items() if fold(key[0]) != channel}

    def _same(self, key: tuple[Any, ...], value: Any) -> None:
        assert self._ids.setdefault(key, value) == value, f"{key} was {self._ids[key]}, is {value}"


def _store_of(app: App) -> HeldStore:
    assert isinstance(app.store, HeldStore)
    return app.store


def _last_entry(reader: Reader) -> int:
    """Return the number of the last entry of the audit log."""
    entries = reader.accounts.audit(None, before=None, limit=1).entries
    return entries[0].seq if entries else 0


class Device:
    """One device of a user; its memory outlives its connections.

    `views` has the state that the client's own code derives from the server's frames, by channel.

    Args:
        world: the servers.
        name: the user's name.
        number: decides to which server it connects; see `World.url_of`.
        proof: the credentials; by default the token of the name.
    """

    def __init__(
        self, world: World, name: str, number: int = 0, proof: Proof | None = None
    ) -> None:
        self.world = world
        self.server = world.server_of(number)
        """The number of its server."""
        self.name = name
        self._proof = proof or Proof()
        self.id = 0
        """The server's number of this device, if the server has sent it."""
        self.views: dict[str, Channel] = {}
        self.peer: Peer | None = None
        self.capped: set[str] = set()
        """Channels whose sent counts have reached the counting limit."""
        self._seen = 0
        self._stack = AsyncExitStack()

    @property
    def is_online(self) -> bool:
        """Whether it is connected."""
        return self.peer is not None

    @property
    def online(self) -> Peer:
        """Its connection."""
        assert self.peer is not None
        return self.peer

    @property
    def token(self) -> str | None:
        """The token: its own, or that of the name."""
        return self._proof.device or self.world.tokens.get(fold(self.name))

    @property
    def proof(self) -> Proof:
        """The credentials of every `hello` of this device."""
        token = self.token or ""
        return replace(self._proof, device=token if token.startswith(CHOSEN) else "")

    def positions(self) -> dict[str, ResumeFrom]:
        """Return the positions at which it stopped reading."""
        return {view.name: view.view.resume for view in self.views.values() if view.view.resume}

    async def connect(self, positions: Mapping[str, ResumeFrom]) -> None:
        """Connect and say hello."""
        self.peer = await self._stack.enter_async_context(
            Peer.connect(self.world.url_of(self.server))
        )
        self._seen = 0
        invite = self._proof.invite
        hello = Hello(
            v=PROTOCOL_VERSION,
            name=self.name,
            token=self.token,
            resume=dict(positions),
            invite=None if invite is None else self.world.invitations[invite][1],
            link=self._proof.link,
        )
        await self.peer.socket.send(hello.model_dump_json(exclude_none=True), text=True)

    async def disconnect(self) -> None:
        """Close the connection cleanly."""
        self.peer = None
        await self._stack.aclose()
        for view in self.views.values():
            view.detach()

    async def receive(self, count: int) -> list[ServerFrame]:
        """Return the next `count` durable frames; process the others."""

        def are_here() -> bool:
            return sum(not isinstance(frame, EPHEMERAL) for frame in self._new()) >= count

        await self.online.until(are_here, f"{count} frames for {self.name}")
        return self._taken()

    async def answers(self, ids: set[str]) -> dict[str, ServerFrame]:
        """Wait for the answers to several commands, without taking them."""

        def found() -> dict[str, ServerFrame]:
            by_id = {getattr(frame, "id", None): frame for frame in self._new()}
            return {each: by_id[each] for each in ids if each in by_id}

        await self.online.until(lambda: len(found()) == len(ids), f"answers for {self.name}")
        return found()

    async def settled(self) -> list[ServerFrame]:
        """Return the received frames once nothing is pending."""
        ping = Ping(id="settled")
        await self.online.post(ping)
        await self.answers({"settled"})
        return [frame for frame in self._taken() if getattr(frame, "id", None) != ping.id]

    def _new(self) -> list[ServerFrame]:
        return self.online.received[self._seen :]

    def _taken(self) -> list[ServerFrame]:
        new = self._new()
        self._seen += len(new)
        found: list[ServerFrame] = []
        for frame in new:
            self._take(frame)
            if not isinstance(frame, EPHEMERAL):
                self.world.learn(frame)
                found.append(frame)
        return found

    def _take(self, frame: ServerFrame) -> None:
        """Process a frame as the client does."""
        if isinstance(frame, Welcome):
            self._welcomed(frame)
        elif isinstance(frame, Devices):
            self.id = next(device.id for device in frame.devices if device.current)
        elif isinstance(frame, Joined) and frame.channel != "#echo":
            view = self.views.setdefault(
                fold(frame.channel), Channel(LogView(frame.channel, self.name))
            )
            change = view.view.apply_joined(frame)
            view.joined(frame)
            view.preference = Preference.from_frame(frame)
            self._counted(frame)
            for entry in change.entries:
                view.apply(entry)
        if isinstance(frame, Removed):
            self.views.pop(fold(frame.channel), None)
        elif isinstance(frame, Ignored):
            self.capped |= self.views.keys()  # the counts of all channels have changed
        if isinstance(frame, Read) and frame.thread is not None:
            return
        if isinstance(frame, Event | Read | Preferences | PresenceFrame | TypingFrame):
            known = self.views.get(fold(frame.channel))
            if known is not None:
                self._news(known, frame)

    def _welcomed(self, welcome: Welcome) -> None:
        token = welcome.token or self._proof.device
        if token:
            self.world.tokens.setdefault(fold(self.name), token)
        mine = {fold(membership.channel): membership for membership in welcome.channels}
        for key in list(self.views):
            if key not in mine:
                del self.views[key]
                continue
            membership = mine[key]
            self._counted(membership)
            self.views[key].preference = Preference.from_frame(membership)
            self.views[key].view.apply_counts(
                membership.read, membership.unread, membership.mentions, membership.head
            )

    def _counted(self, frame: Joined | Membership | Read) -> None:
        key = fold(frame.channel)
        self.capped.add(key) if frame.unread >= LIMITS.unread else self.capped.discard(key)

    def _news(
        self, view: Channel, frame: Event | Read | Preferences | PresenceFrame | TypingFrame
    ) -> None:
        if isinstance(frame, Event):
            change = view.view.apply_event(frame)
            for entry in change.entries:
                view.apply(entry)
        elif isinstance(frame, Read):
            view.view.apply_counts(frame.seq, frame.unread, frame.mentions, frame.head)
            self._counted(frame)
        elif isinstance(frame, Preferences):
            view.preference = Preference.from_frame(frame)
        elif isinstance(frame, PresenceFrame):
            view.apply_presence(frame)
        else:
            view.apply_typing(frame)


def plain(frame: ServerFrame) -> Any:
    """Return a frame as plain values, without values that only the server can know."""
    values = _without(frame.model_dump())
    values["id"] = getattr(frame, "id", None)
    if isinstance(frame, Welcome):
        values["token"] = frame.token is not None
    if isinstance(frame, ErrorFrame):
        values = {"type": "error", "id": frame.id, "code": frame.code}
    return values


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if k not in _ONLY_THE_SERVER_KNOWS}
    if isinstance(value, list | tuple):
        return [_without(each) for each in value]
    return value
