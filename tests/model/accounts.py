"""Accounts, invitations and the audit log of the model.

Every act checks all rights first, then changes the state and adds one entry to `audit`. An act that
changes nothing adds none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chat.errors import ErrorCode
from chat.protocol.frames import BanInfo

__all__ = ["LINK_TRIES", "Account", "Accounts", "Invitation", "Proof", "Refused"]

LINK_TRIES = 5


class Refused(Exception):
    """A command is refused."""

    def __init__(self, code: ErrorCode) -> None:
        self.code = code


@dataclass(frozen=True)
class Proof:
    """The credentials of a `hello`: a token, and perhaps an invitation or a link code."""

    device: str = ""
    """The token, if the client chose it; "" is the token that the server issued for the name."""
    invite: int | None = None
    """The number of an invitation."""
    link: str | None = None
    """A link code, as issued by the server."""


@dataclass
class Account:
    """One user's account."""

    name: str
    role: str = "member"
    is_disabled: bool = False
    ban: str | None = None
    """The reason of the ban; None: not banned."""
    banned_by: str | None = None
    devices: dict[str, bool] = field(default_factory=dict)
    """Whether the device is revoked, by token."""
    link: str | None = None
    """The valid link code."""
    tries: int = 0
    """Wrong attempts since the last link code was created."""

    @property
    def standing(self) -> ErrorCode | None:
        """The error of a user who may not act; None: the user may act."""
        if self.ban is not None:
            return ErrorCode.BANNED
        return ErrorCode.DISABLED if self.is_disabled else None


