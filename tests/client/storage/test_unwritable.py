"""A client whose files are not writable: it starts, shows its state, and keeps messages."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.model.preferences import PreferenceChange
from chat.client.model.state import Delivery, Link
from chat.client.network.backoff import Backoff
from chat.client.storage.database import BUSY
from chat.protocol.commands import Leave
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE, free_port
from tests.terminal.raw import RawTerminal

Open = Callable[..., Screen]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock both files like another program: neither readable nor writable."""
    with ExitStack() as stack:
        for name in ("outbox.db", "cache.db"):
            opened = sqlite3.connect(folder / name, isolation_level=None)
            other = stack.enter_context(closing(opened))
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            other.execute("CREATE TABLE IF NOT EXISTS foreign_to_us (x)")
            stack.callback(other.execute, "ROLLBACK")
        yield


def is_held(screen: Screen, text: str) -> bool:
    unsent = [(m.text, m.delivery) for m in screen.lines() if m.delivery is not Delivery.SENT]
    return unsent == [(text, Delivery.FAILED)]


def saved(url: str, data: Path) -> list[str]:
    """Return the texts of the outbox on disk."""
    with closing(
        sqlite3.connect(ClientPaths(data).first_account(url, "alice") / "outbox.db")
    ) as db:
        return [command for (command,) in db.execute("SELECT command FROM outbox")]


def leave_history(open_client: Open, fake: FakeServer, data: Path) -> None:
    """Let a client store one unsent message; then stop client and server."""
    screen = open_client(fake.url, data=data)
    screen.open()
    fake.say("bob", "old")
    screen.wait_texts("old")
    screen.stop()
    fake.stop()


