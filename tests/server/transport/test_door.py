"""Who may connect: places, pace, and what counts as one address."""

from collections.abc import Sequence

import pytest

from chat.rate import BUCKETS_MAX
from chat.server.transport.limits import TOLD_MAX, ConnectionLimiter, network, source_of


def door(
    *,
    total: int = 1_000,
    each: int = 3,
    rate: float = 1.0,
    burst: int = 1_000,
    exempt: str = "",
    proxies: Sequence[str] = (),
) -> ConnectionLimiter:
    networks = [network(exempt)] if exempt else []
    return ConnectionLimiter(
        total=total,
        each=each,
        rate=rate,
        burst=burst,
        exempt=networks,
        proxies=[network(proxy) for proxy in proxies],
    )


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_subnet_counts_as_one_source_and_a_mapped_address_as_itself(
    address: str, source: str
) -> None:
    assert source_of(address) == source


def test_one_address_holds_only_so_many_and_a_place_that_becomes_free_can_be_taken() -> None:
    entrance = door(each=3)
    assert [entrance.arrive("192.0.2.7", 0) for _ in range(3)] == [None] * 3
    refusal = entrance.arrive("192.0.2.7", 0)
    assert refusal is not None
    assert "3 connections" in refusal.reason
    assert entrance.arrive("192.0.2.8", 0) is None, "another address is not held up"
    entrance.depart("192.0.2.7")  # the one that was refused and told
    entrance.depart("192.0.2.7")
    assert entrance.arrive("192.0.2.7", 0) is None


def test_addresses_of_one_ipv6_subnet_share_their_places() -> None:
    entrance = door(each=2)
    assert entrance.arrive("2001:db8::1", 0) is None
    assert entrance.arrive("2001:db8::2", 0) is None
    assert entrance.arrive("2001:db8::3", 0) is not None
    assert entrance.arrive("2001:db8:0:1::1", 0) is None


def test_the_first_refused_are_told_why_and_the_rest_are_cut_without_being_counted() -> None:
    entrance = door(each=1)
    entrance.arrive("192.0.2.7", 0)
    refusals = [entrance.arrive("192.0.2.7", 0) for _ in range(100)]
    assert [bool(refusal and refusal.is_told) for refusal in refusals] == (
        [True] * TOLD_MAX + [False] * (100 - TOLD_MAX)
    )
    assert entrance.connections == 1 + TOLD_MAX


def test_connecting_too_often_is_refused_until_time_has_passed() -> None:
    entrance = door(each=1_000, rate=2.0, burst=5)
    assert [entrance.arrive("192.0.2.7", 0) for _ in range(5)] == [None] * 5
    refusal = entrance.arrive("192.0.2.7", 0)
    assert refusal is not None
    assert "too often" in refusal.reason
    assert entrance.arrive("192.0.2.7", 0.5) is None


def test_the_total_holds_for_all_and_exempt_addresses_know_no_other_bound() -> None:
    entrance = door(total=10, each=1, burst=1, exempt="127.0.0.0/8")
    assert [entrance.arrive("127.0.0.1", 0) for _ in range(10)] == [None] * 10
    refusal = entrance.arrive("127.0.0.1", 0)
    assert refusal is not None
    assert "as it can hold" in refusal.reason


def test_every_reason_fits_into_a_close_frame() -> None:
    entrances = door(total=0), door(each=10_000, burst=10_001), door(burst=1)
    for entrance in entrances:
        while (refusal := entrance.arrive("2001:db8::1", 0)) is None:
            pass
        room_for_digits = len("1,000,000,000") - len("10,000")
        assert len(refusal.reason.encode()) + room_for_digits <= 123


def test_memory_is_bounded_however_many_addresses_come_and_go() -> None:
    entrance = door()
    for number in range(BUCKETS_MAX + 1_000):
        address = f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
        assert entrance.arrive(address, 0) is None
        entrance.depart(address)
    assert entrance.connections == 0
    assert entrance.remembered == BUCKETS_MAX


def test_what_is_neither_an_address_nor_a_network_is_refused() -> None:
    with pytest.raises(ValueError, match="example"):
        network("example")


class TestProxies:
    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            (["203.0.113.5"], "203.0.113.5"),
            (["198.51.100.1, 203.0.113.5"], "203.0.113.5"),
            (["198.51.100.1", "203.0.113.5"], "203.0.113.5"),
            (["203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            (["203.0.113.5,10.0.0.3 ,10.0.0.2"], "203.0.113.5"),
            (["10.0.0.4, 10.0.0.2"], "10.0.0.4"),
            (["203.0.113.5:4711"], "203.0.113.5"),
            (["2001:db8::7"], "2001:db8::7"),
            (["[2001:db8::7]:4711"], "2001:db8::7"),
            (["::ffff:203.0.113.5"], "203.0.113.5"),
            (["203.0.113.5, unknown"], "10.0.0.1"),
            (["203.0.113.5, nobody, 10.0.0.2"], "10.0.0.2"),
            ([""], "10.0.0.1"),
            ([], "10.0.0.1"),
        ],
    )
    def test_the_last_hop_that_is_no_declared_proxy_is_whose_connection_it_is(
        self, forwarded: list[str], address: str
    ) -> None:
        assert door(proxies=["10.0.0.0/8"]).behind("10.0.0.1", forwarded) == address

    def test_a_proxy_holds_as_many_as_it_passes_on_and_they_count_by_their_own_addresses(
        self,
    ) -> None:
        entrance = door(each=2, proxies=["10.0.0.1"])
        for number in range(10):
            assert entrance.arrive("10.0.0.1", 0) is None
            assert entrance.move("10.0.0.1", f"203.0.113.{number // 2}", 0) is None
        assert entrance.arrive("10.0.0.1", 0) is None
        refusal = entrance.move("10.0.0.1", "203.0.113.0", 0)
        assert refusal is not None
        assert "2 connections" in refusal.reason
        entrance.depart("203.0.113.0")
        assert entrance.connections == 10

    def test_only_an_exempt_address_without_a_proxy_has_no_limits(self) -> None:
        entrance = door(exempt="127.0.0.0/8")
        assert entrance.source("127.0.0.1", is_passed_on=False) is None
        assert entrance.source("127.0.0.1", is_passed_on=True) == "127.0.0.1"
        assert entrance.source("192.0.2.7", is_passed_on=False) == "192.0.2.7"
