"""The measured programs: the server, and similar servers that are installed on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import dialects
from tests.benchmarks.dialects import Dialect

__all__ = ["BUN", "CORE", "OURS", "PEERS", "Peer", "running"]

HERE = Path(__file__).parent / "servers"
OURS = "chat-server"
BUN = "Bun, durable"
CORE = 0
"""The server's core; the generator has the other one."""
NOT_LIMITED = "1000000000"
NATS_CONF = "listen: 127.0.0.1:{port}\nmax_pending: 268435456\nping_interval: '600s'\n"
REDIS_CONF = "bind 127.0.0.1\nport {port}\nsave ''\nclient-output-buffer-limit pubsub 0 0 0\n"
NGIRCD_CONF = """[Global]
Name = irc.bench.test
Info = bench
Listen = 127.0.0.1
Ports = {port}
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
"""


@dataclass(frozen=True)
class Peer:
    """A server: `command` gets a port, a mode (chat or echo) and an empty folder."""

    name: str
    program: str
    command: Callable[[str, str, Path], list[str]]
    chat: Dialect
    echo: Dialect | None = None
    again: Dialect | None = None
    """The dialect of reconnecting clients."""

    @property
    def is_here(self) -> bool:
        """Whether its program is installed."""
        return (
            shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin") is not None
        )


def _ours(port: str, _mode: str, folder: Path) -> list[str]:
    # Documented settings raise its limits on rates, waiting times and idle clients.
    return [
        *(sys.executable, "-m", "chat.server.cli", "--host", "127.0.0.1", "--port", port),
        *("--data", str(folder), "--limits.rate", NOT_LIMITED, "--limits.burst", NOT_LIMITED),
        *("--sign-in-patience", "120", "--hello-timeout", "120", "--heartbeat", "300"),
    ]


def _node(port: str, mode: str, _folder: Path) -> list[str]:
    return ["node", str(HERE / "node.js"), port, mode]


def _bun(port: str, _mode: str, folder: Path) -> list[str]:
    return ["bun", str(HERE / "bun.js"), port, str(folder)]


def _library(port: str, mode: str, _folder: Path) -> list[str]:
    return [sys.executable, str(HERE / "library.py"), port, mode]


def _limit(how: str) -> Callable[[str, str, Path], list[str]]:
    def command(port: str, _mode: str, folder: Path) -> list[str]:
        program = str(folder / "limit")
        subprocess.run(["cc", "-O2", "-o", program, str(HERE / "limit.c")], check=True)
        return [program, port, how]

    return command


def _configured(text: str, *command: str) -> Callable[[str, str, Path], list[str]]:
    def with_file(port: str, _mode: str, folder: Path) -> list[str]:
        file = folder / "conf"
        file.write_text(text.format(port=port))
        return [*command, str(file)]

    return with_file


PEERS = (
    Peer(OURS, sys.executable, _ours, dialects.CHAT, dialects.CHAT_ECHO, dialects.CHAT_AGAIN),
    Peer("Node ws", "node", _node, dialects.TOY, dialects.ECHO),
    Peer(BUN, "bun", _bun, dialects.TOY),
    Peer("websockets", sys.executable, _library, dialects.TOY, dialects.ECHO),
    Peer("C, a write each", "cc", _limit("each"), dialects.TOY),
    Peer("C, a write a turn", "cc", _limit("turn"), dialects.TOY),
    Peer("NATS", "nats-server", _configured(NATS_CONF, "nats-server", "-c"), dialects.NATS),
    Peer("Redis", "redis-server", _configured(REDIS_CONF, "redis-server"), dialects.REDIS),
    Peer("ngircd", "ngircd", _configured(NGIRCD_CONF, "ngircd", "-n", "-f"), dialects.IRC),
)


@contextmanager
def running(
    peer: Peer, mode: str, folder: Path, cores: Collection[int] = (CORE,)
) -> Iterator[tuple[int, int]]:
    """Run a peer on its core, or on `cores`; yield its process id and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    others = os.sched_getaffinity(0)
    command = peer.command(str(port), mode, folder)
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    os.sched_setaffinity(0, cores)  # inherited by the child
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **home, "PATH": os.environ.get("PATH", "") + ":/usr/sbin"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.sched_setaffinity(0, others)
    try:
        _wait_for(port, process, peer.chat)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], dialect: Dialect) -> None:
    """Wait until the server listens and, with WebSocket, answers handshakes."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(30)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                if dialect.path is not None:
                    probe.sendall(dialect.opening()[0][0])
                    probe.recv(1)
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen")
