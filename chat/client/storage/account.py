"""One account (a name on one server): its outbox, and its channels with the cached lines.

Changes, including drafts, are collected in memory and written at most `FLUSH_DELAY` later
(`sync/engine.py`); only sent messages are written at once. The cache is written before the outbox,
so a line is stored before its row goes. A damaged cache is deleted; its lines are loaded again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chat.client.model.channel import Channel
from chat.client.model.log_view import LogView
from chat.client.model.membership import ROOMS, Invitation
from chat.client.model.preferences import PreferenceChange
from chat.client.model.records import ChannelRecord, DamagedFile, DiskError, OutboxRow
from chat.client.model.state import FEATURES, LAST_CHANNEL, SERVER_NAME, Message
from chat.client.storage.cache_db import CacheDb
from chat.client.storage.database import delete_database
from chat.client.storage.json_values import list_of, text
from chat.client.storage.outbox import CACHE, OPENING, OUTBOX, Outbox
from chat.client.storage.outbox_db import (
    OutboxDb,
    ReadMarker,
    preference_change_from,
    preference_values,
)
from chat.client.storage.recovery import one_file
from chat.errors import StartupError
from chat.text import fold, is_direct

if TYPE_CHECKING:
    from chat.protocol.commands import ResumeFrom

__all__ = ["Account", "account_exists", "put_into_outbox", "was_signed_in"]

FILE_MAX = 2 * 1024**3
"""Maximum bytes of an account's cache (millions of messages); beyond it, lines are dropped."""

_log = logging.getLogger(__name__)
T = TypeVar("T")

_IN_MEMORY = "Your text is kept in memory and is sent when the file is writable again."
_COUNTED_MAX = 1_000
_THREAD_MAX = 500
_HELLO_LIMITS = "hello-limits"
"""The preference that stores `limits.frame` and the number of positions allowed in `hello`."""
_IGNORED = "ignored"
"""The preference that stores the ignored users, as JSON."""
_HELLO_USUAL = (65_536, 500)


