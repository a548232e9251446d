"""The first run asks for a name and a server, shows three keys, and is not repeated."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.client.config import load
from chat.client.first_run import introduced, remembered
from chat.errors import StartupError
from tests.serving import ChatServer, Peer
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
    def answer(question: bytes, text: str) -> None:
        terminal.wait(lambda: question in terminal.output, question.decode())
        terminal.send(f"{text}\n".encode())

    answer(b"Your name: ", "a b")
    answer(b"empty.\r\nYour name: ", "alice")
    answer(b"]: ", server.url)
    terminal.wait(lambda: b"Enter begins. " in terminal.output, "three keys")
    assert (
        terminal.output.decode().replace("\r\n", "\n")
        == f"""\
Welcome. A name belongs to whoever used it first; --demo plays without a server.

Your name: a b
A name must be ASCII letters, digits, '_', '-' or '.', and not empty.
Your name: alice
Server [{DEFAULT}]: {server.url}

Three keys to know:
  F1      help: keys and commands
  Ctrl+K  go to a channel or a person, or run a command
  Ctrl+Q  leave the program

Enter begins. """
    )
    terminal.send(b"\n")
    terminal.wait(lambda: b"general" in terminal.output, "the screens")
    terminal.send(b"/quit\r")
    terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
    assert terminal.process.returncode == 0


async def test_after_a_taken_name_the_next_start_asks_for_another(
    tmp_path: Path, server: ChatServer
) -> None:
    command = ("chat-client", "--plain", "--url", server.url)
    async with Peer.signed_in(server.url, "alice"):
        first = RawTerminal(tmp_path, *command, "--name", "alice")
        try:
            first.wait(lambda: b"belongs to somebody else" in first.output, "the refusal")
        finally:
            first.close()
        second = RawTerminal(tmp_path, *command)
        try:
            second.wait(lambda: b"Your name: " in second.output, "the question")
            second.send(b"bob\n")
            second.wait(lambda: b"Connected to chat as bob" in second.output, "another name")
        finally:
            second.close()
