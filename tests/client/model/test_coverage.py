"""Coverage: the ranges of a log that the client has completely."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.coverage import Coverage

SPANS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=8)


@given(SPANS)
def test_coverage_behaves_like_a_set_of_seqs(spans: list[tuple[int, int]]) -> None:
    coverage = Coverage(spans)
    expected = {n for first, last in spans for n in range(first, last + 1)}
    assert {n for n in range(32) if coverage.around(n)} == expected
    for (_, last), (first, _) in zip(coverage.spans, coverage.spans[1:], strict=False):
        assert last + 1 < first
    assert coverage.gaps_from(1) == tuple(first for first, _ in coverage.spans if first > 1)
