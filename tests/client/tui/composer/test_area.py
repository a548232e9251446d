"""Readline's editing keys in the composer: words, lines, kill ring, undo and redo."""

from __future__ import annotations

import pytest

from tests.client.tui.writing import Harness


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["ctrl+a", "x"], "one two\nxthree four"),
        (["end", "x"], "one two\nthree fourx"),
        (["alt+b", "x"], "one two\nthree xfour"),
        (["alt+b", "alt+b", "alt+f", "x"], "one two\nthreex four"),
        (["ctrl+w"], "one two\nthree "),
        (["alt+backspace"], "one two\nthree "),
        (["ctrl+u"], "one two\n"),
        (["ctrl+u", "ctrl+u"], "one two"),
        (["ctrl+a", "alt+d"], "one two\n four"),
        (["ctrl+a", "ctrl+shift+k"], "one two\n"),
        (["ctrl+a", "alt+shift+k", "ctrl+y", "ctrl+y"], "one two\nthree fourthree four"),
        (["ctrl+w", "ctrl+w", "ctrl+y"], "one two\nthree four"),
        (["ctrl+a", "alt+d", "alt+d", "end", "ctrl+y"], "one two\nthree four"),
        (["ctrl+w", "x", "ctrl+w", "ctrl+y"], "one two\nthree x"),
        (["ctrl+t"], "one two\nthree foru"),
        (["left", "ctrl+t"], "one two\nthree foru"),
        (["left", "left", "ctrl+t", "x"], "one two\nthree fuoxr"),
        (["ctrl+w", "ctrl+z"], "one two\nthree four"),
        (["ctrl+w", "ctrl+underscore"], "one two\nthree four"),
        (["ctrl+w", "ctrl+z", "alt+z"], "one two\nthree "),
        (["shift+left", "shift+left", "ctrl+w", "ctrl+y"], "one two\nthree four"),
    ],
)
@pytest.mark.feature("writing.editing")
async def test_shell_keys_edit_the_text(keys: list[str], text: str) -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.composer.load("one two\nthree four")
        await pilot.press(*keys)
        assert app.composer.text == text
