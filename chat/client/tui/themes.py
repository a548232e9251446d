"""Themes of this program and of the user, and readable text colors for any theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from textual.color import Color, ColorParseError
from textual.theme import Theme

from chat.errors import StartupError
from chat.text import printable_line

__all__ = [
    "DARK",
    "LIGHT",
    "OWN",
    "TEXT_CONTRAST",
    "by_name",
    "color_of",
    "contrast",
    "is_flat",
    "legible",
    "made_by_hand",
    "readable",
    "short_names",
]

DARK = Theme(
    name="chat-dark",
    primary="#4f9ee8",
    secondary="#7aa2c7",
    accent="#f0b35a",
    warning="#e0a34a",
    error="#e06c75",
    success="#7bc88f",
    foreground="#dfe3e8",
    background="#15171b",
    surface="#1c1f24",
    panel="#272c34",
    dark=True,
)
LIGHT = Theme(
    name="chat-light",
    primary="#1f6fbf",
    secondary="#4a6d8c",
    accent="#a85f00",
    warning="#a86a00",
    error="#b3323f",
    success="#2e7d46",
    foreground="#22262b",
    background="#fdfdfd",
    surface="#f1f3f5",
    panel="#e3e7eb",
    dark=False,
)
CONTRAST = Theme(
    name="chat-contrast",
    primary="#ffff00",
    secondary="#00ffff",
    accent="#ffff00",
    warning="#ffb000",
    error="#ff6060",
    success="#60ff60",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#303030",
    dark=True,
    text_alpha=1.0,
    variables={
        "cursor-row": "#404040",
        "placeholder": "#9a9a9a",
        "text-disabled": "#c8c8c8",
        "text-muted": "#e0e0e0",
        "tint": "#555500",
    },
)
MONO = Theme(
    name="chat-mono",
    primary="#d0d0d0",
    secondary="#b0b0b0",
    accent="#ffffff",
    warning="#e0e0e0",
    error="#ffffff",
    success="#c0c0c0",
    foreground="#d8d8d8",
    background="#101010",
    surface="#181818",
    panel="#282828",
    dark=True,
)
OWN = (DARK, LIGHT, CONTRAST, MONO)
"""The themes of this program; the 16-color `ansi-dark` and `ansi-light` are Textual's."""
_SHORT = {
    "dark": DARK.name,
    "light": LIGHT.name,
    "contrast": CONTRAST.name,
    "mono": MONO.name,
    "16": "ansi-dark",
}
_COLOR_KEYS = frozenset(field.name for field in fields(Theme) if field.type.startswith("str"))


def by_name(word: str) -> str:
    """Return the name of the theme that `word` names: `dark` is short for `chat-dark`."""
    return _SHORT.get(word.lower(), word.lower())


def short_names(available: Iterable[str]) -> dict[str, str]:
    """Return the names to choose themes by, each with its theme: the program's own first."""
    others = sorted(set(available) - set(_SHORT.values()))
    return {**_SHORT, **{theme: theme for theme in others}}


def made_by_hand(name: str, values: Mapping[str, str | bool]) -> Theme:
    """Return a user's theme; missing values come from this program's dark or light theme.

    Args:
        name: the theme's name.
        values: colors by name (`primary = "#4f9ee8"`), and `dark`.

    Raises:
        StartupError: a key or a value is invalid; the message names it.
    """
    for key, value in values.items():
        if key == "dark":
            if not isinstance(value, bool):
                raise StartupError(f"themes.{name}: dark must be true or false")
            continue
        if key not in _COLOR_KEYS - {"name"} or not isinstance(value, str):
            known = ", ".join(sorted(_COLOR_KEYS - {"name"}))
            raise StartupError(f"themes.{name}: unknown key “{key}”; use {known} or dark")
        try:
            Color.parse(value)
        except ColorParseError:
            raise StartupError(
                f"themes.{name}: {key} = “{printable_line(value)}” is not a color; use "
                "#4f9ee8 or ansi_blue"
            ) from None
    dark = LIGHT if values.get("dark") is False else DARK
    # The loop above checked the keys and types of the values. mypy checks `**values` against every
    # field, because it does not know the dictionary's keys.
    return replace(dark, name=name.lower(), **values)  # type: ignore[arg-type]


