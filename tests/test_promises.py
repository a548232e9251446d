"""Every promise has tests that try to break it."""

from __future__ import annotations

from tests.promises import PROMISES, proofs


def test_every_promise_is_tried() -> None:
    assert {proof.number for proof in proofs()} == set(PROMISES)


def test_every_proof_says_what_it_does_and_what_must_be_seen() -> None:
    silent = [proof.test for proof in proofs() if not (proof.fault and proof.result)]
    assert silent == []
