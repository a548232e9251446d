"""Opening a file that other clients create or delete at the same time."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.model.records import DiskError
from chat.client.storage.outbox_db import OutboxDb


def test_opening_waits_while_another_client_creates_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = threading.Timer(0.2, other.execute, ("COMMIT",))
        done.start()
        OutboxDb(path).close()
        done.join()


def test_a_file_replaced_while_opening_is_opened_again(
    tmp_path: Path,
) -> None:
    for number in range(60):  # somewhere in between, each time
        path = tmp_path / f"{number}.db"

        def take_away(path: Path = path) -> None:
            while not path.exists():
                pass
            for part in ("", "-wal", "-shm"):
                Path(f"{path}{part}").unlink(missing_ok=True)

        other = threading.Thread(target=take_away)
        other.start()
        OutboxDb(path).close()
        other.join()


def test_a_folder_that_cannot_be_created_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="--data"):
        OutboxDb(tmp_path / "file" / "sub" / "alice.db")
