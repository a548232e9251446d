"""TLS: certificate, versions, and the handshake on connections that already count.

Left to the listening socket, a connection would come to light only after this handshake, which a
peer can drag out: nobody would count those that do.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

from chat.errors import StartupError

__all__ = ["context", "secure", "take_over"]

log = logging.getLogger(__name__)


def context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS settings (1.2 and later) for `wss://`; None without a certificate.

    Raises:
        StartupError: the certificate or its key cannot be used.
    """
    if certificate is None:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever OpenSSL was built to accept
    try:
        made.load_cert_chain(certificate, key)
    except OSError as exc:  # an `ssl.SSLError` is one, too
        reason = exc.strerror or exc
        raise StartupError(
            f"the certificate {certificate} or its key {key} cannot be used: {reason}"
        ) from None
    return made


def take_over(transport: asyncio.Transport) -> socket.socket:
    """Return the socket of a connection that was just made; its transport is over.

    `start_tls` would do it with one socket, but uvloop may have read the first bytes by then, which
    are lost to it.
    """
    used = transport.get_extra_info("socket")
    duplicate = socket.fromfd(used.fileno(), used.family, socket.SOCK_STREAM)
    transport.abort()
    return duplicate


async def secure(
    plain: socket.socket, made: ssl.SSLContext, protocol: asyncio.Protocol, deadline: float
) -> None:
    """Shake hands as a server within `deadline` seconds; then `protocol` gets the connection.

    If that fails, `protocol` hears nothing and the connection is over.
    """
    loop = asyncio.get_running_loop()
    plain.setblocking(False)
    try:
        peer = plain.getpeername()[0]
        await loop.connect_accepted_socket(
            lambda: protocol, plain, ssl=made, ssl_handshake_timeout=deadline
        )
    except ssl.SSLError as exc:  # TLS itself tells the peer what went wrong
        plain.close()
        if exc.reason == "HTTP_REQUEST":
            log.info(
                "%s does not speak TLS, and this port is encrypted: connect with wss://, not ws://",
                peer,
            )
        else:
            log.info("%s: no TLS connection: %s", peer, exc.reason or exc)
    except OSError:  # the peer is gone
        plain.close()
