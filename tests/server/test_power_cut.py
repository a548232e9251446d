"""A power cut loses no acknowledged message: it is on disk before it is on the network.

A test cannot cut the power. It can check the order of the system calls: the write-ahead log with a
message is synced, and the sync has returned, before any byte about the message is written to a
socket.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chat.protocol.commands import Send
from chat.protocol.frames import Ok
from tests.serving import InstalledServer, Peer

CALLS = "pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"
_CALL = re.compile(r"^(\d+) +(\w+)\((\d+)<(.*?)>(.*?)(<unfinished \.\.\.>)?$")
_RETURN = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>.*= (-?\d+)")


class TracedServer(InstalledServer):
    """A server whose writes and syncs strace records, each with its file or socket."""

    def command(self, *arguments: str) -> list[str]:
        """Return the strace command line, which leaves the process to the server (`-D`)."""
        how = ("strace", "-D", "-f", "--seccomp-bpf", "-yy", "-s", "100000")
        return [*how, "-e", f"trace={CALLS}", "-o", str(self.trace), *super().command(*arguments)]

    @property
    def trace(self) -> Path:
        """The file with the recorded calls."""
        return self.data.parent / "trace"


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: the trace lines of its start and its return, and the data written."""

    begun: int
    returned: int
    name: str
    file: str
    data: str


def calls_of(trace: Path) -> list[Call]:
    """Return the calls in the order in which they began."""
    calls: list[Call] = []
    waiting: dict[str, Call] = {}
    for number, line in enumerate(trace.read_text("utf-8", "replace").splitlines()):
        if match := _CALL.match(line):
            thread, name, _fd, file, data, unfinished = match.groups()
            call = Call(number, number, name, file, data)
            if unfinished:
                waiting[thread] = call
            else:
                calls.append(call)
        elif (match := _RETURN.match(line)) and (begun := waiting.pop(match[1], None)):
            calls.append(Call(begun.begun, number, begun.name, begun.file, begun.data))
    return sorted(calls, key=lambda call: call.begun)


@pytest.fixture
def traced(tmp_path: Path) -> Callable[[], TracedServer]:
    """Return a function that makes traced servers."""
    if sys.platform != "linux" or not shutil.which("strace"):
        pytest.skip("needs strace")
    return lambda: TracedServer(tmp_path / "data")


@pytest.mark.promise(
    1,
    fault="a power cut, shown by the order of system calls (`strace`)",
    result="the log's `fdatasync` has returned before `ok` or the event is written to a socket",
)
async def test_message_is_on_disk_before_it_is_sent(
    traced: Callable[[], TracedServer],
) -> None:
    texts = [f"precious {number}." for number in range(30)]
    with traced() as server:
        async with Peer.signed_in(server.url, "alice") as peer:
            await peer.join("#general")
            for text in texts[:10]:
                await peer.say(text)
            ids = [await peer.post(Send(channel="#general", text=text)) for text in texts[10:]]
            for wanted in ids:  # sent without waiting: they share commits
                await peer.next(Ok, lambda ok, wanted=wanted: ok.id == wanted)  # type: ignore[misc]
        server.stop()
    calls = calls_of(server.trace)
    for text in texts:
        announced = next(
            c for c in calls if "TCP" in c.file and c.name != "fdatasync" and text in c.data
        )
        kept = next(c for c in calls if c.file.endswith("-wal") and text in c.data)
        synced = [
            call
            for call in calls
            if call.name in ("fdatasync", "fsync")
            and call.file.endswith("-wal")
            and call.begun > kept.returned
        ]
        assert synced, f"{text!r} was never synced"
        assert synced[0].returned < announced.begun, f"{text!r} was announced before it was synced"
