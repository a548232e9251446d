"""The first run asks for a name and a server, shows three keys, and is not repeated."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.client.config.settings import load, with_remembered
from chat.client.first_run import with_name
from chat.errors import StartupError
from tests.client.piped import Client
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
    settings = with_name(load({"data": tmp_path}))
    assert (settings.name, settings.url) == ("alice", "wss://chat.example.org")
    assert with_remembered(load({"data": tmp_path})).url == "wss://chat.example.org"
    assert with_remembered(load({"data": tmp_path, "url": DEFAULT})).url == DEFAULT
    monkeypatch.setenv("CHAT_URL", "ws://elsewhere")
    assert with_remembered(load({"data": tmp_path})).url == "ws://elsewhere"


@pytest.mark.parametrize("lines", [("alice", ""), ("alice",)])
def test_enter_chooses_the_server_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    answers(monkeypatch, *lines)
    assert with_name(load({"data": tmp_path})).url == DEFAULT


def test_a_given_url_skips_the_server_prompt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(monkeypatch, "alice", "ws://not-asked-for")
    assert with_name(load({"data": tmp_path, "url": "ws://there"})).url == "ws://there"


def test_a_first_run_without_input_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(monkeypatch)
    with pytest.raises(StartupError, match="--name NAME"):
        with_name(load({"data": tmp_path}))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[RawTerminal]:
    raw = RawTerminal(tmp_path, "chat-client")
    try:
        yield raw
    finally:
        raw.close()


def test_the_first_run_on_a_terminal_continues_to_the_screens(
    terminal: RawTerminal, server: ChatServer
) -> None:
    def answer(question: bytes, text: str) -> None:
        terminal.wait(lambda: question in terminal.output, question.decode())
        terminal.send(f"{text}\n".encode())

    answer(b"Your name: ", "a b")
    answer(b"or '.'.\r\nYour name: ", "31xdm-ykkzq")
    answer(b"then the code.\r\nYour name: ", "alice")
    answer(b"]: ", server.url)
    terminal.wait(lambda: b"Press Enter to start. " in terminal.output, "three keys")
    assert (
        terminal.output.decode().replace("\r\n", "\n")
        == f"""\
Welcome. Choose the name that others see. Use --demo to try the client without a server.

Your name: a b
“a b” must be one or more ASCII letters, digits, '_', '-' or '.'.
Your name: 31xdm-ykkzq
“31xdm-ykkzq” looks like a link code or an invitation, not a name: enter your name first, \
then the code.
Your name: alice
Server [{DEFAULT}]: {server.url}

Three keys to know:
  F1      show help
  Ctrl+K  go to a channel or person, or run a command
  Ctrl+Q  quit

Press Enter to start. """
    )
    terminal.send(b"\n")
    terminal.wait(lambda: b"general" in terminal.output, "the screens")
    terminal.send(b"/quit\r")
    terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
    assert terminal.process.returncode == 0


async def test_plain_mode_accepts_another_name_and_sends_waiting_messages(
    tmp_path: Path, server: ChatServer
) -> None:
    command = ("chat-client", "--plain", "--url", server.url)
    async with Peer.signed_in(server.url, "alice") as alice, Peer.signed_in(server.url, "carol"):
        await alice.join("#general")
        first = RawTerminal(tmp_path, *command, "--name", "alice")
        try:
            first.wait(
                lambda: b"Use /name NAME to sign in with another" in first.output, "the refusal"
            )
            first.send(b"first words\n")
            first.wait(lambda: b"saved on this computer" in first.output, "it waits")
            first.send(b"/quit\n")
            first.wait(lambda: b"1 message has not been sent yet" in first.output, "it is counted")
        finally:
            first.close()
        second = RawTerminal(tmp_path, *command)
        try:
            second.wait(lambda: b"name alice is already in use" in second.output, "again")
            second.send(b"/name\n/name carol\n")
            second.wait(lambda: b"name carol is already in use" in second.output, "too")
            second.send(b"/name carol\n/name bob\n")
            second.wait(lambda: b"carol is taken" in second.output, "the same")
            second.wait(lambda: b"Connected to chat as bob" in second.output, "another name")
            event = await alice.next_event(kind="message")
            assert (event.author, event.text) == ("bob", "first words")
        finally:
            second.close()
        third = RawTerminal(tmp_path, *command)
        try:
            third.wait(lambda: b"Connected to chat as bob" in third.output, "it is remembered")
        finally:
            third.close()


async def test_messages_typed_under_a_taken_name_are_counted_after_a_rename(
    tmp_path: Path, server: ChatServer
) -> None:
    other = Client(tmp_path, server.url, "bob")
    command = ("chat-client", "--plain", "--url", server.url, "--data", str(other.data))
    async with Peer.signed_in(server.url, "alice"):
        terminal = RawTerminal(tmp_path, *command, "--name", "alice")
        try:
            terminal.wait(lambda: b"Use /name NAME to sign in" in terminal.output, "the refusal")
            terminal.send(b"first words\n")
            terminal.wait(lambda: b"saved on this computer" in terminal.output, "it waits")
            assert other.run("send", "#general", "hello").returncode == 0
            terminal.send(b"/quit\n")
            terminal.wait(
                lambda: b"1 message has not been sent yet" in terminal.output, "it is counted"
            )
        finally:
            terminal.close()