def test_channel_preferences_changed_while_the_file_is_locked_are_saved_afterwards(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    leave_history(open_client, fake, data)
    with locked(ClientPaths(data).first_account(fake.url, "alice")):
        screen = open_client(fake.url, data=data)
        screen.wait(lambda: any("kept in memory" in notice.text for notice in screen.notices))
        screen.wait(lambda: "#general" in screen.channels)
        screen.core.prefer("#general", PreferenceChange(muted=True))
        screen.core.mark("#general", 1)
        screen.wait(lambda: screen.channels["#general"].read == 1)
    screen.wait(lambda: any("is writable again" in notice.text for notice in screen.notices))
    screen.wait(lambda: screen.channels["#general"].muted)
    screen.stop()
    again = open_client(fake.url, data=data)
    again.wait(lambda: "#general" in again.channels)
    assert again.channels["#general"].muted
    assert again.channels["#general"].read == 1


@pytest.mark.feature("writing.outbox")
def test_before_the_first_connection_messages_go_to_general(
    open_client: Open, start_fake: Callable[..., FakeServer]
) -> None:
    port = free_port()
    screen = open_client(f"ws://127.0.0.1:{port}")
    screen.wait(lambda: list(screen.channels) == ["#general"], "a channel to write in")
    screen.core.open_channel("#general")
    screen.core.save_draft("#general", "half a thought")
    screen.core.send("#general", "anybody here?")
    screen.wait(lambda: screen.pending() == ["anybody here?"])
    server = start_fake(port=port)
    screen.wait_texts("anybody here?")
    assert [event.text for event in server.logs["#general"].events] == ["anybody here?"]
    assert screen.core.draft("#general") == "half a thought"


def test_general_is_not_listed_after_leaving_it(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.open()
    screen.core.ask(Leave(channel="#general")).result(PATIENCE)
    screen.wait(lambda: not screen.channels)
    screen.stop()
    fake.stop()
    again = open_client(fake.url)
    again.wait(lambda: again.connection.link is Link.WAITING)
    assert not again.channels


@pytest.mark.promise(
    4,
    fault="no file can be created at the first connection to a server",
    result="typed text is kept in memory until it can be saved, then sent",
)
@pytest.mark.feature("writing.outbox")
def test_unsaved_messages_survive_the_first_connection(
    open_client: Open, start_fake: Callable[..., FakeServer], tmp_path: Path
) -> None:
    data, port = tmp_path / "data", free_port()
    data.mkdir()
    for name in ("unknown", "servers"):
        (data / name).write_text("in the way")
    screen = open_client(f"ws://127.0.0.1:{port}", data=data)
    screen.wait(lambda: any("kept in memory" in notice.text for notice in screen.notices))
    screen.core.open_channel("#general")
    screen.core.send("#general", "precious")
    screen.core.save_draft("#general", "half a thought")
    screen.wait(lambda: is_held(screen, "precious"))
    server = start_fake(port=port)
    screen.wait_online()
    screen.wait(lambda: is_held(screen, "precious"))
    assert server.logs["#general"].head == 0, "what could be lost is not sent"
    for name in ("unknown", "servers"):
        (data / name).unlink()
    screen.wait_texts("precious")
    assert screen.core.draft("#general") == "half a thought"
    screen.stop()
    again = open_client(server.url, data=data)
    assert again.core.draft("#general") == "half a thought"


@pytest.mark.promise(
    4,
    fault="the client's file is locked by another program when the client starts",
    result="the client starts, keeps typed text in memory, and recovers once the file is unlocked",
)
def test_a_file_locked_at_the_start_is_retried(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    leave_history(open_client, fake, data)
    with locked(ClientPaths(data).first_account(fake.url, "alice")):
        screen = open_client(fake.url, data=data)
        screen.wait(lambda: any("locked" in notice.text for notice in screen.notices))
        screen.core.open_channel("#general")
        screen.core.send("#general", "precious")
        screen.wait(lambda: is_held(screen, "precious"))
    screen.wait(lambda: "old" in screen.texts() and screen.pending() == ["precious"])
    screen.wait(lambda: any("precious" in row for row in saved(fake.url, data)))
    fake.start()
    screen.wait_texts("old", "precious")


def test_history_is_shown_while_another_program_writes(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    leave_history(open_client, fake, data)
    folder = ClientPaths(data).first_account(fake.url, "alice")
    with (
        closing(sqlite3.connect(folder / "outbox.db", isolation_level=None)) as outbox,
        closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as cache,
    ):
        for other in (outbox, cache):
            other.execute("BEGIN IMMEDIATE")
            other.execute("CREATE TABLE foreign_to_us (x)")
        screen = open_client(fake.url, data=data)
        screen.core.open_channel("#general")
        screen.wait_texts("old")
        for other in (outbox, cache):
            other.rollback()


def test_adding_a_server_does_not_wait_for_a_locked_file(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    path = ClientPaths(tmp_path).first_account(url, "alice")
    path.mkdir(parents=True)
    screen = Screen(ClientSettings(name="alice", url=url, data=tmp_path), Backoff(0.02, 0.05))
    with locked(path):
        began = time.monotonic()
        screen.core.start()
        assert time.monotonic() - began < BUSY, "the screens waited for the file"
        screen.wait(lambda: any("locked" in notice.text for notice in screen.notices))
    screen.wait(lambda: any("is writable again" in notice.text for notice in screen.notices))
    screen.stop()


@pytest.mark.parametrize("face", [(), ("--plain",)], ids=["screens", "plain"])
def test_unsaved_texts_are_printed_at_the_end(tmp_path: Path, face: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "unknown").write_text("in the way")
    url = f"ws://127.0.0.1:{free_port()}"
    flags = ("--name", "me", "--url", url, "--data", str(data))
    terminal = RawTerminal(tmp_path, "chat-client", *face, *flags)
    try:
        terminal.wait(lambda: b"no server at" in terminal.output, "it is there")
        terminal.wait(lambda: b"kept in memory" in terminal.output, "it says so")
        terminal.wait(lambda: b"\x1b[?2004h" in terminal.output, "it reads keys")
        terminal.send(b"precious\r")
        terminal.send(b"half a thought")
        terminal.wait(lambda: b"thought" in terminal.output, "a draft")
        terminal.process.send_signal(signal.SIGINT if face else signal.SIGTERM)
        terminal.wait(lambda: b"neither sent nor saved" in terminal.output, "a warning")
        terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
        terminal.wait(lambda: terminal.output.endswith(b"\n"), "all of it")
        last = terminal.output.rpartition(b"neither sent nor saved")[2]
        assert b"precious" in last
        assert b"half a thought" in last
    finally:
        terminal.close()


class _Broken(Backoff):
    def next(self) -> float:
        raise RuntimeError("broken")


def test_the_outbox_stores_messages_after_an_internal_error(
    fake: FakeServer, open_client: Open, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    fake.stop()
    settings = ClientSettings(name="alice", url=fake.url, data=data)
    screen = Screen(settings, _Broken())
    screen.core.start()
    screen.wait(lambda: screen.connection.link is Link.STOPPED)
    assert "restart the program" in screen.connection.detail
    screen.core.open_channel("#general")
    screen.core.send("#general", "precious")
    screen.core.save_draft("#general", "half a thought")
    screen.wait(lambda: screen.pending() == ["precious"])
    screen.stop()
    fake.start()
    again = open_client(fake.url, data=data)
    again.core.open_channel("#general")
    again.wait_texts("precious")
    assert again.core.draft("#general") == "half a thought"
