"""A search while it is looked at: what was asked and found so far, and where one was in it."""

from __future__ import annotations

from datetime import datetime

from chat.client.searching import parse_search
from chat.client.tui.port import CorePort, answer
from chat.protocol.commands import Search
from chat.protocol.frames import Hit, Results

__all__ = ["Finding"]

PAGE = 50


class Finding:
    """One person's latest search, which stays to come back to."""

    def __init__(self, core: CorePort) -> None:
        self.query = ""
        self.hits: list[Hit] = []
        self.chosen = 0
        """The hit one was at."""
        self._core = core
        self._next: Search | None = None
        self._is_asking = False

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing more to find."""
        return self._next is None

    async def begin(self, typed: str, me: str) -> None:
        """Look for something else; what was found before stays if that fails.

        Raises:
            ChatError: it cannot be looked for, or not now.
        """
        search = parse_search(typed, me, datetime.now().astimezone())
        found, following = await self._ask(search.model_copy(update={"limit": PAGE}))
        self.query, self.chosen = typed, 0
        self.hits.clear()
        self._take(found, following)

    async def more(self) -> bool:
        """Find more; return whether there was any.

        Raises:
            ChatError: not now.
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

    async def _ask(self, search: Search) -> tuple[Results, Search | None]:
        """Ask until something is found or nothing more follows; return also what to ask next.

        One page takes the server only so long, and then may be empty.
        """
        while True:
            found = await answer(self._core.search(search))
            if found.complete or not found.cursor:
                return found, None
            search = search.model_copy(update={"cursor": found.cursor})
            if found.hits:
                return found, search

    def _take(self, found: Results, following: Search | None) -> None:
        self.hits += found.hits
        self._next = following
