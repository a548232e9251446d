"""The manual's configurations of nginx, HAProxy and Caddy, each run on a free port.

A proxy uses the committed file: only addresses, files, and for some tests time-outs are replaced.
Everything that it writes is in its own folder.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from tests.interop.outside import find
from tests.serving import PATIENCE, ChatServer, eventually, free_port
from tests.test_repository import ROOT

__all__ = ["PROXIES", "Proxy"]

DEPLOY = ROOT / "chat" / "docs" / "deploy"
CUT_SECONDS = 1
"""Seconds after a reload until the proxy closes the connections of before."""


def certify(folder: Path) -> None:
    """Write a certificate for 127.0.0.1 and its key: `cert.pem`, `key.pem`, both in `both.pem`."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    both = (folder / "cert.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "both.pem").write_text(both)


class Proxy:
    """A reverse proxy in front of `server`, with TLS.

    Args:
        server: the chat server.
        folder: an empty folder for its files.
        changes: further replacements in the committed file, such as time-outs.
    """

    file: ClassVar[str]
    """The committed file."""
    program: ClassVar[str]

    def __init__(
        self, server: ChatServer, folder: Path, changes: Mapping[str, str] | None = None
    ) -> None:
        self.binary = find(self.program, f"/usr/sbin/{self.program}")
        self.server = server
        self.folder = folder
        self.port = free_port()
        self.url = f"wss://127.0.0.1:{self.port}"
        folder.mkdir()
        certify(folder)
        self.certificate = folder / "cert.pem"
        text = (DEPLOY / self.file).read_text("utf-8")
        own = {"127.0.0.1:3000": f"127.0.0.1:{server.port}", **self.replacements()}
        for old, new in {**own, **(changes or {})}.items():
            assert old in text, f"{self.file} has no {old!r}"
            text = text.replace(old, new)
        (folder / self.file).write_text(text, "utf-8")
        self._log = folder / "proxy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
            )
        try:
            eventually(self._is_up, f"{self.program} accepts connections")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)

    @property
    def trust(self) -> ssl.SSLContext:
        """The settings of a client that trusts this proxy's certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))

    @property
    def log(self) -> str:
        """Everything that the proxy printed."""
        return self._log.read_text("utf-8", "replace")

    def reload(self) -> None:
        """Reload the configuration, as the proxy's own unit does."""
        assert self._process is not None
        self._process.send_signal(self.reload_signal)

    reload_signal = signal.SIGHUP

    def environment(self) -> dict[str, str]:
        """Return the variables of the proxy."""
        places = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        return {**os.environ, **dict.fromkeys(places, str(self.folder))}

    def replacements(self) -> dict[str, str]:
        """Return what is replaced in the committed file: addresses and files."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return the command line; it writes the main configuration, where that is another file."""
        raise NotImplementedError

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Nginx(Proxy):
    """nginx; the committed file is included by a main configuration, as on Debian."""

    file = "nginx.conf"
    program = "nginx"

    def replacements(self) -> dict[str, str]:
        """Return what is replaced in the committed file: addresses and files."""
        return {
            "listen      443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen      [::]:443 ssl;": "",
            "/etc/chat/fullchain.pem": str(self.certificate),
            "/etc/chat/privkey.pem": str(self.folder / "key.pem"),
        }

    def command(self) -> list[str]:
        """Return the command line, and write the main configuration."""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)
        (self.folder / "main.conf").write_text(
            f"daemon off;\npid {self.folder}/nginx.pid;\nworker_processes 1;\n"
            f"worker_shutdown_timeout {CUT_SECONDS}s;\n"
            "events { worker_connections 256; }\n"
            f"http {{\naccess_log {self.folder}/access.log;\n{places}"
            f"include {self.folder}/{self.file};\n}}\n"
        )
        main = str(self.folder / "main.conf")
        return [self.binary, "-p", str(self.folder), "-c", main, "-e", "stderr"]


class HAProxy(Proxy):
    """HAProxy with a master process, as its unit starts it."""

    file = "haproxy.cfg"
    program = "haproxy"
    reload_signal = signal.SIGUSR2

    def replacements(self) -> dict[str, str]:
        """Return what is replaced in the committed file: addresses and files."""
        return {
            ":::443 v4v6": f"127.0.0.1:{self.port}",
            "/etc/haproxy/chat.pem": str(self.folder / "both.pem"),
            "hard-stop-after 5m": f"hard-stop-after {CUT_SECONDS}s",
            "maxconn 10000": "maxconn 100",
            "inter 2s": "inter 200ms",
        }

    def command(self) -> list[str]:
        """Return the command line."""
        return [self.binary, "-W", "-f", str(self.folder / self.file)]


class Caddy(Proxy):
    """Caddy; its interface for reloads has a port of its own."""

    file = "Caddyfile"
    program = "caddy"

    def replacements(self) -> dict[str, str]:
        """Return what is replaced in the committed file: addresses and files."""
        return {
            "chat.example.org {": f"https://127.0.0.1:{self.port} {{",
            "# tls /etc/chat/fullchain.pem /etc/chat/privkey.pem": (
                f"tls {self.certificate} {self.folder}/key.pem"
            ),
        }

    def command(self) -> list[str]:
        """Return the command line, and write the main configuration."""
        main = self.folder / "main.caddyfile"
        main.write_text(
            f"{{\nadmin 127.0.0.1:{free_port()}\nauto_https disable_redirects\n"
            "default_bind 127.0.0.1\nservers {\nprotocols h1 h2\n}\n}\n"
            f"import {self.folder}/{self.file}\n"
        )
        return [self.binary, "run", "--config", str(main), "--adapter", "caddyfile"]

    def reload(self) -> None:
        """Reload the configuration, as the proxy's own unit does."""
        subprocess.run(
            [
                *(self.binary, "reload", "--force", "--adapter", "caddyfile"),
                *("--config", str(self.folder / "main.caddyfile")),
            ],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
            env=self.environment(),
        )


PROXIES: dict[str, type[Proxy]] = {"nginx": Nginx, "haproxy": HAProxy, "caddy": Caddy}
