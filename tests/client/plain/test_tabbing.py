"""Tab in a line: what is certain is written, else what could be meant is said."""

from __future__ import annotations

import pytest

from chat.client.plain.terminal import Tabbed, tab
from chat.client.presenter.composer.completion import Sources

SOURCES = Sources(("alice", "alina", "bob"), ("#tea", "#team", "#ops"))


@pytest.mark.parametrize(
    ("typed", "after"),
    [
        ("hi @b", Tabbed("hi @bob ")),
        ("hi @B", Tabbed("hi @bob ")),
        ("hi @a", Tabbed("hi @ali")),
        ("hi @A", Tabbed("hi @ali")),
        ("hi @ali", Tabbed("hi @ali", "@alice, @alina")),
        ("in #o", Tabbed("in #ops ")),
        ("in #te", Tabbed("in #tea")),
        ("in #tea", Tabbed("in #tea", "#tea, #team")),
        ("/top", Tabbed("/topic ")),
        ("/msg bo", Tabbed("/msg bob ")),
        (":tada", Tabbed("🎉 ")),
        ("plain words", Tabbed("plain words")),
        ("", Tabbed("")),
    ],
)
def test_what_tab_does(typed: str, after: Tabbed) -> None:
    assert tab(typed, SOURCES) == after


def test_of_many_offers_some_are_said() -> None:
    said = tab("@", Sources(tuple(f"{chr(97 + n)}x" for n in range(23)))).offers
    assert said.startswith("@ax, @bx, ")
    assert said.endswith("@tx and 3 more")
