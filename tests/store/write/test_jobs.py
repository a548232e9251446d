"""Jobs: the oldest first, each step in a transaction of its own, also after a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from chat.store.accounts import EraseAccount
from chat.store.channels import DeleteChannel
from chat.store.operations import RunNextJob, User
from tests.store.opened import OpenStore


def unfinished(store: OpenStore) -> list[str]:
    """Return the kinds of the jobs that are not done, the oldest first."""
    with closing(sqlite3.connect(store.file)) as connection:
        rows = connection.execute("SELECT operation FROM jobs WHERE result IS NULL ORDER BY id")
        return [kind for (kind,) in rows]


def test_commits_say_whether_they_added_a_job(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    store.join(bob, "#dev")
    store.do(DeleteChannel(alice, "#dev"))
    store.do(RunNextJob())
    store.send(bob, "hi")
    assert [commit.has_jobs for commit in store.commits[-4:]] == [False, True, False, False]


def test_jobs_run_in_order_and_continue_after_a_restart(
    open_store: Callable[..., OpenStore], store: OpenStore, alice: User, bob: User
) -> None:
    for name in ("#dev", "#ops"):
        store.join(alice, name)
        store.join(bob, name)
    store.do(DeleteChannel(alice, "#ops"))
    store.do(EraseAccount(None, "alice"))
    assert unfinished(store) == ["delete_channel", "pass_ownership", "erase"]
    store.do(RunNextJob())
    assert store.read(lambda reader: reader.accounts.has_jobs())
    store.store.close()
    again = open_store()
    remaining = [unfinished(again)]
    while not again.do(RunNextJob()).is_last:
        remaining.append(unfinished(again))
    assert remaining[-1] == []
    assert all(left == remaining[0][len(remaining[0]) - len(left) :] for left in remaining)
    assert again.membership(bob, "#dev").role == "owner"


def test_job_of_a_newer_version_is_left_alone(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    store.store.close()
    with closing(sqlite3.connect(store.file)) as connection, connection:
        connection.execute(
            "INSERT INTO jobs (id, created, operation, arguments) VALUES (7, 0, 'unknown', '{}')"
        )
    with OpenStore(store.url) as again:
        again.do(DeleteChannel(alice, "#dev"))
        while not again.do(RunNextJob()).is_last:
            pass
        assert unfinished(again) == ["unknown"]
