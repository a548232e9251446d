"""The Containerfile: its steps run, and the server starts as the image would start it.

No container engine is needed: the steps run in a scratch folder, with the paths of the image below
it, and `sandboxed` stands for the container.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.deploy.proxies import DEPLOY
from tests.deploy.sandbox import sandboxed
from tests.interop.outside import is_required
from tests.serving import PATIENCE, InstalledServer, Peer
from tests.test_repository import ROOT, found

FILE = DEPLOY / "Containerfile"


@dataclass
class Image:
    """The last stage of the Containerfile, and the steps of all stages, in order."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    """Instructions with their arguments: FROM, COPY and RUN."""
    settings: dict[str, str] = field(default_factory=dict)
    """The other instructions of the last stage."""

    @property
    def variables(self) -> dict[str, str]:
        """The variables of its processes."""
        return dict(word.split("=", 1) for word in self.settings["ENV"].split())

    @property
    def user(self) -> int:
        """The user id of its processes."""
        return int(self.settings["USER"].partition(":")[0])


def image() -> Image:
    """Read the Containerfile."""
    text = re.sub(r"^#.*\n", "", FILE.read_text("utf-8"), flags=re.M).replace("\\\n", " ")
    read = Image()
    for line in filter(None, text.splitlines()):
        instruction, arguments = re.split(r"\s+", line, maxsplit=1)
        if instruction == "FROM":
            read.settings.clear()
        if instruction in ("FROM", "COPY", "RUN"):
            read.steps.append((instruction, arguments))
        else:
            before = read.settings.get(instruction, "") if instruction == "ENV" else ""
            read.settings[instruction] = f"{before} {arguments}".strip()
    return read


def test_the_image_is_unprivileged_and_has_a_health_check() -> None:
    read = image()
    assert read.user > 0
    assert read.variables["CHAT_DATA"] == read.settings["VOLUME"]
    assert read.settings["STOPSIGNAL"] == "SIGTERM"
    assert "/healthz" in read.settings["HEALTHCHECK"]
    stages = [arguments for instruction, arguments in read.steps if instruction == "FROM"]
    assert len(stages) == 2
    assert stages[0].removesuffix(" AS build") == stages[1], "the environment fits both stages"


class Scratch:
    """A folder in which the steps of the image run; its `root` stands for `/`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()

    def inside(self, text: str) -> str:
        """Return a command or a path with the image's paths below the scratch folder."""
        return re.sub(r"(?<![\w.])/(?=(?:src|opt|wheels|data)\b)", f"{self.root}/", text)

    def copy(self, arguments: str) -> None:
        """Carry out a COPY from the repository; what comes from the first stage is there."""
        *sources, target = arguments.split()
        if sources[0].startswith("--from="):
            assert sources[1:] == [target]
            return
        place = Path(self.inside(target))
        for source in sources:
            for path in found():
                if path == ROOT / source:
                    self.put(path, place / path.name)
                elif path.is_relative_to(ROOT / source):
                    self.put(path, place / path.relative_to(ROOT / source))

    def put(self, path: Path, place: Path) -> None:
        """Copy a file."""
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)

    def run(self, command: str) -> None:
        """Carry out a RUN."""
        python = Path(sys.executable).parent
        done = subprocess.run(
            ["sh", "-c", self.inside(command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={**os.environ, "PATH": f"{python}:{os.environ['PATH']}"},
            cwd=self.root,
            timeout=5 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout)


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    """Return a scratch folder that another user can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Scratch(Path(folder))


class ContainerServer(InstalledServer):
    """The image's server: its user, variables and entry point, on a read-only disk."""

    scratch: Scratch
    image: Image

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the entry point."""
        return self.inside(json.loads(self.image.settings["ENTRYPOINT"]), *arguments)

    def inside(self, command: list[str], *arguments: str) -> list[str]:
        """Return the command line of a program in the container."""
        program = shutil.which(command[0], path=self.environment()["PATH"])
        assert program is not None
        line = [program, *command[1:], *arguments]
        return sandboxed(line, self.data, self.image.user)

    def environment(self) -> dict[str, str]:
        """Return the image's variables."""
        return {name: self.scratch.inside(value) for name, value in self.image.variables.items()}


@pytest.mark.packages
@pytest.mark.timeout(600)
@pytest.mark.skipif(not is_required(), reason="installs from the index, where all is required")
async def test_the_image_is_built_and_runs_unprivileged_on_a_read_only_disk(
    scratch: Scratch,
) -> None:
    read = image()
    for instruction, arguments in read.steps:
        if instruction == "RUN":
            scratch.run(arguments)
        elif instruction == "COPY":
            scratch.copy(arguments)
    server = ContainerServer(Path(scratch.inside(read.settings["VOLUME"])))
    server.scratch, server.image = scratch, read
    assert server.data.stat().st_uid == read.user
    assert server.data.stat().st_mode & 0o777 == 0o700
    with server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == read.user
        async with Peer.signed_in(server.url, "alice") as alice:
            await alice.say("hello")
        check = json.loads(read.settings["HEALTHCHECK"].partition("CMD ")[2])
        for port, healthy in ((str(server.port), True), ("9", False)):
            probe = [word.replace("3000", port) for word in check]
            done = subprocess.run(
                server.inside(probe), env=server.environment(), capture_output=True, check=False
            )
            assert (done.returncode == 0) == healthy, done.stderr
        for command in ("chat-server user add ada", "chat-server check"):
            done = subprocess.run(
                server.inside(shlex.split(command)),
                env=server.environment(),
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert server.stop() == 0
    assert {path.stat().st_uid for path in server.data.iterdir()} == {read.user}
