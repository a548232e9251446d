"""Every module has a docstring that says what it contains."""

from __future__ import annotations

from tests.modules import CHAT, first_line


def test_every_module_has_a_one_line_description() -> None:
    wrong = [
        module.relative_to(CHAT).as_posix()
        for module in CHAT.rglob("*.py")
        if not first_line(module).endswith((".", "?"))
    ]
    assert wrong == []
