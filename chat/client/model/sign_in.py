"""Ways to prove a name besides its stored token, and why the server refused to sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["ACCOUNTS", "Credential", "Refusal", "SignInWay"]

ACCOUNTS = "accounts"
"""The feature of servers with invitations, devices and passwords; see `protocol.FEATURES`."""


class SignInWay(StrEnum):
    """Options of the user after a refused sign-in; all but `NAME` need a `Credential`."""

    NAME = "name"  # another name
    INVITATION = "invitation"  # claims a new name
    LINK = "link"  # a code from another device of the user, or from the operator
    PASSWORD = "password"


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret for one sign-in; kept in memory only, and dropped when the server has answered."""

    way: SignInWay
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the server refused to sign in.

    `reason` is one or more sentences, without the last full stop. `ways` are what the user can try
    in the running client, most likely first.
    """

    reason: str
    ways: tuple[SignInWay, ...] = ()
