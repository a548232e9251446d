"""The server's settings: one typed model for flags, `CHAT_…` variables and a TOML file.

A flag wins over a variable, a variable over the file (`server.toml` in the user's configuration
folder), the file over the default.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, TypeVar

from platformdirs import user_config_path, user_data_path
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliPositionalArg,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from chat.core.door import Network
from chat.errors import StartupError
from chat.protocol.values import Limits

__all__ = [
    "BackupSettings",
    "CheckSettings",
    "DataSettings",
    "ReindexSettings",
    "RestoreSettings",
    "ServerSettings",
    "TokenSettings",
    "load",
]


S = TypeVar("S", bound="DataSettings")


class DataSettings(BaseSettings):
    """Where the logs are kept."""

    model_config = SettingsConfigDict(
        env_prefix="CHAT_",
        env_nested_delimiter="__",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        extra="ignore",
    )

    data: Path = Field(
        default=user_data_path("chat-server", appauthor=False),
        description="folder of the database",
    )

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.data / "chat.db"

    @property
    def store_url(self) -> str:
        """The database's address, as the store takes it."""
        return f"sqlite:///{self.database.absolute()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the TOML file below the variables (the flags are put on top by the library)."""
        file = user_config_path("chat", appauthor=False) / "server.toml"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


class LimitSettings(Limits):
    """Bounds of what clients may send; told in `welcome`."""

    model_config = SettingsConfigDict(
        strict=False, frozen=True, extra="forbid", use_attribute_docstrings=True
    )


class ServerSettings(DataSettings):
    """Run a chat server. Other commands: backup, restore, check, reindex, token, schema."""

    host: list[str] = Field(
        default=["127.0.0.1", "::1"], description="address to listen on; may be given repeatedly"
    )
    port: int = Field(3000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    server_name: str = Field("chat", min_length=1, max_length=64, description="name people see")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is written to standard error"
    )
    tls_cert: Path | None = Field(None, description="certificate chain (PEM): makes it wss://")
    tls_key: Path | None = Field(None, description="private key (PEM) of the certificate")
    allow_origin: list[str] = Field(
        default=[], description="web origin whose pages may connect; may be given repeatedly"
    )
    heartbeat: float = Field(20.0, gt=0, le=300, description="seconds between two heartbeats")
    hello_timeout: float = Field(10.0, gt=0, description="seconds until a client must be signed in")
    sign_in_patience: float = Field(
        7.0,
        gt=0,
        description="seconds a sign-in may have to wait for others; longer, and it is "
        "told when to come back",
    )
    connections: int | None = Field(
        None, ge=1, description="connections in all; by default what the open files allow"
    )
    address_connections: int = Field(
        100, ge=1, description="connections one address may hold (IPv6: one /64)"
    )
    address_rate: float = Field(
        10.0, gt=0, description="connections one address may open per second, lastingly"
    )
    address_burst: int = Field(200, ge=1, description="connections one address may open at once")
    exempt_address: list[Network] = Field(
        default=[IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")],
        description="address or network without limits of its own, such as a proxy; may be given "
        "repeatedly",
    )
    close_timeout: float = Field(
        2.0, gt=0, le=4, description="seconds a closing connection gets before it is cut"
    )
    reconnect_window: float = Field(
        5.0, ge=0, description="seconds over which clients spread their return"
    )
    write_timeout: float = Field(
        30.0, gt=0, description="seconds a peer may leave what was written to it unread"
    )
    queue_bytes: int = Field(
        1_048_576, ge=65_536, description="bytes that may wait for one slow reader"
    )
    resume_window: int = Field(
        1_000, ge=0, description="missed events beyond which a client gets the newest page"
    )
    limits: LimitSettings = Field(default_factory=LimitSettings)

    @model_validator(mode="after")
    def _tls_is_complete(self) -> ServerSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together: give both or neither")
        return self

    @property
    def is_tls(self) -> bool:
        """Whether clients connect with `wss://`."""
        return self.tls_cert is not None


class TokenSettings(DataSettings):
    """Issue another token for a name: for a second device, or when the first one is lost."""

    name: CliPositionalArg[str] = Field(description="the name, as it was claimed")


class BackupSettings(DataSettings):
    """Copy the database to FILE, also while the server runs."""

    file: CliPositionalArg[Path] = Field(description="the copy; it must not exist yet")


class RestoreSettings(DataSettings):
    """Put a backup in the database's place; the server must not run. The present one is kept."""

    file: CliPositionalArg[Path] = Field(description="a copy that `chat-server backup` made")


class CheckSettings(DataSettings):
    """Look whether every log is whole, also while the server runs: exit code 1 if one is not."""


class ReindexSettings(DataSettings):
    """Make the full-text index anew from the logs; the server must not run."""


def load(kind: type[S], program: str, argv: list[str]) -> S:
    """Read settings of `kind` from all their sources.

    Raises:
        StartupError: a flag, a variable or the file is wrong; the message names it.
        SystemExit: after `--help` (0).
    """
    parse: dict[str, Any] = {
        "_cli_parse_args": argv,
        "_cli_prog_name": program,
        "_cli_exit_on_error": False,
    }
    try:
        return kind(**parse)
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        flag = "--" + ".".join(str(part) for part in fault["loc"] if isinstance(part, str))
        subject = f"{flag.replace('_', '-')}: " if fault["loc"] else ""
        raise StartupError(subject + fault["msg"].removeprefix("Value error, ")) from None
    except (SettingsError, ValueError, OSError) as exc:
        raise StartupError(str(exc)) from None
