"""`kill -9` of `backup` and `restore` at any call that changes a disk: never half a database."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.serving import PATIENCE, ChatServer, Peer

CALLS = "pwrite64,fsync,fdatasync,ftruncate,rename,link,linkat,unlink"
MOMENTS = [2, pytest.param(80, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
"""Kills at calls that rename nothing: in a usual run, and in a long run."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")


Moment = tuple[str, int]
"""A system call: its name, and its ordinal among the calls of that name."""


def traced(
    server: ChatServer, trace: Path, command: str, file: Path, *, kill_at: Moment | None = None
) -> None:
    """Run `chat-server COMMAND FILE` to its end, or kill it as that call begins.

    A running server makes the number of calls vary a little, so the call may not happen; the
    command has then completed.
    """
    how: tuple[str, ...] = ("--seccomp-bpf",)  # stops at no other call, but sends no signals
    if kill_at is not None:
        how = ("-e", f"inject={kill_at[0]}:signal=SIGKILL:when={kill_at[1]}")
    done = subprocess.run(
        [
            *("strace", "-f", "-o", str(trace), "-e", f"trace={CALLS}", *how),
            *server.command(command, str(file), "--data", str(server.data)),
        ],
        capture_output=True,
        text=True,
        env=server.environment(),
        timeout=PATIENCE,
        check=False,
    )
    killed = () if kill_at is None else (-signal.SIGKILL,)
    assert done.returncode in (0, *killed), done.stderr


def moments(trace: Path, count: int) -> list[Moment]:
    """Return calls to kill at: all that change names, and some between them."""
    calls: list[tuple[Moment, bool]] = []
    seen: Counter[str] = Counter()
    for line in trace.read_text().splitlines():
        if match := re.match(r"\d+ +([a-z0-9]+)\(.*= (-?\d+)", line):
            name, result = match[1], int(match[2])
            seen[name] += 1
            calls.append(((name, seen[name]), name in ("rename", "link") and result == 0))
    between = {len(calls) * part // (count + 1) for part in range(1, count + 1)}
    return [call for n, (call, is_naming) in enumerate(calls) if is_naming or n in between]


def contents(file: Path) -> tuple[list[str], str]:
    """Return the texts and the epoch of `#room`; check that the file is intact."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((channel, epoch),) = db.execute("SELECT id, epoch FROM channels WHERE name = '#room'")
        seqs = db.execute("SELECT seq FROM events WHERE channel_id = ? ORDER BY seq", (channel,))
        numbers = [seq for (seq,) in seqs]
        assert numbers == list(range(1, len(numbers) + 1))
        return [str(seq) for seq in numbers], epoch


@pytest.mark.parametrize("count", MOMENTS)
@pytest.mark.promise(
    1,
    fault="`kill -9` of `chat-server backup` at any call that changes the disk",
    result="the server continues; the backup is absent or complete; a second attempt works",
)
async def test_killed_backup_is_absent_or_complete(
    server: ChatServer, tmp_path: Path, count: int
) -> None:
    trace, copy = tmp_path / "trace", tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#room")
        await alice.say("said before", "#room")
        traced(server, trace, "backup", copy)
        copy.unlink()
        for at in moments(trace, count):
            said = await alice.say(f"before the kill at {at}", "#room")
            traced(server, trace, "backup", copy, kill_at=at)
            left = {path.name for path in copy.parent.iterdir()} - {copy.name}
            assert all(name.startswith(".copy.db.part") for name in left)
            if copy.exists():
                assert contents(copy)[0][-1] == str(said.seq)
                copy.unlink()
        await alice.say("said after", "#room")
        traced(server, trace, "backup", copy)
        assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert contents(copy)[0] == contents(server.data / "chat.db")[0]


@pytest.mark.parametrize("count", MOMENTS)
@pytest.mark.promise(
    1,
    fault="`kill -9` of `chat-server restore` at any call that changes the disk",
    result="the database is the old or the new one, complete; a second attempt works",
)
async def test_a_killed_restore_leaves_the_old_or_the_new_one(
    start_server: Callable[..., ChatServer], tmp_path: Path, count: int
) -> None:
    server = start_server()
    database, trace = server.data / "chat.db", tmp_path / "trace"
    copies = [tmp_path / "few.db", tmp_path / "many.db"]
    async with Peer.signed_in(server.url, "alice") as alice:
        token = alice.token
        await alice.join("#room")
        for copy in copies:
            await alice.say(copy.name, "#room")
            assert server.administer("backup", str(copy)).returncode == 0
    server.stop()
    traced(server, trace, "restore", copies[0])
    texts = [contents(copy)[0] for copy in copies]
    at_hand = moments(trace, count)
    for turn, at in enumerate(at_hand):
        before = contents(database)
        traced(server, trace, "restore", copies[turn % 2], kill_at=at)
        shutil.copytree(server.data, tmp_path / "look", dirs_exist_ok=True)
        after = contents(tmp_path / "look" / "chat.db")
        shutil.rmtree(tmp_path / "look")
        if after != before:
            assert after[0] == texts[turn % 2]
            assert after[1] != before[1], "clients would not notice"
    traced(server, trace, "restore", copies[1])
    assert contents(database)[0] == texts[1]
    assert not list(server.data.glob("*restoring*"))
    server.start()
    async with Peer.signed_in(server.url, "alice", token) as alice:
        assert (await alice.join("#room")).head == len(texts[1])
