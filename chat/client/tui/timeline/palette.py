"""Colors of the timeline: an ink for each part, and a color for each author."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from rich.color import Color
from rich.style import Style
from textual.color import Color as TextualColor
from textual.widget import Widget

from chat.client.presenter.markdown import Mark
from chat.client.tui.themes import color_of, legible
from chat.links import as_ascii
from chat.text import fold

__all__ = ["INKS", "Names", "Palette", "author_rgb", "moved_colors"]


class Ink(NamedTuple):
    """Style of a part of the timeline, in theme colors such as `text-muted`, `primary 20%`."""

    color: str = ""
    ground: str = ""
    bold: bool | None = None
    italic: bool | None = None
    underline: bool | None = None


# These are not component classes: Textual would style each like a widget, twice before the first
# paint, which took a sixth of the start-up time.
INKS = {
    "time": Ink("text-disabled"),
    "rule": Ink("text-disabled"),
    "new": Ink("text-error", bold=True),
    "gap": Ink("text-warning"),
    "muted": Ink("text-muted"),
    "event": Ink("text-muted"),
    "tick": Ink("foreground"),
    "quote": Ink("text-muted"),
    "quote-bar": Ink("text-disabled"),
    "failed": Ink("text-error"),
    "failed-hint": Ink("text-muted"),
    "chip": Ink("text-muted", ground="panel"),
    "chip-own": Ink("text-primary", ground="primary-muted"),
    "mention": Ink("text-primary"),
    "mention-own": Ink("text-warning", ground="warning-muted", bold=True),
    "channel": Ink("text-primary"),
    "link": Ink("text-primary", underline=True),
    "code": Ink("text-accent", ground="surface"),
    "code-block": Ink("foreground", ground="surface"),
    "code-keyword": Ink("text-accent"),
    "code-string": Ink("text-success"),
    "code-number": Ink("text-warning"),
    "code-comment": Ink("text-muted", italic=True),
    "code-name": Ink("text-primary"),
    "code-inserted": Ink("text-success"),
    "code-deleted": Ink("text-error"),
    "cursor": Ink(ground="cursor-row"),
    "cursor-bar": Ink("primary"),
    "accent": Ink("warning"),
}


class Names(Enum):
    """Ways to distinguish the names of authors."""

    ON_DARK = "on dark"
    ON_LIGHT = "on light"
    GRAY = "gray"  # in a theme without colors: bold only
    ANSI_DARK = "terminal, dark"  # colors of the terminal's own palette
    ANSI_LIGHT = "terminal, light"


_TERMINAL = {
    Names.ANSI_DARK: (
        "green", "bright_magenta", "cyan", "bright_white", "bright_green", "bright_cyan", "yellow",
        "bright_yellow",
    ),
    Names.ANSI_LIGHT: ("red", "blue", "magenta", "bright_blue"),
}  # fmt: skip
"""Colors of the 16 that are readable in xterm's palette. On dark, none is red, like an error."""
_HUES = 10
_COLORS = 2 * _HUES
_DARK_RINGS = (0.82, 0.11), (0.72, 0.13)
_LIGHT_RINGS = (0.46, 0.12), (0.36, 0.10)
# Initial value of the checksum, chosen so that a few common names get different colors.
_SPREAD = 9
_STRIDE = 7  # coprime to the number of colors, so that the search tries all of them
_CROWD = 100  # members; in larger channels no color is moved
_COLORLESS = 0.02
_HYPERLINK_MAX = 2_000

