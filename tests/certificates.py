"""Certificates for tests, made with OpenSSL."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

__all__ = ["certificate_flags", "certify", "expire"]


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


def expire(folder: Path) -> None:
    """Replace the certificate with an expired one for the same key."""
    files = ("-signkey", folder / "key.pem", "-in", folder / "cert.pem")
    expired = subprocess.run(
        ["openssl", "x509", *files, "-days", "-1"], check=True, capture_output=True
    )
    (folder / "cert.pem").write_bytes(expired.stdout)


def certificate_flags(folder: Path) -> tuple[str, ...]:
    """Return the server's flags for the certificate and the key in `folder`."""
    return "--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")
