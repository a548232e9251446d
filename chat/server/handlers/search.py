"""Handle `search`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import Search
from chat.protocol.frames import Hit, Results
from chat.server.handlers import builtin
from chat.store.search.query import parse_query
from chat.store.search.search import Wanted

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["search"]


async def search(session: Session, command: Search) -> Results:
    """Search messages in one channel, or in all channels of the user."""
    if command.channel is not None:
        builtin.refuse(command.channel)
    user = session.user
    wanted = Wanted(
        parse_query(command.query),
        author=command.author,
        before=command.before,
        after=command.after,
        with_link=command.has == "link",
        positions=command.cursor or {},
        limit=min(command.limit, session.context.settings.limits.page),
    )
    if not wanted.terms and wanted.author is None and not wanted.with_link:
        raise CommandError(ErrorCode.INVALID, "query: enter a word to search for", field="query")

    found = await session.context.reads.search(
        user, lambda reader: reader.search(user, command.channel, wanted)
    )
    hits = tuple(
        Hit(
            channel=each.channel,
            seq=each.seq,
            ts=each.ts,
            author=each.author,
            me=each.me,
            snippet=each.snippet,
            marks=tuple(chain.from_iterable(each.marks)),
        )
        for each in found.hits
    )
    cursor = None if found.positions is None else dict(found.positions)
    return Results(id=command.id, hits=hits, complete=cursor is None, cursor=cursor)
