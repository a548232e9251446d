"""The systemd units: valid, hardened, and the server runs under their restrictions."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chat.protocol.commands import SetPassword
from tests.deploy.proxies import DEPLOY
from tests.deploy.sandbox import NOBODY, sandboxed
from tests.interop.outside import find
from tests.processes import installed
from tests.serving import PATIENCE, ChatServer, InstalledServer, Peer, free_port

UNITS = ("chat-server.service", "chat-server-backup.service", "chat-server-backup.timer")
SERVICES = UNITS[:2]
PROGRAMS = str(Path(installed("chat-server")).parent)


Service = dict[str, list[str]]


def unit(name: str) -> Service:
    """Return the `[Service]` section of a unit: all values of each key."""
    section = (DEPLOY / name).read_text("utf-8").partition("[Service]\n")[2].partition("\n[")[0]
    found: Service = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", section, re.M):
        found.setdefault(key, []).append(value)
    return found


def variables(service: Service, state: Path) -> dict[str, str]:
    """Return the variables that a unit sets, with its state folder below `state`."""
    words = " ".join(service["Environment"]).replace("%S", str(state)).split()
    return dict(word.split("=", 1) for word in words)


@pytest.mark.parametrize("name", SERVICES)
def test_exposure_is_below_two(name: str) -> None:
    done = subprocess.run(
        [find("systemd-analyze"), "security", "--offline=true", str(DEPLOY / name)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) < 2


def test_units_are_valid(tmp_path: Path) -> None:
    analyze = find("systemd-analyze")
    (tmp_path / "chat-server-backup").write_text("#!/bin/sh\n")
    (tmp_path / "chat-server-backup").chmod(0o755)
    (tmp_path / "chat-server.service.d").mkdir()
    for name in (*UNITS, "tls.conf"):
        text = (DEPLOY / name).read_text("utf-8")
        text = text.replace(
            "/opt/chat/bin/chat-server-backup", str(tmp_path / "chat-server-backup")
        )
        place = "chat-server.service.d" if name == "tls.conf" else "."
        (tmp_path / place / name).write_text(text.replace("/opt/chat/bin", PROGRAMS))
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "chat-server" in line] == []
    assert done.returncode == 0, done.stderr


def call_sets() -> dict[str, list[str]]:
    """Return the sets of system calls that systemd knows, such as `@system-service`."""
    done = subprocess.run(
        [find("systemd-analyze"), "syscall-filter"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    sets: dict[str, list[str]] = {}
    name = ""
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            name = line.split()[0]
            sets[name] = []
        elif line.strip() and not line.strip().startswith("#"):
            sets[name].append(line.strip())
    return sets


def expanded(name: str, sets: dict[str, list[str]]) -> set[str]:
    """Return the system calls of a set and of the sets in it."""
    if not name.startswith("@"):
        return {name}
    return {call for each in sets[name] for call in expanded(each, sets)}


def allowed(service: Service) -> set[str]:
    """Return the system calls that a unit allows."""
    sets = call_sets()
    calls: set[str] = set()
    for line in service["SystemCallFilter"]:
        named = {call for each in line.lstrip("~").split() for call in expanded(each, sets)}
        calls = calls - named if line.startswith("~") else calls | named
    return calls


class UnitServer(InstalledServer):
    """A server with the unit's variables, user and read-only disk; strace records its calls."""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of strace, which leaves the process to the server (`-D`)."""
        how = (find("strace"), "-D", "-f", "-qq", "-s", "0", "-o", str(self.trace))
        return sandboxed([*how, *super().command(*arguments)], self.data)

    @property
    def trace(self) -> Path:
        """The file with the recorded calls."""
        return self.data / "trace"

    def environment(self) -> dict[str, str]:
        """Return the unit's variables, and none of this machine's."""
        given = variables(unit("chat-server.service"), self.data.parent)
        return {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(self.manager), **given}

    @property
    def manager(self) -> Path:
        """The socket of the service manager."""
        return self.data / "notify"


