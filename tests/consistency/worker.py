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
from chat.protocol.frames import ErrorFrame, Heads, Joined, Ok, Page, Welcome
from chat.protocol.items import Event
from tests.consistency.follower import Follower
from tests.consistency.history import Ack, Append, History, Welcomed, Writing

__all__ = ["Worker"]

PIPELINE = 20
"""Maximum unanswered appends of a hasty worker; a careful one has one per channel."""
LOST = (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError)
"""Exceptions that a fault may cause on a connection."""
ANSWER_TIMEOUT = 8.0
"""Seconds without a frame until a connection is abandoned (heartbeats come each second)."""
STOPPED = (ErrorCode.BANNED, ErrorCode.DISABLED)
EMOJI = ("👍", "🎉", "☕")


class Worker:
    """One device of one user.

    Args:
        name: the user; several workers may share it.
        device: the number of the user's device.
        url: returns the address to connect to.
        channels: the channels to follow and talk in.
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
    ) -> None:
        self.name = name
        self.followers = {
            channel: Follower(f"{name}/{device}", channel, history) for channel in channels
        }
        self.is_live = False
        """Whether it is signed in and follows all channels."""
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
        for channel in self.followers.keys() - positions.keys():
            await self._send(socket, Join(channel=channel, id="join"))
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
            case Event():
                self.followers[frame.channel].event(frame)
            case Joined():
                self.followers[frame.channel].joined(frame)
                await self._read_on(socket, frame.channel)
            case Page():
                self.followers[frame.channel].page(frame)
                await self._read_on(socket, frame.channel)
            case Heads():
                for channel, follower in self.followers.items():
                    if channel in frame.heads:
                        follower.head(frame.heads[channel])
            case Ok() if frame.id in self._asked:
                self._acknowledged(*self._asked.pop(frame.id), frame)
            case ErrorFrame():
                self._refused(frame)

    async def _read_on(self, socket: ClientConnection, channel: str) -> None:
        follower = self.followers[channel]
        if not follower.is_attached:
            await self._send(
                socket,
                ReadHistory(channel=channel, after=follower.position, limit=200, id="page"),
            )
        self.is_live = all(each.is_attached for each in self.followers.values())

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
        if error.code in STOPPED:
            self._history.counts["refused while stopped"] += 1
            if error.id is None:
                raise ConnectionAbortedError("banned or disabled: reconnect later")
        elif error.retryable:
            self._history.counts["unavailable"] += 1
            if append is None and error.id != "mark":
                raise ConnectionAbortedError("reconnect and repeat")
        elif append is not None and not append.acks:
            append.refusal = error.code
            self._history.counts["refused"] += 1
            self._close(append)
        else:
            self._history.violations.append(f"{self.name}: {error.code}, {error.message}")

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
        if not self._is_careful:
            return [append for append in self._open if id(append) not in under_way]
        first: dict[str, Append] = {}
        for append in self._open:
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
            await self._send(socket, Mark(channel=channel, seq=position, id="mark"))

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
        channel = chance.choice(list(self.followers))
        text = f"{cid} " + "lorem ipsum " * int(chance.paretovariate(1.2))
        return Send(channel=channel, text=text[:4_000], cid=cid)


def _now() -> float:
    return asyncio.get_running_loop().time()
