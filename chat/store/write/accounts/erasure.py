"""Erase an account: at once what it can do, then in small steps what it wrote.

`erase_account` ends the account in one transaction and adds a job (see `jobs`). Each step of it
reads a range of the logs and erases the texts that the account wrote there; the last one replaces
the name by a placeholder (`deleted-17`) and appends the events that tell clients.

The name itself is erased with the last step. SQLite overwrites it, but may keep a copy in the free
space of a page that it rearranged; backups keep it as well.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from chat.store.accounts import EraseAccount
from chat.store.codes import erased_name_hash
from chat.store.details import actor_in
from chat.store.operations import User
from chat.store.schema import (
    ERASED,
    audit,
    bans,
    channel_bans,
    channel_invitations,
    channels,
    devices,
    erased_names,
    events,
    followed_threads,
    has_kind,
    ignores,
    is_change,
    is_line,
    is_unerased,
    kind_of,
    links,
    members,
    mentions,
    mutes,
    passwords,
    reaction_counts,
    reactions,
    users,
)
from chat.store.sql import Prepared
from chat.store.write.access import find_user
from chat.store.write.accounts.administration import check_is_not_last_admin, revoke_invitations_of
from chat.store.write.channels.membership import end_membership
from chat.store.write.channels.ownership import pass_on_later
from chat.store.write.lookups import Channel
from chat.store.write.messages.erasure import TEXTS, blank, erase_line, has_text
from chat.store.write.transaction import JobProgress, Transaction
from chat.text import channel_names, direct_channel, fold, is_direct

__all__ = ["JOB", "erase_account", "erase_step"]

RANGE = 5_000
"""Events of all authors that a step reads: about 5 ms."""
JOB = "erase"

_is_user = users.c.id == bindparam("user")
_USER_NAME = Prepared(select(users.c.name).where(_is_user))
_END = Prepared(update(users).where(_is_user).values(is_erased=True, role="member"))
_REVOKE = Prepared(
    update(devices)
    .where(devices.c.user_id == bindparam("user"))
    .values(label="", revoked=func.coalesce(devices.c.revoked, bindparam("now")))
)
_DELETE_PASSWORD = Prepared(delete(passwords).where(passwords.c.user_id == bindparam("user")))
_DELETE_LINK = Prepared(delete(links).where(links.c.user_id == bindparam("user")))
_DELETE_BAN = Prepared(delete(bans).where(bans.c.user_id == bindparam("user")))
_DELETE_MENTIONS = Prepared(delete(mentions).where(mentions.c.user_id == bindparam("user")))
_DELETE_STANDING = tuple(
    Prepared(delete(table).where(table.c.user_id == bindparam("user")))
    for table in (channel_bans, mutes, channel_invitations, ignores, followed_threads)
)
"""What channels and the account itself hold about it."""
_DELETE_IGNORED = Prepared(delete(ignores).where(ignores.c.ignored_id == bindparam("user")))
_DELETE_REASONS = tuple(
    Prepared(update(table).where(table.c.by_id == bindparam("user")).values(reason=""))
    for table in (channel_bans, mutes)
)
"""Reasons that the account gave for acts of moderation."""
_AUDIT = Prepared(select(audit.c.seq, audit.c.details).where(audit.c.user_id == bindparam("user")))
_SET_AUDIT = Prepared(
    update(audit)
    .where(audit.c.seq == bindparam("entry"))
    .values(address=None, details=bindparam("rest"))
)
_NEWEST_EVENT = Prepared(select(func.max(events.c.id)))
_WRITTEN = Prepared(
    select(
        events.c.id,
        events.c.channel_id,
        events.c.seq,
        events.c.flags,
        events.c.target,
        events.c.text,
        events.c.author_id,
        channels.c.name,
    )
    .join_from(events, channels, events.c.channel_id == channels.c.id)
    .where(
        events.c.id > bindparam("low"),
        events.c.id <= bindparam("high"),
        channels.c.deleted.is_(None),
        # The author of a `leave` event is the person concerned; its details name who acted.
        or_(
            events.c.author_id == bindparam("user"),
            and_(has_kind("leave"), events.c.text.is_not(None)),
        ),
    )
    .order_by(events.c.id)
)
_MARK_ERASED = Prepared(
    update(events)
    .where(events.c.id == bindparam("event"))
    .values(flags=events.c.flags.bitwise_or(ERASED))
)
_LATEST_TOPIC = Prepared(
    select(func.max(events.c.seq)).where(
        events.c.channel_id == bindparam("channel"), is_line, has_kind("topic")
    )
)
_of_reaction = (
    events.c.channel_id == bindparam("channel"),
    events.c.target == bindparam("number"),
    events.c.author_id == bindparam("user"),
    events.c.text == bindparam("emoji"),
    is_change,
    is_unerased("react"),
)
_SAME_REACTIONS = Prepared(select(events.c.id, events.c.seq, events.c.text).where(*_of_reaction))
_of_message = (
    reactions.c.channel_id == bindparam("channel"),
    reactions.c.target == bindparam("number"),
)
_REACTIONS = Prepared(
    select(reactions.c.since, reactions.c.seq, reactions.c.user_id).where(*_of_message)
)
_DELETE_REACTION = Prepared(
    delete(reactions).where(
        *_of_message, reactions.c.since == bindparam("first"), reactions.c.seq == bindparam("at")
    )
)
_is_count = (
    reaction_counts.c.channel_id == bindparam("channel"),
    reaction_counts.c.target == bindparam("number"),
    reaction_counts.c.since == bindparam("first"),
)
_LESSEN_COUNT = Prepared(
    update(reaction_counts).where(*_is_count).values(count=reaction_counts.c.count - 1)
)
_DELETE_EMPTY_COUNT = Prepared(
    delete(reaction_counts).where(*_is_count, reaction_counts.c.count == 0)
)
_ADD_NAME = Prepared(insert(erased_names))
_RENAME = Prepared(
    update(users).where(_is_user).values(name=bindparam("new"), fold=bindparam("new_fold"))
)
_RENAME_MEMBER = Prepared(
    update(members)
    .where(members.c.user_id == bindparam("user"))
    .values(user_fold=bindparam("new_fold"))
)
_MEMBER_OF = Prepared(
    select(channels.c.id, channels.c.name)
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(members.c.user_id == bindparam("user"))
    .order_by(channels.c.id)
)
_NAME_OF = Prepared(
    select(channels.c.name).where(
        channels.c.id == bindparam("channel"), channels.c.deleted.is_(None)
    )
)
_RENAME_CHANNEL = Prepared(
    update(channels)
    .where(channels.c.id == bindparam("channel"))
    .values(name=bindparam("new"), fold=bindparam("new_fold"))
)


def erase_account(transaction: Transaction, operation: EraseAccount) -> int:
    """End the account: nobody can sign in to it; return the job that erases what it wrote.

    Raises:
        CommandError: no_such_user; last_admin.
    """
    now, user = transaction.now(), find_user(transaction, operation.name)
    check_is_not_last_admin(transaction, user, now)
    transaction.has_erased = True  # labels and hashes, from the write-ahead log
    transaction.execute(_END, user=user.id)
    transaction.execute(_REVOKE, user=user.id, now=now)
    about = (*_DELETE_STANDING, _DELETE_IGNORED, *_DELETE_REASONS)
    for statement in (_DELETE_PASSWORD, _DELETE_LINK, _DELETE_BAN, *about):
        transaction.execute(statement, user=user.id)
    transaction.lookups.forget()
    transaction.record("erased", now, actor=None, user=user)
    revoke_invitations_of(transaction, None, user, now)
    transaction.account_changed(user)
    pass_on_later(transaction, user)
    return transaction.add_job(JOB, {"user": user.id, "place": 0, "channels": []})


def erase_step(transaction: Transaction, arguments: dict[str, Any]) -> JobProgress:
    """Run the next step of an erasure."""
    newest = transaction.scalar(_NEWEST_EVENT) or 0
    if arguments["place"] < newest:
        _erase_range(transaction, arguments, min(arguments["place"] + RANGE, newest))
        return JobProgress(arguments)
    name, renamed = _erase_name(transaction, arguments)
    return JobProgress({}, {"name": name}, tuple(renamed))


def _erase_range(transaction: Transaction, arguments: dict[str, Any], high: int) -> None:
    """Erase what the account wrote up to the event `high`, at most `TEXTS` texts."""
    user, place = arguments["user"], high
    written = set(arguments["channels"])
    left = TEXTS
    for row in transaction.execute(_WRITTEN, low=arguments["place"], high=high, user=user):
        if not left:
            place = row.id - 1
            break
        kind = kind_of(row.flags)
        is_actor = kind == "leave" and has_text(row) and actor_in(row.text) == user
        if is_actor or row.author_id == user:
            written.add(row.channel_id)
        if kind == "leave" and not is_actor:
            continue
        channel = transaction.lookups.channel(row.name)
        assert channel is not None, "events refer to channels"
        if kind != "react":
            left -= _erase_line(transaction, channel, row)
        elif not row.flags & ERASED:
            _erase_reaction(transaction, channel, user, row)
            left -= 1
    arguments["place"], arguments["channels"] = place, sorted(written)


def _erase_line(transaction: Transaction, channel: Channel, row: Any) -> bool:
    """Erase a message, a topic or the reason of an act; return whether there was one."""
    is_topic = kind_of(row.flags) == "topic"
    if is_topic and transaction.scalar(_LATEST_TOPIC, channel=channel.id) == row.seq:
        transaction.set_topic(channel, "")
    return erase_line(transaction, channel, row)


def _erase_reaction(transaction: Transaction, channel: Channel, user: int, row: Any) -> None:
    """Erase a reaction and its removals, unless others have reacted with the same emoji since."""
    where = {"channel": channel.id, "number": row.target}
    same = transaction.execute(_SAME_REACTIONS, **where, user=user, emoji=row.text)
    seqs = {each.seq for each in same}
    current = [each for each in transaction.execute(_REACTIONS, **where) if each.since in seqs]
    if any(each.user_id != user for each in current):
        return
    own = [
        each
        for each in transaction.execute(_REACTIONS, **where)
        if each.user_id == user and each.seq in seqs
    ]
    for each in own:
        transaction.execute(_DELETE_REACTION, **where, first=each.since, at=each.seq)
        transaction.execute(_LESSEN_COUNT, **where, first=each.since)
        transaction.execute(_DELETE_EMPTY_COUNT, **where, first=each.since)
    blank(transaction, same)
    transaction.execute_many(_MARK_ERASED, [{"event": each.id} for each in same])


def _erase_name(
    transaction: Transaction, arguments: dict[str, Any]
) -> tuple[str, list[tuple[str, str]]]:
    """Replace the name, end the memberships, and append the events.

    Returns the name that remains, and the old and new names of direct channels.
    """
    user_id = arguments["user"]
    name = f"deleted-{user_id}"
    former = transaction.scalar(_USER_NAME, user=user_id)
    key = transaction.lookups.accounts_key()
    transaction.execute(_ADD_NAME, hash=erased_name_hash(key, fold(former)))
    transaction.execute(_RENAME, user=user_id, new=name, new_fold=fold(name))
    transaction.execute(_RENAME_MEMBER, user=user_id, new_fold=fold(name))
    transaction.execute(_DELETE_MENTIONS, user=user_id)
    _erase_details(transaction, user_id)
    transaction.has_erased = True  # the name, from the write-ahead log
    member_of = transaction.execute(_MEMBER_OF, user=user_id)
    renamed = [
        _rename_direct(transaction, row.id, row.name, former, name)
        for row in member_of
        if is_direct(row.name)
    ]
    transaction.lookups.forget()
    user = User(user_id, name)
    joined = {row.id for row in member_of}
    for channel_id in sorted(joined.union(arguments["channels"])):
        channel_name = transaction.scalar(_NAME_OF, channel=channel_id)
        if channel_name is None:  # the channel was deleted meanwhile
            continue
        channel = transaction.lookups.channel(channel_name)
        assert channel is not None
        if channel_id in joined and not is_direct(channel.name):
            end_membership(transaction, channel, user)
        if transaction.lookups.channel(channel_name) is channel:  # still not deleted
            transaction.append(channel, user, "erased_user")
    return name, renamed


def _erase_details(transaction: Transaction, user_id: int) -> None:
    """Erase addresses, labels of devices, and reasons of bans from the entries about the user."""
    for entry in transaction.execute(_AUDIT, user=user_id):
        details = json.loads(entry.details)
        for words in ("label", "reason"):
            details.pop(words, None)
        transaction.execute(_SET_AUDIT, entry=entry.seq, rest=json.dumps(details))


def _rename_direct(
    transaction: Transaction, channel_id: int, channel_name: str, former: str, name: str
) -> tuple[str, str]:
    """Replace the name in the name of a direct channel; return its old and new name."""
    names = [each for each in channel_names(channel_name) if fold(each) != fold(former)]
    new = direct_channel([*names, name])
    transaction.execute(_RENAME_CHANNEL, channel=channel_id, new=new, new_fold=fold(new))
    return channel_name, new
