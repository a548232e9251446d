"""Documents with generated parts, each between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["assert_generated", "refreshed"]


def assert_generated(page: Path, parts: Mapping[str, str]) -> None:
    """Check that the page's parts are those of the code; with `CHAT_UPDATE_DOCS=1` write them."""
    text = page.read_text("utf-8")
    if os.environ.get("CHAT_UPDATE_DOCS") == "1":
        text = refreshed(text, parts)
        page.write_text(text, "utf-8")
    assert text == refreshed(text, parts), (
        f"{page.name}: run this test with CHAT_UPDATE_DOCS=1 and look at what it wrote"
    )


def refreshed(text: str, parts: Mapping[str, str]) -> str:
    """Return `text` with its parts as they are now.

    Raises:
        ValueError: a part has no place.
    """
    for name, part in parts.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _old, end, after = rest.partition(f"<!-- /{name} -->")
        if not (begin and end):
            raise ValueError(f"the page has no place marked {name!r}")
        text = before + begin + part.rstrip("\n") + "\n" + end + after
    return text
