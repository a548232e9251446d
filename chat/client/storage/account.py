"""One account (a name on one server): its channels, outbox, drafts, and its two files.

Changes, including drafts, are collected in memory and written at most `FLUSH_DELAY` later
(`sync/engine.py`); only sent messages are written at once. The cache is written before the outbox,
so a line is stored before its row goes.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chat.client.model.channel import Channel
from chat.client.model.log_view import LogView
from chat.client.model.preferences import PreferenceChange
from chat.client.model.records import ChannelRecord, DamagedFile, DiskError, OutboxRow
from chat.client.model.state import LAST_CHANNEL, SERVER_NAME, Message
from chat.client.storage.cache_db import CacheDb
from chat.client.storage.database import delete_database
from chat.client.storage.outbox import Outbox
from chat.client.storage.outbox_db import (
    OutboxContent,
    OutboxDb,
    ReadMarker,
    SavedTexts,
    preference_change_from,
    preference_values,
)
from chat.client.storage.recovery import adopt, read_damaged, set_aside, unsent
from chat.errors import StartupError
from chat.text import is_direct

if TYPE_CHECKING:
    from chat.protocol.commands import ResumeFrom

__all__ = ["Account", "account_exists", "put_into_outbox", "was_signed_in"]

FILE_MAX = 2 * 1024**3
"""Maximum bytes of an account's cache (millions of messages); beyond it, lines are dropped."""

_log = logging.getLogger(__name__)
T = TypeVar("T")

