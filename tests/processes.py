"""`chat-server` and `chat-client` as separate processes.

Most of a start is imports: 0.4 s of processor time, hundreds of times in a run of all tests. So
`Process` forks a process that has imported both programs; the child calls `main` with its own
arguments, variables and streams. Tests of the start itself run the installed commands:
`InstalledServer`, `installed`, `tests.terminal.tmux`.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO

__all__ = ["Process", "installed", "run"]

PROGRAMS = {"chat-server": "chat.server.cli", "chat-client": "chat.client.cli"}
"""The programs, and the modules with their `main`."""

_IMPORTED_LATER = (
    "chat.client.plain.app",
    "chat.client.scripting.cli",
    "chat.server.app",
    "chat.store.migrations.run",
    "encodings.idna",
    "uvloop",
)
"""Modules that the programs import at their start; not Textual, which reads the environment."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__, *PROGRAMS.values(), *_IMPORTED_LATER])


class Process:
    """A running program, with the part of `subprocess.Popen`'s interface that the tests use.

    Args:
        command: `chat-server` or `chat-client`, and its arguments.
        stdin, stdout, stderr: a descriptor, or PIPE, or DEVNULL; for stderr also STDOUT.
        env: all its environment variables; the only supported interpreter variable is
            `PYTHONWARNINGS=error`.
        start_new_session: whether it leads a session of its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int = DEVNULL,
        stdout: int = PIPE,
        stderr: int = 2,
        env: Mapping[str, str],
        start_new_session: bool = False,
    ) -> None:
        unread = {key for key in env.items() - os.environ.items() if key[0].startswith("PYTHON")}
        assert not unread - {("PYTHONWARNINGS", "error")}, f"read by a fresh interpreter: {unread}"
        self.args = command
        its_stdin, self.stdin = _stream(stdin, "w")
        its_stdout, self.stdout = _stream(stdout, "r")
        its_stderr, self.stderr = (its_stdout, None) if stderr == STDOUT else _stream(stderr, "r")
        streams = (its_stdin, its_stdout, its_stderr)
        self._process = _forks.Process(
            target=_main,
            args=(command, streams, env, start_new_session),
            daemon=True,  # nothing waits for it when the tests end
        )
        self._process.start()
        for stream in {*streams}:
            stream.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code once it has ended; -N after signal N."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str], *, stdin: str, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with this text as piped input; return its output."""
    process = Process(command, stdin=PIPE, stderr=PIPE, env=env)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with ThreadPoolExecutor() as threads, process.stdout, process.stderr:
        printed = [threads.submit(each.read) for each in (process.stdout, process.stderr)]
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(stdin)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        output, errors = (each.result() for each in printed)
    return subprocess.CompletedProcess(command, code, output, errors)


def installed(command: str) -> str:
    """Return the path of an installed command."""
    return f"{sysconfig.get_path('scripts')}/{command}"


def _stream(given: int, mode: str) -> tuple[Connection, IO[str] | None]:
    """Return the program's end of a stream, and the tests' end if it is a pipe."""
    if given == DEVNULL:
        return Connection(os.open(os.devnull, os.O_RDWR)), None
    if given != PIPE:
        return Connection(os.dup(given)), None
    read, write = os.pipe()
    its, ours = (write, read) if mode == "r" else (read, write)
    return Connection(its), os.fdopen(ours, mode, encoding="utf-8", errors="replace")


def _main(
    command: Sequence[str],
    streams: Sequence[Connection],
    env: Mapping[str, str],
    starts_session: bool,
) -> None:
    """Run a program in the forked process, as its installed command does."""
    if starts_session:
        os.setsid()
    for number, (name, mode, errors) in enumerate(
        (
            ("stdin", "r", "strict"),
            ("stdout", "w", "strict"),
            ("stderr", "w", "backslashreplace"),
        )
    ):
        os.dup2(streams[number].fileno(), number)
        opened = open(  # noqa: SIM115 - open until the program ends
            number,
            mode,
            buffering=1 if name == "stderr" else -1,
            encoding="utf-8",
            errors=errors,
            closefd=False,
        )
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)
    for stream in {*streams}:
        stream.close()
    gc.freeze()  # or the first collection would copy the memory shared with the other process
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None  # follows TMPDIR
    if env.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    sys.argv = [*command]
    code = importlib.import_module(PROGRAMS[command[0]]).main()
    for printed in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the terminal is closed
            printed.flush()
    sys.stdout = sys.stderr = None  # or `multiprocessing` would flush them again and fail
    sys.exit(code)
