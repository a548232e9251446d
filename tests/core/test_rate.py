"""The token bucket: how much passes, how long a refusal lasts."""

from hypothesis import given
from hypothesis import strategies as st

from chat.core.rate import Bucket


def test_a_full_bucket_passes_its_burst_and_then_refuses() -> None:
    bucket = Bucket(rate=2.0, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0) == 0.5


def test_after_the_told_wait_the_next_one_passes() -> None:
    bucket = Bucket(rate=4.0, burst=1, now=0.0)
    assert bucket.take(0.0) == 0.0
    wait = bucket.take(0.0)
    assert bucket.take(wait) == 0.0


def test_overruns_count_refusals_in_a_row() -> None:
    bucket = Bucket(rate=1.0, burst=1, now=0.0)
    bucket.take(0.0)
    bucket.take(0.0)
    bucket.take(0.0)
    assert bucket.overruns == 2
    bucket.take(10.0)
    assert bucket.overruns == 0


@given(
    rate=st.floats(0.5, 100),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 2), max_size=100),
)
def test_never_more_than_the_burst_plus_what_came_back(
    rate: float, burst: int, steps: list[float]
) -> None:
    bucket = Bucket(rate, burst, now=0.0)
    now, passed = 0.0, 0
    for step in steps:
        now += step
        passed += bucket.take(now) == 0.0
    assert passed <= burst + now * rate + 1e-6
