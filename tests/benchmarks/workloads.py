"""The workloads: loads over the network, and reads from logs of several lengths."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from websockets.sync.client import ClientConnection, connect

from chat.protocol.values import Limits
from chat.store.accounts import SignIn
from chat.store.codes import hash_token
from chat.store.operations import (
    Commit,
    JoinChannel,
    Operation,
    PendingCall,
    SendMessage,
    User,
)
from chat.store.store import Store
from tests.benchmarks.generator import Generator, Load, Result, quantile
from tests.benchmarks.peers import Peer, running
from tests.serving import free_port

__all__ = [
    "AGAIN",
    "LENGTHS",
    "LOADS",
    "cpu_of",
    "fill",
    "load_peer",
    "page_cost",
    "read_log",
    "scrape",
]

AGAIN = "2,000 known people come back at once"
LOADS: dict[str, Load] = {
    "1,000 followers, 64 in flight": Load(rooms=1, members=1_000, window=64),
    "100 followers, 64 in flight": Load(rooms=1, members=100, window=64),
    "1,000 followers, 1 in flight": Load(rooms=1, members=1_000),
    "100 followers, 1 in flight": Load(rooms=1, members=100),
    "1,000 followers, 20 a second": Load(rooms=1, members=1_000, pace=20, seconds=10),
    "200 channels of 5, all talk": Load(rooms=200, members=5, talkers=5),
    "200 channels of 5, 1,000 messages a second": Load(
        rooms=200, members=5, talkers=5, pace=5, seconds=5
    ),
    "durable sends, 50 x 16": Load(rooms=50, members=1, window=16),
    "echo, 50 x 16": Load(rooms=50, members=1, window=16),
    "2,000 connect and join at once": Load(rooms=400, members=5, at_once=2_000, seconds=0),
    AGAIN: Load(rooms=400, members=5, at_once=2_000, seconds=0),
    "10,000 idle connections": Load(rooms=2_000, members=5, seconds=0),
}
LENGTHS = (10, 1_000, 1_000_000)
"""Numbers of messages in the logs to read."""
READS = 200
SCRAPES = 500
TOKEN = "t" * 32
PAGE = 50
FILL = 1_000
WORDS = ("tea", "river", "lantern", "green", "walk", "paper", "north", "cloud", "quiet", "seven")


def load_peer(peer: Peer, name: str, folder: Path) -> dict[str, float]:
    """Run one load against one peer; return the results, times in seconds, sizes in KiB."""
    load = LOADS[name]
    mode = "echo" if name.startswith("echo") else "chat"
    dialect = peer.echo if mode == "echo" and peer.echo else peer.chat
    with running(peer, mode, folder) as (pid, port):
        generator = Generator((port,), dialect, load)
        if name == AGAIN and peer.again is not None:
            generator.connect()
            generator.close()
            generator = Generator((port,), peer.again, load, generator.learned)
        try:
            before = _resident(pid)
            set_up = generator.connect()
            cpu = cpu_of(pid)
            result = generator.talk() if load.seconds else Result()
            spent = cpu_of(pid) - cpu
            grown = _resident(pid) - before
        finally:
            generator.close()
    result.set_up = set_up
    seen = asdict(result)
    seen["connections"] = load.rooms * load.members / set_up
    seen["memory"] = grown / (load.rooms * load.members)
    sent = result.messages * (load.seconds + load.warm_up)
    seen["cpu"] = spent / sent if sent else 0.0
    return seen


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def cpu_of(pid: int) -> float:
    """Return the seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scrape(server: Peer, folder: Path, connections: int) -> dict[str, float]:
    """Return milliseconds of the server's processor for a page, with so many connected people."""
    listening = f"127.0.0.1:{free_port()}"
    observed = replace(
        server,
        command=lambda *place: [*server.command(*place), "--metrics-listen", listening],
    )
    load = Load(rooms=max(1, connections // 5), members=5, at_once=200, seconds=0)
    with running(observed, "chat", folder) as (pid, port):
        generator = Generator((port,), server.chat, load)
        try:
            if connections:
                generator.connect()
            return {page: page_cost(pid, listening, page) for page in ("/metrics", "/readyz")}
        finally:
            generator.close()


def page_cost(pid: int, address: str, page: str) -> float:
    """Return milliseconds of a server's processor for a request of `page`."""

    def request() -> None:
        with closing(HTTPConnection(address)) as connection:
            connection.request("GET", page)
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.OK
            answer.read()

    request()  # warm up
    before = cpu_of(pid)
    for _ in range(SCRAPES):
        request()
    return (cpu_of(pid) - before) / SCRAPES * 1e3


# Logs


def read_log(server: Peer, folder: Path) -> dict[str, float]:
    """Start the server on a log that `fill` made, and read; return milliseconds (medians)."""
    head = int((folder / "length").read_text())
    began = time.perf_counter()
    with running(server, "chat", folder) as (_pid, port):
        started = time.perf_counter() - began
        with _signed_in(port) as ask:
            page: dict[str, object] = {"type": "history", "channel": "#log", "limit": PAGE}
            middle = {**page, "before": max(2, head // 2)}
            search: dict[str, object] = {"type": "search", "query": WORDS[2], "channel": "#log"}
            return {
                "start": started * 1e3,
                "history": _median(ask(page) for _ in range(READS)),
                "history, middle": _median(ask(middle) for _ in range(READS)),
                "search": _median(ask(search) for _ in range(READS)),
            }


def fill(folder: Path, length: int) -> None:
    """Create a database whose `#log` has so many messages, through the store itself."""
    (folder / "length").write_text(str(length))
    users: SimpleQueue[User] = SimpleQueue()
    room = threading.Semaphore(FILL)

    def committed(commit: Commit) -> None:
        for pending in commit.operations:
            pending.settle()
        room.release(len(commit.operations))

    def ignore(_outcome: object) -> None:
        pass

    def submit(operation: Operation[Any]) -> None:
        room.acquire()
        store.submit([PendingCall(operation, ignore, ignore)])

    store = Store.open(f"sqlite:///{folder}/chat.db", limits=Limits(), committed=committed)
    try:
        sign_in = SignIn("reader", None, hash_token(TOKEN))
        store.submit([PendingCall(sign_in, lambda signed_in: users.put(signed_in.user), ignore)])
        reader = users.get()
        submit(JoinChannel(reader, "#log"))
        for number in range(length):
            submit(_message(reader, number))
    finally:
        store.close()


def _message(user: User, number: int) -> SendMessage:
    words = " ".join(WORDS[(number // 10**place) % 10] for place in range(7))
    return SendMessage(user, "#log", f"{words} {number}", cid=str(number))


class _Asker:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def __call__(self, command: dict[str, object]) -> float:
        """Send a command, wait for the answer, and return the milliseconds between."""
        began = time.perf_counter()
        self._socket.send(json.dumps({**command, "id": "a"}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == "a":
                assert answer["type"] != "error", answer
                return (time.perf_counter() - began) * 1e3


@contextmanager
def _signed_in(port: int) -> Iterator[_Asker]:
    with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None) as socket:
        ask = _Asker(socket)
        ask({"type": "hello", "v": 1, "name": "reader", "token": TOKEN})
        yield ask


def _median(values: Iterator[float]) -> float:
    return quantile(list(values), 0.5)
