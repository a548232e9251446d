"""Which tests try to break which promise, as the tests themselves say.

A test that tries to break a promise carries a mark: the promise's number, the fault it makes, and
what must be seen then. The table in `tests/README.md` is made of these marks.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.marks import marked

__all__ = ["PROMISES", "Proof", "promises_table", "proofs"]

PROMISES = {
    1: "`ok` to a send means: on disk. It survives `kill -9` of the server, and a power cut.",
    2: "A message is stored once, however often it is retried, and by whichever device.",
    3: "Every follower gets the same numbers and kinds in the same order, no hole, no duplicate; "
    "followers at the same head hold the same state.",
    4: "What a person typed is never lost by the client: it waits on disk until the server has "
    "confirmed it, or the person discards it.",
    5: "One slow, hostile or broken client costs the others nothing.",
    6: "No byte that a peer or a server sends can drive the terminal.",
    7: "What a person may not read, no path gives them.",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """One test that tries to break promise `number`, by `fault`; what must be seen is `result`."""

    number: int
    fault: str
    result: str
    path: str
    test: str


def proofs() -> list[Proof]:
    """Return what all tests say of themselves, by promise."""
    found = [
        Proof(each.args[0], each.words["fault"], each.words["result"], each.path, each.test)
        for each in marked("promise")
    ]
    return sorted(found, key=lambda proof: proof.number)


def promises_table() -> str:
    """Return the table of promises, the faults they were tried with, and the tests that do it."""
    lines = ["| promise | fault | test | result |", "|---|---|---|---|"]
    told: set[int] = set()
    for proof in proofs():
        promise = "" if proof.number in told else f"{proof.number}. {PROMISES[proof.number]}"
        told.add(proof.number)
        link = f"[`{proof.test}`]({proof.path})"
        lines.append(f"| {promise} | {proof.fault} | {link} | {proof.result} |")
    return "\n".join(lines)
