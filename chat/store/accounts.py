"""Inputs and outputs of the store for accounts, devices, invitations, bans and the audit log.

As in `operations`, an operation carries names as typed, and the store decides it inside the
transaction: its state, the account's rights, and the audit entry are one commit. `actor` is the
acting user, or None for the operator's command line, which may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar, Literal, NamedTuple, TypeVar

from chat.store.operations import AuditEntry, Membership, Operation, User, operation

__all__ = [
    "ACTS",
    "ADMIN",
    "BANS_MAX",
    "BOT",
    "CLOSED",
    "DEVICES_MAX",
    "JOB_ACTS",
    "LINKS_PER_HOUR",
    "LINK_TRIES",
    "MEMBER",
    "RESERVED_NAMES",
    "Account",
    "AccountOperation",
    "AccountRole",
    "AddAccount",
    "AddBan",
    "AddDevice",
    "AuditPage",
    "Ban",
    "BannedNetworks",
    "ChangeAccount",
    "CreateInvitation",
    "CreateLink",
    "Created",
    "Device",
    "EraseAccount",
    "ForceExpiry",
    "Invitation",
    "LiftBan",
    "LinkCode",
    "Network",
    "Quota",
    "RecordAct",
    "RecordSettings",
    "Registration",
    "RevokeDevice",
    "RevokeInvitation",
    "SetPassword",
    "SignIn",
    "SignedIn",
    "network_of",
    "networks_around",
]

Result_co = TypeVar("Result_co", covariant=True)

AccountRole = Literal["admin", "member", "bot"]
JOB_ACTS = frozenset({"erased", "disabled", "banned", "role", "expiry_forced"})
"""Acts that may add a job."""
ADMIN: AccountRole = "admin"
MEMBER: AccountRole = "member"
BOT: AccountRole = "bot"
Registration = Literal["open", "invite", "closed"]
"""Policies for new names: everyone may claim one, holders of an invitation, or nobody (the
operator adds accounts)."""
Network = IPv4Network | IPv6Network

DEVICES_MAX = 100
"""Most devices of an account; the next sign-in on a new device is refused."""

LINKS_PER_HOUR = 20
"""Link codes that a user may create in an hour: each adds to the audit log."""
LINK_TRIES = 5
"""Wrong codes after which a link code is void."""
BANS_MAX = 10_000
"""Most bans on a server."""
RESERVED_NAMES = frozenset(("admin", "system", "server", "everyone", "all", "here", "channel"))
"""Folded names that nobody may claim, besides `deleted-NUMBER` and IP addresses; accounts that have
one keep it."""

ACTS = (
    *("created", "role", "disabled", "enabled", "erased"),
    *("device_added", "device_revoked", "link_created", "password_set", "password_removed"),
    *("invitation_created", "invitation_used", "invitation_revoked"),
    *("banned", "unbanned", "settings", "expiry_forced"),
    *("exported", "backed_up", "restored"),
)
"""The kinds of audit entries.

