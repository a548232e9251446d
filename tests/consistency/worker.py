"""A light client that talks and follows; it repeats each `cid` until it is answered."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from chat.errors import ErrorCode
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.codec import decode_frame, encode
from chat.protocol.commands import (
    BaseCommand,
    Delete,
    Edit,
    Hello,
    Join,
    Mark,
    React,
    Send,
)
from chat.protocol.commands import (
    History as ReadHistory,
)
from chat.protocol.frames import ErrorFrame, Heads, Invited, Joined, Ok, Page, Removed, Welcome
from chat.protocol.items import Event
from tests.consistency.follower import Follower
from tests.consistency.history import Ack, Append, History, Welcomed, Writing
from tests.consistency.rooms import CLUB, DEN, ROOMS

__all__ = ["Worker"]

PIPELINE = 20
"""Maximum unanswered appends of a hasty worker; a careful one has one per channel."""
LOST = (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError)
"""Exceptions that a fault may cause on a connection."""
ANSWER_TIMEOUT = 8.0
"""Seconds without a frame until a connection is abandoned (heartbeats come each second)."""
STOPPED = (ErrorCode.BANNED, ErrorCode.DISABLED)
OUTSIDE = (
    *(ErrorCode.BANNED, ErrorCode.NOT_A_MEMBER, ErrorCode.NO_SUCH_CHANNEL),
    ErrorCode.NAME_UNAVAILABLE,
)
"""Errors of somebody who was removed from a channel."""
EMOJI = ("👍", "🎉", "☕")


class Worker:
    """One device of one user.

    Args:
        name: the user; several workers may share it.
        device: the number of the user's device.
        url: returns the address to connect to.
        channels: the channels to follow and talk in.
        rooms: more such channels, from which the user may be removed; they join again.
        history: collects the evidence.
        chance: the random decisions.
        pace: mean seconds between two appends; None: it only listens.
        known: acknowledged commands of all devices of the user; each device repeats some of them.
    """

    def __init__(
        self,
        name: str,
        device: int,
        url: Callable[[], str],
        channels: Sequence[str],
        history: History,
        chance: random.Random,
        pace: float | None,
        known: list[Append],
        rooms: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.followers = {
            channel: Follower(name, f"{name}/{device}", channel, history, is_room=channel in rooms)
            for channel in (*channels, *rooms)
        }
        self.is_live = False
        """Whether it is signed in and follows all channels; of the rooms, perhaps some."""
        self._invited: set[str] = set()
        """Private rooms that the user may join."""
        self._next_join: dict[str, float] = {}
        """The earliest time of the next attempt to join a room."""
        self._device = device
        self._url = url
        self._history = history
        self._chance = chance
        self._pace = pace
        self._is_careful = device % 2 == 0
        self._is_talking = pace is not None
        self._open: deque[Append] = deque()
        self._asked: dict[str, tuple[Append, int, float]] = {}
        self._known = known
        self._numbers = count(1)
        self._session = 0

    @property
    def device(self) -> str:
        """The user's name and the device's number."""
        return f"{self.name}/{self._device}"

    @property
    def absent(self) -> list[str]:
        """The channels that it does not follow now."""
        return [channel for channel, each in self.followers.items() if not each.is_attached]

    @property
    def unanswered(self) -> list[str]:
        """The commands without an answer; empty if all were answered."""
        return [str(append.command.cid) for append in self._open]

    def stop_talking(self) -> None:
        """Start no new commands; repeat the unanswered ones."""
        self._is_talking = False

    @staticmethod
    def token_of(name: str) -> str:
        """Return the token that the user's devices share."""
        return f"token-of-{name}-".ljust(40, "x")

    async def run(self) -> None:
        """Stay connected, reconnecting as needed, until cancelled."""
        while True:
            try:
                # All errors that a fault causes on a connection are handled here.
                with suppress(
                    OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError
                ):
                    async with connect(
                        self._url(),
                        proxy=None,
                        compression=None,
                        ping_interval=None,
                        open_timeout=ANSWER_TIMEOUT,
                        close_timeout=0.2,
                        max_size=None,
                    ) as socket:
                        await self._stay(socket)
            finally:  # also when it is cancelled, to run again later
                self._lost()
            await asyncio.sleep(self._chance.uniform(0.05, 0.4))

    def _lost(self) -> None:
        self.is_live = False
        self._asked.clear()
        self._history.counts["reconnects"] += 1
        for follower in self.followers.values():
            follower.lost()

    async def _stay(self, socket: ClientConnection) -> None:
        self._session = self._history.new_session()
        positions = {
            channel: follower.resume
            for channel, follower in self.followers.items()
            if follower.resume is not None
        }
        hello = Hello(
            v=PROTOCOL_VERSION,
            name=self.name,
            token=self.token_of(self.name),
            resume=positions or None,
        )
        asked = _now()
        await socket.send(encode(hello), text=True)
        frame: object = None
        while not isinstance(frame, Welcome):
            frame = await self._receive(socket)
            if isinstance(frame, ErrorFrame):
                await asyncio.sleep(frame.retry_after or 0.5)
                return
        self._history.welcomes.append(Welcomed(self.name, asked, _now()))
        self._invited = {each.channel for each in frame.invited}
        mine = {each.channel for each in frame.channels}
        for channel, follower in self.followers.items():
            if follower.is_room:
                follower.is_removed = channel not in mine
                self._next_join[channel] = _now() + 1  # the position may be answered first
                if channel in mine and channel not in positions:
                    await self._join(socket, follower)
            elif channel not in positions:
                await self._join(socket, follower)
        tasks = {
            asyncio.create_task(self._listen(socket)),
            asyncio.create_task(self._talk(socket)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, socket: ClientConnection) -> None:
        while True:
            await self._take(socket, await self._receive(socket))

    async def _receive(self, socket: ClientConnection) -> object:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return decode_frame(await socket.recv())

    # In

    async def _take(self, socket: ClientConnection, frame: object) -> None:
        match frame:
            case Event() | Joined() | Page() | Removed():
                if follower := self.followers.get(frame.channel):
                    await self._follow(socket, follower, frame)
            case Invited():
                change = self._invited.discard if frame.remove else self._invited.add
                change(frame.invitation.channel)
            case Heads():
                for channel, follower in self.followers.items():
                    if channel in frame.heads:
                        follower.head(frame.heads[channel])
            case Ok() if frame.id in self._asked:
                self._acknowledged(*self._asked.pop(frame.id), frame)
            case ErrorFrame():
                self._refused(frame)

    async def _follow(
        self,
        socket: ClientConnection,
        follower: Follower,
        frame: Event | Joined | Page | Removed,
    ) -> None:
        match frame:
            case Event():
                follower.event(frame)
            case Removed():
                follower.removed()
            case Joined():
                follower.joined(frame)
                await self._read_on(socket, follower)
            case Page():
                follower.page(frame)
                await self._read_on(socket, follower)

    async def _read_on(self, socket: ClientConnection, follower: Follower) -> None:
        channel = follower.channel
        if not follower.is_attached:
            read = ReadHistory(
                channel=channel, after=follower.position, limit=200, id=f"page {channel}"
            )
            await self._send(socket, read)
        followers = self.followers.values()
        self.is_live = all(each.is_attached or each.is_room for each in followers)

    async def _join(self, socket: ClientConnection, follower: Follower) -> None:
        follower.is_joining = True
        join = Join(channel=follower.channel, resume=follower.resume, id=f"join {follower.channel}")
        await self._send(socket, join)

    async def _join_rooms(self, socket: ClientConnection) -> None:
        """Join the rooms again that the user was removed from, a private one if invited."""
        for channel, follower in self.followers.items():
            is_due = not follower.is_joining and self._next_join.get(channel, 0) < _now()
            may_join = channel == CLUB or channel in self._invited
            if follower.is_room and follower.is_removed and is_due and may_join:
                await self._join(socket, follower)

    def _acknowledged(self, append: Append, index: int, asked: float, ok: Ok) -> None:
        if ok.seq is None or ok.mid is None:  # the reaction existed already, or did not exist
            append.refusal = "changes nothing"
            self._close(append)
            return
        if not append.acks:
            self._history.counts["acknowledged"] += 1
            self._known.append(append)
        self._history.counts["duplicates answered"] += ok.duplicate
        append.acks.append(Ack(self._session, index, ok.seq, ok.mid, ok.duplicate, asked, _now()))
        self._close(append)

    def _refused(self, error: ErrorFrame) -> None:
        append, _index, _asked = self._asked.pop(error.id or "", (None, 0, 0.0))
        what, _, channel = (error.id or "").partition(" ")
        room = self.followers.get(channel or error.channel or "")
        if append is None and room is not None and room.is_room and error.code in OUTSIDE:
            if what == "join":
                room.is_joining = False
                self._next_join[room.channel] = _now() + self._chance.uniform(0.1, 0.6)
            self._history.counts["refused outside"] += 1
        elif error.id is None and error.channel in ROOMS and room is None:
            pass  # another device of the user joined, and was removed at once
        elif append is not None and append.command.channel == DEN and error.code == "cid_reused":
            self._history.counts["repeated outside"] += 1  # it repeats it as a member
        elif error.code in STOPPED and error.field != "channel":
            self._history.counts["refused while stopped"] += 1
            if error.id is None:
                raise ConnectionAbortedError("banned or disabled: reconnect later")
        elif error.retryable:
            self._history.counts["unavailable"] += 1
            if append is None and what != "mark":
                raise ConnectionAbortedError("reconnect and repeat")
        elif append is not None and not append.acks:
            append.refusal = error.code
            self._history.counts["refused"] += 1
            self._close(append)
        else:
            self._history.violations.append(f"{self.device}: {error} to {append}")

    def _close(self, append: Append) -> None:
        with suppress(ValueError):
            self._open.remove(append)

    # Out

    async def _talk(self, socket: ClientConnection) -> None:
        """Repeat unanswered commands, and start a new one now and then."""
        index = 0
        while True:
            if self._is_talking and self.is_live and len(self._open) < PIPELINE:
                self._open.append(self._new_append())
            await self._join_rooms(socket)
            for append in self._ready():
                index += 1
                await self._ask(socket, append, index)
            if self._is_talking and self._known and self._chance.random() < 0.05:
                index += 1
                await self._ask(socket, self._chance.choice(self._known), index)
            if self._is_talking and self._chance.random() < 0.1:
                await self._mark(socket)
            await asyncio.sleep(self._chance.expovariate(1 / self._pace) if self._pace else 0.2)

    def _ready(self) -> list[Append]:
        """Return the commands to send now, oldest first."""
        under_way = {id(append) for append, *_ in self._asked.values()}
        outside = {each.channel for each in self.followers.values() if each.is_room}
        outside &= set(self.absent)
        waiting = [append for append in self._open if append.command.channel not in outside]
        if not self._is_careful:
            return [append for append in waiting if id(append) not in under_way]
        first: dict[str, Append] = {}
        for append in waiting:
            first.setdefault(append.command.channel, append)
        return [append for append in first.values() if id(append) not in under_way]

    async def _ask(self, socket: ClientConnection, append: Append, index: int) -> None:
        key = f"{self._session}.{index}"
        self._asked[key] = append, index, _now()
        self._history.counts["asked"] += 1
        await self._send(socket, append.command.model_copy(update={"id": key}))

    async def _send(self, socket: ClientConnection, command: BaseCommand) -> None:
        await socket.send(encode(command), text=True)

    async def _mark(self, socket: ClientConnection) -> None:
        channel = self._chance.choice(list(self.followers))
        if position := self.followers[channel].position:
            await self._send(socket, Mark(channel=channel, seq=position, id=f"mark {channel}"))

    def _new_append(self) -> Append:
        append = Append(self.name, self._command())
        self._history.appends.append(append)
        return append

    def _command(self) -> Writing:
        chance = self._chance
        cid = f"{self.name}-{self._device}-{next(self._numbers)}"
        mine = [append for append in self._known[-40:] if isinstance(append.command, Send)]
        what = chance.random()
        if mine and what < 0.3:
            target = chance.choice(mine)
            channel, seq = target.command.channel, target.acks[0].seq
            if what < 0.12:
                return Edit(channel=channel, seq=seq, text=f"{cid} edited", cid=cid)
            if what < 0.18:
                return Delete(channel=channel, seq=seq, cid=cid)
            return React(
                channel=channel, seq=seq, emoji=chance.choice(EMOJI), remove=what > 0.26, cid=cid
            )
        present = [channel for channel, each in self.followers.items() if each.is_attached]
        channel = chance.choice(present)
        text = f"{cid} in {channel}, @spy: " + "lorem ipsum " * int(chance.paretovariate(1.2))
        roots = [each.acks[0].seq for each in mine if each.command.channel == channel]
        reply_to = chance.choice(roots) if roots and what < 0.5 else None
        is_thread_only = reply_to is not None and what < 0.4
        return Send(
            channel=channel,
            text=text[:4_000],
            cid=cid,
            reply_to=reply_to,
            thread_only=is_thread_only,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
