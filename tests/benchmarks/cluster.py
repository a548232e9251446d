"""Several servers on one PostgreSQL and one NATS, beside one server on SQLite.

Everything runs on all cores of this machine: servers, PostgreSQL, NATS and the generator. The
database is on disk, with the settings of a server that keeps what it confirms.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from chat.protocol.values import Limits
from chat.store.store import Store
from tests.benchmarks.generator import Generator, Load, Result, quantile
from tests.benchmarks.peers import OURS, PEERS, running
from tests.benchmarks.workloads import cpu_of, page_cost
from tests.broker.nats_server import NatsServer
from tests.cluster.three_servers import Follower, Writer
from tests.postgresql import PostgresqlServer
from tests.serving import ChatServer, free_port

__all__ = ["measure"]

ROUNDS = 3
SETTINGS = ("shared_buffers=128MB", "autovacuum=on", "max_wal_size=1GB")
OURS_ON_SQLITE = next(peer for peer in PEERS if peer.name == OURS)
STORES = {
    "one sender, one message in flight": Load(rooms=1, members=1),
    "50 senders in 50 channels, 16 in flight each": Load(rooms=50, members=1, window=16),
    "100 followers, 64 in flight": Load(rooms=1, members=100, window=64),
}
"""Loads of one server, on SQLite and on PostgreSQL."""
SERVERS = {
    "to one channel: 12 members, all send": Load(rooms=1, members=12, talkers=12, window=4),
    "to 48 channels: one sender each": Load(rooms=48, members=1, window=4),
}
"""Loads of one, two and three servers."""
PACED = Load(rooms=20, members=2, pace=5, seconds=10)
"""100 messages per second, each to its sender and to one other."""
FOLLOWERS = 200
LIVE_CHANNELS = 2_000
WATCHED = 10.0
"""Seconds in which the polling is counted."""
_TRANSACTIONS = (
    "SELECT xact_commit + xact_rollback, tup_fetched + tup_returned FROM pg_stat_database"
    " WHERE datname = '{}'"
)


@dataclass
class _Row:
    """Figures of one load in one setup."""

    load: str
    setup: str
    figures: list[Result]
    server_cpu: list[float]
    """Seconds of the servers' processors for a message."""
    database_cpu: list[float]

    def cells(self, first: _Row) -> str:
        """Return the row, with its ratios to the `first` one of the same load, round by round."""
        rates = [each.messages for each in self.figures]
        ratios = [mine / one.messages for mine, one in zip(rates, first.figures, strict=True)]
        return (
            f"| {self.load} | {self.setup} | {_spread(rates)} | {_spread(ratios)}"
            f" | {_middle([each.deliveries for each in self.figures])}"
            f" | {_ms(self.figures, 'p50')} | {_ms(self.figures, 'p99')}"
            f" | {_micros(self.server_cpu)} | {_micros(self.database_cpu)}"
            f" | {sum(each.lost for each in self.figures)} |"
        )


class _Place:
    """One PostgreSQL, one NATS, and a folder for the servers."""

    def __init__(self, folder: Path, database: PostgresqlServer, broker: NatsServer) -> None:
        self.database = database
        self._folder = folder
        self._broker = broker
        self._template = database.create()
        url = database.url(self._template)
        Store.open(url, limits=Limits(), committed=lambda _: None).close()

    def flags(self, name: str) -> tuple[str, ...]:
        """Return the flags of a server on the database `name`."""
        return ("--store", self.database.url(name), "--broker", self._broker.url)

    def folder(self) -> Path:
        """Return a new folder."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the name of a new database."""
        name = self.database.create(self._template)
        try:
            yield name
        finally:
            self.database.drop(name)

    @contextmanager
    def servers(self, count: int, *more: str) -> Iterator[tuple[list[int], list[int], str]]:
        """Run servers on a new database, or one on SQLite if `count` is 0.

        Yields their process ids, their ports, and the name of the database.
        """
        with ExitStack() as stack:
            name, flags = "", more
            if count:
                name = stack.enter_context(self.fresh())
                flags = (*self.flags(name), *more)
            peer = replace(
                OURS_ON_SQLITE,
                command=lambda *place: [*OURS_ON_SQLITE.command(*place), *flags],
            )
            cores = os.sched_getaffinity(0)
            started = [
                stack.enter_context(running(peer, "chat", self.folder(), cores))
                for _ in range(count or 1)
            ]
            yield [pid for pid, _ in started], [port for _, port in started], name

    def database_cpu(self) -> float:
        """Return the seconds of processor of all of PostgreSQL's processes."""
        return sum(_cpu_or_0(pid) for pid in self.database.pids())


def measure() -> str:
    """Run everything; return the results as Markdown tables."""
    with (
        tempfile.TemporaryDirectory(prefix="chat-benchmark-") as folder,
        PostgresqlServer(*SETTINGS, parent=Path(tempfile.gettempdir())) as database,
        NatsServer() as broker,
    ):
        place = _Place(Path(folder), database, broker)
        lines = [
            "| load | setup | sends/s (min–max) | ratio | deliveries/s | p50 ms | p99 ms"
            " | CPU µs a send, servers | PostgreSQL | lost |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *_compare(place, STORES, {"SQLite": 0, "PostgreSQL": 1}),
            *_compare(place, SERVERS, {"1 server": 1, "2 servers": 2, "3 servers": 3}),
            *_compare(place, {"100 a second, to 2": PACED}, {"1 server": 1, "2 servers": 2}),
            "",
            "| measure | figure |",
            "|---|---|",
            *_failover(place),
            *_polling(place),
        ]
    return "\n".join(lines)


