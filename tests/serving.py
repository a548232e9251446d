"""The real server as a separate process, and a plain client for tests.

- `ChatServer` starts `chat-server` and waits for its address line; it can be stopped, killed, and
started again on the same port and data. Tests get theirs from the `server` and `start_server`
fixtures. `InstalledServer` starts the installed command, imports included.
- `Peer` is a minimal client: it sends commands, checks the types of answers, and keeps every other
frame until a test takes it.
- `eventually` waits for a condition by polling.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Self, TypeVar, overload
from unittest.mock import patch

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chat.protocol import PROTOCOL_VERSION
from chat.protocol.codec import decode_frame, encode
from chat.protocol.commands import Command, Hello, History, Join, Ping, ResumeFrom, Send
from chat.protocol.frames import Joined, Ok, Page, ServerFrame, Welcome
from chat.protocol.items import Event
from chat.protocol.values import Wire
from chat.server.cli import main
from tests.processes import Process, installed, run

__all__ = ["ChatServer", "ConnectionOver", "InstalledServer", "Peer", "eventually", "free_port"]

PATIENCE = 60.0
"""Maximum seconds of any wait on a busy machine before a test fails."""

START_PATIENCE = 120.0
"""Maximum seconds of a start on a busy machine: it is mostly imports."""

_ADMINISTERS = threading.Lock()
"""Held while an operator's command runs in this process."""
_ADDRESS = re.compile(r"\b(wss?)://(\[[^\]]+\]|[^\s:/]+):(\d+)")
_Frame = TypeVar("_Frame", bound=Wire)
_chance = random.SystemRandom()
"""Unlike the shared generator, which Hypothesis seeds equally in each process."""
_held: list[socket.socket] = []
"""Sockets that hold the ports that this process has chosen."""


