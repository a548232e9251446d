"""Rules of messages, edits, deletions, and topics.

The order of the checks is a promise: a repeated `cid` is answered before rights are looked at, and
nothing is changed before the last check has passed.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, update

from chat.errors import CommandError, ErrorCode
from chat.store.operations import Append, Appended
from chat.store.rights import (
    MEMBER,
    check_can_delete,
    check_can_edit,
    check_is_member,
    check_may_open_direct,
    no_such_channel,
    no_such_message,
)
from chat.store.schema import events
from chat.store.sql import Prepared
from chat.store.write.annotations import pin, react
from chat.store.write.append_request import Request
from chat.store.write.erasure import erase_message, erase_text
from chat.store.write.lookups import Channel
from chat.store.write.membership import open_direct
from chat.store.write.transaction import Transaction
from chat.text import is_direct

__all__ = ["append"]

_FOLD_EDIT = Prepared(
    update(events)
    .where(
        events.c.channel_id == bindparam("channel"),
        events.c.seq == bindparam("number"),
    )
    .values(body_id=bindparam("body"), last_edit=bindparam("at"), rev=bindparam("at"))
)


def append(transaction: Transaction, operation: Append) -> Appended:
    """Append one event, or find out that it is there already."""
    channel = transaction.lookups.channel(operation.channel)
    if repeated := _repeated(transaction, operation, channel):
        return repeated
    if channel is None:
        return _append_first(transaction, operation)
    role = check_is_member(operation.channel, transaction.lookups.role(channel, operation.user))
    return _RULES[operation.kind](Request(transaction, operation, channel, role))


def _repeated(
    transaction: Transaction, operation: Append, channel: Channel | None
) -> Appended | None:
    """Return the answer to a send that was stored before; refuse a `cid` that meant another."""
    if operation.cid is None or (sent := transaction.sent(operation.user, operation.cid)) is None:
        return None
    is_same = (sent.kind, sent.target) == (operation.kind, operation.target)
    if channel is None or sent.channel_id != channel.id or not is_same:
        raise CommandError(
            ErrorCode.CID_REUSED,
            "this cid was used for something else: take a new one",
            field="cid",
        )
    return Appended(sent.seq, sent.mid, sent.ts, duplicate=True)


def _append_first(transaction: Transaction, operation: Append) -> Appended:
    """Open the direct channel that a first message is sent to."""
    if operation.kind != "message" or not is_direct(operation.channel):
        raise no_such_channel(operation.channel)
    # First of all: no other refusal may tell an outsider that the channel does not exist.
    check_may_open_direct(operation.channel, operation.user.name)
    if operation.body.get("reply_to") is not None:
        raise no_such_message("reply_to")
    channel = open_direct(transaction, operation.user, operation.channel, is_hidden=False)
    return _message(Request(transaction, operation, channel, MEMBER))


def _message(request: Request) -> Appended:
    body = request.body
    reply_to = body.get("reply_to")
    answered = request.answered(reply_to)
    if reply_to is not None and answered is None:
        raise no_such_message("reply_to")
    event = request.append(
        body=body["text"],
        mentioned=request.mentioned(answered),
        me=body.get("me", False),
        reply_to=reply_to,
        thread=answered.root if answered is not None else None,
    )
    if hidden := request.transaction.lookups.hidden_from(request.channel):
        request.transaction.set_hidden(request.channel, hidden, is_hidden=False)
    return request.appended(event)


def _edit(request: Request) -> Appended:
    transaction, channel = request.transaction, request.channel
    target = request.target()
    check_can_edit(request.user.id, target.author_id)
    mentioned = request.mentioned(request.answered(target.reply_to))
    erase_text(transaction, channel, target)
    event = request.append(body=request.body["text"], mentioned=mentioned)
    transaction.add_mentions(channel, target.seq, mentioned)
    transaction.index.add(channel.id, target.seq, target.author_id, request.body["text"])
    body_id = transaction.last_body
    transaction.execute(
        _FOLD_EDIT, channel=channel.id, number=target.seq, body=body_id, at=event.seq
    )
    return request.appended(event)


def _delete(request: Request) -> Appended:
    target = request.target()
    check_can_delete(request.user.id, target.author_id, request.role)
    erase_message(request.transaction, request.channel, target)
    event = request.append()
    request.fold(event)
    return request.appended(event)


def _topic(request: Request) -> Appended:
    topic = request.body["topic"]
    event = request.append(body=topic)
    request.transaction.set_topic(request.channel, topic)
    return request.appended(event)


_RULES: dict[str, Callable[[Request], Appended]] = {
    "message": _message,
    "edit": _edit,
    "delete": _delete,
    "react": react,
    "pin": pin,
    "topic": _topic,
}
