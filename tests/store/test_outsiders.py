"""The cost of a refusal does not tell an outsider whether a private channel exists."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chat.errors import CommandError, ErrorCode
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeclineInvitation,
    DeleteChannel,
    FollowThread,
    InviteToChannel,
    Kick,
    LiftChannelBan,
    MarkThread,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
    WithdrawInvitation,
)
from chat.store.operations import (
    ChannelPolicy,
    JoinChannel,
    LeaveChannel,
    MarkRead,
    Operation,
    Prefer,
    SendMessage,
    User,
)
from chat.store.read.reader import Reader
from tests.store.conftest import Backend, SqliteBackend
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Collect the statements of all connections that are opened or used meanwhile."""
    asked: list[str] = []

    def trace(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(asked.append)

    event.listen(Pool, "connect", trace)
    event.listen(Pool, "checkout", trace)
    try:
        yield asked
    finally:
        event.remove(Pool, "connect", trace)
        event.remove(Pool, "checkout", trace)


READS: tuple[Callable[[Reader, User, str], object], ...] = (
    lambda reader, user, channel: reader.page(user, channel, limit=5),
    lambda reader, user, channel: reader.page(user, channel, thread=2, limit=5),
    lambda reader, user, channel: reader.resume(user, channel, None, limit=5, window=5),
    lambda reader, user, channel: reader.members(user, channel, cursor=None, limit=5),
    lambda reader, user, channel: reader.membership(user, channel),
    lambda reader, user, channel: reader.channel_bans(user, channel, cursor=None, limit=5),
)


def writes(user: User, channel: str) -> list[Any]:
    return [
        message(user, "hello", channel),
        message(user, "hello", channel, reply_to=2),
        edit(user, 2, "hello", channel),
        delete(user, 2, channel),
        react(user, 2, "👍", channel),
        pin(user, 2, channel),
        topic(user, "news", channel),
        SendMessage(user, channel, "hello", reply_to=2, thread_only=True),
        MarkRead(user, channel, 1),
        MarkThread(user, channel, 2, 1),
        FollowThread(user, channel, 2),
        Prefer(user, channel, muted=True),
        LeaveChannel(user, channel),
        Kick(user, channel, "owner"),
        BanFromChannel(user, channel, "owner"),
        LiftChannelBan(user, channel, "owner"),
        MuteMember(user, channel, "owner"),
        UnmuteMember(user, channel, "owner"),
        SetChannelRole(user, channel, "owner", "member"),
        ChangeSettings(user, channel, posting="everyone"),
        DeleteChannel(user, channel),
        InviteToChannel(user, channel, "owner"),
        WithdrawInvitation(user, channel, "owner"),
        DeclineInvitation(user, channel),
    ]


def test_refusals_about_a_private_channel_cost_as_much_as_about_a_missing_one(
    backend: Backend, open_store: Callable[[], OpenStore]
) -> None:
    if not isinstance(backend, SqliteBackend):
        pytest.skip("the statements are those of SQLite")
    with counted_statements() as asked:
        store = open_store()
        owner, mallory = store.sign_in("owner"), store.sign_in("mallory")
        store.do(CreateChannel(owner, "#private", private=True))
        store.send(owner, "hello", "#private")

        def cost(work: Callable[[str], object], channel: str) -> list[str]:
            asked.clear()
            work(channel)
            return [re.sub(r"'#?[a-z]*'|\d+", "?", each) for each in asked]

        def is_equal(work: Callable[[str], object]) -> bool:
            # The store's own work may come between one of the refusals and its measurement.
            return any(cost(work, "#private") == cost(work, "#missing") for _ in range(10))

        def refused(read: Callable[[Reader, User, str], object], channel: str) -> None:
            with pytest.raises(CommandError):
                store.read(lambda reader: read(reader, mallory, channel))

        def outcome(number: int, channel: str) -> None:
            store.outcome(writes(mallory, channel)[number])

        def taken(make: Callable[..., Operation[Any]], channel: str) -> None:
            policy = ChannelPolicy(reserved=frozenset(["#missing"]))
            refusal = store.outcome(make(mallory, channel, policy=policy))
            assert isinstance(refusal, CommandError)
            assert refusal.code is ErrorCode.NAME_UNAVAILABLE

        for make in (JoinChannel, CreateChannel):
            assert is_equal(partial(taken, make)), make
        for number, read in enumerate(READS):
            assert is_equal(partial(refused, read)), number
        for number, operation in enumerate(writes(mallory, "#private")):
            # The first one loads the role as well, which stays known.
            assert is_equal(partial(outcome, number)), operation
