"""Ask the server for names that match the word at the caret."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING

from chat.client.presenter.composer.completion import asked_for
from chat.client.presenter.state import ConversationState
from chat.client.sync.core import Core, answer
from chat.errors import ChatError
from chat.text import GENERAL, fold, is_direct

if TYPE_CHECKING:
    from chat.protocol.frames import ChannelListing

__all__ = ["NameLookup"]

_KNOWN_FOR = 60.0
"""Seconds for which an answer is taken as what the server would say."""
_AGAIN_AFTER = 5.0
"""Seconds after which the server is asked again that gave no answer."""
_LAST = "~"
"""Comes after all that may stand in a name."""


class NameLookup:
    """Asks the server for members and channels that begin as the word under the cursor does.

    A page of `who` or `channels` may begin at any name, so one request finds them, however many
    there are.
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
        """The server's channels by name, as far as they were asked for."""
        self._answered: dict[tuple[str, str], tuple[float, bool]] = {}
        """For which beginning of which channel's names: until when, and whether all came."""

    def ask(self, line: str, then: Callable[[], None]) -> bool:
        """Ask for what could complete `line`; return whether `then` will be called.

        It is called once the names are on the state, or the server did not give them.
        """
        wanted = asked_for(line)
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
        """Return whose members may be meant, unless all of them are known."""
        here = self._state.current
        if sign == "/" and GENERAL in self._state.channels:
            here = GENERAL  # where everybody is
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
    """Return a cursor after which the names follow that begin so."""
    return beginning[:-1] + chr(ord(beginning[-1]) - 1) + _LAST
