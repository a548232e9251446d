"""A PostgreSQL server for tests, in a temporary folder, with a database for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.serving import PATIENCE, eventually

__all__ = ["PostgresqlServer"]

_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_MEMORY = Path("/dev/shm")
"""A folder in memory, where a sync to disk takes no time."""
_SETTINGS: tuple[str, ...] = (
    *("listen_addresses=", "max_connections=100", "shared_buffers=32MB", "autovacuum=off"),
    *("max_wal_size=256MB", "log_min_messages=fatal"),
)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None and _DEBIAN and (_DEBIAN[-1] / name).exists():
        found = str(_DEBIAN[-1] / name)
    assert found is not None, f"{name} is not installed: apt-get install postgresql"
    return found


def _as_user() -> tuple[str, ...]:
    """Return the beginning of a command that does not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return ()
    renamed = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if subprocess.run((*renamed, "true"), capture_output=True, check=False).returncode == 0:
        return renamed
    return ("runuser", "-u", "postgres", "--")


class PostgresqlServer:
    """A running server, which ends with this process at the latest.

    Args:
        settings: as `name=value`.
        primary: the server that a standby follows.
        creation: further arguments of `initdb`.
        environment: further variables of the server's environment.
        parent: the folder of its files; by default in memory if possible.
    """

    def __init__(
        self,
        *settings: str,
        primary: PostgresqlServer | None = None,
        creation: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        parent: Path | None = None,
    ) -> None:
        self._settings = (*_SETTINGS, *settings)
        if parent is None and os.access(_MEMORY, os.W_OK):
            parent = _MEMORY
        self.folder = Path(tempfile.mkdtemp(prefix="chat-pg-", dir=parent))
        self._data = self.folder / "data"
        self._as_user = _as_user()
        if "runuser" in self._as_user:
            shutil.chown(self.folder, "postgres")
        self._environment = dict(environment or {})
        if primary is None:
            trusting = ("-U", "postgres", "-A", "trust", "-N", *creation)
            self._run(_program("initdb"), "-D", self._data, *trusting)
        else:
            copying = ("-h", primary.folder, "-U", "postgres", "-R", "-X", "stream", "-c", "fast")
            self._run(_program("pg_basebackup"), "-D", self._data, *copying)
        self._numbers = itertools.count()
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        settings = [part for each in self._settings for part in ("-c", each)]
        command = (_program("postgres"), "-D", str(self._data), "-k", str(self.folder), *settings)
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                (*self._as_user, "setpriv", "--pdeathsig", "INT", *command),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | self._environment,
            )

        def is_ready() -> bool:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                return False
            return True

        eventually(is_ready, "PostgreSQL accepts connections")

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop the server: disconnect everybody, or with SIGQUIT as in a crash."""
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def pids(self) -> list[int]:
        """Return the ids of its processes, the first one first."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def crash(self) -> None:
        """Stop the server without a checkpoint: the next start recovers from its log."""
        self.stop(signal.SIGQUIT)

    @property
    def is_running(self) -> bool:
        """Whether the server's process runs."""
        return self.process.poll() is None

    def cut_from_primary(self) -> None:
        """Receive nothing more of the primary: a promotion now loses what it commits from now."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        eventually(
            lambda: not self.execute("SELECT 1 FROM pg_stat_wal_receiver"), "the standby is cut"
        )

    def promote(self) -> None:
        """Make a standby the primary."""
        assert self.execute("SELECT pg_promote()") == [(True,)]

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run a program of PostgreSQL with this server."""
        self._run(_program(program), "-h", self.folder, "-U", "postgres", *arguments)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        """Create a database as a copy of another one; return its name."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, database: str) -> None:
        """Remove a database."""
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement; return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.crash()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self, *command: str | Path) -> None:
        subprocess.run((*self._as_user, *command), check=True, capture_output=True, cwd=self.folder)
