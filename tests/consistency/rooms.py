"""People who moderate channels and guard a private one, and a spy outside of them.

`club` is public: its keeper bans, kicks and mutes members, changes roles and settings, and deletes
messages of others. `den` is private: members are removed and invited again. The spy is in neither
of them, and asks for all that the private channel has.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from chat.errors import ErrorCode
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.codec import decode_frame, encode
from chat.protocol.commands import (
    Archive,
    Ban,
    BaseCommand,
    ChangeChannel,
    Channels,
    Create,
    Decline,
    Delete,
    DeleteChannel,
    Hello,
    Invite,
    Join,
    Kick,
    Mark,
    MuteUser,
    Search,
    Send,
    SetRole,
    SetTopic,
    Typing,
    Unban,
    Uninvite,
    Unmute,
    Who,
)
from chat.protocol.commands import (
    History as ReadHistory,
)
from chat.protocol.frames import ErrorFrame, Joined, Ok, Page, ServerFrame, Welcome
from tests.consistency.history import Ack, Append, History, Restriction, RoomAct

__all__ = ["CLUB", "DEN", "KEEPER", "ROOMS", "Keeper", "Spy"]

CLUB, DEN = "#club", "#den"
ROOMS = (CLUB, DEN)
KEEPER = "keeper"
"""The owner of both."""
ANSWER_TIMEOUT = 8.0
LOST = (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError)
_OVERTAKEN = {ErrorCode.INVALID, ErrorCode.NO_SUCH_USER, ErrorCode.NO_SUCH_MESSAGE}
"""Errors of an act whose object has changed, or whose end the server's wrong clock has passed."""

_UNKNOWN = {ErrorCode.NO_SUCH_CHANNEL, ErrorCode.NOT_A_MEMBER, ErrorCode.NAME_UNAVAILABLE}
"""Errors of commands on a channel that does not exist, or whose name is not free."""


