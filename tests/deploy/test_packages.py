"""The wheel and the source archive: complete, and they run where nothing else is installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from email.parser import Parser
from pathlib import Path

import pytest

from chat import __version__
from tests.interop.outside import is_required
from tests.serving import PATIENCE, InstalledServer
from tests.test_repository import ROOT, found


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command to its end; return its output, which the failure of a test shows."""
    done = subprocess.run(
        [str(each) for each in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        cwd=cwd,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Build both packages into `folder`; return the paths of the wheel and the source archive."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    (archive,) = folder.glob("*.tar.gz")
    return wheel, archive


def below(folder: str, names: Sequence[str]) -> set[str]:
    """Return the names in `folder` and its folders."""
    return {name for name in names if name.startswith(f"{folder}/")}


@pytest.mark.timeout(300)
def test_wheel_and_source_archive_are_complete(tmp_path: Path) -> None:
    files = [path.relative_to(ROOT).as_posix() for path in found()]
    wheel, archive = build(tmp_path)
    with zipfile.ZipFile(wheel) as opened:
        assert below("chat", opened.namelist()) == below("chat", files)
        metadata = Parser().parsestr(
            opened.read(f"chat-{__version__}.dist-info/METADATA").decode("utf-8")
        )
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_payload() == (ROOT / "README.md").read_text("utf-8")
    # An upload to the package index would be refused: the name belongs to another project there.
    assert "Private :: Do Not Upload" in metadata.get_all("Classifier", [])
    with tarfile.open(archive) as opened_archive:
        names = [name.partition("/")[2] for name in opened_archive.getnames()]
        for folder in (".ci", ".github", "chat", "tests"):
            assert below(folder, names) == below(folder, files)
    run("tar", "-xzf", archive, cwd=tmp_path)
    tree = tmp_path / archive.name.removesuffix(".tar.gz")
    tests = ("tests/test_documents.py", "tests/test_text.py")
    run(sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *tests, cwd=tree)


class ElsewhereInstalled(InstalledServer):
    """A `chat-server` from another virtual environment."""

    scripts: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of that `chat-server`."""
        return [str(self.scripts / "chat-server"), *arguments]


@pytest.mark.packages
@pytest.mark.timeout(600)
@pytest.mark.skipif(not is_required(), reason="installs from the index, where all is required")
def test_packages_install_and_run_in_a_fresh_environment(tmp_path: Path) -> None:
    wheel, archive = build(tmp_path)
    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=True)
    pip = (fresh / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check")
    for package, options in ((wheel, ()), (archive, ("--force-reinstall", "--no-deps"))):
        run(*pip, *options, package, cwd=tmp_path)
        server = ElsewhereInstalled(tmp_path / f"data-{package.suffix}")
        server.scripts = fresh / "bin"
        with server:
            client = (fresh / "bin" / "chat-client", "send", "--data", tmp_path / "client")
            names = ("--name", "ann", "--url", server.url)
            run(*client, *names, "--same-server", "general", "hello", cwd=tmp_path)
            assert server.stop() == 0
            checked = run(*server.command("check", "--data", str(server.data)), cwd=tmp_path)
            assert "no problems" in checked
