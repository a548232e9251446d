"""The demo's process: a temporary server and its bots.

Starts a server in FOLDER on a free port, lets the companions play the opening, prints the address,
and waits for the end of its standard input. Then it stops the server and removes FOLDER.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from chat.client.config.settings import ClientSettings
from chat.client.demo.bot import Bot
from chat.client.demo.script import COMPANIONS, OPENING
from chat.client.platform.stdio import lines_of

__all__ = ["main"]

_ADDRESS = re.compile(rb"ws://127\.0\.0\.1:\d+")
_STOP_WITHIN = 5.0


def main() -> None:
    """Run until the client is gone."""
    folder = Path(sys.argv[1])
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # the client's end is the sign to end
    try:
        asyncio.run(_keep(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _keep(folder: Path) -> None:
    gone = asyncio.create_task(_client_gone())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, gone.cancel)
    with suppress(asyncio.CancelledError):
        async with _server(folder) as url:
            companions = {
                name: Bot(ClientSettings(name=name, url=url, data=folder / name))
                for name in COMPANIONS
            }
            running = [asyncio.create_task(each.run()) for each in companions.values()]
            try:
                await _play(companions)
                sys.stdout.write(f"{url}\n")  # what the client waits for
                sys.stdout.flush()
                await gone
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)


async def _play(companions: dict[str, Bot]) -> None:
    seqs: list[int] = []
    for act in OPENING:
        seqs.append(await companions[act.who].perform(act, seqs[act.about] if seqs else 0))


async def _client_gone() -> None:
    async for _ in lines_of(sys.stdin.fileno()):
        pass


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[str]:
    """Run a server of our own on a free port of the loopback."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "chat.server.cli", "--host", "127.0.0.1", "--port", "0"),
        *("--data", str(folder / "server"), "--server-name", "demo"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        while line := await server.stdout.readline():
            if found := _ADDRESS.search(line):
                yield found[0].decode()
                return
    finally:
        with suppress(ProcessLookupError):
            server.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await server.wait()
        except TimeoutError:
            server.kill()
            await server.wait()


if __name__ == "__main__":
    main()
