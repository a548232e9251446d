"""The outbox: on disk before sending, in order, until confirmed or discarded.

Each channel sends one row at a time, so a retry cannot change the order. The row's `cid` makes a
retry idempotent: the server stores the same `(author, cid)` once.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from chat.client.model.fold import PendingChange, fold
from chat.client.model.records import DamagedFile, DiskError, OutboxRow
from chat.client.model.state import Delivery, Message
from chat.client.storage.outbox_db import OutboxDb

__all__ = ["Outbox", "new_row"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

_FAILED, _PENDING = "failed", "pending"


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
    """The outbox in memory, in sync with the disk.

    Args:
        replace: replaces a damaged or deleted file; raises `DiskError` if that fails.
    """

    file: OutboxDb
    """The file; `Account` opens it and sets it."""

    def __init__(self, replace: Callable[[DamagedFile], None]) -> None:
        self._replace = replace
        self._rows: dict[str, OutboxRow] = {}
        self._by_target: dict[tuple[str, int], dict[str, None]] = {}
        """The rows that change a message, in order: an index, as every shown line is looked up."""
        self._unsaved: dict[str, None] = {}
        """Cids of rows that are only in memory, in the order they were typed."""
        self.confirmed: set[str] = set()
        """Cids of confirmed rows that are still on disk."""

    # The file

    def use(self, work: Callable[[OutboxDb], T]) -> T:
        """Use the file; if it is damaged or gone, replace it and try again.

        Raises:
            DiskError: the disk is not accepting writes.
        """
        try:
            return work(self.file)
        except DamagedFile as exc:
            self._replace(exc)
            return work(self.file)

    def read(self, query: Callable[[OutboxDb], T], otherwise: T) -> T:
        """Return the result of a query, or `otherwise` if the file cannot be read."""
        try:
            return self.use(query)
        except DiskError as exc:
            _log.error("%s", exc)
            return otherwise

    def still_has(self, row: OutboxRow) -> bool:
        """Whether a row must still be sent: another client may have discarded it on disk."""
        if row.cid in self._unsaved:
            return True
        return self.read(lambda file: file.has_row(row.cid), True)

    # The rows

    def load(self, rows: Iterable[OutboxRow]) -> None:
        """Load the stored rows."""
        self._rows = {row.cid: row for row in rows}
        self._by_target.clear()
        for row in self._rows.values():
            self._note(row)
        self.confirmed.clear()

    @property
    def has_pending(self) -> bool:
        """Whether a row is neither confirmed nor rejected."""
        return any(row.state == _PENDING or row.cid in self._unsaved for row in self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: OutboxRow) -> None:
        """Add a row; it is on disk when this returns.

        Raises:
            DiskError: the disk is not accepting writes.
        """
        self.use(lambda file: file.put_row(row))
        self._rows[row.cid] = row
        self._note(row)

    def keep_in_memory(self, row: OutboxRow, reason: str) -> OutboxRow:
        """Keep a row that cannot be saved in memory, marked as failed."""
        self._unsaved[row.cid] = None
        failed = self._rows[row.cid] = replace(row, state=_FAILED, reason=reason)
        self._note(failed)
        return failed

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Cids of the rows that are only in memory."""
        return tuple(self._unsaved)

    def unsaved_texts(self) -> list[str]:
        """Return the texts that are only in memory."""
        rows = (self._rows[cid] for cid in self._unsaved if cid in self._rows)
        return [_fields(row.command)["text"] for row in rows if self.has_text(row)]

    def all(self) -> tuple[OutboxRow, ...]:
        """Return all rows in order."""
        return tuple(self._rows.values())

    def get(self, cid: str | None) -> OutboxRow | None:
        """Return the row with this cid, if there is one."""
        return self._rows.get(cid) if cid else None

    def channels(self) -> list[str]:
        """Return the channels that have rows."""
        return list(dict.fromkeys(row.channel for row in self._rows.values()))

    def failed(self) -> Counter[str]:
        """Return the number of failed rows by channel."""
        return Counter(row.channel for row in self._rows.values() if row.state == _FAILED)

    def rows(self, channel: str) -> list[OutboxRow]:
        """Return a channel's rows in order."""
        return [row for row in self._rows.values() if row.channel == channel]

    def next(self, channel: str) -> OutboxRow | None:
        """Return the next row to send in a channel."""
        waiting = (row for row in self._rows.values() if row.channel == channel)
        return next((row for row in waiting if row.state == _PENDING), None)

    def confirm(self, cid: str | None) -> OutboxRow | None:
        """Remove a row that the server has stored; return it if there was one."""
        row = self.drop(cid) if cid else None
        if row is not None:
            self.confirmed.add(row.cid)
        return row

    def drop(self, cid: str) -> OutboxRow | None:
        """Remove a row that is not on disk any more; return it if there was one."""
        row = self._rows.pop(cid, None)
        if row is not None:
            self._unsaved.pop(row.cid, None)
            if (seq := self.target_of(row)) is not None:
                self._by_target.get((row.channel, seq), {}).pop(row.cid, None)
        return row

    def merge_stored(
        self, stored: Iterable[OutboxRow], typed_before: int
    ) -> tuple[list[OutboxRow], list[OutboxRow]]:
        """Apply what other clients on the same file have done to the rows.

        Args:
            stored: all rows on disk.
            typed_before: only unknown rows older than this (milliseconds since 1970) are taken
                over; the other client is still sending younger ones.

        Returns:
            The rows that are gone, and those that are new or changed.
        """
        on_disk = {row.cid: row for row in stored}
        gone = [
            row
            for row in self._rows.values()
            if row.cid not in on_disk.keys() | self._unsaved.keys()
        ]
        for row in gone:
            self.drop(row.cid)
        changed = []
        for row in on_disk.values():
            known = self._rows.get(row.cid)
            is_new = known is None and row.cid not in self.confirmed and row.ts < typed_before
            if is_new or (known not in (None, row) and row.cid not in self._unsaved):
                self._rows[row.cid] = row
                self._note(row)
                changed.append(row)
        return gone, changed

    def fail(self, cid: str, reason: str) -> OutboxRow | None:
        """Mark a row as rejected permanently."""
        return self._change(cid, _FAILED, reason)

    def retry(self, cid: str) -> OutboxRow | None:
        """Mark a failed row as pending again."""
        return self._change(cid, _PENDING, "")

    def _change(self, cid: str, state: str, reason: str) -> OutboxRow | None:
        row = self._rows.get(cid)
        if row is None:
            return None
        changed = replace(row, state=state, reason=reason)
        if cid not in self._unsaved:
            self._rows[cid] = changed
        self.use(lambda file: file.put_row(changed))
        self._rows[cid] = changed  # after the write: an unsaved row must not be sent
        self._unsaved.pop(cid, None)
        return changed

    # Lines

    def line_of(self, row: OutboxRow, me: str) -> Message | None:
        """Return the line of a row that has one: a message, or a failed edit."""
        fields = _fields(row.command)
        if fields["type"] != "send" and not (fields["type"] == "edit" and row.state == _FAILED):
            return None
        return Message(
            channel=row.channel,
            seq=None,
            cid=row.cid,
            author=me,
            ts=row.ts,
            text=fields["text"],
            me=fields.get("me", False),
            reply_to=fields.get("reply_to"),
            delivery=Delivery.FAILED if row.state == _FAILED else Delivery.PENDING,
            reason=row.reason,
        )

    def target_of(self, row: OutboxRow) -> int | None:
        """Return the seq of the message that a row changes, if it changes one."""
        target: int | None = _fields(row.command).get("seq")
        return target

    def has_text(self, row: OutboxRow) -> bool:
        """Whether the row contains text that the user typed."""
        return "text" in _fields(row.command)

    def decorate(self, line: Message, me: str) -> Message:
        """Return `line` with the user's pending changes applied."""
        if line.seq is None or not self._rows:
            return line
        shown = line
        for cid in self._by_target.get((line.channel, line.seq), ()):
            row = self._rows[cid]
            if row.state == _PENDING:
                shown = replace(_apply(shown, _fields(row.command), me), delivery=Delivery.PENDING)
        return shown

    def _note(self, row: OutboxRow) -> None:
        if (seq := self.target_of(row)) is not None:
            self._by_target.setdefault((row.channel, seq), {})[row.cid] = None


@lru_cache(maxsize=1_024)
def _fields(command: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(command)
    return fields


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
