"""Every promise has tests that try to break it."""

from __future__ import annotations

from tests.promises import PROMISES, proofs


def test_every_promise_has_a_test() -> None:
    assert {proof.number for proof in proofs()} == set(PROMISES)


def test_every_proof_names_its_fault_and_result() -> None:
    silent = [proof.test for proof in proofs() if not (proof.fault and proof.result)]
    assert silent == []
