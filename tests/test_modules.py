"""The newcomers' page lists every module, and every module says what it holds."""

from __future__ import annotations

from tests.documents import assert_generated
from tests.modules import CHAT, first_line, modules_table


def test_every_module_says_what_it_holds_in_one_line() -> None:
    wrong = [
        module.relative_to(CHAT).as_posix()
        for module in CHAT.rglob("*.py")
        if not first_line(module).endswith((".", "?"))
    ]
    assert wrong == []


def test_the_page_lists_every_module() -> None:
    assert_generated(CHAT / "README.md", {"modules": modules_table()})
