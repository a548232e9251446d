"""TLS: certificate, versions, and the handshake of a connection that is already counted.

A TLS listening socket would report a connection only after the handshake, which a peer can delay:
such connections would not be counted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

from chat.errors import StartupError

__all__ = ["accept_tls", "context", "detach_socket"]

log = logging.getLogger(__name__)


def context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS settings (1.2 and later) for `wss://`; None without a certificate.

    Raises:
        StartupError: the certificate or its key cannot be used.
    """
    if certificate is None:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2  # OpenSSL may be built to accept older ones
    try:
        tls.load_cert_chain(certificate, key)
    except OSError as exc:  # includes `ssl.SSLError`
        reason = exc.strerror or exc
        raise StartupError(
            f"the certificate {certificate} or its key {key} cannot be used: {reason}"
        ) from None
    return tls


def detach_socket(transport: asyncio.Transport) -> socket.socket:
    """Return the socket of a new connection, and abort its transport.

    `start_tls` would keep the transport, but loses bytes that uvloop has already read.
    """
    used = transport.get_extra_info("socket")
    duplicate = socket.fromfd(used.fileno(), used.family, socket.SOCK_STREAM)
    transport.abort()
    return duplicate


async def accept_tls(
    plain: socket.socket, tls: ssl.SSLContext, protocol: asyncio.Protocol, deadline: float
) -> None:
    """Do the server's side of the handshake within `deadline` seconds, then start `protocol`.

    If the handshake fails, the connection is closed, and `protocol` is not called.
    """
    loop = asyncio.get_running_loop()
    plain.setblocking(False)
    try:
        peer = plain.getpeername()[0]
        await loop.connect_accepted_socket(
            lambda: protocol, plain, ssl=tls, ssl_handshake_timeout=deadline
        )
    except ssl.SSLError as exc:  # TLS has sent the reason to the peer
        plain.close()
        if exc.reason == "HTTP_REQUEST":
            log.info(
                "%s tried plain HTTP (ws://), but this port is encrypted: connect with wss://",
                peer,
            )
        else:
            log.info("%s: TLS handshake failed: %s", peer, exc.reason or exc)
    except OSError:  # the peer has disconnected
        plain.close()
