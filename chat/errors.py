"""Exceptions, error codes, and close codes.

::

    ChatError
     ├── CommandError      a command is refused with an `error` frame; the connection stays open
     │    └── FrameError   a frame is invalid; names the field if known
     ├── Disconnect        the connection must be closed, with a close code
     ├── StoreUnavailable  the disk or the database is not available: retryable
     │    └── StoreFault   internal error; a retry would not help
     └── StartupError      the program cannot start: one line, exit code 2

Codes are part of the protocol: add codes, never rename them.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

__all__ = [
    "ChatError",
    "CloseCode",
    "CommandError",
    "Disconnect",
    "ErrorCode",
    "FrameError",
    "StartupError",
    "StoreFault",
    "StoreUnavailable",
]


class ErrorCode(StrEnum):
    """The `code` of an `error` frame."""

    MALFORMED = "malformed"  # not one JSON object in one text frame
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"  # a field is missing, unknown or invalid; `field` names it
    TOO_LONG = "too_long"  # a string or list exceeds its limit; `field` names it
    NOT_SIGNED_IN = "not_signed_in"
    ALREADY_SIGNED_IN = "already_signed_in"
    UNSUPPORTED_VERSION = "unsupported_version"
    NAME_TAKEN = "name_taken"
    BAD_TOKEN = "bad_token"
    BAD_PASSWORD = "bad_password"
    NAME_UNAVAILABLE = "name_unavailable"  # reserved, or once used by an erased account
    REGISTRATION_CLOSED = "registration_closed"  # new names need an invitation, or the operator
    INVITATION_INVALID = "invitation_invalid"  # unknown, expired, used up, or revoked
    LINK_INVALID = "link_invalid"  # unknown, expired, used, or void after wrong attempts
    DISABLED = "disabled"  # the account is disabled
    REVOKED = "revoked"  # the device of this session was revoked
    BANNED = "banned"
    NO_SUCH_DEVICE = "no_such_device"
    NO_SUCH_INVITATION = "no_such_invitation"
    NO_SUCH_BAN = "no_such_ban"
    LAST_ADMIN = "last_admin"  # the last admin cannot be demoted, disabled or erased
    NEEDS_FORCE = "needs_force"  # a ban of loopback, a proxy, or oneself
    MUTED = "muted"  # a moderator muted the user in the channel
    ARCHIVED = "archived"  # the channel is read-only
    NO_SUCH_CHANNEL = "no_such_channel"
    NO_SUCH_USER = "no_such_user"
    NO_SUCH_MESSAGE = "no_such_message"
    NOT_A_MEMBER = "not_a_member"
    FORBIDDEN = "forbidden"
    CID_REUSED = "cid_reused"
    LIMIT_REACHED = "limit_reached"  # too many channels, reactions, members, …
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"  # internal server error, logged; nothing was changed

    @property
    def retryable(self) -> bool:
        """Whether the same command may succeed later."""
        return self in (ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE)


class CloseCode(IntEnum):
    """Close codes (RFC 6455 section 7.4). 4000–4499: reconnect; 4500–4999: do not."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INVALID_DATA = 1007
    TOO_BIG = 1009
    INTERNAL = 1011
    HELLO_TIMEOUT = 4001
    HEARTBEAT_LOST = 4002
    TOO_MANY_CONNECTIONS = 4003
    SLOW_READER = 4008
    RATE_LIMITED = 4009
    OVERLOADED = 4010
    UNSUPPORTED_VERSION = 4500
    BANNED = 4501
    BAD_TOKEN = 4502
    DISABLED = 4503
    REVOKED = 4504

    @property
    def may_return(self) -> bool:
        """Whether a client should reconnect by itself after this code."""
        return self.tells_to_return(self)

    @classmethod
    def tells_to_return(cls, code: int | None) -> bool:
        """Whether a client should reconnect after `code`, which may be unknown or None."""
        return code is None or code < 4500


class ChatError(Exception):
    """Base of all errors of this program."""


class CommandError(ChatError):
    """A command is refused.

    Args:
        code: the kind of error; decides `retryable`.
        message: what happened and what to do, to show to the user.
        retry_after: seconds until a retry makes sense, with `rate_limited` and `unavailable`, and
            with `banned` if the ban has an end.
        field: the field of the command that is wrong.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after: float | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.field = field


class FrameError(CommandError):
    """An invalid frame; `id` is the command's id if it could be read."""

    def __init__(
        self, code: ErrorCode, message: str, *, field: str | None = None, id: str | None = None
    ) -> None:
        super().__init__(code, message, field=field)
        self.id = id


class Disconnect(ChatError):
    """The connection must be closed with `code` and `reason` (at most 123 bytes)."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StoreUnavailable(ChatError):
    """The store is not accepting writes (disk full, read-only, locked); nothing was changed."""


class StoreFault(StoreUnavailable):
    """An internal error, logged with its traceback; nothing was changed."""


class StartupError(ChatError):
    """The program cannot start; the message is one line: why, and what to do."""