def eventually(condition: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Wait until `condition` holds; fail with `what` if it never does."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {patience:g} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port without a listener, outside the range that systems give to clients.

    A restarted server gets the same port: no client can have taken it meanwhile, and no other test
    on this machine, because a UDP socket reserves the number until this process ends.
    """
    while True:
        port = _chance.randrange(10_000, 32_000)
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            held.close()
        else:
            _held.append(held)
            return port


class ConnectionOver(AssertionError):
    """The connection ended before the expected frame arrived."""


class ChatServer:
    """A `chat-server` process on a free port of 127.0.0.1.

    Args:
        data: its data directory; survives restarts.
        flags: more command-line flags for every start.
        env: more environment variables.

    `output` has everything it printed, across restarts.
    """

    def __init__(self, data: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        self.flags = flags
        self.port = free_port()
        self.scheme = "ws"
        self.output: list[str] = []
        self._env = env or {}
        self._process: Process | subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._printed = threading.Condition()
        self._is_silent = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """The address for clients; `url + "/echo"` is a raw endpoint."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None, "the server was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def text(self) -> str:
        """All output so far."""
        return "".join(self.output)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the installed `chat-server` with `arguments`."""
        return [installed("chat-server"), *arguments]

    def administer(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an operator's command on the server's data, in this process.

        It changes the environment and the output of this process, so one runs at a time; see
        `administer_apart`.
        """
        output, errors = io.StringIO(), io.StringIO()
        assert _ADMINISTERS.acquire(blocking=False), "another command runs: use administer_apart"
        try:
            with (
                patch.dict(os.environ, self.environment(), clear=True),
                redirect_stdout(output),
                redirect_stderr(errors),
            ):
                code = main([*arguments, "--data", str(self.data)])
        finally:
            _ADMINISTERS.release()
        printed = output.getvalue(), errors.getvalue()
        return subprocess.CompletedProcess(arguments, code, *printed)

    def administer_apart(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an operator's command in a process of its own; several can run at once."""
        command = ("chat-server", *arguments, "--data", str(self.data))
        return run(command, stdin="", env=self.environment(), timeout=PATIENCE)

    def environment(self) -> dict[str, str]:
        """Return an environment without the settings of this machine's user."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")}
        home = str(self.data.parent / "home")
        places = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
        return {**inherited, **places, "PYTHONWARNINGS": "error", **self._env}

    def start(self) -> Self:
        """Start, and return once the server has printed its address."""
        assert not self.is_running, "the server runs already"
        known = len(self.output)
        self._is_silent = False
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.data))
        process = self._process = self.launch(*place, *self.flags)
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        line = self.wait_for_line(_ADDRESS, since=known)
        found = _ADDRESS.search(line)
        assert found is not None
        self.scheme = found[1]
        assert int(found[3]) == self.port, f"asked for port {self.port}, got: {line}"
        return self

    def launch(self, *arguments: str) -> Process | subprocess.Popen[str]:
        """Start the program; its output and errors are one stream."""
        return Process(
            ["chat-server", *arguments], stderr=subprocess.STDOUT, env=self.environment()
        )

    def wait_for_line(self, pattern: str | re.Pattern[str], *, since: int = 0) -> str:
        """Return the first line of `output`, from line `since` on, that `pattern` is found in."""
        compiled = re.compile(pattern)

        def found() -> str | None:
            return next((line for line in self.output[since:] if compiled.search(line)), None)

        with self._printed:
            self._printed.wait_for(lambda: found() or self._is_silent, START_PATIENCE)
        line = found()
        state = "is running" if self.is_running else "has ended"
        assert line is not None, f"{state}; no line like {compiled.pattern!r} in:\n{self.text}"
        return line

    def stop(self) -> int:
        """Ask the server to end (SIGTERM); return its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end of a server that something else stopped; return its exit code."""
        return self._end(None)

    def kill(self) -> None:
        """Kill the server (`kill -9`); do nothing if it does not run."""
        self._end(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> Self:
        """Stop or kill the server and start it again: same port, same data."""
        self.kill() if kill else self.stop()
        return self.start()

    def small_socket(self) -> socket.socket:
        """Connect with small buffers, so that a peer that does not read is soon noticed."""
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        small.connect(("127.0.0.1", self.port))
        small.setblocking(False)
        return small

    def get(self, path: str) -> tuple[int, str]:
        """Request a page over plain HTTP; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        """Return the content of `/healthz`."""
        status, body = self.get("/healthz")
        assert status == 200, body
        health: dict[str, Any] = json.loads(body)
        return health

    def burden(self) -> tuple[int, int, int]:
        """Return how many connections, tasks and timers the server holds."""
        health = self.health()
        return health["connections"], health["tasks"], health["timers"]

    def assert_gone(self) -> None:
        """Check that the server holds no resources."""
        assert not self.is_running, "the server still runs"
        assert self._is_silent, "the server left a process behind that holds its output"

    def _end(self, how: signal.Signals | None) -> int:
        process = self._process
        if process is None:
            return 0
        if how is not None and process.poll() is None:
            process.send_signal(how)
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not end ({how!r}):\n{self.text}") from None
        if self._reader is not None:
            self._reader.join(PATIENCE)
        return code

    def _read(self, process: Process | subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._printed:
                    self.output.append(line)
                    self._printed.notify_all()
        with self._printed:
            self._is_silent = True
            self._printed.notify_all()


class InstalledServer(ChatServer):
    """A `chat-server` that is started with `command`."""

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command; its output and errors are one stream."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=self.environment(),
        )


class Peer:
    """A minimal client: it sends commands unchanged, and keeps received frames in order.

    Open it with `async with Peer.connect(url) as peer`, or signed in with `Peer.signed_in`.
    `frames` has the frames that no test has taken; `received` has all frames.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: Welcome | None = None
        self.frames: list[ServerFrame] = []
        self.received: list[ServerFrame] = []
        self._ids = 0
        self._arrived = asyncio.Condition()
        self._is_over = False

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, **options: Any) -> AsyncIterator[Self]:
        """Connect; `options` go to `websockets.connect`."""
        options = {
            "compression": None,
            "max_size": None,
            "ping_interval": None,
            "open_timeout": PATIENCE,
            **options,
        }
        async with connect(url, proxy=None, close_timeout=2, **options) as socket:
            peer = cls(socket)
            reading = asyncio.create_task(peer._read())
            try:
                yield peer
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    @classmethod
    @asynccontextmanager
    async def signed_in(
        cls, url: str, name: str, token: str | None = None, **options: Any
    ) -> AsyncIterator[Self]:
        """Connect and say hello."""
        async with cls.connect(url, **options) as peer:
            await peer.hello(name, token)
            yield peer

    @property
    def token(self) -> str:
        """The token that `welcome` returned for a new name."""
        assert self.welcome is not None, "not signed in"
        assert self.welcome.token is not None, "the name had a token already"
        return self.welcome.token

    async def hello(
        self,
        name: str,
        token: str | None = None,
        resume: dict[str, ResumeFrom] | None = None,
        **more: Any,
    ) -> Welcome:
        """Sign in; `more` are fields such as `invite` and `device`."""
        hello = Hello(v=PROTOCOL_VERSION, name=name, token=token, resume=resume, **more)
        self.welcome = await self.call(hello, Welcome)
        return self.welcome

    async def join(self, channel: str, resume: ResumeFrom | None = None) -> Joined:
        """Join `channel`, and follow it from `resume` on."""
        return await self.call(Join(channel=channel, resume=resume), Joined)

    async def follow(self, channel: str) -> Joined:
        """Join `channel`, and read its history until live events arrive."""
        joined = await self.join(channel)
        last, is_complete = joined.head, joined.complete
        while not is_complete:
            page = await self.call(History(channel=channel, after=last, limit=200), Page)
            last = page.items[-1].seq if page.items else last
            is_complete = page.complete
        return joined

    async def say(self, text: str, channel: str = "#general", cid: str | None = None) -> Ok:
        """Send a message; returns once it is committed."""
        return await self.call(Send(channel=channel, text=text, cid=cid))

    @overload
    async def call(self, command: Command) -> Ok: ...
    @overload
    async def call(self, command: Command, answer: type[_Frame]) -> _Frame: ...
    async def call(self, command: Command, answer: type[Wire] = Ok) -> Wire:
        """Send `command` and return its answer, which must be of type `answer`.

        To see a refusal: `error = await peer.call(command, ErrorFrame)`.
        """
        command_id = await self.post(command)
        frame = await self._take(
            lambda frame: getattr(frame, "id", None) == command_id, f"the answer to {command!r}"
        )
        assert isinstance(frame, answer), f"{command!r} was answered with {frame!r}"
        return frame

    async def post(self, command: Command) -> str:
        """Send `command` without waiting for the answer; return its id."""
        if command.id is None:
            self._ids += 1
            command = command.model_copy(update={"id": f"c{self._ids}"})
        await self.socket.send(encode(command), text=True)
        assert command.id is not None
        return command.id

    async def send_raw(self, data: str | bytes) -> None:
        """Send one frame as it is: a str as text, bytes as binary."""
        await self.socket.send(data)

    async def next(
        self, kind: type[_Frame], where: Callable[[_Frame], bool] = lambda _: True
    ) -> _Frame:
        """Return and remove the first frame of type `kind` that fits `where`; wait for it."""
        frame = await self._take(
            lambda frame: isinstance(frame, kind) and where(frame), f"a {kind.__name__}"
        )
        assert isinstance(frame, kind)
        return frame

    async def next_event(self, channel: str = "#general", kind: str | None = None) -> Event:
        """Return and remove the next event of `channel` (of `kind`)."""
        return await self.next(
            Event, lambda event: event.channel == channel and kind in (None, event.kind)
        )

    def kept(self, kind: type[_Frame]) -> list[_Frame]:
        """Return the frames of type `kind` that no test has taken."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def settle(self) -> None:
        """Wait until the server has read everything sent so far.

        All frames that do not wait for a commit have then arrived.
        """
        await self.call(Ping())

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds; it is checked after each frame."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE), self._arrived:
                await self._arrived.wait_for(lambda: condition() or self._is_over)
        if condition():
            return
        missing = f"{what} did not come; what came: {self.frames!r}"
        if self._is_over:
            raise ConnectionOver(f"closed with {self.socket.close_code}: {missing}")
        raise AssertionError(missing)

    async def close_code(self) -> int | None:
        """Wait until the connection ends; return the server's close code."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for data in self.socket:
                if (frame := decode_frame(data)) is None:
                    continue
                async with self._arrived:
                    self.frames.append(frame)
                    self.received.append(frame)
                    self._arrived.notify_all()
        async with self._arrived:
            self._is_over = True
            self._arrived.notify_all()

    async def _take(self, fits: Callable[[ServerFrame], bool], what: str) -> ServerFrame:
        looked = 0
        place: int | None = None

        def is_here() -> bool:
            """Check each frame once: repeated checks of waiting frames would take all the time."""
            nonlocal looked, place
            if place is None:
                new = self.received[looked:] if looked else self.frames
                looked = len(self.received)
                fitting = (self._place(frame) for frame in new if fits(frame))
                place = next((each for each in fitting if each is not None), None)
            return place is not None

        await self.until(is_here, what)
        assert place is not None
        return self.frames.pop(place)

    def _place(self, frame: ServerFrame) -> int | None:
        """Return the index of a frame, unless it was taken."""
        return next((place for place, kept in enumerate(self.frames) if kept is frame), None)
