"""The architecture page's table of packages and modules, generated from their docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["CHAT", "first_line", "modules_table"]

CHAT = Path(__file__).parents[1] / "chat"


def first_line(module: Path) -> str:
    """Return the first line of a module's docstring; empty if there is none."""
    doc = ast.get_docstring(ast.parse(module.read_text("utf-8")))
    return doc.split("\n", 1)[0] if doc else ""


def modules_table() -> str:
    """Return every package and its modules with the first lines of their docstrings."""
    rows = ["| module | what it holds |", "|---|---|"]
    for package in sorted(path.parent for path in CHAT.rglob("__init__.py")):
        name = package.relative_to(CHAT)
        if package != CHAT:
            rows.append(f"| **`{name.as_posix()}/`** | {first_line(package / '__init__.py')} |")
        if package.name == "versions":
            continue  # one module for each step, named by what it brings
        for module in sorted(package.glob("*.py")):
            if module.name != "__init__.py":
                path = module.relative_to(CHAT).as_posix()
                rows.append(f"| [`{path}`]({path}) | {first_line(module)} |")
    return "\n".join(rows)
