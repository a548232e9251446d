"""The command palette: commands, keys, and channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from chat.client.model.slash.commands import COMMANDS
from chat.client.presenter.state import title_of
from chat.client.tui.safe_text import line
from chat.client.tui.screens.main import MainScreen
from chat.text import printable_line

__all__ = ["ChatCommands"]


@dataclass(frozen=True, slots=True)
class _Offer:
    title: str
    help: str
    run: Callable[[], None]


class ChatCommands(Provider):
    """Offers of the conversation's screen; foreign text is shown plain."""

    async def discover(self) -> Hits:
        """Offer everything, before a letter is typed."""
        for offer in self._offers():
            yield DiscoveryHit(
                line(offer.title),
                offer.run,
                text=printable_line(offer.title),
                help=_literal(offer.help),
            )

    async def search(self, query: str) -> Hits:
        """Offer what matches `query`."""
        matcher = self.matcher(query)
        for offer in self._offers():
            if (score := matcher.match(offer.title)) > 0:
                yield Hit(score, self._shown(query, offer), offer.run, help=_literal(offer.help))

    def _shown(self, query: str, offer: _Offer) -> Content:
        shown = line(offer.title)
        _, places = self.matcher(query).fuzzy_search.match(query, shown.plain)
        for place in places:
            shown = shown.stylize("bold underline", place, place + 1)
        return shown

    def _offers(self) -> Iterable[_Offer]:
        screen = self.screen
        if not isinstance(screen, MainScreen):
            return
        for row in COMMANDS:
            if row.runs_at_once:
                run = partial(screen.run_command, f"/{row.name}")
            else:
                run = partial(screen.begin_command, f"/{row.name} ")
            yield _Offer(row.help[0].upper() + row.help[1:], row.usage, run)
        for info in screen.conversation.desk.channels.values():
            show = partial(screen.conversation.open_channel, info.name)
            yield _Offer(f"Go to {title_of(info)}", "channel", show)


def _literal(text: str) -> str:
    """Return markup that shows `text` as it is: the palette reads its second line as markup."""
    return printable_line(text).replace("\\", "\\\\").replace("[", "\\[")
