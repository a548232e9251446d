"""`kill -9` at any moment: acknowledged messages are stored once, without gaps."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from chat.errors import CommandError, ErrorCode
from chat.store.accounts import SignIn
from tests.serving import PATIENCE
from tests.store.opened import OpenStore, sqlite_url

# Prints the seq of every message once its commit is reported; the cid is its number.
WRITE = """
    import itertools, sys
    from chat.protocol.values import Limits
    from chat.store.accounts import SignIn
    from chat.store.operations import PendingCall, SendMessage
    from chat.store.store import Store
    import threading

    def committed(commit):
        for pending in commit.operations:
            pending.settle()
        room.release(len(commit.operations))

    signed_in = []
    room = threading.Semaphore(200)
    store = Store.open(sys.argv[1], limits=Limits(), committed=committed)
    store.submit([PendingCall(SignIn("alice", b"t", b"t"), signed_in.append, print)])
    while not signed_in:
        pass
    for number in itertools.count(int(sys.argv[2])):
        room.acquire()
        text = f"message {number} " + "x" * (number % 700)
        send = SendMessage(signed_in[0].user, "#general", text, cid=str(number))
        tell = lambda appended, number=number: print(number, appended.seq, flush=True)
        store.submit([PendingCall(send, tell, print)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
@pytest.mark.promise(
    1,
    fault="`kill -9` of a writer at random moments",
    result="every acknowledged commit is stored, and the numbers have no gap",
)
def test_acknowledged_messages_survive_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    acknowledged: dict[int, int] = {}
    chance = random.Random(3)
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITE), url, str(len(acknowledged))],
            stdout=subprocess.PIPE,
            text=True,
        )
        stalled = threading.Timer(PATIENCE, writer.kill)
        stalled.start()
        with writer:
            try:
                assert writer.stdout is not None
                for _ in range(chance.randrange(50, 800)):
                    line = writer.stdout.readline()
                    assert line, "the writer stalled, or ended by itself"
                    number, seq = map(int, line.split())
                    acknowledged[number] = seq
                writer.kill()
                for line in writer.stdout:
                    if line.endswith("\n"):
                        number, seq = map(int, line.split())
                        acknowledged[number] = seq
            finally:
                stalled.cancel()
                writer.kill()
    with OpenStore(sqlite_url(tmp_path)) as store:
        alice = store.read(lambda reader: reader.user("alice"))
        assert alice is not None
        log = store.log(alice)
    assert [item.seq for item in log] == list(range(1, len(log) + 1))
    stored = {int(item.cid): item.seq for item in log if item.cid is not None}
    assert len(stored) == len(log) - 1
    assert acknowledged.items() <= stored.items()


# Claims names with invitations of two uses, disables every fifth account, and bans every seventh;
# prints each act once its commit is reported.
ADMINISTER = """
    import itertools, sys, threading
    from queue import SimpleQueue
    from chat.protocol.values import Limits
    from chat.store.accounts import AddBan, ChangeAccount, CreateInvitation, SignIn
    from chat.store.operations import PendingCall
    from chat.store.store import Store

    def committed(commit):
        for pending in commit.operations:
            pending.settle()
        room.release(len(commit.operations))

    def submit(operation, done):
        room.acquire()
        store.submit([PendingCall(operation, done, lambda failure: print("failed", failure))])

    created = SimpleQueue()
    room = threading.Semaphore(20)
    store = Store.open(sys.argv[1], limits=Limits(), committed=committed)
    for number in itertools.count(int(sys.argv[2])):
        if number % 2 == 0:
            submit(CreateInvitation(None, 2), created.put)
            code = created.get().code
        name, token = f"user{number}", str(number).encode()
        claim = SignIn(name, token, token, invitation=code, registration="invite")
        submit(claim, lambda signed_in, name=name: print("claimed", name, flush=True))
        if number % 5 == 0:
            disable = ChangeAccount(None, name, disabled=True)
            submit(disable, lambda account: print("disabled", account.user.name, flush=True))
        if number % 7 == 0:
            ban = AddBan(None, name, None, None, "spam")
            submit(ban, lambda _, name=name: print("banned", name, flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
@pytest.mark.promise(
    1,
    fault="`kill -9` while accounts are claimed, disabled and banned",
    result="every acknowledged act is stored once with its audit entry; a retry changes nothing",
)
def test_acknowledged_acts_survive_kill_9(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    acknowledged: list[tuple[str, str]] = []
    chance = random.Random(5)
    for turn in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(ADMINISTER), url, str(10_000 * turn)],
            stdout=subprocess.PIPE,
            text=True,
        )
        stalled = threading.Timer(PATIENCE, writer.kill)
        stalled.start()
        with writer:
            try:
                assert writer.stdout is not None
                for _ in range(chance.randrange(50, 300)):
                    act, name = writer.stdout.readline().split()
                    acknowledged.append((act, name))
                writer.kill()
                acknowledged += [
                    (act, name)
                    for line in writer.stdout
                    if line.endswith("\n")
                    for act, name in [line.split()]
                ]
            finally:
                stalled.cancel()
                writer.kill()
    with OpenStore(url) as store:
        page = store.read(lambda reader: reader.accounts.audit(None, before=None, limit=10_000))
        stored = [(entry.act, entry.user.name) for entry in page.entries if entry.user is not None]
        assert len(set(stored)) == len(stored)
        expected = {("created" if act == "claimed" else act, name) for act, name in acknowledged}
        assert expected <= set(stored)
        accounts = store.read(lambda reader: reader.accounts.page(None, cursor=None, limit=10_000))[
            0
        ]
        disabled = {each.user.name for each in accounts if each.disabled}
        banned = {each.user.name for each in accounts if each.banned}
        assert disabled == {name for act, name in stored if act == "disabled"}
        assert banned == {name for act, name in stored if act == "banned"}
        claimed = [name for act, name in stored if act == "created"]
        retries = [
            SignIn(name, token, token, invitation="used up", registration="invite")
            for name in claimed
            for token in [name.removeprefix("user").encode()]
        ]
        outcomes = store.together(retries)
        refused = [each.code for each in outcomes if isinstance(each, CommandError)]
        assert set(refused) <= {ErrorCode.DISABLED, ErrorCode.BANNED}
        assert not store.entries
        assert not store.problems()


FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from chat.errors import StoreUnavailable
    from chat.store.operations import Appended
    from tests.store.opened import OpenStore, message, sqlite_url

    with OpenStore(sqlite_url(Path(sys.argv[1]))) as store:
        alice = store.sign_in("alice")
        before = [store.send(alice, "x" * 1000) for _ in range(3)]
        size = store.file.with_name("chat.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        # Longer than all that may be written, should the log begin anew just now.
        refused = store.together([message(alice, "y" * size) for _ in range(4)])
        assert all(isinstance(each, StoreUnavailable) for each in refused), refused
        assert store.store.healthy()
        assert len(store.log(alice)) == 4
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        assert store.send(alice) == before[-1] + 1
        assert store.store.healthy() is None
        assert [item.seq for item in store.log(alice)] == [1, 2, 3, 4, 5]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_writes_fail_on_a_full_disk_and_recover_after_it_is_freed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
