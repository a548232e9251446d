"""The operator's commands, beside a running server and without one."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.network.backoff import Backoff
from chat.protocol.commands import Delete, Edit, History, Mark, React, ResumeFrom, Send
from chat.protocol.frames import Ok, Page
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer, Peer


def administer(
    server: ChatServer, *arguments: str, most: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run a command on the server's data; the files it writes are limited to `most` bytes.

    Without a limit it runs in this process: a process start takes much longer than most commands.
    """
    if most < 0:
        return server.administer(*arguments)
    return subprocess.run(
        server.command(*arguments, "--data", str(server.data)),
        capture_output=True,
        text=True,
        env=server.environment(),
        timeout=PATIENCE,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


async def converse(server: ChatServer, name: str = "alice", more: int = 0) -> None:
    """Write events of every kind."""
    async with Peer.signed_in(server.url, name) as peer:
        await peer.join("#tea")
        for number in range(4 + more):
            await peer.say(f"message {number}", "#tea")
        await peer.call(Edit(channel="#tea", seq=2, text="edited"))
        await peer.call(Delete(channel="#tea", seq=3))
        for emoji, remove in (("👍", False), ("☕", False), ("👍", True)):
            await peer.call(React(channel="#tea", seq=4, emoji=emoji, remove=remove))
        await peer.call(Mark(channel="#tea", seq=4))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data of a server with events of every kind."""
    with ChatServer(tmp_path_factory.mktemp("written") / "data") as server:
        asyncio.run(converse(server))
        server.stop()
    return server.data


@pytest.fixture
def stopped(written: Path, tmp_path: Path) -> ChatServer:
    """Return a stopped server with a copy of these data."""
    return ChatServer(shutil.copytree(written, tmp_path / "data"))


@pytest.mark.promise(
    3,
    fault="an older backup is restored",
    result="every channel has a new epoch; old positions get `recovered: false`; clients reload",
)
async def test_a_backup_made_during_writes_is_complete(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server("--limits.rate", "10000", "--limits.burst", "10000")
    copy = tmp_path / "copy.db"
    settings = ClientSettings(name="bob", url=server.url, data=tmp_path / "bob")
    screen = Screen(settings, Backoff(0.02, 0.2))
    screen.core.start()
    await asyncio.to_thread(screen.open)
    async with Peer.signed_in(server.url, "alice") as alice:
        token = alice.token
        await alice.join("#general")
        for number in range(100):
            await alice.post(Send(channel="#general", text=f"early {number}"))
        await alice.settle()
        ids = [await alice.post(Send(channel="#general", text=f"n {n}")) for n in range(300)]
        made = await asyncio.to_thread(administer, server, "backup", str(copy))
        assert made.returncode == 0, made.stderr
        for wanted in ids:
            await alice.next(Ok, lambda ok, wanted=wanted: ok.id == wanted)  # type: ignore[misc]
        joined = await alice.join("#general")
        position = ResumeFrom(epoch=joined.epoch, after=joined.head)
    await asyncio.to_thread(screen.wait, lambda: screen.texts()[-1:] == ["n 299"])
    server.stop()
    restored = administer(server, "restore", str(copy))
    assert restored.returncode == 0, restored.stderr
    assert administer(server, "check").returncode == 0
    assert list(server.data.glob("chat.db.before-restore-*"))
    screen.core.send("#general", "typed while the server was away")
    server.start()
    async with Peer.signed_in(server.url, "alice", token) as alice:
        again = await alice.join("#general", position)
        assert not again.recovered
        assert again.epoch != position.epoch
        await asyncio.to_thread(
            screen.wait, lambda: screen.texts()[-1:] == ["typed while the server was away"]
        )
        await asyncio.to_thread(screen.wait, lambda: not screen.pending())
        page = await alice.call(History(channel="#general", limit=50), Page)
        newest = [item.text for item in page.items if item.text]
        assert screen.texts()[-len(newest) :] == newest
        assert newest.count("typed while the server was away") == 1
    screen.stop()


async def test_check_accepts_an_intact_log(server: ChatServer) -> None:
    await converse(server)
    found = administer(server, "check")
    assert (found.returncode, found.stdout) == (0, "")
    assert "no problems" in found.stderr


DAMAGES = {
    "a hole": ("DELETE FROM events WHERE target IS NULL AND seq = 5", "from 1 to its head"),
    "a head too high": ("UPDATE channels SET head = head + 1", "from 1 to its head"),
    "a mid twice": ("UPDATE events SET mid = x'00'", "same mid"),
    "a marker beyond the head": ("UPDATE members SET read_seq = 999", "read marker"),
    "a wrong count of members": ("UPDATE channels SET member_count = 9", "member count"),
    "a lost text": ("UPDATE events SET text = NULL WHERE seq = 5", "text of the event is missing"),
    "a text that was erased": (
        "UPDATE events SET flags = flags & ~128 WHERE seq = 3",
        "not erased",
    ),
    "a target that is not there": (
        "UPDATE events SET target = 99 WHERE flags & 31 = 1",
        "changes a message",
    ),
    "a wrong reply": ("UPDATE events SET reply_to = 99 WHERE seq = 5", "replies to"),
    "a wrong thread": ("UPDATE events SET thread = 1 WHERE seq = 5", "in the thread"),
    "a reaction too many": (
        "INSERT INTO reactions SELECT channel_id, target, seq, seq, author_id"
        " FROM events WHERE flags & 31 = 3 AND seq = 8",
        "does not follow from",
    ),
    "a reaction too few": ("DELETE FROM reactions", "is missing"),
    "a wrong index": (
        "INSERT INTO search (rowid, words) VALUES (1 << 36 | 2, 'word')",
        "full-text index",
    ),
    "a stale rev": ("UPDATE folds SET rev = 4", "latest event that changes it"),
    "no edit": ("UPDATE folds SET edit_id = NULL", "latest edit"),
    "a kind that is none": ("UPDATE events SET flags = 256 | 31 WHERE seq = 5", "flags"),
    "a missing audit entry": ("UPDATE audit SET seq = seq + 100", "audit, "),
    "an unknown role": ("UPDATE users SET role = 'owner' WHERE name = 'alice'", "alice, 1"),
    "a device of an erased account": ("UPDATE users SET is_erased = 1", "can still sign in"),
    "a ban of nobody": (
        "INSERT INTO bans (created, reason) VALUES (0, '')",
        "not cover exactly one account",
    ),
    "an invitation used too often": (
        "INSERT INTO invitations (hash, created, expires, uses, role, channels)"
        " VALUES (x'00', 0, 0, 0, 'member', '[]'); INSERT INTO invitation_uses VALUES (1, 1)",
        "more often than it allows",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_reports_problems(stopped: ChatServer, damage: str) -> None:
    statement, expected = DAMAGES[damage]
    with closing(sqlite3.connect(stopped.data / "chat.db")) as db:
        changed = sum(db.execute(each).rowcount for each in statement.split("; "))
        db.commit()
    assert changed, "nothing was damaged"
    found = administer(stopped, "check")
    assert found.returncode == 1, found.stderr
    assert expected in found.stdout


async def test_reindex_rebuilds_a_wrong_index(server: ChatServer, tmp_path: Path) -> None:
    await converse(server)
    refused = administer(server, "reindex")
    assert refused.returncode == 2, "a server uses it"
    server.stop()
    with closing(sqlite3.connect(server.data / "chat.db")) as db:
        db.execute(DAMAGES["a wrong index"][0])
        db.commit()
    for command in (["check"], ["backup", str(tmp_path / "copy.db")]):
        found = administer(server, *command)
        assert "chat-server reindex" in found.stdout + found.stderr
    assert administer(server, "reindex").returncode == 0
    assert administer(server, "check").returncode == 0


async def test_the_index_survives_a_kill(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#room")
        sent = [(await alice.say(f"wombat {at}", "#room")).seq for at in range(20)]
        for seq in sent[::3]:
            assert seq is not None
            await alice.call(Delete(channel="#room", seq=seq))
        for at in range(30):  # the server stops during these
            late = Send(channel="#room", text=f"wombat number{at}", cid=f"late-{at}")
            await alice.send_raw(late.model_dump_json(exclude_none=True))
        server.kill()
    found = administer(server, "check")
    assert (found.returncode, found.stdout) == (0, "")
    server.start()
    assert administer(server, "check").returncode == 0


def test_a_backup_of_a_damaged_database_is_refused(stopped: ChatServer, tmp_path: Path) -> None:
    with closing(sqlite3.connect(stopped.data / "chat.db")) as db:
        db.execute("UPDATE channels SET head = head + 1")
        db.commit()
    made = administer(stopped, "backup", str(tmp_path / "copy.db"))
    assert made.returncode == 2
    assert "damaged" in made.stderr
    assert [path.name for path in tmp_path.glob("*copy*")] == []


async def test_a_backup_that_cannot_be_made_leaves_nothing(
    server: ChatServer, tmp_path: Path
) -> None:
    await converse(server)
    taken = tmp_path / "taken.db"
    taken.write_text("mine")
    for target, most, expected in (
        (taken, -1, "already exists"),
        (tmp_path / "no" / "copy.db", -1, "No such file"),
        (tmp_path / "copy.db", 8_192, "cannot create the backup"),
    ):
        made = administer(server, "backup", str(target), most=most)
        assert made.returncode == 2
        assert expected in made.stderr
    assert taken.read_text() == "mine"
    assert [path.name for path in tmp_path.glob("*copy*")] == []


async def test_a_failed_restore_changes_nothing(server: ChatServer, tmp_path: Path) -> None:
    await converse(server)
    copy = tmp_path / "copy.db"
    assert administer(server, "backup", str(copy)).returncode == 0
    running = administer(server, "restore", str(copy))
    assert (running.returncode, "in use" in running.stderr) == (2, True)
    server.stop()
    before = (server.data / "chat.db").read_bytes()
    broken = tmp_path / "broken.db"
    broken.write_bytes(copy.read_bytes()[:20_000])
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"garbage" * 1_000)
    for source in (broken, garbage, tmp_path / "absent.db"):
        refused = administer(server, "restore", str(source))
        assert refused.returncode == 2, source
    full = administer(server, "restore", str(copy), most=8_192)
    assert (full.returncode, "cannot restore" in full.stderr) == (2, True)
    assert (server.data / "chat.db").read_bytes() == before
    assert not list(server.data.glob("*restor*"))


async def test_a_deleted_text_is_not_in_a_backup(server: ChatServer, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        said = await alice.say("never to be seen again")
        assert said.seq is not None
        await alice.call(Delete(channel="#general", seq=said.seq))
    assert administer(server, "backup", str(copy)).returncode == 0
    assert b"never to be seen" not in copy.read_bytes()


def test_commands_without_a_database_fail(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    absent = ChatServer(tmp_path / "absent")
    for arguments in (["backup", str(tmp_path / "copy.db")], ["check"]):
        done = administer(absent, *arguments)
        assert done.returncode == 2
        assert "no chat database at" in done.stderr
    assert not absent.data.exists()


if sys.platform == "win32":
    pytest.skip("limits are set as POSIX does it", allow_module_level=True)


def as_owner(file: Path) -> tuple[int, int, int]:
    found = file.lstat()
    return found.st_uid, found.st_gid, found.st_mode & 0o777


RUN_ALL = """
import json, sys
from chat.server.cli import main
for arguments in json.loads(sys.argv[1]):
    print(main(arguments))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestByRoot:
    NOBODY = 65_534

    def given_away(self, server: ChatServer, mode: int = 0o640) -> Path:
        """Change the owner of the data, as if a service user had created them."""
        for place in (server.data, *server.data.iterdir()):
            os.chown(place, self.NOBODY, self.NOBODY)
        database = server.data / "chat.db"
        database.chmod(mode)
        return database

    def test_a_restored_database_keeps_its_owner(self, stopped: ChatServer, tmp_path: Path) -> None:
        copy = tmp_path / "copy.db"
        database = self.given_away(stopped)
        assert administer(stopped, "backup", str(copy)).returncode == 0
        assert administer(stopped, "restore", str(copy)).returncode == 0
        assert as_owner(database) == (self.NOBODY, self.NOBODY, 0o640)
        for file in stopped.data.iterdir():
            assert file.stat().st_uid == self.NOBODY, file

    def test_a_database_restored_into_an_empty_folder_gets_the_folders_owner(
        self, stopped: ChatServer, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy.db"
        assert administer(stopped, "backup", str(copy)).returncode == 0
        fresh = ChatServer(tmp_path / "fresh")
        fresh.data.mkdir()
        os.chown(fresh.data, self.NOBODY, self.NOBODY)
        assert administer(fresh, "restore", str(copy)).returncode == 0
        assert sorted(file.name for file in fresh.data.iterdir()) == ["chat.db", "chat.db.lock"]
        for file in fresh.data.iterdir():
            assert as_owner(file) == (self.NOBODY, self.NOBODY, 0o600), file

    @pytest.mark.skipif(shutil.which("setpriv") is None, reason="nothing here drops capabilities")
    def test_a_folder_of_another_user_is_refused_in_one_line(
        self, stopped: ChatServer, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy.db"
        assert administer(stopped, "backup", str(copy)).returncode == 0
        self.given_away(stopped)
        closed, mine = stopped.data, tmp_path / "mine"
        closed.chmod(0o700)
        mine.mkdir(mode=0o700)
        shutil.copy(copy, mine / "chat.db")
        commands = [
            ["user", "list", "--data", closed],
            ["user", "add", "bob", "--data", closed],
            ["check", "--data", closed],
            ["--port", "0", "--data", closed],
            ["audit", "--data", closed / "deeper"],
            ["restore", copy, "--data", closed],
            ["restore", closed / "chat.db", "--data", mine],
            ["backup", closed / "copy.db", "--data", mine],
        ]
        root_without_rights = "-dac_override,-dac_read_search"
        done = subprocess.run(
            [
                *("setpriv", "--bounding-set", root_without_rights),
                *("--inh-caps", root_without_rights, sys.executable, "-c", RUN_ALL),
                json.dumps(commands, default=str),
            ],
            capture_output=True,
            text=True,
            env=stopped.environment(),
            timeout=PATIENCE,
            check=False,
        )
        assert done.stdout.split() == ["2"] * len(commands), done.stderr
        errors = done.stderr.splitlines()
        assert len(errors) == len(commands), done.stderr
        for error in errors[:-1]:
            assert f"cannot enter {closed}: permission denied; run it as the owner" in error
            assert "sudo -u nobody chat-server" in error
        assert "permission denied; choose a folder that you can write to" in errors[-1]

    @pytest.mark.skipif(shutil.which("setpriv") is None, reason="nothing here drops capabilities")
    def test_a_restore_succeeds_if_owners_cannot_be_changed(
        self, stopped: ChatServer, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy.db"
        self.given_away(stopped)
        assert administer(stopped, "backup", str(copy)).returncode == 0
        place = ("restore", str(copy), "--data", str(stopped.data))
        without = ["setpriv", "--bounding-set", "-chown"]
        done = subprocess.run(
            [*without, "--inh-caps", "-chown", *stopped.command(*place)],
            capture_output=True,
            text=True,
            env=stopped.environment(),
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "cannot change its owner" in done.stderr

    def test_no_other_command_leaves_a_file_that_the_service_cannot_open(
        self, stopped: ChatServer, tmp_path: Path
    ) -> None:
        self.given_away(stopped)
        (stopped.data / "chat.db.lock").unlink()
        copy = str(tmp_path / "copy.db")
        for command in (["check"], ["token", "alice"], ["backup", copy], ["reindex"]):
            assert administer(stopped, *command).returncode == 0, command
        for file in stopped.data.iterdir():
            assert file.stat().st_uid == self.NOBODY, file


def test_a_newer_backup_is_reported_by_its_name(stopped: ChatServer, tmp_path: Path) -> None:
    copy = tmp_path / "from-the-future.db"
    assert administer(stopped, "backup", str(copy)).returncode == 0
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = (stopped.data / "chat.db").read_bytes()
    refused = administer(stopped, "restore", str(copy))
    assert refused.returncode == 2
    assert f"{copy} was written by a newer version" in refused.stderr
    assert "restoring" not in refused.stderr
    assert (stopped.data / "chat.db").read_bytes() == before


def test_a_backup_is_checked_without_restoring_it(stopped: ChatServer, tmp_path: Path) -> None:
    copy, damaged = tmp_path / "copy.db", tmp_path / "damaged.db"
    assert administer(stopped, "backup", str(copy)).returncode == 0
    content = copy.read_bytes()
    sound = administer(stopped, "check", "--file", str(copy))
    assert sound.returncode == 0
    assert f"{copy}: " in sound.stderr
    assert "no problems" in sound.stderr
    damaged.write_bytes(content[: len(content) // 2])
    for file in (damaged, Path(__file__)):
        for command in (("check", "--file"), ("restore",)):
            refused = administer(stopped, *command, str(file))
            assert refused.returncode == 2
            assert "choose another backup" in refused.stderr
            assert "restore it from a backup" not in refused.stderr
            assert "--data" not in refused.stderr
    assert copy.read_bytes() == content


def test_a_restore_names_the_acts_that_it_undoes(stopped: ChatServer, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy.db")
    administer(stopped, "user", "add", "boss")
    administer(stopped, "user", "role", "boss", "admin")
    for name in ("bob", "carol", "dora"):
        administer(stopped, "user", "add", name)
    administer(stopped, "user", "disable", "dora")
    assert administer(stopped, "backup", copy).returncode == 0
    administer(stopped, "user", "erase", "bob", "--yes")
    administer(stopped, "user", "disable", "carol")
    administer(stopped, "user", "revoke", "alice", "1")
    administer(stopped, "ban", "192.0.2.7")
    done = administer(stopped, "restore", copy)
    assert done.returncode == 0
    told = done.stderr.partition("repeat them:\n")[2].splitlines()
    assert told == [
        "  192.0.2.7/32: banned",
        "  alice: device 1 revoked",
        "  carol: disabled",
        "  bob: erased",
    ]
    assert "restored" in administer(stopped, "audit", "--limit", "1").stdout
    assert "do them again" not in administer(stopped, "restore", copy).stderr


def test_an_invalid_backup_file_is_named(stopped: ChatServer, tmp_path: Path) -> None:
    places = {"folder": tmp_path / "folder", "none": tmp_path / "none", "text": tmp_path / "text"}
    places["folder"].mkdir()
    places["text"].write_text("no database\n" * 100)
    places["pipe"] = tmp_path / "pipe"  # opening it would wait for a writer
    os.mkfifo(places["pipe"])
    for place in places.values():
        refused = administer(stopped, "restore", str(place))
        assert refused.returncode == 2
        assert str(place) in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_backup_replaces_no_link(stopped: ChatServer, tmp_path: Path) -> None:
    link = tmp_path / "copy.db"
    link.symlink_to(tmp_path / "nowhere.db")
    refused = administer(stopped, "backup", str(link))
    assert refused.returncode == 2
    assert "already exists" in refused.stderr
    assert link.is_symlink()
    assert not (tmp_path / "nowhere.db").exists()


def test_a_link_in_the_place_of_the_lock_stops_every_command(
    stopped: ChatServer, tmp_path: Path
) -> None:
    copy, victim = tmp_path / "copy.db", tmp_path / "victim"
    assert administer(stopped, "backup", str(copy)).returncode == 0
    victim.write_text("precious")
    lock = stopped.data / "chat.db.lock"
    lock.unlink()
    lock.symlink_to(victim)
    for command in (["restore", str(copy)], ["reindex"]):
        refused = administer(stopped, *command)
        assert refused.returncode == 2
        message = f"cannot open {lock}: it is a symbolic link; remove it"
        assert refused.stderr == f"chat-server: {message}\n"
    assert victim.read_text() == "precious"