TEXT_CONTRAST = 4.5
"""Lowest contrast of text with its background, as required by WCAG 2, level AA."""
_BASE = ("background", "surface", "panel")
_SELECTION = "primary 20%"
_BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "foreground": (*_BASE, _SELECTION, "warning 15%", "error 20%"),
    "text-muted": (*_BASE, _SELECTION),
    "text-disabled": ("background", "cursor-row"),
    "text-primary": (*_BASE, _SELECTION, "primary-muted"),
    "text-secondary": (*_BASE, _SELECTION),
    "text-warning": (*_BASE, _SELECTION, "warning-muted"),
    "text-error": (*_BASE, _SELECTION),
    "text-success": (*_BASE, _SELECTION),
    "text-accent": (*_BASE, _SELECTION),
}
"""Text colors, and the backgrounds on which each is used."""
_STEPS = 20
_ANSI = {
    "cursor-row": "ansi_default",
    "placeholder": "ansi_default",
    "tint": "ansi_default",
    "input-selection-background": "ansi_cyan",
    "input-selection-foreground": "ansi_black",
    "screen-selection-background": "ansi_cyan",
    "screen-selection-foreground": "ansi_black",
}
_ANSI_DARK = {
    **_ANSI,
    "text-muted": "ansi_default",
    "text-disabled": "ansi_default",
    "text-primary": "ansi_cyan",
    "text-error": "ansi_bright_red",
    "text-accent": "ansi_bright_yellow",
}
_ANSI_LIGHT = {
    **_ANSI,
    "text-muted": "ansi_default",
    "text-disabled": "ansi_default",
    "text-warning": "ansi_red",
    "text-success": "ansi_blue",
}
"""Text colors readable in xterm's 16 colors; not every palette has a readable gray.

Selected items are in reverse video, which is readable in every palette: see `ChoiceList`.
"""


def is_flat(theme: Theme) -> bool:
    """Whether neighboring panes have one background, so that borders must separate them."""
    return theme.ansi or theme.surface == theme.background


def readable(theme: Theme, colors: Mapping[str, str]) -> dict[str, str]:
    """Return the colors of a theme with text that has `TEXT_CONTRAST` on each of its backgrounds.

    Colors with enough contrast are unchanged. `tint` is the background of selected items,
    `cursor-row` that of the selected message.

    Args:
        theme: the theme.
        colors: its colors by name, as derived by Textual.
    """
    if theme.ansi:
        return {**colors, **(_ANSI_DARK if theme.dark else _ANSI_LIGHT)}
    found = {
        "cursor-row": f"{colors['foreground']} 8%",
        "tint": f"{colors['primary']} 20%",
        **colors,
        "input-cursor-background": colors["foreground"],
        "input-cursor-foreground": colors["background"],
    }
    ground = color_of("background", colors)
    for role, names in _BACKGROUNDS.items():
        grounds = [ground + color_of(name, found) for name in names]
        if _SELECTION in names:
            grounds += [each + color_of(_SELECTION, colors) for each in grounds[1:3]]
        found[role] = legible(ground + color_of(role, colors), grounds).hex
    found.setdefault("placeholder", found["text-muted"])
    selection = color_of("input-selection-background", colors)
    grounds = [ground + color_of(name, colors) + selection for name in _BASE]
    found["input-selection-foreground"] = legible(color_of("foreground", found), grounds).hex
    return found


def legible(color: Color, grounds: Sequence[Color]) -> Color:
    """Return `color`, blended with white or black until it has `TEXT_CONTRAST` on `grounds`."""
    pole = Color.parse("white" if grounds[0].brightness < 0.5 else "black")
    for step in range(_STEPS + 1):
        found = color.blend(pole, step / _STEPS)
        if min(contrast(found, ground) for ground in grounds) >= TEXT_CONTRAST:
            break
    return found


def color_of(text: str, theme: Mapping[str, str]) -> Color:
    """Parse a theme color: `name`, a color value or `auto`, optionally with `N%` opacity."""
    name, _, share = text.partition(" ")
    opacity = float(share.removesuffix("%")) if share else 100.0
    if name in theme:
        return color_of(theme[name], theme).multiply_alpha(opacity / 100)
    if name == "auto":
        return Color.automatic(opacity)
    return Color.parse(name).multiply_alpha(opacity / 100)


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colors, from 1 to 21, as WCAG 2 defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Color) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in color.rgb)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
