"""Limits on peers: connections per source address, and concurrent sign-ins.

A refused connection costs almost nothing: no handshake, no task. The first few connections of a
refused source are closed with a reason; the rest are aborted. Behind a declared proxy, the source
address is known once the request headers are read.

Concurrent sign-ins slow each other down. `AdmissionQueue` runs a fixed number at a time, queues the
rest, and refuses those that would wait too long, so that no work is done for clients that have
given up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from chat.errors import CloseCode
from chat.rate import TokenBuckets

__all__ = [
    "LOOPBACK",
    "AdmissionQueue",
    "ConnectionLimiter",
    "ConnectionLimits",
    "Network",
    "Refusal",
    "is_in",
    "network",
    "network_text",
    "source_of",
]


Network = IPv4Network | IPv6Network
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

ADDRESSES_CACHED = 4_096
"""Parsed addresses in the cache."""
EXPLAINED_MAX = 8
"""Refused connections, per source and above the total, that are closed with a reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of a connection."""

    reason: str
    """A close reason of at most 123 bytes."""
    is_explained: bool
    """Whether the connection is closed with the reason, or aborted without one."""
    code: CloseCode = CloseCode.TOO_MANY_CONNECTIONS


def network(text: str) -> Network:
    """Parse an address or a network (`192.0.2.7`, `2001:db8::/32`).

    Raises:
        ValueError: `text` is neither.
    """
    return ip_network(text, strict=False)


def network_text(network: Network) -> str:
    """Return the address, or the network in CIDR notation."""
    return str(network.network_address if network.num_addresses == 1 else network)


# Parsing an address takes 15 µs, and each connection needs it several times.
@lru_cache(maxsize=ADDRESSES_CACHED)
def _parse_address(address: str) -> IPv4Address | IPv6Address:
    """Parse an address; return an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as IPv4."""
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


@lru_cache(maxsize=ADDRESSES_CACHED)
def source_of(address: str) -> str:
    """Return the source of an address: the IPv4 address, or the /64 subnet of an IPv6 address.

    A site with one IPv6 address has at least a /64 subnet of them (RFC 6177).
    """
    parsed = _parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a `ConnectionLimiter`."""

    total: int
    """Maximum of open connections."""
    per_source: int
    """Maximum of open connections of one source."""
    rate: float
    """Connections per second that one source may open in the long run."""
    burst: int
    """Connections that one source may open at once."""
    exempt: Sequence[Network] = ()
    """Networks that only `total` applies to."""
    proxies: Sequence[Network] = ()
    """Networks of trusted proxies, whose `X-Forwarded-For` names the client."""


