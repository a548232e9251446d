"""The README is short, and links to the other documents."""

from __future__ import annotations

from tests.test_repository import ROOT

README = ROOT / "README.md"


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_the_readme_links_to_every_page_of_the_manual() -> None:
    text = README.read_text("utf-8")
    pages = sorted(path.name for path in (ROOT / "chat" / "docs").glob("*.md"))
    assert [page for page in pages if f"](chat/docs/{page})" not in text] == []
