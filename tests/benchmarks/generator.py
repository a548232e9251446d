"""The load generator: one thread, one epoll, and no parsing.

It counts the byte that every text contains once (`dialects.MARK`), in one buffer for all
connections, so a delivery costs little more than its system call. It also measures its own share of
a core: above 90 %, it was the bottleneck, and the result is a lower bound.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.dialects import MARK, Dialect

__all__ = ["Generator", "Load", "Result", "quantile"]

BUFFER = 1 << 20
PATIENCE = 30.0
"""Seconds without any data until connecting fails."""
SETTLE = 5.0
"""Seconds after the last message until missing ones count as lost."""


@dataclass(frozen=True)
class Load:
    """Connections and their behavior.

    Args:
        rooms: number of rooms.
        members: members per room; all receive.
        talkers: members per room that talk, in turn.
        window: unconfirmed messages per talker (closed loop): the next one is sent when all members
            of the room have received one more.
        pace: messages per second, independent of deliveries (open loop, without `window`); 0: a
            closed loop.
        at_once: connections that join at the same time.
        seconds: measured time, after a warm-up; 0: only connecting is measured.
        warm_up: seconds before the measured time.
    """

    rooms: int
    members: int
    talkers: int = 1
    window: int = 1
    pace: float = 0.0
    at_once: int = 64
    seconds: float = 2.0
    warm_up: float = 0.5


@dataclass
class Result:
    """The results; times in seconds, `share` of the generator's core."""

    set_up: float = 0.0
    deliveries: float = 0.0
    """Per second."""
    messages: float = 0.0
    """Per second."""
    p50: float = 0.0
    p99: float = 0.0
    """From sending a message until all members have it."""
    lost: int = 0
    share: float = 0.0


@dataclass
class _Room:
    number: int
    members: list[socket.socket] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    done: int = 0
    due: float = 0.0
    """Time at which the next message is sent, in an open loop."""
    departures: deque[float] = field(default_factory=deque)
    frame: bytes = b""
    """The message, if all messages are alike."""


