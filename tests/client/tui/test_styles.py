"""Each widget's own style sheet applies to it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from textual.dom import DOMNode

from chat.client import tui


def styled() -> list[type[DOMNode]]:
    """Return the classes of the client that have a style sheet of their own."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(tui.__path__, f"{tui.__name__}.")
    ]
    return [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, DOMNode)
        and found.__module__ == module.__name__
        and vars(found).get("DEFAULT_CSS")
    ]


@pytest.mark.parametrize("widget", styled(), ids=lambda widget: widget.__name__)
def test_a_default_style_sheet_names_the_class_that_it_styles(widget: type[DOMNode]) -> None:
    assert widget.DEFAULT_CSS.split(maxsplit=1)[0].rstrip(",") == widget.__name__
