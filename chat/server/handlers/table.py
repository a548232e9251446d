"""The dispatch table: command types and their handlers."""

from __future__ import annotations

from chat.server.handlers import (
    accounts,
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
    "devices": accounts.devices,
    "revoke": accounts.revoke,
    "link": accounts.link,
    "password": accounts.password,
    "account": accounts.account,
    "users": accounts.users,
    "invitation": accounts.invitation,
    "invitations": accounts.invitations,
    "ban": accounts.ban,
    "unban": accounts.unban,
    "bans": accounts.bans,
    "audit": accounts.audit,
}
