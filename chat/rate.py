"""Rate limits: keyed token buckets, and budgets that spend from them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable

__all__ = ["Budget", "Budgets", "TokenBucket", "TokenBuckets"]

PIECE = 4_096
"""Bytes of a frame that cost one token; a shorter frame costs one as well."""
BUCKETS_MAX = 65_536
"""Buckets that are kept by key; the one that was used longest ago goes first."""
OVERRUNS_MAX = 5
"""Bursts that may be refused before the connection is closed."""
PROMISES_MAX = 1_000
"""Promises that are kept for one connection; the earliest goes first."""
ROUNDING = 1e-6
"""Seconds that the sum of a time and a wait may be off."""
FORGIVEN = 0.1
"""Refusals that are forgiven again, for each frame that the rate allows."""


class TokenBucket:
    """A token bucket (RFC 2697's single rate, without colors) that can go into debt.

    Whatever passes needs one token, and may cost more: the bucket then owes the rest.

    Args:
        rate: tokens that come back per second.
        burst: tokens it holds; it starts full.
        now: the time in seconds, from any monotonic clock.
    """

    __slots__ = ("_burst", "_rate", "overruns", "tokens", "when")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self.tokens = float(burst)
        """Tokens that there were at `when`; below zero, they are owed."""
        self.when = now
        self.overruns = 0
        """Refusals by `take` in a row; any token taken ends the row."""

    def fill(self, now: float) -> None:
        """Add the tokens that have come back since `when`."""
        tokens = self.tokens + (now - self.when) * self._rate
        self.tokens = tokens if tokens < self._burst else self._burst
        self.when = now

    def wait(self, now: float) -> float:
        """Return 0 if there is a token, else the seconds until there is one."""
        self.fill(now)
        return 0.0 if self.tokens >= 1.0 else (1.0 - self.tokens) / self._rate

    def pay(self, cost: float) -> None:
        """Take tokens, also those that are not there; nothing costs more than a full bucket."""
        self.tokens -= min(cost, self._burst)

    def take(self, now: float, cost: float = 1.0) -> float:
        """Pay if there is a token and return 0; else return the same as `wait`."""
        if wait := self.wait(now):
            self.overruns += 1
            return wait
        self.pay(cost)
        self.overruns = 0
        return 0.0


class TokenBuckets:
    """Buckets of the same size by key, which outlive the connections that use them."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[Hashable, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: Hashable, now: float) -> TokenBucket:
        """Return the bucket of `key`; a full one if it is new, or was forgotten."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
            bucket = TokenBucket(self._rate, self._burst, now)
        self._buckets[key] = bucket  # the last one used stands last
        return bucket

    def take(self, key: Hashable, now: float) -> float:
        """Take one token of `key`; return 0, or the seconds until there is one."""
        return self.of(key, now).take(now)


_UNLIMITED = TokenBucket(math.inf, math.inf, 0.0)


class Budget:
    """The budget of one connection: each frame is paid from every bucket that it counts against.

    Each refused frame is promised a time to come back, one token after the last promise. A refusal
    is free if a promise has fallen due, and costs patience otherwise. So a peer that waits as it is
    told is never closed, however late and bunched its frames arrive: it pays for each of its frames
    once. A flood gains nothing: promises fall due no faster than tokens come back.

    Args:
        own: the person's, or the connection's own.
        shared: the address's; None: that is not limited.
        patience: what pays for refusals.
        interval: seconds between two promised times.
    """

    __slots__ = (
        "_interval",
        "_own",
        "_patience",
        "_promised",
        "_shared",
        "_was_due",
    )

    def __init__(
        self,
        own: TokenBucket,
        shared: TokenBucket | None,
        patience: TokenBucket,
        interval: float,
    ) -> None:
        self._own = own
        self._shared = _UNLIMITED if shared is None else shared
        self._patience = patience
        self._interval = interval
        self._promised: deque[float] | None = None
        """Promised times that paid for no refusal yet, the earliest first."""
        self._was_due = False
        """Whether a promise had fallen due for the last refusal."""

    def spend(self, size: int, now: float) -> float:
        """Pay for a frame of `size` bytes and return 0; else return the seconds to wait."""
        # Every frame comes through here, many of them at the same `now`: with a call to each
        # bucket, an echo took 0.3 of its 3.4 µs longer.
        own, shared = self._own, self._shared
        if own.when != now:
            own.fill(now)
        if shared.when != now:
            shared.fill(now)
        if own.tokens < 1.0 or shared.tokens < 1.0:
            return self._refuse(now)
        if size < PIECE:
            own.tokens -= 1.0
            shared.tokens -= 1.0
        else:
            self._pay(size)
        return 0.0

    def charge(self, size: int, now: float) -> float:
        """Pay for a frame that was taken already; return the seconds to read nothing more."""
        self._pay(size)
        return max(self._own.wait(now), self._shared.wait(now))

    def _pay(self, size: int) -> None:
        cost = 1 + size // PIECE
        self._own.pay(cost)
        self._shared.pay(cost)

    def is_overrun(self, size: int, now: float) -> bool:
        """Note that a frame was refused; return whether the peer has gone on for too long."""
        return not self._was_due and self._patience.take(now, 1 + size // PIECE) > 0

    def _refuse(self, now: float) -> float:
        """Use up a promise that has fallen due, if there is one, and give a new one."""
        if self._promised is None:  # most connections never need it
            self._promised = deque(maxlen=PROMISES_MAX)
        promised = self._promised
        self._was_due = bool(promised) and promised[0] <= now + ROUNDING
        if self._was_due:
            promised.popleft()
        # Not less than the clock's rounding: a wait of 0 would mean that the frame was paid.
        when = now + max(self._own.wait(now), self._shared.wait(now), ROUNDING)
        if promised:
            when = max(when, promised[-1] + self._interval)
        promised.append(when)
        return when - now


class Budgets:
    """The budgets of all connections: one person's sessions share one, and so do addresses.

    Args:
        rate: frames per second that one person may keep up.
        burst: frames that one person may send at once.
        people: how many people may sit behind one address.
    """

    def __init__(self, rate: float, burst: int, people: int) -> None:
        self._rate = rate
        self._burst = burst
        self._people = TokenBuckets(rate, burst)
        self._addresses = TokenBuckets(rate * people, burst * people)

    def of_connection(self, source: str | None, now: float, *, times: float = 1) -> Budget:
        """Return what may be sent on a connection that is nobody's yet.

        Args:
            source: the address, as limits see it; None: it has none.
            now: the time.
            times: how many times as much as one person may send.
        """
        return self._budget(TokenBucket(self._rate * times, self._burst * times, now), source, now)

    def of_person(self, name: str, source: str | None, now: float) -> Budget:
        """Return what `name` may send, from all sessions together."""
        return self._budget(self._people.of(name, now), source, now)

    def _budget(self, own: TokenBucket, source: str | None, now: float) -> Budget:
        shared = None if source is None else self._addresses.of(source, now)
        patience = TokenBucket(self._rate * FORGIVEN, OVERRUNS_MAX * self._burst, now)
        return Budget(own, shared, patience, 1 / self._rate)
