"""The files of an account stay within their limit and lose no messages or drafts."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from chat.client.storage.account import Account
from chat.client.storage.outbox import new_row
from chat.client.storage.outbox_db import OutboxDb
from tests.client.fake_log import FakeLog


def test_a_cache_over_its_limit_drops_lines_but_no_drafts_or_messages(tmp_path: Path) -> None:
    account = Account(
        tmp_path / "a",
        "me",
        changed=lambda: None,
        report=lambda _: None,
        file_max=500_000,
    )
    account.outbox.add(new_row({"type": "send", "channel": "#small", "text": "unsent"}))
    small, large = FakeLog("#small"), FakeLog("#large")
    small.append("bob", text="kept")
    for log in (small, large):
        channel = account.ensure_channel(log.channel)
        channel.is_member = True
        channel.view.apply_joined(log.joined("me"))
        account.touch(channel)
    account.flush()
    for _ in range(300):
        channel.view.apply_event(large.append("bob", text="x" * 8_000))
        account.touch(channel)
        account.flush()
        if "#large" in account.take_reset_channels():
            break
    else:
        raise AssertionError("the file grows without bound")
    assert channel.view.resume is None, "it is read anew"
    account.close()
    again = Account(tmp_path / "a", "me", changed=lambda: None, report=print)
    assert [row.channel for row in again.outbox.all()] == ["#small"]
    assert [line.text for line in again.lines_before(again.ensure_channel("#small"), 2, 5)[0]] == [
        "kept"
    ]
    assert again.ensure_channel("#large").view.resume is None
    again.close()


def test_texts_survive_a_deleted_folder_that_cannot_be_created_again(account: Account) -> None:
    typed = [new_row({"type": "send", "channel": "#c", "text": str(n)}) for n in range(3)]
    account.outbox.add(typed[0])
    account.set_draft("#c", "half a thought")
    account.flush()
    shutil.rmtree(account.path)
    account.path.write_text("in the way")
    assert account.outbox.add(typed[1]).is_failed
    account.flush()
    account.merge_other_clients()
    assert account.is_unwritable
    assert set(account.outbox.unsaved_texts()) == {"0", "1", "half a thought"}
    account.path.unlink()
    account.flush()
    account.merge_other_clients()
    for cid in account.outbox.unsaved:
        account.outbox.retry(cid)
    assert account.outbox.unsaved_texts() == []
    with closing(OutboxDb(account.path / "outbox.db")) as outbox:
        assert [row.cid for row in outbox.outbox()] == [row.cid for row in typed[:2]]
        assert outbox.saved_texts("draft") == {"#c": "half a thought"}


def test_two_clients_whose_files_were_deleted_share_the_new_ones(account: Account) -> None:
    notices: list[str] = []
    other = Account(account.path, "me", changed=lambda: None, report=notices.append)
    typed = [new_row({"type": "send", "channel": "#c", "text": str(n)}) for n in range(4)]
    for each, row in zip((account, other), typed, strict=False):
        each.outbox.add(row)
    for path in account.path.iterdir():
        path.unlink()
    for each, row in zip((account, other), typed[2:], strict=True):
        each.outbox.add(row)
    with closing(OutboxDb(account.path / "outbox.db")) as outbox:
        assert {row.cid for row in outbox.outbox()} == {row.cid for row in typed}
    assert not list(account.path.glob("*damaged*"))
    assert "no longer exists" in notices[0]
    other.close()