@dataclass
class Invitation:
    """An invitation of `by`."""

    by: str
    uses: int
    role: str
    channels: tuple[str, ...]
    used: list[str] = field(default_factory=list)
    """The names that were claimed with it."""
    is_revoked: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether it can still be used."""
        return not self.is_revoked and len(self.used) < self.uses


class Accounts:
    """All accounts by folded name, the invitations in order, and the audit log."""

    def __init__(self) -> None:
        self.by_name: dict[str, Account] = {}
        self.invitations: list[Invitation] = []
        self.audit: list[tuple[str, str | None, str | None]] = []
        """Act, acting user, and affected user of each entry."""

    def record(self, act: str, by: str | None, user: str | None = None) -> None:
        """Add an entry to the audit log."""
        self.audit.append((act, by, user))

    def find(self, name: str) -> Account:
        """Return the account of a name."""
        try:
            return self.by_name[name.lower()]
        except KeyError:
            raise Refused(ErrorCode.NO_SUCH_USER) from None

    def admins(self) -> list[str]:
        """Return the names of the admins who may act."""
        accounts = self.by_name.values()
        return [each.name for each in accounts if each.role == "admin" and each.standing is None]

    # Sign-in

    def sign_in(self, name: str, proof: Proof) -> Invitation | None:
        """Sign in, or claim a new name; return the invitation that was used for it."""
        account = self.by_name.get(name.lower())
        if account is None:
            return self._claim(name, proof)
        is_revoked = account.devices.get(proof.device)
        if is_revoked:
            raise Refused(ErrorCode.REVOKED)
        if is_revoked is None:
            self._prove(account, proof)
        if account.standing is not None:
            raise Refused(account.standing)
        if is_revoked is None:
            account.link = None
            account.devices[proof.device] = False
            self.record("device_added", account.name, account.name)
        return None

    def _prove(self, account: Account, proof: Proof) -> None:
        """Check that a new device may sign in."""
        if proof.invite is not None:
            raise Refused(ErrorCode.NAME_TAKEN)
        if proof.link is None:
            raise Refused(ErrorCode.BAD_TOKEN)
        if account.link is None or account.tries >= LINK_TRIES:
            raise Refused(ErrorCode.LINK_INVALID)
        if account.link != proof.link:
            account.tries += 1
            raise Refused(ErrorCode.LINK_INVALID)

    def _claim(self, name: str, proof: Proof) -> Invitation | None:
        invitation = None
        if proof.invite is not None:
            invitation = self.invitations[proof.invite]
            if not invitation.is_valid:
                raise Refused(ErrorCode.INVITATION_INVALID)
        account = self.by_name[name.lower()] = Account(name, devices={proof.device: False})
        self.record("created", name, name)
        if invitation is not None:
            account.role = invitation.role
            invitation.used.append(name)
            self.record("invitation_used", name, name)
        return invitation

    # Acts of admins; `by` is None for the operator

    def check_is_admin(self, by: str | None) -> None:
        """Raise `Refused` unless the user is an admin."""
        if by is not None and self.find(by).role != "admin":
            raise Refused(ErrorCode.FORBIDDEN)

    def _check_is_not_last_admin(self, account: Account) -> None:
        if self.admins() == [account.name]:
            raise Refused(ErrorCode.LAST_ADMIN)

    def _revoke_invitations_of(self, by: str | None, account: Account) -> None:
        """Revoke the valid invitations of an admin who loses the role or is stopped."""
        for invitation in self.invitations:
            if invitation.by == account.name and invitation.is_valid:
                invitation.is_revoked = True
                self.record("invitation_revoked", by)

    def change_role(self, by: str | None, name: str, role: str) -> bool:
        """Change a role; return whether it differs from the old one."""
        self.check_is_admin(by)
        account = self.find(name)
        before = account.role
        if before == "admin" and role != "admin":
            self._check_is_not_last_admin(account)
        if before == role:
            return False
        account.role = role
        self.record("role", by, account.name)
        if before == "admin":
            self._revoke_invitations_of(by, account)
        return True

    def disable(self, by: str | None, name: str, disabled: bool) -> bool:
        """Disable or enable an account; return whether that changed anything."""
        self.check_is_admin(by)
        account = self.find(name)
        if disabled and not account.is_disabled:
            self._check_is_not_last_admin(account)
        if account.is_disabled == disabled:
            return False
        account.is_disabled = disabled
        self.record("disabled" if disabled else "enabled", by, account.name)
        if disabled:
            self._revoke_invitations_of(by, account)
        return True

    def ban(self, by: str, name: str, reason: str, *, force: bool) -> BanInfo | None:
        """Ban an account, unless it is banned for the same reason; return the ban before."""
        self.check_is_admin(by)
        account = self.find(name)
        self._check_is_not_last_admin(account)
        if account.name == by and not force:
            raise Refused(ErrorCode.NEEDS_FORCE)
        before = None
        if account.ban is not None:
            before = BanInfo(
                id=0, created=0, name=account.name, reason=account.ban, by=account.banned_by
            )
        if account.ban == reason:
            return before
        account.ban, account.banned_by = reason, by
        self.record("banned", by, account.name)
        self._revoke_invitations_of(by, account)
        return before

    def unban(self, by: str, name: str) -> None:
        """Lift a ban."""
        self.check_is_admin(by)
        account = self.find(name)
        if account.ban is None:
            raise Refused(ErrorCode.NO_SUCH_BAN)
        account.ban = None
        self.record("unbanned", by, account.name)

    def invite(self, by: str, uses: int, role: str, channels: tuple[str, ...]) -> Invitation:
        """Create an invitation."""
        self.check_is_admin(by)
        self.invitations.append(Invitation(by, uses, role, channels))
        self.record("invitation_created", by)
        return self.invitations[-1]

    def revoke_invitation(self, by: str, number: int) -> None:
        """Revoke an invitation; do nothing if it is revoked."""
        self.check_is_admin(by)
        if not self.invitations[number].is_revoked:
            self.invitations[number].is_revoked = True
            self.record("invitation_revoked", by)

    # One's own account

    def new_link(self, by: str) -> None:
        """Void the link code; `linked` sets the next one."""
        account = self.find(by)
        account.link, account.tries = None, 0
        self.record("link_created", by, by)

    def linked(self, name: str, code: str) -> None:
        """Note the link code that the server created."""
        self.find(name).link = code

    def revoke_device(self, by: str, device: str) -> bool:
        """Revoke a device; return whether it was valid."""
        account = self.find(by)
        if account.devices[device]:
            return False
        account.devices[device] = True
        account.link = None
        self.record("device_revoked", by, account.name)
        return True

    def faults(self) -> Iterator[str]:
        """Yield violated invariants."""
        if not self.admins() and self.by_name:
            yield "no admin can act"
        for number, invitation in enumerate(self.invitations):
            if len(invitation.used) > invitation.uses:
                yield f"the invitation {number} was used for {invitation.used}"
