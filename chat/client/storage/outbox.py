"""The outbox: input that the server may not have yet; in memory, in sync with the disk.

It has the unconfirmed commands (rows), drafts, preferences of the interface, and the channel
preferences and read markers that the server has not confirmed. A row is on disk before it is sent,
and stays until it is confirmed or discarded. Each channel sends one row at a time, so a retry
cannot change the order. The row's `cid` makes a retry idempotent: the server stores the same
`(author, cid)` once.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from chat.client.model.fold import PendingChange, fold
from chat.client.model.records import DamagedFile, DiskError, OutboxRow
from chat.client.model.state import Delivery, Message
from chat.client.storage.database import delete_database
from chat.client.storage.outbox_db import OutboxContent, OutboxDb, ReadMarker, SavedTexts
from chat.client.storage.recovery import adopt, one_file, read_damaged, set_aside, unsent
from chat.errors import StartupError

__all__ = ["CACHE", "OPENING", "OUTBOX", "Outbox", "new_row"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

OUTBOX, CACHE = "outbox.db", "cache.db"
"""Names of an account's files."""
OPENING = 2.0
"""Seconds to wait at the start for another program that has locked a file."""
_ADOPT_AFTER = 5_000
"""Milliseconds after which a row that another client has not sent is sent by this one."""


def new_row(command: dict[str, Any], cid: str = "") -> OutboxRow:
    """Return a row for the fields of a command; it gets a new cid if none is given.

    Text is stored as typed, even if the protocol does not allow it.
    """
    now = time.time_ns() // 1_000_000
    cid = cid or _time_ordered_id(now)
    return OutboxRow(
        cid=cid,
        channel=command["channel"],
        command=json.dumps({**command, "cid": cid}),
        ts=now,
    )


def _time_ordered_id(now: int) -> str:
    """Return a new UUID of version 7 (RFC 9562, 5.7) as 32 hexadecimal digits.

    The server's index of cids is written at one end if they begin with the time. The standard
    library's module of UUIDs takes 2 ms of the start.
    """
    chance = int.from_bytes(os.urandom(10), "big")
    version, variant = 0x7 << 76, 0b10 << 62
    chance = chance & ~(0xF << 76) & ~(0b11 << 62) | version | variant
    return f"{now & 0xFFFF_FFFF_FFFF:012x}{chance:020x}"