@pytest.fixture
def state() -> Iterator[Path]:
    """Return the state folder of the service, which another user can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "chat-server"
        data.mkdir(0o700)
        yield data


@pytest.mark.timeout(300)
async def test_the_server_runs_under_the_units_restrictions(state: Path) -> None:
    """As its user, on a read-only disk, with the allowed system calls; root administers it."""
    server = UnitServer(state, "--metrics-listen", f"127.0.0.1:{free_port()}")
    with listening(server.manager) as manager, server:
        assert "READY=1" in manager.recv(4_096).decode()
        assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
        async with Peer.signed_in(server.url, "alice") as alice:
            await alice.join("#general")
            for number in range(20):
                await alice.say(f"message {number}")
            await alice.call(SetPassword(password="correct horse battery staple"))
            os.kill(server.pid, signal.SIGHUP)
            added = await asyncio.to_thread(server.administer, "user", "add", "ada")
            assert added.returncode == 0, added.stderr
            assert server.health()["connections"] == 1
            await alice.say("and on")
        assert server.stop() == 0
    assert {path.stat().st_uid for path in state.iterdir()} == {NOBODY}
    assert unit("chat-server.service")["Type"] == ["notify"]
    service = unit("chat-server.service")
    # The rest of a call that another thread interrupted is a line of its own, without a name.
    lines = re.findall(r"^\d+ +(\w+)\((.*)", server.trace.read_text("utf-8", "replace"), re.M)
    made = {call for call, _ in lines}
    assert {"execve", "fdatasync", "sendto"} & made
    assert made - allowed(service) == set()
    assert service["MemoryDenyWriteExecute"] == ["yes"]
    assert not [arguments for call, arguments in lines if makes_executable(call, arguments)]


def test_a_reload_with_a_wrong_setting_fails_and_says_why(state: Path) -> None:
    check, hangup = unit("chat-server.service")["ExecReload"]
    assert hangup == "kill -HUP $MAINPID"
    home = state.parent / "etc"
    (home / "chat").mkdir(parents=True)
    given = {**variables(unit("chat-server.service"), state.parent), "XDG_CONFIG_HOME": str(home)}
    for setting, code in (("port = 4100", 0), ("prot = 4100", 2)):
        (home / "chat" / "server.toml").write_text(setting)
        done = subprocess.run(
            shlex.split(check.replace("/opt/chat/bin", PROGRAMS)),
            capture_output=True,
            encoding="utf-8",
            env={"PATH": "/usr/bin:/bin", **given},
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert ("did you mean port?" in done.stderr) == bool(code)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen as the service manager does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        os.chown(path, NOBODY, NOBODY)
        manager.settimeout(PATIENCE)
        yield manager
    path.unlink()


def makes_executable(call: str, arguments: str) -> bool:
    """Whether `MemoryDenyWriteExecute` denies this call."""
    is_written = call == "mmap" and "PROT_WRITE" in arguments
    return "PROT_EXEC" in arguments and (is_written or call in ("mprotect", "pkey_mprotect"))


def back_up(server: ChatServer, folder: Path, path: str = PROGRAMS) -> tuple[int, str]:
    """Run the backup's script, as its unit does; return the exit code and the output."""
    done = subprocess.run(
        [str(DEPLOY / "chat-server-backup"), str(folder), "14"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={"PATH": f"{path}:/usr/bin:/bin", "CHAT_DATA": str(server.data)},
        timeout=3 * PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout


def of_days_ago(folder: Path, days: int) -> Path:
    """Write a file that looks like a backup of some days ago."""
    path = folder / f"chat-{days}-days-ago.db"
    path.touch()
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


@pytest.mark.timeout(300)
async def test_backup_is_restored_and_checked_and_old_ones_are_deleted(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server()
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.say("precious")
    folder = tmp_path / "backups"
    folder.mkdir()
    old, recent = of_days_ago(folder, 20), of_days_ago(folder, 10)
    code, printed = await asyncio.to_thread(back_up, server, folder)
    assert code == 0, printed
    assert "no problems" in printed
    assert not old.exists()
    (made,) = {*folder.iterdir()} - {recent}
    assert server.administer("check", "--file", str(made)).returncode == 0
    restored = start_server(data=tmp_path / "elsewhere")
    restored.stop()
    assert restored.administer("restore", str(made)).returncode == 0
    restored.start()
    async with Peer.signed_in(restored.url, "bob") as bob:
        assert "precious" in [item.text for item in (await bob.join("#general")).items]


@pytest.mark.timeout(300)
async def test_failed_restore_drill_fails_the_backup_and_deletes_nothing(
    server: ChatServer, tmp_path: Path
) -> None:
    folder, shims = tmp_path / "backups", tmp_path / "bin"
    folder.mkdir()
    shims.mkdir()
    shim = shims / "chat-server"
    shim.write_text(
        '#!/bin/sh\n[ "$1" = check ] && { echo "1 problem"; exit 1; }\n'
        f'exec {PROGRAMS}/chat-server "$@"\n'
    )
    shim.chmod(0o755)
    old = of_days_ago(folder, 20)
    code, printed = await asyncio.to_thread(back_up, server, folder, str(shims))
    assert code == 1, printed
    assert "1 problem" in printed
    assert old.exists()
    assert not [path for path in folder.iterdir() if "drill" in path.name]


def test_the_backup_runs_as_the_servers_user_with_its_data() -> None:
    server, backup = map(unit, SERVICES)
    assert backup["User"] == server["User"]
    assert server["StateDirectory"][0] in backup["StateDirectory"][0].split()
    assert variables(backup, Path("/s"))["CHAT_DATA"] == variables(server, Path("/s"))["CHAT_DATA"]


def test_tls_settings_name_the_files_of_the_drop_in(tmp_path: Path) -> None:
    given = variables(unit("tls.conf"), tmp_path)
    assert set(given) == {"CHAT_TLS_CERT", "CHAT_TLS_KEY"}
