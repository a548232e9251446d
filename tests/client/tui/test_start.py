"""What the program loads before it shows anything: a module costs half a millisecond."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_start_imports_only_what_the_first_screen_needs() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, encoding="utf-8"
    )
    loaded = run.stdout.split()
    assert "textual.app" in loaded
    found = [name for name in loaded if name.startswith(NOT_FOR_A_START)]
    assert not found, found
