"""The dispatch table: command types and their handlers."""

from __future__ import annotations

from chat.server.handlers import (
    ephemeral,
    history,
    membership,
    messages,
    preferences,
    search,
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
    "history": history.history,
    "search": search.search,
    "mark": history.mark,
    "prefer": preferences.prefer,
    "typing": ephemeral.typing,
    "status": ephemeral.status,
    "ping": ephemeral.ping,
}
