"""A hanging resolver: the program still ends in time."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat.client.platform import event_loop
from tests.client.piped import Client
from tests.processes import installed
from tests.serving import PATIENCE, eventually
from tests.terminal.raw import RawTerminal

_HANGS = 60
_HANGING_RESOLVER = f"""
import pathlib, socket, time
def getaddrinfo(*asked, **more):
    pathlib.Path(__file__).with_name("asked").touch()
    time.sleep({_HANGS})
socket.getaddrinfo = getaddrinfo
"""
_ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
_URL = "ws://chat.example:3000"


@pytest.fixture
def hanging(tmp_path: Path) -> dict[str, str]:
    """Return the variables of a process whose resolver hangs."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HANGING_RESOLVER)
    return {"PYTHONPATH": str(folder)}


def test_a_hanging_resolver_does_not_delay_the_exit_of_send(
    make_client: Callable[..., Client], hanging: dict[str, str]
) -> None:
    client = make_client(_URL)
    began = time.monotonic()
    done = subprocess.run(
        client.command("send", "#ops", "x", "--timeout", "1"),
        capture_output=True,
        encoding="utf-8",
        env=client.environment() | hanging,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began < _HANGS / 2  # most of it is the start of a busy machine


def test_an_interrupt_ends_send_while_the_resolver_hangs(
    make_client: Callable[..., Client], hanging: dict[str, str], tmp_path: Path
) -> None:
    client = make_client(_URL)
    command = client.command("send", "#ops", "x", "--timeout", "60")
    with subprocess.Popen(command, env=client.environment() | hanging) as sending:
        try:
            eventually((tmp_path / "site" / "asked").exists, "the resolver is asked")
            began = time.monotonic()
            sending.send_signal(signal.SIGINT)
            assert sending.wait(PATIENCE) == 130
            assert time.monotonic() - began < _HANGS / 2
        finally:
            sending.kill()


@pytest.mark.parametrize(("flags", "leave"), [((), b"\x11"), (("--plain",), b"/quit\n")])
def test_quitting_is_fast_while_the_resolver_hangs(
    tmp_path: Path, hanging: dict[str, str], flags: tuple[str, ...], leave: bytes
) -> None:
    command = (installed("chat-client"), *flags, "--name", "me", "--url", _URL)
    terminal = RawTerminal(tmp_path, *command, variables=hanging, start=subprocess.Popen)
    try:
        terminal.wait(lambda: b"me" in terminal.output, "it has started")
        terminal.send(leave)
        began = time.monotonic()
        terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
        assert terminal.process.returncode == 0
        assert time.monotonic() - began < _HANGS / 2
    finally:
        terminal.close()


def test_concurrent_lookups_of_a_name_share_one_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def slow(*given: object) -> list[Any]:
        asked.append(given[0])
        time.sleep(0.05)
        if given[0] == "bad":
            raise OSError("no such host")
        return [_ADDRESS]

    monkeypatch.setattr("socket.getaddrinfo", slow)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        many = [loop.getaddrinfo("host", 80) for _ in range(5)]
        assert await asyncio.gather(*many) == [[_ADDRESS]] * 5
        assert asked == ["host"]
        with pytest.raises(OSError, match="no such host"):
            await loop.getaddrinfo("bad", 80)
        assert await loop.getaddrinfo("host", 80) == [_ADDRESS]

    event_loop.run(main())
