"""The account that is open, what the screens show of it, and the state of the connection.

All of it works without a connection. `Engine` and `Online` share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.model.records import DiskTrouble, OutboxRow
from chat.client.model.state import ConnectionChanged, Link, Notice, SavedChanged, Update
from chat.client.storage.account import Account
from chat.client.sync.publisher import Publisher
from chat.errors import StartupError

if TYPE_CHECKING:
    from chat.protocol.values import Status

__all__ = ["LocalState"]


class LocalState:
    """One account at a time: a name on one server.

    Which server answers at the address is known once there is a connection, and may change; so
    may the name. Then another account takes the place of the open one, and the screens go on.

    Args:
        settings: a name and an address among them.
        put: hands updates to the screens.
        changed: called when the account has something to write.

    Raises:
        StartupError: the account's file cannot be used.
    """

    def __init__(
        self,
        settings: ClientSettings,
        put: Callable[[Update], None],
        *,
        changed: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.put = put
        self.status: Status = "online"
        """The person's status; each new connection is told."""
        self.connection = ConnectionChanged(Link.CONNECTING, user=settings.name)
        """The connection as the screens know it."""
        self.saves = 0
        """The number of the last save of drafts and preferences that came from the interface."""
        self._changed = changed
        self._places = ClientPaths(settings.data)
        self.key = self._places.servers.key_at(settings.url)
        """The key of the account's server; None if no server has ever answered at the address."""
        self.open()

    def open(self, *adopted: Path) -> None:
        """Open the account of `settings` and `key`; take over those in the `adopted` folders."""
        url, name = self.settings.url, self.settings.name
        by_address = self._places.account_at(url, name)
        self.account = Account(
            self._places.account(self.key, name) if self.key else by_address,
            name,
            adopt=(*adopted, by_address) if self.key else adopted,
            changed=self._changed,
            trouble=lambda text: self.put(Notice(text, "error")),
        )
        self.screens = Publisher(self.account, self.put, asyncio.get_running_loop().call_soon)
        self.tell_saved()
        if self.account.is_troubled:
            self._changed()  # to try again

    def tell_saved(self) -> None:
        """Tell the interface's thread all drafts and preferences."""
        self.put(SavedChanged(self.account.drafts.all(), self.account.prefs.all(), self.saves))

    @property
    def shown(self) -> set[str]:
        """The channels that a screen shows."""
        return {c.name for c in self.account.channels.values() if c.shown_from is not None}

    def belong_to(self, key: str) -> None:
        """Open the account of the server that answers, by its key; see `known_servers`.

        Raises:
            StartupError: it cannot be opened.
        """
        if key == self.key:
            return
        unsent = len(self.account.outbox) if self.key else 0
        self._change(key, self.settings, takes_over=self.key is None)
        if unsent:
            self.put(
                Notice(
                    f"this is another server than last time; {unsent} unsent messages for the "
                    "other one stay on this computer",
                    "warning",
                )
            )

    def rename(self, name: str) -> None:
        """Open the account of another name; it takes over the one of a name that was refused.

        Raises:
            StartupError: it cannot be opened.
        """
        key = self._places.servers.key_at(self.settings.url)
        settings = self.settings.but(name=name, token_file=None)
        self._change(key, settings, takes_over=not self.account.has_signed_in)
        self.connection = replace(self.connection, user=name)

    def _change(self, key: str | None, settings: ClientSettings, *, takes_over: bool) -> None:
        """Go on with another account.

        Args:
            key: of the account's server; None if that is not known yet.
            settings: with the account's name.
            takes_over: whether what was typed for the present one goes to the other.
        """
        before, present, shown = self.account, (self.key, self.settings), self.shown
        self.screens.tell()
        before.close()
        try:
            self.key, self.settings = key, settings
            self.open(*([before.path] if takes_over else []))
        except StartupError:
            self.key, self.settings = present
            self.open()
            self.take_over(before)
            raise
        if takes_over:
            self.take_over(before)
        self.show(shown)

    def take_over(self, before: Account) -> None:
        """Take what another account had in memory only; see `Account.take_over`."""
        self.account.take_over(before)
        self.offer_again()

    def offer_again(self) -> list[OutboxRow]:
        """Offer the disk what it did not take before; return what it has taken now."""
        taken = []
        for cid in self.account.outbox.held:
            try:
                row = self.account.outbox.retry(cid)
            except DiskTrouble:
                break
            if row is not None:
                self.screens.row(row)
                taken.append(row)
        return taken

    def show(self, channels: set[str]) -> None:
        """Show channels anew, and the list of all."""
        for name in channels:
            self.screens.open(self.account.followed(name))
        self.screens.list_anew()

    # The connection, as the screens are told of it

    def signed_in(self, user: str, server: str, text_limit: int) -> None:
        """Take who the person is there, and tell that there is a connection."""
        self.connection = replace(self.connection, user=user, server=server, text_limit=text_limit)
        self.account.signed_in(server)
        self.tell_saved()
        self.link_changed(Link.ONLINE)

    def link_changed(
        self,
        link: Link,
        detail: str = "",
        retry_in: float | None = None,
        *,
        is_name_taken: bool = False,
    ) -> None:
        """Tell the screens how the connection is."""
        self.connection = replace(
            self.connection,
            link=link,
            detail=detail,
            retry_in=retry_in,
            is_name_taken=is_name_taken,
        )
        self.put(self.connection)
