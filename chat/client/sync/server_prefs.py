"""Sending read markers and preferences to the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chat.client.model.channel import Channel
from chat.client.model.preferences import Preference, Wish
from chat.client.model.state import Notice, Update
from chat.client.storage.account import Account
from chat.client.sync.publisher import Publisher
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError
from chat.protocol.commands import AnsweredBy, Mark, Prefer
from chat.protocol.frames import Joined, Membership, Ok, Preferences

__all__ = ["MarkerSync", "PreferenceSync"]


_log = logging.getLogger(__name__)

MARK_DELAY = 0.2


class MarkerSync:
    """The read markers of one account, on their way through one session.

    Args:
        account: whose markers.
        ask: sends a command until it is answered for good.
        tasks: run what is told; end with the session.
    """

    def __init__(
        self,
        account: Account,
        ask: Callable[[AnsweredBy[Ok]], Awaitable[Ok]],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._ask = ask
        self._tasks = tasks
        self._busy: set[str] = set()

    def soon(self, channel: Channel) -> None:
        """Tell the server of the marker, if it is further here."""
        wanted = self._wanted(channel) > channel.marked and channel.is_kept
        if wanted and channel.is_attached and channel.name not in self._busy:
            self._busy.add(channel.name)
            self._tasks.start(self._tell(channel))

    @staticmethod
    def _wanted(channel: Channel) -> int:
        """Return the marker to send: never one above the head of the server's log."""
        return min(channel.view.read, channel.view.head)

    async def _tell(self, channel: Channel) -> None:
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


class PreferenceSync:
    """The wishes of one account, on their way through one session.

    Args:
        account: whose wishes.
        ask: sends a command until it is answered for good.
        screens: told when the list changes.
        put: takes notices.
        tasks: run what is told; end with the session.
    """

    def __init__(
        self,
        account: Account,
        ask: Callable[[AnsweredBy[Ok]], Awaitable[Ok]],
        screens: Publisher,
        put: Callable[[Update], None],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._ask = ask
        self._screens = screens
        self._put = put
        self._tasks = tasks
        self._busy: set[str] = set()

    def take(self, channel: Channel, frame: Membership | Joined | Preferences) -> None:
        """Take what the server keeps; what is wished for here and not told yet stays wished."""
        channel.preference = Preference.told_in(frame)
        self._account.touch(channel)
        self._screens.listing(channel.name)
        self.soon(channel)

    def soon(self, channel: Channel) -> None:
        """Tell the server what is wished for, if anything is."""
        if channel.wish and channel.is_member and channel.name not in self._busy:
            self._busy.add(channel.name)
            self._tasks.start(self._tell(channel))

    async def _tell(self, channel: Channel) -> None:
        try:
            while wish := self._wish(channel):
                try:
                    await self._ask(Prefer(channel=channel.name, **wish.fields()))
                except CommandError as error:
                    self._put(Notice(f"{channel.name}: {error.message}", "warning"))
                else:
                    channel.preference = wish.granted(channel.preference)
                self._account.wish_done(channel, wish)
                self._screens.listing(channel.name)
        finally:
            self._busy.discard(channel.name)

    def _wish(self, channel: Channel) -> Wish:
        """Return what is still to be told: another client on the file may have told it."""
        self._account.follow_channels()
        return channel.wish
