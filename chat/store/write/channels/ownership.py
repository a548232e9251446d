"""The ownership of channels: each channel has one owner, and it passes on when the owner is lost.

The successor is the moderator who has been a member for the longest time, or else the member; bots
never own. An owner who leaves is succeeded in the same transaction. One who is disabled, banned
from the server, erased, or becomes a bot is succeeded by a job, because the command line may do
this, and it cannot append events. `#general` belongs to the admins of the server.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, case, exists, false, not_, or_, select

from chat.protocol.items import EventFields
from chat.rights import GENERAL, MODERATOR, OWNER
from chat.store.accounts import BOT
from chat.store.details import Details
from chat.store.operations import User
from chat.store.schema import bans, channels, members, users
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel
from chat.store.write.transaction import JobProgress, Transaction

__all__ = ["JOB", "can_own", "pass_on", "pass_on_later", "pass_on_step"]

JOB = "pass_ownership"

_is_stopped = or_(
    users.c.disabled.is_not(None),
    exists().where(
        bans.c.user_id == users.c.id, or_(bans.c.until.is_(None), bans.c.until > bindparam("now"))
    ),
)
_SUCCESSOR = Prepared(
    select(users.c.id, users.c.name, case((_is_stopped, 1), else_=0).label("is_stopped"))
    .join_from(members, users, members.c.user_id == users.c.id)
    .where(
        members.c.channel_id == bindparam("channel"),
        members.c.user_id != bindparam("former"),
        users.c.role != BOT,
        users.c.is_erased == false(),
    )
    .order_by(
        "is_stopped",
        case((members.c.role == MODERATOR, 0), else_=1),
        members.c.joined_seq,
        members.c.user_id,
    )
    .limit(1)
)
_CAN_OWN = Prepared(
    select(users.c.id).where(
        users.c.id == bindparam("user"),
        users.c.role != BOT,
        users.c.is_erased == false(),
        not_(_is_stopped),
    )
)
_is_owned = and_(
    members.c.user_id == bindparam("user"),
    members.c.role == OWNER,
    channels.c.fold != GENERAL,
)
_OWNED = Prepared(
    select(channels.c.id, channels.c.name)
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(_is_owned, channels.c.id > bindparam("place"))
    .order_by(channels.c.id)
    .limit(1)
)
_USER = Prepared(select(users.c.name).where(users.c.id == bindparam("user")))


def can_own(transaction: Transaction, user: User) -> bool:
    """Whether `user` can be made an owner: no bot, not disabled or banned from the server."""
    return transaction.scalar(_CAN_OWN, user=user.id, now=transaction.now()) is not None


def pass_on(
    transaction: Transaction, channel: Channel, former: User, *, to_stopped: bool = True
) -> EventFields | None:
    """Make the successor of `former` the owner; return the `role` event, or None.

    A former owner who is still a member becomes a moderator. `to_stopped` also passes the ownership
    to a disabled or banned user if there is nobody else, so that the channel keeps an owner.
    """
    found = transaction.first(
        _SUCCESSOR, channel=channel.id, former=former.id, now=transaction.now()
    )
    if found is None or (found.is_stopped and not to_stopped):
        return None
    successor = User(found.id, found.name)
    if transaction.lookups.role(channel, former) is not None:
        transaction.set_role(channel, former, MODERATOR)
    transaction.set_role(channel, successor, OWNER)
    details = Details(user=successor, role=OWNER)
    return transaction.append(channel, successor, "role", details=details)


def pass_on_later(transaction: Transaction, user: User) -> None:
    """Add the job that passes on what `user` owns, who can no longer own a channel."""
    if transaction.first(_OWNED, user=user.id, place=0) is not None:
        transaction.add_job(JOB, {"user": user.id, "place": 0})


def pass_on_step(transaction: Transaction, arguments: dict[str, Any]) -> JobProgress:
    """Pass on the next channel that the user owns, unless they can own it again."""
    user = User(arguments["user"], transaction.scalar(_USER, user=arguments["user"]))
    owned = transaction.first(_OWNED, **arguments)
    if owned is None or can_own(transaction, user):
        return JobProgress({}, {})
    channel = transaction.lookups.channel(owned.name)
    assert channel is not None, "a channel with members is not deleted"
    pass_on(transaction, channel, user, to_stopped=False)
    return JobProgress({**arguments, "place": owned.id})
