"""How often a commit waits for PostgreSQL, counted on the wire."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.serving import PATIENCE
from tests.store.conftest import PostgresqlBackend
from tests.store.opened import OpenStore, message

pytestmark = pytest.mark.postgresql

SOCKET = ".s.PGSQL.5432"
CHUNK = 65_536


class _Link:
    """A connection through a wire; `trips` counts how often the client spoke after an answer."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.trips = 0
        self._near, self._far = near, far
        self._is_answered = True
        self._threads = [
            threading.Thread(target=self._forward, args=ends, daemon=True)
            for ends in ((near, far), (far, near))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Close both ends; the client has closed its own."""
        for thread in self._threads:
            thread.join(PATIENCE)
        self._near.close()
        self._far.close()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if source is self._far:
                    self._is_answered = True
                elif self._is_answered:
                    self._is_answered = False
                    self.trips += 1
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class _Wire:
    """Forwards the connections to a PostgreSQL server through a socket in `folder`."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.links: list[_Link] = []
        self._target = str(target / SOCKET)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self.links.append(_Link(near, far))

    def close(self) -> None:
        """Close all connections, and accept no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self.links:
            link.close()

    def trips(self, action: Callable[[], object]) -> int:
        """Return the round trips of the writer: the busiest connection during `action`."""
        before = {link: link.trips for link in self.links}
        action()
        return max(link.trips - before[link] for link in before)


@pytest.fixture
def wire(backend: PostgresqlBackend, tmp_path: Path) -> Iterator[tuple[_Wire, str]]:
    """A wire to a new database, and the URL through it."""
    with tempfile.TemporaryDirectory(prefix="chat-") as folder:  # the path of a socket is short
        wire = _Wire(Path(folder), backend.server.folder)
        url = backend.fresh(tmp_path)
        with closing(wire):
            yield wire, url.replace(str(backend.server.folder), folder)


def test_commit_of_messages_takes_two_round_trips(wire: tuple[_Wire, str]) -> None:
    counted, url = wire
    with OpenStore(url) as store:
        alice = store.sign_in("alice")
        store.join(alice, "#general")
        store.send(alice, "the server knows the channel and the user from now on")

        def send_one_by_one() -> None:
            for number in range(10):
                store.do(message(alice, "hello", cid=f"{number:032x}"))

        assert counted.trips(send_one_by_one) == 20
        known = len(store.commits)
        many = [message(alice, "hello", cid=f"{number:032x}") for number in range(10, 60)]
        trips = counted.trips(lambda: store.submit(many)())
        assert trips == 2 * sum(bool(commit.events) for commit in store.commits[known:])
