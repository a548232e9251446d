"""Send read markers and channel preferences to the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chat.client.model.channel import Channel
from chat.client.model.membership import FollowedThread
from chat.client.model.preferences import Preference, PreferenceChange
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
    """Sends the read markers of one account, those of threads too, through one session.

    Args:
        account: the account.
        ask: sends a command until it is answered.
        tasks: run the requests; end with the session.
        has_rooms: whether the server knows markers of threads.
    """

    def __init__(
        self,
        account: Account,
        ask: Callable[[AnsweredBy[Ok]], Awaitable[Ok]],
        tasks: Tasks,
        *,
        has_rooms: bool,
    ) -> None:
        self._account = account
        self._ask = ask
        self._tasks = tasks
        self._has_rooms = has_rooms
        self._busy: set[str] = set()

    def schedule(self, channel: Channel) -> None:
        """Send the read marker if it is further than the server's."""
        wanted = self._marker_to_send(channel) > channel.server_read or self._threads_of(channel)
        if wanted and channel.is_stored and channel.is_attached and channel.name not in self._busy:
            self._busy.add(channel.name)
            self._tasks.start(self._send(channel))

    @staticmethod
    def _marker_to_send(channel: Channel) -> int:
        """Return the marker to send: never above the head of the server's log."""
        return min(channel.view.read, channel.view.head)

    def _threads_of(self, channel: Channel) -> list[FollowedThread]:
        """Return the threads whose marker the server does not have."""
        return channel.view.threads.unsent if self._has_rooms else []

    async def _send(self, channel: Channel) -> None:
        try:
            await self._send_marker(channel)
            while threads := self._threads_of(channel):
                await asyncio.sleep(MARK_DELAY)
                await self._send_thread(channel, threads[0].root)
        except CommandError as error:
            _log.warning("a read marker was refused: %s", error.code)
        finally:
            self._busy.discard(channel.name)

    async def _send_thread(self, channel: Channel, root: int) -> None:
        read = channel.view.threads.get(root).read
        try:
            await self._ask(Mark(channel=channel.name, seq=read, thread=root))
        except CommandError as error:  # not sent again
            _log.warning("a thread's read marker was refused: %s", error.code)
        channel.view.threads.marked(root, read)
        self._account.touch(channel)

    async def _send_marker(self, channel: Channel) -> None:
        while self._marker_to_send(channel) > channel.server_read:
            await asyncio.sleep(MARK_DELAY)
            seq, epoch = self._marker_to_send(channel), channel.view.epoch
            if seq <= channel.server_read:  # sent by another client, or the log was replaced
                continue
            await self._ask(Mark(channel=channel.name, seq=seq))
            if channel.view.epoch == epoch:
                channel.server_read = max(channel.server_read, seq)
            self._account.touch(channel)


class PreferenceSync:
    """Sends the preference changes of one account through one session.

    Args:
        account: the account.
        ask: sends a command until it is answered.
        publisher: publishes changes of the list.
        put: takes notices.
        tasks: run the requests; end with the session.
    """

    def __init__(
        self,
        account: Account,
        ask: Callable[[AnsweredBy[Ok]], Awaitable[Ok]],
        publisher: Publisher,
        put: Callable[[Update], None],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._ask = ask
        self._publisher = publisher
        self._put = put
        self._tasks = tasks
        self._busy: set[str] = set()

    def take(self, channel: Channel, frame: Membership | Joined | Preferences) -> None:
        """Apply the server's preferences; unconfirmed changes stay."""
        channel.preference = Preference.from_frame(frame)
        self._account.touch(channel)
        self._publisher.channel_changed(channel.name)
        self.schedule(channel)

    def schedule(self, channel: Channel) -> None:
        """Send the unconfirmed changes, if there are any."""
        if channel.preference_change and channel.is_member and channel.name not in self._busy:
            self._busy.add(channel.name)
            self._tasks.start(self._send(channel))

    async def _send(self, channel: Channel) -> None:
        try:
            while change := self._unsent_change(channel):
                try:
                    await self._ask(Prefer(channel=channel.name, **change.fields()))
                except CommandError as error:
                    self._put(Notice(f"{channel.name}: {error.message}", "warning"))
                else:
                    channel.preference = change.apply_to(channel.preference)
                self._account.preference_confirmed(channel, change)
                self._publisher.channel_changed(channel.name)
        finally:
            self._busy.discard(channel.name)

    def _unsent_change(self, channel: Channel) -> PreferenceChange:
        """Return the changes to send; another client on the file may have sent some of them."""
        self._account.reload_channel_changes()
        return channel.preference_change
