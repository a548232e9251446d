"""Emoji by name."""

from __future__ import annotations

import re
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.emoji import EMOJI, all_names, resolve, spelled, with_emoji
from chat.protocol.values import Limits
from chat.text import check_line, emoji_form, printable


def test_resolve_accepts_a_name_with_or_without_colons_in_any_case() -> None:
    assert resolve(":+1:") == resolve("+1") == "👍"
    assert resolve("TEA") == "🍵"


def test_every_name_of_the_standard_set_resolves() -> None:
    assert resolve("party_popper") == resolve(":TADA:") == "🎉"
    assert resolve("man_technologist") == "👨\u200d💻"
    assert resolve("thumbs_up_light_skin_tone") == "👍🏻"
    assert resolve("flag_de") == resolve("flag-de") == resolve("de") == "🇩🇪"
    assert len(all_names()) > 5_000
    for emoji in set(all_names().values()):
        assert emoji_form(check_line(emoji, Limits().emoji)) == emoji


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (":tada: done :+1:", "🎉 done 👍"),
        ("(:tada:), :tada::tada:", "(🎉), 🎉🎉"),
        ("word:tada: 10:30:45 :nonsense:", "word:tada: 10:30:45 :nonsense:"),
        ("`:tada:` ``a ` :tada:`` :tada:", "`:tada:` ``a ` :tada:`` 🎉"),
        ("```\n:tada:\n``` :tada:", "```\n:tada:\n``` 🎉"),
        ("```\n:tada:", "```\n:tada:"),
        ("a ` b :tada:", "a ` b 🎉"),
        ("https://x.org/:tada:/ :tada:", "https://x.org/:tada:/ 🎉"),
        (r"\:tada:", r"\:tada:"),
        (":côte_d’ivoire:", "🇨🇮"),
    ],
)
def test_emoji_names_in_a_sent_text_become_emoji(typed: str, sent: str) -> None:
    assert with_emoji(typed) == sent


@pytest.mark.parametrize("piece", ["`a", "``a`", "~~~", "`", ":", ":a", "https://x ", "\\", ":a:"])
def test_replacing_emoji_names_takes_linear_time(piece: str) -> None:
    start = thread_time()
    with_emoji(piece * (8_000 // len(piece)) + ":tada:")
    assert thread_time() - start < 0.2


def test_an_unknown_word_stays_unchanged() -> None:
    assert resolve("👍") == "👍"
    assert resolve("nonsense") == "nonsense"


def test_every_emoji_in_the_table_can_be_typed_sent_and_shown() -> None:
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
def test_spelled_replaces_emoji_by_their_names(text: str, spelt: str) -> None:
    assert spelled(text) == spelt


@given(st.text())
def test_spelled_text_contains_no_emoji_of_the_table(text: str) -> None:
    assert not {char for char in EMOJI.values() if len(char) == 1} & set(spelled(text))
