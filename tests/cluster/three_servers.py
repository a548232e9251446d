"""Three `chat-server` processes on one PostgreSQL and one NATS, and the verdict on what they did.

The verdict: each acknowledged message is stored once, each follower received its channel's log
without a gap or a repetition, and all servers deliver the same log.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from websockets.exceptions import WebSocketException

from chat.protocol.commands import History, Join, ResumeFrom, Send
from chat.protocol.frames import ErrorFrame, Joined, Ok, Page
from chat.protocol.items import Event
from tests.broker.nats_server import NatsServer
from tests.postgresql import PostgresqlServer
from tests.serving import PATIENCE, ChatServer, Peer

__all__ = ["Cluster", "Follower", "LossyFollower", "Writer", "answer_to", "judge", "pause"]


LOST = (OSError, WebSocketException, AssertionError, TimeoutError)
"""What a test client raises when its connection ends, or is refused."""


class Cluster:
    """Servers on one database and one broker; each may be killed and started again.

    Args:
        folder: for the servers' data.
        database: has the servers' database.
        template: the database that theirs is copied from.
        standby: the address of the servers' database names it, too.
    """

    def __init__(
        self,
        folder: Path,
        database: PostgresqlServer,
        template: str,
        standby: PostgresqlServer | None = None,
    ) -> None:
        self.postgresql = database
        self.name = database.create(template)
        self.nats = NatsServer().start()
        self.url = database.url(self.name) + (f",{standby.folder}" if standby is not None else "")
        self.servers = [
            ChatServer(folder / f"server{number}", *self.flags(self.url)) for number in range(3)
        ]

    def flags(self, url: str) -> tuple[str, ...]:
        """Return the flags of a server that reaches the database at `url`."""
        return ("--store", url, "--broker", self.nats.url)

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self.servers:
            server.kill()
        self.nats.kill()
        if self.postgresql.is_running:
            self.postgresql.drop(self.name)

    @property
    def urls(self) -> list[str]:
        """The addresses of all servers."""
        return [server.url for server in self.servers]


class _Client:
    """A client that reconnects to the next of its addresses when its connection ends.

    Args:
        urls: the addresses, the first one first.
        name: the user's name; the token of the first sign-in is used again.
    """

    def __init__(self, urls: Sequence[str], name: str) -> None:
        self.urls = list(urls)
        self.name = name
        self.token: str | None = None
        self.connections = 0
        self.faults: list[str] = []

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Peer]:
        """Yield a signed-in connection, at the first address that works."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(PATIENCE):
                while (peer := await self._connect(stack)) is None:
                    self.move()
                    await asyncio.sleep(0.1)
            yield peer

    async def _connect(self, stack: AsyncExitStack) -> Peer | None:
        try:
            opening = Peer.connect(self.urls[0], open_timeout=5)
            peer = await stack.enter_async_context(opening)
            welcome = await peer.hello(self.name, self.token)
        except LOST:
            return None
        self.token = self.token or welcome.token
        self.connections += 1
        return peer

    def move(self) -> None:
        """Use the next address."""
        self.urls.append(self.urls.pop(0))


class Follower(_Client):
    """Follows one channel across connections, and checks each event."""

    def __init__(self, urls: Sequence[str], name: str, channel: str) -> None:
        super().__init__(urls, name)
        self.channel = channel
        self.log: list[tuple[int, str | None]] = []
        """The numbers and texts of all events after the first join."""
        self.first: int | None = None
        """The number of the event before the log."""
        self._epoch = ""

    @property
    def head(self) -> int:
        """The number of the last event."""
        return self.log[-1][0] if self.log else self.first or 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with suppress(*LOST):
                async with self.connected() as peer:
                    await self._follow(peer)
            self.move()

    async def _follow(self, peer: Peer) -> None:
        resume = ResumeFrom(epoch=self._epoch, after=self.head) if self._epoch else None
        joined = await peer.call(Join(channel=self.channel, resume=resume), Joined)
        if self.first is None:
            self.first, self._epoch = joined.head, joined.epoch
        elif not joined.recovered:
            self._not_recovered(joined)
        else:
            for item in joined.items:
                self._add(item.seq, item.text)
        is_complete = joined.complete
        while not is_complete:
            page = await peer.call(History(channel=self.channel, after=self.head, limit=200), Page)
            for item in page.items:
                self._add(item.seq, item.text)
            is_complete = page.complete
        while True:
            event = await peer.next(Event, lambda event: event.channel == self.channel)
            self._add(event.seq, event.text)

    def _not_recovered(self, joined: Joined) -> None:
        self.faults.append(f"not recovered after {self.head}, at {joined.head}")

    def _add(self, seq: int, text: str | None) -> None:
        if seq != self.head + 1:
            self.faults.append(f"{seq} after {self.head}")
        self.log.append((seq, text))


