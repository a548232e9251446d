"""TLS: certificate, versions, and the handshake of a connection that is already counted.

A TLS listening socket would report a connection only after the handshake, which a peer can delay:
such connections would not be counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from chat.errors import StartupError

__all__ = [
    "Certificate",
    "Expiry",
    "SchemeHints",
    "accept_tls",
    "detach_socket",
    "expiry",
    "tls_settings",
]

log = logging.getLogger(__name__)


HINT_EVERY = 60.0
"""Seconds between two hints about the same address."""
HINTS_MAX = 100
"""Most addresses in a minute that are logged."""
WARN_DAYS = 14
"""Days before the end of a certificate from which a warning is logged."""
_PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# The validity of a certificate is two times, one after the other (RFC 5280, 4.1.2.5).
_VALIDITY = re.compile(
    rb"(?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
)


class Certificate:
    """The server's certificate and key; the TLS settings of the next handshake.

    Args:
        file: the certificate.
        key: its key.
        now: returns the time, in UTC.

    Raises:
        StartupError: the certificate or its key cannot be used.
    """

    def __init__(
        self, file: Path, key: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._file, self._key, self._now = file, key, now
        self._seen = self._handled = self._stamps()
        self._tried = self._contents()
        """The contents that were loaded last, or that could not be used."""
        self.context = tls_settings(file, key)
        """Replaced by `reload` and `look`; connections keep the one of their handshake."""
        self._end = _end_of(file)
        self._warn_of_end()

    def reload(self) -> None:
        """Read both files again; if they cannot be used, log an error and keep the old ones."""
        self._handled, self._tried = self._stamps(), self._contents()
        try:
            self.context = tls_settings(self._file, self._key)
        except StartupError as exc:
            log.error("%s; keeping the old certificate", exc)
            return
        log.info("reloaded the certificate %s; new connections get it", self._file)
        self._end = _end_of(self._file)
        self._warn_of_end()

    def look(self) -> None:
        """Reload the files if their contents have changed; warn every day before the end.

        Call it about every second. A change is ignored until two calls find the same files, because
        the certificate and its key are replaced one after the other.
        """
        if self._now().date() != self._warned_on:
            self._warn_of_end()
        stamps = self._stamps()
        is_settled, self._seen = stamps == self._seen, stamps
        if stamps == self._handled or not is_settled:
            return
        self._handled = stamps
        if self._contents() != self._tried:
            self.reload()

    def _stamps(self) -> tuple[object, ...]:
        """Return a value that changes if a file, or a link to it, is written or replaced."""
        return tuple(map(_stamp, (self._file, self._key)))

    def _contents(self) -> bytes:
        """Return a digest of both files."""
        digest = hashlib.sha256()
        for file in (self._file, self._key):
            content = b"missing"
            with suppress(OSError):
                content = hashlib.sha256(file.read_bytes()).digest()
            digest.update(content)
        return digest.digest()

    def _warn_of_end(self) -> None:
        """Log a warning if the certificate in use has expired or is about to."""
        now = self._now()
        self._warned_on = now.date()
        if (found := _expiry(self._file, self._end, now)) is not None:
            log.warning("%s", found.warning)


class Expiry(NamedTuple):
    """The end of a certificate, which is near or past."""

    warning: str
    has_expired: bool


def expiry(certificate: Path) -> Expiry | None:
    """Return the end of a certificate in a file, if it is at most `WARN_DAYS` days away."""
    return _expiry(certificate, _end_of(certificate), datetime.now(UTC))


def _expiry(certificate: Path, end: datetime | None, now: datetime) -> Expiry | None:
    if end is None or end - now > timedelta(days=WARN_DAYS):
        return None
    day = f"{end:%Y-%m-%d}"
    if end < now:
        return Expiry(f"the certificate {certificate} expired on {day}: clients refuse it", True)
    return Expiry(
        f"the certificate {certificate} expires on {day}: renew it; the server loads the new one",
        False,
    )


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    # `st_ctime_ns` also changes with the file's permissions.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _end_of(certificate: Path) -> datetime | None:
    """Return the end of the first certificate of a PEM file, or None if it cannot be found."""
    try:
        first = _PEM.search(certificate.read_text(errors="replace"))
        found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(first[0])) if first else None
        if found is None:
            return None
        short, long = found.groups()
        text, form = (short, "%y%m%d%H%M%S") if short else (long, "%Y%m%d%H%M%S")
        return datetime.strptime(text.decode(), form).replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None


def tls_settings(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS settings (1.2 and later) for `wss://`.

    Raises:
        StartupError: the certificate or its key cannot be used.
    """
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2  # OpenSSL may be built to accept older ones

    def refuse_passphrase() -> str:  # or OpenSSL would ask for one at the terminal
        raise StartupError(f"the key {key} needs a passphrase: store it without one")

    try:
        for file in (certificate, key):
            file.open("rb").close()
        tls.load_cert_chain(certificate, key, refuse_passphrase)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            reason = f"the key {key} does not belong to the certificate {certificate}"
        else:
            reason = f"the certificate {certificate} or its key {key} cannot be used: {exc}"
        raise StartupError(reason) from None
    except OSError as exc:
        raise StartupError(f"cannot read {file}: {exc.strerror or exc}") from None
    return tls


def detach_socket(transport: asyncio.Transport) -> socket.socket:
    """Return the socket of a new connection, and abort its transport.

    `start_tls` would keep the transport, but loses bytes that uvloop has already read.
    """
    used = transport.get_extra_info("socket")
    duplicate = socket.fromfd(used.fileno(), used.family, socket.SOCK_STREAM)
    transport.abort()
    return duplicate


class SchemeHints:
    """Logs connections with the wrong scheme, once per address and minute."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._told: dict[str, float] = {}

    def add(self, address: str, hint: str) -> None:
        """Log what the peer tried and what to do, unless it was logged in the last minute."""
        now = self._loop.time()
        if len(self._told) >= HINTS_MAX:
            self._told = {who: when for who, when in self._told.items() if when > now - HINT_EVERY}
        if now - self._told.get(address, float("-inf")) < HINT_EVERY:
            return
        if len(self._told) < HINTS_MAX:
            self._told[address] = now
            log.info("%s %s", address, hint)


async def accept_tls(
    plain: socket.socket,
    tls: ssl.SSLContext,
    protocol: asyncio.Protocol,
    deadline: float,
    hints: SchemeHints,
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
            hints.add(
                peer, "tried plain HTTP (ws://), but this port is encrypted: connect with wss://"
            )
        else:
            log.info("%s: TLS handshake failed: %s", peer, exc.reason or exc)
    except OSError:  # the peer has disconnected
        plain.close()
