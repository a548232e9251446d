"""Reports to systemd, received by a socket of our own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

import pytest

from chat.server.monitoring.service_manager import BEAT_EVERY, ServiceManager
from tests.serving import PATIENCE, ChatServer

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


class Receiver:
    """A service manager's end: receives reports at `address`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE)
        self._read: SimpleQueue[bytes] | None = None

    def keep_reading(self) -> None:
        """Read all reports from now on: the system keeps ten, and a slow start sends more."""
        queue = self._read = SimpleQueue()

        def read() -> None:
            with suppress(OSError):  # closed
                while True:
                    queue.put(self.socket.recv(4_096))

        threading.Thread(target=read, daemon=True).start()

    def next(self) -> dict[str, str]:
        """Wait for a report; return its assignments."""
        report = self.socket.recv(4_096) if self._read is None else self._read.get(timeout=PATIENCE)
        return dict(line.split("=", 1) for line in report.decode().split("\n"))

    def next_with(self, name: str) -> dict[str, str]:
        """Wait for a report with this assignment."""
        while name not in (report := self.next()):
            pass
        return report


@pytest.fixture(params=["path", "abstract"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@chat-{uuid4().hex}"
    receiver = Receiver(address)
    with closing(receiver.socket):
        yield receiver


def test_a_server_reports_its_start_reload_and_stop(
    start_server: Callable[..., ChatServer], receiver: Receiver
) -> None:
    server = start_server(env={"NOTIFY_SOCKET": receiver.address})
    status = f"Listening on {server.url}"
    assert receiver.next() == {"READY": "1", "STATUS": status}
    before = time.monotonic_ns() // 1_000
    os.kill(server.pid, signal.SIGHUP)
    reloading = receiver.next()
    assert reloading.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1_000
    assert receiver.next() == {"READY": "1", "STATUS": status}
    assert server.stop() == 0
    stopping = receiver.next()
    assert stopping.keys() == {"STOPPING", "EXTEND_TIMEOUT_USEC", "STATUS"}
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 5_000_000, "the drain takes up to 5 s"


def test_a_running_event_loop_reports_to_the_watchdog(
    start_server: Callable[..., ChatServer], receiver: Receiver
) -> None:
    watched = {"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "400000"}
    receiver.keep_reading()
    server = start_server(env=watched)
    receiver.next_with("READY")
    for _ in range(3):
        assert receiver.next_with("WATCHDOG") == {"WATCHDOG": "1"}
    assert server.stop() == 0
    receiver.next_with("STOPPING")


def test_a_server_without_its_service_manager_works(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server(env={"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000"})
    assert server.health()["status"] == "ok"
    assert server.stop() == 0


def test_a_long_start_asks_for_more_time(receiver: Receiver) -> None:
    loop = asyncio.new_event_loop()
    watched = {"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "20000"}
    manager = ServiceManager.from_environment(watched)
    with closing(loop):
        loop.call_soon(manager.starting, loop)
        ended = loop.create_future()
        loop.add_reader(receiver.socket, ended.set_result, None)
        loop.run_until_complete(ended)
        loop.remove_reader(receiver.socket)
        manager.stopped()
    report = receiver.next_with("EXTEND_TIMEOUT_USEC")
    assert int(report["EXTEND_TIMEOUT_USEC"]) > BEAT_EVERY * 1e6
    assert report["STATUS"] == "Opening the database"


@pytest.mark.parametrize(
    ("variables", "beats"),
    [
        ({"WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({}, False),
    ],
)
async def test_the_watchdog_gets_reports_only_from_the_watched_process(
    receiver: Receiver, variables: dict[str, str], beats: bool
) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": receiver.address, **variables})
    loop = asyncio.get_running_loop()
    manager.starting(loop)
    manager.ready("Listening")
    receiver.socket.setblocking(False)
    assert (await loop.sock_recv(receiver.socket, 100)).startswith(b"READY=1")
    reading = loop.create_task(loop.sock_recv(receiver.socket, 100))
    await asyncio.wait([reading], timeout=PATIENCE if beats else 0.2)
    manager.stopped()
    assert reading.done() == beats
    reading.cancel()
