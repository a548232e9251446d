"""Emoji by name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.emoji import EMOJI, resolve, spelled
from chat.protocol.values import Limits
from chat.text import check_line, printable


def test_a_name_with_or_without_colons_or_in_capitals_is_its_emoji() -> None:
    assert resolve(":+1:") == resolve("+1") == "👍"
    assert resolve("TEA") == "🍵"


def test_any_other_word_stays() -> None:
    assert resolve("👍") == "👍"
    assert resolve("nonsense") == "nonsense"


def test_every_name_can_be_typed_and_every_emoji_sent_and_shown() -> None:
    for name, emoji in EMOJI.items():
        assert re.fullmatch(r"[a-z0-9_+\-]+", name)
        assert check_line(emoji, Limits().emoji) == emoji
        assert printable(emoji) == emoji


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("plain é → ½", "plain é → ½"),
        ("well done 🎉!", "well done :tada:!"),
        ("❤️ and ❤", ":heart: and :heart:"),
        ("👍🏽", ":+1+tone3:"),
        ("👨\u200d👩\u200d👧", ":man+woman+girl:"),
        ("🇩🇪🇫🇷", ":flag_de::flag_fr:"),
        ("🦖", ":t-rex:"),
    ],
)
def test_emoji_are_spelled_by_name(text: str, spelt: str) -> None:
    assert spelled(text) == spelt


@given(st.text())
def test_what_is_spelled_holds_no_emoji_of_the_table(text: str) -> None:
    assert not {char for char in EMOJI.values() if len(char) == 1} & set(spelled(text))