class _Line:
    """A connection that repeats each command until it is answered.

    Args:
        name: the user.
        url: returns the address to connect to.
        history: collects the evidence.
        look: called with every received frame, as text.
    """

    def __init__(
        self,
        name: str,
        url: Callable[[], str],
        history: History,
        look: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.session = 0
        self.sent = 0
        """Number of commands of this session."""
        self._name = name
        self._url = url
        self._history = history
        self._look = look
        self._socket: ClientConnection | None = None

    async def ask(self, command: BaseCommand) -> ServerFrame:
        """Return the answer of a command, a permanent refusal included."""
        while True:
            with suppress(*LOST):
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    socket = self._socket or await self._connect()
                    self.sent += 1
                    named = command.model_copy(update={"id": f"{self.session}.{self.sent}"})
                    await socket.send(encode(named), text=True)
                    answer = await self._answer(socket, named.id)
                if not isinstance(answer, ErrorFrame) or not answer.retryable:
                    return answer
                await asyncio.sleep(0.2)
                continue
            await self.close()
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """End the connection."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _connect(self) -> ClientConnection:
        socket = self._socket = await connect(
            self._url(), proxy=None, ping_interval=None, close_timeout=0.2, max_size=None
        )
        self.session, self.sent = self._history.new_session(), 0
        token = f"token-of-{self._name}-".ljust(40, "x")
        hello = Hello(v=PROTOCOL_VERSION, name=self._name, token=token)
        await socket.send(encode(hello), text=True)
        if not isinstance(await self._answer(socket, None), Welcome):
            raise ConnectionAbortedError("reconnect later")
        return socket

    async def _answer(self, socket: ClientConnection, id: str | None) -> ServerFrame:
        """Return the frame with this id; None: the first frame."""
        while True:
            raw = str(await socket.recv())
            self._look(raw)
            frame = decode_frame(raw)
            if frame is not None and (id is None or getattr(frame, "id", None) == id):
                return frame


class Keeper:
    """The owner of `ROOMS`, who restricts members all the time.

    Args:
        url: returns the address to connect to.
        people: the members.
        history: collects the evidence.
        chance: the random decisions.
    """

    def __init__(
        self,
        url: Callable[[], str],
        people: Sequence[str],
        history: History,
        chance: random.Random,
    ) -> None:
        self._people = people
        self._history = history
        self._chance = chance
        self._numbers = count(1)
        self._is_over = False
        self._url = url

    async def run(self) -> None:
        """Act until `finish`; afterwards lift all restrictions, and invite everybody."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._act_in_club))
            group.create_task(self._repeat(self._act_in_den))
            group.create_task(self._repeat(self._short_lived))
        line = _Line(KEEPER, self._url, self._history)
        for name in self._people:
            await self._invite_back(line, name)
        await line.close()

    def finish(self) -> None:
        """Start no new acts."""
        self._is_over = True

    async def _repeat(self, act: Callable[[_Line], Awaitable[None]]) -> None:
        line = _Line(KEEPER, self._url, self._history)
        try:
            while not self._is_over:
                await act(line)
                await self._pause(0.05, 0.3)
        finally:
            await line.close()

    async def _act_in_club(self, line: _Line) -> None:
        name = self._chance.choice(self._people)
        match self._chance.choice(("ban", "ban", "mute", "mute", "kick", "role", "delete", "set")):
            case "ban":
                await self._ban(line, CLUB, name)
            case "mute":
                await self._mute(line, name)
            case "kick":
                await self._act(line, "leave", Kick(channel=CLUB, name=name, reason="rest"))
            case "role":
                await self._act(line, "role", SetRole(channel=CLUB, name=name, role="moderator"))
                await self._pause(0.2, 1)
                await self._act(line, "role", SetRole(channel=CLUB, name=name, role="member"))
            case "delete":
                await self._delete(line)
            case _:
                await self._change(line)

    async def _act_in_den(self, line: _Line) -> None:
        name = self._chance.choice(self._people)
        if self._chance.random() < 0.4:
            await self._ban(line, DEN, name)
        else:
            await self._act(line, "leave", Kick(channel=DEN, name=name))
        await self._pause(0.1, 0.8)
        await self._act(line, "", Invite(channel=DEN, name=name))
        if self._chance.random() < 0.2:
            await self._act(line, "", Uninvite(channel=DEN, name=name))
            await self._act(line, "", Invite(channel=DEN, name=name))

    async def _short_lived(self, line: _Line) -> None:
        """Create a private channel, and delete it: its name is free at once."""
        await self._pause(1, 5)
        channel = f"#den-{next(self._numbers) % 3}"
        made = await line.ask(Create(channel=channel, private=True))
        if isinstance(made, Joined) or getattr(made, "code", "") == ErrorCode.NAME_UNAVAILABLE:
            await self._act(line, "", Send(channel=channel, text=f"in {channel}"))
            await self._act(line, "", Invite(channel=channel, name=self._people[0]))
            await self._act(line, "", DeleteChannel(channel=channel), ErrorCode.NO_SUCH_CHANNEL)
        elif getattr(made, "code", "") != ErrorCode.RATE_LIMITED:
            self._history.violations.append(f"{channel} cannot be created: {made}")

    async def _ban(self, line: _Line, channel: str, name: str) -> None:
        ban = Ban(channel=channel, name=name, until=self._end(), reason="rest")
        await self._restrict(line, "ban", channel, name, ban, Unban(channel=channel, name=name))

    async def _mute(self, line: _Line, name: str) -> None:
        mute = MuteUser(channel=CLUB, name=name, until=self._end(), reason="rest")
        await self._restrict(line, "mute", CLUB, name, mute, Unmute(channel=CLUB, name=name))

    async def _restrict(
        self,
        line: _Line,
        kind: str,
        channel: str,
        name: str,
        act: Ban | MuteUser,
        lift: BaseCommand,
    ) -> None:
        done = await self._act(line, kind, act)
        start = _now()
        await self._pause(0.2, 1.2)
        if done and act.until is None:  # else it may have ended by itself
            restriction = Restriction(kind, channel, name, start, _now())
            self._history.restrictions.append(restriction)
        await self._act(line, kind, lift)

    async def _delete(self, line: _Line) -> None:
        """Delete a message of somebody else."""
        page = await line.ask(ReadHistory(channel=CLUB, limit=20))
        assert isinstance(page, Page), page
        others = [each.seq for each in page.items if each.kind == "message" and not each.erased]
        if others:
            cid = f"{KEEPER}-{next(self._numbers)}"
            delete = Delete(channel=CLUB, seq=self._chance.choice(others), cid=cid)
            append = Append(KEEPER, delete)
            self._history.appends.append(append)
            asked = _now()
            answer = await line.ask(delete)
            if isinstance(answer, Ok) and answer.seq is not None and answer.mid is not None:
                place = line.session, line.sent, answer.seq, answer.mid
                append.acks.append(Ack(*place, answer.duplicate, asked, _now()))
            else:
                append.refusal = getattr(answer, "code", "no answer")

    async def _change(self, line: _Line) -> None:
        """Change settings for a while: only moderators send, or nobody."""
        if self._chance.random() < 0.5:
            await self._act(line, "settings", ChangeChannel(channel=CLUB, posting="moderators"))
            await self._pause(0.05, 0.3)
            await self._act(line, "settings", ChangeChannel(channel=CLUB, posting="everyone"))
        else:
            await self._act(line, "settings", Archive(channel=CLUB))
            await self._pause(0.1, 0.4)
            await self._act(line, "settings", Archive(channel=CLUB, remove=True))
        await self._act(line, "", SetTopic(channel=CLUB, topic=f"topic {next(self._numbers)}"))

    async def _invite_back(self, line: _Line, name: str) -> None:
        for channel in ROOMS:
            await self._act(line, "ban", Unban(channel=channel, name=name))
        await self._act(line, "mute", Unmute(channel=CLUB, name=name))
        await self._act(line, "", Invite(channel=DEN, name=name))

    async def _act(self, line: _Line, kind: str, command: BaseCommand, *may: ErrorCode) -> bool:
        """Return whether the act was done; `kind` is that of its event."""
        answer = await line.ask(command)
        if isinstance(answer, Ok):
            if kind and answer.seq is not None:
                named = command.model_dump()
                channel, name = named["channel"], named.get("name")
                self._history.room_acts.append(RoomAct(channel, answer.seq, kind, name))
            return True
        if not isinstance(answer, ErrorFrame) or answer.code not in {*_OVERTAKEN, *may}:
            self._history.violations.append(f"{command} was answered with {answer}")
        return False

    def _end(self) -> int | None:
        """Return the end of a restriction, in milliseconds since 1970; None: until lifted."""
        if self._chance.random() < 0.6:
            return None
        return round(1_000 * (time.time() + self._chance.uniform(1, 3)))

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._chance.uniform(least, most))


