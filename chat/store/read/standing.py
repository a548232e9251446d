"""Whether a session may act: its account, its device, and its address.

The writer checks this before every operation, and a reader in its snapshot, so that a ban, a
disabled account or a revoked device takes effect at once, whatever was true at the sign-in.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from sqlalchemy import Connection, bindparam, select

from chat.errors import CommandError, ErrorCode
from chat.store.accounts import Ban, BannedNetworks, networks_around
from chat.store.operations import AuditEntry, User
from chat.store.rights import end_and_reason
from chat.store.schema import bans, devices, users
from chat.store.sql import Among, Prepared

__all__ = ["Standings", "banned", "banned_networks", "ending"]

_actors = users.alias("actors")
_STANDING = Prepared(
    select(
        users.c.disabled,
        users.c.is_erased,
        devices.c.id.label("device"),
        devices.c.revoked,
        bans.c.id.label("ban"),
        bans.c.created,
        bans.c.until,
        bans.c.reason,
        _actors.c.id.label("by_id"),
        _actors.c.name.label("by_name"),
    )
    .join_from(
        users,
        devices,
        (devices.c.id == bindparam("device")) & (devices.c.user_id == users.c.id),
        isouter=True,
    )
    .join(bans, bans.c.user_id == users.c.id, isouter=True)
    .join(_actors, _actors.c.id == bans.c.by_id, isouter=True)
    .where(users.c.id == bindparam("user"))
)
_of_networks = select(
    bans.c.id,
    bans.c.network,
    bans.c.created,
    bans.c.until,
    bans.c.reason,
    _actors.c.id.label("by_id"),
    _actors.c.name.label("by_name"),
).join_from(bans, _actors, _actors.c.id == bans.c.by_id, isouter=True)
_NETWORKS = Prepared(_of_networks.where(bans.c.network.is_not(None)))
_COVERING = Among(_of_networks, bans.c.network)
# A comparison, unlike `IS NOT NULL`, uses the index: most servers ban accounts only, or nobody.
_ANY_NETWORK = Prepared(select(bans.c.id).where(bans.c.network > "").limit(1))


class Standings:
    """The standing of sessions, cached until `forget`.

    A session that passed once passes until then: bans end by themselves, but begin with a write.

    Args:
        clock_ms: milliseconds since 1970; called only if there is a ban with an end.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self.passed: set[tuple[int, int, str | None]] = set()
        """User id, device and address of the sessions that passed."""
        self._has_networks: bool | None = None
        """Whether a network is banned; None: not known."""

    def forget(self) -> None:
        """Clear the cache: an account, a device or a ban has changed."""
        self.passed.clear()
        self._has_networks = None

    def trust(self, user: User) -> None:
        """Record that the session of `user` has just been checked."""
        self.passed.add((user.id, user.device, user.address))

    def check(self, connection: Connection, user: User) -> None:
        """Check the session of `user`.

        Raises:
            CommandError: banned, disabled or revoked, with a message for the user; no_such_user.
        """
        if (user.id, user.device, user.address) in self.passed:
            return
        row = _STANDING.first(connection, user=user.id, device=user.device)
        if row is None:
            raise CommandError(ErrorCode.NO_SUCH_USER, f"there is no user “{user.name}”")
        self._check_account(user, row)
        self.check_address(connection, user.address)
        self.trust(user)

    def _check_account(self, user: User, row: Any) -> None:
        if row.is_erased:
            raise _erased()
        if row.ban is not None and self._is_in_force(row.until):
            by = User(row.by_id, row.by_name) if row.by_id is not None else None
            ban = Ban(row.ban, user, None, row.created, row.until, row.reason, by)
            raise banned(ban, self._clock_ms())
        if row.disabled is not None:
            raise _disabled(user.name)
        if user.device and (row.device is None or row.revoked is not None):
            raise _revoked()

    def check_address(self, connection: Connection, address: str | None) -> None:
        """Refuse an address that is banned. Raises banned."""
        if address is None:
            return
        if self._has_networks is None:
            self._has_networks = _ANY_NETWORK.first(connection) is not None
        if not self._has_networks:
            return
        # Looked up, not loaded: ten thousand bans take half a second to load.
        covering = _COVERING.rows(connection, networks_around(address))
        if found := [row for row in covering if self._is_in_force(row.until)]:
            ban = _ban(max(found, key=lambda row: row.until or float("inf")))
            raise banned(ban, self._clock_ms())

    def _is_in_force(self, until: int | None) -> bool:
        return until is None or until > self._clock_ms()


def banned_networks(connection: Connection) -> BannedNetworks:
    """Return the banned networks, including those whose bans have ended."""
    return BannedNetworks(map(_ban, _NETWORKS.all(connection)))


def _ban(row: Any) -> Ban:
    by = User(row.by_id, row.by_name) if row.by_id is not None else None
    return Ban(row.id, None, ip_network(row.network), row.created, row.until, row.reason, by)


def banned(ban: Ban, now: int) -> CommandError:
    """Return the error for a banned user or address: by whom, until when, and why.

    `now` is in milliseconds since 1970; the error has the seconds until the ban ends.
    """
    by = ban.by.name if ban.by is not None else "the operator"
    whom = "you" if ban.network is None else "your address"
    end = end_and_reason(ban.until, ban.reason)
    text = f"{by} has banned {whom} from this server{end}"
    left = None if ban.until is None else max(0.0, (ban.until - now) / 1_000)
    return CommandError(ErrorCode.BANNED, text, retry_after=left)


def ending(entry: AuditEntry) -> CommandError | None:
    """Return the error that ends the sessions of the entry's user or device.

    None: the entry ends none, or is about a network (see `BannedNetworks`).
    """
    if entry.user is None:
        return None
    match entry.act:
        case "banned":
            until, reason = entry.details.get("until"), entry.details.get("reason", "")
            end = int(until) if until is not None else None
            ban = Ban(0, entry.user, None, entry.ts, end, reason, entry.actor)
            return banned(ban, entry.ts)
        case "disabled":
            return _disabled(entry.user.name)
        case "erased":
            return _erased()
        case "device_revoked":
            return _revoked()
        case _:
            return None


def _disabled(name: str) -> CommandError:
    return CommandError(
        ErrorCode.DISABLED,
        f"the account {name} is disabled: ask an admin or the operator to enable it",
    )


def _erased() -> CommandError:
    return CommandError(ErrorCode.DISABLED, "this account was erased")


def _revoked() -> CommandError:
    return CommandError(
        ErrorCode.REVOKED,
        "this device was revoked: sign in again with a link code or a password",
    )
