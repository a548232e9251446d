"""The client's settings, from flags, `CHAT_…` variables, and `client.toml`.

Flags override variables, variables override the file (`client.toml` in the user's configuration
folder), and the file overrides the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from platformdirs import user_config_path, user_data_path

from chat.client.config.options import (
    Option,
    command,
    on_or_off,
    one_of,
    option,
    options,
    path,
    text,
    words,
)
from chat.client.model.notifications import REASONS, Way
from chat.client.storage.known_servers import DEFAULT_URL, KnownServers, urls_of
from chat.errors import StartupError
from chat.text import check_line, check_name, fold, printable_line, quoted_value

__all__ = [
    "ClientSettings",
    "Server",
    "check_url",
    "config_file",
    "invitation_of",
    "load",
    "load_as",
    "misspelled",
    "with_added_servers",
    "with_remembered",
]

S = TypeVar("S", bound="ClientSettings")

_PREFIX = "CHAT_"
_NEAR = 0.85
"""Minimum similarity (0 to 1) of an unknown variable to a setting to report it."""
_CODE_MAX = 64
_LABEL_MAX = 64
_OF_COMMANDS = ("timeout",)
"""Settings of the commands without a screen, which use the same file."""

Joins = Literal["spoken", "all", "none"]
Typing = Literal["both", "show", "tell", "off"]
Editing = Literal["plain", "vi"]
Level = Literal["debug", "info", "warning", "error"]


def check_url(value: str) -> str:
    """Return the valid addresses of one server, separated by commas.

    Raises:
        ValueError: with a message for the user.
    """
    return ",".join(map(_check_address, urls_of(_with_scheme(value.strip()))))


def _with_scheme(value: str) -> str:
    """Add a missing scheme to an address: `ws` on this machine, otherwise `wss`.

    A single word is unchanged: it is more likely a mistake than a host.
    """
    if "://" in value or "," in value:
        return value
    try:
        host, port = urlsplit(f"//{value}").hostname or "", urlsplit(f"//{value}").port
    except ValueError:
        return value
    if not (port or "." in host or ":" in host or host == "localhost"):
        return value
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    return f"{'ws' if is_here else 'wss'}://{value}"


def _check_address(value: str) -> str:
    address = value.strip()
    if "://" not in value:
        raise ValueError(
            "must begin with ws:// or wss://, or be a host with its port, for example "
            "localhost:3000"
        )
    parts = urlsplit(value.strip())
    if parts.scheme not in ("ws", "wss"):
        raise ValueError(f"must begin with ws:// or wss://, not {parts.scheme}://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a name or a password; use --name and --token-file")
    if not parts.hostname or not address.isprintable() or " " in address:
        raise ValueError("must name a host, for example ws://127.0.0.1:3000")
    if parts.fragment or parts.query:
        raise ValueError("must not contain '?' or '#'")
    if parts.port == 0:
        raise ValueError("must name a port from 1 to 65535")
    return address.removesuffix("/") if parts.path == "/" else address


def _url(value: object) -> str:
    return check_url(text(value))


def _name(value: object) -> str:
    return check_name(text(value)) if value else ""


def _invitation(value: object) -> str:
    code = text(value).strip()
    if not code.isprintable() or len(code) > _CODE_MAX:
        raise ValueError(f"must be one line of at most {_CODE_MAX} characters")
    return code


def _label(value: object) -> str:
    return check_line(text(value).strip(), _LABEL_MAX)


def _authority(value: object) -> Path:
    file = path(value)
    import ssl  # lazy: most users have no such file

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise ValueError("is not a certificate in PEM format") from None
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror or exc}") from None
    return file


def _reasons(value: object) -> tuple[str, ...]:
    found = words(value)
    if unknown := [word for word in found if word not in REASONS]:
        raise ValueError(f"“{unknown[0]}” is not one of {', '.join(REASONS)}")
    return found


@dataclass(frozen=True, slots=True)
class Server:
    """A further server; an empty name: the same name as on the first server."""

    url: str
    name: str = ""


class _InvalidEntry(ValueError):
    """An invalid value in a table, with its key and the given value."""

    def __init__(self, where: str, given: object, reason: str) -> None:
        super().__init__(reason)
        self.where, self.given = where, given


def _servers(value: object) -> tuple[Server, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("must be tables, each with a url")
    return tuple(_server(number, each) for number, each in enumerate(value))


def _server(number: int, given: object) -> Server:
    readers = {"url": _url, "name": _name}
    if not isinstance(given, Mapping) or "url" not in given:
        raise _InvalidEntry(f"servers.{number}", given, "must be a table with a url")
    found = {}
    for key, value in given.items():
        try:
            found[key] = readers[key](value)
        except KeyError:
            reason = "is unknown; use url and name"
            raise _InvalidEntry(f"servers.{number}.{key}", value, reason) from None
        except ValueError as exc:
            raise _InvalidEntry(f"servers.{number}.{key}", value, str(exc)) from None
    return Server(**found)


def _keys(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of keys")
    return {text(name): text(key) for name, key in value.items()}


def _themes(value: object) -> dict[str, dict[str, str | bool]]:
    if not isinstance(value, Mapping) or not all(isinstance(t, Mapping) for t in value.values()):
        raise ValueError("must be tables of colors")
    return {
        name: {key: one if isinstance(one, bool) else text(one) for key, one in table.items()}
        for name, table in value.items()
    }


@dataclass(frozen=True)
class ClientSettings:
    """All settings of the client; the constructor does not validate its arguments."""

    name: str = option(
        "", _name, "Your name on the server: letters, digits, '_', '-' and '.' "
        "(default: the last one used)"
    )  # fmt: skip
    url: str = option(
        DEFAULT_URL,
        _url,
        "Address of the server: ws://host:port, or wss:// for a secure connection; without a "
        "scheme, wss:// is used, and ws:// on this computer; separate several addresses of one "
        "server with commas (default: the server that you last used with this name, else the last "
        f"one that you used, else {DEFAULT_URL})",
    )
    servers: tuple[Server, ...] = option(
        (),
        _servers,
        "Further servers, each a table with a `url` and your `name` there (in client.toml only)",
        in_file_only=True,
    )
    ca: Path | None = option(
        None,
        _authority,
        "Certificate of a private certificate authority (PEM file), to trust in addition to "
        "those of the system",
    )
    data: Path = option(
        lambda: user_data_path("chat", appauthor=False),
        path,
        "Folder for messages, drafts and the tokens of your names",
    )
    token_file: Path | None = option(
        None,
        path,
        "File with a token from the server's operator; the client stores the token, so use this "
        "flag only once",
    )
    invite_file: Path | None = option(
        None,
        path,
        "File with an invitation code for a new name; it is used once",
    )
    invite: str = option(
        "",
        _invitation,
        "An invitation code for a new name (as an environment variable only)",
        is_secret=True,
    )
    device: str = option(
        "",
        _label,
        "Label of this device in the list of your devices (default: the name of this computer)",
    )
    same_server: bool = option(
        False,
        on_or_off,
        "Treat this address as a server you already use; without this flag, it counts as a new "
        "server with its own token",
    )
    emoji_names: bool = option(
        False,
        on_or_off,
        "Show emoji as names such as :tada:, where a font or screen reader cannot show them",
    )
    plain: bool = option(
        False,
        on_or_off,
        "Plain mode: lines instead of screens, for screen readers, simple terminals and pipes",
    )
    demo: bool = option(
        False,
        on_or_off,
        "Try the client on a temporary local server with bots; nothing is kept",
    )
    joins: Joins = option(
        "spoken",
        one_of(Joins),
        "Joins and leaves to show: spoken (of authors of loaded messages), all, or none",
        choices=Joins,
    )
    typing: Typing = option(
        "both",
        one_of(Typing),
        "Typing indicators: show (those of others), tell (send yours), both, or off",
        choices=Typing,
    )
    notify: Way = option(
        "bell",
        one_of(Way),
        "How to notify you: bell, a desktop notification of the terminal (osc9: iTerm2, WezTerm, "
        "Windows Terminal; osc777: foot, kitty, Ghostty, rxvt), your own command, or none",
        choices=Way,
    )
    notify_for: tuple[str, ...] = option(
        REASONS,
        _reasons,
        "Which messages notify you: mention, direct, keyword, separated by commas; /notify "
        "sets one channel",
    )
    keywords: tuple[str, ...] = option((), words, "Keywords that notify you, separated by commas")
    notify_command: tuple[str, ...] = option(
        (),
        command,
        "Program for notify=command, with its arguments; it receives NOTIFY_TITLE and NOTIFY_TEXT "
        "as environment variables",
    )
    editing: Editing = option(
        "plain",
        one_of(Editing),
        "Editing mode of the composer: plain, or vi (the status bar shows the vi mode)",
        choices=Editing,
    )
    log_file: Path | None = option(None, path, "File to write a log to (default: none)")
    log_level: Level = option("warning", one_of(Level), "Log level", choices=Level)
    keys: dict[str, str] = option(
        dict,
        _keys,
        "Your key bindings, by action name; the help lists the names (in client.toml only)",
        in_file_only=True,
    )
    themes: dict[str, dict[str, str | bool]] = option(
        dict,
        _themes,
        "Your own colors: a table for each theme, see /theme (in client.toml only)",
        in_file_only=True,
    )
    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False, kw_only=True)
    """The settings that were given; all others have their defaults."""

    def but(self, **changes: Any) -> Self:
        """Return a copy with these changes, which count as given."""
        return replace(self, **changes, given=self.given | changes.keys())

    def for_each_server(self) -> tuple[Self, ...]:
        """Return settings for each server: the one of `url`, and the further ones.

        A token file, an invitation and `same_server` apply to the first server only.
        """
        found = {(self.url, fold(self.name)): self.but(servers=())}
        for server in self.servers:
            name = server.name or self.name
            alone = self.but(
                url=server.url,
                name=name,
                token_file=None,
                invite_file=None,
                invite="",
                same_server=False,
                servers=(),
            )
            found.setdefault((server.url, fold(name)), alone)
        return tuple(found.values())


def invitation_of(settings: ClientSettings) -> str:
    """Return the invitation code of the settings; empty if there is none.

    Raises:
        StartupError: the invitation's file contains no code.
    """
    file = settings.invite_file
    if file is None:
        return settings.invite
    try:
        code = _invitation(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise StartupError(f"cannot read the invitation file {file}: {exc.strerror}") from exc
    except ValueError:
        code = ""
    if not code:
        raise StartupError(
            f"the invitation file {file} contains no invitation: it must be one line with the code"
        )
    return code


def config_file() -> Path:
    """Return the path of the settings file; it may not exist."""
    return user_config_path("chat", appauthor=False) / "client.toml"


def with_remembered(settings: S) -> S:
    """Return the settings with the last used name and server, if they were not given.

    A given name selects the server that was last used with it, a given address the name. Servers
    in the file come before used ones.
    """
    servers = KnownServers(settings.data)
    name, found = settings.name, dict[str, str]()
    if "url" in settings.given:
        used = servers.last_use(url=settings.url)
    else:
        used = servers.last_use(name=name) or servers.last_use()
        if settings.servers and not servers.chosen_url:
            first = settings.servers[0]
            found, name = {"url": first.url}, first.name or name
        elif url := servers.chosen_url if settings.servers or not used else used[0]:
            found["url"] = url
    if not name:
        name = used[1] if used else servers.last_name or ""
    return settings.but(**found, **({"name": name} if name else {}))


def with_added_servers(settings: S) -> S:
    """Return the settings with the servers that the user added in the client.

    They come after the first server.
    """
    first = with_remembered(settings)
    added = [Server(url=url, name=name) for url, name in KnownServers(settings.data).further]
    if not added:
        return first
    return first.but(url=first.url, servers=(*first.servers, *added))


def load(flags: dict[str, Any]) -> ClientSettings:
    """Read the client's settings; `flags` are the given flags.

    Raises:
        StartupError: one line that names the setting and says what is wrong with it.
    """
    return load_as(ClientSettings, flags)


def load_as(kind: type[S], flags: dict[str, Any]) -> S:
    """Read settings of the class `kind`, as `load` does.

    Raises:
        StartupError: one line that names the setting and says what is wrong with it.
    """
    known = options(kind)
    given: dict[str, Any] = {}
    where: dict[str, str] = {}
    """Where each given setting comes from, for error messages."""
    sources = (_in_file(known), _in_environment(known), _in_flags(flags))
    for name, value, source in chain.from_iterable(sources):
        given[name], where[name] = value, source
    values: dict[str, Any] = {}
    for name, value in _each_server(given).items():
        try:
            values[name] = known[name][0].read(value)
        except _InvalidEntry as exc:
            source = where.get("servers", where.get("url", ""))
            source = f"{exc.where} in {config_file()}" if " in " in source else source
            raise _setting_error(source, exc.given, exc) from None
        except ValueError as exc:
            shown = "(secret)" if known[name][0].is_secret else value
            raise _setting_error(where[name], shown, exc) from None
    settings = kind(**values, given=frozenset(values))
    if settings.notify == "command" and not settings.notify_command:
        reason = "notify=command needs a program"
        raise StartupError(f"{where.get('notify_command', 'notify_command')}: {reason}")
    return settings


def _each_server(given: dict[str, Any]) -> dict[str, Any]:
    """Split several addresses in `url`: the first one stays, the others become further servers."""
    match given.get("url"), given.get("servers", []):
        case str(url), list(further) if len(words := url.split()) > 1:
            if not all("://" in word for word in words):
                return given  # a space within an address: `check_url` reports it
            more = [{"url": word} for word in words[1:]]
            return {**given, "url": words[0], "servers": [*more, *further]}
    return given


def _setting_error(where: str, given: object, reason: ValueError) -> StartupError:
    return StartupError(f"{where} {quoted_value(given)}: {reason}")


def _in_file(known: Mapping[str, tuple[Option, Any]]) -> Iterator[tuple[str, Any, str]]:
    """Yield the settings in the file; their names may use dashes or underscores.

    Raises:
        StartupError: the file cannot be read, or contains an unknown key.
    """
    file = config_file()
    keys: dict[str, str] = {}
    for key, value in _read(file).items():
        name = key.replace("-", "_")
        if name in _OF_COMMANDS and name not in known:
            continue
        if name in known and known[name][0].is_secret:
            raise StartupError(f"{file}: {key} cannot be in this file; use {_PREFIX}{key.upper()}")
        if name not in known:
            from difflib import get_close_matches  # lazy: rarely needed

            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise StartupError(f"{file}: {printable_line(key)} is not a setting{hint}")
        if name in keys:
            raise StartupError(f"{file}: {keys[name]} and {key} are the same setting; keep one")
        keys[name] = key
        yield name, value, f"{key} in {file}"


def _read(file: Path) -> dict[str, Any]:
    try:
        written = file.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise StartupError(f"cannot read {file}: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise StartupError(f"cannot read {file}: {exc}") from None
    import tomllib  # lazy: many users have no file

    try:
        return tomllib.loads(written)
    except ValueError as exc:
        raise StartupError(f"cannot read {file}: {exc}") from None


def _in_environment(
    known: Mapping[str, tuple[Option, Any]],
) -> Iterator[tuple[str, str, str]]:
    """Yield the settings in environment variables, ignoring case.

    An empty variable counts as unset, as for the server. Unknown variables with the prefix are
    ignored: the server's, and those that Kubernetes sets.
    """
    for variable, value in os.environ.items():
        name = variable.upper().removeprefix(_PREFIX).lower()
        is_ours = variable.upper().startswith(_PREFIX) and name in known
        if value and is_ours and not known[name][0].in_file_only:
            yield name, value, variable


def misspelled() -> list[str]:
    """Return a warning for each ignored `CHAT_…` variable that resembles a setting's name."""
    known = options(ClientSettings)
    names = [*_OF_COMMANDS, *(name for name in known if not known[name][0].in_file_only)]
    found = []
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(_PREFIX).lower()
        if variable.upper().startswith(_PREFIX) and name not in names:
            from difflib import get_close_matches  # lazy: rarely needed

            if near := get_close_matches(name, names, 1, _NEAR):
                meant = _PREFIX + near[0].upper()
                found.append(f"{printable_line(variable)} is ignored; did you mean {meant}?")
    return found


def _in_flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for name, value in flags.items():
        # `servers` comes from repeated --url flags.
        flag = "url" if name == "servers" else name
        yield name, value, f"--{flag.replace('_', '-')}"