class Outbox:
    """The outbox of one account.

    A damaged or deleted file is replaced by a new one, which gets what is in memory and what can
    still be read. While the disk is not accepting writes, everything stays in memory.

    Args:
        folder: the account's folder.
        adopted: folders of other accounts whose input is taken over.
        report: called with a message for the user when a file is damaged or cannot be taken over.

    Raises:
        StartupError: a file was written by a newer version.
    """

    def __init__(
        self, folder: Path, *, adopted: Iterable[Path] = (), report: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._adopted = tuple(adopted)
        self._report = report
        self._rows: dict[str, OutboxRow] = {}
        self._by_target: dict[tuple[str, int], dict[str, None]] = {}
        """The rows that change a message, in order: an index, as every shown line is looked up."""
        self._unsaved: dict[str, None] = {}
        """Cids of rows that are only in memory, in the order they were typed."""
        self.confirmed: set[str] = set()
        """Cids of confirmed rows that are still on disk."""
        self._has_recent_rows = False
        """Whether the file has recent rows that another client may be sending now."""
        self.drafts, self.prefs = SavedTexts("draft"), SavedTexts("pref")
        self.preference_changes = SavedTexts("wish")
        """Changes of channel preferences, by channel and field; see `preference_values`."""
        self._texts = self.drafts, self.prefs, self.preference_changes
        self.marks: dict[str, ReadMarker] = {}
        """The read markers on disk that the server may not have, by channel."""
        self._file = self._open(OPENING)
        self._read(OutboxDb.has_changed_elsewhere, False)  # from now on
        stored = self._read(OutboxDb.content, OutboxContent())
        for row in stored.rows:
            self._put(row)
        for texts in self._texts:
            texts.stored = stored.texts.get(texts.kind, {})
        self.marks = stored.marks

    # The file

    @property
    def unwritable(self) -> str:
        """Why the file is not writable; empty if it is."""
        return self._file.unwritable

    def _open(self, timeout: float) -> OutboxDb:
        path = self._folder / OUTBOX
        try:
            file = OutboxDb(path, timeout=timeout)
            try:
                file.content()
            except DamagedFile:
                file.close()
                raise
        except DamagedFile as exc:
            file = self._replaced(exc, timeout, exists=True)
        except DiskError as exc:
            return OutboxDb(path, unwritable=str(exc))
        try:
            self._adopt_others(file)
        except StartupError:  # the file of a newer client
            file.close()
            raise
        return file

    def _adopt_others(self, file: OutboxDb) -> None:
        """Take over the files of older clients and of the accounts to adopt."""
        old: list[tuple[Path, Path | None]] = [(one_file(self._folder), self._folder / CACHE)]
        for other in self._adopted:
            old += [(other / OUTBOX, None), (one_file(other), None)]
        for path, cache in old:
            try:
                damage = adopt(file, path, cache)
            except DiskError as exc:
                damage = str(exc)
            if damage:
                _log.error("%s", damage)
                self._report(damage)
        for other in self._adopted:
            if other.is_dir() and not (other / OUTBOX).exists():
                with suppress(OSError):
                    delete_database(other / CACHE)
                    other.rmdir()

    def _replaced(self, damage: DamagedFile, timeout: float, *, exists: bool) -> OutboxDb:
        """Create a new file; an existing one is damaged and is renamed.

        The new file gets what is in memory, and all that can be read from the damaged file.
        """
        path = self._folder / OUTBOX
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
        known = [row for row in self._rows.values() if row.cid not in self._unsaved]
        texts = {each.kind: each.all() for each in self._texts}
        file.add(OutboxContent(known, texts, self.marks))
        found.rows = [row for row in found.rows if row.cid not in self.confirmed]
        file.add(found)
        self._has_recent_rows = True
        _log.error("%s", message)
        self._report(message)
        return file

    def _use(self, work: Callable[[OutboxDb], T]) -> T:
        """Use the file; if it is damaged or gone, replace it and try again.

        Raises:
            DiskError: the disk is not accepting writes.
        """
        try:
            return work(self._file)
        except DamagedFile as damage:
            exists = self._file.exists
            self._file.close()
            try:
                self._file = self._replaced(damage, OPENING, exists=exists)
            except (DiskError, StartupError) as exc:
                self._switch_to_memory(str(exc))
                raise DiskError(str(exc)) from exc
            return work(self._file)

    def _switch_to_memory(self, why: str) -> None:
        """Continue without a file; everything counts as unsaved."""
        self._file = OutboxDb(self._folder / OUTBOX, unwritable=why)
        for row in self.all():
            self.keep_in_memory(row, why)
        for texts in self._texts:
            texts.changed = texts.all() | texts.changed
        self.marks = {}

    def _read(self, query: Callable[[OutboxDb], T], otherwise: T) -> T:
        """Return the result of a query, or `otherwise` if the file cannot be read."""
        try:
            return self._use(query)
        except DiskError as exc:
            _log.error("%s", exc)
            return otherwise

    def reopen(self) -> None:
        """Reopen the file if it was not writable.

        Raises:
            DiskError: it is still not writable.
        """
        if self._file.unwritable:
            file = self._open(0.0)
            if file.unwritable:
                file.close()
                raise DiskError(file.unwritable)
            self._file.close()
            self._file = file
            self._has_recent_rows = True  # rows that could not be read before

    def flush(self, marks: Mapping[str, ReadMarker | None]) -> None:
        """Write all changes, and delete the confirmed rows.

        Args:
            marks: each channel's read marker, or None if the server has it.

        Raises:
            DiskError: the disk is not accepting writes.
        """
        self._use(lambda file: self._save(file, marks))

    def _save(self, file: OutboxDb, marks: Mapping[str, ReadMarker | None]) -> None:
        if self.confirmed:
            file.drop_rows(tuple(self.confirmed))
            self.confirmed.clear()
        for texts in self._texts:
            if texts.changed:
                file.save_texts(texts)
        moved = {
            name: mark for name, mark in marks.items() if mark and self.marks.get(name) != mark
        }
        confirmed = {
            name: mark for name, mark in self.marks.items() if name in marks and marks[name] is None
        }
        if moved or confirmed:
            file.save_marks(moved, confirmed)
            kept = {name: mark for name, mark in self.marks.items() if name not in confirmed}
            self.marks = kept | moved

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # Other clients, and other accounts

    def take_over(self, other: Outbox) -> None:
        """Take over another account's rows and texts that are missing here."""
        for cid in other.confirmed:
            self.confirm(cid)
        for row in other.all():
            if row.cid in other.unsaved:
                self.keep_in_memory(row, row.reason)
            elif row.cid not in self._rows:
                self.add(row)
        for mine, theirs in zip(self._texts, other._texts, strict=True):
            mine.take_over(theirs)

    def has_changed_elsewhere(self) -> bool:
        """Whether another client may have changed the file since the last call."""
        return self._read(OutboxDb.has_changed_elsewhere, False) or self._has_recent_rows

    def merge_other_clients(self) -> tuple[list[OutboxRow], list[OutboxRow], bool]:
        """Apply what other clients have changed in rows, drafts and preferences.

        A row that is unknown here is taken over after `_ADOPT_AFTER`: until then the client that
        has added it may be sending it.

        Returns:
            Rows that are gone; rows that are new or changed; whether drafts or preferences differ.
        """
        old = time.time_ns() // 1_000_000 - _ADOPT_AFTER
        on_disk = {row.cid: row for row in self._read(OutboxDb.outbox, list(self._rows.values()))}
        gone = [
            row
            for row in self._rows.values()
            if row.cid not in on_disk and row.cid not in self._unsaved
        ]
        for row in gone:
            self.drop(row.cid)
        changed = []
        for row in on_disk.values():
            known = self._rows.get(row.cid)
            is_new = known is None and row.cid not in self.confirmed and row.ts < old
            if is_new or (known not in (None, row) and row.cid not in self._unsaved):
                self._put(row)
                changed.append(row)
        self._has_recent_rows = bool(on_disk.keys() - self._rows.keys() - self.confirmed)
        have_texts_changed = [self._load_texts(texts) for texts in (self.drafts, self.prefs)]
        return gone, changed, any(have_texts_changed)

    def forget_mark(self, channel: str) -> None:
        """Delete the read marker of a channel that the user has left."""
        if mark := self.marks.pop(channel, None):
            self._read(lambda file: file.save_marks({}, {channel: mark}), None)

    def load_channel_changes(self) -> None:
        """Load preference changes and read markers that other clients have stored."""
        self._load_texts(self.preference_changes)
        self.marks = self._read(OutboxDb.marks, self.marks)

    def _load_texts(self, texts: SavedTexts) -> bool:
        """Load texts from the disk; return whether they differ."""
        before = texts.stored
        texts.stored = self._read(lambda file: file.saved_texts(texts.kind), before)
        return texts.stored != before

    # The rows

    @property
    def has_pending(self) -> bool:
        """Whether a row is neither confirmed nor rejected."""
        return any(not row.is_failed or row.cid in self._unsaved for row in self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: OutboxRow) -> OutboxRow:
        """Add a row; it is on disk when this returns, or in memory, marked as failed.

        Returns:
            The row with its state.
        """
        try:
            self._use(lambda file: file.put_row(row))
        except DiskError as exc:
            return self.keep_in_memory(row, f"{exc}; retrying automatically")
        self._put(row)
        return row

    def keep_in_memory(self, row: OutboxRow, reason: str) -> OutboxRow:
        """Keep a row that cannot be saved in memory, marked as failed."""
        self._unsaved[row.cid] = None
        failed = replace(row, state="failed", reason=reason)
        self._put(failed)
        return failed

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Cids of the rows that are only in memory."""
        return tuple(self._unsaved)

    def unsaved_texts(self) -> list[str]:
        """Return messages and drafts that are only in memory."""
        rows = (self._rows[cid] for cid in self._unsaved if cid in self._rows)
        messages = [row.fields["text"] for row in rows if row.has_text]
        return [*messages, *filter(None, self.drafts.changed.values())]

    def all(self) -> tuple[OutboxRow, ...]:
        """Return all rows in order."""
        return tuple(self._rows.values())

    def get(self, cid: str | None) -> OutboxRow | None:
        """Return the row with this cid, if there is one."""
        return self._rows.get(cid) if cid else None

    def channels(self) -> list[str]:
        """Return the channels that have rows."""
        return list(dict.fromkeys(row.channel for row in self._rows.values()))

    def drafted(self) -> set[str]:
        """Return the channels that have a draft, including drafts in threads."""
        return {key.partition("/")[0] for key in self.drafts.all()} - {""}

    def failed(self) -> Counter[str]:
        """Return the number of failed rows by channel."""
        return Counter(row.channel for row in self._rows.values() if row.is_failed)

    def rows(self, channel: str) -> list[OutboxRow]:
        """Return a channel's rows in order."""
        return [row for row in self._rows.values() if row.channel == channel]

    def next(self, channel: str) -> OutboxRow | None:
        """Return the next row to send in a channel."""
        waiting = (row for row in self._rows.values() if row.channel == channel)
        return next((row for row in waiting if not row.is_failed), None)

    def still_has(self, row: OutboxRow) -> bool:
        """Whether a row must still be sent: another client may have discarded it on disk."""
        return row.cid in self._unsaved or self._read(lambda file: file.has_row(row.cid), True)

    def confirm(self, cid: str | None) -> OutboxRow | None:
        """Remove a row that the server has stored; return it if there was one."""
        row = self.drop(cid) if cid else None
        if row is not None:
            self.confirmed.add(row.cid)
        return row

    def discard(self, row: OutboxRow) -> None:
        """Discard a row, also for other clients on this file.

        Raises:
            DiskError: the row is still on disk and would come back.
        """
        if row.cid not in self._unsaved:
            self._use(lambda file: file.drop_rows([row.cid]))
        self.drop(row.cid)

    def drop(self, cid: str) -> OutboxRow | None:
        """Remove a row that is not on disk any more; return it if there was one."""
        row = self._rows.pop(cid, None)
        if row is not None:
            self._unsaved.pop(row.cid, None)
            if row.target is not None:
                self._by_target.get((row.channel, row.target), {}).pop(row.cid, None)
        return row

    def fail(self, cid: str, reason: str) -> OutboxRow | None:
        """Mark a row as rejected permanently.

        Raises:
            DiskError: the disk is not accepting writes; `retry` does the same.
        """
        return self._change(cid, "failed", reason)

    def retry(self, cid: str) -> OutboxRow | None:
        """Mark a failed row as pending again."""
        return self._change(cid, "pending", "")

    def _change(self, cid: str, state: str, reason: str) -> OutboxRow | None:
        row = self._rows.get(cid)
        if row is None:
            return None
        changed = replace(row, state=state, reason=reason)
        if cid not in self._unsaved:
            self._rows[cid] = changed
        self._use(lambda file: file.put_row(changed))
        self._rows[cid] = changed  # after the write: an unsaved row must not be sent
        self._unsaved.pop(cid, None)
        return changed

    def _put(self, row: OutboxRow) -> None:
        self._rows[row.cid] = row
        if row.target is not None:
            self._by_target.setdefault((row.channel, row.target), {})[row.cid] = None

    def decorate(self, line: Message, me: str) -> Message:
        """Return `line` with the user's pending changes applied."""
        if line.seq is None or not self._rows:
            return line
        shown = line
        for cid in self._by_target.get((line.channel, line.seq), ()):
            row = self._rows[cid]
            if not row.is_failed:
                shown = replace(_apply(shown, row.fields, me), delivery=Delivery.PENDING)
        return shown


def _apply(line: Message, fields: dict[str, Any], me: str) -> Message:
    change = PendingChange(
        seq=line.rev + 1,
        author=me,
        kind=fields["type"],
        text=fields.get("text"),
        emoji=fields.get("emoji"),
        remove=fields.get("remove", False),
    )
    return replace(fold(line, change, me), rev=line.rev)
