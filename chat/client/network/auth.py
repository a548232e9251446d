"""Choose the token and the credential for a server, and what to do when they are rejected.

A token is shown only to the server that it was made for: a server id at the addresses that the
user named for it. A server that shows a known id at another address gets a token of its own.

The user can declare two addresses to be the same server: by naming them together, with
`--same-server`, or by changing ws to wss on one host. The new address still gets a token of its own
first; the known token is shown only if the name is taken there. A known token never claims a name,
because anyone who has seen it could then claim the name as well.

A credential (an invitation, a link code, a password) is sent only to servers with accounts, over
TLS or to this computer. The token of the new device is stored before the credential is sent, so a
lost `welcome` is retried safely.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

from chat import __version__
from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings, invitation_of
from chat.client.model.sign_in import ACCOUNTS, Credential, Refusal, SignInWay
from chat.client.network.connector import Refused, TryLater
from chat.client.storage.account import was_signed_in
from chat.client.storage.known_servers import host_of
from chat.client.storage.tokens import read_token_file
from chat.errors import ChatError, CommandError, ErrorCode, StartupError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import Hello
from chat.text import printable_line

__all__ = ["Identity", "is_private"]

_TAKEN = (ErrorCode.BAD_TOKEN, ErrorCode.NAME_TAKEN)
_SPENT = (ErrorCode.INVITATION_INVALID, ErrorCode.LINK_INVALID, ErrorCode.BAD_PASSWORD)
_OWN_DEVICE = (SignInWay.LINK, SignInWay.PASSWORD)
_WAYS: dict[ErrorCode, tuple[SignInWay, ...]] = {
    **dict.fromkeys(_TAKEN, (SignInWay.NAME, *_OWN_DEVICE)),
    ErrorCode.NAME_UNAVAILABLE: (SignInWay.NAME,),
    ErrorCode.REGISTRATION_CLOSED: (SignInWay.INVITATION, SignInWay.NAME),
    ErrorCode.INVITATION_INVALID: (SignInWay.INVITATION, SignInWay.NAME),
    ErrorCode.LINK_INVALID: (*_OWN_DEVICE, SignInWay.NAME),
    ErrorCode.BAD_PASSWORD: (SignInWay.PASSWORD, SignInWay.LINK, SignInWay.NAME),
    ErrorCode.REVOKED: _OWN_DEVICE,
}
"""The options of the user after each refusal."""
_CLOSED_WAYS = (SignInWay.LINK, SignInWay.NAME)
"""The options for a new name on a server where only the operator adds accounts."""


class _Endpoint(NamedTuple):
    url: str
    server: str


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent to `url`: TLS, or this computer."""
    return url.startswith("wss://") or host_of(url) == "localhost"


