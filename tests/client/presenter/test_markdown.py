"""Markdown: the supported subset, all other text unchanged, in linear time."""

from __future__ import annotations

from time import thread_time

import pytest
from hypothesis import given

from chat.client.presenter.markdown import Block, Mark, Span, blocks, inline
from tests.client.texts import any_text

B, IT, S, C = Mark.BOLD, Mark.ITALIC, Mark.STRIKE, Mark.CODE
URL = "https://example.org/a_b_(c)?d=*e*f"


def spans(text: str) -> list[tuple[str, Mark]]:
    return [(span.text, span.marks) for span in inline(text, "dave")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("plain", Mark.NONE)]),
        ("a *b* _c_", [("a ", 0), ("b", IT), (" ", 0), ("c", IT)]),
        ("**a** __b__", [("a", B), (" ", 0), ("b", B)]),
        ("***a***", [("a", B | IT)]),
        ("**a *b* c**", [("a ", B), ("b", B | IT), (" c", B)]),
        ("~~a~~ ~b~", [("a", S), (" ~b~", 0)]),
        ("**a\nb**", [("a\nb", B)]),
        ("`a *b*` ``c`d``", [("a *b*", C), (" ", 0), ("c`d", C)]),
        (r"\*a\* \`b\`", [("*a* `b`", 0)]),
        ("*a ~~b* c~~", [("a ~~b", IT), (" c~~", 0)]),
    ],
)
def test_emphasis_and_code(text: str, expected: list[tuple[str, Mark]]) -> None:
    assert spans(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 * 4", "snake_case_name", "a__b__c", "*", "** **", "a*", "`", "``a`", "~~", "~~~",
        "<b>html</b> &lt; &#27;", "!", "# heading", "| a | b |", "[a](javascript:b)",
        "[a](data:text/html,b)", "[a]", "a@b.c", "https://", "1#a", "#1", "@", "#", "a/b#c",
        "[bold]a[/bold]", "[link=file]a[/link]",
    ],
)  # fmt: skip
def test_other_markup_stays_as_typed(text: str) -> None:
    assert spans(text) == [(text, Mark.NONE)]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (f"see {URL}.", URL),
        ("(https://example.org)", "https://example.org"),
        ("**https://example.org/**", "https://example.org/"),
        ("**https://example.org/**と", "https://example.org/"),
        ("*https://example.org*s", "https://example.org"),
        ("[a [b]](https://example.org/(a(b)))", "https://example.org/(a(b))"),
        ("HTTPS://example.org, yes", "HTTPS://example.org"),
        (f"[page]({URL})", URL),
        ("[write](mailto:a@example.org)", "mailto:a@example.org"),
    ],
)
def test_links(text: str, url: str) -> None:
    assert [span.url for span in inline(text) if span.url] == [url]


def test_a_link_with_a_label_shows_its_target() -> None:
    assert inline("[my bank](https://bank.com@evil.example/x)")[1:] == [
        Span(" ‹evil.example›", Mark.ASIDE)
    ]
    assert len(inline("[https://a.b](https://a.b)")) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[docs](https://x.org/path)text", "docs ‹x.org›text"),
        ("[https://good.org](https://bad.org/a)", "https://good.org ‹https://bad.org/a›"),
        ("[good.org](https://bad.org/a)", "good.org ‹https://bad.org/a›"),
        ("[good．org](https://bad.org/a)", "good．org ‹https://bad.org/a›"),
        ("[a@good.org](mailto:b@bad.org)", "a@good.org ‹mailto:b@bad.org›"),
        ("[good.org](https://good.org/)", "good.org"),
        ("[a@good.org](mailto:a@good.org)", "a@good.org"),
        ("https://good.org@bad.org/a", "https://good.org@bad.org/a ‹bad.org›"),
    ],
)
def test_no_label_passes_for_another_address(text: str, shown: str) -> None:
    assert "".join(span.text for span in inline(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["[a](https://[x)", "[a](mailto://[x)", "[a](https://)", "[a](https:///bad.org)"],
)
def test_a_target_without_a_host_is_not_a_link(text: str) -> None:
    assert inline(text) == [Span(text)]


def test_mentions_and_channels() -> None:
    me = Mark.MENTION | Mark.ME
    assert spans("@Dave, @bob. #dev-ops!") == [
        ("@Dave", me), (", ", 0), ("@bob", Mark.MENTION), (". ", 0), ("#dev-ops", Mark.CHANNEL),
        ("!", 0),
    ]  # fmt: skip
    assert spans("**@dave**") == [("@dave", me | B)]
    assert spans("`@dave`") == [("@dave", C)]


def test_blocks() -> None:
    text = "one\n\n> two\n>three\n\n```py\n*x*\n\n```\nfour\n~~~\n```\n"
    assert blocks(text) == [
        Block("text", "one"),
        Block("quote", "two\nthree"),
        Block("code", "*x*\n", "py"),
        Block("text", "four"),
        Block("code", "```\n", ""),
    ]


def test_backticks_on_one_line_are_not_a_fence() -> None:
    assert blocks("```a```") == [Block("text", "```a```")]
    assert spans("```a```") == [("a", C)]


def test_a_flood_of_blank_lines_shrinks() -> None:
    assert blocks("a" + "\n" * 50 + "b") == [Block("text", "a\n\n\nb")]


@given(any_text)
def test_text_is_only_ever_taken_away(text: str) -> None:
    shown = [span.text for span in inline(text, "bob") if Mark.ASIDE not in span.marks]
    rest = iter(text.replace("\n", " "))
    assert all(char in rest for char in "".join(shown).replace("\n", " "))
    for block in blocks(text):
        assert block.text in text or block.kind != "code"


@pytest.mark.parametrize(
    "piece",
    ["*a ", "**a *b ", "_a*b~~c ", "[", "[a](http://x", "`", "`` ` ", "https://a)", "*", "a*",
     "a**b_", "[a](", "> ", "[[a]", "[a[b]", "[a](http://x(y(", "'https://x/", "https://[x",
     "https://x℀", "~`", "```\n", "@", "\\", "~~", "(http://x(", "\n", "*_"],
)  # fmt: skip
def test_hostile_text_takes_no_longer_than_its_length_asks(piece: str) -> None:
    def measure(length: int) -> float:
        text = piece * (length // len(piece))
        best = float("inf")
        for _ in range(3):
            start = thread_time()
            for block in blocks(text):
                inline(block.text, "bob")
            best = min(best, thread_time() - start)
        return best

    short, long = measure(1_000), measure(8_000)
    assert long < 8 * short * 4 + 0.02