class LossyFollower(Follower):
    """Follows one channel, whose log may continue in another epoch."""

    def __init__(self, urls: Sequence[str], name: str, channel: str) -> None:
        super().__init__(urls, name, channel)
        self.logs: dict[str, list[tuple[int, str | None]]] = {}
        """The numbers and texts of the received events, by epoch; the oldest epoch first."""

    def _not_recovered(self, joined: Joined) -> None:
        self.first, self._epoch, self.log = joined.head, joined.epoch, []
        self._add_epoch()

    def _add_epoch(self) -> None:
        if self._epoch in self.logs:
            self.faults.append(f"the epoch {self._epoch} came twice")
        self.logs[self._epoch] = self.log

    def _add(self, seq: int, text: str | None) -> None:
        if not self.logs:
            self._add_epoch()
        super()._add(seq, text)


class Writer(_Client):
    """Sends numbered messages to one channel, each until it has its `ok`."""

    def __init__(self, urls: Sequence[str], name: str, channel: str) -> None:
        super().__init__(urls, name)
        self.channel = channel
        self.acknowledged: dict[str, int] = {}
        """The numbers of acknowledged messages, by text."""

    async def write(self, count: int, pause: Callable[[], float] = lambda: 0.0) -> None:
        """Send `count` messages, one after the other."""
        number = 0
        while number < count:
            try:
                async with self.connected() as peer:
                    await peer.call(Join(channel=self.channel), Joined)
                    while number < count:
                        if await self._send(peer, f"{self.name} {number}"):
                            number += 1
                        await asyncio.sleep(pause())
            except LOST:
                self.move()

    async def _send(self, peer: Peer, text: str) -> bool:
        """Send a message; return whether it was acknowledged. False: send it again."""
        answer = await answer_to(peer, Send(channel=self.channel, text=text, cid=text))
        if isinstance(answer, ErrorFrame):
            if not answer.retryable:
                self.faults.append(f"{text}: {answer.code} {answer.message}")
                return True
            await asyncio.sleep(min(answer.retry_after or 0.2, 1.0))
            return False
        assert answer.seq is not None
        self.acknowledged[text] = answer.seq
        return True


async def answer_to(peer: Peer, command: Send) -> Ok | ErrorFrame:
    """Send a message; return the answer, or the error."""
    command_id = await peer.post(command)

    def answers() -> list[Ok | ErrorFrame]:
        found: list[Ok | ErrorFrame] = [*peer.kept(Ok)]
        found += peer.kept(ErrorFrame)
        return [frame for frame in found if frame.id == command_id]

    await peer.until(lambda: bool(answers()), f"the answer to {command!r}")
    (answer,) = answers()
    peer.frames.remove(answer)
    return answer


async def judge(writers: Sequence[Writer], followers: Sequence[Follower]) -> None:
    """Wait until all followers have all acknowledged messages, and check the logs."""
    acknowledged = {text: seq for writer in writers for text, seq in writer.acknowledged.items()}
    head = max(acknowledged.values())
    async with asyncio.timeout(PATIENCE):
        while any(follower.head < head for follower in followers):
            await asyncio.sleep(0.05)
    for client in (*writers, *followers):
        assert client.faults == [], client.name
    reference = dict(followers[0].log)
    for follower in followers:
        log = dict(follower.log)
        assert len(log) == len(follower.log)
        for seq in reference.keys() & log.keys():
            assert log[seq] == reference[seq], (follower.name, seq)
        texts = Counter(text for text in log.values() if text in acknowledged)
        twice = [text for text, times in texts.items() if times > 1]
        assert twice == [], follower.name
        for text, seq in acknowledged.items():
            assert log[seq] == text, (follower.name, seq)


def pause(least: float, most: float) -> Callable[[], float]:
    """Return a function that returns a random time."""
    return lambda: random.uniform(least, most)
