"""Token buckets and budgets: admitted amounts, the length of a refusal, and the charged user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.rate import BUCKETS_MAX, OVERRUNS_MAX, PIECE, Budget, Budgets, TokenBucket, TokenBuckets


def test_a_full_bucket_passes_its_burst_and_then_refuses() -> None:
    bucket = TokenBucket(rate=2.0, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0) == 0.5


def test_frame_passes_after_the_returned_wait() -> None:
    bucket = TokenBucket(rate=4.0, burst=1, now=0.0)
    assert bucket.take(0.0) == 0.0
    wait = bucket.take(0.0)
    assert bucket.take(wait) == 0.0


def test_changed_buckets_are_full_and_unchanged_ones_stay() -> None:
    buckets = TokenBuckets(rate=0.1, burst=1)
    assert buckets.take("alice", 0.0) == 0.0
    buckets.change(0.1, 1)
    assert buckets.take("alice", 0.0) > 0.0
    buckets.change(2.0, 2)
    assert [buckets.take("alice", 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_budgets_use_changed_limits() -> None:
    budgets = Budgets(rate=1.0, burst=1, people=1)
    budgets.change(rate=2.0, burst=2, people=2)
    budget = budgets.of_person("alice", "192.0.2.7", 0.0)
    assert [budget.spend(1, 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    others = [budgets.of_person(name, "192.0.2.7", 0.0) for name in ("bob", "carol")]
    assert [each.spend(1, 0.0) for each in others] == [0.0, 0.0]
    assert others[0].spend(1, 0.0) > 0, "the address has room for four frames"


def test_overruns_count_refusals_in_a_row() -> None:
    bucket = TokenBucket(rate=1.0, burst=1, now=0.0)
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
def test_bucket_passes_at_most_the_burst_plus_the_refill(
    rate: float, burst: int, steps: list[float]
) -> None:
    bucket = TokenBucket(rate, burst, now=0.0)
    now, passed = 0.0, 0
    for step in steps:
        now += step
        passed += bucket.take(now) == 0.0
    assert passed <= burst + now * rate + 1e-6


def test_frame_that_costs_more_than_the_balance_passes_and_leaves_a_debt() -> None:
    bucket = TokenBucket(rate=2.0, burst=10, now=0.0)
    for _ in range(9):
        bucket.take(0.0)
    assert bucket.take(0.0, cost=5) == 0.0
    assert bucket.take(0.0) == 2.5


def test_a_frame_never_costs_more_than_a_full_bucket() -> None:
    bucket = TokenBucket(rate=1.0, burst=4, now=0.0)
    assert bucket.take(0.0, cost=4_000) == 0.0
    assert bucket.take(0.0) == 1.0
    bucket.pay(4_000)
    assert bucket.take(0.0) == 5.0


def test_a_long_pause_fills_the_bucket_and_no_more() -> None:
    bucket = TokenBucket(rate=1.0, burst=2, now=0.0)
    assert [bucket.take(1_000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_buckets_are_found_again_by_their_key() -> None:
    buckets = TokenBuckets(rate=1.0, burst=1)
    assert buckets.of("alice", 0.0).take(0.0) == 0.0
    assert buckets.of("bob", 0.0).take(0.0) == 0.0
    assert buckets.of("alice", 0.5).take(0.5) == 0.5


def test_buckets_evict_the_least_recently_used_key() -> None:
    buckets = TokenBuckets(rate=1.0, burst=1)
    for number in range(BUCKETS_MAX):
        buckets.of(number, 0.0).take(0.0)
    buckets.of(0, 0.0)
    buckets.of("new", 0.0)
    assert len(buckets) == BUCKETS_MAX
    assert buckets.of(0, 0.0).take(0.0) > 0, "it was used, and is remembered"
    assert buckets.of(1, 0.0).take(0.0) == 0.0, "it was forgotten, and is full"


class TestBudgets:
    def stranger(self, source: str | None = None, *, people: int = 100) -> Budget:
        return Budgets(rate=10, burst=20, people=people).of_connection(source, 0.0)

    def passing(self, budget: Budget, now: float = 0.0, size: int = 1) -> int:
        passed = 0
        while not budget.spend(size, now):
            passed += 1
        return passed

    @pytest.mark.parametrize(
        ("size", "passing"), [(0, 20), (PIECE - 1, 20), (PIECE, 10), (10 * PIECE, 2), (1 << 24, 1)]
    )
    def test_large_frames_cost_more(self, size: int, passing: int) -> None:
        assert self.passing(self.stranger(), size=size) == passing

    def test_raw_endpoints_have_a_higher_rate_limit(self) -> None:
        budget = Budgets(rate=10, burst=20, people=1).of_connection(None, 0.0, times=10)
        assert self.passing(budget) == 200

    def test_sessions_of_a_person_share_a_budget(self) -> None:
        budgets = Budgets(rate=10, burst=20, people=100)
        sessions = [budgets.of_person("alice", None, 0.0) for _ in range(50)]
        assert sum(map(self.passing, sessions)) == 20
        assert self.passing(budgets.of_person("bob", None, 0.0)) == 20

    def test_reconnecting_session_keeps_its_budget(self) -> None:
        budgets = Budgets(rate=10, burst=20, people=100)
        self.passing(budgets.of_person("alice", None, 0.0))
        assert self.passing(budgets.of_person("alice", None, 1.0), now=1.0) == 10

    def test_budget_of_an_address_is_that_of_several_people(self) -> None:
        budgets = Budgets(rate=10, burst=20, people=3)
        people = [budgets.of_person(f"user{number}", "192.0.2.7", 0.0) for number in range(10)]
        assert sum(map(self.passing, people)) == 60
        assert self.passing(budgets.of_person("elsewhere", "192.0.2.8", 0.0)) == 20
        assert self.passing(budgets.of_person("exempt", None, 0.0)) == 20

    def test_frame_refused_by_one_bucket_is_charged_to_none(self) -> None:
        budgets = Budgets(rate=10, burst=20, people=1)
        alice = budgets.of_person("alice", "192.0.2.7", 0.0)
        bob = budgets.of_person("bob", "192.0.2.7", 0.0)
        assert self.passing(alice) == 20
        assert self.passing(bob) == 0
        assert self.passing(budgets.of_person("bob", None, 0.0)) == 20

    def test_each_refused_frame_gets_its_own_retry_time(self) -> None:
        budget = self.stranger()
        self.passing(budget)  # the last of these was refused as well
        waits = [budget.spend(1, 0.0) for _ in range(4)]
        assert waits == pytest.approx([0.2, 0.3, 0.4, 0.5])
        assert not budget.spend(1, 0.15), "its time had come"
        assert budget.spend(1, 0.15) == pytest.approx(0.45), "the others keep theirs"

    def test_charge_may_overdraw_the_budget(self) -> None:
        budget = self.stranger()
        assert [budget.charge(1, 0.0) for _ in range(19)] == [0.0] * 19
        assert budget.charge(1, 0.0) == pytest.approx(0.1)
        assert budget.charge(1, 0.0) == pytest.approx(0.2)
        assert budget.spend(1, 0.0) == pytest.approx(0.2)

    def test_frame_is_refused_if_any_part_of_a_token_is_missing(self) -> None:
        budget, now = self.stranger(), 1_000_000 + 1 / 3
        assert [budget.spend(1, now) for _ in range(20)] == [0.0] * 20
        soon = now + 0.1
        assert (soon - now) * 10 < 1, "less than a token, by less than the clock can tell"
        assert [budget.spend(1, soon) > 0.0 for _ in range(3)] == [True] * 3

    @given(
        steps=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([1, PIECE, 5 * PIECE]))),
        people=st.integers(1, 3),
    )
    def test_peers_never_exceed_their_own_or_their_addresss_budget(
        self, steps: list[tuple[float, int]], people: int
    ) -> None:
        budgets = Budgets(rate=10, burst=20, people=people)
        peers = [budgets.of_person(f"user{number}", "192.0.2.7", 0.0) for number in range(4)]
        paid = [0] * len(peers)
        debt = 6  # what the last and largest frame may cost beyond what is there
        now = 0.0
        for step, size in steps:
            now += step
            for number, peer in enumerate(peers):
                while not peer.spend(size, now):
                    paid[number] += 1 + size // PIECE
            assert max(paid) < 20 + 10 * now + debt
            assert sum(paid) < people * (20 + 10 * now) + debt

    def refused_until_closed(self, pace: float, seconds: float) -> int | None:
        """Send `pace` frames a second; return how many were refused until the end, if it came."""
        budget, refused = self.stranger(), 0
        for number in range(int(pace * seconds)):
            now = number / pace
            if budget.spend(1, now):
                refused += 1
                if budget.is_overrun(1, now):
                    return refused
        return None

    @pytest.mark.parametrize("pace", [30.0, 100.0, 3_000.0])
    def test_peer_that_ignores_refusals_is_closed_even_if_some_frames_pass(
        self, pace: float
    ) -> None:
        refused = self.refused_until_closed(pace, seconds=60)
        assert refused is not None
        assert refused < 4 * OVERRUNS_MAX * 20

    def test_peer_that_waits_for_retry_after_is_never_closed(self) -> None:
        budget, now = self.stranger(), 0.0
        for _ in range(10_000):
            if wait := budget.spend(1, now):
                assert not budget.is_overrun(1, now)
                now += wait

    @given(
        stalls=st.lists(st.floats(0, 20), max_size=200),
        crowd=st.sampled_from([(100, 1), (50, PIECE), (16, 5 * PIECE)]),
    )
    def test_peer_that_waits_for_retry_after_may_send_late_and_in_a_burst(
        self, stalls: list[float], crowd: tuple[int, int]
    ) -> None:
        (frames, size), budget, now = crowd, self.stranger(), 0.0
        due = [0.0] * frames
        for stall in stalls:
            now = max(now, min(due)) + stall
            come, due = [at for at in due if at <= now], [at for at in due if at > now]
            for _ in come:
                wait = budget.spend(size, now)
                assert not (wait and budget.is_overrun(size, now))
                due.append(now + wait)  # after one that passed, the next one follows at once

    @given(paces=st.lists(st.sampled_from([0, 1, 5, 10, 50, 500]), max_size=60))
    def test_flood_is_closed_after_a_bounded_number_of_refusals(self, paces: list[int]) -> None:
        """Refusals are bounded by the refill of the bucket, at any pace of the peer."""
        budget, refused = self.stranger(), 0
        for second, pace in enumerate(paces):
            for number in range(pace):
                now = second + number / 500
                if budget.spend(1, now):
                    refused += 1
                    if budget.is_overrun(1, now):
                        return
            assert refused <= OVERRUNS_MAX * 20 + (10 + 1) * (second + 1)

    def test_short_burst_of_refusals_expires(self) -> None:
        budget, now = self.stranger(), 0.0
        for _ in range(50):
            for _ in range(40):
                if budget.spend(1, now):
                    assert not budget.is_overrun(1, now)
            now += 60
