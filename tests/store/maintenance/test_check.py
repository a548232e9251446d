"""The check finds what the rules of channels exclude; each case breaks one of them by hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from chat.store.channels import (
    BanFromChannel,
    CreateChannel,
    DeleteChannel,
    FollowThread,
    InviteToChannel,
    MuteMember,
)
from chat.store.maintenance.check import Holdings, check_database
from chat.store.operations import RunNextJob, SendMessage, User
from tests.store.opened import OpenStore

CHANNEL = "(SELECT id FROM channels WHERE name = '#tea')"


@pytest.fixture
def tea(store: OpenStore, alice: User, bob: User) -> OpenStore:
    """Return a store with a channel of alice that uses everything a channel has."""
    carol, dave = store.sign_in("carol"), store.sign_in("dave")
    store.do(CreateChannel(alice, "#tea"))
    store.join(bob, "#tea")
    root = store.send(alice, "root", "#tea")
    store.append(SendMessage(bob, "#tea", "reply", reply_to=root, thread_only=True))
    store.do(FollowThread(bob, "#tea", root))
    store.do(MuteMember(alice, "#tea", "bob", reason="calm down"))
    store.do(InviteToChannel(alice, "#tea", carol.name))
    store.do(BanFromChannel(alice, "#tea", dave.name, reason="enough"))
    return store


def test_whole_channel_has_no_problems(tea: OpenStore) -> None:
    assert tea.problems() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (f"UPDATE channels SET expired = head WHERE id = {CHANNEL}", "is expired but"),
        ("UPDATE channels SET expired = head + 1", "expired is outside the log"),
        ("UPDATE events SET flags = flags | 512 WHERE reply_to IS NULL", "only in a thread"),
        ("UPDATE followed_threads SET thread = 1", "does not begin with a message"),
        ("UPDATE followed_threads SET read_seq = 99", "marker of a thread is outside"),
        ("UPDATE members SET role = 'king'", "role of a member is unknown"),
        ("UPDATE members SET role = 'owner'", "has several owners"),
        (f"UPDATE channels SET deleted = 1 WHERE id = {CHANNEL}", "deleted channel has members"),
        ("UPDATE channel_bans SET user_id = 1", "a banned user is a member"),
        ("UPDATE channel_invitations SET user_id = 1", "a member is invited"),
    ],
)
def test_violation_is_found(tea: OpenStore, change: str, problem: str) -> None:
    with closing(sqlite3.connect(tea.file)) as other, other:
        other.execute(change)
    assert [each for each in tea.problems() if problem in each]


def test_deleted_channels_are_not_counted(tea: OpenStore, alice: User) -> None:
    tea.do(DeleteChannel(alice, "#tea"))
    while not tea.do(RunNextJob()).is_last:
        pass
    *_, found = check_database(tea.url)
    assert isinstance(found, Holdings)
    assert found.channels == 1
    assert found.events == tea.membership(alice).channel.head
