"""Read from the store; each method checks the user's permissions and standing (`standing`).

All methods of a `Reader` read from the same snapshot, so their results are consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    Connection,
    Integer,
    bindparam,
    exists,
    false,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import ResumeFrom
from chat.protocol.items import EventFields, ItemFields
from chat.protocol.limits import LIST_MAX
from chat.protocol.values import Limits
from chat.rights import DEFAULT, GENERAL, OWNER, rights_of, standing_of
from chat.store import schema
from chat.store.accounts import ADMIN
from chat.store.backend import Database
from chat.store.channels import ChannelBan
from chat.store.details import Details, decode, decode_settings, ids_in
from chat.store.operations import (
    ChannelHead,
    ChannelState,
    MemberPage,
    MemberRow,
    Membership,
    Muted,
    Notice,
    OpenInvitation,
    PageRead,
    Preference,
    PublicChannel,
    Resumed,
    ThreadState,
    User,
)
from chat.store.read.accounts import AccountReader
from chat.store.read.standing import Standings
from chat.store.read.timeline import (
    EVENTS_ONWARD,
    PAGE_BYTES,
    PINS_BYTES,
    ChannelLines,
    Lines,
    PinnedLines,
    ThreadLines,
    items_of,
    names_of,
    root_of,
    size_of,
    with_own,
)
from chat.store.read.unread import (
    COUNTS_OF_ONE,
    THREADS,
    THREADS_MAX,
    has_unread,
    mentions_above,
    newest_threads,
    unread_above,
)
from chat.store.rights import channel_key, check_is_member, effective_role, no_such_channel
from chat.store.schema import (
    channel_bans,
    channel_invitations,
    channels,
    events,
    followed_threads,
    has_kind,
    ignores,
    is_change,
    is_line,
    members,
    mutes,
    newest_ts,
    users,
)
from chat.store.search.search import Found, SearchedChannel, Wanted, search, searched_channels
from chat.store.sql import Among, Prepared
from chat.text import fold

__all__ = ["Reader"]


_Members = tuple[tuple[MemberRow, ...], str | None]
_BEYOND = 2**63 - 1

_STATE = (
    channels.c.id,
    channels.c.name,
    channels.c.epoch,
    channels.c.head,
    channels.c.topic,
    channels.c.settings,
    type_coerce(channels.c.is_private, Integer),  # a conversion takes as long as the rest of a row
)
_PREFERENCE = (members.c.pinned, members.c.muted, members.c.level)
_COUNTS = Prepared(
    COUNTS_OF_ONE.add_columns(
        *_PREFERENCE,
        exists().where(
            mutes.c.channel_id == members.c.channel_id, mutes.c.user_id == members.c.user_id
        ),
        exists().where(
            followed_threads.c.user_id == members.c.user_id,
            followed_threads.c.channel_id == members.c.channel_id,
        ),
    )
)
_actors = users.alias("actors")
_MUTES = Prepared(
    select(mutes.c.channel_id, _actors.c.name, mutes.c.until, mutes.c.reason)
    .join_from(mutes, _actors, _actors.c.id == mutes.c.by_id)
    .where(mutes.c.user_id == bindparam("user"))
)
_ACCOUNT_ROLE = Prepared(select(users.c.role).where(users.c.id == bindparam("user")))
# Others can make a user a member of any number of direct channels, so the list is bounded. Channels
# that the user opened come first, then those that they have read, then those with recent events.
_membership, _direct = members.alias("membership"), channels.alias("direct")
_listed_direct = (
    select(_membership.c.channel_id)
    .join_from(_membership, _direct, _membership.c.channel_id == _direct.c.id)
    .where(
        _membership.c.user_id == bindparam("user"),
        _membership.c.hidden == false(),
        _direct.c.is_direct == true(),
    )
    .order_by(
        _membership.c.counted.desc(), (_membership.c.read_seq > 0).desc(), newest_ts(_direct).desc()
    )
    .limit(bindparam("direct_limit", type_=members.c.read_seq.type))
)
_MEMBERSHIPS = Prepared(
    select(
        *_STATE,
        members.c.role,
        members.c.read_seq,
        unread_above,
        mentions_above,
        *_PREFERENCE,
    )
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(
        members.c.user_id == bindparam("user"),
        members.c.hidden == false(),
        channels.c.deleted.is_(None),
        or_(channels.c.is_direct == false(), members.c.channel_id.in_(_listed_direct)),
    )
    .order_by(channels.c.fold)
)
_unread_threads = THREADS.where(has_unread).order_by(followed_threads.c.thread.desc())
_is_of_channel = followed_threads.c.channel_id == bindparam("channel")
_THREADS = Prepared(_unread_threads), Prepared(newest_threads())
_THREADS_OF_CHANNEL = (
    Prepared(_unread_threads.where(_is_of_channel).limit(THREADS_MAX)),
    Prepared(newest_threads(members.c.channel_id == bindparam("channel"))),
)
_CHANNEL = Prepared(
    select(*_STATE, channels.c.member_count, members.c.role)
    .join_from(
        channels,
        members,
        (members.c.channel_id == channels.c.id) & (members.c.user_id == bindparam("user")),
        isouter=True,
    )
    .where(channels.c.fold == bindparam("fold"))
)
_LAST_LEAVE = Prepared(
    select(events.c.text)
    .where(
        events.c.channel_id == bindparam("channel"),
        events.c.seq > bindparam("after"),
        events.c.author_id == bindparam("user"),
        is_line,
        has_kind("leave"),
    )
    .order_by(events.c.seq.desc())
    .limit(1)
)
_SEARCHED_FOR_LEAVE = 100_000
"""Newest events of a channel among which the end of a membership is searched."""
_PINS = Prepared(
    select(schema.pins.c.target)
    .where(schema.pins.c.channel_id == bindparam("channel"))
    .order_by(schema.pins.c.target)
)
_count = bindparam("count", type_=events.c.seq.type)
_is_event = (events.c.channel_id == bindparam("channel"), events.c.seq == bindparam("number"))
_MID = Prepared(
    union_all(
        select(events.c.mid).where(*_is_event, is_line),
        select(events.c.mid).where(*_is_event, is_change),
    )
)
_MEMBERS = Prepared(
    select(
        members.c.user_fold,
        users.c.name,
        members.c.role,
        users.c.role.label("account_role"),
        mutes.c.created.label("muted"),
        mutes.c.until,
    )
    .join_from(members, users, members.c.user_id == users.c.id)
    .outerjoin(
        mutes,
        (mutes.c.channel_id == members.c.channel_id) & (mutes.c.user_id == members.c.user_id),
    )
    .where(
        members.c.channel_id == bindparam("channel"),
        members.c.user_fold > bindparam("cursor"),
    )
    .order_by(members.c.user_fold)
    .limit(_count)
)
_DIRECTORY = Prepared(
    select(
        channels.c.fold,
        channels.c.name,
        channels.c.topic,
        channels.c.member_count,
        channels.c.settings,
    )
    .where(
        channels.c.is_direct == false(),
        channels.c.is_private == false(),
        channels.c.deleted.is_(None),
        channels.c.fold > bindparam("cursor"),
    )
    .order_by(channels.c.fold)
    .limit(_count)
)
_BANS = Prepared(
    select(
        channel_bans.c.id,
        users.c.name,
        channel_bans.c.created,
        channel_bans.c.until,
        channel_bans.c.reason,
        _actors.c.name,
    )
    .join_from(channel_bans, users, users.c.id == channel_bans.c.user_id)
    .join(_actors, _actors.c.id == channel_bans.c.by_id)
    .where(
        channel_bans.c.channel_id == bindparam("channel"),
        channel_bans.c.id < bindparam("before", type_=events.c.seq.type),
        or_(channel_bans.c.until.is_(None), channel_bans.c.until > bindparam("now")),
    )
    .order_by(channel_bans.c.id.desc())
    .limit(_count)
)
_INVITATIONS = Prepared(
    select(
        channels.c.name,
        users.c.name,
        channel_invitations.c.created,
        channels.c.topic,
        channels.c.is_private,
    )
    .join_from(channel_invitations, channels, channels.c.id == channel_invitations.c.channel_id)
    .join(users, users.c.id == channel_invitations.c.by_id)
    .where(
        channel_invitations.c.user_id == bindparam("user"),
        channel_invitations.c.is_silent == false(),
        channels.c.deleted.is_(None),
    )
    .order_by(channel_invitations.c.created.desc())
    .limit(LIST_MAX)
)
_IGNORED = Prepared(
    select(users.c.name)
    .join_from(ignores, users, users.c.id == ignores.c.ignored_id)
    .where(ignores.c.user_id == bindparam("user"))
    .order_by(users.c.fold)
)
_HEADS = Among(
    select(channels.c.id, channels.c.name, channels.c.epoch, channels.c.head), channels.c.id
)
_IDS = Among(select(channels.c.name, channels.c.id), channels.c.fold)
_NAME = Prepared(select(channels.c.name).where(channels.c.id == bindparam("channel")))
_USER = Prepared(select(users.c.id, users.c.name).where(users.c.fold == bindparam("fold")))


class _Entered(NamedTuple):
    """A channel that a user reads: with their role, and its number of members."""

    channel: ChannelState
    role: str
    member_count: int


class Reader:
    """Reads one snapshot; valid only during its query."""

    def __init__(
        self,
        connection: Connection,
        limits: Limits,
        clock_ms: Callable[[], int],
        database: Database,
    ) -> None:
        self._connection = connection
        self._database = database
        self._limits = limits
        self._clock_ms = clock_ms
        self._standings = Standings(clock_ms)
        self.accounts = AccountReader(connection, self._standings, clock_ms)
        # Caches, valid for the snapshot: `join` checks the same membership twice, and many users
        # who join a channel at the same time read the same page and the same members.
        self._entered: dict[tuple[int, str], _Entered] = {}
        self._pages: dict[tuple[int, int | None, int], PageRead] = {}
        self._members: dict[tuple[int, str | None, int], _Members] = {}

    def user(self, name: str) -> User | None:
        """Return the user with this name (case-insensitive)."""
        row = _USER.first(self._connection, fold=fold(name))
        return User(*row) if row is not None else None

    def memberships(self, user: User) -> tuple[Membership, ...]:
        """Return the channels in the list of `user`, by name.

        Hidden direct channels are left out; at most `limits.channels` others are returned.

        Raises:
            CommandError: banned, disabled, revoked.
        """
        self._standings.check(self._connection, user)
        rows = _MEMBERSHIPS.all(
            self._connection,
            user=user.id,
            unread_limit=self._limits.unread,
            direct_limit=self._limits.channels,
        )
        mute_of, threads_of = self._mutes(user), self._threads(user)
        found = []
        for row in rows:  # by place, as elsewhere: access by name takes as long as the rest
            place, name, epoch, head, topic, settings, is_private, role, *counts = row
            read, unread, mentions, pinned, muted, level = counts
            if name == GENERAL:
                role = self._effective_role(user, name, role)
            found.append(
                Membership(
                    _state(place, name, epoch, head, topic, settings, is_private),
                    role,
                    read,
                    unread,
                    mentions,
                    Preference(pinned, muted, level),
                    mute_of.get(place) if role != OWNER else None,
                    tuple(threads_of.get(place, ())),
                )
            )
        return tuple(found)

    def membership(self, user: User, channel: str) -> Membership:
        """Return the membership of `user` in a channel.

        Raises:
            CommandError: no_such_channel, not_a_member.
        """
        state, role, _members = self._enter(user, channel)
        read, unread, mentions, *preference, has_mute, has_threads = _COUNTS.first(
            self._connection, channel=state.id, user=user.id, unread_limit=self._limits.unread
        )
        return Membership(
            state,
            role,
            read,
            unread,
            mentions,
            Preference(*preference),
            self._mutes(user).get(state.id) if has_mute and role != OWNER else None,
            tuple(self._threads(user, state).get(state.id, ())) if has_threads else (),
        )

    def _mutes(self, user: User) -> dict[int, Muted]:
        """Return the mutes of `user` that are in force, by channel."""
        return {
            channel: Muted(by, until, reason)
            for channel, by, until, reason in _MUTES.all(self._connection, user=user.id)
            if self._is_in_force(until)
        }

    def _effective_role(self, user: User, channel: str, role: str) -> str:
        if channel != GENERAL:
            return role
        account_role = _ACCOUNT_ROLE.scalar(self._connection, user=user.id)
        return effective_role(channel, role, is_admin=account_role == ADMIN)

    def _threads(
        self, user: User, channel: ChannelState | None = None
    ) -> dict[int, list[ThreadState]]:
        """Return the followed threads, by channel, of one or all channels.

        They are those with unread replies, and then the others of the newest.
        """
        unread, newest = _THREADS if channel is None else _THREADS_OF_CHANNEL
        where = {"user": user.id} | ({} if channel is None else {"channel": channel.id})
        limit = self._limits.unread
        found: dict[int, dict[int, ThreadState]] = {}
        for place, root, *state in unread.all(self._connection, **where, unread_limit=limit):
            threads = found.setdefault(place, {})
            if len(threads) < THREADS_MAX:
                threads[root] = ThreadState(root, *state)
        for place, root, read in newest.all(self._connection, **where):
            found.setdefault(place, {}).setdefault(root, ThreadState(root, read, 0, 0))
        return {place: list(threads.values()) for place, threads in found.items()}

    def _is_in_force(self, until: int | None) -> bool:
        return until is None or until > self._clock_ms()

    def page(
        self,
        user: User,
        channel: str,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        thread: int | None = None,
        pins: bool = False,
        limit: int,
    ) -> PageRead:
        """Return a page `before`, `after` or `around` a seq, or the newest page.

        Args:
            user: the reader.
            channel: the channel's name as typed.
            before: read lines only, as for `around` and the newest page; `complete` means that no
                older lines exist.
            after: read events of every kind; `complete` means that no later events exist.
            around: half of the page is before this seq, the rest starts at it.
            thread: read only the thread of this message, starting with its root, also with `after`.
            pins: read only pinned messages, optionally with `before`.
            limit: most items; a page is cut at `PAGE_BYTES`.

        Raises:
            CommandError: no_such_channel, not_a_member; no_such_message for a `thread`.
        """
        state, _role, _members = self._enter(user, channel)
        if after is not None and thread is None:
            page = self._after(state, after, limit)
        else:
            page = self._lines(state, before, after, around, thread, limit, pins=pins)
        return page._replace(items=self._seen_by(user, page))

    def _lines(
        self,
        state: ChannelState,
        before: int | None,
        after: int | None,
        around: int | None,
        thread: int | None,
        limit: int,
        *,
        pins: bool,
    ) -> PageRead:
        lines: Lines = ChannelLines(self._connection, state.id)
        if thread is not None:
            root = root_of(self._connection, state.id, thread)
            lines = ThreadLines(self._connection, state.id, root)
        elif pins:
            lines = PinnedLines(self._connection, state.id)
        if after is not None:
            return self._onward(state, lines, after + 1, limit)
        if around is not None:
            return self._around(state, lines, around, limit)
        anchor = before if before is not None else state.head + 1
        return self._before(state, lines, anchor, limit, PINS_BYTES if pins else PAGE_BYTES)

    def resume(
        self,
        user: User,
        channel: str,
        position: ResumeFrom | None,
        *,
        limit: int,
        window: int,
    ) -> Resumed:
        """Return the events after `position`, or the newest page if it cannot be resumed.

        Args:
            user: the reader.
            channel: the channel's name as typed.
            position: the client's position; None: it has none.
            limit: most items.
            window: number of missed events above which the newest page is returned instead.

        Raises:
            CommandError: no_such_channel, not_a_member.
        """
        membership = self.membership(user, channel)
        state = membership.channel
        pins = tuple(_PINS.column(self._connection, channel=state.id))
        is_within = position is not None and self._is_within(state, position, window)
        page = self._shared_page(state, position.after if position and is_within else None, limit)
        return Resumed(
            membership,
            pins,
            recovered=is_within,
            items=self._seen_by(user, page),
            complete=page.complete if is_within else True,
        )

    def removal(self, user: User, channel: str, position: ResumeFrom) -> Details | None:
        """Return how someone else ended the user's membership after a position in the log.

        None: the user is a member, left, or never was a member.

        Raises:
            CommandError: the session must end.
        """
        self._standings.check(self._connection, user)
        row = _CHANNEL.first(self._connection, fold=channel_key(channel), user=user.id)
        if row is None or row.role is not None:
            return None
        state = _state(*row[:7])
        if position.epoch != state.epoch:
            return None
        after = max(position.after, state.head - _SEARCHED_FOR_LEAVE)
        stored = _LAST_LEAVE.scalar(self._connection, channel=state.id, after=after, user=user.id)
        if not stored:
            return None
        return decode(stored, names_of(self._connection, ids_in(stored)))

    def members(self, user: User, channel: str, *, cursor: str | None, limit: int) -> MemberPage:
        """Return a page of members by name.

        Raises:
            CommandError: no_such_channel, not_a_member.
        """
        state, _role, total = self._enter(user, channel)
        key = state.id, cursor, limit
        if key not in self._members:
            rows, following = self._paged(_MEMBERS, cursor, limit, channel=state.id)
            self._members[key] = tuple(self._member(state.name, row) for row in rows), following
        return MemberPage(state.name, *self._members[key], total)

    def _member(self, channel: str, row: Sequence[Any]) -> MemberRow:
        _fold, name, role, account_role, muted, until = row
        role = effective_role(channel, role, is_admin=account_role == ADMIN)
        is_muted = muted is not None and role != OWNER and self._is_in_force(until)
        return MemberRow(name, role, is_muted)

    def channel_bans(
        self, user: User, channel: str, *, cursor: int | None, limit: int
    ) -> tuple[str, tuple[ChannelBan, ...], int | None]:
        """Return the channel's name, a page of the bans in force, and the next page's cursor.

        Raises:
            CommandError: no_such_channel, not_a_member, forbidden.
        """
        found = self.membership(user, channel)
        state = found.channel
        standing = standing_of(found.role, is_muted=found.mute is not None)
        if "moderate" not in rights_of(standing, state.settings):
            raise CommandError(
                ErrorCode.FORBIDDEN,
                f"only the owner and the moderators of {state.name} may see its bans",
            )
        rows = _BANS.all(
            self._connection,
            channel=state.id,
            before=cursor or _BEYOND,
            now=self._clock_ms(),
            count=limit + 1,
        )
        following = rows[limit - 1][0] if len(rows) > limit else None
        return state.name, tuple(ChannelBan(*row) for row in rows[:limit]), following

    def channel_invitations(self, user: User) -> tuple[OpenInvitation, ...]:
        """Return the open invitations of `user` that reach them, newest first, up to a limit.

        Raises:
            CommandError: banned, disabled, revoked.
        """
        self._standings.check(self._connection, user)
        return tuple(
            OpenInvitation(*row) for row in _INVITATIONS.all(self._connection, user=user.id)
        )

    def ignored(self, user: User) -> tuple[str, ...]:
        """Return the names of the users whom `user` ignores, by name."""
        return tuple(_IGNORED.column(self._connection, user=user.id))

    def search(self, user: User, channel: str | None, wanted: Wanted) -> Found:
        """Return a page of search results, from one channel or from all channels of `user`.

        Raises:
            CommandError: no_such_channel, not_a_member, unavailable.
        """
        self._standings.check(self._connection, user)
        if channel is None:
            searched = searched_channels(self._connection, user, self._limits)
        else:  # the time is not used for a single channel
            searched = [SearchedChannel(self._enter(user, channel)[0], last=0)]
        author = self.user(wanted.author) if wanted.author is not None else None
        if wanted.author is not None and author is None:
            return Found((), None)
        author_id = author.id if author is not None else None
        lookup = self._database.lookup(self._connection)
        return search(self._connection, lookup, searched, author_id, wanted)

    def directory(
        self, user: User | None, *, cursor: str | None, limit: int
    ) -> tuple[tuple[PublicChannel, ...], str | None]:
        """Return a page of the public channels by name, and the cursor of the next page.

        `user` is the reader, or None for the operator.
        """
        if user is not None:
            self._standings.check(self._connection, user)
        rows, following = self._paged(_DIRECTORY, cursor, limit)
        listed = (
            PublicChannel(name, topic, count, decode_settings(settings, is_private=False).archived)
            for _fold, name, topic, count, settings in rows
        )
        return tuple(listed), following

    # What a server that shares the database must know

    def heads(self, channel_ids: Collection[int]) -> dict[int, ChannelHead]:
        """Return the positions of channels, by id."""
        rows = _HEADS.rows(self._connection, channel_ids)
        return {channel_id: ChannelHead(*head) for channel_id, *head in rows}

    def ids_of(self, names: Collection[str]) -> dict[str, int]:
        """Return the ids of channels by their stored names."""
        found = _IDS.rows(self._connection, [channel_key(name) for name in names])
        return {name: channel_id for name, channel_id in found if name in names}

    def events_after(self, channel_id: int, seq: int, limit: int) -> tuple[EventFields, ...]:
        """Return the events of a channel after `seq`, at most `limit`, as they are delivered.

        A message that has changed since has its latest text; the events that changed it follow.
        """
        where = {"channel": channel_id, "anchor": seq + 1, "count": limit}
        items = items_of(self._connection, channel_id, EVENTS_ONWARD.all(self._connection, **where))
        name = _NAME.scalar(self._connection, channel=channel_id)
        return tuple(_event(name, item) for item in items)

    def mid_at(self, channel_id: int, seq: int) -> str | None:
        """Return the `mid` of an event, or None: the log does not reach it."""
        mid = _MID.scalar(self._connection, channel=channel_id, number=seq)
        return mid.hex() if mid is not None else None

    def generation(self) -> int:
        """Return the database's generation; 0 if no other server can share it."""
        return self._database.generation(self._connection)

    def timeline(self) -> str:
        """Return what changes when an older state of the database continues; see `Database`."""
        return self._database.timeline(self._connection)

    def notices_after(self, generation: int) -> list[Notice] | None:
        """Return the notices of later generations; None if some are removed already."""
        return self._database.notices_after(self._connection, generation)

    def _enter(self, user: User, name: str) -> _Entered:
        """Return the channel for a member; a private one does not exist for others."""
        if known := self._entered.get((user.id, name)):
            return known
        self._standings.check(self._connection, user)
        row = _CHANNEL.first(self._connection, fold=channel_key(name), user=user.id)
        if row is None:
            raise no_such_channel(name)
        state, (member_count, role) = _state(*row[:7]), row[7:]
        role = check_is_member(name, role, is_private=state.settings.private)
        found = _Entered(state, self._effective_role(user, state.name, role), member_count)
        self._entered[user.id, name] = found
        return found

    def _is_within(self, state: ChannelState, position: ResumeFrom, window: int) -> bool:
        """Whether a position belongs to this log and is at most `window` events behind."""
        if position.epoch != state.epoch or not 0 <= state.head - position.after <= window:
            return False
        if position.mid is None or position.after == 0:
            return True
        return self.mid_at(state.id, position.after) == position.mid

    def _seen_by(self, user: User, page: PageRead) -> tuple[ItemFields, ...]:
        return with_own(self._connection, page.channel.id, user, page.items)

    def _shared_page(self, state: ChannelState, after: int | None, limit: int) -> PageRead:
        """Return the page after a seq, or the newest page for None."""
        key = state.id, after, limit
        if (page := self._pages.get(key)) is None:
            if after is not None:
                page = self._after(state, after, limit)
            else:
                lines = ChannelLines(self._connection, state.id)
                page = self._before(state, lines, state.head + 1, limit)
            self._pages[key] = page
        return page

    def _after(self, state: ChannelState, anchor: int, limit: int) -> PageRead:
        rows = EVENTS_ONWARD.all(self._connection, channel=state.id, anchor=anchor + 1, count=limit)
        items = self._items(state, rows)
        complete = (items[-1]["seq"] if items else anchor) >= state.head
        return PageRead(state, items, complete)

    def _onward(self, state: ChannelState, lines: Lines, anchor: int, limit: int) -> PageRead:
        rows = lines.onward(anchor, limit + 1)
        items = self._items(state, rows[:limit])
        return PageRead(state, items, len(items) == len(rows))

    def _before(
        self,
        state: ChannelState,
        lines: Lines,
        anchor: int,
        limit: int,
        size: int = PAGE_BYTES,
    ) -> PageRead:
        rows = lines.before(anchor, limit + 1)
        items = self._items(state, rows[:limit], size)
        return PageRead(state, items[::-1], len(items) == len(rows))

    def _around(self, state: ChannelState, lines: Lines, anchor: int, limit: int) -> PageRead:
        rows = lines.onward(anchor, limit - limit // 2)
        later = self._items(state, rows, PAGE_BYTES // 2)
        earlier = self._before(state, lines, anchor, limit - len(later), PAGE_BYTES // 2)
        return PageRead(state, earlier.items + later, earlier.complete)

    def _items(
        self, state: ChannelState, rows: Sequence[Any], size: int = PAGE_BYTES
    ) -> tuple[ItemFields, ...]:
        """Return the items of the first `rows` that fit into `size` bytes, at least one."""
        items = items_of(self._connection, state.id, rows)
        for count, item in enumerate(items):
            size -= size_of(item)
            if size < 0 and count:
                return items[:count]
        return items

    def _paged(
        self, statement: Prepared, cursor: str | None, limit: int, **where: object
    ) -> tuple[list[Any], str | None]:
        """Return the rows of a page, and the cursor (first column) if more rows follow."""
        rows = [*statement.all(self._connection, **where, cursor=cursor or "", count=limit + 1)]
        return rows[:limit], rows[limit - 1][0] if len(rows) > limit else None


_ITEM_ONLY = frozenset(("rev", "edited", "pinned", "reactions", "reaction_counts"))


def _event(channel: str, item: ItemFields) -> EventFields:
    fields = {key: value for key, value in item.items() if key not in _ITEM_ONLY}
    return cast("EventFields", {"type": "event", "channel": channel, **fields})


def _state(
    channel_id: int, name: str, epoch: str, head: int, topic: str, settings: str, is_private: int
) -> ChannelState:
    if not settings and not is_private:
        return ChannelState(channel_id, name, epoch, head, topic, DEFAULT)
    decoded = decode_settings(settings, is_private=bool(is_private))
    return ChannelState(channel_id, name, epoch, head, topic, decoded)
