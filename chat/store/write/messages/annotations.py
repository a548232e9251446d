"""Rules of reactions and pins."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import EventFields
from chat.protocol.values import Limits
from chat.rights import OWNER
from chat.store.operations import PinMessage, ReactToMessage, User
from chat.store.schema import events, is_change, pins, reaction_counts, reactions
from chat.store.sql import Prepared
from chat.store.write.access import role_in
from chat.store.write.lookups import Channel
from chat.store.write.messages.target import find_target, fold_into_target
from chat.store.write.transaction import Transaction

__all__ = ["pin", "react"]


_to_message = (
    reactions.c.channel_id == bindparam("channel"),
    reactions.c.target == bindparam("number"),
)
_counts_of_message = (
    reaction_counts.c.channel_id == bindparam("channel"),
    reaction_counts.c.target == bindparam("number"),
)
_is_emoji = (*_counts_of_message, reaction_counts.c.since == bindparam("first"))
_COUNTS = Prepared(
    select(reaction_counts.c.since, reaction_counts.c.count, events.c.text)
    .join_from(
        reaction_counts,
        events,
        (events.c.channel_id == reaction_counts.c.channel_id)
        & (events.c.seq == reaction_counts.c.since),
    )
    .where(*_counts_of_message, is_change)
)
_OWN = Prepared(
    select(reactions.c.since, reactions.c.seq).where(
        *_to_message, reactions.c.user_id == bindparam("user")
    )
)
_ADD_REACTION = Prepared(insert(reactions))
_REMOVE_REACTION = Prepared(
    delete(reactions).where(
        *_to_message, reactions.c.since == bindparam("first"), reactions.c.seq == bindparam("at")
    )
)
_ADD_COUNT = Prepared(insert(reaction_counts))
_SET_COUNT = Prepared(
    update(reaction_counts).where(*_is_emoji).values(count=bindparam("new_count"))
)
_REMOVE_COUNT = Prepared(delete(reaction_counts).where(*_is_emoji))


def react(
    transaction: Transaction, channel: Channel, operation: ReactToMessage
) -> EventFields | None:
    """Add or remove a reaction; return None if it has the requested state already."""
    user, emoji, remove = operation.user, operation.emoji, operation.remove
    target = find_target(transaction, channel, operation.seq)
    where = {"channel": channel.id, "number": target.seq}
    counts = transaction.execute(_COUNTS, **where)
    alike = next((row for row in counts if row.text == emoji), None)
    own = {row.since: row.seq for row in transaction.execute(_OWN, **where, user=user.id)}
    mine = own.get(alike.since) if alike is not None else None
    if remove == (mine is None):
        return None
    if not remove:
        _check_reactions(counts, len(own), transaction.limits, is_new=alike is None)
    event = transaction.append_about(operation, channel, body=emoji, remove=remove)
    fold_into_target(transaction, target, event)
    since = alike.since if alike is not None else event["seq"]
    count = (alike.count if alike is not None else 0) + (-1 if remove else 1)
    if remove:
        transaction.execute(_REMOVE_REACTION, **where, first=since, at=mine)
    else:
        transaction.execute(
            _ADD_REACTION,
            channel_id=channel.id,
            target=target.seq,
            seq=event["seq"],
            since=since,
            user_id=user.id,
        )
    if alike is None:
        transaction.execute(
            _ADD_COUNT,
            channel_id=channel.id,
            target=target.seq,
            since=since,
            count=count,
        )
    elif count:
        transaction.execute(_SET_COUNT, **where, first=since, new_count=count)
    else:
        transaction.execute(_REMOVE_COUNT, **where, first=since)
    return event


def _check_reactions(counts: Any, own: int, limits: Limits, *, is_new: bool) -> None:
    total = sum(row.count for row in counts)
    if is_new and len(counts) >= limits.reactions:
        refusal = f"the message has {len(counts)} different reactions"
        most = limits.reactions
    elif own >= limits.own_reactions:
        refusal = f"you have {own} reactions to this message"
        most = limits.own_reactions
    elif total >= limits.reactors:
        refusal = f"the message has {total:,} reactions"
        most = limits.reactors
    else:
        return
    raise CommandError(ErrorCode.LIMIT_REACHED, f"{refusal}; the limit is {most:,}", field="emoji")


_in_channel = pins.c.channel_id == bindparam("channel")
_is_pin = (_in_channel, pins.c.target == bindparam("number"))
_IS_PINNED = Prepared(select(func.count()).select_from(pins).where(*_is_pin))
_COUNT = Prepared(select(func.count()).select_from(pins).where(_in_channel))
_COUNT_OWN = Prepared(
    select(func.count()).select_from(pins).where(_in_channel, pins.c.user_id == bindparam("user"))
)
_ADD_PIN = Prepared(insert(pins))
_REMOVE_PIN = Prepared(delete(pins).where(*_is_pin))


def pin(transaction: Transaction, channel: Channel, operation: PinMessage) -> EventFields | None:
    """Pin or unpin a message; return None if it has the requested state already."""
    user, remove = operation.user, operation.remove
    target = find_target(transaction, channel, operation.seq)
    where = {"channel": channel.id, "number": target.seq}
    if remove != bool(transaction.scalar(_IS_PINNED, **where)):
        return None
    if not remove:
        _check_pins(transaction, channel, user)
    event = transaction.append_about(operation, channel, remove=remove)
    fold_into_target(transaction, target, event)
    if remove:
        transaction.execute(_REMOVE_PIN, **where)
    else:
        transaction.execute(_ADD_PIN, channel_id=channel.id, target=target.seq, user_id=user.id)
    return event


def _check_pins(transaction: Transaction, channel: Channel, user: User) -> None:
    count = transaction.scalar(_COUNT, channel=channel.id) or 0
    own = transaction.scalar(_COUNT_OWN, channel=channel.id, user=user.id) or 0
    most, most_own = transaction.limits.pins, transaction.limits.own_pins
    if count >= most:
        refusal = f"{channel.name} has {count} pinned messages, and the limit is {most}"
    elif own >= most_own and role_in(transaction, channel, user) != OWNER:
        refusal = f"you have pinned {own} messages in {channel.name}, and the limit is {most_own}"
    else:
        return
    raise CommandError(ErrorCode.LIMIT_REACHED, f"{refusal}: unpin one first", field="seq")
