"""The demo's process: a temporary server and its bots.

It starts a server in FOLDER on a free port, lets the bots perform the script, prints the address,
and waits until its standard input is closed. Then it stops the server and removes FOLDER.
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
from chat.client.demo.script import BOT_NAMES, OPENING
from chat.client.platform.stdio import read_lines

__all__ = ["main"]

_ADDRESS = re.compile(rb"ws://127\.0\.0\.1:\d+")
_STOP_WITHIN = 5.0


def main() -> None:
    """Run until the client has ended."""
    folder = Path(sys.argv[1])
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # only the client's end stops this process
    try:
        asyncio.run(_serve(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(folder: Path) -> None:
    gone = asyncio.create_task(_client_gone())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, gone.cancel)
    with suppress(asyncio.CancelledError):
        async with _server(folder) as url:
            bots = {
                name: Bot(ClientSettings(name=name, url=url, data=folder / name))
                for name in BOT_NAMES
            }
            running = [asyncio.create_task(each.run()) for each in bots.values()]
            try:
                await _play(bots)
                sys.stdout.write(f"{url}\n")  # the client waits for this line
                sys.stdout.flush()
                await gone
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)


async def _play(bots: dict[str, Bot]) -> None:
    seqs: list[int] = []
    for step in OPENING:
        seqs.append(await bots[step.bot].perform(step, seqs[step.about] if seqs else 0))


async def _client_gone() -> None:
    async for _ in read_lines(sys.stdin.fileno()):
        pass


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[str]:
    """Run a server on a free port of the loopback interface; yield its address."""
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
