"""A headless browser, driven over its DevTools port."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from contextlib import ExitStack, suppress
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.sync.client import connect

__all__ = ["Browser"]

PATIENCE = 60.0
"""Seconds a browser may take to start on a busy machine."""

_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
    "--remote-debugging-port=0",
)


class Browser:
    """One browser process with one page.

    Args:
        program: path of Chromium, or of a related browser.

    All its files are in a temporary folder, not in the test's own: the path of a socket in it may
    have at most about 100 characters.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="chat-")
        folder = self._folder.name
        self._process = subprocess.Popen(
            [self._program, *FLAGS, f"--user-data-dir={folder}/profile", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "HOME": folder, "TMPDIR": folder},
            start_new_session=True,
        )
        with ExitStack() as undo:
            undo.callback(self._end)
            self._page = undo.enter_context(
                connect(self._page_address(), proxy=None, compression=None)
            )
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo.close()

    def open(self, url: str) -> None:
        """Go to `url`; returns once the page is loaded."""
        self._call("Page.enable")
        self._call("Page.navigate", url=url)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def kill(self) -> None:
        """Kill the browser, and with it every connection of its page."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _page_address(self) -> str:
        port = urlsplit(self._address()).port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE) as listing:
            pages = [target for target in json.load(listing) if target["type"] == "page"]
        return str(pages[0]["webSocketDebuggerUrl"])

    def _address(self) -> str:
        assert self._process.stderr is not None
        output = []
        for line in self._process.stderr:
            if found := _LISTENING.search(line):
                return found[1]
            output.append(line)
        raise AssertionError(f"the browser did not start:\n{''.join(output)}")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        call_id = next(self._ids)
        self._page.send(json.dumps({"id": call_id, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != call_id:
            pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._page.recv(timeout=PATIENCE))
        return message

    def _end(self) -> None:
        self.kill()
        self._process.communicate()  # until all of its processes have closed standard error
        self._folder.cleanup()
