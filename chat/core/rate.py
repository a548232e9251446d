"""Token buckets: how fast one session may go, or one person."""

from __future__ import annotations

__all__ = ["Bucket", "Buckets"]

KEPT = 1_024
"""Buckets that are kept before full ones are looked for and dropped."""


class Bucket:
    """A token bucket (RFC 2697's single rate, without colours).

    Args:
        rate: tokens that come back per second.
        burst: tokens it holds; it starts full.
        now: the time in seconds, from any monotonic clock.
    """

    __slots__ = ("_burst", "_rate", "_tokens", "_when", "overruns")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._when = now
        self.overruns = 0
        """Refusals in a row; any token taken ends the row."""

    def take(self, now: float) -> float:
        """Take one token; return 0, or the seconds until there is one again."""
        tokens = min(self._burst, self._tokens + (now - self._when) * self._rate)
        self._when = now
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            self.overruns = 0
            return 0.0
        self._tokens = tokens
        self.overruns += 1
        return (1.0 - tokens) / self._rate

    def is_full(self, now: float) -> bool:
        """Whether every token has come back: the bucket is as good as a new one."""
        return self._tokens + (now - self._when) * self._rate >= self._burst


class Buckets:
    """One bucket for each key; full ones are dropped.

    Args:
        rate: tokens that come back per second.
        burst: tokens that a bucket holds.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[int, Bucket] = {}
        self._prune_at = KEPT

    def take(self, key: int, now: float) -> float:
        """Take one token of `key`; return 0, or the seconds until there is one again."""
        if len(self._buckets) >= self._prune_at:
            self._buckets = {
                each: bucket for each, bucket in self._buckets.items() if not bucket.is_full(now)
            }
            self._prune_at = max(KEPT, 2 * len(self._buckets))
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, now)
        return bucket.take(now)
