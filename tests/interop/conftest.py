"""Fixtures for tests with other programs: npm's `ws`, and a browser."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.browser import Browser
from tests.interop.outside import find, unavailable
from tests.serving import PATIENCE

SCRIPTS = Path(__file__).parent
StartNode = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def node_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a `node_modules` folder with `ws`: the given one, or a newly installed one."""
    if given := os.environ.get("CHAT_TEST_NODE_PATH"):
        return Path(given)
    npm = find("npm")
    folder = tmp_path_factory.mktemp("node")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "ws@8"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    if done.returncode:
        unavailable(f"npm could not install ws: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"


@pytest.fixture
def start_node(node_path: Path) -> Iterator[StartNode]:
    """Start one of this folder's scripts: `start_node("echo.js", url)`; it ends with the test."""
    node = find("node", "nodejs")
    processes: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [node, str(SCRIPTS / script), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={**os.environ, "NODE_PATH": str(node_path)},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a headless Chromium, or a browser of its family."""
    program = find("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with Browser(program) as running:
        yield running
