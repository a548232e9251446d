"""The first run asks for a name and a server, shows three keys, and is not repeated."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.client.config import config_file, load
from chat.client.first_run import introduced, remembered, with_kept
from chat.client.places import Places
from chat.errors import StartupError
from tests.serving import ChatServer
from tests.terminal.raw import RawTerminal

DEFAULT = "ws://127.0.0.1:3000"


def answers(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


@pytest.mark.feature("around.first")
def test_name_and_server_are_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(monkeypatch, "alice", "chat.example.org", "wss://chat.example.org/")
    settings = introduced(load({"data": tmp_path}))
    assert (settings.name, settings.url) == ("alice", "wss://chat.example.org")
    assert remembered(load({"data": tmp_path})).url == "wss://chat.example.org"
    assert remembered(load({"data": tmp_path, "url": DEFAULT})).url == DEFAULT
    monkeypatch.setenv("CHAT_URL", "ws://elsewhere")
    assert remembered(load({"data": tmp_path})).url == "ws://elsewhere"


@pytest.mark.parametrize("lines", [("alice", ""), ("alice",)])
def test_enter_takes_the_server_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    answers(monkeypatch, *lines)
    assert introduced(load({"data": tmp_path})).url == DEFAULT


def test_who_says_where_is_not_asked_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers(monkeypatch, "alice", "ws://not-asked-for")
    assert introduced(load({"data": tmp_path, "url": "ws://there"})).url == "ws://there"


def test_nobody_to_ask_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers(monkeypatch)
    with pytest.raises(StartupError, match="--name NAME"):
        introduced(load({"data": tmp_path}))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[RawTerminal]:
    raw = RawTerminal(tmp_path, "chat-client")
    try:
        yield raw
    finally:
        raw.close()


def test_on_a_terminal_it_leads_to_the_screens(terminal: RawTerminal, server: ChatServer) -> None:
    terminal.wait(lambda: b"Your name: " in terminal.output, "the name")
    terminal.send(b"alice\n")
    terminal.wait(lambda: b"Server [" in terminal.output, "the server")
    terminal.send(f"{server.url}\n".encode())
    terminal.wait(lambda: b"Enter begins." in terminal.output, "three keys")
    for key in (b"F1", b"Ctrl+K", b"Ctrl+Q"):
        assert key in terminal.output
    terminal.send(b"\n")
    terminal.wait(lambda: b"general" in terminal.output, "the screens")
    terminal.send(b"/quit\r")
    terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
    assert terminal.process.returncode == 0


def test_what_was_added_in_the_client_is_there_the_next_time(tmp_path: Path) -> None:
    known = Places(tmp_path).servers
    known.choose("ws://first")
    known.remember_name("alice")
    known.add("ws://work", "walter")
    settings = with_kept(introduced(load({"data": tmp_path})))
    each = [(one.url, one.name) for one in settings.for_each_server()]
    assert each == [("ws://first", "alice"), ("ws://work", "walter")]

    assert known.remove("ws://first", "alice"), "the next one is the first from now on"
    assert (known.chosen_url, known.last_name, known.further) == ("ws://work", "walter", ())
    assert not known.remove("ws://elsewhere", "alice")


def test_who_names_servers_in_the_file_is_not_asked_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch)
    config_file().parent.mkdir(parents=True, exist_ok=True)
    tea = '[[servers]]\nurl = "ws://tea"\nname = "me"\n'
    config_file().write_text(tea + '[[servers]]\nurl = "ws://work"\n')
    each = introduced(load({"data": tmp_path})).for_each_server()
    assert [(one.url, one.name) for one in each] == [("ws://tea", "me"), ("ws://work", "me")]
