"""Rules of messages (stored once per `cid`), edits, deletions, and topics.

The order of the checks is part of the contract: a repeated `cid` is answered before rights are
checked, and nothing is changed before all checks have passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import EventFields
from chat.rights import DEFAULT, Right
from chat.store.operations import (
    Append,
    Appended,
    DeleteMessage,
    EditMessage,
    PinMessage,
    ReactToMessage,
    SendMessage,
    SetTopic,
    User,
)
from chat.store.rights import (
    check_can_edit,
    check_may_open_direct,
    no_such_channel,
    no_such_message,
    not_a_member,
)
from chat.store.write.access import check_outranks, check_right
from chat.store.write.channels.membership import open_direct
from chat.store.write.lookups import Channel, ReplyTarget
from chat.store.write.messages.annotations import pin, react
from chat.store.write.messages.erasure import erase_message, erase_text
from chat.store.write.messages.target import find_target, fold_into_target
from chat.store.write.messages.threads import follow_answered, follow_mentioned
from chat.store.write.transaction import Transaction
from chat.text import is_direct, mentioned_names

__all__ = ["append"]

MENTIONS_MAX = 100
"""Most names of a text that are resolved as mentions; the rest is ignored."""


def append(transaction: Transaction, operation: Append) -> Appended:
    """Append one event, unless it is a duplicate."""
    channel = transaction.lookups.channel(operation.channel)
    if repeated := _repeated(transaction, operation, channel):
        return repeated
    if channel is None:
        channel = _open_for(transaction, operation)
    elif transaction.lookups.role(channel, operation.user) is None:
        raise not_a_member(operation.channel, is_private=channel.is_private)
    right, rule = _RULES[type(operation)]
    # Every member has the rights of a member unless a setting or a mute restricts them.
    if channel.settings is not DEFAULT or channel.mutes:
        check_right(transaction, channel, operation.user, right)
    event = rule(transaction, channel, operation)
    if event is None:
        return Appended(None, None, None, duplicate=True)
    return Appended(event["seq"], event["mid"], event["ts"])


def _repeated(
    transaction: Transaction, operation: Append, channel: Channel | None
) -> Appended | None:
    """Return the answer to a repeated send; refuse a `cid` that was used for another one."""
    if operation.cid is None or not (sent := transaction.sent(operation.user, operation.cid)):
        return None
    is_same = (sent.kind, sent.target) == (operation.kind, operation.target)
    if (
        channel is None
        or sent.channel_id != channel.id
        or not is_same
        # A private channel is missing for a former member.
        or (channel.is_private and transaction.lookups.role(channel, operation.user) is None)
    ):
        raise CommandError(
            ErrorCode.CID_REUSED,
            "this cid was used for another command; use a new one",
            field="cid",
        )
    return Appended(sent.seq, sent.mid, sent.ts, duplicate=True)


def _open_for(transaction: Transaction, operation: Append) -> Channel:
    """Open a direct channel for its first message."""
    if not isinstance(operation, SendMessage) or not is_direct(operation.channel):
        raise no_such_channel(operation.channel)
    # Check this first: another refusal would reveal that the channel does not exist.
    check_may_open_direct(operation.channel, operation.user.name)
    if operation.reply_to is not None:
        raise no_such_message("reply_to")
    if operation.thread_only:
        raise _not_a_reply()
    return open_direct(transaction, operation.user, operation.channel, is_hidden=False)


def _not_a_reply() -> CommandError:
    return CommandError(
        ErrorCode.INVALID, "thread_only: allowed only in a reply", field="thread_only"
    )


def _send(transaction: Transaction, channel: Channel, operation: SendMessage) -> EventFields:
    lookups, user, reply_to = transaction.lookups, operation.user, operation.reply_to
    answered = None
    if reply_to is not None:
        answered = transaction.reply_target(channel, reply_to)
        if answered is None:
            raise no_such_message("reply_to")
    elif operation.thread_only:
        raise _not_a_reply()
    mentioned = _mentioned(transaction, channel, user, operation.text, answered)
    event = transaction.append(
        channel,
        user,
        "message",
        body=operation.text,
        mentioned=mentioned,
        me=operation.me,
        reply_to=reply_to,
        thread=answered.root if answered is not None else None,
        thread_only=operation.thread_only,
        cid=operation.cid,
    )
    if answered is not None:
        follow_answered(transaction, channel, answered, event["seq"], user, mentioned)
    if hidden := lookups.hidden_from(channel):
        opened = [each for each in hidden if not lookups.ignores(each, user)]
        transaction.set_hidden(channel, opened, is_hidden=False)
        transaction.note_message(channel)
    return event


def _edit(transaction: Transaction, channel: Channel, operation: EditMessage) -> EventFields:
    user, text = operation.user, operation.text
    target = find_target(transaction, channel, operation.seq)
    check_can_edit(user.id, target.author_id)
    answered = None
    if target.reply_to is not None:
        answered = transaction.reply_target(channel, target.reply_to)
    mentioned = _mentioned(transaction, channel, user, text, answered)
    erase_text(transaction, channel, target)
    event = transaction.append_about(operation, channel, body=text, mentioned=mentioned)
    transaction.add_mentions(channel, target.seq, mentioned)
    if answered is not None:
        follow_mentioned(transaction, channel, answered.root, target.seq, mentioned)
    fold_into_target(transaction, target, event, transaction.last_event)
    return event


def _delete(transaction: Transaction, channel: Channel, operation: DeleteMessage) -> EventFields:
    user = operation.user
    target = find_target(transaction, channel, operation.seq)
    if user.id != target.author_id:
        check_right(transaction, channel, user, "moderate")
        check_outranks(transaction, channel, user, User(target.author_id, "the author"))
    erase_message(transaction, channel, target)
    event = transaction.append_about(operation, channel)
    fold_into_target(transaction, target, event)
    return event


def _set_topic(transaction: Transaction, channel: Channel, operation: SetTopic) -> EventFields:
    topic = operation.topic
    event = transaction.append(channel, operation.user, "topic", body=topic, cid=operation.cid)
    transaction.set_topic(channel, topic)
    return event


def _mentioned(
    transaction: Transaction,
    channel: Channel,
    author: User,
    text: str,
    answered: ReplyTarget | None,
) -> tuple[User, ...]:
    """Return the mentioned members: those named in a text, then the author of the parent."""
    named: tuple[User, ...] = ()
    if "@" in text and (names := mentioned_names(text)[:MENTIONS_MAX]):
        named = transaction.lookups.named_members(channel, names)
    if answered is None or answered.author in (author, *named):
        return named
    is_member = transaction.lookups.role(channel, answered.author) is not None
    return (*named, answered.author) if is_member else named


_Rule = Callable[[Transaction, Channel, Any], EventFields | None]
_RULES: Mapping[type[Append], tuple[Right, _Rule]] = {
    SendMessage: ("send", _send),
    EditMessage: ("send", _edit),
    DeleteMessage: ("leave", _delete),
    ReactToMessage: ("send", react),
    PinMessage: ("pin", pin),
    SetTopic: ("topic", _set_topic),
}
"""The right that each operation needs, and its rule.

The rule returns the appended event, or None if nothing changes.
"""
