"""Erasing a deleted channel: its texts and what refers to it, in small steps."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from chat.errors import ErrorCode
from chat.store.accounts import EraseAccount
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeleteChannel,
    InviteToChannel,
    MuteMember,
)
from chat.store.maintenance.backup import back_up, restore
from chat.store.maintenance.export import export_account
from chat.store.operations import JobStep, RunNextJob, SendMessage, User
from chat.store.search.search import Wanted
from chat.store.write.messages.erasure import TEXTS
from chat.tokenizer import terms_of
from tests.serving import eventually
from tests.store.opened import OpenStore, edit, message, pin, react, topic

ROOM = "#the-secret-room"


def finish(store: OpenStore) -> list[JobStep]:
    """Run all jobs; return the steps."""
    steps = [store.do(RunNextJob())]
    while not steps[-1].is_last:
        steps.append(store.do(RunNextJob()))
    return steps


def on_disk(store: OpenStore, *strings: str) -> list[str]:
    contents = [path.read_bytes() for path in store.folder.iterdir()]
    return [each for each in strings if any(each.encode() in one for one in contents)]


def rows(store: OpenStore, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store.file)) as other:
        return other.execute(statement).fetchall()


@pytest.fixture
def room(store: OpenStore, alice: User, bob: User) -> str:
    """Return a private channel with messages of alice and Bob, and all that belongs to them."""
    carol, dave, _erin = (store.sign_in(name) for name in ("carol", "dave", "erin"))
    store.do(CreateChannel(alice, ROOM, private=True, topic="the-topic-text"))
    store.do(InviteToChannel(alice, ROOM, "bob"))
    store.join(bob, ROOM)
    store.do(InviteToChannel(alice, ROOM, carol.name))
    store.join(carol, ROOM)
    store.do(InviteToChannel(alice, ROOM, "erin"))
    store.do(MuteMember(alice, ROOM, "bob", reason="the-reason-of-the-mute"))
    store.do(BanFromChannel(alice, ROOM, dave.name, reason="the-reason-of-the-ban"))
    store.do(ChangeSettings(alice, ROOM, pins="moderators"))
    first = store.send(alice, "the-first-text @bob", ROOM)
    store.append(edit(alice, first, "the-second-text @bob", ROOM))
    store.append(react(carol, first, "the-word", ROOM))
    store.append(pin(alice, first, ROOM))
    store.append(SendMessage(carol, ROOM, "the-reply-text", reply_to=first, thread_only=True))
    store.append(topic(alice, "the-other-topic", ROOM))
    store.send(bob, "kept-in-general")
    store.wait_until_indexed()
    return ROOM


TEXTS_OF_ROOM = (
    *("the-first-text", "the-second-text", "the-word", "the-reply-text", "the-topic-text"),
    *("the-other-topic", "the-reason-of-the-mute", "the-reason-of-the-ban", "the-secret-room"),
)


@pytest.mark.promise(
    7,
    fault="the texts, reasons and names of a deleted channel, searched for byte by byte",
    result="gone from the database's files",
)
def test_texts_leave_the_disk(store: OpenStore, alice: User, room: str) -> None:
    store.do(DeleteChannel(alice, room))
    finish(store)
    eventually(lambda: not on_disk(store, *TEXTS_OF_ROOM), "texts of the channel on the disk")
    assert on_disk(store, "kept-in-general")
    assert store.problems() == []


def test_nothing_refers_to_the_channel(store: OpenStore, alice: User, room: str) -> None:
    state = store.membership(alice, room).channel
    store.do(DeleteChannel(alice, room))
    finish(store)
    tables = (
        *("members", "mentions", "reactions", "reaction_counts", "pins", "mutes"),
        *("channel_bans", "channel_invitations", "followed_threads"),
    )
    for table in tables:
        count = f"SELECT count(*) FROM {table} WHERE channel_id = {state.id}"
        assert rows(store, count) == [(0,)], table
    assert rows(store, "SELECT name, topic FROM channels ORDER BY id DESC LIMIT 1") == [
        (f"deleted-{state.id}", "")
    ]


def test_channel_is_gone_for_its_members_at_once(
    store: OpenStore, alice: User, bob: User, room: str
) -> None:
    store.do(DeleteChannel(alice, room))
    for user in (alice, bob):
        assert store.refused(message(user, "again", room)) is ErrorCode.NO_SUCH_CHANNEL
        listed = store.read(lambda reader: reader.memberships(user))  # noqa: B023  called at once
        assert [each.channel.name for each in listed] == ["#general"]
        wanted = Wanted(terms_of("the-reply-text"))
        found = store.read(lambda reader: reader.search(user, None, wanted))  # noqa: B023
        assert found.hits == ()
    erin = store.read(lambda reader: reader.user("erin"))
    assert erin is not None
    assert store.read(lambda reader: reader.channel_invitations(erin)) == ()


def test_name_is_free_at_once_and_the_new_channel_is_not_touched(
    store: OpenStore, alice: User, room: str
) -> None:
    store.do(DeleteChannel(alice, room))
    store.join(alice, room)
    seq = store.send(alice, "in the new one", room)
    finish(store)
    assert store.item(alice, seq, room).text == "in the new one"
    assert store.problems() == []


def test_steps_are_small_and_others_write_between_them(
    store: OpenStore, alice: User, bob: User, room: str
) -> None:
    store.together([message(alice, f"line {number}", room) for number in range(4 * TEXTS)])
    store.do(DeleteChannel(alice, room))
    assert not store.do(RunNextJob()).is_last
    between = store.send(bob, "in between")
    assert store.problems() == []
    assert len(finish(store)) > 4
    assert store.item(bob, between).text == "in between"


def test_account_is_erased_beside_a_deleted_channel(
    store: OpenStore, alice: User, bob: User, room: str
) -> None:
    store.do(EraseAccount(None, "bob"))
    store.do(DeleteChannel(alice, room))
    finish(store)
    assert store.problems() == []
    assert store.log(alice)[-1].kind == "erased_user"


def test_export_leaves_out_deleted_channels(store: OpenStore, alice: User, room: str) -> None:
    store.do(DeleteChannel(alice, room))
    exported = [*export_account(store.url, "alice")]
    assert not [each for each in exported if room in str(each) or "deleted-" in str(each)]


def test_backup_taken_meanwhile_is_erased_after_its_restore(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store()
    alice = store.sign_in("alice")
    store.do(CreateChannel(alice, ROOM, private=True))
    store.together([message(alice, f"secret-line-{n:04}", ROOM) for n in range(2 * TEXTS)])
    store.do(DeleteChannel(alice, ROOM))
    store.do(RunNextJob())
    backup = store.folder.parent / "backup.db"
    back_up(store.url, backup)
    store.store.close()
    former = restore(store.url, backup).former
    assert former is not None
    former.unlink()
    assert on_disk(store, "secret-line-0199")
    store = open_store()
    assert store.read(lambda reader: reader.accounts.has_jobs())
    finish(store)
    eventually(lambda: not on_disk(store, "secret-line-"), "texts of the channel on the disk")
    assert store.problems() == []


KILLED = """
import os, signal, sys
from chat.protocol.values import Limits
from chat.store.operations import PendingCall, RunNextJob
from chat.store.store import Store

