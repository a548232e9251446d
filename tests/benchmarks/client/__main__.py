"""Measures the real client on a pseudo-terminal, with a real server; see README.md here.

python -m tests.benchmarks.client [MESSAGES]
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import chat
from tests.benchmarks.client.channel import CHANNEL, SERVER_FLAGS, fill, words
from tests.benchmarks.client.window import Window, prefer
from tests.serving import InstalledServer

STARTS = 15
KEYS = 600
DRAGS = 40
RATE = 200
IMPORT = "import textual.app"
_HOME, _ESCAPE, _CTRL_UP, _CTRL_END = "\x1b[H", "\x1b", "\x1b[1;5A", "\x1b[1;5F"
_CTRL_U, _CTRL_Q = "\x15", "\x11"
_GREEK = [chr(code) for code in (*range(0x391, 0x3A2), *range(0x3B1, 0x3CA))]
"""Letters that occur in no message of the channel: if one is painted, its key has arrived."""


def report(what: str, value: str) -> None:
    """Print a row of the table."""
    print(f"| {what} | {value} |", flush=True)  # noqa: T201  prints its result


def milliseconds(taken: Sequence[float]) -> str:
    """Return the percentiles of the measured seconds, in milliseconds."""
    ranked = sorted(1000 * each for each in taken)
    p50, p90, p99 = (ranked[int(len(ranked) * share)] for share in (0.5, 0.9, 0.99))
    return f"p50 {p50:.1f} ms, p90 {p90:.1f} ms, p99 {p99:.1f} ms"


def load_all(window: Window) -> float:
    """Scroll back to the start of the channel with the usual keys."""
    began = time.perf_counter()
    window.press(_CTRL_UP)
    while not window.showed(f"beginning of {CHANNEL}", within=0.02):
        # The row can be painted in two reads, one before and one after the key.
        window.press(_HOME, keep=2_000)
    taken = time.perf_counter() - began
    window.press(_CTRL_END)
    window.pause(1)
    window.press(_ESCAPE)
    window.pause(1)
    return taken


def keystrokes(window: Window) -> list[float]:
    """Type at an irregular pace; return the seconds until each letter is painted."""
    chance = random.Random(1)
    taken = []
    for number in range(KEYS):
        letter = _GREEK[number % len(_GREEK)]
        if letter == _GREEK[0]:
            window.press(_CTRL_U)
            window.pause(0.2)
        window.press(letter)
        taken.append(window.shows(letter))
        window.pause(chance.uniform(0.03, 0.12))
    window.press(_CTRL_U)
    return taken


def drags(window: Window) -> list[float]:
    """Resize the window column by column; return the seconds of each complete paint."""
    taken = []
    for number in range(DRAGS):
        window.resize(119 - min(number, DRAGS - number), 40)
        taken.append(window.shows("online"))
        window.pause(0.05)
    return taken


def starts(home: Path, url: str, newest: str) -> tuple[list[float], list[float]]:
    """Start the client and its reference in turn; return the seconds of each start."""
    ours, theirs = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORT], check=True)
        theirs.append(time.perf_counter() - began)
        with Window(home, url) as window:
            ours.append(window.shows(newest))
            window.press(_CTRL_Q)
            window.ends()
    return ours, theirs


@contextmanager
def talking(url: str) -> Iterator[None]:
    """Let other users talk during the block."""
    command = [sys.executable, "-m", "tests.benchmarks.client.channel", url, str(RATE)]
    talker = subprocess.Popen(command)
    try:
        yield
    finally:
        talker.kill()
        talker.wait()


def measure_loaded(window: Window, url: str, messages: int) -> None:
    """Measure a client with a whole channel loaded."""
    window.shows("beginning")
    window.press(f"/join {CHANNEL}\r")
    window.shows(words(messages - 1))
    window.pause(1)
    report("memory after the start", f"{window.megabytes():.0f} MB")
    report(f"scrolled back through {messages:,} messages in", f"{load_all(window):.0f} s")
    report("memory then", f"{window.megabytes():.0f} MB")
    report("a key, nobody talks", milliseconds(keystrokes(window)))
    report("a resize", milliseconds(drags(window)))
    with talking(url):
        window.pause(3)
        began, busy = time.perf_counter(), window.cpu_seconds()
        report(f"a key, {RATE} messages/s", milliseconds(keystrokes(window)))
        share = (window.cpu_seconds() - busy) / (time.perf_counter() - began)
        report("the client's share of a processor meanwhile", f"{share:.0%}")
    window.pause(2)


def main() -> None:
    """Measure everything, and print a table."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    prefer(os.getpid())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        # An installed program has its bytecode stored; a checkout may not.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(home / "bytecode")
        subprocess.run([sys.executable, "-c", IMPORT], check=True)
        package = str(Path(chat.__file__).parent)
        subprocess.run([sys.executable, "-m", "compileall", "-q", package], check=True)
        fill(home / "data", messages)
        with InstalledServer(home / "data", *SERVER_FLAGS) as server:
            with Window(home / "client", server.url) as window:
                measure_loaded(window, server.url, messages)
                window.press("The last word\r")
                window.shows("The last word")
                window.pause(1)
                window.press(_CTRL_Q)
                window.ends()
            ours, theirs = starts(home / "client", server.url, "The last word")
    report("start to first painted timeline", f"{median(ours):.3f} s")
    report(f"`python -c '{IMPORT}'`", f"{median(theirs):.3f} s")
    report("ratio", f"{median(ours) / median(theirs):.2f}")


if __name__ == "__main__":
    main()
