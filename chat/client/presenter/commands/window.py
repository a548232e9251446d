"""The client itself: inbox, search, presence, servers, themes, panes, help, quit."""

from __future__ import annotations

from chat.client.model.slash.commands import find
from chat.client.model.slash.parser import Invocation
from chat.client.presenter.conversation import Conversation, Handler, search, show_unread
from chat.client.presenter.view import Refused

__all__ = ["HANDLERS"]


def _inbox(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.show_inbox()


def _search(conversation: Conversation, asked: Invocation) -> None:
    search(conversation, asked.get("query"))


def _unread(conversation: Conversation, asked: Invocation) -> None:
    show_unread(conversation)


def _absent(conversation: Conversation, asked: Invocation) -> None:
    conversation.set_status("away" if asked.command.name == "away" else "busy")


def _back(conversation: Conversation, asked: Invocation) -> None:
    conversation.set_status("online")


def _status(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("status").lower():
        case "online" | "away" | "busy" as status:
            conversation.set_status(status)
        case other:
            raise Refused(f"“{other}” is not a status. Use online, away or busy.")


def _reconnect(conversation: Conversation, asked: Invocation) -> None:
    conversation.core.reconnect_now()


def _connect(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.connect(asked.get("url"), asked.get("name"))


def _name(conversation: Conversation, asked: Invocation) -> None:
    conversation.rename(asked.get("name"))


def _disconnect(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.disconnect(asked.get("server"))


def _server(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.show(asked.get("server"))


def _theme(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.set_theme(asked.get("theme"))


def _members(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.toggle("members")


def _sidebar(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.toggle("sidebar")


def _bare(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.show_bare()


def _help(conversation: Conversation, asked: Invocation) -> None:
    word = asked.get("command")
    if not word:
        conversation.view.show_help()
        return
    command = find(word)
    if command is None:
        raise Refused(f"Unknown command /{word.removeprefix('/')}. Use /help to list all commands.")
    conversation.view.show_help(command)


def _quit(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.quit()


HANDLERS: dict[str, Handler] = {
    "inbox": _inbox,
    "search": _search,
    "unread": _unread,
    "away": _absent,
    "busy": _absent,
    "back": _back,
    "status": _status,
    "reconnect": _reconnect,
    "connect": _connect,
    "name": _name,
    "disconnect": _disconnect,
    "server": _server,
    "theme": _theme,
    "members": _members,
    "sidebar": _sidebar,
    "bare": _bare,
    "help": _help,
    "quit": _quit,
}
"""The handlers by command name."""
