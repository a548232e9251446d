"""An account's file stays within its bound, and loses nothing that a person typed."""

from __future__ import annotations

from pathlib import Path

from chat.client.storage.account import Account
from chat.client.storage.outbox import new_row
from tests.client.fake_log import FakeLog


def test_a_file_that_grows_too_large_loses_lines_and_nothing_typed(tmp_path: Path) -> None:
    account = Account(
        tmp_path / "a.db",
        "me",
        changed=lambda: None,
        trouble=lambda _: None,
        damaged=lambda: None,
        file_max=500_000,
    )
    account.outbox.add(new_row({"type": "send", "channel": "#small", "text": "unsent"}))
    small, large = FakeLog("#small"), FakeLog("#large")
    small.append("bob", text="kept")
    for log in (small, large):
        channel = account.followed(log.channel)
        channel.is_member = True
        channel.view.apply_joined(log.joined("me"))
        account.touch(channel)
    account.flush()
    for _ in range(300):
        channel.view.apply_event(large.append("bob", text="x" * 8_000))
        account.touch(channel)
        account.flush()
        if "#large" in account.take_begun_elsewhere():
            break
    else:
        raise AssertionError("the file grows without bound")
    account.refresh(channel)
    assert channel.view.resume is None, "it is read anew"
    account.close()
    again = Account(
        tmp_path / "a.db", "me", changed=lambda: None, trouble=print, damaged=lambda: None
    )
    assert [row.channel for row in again.outbox.all()] == ["#small"]
    assert [line.text for line in again.lines_before(again.followed("#small"), 2, 5)[0]] == ["kept"]
    assert again.followed("#large").view.resume is None
    again.close()