`created`, `invitation_used` and `device_added` state in `details` how: `how` is `open`,
`invitation`, `link`, `password` or `operator`.
"""


class AuditPage(NamedTuple):
    """Entries, newest first."""

    entries: tuple[AuditEntry, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Account:
    """An account as of one commit; times are in milliseconds since 1970."""

    user: User
    role: AccountRole
    created: int
    seen: int | None
    disabled: bool
    banned: bool
    has_password: bool
    password_hash: str | None = field(default=None, repr=False)
    """The argon2id hash; only `AccountReader.account_to_verify` fills it."""


class Device(NamedTuple):
    """The holder of a token; `seen` is the last sign-in."""

    id: int
    label: str
    created: int
    seen: int | None


class Invitation(NamedTuple):
    """An invitation; the store keeps only a hash of its code."""

    id: int
    created: int
    expires: int
    uses: int
    used: int
    role: AccountRole
    channels: tuple[str, ...]
    by: User | None
    revoked: bool


class Ban(NamedTuple):
    """A ban of an account or a network; `until` None: until lifted."""

    id: int
    user: User | None
    network: Network | None
    created: int
    until: int | None
    reason: str
    by: User | None


class BannedNetworks:
    """Bans of networks, to look up the one that covers an address.

    A server fills it once with `AccountReader.banned_networks`, and applies each audit entry.
    """

    def __init__(self, found: Iterable[Ban] = ()) -> None:
        # By the length of the prefix, so that a lookup does not search all bans.
        self._bans: dict[tuple[int, int], dict[int, Ban]] = {}
        for ban in found:
            self.add(ban)

    def __bool__(self) -> bool:
        return bool(self._bans)

    def add(self, ban: Ban) -> None:
        """Add the ban of a network, in place of the previous one of the same network."""
        assert ban.network is not None
        length, prefix = _prefix(ban.network)
        self._bans.setdefault(length, {})[prefix] = ban

    def remove(self, network: Network) -> None:
        """Remove the ban of exactly this network, if there is one."""
        length, prefix = _prefix(network)
        alike = self._bans.get(length, {})
        alike.pop(prefix, None)
        if not alike:
            self._bans.pop(length, None)

    def apply(self, entry: AuditEntry) -> None:
        """Apply a `banned` or `unbanned` entry about a network; ignore all others.

        The ban's `id` is 0. Applying an entry again changes nothing.
        """
        if "network" not in entry.details:
            return
        network, until = ip_network(entry.details["network"]), entry.details.get("until")
        if entry.act == "banned":
            reason = entry.details.get("reason", "")
            end = int(until) if until is not None else None
            self.add(Ban(0, None, network, entry.ts, end, reason, entry.actor))
        elif entry.act == "unbanned":
            self.remove(network)

    def covering(self, address: str, now: int) -> Ban | None:
        """Return the ban in force that covers an IP address, the one that ends last, or None.

        Text that is no address, such as the path of a Unix socket, is never covered.
        """
        if not self._bans or (parsed := _parsed(address)) is None:
            return None
        value, bits = int(parsed), parsed.max_prefixlen
        found = [
            ban
            for (version, size), alike in self._bans.items()
            if version == parsed.version
            and (ban := alike.get(value >> (bits - size))) is not None
            and (ban.until is None or ban.until > now)
        ]
        return max(found, key=lambda ban: ban.until or float("inf"), default=None)


def network_of(text: str) -> Network:
    """Return the network of a typed address or network.

    An IPv6 address stands for its /64, which usually belongs to one host.

    Raises:
        ValueError: it is neither an address nor a network.
    """
    address = _parsed(text)
    if address is None:
        network = ip_network(text.strip(), strict=False)
        mapped = _parsed(str(network.network_address))
        if network.version == 6 and isinstance(mapped, IPv4Address) and network.prefixlen >= 96:
            return ip_network((int(mapped), network.prefixlen - 96))
        return network
    if isinstance(address, IPv4Address) or address.is_loopback:
        return ip_network(address)
    return ip_network((int(address), 64), strict=False)


@lru_cache(maxsize=4_096)  # 33 or 129 networks take 0.2 or 1 ms
def networks_around(address: str) -> tuple[str, ...]:
    """Return every network that contains an address, as bans store them; () for other text."""
    parsed = _parsed(address)
    if parsed is None:
        return ()
    bits, kind = parsed.max_prefixlen, IPv4Network if parsed.version == 4 else IPv6Network
    return tuple(
        str(kind((int(parsed) >> (bits - size) << (bits - size), size))) for size in range(bits + 1)
    )


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address without its zone, an IPv4 address also if it is mapped to IPv6."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _prefix(network: Network) -> tuple[tuple[int, int], int]:
    shift = network.max_prefixlen - network.prefixlen
    return (network.version, network.prefixlen), int(network.network_address) >> shift


CLOSED = "registration is closed: invitations work only after registration is invite or open"
"""The warning for invitations of a server that accepts no new names."""

Quota = Callable[[], float]
"""Counts a new name; returns 0 or the seconds to wait. Called in the writer's thread."""


class AccountOperation(Operation[Result_co]):
    """An operation of `actor`; None is the operator, who may do everything."""

    __slots__ = ()

    actor: User | None


class SignedIn(NamedTuple):
    """The result of `SignIn`; `claimed` means that the name is new.

    `user` carries the session's device and address. `memberships` is None for an existing user;
    the caller then reads them. `is_new_device` means that a device was added to an account that
    existed before.
    """

    user: User
    claimed: bool
    memberships: tuple[Membership, ...] | None = None
    role: AccountRole = MEMBER
    is_new_device: bool = False


@operation
class SignIn(Operation[SignedIn]):
    """Sign in to `name`, or claim it if it is free.

    A valid token wins over all codes. Otherwise the first of `invitation`, `link` and
    `password_hash` that is given must be valid, and `claim_hash` becomes the token of a new device.
    Using an invitation again for the name that it created, with the same token, has no effect.
    Disabled and banned accounts and addresses are refused, whatever they show.

    A new user joins `#general` and the channels of the invitation; so does an account that the
    operator added, at its first sign-in.
    """

    is_shared: ClassVar[bool] = True  # most have a known token, and change nothing

    name: str
    token_hash: bytes | None = field(repr=False)
    claim_hash: bytes = field(repr=False)
    quota: Quota | None = None
    label: str = ""
    address: str | None = None
    """The peer's IP address, for bans and the audit log; None: unknown."""
    registration: Registration = "open"
    reserved: frozenset[str] = frozenset()
    """Folded names that nobody may claim, besides `RESERVED_NAMES`."""
    invitation: str | None = field(default=None, repr=False)
    """As typed; see `codes.normalize`."""
    link: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    """The account's stored hash that the given password matched; it must still be the stored
    one."""


