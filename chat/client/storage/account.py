"""One account, a name on one server: its channels, outbox, drafts, and its two files.

Changes, drafts among them, gather in memory and go to disk together, at most `FLUSH_DELAY` later
(`sync/engine.py`); only what a person sent goes there at once. The cache is written first: when an
outbox row goes, its line is stored.
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
from chat.client.model.preferences import Wish
from chat.client.model.records import ChannelRecord, Damaged, DiskTrouble, OutboxRow
from chat.client.model.state import LAST_CHANNEL, SERVER_NAME, Message
from chat.client.storage.cache_db import CacheDb
from chat.client.storage.database import delete_database
from chat.client.storage.outbox import Outbox
from chat.client.storage.outbox_db import Mark, OutboxDb, SavedTexts, Typed, wish_from, wish_values
from chat.client.storage.recovery import adopt, read_damaged, set_aside, unsent
from chat.errors import StartupError
from chat.text import is_direct

if TYPE_CHECKING:
    from chat.protocol.commands import ResumeFrom

__all__ = ["Account", "is_known", "put_into_outbox", "was_signed_in"]

FILE_MAX = 2 * 1024**3
"""Bytes of an account's cache beyond which lines are thrown away: millions of messages."""

_log = logging.getLogger(__name__)
T = TypeVar("T")

OPENING = 2.0
"""Seconds to wait, at the start, for another program that has locked a file."""
_OUTBOX, _CACHE = "outbox.db", "cache.db"
_IN_MEMORY = "What you type is kept in memory, and sent once the file can be written."
_ADOPT_AFTER = 5_000
"""Milliseconds after which a row that another client typed, and did not get sent, is sent here."""
_COUNTED_MAX = 1_000
_THREAD_MAX = 500
_HELLO_LIMITS = "hello-limits"
"""The preference that keeps `limits.frame` and the positions that the server's `hello` takes."""
_HELLO_USUAL = (65_536, 500)


