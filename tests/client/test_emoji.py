"""Emoji by name."""

from __future__ import annotations

import re

from chat.client.emoji import EMOJI, resolve
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
