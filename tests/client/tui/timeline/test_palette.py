"""Author colors: stable, and readable on dark and on light."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style
from textual.color import Color

from chat.client.demo.script import BOT_NAMES
from chat.client.tui.themes import contrast
from chat.client.tui.timeline.palette import Names, Palette, author_rgb, moved_colors


@pytest.mark.parametrize(
    ("dark", "ground"),
    [(True, "#1e1e1e"), (True, "#2e3440"), (False, "#e0e0e0"), (False, "#ffffff")],
)
def test_every_name_can_be_read(dark: bool, ground: str) -> None:
    background = Color.parse(ground)
    colors = {author_rgb(number, dark=dark) for number in range(20)}
    assert len(colors) == 20
    assert min(contrast(Color(*rgb), background) for rgb in colors) >= 4.5


def test_a_name_keeps_its_color_however_it_is_spelled() -> None:
    assert Palette().author("Alice") == Palette().author("alice")
    assert Palette(names=Names.ON_LIGHT).author("alice") != Palette().author("alice")


def test_name_colors_use_the_terminals_palette() -> None:
    assert Palette(names=Names.GRAY).author("alice") == Style(bold=True)
    ansi = {str(Palette(names=Names.ANSI_DARK).author(f"name{n}").color) for n in range(200)}
    assert len(ansi) == 8
    assert all("STANDARD" in color for color in ansi)


def colors_of(people: Sequence[str], names: Names, count: int) -> list[str]:
    palette = Palette(names=names, moved=moved_colors(people, count))
    return [str(palette.author(name).color) for name in people]


@pytest.mark.parametrize(("names", "count"), [(Names.ON_DARK, 20), (Names.ANSI_DARK, 8)])
@pytest.mark.parametrize("me", ["me", "alice", "Ada-2", "root", "jürgen", "x"])
def test_people_of_the_demo_never_share_a_color(me: str, names: Names, count: int) -> None:
    assert len(set(colors_of((*BOT_NAMES, me), names, count))) == len(BOT_NAMES) + 1


@given(people=st.sets(st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True), max_size=60))
def test_members_share_a_color_only_if_all_are_used(people: set[str]) -> None:
    worn = Counter(colors_of([*people], Names.ON_DARK, 20))
    assert max(worn.values(), default=0) <= -(-len(people) // 20)


@given(people=st.lists(st.from_regex(r"[a-zA-Z0-9]{1,6}", fullmatch=True), max_size=60))
def test_all_clients_assign_the_same_colors(people: list[str]) -> None:
    spelled = [name.swapcase() for name in reversed(people)]
    assert moved_colors(people, 20) == moved_colors(spelled, 20)


def test_in_large_channels_no_color_is_moved() -> None:
    assert moved_colors([f"name{number}" for number in range(101)], 20) == {}
