"""The rule of pins: a message is pinned for everybody, or not; a channel has only so many."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, insert, select

from chat.core.rights import OWNER
from chat.errors import CommandError, ErrorCode
from chat.store.ops import Appended
from chat.store.prepared import Prepared
from chat.store.request import Request
from chat.store.schema import pins

__all__ = ["pin"]

_in_channel = pins.c.channel_id == bindparam("channel")
_is_pin = (_in_channel, pins.c.target == bindparam("number"))
_IS_PINNED = Prepared(select(func.count()).select_from(pins).where(*_is_pin))
_COUNT = Prepared(select(func.count()).select_from(pins).where(_in_channel))
_COUNT_OWN = Prepared(
    select(func.count()).select_from(pins).where(_in_channel, pins.c.user_id == bindparam("user"))
)
_ADD = Prepared(insert(pins))
_REMOVE = Prepared(delete(pins).where(*_is_pin))


def pin(request: Request) -> Appended:
    """Pin a message or take its pin away; nothing is appended if that is so already."""
    ledger, channel = request.ledger, request.channel
    target = request.target()
    remove: bool = request.body.get("remove", False)
    where = {"channel": channel.id, "number": target.seq}
    if remove != bool(_IS_PINNED.scalar(ledger.connection, **where)):
        return Appended(channel.state(), None, None, None, duplicate=True)
    if not remove:
        _check_has_room(request)
    event = request.append(remove=remove)
    request.fold(event)
    if remove:
        _REMOVE.run(ledger.connection, **where)
    else:
        _ADD.run(
            ledger.connection, channel_id=channel.id, target=target.seq, user_id=request.user.id
        )
    return request.appended(event)


def _check_has_room(request: Request) -> None:
    ledger, channel = request.ledger, request.channel
    count = _COUNT.scalar(ledger.connection, channel=channel.id) or 0
    own = _COUNT_OWN.scalar(ledger.connection, channel=channel.id, user=request.user.id) or 0
    most, most_own = ledger.limits.pins, ledger.limits.own_pins
    if count >= most:
        refusal = f"{count} messages are pinned in {channel.name}, and {most} are the most"
    elif own >= most_own and request.role != OWNER:
        refusal = f"you have pinned {own} messages in {channel.name}, and {most_own} are the most"
    else:
        return
    raise CommandError(ErrorCode.LIMIT_REACHED, f"{refusal}: unpin one first", field="seq")
