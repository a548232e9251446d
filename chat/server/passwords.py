"""Passwords: argon2id in two threads, with limited attempts; few failures go first.

Hashing takes a tenth of a second of a processor and 64 MiB by design, so it never runs on the event
loop. An attempt's *rank* is the number of recent failures of its address, itself included. Ranks up
to `GOOD_RANK` share one thread; all others share a second one, with a lower priority. Each thread
takes the lowest rank first, and of equal ranks the newest: a flood from many addresses delays a
person at another address by about one hash. Both queues are bounded.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from bisect import insort
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from chat.errors import CommandError, ErrorCode
from chat.rate import TokenBuckets
from chat.text import PASSWORD_MIN, is_long_enough, password_form

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["Attempt", "Passwords", "check_new_password"]

T = TypeVar("T")

TRIES = 10
"""Attempts for one account from one address at once."""
TRIES_PER_SECOND = 1 / 30
ADDRESS_TRIES = 60
"""Wrong passwords for all accounts from one address at once."""
ADDRESS_TRIES_PER_SECOND = 1 / 60
"""Slow, so that the failures of a flood from many addresses are not forgotten meanwhile."""
GOOD_RANK = 3
"""Highest rank in the first thread: people mistype a password a few times."""
KNOWN_BONUS = 10
"""Failures of an address that do not count for an account that has signed in from there."""
KNOWN_MAX = 16_384
"""Most pairs of an account and an address that are known to have signed in."""
GOOD_NICENESS, OTHER_NICENESS = 2, 10
"""How much the priority of each thread is lowered. A hash runs in four threads of its library: with
0, the 99th percentile of the event loop beside a flood was 80 ms on two busy processors, with 2 it
was 27 ms; with 5, a sign-in took twice as long there."""
WAITING_MAX = 24
"""Most waiting hashes per thread; each keeps a password in memory."""
USUAL_SECONDS = 0.1
"""Seconds of a hash until one was measured, for the waits that refusals name."""
WEIGHT = 0.2
"""Weight of the newest hash in the average."""
UNMATCHED = f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}"
"""A hash with argon2-cffi's default costs that no password matches."""
BUSY = "too many passwords are being checked right now; try again later"
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to give the password of an account, counted by `Passwords.attempt`."""

    account: str
    address: str
    rank: int


class Passwords:
    """Hashes and verifies passwords; used on the event loop.

    Args:
        loop: the event loop.
        tries: attempts for one account from one address at once.
        rate: further attempts per second.
        address_tries: wrong passwords for all accounts from one address at once.
        address_rate: further ones per second.
        waiting_max: most waiting hashes per thread.
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
    ) -> None:
        self._loop = loop
        self._tries = TokenBuckets(rate, tries)
        self._address_tries = address_tries
        self._addresses = TokenBuckets(address_rate, address_tries)
        self._known: dict[tuple[str, str], None] = {}
        """Accounts and addresses that have signed in, the latest last."""
        self._good = _Thread(loop, GOOD_NICENESS, waiting_max)
        self._others = _Thread(loop, OTHER_NICENESS, waiting_max)

    def remember(self, account: str, address: str) -> None:
        """Record that the account has signed in from the address, by whatever proof."""
        pair = (account, address)
        self._known.pop(pair, None)
        self._known[pair] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def attempt(self, *, account: str, address: str) -> Attempt:
        """Count an attempt; call this before anything is read for it.

        Failures elsewhere never refuse an attempt, so nobody can lock an account. Failures for
        other accounts at the same address do not refuse it either if the account is known there.

        Args:
            account: the folded name, whether or not an account has it.
            address: the address of the peer.

        Raises:
            CommandError: rate_limited, with the seconds to wait.
        """
        pair, now = (account, address), self._loop.time()
        wait = self._addresses.of(address, now).wait(now)
        if wait and pair not in self._known:
            raise _too_many(wait)
        if wait := self._tries.take(pair, now):
            raise _too_many(wait)
        return Attempt(account, address, self._charge(account, address))

    async def verify(self, attempt: Attempt, stored: str | None, password: str) -> bool:
        """Return whether `password` matches the hash `stored`.

        None, for an account without a password or a name without an account, takes as long.

        Args:
            attempt: the counted attempt.
            stored: the argon2id hash.
            password: the password as typed.

        Raises:
            CommandError: rate_limited, with the seconds to wait.
        """
        try:
            is_right = await self._run(attempt.rank, lambda: _is_match(stored, password))
        except CommandError:  # a full queue must not use up the attempts of a person
            now = self._loop.time()
            self._tries.of((attempt.account, attempt.address), now).give_back()
            raise
        if is_right:
            self._addresses.of(attempt.address, self._loop.time()).give_back()
        return is_right

    async def hash(self, password: str, *, account: str, address: str) -> str:
        """Return the argon2id hash of the new password of a signed-in account.

        Raises:
            CommandError: rate_limited, with the seconds to wait.
        """
        rank = self._charge(account, address)
        made = await self._run(rank, lambda: _hasher().hash(password_form(password)))
        self._addresses.of(address, self._loop.time()).give_back()
        return made

    @property
    def waiting(self) -> int:
        """Number of passwords that wait to be hashed."""
        return self._good.waiting + self._others.waiting

    def close(self) -> None:
        """Wait for the running hashes, and end the threads; waiting ones never run."""
        self._good.close()
        self._others.close()

    def _charge(self, account: str, address: str) -> int:
        """Count a failure of the address until the password turns out right; return the rank."""
        bucket = self._addresses.of(address, self._loop.time())
        bucket.pay(1)
        rank = math.ceil(self._address_tries - bucket.tokens)
        return rank - KNOWN_BONUS if (account, address) in self._known else rank

    async def _run(self, rank: int, work: Callable[[], T]) -> T:
        thread = self._good if rank <= GOOD_RANK else self._others
        return await thread.run(rank, work)


