"""Author colors: stable, and readable on dark and on light."""

from __future__ import annotations

import pytest
from rich.style import Style
from textual.color import Color

from chat.client.tui.timeline.palette import Names, Palette, author_rgb


def luminance(color: Color) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = (part / 255 for part in color.rgb)
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("dark", "ground"),
    [(True, "#1e1e1e"), (True, "#2e3440"), (False, "#e0e0e0"), (False, "#ffffff")],
)
def test_every_name_can_be_read(dark: bool, ground: str) -> None:
    background = Color.parse(ground)
    colors = {author_rgb(f"name{number}", dark=dark) for number in range(500)}
    assert len(colors) >= 16
    assert min(contrast(Color(*rgb), background) for rgb in colors) >= 4.5


def test_a_name_keeps_its_color_however_it_is_spelled() -> None:
    assert author_rgb("alice", dark=True) == (217, 187, 102)
    assert Palette().author("Alice") == Palette().author("alice")
    assert Palette(names=Names.ON_LIGHT).author("alice") != Palette().author("alice")


def test_names_wear_what_the_terminal_has_and_no_color_where_there_is_none() -> None:
    assert Palette(names=Names.GRAY).author("alice") == Style(bold=True)
    ansi = {str(Palette(names=Names.TERMINAL).author(f"name{n}").color) for n in range(200)}
    assert len(ansi) == 12
    assert all("STANDARD" in color for color in ansi)
