"""Inputs and outputs of the store for accounts, devices, invitations, bans and the audit log.

As in `operations`, an operation carries names as typed, and the store decides it inside the
transaction: its state, the account's rights, and the audit entry are one commit. `actor` is the
acting user, or None for the operator's command line, which may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeVar

from chat.store.operations import AuditEntry, Membership, Operation, User

__all__ = [
    "ACTS",
    "ADMIN",
    "BOT",
    "DEVICES_MAX",
    "MEMBER",
    "Account",
    "AccountOperation",
    "AccountRole",
    "AddAccount",
    "AddBan",
    "AddDevice",
    "AuditPage",
    "Ban",
    "ChangeAccount",
    "CreateInvitation",
    "CreateLink",
    "Created",
    "Device",
    "EraseAccount",
    "Invitation",
    "LiftBan",
    "LinkCode",
    "Network",
    "Quota",
    "RecordSettings",
    "Registration",
    "RevokeDevice",
    "RevokeInvitation",
    "SetPassword",
    "SignIn",
    "SignedIn",
]

Result_co = TypeVar("Result_co", covariant=True)

AccountRole = Literal["admin", "member", "bot"]
ADMIN: AccountRole = "admin"
MEMBER: AccountRole = "member"
BOT: AccountRole = "bot"
Registration = Literal["open", "invite", "closed"]
"""Who may claim a new name: everybody, holders of an invitation, or nobody (the operator adds
accounts)."""
Network = IPv4Network | IPv6Network

DEVICES_MAX = 100
"""Most devices of an account; the next sign-in on a new device is refused."""

ACTS = (
    *("created", "role", "disabled", "enabled", "erased"),
    *("device_added", "device_revoked", "link_created", "password_set", "password_removed"),
    *("invitation_created", "invitation_used", "invitation_revoked"),
    *("banned", "unbanned", "settings"),
)
"""The kinds of audit entries.

`created`, `invitation_used` and `device_added` state in `details` how: `how` is `open`,
`invitation`, `link`, `password` or `operator`.
"""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first."""

    entries: tuple[AuditEntry, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Account:
    """An account as of one commit; times are in milliseconds since 1970."""

    user: User
    role: str
    created: int
    seen: int | None
    disabled: bool
    banned: bool
    has_password: bool
    password_hash: str | None = field(default=None, repr=False)
    """The argon2id hash; only `Reader.account_to_verify` fills it."""


@dataclass(frozen=True, slots=True)
class Device:
    """The holder of a token; `seen` is the last sign-in."""

    id: int
    label: str
    created: int
    seen: int | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation; the store keeps only a hash of its code."""

    id: int
    created: int
    expires: int
    uses: int
    used: int
    role: str
    channels: tuple[str, ...]
    by: User | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban of an account or a network; `until` None: until lifted."""

    id: int
    user: User | None
    network: Network | None
    created: int
    until: int | None
    reason: str
    by: User | None


Quota = Callable[[], float]
"""Counts a new name; returns 0 or the seconds to wait. Called in the writer's thread."""


class AccountOperation(Operation[Result_co]):
    """An operation of `actor`; None is the operator, who may do everything."""

    __slots__ = ()

    actor: User | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The result of `SignIn`; `claimed` means that the name is new.

    `user` carries the session's device and address. `memberships` is None for an existing user;
    the caller then reads them. `is_new_device` means that a device was added to an account that
    existed before.
    """

    user: User
    claimed: bool
    memberships: tuple[Membership, ...] | None = None
    role: str = MEMBER
    is_new_device: bool = False


@dataclass(frozen=True, slots=True)
class SignIn(Operation[SignedIn]):
    """Sign in to `name`, or claim it if it is free.

    A valid token wins over all codes. Otherwise the first of `invitation`, `link` and
    `password_hash` that is given must be valid, and `claim_hash` becomes the token of a new device.
    Using an invitation again for the name that it created, with the same token, has no effect.
    Disabled and banned accounts and addresses are refused, whatever they show.

    A new user joins `#general` and the channels of the invitation; so does an account that the
    operator added, at its first sign-in.
    """

    name: str
    token_hash: bytes | None
    claim_hash: bytes
    quota: Quota | None = None
    label: str = ""
    address: str | None = None
    """The peer's IP address, for bans and the audit log; None: unknown."""
    registration: Registration = "open"
    reserved: frozenset[str] = frozenset()
    """Folded names that nobody may claim."""
    invitation: str | None = field(default=None, repr=False)
    """As typed; see `codes.normalize`."""
    link: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    """The account's stored hash that the given password matched; it must still be the stored
    one."""


@dataclass(frozen=True, slots=True)
class RevokeDevice(AccountOperation[None]):
    """Revoke a device of `user`. Raises no_such_device."""

    actor: User | None
    user: str
    device: int


@dataclass(frozen=True, slots=True)
class AddDevice(AccountOperation[None]):
    """Add a device with the token `token_hash` to the account `name` (the operator's `token`)."""

    actor: None
    name: str
    token_hash: bytes
    label: str


@dataclass(frozen=True, slots=True)
class LinkCode:
    """A one-time code, in the form to type, and when it expires (ms since 1970)."""

    code: str = field(repr=False)
    expires: int


@dataclass(frozen=True, slots=True)
class CreateLink(AccountOperation[LinkCode]):
    """Create the account's link code; the previous one becomes void."""

    actor: User | None
    name: str


@dataclass(frozen=True, slots=True)
class SetPassword(AccountOperation[None]):
    """Replace the password hash `expected` (None: no password) by `new` (None: remove it).

    Raises:
        CommandError: bad_password, if `expected` is no longer the stored one.
    """

    actor: User | None
    name: str
    expected: str | None = field(repr=False)
    new: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddAccount(AccountOperation[Account]):
    """Add an account without a device; it signs in with a link code or a token."""

    actor: None
    name: str
    role: AccountRole
    reserved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class CreateInvitation(AccountOperation[Created]):
    """Create an invitation for `uses` new names, valid for `seconds`; admins only.

    `channels` are public channels, which are created if they do not exist.
    """

    actor: User | None
    uses: int = 1
    seconds: int = 604_800
    role: AccountRole = "member"
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RevokeInvitation(AccountOperation[None]):
    """Revoke an invitation; accounts that used it remain. Admins only."""

    actor: User | None
    invitation: int


@dataclass(frozen=True, slots=True)
class AddBan(AccountOperation[None]):
    """Ban an account (`name`) or a network; replaces the previous ban of the same. Admins only.

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


@dataclass(frozen=True, slots=True)
class LiftBan(AccountOperation[None]):
    """Lift the ban of exactly this account or network. Admins only. Raises no_such_ban."""

    actor: User | None
    name: str | None
    network: Network | None


@dataclass(frozen=True, slots=True)
class EraseAccount(AccountOperation[str]):
    """Erase all that an account wrote and is; returns the name that remains (`deleted-17`).

    Its numbers stay in the logs, without text. A keyed hash of the name is kept, so that it is
    never claimed again. Each channel the user wrote in gets an `erased_user` event, and each
    channel that they were a member of a `leave` event. Direct channels are renamed.
    """

    actor: None
    name: str


@dataclass(frozen=True, slots=True)
class RecordSettings(AccountOperation[None]):
    """Add a `settings` entry for those of `settings` that changed since the last start."""

    actor: None
    settings: Mapping[str, str]
