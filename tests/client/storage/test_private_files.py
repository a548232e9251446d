"""Private files: links are not followed, and permissions of others are removed."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chat.client.config.logging import start_log
from chat.client.config.settings import ClientSettings
from chat.client.model.records import DiskError
from chat.client.storage.outbox_db import OutboxDb
from chat.client.storage.tokens import TokenStore
from chat.errors import StartupError
from tests.serving import PATIENCE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and links as POSIX has them")

LINKS = pytest.mark.parametrize("kind", ["a file", "nothing"])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def link(path: Path, kind: str) -> Path:
    """Create a link at `path`; return its target."""
    victim = path.parent / "victim"
    if kind == "a file":
        victim.write_text("precious")
        victim.chmod(0o644)
    path.symlink_to(victim)
    return victim


def unharmed(victim: Path, kind: str) -> bool:
    if kind == "nothing":
        return not victim.exists()
    return victim.read_text() == "precious" and mode(victim) == 0o644


def log_to(path: Path) -> None:
    """Write one line to a log, as the client does."""
    root = logging.getLogger()
    before = list(root.handlers)
    level = logging.getLogger("chat").level
    start_log(ClientSettings(log_file=path))
    (handler,) = (each for each in root.handlers if each not in before)
    try:
        logging.getLogger("chat.test").warning("a line")
    finally:
        root.removeHandler(handler)
        logging.getLogger("chat").setLevel(level)
        assert isinstance(handler, logging.StreamHandler)
        handler.stream.close()


@LINKS
def test_an_account_is_not_opened_through_a_link(tmp_path: Path, kind: str) -> None:
    victim = link(tmp_path / "outbox.db", kind)
    with pytest.raises(DiskError, match="is a symbolic link; remove it") as refused:
        OutboxDb(tmp_path / "outbox.db")
    OutboxDb(tmp_path / "outbox.db", unwritable=str(refused.value)).close()
    assert unharmed(victim, kind)


def test_an_account_that_is_a_pipe_does_not_block_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "outbox.db")
    with pytest.raises(DiskError) as refused:
        OutboxDb(tmp_path / "outbox.db")
    OutboxDb(tmp_path / "outbox.db", unwritable=str(refused.value)).close()


@LINKS
def test_a_log_is_not_written_through_a_link(tmp_path: Path, kind: str) -> None:
    victim = link(tmp_path / "log", kind)
    with pytest.raises(StartupError, match="is a symbolic link; remove it"):
        log_to(tmp_path / "log")
    assert unharmed(victim, kind)


@LINKS
def test_a_token_is_neither_read_nor_written_through_a_link(tmp_path: Path, kind: str) -> None:
    tokens = TokenStore(tmp_path)
    tokens.put("s1", "bob", "b" * 40)
    victim = link(tmp_path / "s1" / "alice", kind)
    with pytest.raises(OSError, match="is a symbolic link; remove it"):
        tokens.get_or_make("s1", "alice")
    tokens.put("s1", "alice", "t" * 40)  # takes the link's place
    assert tokens.get("s1", "alice") == "t" * 40
    assert unharmed(victim, kind)


def test_a_token_is_not_read_from_a_pipe(tmp_path: Path) -> None:
    tokens = TokenStore(tmp_path)
    tokens.put("s1", "bob", "b" * 40)
    os.mkfifo(tmp_path / "s1" / "alice")
    with pytest.raises(OSError, match="is not a regular file"):
        tokens.get("s1", "alice")


def test_permissions_of_others_on_existing_files_are_removed(tmp_path: Path) -> None:
    tokens = TokenStore(tmp_path)
    tokens.put("s1", "alice", "t" * 40)
    token, account, log = tmp_path / "s1" / "alice", tmp_path / "outbox.db", tmp_path / "log"
    OutboxDb(account).close()
    log.write_text("earlier\n")
    for file in (token, account, log):
        file.chmod(0o644)
    tokens.get("s1", "alice")
    OutboxDb(account).close()
    log_to(log)
    assert [mode(file) for file in (token, account, log)] == [0o600] * 3
    assert log.read_text().startswith("earlier\n")
    assert "a line" in log.read_text()


def test_a_log_may_be_a_device() -> None:
    log_to(Path(os.devnull))


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can give files away"
)
def test_a_data_folder_of_another_user_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65_534, 65_534)
    rights = "-dac_override,-dac_read_search"
    done = subprocess.run(
        [
            *("setpriv", "--bounding-set", rights, "--inh-caps", rights),
            *(sys.executable, "-m", "chat.client.cli", "--plain", "--data", str(folder)),
            *("--url", "ws://127.0.0.1:9", "--name", "alice"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (error,) = done.stderr.splitlines()
    assert f"cannot use the data folder {folder}: Permission denied" in error
