"""Handle `send`, `edit`, `delete`, `react`, `pin`, and `topic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.codec import encode_fields
from chat.protocol.commands import BaseCommand, Delete, Edit, Pin, React, Send, SetTopic
from chat.protocol.frames import Ok
from chat.server.handlers import builtin
from chat.server.writes import Write
from chat.store import operations
from chat.store.operations import (
    Append,
    Appended,
    ChannelOperation,
    DeleteMessage,
    EditMessage,
    PinMessage,
    ReactToMessage,
    SendMessage,
)
from chat.text import is_builtin

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["appended", "delete", "edit", "pin", "react", "send", "topic"]


def send(session: Session, command: Send) -> Write[Appended] | Ok:
    """Append a message."""
    if is_builtin(command.channel):
        return builtin.send(session, command)
    operation = SendMessage(
        session.user,
        command.channel,
        command.text,
        me=command.me,
        reply_to=command.reply_to,
        cid=command.cid,
        thread_only=command.thread_only,
    )
    live = session.subscriptions.channel(command.channel)
    if live is not None:
        session.subscriptions.stop_typing(live)
    return appended(command, operation)


def edit(session: Session, command: Edit) -> Write[Appended]:
    """Append an edit of the user's own message."""
    builtin.refuse(command.channel)
    operation = EditMessage(
        session.user, command.channel, command.seq, command.text, cid=command.cid
    )
    return appended(command, operation)


def delete(session: Session, command: Delete) -> Write[Appended]:
    """Append a deletion: the text is removed, the seq stays."""
    builtin.refuse(command.channel)
    operation = DeleteMessage(session.user, command.channel, command.seq, cid=command.cid)
    return appended(command, operation)


def react(session: Session, command: React) -> Write[Appended]:
    """Append a reaction or its removal."""
    builtin.refuse(command.channel)
    operation = ReactToMessage(
        session.user,
        command.channel,
        command.seq,
        command.emoji,
        remove=command.remove,
        cid=command.cid,
    )
    return appended(command, operation)


def pin(session: Session, command: Pin) -> Write[Appended]:
    """Append a pin or its removal."""
    builtin.refuse(command.channel)
    operation = PinMessage(
        session.user, command.channel, command.seq, remove=command.remove, cid=command.cid
    )
    return appended(command, operation)


def topic(session: Session, command: SetTopic) -> Write[Appended]:
    """Append a new topic."""
    builtin.refuse(command.channel)
    operation = operations.SetTopic(session.user, command.channel, command.topic)
    return appended(command, operation)


def appended(command: BaseCommand, operation: ChannelOperation[Appended]) -> Write[Appended]:
    """Return the write of an append, which is answered with its position in the log."""
    cid = operation.cid if isinstance(operation, Append) else None
    return Write(operation, lambda result: _ok(command.id, cid, result))


def _ok(command_id: str | None, cid: str | None, appended: Appended) -> bytes:
    """Return the encoded `Ok` of an append."""
    fields: dict[str, object] = {"type": "ok"}
    if command_id is not None:
        fields["id"] = command_id
    if appended.seq is not None:
        fields["seq"] = appended.seq
        fields["mid"] = appended.mid
        fields["ts"] = appended.ts
    if cid is not None:
        fields["cid"] = cid
    if appended.duplicate:
        fields["duplicate"] = True
    return encode_fields(fields)