class Identity:
    """The name, tokens and credential for the server at the addresses of `settings`.

    Args:
        settings: with a name.
        credential: what the user gave for this sign-in; None: the invitation of `settings`, if any.
    """

    def __init__(self, settings: ClientSettings, credential: Credential | None = None) -> None:
        self._settings = settings
        self._credential = credential
        self._is_invitation_refused = False
        self._has_new_token = False
        self._features: frozenset[str] = frozenset()
        self._paths = ClientPaths(settings.data)
        self._endpoint = _Endpoint("", "")
        self._token = ""
        self._refusals: dict[_Endpoint, int] = {}
        self._has_file = settings.token_file is not None
        self.key = ""
        """The key of the server that answered last; see `known_servers`."""
        self.refusal: Refusal | None = None
        """Why the server rejected the last hello, if it did."""

    @property
    def account(self) -> Path:
        """The user's folder for that server; there is none before the first welcome."""
        return self._paths.account(self.key, self._settings.name)

    @property
    def url(self) -> str:
        """The address that answered last."""
        return self._endpoint.url

    @property
    def invitation(self) -> Credential | None:
        """The user's invitation, which another name can use if this one is taken."""
        is_one = self._credential is not None and self._credential.way is SignInWay.INVITATION
        return self._credential if is_one else None

    def hello_for(self, url: str, server: str, features: frozenset[str]) -> Hello:
        """Return the hello for the server with the id `server` at `url`.

        Its token is on disk already.

        Raises:
            Refused: the server must not get a token, or the credential.
            TryLater: the token cannot be saved; a lost token would lock the name.
            ChatError: the server shows too many new ids.
        """
        self._endpoint, self._features = _Endpoint(url, server), features
        self.refusal = None
        keys = self._keys()
        tried = min(self._refusals.get(self._endpoint, 0), len(keys) - 1)
        self.key = keys[tried]
        try:
            given = self._token_of_file()
            credential = None if tried else self._credential_to_send()
        except StartupError as exc:
            raise Refused(str(exc)) from exc
        try:
            if not tried and not self._paths.servers.show(self.key, url, server):
                raise ChatError("it sends a new id with every connection")
            self._token = given or self._stored_token(credential)
        except (OSError, StartupError) as exc:
            raise TryLater(f"cannot save your token: {exc}") from exc
        hello = Hello(
            v=PROTOCOL_VERSION,
            name=self._settings.name,
            token=self._token,
            client=f"chat-client {__version__}",
        )
        if ACCOUNTS not in features:
            return hello
        fields = {"device": self._settings.device or _host_name()}
        if credential is not None:
            fields[_FIELDS[credential.way]] = credential.secret
        return hello.model_copy(update=fields)

    def _credential_to_send(self) -> Credential | None:
        """Return the credential for this server, if it needs one.

        Raises:
            Refused: the server must not get it.
            StartupError: the invitation's file cannot be read.
        """
        found = self._credential
        if found is None and not self._is_invitation_refused and not was_signed_in(self.account):
            code = invitation_of(self._settings)
            found = Credential(SignInWay.INVITATION, code) if code else None
        if found is None:
            return None
        kind, url = _NAMES[found.way], self._endpoint.url
        if ACCOUNTS not in self._features:
            if found.way is SignInWay.INVITATION:
                return None  # an older server lets everyone in
            raise Refused(
                f"cannot send your {kind}: the server at {url} is too old for accounts. Ask its "
                f"operator for a token (chat-server token {self._settings.name}), and start with "
                "--token-file FILE"
            )
        if not is_private(url):
            raise Refused(
                f"cannot send your {kind}: the connection to {url} is not encrypted. Use a wss:// "
                "address"
            )
        return found

    def _stored_token(self, credential: Credential | None) -> str:
        """Return the stored token; a new one if the server refused it and gets a code instead."""
        tokens, name = self._paths.tokens, self._settings.name
        is_again = credential is not None and credential.way in _OWN_DEVICE
        if is_again and not self._has_new_token:
            self._has_new_token = True
            return tokens.renew(self.key, name)
        return tokens.get_or_make(self.key, name)

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
        self._refusals.pop(self._endpoint, None)  # its key is now the first to try
        tokens = self._paths.tokens
        try:
            if tokens.get(self.key, name) != self._token:
                tokens.put(self.key, name, self._token)
        except (OSError, StartupError) as exc:
            raise TryLater(f"cannot save your token: {exc}") from exc
        self._has_file = False  # the operator's token is stored now; its file is no longer needed
        self._credential = None
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
        if error.code in _SPENT:
            self._credential = None
            self._is_invitation_refused = error.code is ErrorCode.INVITATION_INVALID
        self.refusal = self._refusal_of(error)
        return self._explain(error)

    def _keys(self) -> list[str]:
        """Return the keys whose tokens the server may get, in the order to try them."""
        settings, servers = self._settings, self._paths.servers
        own = servers.key_of(*self._endpoint)
        is_own = self._credential is not None and self._credential.way in _OWN_DEVICE
        if self._has_file or is_own:
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

    def _refusal_of(self, error: CommandError) -> Refusal | None:
        """Return the reason for the running client, and what the user can try in it.

        None: nothing can be done there, or the explanation for the command line says it.
        """
        was_in = was_signed_in(self.account)
        is_other_token = self._has_file or (not was_in and self._is_known_elsewhere())
        if error.code in _TAKEN and is_other_token:
            return None
        ways = _CLOSED_WAYS if _is_closed(error) else _WAYS.get(error.code, ())
        if was_in:
            ways = tuple(way for way in ways if way is not SignInWay.NAME)
        can_prove = ACCOUNTS in self._features and is_private(self._endpoint.url)
        if not can_prove:
            ways = tuple(way for way in ways if way is SignInWay.NAME)
        if not ways:
            return None
        name = self._settings.name
        reason = _reason(name, error, was_signed_in=was_in)
        if error.code in _TAKEN and not can_prove:
            reason += (
                f". If {name} is yours, ask the server's operator for a token (chat-server token "
                f"{name}), save it in a file, and start again with --token-file FILE"
            )
        if ACCOUNTS in self._features and not can_prove:
            reason += (
                f". The connection to {self._endpoint.url} is not encrypted: invitations, link "
                "codes and passwords are sent only to a wss:// address"
            )
        return Refusal(reason, ways)

    def _is_known_elsewhere(self) -> bool:
        elsewhere = self._paths.servers.known_elsewhere(*self._endpoint)
        return bool(elsewhere) and not self._settings.same_server

    def _explain(self, error: CommandError) -> str:
        """Explain the rejection, and what to do on the command line."""
        settings, name = self._settings, self._settings.name
        if error.code not in _TAKEN:
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
        if self._is_known_elsewhere():
            elsewhere = self._paths.servers.known_elsewhere(*self._endpoint)
            return (
                f"the name {name} is taken at {self._endpoint.url}, which claims to be the "
                f"server you know at {', '.join(elsewhere)}. If that is true (it has moved, or has "
                f"two addresses), start once: chat-client --url {settings.url} --same-server. "
                "If not, this would send your token to a stranger: choose another name with "
                "--name NAME"
            )
        return explain_refusal(settings, error)


