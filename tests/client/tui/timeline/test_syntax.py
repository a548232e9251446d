"""Syntax highlighting: the pieces join to the code; unknown or long code is plain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.tui.timeline.syntax import LANGUAGES, ROLES, highlight
from tests.client.texts import any_text


def test_python_has_keywords_and_strings() -> None:
    found = highlight('def f():\n    return "x"  # y', "python")
    assert ("def", "keyword") in found
    assert ('"x"', "string") in found
    assert ("# y", "comment") in found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_keeps_the_code_unchanged(language: str) -> None:
    code = "\n\nif (x == 1) { return 'a' } // b\n  # c\n+ <?php echo <b class='a'>\n"
    found = highlight(code, language)
    assert "".join(text for text, _ in found) == code
    assert {role for _, role in found} <= {*ROLES, ""}
    assert len(found) > 1, "the lexers do not know this language"


@given(any_text, st.sampled_from(["python", "json", "diff", "console", "html", "c", "yaml", "no"]))
def test_highlighted_pieces_join_to_the_code(code: str, language: str) -> None:
    assert "".join(text for text, _ in highlight(code, language)) == code


@pytest.mark.parametrize(
    ("code", "language"),
    [("x = 1", "klingon"), ("x = 1", ""), ("x = 1\n" * 2_000, "python"), ("x" * 500, "python")],
)
def test_unknown_and_long_code_is_plain(code: str, language: str) -> None:
    assert highlight(code, language) == [(code, "")]