class Spy:
    """An outsider who asks for everything about the private channel.

    The spy spells its name in capitals; frames with the real name, or with texts written there
    (they contain it), are leaks.
    """

    def __init__(self, url: Callable[[], str], history: History, chance: random.Random) -> None:
        self._history = history
        self._chance = chance
        self._line = _Line("spy", url, history, self._look)
        self._is_over = False

    async def run(self) -> None:
        """Ask until `finish`."""
        den = DEN.upper()
        questions: Sequence[BaseCommand] = (
            Channels(),
            Search(query="lorem"),
            Search(query="lorem", channel=den),
            ReadHistory(channel=den),
            ReadHistory(channel=den, after=0),
            Who(channel=den),
            Mark(channel=den, seq=1),
            Typing(channel=den),
            Decline(channel=den),
            Send(channel=den, text="hello"),
            Kick(channel=den, name=KEEPER),
            Invite(channel=den, name="spy"),
        )
        try:
            while not self._is_over:
                question = self._chance.choice(questions)
                if self._chance.random() < 0.03:  # it counts for the hour's limit
                    question = Join(channel=den)
                answer = await self._line.ask(question)
                if isinstance(answer, ErrorFrame) and answer.code not in _UNKNOWN:
                    self._history.violations.append(f"the spy's {question} got {answer}")
                self._history.counts["questions of the spy"] += 1
                await asyncio.sleep(self._chance.uniform(0.05, 0.3))
        finally:
            await self._line.close()

    def finish(self) -> None:
        """Ask no more."""
        self._is_over = True

    def _look(self, raw: str) -> None:
        if DEN in raw:
            self._history.violations.append(f"the spy received {raw}")


def _now() -> float:
    return asyncio.get_running_loop().time()
