"""A channel with a long log, written by the store itself, and users who keep talking in it."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from chat.protocol.commands import Send
from chat.protocol.values import Limits
from chat.store.accounts import SignIn
from chat.store.operations import (
    Commit,
    JoinChannel,
    Operation,
    PendingCall,
    Result,
    SendMessage,
    User,
)
from chat.store.store import Store
from tests.serving import Peer

__all__ = ["CHANNEL", "SERVER_FLAGS", "fill", "words"]

CHANNEL = "#long"
AUTHORS = ("bob", "carol", "dave", "erin")
SERVER_FLAGS = ("--limits.rate", "100000", "--limits.burst", "100000")
"""Settings without limits for talking."""
_WORDS = ("so", "the", "build", "is", "green", "again", "but", "nobody", "knows", "why", "it")
_UNDER_WAY = 2_000


def words(number: int) -> str:
    """Return the text of a message: 3 to 50 lower-case words, and its number."""
    few = random.Random(number)
    count = few.choice((3, 5, 8, 8, 12, 12, 20, 50))
    return " ".join([*few.choices(_WORDS, k=count), str(number)])


def fill(data: Path, messages: int) -> None:
    """Write `CHANNEL` with that many messages into a new database, as a server would."""
    data.mkdir(parents=True)
    writers: list[User] = []
    room = threading.Semaphore(_UNDER_WAY)

    def committed(commit: Commit) -> None:
        for pending in commit.operations:
            pending.settle()
        room.release(len(commit.operations))

    def ignore(_outcome: object) -> None:
        pass

    store = Store.open(f"sqlite:///{data / 'chat.db'}", limits=Limits(), committed=committed)

    def submit(operation: Operation[Result], done: Callable[[Result], None] = ignore) -> None:
        room.acquire()
        store.submit([PendingCall(operation, done, ignore)])

    for name in AUTHORS:
        secret = hashlib.sha256(name.encode()).digest()
        submit(SignIn(name, secret, secret), lambda signed_in: writers.append(signed_in.user))
    _all_of(room)
    for writer in writers:
        submit(JoinChannel(writer, CHANNEL))
    for number in range(messages):
        writer = writers[number // 3 % len(writers)]
        submit(SendMessage(writer, CHANNEL, words(number)))
    _all_of(room)
    store.close()


def _all_of(room: threading.Semaphore) -> None:
    """Wait until no operation is pending."""
    for _ in range(_UNDER_WAY):
        room.acquire()
    room.release(_UNDER_WAY)


async def talk(url: str, rate: float) -> None:
    """Send `rate` messages per second, evenly, until killed."""
    async with AsyncExitStack() as stack:
        names = ("frank", "grace", "heidi", "ivan")
        peers = [await stack.enter_async_context(Peer.signed_in(url, name)) for name in names]
        for peer in peers:
            await peer.join(CHANNEL)
        clock = asyncio.get_running_loop().time
        began, number = clock(), 0
        while True:
            await peers[number // 3 % len(peers)].post(Send(channel=CHANNEL, text=words(number)))
            number += 1
            await asyncio.sleep(max(0.0, began + number / rate - clock()))


if __name__ == "__main__":
    asyncio.run(talk(sys.argv[1], float(sys.argv[2])))
