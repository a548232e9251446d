"""Lines above a message: read from the cache, across gaps, and no more than needed."""

from __future__ import annotations

import pytest

from chat.client.model.channel import Channel
from chat.client.model.coverage import Coverage
from chat.client.model.state import Message
from chat.client.storage.account import Account
from chat.client.sync.engine import ABOVE, lines_down_to


@pytest.fixture
def channel(account: Account) -> Channel:
    """Return a channel with seqs 1–2500 and 2600–2900 cached, shown from 2801 on."""
    channel = account.ensure_channel("#tea")
    channel.view.coverage = Coverage([(1, 2500), (2600, 2900)])
    channel.view.position, channel.shown_from = 2900, 2801
    for first, last in channel.view.coverage.spans:
        for seq in range(first, last + 1):
            channel.view.changed[seq] = Message("#tea", seq, None, "bob", seq)
    return channel


def test_lines_down_to_returns_lines_from_above_the_target_in_order(
    account: Account, channel: Channel
) -> None:
    lines, lowest = lines_down_to(account, channel, 200)
    assert lowest == 200 - ABOVE + 1
    assert [line.seq for line in lines] == [*range(lowest, 2501), *range(2600, 2801)]


@pytest.mark.parametrize("seq", [2850, 2550, 9_000])
def test_lines_down_to_returns_nothing_for_shown_or_unknown_lines(
    account: Account, channel: Channel, seq: int
) -> None:
    assert lines_down_to(account, channel, seq) == ([], 2801)
