"""The dispatch table: which handler answers which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chat.server.handlers import ephemeral, membership, messages, reading, signin

if TYPE_CHECKING:
    from chat.server.reply import Reply
    from chat.server.session import Session

__all__ = ["TABLE", "Handler"]

Handler = Callable[["Session", Any, "Reply"], None]
"""Answers a command through the reply, at once or later, or raises a `CommandError` at once."""

TABLE: dict[str, Handler] = {
    "hello": signin.hello,
    "join": membership.join,
    "leave": membership.leave,
    "channels": membership.channels,
    "who": membership.who,
    "send": messages.send,
    "edit": messages.edit,
    "delete": messages.delete,
    "react": messages.react,
    "topic": messages.topic,
    "history": reading.history,
    "mark": reading.mark,
    "typing": ephemeral.typing,
    "status": ephemeral.status,
    "ping": ephemeral.ping,
}
