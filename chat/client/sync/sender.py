"""The life of an outbox row: store it, show it, send it, and show what the server answered.

Rows are stored and shown without a connection too; each channel sends one row at a time.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from chat.client.model.channel import Channel
from chat.client.model.records import DiskError, OutboxRow
from chat.client.model.state import Delivery, Message, Notice
from chat.client.network.backoff import Backoff
from chat.client.storage.outbox import Outbox
from chat.client.sync.local_state import LocalState
from chat.client.sync.publisher import Publisher
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError
from chat.text import channel_title, is_builtin

if TYPE_CHECKING:  # the first page does not need the protocol's models
    from chat.client.network.session import Session
    from chat.client.sync.channel_sync import ChannelSync
    from chat.protocol.frames import Ok

__all__ = ["Sender"]


class Sender:
    """Sends the outbox of the open account while there is a session.

    Args:
        local: the open account and its publisher.
        tasks: run one task per channel with rows; end with the session.
    """

    _channel_sync: ChannelSync
    """Joins direct channels; set while there is a session."""

    def __init__(self, local: LocalState, tasks: Tasks) -> None:
        self._local = local
        self._tasks = tasks
        self._session: Session | None = None
        self._has_rooms = False
        """Whether the server of the session knows replies that are only in their threads."""
        self._busy: set[str] = set()

    @property
    def _outbox(self) -> Outbox:
        return self._local.account.outbox

    @property
    def _publisher(self) -> Publisher:
        return self._local.publisher

    # Storing and showing

    def write(self, row: OutboxRow) -> None:
        """Add a row to the outbox, on disk, and show it; then send it."""
        self._show_and_send(self._outbox.add(row))

    def retry(self, cid: str) -> None:
        """Send a failed row again."""
        try:
            row = self._outbox.retry(cid)
        except DiskError as exc:
            self._local.put(Notice(str(exc), "error"))
            return
        if row is not None:
            self.changed(row)

    def changed(self, row: OutboxRow) -> None:
        """Show and send a row that was changed here or by another client."""
        account = self._local.account
        if row.line(account.me) is None:
            self._publisher.line_removed(account.ensure_channel(row.channel), row.cid)
        self._show_and_send(row)

    def _show_and_send(self, row: OutboxRow) -> None:
        self._publisher.row_changed(row)
        self.send(row.channel)

    def save_again(self) -> None:
        """Save the rows that are only in memory, if the disk accepts writes again; send them."""
        for cid in self._outbox.unsaved:
            try:
                row = self._outbox.retry(cid)
            except DiskError:
                break
            if row is not None:
                self._show_and_send(row)

    def discard(self, cid: str) -> None:
        """Discard a row."""
        row = self._outbox.get(cid)
        if row is None:
            return
        try:
            self._outbox.discard(row)
        except DiskError as exc:
            self._local.put(Notice(f"Cannot discard the message now: {exc}", "error"))
        else:
            self._publisher.row_removed(row)

    # Sending

    def begin(self, session: Session, channel_sync: ChannelSync, *, has_rooms: bool) -> None:
        """Send all rows through a session, and new ones from now on."""
        self._session, self._channel_sync = session, channel_sync
        self._has_rooms = has_rooms
        self.save_again()
        for name in self._outbox.channels():
            self.send(name)

    def end(self) -> None:
        """Stop sending: the session has ended, and its tasks end now."""
        self._session = None
        self._busy.clear()  # a task that ends before its first step does not do that itself

    def send(self, name: str) -> None:
        """Send the rows of one channel, if there is a session."""
        if self._session is not None and name not in self._busy:
            self._busy.add(name)
            self._tasks.start(self._drain(self._session, name))

    async def _drain(self, session: Session, name: str) -> None:
        try:
            backoff = Backoff(0.5)
            while row := self._outbox.next(name):
                wait = await self._attempt(session, row, backoff)
                if wait:
                    await asyncio.sleep(wait)
                else:
                    backoff.reset()
        finally:
            self._busy.discard(name)

    async def _attempt(self, session: Session, row: OutboxRow, backoff: Backoff) -> float:
        """Send one row; return the seconds to wait before a retry, or 0 if it is done."""
        if not self._is_waiting(row):
            return 0.0
        try:
            command = session.command_of(row if self._has_rooms else _for_old_servers(row))
            await self._channel_sync.join_direct(row.channel)
            answer = await session.ask(command)
        except ValueError as error:
            self._refused(row, str(error))
        except CommandError as error:
            if error.code.retryable:
                return backoff.after(error)
            self._refused(row, error.message)
        else:
            self._confirmed(row, answer)
        return 0.0

    def _is_waiting(self, row: OutboxRow) -> bool:
        """Whether a row must still be sent; a row that another client has discarded is removed."""
        if self._outbox.still_has(row):
            return True
        if self._outbox.drop(row.cid) is not None:
            self._publisher.row_removed(row)
        return False

    def _confirmed(self, row: OutboxRow, ok: Ok) -> None:
        account = self._local.account
        channel = account.ensure_channel(row.channel)
        if self._outbox.confirm(row.cid) is None:
            return  # its event arrived first
        account.touch(channel)
        self._publisher.channel_changed(row.channel)
        known = channel.view.line(ok.seq) if ok.seq else None
        if row.target is not None:
            self._publisher.line_changed(channel, row.target)
        elif known is not None:
            self._publisher.lines_changed(channel, [known])
        elif line := row.line(account.me):
            self._sent_without_event(channel, replace(line, seq=ok.seq, ts=ok.ts or line.ts))

    def _sent_without_event(self, channel: Channel, line: Message) -> None:
        """Show a confirmed line whose event arrives later, or never (built-in channels)."""
        sent = replace(line, delivery=Delivery.SENT)
        if is_builtin(channel.name):
            self._publisher.tick(channel, sent)
        else:
            self._publisher.lines_changed(channel, [sent])

    def _refused(self, row: OutboxRow, reason: str) -> None:
        """Mark a rejected message or edit as failed; remove any other row."""
        account, outbox = self._local.account, self._outbox
        channel = account.ensure_channel(row.channel)
        try:
            failed = outbox.fail(row.cid, reason) if row.has_text else outbox.confirm(row.cid)
        except DiskError as exc:
            failed = outbox.keep_in_memory(row, f"{reason} ({exc})")
        account.touch(channel)
        self._publisher.line_changed(channel, row.target)
        line = failed.line(account.me) if failed and row.has_text else None
        self._publisher.channel_changed(row.channel)
        if line is not None:
            self._publisher.lines_changed(channel, [line])
        else:
            title = channel_title(row.channel, account.me)
            self._local.put(Notice(f"{title}: {reason}", "error"))


def _for_old_servers(row: OutboxRow) -> OutboxRow:
    """Return a row without the fields that servers without rooms do not know."""
    if not row.fields.get("thread_only"):
        return row
    fields = {name: value for name, value in row.fields.items() if name != "thread_only"}
    return replace(row, command=json.dumps(fields))
