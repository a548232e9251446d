"""Rate limits: keyed token buckets, and budgets that spend from them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable

__all__ = ["Budget", "Budgets", "TokenBucket", "TokenBuckets"]

PIECE = 4_096
"""Bytes per token; a shorter frame costs one token as well."""
BUCKETS_MAX = 65_536
"""Most buckets kept; the least recently used one is evicted."""
OVERRUNS_MAX = 5
"""Number of bursts that may be refused before the connection is closed."""
PROMISES_MAX = 1_000
"""Most promises kept per connection; the earliest is dropped."""
ROUNDING = 1e-6
"""Rounding error of the sum of a time and a wait, in seconds."""
FORGIVEN = 0.1
"""Refusals forgiven for each frame that the rate allows."""


class TokenBucket:
    """A token bucket (RFC 2697's single rate, without colors) that can go into debt.

    A frame passes if there is a token. If it costs more, the bucket goes into debt.

    Args:
        rate: tokens added per second.
        burst: capacity in tokens; the bucket starts full.
        now: the time in seconds, from any monotonic clock.
    """

    __slots__ = ("_burst", "_rate", "overruns", "tokens", "when")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self.tokens = float(burst)
        """Tokens at `when`; negative if the bucket is in debt."""
        self.when = now
        self.overruns = 0
        """Consecutive refusals by `take`."""

    def fill(self, now: float) -> None:
        """Add the tokens for the time since `when`."""
        tokens = self.tokens + (now - self.when) * self._rate
        self.tokens = tokens if tokens < self._burst else self._burst
        self.when = now

    def wait(self, now: float) -> float:
        """Return 0 if there is a token, else the seconds until the next one."""
        self.fill(now)
        return 0.0 if self.tokens >= 1.0 else (1.0 - self.tokens) / self._rate

    def pay(self, cost: float) -> None:
        """Take tokens, going into debt if necessary; a cost above the capacity is capped."""
        self.tokens -= min(cost, self._burst)

    def give_back(self) -> None:
        """Undo the payment of one token."""
        self.tokens = min(self.tokens + 1.0, self._burst)

    def take(self, now: float, cost: float = 1.0) -> float:
        """Pay `cost` and return 0 if there is a token; else return the seconds to wait."""
        if wait := self.wait(now):
            self.overruns += 1
            return wait
        self.pay(cost)
        self.overruns = 0
        return 0.0


class TokenBuckets:
    """Buckets of the same size by key; they outlive connections."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[Hashable, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def change(self, rate: float, burst: float) -> None:
        """Use another rate and burst; if they differ, every key gets a new, full bucket."""
        if (rate, burst) != (self._rate, self._burst):
            self._rate, self._burst = rate, burst
            self._buckets.clear()

    def of(self, key: Hashable, now: float) -> TokenBucket:
        """Return the bucket of `key`, a full one if it is new or was evicted."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
            bucket = TokenBucket(self._rate, self._burst, now)
        self._buckets[key] = bucket  # keep the order of use
        return bucket

    def take(self, key: Hashable, now: float) -> float:
        """Take a token of `key` and return 0; else return the seconds until the next one."""
        return self.of(key, now).take(now)


_UNLIMITED = TokenBucket(math.inf, math.inf, 0.0)


class Budget:
    """The budget of a connection; each frame pays from all of its buckets.

    Each refused frame is promised a retry time, one token after the last promise. A refusal is free
    if a promise is due, and costs patience otherwise. A peer that obeys its waits is therefore
    never disconnected, even if its frames arrive late and in bursts. A flood gains nothing:
    promises become due no faster than tokens are added.

    Args:
        own: the bucket of the user or the connection.
        shared: the bucket of the address; None: no limit.
        patience: the bucket that pays for refusals.
        interval: seconds between promised times.
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
        """Unredeemed promised times, earliest first."""
        self._was_due = False
        """Whether the last refusal redeemed a promise."""

    def spend(self, size: int, now: float) -> float:
        """Pay for a frame of `size` bytes and return 0; else return the seconds to wait."""
        # Inlined because every frame runs this, often with the same `now`: calls to each bucket
        # added 0.3 µs to the 3.4 µs of an echo.
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
        """Pay for an accepted frame; return the seconds to pause reading."""
        self._pay(size)
        return max(self._own.wait(now), self._shared.wait(now))

    def _pay(self, size: int) -> None:
        cost = 1 + size // PIECE
        self._own.pay(cost)
        self._shared.pay(cost)

    def is_overrun(self, size: int, now: float) -> bool:
        """Record a refused frame; return whether the peer has run out of patience."""
        return not self._was_due and self._patience.take(now, 1 + size // PIECE) > 0

    def _refuse(self, now: float) -> float:
        """Redeem a promise that is due, if any, and make a new one; return its wait."""
        if self._promised is None:  # most connections never need it
            self._promised = deque(maxlen=PROMISES_MAX)
        promised = self._promised
        self._was_due = bool(promised) and promised[0] <= now + ROUNDING
        if self._was_due:
            promised.popleft()
        # At least the clock's rounding error: a wait of 0 would mean that the frame was paid.
        when = now + max(self._own.wait(now), self._shared.wait(now), ROUNDING)
        if promised:
            when = max(when, promised[-1] + self._interval)
        promised.append(when)
        return when - now


class Budgets:
    """The budgets of all connections; sessions of a user share one, and so do addresses.

    Args:
        rate: sustained frames per second and user.
        burst: frames at once per user.
        people: number of users expected per address.
    """

    def __init__(self, rate: float, burst: int, people: int) -> None:
        self._rate = rate
        self._burst = burst
        self._people = TokenBuckets(rate, burst)
        self._addresses = TokenBuckets(rate * people, burst * people)

    def change(self, rate: float, burst: int, people: int) -> None:
        """Use other limits for the budgets that are returned from now on; see `__init__`."""
        self._rate = rate
        self._burst = burst
        self._people.change(rate, burst)
        self._addresses.change(rate * people, burst * people)

    def of_connection(self, source: str | None, now: float, *, times: float = 1) -> Budget:
        """Return the budget of a connection before sign-in.

        Args:
            source: the address as used for limits; None: it has none.
            now: the time.
            times: multiple of the budget of a user.
        """
        return self._budget(TokenBucket(self._rate * times, self._burst * times, now), source, now)

    def of_person(self, name: str, source: str | None, now: float) -> Budget:
        """Return the budget of the user `name`, for all sessions together."""
        return self._budget(self._people.of(name, now), source, now)

    def _budget(self, own: TokenBucket, source: str | None, now: float) -> Budget:
        shared = None if source is None else self._addresses.of(source, now)
        patience = TokenBucket(self._rate * FORGIVEN, OVERRUNS_MAX * self._burst, now)
        return Budget(own, shared, patience, 1 / self._rate)