def quantile(values: list[float], part: float) -> float:
    """Return the value below which `part` of `values` lie; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Generator:
    """Runs one load; its connections stay open until `close`.

    The members of a room, and the rooms, are distributed over `ports`.

    `learned` has the groups that each connection found in the server's answers in an earlier run.
    """

    def __init__(
        self,
        ports: Sequence[int],
        dialect: Dialect,
        load: Load,
        learned: Mapping[int, dict[str, bytes]] | None = None,
    ) -> None:
        self._ports = ports
        self._dialect = dialect
        self._load = load
        self._message = dialect.message.encode()
        self._is_numbered = b"{n}" in self._message
        self._rooms = [_Room(number) for number in range(load.rooms)]
        self._sockets: list[socket.socket] = []
        self._room_of: dict[int, _Room] = {}
        self._socket_of: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self._latencies: list[float] = []
        self.learned: dict[int, dict[str, bytes]] = dict(learned or {})

    def connect(self) -> float:
        """Let all connections join their rooms; return the seconds that it took."""
        count = self._load.rooms * self._load.members
        opening = self._dialect.opening()
        began = time.perf_counter()
        waiting: dict[int, tuple[socket.socket, int, int, bytes]] = {}
        following = 0
        while following < count or waiting:
            while following < count and len(waiting) < self._load.at_once:
                sock = socket.socket()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect_ex(("127.0.0.1", self._port_of(following)))
                self._poll.register(sock, select.EPOLLOUT)
                waiting[sock.fileno()] = (sock, following, -1, b"")
                following += 1
            events = self._poll.poll(PATIENCE)
            if not events:
                raise TimeoutError(f"{len(waiting)} connections wait for an answer")
            for fd, _event in events:
                if fd not in waiting:  # frames for connections that have already joined
                    self._socket_of[fd].recv(BUFFER)
                    continue
                waiting[fd] = self._step(opening, *waiting[fd])
                if waiting[fd][2] == len(opening):
                    self._enter(*waiting.pop(fd)[:2])
        return time.perf_counter() - began

    def _port_of(self, index: int) -> int:
        member, room = divmod(index, self._load.rooms)
        return self._ports[(member + room) % len(self._ports)]

    def _step(
        self,
        opening: tuple[tuple[bytes, bytes], ...],
        sock: socket.socket,
        index: int,
        step: int,
        read: bytes,
    ) -> tuple[socket.socket, int, int, bytes]:
        if step >= 0:
            data = sock.recv(BUFFER)
            if not data:
                raise ConnectionError(f"connection {index} was closed: {read[-200:]!r}")
            read += data
            again = self._dialect.again
            if again is not None and again.encode() in read:
                step -= 1
            elif opening[step][1] not in read:
                return sock, index, step, read
        else:
            self._poll.modify(sock, select.EPOLLIN)
        step += 1
        if step < len(opening):
            room = index % self._load.rooms
            known = self.learned.get(index, {})
            sock.sendall(self._dialect.frame(opening[step][0], i=index, room=room, **known))
        elif (learn := self._dialect.learn) is not None and (found := learn.search(read)):
            self.learned[index] = found.groupdict()
        return sock, index, step, b""

    def _enter(self, sock: socket.socket, index: int) -> None:
        room = self._rooms[index % self._load.rooms]
        room.members.append(sock)
        self._room_of[sock.fileno()] = room
        self._socket_of[sock.fileno()] = sock
        self._sockets.append(sock)

    def talk(self) -> Result:
        """Talk for the load's time; return the results."""
        load, result = self._load, Result()
        buffer = bytearray(BUFFER)
        self._drain(buffer, 0.3)
        for room in self._rooms:
            room.received = 0
        gc.disable()
        try:
            self._run(buffer, load.warm_up)
            self._latencies.clear()
            received, sent = self._total()
            cpu, began = time.process_time(), time.perf_counter()
            self._run(buffer, load.seconds)
            took = time.perf_counter() - began
            result.share = (time.process_time() - cpu) / took
        finally:
            gc.enable()
        now_received, now_sent = self._total()
        result.deliveries = (now_received - received) / took
        result.messages = (now_sent - sent) / took
        result.p50 = quantile(self._latencies, 0.5)
        result.p99 = quantile(self._latencies, 0.99)
        result.lost = self._settle(buffer)
        return result

    def close(self) -> None:
        """Close all connections."""
        self._poll.close()
        for sock in self._sockets:
            sock.close()

    @property
    def _copies(self) -> int:
        return self._load.members - (not self._dialect.is_told_oneself)

    def _total(self) -> tuple[int, int]:
        return sum(r.received for r in self._rooms), sum(r.sent for r in self._rooms)

    def _run(self, buffer: bytearray, seconds: float) -> None:
        room_of, socket_of, poll = self._room_of, self._socket_of, self._poll.poll
        is_open = self._load.pace > 0
        now = time.perf_counter()
        for room in self._rooms:
            room.due = now
            if is_open:  # the rooms send in turn, not all at once
                room.due += room.number / (len(self._rooms) * self._load.pace)
            self._pump(room, now)
        end = now + seconds
        while now < end:
            touched = {room.number: room for room in self._rooms} if is_open else {}
            for fd, _event in poll(self._pause(now)):
                size = socket_of[fd].recv_into(buffer)
                if not size:
                    raise ConnectionError("the server closed a connection")
                room = room_of[fd]
                room.received += buffer.count(MARK, 0, size)
                touched[room.number] = room
            now = time.perf_counter()
            for room in touched.values():
                self._pump(room, now)

    def _pause(self, now: float) -> float:
        if not self._load.pace:
            return 0.1
        # The poll rounds up to milliseconds, so the last one is busy polling.
        return max(0.0, min(room.due for room in self._rooms) - now - 0.001)

    def _pump(self, room: _Room, now: float) -> None:
        done = room.received // self._copies
        for _ in range(done - room.done):
            self._latencies.append(now - room.departures.popleft())
        room.done = done
        if self._load.pace:
            while room.due <= now:
                self._say(room, room.due)  # latency counts from the due time
                room.due += 1 / self._load.pace
            return
        if due := self._load.window * self._load.talkers - (room.sent - done):
            self._say(room, now, due)

    def _say(self, room: _Room, departure: float, count: int = 1) -> None:
        """Send the next messages of a room; those of one talker are sent in one write."""
        leaving: dict[socket.socket, list[bytes]] = {}
        for _ in range(count):
            talker = room.members[room.sent % self._load.talkers]
            room.sent += 1
            room.departures.append(departure)
            leaving.setdefault(talker, []).append(self._frame(room))
        for talker, frames in leaving.items():
            talker.sendall(b"".join(frames))

    def _frame(self, room: _Room) -> bytes:
        if self._is_numbered:
            return self._dialect.frame(self._message, room=room.number, n=room.sent)
        if not room.frame:
            room.frame = self._dialect.frame(self._message, room=room.number)
        return room.frame

    def _settle(self, buffer: bytearray) -> int:
        expected = sum(room.sent for room in self._rooms) * self._copies
        deadline = time.perf_counter() + SETTLE
        while self._total()[0] < expected and time.perf_counter() < deadline:
            self._drain(buffer, 0.05)
        return expected - self._total()[0]

    def _drain(self, buffer: bytearray, quiet: float) -> None:
        while events := self._poll.poll(quiet):
            for fd, _event in events:
                size = self._socket_of[fd].recv_into(buffer)
                self._room_of[fd].received += buffer.count(MARK, 0, size)
                if not size:
                    raise ConnectionError("the server closed a connection")