@operation
class RevokeDevice(AccountOperation[None]):
    """Revoke a device of `user`, and void the account's link code. Raises no_such_device."""

    actor: User | None
    user: str
    device: int


@operation
class AddDevice(AccountOperation[None]):
    """Add a device with the token `token_hash` to the account `name` (the operator's `token`)."""

    actor: None
    name: str
    token_hash: bytes
    label: str


@dataclass(frozen=True, slots=True)
class LinkCode:
    """A one-time code, in the form to type, and when it expires (ms since 1970).

    `has_replaced`: an earlier code was valid until now.
    """

    code: str = field(repr=False)
    expires: int
    has_replaced: bool = False


@operation
class CreateLink(AccountOperation[LinkCode]):
    """Create the account's link code; the previous one becomes void."""

    actor: User | None
    name: str


@operation
class SetPassword(AccountOperation[None]):
    """Replace the password hash `expected` (None: no password) by `new` (None: remove it).

    The operator needs no `expected`.

    Raises:
        CommandError: bad_password, if `expected` is no longer the stored one.
    """

    actor: User | None
    name: str
    expected: str | None = field(repr=False)
    new: str | None = field(repr=False)


@operation
class AddAccount(AccountOperation[Account]):
    """Add an account without a device; it signs in with a link code or a token."""

    actor: None
    name: str
    role: AccountRole
    reserved: frozenset[str] = frozenset()


@operation
class ChangeAccount(AccountOperation[Account]):
    """Change an account's role, or disable or enable it; None leaves it unchanged.

    Raises:
        CommandError: forbidden (not an admin), no_such_user, last_admin.
    """

    actor: User | None
    name: str
    role: AccountRole | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A new invitation, and its code in the form to type."""

    invitation: Invitation
    code: str = field(repr=False)


@operation
class CreateInvitation(AccountOperation[Created]):
    """Create an invitation for `uses` new names, valid for `seconds`; admins only.

    `channels` are public channels, which are created if they do not exist. Raises
    registration_closed for an admin while the server accepts no new names.
    """

    actor: User | None
    uses: int = 1
    seconds: int = 604_800
    role: AccountRole = "member"
    channels: tuple[str, ...] = ()


@operation
class RevokeInvitation(AccountOperation[None]):
    """Revoke an invitation; accounts that used it remain. Admins only."""

    actor: User | None
    invitation: int


@operation
class AddBan(AccountOperation[Ban | None]):
    """Ban an account (`name`) or a network; returns the ban in force that it replaces.

    Admins only.

    `protected` are the networks of which a ban needs `force`: loopback and trusted proxies. A ban
    that covers the actor needs it as well; the last admin cannot be banned.
    """

    actor: User | None
    name: str | None
    network: Network | None
    until: int | None
    reason: str
    force: bool = False
    protected: tuple[Network, ...] = ()


@operation
class LiftBan(AccountOperation[None]):
    """Lift the ban of exactly this account or network. Admins only. Raises no_such_ban."""

    actor: User | None
    name: str | None
    network: Network | None


@operation
class EraseAccount(AccountOperation[int]):
    """Erase all that an account wrote and is; returns the id of the job that does it.

    The account ends at once. `RunNextJob` then erases what it wrote, step by step: numbers stay in
    the logs, without text. A keyed hash of the name is kept, so that it is never claimed again.
    Each channel the user wrote in gets an `erased_user` event by the name that remains
    (`deleted-17`), and each channel that they were a member of a `leave` event. Direct channels are
    renamed.

    Raises:
        CommandError: no_such_user, last_admin.
    """

    actor: None
    name: str


@operation
class ForceExpiry(AccountOperation[int]):
    """Erase all texts that are older than the retention, also more than a tenth of a channel.

    Returns the id of the job that does it. `retention` is that of the server, in seconds; 0: only
    channels with one of their own expire.
    """

    actor: None
    retention: int


@operation
class RecordAct(AccountOperation[None]):
    """Add an entry about a file that the operator's command line has written or read."""

    actor: None
    act: Literal["exported", "backed_up", "restored"]
    file: str
    name: str | None = None
    """The account that was exported."""


@operation
class RecordSettings(AccountOperation[None]):
    """Add a `settings` entry for those of `settings` that changed since the last start."""

    actor: None
    settings: Mapping[str, str]
