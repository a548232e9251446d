"""Import layers: the contracts of `pyproject.toml`, checked by import-linter."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_every_contract_is_kept() -> None:
    linted = lint_imports(ROOT)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert " 0 broken" in linted.stdout


def test_every_folder_is_a_package_or_the_linter_does_not_see_it() -> None:
    folders = {path.parent for path in (ROOT / "chat").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("chat/protocol/codec.py", "chat.store"),
        ("chat/rate.py", "chat.store"),
        ("chat/rate.py", "asyncio"),
        ("chat/client/model/state.py", "chat.server"),
        ("chat/client/model/state.py", "asyncio"),
        ("chat/client/model/state.py", "sqlite3"),
        ("chat/client/model/slash/parser.py", "textual"),
        ("chat/client/presenter/view.py", "chat.client.tui"),
        ("chat/client/presenter/view.py", "chat.client.plain"),
        ("chat/client/plain/view.py", "chat.client.tui"),
        ("chat/client/tui/app.py", "chat.client.plain"),
        ("chat/server/channels/live.py", "websockets"),
        ("chat/server/channels/live.py", "sqlalchemy"),
        ("chat/server/channels/live.py", "chat.client"),
    ],
)
def test_an_import_against_the_rules_is_found(tmp_path: Path, module: str, forbidden: str) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"), "utf-8")
    for source in (ROOT / "chat").rglob("*.py"):
        copy = tmp_path / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text("utf-8"), "utf-8")
    culprit = tmp_path / module
    culprit.write_text(f"{culprit.read_text('utf-8')}\nimport {forbidden}\n", "utf-8")
    linted = lint_imports(tmp_path)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert " 0 broken" not in linted.stdout
