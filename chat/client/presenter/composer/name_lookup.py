"""Ask the server for names that match the word at the caret."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING

from chat.client.presenter.composer.completion import lookup_for
from chat.client.presenter.state import ConversationState
from chat.client.sync.core import Core, answer
from chat.errors import ChatError
from chat.text import GENERAL, fold, is_direct

if TYPE_CHECKING:
    from chat.protocol.frames import ChannelListing

__all__ = ["NameLookup"]

_KNOWN_FOR = 60.0
"""Seconds for which an answer is cached."""
_AGAIN_AFTER = 5.0
"""Seconds before a failed lookup is repeated."""
_LAST = "~"
"""Sorts after every character of a name."""


class NameLookup:
    """Looks up the members and channels that begin with the word at the caret.

    A page of `who` or `channels` can begin at any name, so one request is enough.
    """

    def __init__(
        self,
        state: ConversationState,
        core: Core,
        run: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._state = state
        self._core = core
        self._run = run
        self.directory: dict[str, ChannelListing] = {}
        """The channels of the server that were looked up, by name."""
        self._answered: dict[tuple[str, str], tuple[float, bool]] = {}
        """By source and prefix: when the answer expires, and whether it had all names."""

    def ask(self, line: str, then: Callable[[], None]) -> bool:
        """Look up names that could complete `line`; return whether `then` will be called.

        `then` is called when the names are in the conversation state, or the lookup failed.
        """
        wanted = lookup_for(line)
        if wanted is None:
            return False
        sign, word = wanted
        where = "#" if sign == "#" else self._channel_of(sign)
        word = fold(word)
        if where is None or not word or self._is_known(where, word):
            return False
        self._run(self._look_up(where, word, then))
        return True

    def _channel_of(self, sign: str) -> str | None:
        """Return the channel whose members to look up; None if all of them are known."""
        here = self._state.current
        if sign == "/" and GENERAL in self._state.channels:
            here = GENERAL  # every user is a member
        if here is None or is_direct(here):
            return None
        members = self._state.members.get(here)
        is_whole = members is not None and len(members.members) >= members.total
        return None if is_whole else here

    def _is_known(self, where: str, word: str) -> bool:
        now = monotonic()
        for length in range(1, len(word) + 1):
            until, is_whole = self._answered.get((where, word[:length]), (0.0, False))
            if until > now and (is_whole or length == len(word)):
                return True
        return False

    async def _look_up(self, where: str, word: str, then: Callable[[], None]) -> None:
        from chat.protocol.commands import Channels, Who

        try:
            if where == "#":
                listing = await answer(self._core.ask(Channels(cursor=_before(f"#{word}"))))
                names = [each.channel for each in listing.channels]
                self.directory |= {each.channel: each for each in listing.channels}
                cursor = listing.cursor
            else:
                page = await answer(self._core.ask(Who(channel=where, cursor=_before(word))))
                names, cursor = [each.name for each in page.members], page.cursor
        except ChatError:
            self._answered[where, word] = monotonic() + _AGAIN_AFTER, False
            then()
            return
        beginning = f"#{word}" if where == "#" else word
        found = [name for name in names if fold(name).startswith(beginning)]
        self._state.take_names(found)
        is_whole = cursor is None or len(found) < len(names)
        self._answered[where, word] = monotonic() + _KNOWN_FOR, is_whole
        then()


def _before(beginning: str) -> str:
    """Return a cursor just before the names that begin with `beginning`."""
    return beginning[:-1] + chr(ord(beginning[-1]) - 1) + _LAST
