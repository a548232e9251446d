"""Opening a database: creation, locks, refusals, and file permissions."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.errors import StartupError
from chat.protocol.values import Limits
from chat.store.accounts import AddDevice
from chat.store.operations import User
from chat.store.store import Store, execute
from tests.serving import PATIENCE
from tests.store.opened import OpenStore, message, sqlite_url


def refuse(path: Path | str) -> str:
    """Try to open a database that must be refused; return the error; check that no file changed."""
    url = path if isinstance(path, str) else f"sqlite:///{path}"
    before = contents(path) if isinstance(path, Path) else {}
    with pytest.raises(StartupError) as refused:
        Store.open(url, limits=Limits(), committed=lambda _: None)
    if isinstance(path, Path):
        assert contents(path) == before
    message = str(refused.value)
    assert "\n" not in message
    return message


def contents(database: Path) -> dict[str, bytes]:
    """Return the contents of a database's files, except the shared-memory file."""
    files = (database, database.with_name(database.name + "-wal"))
    return {file.name: file.read_bytes() for file in files if file.is_file()}


@pytest.fixture
def database(store: OpenStore, alice: User) -> Path:
    """Return the file of a closed store."""
    store.send(alice, "precious")
    store.store.close()
    return store.file


def change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


class TestCreating:
    def test_new_store_has_general_and_server_id(self, tmp_path: Path) -> None:
        with (
            OpenStore(sqlite_url(tmp_path / "one")) as one,
            OpenStore(sqlite_url(tmp_path / "two")) as two,
        ):
            assert one.store.server_id != two.store.server_id
            listings, _cursor = one.read(
                lambda reader: reader.directory(None, cursor=None, limit=9)
            )
            assert [(each.name, each.members) for each in listings] == [("#general", 0)]

    def test_server_id_survives_reopening(
        self, store: OpenStore, open_store: Callable[[], OpenStore]
    ) -> None:
        store.store.close()
        assert open_store().store.server_id == store.store.server_id

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
    def test_files_are_accessible_to_the_owner_only(self, tmp_path: Path) -> None:
        with OpenStore(sqlite_url(tmp_path / "new" / "folder")) as store:
            store.sign_in("alice")
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()
            }
            assert set(modes.values()) == {0o600}, modes
            assert "chat.db-wal" in modes
            assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700

    def test_empty_file_becomes_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "chat.db").touch()
        with OpenStore(sqlite_url(tmp_path)) as store:
            assert store.sign_in("alice").id == 1

    def test_folder_names_with_special_characters_work(self, tmp_path: Path) -> None:
        with OpenStore(sqlite_url(tmp_path / "100% ünïcode #1")) as store:
            assert store.file.exists()


