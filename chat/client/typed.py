"""What a person typed: into the outbox, on the screen, to the server; again, or thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from chat.client.account import Account
from chat.client.records import DiskTrouble, OutboxRow
from chat.client.screens import Screens
from chat.client.state import Notice, Update

if TYPE_CHECKING:
    from chat.client.sending import Sending

__all__ = ["Typed"]

OFFER_AGAIN = 2.0
"""Seconds until what the disk did not take is offered to it again."""


class Typed:
    """The durable half of what a person does with one account.

    Args:
        account: whose outbox.
        screens: told what becomes of the lines.
        put: takes notices.
        call_later: the event loop's.
    """

    def __init__(
        self,
        account: Account,
        screens: Screens,
        put: Callable[[Update], None],
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
    ) -> None:
        self.sending: Sending | None = None
        """Sends what waits, while there is a connection."""
        self._account = account
        self._screens = screens
        self._put = put
        self._call_later = call_later
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Offer nothing to the disk any more."""
        if self._timer is not None:
            self._timer.cancel()

    def write(self, row: OutboxRow) -> None:
        """Put something typed into the outbox, then send it."""
        outbox = self._account.outbox
        try:
            outbox.add(row)
        except DiskTrouble as exc:
            row = outbox.hold(row, f"{exc}; tried again by itself")
            self._offer_later()
        self._show(row)
        self._screens.channel_list()
        self._send(row)

    def retry(self, cid: str) -> None:
        """Send a refused row again."""
        try:
            row = self._account.outbox.retry(cid)
        except DiskTrouble as exc:
            self._put(Notice(str(exc), "error"))
            return
        if row is not None:
            self._changed(row)

    def _changed(self, row: OutboxRow) -> None:
        if self._account.outbox.line_of(row, self._account.me) is None:
            self._screens.removed(self._account.followed(row.channel), row.cid)
        self._show(row)
        self._screens.channel_list()
        self._send(row)

    def discard(self, cid: str) -> None:
        """Throw away a row."""
        row = self._account.outbox.get(cid)
        if row is None:
            return
        try:
            self._account.discard(row)
        except DiskTrouble as exc:
            self._put(Notice(f"Cannot discard the message now: {exc}", "error"))
        else:
            self._gone(row)

    def is_waiting(self, row: OutboxRow) -> bool:
        """Whether a row is still to be sent; if another client discarded it, it goes."""
        if row.cid in self._account.outbox.held or self._account.still_has(row):
            return True
        if self._account.outbox.drop(row.cid) is not None:
            self._gone(row)
        return False

    def follow_others(self) -> bool:
        """Show and send what another client on this file typed, retried or discarded.

        Returns:
            Whether drafts or preferences differ from before.
        """
        gone, changed, has_more = self._account.follow_others()
        for row in gone:
            self._gone(row)
        for row in changed:
            self._changed(row)
        return has_more

    def _gone(self, row: OutboxRow) -> None:
        channel = self._account.followed(row.channel)
        self._screens.removed(channel, row.cid)
        self._screens.line_at(channel, self._account.outbox.target_of(row))
        self._screens.channel_list()

    def offer_again(self) -> None:
        """Offer the disk what it did not take before; send that once the disk has it."""
        for cid in self._account.outbox.held:
            try:
                row = self._account.outbox.retry(cid)
            except DiskTrouble:
                self._offer_later()
                return
            if row is not None:
                self._show(row)
                self._send(row)

    def _offer_later(self) -> None:
        self.close()
        self._timer = self._call_later(OFFER_AGAIN, self.offer_again)

    def _send(self, row: OutboxRow) -> None:
        if self.sending is not None:
            self.sending.channel(row.channel)

    def _show(self, row: OutboxRow) -> None:
        outbox, channel = self._account.outbox, self._account.followed(row.channel)
        line = outbox.line_of(row, self._account.me)
        if line is not None:
            self._screens.lines(channel, [line])
        self._screens.line_at(channel, outbox.target_of(row))
