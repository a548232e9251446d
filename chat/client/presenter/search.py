"""A running search: its results so far, the selected one, and its context.

Without a connection, the local cache is searched.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chat.client.model.search_query import SearchError, parse_search
from chat.client.model.state import Message
from chat.client.network.errors import Offline
from chat.client.platform.local_time import local_zone
from chat.client.sync.core import Core, answer

if TYPE_CHECKING:
    from chat.protocol.commands import Search
    from chat.protocol.frames import Hit, Results

__all__ = ["SearchContext", "SearchSession"]

PAGE = 50
_PATIENCE = 30.0
EMPTY_PAUSE = 0.05
"""Seconds between empty pages; guards against a server that returns them at once."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """The messages right before and after a hit."""

    before: Message | None = None
    after: Message | None = None


class SearchSession:
    """The latest search; it stays available after its screen closes.

    Args:
        patience: seconds that a search, or one more page, may take.
    """

    def __init__(self, core: Core, patience: float = _PATIENCE) -> None:
        self.query = ""
        self.hits: list[Hit] = []
        self.chosen = 0
        """Index of the selected hit."""
        self.is_local = False
        """Whether only the local cache was searched."""
        self._near: dict[tuple[str, int], SearchContext] = {}
        self._core = core
        self._patience = patience
        self._next: Search | None = None
        self._is_asking = False

    @property
    def is_complete(self) -> bool:
        """Whether all results are loaded."""
        return self._next is None

    async def begin(self, typed: str, me: str) -> None:
        """Start a new search; the former results stay if it fails.

        Raises:
            ChatError: the query is invalid, or the search failed.
        """
        search = parse_search(typed, me, datetime.now(local_zone()))
        following: Search | None = None
        try:
            found, following = await self._ask(search.model_copy(update={"limit": PAGE}))
            is_local = False
        except Offline:
            found, is_local = await answer(self._core.search_here(search)), True
        self.query, self.chosen, self.is_local = typed, 0, is_local
        self.hits.clear()
        self._near.clear()
        self._take(found, following)

    async def more(self) -> bool:
        """Load another page; return whether it had hits.

        Raises:
            ChatError: the search failed.
        """
        if self._next is None or self._is_asking:
            return False
        self._is_asking = True
        try:
            found, following = await self._ask(self._next)
        finally:
            self._is_asking = False
        self._take(found, following)
        return bool(found.hits)

    def known_near(self, hit: Hit) -> SearchContext | None:
        """Return the context of a hit, if it is loaded."""
        return self._near.get((hit.channel, hit.seq))

    async def near(self, hit: Hit) -> SearchContext:
        """Load the context of a hit.

        Raises:
            ChatError: the request failed.
        """
        lines = await answer(self._core.near(hit.channel, hit.seq))
        said = [line for line in lines if line.kind == "message" and not line.deleted]
        before = [line for line in said if (line.seq or 0) < hit.seq]
        after = [line for line in said if (line.seq or 0) > hit.seq]
        found = SearchContext(before[-1] if before else None, after[0] if after else None)
        self._near[hit.channel, hit.seq] = found
        return found

    async def _ask(self, search: Search) -> tuple[Results, Search | None]:
        """Request pages until one has hits; return it and the request for the next page.

        The server limits the time of a page, so a page may be empty before the end.

        Raises:
            SearchError: no hit came within `patience`.
        """
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    found = await answer(self._core.ask(search))
                    if found.complete or not found.cursor:
                        return found, None
                    search = search.model_copy(update={"cursor": found.cursor})
                    if found.hits:
                        return found, search
                    await asyncio.sleep(EMPTY_PAUSE)
        except TimeoutError:
            raise SearchError(
                f"The search took longer than {self._patience:g} s. Narrow it: another word, "
                "in:#CHANNEL, from:NAME or after:DAY."
            ) from None

    def _take(self, found: Results, following: Search | None) -> None:
        self.hits += found.hits
        self._next = following
