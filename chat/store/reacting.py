"""The rule of reactions: each person has each emoji on a message once, or not."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select

from chat.errors import CommandError, ErrorCode
from chat.store.ops import Appended
from chat.store.prepared import Prepared
from chat.store.request import Request
from chat.store.schema import bodies, reactions

__all__ = ["react"]

_REACTIONS = Prepared(
    select(reactions.c.seq, reactions.c.since, reactions.c.user_id, bodies.c.text)
    .join_from(reactions, bodies, reactions.c.body_id == bodies.c.id)
    .where(
        reactions.c.channel_id == bindparam("channel"), reactions.c.target == bindparam("number")
    )
    .order_by(reactions.c.since, reactions.c.seq)
)
_ADD = Prepared(insert(reactions))
_REMOVE = Prepared(
    delete(reactions).where(
        reactions.c.channel_id == bindparam("channel"),
        reactions.c.target == bindparam("number"),
        reactions.c.seq == bindparam("at"),
    )
)


def react(request: Request) -> Appended:
    """Add a reaction or remove it; nothing is appended if that is so already."""
    ledger, channel, user = request.ledger, request.channel, request.user
    target = request.target()
    emoji: str = request.body["emoji"]
    remove: bool = request.body.get("remove", False)
    where = {"channel": channel.id, "number": target.seq}
    present = _REACTIONS.all(ledger.connection, **where)
    alike = [row for row in present if row.text == emoji]
    mine = next((row.seq for row in alike if row.user_id == user.id), None)
    if remove == (mine is None):
        return Appended(channel.state(), None, None, None, duplicate=True)
    if not alike:
        _check_has_room(len({row.text for row in present}), ledger.limits.reactions)
    event = request.append(body=emoji, remove=remove)
    body_id = ledger.last_body
    request.fold(event)
    if remove:
        _REMOVE.run(ledger.connection, **where, at=mine)
    else:
        _ADD.run(
            ledger.connection,
            channel_id=channel.id,
            target=target.seq,
            seq=event.seq,
            since=alike[0].since if alike else event.seq,
            user_id=user.id,
            body_id=body_id,
        )
    return request.appended(event)


def _check_has_room(different: int, most: int) -> None:
    if different >= most:
        raise CommandError(
            ErrorCode.LIMIT_REACHED,
            f"the message has {different} different reactions, and {most} are the most",
            field="emoji",
        )
