"""Every module says what it holds."""

from __future__ import annotations

from tests.modules import CHAT, first_line


def test_every_module_says_what_it_holds_in_one_line() -> None:
    wrong = [
        module.relative_to(CHAT).as_posix()
        for module in CHAT.rglob("*.py")
        if not first_line(module).endswith((".", "?"))
    ]
    assert wrong == []
