"""The output of `chat-server` at its start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.serving import ChatServer


def banner(tmp_path: Path, *flags: str) -> str:
    with ChatServer(tmp_path / "data", *flags) as server:
        server.wait_for_line("stop ")
        return server.text


def test_a_private_server_prints_how_to_connect(tmp_path: Path) -> None:
    printed = banner(tmp_path)
    assert "open to" not in printed
    assert "sign-up" not in printed
    assert "encrypted" not in printed
    assert f"data       {tmp_path / 'data' / 'chat.db'}" in printed


def open_banner(tmp_path: Path, *flags: str) -> str:
    """Return the banner of a server that listens on all addresses."""
    server = ChatServer(tmp_path / "data")
    place = ("--host", "0.0.0.0", "--port", "0", "--data", str(server.data), *flags)
    with subprocess.Popen(
        server.command(*place), stdout=subprocess.PIPE, text=True, env=server.environment()
    ) as process:
        assert process.stdout is not None
        printed = ""
        while "stop " not in printed and (line := process.stdout.readline()):
            printed += line
        process.terminate()
    return printed


def test_an_open_server_prints_addresses_that_others_can_use_and_what_is_open(
    tmp_path: Path,
) -> None:
    printed = open_banner(tmp_path)
    assert "0.0.0.0" not in printed
    assert "connect    chat-client --name YOU --url ws://" in printed
    (open_to,) = (line for line in printed.splitlines() if "open to" in line)
    assert "--host 127.0.0.1" in open_to
    (encrypted,) = (line for line in printed.splitlines() if "encrypted" in line)
    assert "--tls-cert FILE --tls-key FILE" in encrypted
    assert "sign-up    open: everyone can take a new name, and another one after a ban\n" in printed
    assert "--registration invite" in printed


def test_a_server_for_invited_people_is_not_called_open(tmp_path: Path) -> None:
    printed = open_banner(tmp_path, "--registration", "invite")
    assert "  reachable  from other machines (restrict: --host 127.0.0.1)\n" in printed
    assert "open to" not in printed


@pytest.mark.parametrize(
    ("registration", "line"),
    [
        ("invite", "  sign-up    invited people only (chat-server invite create)"),
        ("closed", "  sign-up    closed (add an account: chat-server user add NAME)"),
    ],
)
def test_the_banner_says_who_can_sign_up(tmp_path: Path, registration: str, line: str) -> None:
    lines = banner(tmp_path, "--registration", registration).splitlines()
    assert [each for each in lines if "sign-up" in each] == [line]


def test_behind_a_proxy_the_public_address_is_the_one_to_connect_to(tmp_path: Path) -> None:
    printed = banner(tmp_path, "--public-url", "wss://chat.example.org/chat/")
    assert "chat-client --name YOU --url wss://chat.example.org/chat/\n" in printed
