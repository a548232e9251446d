"""Three servers on PostgreSQL and NATS as the deployment of a consistency run, and its faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Self

from tests.broker.nats_server import NatsServer
from tests.cluster.hint_proxy import HintFault, HintProxy
from tests.consistency.deployment import Deployment
from tests.consistency.failing_server import AFTER_COMMIT, BEFORE_COMMIT
from tests.consistency.faults import FailingServer, Injector
from tests.postgresql import PostgresqlServer
from tests.proxy import Fault, Proxy

__all__ = ["ThreeServers"]

SERVERS = 3
SOCKET = ".s.PGSQL.5432"
_BACKENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
_IN_COMMIT = f"{_BACKENDS} AND query ~ '^ *COMMIT' AND state = 'active'"


class ThreeServers(Deployment):
    """Three servers, each with its own network to one database and one broker.

    Args:
        folder: for the servers' data.
        postgresql: has the database.
        template: the database that theirs is copied from.
        longest: maximum seconds of a fault that lasts.
    """

    def __init__(
        self, folder: Path, postgresql: PostgresqlServer, template: str, longest: float
    ) -> None:
        self.postgresql = postgresql
        self.database = postgresql.create(template)
        self.store = postgresql.url(self.database)
        self.nats = NatsServer().start()
        self.longest = longest
        self.databases: list[Proxy] = []
        self.brokers: list[HintProxy] = []
        self._folder = folder
        super().__init__([])

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        self._stack.callback(self.nats.kill)
        socket = self.postgresql.folder / SOCKET
        self.databases = [await enter(Proxy(socket)) for _ in range(SERVERS)]
        self.brokers = [
            await enter(HintProxy(self.nats.port, random.Random(n))) for n in range(SERVERS)
        ]
        self.servers = [
            FailingServer(
                self._folder / f"server{number}" / "data",
                *("--store", f"postgresql://postgres@127.0.0.1:{database.port}/{self.database}"),
                *("--broker", f"nats://127.0.0.1:{broker.port}"),
            )
            for number, (database, broker) in enumerate(
                zip(self.databases, self.brokers, strict=True)
            )
        ]
        await self.start()
        while len(set(await self.burdens())) > 1:  # the last ones still connect to the broker
            await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        await asyncio.to_thread(self.postgresql.drop, self.database)

    def way(self, number: int) -> Callable[[], str]:
        """Return the way of a client: each connection leads to the next server."""
        turns = count(number)
        return lambda: self.urls[next(turns) % SERVERS]

    def injector(self, chance: random.Random) -> Injector:
        """Return an injector of the faults of servers, database, broker and networks."""
        return ClusterInjector(self, chance)


class ClusterInjector(Injector):
    """The faults of several servers."""

    def __init__(self, cluster: ThreeServers, chance: random.Random) -> None:
        super().__init__(chance)
        self._cluster = cluster
        self._faults = {
            "kill -9": (6, lambda: self._kill(self._server())),
            "kill -9 before commit": (4, lambda: self._kill_at(self._server(), BEFORE_COMMIT)),
            "kill -9 after commit": (4, lambda: self._kill_at(self._server(), AFTER_COMMIT)),
            "drain and restart": (3, lambda: self._restart(self._server())),
            "stopped server": (2, lambda: self._stop_process(self._server(), self._duration())),
            "database crash": (2, self._crash_database),
            "database sessions ended": (3, self._end_sessions),
            "database sessions ended in COMMIT": (3, self._end_commits),
            "database cut by reset": (3, lambda: self._cut(cluster.databases, None)),
            "database cut by silence": (3, lambda: self._cut(cluster.databases, Fault.STALL)),
            "broker cut by reset": (3, lambda: self._cut(cluster.brokers, None)),
            "broker cut by silence": (3, lambda: self._cut(cluster.brokers, Fault.STALL)),
            "broker killed": (2, self._kill_broker),
            "broker stopped": (2, self._stop_broker),
            "hints lost": (2, lambda: self._spoil(HintFault.LOSE_SOME)),
            "hints repeated": (2, lambda: self._spoil(HintFault.REPEAT)),
            "hints reordered": (2, lambda: self._spoil(HintFault.REORDER)),
            "last hints lost": (2, lambda: self._spoil(HintFault.LOSE_LAST)),
        }

    def _server(self) -> FailingServer:
        return self._chance.choice(self._cluster.servers)

    def _duration(self) -> float:
        """Return the seconds of a fault that lasts: mostly a few, sometimes the maximum."""
        return min(self._chance.paretovariate(0.8), self._cluster.longest)

    async def _crash_database(self) -> None:
        postgresql = self._cluster.postgresql
        await asyncio.to_thread(postgresql.crash)
        await asyncio.sleep(min(self._duration(), 10))
        postgresql.start()  # it ends with the thread that starts it

    async def _end_sessions(self) -> None:
        await self._execute(_BACKENDS)

    async def _end_commits(self) -> None:
        """End sessions while they commit; it may take many looks until one does."""
        for _ in range(200):
            if await self._execute(_IN_COMMIT):
                self.counts["ended COMMITs"] += 1
                return
            await asyncio.sleep(0.005)

    async def _execute(self, statement: str) -> list[object]:
        cluster = self._cluster
        return await asyncio.to_thread(
            cluster.postgresql.execute, statement.format(cluster.database)
        )

    async def _cut(self, networks: Sequence[Proxy], fault: Fault | None) -> None:
        network = self._chance.choice(networks)
        if fault is None:
            network.refuse()
        else:
            network.spoil(fault)
        await asyncio.sleep(self._duration())
        network.heal()

    async def _kill_broker(self) -> None:
        self._cluster.nats.kill()
        await asyncio.sleep(self._duration())
        await asyncio.to_thread(self._cluster.nats.start)

    async def _stop_broker(self) -> None:
        self._cluster.nats.pause()
        await asyncio.sleep(self._duration())
        self._cluster.nats.resume()

    async def _spoil(self, fault: HintFault) -> None:
        for broker in self._cluster.brokers:
            broker.hints = fault
        await asyncio.sleep(self._duration() + 1)
        for broker in self._cluster.brokers:
            broker.hints = HintFault.NONE
