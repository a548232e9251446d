"""Cached lookups for the writer's rules: channels, names, members, reply targets.

The caches stay valid across transactions: a transaction records its changes here, and a rollback or
the commit of another process clears all caches.

A thread is a root message with all direct and indirect replies. The root is determined when a
message is appended and never changes.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, exists, func, not_, select, true

from chat.errors import CommandError
from chat.rights import DEFAULT, ChannelSettings
from chat.store.accounts import AccountRole, SignIn
from chat.store.codes import erased_name_hash
from chat.store.details import decode_settings
from chat.store.operations import (
    ChannelOperation,
    ChannelState,
    JoinChannel,
    Muted,
    Operation,
    SendMessage,
    User,
)
from chat.store.rights import channel_key
from chat.store.schema import (
    ACCOUNTS_KEY,
    bans,
    channels,
    devices,
    erased_names,
    events,
    has_kind,
    ignores,
    is_line,
    members,
    meta,
    mutes,
    users,
)
from chat.store.sql import Among, Prepared
from chat.text import fold, is_direct

__all__ = [
    "CACHED_MAX",
    "Channel",
    "KnownAccount",
    "KnownDevice",
    "Lookups",
    "ReplyTarget",
    "hints_key",
]


CACHED_MAX = 50_000
"""Most entries of a cache; beyond them, it is cleared."""

_CHANNELS = Among(
    select(
        channels.c.id,
        channels.c.name,
        channels.c.fold,
        channels.c.epoch,
        channels.c.head,
        channels.c.topic,
        channels.c.member_count,
        channels.c.is_private,
        channels.c.settings,
        exists().where(mutes.c.channel_id == channels.c.id).label("has_mutes"),
    ),
    channels.c.fold,
)
_MUTES = Prepared(
    select(mutes.c.user_id, users.c.name, mutes.c.until, mutes.c.reason)
    .join_from(mutes, users, mutes.c.by_id == users.c.id)
    .where(mutes.c.channel_id == bindparam("channel"))
)
_PEOPLE = Among(select(users.c.fold, users.c.id, users.c.name), users.c.fold)
_is_here = members.c.channel_id == bindparam("channel")
_ROLES = Among(select(members.c.user_id, members.c.role).where(_is_here), members.c.user_id)
_NAMED_MEMBERS = Among(
    select(members.c.user_fold, users.c.id, users.c.name)
    .join_from(members, users, members.c.user_id == users.c.id)
    .where(_is_here),
    members.c.user_fold,
)
_ACCOUNTS = Among(
    select(
        users.c.id,
        users.c.role,
        users.c.arrived,
        and_(
            users.c.disabled.is_(None),
            not_(users.c.is_erased),
            not_(exists().where(bans.c.user_id == users.c.id)),
        ).label("is_clear"),
        devices.c.hash,
        devices.c.id.label("device"),
        devices.c.revoked,
    ).join_from(users, devices, devices.c.user_id == users.c.id, isouter=True),
    users.c.id,
)
_ERASED_NAME = Prepared(select(erased_names.c.hash).where(erased_names.c.hash == bindparam("hash")))
_META = Prepared(select(meta.c.value).where(meta.c.key == bindparam("key")))
_MEMBERSHIPS = Among(
    select(
        members.c.user_id,
        members.c.channel_id,
        members.c.role,
        and_(members.c.counted, not_(members.c.hidden)),
    ),
    members.c.user_id,
)
_IGNORES = Prepared(
    select(ignores.c.user_id).where(
        ignores.c.user_id == bindparam("user"), ignores.c.ignored_id == bindparam("ignored")
    )
)
_HIDDEN_FROM = Prepared(
    select(users.c.id, users.c.name)
    .join_from(members, users, members.c.user_id == users.c.id)
    .where(_is_here, members.c.hidden == true())
)
_root, _root_author = events.alias("root"), users.alias("root_author")
_ANSWERABLE = Among(
    select(
        events.c.seq,
        func.coalesce(events.c.thread, events.c.seq),
        events.c.author_id,
        users.c.name,
        _root_author.c.id,
        _root_author.c.name,
    )
    .join_from(events, users, events.c.author_id == users.c.id)
    .join(
        _root,
        (_root.c.channel_id == events.c.channel_id)
        & (_root.c.seq == func.coalesce(events.c.thread, events.c.seq))
        & _root.c.target.is_(None),
    )
    .join(_root_author, _root.c.author_id == _root_author.c.id)
    .where(events.c.channel_id == bindparam("channel"), is_line, has_kind("message")),
    events.c.seq,
)
_HINTS = b"hints"
_key = lru_cache(maxsize=4_096)(channel_key)


@dataclass(slots=True)
class Channel:
    """A channel as of the current transaction."""

    id: int
    name: str
    fold: str
    epoch: str
    head: int
    topic: str
    member_count: int
    settings: ChannelSettings = DEFAULT
    mutes: dict[int, Muted] = field(default_factory=dict)
    """Mutes by user, including those that have ended."""

    @property
    def is_private(self) -> bool:
        """Whether only members and invited users know that the channel exists."""
        return self.settings.private

    def state(self) -> ChannelState:
        """Return the current state of the channel."""
        return ChannelState(self.id, self.name, self.epoch, self.head, self.topic, self.settings)


class ReplyTarget(NamedTuple):
    """A message, possibly deleted; replies to it belong to the thread of `root`."""

    root: int
    root_author: User
    author: User


class KnownDevice(NamedTuple):
    """A device of a user who signs in."""

    id: int
    is_revoked: bool


@dataclass(slots=True)
class KnownAccount:
    """The account of a user who signs in; `is_clear`: it is neither disabled nor banned."""

    role: AccountRole
    arrived: bool
    is_clear: bool
    devices: dict[bytes, KnownDevice]
    """All devices by the hashes of their tokens, including revoked ones."""


def hints_key(connection: Connection) -> bytes:
    """Return the secret with which servers authenticate what they tell each other."""
    secret = bytes.fromhex(_META.scalar(connection, key=ACCOUNTS_KEY))
    return hmac.digest(secret, _HINTS, "sha256")


class Lookups:
    """The writer's caches."""

    connection: Connection

    def __init__(self) -> None:
        self._channels: dict[str, Channel | None] = {}
        self._roles: dict[tuple[int, int], str | None] = {}
        self._named: dict[tuple[int, str], User | None] = {}
        self._people: dict[str, User | None] = {}
        self._counts: dict[int, int] = {}
        """Number of counted channels by user; `_roles` then has all memberships of the user."""
        self._hidden: dict[int, dict[int, User]] = {}
        """Members who have hidden a direct channel, by channel and user."""
        self._ignores: dict[tuple[int, int], bool] = {}
        """Whether the first user ignores the second."""
        self.followers: dict[tuple[int, int, int], bool] = {}
        """Users with a marker in a thread, by user, channel and root; True: they follow it."""
        self._accounts: dict[int, KnownAccount] = {}
        """Accounts of the users who sign in in the current transaction."""
        self._accounts_key = b""
        self._reply_targets: dict[tuple[int, int], ReplyTarget | None] = {}
        """Parents of the replies in the current transaction."""

    def begin(self, connection: Connection, operations: Sequence[Operation[Any]]) -> None:
        """Start a transaction: load the data for its operations in few statements."""
        self.connection = connection
        self._accounts.clear()
        self._reply_targets.clear()
        caches: tuple[Sized, ...] = (
            *(self._channels, self._roles, self._named),
            *(self._people, self._counts, self._hidden, self._ignores, self.followers),
        )
        if max(map(len, caches)) > CACHED_MAX:
            self.forget()
        self._begin_people(operations)
        self._begin_members(operations)
        self._begin_replies(operations)

    def _begin_people(self, operations: Sequence[Operation[Any]]) -> None:
        names = [operation.name for operation in operations if isinstance(operation, SignIn)]
        if names:
            self._load_accounts(self.people(names).values())
        joiners = {each.user.id for each in operations if isinstance(each, JoinChannel)}
        if unknown := joiners.difference(self._counts):
            self._load_memberships(unknown)

    def _begin_members(self, operations: Sequence[Operation[Any]]) -> None:
        unknown: dict[str, set[int]] = {}
        """Users whose role is not cached, by the key of the channel."""
        for operation in operations:
            if isinstance(operation, ChannelOperation):
                try:
                    key = _key(operation.channel)
                except CommandError:  # the rule refuses it later
                    continue
                channel, user_id = self._channels.get(key), operation.user.id
                if channel is None or (channel.id, user_id) not in self._roles:
                    unknown.setdefault(key, set()).add(user_id)
        if absent := [key for key in unknown if key not in self._channels]:
            self._load_channels(absent)
        for key, ids in unknown.items():
            if channel := self._channels[key]:
                self._load_roles(channel, ids)

    def _begin_replies(self, operations: Sequence[Operation[Any]]) -> None:
        answered: dict[int, tuple[Channel, set[int]]] = {}
        for operation in operations:
            if isinstance(operation, SendMessage) and operation.reply_to is not None:
                with suppress(CommandError):
                    channel = self.channel(operation.channel)
                    # For others, the time would tell that the channel exists.
                    if channel is not None and self.role(channel, operation.user) is not None:
                        _, numbers = answered.setdefault(channel.id, (channel, set()))
                        numbers.add(operation.reply_to)
        for channel, numbers in answered.values():
            self._load_reply_targets(channel, numbers)

    def set_heads(self, heads: Mapping[str, int], *, is_all: bool) -> None:
        """Forget what others may have changed: threads that are followed, and heads.

        The heads of the other channels are unknown afterwards, and with `is_all`, all of them.
        """
        self.followers.clear()
        if is_all:
            self._channels.clear()
        for key, head in heads.items():
            if channel := self._channels.get(key):
                channel.head = head

    def forget(self) -> None:
        """Clear all caches after a rollback."""
        self._channels.clear()
        self._roles.clear()
        self._named.clear()
        self._people.clear()
        self._counts.clear()
        self._hidden.clear()
        self._ignores.clear()
        self.followers.clear()

    def channel(self, name: str) -> Channel | None:
        """Return a channel by its name as typed, or None if it does not exist.

        Raises:
            CommandError: the channel is built in, or the name is invalid.
        """
        key = _key(name)
        if key not in self._channels:
            self._load_channels([key])
        return self._channels[key]

    def people(self, names: Iterable[str]) -> dict[str, User]:
        """Return the existing users among `names`, by folded name."""
        known, folds = self._people, [fold(name) for name in names]
        if unknown := [key for key in folds if key not in known]:
            known.update(dict.fromkeys(unknown))
            for key, user_id, name in _PEOPLE.rows(self.connection, unknown):
                known[key] = User(user_id, name)
        return {key: user for key in folds if (user := known[key]) is not None}

    def account(self, user: User) -> KnownAccount:
        """Return the account of `user`."""
        if user.id not in self._accounts:
            self._load_accounts((user,))
        return self._accounts[user.id]

    def accounts_key(self) -> bytes:
        """Return the secret for the HMACs of link codes and erased names."""
        if not self._accounts_key:
            self._accounts_key = bytes.fromhex(_META.scalar(self.connection, key=ACCOUNTS_KEY))
        return self._accounts_key

    def is_erased_name(self, name: str) -> bool:
        """Whether `name` once belonged to an account that was erased."""
        hashed = erased_name_hash(self.accounts_key(), fold(name))
        return _ERASED_NAME.first(self.connection, hash=hashed) is not None

    def counted_channels(self, user: User) -> int:
        """Return the number of channels that count against the limit of `user`."""
        if user.id not in self._counts:
            self._load_memberships((user.id,))
        return self._counts[user.id]

    def role(self, channel: Channel, user: User) -> str | None:
        """Return the role of `user` in `channel`; None: not a member."""
        if (channel.id, user.id) not in self._roles:
            self._load_roles(channel, (user.id,))
        return self._roles[channel.id, user.id]

    def hidden_from(self, channel: Channel) -> tuple[User, ...]:
        """Return the members who have hidden the direct channel `channel`."""
        if not is_direct(channel.name):
            return ()
        if channel.id not in self._hidden:
            rows = _HIDDEN_FROM.all(self.connection, channel=channel.id)
            self._hidden[channel.id] = {user_id: User(user_id, name) for user_id, name in rows}
        return tuple(self._hidden[channel.id].values())

    def ignores(self, user: User, other: User) -> bool:
        """Whether `user` ignores `other`."""
        key = user.id, other.id
        if key not in self._ignores:
            row = _IGNORES.first(self.connection, user=user.id, ignored=other.id)
            self._ignores[key] = row is not None
        return self._ignores[key]

    def named_members(self, channel: Channel, folds: Sequence[str]) -> tuple[User, ...]:
        """Return the members of `channel` with these folded names, without duplicates, in order."""
        known = self._named
        if unknown := [name for name in folds if (channel.id, name) not in known]:
            known.update(((channel.id, name), None) for name in unknown)
            found = _NAMED_MEMBERS.rows(self.connection, unknown, channel=channel.id)
            for key, user_id, name in found:
                known[channel.id, key] = User(user_id, name)
        return tuple(user for name in folds if (user := known[channel.id, name]) is not None)

    def reply_target(self, channel: Channel, seq: int) -> ReplyTarget | None:
        """Return the stored message `seq` as the target of a reply, or None."""
        if self._reply_targets.get((channel.id, seq)) is None:
            self._load_reply_targets(channel, {seq})
        return self._reply_targets[channel.id, seq]

    def note_channel(self, channel: Channel) -> None:
        """Record that the transaction created a channel."""
        self._channels[channel.fold] = channel
        self._hidden[channel.id] = {}

    def note_user(self, user: User, role: AccountRole, *, arrived: bool) -> None:
        """Record that the transaction added a user."""
        self._people[fold(user.name)] = user
        self._accounts[user.id] = KnownAccount(role, arrived, is_clear=True, devices={})
        self._counts[user.id] = 0

    def note_device(self, user: User, token_hash: bytes, device: int) -> None:
        """Record that the transaction added a device."""
        if user.id in self._accounts:
            self._accounts[user.id].devices[token_hash] = KnownDevice(device, is_revoked=False)

    def forget_account(self, user: User) -> None:
        """Record that the transaction changed an account, its devices or its bans."""
        self._accounts.pop(user.id, None)

    def note_hidden(self, channel: Channel, user: User, *, is_hidden: bool) -> None:
        """Record that the transaction hid `channel` for `user`, or restored it."""
        if (hidden := self._hidden.get(channel.id)) is None:
            return
        if is_hidden:
            hidden[user.id] = user
        else:
            hidden.pop(user.id, None)

    def note_ignored(self, user: User, other: User, *, is_ignored: bool) -> None:
        """Record that the transaction made `user` ignore `other`, or no longer."""
        self._ignores[user.id, other.id] = is_ignored

    def forget_channel(self, channel: Channel) -> None:
        """Record that the transaction deleted a channel: its name is free, nobody is a member."""
        self._channels[channel.fold] = None
        self._counts.clear()
        for key in [key for key in self._roles if key[0] == channel.id]:
            del self._roles[key]

    def forget_count(self, user: User) -> None:
        """Record that the number of counted channels of `user` changed."""
        self._counts.pop(user.id, None)

    def note_role(
        self, channel: Channel, user: User, role: str | None, *, counted: bool = True
    ) -> None:
        """Record that the transaction added (`role`) or ended (None) a membership."""
        if counted and user.id in self._counts:
            self._counts[user.id] += 1 if role is not None else -1
        self._roles[channel.id, user.id] = role
        self._named[channel.id, fold(user.name)] = user if role is not None else None

    def _load_channels(self, folds: list[str]) -> None:
        self._channels.update(dict.fromkeys(folds))
        for *state, is_private, settings, has_mutes in _CHANNELS.rows(self.connection, folds):
            channel = Channel(*state)
            channel.settings = decode_settings(settings, is_private=is_private)
            if has_mutes:
                for user_id, *mute in _MUTES.all(self.connection, channel=channel.id):
                    channel.mutes[user_id] = Muted(*mute)
            self._channels[channel.fold] = channel

    def _load_roles(self, channel: Channel, user_ids: Iterable[int]) -> None:
        known, counts = self._roles, self._counts
        if absent := [each for each in user_ids if (channel.id, each) not in known]:
            known.update(((channel.id, each), None) for each in absent)
            if not (unknown := [each for each in absent if each not in counts]):
                return
            for user_id, role in _ROLES.rows(self.connection, unknown, channel=channel.id):
                known[channel.id, user_id] = role

    def _load_memberships(self, user_ids: Collection[int]) -> None:
        self._counts.update(dict.fromkeys(user_ids, 0))
        for user_id, channel_id, role, counts in _MEMBERSHIPS.rows(self.connection, user_ids):
            self._roles[channel_id, user_id] = role
            self._counts[user_id] += bool(counts)

    def _load_accounts(self, people: Iterable[User]) -> None:
        accounts = self._accounts
        unknown = [user.id for user in people if user.id not in accounts]
        for row in _ACCOUNTS.rows(self.connection, unknown):
            account = accounts.get(row.id)
            if account is None:
                account = KnownAccount(row.role, bool(row.arrived), bool(row.is_clear), {})
                accounts[row.id] = account
            if row.hash is not None:
                account.devices[row.hash] = KnownDevice(row.device, row.revoked is not None)

    def _load_reply_targets(self, channel: Channel, numbers: set[int]) -> None:
        self._reply_targets.update(((channel.id, seq), None) for seq in numbers)
        found = _ANSWERABLE.rows(self.connection, numbers, channel=channel.id)
        for seq, root, author_id, name, *root_author in found:
            author = User(author_id, name)
            self._reply_targets[channel.id, seq] = ReplyTarget(root, User(*root_author), author)
