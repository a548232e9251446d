"""A disk that refuses writes: clients get a retryable error, nothing is lost, and it recovers.

The faults are real faults of the system, on a real server process: a full file system, a limit on
the size of files, another program that holds the database's lock, and system calls that fail
(strace injects them).
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from chat.errors import ErrorCode
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import Command, Delete, Edit, Hello, History, Join, Mark, React, Send
from chat.protocol.frames import ErrorFrame, Ok, Page, Welcome
from tests.serving import ChatServer, Peer, eventually

RETRIES = 20
"""Refused messages, to check that they do not grow the log."""
_FSIZE = resource.RLIMIT_FSIZE


@contextmanager
def full_file_system(server: ChatServer) -> Iterator[None]:
    """Fill the file system to its last byte."""
    ballast = server.data / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    yield  # after a failed test, the file system is removed with its content
    ballast.unlink()


@contextmanager
def limit_on_files(server: ChatServer) -> Iterator[None]:
    """Prevent all files of the server from growing."""
    _, hard = resource.prlimit(server.pid, _FSIZE)
    resource.prlimit(server.pid, _FSIZE, (1, hard))
    yield
    resource.prlimit(server.pid, _FSIZE, (hard, hard))


@contextmanager
def lock_of_another_program(server: ChatServer) -> Iterator[None]:
    """Hold the database's write lock."""
    with closing(sqlite3.connect(server.data / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE").close()
        yield
        other.execute("ROLLBACK").close()


@contextmanager
def failing_calls(server: ChatServer, call: str, error: str) -> Iterator[None]:
    """Let every system call of this name fail."""
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:error={error}")
    with subprocess.Popen(
        ["strace", "-f", "-p", str(server.pid), *inject],
        stderr=subprocess.PIPE,
        text=True,
    ) as tracer:
        try:
            assert tracer.stderr is not None
            reported = tracer.stderr.readline()
            assert "attached" in reported, reported
            eventually(lambda: _is_traced(server.pid), "every thread is traced")
            yield
        finally:
            tracer.terminate()
            tracer.communicate()


def _is_traced(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*/status")
    return all("TracerPid:\t0\n" not in status.read_text() for status in threads)


FAULTS: dict[str, Callable[[ChatServer], AbstractContextManager[None]]] = {
    "full file system": full_file_system,
    "limit on files": limit_on_files,
    "lock of another program": lock_of_another_program,
    "read-only file system": lambda server: failing_calls(server, "pwrite64", "EROFS"),
    "sync that fails": lambda server: failing_calls(server, "fdatasync", "EIO"),
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on its own small file system."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> str:
    """Return the fault of the disk."""
    return str(request.param)


@pytest.fixture
def failing(
    fault: str, start_server: Callable[..., ChatServer], request: pytest.FixtureRequest
) -> ChatServer:
    """Return a running server whose disk still works."""
    data = None
    if fault == "full file system":
        data = request.getfixturevalue("small_disk") / "data"
    return start_server("--limits.rate", "100000", "--limits.burst", "100000", data=data)


async def refused(peer: Peer, *commands: Command) -> None:
    """Send commands; each must be refused as unavailable and retryable."""
    wanted = [await peer.post(command) for command in commands]
    for _ in commands:
        error = await peer.next(ErrorFrame, lambda frame: frame.id in wanted)
        assert error.code == ErrorCode.UNAVAILABLE
        assert error.retryable
        assert error.retry_after
        assert error.message == "the server cannot write to its database; try again later"
    assert not peer.kept(Ok)


def is_well(server: ChatServer) -> bool:
    """Whether `/healthz` reports success; if not, it and `/readyz` must give the reason."""
    status, body = server.get("/healthz")
    assert status in (200, 503)
    reported = json.loads(body)
    assert (status == 200) == (reported["status"] == "ok") == ("reason" not in reported)
    if status == 503:
        ready, reasons = server.get("/readyz")
        # The server may have recovered meanwhile.
        assert (ready, reasons) == (200, "ready\n") or (
            ready == 503 and reasons.startswith("the database cannot be used: ")
        )
    return status == 200


async def log_of(peer: Peer) -> list[str]:
    """Return the texts of `#room`."""
    page = await peer.call(History(channel="#room", limit=200), Page)
    return [item.text for item in page.items if item.text]


@pytest.mark.promise(
    1,
    fault="full, limited, locked, read-only and unsyncable disk under a running server",
    result="`unavailable` with `retry_after`; reads continue; it recovers by itself; "
    "acknowledged messages are stored, once",
)
async def test_failing_disk_refuses_writes_and_loses_nothing(
    failing: ChatServer, fault: str
) -> None:
    server = failing
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "bob") as bob,
        Peer.connect(server.url) as newcomer,
    ):
        await alice.join("#room")
        await bob.join("#room")
        first = await alice.say("first", "#room")
        gone = await alice.say("gone", "#room")
        assert first.seq is not None
        assert gone.seq is not None
        await alice.call(Delete(channel="#room", seq=gone.seq))
        wal = server.data / "chat.db-wal"  # truncated after a deletion: no space is left in it
        await asyncio.to_thread(eventually, lambda: wal.stat().st_size == 0, "the log is emptied")
        sends = [Send(channel="#room", text=f"n {n}", cid=f"c{n}") for n in range(RETRIES)]
        with FAULTS[fault](server):
            await asyncio.gather(
                refused(
                    alice,
                    *sends,
                    Join(channel="#new"),
                    Edit(channel="#room", seq=first.seq, text="edited"),
                ),
                refused(
                    bob,
                    Mark(channel="#room", seq=gone.seq),
                    React(channel="#room", seq=first.seq, emoji="👍"),
                ),
                refused(newcomer, Hello(v=PROTOCOL_VERSION, name="carol")),
            )
            assert not is_well(server)
            assert await log_of(bob) == ["first"]
        await asyncio.to_thread(eventually, lambda: is_well(server), "the server recovers")
        for send in sends:
            stored = await alice.call(send)
            assert not stored.duplicate
        await newcomer.call(Hello(v=PROTOCOL_VERSION, name="carol"), Welcome)
        token = alice.token
        server.restart(kill=True)
    async with Peer.signed_in(server.url, "alice", token) as alice:
        assert await log_of(alice) == ["first", *(f"n {n}" for n in range(RETRIES))]
        for send in sends:
            assert (await alice.call(send)).duplicate
    reported = [line for line in server.output if "chat.store.write.writer" in line]
    assert len(reported) == 1, reported
    assert "safe" in reported[0]
    assert "by itself" in reported[0]


if sys.platform != "linux":
    pytest.skip("the faults are made as Linux does it", allow_module_level=True)
