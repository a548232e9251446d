"""The program's own colours, for dark and for light terminals; all others are Textual's."""

from __future__ import annotations

from textual.theme import Theme

__all__ = ["DARK", "LIGHT", "by_name"]

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
_SHORT = {"dark": DARK.name, "light": LIGHT.name}


def by_name(word: str) -> str:
    """Return the theme's name that `word` stands for: `dark` and `light` are this program's own."""
    return _SHORT.get(word.lower(), word.lower())
