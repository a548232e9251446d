"""Themes and their colors: ours and the person's own; the others are Textual's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from textual.color import Color, ColorParseError
from textual.theme import Theme

from chat.errors import StartupError
from chat.text import printable_line

__all__ = ["DARK", "LIGHT", "OWN", "by_name", "made_by_hand"]

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
    variables={"text-disabled": "#c8c8c8", "text-muted": "#e0e0e0"},
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
"""The themes of this program; `ansi-dark` and `ansi-light` are Textual's, of 16 colors."""
_SHORT = {
    "dark": DARK.name,
    "light": LIGHT.name,
    "contrast": CONTRAST.name,
    "mono": MONO.name,
    "16": "ansi-dark",
}
_COLOURS = frozenset(field.name for field in fields(Theme) if field.type.startswith("str"))


def by_name(word: str) -> str:
    """Return the theme's name that `word` stands for: the short names are this program's own."""
    return _SHORT.get(word.lower(), word.lower())


def made_by_hand(name: str, values: Mapping[str, str | bool]) -> Theme:
    """Return a person's own theme; what it leaves out is as in the dark theme of this program.

    Args:
        name: under which it can be chosen.
        values: colors by their names (`primary = "#4f9ee8"`), and `dark`.

    Raises:
        StartupError: a name or a color is none; the message says which.
    """
    for key, value in values.items():
        if key == "dark":
            if not isinstance(value, bool):
                raise StartupError(f"themes.{name}: dark must be true or false")
            continue
        if key not in _COLOURS - {"name"} or not isinstance(value, str):
            known = ", ".join(sorted(_COLOURS - {"name"}))
            raise StartupError(f"themes.{name}: unknown key “{key}”; use {known} or dark")
        try:
            Color.parse(value)
        except ColorParseError:
            raise StartupError(
                f"themes.{name}: {key} = “{printable_line(value)}” is not a color; use "
                "#4f9ee8 or ansi_blue"
            ) from None
    dark = LIGHT if values.get("dark") is False else DARK
    # The loop above has checked key and type of each value. mypy checks `**values` against every
    # field, because it does not know the dictionary's keys.
    return replace(dark, name=name.lower(), **values)  # type: ignore[arg-type]
