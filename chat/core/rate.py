"""How fast one session may go: a token bucket that remembers how often it was overrun."""

from __future__ import annotations

__all__ = ["Bucket"]


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