OPENING = 2.0
"""Seconds to wait at the start for another program that has locked a file."""
_OUTBOX, _CACHE = "outbox.db", "cache.db"
_IN_MEMORY = "Your text is kept in memory and is sent when the file is writable again."
_ADOPT_AFTER = 5_000
"""Milliseconds after which a row that another client has not sent is sent by this one."""
_COUNTED_MAX = 1_000
_THREAD_MAX = 500
_HELLO_LIMITS = "hello-limits"
"""The preference that stores `limits.frame` and the number of positions allowed in `hello`."""
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
        self._adopt = tuple(adopt)
        self._tell_changed = changed
        self._report = report
        self.is_unwritable = False
        """Whether a file is not writable; its changes are still in memory."""
        self._has_recent_rows = False
        """Whether the outbox has recent rows that another client may be sending now."""
        self._cache_damage: DamagedFile | None = None
        self._reset_channels: set[str] = set()
        self._changed_elsewhere: set[str] = set()
        self._dirty: set[str] = set()
        self.outbox = Outbox(self._replace_outbox)
        self.channels: dict[str, Channel] = {}
        self.drafts, self.prefs, self._preference_changes = (
            SavedTexts("draft"),
            SavedTexts("pref"),
            SavedTexts("wish"),
        )
        self._saved_texts = self.drafts, self.prefs, self._preference_changes
        self._marks: dict[str, ReadMarker] = {}
        """The read markers in the outbox's file."""
        self.outbox.file = self._open_outbox(OPENING)
        self._cache, records = self._open_cache(0.0 if self.is_unwritable else OPENING)
        self.has_signed_in = False
        """Whether this name has ever signed in; until then only `#general` is listed."""
        self._load(records)

    # Opening

    def _open_outbox(self, timeout: float) -> OutboxDb:
        path = self.path / _OUTBOX
        try:
            file = OutboxDb(path, timeout=timeout)
            try:
                file.outbox()
                file.marks()
                for texts in self._saved_texts:
                    file.saved_texts(texts.kind)
            except DamagedFile:
                file.close()
                raise
        except DamagedFile as exc:
            file = self._replaced_outbox(exc, timeout, exists=True)
        except DiskError as exc:
            self._report_disk_error(exc)
            return OutboxDb(path, unwritable=str(exc))
        self._adopt_others(file)
        return file

    def _adopt_others(self, outbox: OutboxDb) -> None:
        """Take over the files of older clients and of the accounts to adopt."""
        old: list[tuple[Path, Path | None]] = [(_one_file(self.path), self.path / _CACHE)]
        for other in self._adopt:
            old += [(other / _OUTBOX, None), (_one_file(other), None)]
        for path, cache in old:
            try:
                damage = adopt(outbox, path, cache)
            except DiskError as exc:
                self._report_disk_error(exc)
            else:
                if damage:
                    _log.error("%s", damage)
                    self._report(damage)
        for other in self._adopt:
            if other.is_dir() and not (other / _OUTBOX).exists():
                with suppress(OSError):
                    delete_database(other / _CACHE)
                    other.rmdir()

    def _replaced_outbox(self, damage: DamagedFile, timeout: float, *, exists: bool) -> OutboxDb:
        """Create a new file for the outbox; an existing one is damaged and is renamed.

        The new file gets the rows in memory, and all that can be read from the damaged file.
        """
        path = self.path / _OUTBOX
        found = OutboxContent()
        message = f"{damage}; a new file was created with the unsent messages"
        if exists:
            try:
                aside = set_aside(path)
            except OSError as exc:
                raise DiskError(f"{path} is damaged and cannot be renamed: {exc.strerror}") from exc
            found, is_whole = read_damaged(aside)
            rest = "" if is_whole else "; some of it could not be read"
            message = (
                f"{damage}; recovered {unsent(found)}; the damaged file was kept as {aside}{rest}"
            )
        file = OutboxDb(path, timeout=timeout)
        unsaved, confirmed = self.outbox.unsaved, self.outbox.confirmed
        known = [row for row in self.outbox.all() if row.cid not in unsaved]
        texts = {each.kind: each.all() for each in self._saved_texts}
        file.add(OutboxContent(known, texts, self._marks))
        found.rows = [row for row in found.rows if row.cid not in confirmed]
        file.add(found)
        self._has_recent_rows = True
        _log.error("%s", message)
        self._report(message)
        return file

    def _open_cache(self, timeout: float) -> tuple[CacheDb, list[ChannelRecord]]:
        path = self.path / _CACHE
        try:
            try:
                cache = CacheDb(path, timeout=timeout)
                return cache, cache.channels()
            except DamagedFile as exc:
                self._report_cache_reset(exc)
                delete_database(path)
                return CacheDb(path, timeout=timeout), []
        except (DiskError, OSError) as exc:
            self._report_disk_error(exc)
            cache = CacheDb(path, unwritable=str(exc))
            with suppress(DiskError):
                return cache, cache.channels()
            return cache, []

    def _load(self, records: list[ChannelRecord]) -> None:
        self.outbox.read(OutboxDb.has_changed_elsewhere, False)  # from now on
        for texts in self._saved_texts:
            texts.stored = self._stored(texts)
        for record in records:
            self._restore(record)
        self.outbox.load(self.outbox.read(OutboxDb.outbox, []))
        for channel in (*self.outbox.channels(), *self.drafted()):
            self.ensure_channel(channel)
        self.reload_channel_changes()
        self._changed_elsewhere.clear()
        self.has_signed_in = bool(records) or bool(self.prefs.get(SERVER_NAME))

    def _restore(self, record: ChannelRecord) -> None:
        self.ensure_channel(record.name).restore(record)
        self._take_mark(self.channels[record.name])

    def _stored(self, texts: SavedTexts) -> dict[str, str]:
        return self.outbox.read(lambda file: file.saved_texts(texts.kind), texts.stored)

    def _replace_outbox(self, damage: DamagedFile) -> None:
        """Replace a damaged or deleted outbox file.

        Raises:
            DiskError: the disk is not accepting writes.
        """
        exists = self.outbox.file.exists
        self.outbox.file.close()
        try:
            self.outbox.file = self._replaced_outbox(damage, OPENING, exists=exists)
        except (DiskError, StartupError) as error:
            self._switch_to_memory(str(error))
            raise DiskError(str(error)) from error

    def _switch_to_memory(self, why: str) -> None:
        """Continue without a file; everything counts as unsaved."""
        self.outbox.file = OutboxDb(self.outbox.file.path, unwritable=why)
        for row in self.outbox.all():
            self.outbox.keep_in_memory(row, why)
        for texts in self._saved_texts:
            texts.changed = texts.all() | texts.changed
        self._marks = {}

    def take_over(self, before: Account) -> None:
        """Take over the unsaved state of another account."""
        for cid in before.outbox.confirmed:
            self.outbox.confirm(cid)
        for row in before.outbox.all():
            if row.cid in before.outbox.unsaved:
                self.outbox.keep_in_memory(row, row.reason)
            elif self.outbox.get(row.cid) is None:
                self._take_over_row(row)
        for mine, other in zip(self._saved_texts, before._saved_texts, strict=True):
            mine.take_over(other)
        self._take_preference_changes()
        for channel in before.channels.values():
            view = channel.view
            if channel.is_stored and (channel.preference_change or view.read > channel.server_read):
                known = self.ensure_channel(channel.name)
                known.view.advance_marker(view.marker_epoch, view.read, view.unread, view.mentions)
                self.touch(known)

    def _take_over_row(self, row: OutboxRow) -> None:
        try:
            self.outbox.add(row)
        except DiskError as exc:
            self.outbox.keep_in_memory(row, str(exc))

    def signed_in(self, server: str) -> None:
        """Note a successful connection and the server's display name."""
        self.has_signed_in = True
        if self.prefs.get(SERVER_NAME) != server:
            self.set_pref(SERVER_NAME, server)

    def renamed(self, me: str) -> None:
        """Set the user's name as the server spells it."""
        self.me = me
        for channel in self.channels.values():
            channel.view.me = me

    def close(self) -> None:
        """Flush, and close the files."""
        self.flush()
        self.outbox.file.close()
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
            )
            found = self.channels[name] = Channel(view)
            found.preference_change = preference_change_from(name, self._preference_changes.all())
            self._take_mark(found)
        return found

    def _take_mark(self, channel: Channel) -> bool:
        """Apply the read marker in the outbox's file if it is further."""
        view, mark = channel.view, self._marks.get(channel.name)
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
        if mark := self._marks.pop(channel.name, None):
            forgotten = {channel.name: mark}
            self.outbox.read(lambda file: file.save_marks({}, forgotten), None)
        self._tell_changed()
        if channel.name in self.outbox.channels() or channel.name in self.drafted():
            self.ensure_channel(channel.name)

    def lines_before(self, channel: Channel, before: int, limit: int) -> tuple[list[Message], int]:
        """Return up to `limit` lines before seq `before`, without a gap.

        Returns:
            The lines, and the lowest seq from which on nothing is missing.
        """
        view = channel.view
        span = view.coverage.around(before - 1)
        if span is None:
            return [], before
        stored: list[Message] = self._read(
            lambda: self._cache.lines_before(channel.name, before, span[0], limit), []
        )
        found = {line.seq or 0: line for line in stored}
        found |= {seq: line for seq, line in view.changed.items() if span[0] <= seq < before}
        chosen = sorted(found)[-limit:]
        lowest = chosen[0] if len(chosen) == limit else span[0]
        return [found[seq] for seq in chosen], lowest

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

    def _count_above(self, channel: Channel, seq: int) -> tuple[int, int]:
        """Count the stored messages above `seq`, and the mentions among them."""
        last = channel.view.position
        if seq >= last:
            return 0, 0
        return self._read(
            lambda: self._cache.count_above(channel.name, seq, self.me, _COUNTED_MAX, last), (0, 0)
        )

    def recount(self, channel: Channel) -> None:
        """Count the unread messages if the counts may be wrong and all lines above are known."""
        if channel.view.needs_recount and channel.view.is_countable:
            self.mark(channel, channel.view.read)

    def positions(self) -> dict[str, ResumeFrom]:
        """Return the position to resume each channel from, most important channels first."""
        last = self.prefs.get(LAST_CHANNEL)

        def rank(channel: Channel) -> tuple[bool, ...]:
            view, is_shown = channel.view, channel.shown_from is not None or channel.name == last
            return not is_shown, not view.mentions, not view.unread, is_direct(channel.name)

        stored = [each for each in self.channels.values() if each.is_member and each.is_stored]
        found = ((channel.name, channel.view.resume) for channel in sorted(stored, key=rank))
        return {name: position for name, position in found if position is not None}

    @property
    def hello_limits(self) -> tuple[int, int]:
        """The server's last known limits for `hello`: bytes of a frame, and number of positions."""
        words = self.prefs.get(_HELLO_LIMITS).split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            return _HELLO_USUAL
        return int(words[0]), int(words[1])

    def note_hello_limits(self, frame: int, channels: int) -> None:
        """Store the server's limits for the next `hello`."""
        limits = f"{frame} {min(channels, _HELLO_USUAL[1])}"
        if self.prefs.get(_HELLO_LIMITS) != limits:
            self.set_pref(_HELLO_LIMITS, limits)

    # Preferences of channels

    def change_preference(self, channel: Channel, change: PreferenceChange) -> None:
        """Store a change of a channel's preferences until the server confirms it."""
        channel.preference_change = channel.preference_change.merged_with(change)
        for key, value in preference_values(channel.name, change).items():
            self._preference_changes.set(key, value)
        self._tell_changed()

    def preference_confirmed(self, channel: Channel, done: PreferenceChange) -> None:
        """Drop a change that the server has confirmed or rejected."""
        self._forget_preference_change(channel.name, done)
        channel.preference_change = preference_change_from(
            channel.name, self._preference_changes.all()
        )
        self.touch(channel)
        self.flush()  # at once: another client on the file would send it again

    def _forget_preference_change(self, channel: str, done: PreferenceChange) -> None:
        for key, value in preference_values(channel, done).items():
            if self._preference_changes.get(key) == value:
                self._preference_changes.set(key, "")

    # Other clients on the same files

    def discard(self, row: OutboxRow) -> None:
        """Discard a row, also for other clients on this file.

        Raises:
            DiskError: the row is still on disk and would come back.
        """
        if row.cid not in self.outbox.unsaved:
            self.outbox.use(lambda file: file.drop_rows([row.cid]))
        self.outbox.drop(row.cid)

    def merge_other_clients(self) -> tuple[list[OutboxRow], list[OutboxRow], bool]:
        """Apply what other clients have changed in outbox, drafts, preferences and channels.

        Returns:
            Rows that are gone; rows that are new or changed; whether drafts or preferences differ.
        """
        if (
            not self.outbox.read(OutboxDb.has_changed_elsewhere, False)
            and not self._has_recent_rows
        ):
            return [], [], False
        old = time.time_ns() // 1_000_000 - _ADOPT_AFTER
        stored = self.outbox.read(OutboxDb.outbox, list(self.outbox.all()))
        gone, changed = self.outbox.merge_stored(stored, old)
        known = {row.cid for row in self.outbox.all()} | self.outbox.confirmed
        self._has_recent_rows = any(row.cid not in known for row in stored)
        followed = self.drafts, self.prefs
        before = [texts.stored for texts in followed]
        for texts in followed:
            texts.stored = self._stored(texts)
        self.reload_channel_changes()
        return gone, changed, [texts.stored for texts in followed] != before

    def reload_channel_changes(self) -> None:
        """Apply preference changes and read markers that other clients have stored."""
        self._preference_changes.stored = self._stored(self._preference_changes)
        self._take_preference_changes()
        self._marks = self.outbox.read(OutboxDb.marks, self._marks)
        for name in self._marks.keys() & self.channels.keys():
            if self._take_mark(self.channels[name]):
                self._changed_elsewhere.add(name)
        if self._changed_elsewhere:
            self._tell_changed()

    def _take_preference_changes(self) -> None:
        changes = self._preference_changes.all()
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
        self.drafts.set(channel, text)
        for name in self.drafted() - self.channels.keys():
            self.ensure_channel(name)
        self._tell_changed()

    def drafted(self) -> set[str]:
        """Return the channels that have a draft, including drafts in threads."""
        return {key.partition("/")[0] for key in self.drafts.all()} - {""}

    def set_pref(self, key: str, value: str) -> None:
        """Set a preference of the interface; an empty value removes it."""
        self.prefs.set(key, value)
        self._tell_changed()

    def unsaved(self) -> list[str]:
        """Return messages and drafts that are only in memory."""
        return [*self.outbox.unsaved_texts(), *filter(None, self.drafts.changed.values())]

    # To disk

    def flush(self) -> None:
        """Write all changes; unwritten ones stay in memory for the next attempt."""
        parts = self._reopen_outbox, self._flush_cache, self._flush_outbox
        self.is_unwritable = False in [self._is_done(write) for write in parts]

    def _is_done(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except (DiskError, StartupError) as exc:
            self._report_disk_error(exc)
            return False
        return True

    def _report_disk_error(self, error: Exception) -> None:
        _log.error("%s", error)
        if not self.is_unwritable:
            self.is_unwritable = True
            self._report(f"{error}. {_IN_MEMORY}")

    def _reopen_outbox(self) -> None:
        """Reopen the file if it was not writable.

        Raises:
            DiskError: it is still not writable.
        """
        if self.outbox.file.unwritable:
            file = self._open_outbox(0.0)
            if file.unwritable:
                file.close()
                raise DiskError(file.unwritable)
            self.outbox.file.close()
            self.outbox.file = file
            self._has_recent_rows = True  # rows that could not be read before

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
        self.outbox.use(self._save_outbox)

    def _save_outbox(self, file: OutboxDb) -> None:
        if confirmed := tuple(self.outbox.confirmed):
            file.drop_rows(confirmed)
            self.outbox.confirmed.clear()
        for texts in self._saved_texts:
            if texts.changed:
                file.save_texts(texts)
        wanted = {
            channel.name: ReadMarker(channel.view.marker_epoch, channel.view.read)
            for channel in self.channels.values()
            if channel.view.read > channel.server_read
            and channel.view.marker_epoch
            and channel.is_stored
        }
        known = self._marks.keys() & self.channels.keys()
        moved = {name: mark for name, mark in wanted.items() if self._marks.get(name) != mark}
        confirmed_marks = {name: self._marks[name] for name in known - wanted.keys()}
        if moved or confirmed_marks:
            file.save_marks(moved, confirmed_marks)
            self._marks = {
                name: mark for name, mark in self._marks.items() if name not in confirmed_marks
            } | moved

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


def account_exists(path: Path) -> bool:
    """Whether the folder `path` contains an account."""
    return (path / _OUTBOX).exists() or _one_file(path).exists()


def put_into_outbox(path: Path, row: OutboxRow) -> None:
    """Add a row to the outbox of the account in the folder `path`.

    Raises:
        DiskError: the disk is not accepting writes.
    """
    file = OutboxDb(path / _OUTBOX)
    file.put_row(row)
    file.close()


def was_signed_in(path: Path) -> bool:
    """Whether a server has ever accepted the name of the account in the folder `path`."""
    signs = (
        (path / _OUTBOX, "SELECT 1 FROM kept WHERE kind = 'pref' AND key = 'server'"),
        (path / _CACHE, "SELECT 1 FROM channels"),
        (_one_file(path), "SELECT 1 FROM channels"),
    )
    for file, query in signs:
        if file.is_file():
            with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as db:
                if db.execute(query).fetchone() is not None:
                    return True
    return False


def _one_file(path: Path) -> Path:
    """Return the single file that older clients used."""
    return path.with_name(f"{path.name}.db")
