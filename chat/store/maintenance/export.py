"""Export all that one account wrote and is, as JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, bindparam, case, or_, select
from sqlalchemy.exc import DBAPIError

from chat.errors import CommandError, ErrorCode, StartupError
from chat.store.backend import backend_of
from chat.store.details import DETAILED_KINDS, actor_in, decode, ids_in
from chat.store.schema import (
    BODY_FIELDS,
    ERASED,
    ME,
    REMOVE,
    THREAD_ONLY,
    audit,
    channel_bans,
    channel_invitations,
    channels,
    devices,
    events,
    folds,
    followed_threads,
    has_kind,
    ignores,
    kind_of,
    members,
    mutes,
    users,
)
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
_MUTES = (
    select(channels.c.name.label("channel"), mutes.c.created, mutes.c.until, mutes.c.reason)
    .join_from(mutes, channels, mutes.c.channel_id == channels.c.id)
    .where(mutes.c.user_id == _of_user, channels.c.deleted.is_(None))
    .order_by(channels.c.fold)
)
_BANS = (
    select(
        channels.c.name.label("channel"),
        channel_bans.c.created,
        channel_bans.c.until,
        channel_bans.c.reason,
    )
    .join_from(channel_bans, channels, channel_bans.c.channel_id == channels.c.id)
    # A ban from a private channel does not reveal the channel to someone who was no member.
    .where(
        channel_bans.c.user_id == _of_user,
        channels.c.deleted.is_(None),
        channels.c.is_private.is_(False),
    )
    .order_by(channels.c.fold)
)
_INVITATIONS = (
    select(channels.c.name.label("channel"), channel_invitations.c.created)
    .join_from(channel_invitations, channels, channel_invitations.c.channel_id == channels.c.id)
    .where(
        channel_invitations.c.user_id == _of_user,
        channel_invitations.c.is_silent.is_(False),
        channels.c.deleted.is_(None),
    )
    .order_by(channels.c.fold)
)
_THREADS = (
    select(
        channels.c.name.label("channel"),
        followed_threads.c.thread,
        followed_threads.c.read_seq.label("read"),
        followed_threads.c.following,
    )
    .join_from(followed_threads, channels, followed_threads.c.channel_id == channels.c.id)
    .where(followed_threads.c.user_id == _of_user, channels.c.deleted.is_(None))
    .order_by(channels.c.fold, followed_threads.c.thread)
)
_IGNORED = (
    select(users.c.name)
    .join_from(ignores, users, ignores.c.ignored_id == users.c.id)
    .where(ignores.c.user_id == _of_user)
    .order_by(users.c.fold)
)
_NAME = select(users.c.name).where(users.c.id == bindparam("id"))
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
        case((events.c.author_id != _of_user, users.c.name)).label("author"),
    )
    .join_from(events, channels, events.c.channel_id == channels.c.id)
    .join(users, users.c.id == events.c.author_id)
    .outerjoin(folds, folds.c.event_id == events.c.id)
    .where(
        channels.c.deleted.is_(None),
        # The author of a `leave` event is the person concerned; its details name who acted.
        or_(events.c.author_id == _of_user, has_kind("leave") & events.c.text.is_not(None)),
    )
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
_OF_ACCOUNT = {
    "device": _DEVICES,
    "membership": _MEMBERSHIPS,
    "mute": _MUTES,
    "channel_ban": _BANS,
    "channel_invitation": _INVITATIONS,
    "thread": _THREADS,
    "ignored": _IGNORED,
}


def export_account(url: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield the account `name` and all that belongs to it, its events, and audit entries.

    Each object has a `type`; times are in milliseconds since 1970. Deleted texts are absent, and so
    are the addresses of other users who acted on the account. All is read from one snapshot, so the
    server may be running.

    Raises:
        CommandError: no_such_user.
        StartupError: the database does not exist or cannot be read.
    """
    with closing(backend_of(url).open_shared(url)) as database:
        try:
            with database.checker.begin() as connection:
                yield from _export(connection, name)
        except DBAPIError as exc:
            reason = database.reason_of(exc)
            raise StartupError(f"{database.name} cannot be read: {reason}") from None


def _export(connection: Connection, name: str) -> Iterator[dict[str, Any]]:
    account = connection.execute(_ACCOUNT, {"fold": fold(name)}).mappings().first()
    if account is None:
        raise CommandError(ErrorCode.NO_SUCH_USER, f"there is no user “{name}”", field="name")
    of_user = {"user": account["id"]}
    yield _object("account", {key: value for key, value in account.items() if key != "id"})
    for kind, query in _OF_ACCOUNT.items():
        for row in connection.execute(query, of_user).mappings():
            yield _object(kind, row)
    for rows in connection.execute(_EVENTS, of_user).mappings().partitions(_BATCH):
        for row in rows:
            if row["author"] is None or actor_in(row["text"]) == account["id"]:
                yield _event(connection, row)
    for row in connection.execute(_AUDIT, of_user).mappings():
        details = json.loads(row["details"])
        details.pop("login", None)  # it belongs to the operator
        yield _object("audit", {**row, "details": details or None})


def _event(connection: Connection, row: Any) -> dict[str, Any]:
    fields, flags = dict(row), row["flags"]
    kind, text, edit_id = kind_of(flags), fields.pop("text"), fields.pop("edit_id")
    del fields["flags"]
    is_erased = bool(flags & ERASED)
    is_replaced = is_erased or edit_id is not None  # the text of an edit is in its own event
    body: dict[str, Any] = {}
    if text is not None and not is_replaced:
        is_detailed = kind in DETAILED_KINDS
        body = _details(connection, text) if is_detailed else {BODY_FIELDS[kind]: text}
    return _object(
        "event",
        {
            **fields,
            "kind": kind,
            **body,
            "me": bool(flags & ME) or None,
            "remove": bool(flags & REMOVE) or None,
            "thread_only": bool(flags & THREAD_ONLY) or None,
            "edited": edit_id is not None or None,
            "erased": is_erased or None,
        },
    )


def _details(connection: Connection, stored: str) -> dict[str, Any]:
    names = {each: str(connection.scalar(_NAME, {"id": each})) for each in ids_in(stored)}
    return decode(stored, names).fields()


def _object(kind: str, fields: Any) -> dict[str, Any]:
    return {"type": kind, **{key: value for key, value in fields.items() if value is not None}}
