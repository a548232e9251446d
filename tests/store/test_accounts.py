"""Networks: which address a ban covers, and how a typed address is read."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from chat.store.accounts import Ban, BannedNetworks, network_of, networks_around
from chat.store.operations import AuditEntry, User

ALICE = User(1, "alice")


def ban(network: str, until: int | None = None, reason: str = "") -> Ban:
    return Ban(1, None, ip_network(network), 0, until, reason, None)


def entry(act: str, **details: str) -> AuditEntry:
    return AuditEntry(1, 5, act, ALICE, None, details=details)


@pytest.mark.parametrize(
    ("network", "address", "is_covered"),
    [
        ("192.0.2.7/32", "192.0.2.7", True),
        ("192.0.2.7/32", "192.0.2.8", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "::ffff:192.0.2.9", True),
        ("0.0.0.0/0", "203.0.113.5", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/64", "2001:db8::ffff", True),
        ("2001:db8::/64", "2001:db8:0:1::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "not an address", False),
    ],
)
def test_ban_covers_the_addresses_of_its_network(
    network: str, address: str, is_covered: bool
) -> None:
    found = BannedNetworks([ban(network)]).covering(address, now=0)
    assert (found is not None) == is_covered
    assert (network in networks_around(address)) == is_covered


def test_ban_ends_by_itself() -> None:
    banned = BannedNetworks([ban("192.0.2.0/24", until=100)])
    assert banned.covering("192.0.2.1", now=99)
    assert not banned.covering("192.0.2.1", now=100)


def test_of_several_bans_the_one_that_ends_last_is_returned() -> None:
    bans = [ban("192.0.2.0/24", 200), ban("192.0.2.1/32", 100), ban("192.0.0.0/16", 300)]
    found = BannedNetworks(bans).covering("192.0.2.1", now=0)
    assert found is not None
    assert found.until == 300


def test_audit_entries_add_and_remove_bans() -> None:
    banned = BannedNetworks()
    banned.apply(entry("banned", network="192.0.2.0/24", until="100", reason="spam"))
    banned.apply(entry("banned", network="192.0.2.0/24", until="200", reason="spam again"))
    banned.apply(entry("banned", until="100"))  # of an account
    banned.apply(entry("role", role="admin"))
    found = banned.covering("192.0.2.1", now=150)
    assert found == Ban(0, None, ip_network("192.0.2.0/24"), 5, 200, "spam again", ALICE)
    banned.apply(entry("unbanned", network="192.0.2.0/25"))
    assert banned.covering("192.0.2.1", now=150)
    for _ in range(2):
        banned.apply(entry("unbanned", network="192.0.2.0/24"))
        assert not banned


@pytest.mark.parametrize(
    ("typed", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.7/24 ", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("2001:db8::5", "2001:db8::/64"),
        ("2001:db8::5/128", "2001:db8::5/128"),
        ("::1", "::1/128"),
    ],
)
def test_typed_address_is_read_as_a_network(typed: str, network: str) -> None:
    assert network_of(typed) == ip_network(network)


@pytest.mark.parametrize("typed", ["", "alice", "192.0.2", "192.0.2.0/33", "2001:db8::/129"])
def test_other_text_is_not_a_network(typed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        network_of(typed)
