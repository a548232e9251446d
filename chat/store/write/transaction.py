"""The writer's open transaction: sequence numbers, pending rows, and statements.

Rules (the other modules of this package) change the logs only through a `Transaction`. New rows are
buffered and inserted in bulk, because a statement per row takes twenty times as long (60 µs).
`execute` inserts the buffered rows first, so every statement sees them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from chat.protocol.items import EventFields
from chat.protocol.limits import USUAL_LEVEL
from chat.protocol.values import Limits
from chat.rate import TokenBuckets
from chat.rights import DEFAULT, ChannelSettings
from chat.store.accounts import LINKS_PER_HOUR, MEMBER, AccountRole
from chat.store.backend import Database
from chat.store.details import Details, encode_settings
from chat.store.ids import Ids
from chat.store.operations import (
    Append,
    AppendAbout,
    AuditEntry,
    Notice,
    OpenInvitation,
    Operation,
    User,
)
from chat.store.read.standing import Standings
from chat.store.rights import channel_key
from chat.store.schema import (
    BODY_FIELDS,
    audit,
    channels,
    devices,
    events,
    flags_of,
    followed_threads,
    jobs,
    kind_of,
    members,
    mentions,
    pack_cid,
    unpack_cid,
    users,
)
from chat.store.sql import Among, BulkInsert, BulkUpdate, Prepared, Rows
from chat.store.write.lookups import CACHED_MAX, Channel, Lookups, ReplyTarget
from chat.text import fold, is_direct

__all__ = ["JobProgress", "Sent", "Sweep", "Transaction", "Unclaimed", "wall_clock_ms"]


_NEWEST_USER = Prepared(select(func.max(users.c.id)))
_NEWEST_DEVICE = Prepared(select(func.max(devices.c.id)))
_NEWEST_ENTRY = Prepared(select(func.max(audit.c.seq)))
_NEWEST_JOB = Prepared(select(func.max(jobs.c.id)))
_ADD_JOB = Prepared(insert(jobs), columns=["id", "created", "operation", "arguments"])
_NEWEST_CHANNEL = Prepared(select(func.max(channels.c.id)))
_SENT = Among(
    select(
        events.c.author_id,
        events.c.cid,
        events.c.channel_id,
        events.c.flags,
        events.c.target,
        events.c.seq,
        events.c.mid,
        events.c.ts,
    ),
    events.c.cid,
)
_SAVE_CHANNELS = BulkUpdate(
    "WITH changed (id, head, topic, member_count) AS (",
    (channels.c.id.type, channels.c.head.type, channels.c.topic.type, channels.c.member_count.type),
    ") UPDATE channels SET head = changed.head, topic = changed.topic,"
    " member_count = changed.member_count FROM changed WHERE channels.id = changed.id",
)
_REMOVE_MEMBER = Prepared(
    delete(members).where(
        members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user")
    )
)
_SET_ROLE = Prepared(
    update(members)
    .where(members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user"))
    .values(role=bindparam("new_role"))
)
_SET_SETTINGS = Prepared(
    update(channels)
    .where(channels.c.id == bindparam("channel"))
    .values(
        is_private=bindparam("now_private"),
        settings=bindparam("now_settings"),
        retention_from=func.coalesce(bindparam("from_ms"), channels.c.retention_from),
    )
)
_FREE_NAME = Prepared(
    update(channels)
    .where(channels.c.id == bindparam("channel"))
    .values(name=bindparam("new"), fold=bindparam("new"), deleted=bindparam("now"))
)
_SET_HIDDEN = Prepared(
    update(members)
    .where(members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user"))
    .values(hidden=bindparam("is_hidden"))
)

_LINE_COLUMNS = ("id", "channel_id", "seq", "ts", "author_id", "flags", "mid", "cid", "text")
"""The columns of a line that replies to nothing; the others are NULL."""
_FOLLOW_AGAIN = "ON CONFLICT (user_id, channel_id, thread) DO UPDATE SET following = true"

_ADD_USERS = BulkInsert(users)
_ADD_DEVICES = BulkInsert(devices)
_ADD_ENTRIES = BulkInsert(audit)
_ADD_CHANNELS = BulkInsert(channels)
_ADD_MEMBERS = BulkInsert(members)
_ADD_EVENTS = BulkInsert(events)
_ADD_LINES = BulkInsert(events, _LINE_COLUMNS)
_ADD_MENTIONS = BulkInsert(mentions)
_ADD_FOLLOWERS = BulkInsert(followed_threads, end="ON CONFLICT DO NOTHING")
_ADD_WRITERS = BulkInsert(followed_threads, end=_FOLLOW_AGAIN)

_Row = tuple[Any, ...]


DETAIL_MAX = 300
"""Most characters of a detail in the audit log, such as a setting."""


def wall_clock_ms() -> int:
    """Return the milliseconds since 1970 by the clock of this machine."""
    return time.time_ns() // 1_000_000


class Unclaimed(Exception):
    """A shared transaction is about to change what needs an exclusive one."""


class Sent(NamedTuple):
    """The event of a client's `cid`."""

    channel_id: int
    kind: str
    target: int | None
    seq: int
    mid: str
    ts: int


