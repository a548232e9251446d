"""A small server in a thread that can misbehave: silence, gaps, rejections, lies.

It keeps `FakeLog`s in memory, and does only what a client's tests need.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.http11 import Request, Response

from chat.errors import ErrorCode
from chat.protocol.codec import decode_command, encode
from chat.protocol.commands import (
    Command,
    Delete,
    Edit,
    Hello,
    History,
    Join,
    Leave,
    Mark,
    React,
    ResumeFrom,
    Send,
    SetTopic,
    Who,
)
from chat.protocol.frames import (
    ErrorFrame,
    Heads,
    Joined,
    Member,
    Members,
    Membership,
    Ok,
    Page,
    Read,
    ServerFrame,
    ServerInfo,
    Tick,
    Welcome,
)
from chat.protocol.items import Event
from chat.protocol.values import Limits, Wire
from chat.text import is_builtin
from tests.client.fake_log import FakeLog
from tests.serving import PATIENCE

Answer = Wire | None
_NEW_IN_HELLO = {"invite", "link", "password", "device"}
_NEW_COMMANDS = {
    *("devices", "revoke", "link", "password", "account", "users", "invitation", "invitations"),
    *("ban", "unban", "bans", "audit"),
}
"""Commands that were introduced with accounts."""
_NEW_WITH_ROOMS = {
    *("create", "kick", "mute", "unmute", "role", "invite", "uninvite", "decline", "channel"),
    *("archive", "delete_channel", "ignore", "unignore", "follow"),
}
_NEW_FIELDS = {"send": "thread_only", "mark": "thread", "ban": "channel", "bans": "channel"}
"""Commands that were introduced with rooms, and fields of other commands."""


class FakeServer:
    """Listens on a free port of 127.0.0.1; `stop` and `start` keep port and logs.

    `intercept` gets every command first, and may return the answer; with `SILENCE`, there is none.
    It may call `store`, `append` and `cut`, as a test may.
    """

    SILENCE = Ok(id="silence")

    def __init__(self, server_id: str = "server-1", heartbeat: float = 30.0, port: int = 0) -> None:
        self.server_id = server_id
        self.heartbeat = heartbeat
        self.limits = Limits()
        self.frame_bytes = 1_048_576
        self.logs: dict[str, FakeLog] = {"#general": FakeLog("#general")}
        self.members: dict[str, set[str]] = {"#general": set()}
        self.tokens: dict[str, str] = {}
        self.issues: str | None = None
        """The token in each `welcome`; a real server sends one only if the client sent none."""
        self.commands: list[Command] = []
        self.intercept: Callable[[Command], Answer] = lambda _: None
        self.sends_events = True
        self.more_ids: tuple[str, ...] = ()
        self.features: tuple[str, ...] = ()
        """Supported features; without one, its fields and commands are refused."""
        self.role = "member"
        self.joined: dict[str, dict[str, Any]] = {}
        """More fields of `joined`, and of the channel in `welcome`, by channel."""
        self.not_resumed: dict[str, ErrorFrame] = {}
        """Errors to send instead of the first `joined` after a `hello`, by channel."""
        self.welcome: dict[str, Any] = {}
        """More fields of `welcome`."""
        self.port = port
        self._stored: dict[tuple[str, str], Event] = {}
        self._sockets: dict[ServerConnection, str] = {}
        self._attached: dict[ServerConnection, set[str]] = {}
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._sockets)

    def start(self) -> Self:
        self._do(self._start())
        return self

    def stop(self) -> None:
        """Stop at once, like a crash: connections break without a close frame."""
        self._do(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Break all connections; new ones are accepted."""
        self._call(self._abort)

    def end(self, code: int, reason: str = "") -> None:
        """Close all connections with a code."""
        for socket in list(self._sockets):
            self._do(socket.close(code, reason))

    def say(self, author: str, text: str, channel: str = "#general", **body: Any) -> Event:
        """Append a message, and deliver it."""
        return self.append(author, channel, "message", text=text, **body)

    def append(self, author: str, channel: str, kind: str, **body: Any) -> Event:
        event: Event = self._call(lambda: self._append(author, channel, kind, **body))
        return event

    def store(self, author: str, command: Send) -> Event:
        """Store a message and its `cid`, like a server whose answer is lost."""
        event: Event = self._call(lambda: self._stored_once(author, command)[0])
        return event

    def tell(self, frame: Wire | bytes) -> None:
        """Send a frame to all clients."""
        data = frame if isinstance(frame, bytes) else encode(frame)

        def write() -> None:
            for socket in self._sockets:
                self._write(socket, data)

        self._call(write)

    def ping(self, times: int) -> None:
        """Send pings to all clients, as fast as possible."""

        def write() -> None:
            for socket in self._sockets:
                for number in range(times):
                    socket.protocol.send_ping(str(number).encode())
                socket.send_data()

        self._call(write)

    def tell_heads(self) -> None:
        self.tell(Heads(heads={name: log.head for name, log in self.logs.items()}))

    def count(self, kind: type[Wire]) -> int:
        return sum(isinstance(command, kind) for command in list(self.commands))

    # Within the thread

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def _call(self, work: Callable[[], Any]) -> Any:
        if threading.current_thread() is self._thread:
            return work()
        done: Future[Any] = Future()

        def call() -> None:
            try:
                done.set_result(work())
            except BaseException as exc:
                done.set_exception(exc)

        self._loop.call_soon_threadsafe(call)
        return done.result(PATIENCE)

    def _abort(self) -> None:
        for socket in list(self._sockets):
            socket.transport.abort()

    async def _start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            compression=None,
            max_size=self.frame_bytes,
            ping_interval=None,
            close_timeout=1,
            process_response=self._add_id,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close(close_connections=False)
            self._abort()
            while self._sockets:
                await asyncio.sleep(0.01)
            await self._server.wait_closed()
            self._server = None

    def _add_id(self, _: ServerConnection, __: Request, response: Response) -> None:
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS and self.server_id:
            headers: Headers = response.headers
            for server_id in (self.server_id, *self.more_ids):
                headers["Chat-Server-Id"] = server_id
            if self.features:
                headers["Chat-Features"] = ", ".join(self.features)

    async def _serve(self, socket: ServerConnection) -> None:
        self._sockets[socket] = ""
        self._attached[socket] = set()
        try:
            async for data in socket:
                if unknown := self._unknown(data):
                    self._write(socket, encode(unknown))
                    continue
                command = self._read(data)
                self.commands.append(command)
                answer = self.intercept(command)
                if answer is None:
                    answer = self._answer(socket, command)
                if answer is not self.SILENCE:
                    self._write(socket, encode(answer.model_copy(update={"id": command.id})))
                if isinstance(command, Hello):
                    self._resume(socket, command)
        except ConnectionClosed:
            pass
        finally:
            del self._sockets[socket], self._attached[socket]

    def _unknown(self, data: bytes | str) -> ErrorFrame | None:
        """Return the refusal of unknown fields and commands in the mode of the first release."""
        frame = json.loads(data)
        is_room = frame["type"] in _NEW_WITH_ROOMS or _NEW_FIELDS.get(frame["type"], "-") in frame
        if is_room and "rooms" not in self.features:
            code = ErrorCode.UNKNOWN_TYPE
        elif "accounts" in self.features:
            return None
        elif frame["type"] in _NEW_COMMANDS:
            code = ErrorCode.UNKNOWN_TYPE
        elif frame["type"] == "hello" and not _NEW_IN_HELLO.isdisjoint(frame):
            code = ErrorCode.INVALID
        else:
            return None
        return ErrorFrame(id=frame.get("id"), code=code, message="unknown", retryable=False)

    def _read(self, data: bytes | str) -> Command:
        return decode_command(data, self.limits)

    def _write(self, socket: ServerConnection, data: bytes) -> None:
        with suppress(ConnectionClosed, InvalidState):
            socket.protocol.send_text(data)
            socket.send_data()

    def _answer(self, socket: ServerConnection, command: Command) -> ServerFrame:
        name = self._sockets[socket]
        match command:
            case Hello():
                return self._hello(socket, command)
            case Send() | Edit() | Delete() | React():
                return self._store(socket, name, command)
            case Join():
                return self._join(socket, name, command.channel, command.resume)
            case History():
                return self._page(socket, command)
            case Mark():
                self._mark(socket, name, command)
            case Leave():
                self.members.get(command.channel, set()).discard(name)
            case SetTopic():
                self._append(name, command.channel, "topic", topic=command.topic)
            case Who():
                return Members(channel=command.channel, members=self._people(command.channel))
            case _:
                pass
        return Ok()

    def _page(self, socket: ServerConnection, command: History) -> Page:
        log = self.logs[command.channel]
        if command.after is None:
            return log.page_before(command.before or log.head + 1, command.limit)
        page = log.page_after(command.after, command.limit)
        if page.complete:
            self._attached[socket].add(command.channel)
        return page

    def _mark(self, socket: ServerConnection, name: str, command: Mark) -> None:
        log = self.logs[command.channel]
        if command.thread is not None:
            return
        seq = log.read[name] = max(log.read.get(name, 0), command.seq)
        unread, mentions = log.counts(name, seq)
        frame = Read(
            channel=log.channel,
            version=seq,
            seq=seq,
            unread=unread,
            mentions=mentions,
            head=log.head,
        )
        self._write(socket, encode(frame))

    def _hello(self, socket: ServerConnection, hello: Hello) -> ServerFrame:
        known = self.tokens.setdefault(hello.name.lower(), hello.token or "")
        if known != hello.token:
            return ErrorFrame(code=ErrorCode.BAD_TOKEN, message="wrong token", retryable=False)
        self._sockets[socket] = hello.name
        self.members["#general"].add(hello.name)
        return Welcome(
            v=1,
            user=hello.name,
            token=self.issues,
            session="s",
            server=ServerInfo(id=self.server_id, name="fake", version="0"),
            limits=self.limits,
            heartbeat=self.heartbeat,
            channels=tuple(
                self._membership(self.logs[channel], hello.name)
                for channel, people in self.members.items()
                if hello.name in people
            ),
            features=self.features,
            role=self.role,
            **self.welcome,
        )

    def _membership(self, log: FakeLog, name: str) -> Membership:
        joined = log.joined(name)
        return Membership(
            channel=log.channel,
            epoch=log.epoch,
            head=log.head,
            role="member",
            topic=joined.topic,
            read=joined.read,
            unread=joined.unread,
            mentions=joined.mentions,
        ).model_copy(update=self.joined.get(log.channel, {}))

    def _resume(self, socket: ServerConnection, hello: Hello) -> None:
        for channel, position in (hello.resume or {}).items():
            if error := self.not_resumed.pop(channel, None):
                self._write(socket, encode(error))
            elif hello.name in self.members.get(channel, ()):
                self._write(socket, encode(self._join(socket, hello.name, channel, position)))

    def _join(
        self, socket: ServerConnection, name: str, channel: str, resume: ResumeFrom | None
    ) -> Joined:
        log = self.logs.setdefault(channel, FakeLog(channel))
        self.members.setdefault(channel, set()).add(name)
        after = None
        if resume is not None and resume.epoch == log.epoch and resume.after <= log.head:
            stored = log.events[resume.after - 1].mid if resume.after else None
            after = resume.after if resume.mid in (None, stored) else None
        joined = log.joined(name, after, members=self._people(channel))
        joined = joined.model_copy(update=self.joined.get(channel, {}))
        if joined.complete:
            self._attached[socket].add(channel)
        return joined

    def _people(self, channel: str) -> tuple[Member, ...]:
        here = set(self._sockets.values())
        return tuple(
            Member(name=name, role="member", presence="online" if name in here else "offline")
            for name in sorted(self.members.get(channel, ()))
        )

    def _store(
        self, socket: ServerConnection, name: str, command: Send | Edit | Delete | React
    ) -> ServerFrame:
        if is_builtin(command.channel):
            tick = Tick(channel=command.channel, text=getattr(command, "text", ""))
            self._write(socket, encode(tick))
            return Ok()
        event, is_new = self._stored_once(name, command)
        return Ok(seq=event.seq, mid=event.mid, ts=event.ts, cid=command.cid, duplicate=not is_new)

    def _stored_once(self, name: str, command: Send | Edit | Delete | React) -> tuple[Event, bool]:
        """Return the event of a command, and whether it is new (not for a known `cid`)."""
        known = self._stored.get((name, command.cid or ""))
        if known is not None:
            return known, False
        body = command.model_dump(exclude={"id", "type", "channel", "seq"}, exclude_defaults=True)
        kind = "message" if command.type == "send" else command.type
        target = None if isinstance(command, Send) else command.seq
        event = self._append(name, command.channel, kind, target=target, **body)
        self._stored[name, command.cid or ""] = event
        return event, True

    def _append(self, author: str, channel: str, kind: str, **body: Any) -> Event:
        event = self.logs[channel].append(author, kind, **body)
        if self.sends_events:
            for socket, channels in self._attached.items():
                if channel in channels:
                    self._write(socket, encode(event))
        return event