_LABEL_MAX = 32


def _host_name() -> str:
    """Return this computer's name without its domain, as the device's label."""
    return printable_line(socket.gethostname()).partition(".")[0][:_LABEL_MAX] or "unnamed"


_FIELDS = {
    SignInWay.INVITATION: "invite",
    SignInWay.LINK: "link",
    SignInWay.PASSWORD: "password",
}
"""The field of `hello` for each credential."""
_NAMES = {
    SignInWay.INVITATION: "invitation",
    SignInWay.LINK: "link code",
    SignInWay.PASSWORD: "password",
}


def _is_closed(error: CommandError) -> bool:
    """Whether the server accepts no new names, not even with an invitation."""
    return error.code is ErrorCode.REGISTRATION_CLOSED and error.field == "link"


def _reason(name: str, error: CommandError, *, was_signed_in: bool) -> str:
    """Return why the server rejects the name, as a sentence without a full stop."""
    message = (error.message or error.code).rstrip(".")
    if error.code in _TAKEN and was_signed_in:
        return f"the server no longer accepts this device's token for the name {name}"
    match error.code:
        case ErrorCode.BAD_TOKEN | ErrorCode.NAME_TAKEN:
            return f"the name {name} is already in use on this server"
        case ErrorCode.NAME_UNAVAILABLE:
            return f"the name {name} cannot be used on this server"
        case ErrorCode.REGISTRATION_CLOSED if _is_closed(error):
            return (
                "this server is closed to new names: ask its operator to add you (chat-server user "
                f"add {name}), then sign in with the link code"
            )
        case ErrorCode.REGISTRATION_CLOSED:
            return f"the name {name} is new here: this server needs an invitation for new names"
        case ErrorCode.REVOKED:
            return f"this device of {name} was revoked"
        case ErrorCode.INVITATION_INVALID:
            return "the invitation is not valid: it is wrong, expired, revoked or used up"
        case ErrorCode.LINK_INVALID:
            return "the link code is not valid: it is wrong, expired or already used"
        case ErrorCode.BAD_PASSWORD:
            return f"the password is wrong, or {name} has none"
        case _:
            return message


def explain_refusal(settings: ClientSettings, error: CommandError) -> str:
    """Explain why the server rejects the name, and what to do on the command line."""
    name = settings.name
    again = f"chat-client --url {settings.url} --name"
    reason = _reason(name, error, was_signed_in=False)
    match error.code:
        case ErrorCode.BAD_TOKEN | ErrorCode.NAME_TAKEN:
            return (
                f"{reason}. Choose another: {again} NAME. If it is yours, ask the server's "
                f"operator for a token (chat-server token {name}), save it in a file, and start: "
                f"{again} {name} --token-file FILE"
            )
        case ErrorCode.NAME_UNAVAILABLE:
            return f"{reason}. Choose another: {again} NAME"
        case ErrorCode.REGISTRATION_CLOSED if _is_closed(error):
            return f"{reason}: start {again} {name}"
        case ErrorCode.REGISTRATION_CLOSED | ErrorCode.INVITATION_INVALID:
            return (
                f"{reason}. If you have an invitation, save its code in a file, and start: {again} "
                f"{name} --invite-file FILE"
            )
        case ErrorCode.REVOKED:
            return (
                f"{reason}. Sign in again: start {again} {name}, and use a link code or your "
                "password"
            )
        case ErrorCode.UNSUPPORTED_VERSION:
            return f"this client and the server are incompatible; update the older one ({error})"
        case ErrorCode.LINK_INVALID | ErrorCode.BAD_PASSWORD:
            return f"{reason}. Start {again} {name}, and try again"
        case ErrorCode.BANNED | ErrorCode.DISABLED:
            return reason
        case _:
            return f"the server rejects {name}: {error.message or error.code}"
