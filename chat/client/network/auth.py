"""Choose the token for a server, and what to do when it is rejected.

A token is shown only to the server that it was made for: a server id at the addresses that the
user named for it. A server that shows a known id at another address gets a token of its own.

The user can declare two addresses to be the same server: by naming them together, with
`--same-server`, or by changing ws to wss on one host. The new address still gets a token of its own
first; the known token is shown only if the name is taken there. A known token never claims a name,
because anybody who has seen it could then claim the name as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.network.connector import Refused, TryLater
from chat.client.storage.account import was_signed_in
from chat.client.storage.tokens import read_token_file
from chat.errors import ChatError, CommandError, ErrorCode, StartupError

__all__ = ["Identity"]


class _Endpoint(NamedTuple):
    url: str
    server: str


class Identity:
    """The name and tokens for the server at the addresses of `settings`."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._paths = ClientPaths(settings.data)
        self._endpoint = _Endpoint("", "")
        self._token = ""
        self._refusals: dict[_Endpoint, int] = {}
        self._has_file = settings.token_file is not None
        self.key = ""
        """The key of the server that answered last; see `known_servers`."""
        self.is_name_taken = False
        """Whether the last hello was rejected because the name belongs to another user."""

    @property
    def account(self) -> Path:
        """The user's folder for that server; there is none before the first welcome."""
        return self._paths.account(self.key, self._settings.name)

    def token_for(self, url: str, server: str) -> str:
        """Return the token for the server with the id `server` at `url`; it is on disk already.

        Raises:
            Refused: the server must not get a token.
            TryLater: the token cannot be saved; a lost token would lock the name.
            ChatError: the server shows too many new ids.
        """
        self._endpoint = _Endpoint(url, server)
        self.is_name_taken = False
        keys = self._keys()
        tried = min(self._refusals.get(self._endpoint, 0), len(keys) - 1)
        self.key = keys[tried]
        try:
            given = self._token_of_file()
        except StartupError as exc:
            raise Refused(str(exc)) from exc
        try:
            if not tried and not self._paths.servers.show(self.key, url, server):
                raise ChatError("it sends a new id with every connection")
            self._token = given or self._paths.tokens.get_or_make(self.key, self._settings.name)
        except (OSError, StartupError) as exc:
            raise TryLater(f"cannot save your token: {exc}") from exc
        return self._token

    def signed_in(self) -> str:
        """Remember the server and store the accepted token.

        A `token` in `welcome` is for clients that showed none, so it is ignored: an attacker who
        controls a server for a while could use it to lock the user out.

        Returns:
            A warning for the user; empty if nothing is unusual.

        Raises:
            TryLater: the token cannot be saved.
        """
        name, servers = self._settings.name, self._paths.servers
        is_new = servers.key_at(self._endpoint.url) != self.key
        servers.remember(self.key, *self._endpoint)
        tokens = self._paths.tokens
        try:
            if tokens.get(self.key, name) != self._token:
                tokens.put(self.key, name, self._token)
        except (OSError, StartupError) as exc:
            raise TryLater(f"cannot save your token: {exc}") from exc
        self._has_file = False  # the operator's token is stored now; its file is no longer needed
        elsewhere = servers.known_elsewhere(*self._endpoint)
        if not (is_new and elsewhere):
            return ""
        return (
            f"{self._endpoint.url} and {', '.join(elsewhere)} claim to be the same server, but "
            f"your name was free at {self._endpoint.url}. The client treats them as two servers, "
            "with separate tokens and messages: one of them may be an impostor"
        )

    def hello_refused(self, error: CommandError) -> str | None:
        """Return the message for a rejected hello, or None to retry with another token."""
        if error.code is ErrorCode.BAD_TOKEN:
            tried = self._refusals.get(self._endpoint, 0) + 1
            more = tried < len(self._keys())
            self._refusals[self._endpoint] = tried if more else 0
            if more:
                return None
        return self._explain(error)

    def _keys(self) -> list[str]:
        """Return the keys whose tokens the server may get, in the order to try them."""
        settings, servers = self._settings, self._paths.servers
        own = servers.key_of(*self._endpoint)
        if self._has_file:
            return [own]
        others = servers.others(*self._endpoint, settings.url, every=settings.same_server)
        return [own, *others]

    def _token_of_file(self) -> str:
        settings, url = self._settings, self._endpoint.url
        if settings.token_file is None or not self._has_file:
            return ""
        known = self._paths.servers.key_at(url)
        if known not in (None, self.key) and not settings.same_server:
            raise Refused(
                f"a different server than last time answers at {url}. If {settings.token_file} is "
                "for this server, start once with --same-server"
            )
        return read_token_file(settings.token_file)

    def _explain(self, error: CommandError) -> str:
        settings, name = self._settings, self._settings.name
        if error.code is not ErrorCode.BAD_TOKEN:
            return explain_refusal(settings, error)
        if self._has_file:
            return (
                f"the server does not accept the token in {settings.token_file} for the name "
                f"{name}. Ask the server's operator for a new one (chat-server token {name})"
            )
        if was_signed_in(self.account):
            return (
                f"the server no longer accepts your token for the name {name}. Ask the server's "
                f"operator for a new one (chat-server token {name}), save it in a file, and start: "
                f"chat-client --url {settings.url} --name {name} --token-file FILE"
            )
        elsewhere = self._paths.servers.known_elsewhere(*self._endpoint)
        if elsewhere and not settings.same_server:
            return (
                f"the name {name} is taken at {self._endpoint.url}, which claims to be the "
                f"server you know at {', '.join(elsewhere)}. If that is true (it has moved, or has "
                f"two addresses), start once: chat-client --url {settings.url} --same-server. "
                "If not, this would send your token to a stranger: choose another name with "
                "--name NAME"
            )
        self.is_name_taken = True
        return explain_refusal(settings, error)


def explain_refusal(settings: ClientSettings, error: CommandError) -> str:
    """Explain why the server rejects the name, and what to do."""
    name = settings.name
    again = f"chat-client --url {settings.url} --name"
    if error.code is ErrorCode.BAD_TOKEN:
        return (
            f"the name {name} belongs to another user on this server. Choose another: "
            f"{again} NAME. If it is yours, ask the server's operator for a token "
            f"(chat-server token {name}), save it in a file, and start: {again} {name} "
            "--token-file FILE"
        )
    if error.code is ErrorCode.UNSUPPORTED_VERSION:
        return f"this client and the server are incompatible; update the older one ({error})"
    return f"the server rejects {name}: {error.message or error.code}"