class TestRefusing:
    def test_file_that_is_not_a_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "chat.db").write_text("my novel, chapter one\n" * 100)
        assert "is not a chat database" in refuse(tmp_path / "chat.db")

    def test_database_of_another_program_is_refused(self, tmp_path: Path) -> None:
        change(tmp_path / "chat.db", "CREATE TABLE recipes (title TEXT)")
        assert "is not a chat database" in refuse(tmp_path / "chat.db")

    def test_damaged_header_is_refused(self, database: Path) -> None:
        content = bytearray(database.read_bytes())
        content[16:100] = b"\xff" * 84
        database.write_bytes(content)
        assert "restore it from a backup" in refuse(database)

    def test_damaged_pages_are_refused(self, database: Path) -> None:
        content = bytearray(database.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        database.write_bytes(content)
        assert "restore it from a backup" in refuse(database)

    def test_one_damaged_page_is_refused(self, store: OpenStore, alice: User) -> None:
        store.together([message(alice, "x" * 500) for _ in range(50)])
        store.store.close()
        content = bytearray(store.file.read_bytes())
        content[-4096:] = b"\xaa" * 4096
        store.file.write_bytes(content)
        assert "restore it from a backup" in refuse(store.file)

    def test_truncated_file_is_refused(self, database: Path) -> None:
        content = database.read_bytes()
        database.write_bytes(content[: len(content) // 2])
        assert "restore it from a backup" in refuse(database)

    def test_file_that_is_as_an_orderly_stop_left_it_is_not_checked(self, database: Path) -> None:
        left = database.stat()
        content = bytearray(database.read_bytes())
        content[-4096:] = b"\xaa" * 4096
        database.write_bytes(content)
        os.utime(database, ns=(left.st_atime_ns, left.st_mtime_ns))
        with OpenStore(sqlite_url(database.parent)):
            pass
        os.utime(database, ns=(left.st_atime_ns, left.st_mtime_ns + 1))
        assert "restore it from a backup" in refuse(database)

    def test_file_of_a_killed_server_is_checked(self, store: OpenStore) -> None:
        lock = store.file.with_name("chat.db.lock")
        assert lock.read_bytes() == b""
        store.store.close()
        assert lock.read_bytes() != b""

    def test_newer_schema_is_refused(self, database: Path) -> None:
        change(database, "UPDATE alembic_version SET version_num = '9999'")
        assert "newer version" in refuse(database)

    def test_newer_schema_in_the_write_ahead_log_is_refused(
        self, database: Path, tmp_path: Path
    ) -> None:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
            for name in contents(database):
                shutil.copy(database.with_name(name), tmp_path)
        copy = tmp_path / database.name
        assert len(contents(copy)) == 2
        assert "newer version" in refuse(copy)

    def test_folder_instead_of_the_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "chat.db").mkdir()
        assert "is not a file" in refuse(tmp_path / "chat.db")

    def test_file_instead_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "data").touch()
        assert str(tmp_path / "data") in refuse(tmp_path / "data" / "chat.db")

    @pytest.mark.parametrize(
        "url", ["mysql://host/chat", "sqlite://", "sqlite:///:memory:", "chat.db", ""]
    )
    def test_other_urls_are_refused(self, url: str) -> None:
        assert "sqlite:////path/chat.db" in refuse(url) or "memory" in refuse(url)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
    @pytest.mark.parametrize("place", ["file", "folder"])
    def test_file_or_folder_without_write_permission_is_refused(
        self, database: Path, place: str
    ) -> None:
        with (
            tempfile.TemporaryDirectory() as name
        ):  # other users have no access to pytest's own folders
            folder = Path(name)
            copy = Path(shutil.copy(database, folder))
            copy.chmod(0o444 if place == "file" else 0o666)
            folder.chmod(0o777 if place == "file" else 0o555)
            done = as_nobody(TRY_TO_OPEN, str(copy))
            folder.chmod(0o700)
            assert done.returncode == 2, done.stdout + done.stderr
            assert "writ" in done.stdout
            assert copy.read_bytes() == database.read_bytes()


TRY_TO_OPEN = """
    import os, sys
    from chat.errors import StartupError
    from chat.protocol.values import Limits
    from chat.store.store import Store
    import chat.store.sqlite.database  # another user may not read Python's modules
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        Store.open("sqlite:///" + sys.argv[1], limits=Limits(), committed=lambda batch: None)
    except StartupError as exc:
        print(exc)
        sys.exit(2)
"""


def as_nobody(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program without root's permissions, which ignore file modes."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


HOLD = """
    import sys, time
    from pathlib import Path
    from tests.store.opened import OpenStore, message, sqlite_url
    store = OpenStore(sqlite_url(Path(sys.argv[1])))
    store.sign_in("alice")  # its files are there and at rest
    print(store.store.server_id, flush=True)
    time.sleep(60)
"""


class TestLocking:
    def test_second_server_is_refused(self, store: OpenStore, alice: User) -> None:
        assert "in use by another chat-server" in refuse(store.file)
        assert store.send(alice) == 2

    def test_lock_of_another_process_ends_when_it_dies(self, tmp_path: Path) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with holder:
            assert holder.stdout is not None
            server_id = holder.stdout.readline().strip()
            try:
                assert server_id
                assert "in use" in refuse(tmp_path / "chat.db")
            finally:
                holder.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        with OpenStore(sqlite_url(tmp_path)) as store:
            assert store.store.server_id == server_id

    def test_refused_file_is_unlocked(self, tmp_path: Path) -> None:
        (tmp_path / "chat.db").write_text("my novel, chapter one\n" * 100)
        refuse(tmp_path / "chat.db")
        (tmp_path / "chat.db").unlink()
        with OpenStore(sqlite_url(tmp_path)):
            pass


def broken_clock() -> int:
    raise OSError("no clock")


def test_failed_creation_leaves_an_empty_file_that_can_be_reused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no clock"):
        OpenStore(sqlite_url(tmp_path), clock_ms=broken_clock)
    with OpenStore(sqlite_url(tmp_path)) as store:
        assert store.sign_in("alice").id == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
class TestOfOthers:
    def test_missing_parent_folders_are_accessible_to_the_owner_only(self, tmp_path: Path) -> None:
        with OpenStore(sqlite_url(tmp_path / "a" / "b" / "c")):
            for folder in ("a", "a/b", "a/b/c"):
                assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder

    def test_world_readable_database_is_restricted_with_a_warning(
        self, database: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        lock = database.with_name("chat.db.lock")
        for file in (database, lock):
            file.chmod(0o644)
        with OpenStore(sqlite_url(database.parent)) as store:
            store.sign_in("bob")
            for file in store.folder.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert [record.getMessage() for record in caplog.records] == [
            f"every user of this machine could read {file}; restricted it to its owner"
            for file in (database, lock)
        ]
        caplog.clear()
        with OpenStore(sqlite_url(database.parent)):
            assert not caplog.records

    def test_world_writable_folder_logs_a_warning(
        self, database: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        database.parent.chmod(0o777)
        with OpenStore(sqlite_url(database.parent)):
            (record,) = caplog.records
            assert record.getMessage().endswith(f"can change {database.parent}: run chmod o-w")
            assert stat.S_IMODE(database.parent.stat().st_mode) == 0o777

    def test_group_permissions_are_kept(self, database: Path) -> None:
        database.chmod(0o640)
        with OpenStore(sqlite_url(database.parent)):
            assert stat.S_IMODE(database.stat().st_mode) == 0o640

    @pytest.mark.parametrize("kind", ["symlink", "hard link", "pipe", "dangling"])
    def test_lock_file_that_is_a_link_or_a_pipe_is_refused(self, tmp_path: Path, kind: str) -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        lock, victim = folder / "chat.db.lock", tmp_path / "victim"
        if kind != "dangling":
            victim.write_text("precious")
        if kind == "pipe":
            os.mkfifo(lock)
        elif kind == "hard link":
            lock.hardlink_to(victim)
        else:
            lock.symlink_to(victim)
        assert str(lock) in refuse(folder / "chat.db")
        assert not victim.exists() if kind == "dangling" else victim.read_text() == "precious"

    def test_broken_link_creates_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "chat.db").symlink_to(tmp_path / "unmounted" / "chat.db")
        said = refuse(tmp_path / "data" / "chat.db")
        assert str(tmp_path / "unmounted" / "chat.db") in said
        assert not (tmp_path / "unmounted").exists()

    def test_linked_database_shares_the_lock_of_its_target(self, store: OpenStore) -> None:
        other = store.folder.parent / "other"
        other.mkdir()
        (other / "chat.db").symlink_to(store.file)
        assert "in use by another chat-server" in refuse(other / "chat.db")
        assert [file.name for file in other.iterdir()] == ["chat.db"]
        store.store.close()
        with OpenStore(sqlite_url(other)) as again:
            again.sign_in("bob")
            assert [file.name for file in other.iterdir()] == ["chat.db"]
            assert "in use" in refuse(store.file)

    @pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
    def test_hard_link_to_a_database_in_use_is_refused(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        holder = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), str(one)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with holder:
            assert holder.stdout is not None
            try:
                assert holder.stdout.readline().strip()
                other.mkdir()
                (other / "chat.db").hardlink_to(one / "chat.db")
                assert "in use by another chat-server" in refuse(other / "chat.db")
            finally:
                holder.kill()


def test_issuing_a_token_requires_a_database(tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        execute(f"sqlite:///{tmp_path}/chat.db", AddDevice(None, "alice", b"x", ""))
    assert not list(tmp_path.iterdir())
