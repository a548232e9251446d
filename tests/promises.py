"""The promises of the software, and the tests that try to break them.

Such a test has a mark with the promise's number, the fault that it causes, and the expected result.
The table in `tests/README.md` is generated from these marks.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.marks import marked
from tests.tables import table

__all__ = ["PROMISES", "Proof", "promises_table", "proofs"]

PROMISES = {
    1: "`ok` to a `send` means that the message is on disk. It survives `kill -9` of the server, "
    "and a power cut.",
    2: "A message is stored once, however often and from whichever device it is sent again.",
    3: "Every follower gets the same numbers and kinds in the same order, without holes or "
    "duplicates; followers at the same head have the same state.",
    4: "The client never loses typed text: it stays on disk until the server has confirmed it or "
    "the user discards it.",
    5: "A slow, hostile or broken client does not slow down the others.",
    6: "No byte from a peer or a server can control the terminal.",
    7: "Nobody can read, by any path, what they have no access to.",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that tries to break promise `number` by `fault`, and expects `result`."""

    number: int
    fault: str
    result: str
    path: str
    test: str


def proofs() -> list[Proof]:
    """Return the proofs of all tests, ordered by promise."""
    found = [
        Proof(each.args[0], each.words["fault"], each.words["result"], each.path, each.test)
        for each in marked("promise")
    ]
    return sorted(found, key=lambda proof: proof.number)


def promises_table() -> str:
    """Return the table of promises: faults, tests and results; each promise is written once."""
    numbers = [proof.number for proof in proofs()]
    rows = [
        (
            "" if proof.number == before else f"{proof.number}. {PROMISES[proof.number]}",
            proof.fault,
            f"[`{proof.test}`]({proof.path})",
            proof.result,
        )
        for before, proof in zip([0, *numbers], proofs(), strict=False)
    ]
    return table(("promise", "fault", "test", "result"), rows)
