"""Passwords: argon2id in threads of their own, with limited attempts and a fair queue.

Hashing takes a tenth of a second of a processor and 64 MiB by design, so it never runs on the event
loop, and at most two hashes run at a time. Of those that wait, the next one is that of the address
with the fewest recent attempts: a flood delays an honest person by a hash or two. The queue is
bounded.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from chat.errors import CommandError, ErrorCode
from chat.rate import TokenBuckets
from chat.text import PASSWORD_MIN, is_long_enough, password_form

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["Passwords", "check_new_password"]

T = TypeVar("T")

THREADS = 2
NICENESS = 10
"""How much less of a busy processor the threads get; they share none with an idle one."""
TRIES = 10
"""Attempts for one account from one address at once."""
TRIES_PER_SECOND = 1 / 30
ADDRESS_TRIES = 60
"""Attempts for all accounts from one address at once: a flood must not use a processor for ever."""
ADDRESS_TRIES_PER_SECOND = 0.5
WAITING_MAX = 48
"""Most waiting hashes; each keeps a password in memory."""
WAITING_PER_ADDRESS = 8
USUAL_SECONDS = 0.1
"""Estimated seconds of a hash, for the waits that refusals name."""
UNMATCHED = f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}"
"""A hash with argon2-cffi's default costs that no password matches."""
BUSY = "too many passwords are being checked at this moment; try again later"
STOPPING = "the server is stopping; try again later"


def check_new_password(password: str) -> None:
    """Refuse a new password that is too short.

    Raises:
        CommandError: invalid.
    """
    if not is_long_enough(password):
        raise CommandError(
            ErrorCode.INVALID,
            f"password: must have at least {PASSWORD_MIN} characters",
            field="password",
        )


class Passwords:
    """Hashes and verifies passwords; used on the event loop.

    Args:
        loop: the event loop.
        tries: attempts for one account from one address at once.
        rate: further attempts per second.
        address_tries: attempts for all accounts from one address at once.
        address_rate: further attempts per second.
        waiting_max: most waiting hashes.
        waiting_per_address: most waiting hashes of one address.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        tries: int = TRIES,
        rate: float = TRIES_PER_SECOND,
        address_tries: int = ADDRESS_TRIES,
        address_rate: float = ADDRESS_TRIES_PER_SECOND,
        waiting_max: int = WAITING_MAX,
        waiting_per_address: int = WAITING_PER_ADDRESS,
    ) -> None:
        self._loop = loop
        self._tries = TokenBuckets(rate, tries)
        self._addresses = TokenBuckets(address_rate, address_tries)
        self._waiting_max = waiting_max
        self._waiting_per_address = waiting_per_address
        self._threads = ThreadPoolExecutor(
            THREADS, thread_name_prefix="passwords", initializer=_yield_to_others
        )
        self._running = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Waiting hashes by address."""

    async def verify(
        self, stored: str | None, password: str, *, account: str, address: str
    ) -> bool:
        """Return whether `password` matches the hash `stored`.

        None, for an account without a password or a name without an account, takes as long.

        Args:
            stored: the argon2id hash.
            password: the password as typed.
            account: the folded name, for the limit of attempts.
            address: the address of the peer.

        Raises:
            CommandError: rate_limited, with the seconds to wait.
        """
        if wait := self._tries.take((account, address), self._loop.time()):
            raise _too_many(wait)
        return await self._run(address, lambda: _is_match(stored, password))

    async def hash(self, password: str, *, address: str) -> str:
        """Return the argon2id hash of a new password.

        Raises:
            CommandError: rate_limited, with the seconds to wait.
        """
        return await self._run(address, lambda: _hasher().hash(password_form(password)))

    def close(self) -> None:
        """Wait for the running hashes, and end the threads; waiting ones never run."""
        self._threads.shutdown()

    async def _run(self, address: str, work: Callable[[], T]) -> T:
        if wait := self._addresses.take(address, self._loop.time()):
            raise _too_many(wait)
        await self._take_turn(address)
        # A thread cannot be cancelled: the slot is free when the hash is done, not when nobody
        # waits for it any more. Otherwise a peer that reconnects could have many running.
        try:
            running = self._threads.submit(work)
        except RuntimeError:
            raise CommandError(ErrorCode.UNAVAILABLE, STOPPING, retry_after=1.0) from None
        running.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._end_turn))
        return await asyncio.wrap_future(running)

    async def _take_turn(self, address: str) -> None:
        if self._running < THREADS:
            self._running += 1
            return
        self._make_room(address)
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.setdefault(address, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn was given just before
                self._end_turn()
            raise

    def _make_room(self, address: str) -> None:
        """Refuse the newcomer if too many of its address wait, or else that of a busier address.

        Raises:
            CommandError: rate_limited.
        """
        count = sum(map(len, self._waiting.values()))
        seconds = (1 + count) * USUAL_SECONDS / THREADS
        busy = CommandError(ErrorCode.RATE_LIMITED, BUSY, retry_after=seconds)
        if len(self._waiting.get(address, ())) >= self._waiting_per_address:
            raise busy
        if count < self._waiting_max:
            return
        busiest = min(self._waiting, key=self._quietness)
        if self._quietness(busiest) >= self._quietness(address):
            raise busy
        turn = self._waiting[busiest].pop()
        if not self._waiting[busiest]:
            del self._waiting[busiest]
        if not turn.done():
            turn.set_exception(busy)

    def _end_turn(self) -> None:
        """Give the turn to the address with the fewest recent attempts, or free the slot."""
        while self._waiting:
            address = max(self._waiting, key=self._quietness)
            turns = self._waiting.pop(address)
            turn = turns.popleft()
            if turns:
                self._waiting[address] = turns  # behind its equals
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    def _quietness(self, address: str) -> float:
        """Return how many attempts the address has left."""
        return self._addresses.of(address, self._loop.time()).tokens


def _too_many(wait: float) -> CommandError:
    return CommandError(
        ErrorCode.RATE_LIMITED,
        f"too many attempts with a password: try again in {max(1, round(wait)):,} s, or sign in"
        " with a link code or a token",
        retry_after=wait,
    )


def _yield_to_others() -> None:
    """Let the event loop's thread go first where processors are few."""
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _is_match(stored: str | None, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _hasher().verify(stored or UNMATCHED, password_form(password))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _hasher() -> PasswordHasher:
    """Import argon2 with the first password: a start without passwords needs no extension."""
    from argon2 import PasswordHasher

    return PasswordHasher()
