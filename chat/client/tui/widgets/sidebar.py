"""The channel list: who waits for an answer, what is unread, where something is half written."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chat.client.state import ChannelInfo
from chat.client.tui.desk import title_of
from chat.client.tui.plain import elide, line
from chat.client.tui.widgets.badges import badge
from chat.text import is_direct

__all__ = ["Sidebar"]


class Sidebar(OptionList, can_focus=False):
    """Channels and direct channels in two sections, the current one highlighted."""

    DEFAULT_CSS = """
    Sidebar {
        width: 24;
        height: 1fr;
        border: none;
        padding: 0;
        background: $surface;
        scrollbar-size-vertical: 1;

        & > .option-list--option {
            padding: 0 1;
        }
        & > .option-list--option-highlighted {
            background: $primary 25%;
            color: $foreground;
            text-style: none;
        }
        & > .option-list--option-disabled {
            color: $foreground 55%;
        }
    }
    """

    @dataclass
    class ChannelChosen(Message):
        """A channel was clicked."""

        channel: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._channels: tuple[ChannelInfo, ...] = ()
        self._current: str | None = None

    def show(self, channels: tuple[ChannelInfo, ...], current: str | None) -> None:
        """Show `channels` in their order; `current` is highlighted."""
        if (channels, current) != (self._channels, self._current):
            self._channels, self._current = channels, current
            self._fill()

    def _fill(self) -> None:
        width = self.scrollable_content_region.width - 2
        if width <= 0:
            return
        top = self.scroll_y
        options = self._options_for(width)
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(options)
            self.scroll_to(y=top, animate=False, immediate=True)
            self.highlighted = next(
                (i for i, option in enumerate(options) if option.id == self._current), None
            )

    def _options_for(self, width: int) -> list[Option]:
        public = [info for info in self._channels if not is_direct(info.name)]
        direct = [info for info in self._channels if is_direct(info.name)]
        options = [Option(Content.styled("Channels", "bold"), disabled=True)]
        options += [Option(_row(info, width), id=info.name) for info in public]
        if direct:
            options.append(Option("", disabled=True))
            options.append(Option(Content.styled("Direct", "bold"), disabled=True))
            options += [Option(_row(info, width), id=info.name) for info in direct]
        return options

    @on(Resize)
    def _fit(self) -> None:
        self._fill()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.ChannelChosen(event.option_id))


def _row(info: ChannelInfo, width: int) -> Content:
    """Return a channel's line: its name on the left, signs and counts on the right."""
    signs = badge(info)
    space = width - signs.cell_length
    name_style = "bold" if info.unread or info.mentions else "$foreground 80%"
    sign = "@ " if is_direct(info.name) else "# "
    name = line(title_of(info).removeprefix("#"), name_style)
    label = elide(Content.assemble((sign, "$foreground 45%"), name), space - 1)
    return Content.assemble(label, " " * (space - label.cell_length), signs)