class ConnectionLimiter:
    """Counts connections, in total and by source, from the first byte to the last."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._by_source: dict[str, int] = {}
        self._rates = TokenBuckets(limits.rate, limits.burst)
        self.connections = 0
        """Number of counted connections."""

    def use(self, limits: ConnectionLimits) -> None:
        """Use other limits for new connections."""
        self._limits = limits
        self._rates.change(limits.rate, limits.burst)

    @property
    def tracked_sources(self) -> int:
        """Number of sources whose rate is tracked."""
        return len(self._rates)

    def add(self, address: str, now: float) -> Refusal | None:
        """Count a connection from `address`, unless it is refused without a reason.

        A connection that is refused with a reason is counted until `remove`.
        """
        source = source_of(address)
        refusal = self._refusal(source, _parse_address(address), now)
        if refusal is None or refusal.is_explained:
            self._count(source)
        return refusal

    def move(self, address: str, to: str, now: float) -> Refusal | None:
        """Count a connection from `address` as a connection from `to`; remove it with `to`.

        Returns:
            The refusal, if any; the connection is counted in any case.
        """
        self.remove(address)
        source = source_of(to)
        refusal = self._refusal(source, _parse_address(to), now)
        self._count(source)
        return refusal

    def remove(self, address: str) -> None:
        """Stop counting a connection."""
        source = source_of(address)
        self.connections -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]

    def is_proxy(self, address: str) -> bool:
        """Whether the address belongs to a declared proxy."""
        return is_in(address, self._limits.proxies)

    def client_address(self, address: str, forwarded: Sequence[str]) -> str:
        """Return the address of the client behind a proxy.

        Args:
            address: the address of a declared proxy.
            forwarded: the values of its `X-Forwarded-For` headers, in order. The result is the last
                hop that is not a declared proxy: clients can invent the hops before it.
        """
        hops = [hop for value in forwarded for hop in value.split(",")]
        for hop in reversed(hops):
            if (found := _address_of(hop)) is None:
                break
            address = found
            if not self.is_proxy(address):
                break
        return address

    def source(self, address: str, *, is_proxied: bool) -> str | None:
        """Return the source that frames and new names are counted for; None: no limits apply.

        Args:
            address: the address of the client.
            is_proxied: whether `address` is an undeclared proxy: then all clients behind it are one
                source, even at an exempt address.
        """
        if not is_proxied and is_in(address, self._limits.exempt):
            return None
        return source_of(address)

    def _count(self, source: str) -> None:
        self.connections += 1
        self._by_source[source] = self._by_source.get(source, 0) + 1

    def _refusal(
        self, source: str, address: IPv4Address | IPv6Address, now: float
    ) -> Refusal | None:
        count = self.connections
        if count >= self._limits.total:
            reason = "the server is full: too many connections; reconnect later"
            return Refusal(reason, count < self._limits.total + EXPLAINED_MAX)
        if any(address in network for network in (*self._limits.exempt, *self._limits.proxies)):
            return None
        current = self._by_source.get(source, 0)
        if current >= self._limits.per_source:
            reason = f"your address has {current} connections, the maximum; close one or wait"
            return Refusal(reason, current < self._limits.per_source + EXPLAINED_MAX)
        bucket = self._rates.of(source, now)
        if bucket.take(now):
            reason = "your address connects too often; reconnect later"
            return Refusal(reason, bucket.overruns <= EXPLAINED_MAX)
        return None


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks."""
    parsed = _parse_address(address)
    return any(parsed in network for network in networks)


def _address_of(hop: str) -> str | None:
    """Return the address of a hop such as `192.0.2.7:4711`; None if it is not an address."""
    hop = hop.strip()
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(_parse_address(hop))
    except ValueError:
        return None


WEIGHT = 0.1
"""Weight of the newest sample in the moving average of sign-in times."""


class AdmissionQueue:
    """A first-in, first-out queue for a fixed number of slots.

    Args:
        slots: the number of keys that may be admitted at once.
        max_wait: seconds; a key that is expected to wait longer is refused.
        spread: returns a number between its two arguments; spreads the retries of refused keys.
    """

    def __init__(
        self,
        slots: int,
        max_wait: float,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._slots = slots
        self.max_wait = max_wait
        """May be changed at any time."""
        self._spread = spread
        self._admitted: dict[Hashable, float] = {}
        self._waiting: dict[Hashable, asyncio.Future[None]] = {}
        self._average = 0.0
        """Moving average of the seconds that an admitted key keeps its slot."""

    @property
    def waiting(self) -> int:
        """Number of waiting keys."""
        return len(self._waiting)

    async def enter(self, key: Hashable, now: float) -> float:
        """Wait for a slot; call `leave` afterwards, even if the wait is cancelled.

        Returns:
            0 if admitted; otherwise, without waiting, the seconds after which to retry.
        """
        if len(self._admitted) < self._slots:
            self._admitted[key] = now
            return 0.0
        wait = (len(self._waiting) + 1) * self._average / self._slots
        if wait > self.max_wait:
            return self._spread(wait, 2 * wait)
        turn = self._waiting[key] = asyncio.get_running_loop().create_future()
        await turn
        return 0.0

    def leave(self, key: Hashable, now: float) -> None:
        """Free the slot of `key` for the next key, or stop its wait; ignore an unknown key."""
        if self._waiting.pop(key, None) is not None:
            return
        since = self._admitted.pop(key, None)
        if since is None:
            return
        took = now - since
        self._average += (took - self._average) * (WEIGHT if self._average else 1.0)
        if self._waiting:
            following = next(iter(self._waiting))
            turn = self._waiting.pop(following)
            self._admitted[following] = now
            if not turn.done():  # if it was cancelled, its own `leave` follows
                turn.set_result(None)
