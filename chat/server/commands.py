"""The dispatch table: which handler answers which command."""

from __future__ import annotations

from chat.server.handlers import (
    ephemeral,
    membership,
    messages,
    preferring,
    reading,
    searching,
    signin,
)
from chat.server.session import Table

__all__ = ["TABLE"]

TABLE: Table = {
    "hello": signin.hello,
    "join": membership.join,
    "leave": membership.leave,
    "channels": membership.channels,
    "who": membership.who,
    "send": messages.send,
    "edit": messages.edit,
    "delete": messages.delete,
    "react": messages.react,
    "pin": messages.pin,
    "topic": messages.topic,
    "history": reading.history,
    "search": searching.search,
    "mark": reading.mark,
    "prefer": preferring.prefer,
    "typing": ephemeral.typing,
    "status": ephemeral.status,
    "ping": ephemeral.ping,
}
