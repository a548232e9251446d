"""The certificate: it is reloaded at SIGHUP, and its end is announced."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.serving import PATIENCE, ChatServer, Peer

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")


def certify(folder: Path, days: int = 30) -> ssl.SSLContext:
    """Write a new certificate and its key; return the settings of a client that trusts it alone."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days)),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


def flags(folder: Path) -> tuple[str, ...]:
    return "--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")


@pytest.mark.promise(
    5,
    fault="the certificate is renewed, then damaged, while people are connected",
    result="SIGHUP loads the new one for new connections, keeps it if a file is damaged; all stay",
)
async def test_hangup_reloads_the_certificate_and_keeps_connections(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    old = certify(tmp_path, days=2)
    server = start_server(*flags(tmp_path))
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
    files = ("-signkey", tmp_path / "key.pem", "-in", tmp_path / "cert.pem")
    expired = subprocess.run(
        ["openssl", "x509", *files, "-days", "-1"], check=True, capture_output=True
    )
    (tmp_path / "cert.pem").write_bytes(expired.stdout)
    server = start_server(*flags(tmp_path))
    server.wait_for_line(r"WARNING .* certificate .*cert\.pem expired on .*: clients refuse it")


async def test_plain_http_is_logged_once_per_address(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    trust = certify(tmp_path)
    server = start_server(*flags(tmp_path))
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


async def test_hangup_without_a_certificate_is_logged(server: ChatServer) -> None:
    os.kill(server.pid, signal.SIGHUP)
    server.wait_for_line("nothing to reload")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.settle()
