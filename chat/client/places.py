"""Where the client keeps what: one data directory, a file for each server and name."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from chat.client.private import file_name
from chat.client.servers import KnownServers
from chat.text import fold

if TYPE_CHECKING:
    from chat.client.tokens import TokenStore

__all__ = ["Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """The data directory's layout."""

    data: Path

    @property
    def servers(self) -> KnownServers:
        """What is known of servers."""
        return KnownServers(self.data)

    @property
    def tokens(self) -> TokenStore:
        """The secrets."""
        from chat.client.tokens import TokenStore  # asked for by who connects

        return TokenStore(self.data / "tokens")

    def account(self, server: str, name: str) -> Path:
        """Return the file of `name` on the server of this id."""
        return self.data / "servers" / file_name(server) / f"{file_name(fold(name))}.db"

    def provisional(self, url: str, name: str) -> Path:
        """Return the file of `name` on the server at `url`, whose id nobody knows yet."""
        key = sha256(url.encode()).hexdigest()[:16]
        return self.data / "unknown" / key / f"{file_name(fold(name))}.db"

    def current(self, url: str, name: str) -> Path:
        """Return the file to begin with, before there is a connection."""
        server = self.servers.id_at(url)
        return self.account(server, name) if server else self.provisional(url, name)
