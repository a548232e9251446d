"""How a member wants a channel listed and told of: kept with their seat, and gone with it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update

from chat.core.rights import check_can_hide, check_is_member, no_such_channel
from chat.store.ledger import Ledger
from chat.store.ops import Prefer, Preference, Preferred
from chat.store.prepared import Prepared
from chat.store.schema import members

__all__ = ["prefer"]

_is_seat = (
    members.c.channel_id == bindparam("channel"),
    members.c.user_id == bindparam("user"),
)
_PREFERENCE = Prepared(select(members.c.pinned, members.c.muted, members.c.level).where(*_is_seat))
_CHANGE = Prepared(
    update(members)
    .where(*_is_seat)
    .values(
        pinned=bindparam("new_pinned"), muted=bindparam("new_muted"), level=bindparam("new_level")
    )
)


def prefer(ledger: Ledger, operation: Prefer) -> Preferred:
    """Change what is asked for, and nothing else."""
    channel = ledger.roster.channel(operation.channel)
    if channel is None:
        raise no_such_channel(operation.channel)
    check_is_member(operation.channel, ledger.roster.role(channel, operation.user))
    if operation.hidden:
        check_can_hide(channel.name)
    seat = {"channel": channel.id, "user": operation.user.id}
    ledger.flush()
    before = Preference(*_PREFERENCE.first(ledger.connection, **seat))
    after = Preference(
        _chosen(operation.pinned, before.pinned),
        _chosen(operation.muted, before.muted),
        _chosen(operation.level, before.level),
    )
    if after != before:
        ledger.has_written = True
        new = {"new_pinned": after.pinned, "new_muted": after.muted, "new_level": after.level}
        _CHANGE.run(ledger.connection, **seat, **new)
    was_hidden = operation.user in ledger.roster.hidden_from(channel)
    hidden = _chosen(operation.hidden, was_hidden)
    if hidden != was_hidden:
        ledger.set_hidden(channel, [operation.user], is_hidden=hidden)
    changed = after != before or hidden != was_hidden
    return Preferred(channel.state(), after, changed, hidden)


def _chosen(asked: Any, before: Any) -> Any:
    return before if asked is None else asked
