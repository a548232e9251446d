"""The open account, what the screens show of it, and the state of the connection.

All of it works offline. `Engine` and `Online` share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.model.membership import ROOMS
from chat.client.model.sign_in import ACCOUNTS, Refusal
from chat.client.model.state import FEATURES, ConnectionChanged, Link, Notice, SavedChanged, Update
from chat.client.storage.account import Account
from chat.client.sync.publisher import Publisher
from chat.errors import StartupError

if TYPE_CHECKING:
    from chat.protocol.frames import Welcome
    from chat.protocol.values import Limits, Status

__all__ = ["LocalState"]


class LocalState:
    """The open account and its publisher.

    The server at an address is only known once it has answered, and may change; so may the name.
    Then another account replaces the open one, and the screens stay open.

    Args:
        settings: with a name and an address.
        put: passes updates to the screens.
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
        """The user's status; sent to each new connection."""
        self.connection = ConnectionChanged(Link.CONNECTING, user=settings.name)
        """The state of the connection as published."""
        self.saves = 0
        """Number of the interface's last save of a draft or preference."""
        self._changed = changed
        self._paths = ClientPaths(settings.data)
        self.key = self._paths.servers.key_at(settings.url)
        """The key of the account's server; None if no server has ever answered at the address."""
        self.open()

    def open(self, *adopted: Path) -> None:
        """Open the account of `settings` and `key`; take over those in the `adopted` folders."""
        url, name = self.settings.url, self.settings.name
        by_address = self._paths.account_at(url, name)
        self.account = Account(
            self._paths.account(self.key, name) if self.key else by_address,
            name,
            adopt=(*adopted, by_address) if self.key else adopted,
            changed=self._changed,
            report=lambda text: self.put(Notice(text, "error")),
        )
        self.publisher = Publisher(self.account, self.put, asyncio.get_running_loop().call_soon)
        known = self.account.outbox.prefs.get(FEATURES).split()  # those of the last connection
        self.connection = replace(self.connection, has_rooms=ROOMS in known)
        self.publish_saved()
        if self.account.is_unwritable:
            self._changed()  # to try again

    def publish_saved(self) -> None:
        """Publish all drafts and preferences to the interface's thread."""
        outbox = self.account.outbox
        self.put(SavedChanged(outbox.drafts.all(), outbox.prefs.all(), self.saves))

    @property
    def shown(self) -> set[str]:
        """The channels that a screen shows."""
        return {c.name for c in self.account.channels.values() if c.shown_from is not None}

    def belong_to(self, key: str) -> None:
        """Open the account of the server with this key; see `known_servers`.

        Raises:
            StartupError: the account cannot be opened.
        """
        if key == self.key:
            return
        unsent = len(self.account.outbox) if self.key else 0
        self._change(key, self.settings, takes_over=self.key is None)
        if unsent:
            what = "1 unsent message" if unsent == 1 else f"{unsent} unsent messages"
            stay = "stays" if unsent == 1 else "stay"
            self.put(
                Notice(
                    f"This is a different server than last time; {what} for the other one {stay} "
                    "on this computer.",
                    "warning",
                )
            )

    def rename(self, name: str) -> None:
        """Open the account of another name; it takes over a name that has never signed in.

        Raises:
            StartupError: the account cannot be opened.
        """
        key = self._paths.servers.key_at(self.settings.url)
        settings = self.settings.but(name=name, token_file=None)
        self._change(key, settings, takes_over=not self.account.has_signed_in)
        self.connection = replace(self.connection, user=name)

    def _change(self, key: str | None, settings: ClientSettings, *, takes_over: bool) -> None:
        """Switch to another account.

        Args:
            key: of the account's server; None if it is unknown.
            settings: with the account's name.
            takes_over: whether the new account takes over the unsent input of the old one.
        """
        before, present, shown = self.account, (self.key, self.settings), self.shown
        self.publisher.flush()
        before.close()
        try:
            self.key, self.settings = key, settings
            self.open(*([before.path] if takes_over else []))
        except StartupError:
            self.key, self.settings = present
            self.open()
            self.account.take_over(before)
            raise
        if takes_over:
            self.account.take_over(before)
        self.show(shown)

    def show(self, channels: set[str]) -> None:
        """Publish these channels and the whole list again."""
        for name in channels:
            self.publisher.open(self.account.ensure_channel(name))
        self.publisher.publish_list()

    # The connection

    def signed_in(self, welcome: Welcome) -> None:
        """Apply the name and the server's data, and publish the connection."""
        server = welcome.server.name
        self.connection = replace(
            self.connection,
            user=welcome.user,
            server=server,
            text_limit=welcome.limits.text,
            role=welcome.role,
            has_accounts=ACCOUNTS in welcome.features,
            has_rooms=ROOMS in welcome.features,
        )
        self.account.signed_in(server, welcome.features)
        self.publish_saved()
        self.link_changed(Link.ONLINE)

    def limits_changed(self, limits: Limits) -> None:
        """Publish the server's new limits."""
        self.connection = replace(self.connection, text_limit=limits.text)
        self.put(self.connection)

    def role_changed(self, role: str) -> None:
        """Publish the user's new role on the server."""
        self.connection = replace(self.connection, role=role)
        self.put(self.connection)

    def link_changed(
        self,
        link: Link,
        detail: str = "",
        retry_in: float | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        """Publish a new state of the connection."""
        self.connection = replace(
            self.connection,
            link=link,
            detail=detail,
            retry_in=retry_in,
            ways=refusal.ways if refusal is not None else (),
            reason=refusal.reason if refusal is not None else "",
        )
        self.put(self.connection)
