"""The app: imports before its first screen, the stored theme, quitting, and internal errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.tui.app import ChatApp
from tests.client.presenter.fakes import FakeCore
from tests.client.tui.conftest import Desktop

NOT_FOR_A_START = (
    *("sqlalchemy", "alembic", "uvloop", "chat.server", "chat.store", "chat.core"),
    *("chat.client.pipes", "chat.client.plain", "chat.client.demo", "chat.client.tui.composer.vi."),
    *("pygments", "chat.client.tui.screens.help", "chat.client.tui.screens.search"),
    *(
        "pydantic",
        "pydantic_settings",
        "websockets",
        "chat.client.sync.online",
        "chat.protocol.values",
    ),
    *("markdown_it", "rich.markdown", "textual.widgets._markdown", "tree_sitter"),
)
LOADED = """
import sys
import chat.client.cli, chat.client.tui.app, chat.client.tui.terminal.driver
print(*sys.modules)
"""


def test_the_start_imports_only_modules_for_the_first_screen() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, encoding="utf-8"
    )
    loaded = run.stdout.split()
    assert "textual.app" in loaded
    found = [name for name in loaded if name.startswith(NOT_FOR_A_START)]
    assert not found, found


async def test_the_theme_changes_and_is_remembered(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/theme light")
    await desktop.until(lambda: desktop.core.prefs.get("theme") == "chat-light")
    assert not desktop.app.current_theme.dark
    desktop.main.conversation.run_command("/theme nonsense")
    await desktop.until(lambda: desktop.notices)
    assert "no theme" in desktop.notices[0]


async def test_quit_ends_the_program(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/quit")
    await desktop.until(lambda: not desktop.app.is_running)


class FailingApp(ChatApp):
    """An app that fails as soon as it is ready, with a secret in a local variable."""

    def on_ready(self) -> None:
        def answered(secret: str) -> None:
            assert secret
            raise RuntimeError("a mistake in the program")

        answered("-".join(("correct", "horse")))


async def test_an_internal_error_prints_no_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = FailingApp(ClientSettings(name="me"), make_core=FakeCore)
    with pytest.raises(RuntimeError, match="a mistake"):
        async with app.run_test():
            pass
    printed = capsys.readouterr().err
    assert "a mistake in the program" in printed
    assert "correct-horse" not in printed
