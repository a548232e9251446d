"""Export all that one account wrote and is, as JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, bindparam, case, or_, select
from sqlalchemy.exc import DBAPIError

from chat.errors import CommandError, ErrorCode, StartupError
from chat.store.database import check_is_current
from chat.store.schema import (
    BODY_FIELDS,
    ERASED,
    ME,
    REMOVE,
    audit,
    channels,
    devices,
    events,
    folds,
    kind_of,
    members,
    users,
)
from chat.store.sqlite import engine as sqlite
from chat.text import fold

__all__ = ["export_account"]

_BATCH = 1_000
_of_user = bindparam("user", type_=users.c.id.type)
_ACCOUNT = select(users.c.id, users.c.name, users.c.role, users.c.created, users.c.disabled).where(
    users.c.fold == bindparam("fold"), users.c.is_erased.is_(False)
)
_DEVICES = (
    select(devices.c.id, devices.c.label, devices.c.created, devices.c.seen, devices.c.revoked)
    .where(devices.c.user_id == _of_user)
    .order_by(devices.c.id)
)
_MEMBERSHIPS = (
    select(
        channels.c.name.label("channel"),
        members.c.role,
        members.c.read_seq.label("read"),
        members.c.pinned,
        members.c.muted,
        members.c.level,
        members.c.hidden,
    )
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(members.c.user_id == _of_user)
    .order_by(channels.c.fold)
)
_EVENTS = (
    select(
        channels.c.name.label("channel"),
        events.c.seq,
        events.c.ts,
        events.c.flags,
        events.c.target,
        events.c.reply_to,
        events.c.thread,
        events.c.text,
        folds.c.edit_id,
    )
    .join_from(events, channels, events.c.channel_id == channels.c.id)
    .outerjoin(folds, folds.c.event_id == events.c.id)
    .where(events.c.author_id == _of_user)
    .order_by(events.c.id)
)
_AUDIT = (
    select(
        audit.c.seq,
        audit.c.ts,
        audit.c.act,
        case((audit.c.actor_id == _of_user, audit.c.address)).label("address"),
        audit.c.details,
    )
    .where(or_(audit.c.user_id == _of_user, audit.c.actor_id == _of_user))
    .order_by(audit.c.seq)
)


def export_account(url: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield the account `name`, its devices, memberships, events, and audit entries.

    Each object has a `type`; times are in milliseconds since 1970. Deleted texts are absent, and so
    are the addresses of other users who acted on the account. All is read from one snapshot, so the
    server may be running.

    Raises:
        CommandError: no_such_user.
        StartupError: the database does not exist or cannot be read.
    """
    path = sqlite.path_of(url)
    check_is_current(path)
    engine = sqlite.checker_engine(path)
    try:
        with engine.begin() as connection:
            yield from _export(connection, name)
    except DBAPIError as exc:
        raise StartupError(f"{path} cannot be read: {sqlite.reason_of(exc)}") from None
    finally:
        engine.dispose()


def _export(connection: Connection, name: str) -> Iterator[dict[str, Any]]:
    account = connection.execute(_ACCOUNT, {"fold": fold(name)}).mappings().first()
    if account is None:
        raise CommandError(ErrorCode.NO_SUCH_USER, f"there is no user {name}", field="name")
    of_user = {"user": account["id"]}
    yield _object("account", {key: value for key, value in account.items() if key != "id"})
    for kind, query in (("device", _DEVICES), ("membership", _MEMBERSHIPS)):
        for row in connection.execute(query, of_user).mappings():
            yield _object(kind, row)
    for rows in connection.execute(_EVENTS, of_user).mappings().partitions(_BATCH):
        yield from map(_event, rows)
    for row in connection.execute(_AUDIT, of_user).mappings():
        yield _object("audit", {**row, "details": json.loads(row["details"]) or None})


def _event(row: Any) -> dict[str, Any]:
    fields, flags = dict(row), row["flags"]
    kind, text, edit_id = kind_of(flags), fields.pop("text"), fields.pop("edit_id")
    del fields["flags"]
    is_erased = bool(flags & ERASED)
    is_replaced = is_erased or edit_id is not None  # the text of an edit is in its own event
    return _object(
        "event",
        {
            **fields,
            "kind": kind,
            BODY_FIELDS.get(kind, "text"): None if is_replaced else text,
            "me": bool(flags & ME) or None,
            "remove": bool(flags & REMOVE) or None,
            "edited": edit_id is not None or None,
            "erased": is_erased or None,
        },
    )


def _object(kind: str, fields: Any) -> dict[str, Any]:
    return {"type": kind, **{key: value for key, value in fields.items() if value is not None}}