@dataclass(slots=True)
class Sweep:
    """The progress of a sweep for old texts, channel by channel; see `expiry`."""

    place: int = 0
    """The id of the last channel that was looked at."""
    wait: float = float("inf")
    """Seconds until the next text is old."""

    def restart(self) -> None:
        """Begin with the first channel."""
        self.place, self.wait = 0, float("inf")


class JobProgress(NamedTuple):
    """The outcome of a step of a job."""

    arguments: dict[str, Any]
    """The arguments of the next step."""
    result: dict[str, Any] | None = None
    """The result of the job if it is done, for the command that waits for it."""
    renamed: tuple[tuple[str, str], ...] = ()


class Transaction:
    """The writer's transaction, for one thread and connection; call `begin` first.

    `login` is the name with which the operator is logged in to the system, for the audit log; empty
    in a server, whose own acts have no actor either.
    """

    connection: Connection

    def __init__(
        self,
        database: Database,
        limits: Limits,
        clock_ms: Callable[[], int] | None,
        monotonic: Callable[[], float] = time.monotonic,
        login: str = "",
    ) -> None:
        self._database = database
        self.limits = self.next_limits = limits
        """`next_limits` replaces `limits` when the next transaction begins; any thread may set it.
        """
        self.now = clock_ms or self._now
        self._monotonic = monotonic
        self._login = login
        self._openings = TokenBuckets(limits.openings / 3_600, limits.openings)
        self._invitations = TokenBuckets(limits.invitations / 3_600, limits.invitations)
        self._creations = TokenBuckets(limits.channels / 3_600, limits.channels)
        self._links = TokenBuckets(LINKS_PER_HOUR / 3_600, LINKS_PER_HOUR)
        self.lookups = Lookups()
        self.sweep = Sweep()
        self._clock_difference: float | None = None
        """Seconds between the two clocks at the first call of `clock_jump`."""
        self.standings = Standings(self.now)
        self.events: list[EventFields] = []
        """Events appended since `begin`, in order."""
        self.channel_ids: list[int] = []
        """The id of the channel of each event."""
        self.entries: list[AuditEntry] = []
        """Entries of the audit log added since `begin`, in order."""
        self.uninvited: list[tuple[User, OpenInvitation]] = []
        """Invitations to channels that ended since `begin` and had reached their users."""
        self.sightings: dict[int, int] = {}
        """When devices signed in since `begin`, by device; `upkeep` stores it later."""
        self.has_jobs = False
        """Whether a job was added since `begin`."""
        self.has_erased = False
        """Whether a text was erased since `begin`, so the write-ahead log needs a purge."""
        self._has_executed = False
        self._known: Connection | None = None
        """The connection on which the caches and the range of ids were read."""
        self._version: object = None
        """The version of the database for which the caches are valid."""
        self._next_user = self._next_device = self._next_entry = 0
        self._next_channel = 0
        self._next_event = self._events_end = 0
        """The id of the next event, and the end of the range of known free ids."""
        self._is_exclusive = False
        self._begun_ms: int | None = None
        """The database's time at the beginning, if it has a clock of its own."""
        self.notice: Notice | None = None
        """What other servers learn of the transaction, once it is finished."""
        self._told: dict[str, list[Any]] = {}
        """The fields of the notice."""
        self._ids = Ids()
        self._users: list[_Row] = []
        self._devices: list[_Row] = []
        self._audit: list[_Row] = []
        self._channels: list[_Row] = []
        self._members: list[_Row] = []
        self._events: list[_Row] = []
        self._lines: list[_Row] = []
        """Events that are lines and reply to nothing."""
        self._mentions: list[_Row] = []
        self._followers: list[_Row] = []
        self._writers: list[_Row] = []
        self._buffered: tuple[tuple[BulkInsert, list[_Row]], ...] = (
            (_ADD_USERS, self._users),
            (_ADD_DEVICES, self._devices),
            (_ADD_ENTRIES, self._audit),
            (_ADD_CHANNELS, self._channels),
            (_ADD_MEMBERS, self._members),
            (_ADD_EVENTS, self._events),
            (_ADD_LINES, self._lines),
            (_ADD_MENTIONS, self._mentions),
            (_ADD_FOLLOWERS, self._followers),
            (_ADD_WRITERS, self._writers),
        )
        """The buffered rows, in the order of foreign keys: referenced rows first."""
        self._changed: dict[int, Channel] = {}
        """Channels whose rows need an update."""
        self._with_messages: dict[int, Channel] = {}
        """Direct channels with new messages that some members have hidden."""
        self._sent: dict[tuple[int, str], tuple[int, str, int | None, int, str, int]] = {}
        """The fields of `Sent` of used cids, by author and cid."""
        self._packed: dict[str, bytearray] = {}
        """Stored forms of the cids of the transaction's operations."""
        self.index = database.index_changes()

    @property
    def has_written(self) -> bool:
        """Whether anything changed since `begin`, including buffered rows."""
        return self._has_executed or bool(self._changed) or any(rows for _, rows in self._buffered)

    def begin(
        self,
        connection: Connection,
        operations: Sequence[Operation[Any]],
        *,
        is_exclusive: bool = True,
    ) -> None:
        """Start a transaction, and load the data for its operations.

        All caches are cleared if the connection is a new one, or if another process has made them
        invalid meanwhile.
        """
        self.connection = connection
        if connection is not self._known:  # the database may have lost commits meanwhile
            self.forget()
            self._next_event = self._events_end = 0
            self._known = connection
        if self.limits is not self.next_limits:
            self._use(self.next_limits)
        self._packed = {
            each.cid: bytearray(pack_cid(each.cid))
            for each in operations
            if isinstance(each, Append) and each.cid is not None
        }
        locked = self._database.begin(connection, operations, is_exclusive=is_exclusive)
        sent = _SENT.start(connection, self._packed.values()) if self._packed else None
        begun = locked()
        if begun.version != self._version:
            self.forget()
            self._version = begun.version
        if begun.heads is not None:
            self.lookups.set_heads(begun.heads, is_all=begun.is_exclusive)
        self._is_exclusive, self._begun_ms = begun.is_exclusive, begun.now_ms
        self.notice = None
        self._told.clear()
        self.events = []
        self.channel_ids = []
        self.entries = []
        self.uninvited = []
        self._with_messages.clear()
        self.sightings = {}
        self.has_jobs = self.has_erased = self._has_executed = False
        self._clear()
        if len(self.standings.passed) > CACHED_MAX:
            self.standings.forget()
        self.lookups.begin(connection, operations)
        if self._is_exclusive and not self._next_user:
            self._next_user = (_NEWEST_USER.scalar(connection) or 0) + 1
            self._next_device = (_NEWEST_DEVICE.scalar(connection) or 0) + 1
            self._next_entry = (_NEWEST_ENTRY.scalar(connection) or 0) + 1
            self._next_channel = (_NEWEST_CHANNEL.scalar(connection) or 0) + 1
        if sent is not None:
            self._load_sent(sent())

    def _use(self, limits: Limits) -> None:
        self.limits = limits
        self._openings.change(limits.openings / 3_600, limits.openings)
        self._invitations.change(limits.invitations / 3_600, limits.invitations)
        self._creations.change(limits.channels / 3_600, limits.channels)

    def _load_sent(self, rows: Rows) -> None:
        """Keep the events of cids that were used before."""
        for row in rows:
            author_id, cid, channel_id, flags, target, seq, mid, ts = row
            sent = channel_id, kind_of(flags), target, seq, mid.hex(), ts
            self._sent[author_id, unpack_cid(cid)] = sent

    def claim(self) -> None:
        """Make sure that no other process commits at the same time.

        Call it before a change of who someone is, or of what they may do.

        Raises:
            Unclaimed: the transaction is shared: roll it back, and run it again exclusively.
        """
        if not self._is_exclusive:
            raise Unclaimed

    def _now(self) -> int:
        return wall_clock_ms() if self._begun_ms is None else self._begun_ms

    def tell(self, field: str, value: object) -> None:
        """Add to a field of the notice for other servers (`Notice`)."""
        self._told.setdefault(field, []).append(value)

    def forget(self) -> None:
        """Clear all state after a rollback."""
        self.lookups.forget()
        self.standings.forget()
        self._next_user = 0
        self._clear()

    def clock_jump(self) -> float:
        """Return by how many seconds the clock has jumped since the first call."""
        difference = self.now() / 1_000 - self._monotonic()
        if self._clock_difference is None:
            self._clock_difference = difference
        return difference - self._clock_difference

    def check_standing(self, user: User) -> None:
        """Check that the session of `user` may act; it costs one lookup if it passed before.

        Raises:
            CommandError: banned, disabled, revoked.
        """
        if (user.id, user.device, user.address) not in self.standings.passed:
            self.flush()
            self.standings.check(self.connection, user)

    def check_address(self, address: str | None) -> None:
        """Refuse an address that is banned. Raises banned."""
        self.standings.check_address(self.connection, address)

    def account_changed(self, user: User | None) -> None:
        """Record that the transaction changed the standing of `user`, or the bans of networks."""
        self.claim()
        self.standings.forget()
        if user is not None:
            self.lookups.forget_account(user)

    # Statements

    def execute(self, statement: Prepared, **values: object) -> Rows:
        """Run a statement after inserting buffered rows; return its rows."""
        self.flush()
        if not statement.is_read:
            self._has_executed = True
        return statement.all(self.connection, **values)

    def execute_many(self, statement: Prepared, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a modifying statement once for each of `rows`, its parameters."""
        self.flush()
        self._has_executed = True
        statement.run_many(self.connection, rows)

    def first(self, statement: Prepared, **values: object) -> Any:
        """Run a statement like `execute`; return the first row or None."""
        rows = self.execute(statement, **values)
        return rows[0] if rows else None

    def scalar(self, statement: Prepared, **values: object) -> Any:
        """Run a statement like `execute`; return the first column of the first row, or None."""
        row = self.first(statement, **values)
        return None if row is None else row[0]

    def flush(self) -> None:
        """Insert buffered rows, and update changed channels."""
        for insertion, rows in self._buffered:
            if rows:
                self._has_executed = True
                insertion.run(self.connection, rows)
                rows.clear()
        if self._changed:
            self._has_executed = True
            changed = [
                (channel.id, channel.head, channel.topic, channel.member_count)
                for channel in self._changed.values()
            ]
            _SAVE_CHANNELS.run(self.connection, changed)
            self._changed.clear()

    def note_message(self, channel: Channel) -> None:
        """Record a new message in a direct channel that some members have hidden."""
        self._with_messages[channel.id] = channel

    def kept_hidden(self) -> dict[str, frozenset[str]]:
        """Return the direct channels with new messages that stay hidden, and from whom."""
        if not self._with_messages:
            return {}
        hidden = {
            channel.name: frozenset(user.name for user in self.lookups.hidden_from(channel))
            for channel in self._with_messages.values()
        }
        return {name: names for name, names in hidden.items() if names}

    def finish(self) -> None:
        """Write the remaining changes before the commit."""
        self.flush()
        self.index.save(self.connection)
        if self._is_exclusive and self.has_written:
            uninvited = [(user.name, ended) for user, ended in self.uninvited]
            notice = Notice(
                0,
                self.now(),
                **self._told,
                uninvited=uninvited,
                has_jobs=self.has_jobs,
                has_audit=bool(self.entries),
            )
            self._version, self.notice = self._database.publish(self.connection, notice)

    # Users, channels and members

    def add_user(
        self, name: str, now: int, *, role: AccountRole = MEMBER, arrived: bool = True
    ) -> User:
        """Add a user, who has no device yet."""
        self.claim()
        user = User(self._next_user, name)
        self._next_user += 1
        self._users.append((user.id, name, fold(name), now, role, None, arrived, False))
        self.lookups.note_user(user, role, arrived=arrived)
        return user

    def add_device(
        self, user: User, token_hash: bytes, label: str, now: int, *, seen: int | None = None
    ) -> int:
        """Add a device with the hash of its token; return its id."""
        self.claim()
        device = self._next_device
        self._next_device += 1
        self._devices.append((device, user.id, token_hash, label, now, seen, None))
        self.lookups.note_device(user, token_hash, device)
        return device

    def record(
        self,
        act: str,
        now: int,
        *,
        actor: User | None,
        user: User | None = None,
        device: int | None = None,
        address: str | None = None,
        details: Mapping[str, str | int | None] | None = None,
    ) -> None:
        """Add an entry to the audit log; `details` that are None are left out, long ones are cut.

        `address` is that of `actor` by default.
        """
        self.claim()
        given = dict(details or {})
        if actor is None and self._login:
            given["login"] = self._login
        known = {key: _cut(str(value)) for key, value in given.items() if value is not None}
        if address is None and actor is not None:
            address = actor.address
        entry = AuditEntry(self._next_entry, now, act, actor, user, device, address, known)
        self._next_entry += 1
        self.entries.append(entry)
        ids = (actor and actor.id, user and user.id, device)
        text = json.dumps(known, ensure_ascii=False)
        self._audit.append((entry.seq, now, act, *ids, address, text))

    def add_job(self, operation: str, arguments: Mapping[str, object]) -> int:
        """Add a job, which the server runs after this commit (see `jobs`); return its id."""
        self.claim()
        job: int = (self.scalar(_NEWEST_JOB) or 0) + 1
        text = json.dumps(arguments)
        self.execute(_ADD_JOB, id=job, created=self.now(), operation=operation, arguments=text)
        self.has_jobs = True
        return job

    def pause_before_opening(self, user: User) -> float:
        """Count a direct channel opened by `user`; return 0 or the seconds to wait."""
        return self._openings.take(user.id, self._monotonic())

    def pause_before_inviting(self, user: User) -> float:
        """Count an invitation to a channel by `user`; return 0 or the seconds to wait."""
        return self._invitations.take(user.id, self._monotonic())

    def pause_before_creating(self, user: User) -> float:
        """Count a channel created by `user`; return 0 or the seconds to wait."""
        return self._creations.take(user.id, self._monotonic())

    def pause_before_linking(self, user: User) -> float:
        """Count a link code created by `user`; return 0 or the seconds to wait."""
        return self._links.take(user.id, self._monotonic())

    def add_channel(self, name: str, *, is_private: bool = False) -> Channel:
        """Create a channel with an empty log."""
        self.claim()
        settings = DEFAULT._replace(private=True) if is_private else DEFAULT
        epoch = self._ids.new()
        channel = Channel(self._next_channel, name, channel_key(name), epoch, 0, "", 0, settings)
        self._next_channel += 1
        state = (channel.epoch, channel.head, channel.topic, channel.member_count)
        unchanged = is_private, "", None, 0, None  # settings, retention, expired, deleted
        self._channels.append(
            (channel.id, name, channel.fold, is_direct(name), *state, self.now(), *unchanged)
        )
        self.lookups.note_channel(channel)
        return channel

    def add_member(
        self,
        channel: Channel,
        user: User,
        role: str,
        read: int,
        *,
        counted: bool = True,
        hidden: bool = False,
    ) -> None:
        """Add a member.

        Args:
            channel: the channel to add them to.
            user: the new member.
            role: their role.
            read: their read marker.
            counted: whether the channel counts against their channel limit.
            hidden: whether the channel is hidden from them until its next message.
        """
        self.claim()
        preference = (0, False, USUAL_LEVEL)
        self._members.append(
            (channel.id, user.id, fold(user.name), role, read, read, *preference, counted, hidden)
        )
        channel.member_count += 1
        self._changed[channel.id] = channel
        self.lookups.note_role(channel, user, role, counted=counted and not hidden)
        if hidden:
            self.lookups.note_hidden(channel, user, is_hidden=True)
        else:
            self.tell("listed", (user.name, channel.name, channel.head))

    def set_role(self, channel: Channel, user: User, role: str) -> None:
        """Change the role of a member."""
        self.claim()
        self.execute(_SET_ROLE, channel=channel.id, user=user.id, new_role=role)
        self.lookups.note_role(channel, user, role, counted=False)

    def set_settings(
        self, channel: Channel, settings: ChannelSettings, retention_from: int | None
    ) -> None:
        """Change the settings of a channel.

        Args:
            channel: the channel.
            settings: all its settings.
            retention_from: when a changed retention takes effect (ms); None: it is unchanged.
        """
        self.claim()
        self.execute(
            _SET_SETTINGS,
            channel=channel.id,
            now_private=settings.private,
            now_settings=encode_settings(settings),
            from_ms=retention_from,
        )
        channel.settings = DEFAULT if settings == DEFAULT else settings

    def free_name(self, channel: Channel) -> None:
        """Mark a channel as deleted, so that its name can be used again at once."""
        self.claim()
        new = f"deleted-{channel.id}"
        self.execute(_FREE_NAME, channel=channel.id, new=new, now=self.now())
        self.lookups.forget_channel(channel)

    def set_hidden(self, channel: Channel, people: Sequence[User], *, is_hidden: bool) -> None:
        """Hide the channel for `people`, or restore it."""
        self.claim()
        for user in people:
            field = "hidden" if is_hidden else "listed"
            self.tell(field, (user.name, channel.name, channel.head))
            self.execute(_SET_HIDDEN, channel=channel.id, user=user.id, is_hidden=is_hidden)
            self.lookups.note_hidden(channel, user, is_hidden=is_hidden)
            self.lookups.forget_count(user)  # a hidden channel does not count

    def remove_member(self, channel: Channel, user: User) -> None:
        """End a membership and delete its read marker."""
        self.claim()
        self.tell("left", (user.name, channel.name, channel.head + 1))
        self.execute(_REMOVE_MEMBER, channel=channel.id, user=user.id)
        channel.member_count -= 1
        self._changed[channel.id] = channel
        self.lookups.note_role(channel, user, None)

    def set_topic(self, channel: Channel, topic: str) -> None:
        """Change the channel's topic."""
        self.claim()
        channel.topic = topic
        self._changed[channel.id] = channel

    # Events

    def sent(self, user: User, cid: str) -> Sent | None:
        """Return the event of a `cid` that `user` has used, or None."""
        found = self._sent.get((user.id, cid))
        return None if found is None else Sent(*found)

    def append(  # noqa: C901  one condition for each optional field
        self,
        channel: Channel,
        author: User,
        kind: str,
        *,
        body: str | None = None,
        mentioned: Sequence[User] = (),
        target: int | None = None,
        me: bool = False,
        reply_to: int | None = None,
        thread: int | None = None,
        thread_only: bool = False,
        remove: bool = False,
        cid: str | None = None,
        details: Details | None = None,
    ) -> EventFields:
        """Append an event to the log of `channel` with the next seq; return it.

        `body` is the value of the kind's field in `BODY_FIELDS`, `mentioned` the mentioned members;
        the other parameters are fields of `protocol.items.Event`.
        """
        seq = channel.head = channel.head + 1
        self._changed[channel.id] = channel
        mid, ts = self._ids.new(), self.now()
        fields: dict[str, Any] = {
            "type": "event",
            "channel": channel.name,
            "seq": seq,
            "mid": mid,
            "ts": ts,
            "author": author.name,
            "kind": kind,
        }
        if body is not None:
            fields[BODY_FIELDS[kind]] = body
        if me:
            fields["me"] = True
        if reply_to is not None:
            fields["reply_to"], fields["thread"] = reply_to, thread
            if thread_only:
                fields["thread_only"] = True
        if mentioned:
            self.add_mentions(channel, seq, mentioned)
            fields["mentions"] = tuple(user.name for user in mentioned)
        if target is not None:
            fields["target"] = target
        if remove:
            fields["remove"] = True
        if details is not None:
            fields |= details.fields()
            body = details.encode()
        packed = None
        if cid is not None:
            fields["cid"] = cid
            packed = self._packed[cid]
            self._sent[author.id, cid] = channel.id, kind, target, seq, mid, ts
        event = cast("EventFields", fields)
        self.events.append(event)
        self.channel_ids.append(channel.id)
        if body is not None and kind in ("message", "edit"):
            self.index.add(channel.id, target or seq, author.id, body)
        flags = flags_of(kind, me=me, remove=remove, thread_only=thread_only)
        if self._next_event == self._events_end:
            self._next_event, self._events_end = self._database.event_ids(self.connection)
        stored_mid = bytearray.fromhex(mid)
        row = (self._next_event, channel.id, seq, ts, author.id, flags, stored_mid, packed)
        if target is None and reply_to is None:
            self._lines.append((*row, body))
        else:
            self._events.append((*row, target, reply_to, thread, body))
        self._next_event += 1
        return event

    def reply_target(self, channel: Channel, seq: int) -> ReplyTarget | None:
        """Return the message `seq` as the target of a reply, or None if it is not a message."""
        target = self.lookups.reply_target(channel, seq)
        if target is None and seq <= channel.head and (self._lines or self._events):
            self.flush()  # it may be from this transaction
            target = self.lookups.reply_target(channel, seq)
        return target

    def append_about(self, operation: AppendAbout, channel: Channel, **fields: Any) -> EventFields:
        """Append the event of an operation that targets a message; `fields` as in `append`."""
        return self.append(
            channel,
            operation.user,
            operation.kind,
            target=operation.seq,
            cid=operation.cid,
            **fields,
        )

    @property
    def last_event(self) -> int:
        """The id of the last appended event."""
        return self._next_event - 1

    def add_mentions(self, channel: Channel, seq: int, mentioned: Sequence[User]) -> None:
        """Add the members whom the text of an event mentions."""
        self._mentions.extend(
            (channel.id, seq, place, user.id) for place, user in enumerate(mentioned)
        )

    def follow_thread(
        self, channel: Channel, thread: int, user: User, read: int, *, is_writer: bool
    ) -> None:
        """Make a user follow the thread with the root `thread`, with the read marker `read`.

        Someone who has a marker keeps it; someone who stopped following the thread follows it
        again only as the writer of a reply.
        """
        key = user.id, channel.id, thread
        (self._writers if is_writer else self._followers).append((*key, read, True))
        self.lookups.followers[key] = is_writer

    def _clear(self) -> None:
        self._sent.clear()
        self._changed.clear()
        self.index.clear()
        for _, rows in self._buffered:
            rows.clear()


def _cut(detail: str) -> str:
    """Return a detail as a line that every client accepts; lists end after a whole item."""
    if len(detail) <= DETAIL_MAX:
        return detail
    kept = detail[: DETAIL_MAX - 2]
    return f"{kept.rpartition(' ')[0] or kept} …"
