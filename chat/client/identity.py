"""Who we are to a server: the secret to show it, and what to do if it does not believe us."""

from __future__ import annotations

from chat.client.config import ClientSettings
from chat.client.link import Refused
from chat.client.places import Places
from chat.client.tokens import read_token_file
from chat.errors import CommandError, ErrorCode, StartupError
from chat.protocol.frames import Welcome

__all__ = ["explain_refusal", "keep_welcome", "token_for"]


def token_for(server: str, settings: ClientSettings) -> str:
    """Return the secret for the server of this id, on disk already.

    Raises:
        Refused: the server must not have it, or it cannot be kept.
    """
    places = Places(settings.data)
    url, name = settings.url, settings.name
    try:
        if settings.token_file is not None:
            places.tokens.put(server, name, read_token_file(settings.token_file))
        elif not settings.same_server and places.servers.is_stranger(url, server):
            known = ", ".join(places.servers.hosts_of(server))
            raise Refused(
                f"{url} says it is the server you know at {known}. If that is true (it has moved, "
                f"or has two addresses), say so once: chat-client --url {url} --same-server. "
                "If not, your secret would go to a stranger"
            )
        return places.tokens.get_or_make(server, name)
    except (OSError, StartupError) as exc:
        raise Refused(f"cannot keep the secret of your name: {exc}") from exc


def keep_welcome(server: str, settings: ClientSettings, welcome: Welcome) -> None:
    """Note where the server was met, and the secret if it gave one."""
    places = Places(settings.data)
    places.servers.remember(settings.url, server)
    if welcome.token is not None:
        places.tokens.put(server, settings.name, welcome.token)


def explain_refusal(settings: ClientSettings, error: CommandError) -> str:
    """Say why the server does not let this name in, and what to do."""
    name = settings.name
    again = f"chat-client --url {settings.url} --name"
    if error.code is ErrorCode.BAD_TOKEN:
        return (
            f"the name {name} belongs to somebody else on this server. Choose another: "
            f"{again} NAME. If it is yours, ask the server's operator for a token "
            f"(chat-server token {name}), save it in a file, and start: {again} {name} "
            "--token-file FILE"
        )
    if error.code is ErrorCode.UNSUPPORTED_VERSION:
        return f"this client and the server do not fit together; update the older one ({error})"
    return f"the server does not let {name} in: {error.message or error.code}"
