"""The fault injector, and the faults of one server, its disk, its clock and its network."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.consistency.failing_server import AFTER_COMMIT, BEFORE_COMMIT, CONTROL, SABOTAGE
from tests.proxy import Fault, Proxy
from tests.serving import InstalledServer

__all__ = ["ROOT", "FailingServer", "Injector", "ServerInjector"]

ROOT = Path(__file__).parents[2]
HOUR = 3_600.0
FLAGS = (
    *("--heartbeat", "1", "--reconnect-window", "0.5", "--close-timeout", "1"),
    *("--limits.rate", "100000", "--limits.burst", "100000", "--limits.invitations", "100000"),
)


class FailingServer(InstalledServer):
    """The real server under the launcher that injects faults.

    Args:
        data: its data directory; the control file is beside it.
        flags: more command-line flags.
        sabotage: the safeguard to disable.
    """

    def __init__(self, data: Path, *flags: str, sabotage: str = "") -> None:
        self.control = data.parent / "control.json"
        env = {CONTROL: str(self.control), "PYTHONPATH": str(ROOT)}
        if sabotage:
            env[SABOTAGE] = sabotage
        super().__init__(data, *FLAGS, *flags, env=env)
        self.request()

    def command(self, *arguments: str) -> list[str]:
        """Return the launcher's command line."""
        return [sys.executable, "-m", "tests.consistency.failing_server", *arguments]

    def request(self, kill: str = "", clock: float = 0.0) -> None:
        """Request the server's death at a point of its next commit, or a wrong clock."""
        self.control.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.control.with_suffix(".new")
        fresh.write_text(json.dumps({"kill": kill, "clock": clock}), "utf-8")
        fresh.replace(self.control)


Faults = dict[str, tuple[int, Callable[[], Awaitable[None]]]]
"""How often each kind of fault happens, compared with the others, and what injects and ends it."""


class Injector:
    """Injects one fault after another and ends each; counts them by kind."""

    def __init__(self, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._chance = chance
        self._clock = 0.0
        self._faults: Faults = {}

    @property
    def kills(self) -> int:
        """Number of times a server was killed."""
        return sum(n for kind, n in self.counts.items() if kind.startswith("kill"))

    async def run(self, seconds: float) -> None:
        """Inject each kind once, then random kinds, until `seconds` have passed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        todo = list(self._faults)
        self._chance.shuffle(todo)
        weights = [weight for weight, _ in self._faults.values()]
        while loop.time() < end or todo:
            kind = todo.pop() if todo else self._chance.choices(list(self._faults), weights)[0]
            await self._faults[kind][1]()
            self.counts[kind] += 1
            await asyncio.sleep(self._chance.uniform(0.1, 0.8))

    async def _begin_again(self, server: FailingServer) -> None:
        server.request(clock=self._clock)
        await asyncio.to_thread(server.start)

    async def _kill(self, server: FailingServer) -> None:
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        await asyncio.to_thread(server.kill)
        await self._begin_again(server)

    async def _kill_at(self, server: FailingServer, point: str) -> None:
        server.request(kill=point, clock=self._clock)
        async with asyncio.timeout(60):
            while server.is_running:
                await asyncio.sleep(0.02)
        await asyncio.to_thread(server.kill)  # reaps it
        await self._begin_again(server)

    async def _restart(self, server: FailingServer) -> None:
        await asyncio.to_thread(server.stop)
        await self._begin_again(server)

    async def _stop_process(self, server: FailingServer, seconds: float) -> None:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(server.pid, signal.SIGCONT)


class ServerInjector(Injector):
    """The faults of one server behind a proxy."""

    def __init__(self, server: FailingServer, proxy: Proxy, chance: random.Random) -> None:
        super().__init__(chance)
        self._server = server
        self._proxy = proxy
        self._faults = {
            "kill -9": (6, lambda: self._kill(server)),
            "kill -9 before commit": (4, lambda: self._kill_at(server, BEFORE_COMMIT)),
            "kill -9 after commit": (4, lambda: self._kill_at(server, AFTER_COMMIT)),
            "restart": (2, lambda: self._restart(server)),
            "stopped process": (2, lambda: self._stop_process(server, chance.uniform(0.2, 3))),
            "full disk": (3, self._fill_disk),
            "clock jump": (2, self._move_clock),
            "connection cut": (6, self._cut),
            "connection half closed": (3, self._half_close),
            "connection stalled": (3, lambda: self._spoil(Fault.STALL)),
            "connection delayed": (2, lambda: self._spoil(Fault.DELAY)),
            "connection throttled": (2, lambda: self._spoil(Fault.THROTTLE)),
        }

    async def run(self, seconds: float) -> None:
        """Inject faults until `seconds` have passed; end those of connections."""
        await super().run(seconds)
        self._proxy.heal()

    async def _fill_disk(self) -> None:
        """Prevent all files of the server from growing for a while."""
        files = [path.stat().st_size for path in self._server.data.iterdir() if path.is_file()]
        _, hard = resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE)
        # The write-ahead log shrinks and grows, so it soon reaches its present size.
        resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE, (min(files) + 4_096, hard))
        try:
            await asyncio.sleep(self._chance.uniform(0.3, 1.5))
        finally:
            resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE, (hard, hard))

    async def _move_clock(self) -> None:
        self._clock = self._chance.choice((-HOUR, 0.0, HOUR))
        self._server.request(clock=self._clock)

    async def _cut(self) -> None:
        if link := self._proxy.choose(self._chance):
            link.cut()

    async def _half_close(self) -> None:
        if link := self._proxy.choose(self._chance):
            link.half_close()

    async def _spoil(self, fault: Fault) -> None:
        if link := self._proxy.choose(self._chance):
            link.fault = fault
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))
            if self._chance.random() < 0.7:  # the ends abandon the others
                link.fault = Fault.NONE
