"""Which token to show a server, and what to do when it is refused.

A token is shown only to the server that it was made for: an id at the addresses that the person
named for it. A server that shows a known id at another address gets a token made for it alone.

Where the person says that both are the same server (by naming the addresses together, by
`--same-server`, or by going from ws to wss on one host), the new address still gets a token of its
own first. Only if the name is taken there, the known token is shown: it proves a name, but never
claims one, for whoever saw it before could claim the name as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.network.connector import NotNow, Refused
from chat.client.storage.account import was_signed_in
from chat.client.storage.tokens import read_token_file
from chat.errors import ChatError, CommandError, ErrorCode, StartupError

__all__ = ["Identity"]


class _Met(NamedTuple):
    url: str
    server: str


class Identity:
    """The name and tokens that are shown to the server at the addresses of `settings`."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._places = ClientPaths(settings.data)
        self._met = _Met("", "")
        self._token = ""
        self._refusals: dict[_Met, int] = {}
        self._has_file = settings.token_file is not None
        self.key = ""
        """Under which all that belongs to the server last met is kept; see `known_servers`."""
        self.is_name_taken = False
        """Whether the last hello was refused because the name belongs to another user."""

    @property
    def account(self) -> Path:
        """The folder of one's account on that server; there is none before the first welcome."""
        return self._places.account(self.key, self._settings.name)

    def met(self, url: str, server: str) -> str:
        """Return the secret for the server with the id `server` at `url`, on disk already.

        Raises:
            Refused: the server must not have it.
            NotNow: the disk does not take it; a secret that is lost would lock the name.
            ChatError: the server changes its id all the time.
        """
        self._met = _Met(url, server)
        self.is_name_taken = False
        keys = self._keys()
        tried = min(self._refusals.get(self._met, 0), len(keys) - 1)
        self.key = keys[tried]
        try:
            given = self._token_of_file()
        except StartupError as exc:
            raise Refused(str(exc)) from exc
        try:
            if not tried and not self._places.servers.show(self.key, url, server):
                raise ChatError("it shows another id whenever one comes")
            self._token = given or self._places.tokens.get_or_make(self.key, self._settings.name)
        except (OSError, StartupError) as exc:
            raise NotNow(f"cannot save the secret of your name: {exc}") from exc
        return self._token

    def welcomed(self) -> str:
        """Note which server is where, and keep the secret that it was shown and accepted.

        A `token` in its welcome is for a client that showed none, so it is ignored: a server that
        somebody else controls for a while could lock the person out of their name with it.

        Returns:
            A warning for a person; nothing, if all is as it was before.

        Raises:
            NotNow: the disk does not take the secret.
        """
        name, servers = self._settings.name, self._places.servers
        is_new = servers.key_at(self._met.url) != self.key
        servers.remember(self.key, *self._met)
        tokens = self._places.tokens
        try:
            if tokens.get(self.key, name) != self._token:
                tokens.put(self.key, name, self._token)
        except (OSError, StartupError) as exc:
            raise NotNow(f"cannot save the secret of your name: {exc}") from exc
        self._has_file = False  # an operator's token is kept now, and its file may go
        elsewhere = servers.known_elsewhere(*self._met)
        if not (is_new and elsewhere):
            return ""
        return (
            f"{self._met.url} and {', '.join(elsewhere)} say they are the same server, but your "
            f"name was free at {self._met.url}. They are kept apart, each with its own secret and "
            "messages: one of them may be an impostor"
        )

    def refused(self, error: CommandError) -> str | None:
        """Say what to do about a refused hello; None: come back, with another secret."""
        if error.code is ErrorCode.BAD_TOKEN:
            tried = self._refusals.get(self._met, 0) + 1
            more = tried < len(self._keys())
            self._refusals[self._met] = tried if more else 0
            if more:
                return None
        return self._explain(error)

    def _keys(self) -> list[str]:
        """Return the keys whose secrets the server may have, in the order to try them."""
        settings, servers = self._settings, self._places.servers
        own = servers.key_of(*self._met)
        if self._has_file:
            return [own]
        others = servers.others(*self._met, settings.url, every=settings.same_server)
        return [own, *others]

    def _token_of_file(self) -> str:
        settings, url = self._settings, self._met.url
        if settings.token_file is None or not self._has_file:
            return ""
        known = self._places.servers.key_at(url)
        if known not in (None, self.key) and not settings.same_server:
            raise Refused(
                f"another server than last time answers at {url}. If {settings.token_file} is "
                "meant for this one, say so once with --same-server"
            )
        return read_token_file(settings.token_file)

    def _explain(self, error: CommandError) -> str:
        settings, name = self._settings, self._settings.name
        if error.code is not ErrorCode.BAD_TOKEN:
            return explain_refusal(settings, error)
        if self._has_file:
            return (
                f"the server does not accept the token in {settings.token_file} for the name "
                f"{name}. Ask the server's operator for another (chat-server token {name})"
            )
        if was_signed_in(self.account):
            return (
                f"the server no longer accepts your token for the name {name}. Ask the server's "
                f"operator for a new one (chat-server token {name}), save it in a file, and start: "
                f"chat-client --url {settings.url} --name {name} --token-file FILE"
            )
        elsewhere = self._places.servers.known_elsewhere(*self._met)
        if elsewhere and not settings.same_server:
            return (
                f"the name {name} is taken at {self._met.url}, which says it is the "
                f"server you know at {', '.join(elsewhere)}. If that is true (it has moved, or has "
                f"two addresses), say so once: chat-client --url {settings.url} --same-server. "
                "If not, your secret would go to a stranger: choose another name, with --name NAME"
            )
        self.is_name_taken = True
        return explain_refusal(settings, error)


def explain_refusal(settings: ClientSettings, error: CommandError) -> str:
    """Say why the server does not let this name in, and what to do."""
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
        return f"this client and the server do not fit together; update the older one ({error})"
    return f"the server does not let {name} in: {error.message or error.code}"
