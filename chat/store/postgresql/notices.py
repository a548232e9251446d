"""Notices: what each exclusive commit tells the other servers on the database."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, text

from chat.store.operations import Notice, OpenInvitation
from chat.store.postgresql.tables import notices
from chat.store.sql import Prepared

__all__ = ["generation", "notices_after", "publish", "remove_old"]

KEPT_MS = 3_600_000
"""Milliseconds for which notices are kept."""

_ADVANCE = Prepared(
    text(
        "UPDATE meta SET value = (value::bigint + 1)::text"
        " WHERE key = 'generation' RETURNING value::bigint"
    )
)
_GENERATION = Prepared(text("SELECT value::bigint FROM meta WHERE key = 'generation'"))
_ADD = Prepared(notices.insert())
_AFTER = Prepared(
    text("SELECT generation, ts, body FROM notices WHERE generation > :last ORDER BY generation")
)
_REMOVE = Prepared(text("DELETE FROM notices WHERE ts < :before"))


def generation(connection: Connection) -> int:
    """Return the number of exclusive commits."""
    return int(_GENERATION.scalar(connection))


def publish(connection: Connection, notice: Notice) -> Notice:
    """Count an exclusive commit, and store its notice; return it with its generation."""
    notice = replace(notice, generation=int(_ADVANCE.scalar(connection)))
    fields = {key: value for key, value in asdict(notice).items() if value}
    del fields["generation"], fields["ts"]
    body = json.dumps(fields, ensure_ascii=False)
    _ADD.run(connection, generation=notice.generation, ts=notice.ts, body=body)
    return notice


def notices_after(connection: Connection, last: int) -> list[Notice] | None:
    """Return the notices after a generation, in order; None if some are removed already."""
    found = [_notice(*row) for row in _AFTER.all(connection, last=last)]
    return found if len(found) == generation(connection) - last else None


def remove_old(connection: Connection, now: int) -> None:
    """Remove the notices that are older than an hour."""
    _REMOVE.run(connection, before=now - KEPT_MS)


def _notice(number: int, ts: int, body: str) -> Notice:
    fields: dict[str, Any] = json.loads(body)
    for name in ("listed", "left", "hidden", "renamed", "ignored"):
        if name in fields:
            fields[name] = [tuple(each) for each in fields[name]]
    for name in ("invited", "uninvited"):
        if name in fields:
            fields[name] = [(user, OpenInvitation(*each)) for user, each in fields[name]]
    return Notice(number, ts, **fields)