class Account:
    """A name on one server, with its channels and files.

    Args:
        path: the folder of its files.
        me: the name.
        adopt: folders of other accounts whose outbox and drafts are taken over: typed before the
            server was known, or with a name that was rejected.
        changed: called when there is something to flush.
        report: called with a message for the user when a file is damaged or not writable.
        file_max: maximum bytes of the cache.

    Raises:
        StartupError: a file was written by a newer version.
    """

    def __init__(
        self,
        path: Path,
        me: str,
        *,
        adopt: Iterable[Path] = (),
        changed: Callable[[], None],
        report: Callable[[str], None],
        file_max: int = FILE_MAX,
    ) -> None:
        self._file_max = file_max
        self.me = me
        self.path = path
        self._tell_changed = changed
        self._report = report
        self.is_unwritable = False
        """Whether a file is not writable; its changes are still in memory."""
        self._cache_damage: DamagedFile | None = None
        self._reset_channels: set[str] = set()
        self._changed_elsewhere: set[str] = set()
        self._dirty: set[str] = set()
        self.channels: dict[str, Channel] = {}
        self.outbox = Outbox(path, adopted=adopt, report=report)
        self._ignored = frozenset(map(fold, self.ignored))
        if self.outbox.unwritable:
            self._report_disk_error(self.outbox.unwritable)
        self._cache, records = self._open_cache(0.0 if self.is_unwritable else OPENING)
        self.invitations: dict[str, Invitation] = {}
        """The user's open invitations by channel, newest first; only in memory."""
        self.has_signed_in = False
        """Whether this name has ever signed in; until then only `#general` is listed."""
        self._load(records)

    # Opening

    def _open_cache(self, timeout: float) -> tuple[CacheDb, list[ChannelRecord]]:
        path = self.path / CACHE
        try:
            try:
                cache = CacheDb(path, timeout=timeout)
                return cache, cache.channels()
            except DamagedFile as exc:
                self._report_cache_reset(exc)
                delete_database(path)
                return CacheDb(path, timeout=timeout), []
        except (DiskError, OSError) as exc:
            self._report_disk_error(str(exc))
            cache = CacheDb(path, unwritable=str(exc))
            with suppress(DiskError):
                return cache, cache.channels()
            return cache, []

    def _load(self, records: list[ChannelRecord]) -> None:
        for record in records:
            self._restore(record)
        for channel in (*self.outbox.channels(), *self.outbox.drafted()):
            self.ensure_channel(channel)
        self.has_signed_in = bool(records) or bool(self.outbox.prefs.get(SERVER_NAME))

    def _restore(self, record: ChannelRecord) -> None:
        self.ensure_channel(record.name).restore(record)
        self._take_mark(self.channels[record.name])

    def take_over(self, before: Account) -> None:
        """Take over the unsaved state of another account."""
        self.outbox.take_over(before.outbox)
        self._apply_preference_changes()
        for channel in before.channels.values():
            view = channel.view
            if channel.is_stored and (channel.preference_change or view.read > channel.server_read):
                known = self.ensure_channel(channel.name)
                known.view.advance_marker(view.marker_epoch, view.read, view.unread, view.mentions)
                self.touch(known)

    def signed_in(self, server: str, features: Iterable[str] = ()) -> None:
        """Note a successful connection, and the server's display name and features."""
        self.has_signed_in = True
        for key, value in ((SERVER_NAME, server), (FEATURES, " ".join(features))):
            if self.outbox.prefs.get(key) != value:
                self.set_pref(key, value)

    def renamed(self, me: str) -> None:
        """Set the user's name as the server spells it."""
        self.me = me
        for channel in self.channels.values():
            channel.view.me = me

    def note_features(self, features: Iterable[str]) -> None:
        """Prepare for a server with these features, before its positions are resumed.

        The lines that were stored before the server or this client knew rooms lack details: which
        replies are only in their threads, kicks, settings. They are loaded again.
        """
        if ROOMS in features and ROOMS not in self.outbox.prefs.get(FEATURES).split():
            for channel in self.channels.values():
                if channel.is_stored and channel.view.epoch:
                    channel.view.forget()
                    self.touch(channel)

    def close(self) -> None:
        """Flush, and close the files."""
        self.flush()
        self.outbox.close()
        self._cache.close()

    # Channels

    def ensure_channel(self, name: str) -> Channel:
        """Return the channel, created if it is unknown."""
        found = self.channels.get(name)
        if found is None:
            view = LogView(
                name,
                self.me,
                lambda seq: self._read(lambda: self._cache.line(name, seq), None),
                lambda: self._cache.discard(name),
                lambda up_to, seq: self._cache.expire(name, up_to, seq),
                self.ignores,
            )
            found = self.channels[name] = Channel(view)
            found.preference_change = self._stored_preference_change(name)
            self._take_mark(found)
        return found

    def _take_mark(self, channel: Channel) -> bool:
        """Apply the read marker in the outbox's file if it is further."""
        view, mark = channel.view, self.outbox.marks.get(channel.name)
        if mark is None or mark.seq <= view.read or view.epoch not in ("", mark.epoch):
            return False
        view.advance_marker(*mark, *self._count_above(channel, mark.seq))
        return True

    def touch(self, channel: Channel) -> None:
        """Mark the channel as changed, to be written."""
        if channel.is_stored:
            self._dirty.add(channel.name)
        self._tell_changed()

    def forget(self, channel: Channel) -> None:
        """Forget a channel that the user has left; its unsent messages stay."""
        self.channels.pop(channel.name, None)
        self._dirty.discard(channel.name)
        self._cache.discard(channel.name)
        self._forget_preference_change(channel.name, channel.preference_change)
        self.outbox.forget_mark(channel.name)
        self._tell_changed()
        if channel.name in self.outbox.channels() or channel.name in self.outbox.drafted():
            self.ensure_channel(channel.name)

    def lines_before(self, channel: Channel, before: int, limit: int) -> tuple[list[Message], int]:
        """Return up to `limit` lines before seq `before`, without a gap.

        Returns:
            The lines of the channel's timeline, and the lowest seq from which on nothing is
            missing.
        """
        view = channel.view
        span = view.coverage.around(before - 1)
        if span is None:
            return [], before
        stored: list[Message] = self._read(
            lambda: self._cache.lines_before(channel.name, before, span[0], limit), []
        )
        found = {line.seq or 0: line for line in stored}
        found |= {
            seq: line
            for seq, line in view.changed.items()
            if span[0] <= seq < before and not line.thread_only
        }
        chosen = sorted(found)[-limit:]
        lowest = chosen[0] if len(chosen) == limit else span[0]
        return [found[seq] for seq in chosen], lowest

    def thread_only(self, channel: Channel, before: int, lowest: int) -> list[Message]:
        """Return the known replies in a range that are only in their threads, in order."""
        stored: list[Message] = self._read(
            lambda: self._cache.thread_only(channel.name, before, lowest, _COUNTED_MAX), []
        )
        found = {line.seq or 0: line for line in stored}
        changed = channel.view.changed.items()
        found |= {seq: line for seq, line in changed if lowest <= seq < before and line.thread_only}
        return [found[seq] for seq in sorted(found)]

    def lines_with(self, channel: Channel, seqs: range, raw: tuple[str, str]) -> list[Message]:
        """Return the lines in `seqs` that may contain one of `raw`, in order.

        `raw` as in `CacheDb.lines_with`; lines that are not on disk yet are all included.
        """
        stored: list[Message] = self._read(
            lambda: self._cache.lines_with(channel.name, seqs, raw), []
        )
        found = {line.seq or 0: line for line in stored}
        found |= {seq: line for seq, line in channel.view.changed.items() if seq in seqs}
        return [found[seq] for seq in sorted(found)]

    def thread(self, channel: Channel, root: int) -> list[Message]:
        """Return the known root and newest replies of a thread, in order."""
        stored: list[Message] = self._read(
            lambda: self._cache.thread(channel.name, root, _THREAD_MAX), []
        )
        found = {line.seq or 0: line for line in stored}
        changed = channel.view.changed
        found |= {seq: line for seq, line in changed.items() if root in (seq, line.thread)}
        return [found[seq] for seq in sorted(found)]

    def mark(self, channel: Channel, seq: int) -> None:
        """Move the read marker to `seq`, and count the unread messages above it."""
        if seq < channel.view.position:
            self.flush()
            self.reload_channel_changes()
            seq = max(seq, channel.view.read)  # another client may have read further
        channel.view.apply_mark(seq, *self._count_above(channel, seq))
        self.touch(channel)

    def mark_thread(self, channel: Channel, root: int, seq: int) -> None:
        """Move the user's marker in a thread to `seq`, and count the unread replies above it."""
        above = [line for line in self.thread(channel, root) if line.thread_only]
        channel.view.threads.mark(root, seq, *_weight(channel, above, seq))
        self.touch(channel)

    def _count_above(self, channel: Channel, seq: int) -> tuple[int, int]:
        """Count the stored messages above `seq`, and the mentions among them."""
        name, last = channel.name, channel.view.position
        if seq >= last:
            return 0, 0
        stored: list[Message] = self._read(  # another client may have stored lines above `last`
            lambda: self._cache.lines_before(name, last + 1, seq + 1, _COUNTED_MAX), []
        )
        return _weight(channel, stored, seq)

    def recount(self, channel: Channel) -> None:
        """Count the unread messages if the counts may be wrong and all lines above are known."""
        if channel.view.needs_recount and channel.view.is_countable:
            self.mark(channel, channel.view.read)

    # Ignored users

    @property
    def ignored(self) -> tuple[str, ...]:
        """The names of the users whom the user ignores, as the server last sent them."""
        try:
            return tuple(list_of(text)(json.loads(self.outbox.prefs.get(_IGNORED) or "[]")))
        except ValueError:
            return ()

    def ignores(self, name: str) -> bool:
        """Whether the user ignores someone."""
        return bool(self._ignored) and fold(name) in self._ignored

    def set_ignored(self, names: Sequence[str]) -> None:
        """Store whom the user ignores, and count the unread messages again."""
        if list(names) == list(self.ignored):
            return
        self.set_pref(_IGNORED, json.dumps(list(names)) if names else "")
        self._ignored = frozenset(map(fold, names))
        for channel in self.channels.values():
            channel.view.needs_recount = True
            self.recount(channel)

    def positions(self) -> dict[str, ResumeFrom]:
        """Return the position to resume each channel from, most important channels first."""
        last = self.outbox.prefs.get(LAST_CHANNEL)

        def rank(channel: Channel) -> tuple[bool, ...]:
            view, is_shown = channel.view, channel.shown_from is not None or channel.name == last
            return not is_shown, not view.mentions, not view.unread, is_direct(channel.name)

        stored = [each for each in self.channels.values() if each.is_member and each.is_stored]
        found = ((channel.name, channel.view.resume) for channel in sorted(stored, key=rank))
        return {name: position for name, position in found if position is not None}

    @property
    def hello_limits(self) -> tuple[int, int]:
        """The server's last known limits for `hello`: bytes of a frame, and number of positions."""
        words = self.outbox.prefs.get(_HELLO_LIMITS).split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            return _HELLO_USUAL
        return int(words[0]), int(words[1])

    def note_hello_limits(self, frame: int, channels: int) -> None:
        """Store the server's limits for the next `hello`."""
        limits = f"{frame} {min(channels, _HELLO_USUAL[1])}"
        if self.outbox.prefs.get(_HELLO_LIMITS) != limits:
            self.set_pref(_HELLO_LIMITS, limits)

    # Preferences of channels

    def change_preference(self, channel: Channel, change: PreferenceChange) -> None:
        """Store a change of a channel's preferences until the server confirms it."""
        channel.preference_change = channel.preference_change.merged_with(change)
        for key, value in preference_values(channel.name, change).items():
            self.outbox.preference_changes.set(key, value)
        self._tell_changed()

    def preference_confirmed(self, channel: Channel, done: PreferenceChange) -> None:
        """Drop a change that the server has confirmed or rejected."""
        self._forget_preference_change(channel.name, done)
        channel.preference_change = self._stored_preference_change(channel.name)
        self.touch(channel)
        self.flush()  # at once: another client on the file would send it again

    def _forget_preference_change(self, channel: str, done: PreferenceChange) -> None:
        changes = self.outbox.preference_changes
        for key, value in preference_values(channel, done).items():
            if changes.get(key) == value:
                changes.set(key, "")

    def _stored_preference_change(self, channel: str) -> PreferenceChange:
        return preference_change_from(channel, self.outbox.preference_changes.all())

    # Other clients on the same files

    def merge_other_clients(self) -> tuple[list[OutboxRow], list[OutboxRow], bool]:
        """Apply what other clients have changed in the outbox; see `Outbox.merge_other_clients`."""
        if not self.outbox.has_changed_elsewhere():
            return [], [], False
        merged = self.outbox.merge_other_clients()
        self.reload_channel_changes()
        return merged

    def reload_channel_changes(self) -> None:
        """Apply preference changes and read markers that other clients have stored."""
        self.outbox.load_channel_changes()
        self._apply_preference_changes()
        for name in self.outbox.marks.keys() & self.channels.keys():
            if self._take_mark(self.channels[name]):
                self._changed_elsewhere.add(name)
        if self._changed_elsewhere:
            self._tell_changed()

    def _apply_preference_changes(self) -> None:
        changes = self.outbox.preference_changes.all()
        for channel in self.channels.values():
            change = preference_change_from(channel.name, changes)
            if change != channel.preference_change:
                channel.preference_change = change
                self._changed_elsewhere.add(channel.name)

    def take_changed_elsewhere(self) -> set[str]:
        """Return and clear the names of channels changed by another client."""
        found, self._changed_elsewhere = self._changed_elsewhere, set()
        return found

    # Drafts and preferences

    def set_draft(self, channel: str, text: str) -> None:
        """Set a draft; an empty text removes it."""
        self.outbox.drafts.set(channel, text)
        for name in self.outbox.drafted() - self.channels.keys():
            self.ensure_channel(name)
        self._tell_changed()

    def set_pref(self, key: str, value: str) -> None:
        """Set a preference of the interface; an empty value removes it."""
        self.outbox.prefs.set(key, value)
        self._tell_changed()

    # To disk

    def flush(self) -> None:
        """Write all changes; unwritten ones stay in memory for the next attempt."""
        parts = self.outbox.reopen, self._flush_cache, self._flush_outbox
        self.is_unwritable = False in [self._is_done(write) for write in parts]

    def _is_done(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except (DiskError, StartupError) as exc:
            self._report_disk_error(str(exc))
            return False
        return True

    def _report_disk_error(self, error: str) -> None:
        _log.error("%s", error)
        if not self.is_unwritable:
            self.is_unwritable = True
            self._report(f"{error}. {_IN_MEMORY}")

    def _reopen_cache(self) -> None:
        if self._cache.unwritable:
            cache, records = self._open_cache(0.0)
            if cache.unwritable:
                cache.close()
                raise DiskError(cache.unwritable)
            self._use_cache(cache, records)

    def _use_cache(self, cache: CacheDb, records: list[ChannelRecord]) -> None:
        """Switch to another cache file and load each channel from it."""
        for channel in self.channels.values():
            if channel.is_stored:
                self._reset_channel(channel)
        self._cache.close()
        self._cache = cache
        for record in records:
            known = self.channels.get(record.name)
            if known is None or not known.is_member:
                self._restore(record)
                self._reset_channels.add(record.name)
            else:
                known.restore_log(record)

    def _reset_channel(self, channel: Channel) -> None:
        """Forget a channel's lines in memory and on disk; they are loaded from the server again."""
        self._cache.discard(channel.name)
        channel.view.forget()
        self._reset_channels.add(channel.name)
        self.touch(channel)

    def take_reset_channels(self) -> set[str]:
        """Return and clear the names of channels whose lines must be loaded and shown again."""
        found, self._reset_channels = self._reset_channels, set()
        return found

    def _flush_cache(self) -> None:
        self._reopen_cache()
        if self._cache_damage is not None:
            self._replace_cache(self._cache_damage)
        dirty = [self.channels[name] for name in self._dirty if name in self.channels]
        mine = [channel for channel in dirty if channel.is_member]
        try:
            if mine or self._cache.has_discarded:
                lines = [line for channel in mine for line in channel.view.changed.values()]
                lost = self._cache.save(lines, [channel.record() for channel in mine])
                self._dirty.clear()
                for channel in mine:
                    channel.view.changed.clear()
                for name in lost:  # reset by another client
                    self._reset_channel(self.channels[name])
                self._shrink_cache()
        except DamagedFile as exc:
            self._replace_cache(exc)

    def _replace_cache(self, damage: DamagedFile) -> None:
        """Replace a damaged cache file."""
        self._cache_damage = None
        if self._cache.exists:
            delete_database(self._cache.path)
        self._report_cache_reset(damage)
        self._use_cache(*self._open_cache(OPENING))

    def _report_cache_reset(self, damage: DamagedFile) -> None:
        message = f"{damage}; messages are loaded again from the server"
        _log.error("%s", message)
        self._report(message)

    def _shrink_cache(self) -> None:
        """Drop the lines of the largest channel if the cache is too large.

        They are loaded from the server again when they are shown.
        """
        if self._cache.size() > self._file_max and (name := self._cache.largest_channel()):
            self._reset_channel(self.ensure_channel(name))

    def _flush_outbox(self) -> None:
        self.outbox.flush({channel.name: _marker_of(channel) for channel in self.channels.values()})

    def _read(self, query: Callable[[], T], otherwise: T) -> T:
        """Read from the cache; a damaged file is replaced at the next flush."""
        try:
            return query()
        except DiskError as exc:
            _log.error("%s", exc)
            if isinstance(exc, DamagedFile):
                self._cache_damage = exc
                self._tell_changed()
            return otherwise


def _weight(channel: Channel, lines: Iterable[Message], read: int) -> tuple[int, int]:
    """Return the number of unread messages above `read` in `lines`, and of mentions."""
    weights = [channel.view.weight(line, read) for line in lines]
    return sum(unread for unread, _ in weights), sum(mentions for _, mentions in weights)


def _marker_of(channel: Channel) -> ReadMarker | None:
    """Return the channel's read marker if the server does not have it."""
    view = channel.view
    is_ahead = view.read > channel.server_read and channel.is_stored
    return ReadMarker(view.marker_epoch, view.read) if is_ahead and view.marker_epoch else None


def account_exists(path: Path) -> bool:
    """Whether the folder `path` contains an account."""
    return (path / OUTBOX).exists() or one_file(path).exists()


def put_into_outbox(path: Path, row: OutboxRow) -> None:
    """Add a row to the outbox of the account in the folder `path`.

    Raises:
        DiskError: the disk is not accepting writes.
    """
    file = OutboxDb(path / OUTBOX)
    file.put_row(row)
    file.close()


def was_signed_in(path: Path) -> bool:
    """Whether a server has ever accepted the name of the account in the folder `path`."""
    signs = (
        (path / OUTBOX, "SELECT 1 FROM kept WHERE kind = 'pref' AND key = 'server'"),
        (path / CACHE, "SELECT 1 FROM channels"),
        (one_file(path), "SELECT 1 FROM channels"),
    )
    for file, query in signs:
        if file.is_file():
            with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as db:
                if db.execute(query).fetchone() is not None:
                    return True
    return False
