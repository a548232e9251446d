"""Sending channel preferences to the server; changes made offline are sent after connecting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chat.client.account import Account
from chat.client.followed import Followed
from chat.client.preferences import Preference, Wish
from chat.client.screens import Screens
from chat.client.state import Notice, Update
from chat.client.tasks import Tasks
from chat.errors import CommandError
from chat.protocol.commands import BaseCommand, Prefer
from chat.protocol.frames import Joined, Membership, Preferences

__all__ = ["Preferring"]


class Preferring:
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
        ask: Callable[[BaseCommand], Awaitable[object]],
        screens: Screens,
        put: Callable[[Update], None],
        tasks: Tasks,
    ) -> None:
        self._account = account
        self._ask = ask
        self._screens = screens
        self._put = put
        self._tasks = tasks
        self._busy: set[str] = set()

    def take(self, channel: Followed, frame: Membership | Joined | Preferences) -> None:
        """Take what the server keeps; what is wished for here and not told yet stays wished."""
        channel.preference = Preference.told_in(frame)
        self._account.touch(channel)
        self._screens.channel_list()
        self.soon(channel)

    def soon(self, channel: Followed) -> None:
        """Tell the server what is wished for, if anything is."""
        if channel.wish and channel.is_member and channel.name not in self._busy:
            self._busy.add(channel.name)
            self._tasks.start(self._tell(channel))

    async def _tell(self, channel: Followed) -> None:
        try:
            while wish := self._wish(channel):
                try:
                    await self._ask(Prefer(channel=channel.name, **wish.fields()))
                except CommandError as error:
                    self._put(Notice(f"{channel.name}: {error.message}", "warning"))
                else:
                    channel.preference = wish.granted(channel.preference)
                channel.wish = channel.wish.without(wish)
                self._account.touch(channel)
                self._account.flush()  # at once: another client on the file would tell it again
                self._screens.channel_list()
        finally:
            self._busy.discard(channel.name)

    def _wish(self, channel: Followed) -> Wish:
        """Return what is still to be told: another client on the file may have told it."""
        self._account.follow_channels()
        return channel.wish
