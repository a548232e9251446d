"""Meanings of error and close codes, for the protocol's manual."""

from __future__ import annotations

from chat.errors import CloseCode, ErrorCode

__all__ = ["CLOSES", "ERRORS"]

ERRORS: dict[ErrorCode, str] = {
    ErrorCode.MALFORMED: "not one JSON object in one text frame",
    ErrorCode.UNKNOWN_TYPE: "`type` is missing, or none this server knows",
    ErrorCode.INVALID: "a field is missing, unknown, or breaks its rule",
    ErrorCode.TOO_LONG: "a text or a list is over its limit; nothing was cut, nothing was done",
    ErrorCode.NOT_SIGNED_IN: "`hello` comes first",
    ErrorCode.ALREADY_SIGNED_IN: "one connection is one person's: `hello` comes once",
    ErrorCode.UNSUPPORTED_VERSION: "this `v` is not supported; the connection ends with 4500",
    ErrorCode.NAME_TAKEN: "the name is somebody's, and no token was given",
    ErrorCode.BAD_TOKEN: "the token is not this name's; the connection ends with 4502",
    ErrorCode.NO_SUCH_CHANNEL: "it does not exist, or it is other people's direct channel",
    ErrorCode.NO_SUCH_USER: "nobody has this name",
    ErrorCode.NO_SUCH_MESSAGE: "no message has this `seq`, or it was deleted",
    ErrorCode.NOT_A_MEMBER: "`join` the channel first",
    ErrorCode.FORBIDDEN: "others may do this here, you may not; or nobody may",
    ErrorCode.CID_REUSED: "the `cid` has already named something else of yours",
    ErrorCode.LIMIT_REACHED: "there are too many already: channels, reactions, pins, members",
    ErrorCode.RATE_LIMITED: "too many commands; wait `retry_after` seconds",
    ErrorCode.UNAVAILABLE: "the disk or the database cannot be used now; nothing was stored",
    ErrorCode.INTERNAL: "a mistake of the server's, which is in its log; nothing was stored",
}
"""The meaning of each error code to the client that gets it."""

CLOSES: dict[CloseCode, str] = {
    CloseCode.NORMAL: "done; `/counter` ends so after `close`",
    CloseCode.GOING_AWAY: "the server is stopping; a `bye` came before",
    CloseCode.INVALID_DATA: "a text frame was not UTF-8",
    CloseCode.TOO_BIG: "a frame was longer than `limits.frame`",
    CloseCode.INTERNAL: "a mistake of the server's; it is in its log",
    CloseCode.HELLO_TIMEOUT: "no `hello` within 10 seconds",
    CloseCode.HEARTBEAT_LOST: "nothing came for a heartbeat, not even an answer to a ping",
    CloseCode.TOO_MANY_CONNECTIONS: "too many connections: of one person, one address, or in all",
    CloseCode.SLOW_READER: "more waited for this reader than its queue holds; come back and read",
    CloseCode.RATE_LIMITED: "the client went on although it was told to wait",
    CloseCode.OVERLOADED: "too many sign in at once; come back after the error's `retry_after`",
    CloseCode.UNSUPPORTED_VERSION: "the two sides speak different versions; update the older",
    CloseCode.BANNED: "this person may not come here",
    CloseCode.BAD_TOKEN: "the token is not this name's; the operator can issue another",
}
"""The meaning of each close code to the client that gets it."""
