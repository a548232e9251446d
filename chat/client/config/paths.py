"""Paths of the client's files: one data folder with a folder for each server and name.

The data folder is the setting `data` (`settings.py`). The folder of a name contains `outbox.db` and
`cache.db` (`storage/account.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from chat.client.storage.known_servers import KnownServers, urls_of
from chat.client.storage.private_files import file_name
from chat.text import fold

if TYPE_CHECKING:
    from chat.client.storage.tokens import TokenStore

__all__ = ["ClientPaths"]


@dataclass(frozen=True, slots=True)
class ClientPaths:
    """The layout of the data folder."""

    data: Path

    @property
    def servers(self) -> KnownServers:
        """The known servers."""
        return KnownServers(self.data)

    @property
    def tokens(self) -> TokenStore:
        """The tokens."""
        from chat.client.storage.tokens import TokenStore  # created by the caller that connects

        return TokenStore(self.data / "tokens")

    def account(self, key: str, name: str) -> Path:
        """Return the folder of `name` on the server with this key; see `known_servers`."""
        return self.data / "servers" / file_name(key) / file_name(fold(name))

    def account_at(self, urls: str, name: str) -> Path:
        """Return the folder of `name` on a server that has never answered, by its address."""
        digest = sha256(urls_of(urls)[0].encode()).hexdigest()[:16]
        return self.data / "unknown" / digest / file_name(fold(name))

    def first_account(self, urls: str, name: str) -> Path:
        """Return the folder of `name` to open before there is a connection."""
        key = self.servers.key_at(urls)
        return self.account(key, name) if key else self.account_at(urls, name)
