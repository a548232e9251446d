"""What is new beside the events: people with their tokens, channels, members.

They gather as rows and are inserted together, as events are: when everybody arrives at once, a
commit holds many, and a statement for each row took 60 µs, twenty times the row itself.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from chat.protocol.words import USUAL_LEVEL
from chat.store.bulk import BulkInsert
from chat.store.ops import User
from chat.store.roster import Channel
from chat.store.schema import channels, members, tokens, users
from chat.text import fold, is_direct

__all__ = ["Arrivals"]

_NEWEST_USER = select(func.max(users.c.id))
_NEWEST_CHANNEL = select(func.max(channels.c.id))


class Arrivals:
    """Rows that the running transaction adds; `flush` inserts them, in the tables' order."""

    connection: Connection

    def __init__(self) -> None:
        self._next_user = self._next_channel = 0
        self._insert_users = BulkInsert(users)
        self._insert_tokens = BulkInsert(tokens)
        self._insert_channels = BulkInsert(channels)
        self._insert_members = BulkInsert(members)
        self.clear()

    def begin(self, connection: Connection) -> None:
        """Start a transaction; the first one reads which ids are free."""
        self.connection = connection
        self.clear()
        if not self._next_user:
            self._next_user = (connection.scalar(_NEWEST_USER) or 0) + 1
            self._next_channel = (connection.scalar(_NEWEST_CHANNEL) or 0) + 1

    def forget(self) -> None:
        """Drop everything: the transaction was rolled back."""
        self._next_user = 0
        self.clear()

    def clear(self) -> None:
        """Drop what waits."""
        # Rows in the order of their tables' columns.
        self._users: list[tuple[int, str, str, int]] = []
        self._tokens: list[tuple[int, bytes]] = []
        self._channels: list[tuple[Channel, int]] = []
        self._members: list[tuple[Any, ...]] = []

    def add_user(self, name: str, token_hash: bytes, now: int) -> User:
        """Add a person with the token that is theirs from now on."""
        user = User(self._next_user, name)
        self._next_user += 1
        self._users.append((user.id, name, fold(name), now))
        self._tokens.append((user.id, token_hash))
        return user

    def add_channel(self, channel: Channel, now: int) -> None:
        """Add a channel, which gets its id; it is inserted as it is when `flush` is called."""
        channel.id = self._next_channel
        self._next_channel += 1
        self._channels.append((channel, now))

    def add_member(
        self, channel: Channel, user: User, role: str, read: int, *, counted: bool, hidden: bool
    ) -> None:
        """Add a member who has read up to `read`, with no wishes of their own."""
        wishes = (0, False, USUAL_LEVEL)
        self._members.append(
            (channel.id, user.id, fold(user.name), role, read, read, *wishes, counted, hidden)
        )

    def flush(self) -> list[Channel]:
        """Insert what waits; return the channels that need no more be saved."""
        created = [channel for channel, _ in self._channels]
        channel_rows = [_row(channel, now) for channel, now in self._channels]
        for insert_rows, rows in (
            (self._insert_users, self._users),
            (self._insert_tokens, self._tokens),
            (self._insert_channels, channel_rows),
            (self._insert_members, self._members),
        ):
            if rows:
                insert_rows(self.connection, rows)
        self.clear()
        return created


def _row(channel: Channel, now: int) -> tuple[Any, ...]:
    name, key = channel.name, channel.fold
    state = (channel.epoch, channel.head, channel.topic, channel.member_count)
    return (channel.id, name, key, is_direct(name), *state, now)
