"""Telling the server how far a person has read: a moment later, for the marker moves often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chat.client.account import Account
from chat.client.followed import Followed
from chat.client.tasks import Tasks
from chat.errors import CommandError
from chat.protocol.commands import BaseCommand, Mark

__all__ = ["Marking"]

_log = logging.getLogger(__name__)

MARK_DELAY = 0.2


class Marking:
    """The read markers of one account, on their way through one session.

    Args:
        account: whose markers.
        ask: sends a command until it is answered for good.
        tasks: run what is told; end with the session.
    """

    def __init__(
        self,
        account: Account,
        ask: Callable[[BaseCommand], Awaitable[object]],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._ask = ask
        self._tasks = tasks
        self._busy: set[str] = set()

    def soon(self, channel: Followed) -> None:
        """Tell the server of the marker, if it is further here."""
        wanted = self._wanted(channel) > channel.marked and channel.is_kept
        if wanted and channel.is_attached and channel.name not in self._busy:
            self._busy.add(channel.name)
            self._tasks.start(self._tell(channel))

    @staticmethod
    def _wanted(channel: Followed) -> int:
        """Return the marker to send: never one above the head of the server's log."""
        return min(channel.view.read, channel.view.head)

    async def _tell(self, channel: Followed) -> None:
        try:
            while self._wanted(channel) > channel.marked:
                await asyncio.sleep(MARK_DELAY)
                seq, epoch = self._wanted(channel), channel.view.epoch
                if seq <= channel.marked:  # told by another client, or another log by now
                    continue
                await self._ask(Mark(channel=channel.name, seq=seq))
                if channel.view.epoch == epoch:
                    channel.marked = max(channel.marked, seq)
                self._account.touch(channel)
        except CommandError as error:
            _log.warning("a read marker was refused: %s", error.code)
        finally:
            self._busy.discard(channel.name)
