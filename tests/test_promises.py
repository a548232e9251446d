"""Every promise has tests that try to break it, and the newcomers' page lists them."""

from __future__ import annotations

from pathlib import Path

from tests.documents import assert_generated
from tests.promises import PROMISES, promises_table, proofs

PAGE = Path(__file__).parents[1] / "chat" / "README.md"


def test_every_promise_is_tried() -> None:
    assert {proof.number for proof in proofs()} == set(PROMISES)


def test_every_proof_says_what_it_does_and_what_must_be_seen() -> None:
    silent = [proof.test for proof in proofs() if not (proof.fault and proof.result)]
    assert silent == []


def test_the_page_lists_the_tests() -> None:
    assert_generated(PAGE, {"promises": promises_table()})
