"""Audit entries of this and of other processes: each one once, in order, in time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest

from chat.errors import CommandError, ErrorCode
from chat.store.accounts import (
    AddAccount,
    AddBan,
    AddDevice,
    ChangeAccount,
    LiftBan,
    SignIn,
)
from chat.store.operations import AuditEntry, User
from chat.store.store import execute, look
from tests.serving import PATIENCE, eventually
from tests.store.opened import OpenStore, message

# Disables and enables an account the given number of times, in its own process.
LOOP = """
    import sys
    from chat.store.accounts import ChangeAccount
    from chat.store.store import execute

    for number in range(int(sys.argv[2])):
        execute(sys.argv[1], ChangeAccount(None, "bob", disabled=number % 2 == 0))
"""


def run_beside(url: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program with the database's URL and other arguments."""
    command = [sys.executable, "-c", textwrap.dedent(program), url, *arguments]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE)


def stored(store: OpenStore) -> list[AuditEntry]:
    """Return the whole audit log, oldest first."""
    entries = store.read(
        lambda reader: reader.accounts.audit(None, before=None, limit=100_000)
    ).entries
    return list(reversed(entries))


def test_entries_of_another_process_are_delivered_in_time(
    store: OpenStore, alice: User, bob: User
) -> None:
    execute(store.url, ChangeAccount(None, "bob", disabled=True))
    began = time.monotonic()
    eventually(lambda: store.acts[-1:] == ["disabled"], "the entry is delivered")
    assert time.monotonic() - began < 5  # half a second on an idle machine
    assert store.commits[-1].operations == ()
    assert store.entries == stored(store)


def test_act_of_another_process_counts_before_its_entry_is_delivered(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store(audit_every=3_600)
    bob = store.sign_in("bob")
    store.send(bob)
    execute(store.url, ChangeAccount(None, "bob", disabled=True))
    assert store.refused(message(bob)) is ErrorCode.DISABLED
    with pytest.raises(CommandError):
        store.log(bob)
    execute(store.url, ChangeAccount(None, "bob", disabled=False))
    store.send(bob)
    store.do(AddAccount(None, "carol", "member"))  # delivers the earlier entries with its own
    assert store.acts == ["created", "disabled", "enabled", "created"]
    assert store.entries == stored(store)


def test_both_processes_write_at_the_same_time(store: OpenStore, alice: User, bob: User) -> None:
    beside = run_beside(store.url, LOOP, "30")
    own = 0
    try:
        while beside.poll() is None:
            store.do(AddDevice(None, "alice", b"%d" % own, "")) if own < 50 else None
            store.send(alice)
            store.outcome(message(bob))
            own += 1
    finally:
        _, errors = beside.communicate(timeout=PATIENCE)
    assert beside.returncode == 0, errors
    eventually(lambda: len(store.entries) == len(stored(store)), "all entries are delivered")
    assert store.entries == stored(store)
    assert [entry.seq for entry in store.entries] == list(range(1, len(store.entries) + 1))
    assert store.acts.count("disabled") == 15
    assert store.acts.count("device_added") == min(own, 50)
    assert store.send(bob)
    store.wait_until_indexed()
    assert not store.problems()


def test_own_entries_are_delivered_with_their_operation(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store(audit_every=0.0)
    store.sign_in("alice")
    for number in range(40):
        store.do(AddDevice(None, "alice", b"%d" % number, ""))
    assert len(store.entries) == 41
    assert [commit for commit in store.commits if commit.audit and not commit.operations] == []


def test_entries_before_the_opening_are_not_delivered(
    store: OpenStore, alice: User, open_store: Callable[..., OpenStore]
) -> None:
    store.store.close()
    again = open_store()
    token = b"bob" * 8
    again.do(SignIn("bob", token, token))
    assert [(entry.seq, entry.act) for entry in again.entries] == [(2, "created")]


def test_commands_without_a_server(store: OpenStore, alice: User) -> None:
    store.store.close()
    execute(store.url, AddBan(None, "alice", None, None, "spam"))
    with pytest.raises(CommandError) as refused:
        execute(store.url, AddBan(None, "ghost", None, None, ""))
    assert refused.value.code is ErrorCode.NO_SUCH_USER
    (ban,), _ = look(store.url, lambda reader: reader.accounts.bans(None, cursor=None, limit=9))
    assert (ban.user, ban.reason, ban.by) == (alice, "spam", None)
    execute(store.url, LiftBan(None, "alice", None))
    page = look(store.url, lambda reader: reader.accounts.audit(None, before=None, limit=2))
    assert [entry.act for entry in page.entries] == ["unbanned", "banned"]
    assert not page.complete
