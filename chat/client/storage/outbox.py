"""The outbox: on disk before sending, in order, until confirmed or discarded.

In each channel one row is under way at a time, so a retry cannot change the order. Its `cid` makes
a retry harmless: the server stores the same `(author, cid)` once.
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

from chat.client.model.fold import Wanted, fold
from chat.client.model.records import Damaged, DiskTrouble, OutboxRow
from chat.client.model.state import Delivery, Message
from chat.client.storage.outbox_db import OutboxDb

__all__ = ["Outbox", "new_row"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

_FAILED, _PENDING = "failed", "pending"


def new_row(command: dict[str, Any], cid: str = "") -> OutboxRow:
    """Return a row for the fields of a command, with a cid of its own if none is given.

    Whatever a person typed is kept, text that the protocol does not allow included.
    """
    cid = cid or os.urandom(16).hex()  # a UUID's module takes 2 ms of the start
    return OutboxRow(
        cid=cid,
        channel=command["channel"],
        command=json.dumps({**command, "cid": cid}),
        ts=time.time_ns() // 1_000_000,
    )


class Outbox:
    """The rows, in memory as they are on disk.

    Args:
        replace: puts another file in the place of one that is damaged or gone; raises
            `DiskTrouble` if the disk does not take it.
    """

    file: OutboxDb
    """Where the rows are; set by `Account`, which opens it."""

    def __init__(self, replace: Callable[[Damaged], None]) -> None:
        self._replace = replace
        self._rows: dict[str, OutboxRow] = {}
        self._about: dict[tuple[str, int], dict[str, None]] = {}
        """The rows about a message, in order: thousands may wait, and each line asks."""
        self._held: dict[str, None] = {}
        """Rows that only memory has, in the order they were typed: so they go to disk."""
        self.confirmed: set[str] = set()
        """Rows that are done, and still on disk."""

    # The file

    def use(self, work: Callable[[OutboxDb], T]) -> T:
        """Do something with the file; if it is damaged or gone, with another one.

        Raises:
            DiskTrouble: the disk does not take it.
        """
        try:
            return work(self.file)
        except Damaged as exc:
            self._replace(exc)
            return work(self.file)

    def read(self, query: Callable[[OutboxDb], T], otherwise: T) -> T:
        """Return what `use` does, or `otherwise` if the disk cannot be read."""
        try:
            return self.use(query)
        except DiskTrouble as exc:
            _log.error("%s", exc)
            return otherwise

    def still_has(self, row: OutboxRow) -> bool:
        """Whether a row is still to be sent: another client may have discarded it on disk."""
        if row.cid in self._held:
            return True
        return self.read(lambda file: file.has_row(row.cid), True)

    # The rows

    def load(self, rows: Iterable[OutboxRow]) -> None:
        """Start with the rows that were left."""
        self._rows = {row.cid: row for row in rows}
        self._about.clear()
        for row in self._rows.values():
            self._note(row)
        self.confirmed.clear()

    @property
    def waits(self) -> bool:
        """Whether a row is neither confirmed nor refused."""
        return any(row.state == _PENDING or row.cid in self._held for row in self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: OutboxRow) -> None:
        """Add a row; it is on disk when this returns.

        Raises:
            DiskTrouble: the disk does not take it.
        """
        self.use(lambda file: file.put_row(row))
        self._rows[row.cid] = row
        self._note(row)

    def hold(self, row: OutboxRow, reason: str) -> OutboxRow:
        """Keep a row that the disk did not take in memory, and do not send it."""
        self._held[row.cid] = None
        held = self._rows[row.cid] = replace(row, state=_FAILED, reason=reason)
        self._note(held)
        return held

    @property
    def held(self) -> tuple[str, ...]:
        """The rows that only memory has: the disk did not take them."""
        return tuple(self._held)

    def held_texts(self) -> list[str]:
        """Return the texts that only memory has."""
        rows = (self._rows[cid] for cid in self._held if cid in self._rows)
        return [_fields(row.command)["text"] for row in rows if self.has_text(row)]

    def all(self) -> tuple[OutboxRow, ...]:
        """Return everything that waits, in order."""
        return tuple(self._rows.values())

    def get(self, cid: str | None) -> OutboxRow | None:
        """Return the row of `cid`, if it is waiting."""
        return self._rows.get(cid) if cid else None

    def channels(self) -> list[str]:
        """Return the channels in which something waits."""
        return list(dict.fromkeys(row.channel for row in self._rows.values()))

    def failed(self) -> Counter[str]:
        """Return how many rows of each channel were refused."""
        return Counter(row.channel for row in self._rows.values() if row.state == _FAILED)

    def rows(self, channel: str) -> list[OutboxRow]:
        """Return what waits in a channel, in order."""
        return [row for row in self._rows.values() if row.channel == channel]

    def next(self, channel: str) -> OutboxRow | None:
        """Return the row to send next in a channel."""
        waiting = (row for row in self._rows.values() if row.channel == channel)
        return next((row for row in waiting if row.state == _PENDING), None)

    def confirm(self, cid: str | None) -> OutboxRow | None:
        """Note that the server has it; return the row if it was waiting."""
        row = self.drop(cid) if cid else None
        if row is not None:
            self.confirmed.add(row.cid)
        return row

    def drop(self, cid: str) -> OutboxRow | None:
        """Forget a row that is not on disk any more; return it if it was waiting."""
        row = self._rows.pop(cid, None)
        if row is not None:
            self._held.pop(row.cid, None)
            if (seq := self.target_of(row)) is not None:
                self._about.get((row.channel, seq), {}).pop(row.cid, None)
        return row

    def follow(
        self, stored: Iterable[OutboxRow], typed_before: int
    ) -> tuple[list[OutboxRow], list[OutboxRow]]:
        """Take up what another client on the same file did to the rows.

        Args:
            stored: all rows on disk.
            typed_before: unknown rows are taken up if they are older (milliseconds since 1970):
                the other client is just sending younger ones.

        Returns:
            The rows that are gone, and those that are new or changed.
        """
        on_disk = {row.cid: row for row in stored}
        gone = [
            row for row in self._rows.values() if row.cid not in on_disk.keys() | self._held.keys()
        ]
        for row in gone:
            self.drop(row.cid)
        changed = []
        for row in on_disk.values():
            known = self._rows.get(row.cid)
            is_new = known is None and row.cid not in self.confirmed and row.ts < typed_before
            if is_new or (known not in (None, row) and row.cid not in self._held):
                self._rows[row.cid] = row
                self._note(row)
                changed.append(row)
        return gone, changed

    def fail(self, cid: str, reason: str) -> OutboxRow | None:
        """Note that the server refused it for good; the text stays."""
        return self._change(cid, _FAILED, reason)

    def retry(self, cid: str) -> OutboxRow | None:
        """Let a refused row be sent again."""
        return self._change(cid, _PENDING, "")

    def _change(self, cid: str, state: str, reason: str) -> OutboxRow | None:
        row = self._rows.get(cid)
        if row is None:
            return None
        changed = replace(row, state=state, reason=reason)
        if cid not in self._held:
            self._rows[cid] = changed
        self.use(lambda file: file.put_row(changed))
        self._rows[cid] = changed  # what the disk has never had is not sent before it has it
        self._held.pop(cid, None)
        return changed

    # How it looks

    def line_of(self, row: OutboxRow, me: str) -> Message | None:
        """Return the line of a row that stands for itself: a message, or an edit that failed."""
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
        """Return the seq of the message that a row is about, if it is about one."""
        target: int | None = _fields(row.command).get("seq")
        return target

    def has_text(self, row: OutboxRow) -> bool:
        """Whether a person typed something that would be lost with the row."""
        return "text" in _fields(row.command)

    def decorate(self, line: Message, me: str) -> Message:
        """Return `line` with one's own changes of it that are still on their way."""
        if line.seq is None or not self._rows:
            return line
        shown = line
        for cid in self._about.get((line.channel, line.seq), ()):
            row = self._rows[cid]
            if row.state == _PENDING:
                shown = replace(_apply(shown, _fields(row.command), me), delivery=Delivery.PENDING)
        return shown

    def _note(self, row: OutboxRow) -> None:
        if (seq := self.target_of(row)) is not None:
            self._about.setdefault((row.channel, seq), {})[row.cid] = None


@lru_cache(maxsize=1_024)
def _fields(command: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(command)
    return fields


def _apply(line: Message, fields: dict[str, Any], me: str) -> Message:
    change = Wanted(
        seq=line.rev + 1,
        author=me,
        kind=fields["type"],
        text=fields.get("text"),
        emoji=fields.get("emoji"),
        remove=fields.get("remove", False),
    )
    return replace(fold(line, change, me), rev=line.rev)
