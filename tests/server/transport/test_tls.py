"""The certificate: it is reloaded when it changes and at SIGHUP, and its end is announced."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chat.server.transport.tls import Certificate
from tests.certificates import certificate_flags, certify, expire
from tests.serving import PATIENCE, ChatServer, Peer

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")


@pytest.mark.promise(
    5,
    fault="the certificate is renewed, then damaged, while people are connected",
    result="SIGHUP loads the new one for new connections, keeps it if a file is damaged; all stay",
)
async def test_hangup_reloads_the_certificate_and_keeps_connections(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    old = certify(tmp_path, days=2)
    server = start_server(*certificate_flags(tmp_path))
    server.wait_for_line("expires on")
    async with Peer.signed_in(server.url, "alice", ssl=old) as alice:
        new = certify(tmp_path)
        os.kill(server.pid, signal.SIGHUP)
        server.wait_for_line("reloaded the certificate")
        async with Peer.signed_in(server.url, "bob", ssl=new) as bob:
            await bob.settle()
        with pytest.raises(ssl.SSLError):
            async with Peer.connect(server.url, ssl=old):
                pass
        (tmp_path / "cert.pem").write_text("damaged")
        os.kill(server.pid, signal.SIGHUP)
        server.wait_for_line("keeping the old certificate")
        async with Peer.signed_in(server.url, "carol", ssl=new) as carol:
            await carol.settle()
        await alice.settle()
    assert server.text.count("expires on") == 1
    assert server.stop() == 0


def test_expired_certificate_is_logged_at_the_start(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    certify(tmp_path)
    expire(tmp_path)
    server = start_server(*certificate_flags(tmp_path))
    server.wait_for_line(r"WARNING .* certificate .*cert\.pem expired on .*: clients refuse it")


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """Return a link to a folder with a certificate, as certbot and Kubernetes use them."""
    first = tmp_path / "first"
    first.mkdir()
    link = tmp_path / "live"
    link.symlink_to(first)
    return link


@pytest.mark.feature("server.certificate")
async def test_a_replaced_link_reloads_the_certificate_and_keeps_connections(
    start_server: Callable[..., ChatServer], tmp_path: Path, link: Path
) -> None:
    old = certify(link)
    server = start_server(*certificate_flags(link))
    async with Peer.signed_in(server.url, "alice", ssl=old) as alice:
        second = tmp_path / "second"
        second.mkdir()
        new = certify(second)
        (tmp_path / "next").symlink_to(second)
        (tmp_path / "next").rename(link)
        server.wait_for_line("reloaded the certificate")
        async with Peer.signed_in(server.url, "bob", ssl=new) as bob:
            await bob.settle()
        await alice.settle()
    assert server.stop() == 0
    assert server.text.count("reloaded the certificate") == 1


async def test_a_certificate_that_is_replaced_before_its_key_is_reloaded_with_it(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    old = certify(tmp_path)
    server = start_server(*certificate_flags(tmp_path))
    second = tmp_path / "second"
    second.mkdir()
    new = certify(second)
    (second / "cert.pem").rename(tmp_path / "cert.pem")
    server.wait_for_line("keeping the old certificate")
    async with Peer.signed_in(server.url, "alice", ssl=old) as alice:
        await alice.settle()
    (second / "key.pem").rename(tmp_path / "key.pem")
    server.wait_for_line("reloaded the certificate")
    async with Peer.signed_in(server.url, "bob", ssl=new) as bob:
        await bob.settle()
    assert server.stop() == 0
    assert server.text.count("keeping the old certificate") == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    certify(tmp_path)
    return Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_broken_file_is_logged_once_for_each_content(
    certificate: Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "cert.pem"
    good, first = file.read_text(), certificate.context

    def look_after(content: str) -> int:
        """Write the file, look several times; return the number of logged lines since."""
        caplog.clear()
        new = tmp_path / "new.pem"
        new.write_text(content)
        new.replace(file)
        for _ in range(5):
            certificate.look()
        return len(caplog.records)

    assert look_after("damaged") == 1
    assert look_after("damaged") == 0
    assert look_after(good[: len(good) // 2]) == 1
    assert certificate.context is first
    file.unlink()
    assert look_after(good[: len(good) // 2]) == 0
    with caplog.at_level("INFO"):
        assert look_after(good) == 1
        reloaded = certificate.context
        assert reloaded is not first
        assert look_after(good) == 0
    assert certificate.context is reloaded


def test_files_that_still_change_are_not_reloaded(
    certificate: Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "cert.pem"
    whole, first = file.read_text(), certificate.context
    for size in range(0, len(whole), 100):
        file.write_text(whole[:size])
        certificate.look()
    file.write_text(whole + "\n")
    certificate.look()
    assert certificate.context is first
    certificate.look()
    assert certificate.context is not first
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_an_end_that_comes_near_is_logged_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certify(tmp_path, days=20)
    now = datetime.now(UTC)
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem", lambda: now)
    logged = []
    for _ in range(22):
        now += timedelta(days=1)
        for _ in range(3):
            certificate.look()
        logged.append([record.getMessage() for record in caplog.records])
        caplog.clear()
    assert logged[:5] == [[]] * 5
    assert all("expires on" in line for (line,) in logged[6:19])
    assert all("expired on" in line for (line,) in logged[20:])


async def test_plain_http_is_logged_once_per_address(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    trust = certify(tmp_path)
    server = start_server(*certificate_flags(tmp_path))
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.settimeout(PATIENCE)
            with suppress(ConnectionError):
                while plain.recv(1_024):
                    pass
    async with Peer.signed_in(server.url, "alice", ssl=trust) as alice:
        await alice.settle()
    server.stop()
    assert server.text.count("tried plain HTTP") == 1
