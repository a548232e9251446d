"""Send the outbox over one connection, one row per channel at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from chat.client.model.channel import Channel
from chat.client.model.records import DiskError, OutboxRow
from chat.client.model.state import Delivery, Message, Notice, Update
from chat.client.network.backoff import Backoff
from chat.client.network.session import Session, retry_delay
from chat.client.storage.account import Account
from chat.client.sync.channel_sync import ChannelSync
from chat.client.sync.publisher import Publisher
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError
from chat.protocol.commands import Delete, Edit, Join, Pin, React, Send
from chat.protocol.frames import Ok
from chat.protocol.values import Limits
from chat.text import channel_title, is_builtin, is_direct

__all__ = ["Sender", "Writing", "command_of"]


Writing = Send | Edit | Delete | React | Pin
"""A command that appends to a log."""

_WRITING: TypeAdapter[Writing] = TypeAdapter(Annotated[Writing, Field(discriminator="type")])


def command_of(row: OutboxRow, limits: Limits) -> Writing:
    """Return the command to send.

    Raises:
        ValueError: the server would reject it; the message says why.
    """
    try:
        return _WRITING.validate_python(json.loads(row.command), context=limits)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = fault["loc"][-1] if fault["loc"] else "it"
        raise ValueError(f"{field} {fault['msg'].removeprefix('Value error, ')}") from None


class Sender:
    """Sends the outbox of one account through one session.

    Args:
        account: the account.
        session: signed in.
        channel_sync: joins channels before a send.
        publisher: publishes changed lines.
        put: takes notices.
        tasks: run one task per channel with rows; end with the session.
    """

    def __init__(
        self,
        account: Account,
        session: Session,
        channel_sync: ChannelSync,
        publisher: Publisher,
        put: Callable[[Update], None],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._session = session
        self._following = channel_sync
        self._publisher = publisher
        self._put = put
        self._tasks = tasks
        self._busy: set[str] = set()

    def all(self) -> None:
        """Send the rows of all channels."""
        for name in self._account.outbox.channels():
            self.send(name)

    def send(self, name: str) -> None:
        """Send the rows of one channel."""
        if name not in self._busy:
            self._busy.add(name)
            self._tasks.start(self._drain(name))

    async def _drain(self, name: str) -> None:
        try:
            backoff = Backoff(0.5)
            while row := self._account.outbox.next(name):
                wait = await self._attempt(row, backoff)
                if wait:
                    await asyncio.sleep(wait)
                else:
                    backoff.reset()
        finally:
            self._busy.discard(name)

    async def _attempt(self, row: OutboxRow, backoff: Backoff) -> float:
        """Send one row; return the seconds to wait before a retry, or 0 if it is done."""
        if not self._is_waiting(row):
            return 0.0
        try:
            command = command_of(row, self._session.limits)
            await self._join_direct_channel(row.channel)
            answer = await self._session.ask(command)
        except ValueError as error:
            self._refused(row, str(error))
        except CommandError as error:
            if error.code.retryable:
                return retry_delay(error, backoff)
            self._refused(row, error.message)
        else:
            self._confirmed(row, answer)
        return 0.0

    def _is_waiting(self, row: OutboxRow) -> bool:
        """Whether a row must still be sent; a row that another client has discarded is removed."""
        if self._account.outbox.still_has(row):
            return True
        if self._account.outbox.drop(row.cid) is not None:
            self._publisher.row_removed(row)
        return False

    async def _join_direct_channel(self, name: str) -> None:
        """Join a new direct channel before sending to it, so that no event is missed."""
        if is_direct(name) and not self._account.ensure_channel(name).is_member:
            answer = await self._following.ask(Join(channel=name))
            if answer.channel != name:
                self._account.ensure_channel(name).is_member = True  # known with another spelling

    def _confirmed(self, row: OutboxRow, ok: Ok) -> None:
        outbox, channel = self._account.outbox, self._account.ensure_channel(row.channel)
        if outbox.confirm(row.cid) is None:
            return  # its event arrived first
        self._account.touch(channel)
        self._publisher.channel_changed(row.channel)
        known = channel.view.line(ok.seq) if ok.seq else None
        if row.target is not None:
            self._publisher.line_changed(channel, row.target)
        elif known is not None:
            self._publisher.lines_changed(channel, [known])
        elif line := row.line(self._account.me):
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
        outbox, channel = self._account.outbox, self._account.ensure_channel(row.channel)
        try:
            failed = outbox.fail(row.cid, reason) if row.has_text else outbox.confirm(row.cid)
        except DiskError as exc:
            failed = outbox.keep_in_memory(row, f"{reason} ({exc})")
        self._account.touch(channel)
        self._publisher.line_changed(channel, row.target)
        line = failed.line(self._account.me) if failed and row.has_text else None
        self._publisher.channel_changed(row.channel)
        if line is not None:
            self._publisher.lines_changed(channel, [line])
        else:
            self._put(Notice(f"{channel_title(row.channel, self._account.me)}: {reason}", "error"))
