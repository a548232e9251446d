"""Links: their end in a text, valid addresses, and their targets."""

from __future__ import annotations

from time import thread_time

import pytest
from hypothesis import given

from chat.client.presenter.markdown import links_of
from chat.links import as_ascii, destination, has_link, is_web_link, link_end
from tests.client.texts import any_text


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://en.wikipedia.org/wiki/Horse_(disambiguation)", "*"),
        ("(https://x.org/a_(b))", "https://x.org/a_(b)"),
        ("(https://x.org)next", "https://x.org"),
        ("[https://x.org/a], then", "https://x.org/a"),
        ("http://x.org/?a[]=1&b[]=2", "*"),
        ("http://[::1]:8080/a", "*"),
        ("https://user@x.org:8080/a;b?c=d&e=~f#g", "*"),
        ("https://例え.jp/パス?q=é", "*"),
        ("見よhttps://x.org/a。次", "https://x.org/a"),
        ("「https://x.org/a」、", "https://x.org/a"),
        ("“https://x.org/a”", "https://x.org/a"),
        ("<https://x.org/a>", "https://x.org/a"),
        ("'https://x.org/a','b'", "https://x.org/a"),
        ("**https://x.org/a**", "https://x.org/a"),
        ("~~https://x.org/a~~b", "https://x.org/a"),
        ("**https://x.org**b", "https://x.org"),
        ("*https://x.org/abc d", "https://x.org/abc"),
        ("https://x.org(a)", "https://x.org"),
        ("see https://x.org/a_b_?!...", "https://x.org/a_b"),
        ("https://x.org/a\u200bb", "https://x.org/a"),
        ("https://x.org/a\u202eb", "https://x.org/a"),
        ("https://bad.example\\@good.example", "https://bad.example"),
        ("a|https://x.org|b", "https://x.org"),
    ],
)
def test_a_link_ends_where_a_reader_would_end_it(text: str, link: str) -> None:
    expected = text if link == "*" else link
    assert links_of(text) == [expected]
    start = text.index("http")
    assert text[start : link_end(text, start)] == expected
    assert has_link(text)
    assert is_web_link(expected)


@pytest.mark.parametrize(
    "text", ["https://", "https://.", "https:///x.org", "https://)", "https:// x", "xhttps://x.org"]
)
def test_an_address_without_a_host_is_not_a_link(text: str) -> None:
    assert links_of(text) == []
    assert not has_link(text)


def test_code_has_no_links() -> None:
    assert links_of("`https://a.org` ```https://b.org```\n```\nhttps://c.org\n```") == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:alert(1)", "mailto:a@x.org", "https://x.org/\x1b]8"]
)
def test_files_scripts_and_relative_addresses_are_not_web_links(url: str) -> None:
    assert not is_web_link(url)


def test_destination_is_the_real_host_of_a_disguised_link() -> None:
    assert destination("https://good.example:443@bad.example/https://good.example") == "bad.example"
    assert destination("mailto:a@x.org") == "a@x.org"


def test_a_link_in_ascii_keeps_its_meaning() -> None:
    assert as_ascii("https://x.org/a?b=%20#c") == "https://x.org/a?b=%20#c"
    assert as_ascii("https://é.org/日") == "https://%C3%A9.org/%E6%97%A5"


@given(any_text)
def test_a_hyperlink_never_holds_a_control_character(text: str) -> None:
    for url in links_of(f"https://x.org/{text} [a](https://x.org/{text})"):
        assert all("!" <= char <= "~" for char in as_ascii(url))


@pytest.mark.parametrize("piece", ["https://x", "'https://x/", "(((", ")", "https://x(", "*"])
def test_links_are_found_in_linear_time(piece: str) -> None:
    def measure(length: int) -> float:
        text = "https://x" + piece * (length // len(piece))
        start = thread_time()
        has_link(text)
        links_of(text)
        return thread_time() - start

    assert min(measure(8_000) for _ in range(3)) < 0.1