def _compare(place: _Place, loads: dict[str, Load], setups: dict[str, int]) -> list[str]:
    lines = []
    for name, load in loads.items():
        rows = [_Row(name, setup, [], [], []) for setup in setups]
        for _ in range(ROUNDS):
            for row, count in zip(rows, setups.values(), strict=True):
                _run(place, row, load, count)
        lines += [row.cells(rows[0]) for row in rows]
        sys.stderr.write("\n".join(lines[-len(rows) :]) + "\n")
    return lines


def _run(place: _Place, row: _Row, load: Load, count: int) -> None:
    with place.servers(count) as (pids, ports, _):
        generator = Generator(ports, OURS_ON_SQLITE.chat, load)
        try:
            generator.connect()
            servers, database = sum(map(cpu_of, pids)), place.database_cpu()
            result = generator.talk()
            sent = result.messages * (load.seconds + load.warm_up)
            row.figures.append(result)
            row.server_cpu.append((sum(map(cpu_of, pids)) - servers) / sent)
            row.database_cpu.append((place.database_cpu() - database) / sent if count else 0.0)
        finally:
            generator.close()


def _failover(place: _Place) -> list[str]:
    """Kill a server with followers; measure until they receive the messages sent afterwards."""
    with place.fresh() as name, ExitStack() as stack:
        servers = [
            stack.enter_context(ChatServer(place.folder() / "data", *place.flags(name)))
            for _ in range(2)
        ]
        waits = asyncio.run(_followers_move(*servers))
    return [
        f"| {FOLLOWERS} followers of a killed server are live elsewhere: half, all |"
        f" {quantile(waits, 0.5):.2f} s, {max(waits):.2f} s |"
    ]


async def _followers_move(first: ChatServer, second: ChatServer) -> list[float]:
    writer = Writer([second.url], "writer", "#moved")
    followers = [
        Follower([first.url, second.url], f"follower{number}", "#moved")
        for number in range(FOLLOWERS)
    ]
    following = [asyncio.create_task(each.run()) for each in followers]
    try:
        while any(each.first is None for each in followers):
            await asyncio.sleep(0.1)
        writing = asyncio.create_task(writer.write(100_000, lambda: 0.02))
        following.append(writing)
        await asyncio.sleep(1.0)
        killed = time.monotonic()
        first.kill()
        head = max(each.head for each in followers)
        moved: dict[str, float] = {}
        while len(moved) < FOLLOWERS:
            await asyncio.sleep(0.005)
            now = time.monotonic() - killed
            for each in followers:
                if each.connections > 1 and each.head > head:
                    moved.setdefault(each.name, now)
        return list(moved.values())
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def _polling(place: _Place) -> list[str]:
    """Count what a server with many live channels asks of the database while nobody writes."""
    listening = f"127.0.0.1:{free_port()}"
    load = Load(rooms=LIVE_CHANNELS, members=1, seconds=0)
    with place.servers(1, "--metrics-listen", listening) as (pids, ports, name):
        generator = Generator(ports, OURS_ON_SQLITE.chat, load)
        try:
            generator.connect()
            time.sleep(2.0)  # the writes of the sign-ins end
            server, database = cpu_of(pids[0]), place.database_cpu()
            counted, rows = _counts(place, name)
            time.sleep(WATCHED)
            counted_then, rows_then = _counts(place, name)
            reads, read = (counted_then - counted) / WATCHED, (rows_then - rows) / WATCHED
            database = (place.database_cpu() - database) / WATCHED
            server = (cpu_of(pids[0]) - server) / WATCHED
            scrape = page_cost(pids[0], listening, "/metrics")
        finally:
            generator.close()
    channels = f"{LIVE_CHANNELS:,} live channels"
    return [
        f"| polling, {channels}: transactions, rows | {reads:.1f} a second, {read:,.0f} a second |",
        f"| polling, {channels}: CPU of PostgreSQL, of the server |"
        f" {database:.1%}, {server:.1%} of a core |",
        f"| a scrape of `/metrics`, {channels} | {scrape:.2f} ms of CPU |",
    ]


def _counts(place: _Place, name: str) -> tuple[int, int]:
    ((transactions, rows),) = place.database.execute(_TRANSACTIONS.format(name))
    return int(transactions), int(rows)


def _cpu_or_0(pid: int) -> float:
    with suppress(OSError):  # it has ended
        return cpu_of(pid)
    return 0.0


def _spread(values: Sequence[float]) -> str:
    low, middle, high = min(values), median(values), max(values)
    return f"{_short(middle)} ({_short(low)}–{_short(high)})"


def _middle(values: Sequence[float]) -> str:
    return _short(median(values))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ms(results: Sequence[Result], figure: str) -> str:
    return f"{median(getattr(each, figure) for each in results) * 1e3:.1f}"


def _micros(values: Sequence[float]) -> str:
    return f"{median(values) * 1e6:.0f}" if any(values) else "–"
