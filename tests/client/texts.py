"""Unusual texts for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["NASTY", "any_text"]

NASTY = [
    "\x1b[31m", "\x1b]52;c;aGk=\x07", "\x9b2J", "\u202e", "\u2066", "\ud800", "\udfff", "\x00",
    "\r", "\u200d", "a\u200db", "\ufe0f", "\U0001f3fd", "a\U0001f3fd", "e\u0301", "\u0301" * 20,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f1e9",
    "\u6f22\u5b57", "\ud55c\uad6d", "\t", "\n", " ", "  ", "`", "```", "```python\n", "*", "**",
    "_", "~~", "> ", "- ", "[a](https://x.y)", "[", "](", "https://", "@bob", "#dev", "\\",
    "&#27;", "\xa0", "[bold]", "[@click=app.quit]x[/]",
]  # fmt: skip
any_text = st.lists(
    st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=()), max_size=12)),
    max_size=12,
).map("".join)
"""Any text: also lone surrogates, escape sequences, and halves of emoji."""
