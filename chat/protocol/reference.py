"""Meanings of error and close codes, for the protocol's manual."""

from __future__ import annotations

from chat.errors import CloseCode, ErrorCode

__all__ = ["CLOSES", "ERRORS"]

ERRORS: dict[ErrorCode, str] = {
    ErrorCode.MALFORMED: "the frame is not one JSON object",
    ErrorCode.UNKNOWN_TYPE: "`type` is missing or unknown to this server",
    ErrorCode.INVALID: "a field is missing, unknown, or invalid",
    ErrorCode.TOO_LONG: "a text or a list exceeds its limit; nothing was stored",
    ErrorCode.NOT_SIGNED_IN: "the first command must be `hello`",
    ErrorCode.ALREADY_SIGNED_IN: "`hello` was sent a second time",
    ErrorCode.UNSUPPORTED_VERSION: "this `v` is not supported; the connection closes with 4500",
    ErrorCode.NAME_TAKEN: "the name belongs to another user, and no token was sent",
    ErrorCode.BAD_TOKEN: "the token does not belong to this name; the connection closes with 4502",
    ErrorCode.BAD_PASSWORD: "the password is wrong, or the account has none",
    ErrorCode.NAME_UNAVAILABLE: "the name of a user or channel is reserved or taken",
    ErrorCode.REGISTRATION_CLOSED: "new names need an invitation; with `field: link`, only the "
    "operator adds them",
    ErrorCode.INVITATION_INVALID: "the invitation is unknown, expired, used up, or revoked",
    ErrorCode.LINK_INVALID: "the link code is wrong, expired, used, or void after 5 wrong attempts",
    ErrorCode.DISABLED: "the account is disabled; the connection closes with 4503",
    ErrorCode.REVOKED: "this device was revoked; the connection closes with 4504",
    ErrorCode.BANNED: "the account or the address is banned, and the connection closes with 4501; "
    "or, with `field: channel`, you are banned from this channel",
    ErrorCode.NO_SUCH_DEVICE: "you have no device with this id",
    ErrorCode.NO_SUCH_INVITATION: "there is no invitation with this id",
    ErrorCode.NO_SUCH_BAN: "this name or address is not banned",
    ErrorCode.LAST_ADMIN: "the last admin cannot be demoted, disabled, banned or erased",
    ErrorCode.NEEDS_FORCE: "the ban covers loopback, a proxy, or yourself; `force` bans it anyway",
    ErrorCode.MUTED: "a moderator muted you in this channel; the message says until when",
    ErrorCode.ARCHIVED: "the channel is read-only",
    ErrorCode.NO_SUCH_CHANNEL: "the channel does not exist, or is hidden from you",
    ErrorCode.NO_SUCH_USER: "no user has this name",
    ErrorCode.NO_SUCH_MESSAGE: "no message has this `seq`, or it was deleted",
    ErrorCode.NOT_A_MEMBER: "you are not a member of the channel: `join` first",
    ErrorCode.FORBIDDEN: "you have no permission to do this",
    ErrorCode.CID_REUSED: "this `cid` was used for another command; use a new one",
    ErrorCode.LIMIT_REACHED: "too many channels, reactions, pins or members",
    ErrorCode.RATE_LIMITED: "too many commands; wait `retry_after` seconds",
    ErrorCode.UNAVAILABLE: "the database cannot be used now; repeat the command with its `cid`",
    ErrorCode.INTERNAL: "internal server error; see the server's log; nothing was stored",
}
"""The meaning of each error code to the client that gets it."""

CLOSES: dict[CloseCode, str] = {
    CloseCode.NORMAL: "normal closure; `/counter` sends it after `close`",
    CloseCode.GOING_AWAY: "the server is stopping; it sent `bye` first",
    CloseCode.INVALID_DATA: "a text frame was not UTF-8",
    CloseCode.TOO_BIG: "a frame was longer than `limits.frame`",
    CloseCode.INTERNAL: "internal server error; see the server's log",
    CloseCode.HELLO_TIMEOUT: "no `hello` within 10 seconds",
    CloseCode.HEARTBEAT_LOST: "nothing was received during a heartbeat, not even a pong",
    CloseCode.TOO_MANY_CONNECTIONS: "too many connections: per user, per address, or in total",
    CloseCode.SLOW_READER: "the client reads too slowly; reconnect and resume",
    CloseCode.RATE_LIMITED: "the client ignored the rate limit",
    CloseCode.OVERLOADED: "too many sign-ins at once; reconnect after the error's `retry_after`",
    CloseCode.UNSUPPORTED_VERSION: "the protocol versions differ; update the older side",
    CloseCode.BANNED: "the account or the address is banned; an error says why and until when",
    CloseCode.BAD_TOKEN: "the token does not belong to this name; the operator can issue one",
    CloseCode.DISABLED: "the account is disabled; only an admin or the operator can enable it",
    CloseCode.REVOKED: "this device was revoked; sign in again with a link code or a password",
}
"""The meaning of each close code to the client that gets it."""