class _Thread:
    """A thread, and the bounded queue of what it will run.

    Args:
        loop: the event loop, on which all methods run.
        niceness: how much the priority of the thread is lowered.
        waiting_max: most waiting calls.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, niceness: int, waiting_max: int) -> None:
        self._loop = loop
        self._waiting_max = waiting_max
        self._executor = ThreadPoolExecutor(
            1, "passwords", initializer=_lower_priority, initargs=(niceness,)
        )
        self._is_busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        """Rank, negative number of arrival, and turn, in the order in which they will run."""
        self._arrivals = count()
        self._seconds = USUAL_SECONDS
        """Moving average of the seconds of a call."""

    async def run(self, rank: int, work: Callable[[], T]) -> T:
        """Run `work` when no lower rank waits.

        Raises:
            CommandError: rate_limited, if the queue is full of better ones; unavailable.
        """
        await self._take_turn(rank)
        # A thread cannot be cancelled: the turn ends when the work is done, not when nobody
        # waits for it any more. Otherwise a peer that reconnects could have many running.
        since = self._loop.time()
        try:
            running = self._executor.submit(work)
        except RuntimeError:
            raise CommandError(ErrorCode.UNAVAILABLE, STOPPING, retry_after=1.0) from None
        running.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._work_done, since))
        return await asyncio.wrap_future(running)

    @property
    def waiting(self) -> int:
        """Number of waiting calls."""
        return len(self._waiting)

    def close(self) -> None:
        """Wait for the running call, and end the thread."""
        self._executor.shutdown()

    async def _take_turn(self, rank: int) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        entry = (rank, -next(self._arrivals), turn)
        insort(self._waiting, entry)
        if len(self._waiting) > self._waiting_max:
            self._refuse(self._waiting.pop()[-1])
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(entry)
            elif turn.exception() is None:  # the turn was given just before
                self._end_turn()
            raise

    def _refuse(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            wait = (1 + self._waiting_max) * self._seconds
            turn.set_exception(CommandError(ErrorCode.RATE_LIMITED, BUSY, retry_after=wait))

    def _work_done(self, since: float) -> None:
        self._seconds += (self._loop.time() - since - self._seconds) * WEIGHT
        self._end_turn()

    def _end_turn(self) -> None:
        """Give the turn to the first that waits, or free the thread."""
        while self._waiting:
            turn = self._waiting.pop(0)[-1]
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False


def _too_many(wait: float) -> CommandError:
    return CommandError(
        ErrorCode.RATE_LIMITED,
        f"too many attempts with a password: try again in {max(1, round(wait)):,} s, or sign in"
        " with a link code or a token",
        retry_after=wait,
    )


def _lower_priority(niceness: int) -> None:
    """Let the event loop go first where processors are few."""
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


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
