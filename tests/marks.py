"""Marks of tests, from which documents are generated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Marked", "marked"]

TESTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Marked:
    """A marked test or test class; `path` is relative to `tests`."""

    path: str
    test: str
    args: tuple[Any, ...]
    words: dict[str, Any]


def marked(name: str) -> Iterator[Marked]:
    """Find everything with the mark `@pytest.mark.<name>(…)`, without importing tests."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{name}":
                    yield Marked(
                        path.relative_to(TESTS).as_posix(),
                        node.name,
                        tuple(map(ast.literal_eval, mark.args)),
                        {str(word.arg): ast.literal_eval(word.value) for word in mark.keywords},
                    )