steps = 0

def settled(_step):
    global steps
    steps += 1
    if steps == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    run()

def committed(commit):
    for pending in commit.operations:
        pending.settle()

def run():
    store.submit([PendingCall(RunNextJob(), settled, print)])

store = Store.open(sys.argv[1], limits=Limits(), committed=committed)
run()
signal.pause()
"""


@pytest.mark.promise(
    7,
    fault="`kill -9` while a deleted channel is erased",
    result="the next start continues; its texts are gone from the database's files",
)
def test_erasure_continues_after_a_kill(open_store: Callable[..., OpenStore]) -> None:
    store = open_store()
    alice = store.sign_in("alice")
    store.do(CreateChannel(alice, ROOM, private=True))
    store.together([message(alice, f"secret-line-{n:04}", ROOM) for n in range(8 * TEXTS)])
    store.do(DeleteChannel(alice, ROOM))
    store.store.close()
    killed = subprocess.run([sys.executable, "-c", KILLED, store.url], check=False, cwd=os.getcwd())
    assert killed.returncode == -signal.SIGKILL
    assert on_disk(store, "secret-line-0799")
    store = open_store()
    assert store.read(lambda reader: reader.accounts.has_jobs())
    finish(store)
    eventually(lambda: not on_disk(store, "secret-line-"), "texts of the channel on the disk")
    assert store.problems() == []