_EMPHASIS = {
    Mark.BOLD: Style(bold=True),
    Mark.ITALIC: Style(italic=True),
    Mark.STRIKE: Style(strike=True),
}
_MARKED = (
    (Mark.CODE, "code"),
    (Mark.LINK, "link"),
    (Mark.MENTION, "mention"),
    (Mark.ME, "mention-own"),
    (Mark.CHANNEL, "channel"),
    (Mark.ASIDE, "muted"),
)


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles by name; a style has a background only if its ink has one.

    Args:
        styles: a style for each of `INKS`; a missing style is plain.
        names: how to distinguish authors.
        grounds, moved: see the fields.
    """

    styles: Mapping[str, Style] = field(default_factory=dict)
    names: Names = Names.ON_DARK
    grounds: tuple[TextualColor, ...] = ()
    """Backgrounds on which author names must be legible."""
    moved: Mapping[str, int] = field(default_factory=dict)
    """Color numbers, by folded name, of members whose default color is already taken."""
    _marked: dict[Mark, Style] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, widget: Widget, people: Iterable[str] = ()) -> Palette:
        """Resolve the inks in the current theme, on the background of a widget.

        Args:
            widget: the widget that paints them.
            people: the members of the channel, for different colors.
        """
        theme, ground = widget.app.theme_variables, widget.background_colors[1]
        styles = {name: _style_of(ink, theme, ground) for name, ink in INKS.items()}
        if widget.app.native_ansi_color:
            # With 16 colors, the muted background equals the text color.
            styles["mention-own"] = styles["chip-own"] = Style(bold=True, reverse=True)
            styles["cursor-gutter"] = Style(reverse=True)
            styles["cursor-bar"] = styles["mention"]
        names = _names_on(widget)
        grounds = ground, ground + color_of("cursor-row", theme)
        return cls(styles, names, grounds, moved_colors(people, _count(names)))

    def __getitem__(self, name: str) -> Style:
        return self.styles.get(name, _PLAIN)

    def author(self, name: str) -> Style:
        """Return the style of a name; it depends only on the name and the members."""
        key = fold(name)
        own = _checksum(key) % _count(self.names)
        return _author_style(self.moved.get(key, own), self.names, self.grounds)

    def marked(self, marks: Mark, url: str = "") -> Style:
        """Return the style of a marked span.

        A link's address is stored in the style's meta as `url`, which Textual does not interpret.
        The span is also a terminal hyperlink (OSC 8), in ASCII, unless the address is longer than
        2,000 characters: terminals ignore such links, and each row of a wrapped link repeats it.
        """
        style = self._marked.get(marks)
        if style is None:
            style = _PLAIN
            for mark, emphasis in _EMPHASIS.items():
                if mark in marks:
                    style += emphasis
            for mark, name in _MARKED:
                if mark in marks:
                    style += self[name]
            self._marked[marks] = style
        if not url:
            return style
        address = as_ascii(url)
        link = address if len(address) <= _HYPERLINK_MAX else None
        return style + Style(link=link, meta={"url": url})


_PLAIN = Style.null()


def _style_of(ink: Ink, theme: Mapping[str, str], ground: TextualColor) -> Style:
    """Resolve an ink on a background; the terminal's default background is left unset."""
    color = bgcolor = None
    if ink.ground:
        ground += color_of(ink.ground, theme)
        bgcolor = ground.rich_color
    if ink.color:
        color = (ground + color_of(ink.color, theme)).rich_color
    if bgcolor is not None and bgcolor.is_default:
        bgcolor = None
    return Style(
        color=color, bgcolor=bgcolor, bold=ink.bold, italic=ink.italic, underline=ink.underline
    )


def moved_colors(people: Iterable[str], count: int) -> dict[str, int]:
    """Return new color numbers, by folded name, for members whose default color is taken.

    As few members as possible share a color. The result depends only on the names, so all clients
    agree on it.

    Args:
        people: names in any order and spelling.
        count: the number of colors.
    """
    keys = {fold(name) for name in people}
    if len(keys) > _CROWD:
        return {}
    moved: dict[str, int] = {}
    wearers = [0] * count
    for key in sorted(keys, key=lambda key: (_checksum(key), key)):
        own = number = _checksum(key) % count
        fewest = min(wearers)
        while wearers[number] > fewest:
            number = (number + _STRIDE) % count
        wearers[number] += 1
        if number != own:
            moved[key] = number
    return moved


def _count(names: Names) -> int:
    return len(_TERMINAL[names]) if names in _TERMINAL else _COLORS


@lru_cache(64)
def _author_style(number: int, names: Names, grounds: tuple[TextualColor, ...]) -> Style:
    if names is Names.GRAY:
        return Style(bold=True)
    if names in _TERMINAL:
        return Style(color=Color.parse(_TERMINAL[names][number]), bold=True)
    color = TextualColor(*author_rgb(number, dark=names is Names.ON_DARK))
    return Style(color=(legible(color, grounds) if grounds else color).rich_color, bold=True)


def _names_on(widget: Widget) -> Names:
    is_dark = widget.app.current_theme.dark
    if widget.app.native_ansi_color:
        return Names.ANSI_DARK if is_dark else Names.ANSI_LIGHT
    if TextualColor.parse(widget.app.current_theme.primary).hsl.s < _COLORLESS:
        return Names.GRAY
    return Names.ON_DARK if widget.background_colors[1].brightness < 0.5 else Names.ON_LIGHT


def _checksum(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "replace"), _SPREAD)


def author_rgb(number: int, *, dark: bool) -> tuple[int, int, int]:
    """Return the name color with that number, for a dark or a light background.

    The colors are two rings of hues of different lightness in OKLCH, where equal lightness looks
    equally light. The hues of the second ring are halfway between those of the first.
    """
    ring, place = divmod(number, _HUES)
    lightness, chroma = (_DARK_RINGS if dark else _LIGHT_RINGS)[ring]
    return _srgb(lightness, chroma, (place + ring / 2) / _HUES * math.tau)


def _srgb(lightness: float, chroma: float, hue: float) -> tuple[int, int, int]:
    """Convert OKLCH to sRGB (Björn Ottosson's matrices), clipped to the sRGB gamut."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (_gamma(value) for value in linear)
    return red, green, blue


def _gamma(value: float) -> int:
    value = min(1.0, max(0.0, value))
    curved = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * curved)
