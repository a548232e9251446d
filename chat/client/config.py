"""The client's settings: one typed model for flags, `CHAT_…` variables and a TOML file.

A flag wins over a variable, a variable over the file (`client.toml` in the user's configuration
folder), the file over the default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from platformdirs import user_config_path, user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from chat.client.calls import REASONS, Way
from chat.client.lists import Argv, Keywords, Reasons
from chat.errors import StartupError
from chat.text import check_name, fold, printable_line

__all__ = ["ClientSettings", "Server", "check_url", "config_file", "flags_of", "load", "load_as"]

S = TypeVar("S", bound="ClientSettings")


def check_url(value: str) -> str:
    """Return `value` if a client can connect to it.

    Raises:
        ValueError: with a message for a person.
    """
    address = value.strip().removesuffix("/")
    if "://" not in value:
        raise ValueError("must begin with ws:// or wss://, for example ws://127.0.0.1:3000")
    parts = urlsplit(value.strip())
    if parts.scheme not in ("ws", "wss"):
        raise ValueError(f"must begin with ws:// or wss://, not {parts.scheme}://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no name and no password; use --name and --token-file")
    if not parts.hostname or not address.isprintable() or " " in address:
        raise ValueError("must name a host, for example ws://127.0.0.1:3000")
    if parts.fragment or parts.query:
        raise ValueError("must hold no '?' and no '#'")
    if parts.port == 0:
        raise ValueError("must name a port from 1 to 65535")
    return address


def _name_or_none(value: str) -> str:
    return check_name(value) if value else value


class Server(BaseModel):
    """One of further servers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(check_url)]
    name: Annotated[str, AfterValidator(_name_or_none)] = ""
    """Empty: the same as on the first one."""


class ClientSettings(BaseSettings):
    """Everything one may set."""

    model_config = SettingsConfigDict(
        env_prefix="CHAT_",
        extra="ignore",
        validate_default=True,
        use_attribute_docstrings=True,
    )

    name: Annotated[str, AfterValidator(_name_or_none)] = ""
    """Your name on the server: letters, digits, '_', '-' and '.' (default: the last one used)."""
    url: Annotated[str, AfterValidator(check_url)] = "ws://127.0.0.1:3000"
    """Address of the server: ws://host:port, or wss:// for a secure connection."""
    servers: tuple[Server, ...] = ()
    """Further servers, each a table with a `url` and your `name` there (in the file only)."""
    data: Path = Field(default_factory=lambda: user_data_path("chat", appauthor=False))
    """Folder for messages, drafts and the secrets of your names."""
    token_file: Path | None = None
    """File with a token that the server's operator gave you; it is kept, say it once."""
    same_server: bool = False
    """The address is a new one of a server you know; without this, your token stays here."""
    emoji_names: bool = False
    """Show emoji by their names, such as :tada:, where a font or a reader cannot show them."""
    plain: bool = False
    """Lines instead of screens: for screen readers, simple terminals and pipes."""
    demo: bool = False
    """Play with a server of your own that has company in it; nothing is left behind."""
    joins: Literal["spoken", "all", "none"] = "spoken"
    """Whose coming and going is told: of people who spoke in what is loaded, all, or none."""
    typing: Literal["both", "show", "tell", "off"] = "both"
    """Who types: show it, tell it to others, both, or neither."""
    notify: Way = "bell"
    """How you are called: bell, a desktop notification of the terminal (osc9: iTerm2, WezTerm,
    Windows Terminal; osc777: foot, kitty, Ghostty, rxvt), your own command, or none."""
    notify_for: Reasons = REASONS
    """What you are called for: some of mention, direct, keyword, with commas; /notify says more of
    one channel."""
    keywords: Keywords = ()
    """Words that concern you, with commas; who writes one of them calls you."""
    notify_command: Argv = ()
    """Program for notify=command, with its arguments; it gets NOTIFY_TITLE and NOTIFY_TEXT."""
    editing: Literal["plain", "vi"] = "plain"
    """How text is edited: as everywhere, or with vi's modes (then the status line shows them)."""
    log_file: Path | None = None
    """File to write a log to (default: none)."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """What goes to the log."""
    keys: dict[str, str] = Field(default_factory=dict)
    """Your own keys, by the names of the actions that the help shows (in the file only)."""
    themes: dict[str, dict[str, str | bool]] = Field(default_factory=dict)
    """Your own colours: a table for each theme, see /theme (in the file only)."""

    @field_validator("data", "token_file", "log_file")
    @classmethod
    def _at_home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @field_validator("notify_command")
    @classmethod
    def _can_call(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("notify") == "command" and not value:
            raise ValueError("notify=command needs a program here")
        return value

    def for_each_server(self) -> tuple[Self, ...]:
        """Return the settings for one server each: for that of `url`, and for the further ones.

        What was said for this once (a token, a new address) is for the first.
        """
        found = {(self.url, fold(self.name)): self.model_copy(update={"servers": ()})}
        for server in self.servers:
            name = server.name or self.name
            update = {"url": server.url, "name": name, "token_file": None, "same_server": False}
            alone = self.model_copy(update={**update, "servers": ()})
            found.setdefault((server.url, fold(name)), alone)
        return tuple(found.values())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: flags (given to the constructor), variables, the file."""
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, toml_file=config_file()),
        )


_TABLES = ("servers", "keys", "themes")
"""What only the file can hold."""


def flags_of(kind: type[ClientSettings] = ClientSettings) -> dict[str, FieldInfo]:
    """Return the settings that can be given as a flag: all but the tables of the file."""
    return {name: field for name, field in kind.model_fields.items() if name not in _TABLES}


def config_file() -> Path:
    """Return where the settings file would be."""
    return user_config_path("chat", appauthor=False) / "client.toml"


def load(flags: dict[str, Any]) -> ClientSettings:
    """Read the client's settings; `flags` are those that were given.

    Raises:
        StartupError: one line that names the setting and says what is wrong with it.
    """
    return load_as(ClientSettings, flags)


def load_as(kind: type[S], flags: dict[str, Any]) -> S:
    """Read settings of `kind`, as `load` does.

    Raises:
        StartupError: one line that names the setting and says what is wrong with it.
    """
    try:
        return kind(**flags)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, fault["loc"])) or "settings"
        reason = fault["msg"].removeprefix("Value error, ")
        where = f"--{name.replace('_', '-')}" if name in flags else name
        if fault["loc"][0] == "servers" and "servers" in flags:
            where = "--url"
        given = printable_line(str(fault["input"]))[:80]
        raise StartupError(f"{where} {given!r}: {reason}") from None
    except ValueError as exc:
        raise StartupError(f"cannot read {config_file()}: {exc}") from None
