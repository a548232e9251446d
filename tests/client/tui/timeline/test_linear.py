"""Laying out takes time in proportion to the text, whatever the text is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from chat.client.presenter.links import links_of
from chat.client.presenter.markdown import SHOWN_MAX, inline
from chat.client.tui.timeline.around import Around
from chat.text import mentioned_names, printable
from tests.client.tui.timeline.lines import plains, renderer, say


def repeated(part: str) -> Callable[[int], str]:
    """Return what makes a text of so many characters out of a part."""
    return lambda size: (part * (size // len(part) + 1))[:size]


TEXTS: dict[str, Callable[[int], str]] = {
    "one line": repeated("word "),
    "one word": repeated("x"),
    "emphasis": repeated("*a* "),
    "emphasis that stays open": repeated("*a "),
    "emphasis of all kinds": repeated("**a _b ~~c "),
    "underscores": repeated("a_"),
    "a run of stars": repeated("*"),
    "mixed runs": repeated("*_~"),
    "escapes": repeated("\\"),
    "backticks": repeated("` "),
    "backticks of all lengths": lambda size: " ".join(
        "`" * n for n in range(1, int((2 * size) ** 0.5))
    ),
    "a fence with a tick": lambda size: "```" + "a" * size + "`",
    "a fence of tildes": lambda size: "~" * size + "`",
    "fences": repeated("```\n"),
    "fences with code": repeated("```\na\n"),
    "quotes": repeated("> a\nb\n"),
    "nested quotes": repeated(">" * 1_000 + "\n"),
    "line breaks": repeated("\n"),
    "blank lines": repeated("\n   "),
    "spaces": repeated(" " * 1_000 + "x"),
    "brackets": repeated("["),
    "half links": repeated("[a](http://x()"),
    "links with brackets": lambda size: "[a](http://" + "(a)" * (size // 3),
    "addresses": repeated("http://a "),
    "an address of brackets": lambda size: "http://a" + "(" * (size // 2) + ")" * (size // 2),
    "addresses in a row": repeated("**http://a"),
    "mentions": repeated("@a "),
    "a long mention": lambda size: "@" + "." * size,
    "channels": repeated("#1"),
    "marks": lambda size: "a" + "\u0301" * size,
    "joiners": repeated("\U0001f468\u200d"),
    "flags": repeated("\U0001f1e6"),
    "variation selectors": lambda size: "\u2764" + "\ufe0f" * size,
    "wide characters": repeated("漢"),
    "control characters": repeated("\x1b"),
    "tabs": repeated("\t"),
}
WORKS: dict[str, Callable[[str], object]] = {
    "lay out": lambda text: renderer().block(say(1, text), Around()),
    "find marks": inline,
    "find links": links_of,
    "make harmless": printable,
    "find mentions": mentioned_names,
}


def seconds(work: Callable[[str], object], text: str) -> float:
    """Return the processor time of the fastest of some runs."""
    found = []
    for _ in range(3):
        began = time.process_time()
        work(text)
        found.append(time.process_time() - began)
    return min(found)


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("text", TEXTS)
def test_four_times_the_text_takes_about_four_times_as_long(text: str, work: str) -> None:
    make, do = TEXTS[text], WORKS[work]
    do(make(100))
    small, large = 4_000, 16_000
    ratio = seconds(do, make(large)) / max(seconds(do, make(small)), 0.000_5)
    assert ratio < 9, f"{ratio:.1f} times"


def test_a_text_of_a_megabyte_is_cut_and_says_so() -> None:
    began = time.process_time()
    lines = plains(renderer().block(say(1, "x" * 1_000_000), Around()).lines)
    assert time.process_time() - began < 1.0
    assert f"({1_000_000 - SHOWN_MAX:,} more characters)" in "".join(lines)


def test_many_reactions_are_laid_out_at_once() -> None:
    reactions = tuple((f"e{n}", ("bob", "carol", "dave", "erin", "frank")) for n in range(1_000))
    began = time.process_time()
    renderer().block(say(1, "x", reactions=reactions), Around())
    assert time.process_time() - began < 0.5
