"""Erase an account: at once what it can do, then in small steps what it wrote.

`erase_account` ends the account in one transaction and adds a job. The writer then runs
`erase_next` between other commits until the job is done, also after a restart: each step reads a
range of the logs and erases the texts that the account wrote there; the last one replaces the name
by a placeholder (`deleted-17`) and appends the events that tell clients. The job keeps its place,
so a step that was not committed is repeated.

The name itself is erased with the last step. SQLite overwrites it, but may keep a copy in the free
space of a page that it rearranged; backups keep it as well.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from chat.store.accounts import EraseAccount, EraseNext, EraseStep
from chat.store.codes import erased_name_hash
from chat.store.operations import User
from chat.store.schema import (
    ERASED,
    audit,
    bans,
    channels,
    devices,
    erased_names,
    events,
    has_kind,
    is_change,
    is_line,
    is_unerased,
    jobs,
    kind_of,
    links,
    members,
    mentions,
    passwords,
    reaction_counts,
    reactions,
    users,
)
from chat.store.sql import Prepared
from chat.store.write.accounts import find_user
from chat.store.write.administration import check_is_not_last_admin, revoke_invitations_of
from chat.store.write.erasure import blank, erase_message
from chat.store.write.lookups import Channel
from chat.store.write.target import find_target
from chat.store.write.transaction import Transaction
from chat.text import channel_names, direct_channel, fold, is_direct

__all__ = ["erase_account", "erase_next"]

RANGE = 5_000
"""Events of all authors that a step reads: about 5 ms."""
TEXTS = 100
"""Texts that a step erases at most: about 10 ms."""
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
_AUDIT = Prepared(select(audit.c.seq, audit.c.details).where(audit.c.user_id == bindparam("user")))
_SET_AUDIT = Prepared(
    update(audit)
    .where(audit.c.seq == bindparam("entry"))
    .values(address=None, details=bindparam("rest"))
)
_ADD_JOB = Prepared(insert(jobs), columns=["id", "created", "operation", "arguments"])
_NEWEST_JOB = Prepared(select(func.max(jobs.c.id)))
_NEXT_JOB = Prepared(
    select(jobs.c.id, jobs.c.arguments)
    .where(jobs.c.operation == JOB, jobs.c.result.is_(None))
    .order_by(jobs.c.id)
    .limit(1)
)
_SET_JOB = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(arguments=bindparam("now_arguments"), result=bindparam("now_result"))
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
        channels.c.name,
    )
    .join_from(events, channels, events.c.channel_id == channels.c.id)
    .where(
        events.c.id > bindparam("low"),
        events.c.id <= bindparam("high"),
        events.c.author_id == bindparam("user"),
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
_NAME_OF = Prepared(select(channels.c.name).where(channels.c.id == bindparam("channel")))
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
    for statement in (_DELETE_PASSWORD, _DELETE_LINK, _DELETE_BAN):
        transaction.execute(statement, user=user.id)
    transaction.record("erased", now, actor=None, user=user)
    revoke_invitations_of(transaction, None, user, now)
    job = (transaction.scalar(_NEWEST_JOB) or 0) + 1
    arguments = json.dumps({"user": user.id, "place": 0, "channels": []})
    transaction.execute(_ADD_JOB, id=job, created=now, operation=JOB, arguments=arguments)
    transaction.account_changed(user)
    return job


def erase_next(transaction: Transaction, _operation: EraseNext) -> EraseStep:
    """Run the next step of the oldest job."""
    job = transaction.first(_NEXT_JOB)
    if job is None:
        return EraseStep(is_last=True)
    arguments = json.loads(job.arguments)
    result: str | None = None
    renamed: list[tuple[str, str]] = []
    newest = transaction.scalar(_NEWEST_EVENT) or 0
    if arguments["place"] < newest:
        _erase_range(transaction, arguments, min(arguments["place"] + RANGE, newest))
    else:
        name, renamed = _erase_name(transaction, arguments)
        result, arguments = json.dumps({"name": name}), {}
    transaction.execute(
        _SET_JOB, job=job.id, now_arguments=json.dumps(arguments), now_result=result
    )
    return EraseStep(is_last=False, renamed=tuple(renamed))


def _erase_range(transaction: Transaction, arguments: dict[str, Any], high: int) -> None:
    """Erase what the account wrote up to the event `high`, at most `TEXTS` texts."""
    user, place = arguments["user"], high
    written = set(arguments["channels"])
    left = TEXTS
    for row in transaction.execute(_WRITTEN, low=arguments["place"], high=high, user=user):
        if not left:
            place = row.id - 1
            break
        written.add(row.channel_id)
        kind = kind_of(row.flags)
        if row.flags & ERASED or kind not in ("message", "react", "topic"):
            continue
        left -= 1
        channel = transaction.lookups.channel(row.name)
        assert channel is not None, "events refer to channels"
        if kind == "message":
            erase_message(transaction, channel, find_target(transaction, channel, row.seq))
        elif kind == "react":
            _erase_reaction(transaction, channel, user, row)
        else:
            _erase_topic(transaction, channel, row)
    arguments["place"], arguments["channels"] = place, sorted(written)


def _erase_topic(transaction: Transaction, channel: Channel, row: Any) -> None:
    if transaction.scalar(_LATEST_TOPIC, channel=channel.id) == row.seq:
        transaction.set_topic(channel, "")
    blank(transaction, [row])
    transaction.execute(_MARK_ERASED, event=row.id)


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
        channel = transaction.lookups.channel(transaction.scalar(_NAME_OF, channel=channel_id))
        assert channel is not None, "channels are never deleted"
        if channel_id in joined and not is_direct(channel.name):
            transaction.remove_member(channel, user)
            transaction.append(channel, user, "leave")
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
