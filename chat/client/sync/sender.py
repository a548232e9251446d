"""Send the outbox over one connection, one row per channel at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from chat.client.model.channel import Channel
from chat.client.model.records import DiskTrouble, OutboxRow
from chat.client.model.state import Delivery, Message, Notice, Update
from chat.client.network.backoff import Backoff
from chat.client.network.session import Session, pause_after
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
        ValueError: the server would refuse it; says why.
    """
    try:
        return _WRITING.validate_python(json.loads(row.command), context=limits)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = fault["loc"][-1] if fault["loc"] else "it"
        raise ValueError(f"{field} {fault['msg'].removeprefix('Value error, ')}") from None


class Sender:
    """Drains the outbox of one account through one session.

    Args:
        account: whose outbox.
        session: signed in.
        following: asks for what a send needs first.
        screens: told what becomes of the lines.
        put: takes notices.
        tasks: run one task for each channel with something to send; end with the session.
    """

    def __init__(
        self,
        account: Account,
        session: Session,
        following: ChannelSync,
        screens: Publisher,
        put: Callable[[Update], None],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._session = session
        self._following = following
        self._screens = screens
        self._put = put
        self._tasks = tasks
        self._busy: set[str] = set()

    def all(self) -> None:
        """Send what waits in every channel."""
        for name in self._account.outbox.channels():
            self.send(name)

    def send(self, name: str) -> None:
        """Send what waits in one channel."""
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
        """Send one row; return the seconds to wait before it is tried again, 0 if it is done."""
        if not self._is_waiting(row):
            return 0.0
        try:
            command = command_of(row, self._session.limits)
            await self._enter(row.channel)
            answer = await self._session.ask(command)
        except ValueError as error:
            self._refused(row, str(error))
        except CommandError as error:
            if error.code.retryable:
                return pause_after(error, backoff)
            self._refused(row, error.message)
        else:
            self._confirmed(row, answer)
        return 0.0

    def _is_waiting(self, row: OutboxRow) -> bool:
        """Whether a row is still to be sent; if another client discarded it, it goes."""
        if self._account.outbox.still_has(row):
            return True
        if self._account.outbox.drop(row.cid) is not None:
            self._screens.row_gone(row)
        return False

    async def _enter(self, name: str) -> None:
        """Follow a direct channel that does not exist yet, so that nothing in it is missed."""
        if is_direct(name) and not self._account.followed(name).is_member:
            answer = await self._following.ask(Join(channel=name))
            if answer.channel != name:
                self._account.followed(name).is_member = True  # known by another spelling

    def _confirmed(self, row: OutboxRow, ok: Ok) -> None:
        outbox, channel = self._account.outbox, self._account.followed(row.channel)
        line = outbox.line_of(row, self._account.me)
        target = outbox.target_of(row)
        if outbox.confirm(row.cid) is None:
            return  # its event came first, and did all this
        self._account.touch(channel)
        self._screens.listing(row.channel)
        known = channel.view.line(ok.seq) if ok.seq else None
        if target is not None:
            self._screens.line_at(channel, target)
        elif known is not None:
            self._screens.lines(channel, [known])
        elif line is not None:
            self._sent_without_event(channel, replace(line, seq=ok.seq, ts=ok.ts or line.ts))

    def _sent_without_event(self, channel: Channel, line: Message) -> None:
        """Show a confirmed line whose event will come later, or never (built-in channels)."""
        sent = replace(line, delivery=Delivery.SENT)
        if is_builtin(channel.name):
            self._screens.tick(channel, sent)
        else:
            self._screens.lines(channel, [sent])

    def _refused(self, row: OutboxRow, reason: str) -> None:
        """Keep what was typed, and say why it was refused; a reaction or deletion is just gone."""
        outbox, channel = self._account.outbox, self._account.followed(row.channel)
        target = outbox.target_of(row)
        keeps_text = outbox.has_text(row)
        try:
            failed = outbox.fail(row.cid, reason) if keeps_text else outbox.confirm(row.cid)
        except DiskTrouble as exc:
            failed = outbox.hold(row, f"{reason} ({exc})")
        self._account.touch(channel)
        self._screens.line_at(channel, target)
        line = outbox.line_of(failed, self._account.me) if failed and keeps_text else None
        self._screens.listing(row.channel)
        if line is not None:
            self._screens.lines(channel, [line])
        else:
            self._put(Notice(f"{channel_title(row.channel, self._account.me)}: {reason}", "error"))
