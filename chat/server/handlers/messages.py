"""Handle `send`, `edit`, `delete`, `react`, `pin`, and `topic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.commands import Delete, Edit, Pin, React, Send, SetTopic
from chat.server.handlers import builtin
from chat.store import operations
from chat.store.operations import (
    Append,
    Appended,
    DeleteMessage,
    EditMessage,
    PinMessage,
    ReactToMessage,
    SendMessage,
)
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
    operation = SendMessage(
        session.user,
        command.channel,
        command.text,
        me=command.me,
        reply_to=command.reply_to,
        cid=command.cid,
    )
    _append(session, reply, operation)
    live = session.subscriptions.channel(command.channel)
    if live is not None and live.typing.stop(session.user.name):
        session.context.presence.typing_changed(live)


def edit(session: Session, command: Edit, reply: Reply) -> None:
    """Append a new text for one's own message."""
    builtin.refuse(command.channel)
    operation = EditMessage(
        session.user, command.channel, command.seq, command.text, cid=command.cid
    )
    _append(session, reply, operation)


def delete(session: Session, command: Delete, reply: Reply) -> None:
    """Append a deletion: the text goes, the number stays."""
    builtin.refuse(command.channel)
    operation = DeleteMessage(session.user, command.channel, command.seq, cid=command.cid)
    _append(session, reply, operation)


def react(session: Session, command: React, reply: Reply) -> None:
    """Append a reaction, or its removal."""
    builtin.refuse(command.channel)
    operation = ReactToMessage(
        session.user,
        command.channel,
        command.seq,
        command.emoji,
        remove=command.remove,
        cid=command.cid,
    )
    _append(session, reply, operation)


def pin(session: Session, command: Pin, reply: Reply) -> None:
    """Append a pin, or its removal."""
    builtin.refuse(command.channel)
    operation = PinMessage(
        session.user, command.channel, command.seq, remove=command.remove, cid=command.cid
    )
    _append(session, reply, operation)


def topic(session: Session, command: SetTopic, reply: Reply) -> None:
    """Append a new topic."""
    builtin.refuse(command.channel)
    operation = operations.SetTopic(session.user, command.channel, command.topic)
    _append(session, reply, operation)


def _append(session: Session, reply: Reply, operation: Append) -> None:
    def done(appended: Appended) -> None:
        reply.ok(
            seq=appended.seq,
            mid=appended.mid,
            ts=appended.ts,
            cid=operation.cid,
            duplicate=appended.duplicate,
        )

    session.context.writes.submit(operation, done, reply.error)
