"""Handle `send`, `edit`, `delete`, `react`, `pin`, and `topic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.commands import Delete, Edit, Pin, React, Send, SetTopic
from chat.server.handlers import builtin
from chat.store.operations import Append, Appended
from chat.text import is_builtin

if TYPE_CHECKING:
    from chat.server.reply import Reply
    from chat.server.session import Session

__all__ = ["delete", "edit", "pin", "react", "send", "topic"]


def send(session: Session, command: Send, reply: Reply) -> None:
    """Append a message."""
    if is_builtin(command.channel):
        builtin.send(session, command.channel, command.text, reply)
        return
    body = {"text": command.text, "me": command.me, "reply_to": command.reply_to}
    _append(
        session,
        reply,
        Append(session.user, command.channel, "message", body=body, cid=command.cid),
    )
    live = session.subscriptions.channel(command.channel)
    if live is not None and live.typing.stop(session.user.name):
        session.services.news.of_room(live)


def edit(session: Session, command: Edit, reply: Reply) -> None:
    """Append a new text for one's own message."""
    builtin.refuse(command.channel)
    operation = Append(
        session.user,
        command.channel,
        "edit",
        target=command.seq,
        body={"text": command.text},
        cid=command.cid,
    )
    _append(session, reply, operation)


def delete(session: Session, command: Delete, reply: Reply) -> None:
    """Append a deletion: the text goes, the number stays."""
    builtin.refuse(command.channel)
    operation = Append(session.user, command.channel, "delete", target=command.seq, cid=command.cid)
    _append(session, reply, operation)


def react(session: Session, command: React, reply: Reply) -> None:
    """Append a reaction, or its removal."""
    builtin.refuse(command.channel)
    operation = Append(
        session.user,
        command.channel,
        "react",
        target=command.seq,
        body={"emoji": command.emoji, "remove": command.remove},
        cid=command.cid,
    )
    _append(session, reply, operation)


def pin(session: Session, command: Pin, reply: Reply) -> None:
    """Append a pin, or its removal."""
    builtin.refuse(command.channel)
    operation = Append(
        session.user,
        command.channel,
        "pin",
        target=command.seq,
        body={"remove": command.remove},
        cid=command.cid,
    )
    _append(session, reply, operation)


def topic(session: Session, command: SetTopic, reply: Reply) -> None:
    """Append a new topic."""
    builtin.refuse(command.channel)
    body = {"topic": command.topic}
    _append(session, reply, Append(session.user, command.channel, "topic", body=body))


def _append(session: Session, reply: Reply, operation: Append) -> None:
    def done(appended: Appended) -> None:
        reply.ok(
            seq=appended.seq,
            mid=appended.mid,
            ts=appended.ts,
            cid=operation.cid,
            duplicate=appended.duplicate,
        )

    session.services.write(operation, done, reply.error)
