"""Layout takes linear time for any text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.client.model.state import Reaction
from chat.client.presenter.markdown import SHOWN_MAX, inline, links_of
from chat.client.tui.timeline.neighbors import Neighbors
from chat.text import mentioned_names, printable
from tests.client.tui.timeline.lines import plains, renderer, say
from tests.costs import growth, seconds


def repeated(part: str) -> Callable[[int], str]:
    """Return a function that repeats a part up to a number of characters."""
    return lambda size: (part * (size // len(part) + 1))[:size]


TEXTS: dict[str, Callable[[int], str]] = {
    "one line": repeated("word "),
    "one word": repeated("x"),
    "emphasis": repeated("*a* "),
    "emphasis that stays open": repeated("*a "),
    "emphasis of all kinds": repeated("**a _b ~~c "),
    "openers of one kind, closers of another": lambda size: (
        "*a " * (size // 6) + "a_ " * (size // 6)
    ),
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
    "lay out": lambda text: renderer().block(say(1, text), Neighbors()),
    "find marks": inline,
    "find links": links_of,
    "make harmless": printable,
    "find mentions": mentioned_names,
}


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("text", TEXTS)
def test_four_times_the_text_takes_about_four_times_as_long(text: str, work: str) -> None:
    make, do = TEXTS[text], WORKS[work]
    do(make(100))  # the first call fills caches
    times = growth(do, make(4_000), make(16_000), enough=8)  # quadratic work takes 16 times as long
    assert times < 8, f"{times:.1f} times"


def test_a_text_of_a_megabyte_is_cut_and_says_so() -> None:
    message = say(1, "x" * 1_000_000)
    assert seconds(lambda: renderer().block(message, Neighbors()), enough=0.5) < 0.5
    lines = plains(renderer().block(message, Neighbors()).lines)
    assert f"({1_000_000 - SHOWN_MAX:,} more characters)" in "".join(lines)


def test_many_reactions_are_laid_out_at_once() -> None:
    reactions = tuple(
        Reaction(f"e{n}", ("bob", "carol", "dave", "erin", "frank")) for n in range(1_000)
    )
    message = say(1, "x", reactions=reactions)
    assert seconds(lambda: renderer().block(message, Neighbors()), enough=0.2) < 0.2
