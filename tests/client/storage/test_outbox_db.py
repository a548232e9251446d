"""The outbox's file, also with two clients on one file."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.model.preferences import NO_CHANGE, PreferenceChange
from chat.client.model.records import DamagedFile, DiskError, OutboxRow
from chat.client.storage.outbox_db import (
    OutboxContent,
    OutboxDb,
    ReadMarker,
    SavedTexts,
    preference_change_from,
    preference_values,
)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[OutboxDb]:
    with closing(OutboxDb(tmp_path / "private" / "outbox.db")) as opened:
        yield opened


def row(cid: str, text: str = "x") -> OutboxRow:
    return OutboxRow(cid, "#c", f'{{"text":"{text}"}}', 1)


def kept(outbox: OutboxDb, **changed: str) -> SavedTexts:
    """Return a client's stored drafts, with changes."""
    found = SavedTexts("draft")
    found.stored = outbox.saved_texts("draft")
    for key, value in changed.items():
        found.set(key, value)
    return found


def test_stored_values_are_loaded_again(outbox: OutboxDb) -> None:
    outbox.put_row(row("c1"))
    outbox.put_row(row("c2"))
    outbox.drop_rows(["c1"])
    outbox.save_texts(kept(outbox, tea="draft", milk=""))
    outbox.save_marks({"#c": ReadMarker("e1", 3)}, {})
    with closing(OutboxDb(outbox.path)) as again:
        assert again.outbox() == [row("c2")]
        assert again.saved_texts("draft") == {"tea": "draft"}
        assert again.marks() == {"#c": ReadMarker("e1", 3)}


def test_only_the_owner_can_read_the_outbox(outbox: OutboxDb) -> None:
    outbox.put_row(row("c1"))
    for path in outbox.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(outbox.path.parent.stat().st_mode) == 0o700


def test_a_text_changed_by_another_client_is_not_removed(outbox: OutboxDb) -> None:
    outbox.save_texts(kept(outbox, tea="first"))
    cleared = kept(outbox, tea="")
    outbox.save_texts(kept(outbox, tea="second"))
    outbox.save_texts(cleared)
    assert outbox.saved_texts("draft") == {"tea": "second"}
    outbox.save_texts(kept(outbox, tea=""))
    assert outbox.saved_texts("draft") == {}


def test_a_text_changed_during_a_save_is_saved_next(outbox: OutboxDb) -> None:
    drafts = kept(outbox, tea="first")
    drafts.saved({"tea": "older"})
    assert drafts.get("tea") == "first"
    outbox.save_texts(drafts)
    assert (drafts.changed, drafts.all()) == ({}, {"tea": "first"})


def test_the_further_of_two_read_markers_wins(outbox: OutboxDb) -> None:
    for seq in (2, 7, 5):
        outbox.save_marks({"#c": ReadMarker("e1", seq)}, {})
    assert outbox.marks() == {"#c": ReadMarker("e1", 7)}
    outbox.save_marks({}, {"#c": ReadMarker("e1", 5)})
    assert outbox.marks() == {"#c": ReadMarker("e1", 7)}, "the server knows no more than 5"
    outbox.save_marks({"#c": ReadMarker("e2", 1)}, {})
    assert outbox.marks() == {"#c": ReadMarker("e2", 1)}, "of another log"
    outbox.save_marks({}, {"#c": ReadMarker("e2", 1)})
    assert outbox.marks() == {}


def test_adding_another_files_content_replaces_nothing(outbox: OutboxDb) -> None:
    outbox.put_row(row("c1", "here"))
    outbox.save_texts(kept(outbox, tea="here"))
    other = {"draft": {"tea": "other", "a": "b"}, "pref": {"theme": "dark"}}
    outbox.add(OutboxContent([], {"pref": {"theme": "light"}}))
    for _ in range(2):
        outbox.add(OutboxContent([row("c1", "other"), row("c2")], other))
    assert outbox.outbox() == [row("c1", "here"), row("c2")]
    assert outbox.saved_texts("draft") == {"tea": "here", "a": "b"}
    assert outbox.saved_texts("pref") == {"theme": "light"}


def test_preference_changes_are_stored_by_field() -> None:
    wish = PreferenceChange(pinned=0, muted=False, level="none")
    values = preference_values("#c", wish) | preference_values("#d", PreferenceChange(muted=True))
    assert preference_change_from("#c", values) == wish
    assert preference_change_from("#d", values) == PreferenceChange(muted=True)
    assert preference_change_from("#e", {"#e muted": "7", "#e pinned": "no json"}) == NO_CHANGE


def test_a_locked_file_is_a_disk_error(outbox: OutboxDb) -> None:
    outbox.db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(outbox.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DiskError, match="locked"):
        outbox.put_row(row("c1"))
    other.execute("ROLLBACK")
    other.close()
    outbox.put_row(row("c1"))


def test_a_deleted_file_rejects_writes(outbox: OutboxDb) -> None:
    outbox.path.unlink()
    with pytest.raises(DamagedFile, match="no longer exists"):
        outbox.put_row(row("c1"))
