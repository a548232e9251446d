"""The address of a broker, with its credentials and certificates from files."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from chat.broker.port import Broker
from chat.errors import StartupError

__all__ = ["broker_at", "check_broker_urls"]

log = logging.getLogger(__name__)

_SCHEMES = ("nats", "tls")
_EXTRA = (
    "--broker needs the extra 'nats', which is not installed; in the folder of the sources: "
    "pip install '.[nats]'"
)


def check_broker_urls(value: str) -> str:
    """Return the valid addresses of the servers of one broker, separated by commas.

    Raises:
        ValueError: with a message for the operator; it repeats no password.
    """
    return ",".join(_check_url(each.strip()) for each in value.split(","))


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an address, such as nats://10.0.0.5:4222") from None
    if parts.scheme not in _SCHEMES or not host:
        raise ValueError("must begin with nats:// or tls://, such as nats://10.0.0.5:4222")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "must not contain a password or a token: other users of this machine can read it. Use "
            "--broker-credentials FILE"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end after the port, such as nats://10.0.0.5:4222")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port or 4222}"


def broker_at(urls: str, credentials: Path | None = None, ca: Path | None = None) -> Broker:
    """Return the broker at `urls`, which is not started.

    Args:
        urls: as `check_broker_urls` returns them.
        credentials: a file with `USER:PASSWORD` or a token on one line, or one of NATS (`.creds`).
        ca: the authorities (PEM) that sign the broker's certificates; None: those of the system.

    Raises:
        StartupError: a file cannot be used, or the extra is not installed.
    """
    try:
        from chat.broker.nats import NatsBroker  # imported only when asked for
    except ImportError:
        raise StartupError(_EXTRA) from None
    addresses = urls.split(",")
    for address in addresses:
        _warn_if_readable(address)
    shown = _credentials_in(credentials) if credentials is not None else {}
    return NatsBroker(addresses, shown, _authorities_in(ca) if ca is not None else None)


def _warn_if_readable(address: str) -> None:
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    if parts.scheme == "nats" and not is_here:
        log.warning(
            "the connection to the broker at %s is not encrypted: anyone on the network "
            "can read messages. Use tls://, or a network that only your servers use",
            address,
        )


def _credentials_in(file: Path) -> dict[str, str]:
    """Return the options of the library for the credentials in `file`."""
    try:
        content = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise StartupError(f"--broker-credentials {file}: cannot be read: {reason}") from None
    if "BEGIN NATS USER JWT" in content:
        return {"user_credentials": str(file)}
    if not content or len(content.splitlines()) > 1:
        raise StartupError(
            f"--broker-credentials {file}: must contain USER:PASSWORD or a token on one line, or "
            "be a .creds file of NATS"
        )
    user, colon, password = content.partition(":")
    return {"user": user, "password": password} if colon else {"token": content}


def _authorities_in(file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as exc:
        raise StartupError(f"--broker-ca {file}: cannot be used: {exc}") from None
