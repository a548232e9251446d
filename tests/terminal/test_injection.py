"""A hostile server and hostile peers: a client on a terminal, with every byte checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from chat.protocol.commands import Channels, Command, Hello, Join, SetTopic, Who
from chat.protocol.frames import (
    ChannelList,
    ChannelListing,
    ErrorFrame,
    Member,
    Members,
    ServerInfo,
    TypingFrame,
    Welcome,
)
from chat.protocol.values import Wire
from tests.client.fake_log import FakeLog
from tests.client.fake_server import FakeServer
from tests.terminal.hostile import FLOODS, PAYLOADS, mixed
from tests.terminal.raw import RawTerminal, plain

ANY_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
COLUMNS, ROWS = 240, 64


class HostileServer(FakeServer):
    """A server that sends hostile text in every field."""

    def __init__(self) -> None:
        super().__init__()
        for number, (payload, _) in enumerate(PAYLOADS):
            name = f"#c{number:02}.{payload}"
            self.logs[name] = FakeLog(name)
            self.members[name] = {"me"}
            self.members["#general"].add(f"m{number:02}.{payload}")

    def _read(self, data: bytes | str) -> Command:
        return ANY_COMMAND.validate_json(data)  # without limits: clients repeat its long names

    def _hello(self, socket, hello: Hello):  # type: ignore[no-untyped-def]
        welcome = super()._hello(socket, hello)
        assert isinstance(welcome, Welcome)
        server = ServerInfo(id=self.server_id, name=mixed("s"), version=mixed("v"))
        return welcome.model_copy(update={"server": server})


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    server = HostileServer()
    server.start()
    yield server
    server.close()


def last_sequence(output: bytes | bytearray) -> int:
    """Return the start of the last sequence, which may be incomplete; 0 if there is none."""
    at = output.rfind(b"\x1b")
    if output[at + 1 : at + 2] in (b"", b"\\"):  # perhaps the end of a link: ESC, backslash
        at = output.rfind(b"\x1b", 0, max(at, 0))
    return max(at, 0)


class Reader:
    """The text that a client has drawn so far."""

    def __init__(self, terminal: RawTerminal) -> None:
        self.terminal = terminal
        self._from = 0
        self._text = ""

    def begin(self) -> None:
        """Forget the text drawn so far."""
        self._from = last_sequence(self.terminal.output)  # never within a character
        self._text = ""

    def wait_for(self, *texts: str) -> None:
        """Wait until all of `texts` have been drawn."""
        missing: list[str] = []

        def drawn() -> bool:
            text = self.text()
            missing[:] = [wanted for wanted in texts if wanted not in text]
            return not missing

        try:
            self.terminal.wait(drawn, "drawn")
        except AssertionError:
            text = " ".join(self.text().split())
            raise AssertionError(f"not drawn: {missing}\n{text[-3000:]}") from None

    def text(self) -> str:
        """Return the text; only new output is parsed."""
        new = self.terminal.output[self._from :]
        # The last sequence may be cut by the read, and blanks before it may belong to it.
        whole = new[: last_sequence(new)].rstrip(b" ")
        self._text += plain(whole)
        self._from += len(whole)
        return self._text


def shown(field: str, number: int, most: int = 1) -> str:
    """Return the readable form of a payload after its marker."""
    return f"{field}{number:02}.{PAYLOADS[number][1][:most]}"


def open_client(home: Path, server: FakeServer, *more: str) -> RawTerminal:
    command = ("chat-client", "--name", "me", "--url", server.url, "--log-file", str(home / "log"))
    loud = ("--log-level", "debug")
    return RawTerminal(home, *command, *loud, *more, columns=COLUMNS, rows=ROWS)


def say_everything(server: FakeServer, number: int) -> None:
    """Put one payload into every field of a log."""
    payload, _ = PAYLOADS[number]

    def text(field: str) -> str:
        return f"{field}{number:02}.{payload}"

    first = server.say(text("a"), text("t"))
    server.append(text("x"), "#general", "react", target=first.seq, emoji=text("e"))
    server.say(text("b"), text("r"), reply_to=first.seq)
    changed = server.say("bob", "before")
    server.append("bob", "#general", "edit", target=changed.seq, text=text("w"))
    server.say(text("i"), text("d"), me=True)
    server.append("bob", "#general", "topic", topic=text("o"))
    server.append("bob", "#general", "role", user=text("u"), role=text("l"))
    server.append(text("j"), "#general", "join")
    server.append("bob", "#general", text("k"))  # a kind it does not know is not shown
    server.tell(TypingFrame(channel="#general", version=number + 1, users=(text("y"),)))


FIELDS = "aebdouljy"
WHOLE_FIELDS = "trw"


@pytest.mark.promise(
    6,
    fault="44 payloads (C0, C1, ESC, OSC, bidi, invisible, markup, floods) in every field",
    result="a real terminal gets only the client's own sequences and printable text",
)
def test_no_field_controls_the_terminal(hostile: HostileServer, tmp_path: Path) -> None:
    terminal = open_client(tmp_path, hostile)
    reader = Reader(terminal)
    try:
        everybody = range(len(PAYLOADS))
        reader.wait_for("online", *(shown("m", number) for number in everybody))
        reader.wait_for(*(shown("c", number) for number in everybody))
        for number in everybody:
            reader.begin()
            say_everything(hostile, number)
            reader.wait_for(*(shown(field, number) for field in FIELDS))
            reader.wait_for(*(shown(field, number, 99) for field in WHOLE_FIELDS))
        for number, flood in enumerate(FLOODS):
            reader.begin()
            hostile.say("bob", f"f{number}.{flood}")
            reader.wait_for(f"f{number}.{flood[0]}")
        ask(terminal, reader, hostile)
        for number in everybody:  # its name becomes the window's title
            reader.begin()
            terminal.send(b"\x1b[1;3B")  # Alt+Down
            reader.wait_for(shown("Message #c", number))
        reader.begin()
        terminal.send(b"\x1b[1;3B")
        reader.wait_for("Message #general")
        hostile.end(4501, mixed("z", 120))  # permanently, so that its text stays on the screen
        reader.wait_for("z00.␛[2J")
        leave(terminal)
        from_the_cache(tmp_path, hostile)
    finally:
        terminal.close()
    plain((tmp_path / "log").read_bytes())


def joined(server: HostileServer) -> set[str]:
    return {each.channel for each in list(server.commands) if isinstance(each, Join)}


@pytest.mark.promise(
    6,
    fault="control sequences in the author, channel and text of a notification",
    result="the terminal gets only the client's own sequence, with short plain text",
)
@pytest.mark.parametrize("way", ["osc9", "osc777"])
def test_no_notification_controls_the_terminal(
    hostile: HostileServer, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    terminal = open_client(tmp_path, hostile, "--notify", way)
    begin = {"osc9": b"\x1b]9;", "osc777": b"\x1b]777;notify;"}[way]
    rang = re.compile(re.escape(begin) + rb"[^\x07]*\x07")

    def are_told_together() -> bool:
        return any(b" new in #c" in call for call in rang.findall(terminal.output))

    try:
        Reader(terminal).wait_for("online", shown("m", len(PAYLOADS) - 1))
        channels = [name for name in hostile.logs if name.startswith("#c")]
        terminal.wait(lambda: set(channels) <= joined(hostile), "every channel is joined")
        while not are_told_together():  # on a busy machine, some arrive late and alone
            called = len(rang.findall(terminal.output))
            for channel, (payload, _) in zip(channels, PAYLOADS, strict=True):
                text = f"4;3;50{payload}" * 9
                hostile.say(f"a{payload}", text, channel, mentions=("me",))
            terminal.wait(
                lambda: (
                    are_told_together()  # the first one, too, if the client was late
                    or len(rang.findall(terminal.output)) > called + (called == 0)  # noqa: B023
                ),
                "a call, and the rest in one",
            )
        leave(terminal)
    finally:
        terminal.close()
    for call in rang.findall(terminal.output):
        assert call.count(b";") == begin.count(b";") + (way == "osc777")


def ask(terminal: RawTerminal, reader: Reader, server: HostileServer) -> None:
    """Request lists and cause refusals, all with hostile text."""
    numbered = [(number, payload) for number, (payload, _) in enumerate(PAYLOADS)]
    people = tuple(
        Member(name=f"n{number:02}.{payload}", role=f"{payload}", presence=payload)
        for number, payload in numbered
    )
    listing = tuple(
        ChannelListing(
            channel=f"#q{number:02}.{payload}", topic=f"p{number:02}.{payload}", members=1
        )
        for number, payload in numbered
    )

    def answer(command: Command) -> Wire | None:
        if isinstance(command, Who):
            return Members(channel="#general", members=people)
        if isinstance(command, Channels):
            return ChannelList(channels=listing)
        if isinstance(command, SetTopic):
            return ErrorFrame(
                code=mixed("h"), message=mixed("g"), retryable=False, field=mixed("f")
            )
        return None

    server.intercept = answer
    terminal.send(b"/topic x\r")
    reader.wait_for("G00.␛[2J")  # a sentence begins with a capital
    terminal.send(b"\x15/who\r")
    reader.wait_for(*(shown("n", number) for number in range(20)))
    close_the_list(terminal, reader)
    terminal.send(b"\x15/channels\r")
    reader.wait_for(*(shown("q", number) for number in range(10)), "p00.␛[2J")
    close_the_list(terminal, reader)
    terminal.send(b"@")  # completes the names of users
    reader.wait_for("@a")
    terminal.send(b"\x15/server ")  # lists the servers
    reader.wait_for("s00.␛[2J")
    terminal.send(b"\x15")


def close_the_list(terminal: RawTerminal, reader: Reader) -> None:
    """Press Escape alone: together with the next key, it would be Alt and that key."""
    terminal.wait_until_quiet()  # opening the list also draws the status bar
    reader.begin()
    terminal.send(b"\x1b")
    reader.wait_for("online")
    terminal.wait_until_quiet()


def leave(terminal: RawTerminal) -> None:
    """Quit; check that the terminal is restored, and nothing is left on it."""
    terminal.send(b"\x11")
    terminal.wait(lambda: terminal.process.poll() is not None, "Ctrl+Q ends it")
    terminal.wait(lambda: b"\x1b[?1049l" in terminal.output, "the alternate screen is left")
    assert terminal.process.returncode == 0, terminal.output[-2000:]
    for mode in (b"1000", b"1003", b"1006", b"1004", b"2004", b"1049"):
        at, until = (terminal.output.rfind(b"\x1b[?" + mode + end) for end in (b"h", b"l"))
        assert 0 <= at < until, mode
    assert terminal.output.rfind(b"\x1b[?25l") < terminal.output.rfind(b"\x1b[?25h")
    assert "Traceback" not in plain(terminal.output)


def from_the_cache(home: Path, server: HostileServer) -> None:
    """Show the cached messages, without a server."""
    server.stop()
    terminal = open_client(home, server)
    try:
        last = len(PAYLOADS) - 1
        Reader(terminal).wait_for(*(shown(field, last, 99) for field in WHOLE_FIELDS))
        leave(terminal)
    finally:
        terminal.close()