class Account:
    """What is known of one name on one server.

    Args:
        path: the directory of its files.
        me: the name.
        adopt: other accounts' directories; what was typed there is taken over, before the server
            was known, or with a name that it refused.
        changed: called when there is something to flush.
        trouble: told, with a line for a person, when a file was damaged or takes no writes.
        file_max: bytes of the cache beyond which lines are thrown away.

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
        trouble: Callable[[str], None],
        file_max: int = FILE_MAX,
    ) -> None:
        self._file_max = file_max
        self.me = me
        self.path = path
        self._adopt = tuple(adopt)
        self._tell_changed = changed
        self._tell_trouble = trouble
        self.is_troubled = False
        """Whether a file takes no writes; what it should have is still in memory."""
        self._has_young = False
        """Whether another client has typed something that it may be sending now."""
        self._cache_damage: Damaged | None = None
        self._begun_anew: set[str] = set()
        self._changed_elsewhere: set[str] = set()
        self._dirty: set[str] = set()
        self.outbox = Outbox(self._replace_outbox)
        self.channels: dict[str, Channel] = {}
        self.drafts, self.prefs, self._wishes = (
            SavedTexts("draft"),
            SavedTexts("pref"),
            SavedTexts("wish"),
        )
        self._saved_texts = self.drafts, self.prefs, self._wishes
        self._marks: dict[str, Mark] = {}
        """The read markers in the outbox's file."""
        self.outbox.file = self._open_outbox(OPENING)
        self._cache, records = self._open_cache(0.0 if self.is_troubled else OPENING)
        self.has_signed_in = False
        """Whether this name was ever signed in; until then only `#general` can be meant."""
        self._load(records)

    # Opening

    def _open_outbox(self, patience: float) -> OutboxDb:
        path = self.path / _OUTBOX
        try:
            file = OutboxDb(path, patience=patience)
            try:
                file.outbox()
                file.marks()
                for texts in self._saved_texts:
                    file.saved_texts(texts.kind)
            except Damaged:
                file.close()
                raise
        except Damaged as exc:
            file = self._replaced_outbox(exc, patience, is_there=True)
        except DiskTrouble as exc:
            self._troubled(exc)
            return OutboxDb(path, unwritable=str(exc))
        self._adopt_others(file)
        return file

    def _adopt_others(self, outbox: OutboxDb) -> None:
        """Take over older clients' files, and those of the accounts that are to be adopted."""
        old: list[tuple[Path, Path | None]] = [(_one_file(self.path), self.path / _CACHE)]
        for other in self._adopt:
            old += [(other / _OUTBOX, None), (_one_file(other), None)]
        for path, cache in old:
            try:
                wrong = adopt(outbox, path, cache)
            except DiskTrouble as exc:
                self._troubled(exc)
            else:
                if wrong:
                    _log.error("%s", wrong)
                    self._tell_trouble(wrong)
        for other in self._adopt:
            if other.is_dir() and not (other / _OUTBOX).exists():
                with suppress(OSError):
                    delete_database(other / _CACHE)
                    other.rmdir()

    def _replaced_outbox(self, damage: Damaged, patience: float, *, is_there: bool) -> OutboxDb:
        """Go on with another file; one that is there is damaged, and is set aside.

        It takes what this client has in memory, and what can be read of the damaged file.
        """
        path = self.path / _OUTBOX
        found, told = Typed(), f"{damage}; it was created anew and unsent messages were kept"
        if is_there:
            try:
                aside = set_aside(path)
            except OSError as exc:
                raise DiskTrouble(
                    f"{path} is damaged and cannot be renamed: {exc.strerror}"
                ) from exc
            found, is_whole = read_damaged(aside)
            rest = "" if is_whole else "; it may hold more that could not be read"
            told = f"{damage}; {unsent(found)} of it saved; it is kept as {aside}{rest}"
        file = OutboxDb(path, patience=patience)
        held, confirmed = self.outbox.held, self.outbox.confirmed
        known = [row for row in self.outbox.all() if row.cid not in held]
        texts = {each.kind: each.all() for each in self._saved_texts}
        file.add(Typed(known, texts, self._marks))
        found.rows = [row for row in found.rows if row.cid not in confirmed]
        file.add(found)
        self._has_young = True
        _log.error("%s", told)
        self._tell_trouble(told)
        return file

    def _open_cache(self, patience: float) -> tuple[CacheDb, list[ChannelRecord]]:
        path = self.path / _CACHE
        try:
            try:
                cache = CacheDb(path, patience=patience)
                return cache, cache.channels()
            except Damaged as exc:
                self._tell_anew(exc)
                delete_database(path)
                return CacheDb(path, patience=patience), []
        except (DiskTrouble, OSError) as exc:
            self._troubled(exc)
            cache = CacheDb(path, unwritable=str(exc))
            with suppress(DiskTrouble):
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
            self.followed(channel)
        self.follow_channels()
        self._changed_elsewhere.clear()
        self.has_signed_in = bool(records) or bool(self.prefs.get(SERVER_NAME))

    def _restore(self, record: ChannelRecord) -> None:
        self.followed(record.name).restore(record)
        self._take_mark(self.channels[record.name])

    def _stored(self, texts: SavedTexts) -> dict[str, str]:
        return self.outbox.read(lambda file: file.saved_texts(texts.kind), texts.stored)

    def _replace_outbox(self, damage: Damaged) -> None:
        """Go on with another file: this one is damaged, or gone.

        Raises:
            DiskTrouble: the disk does not take it.
        """
        is_there = self.outbox.file.is_there
        self.outbox.file.close()
        try:
            self.outbox.file = self._replaced_outbox(damage, OPENING, is_there=is_there)
        except (DiskTrouble, StartupError) as trouble:
            self._only_in_memory(str(trouble))
            raise DiskTrouble(str(trouble)) from trouble

    def _only_in_memory(self, why: str) -> None:
        """Go on without a file, with nothing of what is in memory saved."""
        self.outbox.file = OutboxDb(self.outbox.file.path, unwritable=why)
        for row in self.outbox.all():
            self.outbox.hold(row, why)
        for texts in self._saved_texts:
            texts.changed = texts.all() | texts.changed
        self._marks = {}

    def take_over(self, before: Account) -> None:
        """Take what another account has in memory, and this one has not taken from its file."""
        for cid in before.outbox.confirmed:
            self.outbox.confirm(cid)
        for row in before.outbox.all():
            if row.cid in before.outbox.held:
                self.outbox.hold(row, row.reason)
            elif self.outbox.get(row.cid) is None:
                self._take_over_row(row)
        for mine, other in zip(self._saved_texts, before._saved_texts, strict=True):
            mine.take_over(other)
        self._take_wishes()
        for channel in before.channels.values():
            view = channel.view
            if channel.is_kept and (channel.wish or view.read > channel.marked):
                known = self.followed(channel.name)
                known.view.take_marker(view.marked_in, view.read, view.unread, view.mentions)
                self.touch(known)

    def _take_over_row(self, row: OutboxRow) -> None:
        try:
            self.outbox.add(row)
        except DiskTrouble as exc:
            self.outbox.hold(row, str(exc))

    def signed_in(self, server: str) -> None:
        """Note that there was a connection, and how the server calls itself."""
        self.has_signed_in = True
        if self.prefs.get(SERVER_NAME) != server:
            self.set_pref(SERVER_NAME, server)

    def renamed(self, me: str) -> None:
        """Take one's name as the server spells it."""
        self.me = me
        for channel in self.channels.values():
            channel.view.me = me

    def close(self) -> None:
        """Write what is left, and close the files."""
        self.flush()
        self.outbox.file.close()
        self._cache.close()

    # Channels

    def followed(self, name: str) -> Channel:
        """Return the channel; it is made if it is not known."""
        found = self.channels.get(name)
        if found is None:
            view = LogView(
                name,
                self.me,
                lambda seq: self._read(lambda: self._cache.line(name, seq), None),
                lambda: self._cache.discard(name),
            )
            found = self.channels[name] = Channel(view)
            found.wish = wish_from(name, self._wishes.all())
            self._take_mark(found)
        return found

    def _take_mark(self, channel: Channel) -> bool:
        """Take the read marker of the outbox's file if it is further."""
        view, mark = channel.view, self._marks.get(channel.name)
        if mark is None or mark.seq <= view.read or view.epoch not in ("", mark.epoch):
            return False
        view.take_marker(*mark, *self._count_above(channel, mark.seq))
        return True

    def touch(self, channel: Channel) -> None:
        """Note that the channel has something to be written."""
        if channel.is_kept:
            self._dirty.add(channel.name)
        self._tell_changed()

    def forget(self, channel: Channel) -> None:
        """Forget a channel that one is no member of; what is unsent in it stays."""
        self.channels.pop(channel.name, None)
        self._dirty.discard(channel.name)
        self._cache.discard(channel.name)
        self._forget_wish(channel.name, channel.wish)
        if mark := self._marks.pop(channel.name, None):
            forgotten = {channel.name: mark}
            self.outbox.read(lambda file: file.save_marks({}, forgotten), None)
        self._tell_changed()
        if channel.name in self.outbox.channels() or channel.name in self.drafted():
            self.followed(channel.name)

    def lines_before(self, channel: Channel, before: int, limit: int) -> tuple[list[Message], int]:
        """Return up to `limit` lines that end right before `before`, without a hole.

        Returns:
            The lines, and the lowest seq up to which nothing is missing.
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
        """Return the lines of `seqs` that hold one of `raw`, and some that may not; in order.

        `raw` is as `CacheDb.lines_with` takes it; nothing is left out that is not on disk yet.
        """
        stored: list[Message] = self._read(
            lambda: self._cache.lines_with(channel.name, seqs, raw), []
        )
        found = {line.seq or 0: line for line in stored}
        found |= {seq: line for seq, line in channel.view.changed.items() if seq in seqs}
        return [found[seq] for seq in sorted(found)]

    def thread(self, channel: Channel, root: int) -> list[Message]:
        """Return the root and the newest replies of a thread that are at hand, in order."""
        stored: list[Message] = self._read(
            lambda: self._cache.thread(channel.name, root, _THREAD_MAX), []
        )
        found = {line.seq or 0: line for line in stored}
        changed = channel.view.changed
        found |= {seq: line for seq, line in changed.items() if root in (seq, line.thread)}
        return [found[seq] for seq in sorted(found)]

    def mark(self, channel: Channel, seq: int) -> None:
        """Move the read marker to `seq`, and count what is left above it."""
        if seq < channel.view.position:
            self.flush()
            self.follow_channels()
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

    def count_again(self, channel: Channel) -> None:
        """Count what is unread if the counts are in doubt and every line above is at hand."""
        if channel.view.is_doubtful and channel.view.is_countable:
            self.mark(channel, channel.view.read)

    def positions(self) -> dict[str, ResumeFrom]:
        """Return where to go on reading, by channel, the channels that matter most first."""
        last = self.prefs.get(LAST_CHANNEL)

        def rank(channel: Channel) -> tuple[bool, ...]:
            view, is_shown = channel.view, channel.shown_from is not None or channel.name == last
            return not is_shown, not view.mentions, not view.unread, is_direct(channel.name)

        kept = [each for each in self.channels.values() if each.is_member and each.is_kept]
        found = ((channel.name, channel.view.resume) for channel in sorted(kept, key=rank))
        return {name: position for name, position in found if position is not None}

    @property
    def hello_limits(self) -> tuple[int, int]:
        """Bytes of a frame, and positions in `hello`, that the server takes as far as is known."""
        words = self.prefs.get(_HELLO_LIMITS).split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            return _HELLO_USUAL
        return int(words[0]), int(words[1])

    def note_hello_limits(self, frame: int, channels: int) -> None:
        """Keep what the server takes, for the next `hello`."""
        limits = f"{frame} {min(channels, _HELLO_USUAL[1])}"
        if self.prefs.get(_HELLO_LIMITS) != limits:
            self.set_pref(_HELLO_LIMITS, limits)

    # How channels are wanted

    def wish(self, channel: Channel, wish: Wish) -> None:
        """Keep how the person wants a channel, until the server knows it."""
        channel.wish = channel.wish.and_then(wish)
        for key, value in wish_values(channel.name, wish).items():
            self._wishes.set(key, value)
        self._tell_changed()

    def wish_done(self, channel: Channel, done: Wish) -> None:
        """Forget a wish that the server granted or refused."""
        self._forget_wish(channel.name, done)
        channel.wish = wish_from(channel.name, self._wishes.all())
        self.touch(channel)
        self.flush()  # at once: another client on the file would tell it again

    def _forget_wish(self, channel: str, done: Wish) -> None:
        for key, value in wish_values(channel, done).items():
            if self._wishes.get(key) == value:
                self._wishes.set(key, "")

    # What another client on this computer did

    def discard(self, row: OutboxRow) -> None:
        """Forget a row, here and for other clients on this file.

        Raises:
            DiskTrouble: the disk still has it, and it would come back.
        """
        if row.cid not in self.outbox.held:
            self.outbox.use(lambda file: file.drop_rows([row.cid]))
        self.outbox.drop(row.cid)

    def follow_others(self) -> tuple[list[OutboxRow], list[OutboxRow], bool]:
        """Take up what another client did to outbox, drafts, preferences and channels.

        Returns:
            Rows that are gone; rows that are new or changed; whether drafts or preferences differ.
        """
        if not self.outbox.read(OutboxDb.has_changed_elsewhere, False) and not self._has_young:
            return [], [], False
        old = time.time_ns() // 1_000_000 - _ADOPT_AFTER
        stored = self.outbox.read(OutboxDb.outbox, list(self.outbox.all()))
        gone, changed = self.outbox.follow(stored, old)
        known = {row.cid for row in self.outbox.all()} | self.outbox.confirmed
        self._has_young = any(row.cid not in known for row in stored)
        followed = self.drafts, self.prefs
        before = [texts.stored for texts in followed]
        for texts in followed:
            texts.stored = self._stored(texts)
        self.follow_channels()
        return gone, changed, [texts.stored for texts in followed] != before

    def follow_channels(self) -> None:
        """Take up how another client wants channels, and how far it has read them."""
        self._wishes.stored = self._stored(self._wishes)
        self._take_wishes()
        self._marks = self.outbox.read(OutboxDb.marks, self._marks)
        for name in self._marks.keys() & self.channels.keys():
            if self._take_mark(self.channels[name]):
                self._changed_elsewhere.add(name)
        if self._changed_elsewhere:
            self._tell_changed()

    def _take_wishes(self) -> None:
        wishes = self._wishes.all()
        for channel in self.channels.values():
            wish = wish_from(channel.name, wishes)
            if wish != channel.wish:
                channel.wish = wish
                self._changed_elsewhere.add(channel.name)

    def take_changed_elsewhere(self) -> set[str]:
        """Return, once, the channels in which another client changed something for this one."""
        found, self._changed_elsewhere = self._changed_elsewhere, set()
        return found

    # Drafts and preferences

    def set_draft(self, channel: str, text: str) -> None:
        """Keep what is typed and not sent."""
        self.drafts.set(channel, text)
        for name in self.drafted() - self.channels.keys():
            self.followed(name)
        self._tell_changed()

    def drafted(self) -> set[str]:
        """Return the channels that have a draft, in their own composer or in a thread."""
        return {key.partition("/")[0] for key in self.drafts.all()} - {""}

    def set_pref(self, key: str, value: str) -> None:
        """Keep something that the screens want to find again."""
        self.prefs.set(key, value)
        self._tell_changed()

    def unsaved(self) -> list[str]:
        """Return messages and drafts that only memory has: they end with the program."""
        return [*self.outbox.held_texts(), *filter(None, self.drafts.changed.values())]

    # To disk

    def flush(self) -> None:
        """Write what has changed; what cannot be written stays in memory, for the next time."""
        parts = self._reopen_outbox, self._flush_cache, self._flush_outbox
        self.is_troubled = False in [self._is_done(write) for write in parts]

    def _is_done(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except (DiskTrouble, StartupError) as exc:
            self._troubled(exc)
            return False
        return True

    def _troubled(self, trouble: Exception) -> None:
        _log.error("%s", trouble)
        if not self.is_troubled:
            self.is_troubled = True
            self._tell_trouble(f"{trouble}. {_IN_MEMORY}")

    def _reopen_outbox(self) -> None:
        """Try to open the file if it could not be written before.

        Raises:
            DiskTrouble: it still cannot.
        """
        if self.outbox.file.unwritable:
            file = self._open_outbox(0.0)
            if file.unwritable:
                file.close()
                raise DiskTrouble(file.unwritable)
            self.outbox.file.close()
            self.outbox.file = file
            self._has_young = True  # rows that could not be read before

    def _reopen_cache(self) -> None:
        if self._cache.unwritable:
            cache, records = self._open_cache(0.0)
            if cache.unwritable:
                cache.close()
                raise DiskTrouble(cache.unwritable)
            self._begin_cache(cache, records)

    def _begin_cache(self, cache: CacheDb, records: list[ChannelRecord]) -> None:
        """Go on with another cache: each channel as it is there, or from nothing."""
        for channel in self.channels.values():
            if channel.is_kept:
                self._begin_anew(channel)
        self._cache.close()
        self._cache = cache
        for record in records:
            known = self.channels.get(record.name)
            if known is None or not known.is_member:
                self._restore(record)
                self._begun_anew.add(record.name)
            else:
                known.restore_log(record)

    def _begin_anew(self, channel: Channel) -> None:
        """Forget the lines of a channel, here and on disk; they are read from the server again."""
        self._cache.discard(channel.name)
        channel.view.forget()
        self._begun_anew.add(channel.name)
        self.touch(channel)

    def take_begun_anew(self) -> set[str]:
        """Return, once, the channels whose lines are to be shown and read anew."""
        found, self._begun_anew = self._begun_anew, set()
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
                for name in lost:  # another client has begun it anew
                    self._begin_anew(self.channels[name])
                self._make_room()
        except Damaged as exc:
            self._replace_cache(exc)

    def _replace_cache(self, damage: Damaged) -> None:
        """Delete a damaged cache, and begin another."""
        self._cache_damage = None
        if self._cache.is_there:
            delete_database(self._cache.path)
        self._tell_anew(damage)
        self._begin_cache(*self._open_cache(OPENING))

    def _tell_anew(self, damage: Damaged) -> None:
        told = f"{damage}; messages are loaded again from the server"
        _log.error("%s", told)
        self._tell_trouble(told)

    def _make_room(self) -> None:
        """Throw away the lines of the largest channel if the cache is too large.

        The server has them still, and they come back when they are looked at.
        """
        if self._cache.size() > self._file_max and (name := self._cache.largest_channel()):
            self._begin_anew(self.followed(name))

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
            channel.name: Mark(channel.view.marked_in, channel.view.read)
            for channel in self.channels.values()
            if channel.view.read > channel.marked and channel.view.marked_in and channel.is_kept
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
        """Read from the cache; what is damaged is replaced when it is written next."""
        try:
            return query()
        except DiskTrouble as exc:
            _log.error("%s", exc)
            if isinstance(exc, Damaged):
                self._cache_damage = exc
                self._tell_changed()
            return otherwise


def is_known(path: Path) -> bool:
    """Whether there is anything of the account in the directory `path`."""
    return (path / _OUTBOX).exists() or _one_file(path).exists()


def put_into_outbox(path: Path, row: OutboxRow) -> None:
    """Put a row into the outbox of the account in the directory `path`.

    Raises:
        DiskTrouble: the disk does not take it.
    """
    file = OutboxDb(path / _OUTBOX)
    file.put_row(row)
    file.close()


def was_signed_in(path: Path) -> bool:
    """Whether a server has accepted the name that the account in the directory `path` is of."""
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
    """Return the file in which an older client kept everything."""
    return path.with_name(f"{path.name}.db")
