"""The address of a broker: what is refused, and where its secrets come from."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from chat.broker.address import broker_at, check_broker_urls
from chat.broker.port import Receiver
from chat.errors import StartupError
from tests.broker.nats_server import NatsServer
from tests.serving import PATIENCE


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nats://10.0.0.5", "nats://10.0.0.5:4222"),
        ("tls://a.example.org:4223", "tls://a.example.org:4223"),
        ("nats://[::1]:4222/", "nats://[::1]:4222"),
        ("nats://a:1, nats://b:2", "nats://a:1,nats://b:2"),
    ],
)
def test_valid_addresses_are_completed(given: str, expected: str) -> None:
    assert check_broker_urls(given) == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("10.0.0.5:4222", "must begin with nats:// or tls://"),
        ("redis://10.0.0.5", "must begin with nats:// or tls://"),
        ("nats://", "must begin with nats:// or tls://"),
        ("nats://a:99999", "must be an address"),
        ("nats://a:4222/subject", "must end after the port"),
        ("nats://chat:secret@a:4222", "--broker-credentials FILE"),
        ("nats://secret@a:4222", "--broker-credentials FILE"),
    ],
)
def test_wrong_addresses_and_secrets_are_refused(given: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        check_broker_urls(given)
    assert "secret" not in str(refused.value)


def test_missing_extra_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "chat.broker.nats", raising=False)
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(StartupError, match=r"pip install '\.\[nats\]'"):
        broker_at("nats://127.0.0.1:4222")


@pytest.mark.parametrize("content", ["", "\n", "one\ntwo\n"])
def test_unusable_credentials_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(content)
    with pytest.raises(StartupError, match="must contain USER:PASSWORD"):
        broker_at("nats://127.0.0.1:4222", file)
    with pytest.raises(StartupError, match="cannot be read"):
        broker_at("nats://127.0.0.1:4222", tmp_path / "missing")


def test_unencrypted_connection_to_another_computer_is_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for address in ("nats://127.0.0.1:4222", "nats://[::1]:4222", "tls://10.0.0.5:4222"):
        broker_at(address)
    assert "not encrypted" not in caplog.text
    broker_at("nats://10.0.0.5:4222")
    assert "nats://10.0.0.5:4222 is not encrypted" in caplog.text


@pytest.mark.parametrize(
    ("flags", "content"),
    [
        (("--user", "chat", "--pass", "a:b"), "chat:a:b\n"),
        (("--auth", "token"), "token\n"),
    ],
)
async def test_credentials_in_a_file_open_the_broker(
    tmp_path: Path, flags: tuple[str, ...], content: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(content)
    states: list[bool] = []
    with NatsServer(*flags) as server:
        broker = broker_at(server.url, file)
        broker.start(Receiver(lambda *_: None, lambda: None, states.append))
        try:
            async with asyncio.timeout(PATIENCE):
                while not states:
                    await asyncio.sleep(0.01)
        finally:
            await broker.close()
